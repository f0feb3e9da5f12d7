// Command listbench measures what holding and searching a list of names takes:
// the time to load it, what the process keeps in memory, and lookups. It has a
// module of its own so that what it compares with is no dependency of weir.
//
//	listbench gen N FILE             write N names as lists have them, one a line
//	listbench weir FILE [STATE]      weir's lists; with a state folder twice, the second time from the compiled file
//	listbench reference FILE         what the machine does with the same: lines read, names in a map of Go
//	listbench urlfilter FILE         AdGuard's engine, with the names as ||name^
//	listbench reload FILE STATE      weir: how far memory rises while the list is replaced
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/AdguardTeam/urlfilter"
	"github.com/AdguardTeam/urlfilter/filterlist"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/blocklist"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: listbench gen N FILE | weir FILE [STATE] | reference FILE | urlfilter FILE | reload FILE STATE")
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "gen":
		n, err := strconv.Atoi(args[0])
		check(err)
		generate(n, args[1])
	case "weir":
		state := ""
		if len(args) > 1 {
			state = args[1]
		}
		weir(args[0], state)
	case "urlfilter":
		adguard(args[0])
	case "reference":
		reference(args[0])
	case "reload":
		reload(args[0], args[1])
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// generate writes names of 8 to 20 characters below common suffixes, every
// third with a subdomain, the same for the same n.
func generate(n int, path string) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	suffixes := []string{".com", ".net", ".info", ".xyz", ".co.uk", ".top", ".de", ".ru"}
	rng := rand.New(rand.NewPCG(1, 2))
	f, err := os.Create(path)
	check(err)
	w := bufio.NewWriter(f)
	label := func(n int) {
		for i := range n {
			c := letters[rng.IntN(len(letters))]
			if c == '-' && (i == 0 || i == n-1) {
				c = 'x'
			}
			w.WriteByte(c)
		}
	}
	for i := range n {
		if i%3 == 0 {
			label(1 + rng.IntN(6))
			w.WriteByte('.')
		}
		label(8 + rng.IntN(12))
		w.WriteString(suffixes[rng.IntN(len(suffixes))])
		w.WriteByte('\n')
	}
	check(w.Flush())
	check(f.Close())
}

// names reads up to n lines spread over the file.
func names(path string, n int) (out []string) {
	f, err := os.Open(path)
	check(err)
	defer f.Close()
	sc := bufio.NewScanner(f)
	for i := 0; sc.Scan() && len(out) < n; i++ {
		if i%100 == 0 {
			out = append(out, sc.Text())
		}
	}
	return out
}

// rss is a line of /proc/self/status in octets.
func rss(key string) int64 {
	b, err := os.ReadFile("/proc/self/status")
	check(err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			check(err)
			return n << 10
		}
	}
	return 0
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(what string, took time.Duration, before int64) {
	debug.FreeOSMemory()
	fmt.Printf("%-28s load %8.1f ms   RSS +%.1f MB (anonymous %.1f, files %.1f)   peak %.1f MB\n", what,
		float64(took)/1e6, mb(rss("VmRSS")-before), mb(rss("RssAnon")), mb(rss("RssFile")), mb(rss("VmHWM")))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// lookups times match over names, in forty runs of which the quickest counts.
func lookups(what string, names []string, match func(string) bool, want bool) {
	best := time.Duration(1<<63 - 1)
	for range 40 {
		began := time.Now()
		for _, n := range names {
			if match(n) != want {
				log.Fatalf("%s: match is %v, want %v", n, !want, want)
			}
		}
		best = min(best, time.Since(began))
	}
	fmt.Printf("%-28s %.0f ns\n", "  "+what, float64(best)/float64(len(names)))
}

func newLists(cfg blocklist.Config, state string) *blocklist.Lists {
	l, err := blocklist.New([]blocklist.Config{cfg}, blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Dir: state})
	check(err)
	return l
}

func weir(path, state string) {
	before := rss("VmRSS")
	began := time.Now()
	l := newLists(blocklist.Config{Name: "big", File: path, MaxBytes: 1 << 30}, state)
	check(l.Load())
	took, cpu := time.Since(began), cpuTime()
	v := l.Snapshot().Lists()[0]
	report("weir", took, before)
	fmt.Printf("  %d names, %.2f octets a name, %.2f million lines a second, of a processor's %.2f\n", v.Entries,
		float64(v.Memory)/float64(v.Entries), float64(v.Entries)/took.Seconds()/1e6, float64(v.Entries)/cpu.Seconds()/1e6)
	if state != "" {
		check(os.Chtimes(path, time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)))
		l = newLists(blocklist.Config{Name: "big", File: path, MaxBytes: 1 << 30}, state)
		check(l.Load()) // a file that has just changed is read again
		began = time.Now()
		l = newLists(blocklist.Config{Name: "big", File: path, MaxBytes: 1 << 30}, state)
		check(l.Load())
		fmt.Printf("  start from the compiled file %.1f ms\n", float64(time.Since(began))/1e6)
	}
	s := l.Snapshot()
	matches(path, func(n wire) bool {
		var buf [4]blocklist.Hit
		return len(s.Match(buf[:0], n)) > 0
	})
}

// wire is a name in canonical wire form.
type wire = []byte

func toWire(s string) wire {
	w := make(wire, 0, len(s)+2)
	for label := range strings.SplitSeq(s, ".") {
		w = append(append(w, byte(len(label))), label...)
	}
	return append(w, 0)
}

// matches times lookups of wire names, which is what a resolver has at hand.
func matches(path string, match func(wire) bool) {
	in := names(path, 10_000)
	var hits, below, misses []string
	for _, n := range in {
		hits, below, misses = append(hits, n), append(below, "www."+n), append(misses, "www.not-"+n)
	}
	for _, c := range []struct {
		what  string
		names []string
		want  bool
	}{{"hit", hits[:1000], true}, {"hit, 10,000 in turn", hits, true}, {"below a hit", below[:1000], true}, {"miss", misses, false}} {
		wires := make(map[string]wire, len(c.names))
		list := make([]wire, len(c.names))
		for i, n := range c.names {
			wires[n] = toWire(n)
			list[i] = wires[n]
		}
		i := -1
		lookups(c.what, c.names, func(string) bool {
			if i++; i == len(list) {
				i = 0
			}
			return match(list[i])
		}, c.want)
	}
}

// reference reads the lines and does nothing with them, and asks a map for each
// suffix of a name but the last.
func reference(path string) {
	best := time.Duration(1<<63 - 1)
	n := 0
	for range 10 {
		cpu := cpuTime()
		f, err := os.Open(path)
		check(err)
		n = 0
		for sc := bufio.NewScanner(f); sc.Scan(); n++ {
		}
		check(f.Close())
		best = min(best, cpuTime()-cpu)
	}
	fmt.Printf("%-28s %.2f million lines a second of a processor\n", "lines read by bufio.Scanner", float64(n)/best.Seconds()/1e6)
	f, err := os.Open(path)
	check(err)
	all := make(map[string]struct{}, n)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		all[string(toWire(sc.Text()))] = struct{}{}
	}
	check(f.Close())
	fmt.Println("map of Go")
	matches(path, func(w wire) bool {
		for at := 0; at+int(w[at])+1 < len(w)-1; at += int(w[at]) + 1 {
			if _, ok := all[string(w[at:])]; ok {
				return true
			}
		}
		return false
	})
}

func adguard(path string) {
	text, err := os.ReadFile(path)
	check(err)
	tmp, err := os.CreateTemp("", "rules")
	check(err)
	defer os.Remove(tmp.Name())
	w := bufio.NewWriter(tmp)
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(w, "||%s^\n", strings.TrimSpace(line))
	}
	check(w.Flush())
	text = nil
	debug.FreeOSMemory()
	before := rss("VmRSS")
	began := time.Now()
	list, err := filterlist.NewFileRuleList(1, tmp.Name(), true)
	check(err)
	storage, err := filterlist.NewRuleStorage([]filterlist.RuleList{list})
	check(err)
	engine := urlfilter.NewDNSEngine(storage)
	report("urlfilter", time.Since(began), before)
	in := names(path, 10_000)
	misses := make([]string, len(in))
	for i, n := range in {
		misses[i] = "www.not-" + n
	}
	match := func(n string) bool { _, ok := engine.Match(n); return ok }
	lookups("hit", in[:1000], match, true)
	lookups("miss", misses, match, false)
}

// reload replaces the list ten times from a server of our own, while lookups
// go on, and says how far the memory of the process rises over the steady one.
// The server streams the file, so it holds nothing.
func reload(path, state string) {
	var generation atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		check(err)
		defer f.Close()
		fmt.Fprintf(w, "# %d\n", generation.Add(1))
		_, _ = f.WriteTo(w)
	}))
	defer srv.Close()
	l := newLists(blocklist.Config{Name: "big", URL: srv.URL, AllowPrivate: true, MaxBytes: 1 << 30, Timeout: 5 * time.Minute}, state)
	check(l.Load())
	check(l.Refresh(context.Background(), "big"))

	in := names(path, 20_000)
	wires := make([]wire, len(in))
	for i, n := range in {
		wires[i] = toWire(n)
	}
	var done atomic.Bool
	var lookups, lost atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !done.Load(); i++ {
			var buf [4]blocklist.Hit
			if len(l.Snapshot().Match(buf[:0], wires[i%len(wires)])) == 0 {
				lost.Add(1)
			}
			lookups.Add(1)
			if i%2000 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
	// Steady is with all of the list touched, as after a day.
	s := l.Snapshot()
	f, err := os.Open(path)
	check(err)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var buf [4]blocklist.Hit
		s.Match(buf[:0], toWire(sc.Text()))
	}
	f.Close()
	s = nil
	var samples []int64
	for range 20 {
		samples = append(samples, rss("VmRSS"))
		time.Sleep(50 * time.Millisecond)
	}
	slices.Sort(samples)
	steady, peak := samples[len(samples)/2], int64(0)
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			peak = max(peak, rss("VmRSS"))
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	began := time.Now()
	const times = 10
	for range times {
		check(l.Refresh(context.Background(), "big"))
	}
	took := time.Since(began)
	close(stop)
	done.Store(true)
	wg.Wait()
	fmt.Printf("%d reloads of %d names in %.1f s: steady %.1f MB, peak %.1f MB, ratio %.2f; %d lookups meanwhile, %d lost\n", times,
		l.Snapshot().Lists()[0].Entries, took.Seconds(), mb(steady), mb(peak), float64(peak)/float64(steady), lookups.Load(), lost.Load())
}
