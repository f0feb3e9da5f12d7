package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/replay"
)

// hexName is one of many names that say 20 octets each.
func hexName(i int) string { return fmt.Sprintf("%040x", uint64(i+1)*0x9e3779b97f4a7c15) }

type findingLine struct {
	Kind, Level, Client, Name string
	Evidence                  map[string]string
}

// What behaves like a tunnel is told in the file, in metrics, and where a reload
// mutes it no more.
func TestFindingsOfARunningWeir(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n* A 192.0.2.1\n")
	state := t.TempDir()
	conf := filepath.Join(t.TempDir(), "weir.yaml")
	const text = "state_dir: %s\ndetect:\n  behaviour:\n    repeat: 1m\n    tunnels: {hour: 200}\n    mute:\n%s"
	writeFile(t, conf, fmt.Sprintf(text, state, "      - {kind: tunnel, name: example.com, reason: on trial, until: 2999-01-01}\n"))
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	n := 0
	flood := func(series string) {
		t.Helper()
		untilTrue(t, series, func() bool {
			for range 20 {
				p.ask("udp", p.listen[0], hexName(n)[:30]+".example.com.", dns.TypeA)
				n++
			}
			return metric(p.scrape(), series) != "0"
		})
	}
	flood(`weir_findings_muted_total{kind="tunnel"}`)
	if got := metric(p.scrape(), `weir_findings_total{kind="tunnel",level="low"}`); got != "0" {
		t.Errorf("%s muted findings were told", got)
	}
	writeFile(t, conf, fmt.Sprintf(text, state, "      []\n"))
	p.reload("reloaded")
	untilTrue(t, "a finding", func() bool {
		for range 20 {
			p.ask("udp", p.listen[0], hexName(n)[:30]+".other.com.", dns.TypeA)
			n++
		}
		return metric(p.scrape(), `weir_findings_total{kind="tunnel",level="high"}`) != "0"
	})
	p.stop()
	lines := jsonLines[findingLine](t, filepath.Join(state, "records", "findings*.jsonl"))
	if len(lines) == 0 || lines[0].Kind != "tunnel" || lines[0].Client != "127.0.0.0/24" || lines[0].Evidence["octets_hour"] == "" {
		t.Errorf("findings %+v", lines)
	}
	for _, l := range lines {
		if l.Name == "example.com" && l.Level == "low" {
			t.Errorf("a muted finding was written: %+v", l)
		}
	}
}

// A tunnel that is enforced gets no answers any more, its client alone, until a
// reload mutes the finding; the records and the metrics say so.
func TestATunnelIsBlockedWhereThatIsWanted(t *testing.T) {
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n* A 192.0.2.1\n")
	state := t.TempDir()
	conf := filepath.Join(t.TempDir(), "weir.yaml")
	const text = "state_dir: %s\nrecords: {transactions: {enabled: true}}\ndetect:\n  block: {action: nxdomain}\n  behaviour:\n    tunnels: {mode: enforce, hour: 200}\n    mute:\n%s"
	writeFile(t, conf, fmt.Sprintf(text, state, "      []\n"))
	p := startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	n := 0
	ask := func(domain string) *dns.Msg {
		n++
		return p.ask("udp", p.listen[0], hexName(n)[:30]+"."+domain+".", dns.TypeA)
	}
	untilTrue(t, "a block", func() bool { return ask("example.com").Rcode == dns.RcodeNameError })
	for _, series := range []string{`weir_suspect_domains{kind="tunnel",mode="enforce"}`, `weir_verdicts_total{action="nxdomain",mode="enforce",origin="behaviour"}`} {
		if got := metric(p.scrape(), series); got == "0" || got == "" {
			t.Errorf("%s: %q", series, got)
		}
	}
	listed := func(say string) {
		t.Helper()
		if out, _ := weir(t, exitOK, "suspects", "--state", state); !strings.Contains(out, "example.com  tunnel") || !strings.Contains(out, "enforce") {
			t.Errorf("%s, weir suspects says\n%s", say, out)
		}
	}
	listed("at first")
	p.stop()
	serve := func() *process {
		return startWeir(t, "-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	}
	p = serve()
	listed("after a restart")
	if got := ask("example.com"); got.Rcode != dns.RcodeNameError {
		t.Errorf("after a restart the tunnel goes on: %s", dns.RcodeToString[got.Rcode])
	}
	p.stop()
	// Before a start as before a reload: what is not to be blocked any longer is not.
	writeFile(t, conf, strings.Replace(fmt.Sprintf(text, state, "      []\n"), "mode: enforce", "mode: monitor", 1))
	p = serve()
	if got := ask("example.com"); got.Rcode != dns.RcodeSuccess {
		t.Errorf("only watched since the restart, and still %s", dns.RcodeToString[got.Rcode])
	}
	p.stop()
	// A file that cannot be used is put aside, said, and stops nothing.
	saved := filepath.Join(state, suspectFileName)
	writeFile(t, saved, "{")
	writeFile(t, conf, fmt.Sprintf(text, state, "      []\n"))
	p = serve()
	untilTrue(t, "a word about the file", func() bool { return strings.Contains(p.log(), "bad state of suspects") })
	if data, err := os.ReadFile(saved + ".bad"); err != nil || string(data) != "{" {
		t.Errorf("put aside: %q, %v", data, err)
	}
	if out, _ := weir(t, exitOK, "suspects", "--state", state, "--json"); out != "[]\n" {
		t.Errorf("with a bad file, weir suspects says %s", out)
	}
	untilTrue(t, "a block", func() bool { return ask("example.com").Rcode == dns.RcodeNameError })
	writeFile(t, conf, fmt.Sprintf(text, state, "      - {kind: tunnel, name: example.com, reason: our backup, until: 2999-01-01}\n"))
	p.reload("reloaded")
	if got := ask("example.com"); got.Rcode != dns.RcodeSuccess {
		t.Errorf("muted, and still %s", dns.RcodeToString[got.Rcode])
	}
	p.stop()
	blocked := 0
	type line struct {
		Verdict struct {
			Origin   string
			Enforced bool
			Matches  []struct{ List, Rule string }
		}
	}
	for _, l := range jsonLines[line](t, filepath.Join(state, "records", "transactions*.jsonl")) {
		if v := l.Verdict; v.Origin == "behaviour" && v.Enforced && len(v.Matches) > 0 && v.Matches[0].Rule == "tunnel" {
			blocked++
		}
	}
	if blocked == 0 {
		t.Error("no record says that a tunnel was blocked")
	}
}

// A log gives the same findings whenever it is replayed.
func TestReplayTellsFindings(t *testing.T) {
	var log strings.Builder
	for i := range 300 {
		fmt.Fprintf(&log, `{"time":"2026-03-01T12:%02d:%02d.000000000Z","client":"192.0.2.7","transport":"udp","qname":"%s.tunnel.com","qtype":"A","qclass":"IN","rcode":"NXDOMAIN","answers":[],"verdict":{}}`+"\n",
			i/60, i%60, hexName(i))
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "log.jsonl"), log.String())
	first, _ := weir(t, exitOK, "replay", "--json", file)
	var r struct{ Report replay.Report }
	if err := json.Unmarshal([]byte(first), &r); err != nil {
		t.Fatal(err)
	}
	if f := r.Report.Findings; len(f) == 0 || f[0].Kind != "tunnel" || f[0].Name != "tunnel.com" || f[0].Client != "192.0.2.0/24" {
		t.Errorf("findings %+v", f)
	}
	if second, _ := weir(t, exitOK, "replay", "--json", file); second != first {
		t.Error("a second replay says otherwise")
	}
	if text, _ := weir(t, exitOK, "replay", file); !strings.Contains(text, "tunnel.com") {
		t.Errorf("nothing of it for people:\n%s", text)
	}
}

// A client that asks for what infected ones ask for is listed with its evidence,
// after a restart too, until it is reset.
func TestClientsOfARunningWeir(t *testing.T) {
	up := dnstest.NewServer(t, "com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n")
	state := t.TempDir()
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+state+"\nprivacy: {client_address: full}\ndetect: {behaviour: {infected: {threshold: 2}}}\n")
	args := []string{"-c", conf, "--upstream", up.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	p := startWeir(t, args...)
	n := 0
	untilTrue(t, "a verdict", func() bool {
		n++
		p.ask("udp", p.listen[0], fmt.Sprintf("xq%s.com.", hexName(n)[26:]), dns.TypeA)
		out, _ := try("clients", "--state", state)
		return strings.Contains(out, "127.0.0.1") && strings.Contains(out, "infected")
	})
	if out, _ := weir(t, exitOK, "clients", "show", "127.0.0.1", "--state", state); !strings.Contains(out, "infected since") || !strings.Contains(out, "xq") {
		t.Errorf("show:\n%s", out)
	}
	if out, _ := weir(t, exitOK, "clients", "show", "192.0.2.1", "--state", state); !strings.Contains(out, "clean") {
		t.Errorf("show of another:\n%s", out)
	}
	p.stop()
	p = startWeir(t, args...)
	if out, _ := weir(t, exitOK, "clients", "list", "--state", state); !strings.Contains(out, "infected") {
		t.Errorf("after a restart:\n%s", out)
	}
	weir(t, exitOK, "clients", "reset", "127.0.0.1", "--state", state)
	if out, _ := weir(t, exitOK, "clients", "list", "--state", state, "--json"); strings.Contains(out, "standing") {
		t.Errorf("after a reset:\n%s", out)
	}
	p.stop()
}
