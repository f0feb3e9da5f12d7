package blocklist_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/blocklist"
)

const tsigSecret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDE="

// primary is a server of one zone on loopback.
type primary struct {
	addr string

	mu      sync.Mutex
	serial  uint32
	records []string            // of the zone, besides SOA and NS
	steps   map[uint32][]string // IXFR's records from a serial on, "-" in front of what is gone, "+" of what is new, "=N" for a SOA
	refuse  bool
	forge   bool // answers without signing
	asked   []string
}

func newPrimary(t *testing.T) *primary {
	t.Helper()
	p := &primary{serial: 1, steps: map[uint32][]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	started := make(chan struct{})
	srv := &dns.Server{Listener: l, TsigSecret: map[string]string{"key.": tsigSecret}, Handler: dns.HandlerFunc(p.serve), NotifyStartedFunc: func() { close(started) },
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = srv.Shutdown(); <-done })
	return p
}

func rr(s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil {
		panic(s)
	}
	return r
}

func (p *primary) soa(serial uint32) dns.RR {
	return rr(fmt.Sprintf("rpz.local. 300 SOA . . %d 3600 60 7200 60", serial))
}

func (p *primary) serve(w dns.ResponseWriter, q *dns.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := dns.TypeToString[q.Question[0].Qtype]
	if q.IsTsig() != nil && w.TsigStatus() == nil {
		kind += " signed"
	}
	p.asked = append(p.asked, kind)
	if p.refuse {
		m := new(dns.Msg)
		_ = w.WriteMsg(m.SetRcode(q, dns.RcodeRefused))
		return
	}
	all := []dns.RR{p.soa(p.serial)}
	if q.Question[0].Qtype == dns.TypeIXFR {
		from := q.Ns[0].(*dns.SOA).Serial
		steps, ok := p.steps[from]
		switch {
		case from == p.serial:
			p.answer(w, q, all)
			return
		case ok:
			for _, s := range steps {
				if n, isSOA := strings.CutPrefix(s, "="); isSOA {
					var serial uint32
					_, _ = fmt.Sscan(n, &serial)
					all = append(all, p.soa(serial))
				} else {
					all = append(all, rr(s[1:]))
				}
			}
			p.answer(w, q, append(all, p.soa(p.serial)))
			return
		}
	}
	all = append(all, rr("rpz.local. 300 NS localhost."))
	for _, r := range p.records {
		all = append(all, rr(r))
	}
	p.answer(w, q, append(all, p.soa(p.serial)))
}

// answer sends records in messages of two.
func (p *primary) answer(w dns.ResponseWriter, q *dns.Msg, all []dns.RR) {
	w.TsigTimersOnly(false)
	for i := 0; i < len(all); i += 2 {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = all[i:min(i+2, len(all))]
		if ts := q.IsTsig(); ts != nil && (!p.forge || i < 2) {
			m.SetTsig(ts.Hdr.Name, ts.Algorithm, 300, time.Now().Unix())
		}
		if w.WriteMsg(m) != nil {
			return
		}
		w.TsigTimersOnly(true)
	}
}

func (p *primary) change(serial uint32, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial = serial
	if f != nil {
		f()
	}
}

func (p *primary) was() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.asked, ",")
	p.asked = nil
	return s
}

func (p *primary) config(t *testing.T) blocklist.Config {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, tsigSecret+"\n")
	return blocklist.Config{Name: "z", Transfer: blocklist.Transfer{Primary: p.addr, Zone: "rpz.local", TSIGName: "key", TSIGKeyFile: path}}
}

func TestAZoneIsTransferredAndFollowed(t *testing.T) {
	p := newPrimary(t)
	p.records = []string{"bad.example.rpz.local. 60 CNAME .", "*.wild.example.rpz.local. 60 CNAME *.", "old.example.rpz.local. 60 CNAME .", "garden.example.rpz.local. 60 A 192.0.2.80"}
	dir := t.TempDir()
	cfg := p.config(t)
	l, _ := restart(t, dir, cfg)
	refresh := func() {
		t.Helper()
		if err := l.Refresh(t.Context(), "z"); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	wantHits(t, l, "bad.example", "z bad.example")
	wantHits(t, l, "x.wild.example", "z *.wild.example")
	wantWishes(t, l, "garden.example", "garden.example as list") // a primary may not say where names are, without allow_local_data
	if got := p.was(); got != "AXFR signed" {
		t.Errorf("asked %s", got)
	}
	refresh()
	if got := p.was(); got != "IXFR signed" {
		t.Errorf("asked %s", got)
	}

	// Two steps at once, of which one takes back a part of the other.
	p.change(3, func() {
		p.steps[1] = []string{
			"=1", "-old.example.rpz.local. 60 CNAME .", "=2", "+new.example.rpz.local. 60 CNAME .", "+brief.example.rpz.local. 60 CNAME .",
			"=2", "-brief.example.rpz.local. 60 CNAME .", "-bad.example.rpz.local. 999 CNAME .", "=3", "+old.example.rpz.local. 60 CNAME .",
		}
	})
	refresh()
	if got := p.was(); got != "IXFR signed" {
		t.Errorf("asked %s", got)
	}
	wantHits(t, l, "new.example", "z new.example")
	wantHits(t, l, "old.example", "z old.example")
	wantHits(t, l, "brief.example")
	wantHits(t, l, "bad.example")
	wantHits(t, l, "x.wild.example", "z *.wild.example")

	// After a restart it goes on from there.
	l, _ = restart(t, dir, cfg)
	wantHits(t, l, "new.example", "z new.example")
	p.change(4, func() { p.steps[3] = []string{"=3", "=4", "+later.example.rpz.local. 60 CNAME ."} })
	refresh()
	wantHits(t, l, "later.example", "z later.example")
	wantHits(t, l, "new.example", "z new.example")
	if got := p.was(); got != "IXFR signed" {
		t.Errorf("asked %s", got)
	}

	// A primary that has no changes from there gives all of it, also in answer to IXFR.
	p.change(9, func() {
		p.records = []string{"a.example.rpz.local. 60 CNAME .", "b.example.rpz.local. 60 CNAME .", "c.example.rpz.local. CNAME ."}
	})
	refresh()
	wantHits(t, l, "a.example", "z a.example")
	wantHits(t, l, "new.example")
	// And one whose changes make no sense is asked for all of it.
	p.was()
	p.change(10, func() { p.steps[9] = []string{"=7", "-x.example.rpz.local. 60 CNAME .", "=10"} })
	refresh()
	if got := p.was(); got != "IXFR signed,AXFR signed" {
		t.Errorf("asked %s", got)
	}
	// One that is behind is not followed.
	p.change(5, func() { p.records = p.records[:2] })
	refresh()
	wantHits(t, l, "c.example", "z c.example")
}

func TestATransferThatIsNotWholeOrNotSignedIsRefused(t *testing.T) {
	p := newPrimary(t)
	for i := range 20 {
		p.records = append(p.records, fmt.Sprintf("n%d.example.rpz.local. 60 CNAME .", i))
	}
	good := p.config(t)
	l := lists(t, good)
	if err := l.Refresh(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	p.change(2, func() { p.forge = true })
	if err := l.Refresh(t.Context(), "z"); err == nil {
		t.Error("a transfer with unsigned messages in it was taken")
	}
	p.change(2, func() { p.forge, p.refuse = false, true })
	if err := l.Refresh(t.Context(), "z"); err == nil {
		t.Error("a refusal was taken for a zone")
	}
	p.change(3, func() { p.refuse, p.records = false, p.records[:5] })
	if err := l.Refresh(t.Context(), "z"); err == nil || !strings.Contains(err.Error(), "allow_shrink") {
		t.Errorf("error %v, want one of a zone that shrank", err)
	}
	wantHits(t, l, "n19.example", "z n19.example")
	bad := good
	bad.Transfer.TSIGKeyFile = filepath.Join(t.TempDir(), "key")
	write(t, bad.Transfer.TSIGKeyFile, "c29tZXRoaW5nIGVsc2U=\n")
	err := lists(t, bad).Refresh(t.Context(), "z")
	if err == nil || strings.Contains(err.Error(), "c29tZXRoaW5nIGVsc2U=") {
		t.Errorf("error %v, want one without the key", err)
	}
}

// The zone's own numbers say when it is asked for again, and for how long it
// is to be believed when nobody answers.
func TestAZoneExpires(t *testing.T) {
	p := newPrimary(t)
	p.records = []string{"bad.example.rpz.local. 60 CNAME ."}
	cfg := p.config(t)
	dir, registry := t.TempDir(), prometheus.NewRegistry()
	l, err := blocklist.New([]blocklist.Config{cfg}, blocklist.Deps{Log: zap.NewNop(), Registry: registry, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Refresh(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	p.change(1, func() { p.refuse = true })
	age := func(d time.Duration) *blocklist.Lists {
		t.Helper()
		copies, _ := filepath.Glob(filepath.Join(dir, "*.list"))
		if len(copies) != 1 {
			t.Fatalf("copies %q, want one", copies)
		}
		then := time.Now().Add(-d)
		if err := os.Chtimes(copies[0], then, then); err != nil {
			t.Fatal(err)
		}
		l, _ := restart(t, dir, cfg)
		if err := l.Refresh(t.Context(), "z"); err == nil {
			t.Error("a refusal was taken for a zone")
		}
		return l
	}
	wantHits(t, age(100*time.Minute), "bad.example", "z bad.example")
	expired := age(121 * time.Minute)
	wantHits(t, expired, "bad.example")
	if got := list(t, expired, "z").Err; !strings.Contains(got, "expired") {
		t.Errorf("status %q, want that it has expired", got)
	}
	p.change(1, func() { p.refuse = false })
	if err := expired.Refresh(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, expired, "bad.example", "z bad.example")
}

// A real primary: Knot DNS, with TSIG, AXFR and then IXFR.
func TestAZoneOfKnot(t *testing.T) {
	knotd, err := exec.LookPath("knotd")
	if err != nil {
		if knotd = "/usr/sbin/knotd"; !exists(knotd) {
			t.Skip("knotd is not here (Debian: apt-get install knot)")
		}
	}
	dir := t.TempDir()
	pick, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := pick.Addr().String()
	pick.Close()
	host, port, _ := strings.Cut(addr, ":")
	zone := func(serial int, lines ...string) {
		write(t, filepath.Join(dir, "rpz.local.zone"), fmt.Sprintf("$ORIGIN rpz.local.\n$TTL 60\n@ SOA localhost. root.localhost. %d 3600 60 7200 60\n NS localhost.\n%s\n", serial, strings.Join(lines, "\n")))
	}
	zone(1, "bad.example CNAME .", "*.wild.example CNAME *.", "old.example CNAME rpz-drop.", "24.0.2.0.192.rpz-ip CNAME .")
	write(t, filepath.Join(dir, "knot.conf"), fmt.Sprintf(`
server:
    rundir: %[1]q
    listen: %[2]s@%[3]s
    user: %[5]s
log:
  - target: %[1]s/log
    any: info
database:
    storage: %[1]q
key:
  - id: key
    algorithm: hmac-sha256
    secret: %[4]s
acl:
  - id: xfr
    key: key
    action: transfer
zone:
  - domain: rpz.local
    storage: %[1]q
    file: rpz.local.zone
    acl: xfr
    zonefile-load: difference
    zonefile-sync: -1
    journal-content: changes
    semantic-checks: off
`, dir, host, port, tsigSecret, "root"))
	cmd := exec.Command(knotd, "-c", filepath.Join(dir, "knot.conf"))
	if err := cmd.Start(); err != nil {
		t.Skip("knotd does not start: ", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	key := filepath.Join(dir, "key")
	write(t, key, tsigSecret)
	l := lists(t, blocklist.Config{Name: "k", Transfer: blocklist.Transfer{Primary: addr, Zone: "rpz.local.", TSIGName: "key", TSIGKeyFile: key}})
	until := time.Now().Add(30 * time.Second)
	for {
		err := l.Refresh(t.Context(), "k")
		if err == nil {
			break
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("%v; knot says\n%s", err, log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	wantHits(t, l, "bad.example", "k bad.example")
	wantHits(t, l, "x.wild.example", "k *.wild.example")
	wantAddrHits(t, l, "192.0.2.77", "k 192.0.2.0/24")
	zone(2, "bad.example CNAME .", "*.wild.example CNAME *.", "new.example CNAME .", "24.0.2.0.192.rpz-ip CNAME .")
	if err := cmd.Process.Signal(reloadSignal); err != nil {
		t.Fatal(err)
	}
	for len(hits(l, "new.example")) == 0 {
		if err := l.Refresh(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(until.Add(30 * time.Second)) {
			t.Fatal("the change never came")
		}
		time.Sleep(50 * time.Millisecond)
	}
	wantHits(t, l, "old.example")
	wantHits(t, l, "bad.example", "k bad.example")
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	if !strings.Contains(string(log), "IXFR, outgoing") {
		t.Errorf("knot says nothing of an IXFR:\n%s", log)
	}
	// Without the key there is no zone.
	if err := lists(t, blocklist.Config{Name: "k", Transfer: blocklist.Transfer{Primary: addr, Zone: "rpz.local"}}).Refresh(t.Context(), "k"); err == nil {
		t.Error("a transfer without the key was given")
	}
}

const reloadSignal = syscall.SIGHUP

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
