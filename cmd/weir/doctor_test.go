package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// doctorLine is one element of weir doctor --json.
type doctorLine struct {
	Check, Grade, Text, Fix string
}

func TestDoctorLooksAtConfigurationAndRunningWeir(t *testing.T) {
	// Every name below com and invalid is somebody's, as at a hijacker's.
	server := dnstest.NewServer(t, "com", "@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n* A 198.51.100.7\n")
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+t.TempDir()+`
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["`+server.Addr()+`"]}}
lists: [{name: keyed, format: urlhaus, url: "https://urlhaus.abuse.ch/downloads/csv/"}]
alerts: {receivers: [{name: a, kind: slack, url_file: /nonexistent/secret, disabled: true}]}
store: {clients: true}
`)
	lines := func(code int, args ...string) map[string]doctorLine {
		t.Helper()
		out, errs := weir(t, code, append([]string{"doctor", "--json"}, args...)...)
		var list []doctorLine
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		all := map[string]doctorLine{}
		for _, l := range list {
			if old := all[l.Check]; old.Grade != "FAIL" {
				all[l.Check] = l
			}
		}
		return all
	}
	got := lines(exitOK, "-c", conf, "--offline")
	for check, grade := range map[string]string{"config": "OK", "weir": "SKIP", "feed key": "WARN", "upstream": "SKIP", "disk": "OK"} {
		if got[check].Grade != grade {
			t.Errorf("%s is %+v, want %s", check, got[check], grade)
		}
	}
	bad := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "resolver: {listn: []}\n")
	if got := lines(exitFailure, "-c", bad); len(got) != 1 || got["config"].Grade != "FAIL" || !strings.Contains(got["config"].Text, "weir.yaml:1: resolver.listn") {
		t.Errorf("a bad configuration: %+v", got)
	}

	good := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "state_dir: "+t.TempDir()+`
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["`+server.Addr()+`"]}}
`)
	p := startWeir(t, "-c", good, "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "www.com.", dns.TypeA)
	got = lines(exitOK, "-c", good, "--offline")
	for check, grade := range map[string]string{"weir": "OK", "records": "OK", "panics": "OK", "clients": "SKIP", "port " + p.listen[0]: "OK"} {
		if got[check].Grade != grade {
			t.Errorf("%s is %+v, want %s", check, got[check], grade)
		}
	}
	if l := got["port "+p.listen[0]]; !strings.Contains(l.Text, "held by weir") {
		t.Errorf("its own port: %+v", l)
	}
	// By its state folder alone, as somebody asks who did not write the file.
	state := p.state
	for check, l := range lines(exitOK, "--state", state, "--offline") {
		switch {
		case check == "weir" && l.Grade != "OK":
			t.Errorf("weir by its state folder: %+v", l)
		case check == "disk" && !strings.Contains(l.Text, state):
			t.Errorf("another folder is looked at than %s: %+v", state, l)
		}
	}
	p.stop()
	if got := lines(exitOK, "--state", state, "--offline"); got["weir"].Grade != "SKIP" || !strings.Contains(got["disk"].Text, state) {
		t.Errorf("a state folder that no weir has: %+v", got)
	}
	out, _ := weir(t, exitOK, "doctor", "-c", good, "--offline")
	if !strings.Contains(out, "SKIP") || !strings.Contains(out, "fix: ") {
		t.Errorf("for people:\n%s", out)
	}
}
