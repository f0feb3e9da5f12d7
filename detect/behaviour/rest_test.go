package behaviour_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
)

// only switches all detections off but those that keep leaves on.
func only(keep func(on *behaviour.Config)) func(*behaviour.Config) {
	return func(c *behaviour.Config) {
		for _, mode := range []*string{
			&c.Rebinding.Mode, &c.Tunnels.Mode, &c.Infected.Mode, &c.NXDOMAINBursts.Mode, &c.Beacons.Mode, &c.FastFlux.Mode,
			&c.NewDomains.Mode, &c.Lookalikes.Mode, &c.UpstreamBlocks.Mode, &c.SilentClients.Mode,
		} {
			*mode = detect.ModeOff
		}
		keep(c)
	}
}

func TestOtherDetections(t *testing.T) {
	const client, day = "192.0.2.1", 24 * time.Hour
	bursts := only(func(c *behaviour.Config) { c.NXDOMAINBursts.Mode = detect.ModeMonitor })
	beacons := only(func(c *behaviour.Config) { c.Beacons.Mode = detect.ModeMonitor })
	flux := only(func(c *behaviour.Config) { c.FastFlux.Mode = detect.ModeMonitor })
	fresh := only(func(c *behaviour.Config) {
		c.NewDomains.Mode, c.NewDomains.LearnDays, c.NewDomains.PerDay = detect.ModeMonitor, 2, 3
	})
	blocks := only(func(c *behaviour.Config) { c.UpstreamBlocks.Mode = detect.ModeMonitor })
	silent := only(func(c *behaviour.Config) { c.SilentClients.Mode = detect.ModeMonitor })
	missing := func(w *behaviour.Watcher, at time.Duration, name string) {
		w.Record(answer(t, query(at, client, name, dns.TypeA), dns.RcodeNameError))
	}
	exists := func(w *behaviour.Watcher, at time.Duration, name string, ttl int, addresses ...string) {
		var records []string
		for _, a := range addresses {
			records = append(records, fmt.Sprintf("%s. %d IN A %s", name, ttl, a))
		}
		w.Record(answer(t, query(at, client, name, dns.TypeA), dns.RcodeSuccess, records...))
	}
	for _, c := range []struct {
		say    string
		change func(*behaviour.Config)
		send   func(w *behaviour.Watcher, r *rand.Rand)
		want   []string // beginnings of the findings
	}{
		{"120 domains that do not exist", bursts, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 120 {
				missing(w, time.Duration(i)*time.Second, fmt.Sprintf("www.no%d.com", i))
			}
		}, []string{"nxdomain_burst low 192.0.2.1", "nxdomain_burst medium 192.0.2.1"}},
		{"one that does not exist below 500 names", bursts, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 500 {
				missing(w, time.Duration(i)*time.Second, fmt.Sprintf("host%d.corp.com", i))
			}
		}, nil},
		{"a client that always asks so", bursts, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 5000 {
				missing(w, time.Duration(i)*2*time.Minute, fmt.Sprintf("no%d.com", i)) // 30 an hour
			}
			for i := range 80 {
				missing(w, 5000*2*time.Minute+time.Duration(i)*time.Second, fmt.Sprintf("yes%d.com", i))
			}
		}, nil},
		{"local names that lack a suffix", bursts, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 500 {
				missing(w, time.Duration(i)*time.Second, fmt.Sprintf("a.host%d", i))
			}
		}, nil},
		{"every five minutes and some seconds", beacons, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 40 {
				exists(w, time.Duration(i)*5*time.Minute+time.Duration(r.IntN(10))*time.Second, "c2.new.com", 60, "198.51.100.1")
			}
		}, []string{"beacon low 192.0.2.1 c2.new.com period="}},
		{"below a zone of dynamic DNS", beacons, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 40 {
				exists(w, time.Duration(i)*5*time.Minute, "c2.duckdns.org", 60, "198.51.100.1")
			}
		}, []string{"beacon medium 192.0.2.1 c2.duckdns.org"}},
		{"as the TTL says", beacons, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 40 {
				exists(w, time.Duration(i)*302*time.Second, "api.new.com", 300, "198.51.100.1")
			}
		}, nil},
		{"when a person likes", beacons, func(w *behaviour.Watcher, r *rand.Rand) {
			at := time.Duration(0)
			for range 200 {
				at += time.Duration(60+r.ExpFloat64()*900) * time.Second
				exists(w, at, "www.new.com", 60, "198.51.100.1")
			}
		}, nil},
		{"a domain that the site knows, by the clock", beacons, func(w *behaviour.Watcher, r *rand.Rand) {
			w.Record(answer(t, query(0, "192.0.2.2", "updates.com", dns.TypeA), dns.RcodeSuccess))
			for i := range 40 {
				exists(w, day+time.Duration(i)*5*time.Minute, "updates.com", 60, "198.51.100.1")
			}
		}, nil},
		{"eight networks in an hour", flux, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 8 {
				exists(w, time.Duration(i)*5*time.Minute, "flux.com", 120, fmt.Sprintf("%d.9.1.1", 20+i), fmt.Sprintf("%d.9.2.2", 20+i))
			}
		}, []string{"fast_flux medium invalid IP flux.com score="}},
		{"a content network's whole list at once", flux, func(w *behaviour.Watcher, r *rand.Rand) {
			var all []string
			for i := range 12 {
				all = append(all, fmt.Sprintf("%d.9.1.1", 20+i))
			}
			for i := range 20 {
				exists(w, time.Duration(i)*5*time.Minute, "list.com", 60, all...)
			}
		}, nil},
		{"many addresses in two networks", flux, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 60 {
				exists(w, time.Duration(i)*5*time.Minute, "cdn.com", 60, fmt.Sprintf("198.51.100.%d", i), fmt.Sprintf("203.0.113.%d", i))
			}
		}, nil},
		{"many networks that stay", flux, func(w *behaviour.Watcher, r *rand.Rand) {
			for i := range 12 {
				exists(w, time.Duration(i)*5*time.Minute, "big.com", 86400, fmt.Sprintf("%d.9.1.1", 20+i))
			}
		}, nil},
		{"new domains, once the site is known, three a day", fresh, func(w *behaviour.Watcher, r *rand.Rand) {
			for d := range 3 {
				exists(w, time.Duration(d)*day, "known.com", 60, "198.51.100.1")
			}
			missing(w, 2*day, "gone.com")
			for _, name := range []string{"a.one.com", "b.one.com", "two.com", "three.duckdns.org", "four.com"} {
				exists(w, 2*day+time.Hour, name, 60, "198.51.100.1")
			}
			exists(w, 3*day, "two.com", 60, "198.51.100.1")
		}, []string{"new_domain low 192.0.2.1 one.com days_watched=2", "new_domain low 192.0.2.1 two.com", "new_domain low 192.0.2.1 three.duckdns.org days_watched=2 mark=dynamic_dns"}},
		{"a parked domain", fresh, func(w *behaviour.Watcher, r *rand.Rand) {
			exists(w, 0, "known.com", 60, "192.0.2.9")
			exists(w, day, "known.com", 60, "192.0.2.9")
			w.Record(answer(t, query(2*day, client, "sold.com", dns.TypeA), dns.RcodeSuccess,
				"sold.com. 60 IN CNAME x.sedoparking.com.", "x.sedoparking.com. 60 IN A 192.0.2.9"))
			exists(w, 2*day, "kept.com", 60, "192.0.2.9")
		}, []string{"new_domain low 192.0.2.1 sold.com days_watched=2 mark=parked", "new_domain low 192.0.2.1 kept.com days_watched=2"}},
		{"upstreams that block", blocks, func(w *behaviour.Watcher, r *rand.Rand) {
			exists(w, 0, "zero.com", 60, "0.0.0.0")
			exists(w, 0, "mixed.com", 60, "0.0.0.0", "198.51.100.1")
			missing(w, 0, "no.com")
			tx := answer(t, query(0, client, "quad.com", dns.TypeA), dns.RcodeNameError)
			tx.Response[3] &^= 0x80 // RA
			w.Record(tx)
			m := new(dns.Msg)
			m.SetQuestion("ede.com.", dns.TypeA)
			m.Response, m.RecursionAvailable = true, true
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeFiltered})
			tx = query(0, client, "ede.com", dns.TypeA)
			tx.Response, _ = m.Pack()
			tx.Source, tx.Upstream = detect.FromUpstream, "9.9.9.9:53"
			w.Record(tx)
			tx.Source = detect.FromPolicy // our own
			tx.Query.Name[1] = 'x'
			w.Record(tx)
		}, []string{"upstream_block low 192.0.2.1 zero.com by=unspecified address", "upstream_block low 192.0.2.1 quad.com by=NXDOMAIN without RA",
			"upstream_block low 192.0.2.1 ede.com by=EDE 17 (filtered) upstream=9.9.9.9:53"}},
		{"a client that falls silent", silent, func(w *behaviour.Watcher, r *rand.Rand) {
			for d := range 12 {
				for i := range 60 {
					at := time.Duration(d)*day + time.Duration(i)*time.Minute
					w.Record(query(at, "192.0.2.9", "other.com", dns.TypeA))
					if d < 8 {
						w.Record(query(at, client, "mine.com", dns.TypeA))
					}
					if d%7 < 5 {
						w.Record(query(at, "192.0.2.5", "at.work.com", dns.TypeA)) // not at weekends
					}
				}
			}
		}, []string{"silent_client low 192.0.2.1  days_before=8"}},
	} {
		t.Run(c.say, func(t *testing.T) {
			w, sink, _ := watcher(t, c.change)
			c.send(w, rand.New(rand.NewPCG(11, 12)))
			if len(sink.lines) != len(c.want) {
				t.Fatalf("found %q, want %q", sink.lines, c.want)
			}
			for i, line := range sink.lines {
				if !strings.HasPrefix(line, c.want[i]) {
					t.Errorf("found %q, want %q", line, c.want[i])
				}
			}
		})
	}
}
