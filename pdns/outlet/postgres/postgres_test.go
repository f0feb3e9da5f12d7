package postgres_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/postgres"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(address string) postgres.Config {
	c := postgres.DefaultConfig()
	c.Name, c.Address, c.BatchInterval, c.BatchRows = "test", address, 10*time.Millisecond, 500
	return c
}

func sink(t *testing.T, cfg postgres.Config) *postgres.Sink {
	t.Helper()
	s, err := postgres.New(cfg, "sensor-1", privacy.Kept(privacy.DefaultConfig()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// server is a PostgreSQL of the test's own, in a folder of its own.
type server struct {
	t       *testing.T
	bin     string
	data    string
	port    int
	cmd     *exec.Cmd
	run     *syscall.SysProcAttr
	passwd  string
	version string
}

// newServer starts one; testdata/integration/postgres.sh says where it is.
func newServer(t *testing.T) *server {
	t.Helper()
	bin := os.Getenv("WEIR_POSTGRES_BIN")
	if bin == "" {
		t.Skip("no PostgreSQL: set WEIR_POSTGRES_BIN to the folder of its programs, or run testdata/integration/postgres.sh")
	}
	dir := t.TempDir()
	s := &server{t: t, bin: bin, data: filepath.Join(dir, "data"), port: freePort(t), passwd: filepath.Join(dir, "password")}
	if err := os.WriteFile(s.passwd, []byte("kept secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // the server refuses to be root
		const nobody = 65534
		s.run = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	s.command("initdb", "-D", s.data, "-U", "weir", "--pwfile", s.passwd, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--no-locale")
	s.start()
	t.Cleanup(s.stop)
	conn := s.connect("postgres")
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE weir"); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(t.Context(), "SHOW server_version").Scan(&s.version); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) command(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.SysProcAttr = s.run
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+filepath.Dir(s.data), "-c", "log_min_messages=fatal", "-c", "shared_buffers=32MB")
	s.cmd.SysProcAttr = s.run
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(outlettest.Limit); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(s.t.Context(), s.dsn("postgres"))
		if err == nil {
			_ = conn.Close(s.t.Context())
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

// stop is a fast shutdown: sessions are ended.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	_ = s.cmd.Wait()
}

// crash is what a power cut does, as far as a process can.
func (s *server) crash() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait()
}

func (s *server) dsn(database string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=weir password='kept secret' dbname=%s sslmode=disable", s.port, database)
}

func (s *server) connect(database string) *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.dsn(database))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// one is the only value that a query has.
func one[T any](s *server, query string, args ...any) (v T) {
	s.t.Helper()
	conn := s.connect("weir")
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(s.t.Context(), query, args...).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return v
}

func (s *server) config() postgres.Config {
	c := config(s.addr())
	c.PasswordFile = s.passwd
	return c
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestEveryRowIsThereOnceWithItsColumns(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	cfg.BatchRows = 5000
	begin := time.Now()
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 20000)
	t.Logf("PostgreSQL %s: 20,000 rows in %v", s.version, time.Since(begin))
	for query, want := range map[string]int{
		"SELECT count(*) FROM weir_dns":                                                                                         20000,
		"SELECT count(DISTINCT weir_id) FROM weir_dns":                                                                          20000,
		"SELECT count(*) FROM weir_dns_detections":                                                                              2000,
		"SELECT count(*) FROM weir_dns WHERE score IS NOT NULL":                                                                 2000,
		"SELECT count(*) FROM weir_dns_answers WHERE rrtype='A' AND rdata='203.0.113.9' AND ttl=60":                             20000,
		"SELECT count(*) FROM weir_dns WHERE client='192.0.2.0/24' AND sensor_id='sensor-1' AND latency_us=1500 AND lists='{}'": 18000,
		"SELECT count(*) FROM weir_dns WHERE lists='{urlhaus}' AND rules='{example}' AND level='high' AND score=0.75":           2000,
		fmt.Sprintf("SELECT count(*) FROM weir_dns_%s", outlettest.Begin.Format("20060102")):                                    20000,
		"SELECT max(columns) FROM weir_dns_schema":                                                                              1,
	} {
		if got := one[int](s, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if got := one[string](s, "SELECT qname FROM weir_dns WHERE qname LIKE 'n7.%'"); got != outlettest.Name(7) {
		t.Errorf("qname %s, want %s", got, outlettest.Name(7))
	}
	if got := one[time.Time](s, `SELECT min("time") FROM weir_dns`); !got.Equal(outlettest.Begin) {
		t.Errorf("time %v, want %v", got, outlettest.Begin)
	}
}

// Connections that are cut, in the middle of COPY and of COMMIT, a server that
// crashes, and a second start of weir: no row is lost, and none is there twice.
func TestCutsAndCrashesCostNothing(t *testing.T) {
	s := newServer(t)
	p := outlettest.NewProxy(t, "tcp", s.addr(), 25)
	cfg := s.config()
	cfg.Address = p.Addr()
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 20000)
	for o.Stats().Sent < 5000 {
		time.Sleep(time.Millisecond)
	}
	s.crash()
	s.start()
	outlettest.Wait(t, o, 20000)
	if got := one[int](s, "SELECT count(*) FROM weir_dns"); got != 20000 || p.Cuts() == 0 {
		t.Errorf("%d rows after %d cuts and a crash, want 20000 after some", got, p.Cuts())
	}
	t.Logf("%d cuts, %d tries failed", p.Cuts(), o.Stats().Failed)
}

func TestOldPartitionsGoAndOldRowsAreRefused(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	cfg.Retention = 48 * time.Hour
	forever := cfg
	forever.Retention = 0
	var rows []*detect.Transaction
	for i := range 10 { // of ten days
		r := outlettest.Row(i)
		r.Query.Time = r.Query.Time.AddDate(0, 0, -i)
		rows = append(rows, r)
	}
	partitions := "SELECT count(*) FROM pg_inherits WHERE inhparent='weir_dns'::regclass"
	outlettest.DeliverRows(t, forever.Config, sink(t, forever), rows...)
	if got := one[int](s, partitions); got != 10 {
		t.Fatalf("%d partitions, want 10", got)
	}
	future := outlettest.Row(11)
	future.Query.Time = future.Query.Time.AddDate(1, 0, 0)
	st := outlettest.DeliverRows(t, cfg.Config, sink(t, cfg), append(rows, future)...)
	if got := one[int](s, partitions); got != 3 || st.Dropped["refused"] != 8 {
		t.Errorf("%d partitions and %d rows refused, want 3 and 8", got, st.Dropped["refused"])
	}
}

// A table of an earlier weir, which had fewer columns, gets those that are missing.
func TestTableOfAnEarlierWeirIsCompleted(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
	conn := s.connect("weir")
	for _, statement := range []string{
		"DROP VIEW weir_dns_detections, weir_dns_answers", "ALTER TABLE weir_dns DROP COLUMN list_effects", "UPDATE weir_dns_schema SET columns=0",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	outlettest.Deliver(t, cfg.Config, sink(t, cfg), 10)
	if got := one[int](s, "SELECT count(*) FROM weir_dns_detections WHERE list_effects='{monitor}'"); got != 1 {
		t.Errorf("%d detections with the new column, want 1", got)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE weir_dns_schema SET layout=99"); err != nil {
		t.Fatal(err)
	}
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("tables of a newer weir are written to")
		}
	}
}

func TestOddTimesAndTextAreTaken(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	cfg.Retention = 0
	row := outlettest.Row(10)
	row.Query.Time, row.Query.Client, row.Upstream = time.Unix(-1, 0), netip.Addr{}, "\xff\x00"
	row.Verdict.Matches[0].Info = "a\x00b\xff{},\"'\n"
	if st := outlettest.DeliverRows(t, cfg.Config, sink(t, cfg), row); st.Sent != 1 {
		t.Errorf("%+v, want one sent", st)
	}
	if got := one[bool](s, "SELECT client IS NULL AND list_infos[1] LIKE 'a_b%' FROM weir_dns"); !got {
		t.Error("the row has another client or text")
	}
}

// A wrong password is an error that says so without it, and is tried again.
func TestErrorsHoldNoSecret(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	cfg.PasswordFile = filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(cfg.PasswordFile, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := outlettest.Try(t, cfg.Config, sink(t, cfg))
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("%v, want the server's 28P01 and no password", err)
	}
}

// A server that is not there yet costs nothing but time.
func TestRowsWaitForAServer(t *testing.T) {
	cfg := config("127.0.0.1:1")
	o := outlettest.Start(t, cfg.Config, sink(t, cfg), 10)
	for deadline := time.Now().Add(outlettest.Limit); o.Stats().Failed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure is counted")
		}
	}
	if s := o.Stats(); !s.Failing || s.Sent != 0 {
		t.Errorf("%+v, want a failing outlet", s)
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := postgres.Config{Address: "x", Table: "A b", Retention: time.Hour, TLS: outlet.TLSConfig{CAFile: "x"}}
	err := c.Validate()
	for _, want := range []string{"name: ", "address: ", "database: ", "user: ", "table: ", "retention: ", "tls: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	c = config("/run/postgresql")
	if c.UseTLS = true; c.Validate() == nil {
		t.Error("TLS over a socket of the machine is taken")
	}
}
