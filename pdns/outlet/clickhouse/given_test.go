package clickhouse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet/clickhouse"
)

// simple is a table of types that every server has had.
const simple = `CREATE TABLE weir.weir_dns (weir_id String, time DateTime, client String, qname String, registered_domain String, qtype String,
	rcode String, latency_us Int64, enforced UInt8, score Nullable(Float64), level String, lists Array(String),
	"answers.rrname" Array(String), "answers.rrtype" Array(String), "answers.ttl" Array(UInt32), "answers.rdata" Array(String), note String DEFAULT 'x')
	ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(time) ORDER BY (registered_domain, time, weir_id)`

func given(cfg clickhouse.Config) clickhouse.Config {
	cfg.ManageTables = false
	return cfg
}

// what a table with these columns has of 2,000 rows.
var ofSimple = map[string]string{
	"SELECT count(), uniqExact(weir_id), uniqExact(qname) FROM weir.weir_dns FINAL":                                                   "2000\t2000\t2000",
	"SELECT count() FROM weir.weir_dns FINAL WHERE level = 'high' AND score = 0.75 AND lists = ['urlhaus']":                           "200",
	"SELECT count() FROM weir.weir_dns FINAL WHERE score IS NULL AND enforced = 0 AND note = 'x' AND latency_us = 1500":               "1800",
	"SELECT count() FROM weir.weir_dns FINAL WHERE answers.rdata = ['203.0.113.9'] AND answers.rrtype = ['A'] AND answers.ttl = [60]": "2000",
	"SELECT DISTINCT client, toUnixTimestamp(time) FROM weir.weir_dns":                                                                fmt.Sprintf("192.0.2.0/24\t%d", outlettest.Begin.Unix()),
}

func TestTheEngineTakesRowsIntoATableThatIsThere(t *testing.T) {
	e := newChdb(t)
	s, addr := listen(t, e)
	s.mute = 2
	cfg := given(config(addr))
	for table, want := range map[string]string{"none": "there is no table", "odd": "column qname is Int8, and weir writes String"} {
		if table == "odd" {
			e.must(strings.NewReplacer("weir_dns", "odd", "qname String", "qname Int8").Replace(simple))
		}
		other := cfg
		other.Table = table
		if err := outlettest.Try(t, other.Config, sink(t, other)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", table, err, want)
		}
	}
	e.must(simple)
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 2000)
	for query, want := range ofSimple {
		if got := e.must(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := e.must("SELECT count() FROM system.tables WHERE database = 'weir'"); got != "2" {
		t.Errorf("%s tables, want no other than those that were made here", got)
	}
}

// web asks a whole server over HTTP.
type web struct {
	t   *testing.T
	url string
}

func (w web) ask(statement string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(w.url, "text/plain", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", resp.Status, text))
	}
	return strings.TrimSpace(string(text)), err
}

func (w web) must(statement string) string {
	w.t.Helper()
	text, err := w.ask(statement)
	if err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
	return text
}

// newServer connects to a whole server: testdata/integration/clickhouse-server.sh
// starts Debian's.
func newServer(t *testing.T) (w web, native string) {
	t.Helper()
	native, url, ok := strings.Cut(os.Getenv("WEIR_CLICKHOUSE"), ",")
	if !ok {
		t.Skip("no ClickHouse: set WEIR_CLICKHOUSE to HOST:PORT,URL (native and HTTP), or run testdata/integration/clickhouse-server.sh")
	}
	w = web{t, url}
	w.must("DROP DATABASE IF EXISTS weir")
	w.must("CREATE DATABASE weir")
	w.must(simple)
	return w, native
}

// A whole server takes rows over its own native protocol, through connections that
// are cut: each is there once.
func TestWholeServer(t *testing.T) {
	w, native := newServer(t)
	p := outlettest.NewProxy(t, "tcp", native, 10)
	cfg := given(config(p.Addr()))
	cfg.BatchRows = 100
	begin := time.Now()
	st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 2000)
	t.Logf("ClickHouse %s: 2,000 rows in %v, %d cuts, %d tries failed; %s rows before they are merged", w.must("SELECT version()"), time.Since(begin), p.Cuts(), st.Failed,
		w.must("SELECT count() FROM weir.weir_dns"))
	for query, want := range ofSimple {
		if got := w.must(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	name := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(outlettest.Name(7))
	if got := w.must("SELECT count() FROM weir.weir_dns FINAL WHERE qname='" + name + "'"); got != "1" {
		t.Errorf("%s is there %s times", outlettest.Name(7), got)
	}

	// Its own tables weir can make on servers of the last years alone, and says so.
	cfg = config(native)
	cfg.Table = "made"
	err := outlettest.Try(t, cfg.Config, sink(t, cfg))
	if old := strings.HasPrefix(w.must("SELECT version()"), "18."); old != (err != nil && strings.Contains(err.Error(), "manage_tables: false")) {
		t.Errorf("with tables of weir's own: %v", err)
	}
}

// Whatever happens to a whole server, every row arrives.
func TestFaultsOfAWholeServer(t *testing.T) {
	w, native := newServer(t)
	p := outlettest.NewProxy(t, "tcp", native, 0)
	cfg := given(config(p.Addr()))
	cfg.BatchRows = 1000
	const hidden = "RENAME TABLE weir.weir_dns TO weir.away"
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "ClickHouse " + w.must("SELECT version()"), Proxy: p,
		Fail: func(on bool) { // 60, UNKNOWN_TABLE
			if on {
				w.must(hidden)
			} else {
				w.must("RENAME TABLE weir.away TO weir.weir_dns")
			}
		},
		Arrived: func() (map[string]string, int) {
			names, rows := map[string]string{}, 0
			for _, line := range strings.Split(w.must("SELECT qname, weir_id FROM weir.weir_dns FORMAT TSVRaw"), "\n") {
				name, id, _ := strings.Cut(line, "\t")
				names[name] = id
				rows++
			}
			return names, rows
		},
	})
}
