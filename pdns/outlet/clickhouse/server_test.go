package clickhouse_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// engine is what runs statements.
type engine interface {
	// run runs a statement; what an INSERT brings is a file in the format Native.
	run(statement, file string) error
	// query returns a block of the format Native.
	query(statement string) ([]byte, error)
}

// server speaks the native protocol as ClickHouse does, in front of an engine.
type server struct {
	t        *testing.T
	engine   engine
	password string
	dir      string
	wg       sync.WaitGroup

	mu      sync.Mutex
	tokens  []string // of inserts, with repetitions
	refused int      // inserts still to be refused
	code    int      // with which error
	mute    int      // inserts whose answers are still to be lost
}

// listen starts a server and says where.
func listen(t *testing.T, e engine) (*server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, engine: e, dir: t.TempDir()}
	t.Cleanup(func() { _ = l.Close(); s.wg.Wait() })
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer c.Close()
				session := &session{server: s, r: proto.NewReader(c), w: c}
				_ = session.serve() // of connections that are cut
			})
		}
	})
	return s, l.Addr().String()
}

type session struct {
	*server
	r   *proto.Reader
	w   io.Writer
	buf proto.Buffer
}

const revision = 54460

func (s *session) flush() error {
	_, err := s.w.Write(s.buf.Buf)
	s.buf.Reset()
	return err
}

func (s *session) serve() error {
	if n, err := s.r.UVarInt(); err != nil || proto.ClientCode(n) != proto.ClientCodeHello {
		return fmt.Errorf("packet %d, %w", n, err)
	}
	var hello proto.ClientHello
	if err := hello.Decode(s.r); err != nil {
		return err
	}
	if hello.Password != s.password {
		return s.exception(516, "Authentication failed")
	}
	(&proto.ServerHello{Name: "ClickHouse", Major: 26, Minor: 9, Revision: revision, Timezone: "UTC", DisplayName: "test"}).EncodeAware(&s.buf, revision)
	if err := s.flush(); err != nil {
		return err
	}
	if _, err := s.r.Str(); err != nil { // the quota key
		return err
	}
	for {
		n, err := s.r.UVarInt()
		if err != nil {
			return err
		}
		if proto.ClientCode(n) != proto.ClientCodeQuery {
			return fmt.Errorf("packet %d", n)
		}
		var q proto.Query
		if err := q.DecodeAware(s.r, revision); err != nil {
			return err
		}
		if rows, _, err := s.block(); err != nil || rows != 0 {
			return fmt.Errorf("%d rows with a statement, %w", rows, err)
		}
		if err := s.answer(&q); err != nil {
			return err
		}
	}
}

// block reads a packet of data.
func (s *session) block() (rows int, columns proto.Input, err error) {
	if n, err := s.r.UVarInt(); err != nil || proto.ClientCode(n) != proto.ClientCodeData {
		return 0, nil, fmt.Errorf("packet %d, %w", n, err)
	}
	if _, err := s.r.Str(); err != nil {
		return 0, nil, err
	}
	s.r.EnableCompression()
	defer s.r.DisableCompression()
	var b proto.Block
	var results proto.Results
	if err := b.DecodeBlock(s.r, revision, results.Auto()); err != nil {
		return 0, nil, err
	}
	for _, c := range results {
		columns = append(columns, proto.InputColumn{Name: c.Name, Data: c.Data.(proto.ColInput)})
	}
	return b.Rows, columns, nil
}

// data writes a packet of data.
func (s *session) data(encode func(*proto.Buffer)) {
	proto.ServerCodeData.Encode(&s.buf)
	s.buf.PutString("")
	var raw proto.Buffer
	proto.BlockInfo{BucketNum: -1}.Encode(&raw)
	encode(&raw)
	zip := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := zip.Compress(raw.Buf); err != nil {
		s.t.Error(err)
	}
	s.buf.PutRaw(zip.Data)
}

var inserts = regexp.MustCompile("^INSERT INTO (`[^`]*`.`[^`]*`) \\((.*)\\) FORMAT Native$")

func (s *session) answer(q *proto.Query) error {
	var err error
	switch part := inserts.FindStringSubmatch(q.Body); {
	case part != nil:
		err = s.insert(q, part[1], part[2])
	case strings.HasPrefix(q.Body, "SELECT"):
		err = s.read(q.Body)
	default:
		err = s.engine.run(q.Body, "")
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return err
	}
	if err != nil {
		code := 0
		if part := regexp.MustCompile(`^Code: (\d+)`).FindStringSubmatch(err.Error()); part != nil {
			code, _ = strconv.Atoi(part[1])
		}
		return s.exception(code, err.Error())
	}
	proto.ServerCodeProgress.Encode(&s.buf)
	proto.Progress{Rows: 1}.EncodeAware(&s.buf, revision)
	proto.ServerCodeEndOfStream.Encode(&s.buf)
	return s.flush()
}

func (s *session) exception(code int, message string) error {
	proto.ServerCodeException.Encode(&s.buf)
	(&proto.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: message}).EncodeAware(&s.buf, revision)
	return s.flush()
}

// read answers a SELECT.
func (s *session) read(statement string) error {
	native, err := s.engine.query(statement)
	if err != nil || len(native) == 0 { // no rows
		return err
	}
	var b proto.Block
	var results proto.Results
	if err := b.DecodeRawBlock(proto.NewReader(bytes.NewReader(native)), 0, results.Auto()); err != nil {
		return err
	}
	s.data(func(raw *proto.Buffer) {
		var columns proto.Input
		for _, c := range results {
			columns = append(columns, proto.InputColumn{Name: c.Name, Data: c.Data.(proto.ColInput)})
		}
		if err := b.EncodeRawBlock(raw, revision, columns); err != nil {
			s.t.Error(err)
		}
	})
	s.data(func(raw *proto.Buffer) { raw.PutUVarInt(0); raw.PutUVarInt(0) })
	return nil
}

// insert says which columns there are, takes the rows and brings them to the engine.
func (s *session) insert(q *proto.Query, table, columns string) error {
	native, err := s.engine.query("SELECT name, type FROM system.columns WHERE concat('`', database, '`.`', table, '`') = '" + table + "' AND default_kind = '' ORDER BY position")
	if err != nil {
		return err
	}
	var names, kinds proto.ColStr
	var b proto.Block
	if err := b.DecodeRawBlock(proto.NewReader(bytes.NewReader(native)), 0, proto.Results{{Name: "name", Data: &names}, {Name: "type", Data: &kinds}}); err != nil {
		return err
	}
	s.data(func(raw *proto.Buffer) {
		raw.PutUVarInt(uint64(names.Rows()))
		raw.PutUVarInt(0)
		for i := range names.Rows() {
			raw.PutString(names.Row(i))
			raw.PutString(kinds.Row(i))
			raw.PutBool(false)
		}
	})
	if err := s.flush(); err != nil {
		return err
	}
	rows, input, err := s.block()
	if err != nil {
		return err
	}
	if end, _, err := s.block(); err != nil || end != 0 {
		return fmt.Errorf("%d more rows, %w", end, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused > 0 {
		s.refused--
		return fmt.Errorf("Code: %d. DB::Exception: not now", s.code)
	}
	var settings []string
	for _, one := range q.Settings {
		settings = append(settings, one.Key+"='"+one.Value+"'")
		if one.Key == "insert_deduplication_token" {
			s.tokens = append(s.tokens, one.Value)
		}
	}
	var out proto.Buffer
	block := proto.Block{Columns: len(input), Rows: rows}
	if err := block.EncodeRawBlock(&out, 0, input); err != nil {
		return err
	}
	file := filepath.Join(s.dir, "insert.native")
	if err := os.WriteFile(file, out.Buf, 0o600); err != nil {
		return err
	}
	err = s.engine.run("INSERT INTO "+table+" ("+columns+") FROM INFILE '"+file+"' SETTINGS "+strings.Join(settings, ", ")+" FORMAT Native", file)
	if err == nil && s.mute > 0 {
		s.mute--
		return io.EOF
	}
	return err
}

// memory is an engine that keeps what is inserted, once for each token.
type memory struct {
	mu         sync.Mutex
	statements []string
	known      []string
	names      []string // of qname
	ids        map[string]bool
	identities map[string]string // by name
}

func (m *memory) run(statement, file string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file == "" {
		m.statements = append(m.statements, statement)
		return nil
	}
	token := regexp.MustCompile(`insert_deduplication_token='([^']*)'`).FindString(statement)
	if slices.Contains(m.known, token) {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var b proto.Block
	var results proto.Results
	if err := b.DecodeRawBlock(proto.NewReader(bytes.NewReader(data)), 0, results.Auto()); err != nil {
		return err
	}
	m.known = append(m.known, token)
	names, ids := column[*proto.ColStr](results, "qname"), column[*proto.ColUUID](results, "weir_id")
	for i := range b.Rows {
		name, id := names.Row(i), ids.Row(i).String()
		if old, ok := m.identities[name]; ok && old != id {
			return fmt.Errorf("%s came as %s and as %s", name, old, id)
		}
		m.names, m.ids[id], m.identities[name] = append(m.names, name), true, id
	}
	return nil
}

// column is one of a block, which may have found out its type itself.
func column[T any](all proto.Results, name string) (col T) {
	for _, c := range all {
		if c.Name != name {
			continue
		}
		data := any(c.Data)
		if auto, ok := data.(*proto.ColAuto); ok {
			data = auto.Data
		}
		return data.(T)
	}
	return col
}

func newMemory() *memory { return &memory{ids: map[string]bool{}, identities: map[string]string{}} }

func (m *memory) query(statement string) ([]byte, error) {
	var out proto.Buffer
	if strings.Contains(statement, "system.columns") {
		names, kinds := new(proto.ColStr), new(proto.ColStr)
		names.Append("time")
		kinds.Append("DateTime64(6, 'UTC')")
		b := proto.Block{Columns: 2, Rows: 1}
		err := b.EncodeRawBlock(&out, 0, proto.Input{{Name: "name", Data: names}, {Name: "type", Data: kinds}})
		return out.Buf, err
	}
	var input proto.Input
	for _, name := range []string{"a", "b", "c", "d"} {
		input = append(input, proto.InputColumn{Name: name, Data: proto.ColUInt32{0}})
	}
	err := proto.Block{Columns: 4, Rows: 1}.EncodeRawBlock(&out, 0, input)
	return out.Buf, err
}

// chdb is ClickHouse's own engine, as the Python package chdb has it.
type chdb struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	dir string
	mu  sync.Mutex
}

const program = `
import json, sys
from chdb import session
s = session.Session(sys.argv[1])
for line in sys.stdin:
    q = json.loads(line)
    try:
        r = s.query(q["statement"], "Native" if q["file"] else "TSV")
        if q["file"]:
            open(q["file"], "wb").write(r.bytes())
        answer = {"text": "" if q["file"] else str(r)}
    except Exception as e:
        answer = {"error": str(e)}
    print(json.dumps(answer), flush=True)
`

// newChdb starts one; testdata/integration/clickhouse.sh says with which Python.
func newChdb(t *testing.T) *chdb {
	t.Helper()
	python := os.Getenv("WEIR_CHDB_PYTHON")
	if python == "" {
		t.Skip("no chdb: set WEIR_CHDB_PYTHON to a Python that has it, or run testdata/integration/clickhouse.sh")
	}
	c := &chdb{t: t, dir: t.TempDir()}
	cmd := exec.Command(python, "-c", program, filepath.Join(c.dir, "db"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	c.must("CREATE DATABASE weir ENGINE = Atomic")
	return c
}

func (c *chdb) ask(statement, file string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, err := json.Marshal(map[string]string{"statement": statement, "file": file})
	if err != nil {
		return "", err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return "", err
	}
	reply, err := c.out.ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("chdb: %w", err)
	}
	var answer struct{ Text, Error string }
	if err := json.Unmarshal(reply, &answer); err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	return strings.TrimSpace(answer.Text), nil
}

func (c *chdb) must(statement string) string {
	c.t.Helper()
	text, err := c.ask(statement, "")
	if err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
	return text
}

func (c *chdb) run(statement, _ string) error {
	_, err := c.ask(statement, "")
	return err
}

func (c *chdb) query(statement string) ([]byte, error) {
	file := filepath.Join(c.dir, "answer.native")
	if _, err := c.ask(statement, file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}
