package clickhouse_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/clickhouse"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(addr string) clickhouse.Config {
	c := clickhouse.DefaultConfig()
	c.Name, c.URL, c.Database, c.BatchInterval, c.BatchRows, c.RetryMax = "test", "tcp://"+addr, "weir", 10*time.Millisecond, 500, 500*time.Millisecond
	return c
}

func sink(t *testing.T, cfg clickhouse.Config) *clickhouse.Sink {
	t.Helper()
	s, err := clickhouse.New(cfg, "sensor-1", privacy.Kept(privacy.DefaultConfig()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRowsAreInsertedOnceOverTheNativeProtocol(t *testing.T) {
	m := newMemory()
	s, addr := listen(t, m)
	s.mute = 3
	p := outlettest.NewProxy(t, "tcp", addr, 4)
	cfg := config(p.Addr())
	cfg.BatchRows = 200
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 4000)
	names := map[string]bool{}
	for _, n := range m.names {
		names[n] = true
	}
	if len(m.names) != 4000 || len(names) != 4000 || len(m.ids) != 4000 || !names[outlettest.Name(7)] || p.Cuts() == 0 {
		t.Errorf("%d rows, %d names, %d identities after %d cuts; want 4000 of each", len(m.names), len(names), len(m.ids), p.Cuts())
	}
	t.Logf("%d cuts, %d inserts", p.Cuts(), len(s.tokens))
}

// What the server will never take goes alone, and what it does not take now waits.
func TestErrorsOfTheServer(t *testing.T) {
	for _, c := range []struct {
		code, times int
		refused     uint64
	}{{241, 2, 0}, {999, 2, 0}, {60, 1, 0}, {469, 1 << 20, 10}} {
		m := newMemory()
		s, addr := listen(t, m)
		s.code, s.refused = c.code, c.times
		cfg := config(addr)

		st := outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
		if st.Dropped["refused"] != c.refused || uint64(len(m.ids)) != 10-c.refused {
			t.Errorf("error %d: %d rows refused and %d there, want %d refused", c.code, st.Dropped["refused"], len(m.ids), c.refused)
		}
		if made := strings.Count(strings.Join(m.statements, "\n"), "_schema`"); c.code == 60 && made < 4 {
			t.Errorf("tables that are gone are not made again: %d statements of versions", made)
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	s, addr := listen(t, newMemory())
	s.password = "kept secret"
	cfg := config(addr)
	cfg.PasswordFile = filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(cfg.PasswordFile, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := outlettest.Try(t, cfg.Config, sink(t, cfg))
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "516") {
		t.Errorf("%v, want the server's 516 and no password", err)
	}
}

// A service that takes everything and answers nothing has nothing.
func TestSilentServerHasNothing(t *testing.T) {
	p := outlettest.NewProxy(t, "tcp", "127.0.0.1:1", 0)
	p.Do(outlettest.Hang)
	cfg := config(p.Addr())
	cfg.Timeout = time.Second
	if err := outlettest.Try(t, cfg.Config, sink(t, cfg)); err == nil {
		t.Error("no error")
	}
}

func TestTheEngineHasEveryRowOnceWithItsColumns(t *testing.T) {
	e := newChdb(t)
	s, addr := listen(t, e)
	s.mute = 5
	p := outlettest.NewProxy(t, "tcp", addr, 15)
	cfg := config(p.Addr())
	cfg.BatchRows = 1000
	begin := time.Now()
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 20000)
	t.Logf("ClickHouse %s: 20,000 rows in %v; %d inserts, of them 5 whose answers were lost, %d cuts", e.must("SELECT version()"), time.Since(begin), len(s.tokens), p.Cuts())
	if len(s.tokens) < 25 {
		t.Errorf("%d inserts, want some that came again", len(s.tokens))
	}
	for query, want := range map[string]string{
		// Without FINAL: nothing that came twice is there even before a merge.
		"SELECT count(), uniqExact(weir_id) FROM weir.weir_dns":                                          "20000\t20000",
		"SELECT count(), countIf(level='high'), any(rules) FROM weir.weir_dns_detections":                "2000\t2000\t['example']",
		"SELECT sum(count), uniqExact(rrname), any(rrtype), any(rdata) FROM weir.weir_dns_pdns":          "20000\t20000\tA\t203.0.113.9",
		"SELECT sum(count) FROM weir.weir_dns_pdns_by_rdata WHERE rdata='203.0.113.9'":                   "20000",
		"SELECT countIf(score IS NULL), countIf(score=0.75), countIf(one_in IS NULL) FROM weir.weir_dns": "18000\t2000\t20000",
		"SELECT DISTINCT client, sensor_id, latency_us, answers.ttl, enforced FROM weir.weir_dns":        "192.0.2.0/24\tsensor-1\t1500\t[60]\tfalse",
		"SELECT min(toUnixTimestamp(time)) FROM weir.weir_dns":                                           fmt.Sprint(outlettest.Begin.Unix()),
		"SELECT min(time_first) = max(time_last) - toIntervalMicrosecond(19) FROM weir.weir_dns_pdns":    "1",
		"SELECT count() FROM weir.weir_dns WHERE qname_rev LIKE 'example.%'":                             "20000",
	} {
		if got := e.must(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	name := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(outlettest.Name(7))
	if got := e.must("SELECT count() FROM weir.weir_dns WHERE qname='" + name + "'"); got != "1" {
		t.Errorf("%s is there %s times", outlettest.Name(7), got)
	}
}

// A table of an earlier weir, which had fewer columns, gets those that are missing;
// another retention takes effect; and tables of a newer weir are left alone.
func TestTheEngineMigrates(t *testing.T) {
	e := newChdb(t)
	_, addr := listen(t, e)
	cfg := config(addr)
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
	for _, statement := range []string{
		"DROP VIEW weir.weir_dns_detections_view SYNC", "ALTER TABLE weir.weir_dns DROP COLUMN list_effects", "ALTER TABLE weir.weir_dns_detections DROP COLUMN list_effects",
		"TRUNCATE TABLE weir.weir_dns_schema", "INSERT INTO weir.weir_dns_schema (layout, columns, retention, detection_retention) VALUES (1, 0, 30, 400)",
	} {
		e.must(statement)
	}
	cfg.Retention, cfg.DetectionRetention = 48*time.Hour, 0
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
	for query, want := range map[string]string{
		"SELECT countIf(list_effects=['monitor']), count() FROM weir.weir_dns_detections":                                                           "1\t2",
		"SELECT create_table_query LIKE '% TTL toDateTime(time) + toIntervalDay(2) %' FROM system.tables WHERE database='weir' AND name='weir_dns'": "1",
		"SELECT create_table_query LIKE '% TTL %' FROM system.tables WHERE database='weir' AND name='weir_dns_detections'":                          "0",
	} {
		if got := e.must(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	e.must("INSERT INTO weir.weir_dns_schema (layout, columns) VALUES (99, 1)")
	if err := outlettest.Try(t, cfg.Config, sink(t, cfg)); err == nil || !strings.Contains(err.Error(), "newer weir") {
		t.Errorf("%v, want that the tables are of a newer weir", err)
	}
}

// The statements for a cluster are at least ones that the engine's parser takes.
func TestTheEngineReadsTheStatementsOfACluster(t *testing.T) {
	e := newChdb(t)
	cfg := config("127.0.0.1:1")
	cfg.Cluster = "main-1"
	for _, statement := range clickhouse.Statements(cfg) {
		text := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(statement)
		got := e.must("SELECT formatQuerySingleLine('" + text + "')")
		if !strings.Contains(got, "ON CLUSTER `main-1`") {
			t.Errorf("not for the cluster: %s", got)
		}
	}
}

func TestTheEngineTakesOddTimesAndText(t *testing.T) {
	e := newChdb(t)
	_, addr := listen(t, e)
	cfg := config(addr)
	cfg.Retention, cfg.DetectionRetention = 0, 0
	row := outlettest.Row(10)
	row.Query.Time, row.Query.Client, row.Upstream, row.Query.Name, row.Response = time.Unix(-1, 0), netip.Addr{}, "\xff\x00", nil, nil
	row.Verdict.Matches[0].Info = "a\x00b\xff{},\"'\n"
	if st := outlettest.DeliverRows(t, cfg.Config, sink(t, cfg), row); st.Sent != 1 {
		t.Errorf("%+v, want one sent", st)
	}
	if got := e.must("SELECT count() FROM weir.weir_dns WHERE client='' AND qname='' AND rcode='' AND empty(answers.rrname) AND list_infos[1] LIKE 'a_b%'"); got != "1" {
		t.Errorf("the row has another client or text: %s", e.must("SELECT * FROM weir.weir_dns FORMAT Vertical"))
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := clickhouse.Config{URL: "http://x", Database: "a`b", Table: "A b", Cluster: "'", Retention: time.Hour, DetectionRetention: -1, TLS: outlet.TLSConfig{CAFile: "x"}}
	err := c.Validate()
	for _, want := range []string{"name: ", "url: ", "database: ", "user: ", "table: ", "cluster: ", "retention: ", "detection_retention: ", "tls: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}
