package behaviour_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// labelled reads a column of one of the labelled names' files, where keep likes
// the row.
func labelled(t *testing.T, file string, keep func(row []string) bool) (names []string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if row := strings.Split(lines.Text(), "\t"); keep(row) {
			names = append(names, row[0])
		}
	}
	return names
}

// TestBenignDays counts what is told of an office where nothing is wrong, on the
// last of nine days: `make benign-day`. The figures are in docs/detections.md.
// 200 clients ask for real names, some for all (by Zipf's law), some for few; 25
// new domains a client and day; 3 % of what they type does not exist; each has
// programs that ask by the clock for names the site knows, one in ten for names
// that are new; a mail server asks a DNSBL 20,000 times, antivirus and telemetry
// put hashes into names, a CDN has 300 hosts for everybody.
func TestBenignDays(t *testing.T) {
	data := os.Getenv("WEIR_LABELLED")
	if data == "" {
		t.Skip("WEIR_LABELLED names no folder of labelled names")
	}
	hosts := labelled(t, filepath.Join(data, "train", "hosts_legit.tsv.gz"), func(r []string) bool { return r[1] == "legit" })
	domains := labelled(t, filepath.Join(data, "train", "domains.tsv.gz"), func(r []string) bool { return r[1] == "legit" })
	r := rand.New(rand.NewPCG(21, 22))
	r.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	r.Shuffle(len(domains), func(i, j int) { domains[i], domains[j] = domains[j], domains[i] })
	model, err := detect.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	suffixes := dnsname.DefaultSuffixes()
	brands, err := lookalike.New(lookalike.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	sink := &told{}
	w, err := behaviour.New(behaviour.DefaultConfig(), behaviour.Deps{
		Registry: prometheus.NewRegistry(), Findings: sink, Tail: func(v *detect.Verdict) float64 { return model.Tail(v.Score) }, Brand: brands.Owned,
	})
	if err != nil {
		t.Fatal(err)
	}
	type ask struct {
		at            int
		client        int
		name, address string
		missing       bool
	}
	zipf := rand.NewZipf(r, 1.2, 20, uint64(len(hosts)-1))
	fresh := 0
	place := func(name string) string { // where a name points, always the same
		h := uint32(2166136261)
		for i := range len(name) {
			h = (h ^ uint32(name[i])) * 16777619
		}
		return fmt.Sprintf("%d.%d.%d.%d", 20+h%60, h>>8&255, h>>16&255, 1+h>>24%250)
	}
	queries, last := 0, 0
	for day := range 9 {
		var all []ask
		add := func(at, client int, name string, missing bool) {
			all = append(all, ask{at, client, name, place(name), missing})
		}
		for client := range 200 {
			hour := func() int { return 8*3600 + int(math.Abs(r.NormFloat64())*3*3600)%(14*3600) }
			for range 250 {
				add(hour(), client, hosts[zipf.Uint64()], false)
			}
			for range 25 {
				name := domains[fresh%len(domains)]
				fresh++
				add(hour(), client, name, r.Float64() < 0.03)
			}
			for range 3 {
				add(hour(), client, fmt.Sprintf("%s%c.com", strings.Split(hosts[zipf.Uint64()], ".")[0], 'a'+r.IntN(26)), true)
			}
			for p := range 4 {
				name := hosts[(client+p*31)%300]
				if p == 0 && client%10 == 0 {
					name = domains[len(domains)-1-day*200-client]
				}
				for at := r.IntN(1800); at < 86400; at += 1800 + r.IntN(60) {
					add(at, client, name, false)
				}
			}
			for range 40 {
				add(hour(), client, hexes(r, 16)+".avqs.mcafee.com", false)
				add(hour(), client, fmt.Sprintf("e%d.cdn.%s", r.IntN(300), "fastly.net"), false)
				add(hour(), client, fmt.Sprintf("r%d---sn-%s.googlevideo.com", r.IntN(9), hexes(r, 4)), false)
			}
		}
		for range 20000 {
			add(r.IntN(86400), 250, fmt.Sprintf("%d.%d.%d.%d.zen.spamhaus.org", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256)), r.Float64() < 0.9)
		}
		slices.SortStableFunc(all, func(a, b ask) int { return a.at - b.at })
		if day == 8 {
			last = len(sink.findings)
			queries = len(all)
		}
		for _, a := range all {
			name, err := dnsname.Parse(a.name)
			if err != nil {
				continue
			}
			tx := query(time.Duration(day)*24*time.Hour+time.Duration(a.at)*time.Second-8*time.Hour, fmt.Sprintf("192.0.2.%d", a.client), a.name, dns.TypeA)
			split := suffixes.Split(name)
			tx.Verdict.Registered, tx.Verdict.Unscored = split.Registered, detect.NotHost
			if score, err := model.Score(split); err == nil && split.Registered != nil {
				tx.Verdict.Score, tx.Verdict.Level, tx.Verdict.Unscored = score, model.Level(score), detect.Scored
			}
			tx.Verdict.Lookalike, _ = brands.Match(name, split)
			if a.missing {
				answer(t, tx, dns.RcodeNameError)
			} else {
				answer(t, tx, dns.RcodeSuccess, name.String()+". 300 IN A "+a.address)
			}
			w.Record(tx)
		}
	}
	counts := map[string]int{}
	for _, f := range sink.findings[last:] {
		counts[f.Kind.String()+" "+f.Level.String()]++
	}
	t.Logf("%d queries of 201 clients; told: %v", queries, counts)
	for i, f := range sink.findings[last:] {
		if f.Kind != detect.NewDomain {
			t.Log(sink.lines[last+i])
		}
	}
}
