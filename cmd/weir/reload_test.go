package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// reload sends SIGHUP and waits until the log has one line more with msg.
func (p *process) reload(msg string) {
	p.t.Helper()
	before := strings.Count(p.log(), `"msg":"`+msg)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); strings.Count(p.log(), `"msg":"`+msg) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("no %q in the log after SIGHUP\n%s", msg, p.log())
		}
	}
}

// load is a stream of queries by several clients: each name twice, for a miss
// and a hit.
type load struct {
	stop        chan struct{}
	clients     sync.WaitGroup
	asked, lost atomic.Int64
}

func startLoad(addr string) *load {
	l := &load{stop: make(chan struct{})}
	for i := range 3 {
		l.clients.Go(func() {
			c := dns.Client{Timeout: 20 * time.Second}
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				m := new(dns.Msg)
				m.SetQuestion(fmt.Sprintf("n%d-%d.example.com.", i, n/2), dns.TypeA)
				r, _, err := c.Exchange(m, addr)
				l.asked.Add(1)
				if err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
					l.lost.Add(1)
				}
			}
		})
	}
	return l
}

// end stops the clients and says what they lost.
func (l *load) end(t *testing.T, p *process) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	if l.lost.Load() != 0 || l.asked.Load() < 100 {
		t.Errorf("%d of %d queries lost during reloads, want none of at least 100\n%s", l.lost.Load(), l.asked.Load(), p.log())
	}
}

// Reloads, good and bad, while clients ask: not one query is lost, a good one
// takes effect at once, and after a bad one everything is as it was.
func TestReloadLosesNoQuery(t *testing.T) {
	zone := "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\nwww A 192.0.2.%d\nfresh 0 A 192.0.2.%d\n* A 192.0.2.9\n"
	one := dnstest.NewServer(t, "example.com", fmt.Sprintf(zone, 1, 1))
	two := dnstest.NewServer(t, "example.com", fmt.Sprintf(zone, 2, 2))
	dir := t.TempDir()
	conf := filepath.Join(dir, "weir.yaml")
	write := func(up *dnstest.Server, lists string) {
		t.Helper()
		// Renamed into place, as editors and configuration managers do: weir
		// must never see half of a file.
		tmp := writeFile(t, conf+".tmp", fmt.Sprintf("resolver:\n  upstream: {servers: [%q]}\n%s", up.Addr(), lists))
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	write(one, "")
	p := startWeir(t, "-c", conf, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", dir)
	addr := p.listen[0]

	clients := startLoad(addr)
	const rounds = 5
	for range rounds {
		write(one, "lists:\n  - {name: l, action: nxdomain, inline: [www.example.com]}\n")
		p.reload("reloaded")
		if r := p.ask("udp", addr, "www.example.com.", dns.TypeA); r.Rcode != dns.RcodeNameError {
			t.Errorf("a new list: %v, want NXDOMAIN at once", r)
		}
		for _, bad := range []string{"lists:\n  - {name: l, inline: [x.example], mode: maybe}\n", "lists:\n  - {name: l, file: /nonexistent/list}\n", "nonsense: 1\n", "detect: {model: {path: /nonexistent}}\n"} {
			write(one, bad)
			p.reload("reload rejected")
			for _, cmd := range [][]string{{"status"}, {"lists", "status"}} {
				if out, _ := weir(t, exitOK, append(cmd, "--state", dir)...); !strings.Contains(out, "the last reload was refused at ") || !strings.Contains(out, "\n  "+conf+":") {
					t.Errorf("after the bad reload %q weir %s says\n%s", bad, strings.Join(cmd, " "), out)
				}
			}
			if r := p.ask("udp", addr, "www.example.com.", dns.TypeA); r.Rcode != dns.RcodeNameError {
				t.Errorf("after the bad reload %q: %v, want the old list to serve", bad, r)
			}
		}
		write(two, "")
		p.reload("reloaded")
		if out, _ := weir(t, exitOK, "status", "--state", dir); strings.Contains(out, "refused") {
			t.Errorf("after a good reload weir status says\n%s", out)
		}
		if r := p.ask("udp", addr, "fresh.example.com.", dns.TypeA); answers(r) != "192.0.2.2" {
			t.Errorf("a new upstream: %v, want its answer", r)
		}
	}
	clients.end(t, p)
	text := p.scrape()
	for series, want := range map[string]int{
		`weir_config_reload_total{result="success"}`:  2 * rounds,
		`weir_config_reload_total{result="rejected"}`: 4 * rounds,
		`weir_panics_recovered_total`:                 0,
	} {
		if got := metric(text, series); got != fmt.Sprint(want) {
			t.Errorf("%s = %s, want %d", series, got, want)
		}
	}
	if !strings.Contains(text, fmt.Sprintf("weir_upstream_up{upstream=%q} 1", two.Addr())) || strings.Contains(text, one.Addr()) {
		t.Error("the metrics are not those of the upstream in use")
	}
	p.stop()
}

// copyModel copies the built-in model's folder with another version.
func copyModel(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../detect/model")); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "manifest.json")
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	m["version"] = version
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	writeFile(t, manifest, string(data))
	return dir
}

// Models come and go, in use and on trial, and broken ones are refused, while
// clients ask: not one query is lost.
func TestASwapOfModelsLosesNoQuery(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.9\n")
	one, two, broken := copyModel(t, "one"), copyModel(t, "two"), copyModel(t, "broken")
	if err := os.Truncate(filepath.Join(broken, "model.txt"), 10_000); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "weir.yaml")
	write := func(model string) {
		t.Helper()
		tmp := writeFile(t, conf+".tmp", fmt.Sprintf("resolver:\n  upstream: {servers: [%q]}\ndetect:\n  model: %s\n", up.Addr(), model))
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	write("{}")
	p := startWeir(t, "-c", conf, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", dir)
	clients := startLoad(p.listen[0])
	info := func(role, version string) {
		t.Helper()
		text := p.scrape()
		n := 0
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "weir_model_info{") && strings.Contains(line, fmt.Sprintf("role=%q", role)) {
				n++
				if !strings.Contains(line, fmt.Sprintf("version=%q", version)) {
					t.Errorf("the %s model is %s, want version %s", role, strings.TrimSpace(line), version)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d %s models, want 1", n, role)
		}
	}
	const rounds = 4
	for range rounds {
		write(fmt.Sprintf("{path: %q, shadow_path: %q}", one, two))
		p.reload("reloaded")
		info("live", "one")
		info("shadow", "two")
		for _, bad := range []string{"{path: %q}", "{shadow_path: %q}"} {
			write(fmt.Sprintf(bad, broken))
			p.reload("reload rejected")
			info("live", "one")
			info("shadow", "two")
		}
		write(fmt.Sprintf("{path: %q, shadow_path: %q}", two, one))
		p.reload("reloaded")
		info("live", "two")
		info("shadow", "one")
	}
	clients.end(t, p)
	text := p.scrape()
	for series, want := range map[string]int{
		`weir_config_reload_total{result="success"}`:  2 * rounds,
		`weir_config_reload_total{result="rejected"}`: 2 * rounds,
		`weir_detect_failures_total`:                  0,
		`weir_shadow_failures_total`:                  0,
	} {
		if got := metric(text, series); got != fmt.Sprint(want) {
			t.Errorf("%s = %s, want %d", series, got, want)
		}
	}
	if got := metric(text, `weir_shadow_names_total{level="none",shadow_level="none"}`); got == "" || got == "0" {
		t.Errorf("%q names compared with the model on trial, want some", got)
	}
	p.stop()
}

func TestOneWeirAStateFolder(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n")
	state := t.TempDir()
	first := startWeir(t, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "", "--state", state)
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "serve", "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "", "--state", state).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(string(out), "another weir is using it") {
		t.Errorf("the second weir: %v, %s; want it to refuse the folder", err, out)
	}
	first.stop()
	startWeir(t, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "", "--state", state).stop()
}

// A certificate that cannot be shown rejects all of a reload, lists too; and who
// takes TLS out of the file, which is for the next start, gets the rest at once.
func TestReloadWithTLSIsAllOrNothing(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.9\n")
	id := dnstest.NewIdentity(t, "127.0.0.1")
	dir := t.TempDir()
	conf := filepath.Join(dir, "weir.yaml")
	write := func(tls, listed string) {
		t.Helper()
		tmp := writeFile(t, conf+".tmp", fmt.Sprintf(
			"resolver:\n  upstream: {servers: [%q]}\n%slists:\n  - {name: l, action: nxdomain, inline: [%s.example.com]}\n", up.Addr(), tls, listed))
		if err := os.Rename(tmp, conf); err != nil {
			t.Fatal(err)
		}
	}
	with := func(key string) string {
		return fmt.Sprintf("  listen_tls: [127.0.0.1:0]\n  tls: {cert_file: %q, key_file: %q}\n", id.CertFile, key)
	}
	write(with(id.KeyFile), "one")
	p := startWeir(t, "-c", conf, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", dir)
	blocked := func(name string) bool {
		return p.ask("udp", p.listen[0], name+".example.com.", dns.TypeA).Rcode == dns.RcodeNameError
	}
	if out, _ := weir(t, exitOK, "status", "--state", dir); !strings.Contains(out, "tls       127.0.0.1:") {
		t.Errorf("status does not show the encrypted listener:\n%s", out)
	}
	write(with(filepath.Join(dir, "nokey.pem")), "two")
	p.reload("reload rejected")
	if !blocked("one") || blocked("two") {
		t.Errorf("after a rejected reload: one blocked %t, two blocked %t, want the old list alone", blocked("one"), blocked("two"))
	}
	write("", "three")
	p.reload("reloaded")
	if blocked("one") || !blocked("three") {
		t.Errorf("without TLS in the file: one blocked %t, three blocked %t, want the new list alone", blocked("one"), blocked("three"))
	}
	p.stop()
}
