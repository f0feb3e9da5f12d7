package behaviour_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/internal/dnsname"
)

// judging is a watcher whose names are as rare as tails says, one in two if it
// says nothing.
func judging(t testing.TB, tails func(name string) float64, popular string) (*behaviour.Watcher, *told) {
	t.Helper()
	sink, cfg := &told{}, behaviour.DefaultConfig()
	only(func(c *behaviour.Config) { c.Infected.Mode = detect.ModeMonitor })(&cfg)
	w, err := behaviour.New(cfg, behaviour.Deps{
		Registry: prometheus.NewRegistry(), Findings: sink,
		Tail:    func(v *detect.Verdict) float64 { return tails(v.Registered.String()) },
		Popular: func(n dnsname.Name) bool { return popular != "" && n.Equal(dnsname.MustParse(popular)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, sink
}

// asked is a transaction that the model has judged.
func asked(t testing.TB, at time.Duration, client, name string, rcode int) *detect.Transaction {
	tx := answer(t, query(at, client, name, dns.TypeA), rcode)
	tx.Verdict.Unscored, tx.Verdict.Registered = detect.Scored, tx.Query.Name
	return tx
}

func rare(tail float64) func(string) float64 { return func(string) float64 { return tail } }

func TestInfectedClients(t *testing.T) {
	const client = "192.0.2.1"
	for _, c := range []struct {
		say  string
		tail func(string) float64
		send func(w *behaviour.Watcher)
		want string // the last finding's beginning; "": none
	}{
		{"ten rare names that do not exist", rare(0.001), func(w *behaviour.Watcher) {
			for i := range 10 {
				w.Record(asked(t, time.Duration(i)*time.Minute, client, fmt.Sprintf("%c%dkxqzvw.%c.com", 'a'+i, i, 'a'+i), dns.RcodeNameError))
			}
		}, "infected_client high " + client},
		{"ten that do", rare(0.001), func(w *behaviour.Watcher) {
			for i := range 8 {
				w.Record(asked(t, time.Duration(i)*time.Minute, client, fmt.Sprintf("%c%dkxqzvw.com", 'a'+i, i*7), dns.RcodeSuccess))
			}
		}, "infected_client medium " + client},
		{"one rare name again and again", rare(0.0001), func(w *behaviour.Watcher) {
			for i := range 1000 {
				w.Record(asked(t, time.Duration(i)*time.Minute, client, "kxqzvwkxqzvw.com", dns.RcodeNameError))
			}
		}, ""},
		{"names that are not rare", rare(0.3), func(w *behaviour.Watcher) {
			for i := range 2000 {
				w.Record(asked(t, time.Duration(i)*time.Second*40, client, fmt.Sprintf("%c%c%d.com", 'a'+i%26, 'a'+i/26%26, i*i), dns.RcodeSuccess))
			}
		}, ""},
		{"a few rare names a day", rare(0.005), func(w *behaviour.Watcher) {
			r := rand.New(rand.NewPCG(9, 9))
			for i := range 60 {
				w.Record(asked(t, time.Duration(i)*12*time.Hour, client, hexes(r, 4+i%5)+".com", dns.RcodeNameError))
			}
		}, ""},
		{"common words, one length and suffix", rare(0.9), func(w *behaviour.Watcher) {
			words := []string{"river", "stone", "cloud", "green", "table", "house"}
			for i := range 30 {
				w.Record(asked(t, time.Duration(i)*time.Minute, client, words[i%6]+words[i/6]+".net", dns.RcodeNameError))
			}
		}, "infected_client high " + client},
		{"one name each, many clients", rare(0.001), func(w *behaviour.Watcher) {
			for i := range 200 {
				w.Record(asked(t, time.Duration(i)*time.Minute, fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("q%dkxqzvw.com", i), dns.RcodeNameError))
			}
		}, ""},
		{"what others asked for yesterday", rare(0.001), func(w *behaviour.Watcher) {
			for i := range 30 {
				name := fmt.Sprintf("%c%dkxqzvw.com", 'a'+i%26, i)
				w.Record(asked(t, 0, fmt.Sprintf("192.0.2.%d", i+9), name, dns.RcodeNameError))
			}
			for i := range 30 {
				w.Record(asked(t, 24*time.Hour, client, fmt.Sprintf("%c%dkxqzvw.com", 'a'+i%26, i), dns.RcodeNameError))
			}
		}, ""},
	} {
		t.Run(c.say, func(t *testing.T) {
			w, sink := judging(t, c.tail, "")
			c.send(w)
			switch {
			case c.want == "" && len(sink.lines) > 0:
				t.Errorf("found %q", sink.lines)
			case c.want != "" && (len(sink.lines) == 0 || !strings.HasPrefix(sink.lines[len(sink.lines)-1], c.want)):
				t.Errorf("found %q, want %q", sink.lines, c.want)
			}
		})
	}
}

// The verdict names its evidence, outlives a restart with it, and goes with a
// reset.
func TestAVerdictOutlivesARestartAndEndsWithAReset(t *testing.T) {
	const client = "192.0.2.1"
	w, sink := judging(t, rare(0.001), "")
	name := func(i int) string { return fmt.Sprintf("%c%dkxqzvw.com", 'a'+i, i) }
	for i := range 12 {
		w.Record(asked(t, time.Duration(i)*time.Minute, client, name(i), dns.RcodeNameError))
	}
	if last := sink.lines[len(sink.lines)-1]; !strings.Contains(last, "standing=infected") || !strings.Contains(last, name(0)) {
		t.Fatalf("found %q", last)
	}
	first := w.Infections()
	if len(first.Clients) != 1 || first.Clients[0].Standing != behaviour.Infected || len(first.Clients[0].Evidence) != 10 || first.Calibrated {
		t.Fatalf("clients %+v", first)
	}
	data, err := w.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("192.0.2")) {
		t.Error("the file has a client's address")
	}
	again, sink := judging(t, rare(0.001), "")
	if err := again.Restore(data); err != nil {
		t.Fatal(err)
	}
	if c := again.Infections().Clients; len(c) != 1 || c[0].Addr.IsValid() || c[0].Standing != behaviour.Infected {
		t.Errorf("after a restart: %+v", c)
	}
	// Known names speak against nobody after a restart either, by the next day.
	for i := range 12 {
		again.Record(asked(t, 24*time.Hour+time.Duration(i)*time.Minute, "192.0.2.2", name(i), dns.RcodeNameError))
	}
	again.Record(asked(t, 24*time.Hour+time.Hour, client, "onemorekxqzvw.com", dns.RcodeNameError))
	c := again.Infections().Clients
	if len(c) != 1 || c[0].Addr.String() != client || c[0].Standing != behaviour.Infected {
		t.Errorf("the client is back: %+v", c)
	}
	if len(sink.lines) > 0 {
		t.Errorf("told again: %q", sink.lines)
	}
	if !again.Reset(netip.MustParseAddr("::ffff:192.0.2.1")) || again.Reset(netip.MustParseAddr("192.0.2.77")) {
		t.Error("reset does not say whether there was anything")
	}
	if c := again.Infections().Clients; len(c) != 0 {
		t.Errorf("after a reset: %+v", c)
	}
	for i := range data {
		if i >= 64 && i%50021 != 0 || i%8 != 0 && i < 64 {
			continue
		}
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if err := again.Restore(bad); err == nil {
			t.Fatalf("octet %d changed, and taken", i)
		}
	}
}

// A site that knows itself sets the threshold, within bounds.
func TestTheSiteSetsTheThreshold(t *testing.T) {
	r := 0
	w, _ := judging(t, func(string) float64 { r++; return float64(r%200+1) / 200 }, "")
	n := 0
	for day := range 8 {
		for client := range 500 {
			for range 5 {
				n++
				w.Record(asked(t, time.Duration(day)*24*time.Hour+time.Duration(client)*time.Minute,
					fmt.Sprintf("10.0.%d.%d", client/250, client%250), fmt.Sprintf("%c%dw%c.com", 'a'+n%26, n, 'a'+n/7%26), dns.RcodeSuccess))
			}
		}
	}
	got := w.Infections()
	if !got.Calibrated || got.ClientDays != 3000 || got.Infected != 5 || got.Suspicious > got.Infected {
		t.Errorf("calibrated %v by %d client-days: %v, %v; want half of the default by 3000", got.Calibrated, got.ClientDays, got.Infected, got.Suspicious)
	}
}

func FuzzRestore(f *testing.F) {
	w, _ := judging(f, rare(0.001), "")
	w.Record(asked(f, 0, "192.0.2.1", "kxqzvw.com", dns.RcodeNameError))
	good, err := w.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add(good[:100])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, _ := judging(t, rare(0.5), "")
		if w.Restore(data) != nil {
			return
		}
		w.Record(asked(t, 0, "192.0.2.1", "kxqzvw.com", dns.RcodeNameError))
	})
}
