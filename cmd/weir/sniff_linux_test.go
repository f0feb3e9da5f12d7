package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/capture"
	"golang.org/x/sys/unix"
)

// must runs a program and returns what it printed. Where the program is
// missing the test is skipped.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	need(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is needed: apt-get install unbound bind9-dnsutils tcpreplay iproute2", name)
		}
	}
}

// twoHosts makes a network namespace for the test, with the interface span0,
// 10.9.0.1, and another behind it with span1, 10.9.0.2. It returns how to run
// a program there.
func twoHosts(t *testing.T) (there []string) {
	t.Helper()
	need(t, "ip", "unshare", "nsenter", "sleep")
	runtime.LockOSThread() // for good: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("a network namespace needs root: %v", err)
	}
	host := exec.Command("unshare", "-n", "sleep", "300")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill(); _ = host.Wait() })
	pid := strconv.Itoa(host.Process.Pid)
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other namespace", func() bool {
		theirs, err := os.Readlink("/proc/" + pid + "/ns/net")
		return err == nil && theirs != ours
	})
	there = []string{"nsenter", "-t", pid, "-n"}
	must(t, "ip", "link", "add", "name", "span0", "type", "veth", "peer", "name", "span1")
	must(t, "ip", "link", "set", "span1", "netns", pid)
	must(t, "ip", "addr", "add", "10.9.0.1/24", "dev", "span0")
	must(t, "ip", "link", "set", "span0", "up")
	must(t, "ip", "link", "set", "lo", "up")
	for _, args := range [][]string{{"addr", "add", "10.9.0.2/24", "dev", "span1"}, {"link", "set", "span1", "up"}} {
		must(t, there[0], append(append(there[1:], "ip"), args...)...)
	}
	return there
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not come true", what)
		}
	}
}

// A resolver and its client talk on a wire, a capture is played onto it, and
// what weir says of it adds up to what was sent.
func TestSniffAnInterfaceEndToEnd(t *testing.T) {
	need(t, "unbound", "dig", "tcpreplay")
	there := twoHosts(t)
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "unbound.conf"), `server:
  directory: "`+dir+`"
  interface: 10.9.0.1
  access-control: 10.9.0.0/24 allow
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  local-zone: "example.com." static
  local-data: "www.example.com. 60 IN A 192.0.2.1"
remote-control:
  control-enable: no
`)
	server := exec.Command("unbound", "-d", "-c", conf)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	dig := func(args ...string) (string, error) {
		out, err := exec.Command(there[0], append(append(there[1:], "dig", "@10.9.0.1", "+tries=1", "+time=2", "+short"), args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	eventually(t, "unbound answers", func() bool { out, err := dig("www.example.com"); return err == nil && out == "192.0.2.1" })

	p, _ := startSniffer(t, "--interface", "span0", "--admin", "127.0.0.1:5380", "--state", filepath.Join(dir, "state"),
		"--transactions", filepath.Join(dir, "t.jsonl"), "--summary", filepath.Join(dir, "summary.json"), "--client-address", "full")
	pid := p.cmd.Process.Pid
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb"} {
		if !regexp.MustCompile(set + `:\s0+\n`).Match(status) {
			t.Errorf("capabilities are left in %s:\n%s", set, status)
		}
	}
	const asked = 20
	for range asked / 2 {
		for _, how := range []string{"+notcp", "+tcp"} {
			if out, err := dig("www.example.com", how); err != nil || out != "192.0.2.1" {
				t.Fatalf("dig %s: %q %v", how, out, err)
			}
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile(filepath.Join(root, "testdata/pcap/sample.summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var played capture.Summary
	if err := json.Unmarshal(sample, &played); err != nil {
		t.Fatal(err)
	}
	must(t, there[0], append(there[1:], "tcpreplay", "--topspeed", "-i", "span1", filepath.Join(root, "testdata/pcap/sample.pcap"))...)
	want := played.DNSMessages + 2*asked
	eventually(t, "all messages are seen", func() bool {
		return metric(p.scrapeIn(t, pid), "weir_capture_messages_total") == strconv.FormatUint(want, 10)
	})
	checkDocumented(t, p.scrapeIn(t, pid))
	p.stop()
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := summaryIn(t, text)
	lines := jsonLines[struct {
		Client, QName string
		Latency       int64 `json:"latency_us"`
	}](t, filepath.Join(dir, "t.jsonl"))
	ours := 0
	for _, l := range lines {
		if l.Client == "10.9.0.2" && l.QName == "www.example.com" && l.Latency > 0 {
			ours++
		}
	}
	if s.DNSMessages != want || s.Packets != s.Kernel.Received || s.Kernel.Dropped != 0 || uint64(len(lines)) != s.Transactions || ours != asked {
		t.Errorf("%d lines, %d of dig, want %d; %s", len(lines), ours, asked, text)
	}
}

// scrapeIn asks for metrics inside of the namespace of a process: this thread is
// in it, those of the HTTP client are not.
func (p *process) scrapeIn(t *testing.T, pid int) string {
	return must(t, "nsenter", "-t", strconv.Itoa(pid), "-n", "bash", "-c",
		`exec 3<>/dev/tcp/127.0.0.1/5380; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`)
}

// Unbound tells what it is asked by dnstap, with its handshake and its farewell.
func TestSniffTheDnstapOfUnbound(t *testing.T) {
	need(t, "unbound", "dig")
	if out, _ := exec.Command("unbound", "-V").CombinedOutput(); !strings.Contains(string(out), "--enable-dnstap") {
		t.Skip("this unbound has no dnstap")
	}
	dir := t.TempDir()
	port := strconv.Itoa(freePort(t))
	socket := filepath.Join(dir, "tap.sock")
	conf := writeFile(t, filepath.Join(dir, "unbound.conf"), `server:
  directory: "`+dir+`"
  interface: 127.0.0.1@`+port+`
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  local-zone: "example.com." static
  local-data: "www.example.com. 60 IN A 192.0.2.1"
remote-control:
  control-enable: no
dnstap:
  dnstap-enable: yes
  dnstap-bidirectional: yes
  dnstap-socket-path: "`+socket+`"
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
`)
	p, line := startSniffer(t, "--dnstap", "unix:"+socket, "--admin", "", "--state", filepath.Join(dir, "state"),
		"--transactions", filepath.Join(dir, "t.jsonl"), "--summary", filepath.Join(dir, "summary.json"), "--client-address", "full")
	if !strings.Contains(line, "tap.sock") {
		t.Fatalf("first log line %s", line)
	}
	server := exec.Command("unbound", "-d", "-c", conf)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	type record struct {
		Client, QName, Transport string
		Answers                  []struct{ Rdata string }
	}
	asked := 0
	eventually(t, "a transaction comes", func() bool {
		out, err := exec.Command("dig", "@127.0.0.1", "-p", port, "+tries=1", "+time=1", "+short", "www.example.com").Output()
		if err == nil && strings.TrimSpace(string(out)) == "192.0.2.1" {
			asked++
		}
		return asked > 0 && len(jsonLines[record](t, filepath.Join(dir, "t.jsonl"))) > 0
	})
	p.stop()
	lines := jsonLines[record](t, filepath.Join(dir, "t.jsonl"))
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := summaryIn(t, text)
	if len(lines) == 0 || uint64(len(lines)) != s.Transactions || s.Answered == 0 || s.Packets != s.DNSMessages {
		t.Errorf("%d lines; %s", len(lines), text)
	}
	for _, l := range lines {
		if l.Client != "127.0.0.1" || l.QName != "www.example.com" || l.Transport != "dnstap" || len(l.Answers) != 1 || l.Answers[0].Rdata != "192.0.2.1" {
			t.Errorf("%+v", l)
		}
	}
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
