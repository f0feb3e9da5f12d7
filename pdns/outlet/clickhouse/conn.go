package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/weirdns/weir/pdns/outlet"
)

// login is how weir presents itself.
type login struct {
	target                   outlet.Target
	tls                      *tls.Config
	database, user, password string
}

// conn is a connection, for one batch.
type conn struct {
	net      *outlet.Conn
	r        *proto.Reader
	w        proto.Buffer
	zip      *compress.Writer
	revision int    // of the protocol, the lower one of both sides
	version  string // of the server
}

// oldest is the revision of the oldest server that was tried: 18.16.
const oldest = 54412

// old says whether the server is one to which settings cannot be sent as text, from
// before 20.3.
func (c *conn) old() bool { return !proto.FeatureSettingsSerializedAsStrings.In(c.revision) }

// dial connects and says hello.
func (l *login) dial(ctx context.Context) (*conn, error) {
	n, err := l.target.Dial(ctx, l.tls)
	if err != nil {
		return nil, err
	}
	c := &conn{net: n, r: proto.NewReader(n), zip: compress.NewWriter(compress.LevelZero, compress.LZ4), revision: proto.Version}
	if err := c.hello(l); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) close() { _ = c.net.Close() } // all was answered, or is sent again

func (c *conn) hello(l *login) error {
	proto.ClientHello{Name: "weir", Major: 1, ProtocolVersion: proto.Version, Database: l.database, User: l.user, Password: l.password}.Encode(&c.w)
	if err := c.flush(); err != nil {
		return err
	}
	kind, err := c.packet()
	if err != nil {
		return err
	}
	if kind != proto.ServerCodeHello {
		return fmt.Errorf("the server says %v instead of hello", kind)
	}
	var server proto.ServerHello
	if err := server.DecodeAware(c.r, proto.Version); err != nil {
		return err
	}
	c.version = fmt.Sprintf("%d.%d", server.Major, server.Minor)
	if server.Revision < oldest {
		return fmt.Errorf("the server is ClickHouse %s, which is too old", c.version)
	}
	c.revision = min(c.revision, server.Revision)
	if proto.FeatureAddendum.In(c.revision) {
		c.w.PutString("") // no quota key
	}
	return nil
}

func (c *conn) flush() error {
	_, err := c.net.Write(c.w.Buf)
	c.w.Reset()
	return err
}

// packet reads what kind of packet comes. What the server refuses is its error.
func (c *conn) packet() (proto.ServerCode, error) {
	n, err := c.r.UVarInt()
	if err != nil {
		return 0, err
	}
	kind := proto.ServerCode(n)
	if kind != proto.ServerCodeException {
		return kind, nil
	}
	var e proto.Exception
	if err := e.DecodeAware(c.r, c.revision); err != nil {
		return 0, err
	}
	return 0, &serverError{int(e.Code), e.Name, e.Message}
}

// serverError is what the server said. Its message may quote rows.
type serverError struct {
	code          int
	name, message string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("the server answers %d (%s)", e.code, e.name)
}

// exec runs a statement that returns nothing.
func (c *conn) exec(statement string) error {
	if err := c.query(statement, nil); err != nil {
		return err
	}
	_, err := c.answer(nil, false)
	return err
}

// read runs a query and reads what it returns, of one block at most.
func (c *conn) read(query string, into proto.Results) error {
	if err := c.query(query, nil); err != nil {
		return err
	}
	_, err := c.answer(into, false)
	return err
}

// insert runs an INSERT of these columns.
func (c *conn) insert(statement string, settings []proto.Setting, columns proto.Input) error {
	if err := c.query(statement, settings); err != nil {
		return err
	}
	ready, err := c.answer(nil, true)
	if err != nil {
		return err
	}
	if !ready {
		return errors.New("the server wants no rows")
	}
	if err := c.data(columns); err != nil {
		return err
	}
	if err := c.data(nil); err != nil { // that was all
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	_, err = c.answer(nil, false)
	return err
}

// query sends a statement, and that no table comes with it.
func (c *conn) query(statement string, settings []proto.Setting) error {
	q := proto.Query{
		Body: statement, Stage: proto.StageComplete, Compression: proto.CompressionEnabled, Settings: settings,
		Info: proto.ClientInfo{
			ProtocolVersion: c.revision, Major: 1, Interface: proto.InterfaceTCP, Query: proto.ClientQueryInitial,
			InitialAddress: c.net.LocalAddr().String(), ClientName: "weir",
		},
	}
	if c.old() {
		c.oldQuery(&q)
	} else {
		q.EncodeAware(&c.w, c.revision)
	}
	if err := c.data(nil); err != nil {
		return err
	}
	return c.flush()
}

// oldQuery writes q for an old server, without settings: it reads who asks, which
// ch-go would leave out, and wants a setting's value in a form for each type.
func (c *conn) oldQuery(q *proto.Query) {
	proto.ClientCodeQuery.Encode(&c.w)
	c.w.PutString(q.ID)
	q.Info.EncodeAware(&c.w, c.revision)
	c.w.PutString("") // no settings
	q.Stage.Encode(&c.w)
	q.Compression.Encode(&c.w)
	c.w.PutString(q.Body)
}

// frame is how much is compressed at a time.
const frame = 1 << 20

// data sends a block.
func (c *conn) data(columns proto.Input) error {
	proto.ClientCodeData.Encode(&c.w)
	proto.ClientData{}.EncodeAware(&c.w, c.revision)
	block := proto.Block{Columns: len(columns), Info: proto.BlockInfo{BucketNum: -1}} // no bucket: that is for servers
	if len(columns) > 0 {
		block.Rows = columns[0].Data.Rows()
	}
	var raw proto.Buffer
	if err := block.EncodeBlock(&raw, c.revision, columns); err != nil {
		return err
	}
	for rest := raw.Buf; len(rest) > 0; {
		n := min(len(rest), frame)
		if err := c.zip.Compress(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		c.w.PutRaw(c.zip.Data)
		if len(c.w.Buf) >= frame {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer reads packets to the end of a query or, where one is awaited, to the
// block that says what an INSERT may bring. Blocks with rows go into out.
func (c *conn) answer(out proto.Results, awaited bool) (ready bool, err error) {
	for {
		kind, err := c.packet()
		if err != nil {
			return false, err
		}
		switch kind {
		case proto.ServerCodeEndOfStream:
			return false, nil
		case proto.ServerCodeData, proto.ServerCodeTotals, proto.ServerCodeExtremes:
			into := new(proto.Results).Auto()
			if len(out) > 0 && kind == proto.ServerCodeData {
				into = out
			}
			rows, err := c.block(into, true)
			switch {
			case err != nil:
				return false, err
			case awaited:
				return true, nil
			case rows > 0:
				out = nil // more than one block is not asked for
			}
		case proto.ServerCodeLog, proto.ServerProfileEvents:
			_, err = c.block(new(proto.Results).Auto(), false)
		case proto.ServerCodeProgress:
			err = new(proto.Progress).DecodeAware(c.r, c.revision)
		case proto.ServerCodeProfile:
			err = new(proto.Profile).DecodeAware(c.r, c.revision)
		case proto.ServerCodeTableColumns:
			err = new(proto.TableColumns).DecodeAware(c.r, c.revision)
		default:
			err = fmt.Errorf("the server sends a packet %v", kind)
		}
		if err != nil {
			return false, err
		}
	}
}

// block reads a block, and says how many rows it has.
func (c *conn) block(into proto.Result, compressed bool) (rows int, err error) {
	if _, err := c.r.Str(); err != nil { // the name of a table, for servers
		return 0, err
	}
	if compressed {
		c.r.EnableCompression()
		defer c.r.DisableCompression()
	}
	var b proto.Block
	if err := b.DecodeBlock(c.r, c.revision, into); err != nil {
		return 0, err
	}
	return b.Rows, nil
}
