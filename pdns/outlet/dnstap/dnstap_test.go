package dnstap_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/framestream"
	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/dnstap"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(url string) dnstap.Config {
	c := dnstap.DefaultConfig()
	c.Name, c.URL, c.BatchInterval, c.BatchRows, c.Identity = "test", url, 10*time.Millisecond, 100, "sensor-1"
	return c
}

func sink(t *testing.T, cfg dnstap.Config) *dnstap.Sink {
	t.Helper()
	s, err := dnstap.New(cfg, "weir test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fields are those of a protobuf message, by number.
func fields(t *testing.T, msg []byte) map[protowire.Number]any {
	t.Helper()
	out := map[protowire.Number]any{}
	for len(msg) > 0 {
		n, kind, size := protowire.ConsumeTag(msg)
		if size < 0 {
			t.Fatalf("no protobuf: %x", msg)
		}
		msg = msg[size:]
		switch kind {
		case protowire.VarintType:
			out[n], size = protowire.ConsumeVarint(msg)
		case protowire.Fixed32Type:
			out[n], size = protowire.ConsumeFixed32(msg)
		case protowire.BytesType:
			out[n], size = protowire.ConsumeBytes(msg)
		default:
			t.Fatalf("field %d has type %d", n, kind)
		}
		if size < 0 {
			t.Fatalf("field %d is cut", n)
		}
		msg = msg[size:]
	}
	return out
}

func inner(t *testing.T, of map[protowire.Number]any, n protowire.Number) map[protowire.Number]any {
	t.Helper()
	b, ok := of[n].([]byte)
	if !ok {
		t.Fatalf("no field %d in %v", n, of)
	}
	return fields(t, b)
}

// readStream reads a stream without a handshake to its end, and says whether that
// was one.
func readStream(t *testing.T, r io.Reader) (frames [][]byte, whole bool) {
	t.Helper()
	for started := false; ; {
		n, err := framestream.ReadLength(r)
		if errors.Is(err, io.EOF) {
			return frames, false
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			kind, ours, err := framestream.ReadControl(r, framestream.Dnstap)
			switch {
			case err != nil:
				t.Fatal(err)
			case kind == framestream.Start && ours && !started:
				started = true
			case kind == framestream.Stop && started:
				if rest, _ := io.ReadAll(r); len(rest) > 0 {
					t.Errorf("%d octets behind STOP", len(rest))
				}
				return frames, true
			default:
				t.Fatalf("control frame %d", kind)
			}
			continue
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(r, frame); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

func readFile(t *testing.T, path string) (frames [][]byte, whole bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readStream(t, bufio.NewReader(f))
}

// write brings rows to a file as one batch, and reads them back.
func write(t *testing.T, rows ...*detect.Transaction) []map[protowire.Number]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tap")
	cfg := config("file://" + path)
	s := sink(t, cfg)
	outlettest.DeliverRows(t, cfg.Config, s, rows...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	frames, whole := readFile(t, path)
	if len(frames) != len(rows) || !whole {
		t.Fatalf("%d frames, whole %v; want %d", len(frames), whole, len(rows))
	}
	var out []map[protowire.Number]any
	for _, f := range frames {
		out = append(out, fields(t, f))
	}
	return out
}

func TestResponseHasTheFieldsOfDnstap(t *testing.T) {
	row := outlettest.Row(1)
	row.Query.Transport = detect.DoT
	got := write(t, row)[0]
	var extra struct {
		ID     string   `json:"weir_id"`
		Origin string   `json:"origin"`
		Score  *float64 `json:"score"`
	}
	if err := json.Unmarshal(got[3].([]byte), &extra); err != nil {
		t.Fatal(err)
	}
	if string(got[1].([]byte)) != "sensor-1" || string(got[2].([]byte)) != "weir test" || got[15] != uint64(1) || len(extra.ID) != 32 || extra.Origin != "none" || extra.Score != nil {
		t.Errorf("identity %q, version %q, type %v, extra %+v", got[1], got[2], got[15], extra)
	}
	m := inner(t, got, 14)
	answered := row.Query.Time.Add(row.Latency)
	want := map[protowire.Number]any{
		1: uint64(6), 2: uint64(1), 3: uint64(3), 4: []byte{192, 0, 2, 0}, // the client as privacy has it
		8: uint64(row.Query.Time.Unix()), 9: uint32(row.Query.Time.Nanosecond()),
		12: uint64(answered.Unix()), 13: uint32(answered.Nanosecond()), 14: row.Response,
	}
	if fmt.Sprint(m) != fmt.Sprint(want) {
		t.Errorf("message\n%v, want\n%v", m, want)
	}
}

func TestQueryWithoutAResponseIsOne(t *testing.T) {
	row := outlettest.Row(1)
	row.Response, row.Source, row.Upstream, row.Query.Client = nil, detect.FromNowhere, "", netip.MustParseAddr("2001:db8:1:2::3")
	m := inner(t, write(t, row)[0], 14)
	want := "00000100000100000000000" + "0" + hex.EncodeToString(row.Query.Name) + "00010001"
	if got := hex.EncodeToString(m[10].([]byte)); m[1] != uint64(5) || m[2] != uint64(2) || got != want || m[14] != nil || m[12] != nil {
		t.Errorf("%v, query %s, want a CLIENT_QUERY %s", m, got, want)
	}
	if a, _ := netip.AddrFromSlice(m[4].([]byte)); a != netip.MustParseAddr("2001:db8:1::") {
		t.Errorf("client %v, want its network", a)
	}
}

func TestServerOfACapturedResponse(t *testing.T) {
	row := outlettest.Row(1)
	row.Source, row.Query.Transport, row.Query.Client = detect.FromWire, detect.Pcap, netip.Addr{}
	m := inner(t, write(t, row)[0], 14)
	if fmt.Sprint(m[5], m[7], m[3], m[4], m[2]) != "[192 0 2 53] 53 <nil> <nil> 1" {
		t.Errorf("%v, want the server 192.0.2.53 port 53, and no client", m)
	}
}

func TestPolicyHasTheVerdict(t *testing.T) {
	name := dnsname.MustParse("bad.example")
	list := func(o detect.Origin, k detect.MatchKind, e detect.Effect) detect.Verdict {
		return detect.Verdict{Origin: o, Action: detect.NXDOMAIN, Matches: []detect.Match{{List: "urlhaus", Rule: "example", Kind: k, Effect: e}}}
	}
	enforced := func(v detect.Verdict, a detect.Action) detect.Verdict {
		v.Enforced, v.Action = true, a
		return v
	}
	wire := string(name)
	for _, c := range []struct {
		verdict detect.Verdict
		want    string // type, rule, action, match, value
	}{
		{list(detect.OriginBlockList, detect.MatchName, detect.EffectMonitor), fmt.Sprintf("blocklist:urlhaus example 3 1 %q", wire)},
		{enforced(list(detect.OriginBlockList, detect.MatchTarget, detect.EffectEnforce), detect.NXDOMAIN), fmt.Sprintf("blocklist:urlhaus example 1 1 %q", wire)},
		{enforced(list(detect.OriginBlockList, detect.MatchAddress, detect.EffectEnforce), detect.NODATA), `blocklist:urlhaus example 2 3 ""`},
		{enforced(list(detect.OriginBlockList, detect.MatchClient, detect.EffectEnforce), detect.Drop), `blocklist:urlhaus example 4 2 "\xc0\x00\x02\x00"`},
		{enforced(detect.Verdict{Origin: detect.OriginModel, Level: detect.LevelHigh, Score: 0.9}, detect.Sinkhole), fmt.Sprintf("model level:high 6 1 %q", wire)},
		{enforced(detect.Verdict{Origin: detect.OriginModel, Level: detect.LevelHigh, Score: 0.9}, detect.Truncate), fmt.Sprintf("model level:high 5 1 %q", wire)},
		{enforced(detect.Verdict{Origin: detect.OriginRebinding}, detect.NXDOMAIN), `rebinding  1 3 ""`},
		{detect.Verdict{Origin: detect.OriginLookalike, Action: detect.NXDOMAIN, Lookalike: lookalike.Match{Brand: "paypal", Kind: 1, Grade: 1}}, fmt.Sprintf("lookalike %v:paypal 3 1 %q", lookalike.Kind(1), wire)},
		{list(detect.OriginAllowList, detect.MatchName, detect.EffectPass), fmt.Sprintf("allowlist:urlhaus example 3 1 %q", wire)},
		{detect.Verdict{Origin: detect.OriginModel, Score: 0.1}, "none"},
		{detect.Verdict{Unscored: detect.NotAsked}, "none"},
	} {
		row := outlettest.Row(1)
		row.Query.Name, row.Verdict = name, c.verdict
		m := inner(t, write(t, row)[0], 14)
		got := "none"
		if m[15] != nil {
			p := inner(t, m, 15)
			rule, _ := p[2].([]byte)
			value, _ := p[5].([]byte)
			got = fmt.Sprintf("%s %s %v %v %q", p[1], rule, p[3], p[4], value)
		}
		if got != c.want {
			t.Errorf("%+v: policy %s, want %s", c.verdict, got, c.want)
		}
	}
}

// receiver takes streams as fstrm_capture does.
type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	frames [][]byte
	wg     sync.WaitGroup
}

func (r *receiver) listen(network, addr string) string {
	l, err := net.Listen(network, addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close(); r.wg.Wait() })
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(c) })
		}
	})
	return l.Addr().String()
}

func (r *receiver) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		n, err := framestream.ReadLength(in)
		if err != nil {
			return
		}
		if n > 0 {
			frame := make([]byte, n)
			if _, err := io.ReadFull(in, frame); err != nil {
				return
			}
			r.mu.Lock()
			r.frames = append(r.frames, frame)
			r.mu.Unlock()
			continue
		}
		kind, _, err := framestream.ReadControl(in, framestream.Dnstap)
		switch {
		case err != nil:
			return
		case kind == framestream.Ready:
			_, _ = c.Write(framestream.AppendControl(nil, framestream.Accept, framestream.Dnstap))
		case kind == framestream.Stop:
			_, _ = c.Write(framestream.AppendControl(nil, framestream.Finish, ""))
			return
		}
	}
}

// names are the different queries that arrived.
func (r *receiver) names() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return namesOf(r.t, r.frames)
}

func namesOf(t *testing.T, frames [][]byte) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, f := range frames {
		response := inner(t, fields(t, f), 14)[14].([]byte)
		n := response[12 : 12+strings.IndexByte(string(response[12:]), 0)]
		out[string(n)]++
	}
	return out
}

func TestEveryRowArrivesOverStreams(t *testing.T) {
	for _, way := range []struct {
		network string
		cuts    int
	}{{"unix", 0}, {"tcp", 0}, {"tcp", 4}} {
		r := &receiver{t: t}
		addr := r.listen(way.network, map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0"}[way.network])
		cfg := config(way.network + "://" + addr)
		var p *outlettest.Proxy
		if way.cuts > 0 {
			p = outlettest.NewProxy(t, "tcp", addr, way.cuts)
			cfg.URL = "tcp://" + p.Addr()
		}
		outlettest.Deliver(t, cfg.Config, sink(t, cfg), 1500)
		if got := r.names(); len(got) != 1500 || p == nil && len(r.frames) != 1500 || p != nil && p.Cuts() == 0 {
			t.Errorf("%+v: %d frames, %d rows, want 1500", way, len(r.frames), len(got))
		}
	}
}

// A service that takes everything and is no receiver of dnstap gets nothing.
func TestReceiverThatDoesNotAnswerHasNothing(t *testing.T) {
	p := outlettest.NewProxy(t, "tcp", "127.0.0.1:1", 0)
	p.Do(outlettest.Hang)
	cfg := config("tcp://" + p.Addr())
	cfg.Timeout = time.Second
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure is counted")
		}
	}
	if s := o.Stats(); s.Sent != 0 {
		t.Errorf("%+v, want nothing sent", s)
	}
}

func TestFilesFollowEachOtherAndTheOldestGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	cfg := config("file://" + path)
	cfg.FileBytes, cfg.Files = 64<<10, 3
	s := sink(t, cfg)
	o := outlettest.Start(t, cfg.Config, s, 2000)
	outlettest.Wait(t, o, 2000)
	names := map[string]int{}
	for _, one := range []string{path + ".1", path + ".2"} {
		frames, whole := readFile(t, one)
		if info, err := os.Stat(one); err != nil || info.Size() < 64<<10 || info.Size() > 128<<10 || !whole {
			t.Errorf("%s: %v octets, whole %v, %v", one, info.Size(), whole, err)
		}
		for n, c := range namesOf(t, frames) {
			names[n] += c
		}
	}
	for n, c := range names {
		if c != 1 {
			t.Errorf("%q is there %d times", n, c)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a fourth file is kept")
	}
}

// A file ends when it is old, and goes when it is too old, also while nothing comes.
func TestOldFilesGoWithoutTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	cfg := config("file://" + path)
	cfg.MaxAge = time.Hour
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{path + ".1", path + ".3", path + ".other"} {
		if err := errors.Join(os.WriteFile(name, []byte("x"), 0o600), os.Chtimes(name, long, long)); err != nil {
			t.Fatal(err)
		}
	}
	s := sink(t, cfg)
	outlettest.Start(t, cfg.Config, s, 0)
	for deadline := time.Now().Add(outlettest.Limit); ; time.Sleep(time.Millisecond) {
		_, first := os.Stat(path + ".1")
		_, third := os.Stat(path + ".3")
		if errors.Is(first, os.ErrNotExist) && errors.Is(third, os.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v: old files are kept", first, third)
		}
	}
	if _, err := os.Stat(path + ".other"); err != nil {
		t.Errorf("a file of somebody else: %v", err)
	}

	other := filepath.Join(t.TempDir(), "tap")
	cfg = config("file://" + other)
	s = sink(t, cfg)
	outlettest.Deliver(t, cfg.Config, s, 3)
	if err := s.TendAt(time.Now().Add(cfg.MaxAge / 9)); err != nil {
		t.Fatal(err)
	}
	if frames, whole := readFile(t, other); len(frames) != 3 || !whole {
		t.Errorf("%d frames, whole %v: the file has not ended", len(frames), whole)
	}
}

// What a process that was killed left is kept as it is, beside the new one.
func TestTornFileOfAnEarlierProcessStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	torn := binary.BigEndian.AppendUint32(framestream.AppendControl(nil, framestream.Start, framestream.Dnstap), 100)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config("file://" + path)
	s := sink(t, cfg)
	outlettest.Deliver(t, cfg.Config, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if frames, whole := readFile(t, path); len(frames) != 1 || !whole {
		t.Errorf("%d frames, whole %v; want one", len(frames), whole)
	}
	if old, err := os.ReadFile(path + ".1"); err != nil || string(old) != string(torn) {
		t.Errorf("the old file is %x, %v", old, err)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := dnstap.Config{URL: "udp://x:1", Identity: strings.Repeat("x", 300), TLS: outlet.TLSConfig{CAFile: "x"}}
	err := c.Validate()
	for _, want := range []string{"name: ", "url: ", "identity: ", "file_bytes: ", "files: ", "max_age: ", "tls: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}
