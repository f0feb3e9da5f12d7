package faults

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// lost is when a client gives a query up.
var lost = pick(5*time.Second, 20*time.Second)

// outcome is what became of the queries of one load.
type outcome struct {
	sent, answered, good int // good: with data
	rcodes               map[int]int
	took                 []time.Duration // of the answered ones, sorted
	at                   []time.Time     // when the lost ones were sent
}

func (o *outcome) quantile(q float64) time.Duration {
	if len(o.took) == 0 {
		return 0
	}
	return o.took[int(q*float64(len(o.took)-1))].Round(10 * time.Microsecond)
}

// over is how many answers took longer than d.
func (o *outcome) over(d time.Duration) int {
	i, _ := slices.BinarySearch(o.took, d+1)
	return len(o.took) - i
}

func (o *outcome) lost() int { return o.sent - o.answered }

// load sends n queries for name(i) to addr, rate a second, each with an ID of
// its own, and waits for all answers, at most lost after the last one.
func load(t *testing.T, addr string, rate, n int, name func(i int) string) *outcome {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	o := &outcome{rcodes: map[int]int{}}
	var mu sync.Mutex
	waiting := map[uint16]time.Time{}
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 65535)
		for {
			k, err := conn.Read(buf)
			if err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() || !ok {
					return
				}
				continue // a port that is closed for a moment, while weir starts anew
			}
			now := time.Now()
			mu.Lock()
			id := uint16(buf[0])<<8 | uint16(buf[1])
			if sent, ok := waiting[id]; ok && k >= 12 {
				delete(waiting, id)
				o.answered++
				o.took = append(o.took, now.Sub(sent))
				o.rcodes[int(buf[3]&0xf)]++
				if buf[6]|buf[7] != 0 {
					o.good++
				}
			}
			mu.Unlock()
		}
	})
	begin := time.Now()
	for i := range n {
		m := new(dns.Msg)
		m.SetQuestion(name(i), dns.TypeA)
		m.Id = uint16(i)
		m.SetEdns0(1232, false)
		wire, err := m.Pack()
		if err != nil {
			t.Errorf("%s: %v", name(i), err)
			continue
		}
		if wait := time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))); wait > 0 {
			time.Sleep(wait)
		}
		mu.Lock()
		if old, ok := waiting[m.Id]; ok {
			o.at = append(o.at, old) // its ID is needed again: it is lost
		}
		waiting[m.Id] = time.Now()
		o.sent++
		mu.Unlock()
		_, _ = conn.Write(wire) // refused while weir starts anew: then it is lost
	}
	for end := time.Now().Add(lost); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		left := len(waiting)
		mu.Unlock()
		if left == 0 {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Now())
	reader.Wait()
	for _, at := range waiting {
		o.at = append(o.at, at)
	}
	slices.Sort(o.took)
	return o
}

// among is one of n names of a zone, over and over; fresh is a new one each
// time.
func among(n int, zone string) func(int) string {
	return func(i int) string { return fmt.Sprintf("n%d.%s", i%n, zone) }
}

func fresh(prefix, zone string) func(int) string {
	return func(i int) string { return fmt.Sprintf("%s%d.%s", prefix, i, zone) }
}

// pick is a or b by how the load is: the whole one, or the short one.
func pick[T any](whole, short T) T {
	if full {
		return whole
	}
	return short
}

// ask is one query and its answer, with how long it took; nil: none in lost.
func ask(t *testing.T, network, addr, name string) (*dns.Msg, time.Duration) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	m.SetEdns0(1232, false)
	c := dns.Client{Net: network, Timeout: lost}
	r, took, err := c.Exchange(m, addr)
	if err != nil {
		t.Logf("%s: %v", name, err)
		return nil, lost
	}
	return r, took
}

// ede is the code of the first Extended DNS Error, -1 if there is none.
func ede(m *dns.Msg) int {
	if m != nil && m.IsEdns0() != nil {
		for _, o := range m.IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				return int(e.InfoCode)
			}
		}
	}
	return -1
}

// metric adds up the series of a metric whose labels contain label.
func (w *weir) metric(name, label string) (sum float64) {
	w.t.Helper()
	resp, err := http.Get(w.metrics)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, labels, _ := strings.Cut(series, "{"); base == name && strings.Contains(labels, label) {
			v, _ := strconv.ParseFloat(value, 64)
			sum += v
		}
	}
	return sum
}

// rss is weir's resident memory in MiB.
func (w *weir) rss() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.cmd.Process.Pid))
	if err != nil {
		w.t.Skip("no /proc: ", err)
	}
	pages, _ := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
