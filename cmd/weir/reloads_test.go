package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// reloading is how hard TestReloadsOfALargeList tries.
type reloading struct {
	entries, reloads int
	// sockets send rate queries a second together, and each waits for answers
	// once it has so many outstanding.
	sockets, rate, outstanding int
	atLeast                    time.Duration
	rss                        bool // compare the memory, too
}

// reloadings: WEIR_RELOADS=full (make reloads) is the whole one. In the short one
// a socket's buffer never has more than a few queries, so that a machine that is
// busy elsewhere loses none: what is lost is weir's doing.
func reloadings() reloading {
	if os.Getenv("WEIR_RELOADS") == "full" {
		return reloading{1_000_000, 100, 8, 2000, math.MaxUint16, time.Minute, true}
	}
	return reloading{20_000, 6, 4, 400, 4, 3 * time.Second, false}
}

// A large list is replaced again and again while clients ask. Every query gets
// an answer, and the right one: a name that is in all versions of the list is
// blocked at every moment, one that is in none never is, and what a version says
// holds as soon as its reload has ended.
func TestReloadsOfALargeList(t *testing.T) {
	size := reloadings()
	up := dnstest.NewServer(t, "example.com", "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.9\n")
	dir := t.TempDir()
	var common strings.Builder
	for i := range size.entries {
		fmt.Fprintf(&common, "%s\n", listedName(i))
	}
	file := filepath.Join(dir, "list.txt")
	versions := [2]string{"even.example.com", "odd.example.com"}
	put := func(version int) {
		t.Helper()
		if err := os.Rename(writeFile(t, file+".new", common.String()+versions[version]+"\n"), file); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), fmt.Sprintf(
		"state_dir: %s\nresolver:\n  upstream: {servers: [%q], timeout: 10s}\nlists:\n  - {name: big, file: %s, action: nxdomain}\n",
		filepath.Join(dir, "state"), up.Addr(), file))
	p := startWeir(t, "-c", conf, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	holds := func(version int) {
		t.Helper()
		if got := p.ask("udp", p.listen[0], versions[version]+".", dns.TypeA).Rcode; got != dns.RcodeNameError {
			t.Errorf("after its reload %s gets %s, want NXDOMAIN", versions[version], dns.RcodeToString[got])
		}
		if got := p.ask("udp", p.listen[0], versions[1-version]+".", dns.TypeA).Rcode; got != dns.RcodeSuccess {
			t.Errorf("after the reload of a list without it %s gets %s, want NOERROR", versions[1-version], dns.RcodeToString[got])
		}
	}
	holds(0)

	steady := 0.0
	if size.rss { // as without reloads, under the same load
		calm := startAsking(t, p.listen[0], &size)
		time.Sleep(10 * time.Second)
		calm.end()
		steady = memoryOf(t, p, "VmRSS")
		calm.judge(t, p)
		t.Logf("before: %s", calm)
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
			t.Logf("the peak of memory is the whole process's: %v", err)
		}
	}
	asking := startAsking(t, p.listen[0], &size)
	began := time.Now()
	for i := 1; i <= size.reloads; i++ {
		put(i % 2)
		if i%4 < 2 {
			p.reload("reloaded")
		} else if out, _ := weir(t, exitOK, "lists", "refresh", "big", "-c", conf); !strings.Contains(out, fmt.Sprintf("big: %d entries", size.entries+1)) {
			t.Errorf("refresh = %q", out)
		}
		holds(i % 2)
		// Spread over the time, unless they take longer by themselves.
		time.Sleep(time.Until(began.Add(time.Duration(i) * size.atLeast / time.Duration(size.reloads))))
	}
	took := time.Since(began)
	asking.end()
	asking.judge(t, p)
	if got := metric(p.scrape(), `weir_list_reload_total{list="big",result="ok"}`); got != fmt.Sprint(size.reloads+1) {
		t.Errorf("%s loads of the list counted, want %d", got, size.reloads+1)
	}
	t.Logf("%d reloads of %d entries in %s: %s", size.reloads, size.entries+1, took.Round(100*time.Millisecond), asking)
	if size.rss {
		peak := memoryOf(t, p, "VmHWM")
		t.Logf("memory: steady %.0f MiB, peak %.0f MiB, %.2f times", steady, peak, peak/steady)
		if asked := float64(len(asking.took)) / took.Seconds(); asked < .98*float64(size.rate) {
			t.Errorf("%.0f queries a second were asked, want %d", asked, size.rate)
		}
	}
}

func listedName(i int) string { return fmt.Sprintf("host%d.d%d.example.net", i, i%5000) }

// asking is a stream of queries whose outcome is known.
type asking struct {
	stop    chan struct{}
	clients sync.WaitGroup

	mu          sync.Mutex
	asked, lost int
	wrong       map[string]int // answers, by what is wrong with them
	took        []time.Duration
}

func (a *asking) String() string {
	q := func(q float64) time.Duration {
		if len(a.took) == 0 {
			return 0
		}
		return a.took[int(q*float64(len(a.took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d queries, %d lost, %d wrong, p50 %s, p99 %s, slowest %s", a.asked, a.lost, len(a.wrong), q(.5), q(.99), q(1))
}

// startAsking asks until end is called, of every two queries one for a listed
// name.
func startAsking(t *testing.T, addr string, size *reloading) *asking {
	a := &asking{stop: make(chan struct{}), wrong: map[string]int{}}
	for s := range size.sockets {
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := &askingSocket{conn: conn, waiting: map[uint16]question{}, room: make(chan struct{}, size.outstanding)}
		a.clients.Go(func() { c.run(a, s, size) })
	}
	return a
}

type question struct {
	due    time.Time
	listed bool
}

type askingSocket struct {
	conn    net.Conn
	room    chan struct{} // holds a token for each that is outstanding
	mu      sync.Mutex
	waiting map[uint16]question
}

// unanswered is when a query is lost. Far more than weir's own time-outs: what
// comes late is slow, and not lost.
const unanswered = 30 * time.Second

func (c *askingSocket) run(a *asking, s int, size *reloading) {
	var reader sync.WaitGroup
	reader.Go(func() { c.read(a) })
	every := time.Second * time.Duration(size.sockets) / time.Duration(size.rate)
	begin := time.Now().Add(every * time.Duration(s) / time.Duration(size.sockets))
	asked := 0
	for ; ; asked++ {
		due := begin.Add(time.Duration(asked) * every)
		select {
		case <-time.After(time.Until(due)):
		case <-a.stop:
		}
		select {
		case <-a.stop:
		default:
			c.room <- struct{}{}
			c.send(uint16(asked), s+asked*size.sockets, due, size)
			continue
		}
		break
	}
	for end := time.Now().Add(unanswered); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		left := len(c.waiting)
		c.mu.Unlock()
		if left == 0 {
			break
		}
	}
	c.conn.Close()
	reader.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked += asked
	a.lost += len(c.waiting)
}

func (c *askingSocket) send(id uint16, n int, due time.Time, size *reloading) {
	m := new(dns.Msg)
	listed := n/size.sockets%2 == 0
	if listed {
		// Through the whole list in time, in no order that a cache would like.
		m.SetQuestion(listedName(n*7919%size.entries)+".", dns.TypeA)
	} else {
		m.SetQuestion(fmt.Sprintf("free%d.example.com.", n%500), dns.TypeA)
	}
	m.Id = id
	wire, err := m.Pack()
	if err != nil {
		panic(err) // of our own making
	}
	c.mu.Lock()
	c.waiting[id] = question{due, listed}
	c.mu.Unlock()
	_, _ = c.conn.Write(wire) // what does not leave is lost, and counted so
}

func (c *askingSocket) read(a *asking) {
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		var m dns.Msg
		if err := m.Unpack(buf[:n]); err != nil {
			a.mu.Lock()
			a.wrong[err.Error()]++
			a.mu.Unlock()
			continue
		}
		c.mu.Lock()
		q, ok := c.waiting[m.Id]
		delete(c.waiting, m.Id)
		c.mu.Unlock()
		if !ok {
			continue
		}
		<-c.room
		a.mu.Lock()
		a.took = append(a.took, time.Since(q.due))
		switch {
		case q.listed && m.Rcode != dns.RcodeNameError:
			a.wrong["a listed name got "+dns.RcodeToString[m.Rcode]]++
		case !q.listed && answers(&m) != "192.0.2.9":
			a.wrong["a name that is on no list got "+dns.RcodeToString[m.Rcode]]++
		}
		a.mu.Unlock()
	}
}

// end stops asking and waits for what is outstanding.
func (a *asking) end() {
	close(a.stop)
	a.clients.Wait()
	slices.Sort(a.took)
}

// judge wants every query answered, and rightly.
func (a *asking) judge(t *testing.T, p *process) {
	t.Helper()
	if a.lost != 0 || len(a.wrong) != 0 || len(a.took) != a.asked || a.asked < 20 {
		t.Errorf("%d of %d queries answered, %d lost, wrong: %v; want all of at least 20, rightly\n%.4000s", len(a.took), a.asked, a.lost, a.wrong, p.log())
	}
}

// memoryOf is a size of /proc/PID/status in MiB.
func memoryOf(t *testing.T, p *process, field string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	t.Fatalf("no %s in /proc/PID/status", field)
	return 0
}
