package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/weirdns/weir/internal/dnstest"
)

// In the sandbox, as another user, everything goes on to work: with folders that
// were not there before, a configuration in /etc itself that is replaced, and
// QUIC both ways, whose sockets want system calls of their own.
func TestServesInTheSandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("builds and runs the binary")
	}
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := dnstest.NewIdentity(t, "127.0.0.1")
	for _, path := range []string{dir, filepath.Dir(id.CertFile)} {
		for p := path; len(p) > len(os.TempDir()); p = filepath.Dir(p) {
			_ = os.Chmod(p, 0o755) // for the other user
		}
	}
	for _, file := range []string{id.CertFile, id.KeyFile, id.CAFile} {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	up := dnstest.NewServer(t, "example.", "www A 192.0.2.1\n*.www A 192.0.2.1\n")
	conf := func(server string) string {
		return fmt.Sprintf(`
state_dir: %[1]s/not/there/state
records: {dir: %[1]s/nor/here/records, transactions: {enabled: true}}
store: {dir: %[1]s/elsewhere/store}
sandbox: {enabled: true, user: "65532"}
admin: {listen: "127.0.0.1:0"}
resolver:
  listen: ["127.0.0.1:0"]
  listen_quic: ["127.0.0.1:0"]
  tls: {cert_file: %[2]s, key_file: %[3]s}
  upstream: {servers: ["%[4]s"], ca_file: %[5]s}
`, dir, id.CertFile, id.KeyFile, server, id.CAFile)
	}
	file, err := os.CreateTemp("/etc", "weir-test-*.yaml")
	if err != nil {
		t.Skip("cannot write to /etc: ", err)
	}
	_ = file.Close()
	t.Cleanup(func() { _ = os.Remove(file.Name()) })
	replace := func(text string) {
		next := file.Name() + ".new"
		if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file.Name()); err != nil {
			t.Fatal(err)
		}
	}
	replace(conf("quic://" + up.ServeQUIC(id)))

	p, line := start(t, exec.Command(bin, "serve", "-c", file.Name()))
	var first struct {
		Listen []string `json:"listen"`
		QUIC   []string `json:"quic"`
	}
	if err := json.Unmarshal([]byte(line), &first); err != nil || len(first.Listen) != 1 || len(first.QUIC) != 1 {
		t.Fatalf("first log line %q, %v", line, err)
	}
	waitLogged(t, p, "sandboxed", func() bool { return strings.Contains(p.log(), `"msg":"sandboxed"`) })
	if r := p.ask("udp", first.Listen[0], "a.www.example.", dns.TypeA); answers(r) != "192.0.2.1" {
		t.Errorf("over UDP, forwarded over QUIC: %s\n%s", r, p.log())
	}
	if got, err := askDoQ(t, id, first.QUIC[0], "b.www.example."); err != nil || answers(got) != "192.0.2.1" {
		t.Errorf("over QUIC: %v, %v\n%s", got, err, p.log())
	}
	replace(conf("h3://" + up.ServeHTTP3(id)))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitLogged(t, p, "a reload of the file that replaced the first", func() bool {
		return strings.Contains(p.log(), `"msg":"reloaded"`) && strings.Contains(p.log(), `"forward":["h3://`)
	})
	if r := p.ask("udp", first.Listen[0], "c.www.example.", dns.TypeA); answers(r) != "192.0.2.1" {
		t.Errorf("forwarded over HTTP/3: %s\n%s", r, p.log())
	}
	p.stop()
	for what, pattern := range map[string]string{
		"records": dir + "/nor/here/records/*", "the database": dir + "/elsewhere/store/*", "state": dir + "/not/there/state/*",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Errorf("no %s in %s\n%s", what, pattern, p.log())
			continue
		}
		if info, err := os.Stat(found[0]); err != nil || info.Sys().(*syscall.Stat_t).Uid != 65532 {
			t.Errorf("%s is not the other user's: %v", found[0], err)
		}
	}
	if log := p.log(); strings.Contains(log, `"level":"error"`) || strings.Contains(log, "not permitted") || strings.Contains(log, "denied") {
		t.Errorf("something was refused:\n%s", log)
	}
}

func waitLogged(t *testing.T, p *process, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s\n%s", what, p.log())
		}
	}
}

// askDoQ asks one question over QUIC.
func askDoQ(t *testing.T, id *dnstest.Identity, addr, name string) (*dns.Msg, error) {
	t.Helper()
	pem, err := os.ReadFile(id.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := quic.DialAddr(ctx, addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"doq"}}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.CloseWithError(0, "") }()
	st, err := c.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_ = st.SetDeadline(time.Now().Add(30 * time.Second))
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Id = 0
	wire, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := st.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
		return nil, err
	}
	_ = st.Close()
	got, err := io.ReadAll(st)
	if err != nil || len(got) < 2 {
		return nil, fmt.Errorf("%d octets: %w", len(got), err)
	}
	r := new(dns.Msg)
	return r, r.Unpack(got[2:])
}
