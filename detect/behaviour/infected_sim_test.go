package behaviour_test

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/internal/dnsname"
)

// A scored name is a registered domain and the share of benign names that score
// as high, by a model that knows nothing of its lineage (training/unseen.py).
type scoredName struct {
	name dnsname.Name
	tail float64
}

func readScored(t *testing.T, file string) (benign []scoredName, dga map[string]map[string][]scoredName) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dga = map[string]map[string][]scoredName{}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		tail, err := strconv.ParseFloat(c[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		n := scoredName{dnsname.MustParse(c[4]), tail}
		if c[0] == "legit" {
			benign = append(benign, n)
			continue
		}
		if dga[c[2]] == nil {
			dga[c[2]] = map[string][]scoredName{}
		}
		dga[c[2]][c[1]] = append(dga[c[2]][c[1]], n)
	}
	return benign, dga
}

// simulated is a site whose clients all live on one day: each asks for new names
// of its own, spread over the day, some of which do not exist.
type simulated struct {
	w       *behaviour.Watcher
	sink    told
	r       *rand.Rand
	clients uint32
	tx      detect.Transaction
	benign  []scoredName
}

func newSimulated(t *testing.T, benign []scoredName, change func(*behaviour.Config)) *simulated {
	s := &simulated{r: rand.New(rand.NewPCG(7, 8)), benign: benign}
	cfg := behaviour.DefaultConfig()
	only(func(c *behaviour.Config) { c.Infected.Mode = detect.ModeMonitor })(&cfg)
	cfg.MaxClients = 1 << 20
	if change != nil {
		change(&cfg)
	}
	var err error
	if s.w, err = behaviour.New(cfg, behaviour.Deps{
		Registry: prometheus.NewRegistry(), Findings: &s.sink,
		Tail: func(v *detect.Verdict) float64 { return 1 / float64(v.OneIn) },
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

type lookup struct {
	at int // seconds of the day
	scoredName
	nx bool
}

// day lets one more client live: other benign new names, and infected ones in a
// burst of an hour. It says what the client is taken for at the end.
func (s *simulated) day(others int, infected []scoredName, count int, nxInfected float64) string {
	s.clients++
	var octets [4]byte
	binary.BigEndian.PutUint32(octets[:], 10<<24+s.clients)
	// Some clients are worse typists than others: Beta(0.5, 4.5), 10 % on average.
	nx := beta(s.r, 0.5, 4.5)
	var all []lookup
	// People come and go: six times half an hour.
	var sessions [6]int
	for i := range sessions {
		sessions[i] = s.r.IntN(86400 - 1800)
	}
	for range others {
		all = append(all, lookup{sessions[s.r.IntN(len(sessions))] + s.r.IntN(1800), s.benign[s.r.IntN(len(s.benign))], s.r.Float64() < nx})
	}
	if count > 0 {
		begin := s.r.IntN(82800)
		for _, i := range s.r.Perm(len(infected))[:min(count, len(infected))] {
			all = append(all, lookup{begin + s.r.IntN(3600), infected[i], s.r.Float64() < nxInfected})
		}
	}
	slices.SortFunc(all, func(a, b lookup) int { return a.at - b.at })
	before := len(s.sink.lines)
	for _, l := range all {
		s.tx = detect.Transaction{
			Query:    detect.Query{Time: start.Truncate(24 * time.Hour).Add(time.Duration(l.at) * time.Second), Client: netip.AddrFrom4(octets), Name: l.name, Type: dns.TypeA, Class: dns.ClassINET},
			Verdict:  detect.Verdict{Unscored: detect.Scored, Registered: l.name, OneIn: uint32(1/l.tail + 0.5)},
			Source:   detect.FromUpstream,
			Response: []byte{0, 0, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0},
		}
		if l.nx {
			s.tx.Rcode = dns.RcodeNameError
		}
		s.w.Record(&s.tx)
	}
	out := "clean"
	for _, line := range s.sink.lines[before:] {
		if strings.Contains(line, "standing=infected") {
			return "infected"
		}
		out = "suspicious"
	}
	return out
}

// beta draws from Beta(a, b) as a share of gammas.
func beta(r *rand.Rand, a, b float64) float64 {
	x, y := gamma(r, a), gamma(r, b)
	return x / (x + y)
}

// gamma draws from Gamma(k, 1): Marsaglia and Tsang, with the usual step for k
// below one.
func gamma(r *rand.Rand, k float64) float64 {
	if k < 1 {
		return gamma(r, k+1) * math.Pow(r.Float64(), 1/k)
	}
	d := k - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if u := r.Float64(); math.Log(u) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// TestSimulatedHosts measures how many infected clients are found where one
// benign client in a thousand a day is taken for one: `make hosts-sim`. The
// figures are in docs/detections.md.
func TestSimulatedHosts(t *testing.T) {
	file := os.Getenv("WEIR_UNSEEN")
	if file == "" {
		t.Skip("WEIR_UNSEEN names no file of training/unseen.py")
	}
	const days, others, oneIn = 60_000, 50, 1000
	benign, dga := readScored(t, file)
	// One half of the benign names makes the threshold, the other the false alarms.
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(benign), func(i, j int) { benign[i], benign[j] = benign[j], benign[i] })
	half := len(benign) / 2
	s := newSimulated(t, benign[:half], nil)
	for range days {
		s.day(others, nil, 0, 0)
	}
	threshold := s.w.Calibrate(oneIn)
	s = newSimulated(t, benign[half:], func(c *behaviour.Config) { c.Infected.Threshold = threshold })
	wrong := map[string]int{}
	for range days {
		wrong[s.day(others, nil, 0, 0)]++
	}
	t.Logf("threshold %.2f; of %d other client-days %.3f %% infected, %.3f %% suspicious", threshold, days,
		100*float64(wrong["infected"])/days, 100*float64(wrong["suspicious"])/days)
	for _, c := range []struct {
		count int
		nx    float64
	}{{5, 0.9}, {10, 0.9}, {10, 0.5}, {10, 0}, {20, 0.9}, {40, 0.9}} {
		const tries = 200
		sum, missed := 0.0, []string{}
		for _, lineage := range slices.Sorted(maps.Keys(dga)) {
			of := 0.0
			for _, family := range slices.Sorted(maps.Keys(dga[lineage])) {
				found := 0
				for range tries {
					if s.day(others, dga[lineage][family], c.count, c.nx) == "infected" {
						found++
					}
				}
				of += float64(found) / tries / float64(len(dga[lineage]))
			}
			sum += of
			if of < 0.8 {
				missed = append(missed, fmt.Sprintf("%s %.0f %%", lineage, 100*of))
			}
		}
		t.Logf("%d lookups, %.0f %% of them NXDOMAIN: %.1f %% found of %d lineages; below 80 %%: %s", c.count, 100*c.nx,
			100*sum/float64(len(dga)), len(dga), strings.Join(missed, ", "))
	}
}
