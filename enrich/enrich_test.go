package enrich_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/internal/dnsname"
)

// mmdb writes a database of that type with one record for each network.
func mmdb(tb testing.TB, path, kind string, records map[string]mmdbtype.Map) string {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true})
	if err != nil {
		tb.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			tb.Fatal(err)
		}
		if err := tree.Insert(n, record); err != nil {
			tb.Fatal(err)
		}
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
	return path
}

func country(code, city string) mmdbtype.Map {
	m := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
	if city != "" {
		m["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(city), "de": mmdbtype.String("anders")}}
	}
	return m
}

func system(number uint32, org string) mmdbtype.Map {
	return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(number), "autonomous_system_organization": mmdbtype.String(org)}
}

// files are a configuration with all of its files.
func files(tb testing.TB) enrich.Config {
	tb.Helper()
	dir := tb.TempDir()
	cfg := enrich.DefaultConfig()
	cfg.City = mmdb(tb, filepath.Join(dir, "city.mmdb"), "GeoLite2-City", map[string]mmdbtype.Map{
		"198.51.100.0/24": country("NL", "Delft"), "203.0.113.0/25": country("DE", "Bonn"), "203.0.113.128/25": country("FR", ""), "2001:db8::/32": country("SE", ""),
	})
	cfg.ASN = mmdb(tb, filepath.Join(dir, "asn.mmdb"), "GeoLite2-ASN", map[string]mmdbtype.Map{
		"198.51.100.0/24": system(64500, "Example Net"), "203.0.113.0/24": system(64501, "Example Host"),
	})
	cfg.Networks = filepath.Join(dir, "networks.csv")
	write(tb, cfg.Networks, "network,name\n# the site\n10.1.0.0/16,campus\n10.1.2.0/24,\"lab, second floor\"\n10.1.2.3,printer\n203.0.113.7 , web\n")
	return cfg
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func enricher(tb testing.TB, cfg enrich.Config, reg prometheus.Registerer) *enrich.Enricher {
	tb.Helper()
	tables, err := enrich.Load(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := enrich.New(tables, reg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func answered(tb testing.TB, records ...string) *detect.Transaction {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.", dns.TypeA)
	m.Response = true
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			tb.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return &detect.Transaction{Query: detect.Query{Name: dnsname.MustParse("www.example")}, Response: msg}
}

func TestEveryAddressOfAnAnswerIsLookedUp(t *testing.T) {
	e := enricher(t, files(t), prometheus.NewRegistry())
	var got detect.Context
	e.Enrich(answered(t,
		"www.example. 60 IN CNAME host.example.", "host.example. 60 IN A 198.51.100.9", "host.example. 60 IN A 203.0.113.7",
		"host.example. 60 IN AAAA 2001:db8::1", "host.example. 60 IN A 192.0.2.1", "host.example. 60 IN AAAA ::ffff:203.0.113.200",
	), netip.Prefix{}, &got)
	want := detect.Context{Answers: []detect.AnswerContext{
		{Addr: netip.MustParseAddr("198.51.100.9"), Place: detect.Place{Country: "NL", City: "Delft", ASN: 64500, Org: "Example Net"}},
		{Addr: netip.MustParseAddr("203.0.113.7"), Name: "web", Place: detect.Place{Country: "DE", City: "Bonn", ASN: 64501, Org: "Example Host"}},
		{Addr: netip.MustParseAddr("2001:db8::1"), Place: detect.Place{Country: "SE"}},
		{Addr: netip.MustParseAddr("203.0.113.200"), Place: detect.Place{Country: "FR", ASN: 64501, Org: "Example Host"}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What is said of a client never tells more of it than what is kept of its address:
// not the name of a smaller network, nor the city of half of one.
func TestAClientIsKnownAsFarAsItsAddressIsKept(t *testing.T) {
	e := enricher(t, files(t), prometheus.NewRegistry())
	own := func(name string) detect.ClientContext { return detect.ClientContext{Name: name, Own: true} }
	for kept, want := range map[string]detect.ClientContext{
		"10.1.2.3/32":     own("printer"),
		"10.1.2.9/32":     own("lab, second floor"),
		"10.1.2.0/24":     own("lab, second floor"),
		"10.1.3.0/24":     own("campus"),
		"10.0.0.0/8":      own(""),
		"0.0.0.0/0":       {},
		"198.51.100.7/32": {Place: detect.Place{Country: "NL", City: "Delft", ASN: 64500, Org: "Example Net"}},
		"198.51.100.0/24": {Place: detect.Place{Country: "NL", City: "Delft", ASN: 64500, Org: "Example Net"}},
		"203.0.113.0/24":  {Place: detect.Place{ASN: 64501, Org: "Example Host"}}, // two countries
		"2001:db8:7::/48": {Place: detect.Place{Country: "SE"}},
		"fd00::1/128":     own(""),
	} {
		var got detect.Context
		e.Enrich(answered(t), netip.MustParsePrefix(kept), &got)
		if got.Client != want {
			t.Errorf("%s: got %+v, want %+v", kept, got.Client, want)
		}
	}
	got := detect.Context{Client: own("of the one before")}
	e.Enrich(answered(t), netip.Prefix{}, &got)
	if got.Known() {
		t.Errorf("of a client of whom nothing is kept: %+v", got)
	}
}

func TestWithoutFilesOnlyOwnNetworksAreKnown(t *testing.T) {
	e := enricher(t, enrich.DefaultConfig(), prometheus.NewRegistry())
	var got detect.Context
	e.Enrich(answered(t, "www.example. 60 IN A 198.51.100.9"), netip.MustParsePrefix("192.168.1.2/32"), &got)
	if want := (detect.Context{Client: detect.ClientContext{Own: true}}); !reflect.DeepEqual(got.Client, want.Client) || len(got.Answers) > 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNewFilesTakeTheOldOnesPlace(t *testing.T) {
	cfg := files(t)
	e := enricher(t, cfg, prometheus.NewRegistry())
	tx, client := answered(t, "www.example. 60 IN A 198.51.100.9"), netip.MustParsePrefix("10.1.2.3/32")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			var c detect.Context
			for {
				select {
				case <-stop:
					return
				default:
				}
				e.Enrich(tx, client, &c)
				if c.Answers[0].Country != "NL" && c.Answers[0].Country != "BE" {
					t.Errorf("in the midst of a reload: %+v", c)
					return
				}
			}
		})
	}
	mmdb(t, cfg.City, "DBIP-City-Lite", map[string]mmdbtype.Map{"198.51.100.0/24": country("BE", "")})
	write(t, cfg.Networks, "10.1.2.3,copier\n")
	for range 20 {
		tables, err := enrich.Load(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Swap(tables); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	var got detect.Context
	e.Enrich(tx, client, &got)
	if got.Client.Name != "copier" || got.Answers[0].Country != "BE" {
		t.Errorf("after the reload: %+v", got)
	}
}

func TestTheCacheStaysInItsBound(t *testing.T) {
	cfg := files(t)
	cfg.CacheEntries = 100
	reg := prometheus.NewRegistry()
	e := enricher(t, cfg, reg)
	var got detect.Context
	for i := range 1000 {
		client := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i / 256), byte(i)}), 32)
		for range 2 {
			e.Enrich(answered(t), client, &got)
		}
	}
	if n := gauge(t, reg, "weir_enrich_cache_entries"); n < 50 || n > 100 {
		t.Errorf("%v entries after 1000 addresses, want 50 to 100", n)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP weir_enrich_lookups_total Addresses looked up in mmdb files, by whether they were in the cache.
# TYPE weir_enrich_lookups_total counter
weir_enrich_lookups_total{result="hit"} 1000
weir_enrich_lookups_total{result="miss"} 1000
`), "weir_enrich_lookups_total"); err != nil {
		t.Error(err)
	}
}

func gauge(tb testing.TB, reg *prometheus.Registry, name string) float64 {
	tb.Helper()
	all, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	tb.Fatalf("no metric %s", name)
	return 0
}

func TestFilesOfNoUseAreRefusedByTheirSetting(t *testing.T) {
	good := files(t)
	noise := filepath.Join(t.TempDir(), "noise.mmdb")
	write(t, noise, strings.Repeat("no database ", 1000))
	for name, c := range map[string]struct {
		edit func(*enrich.Config)
		want []string
	}{
		"missing":  {func(c *enrich.Config) { c.City, c.Networks = "/does/not/exist", "/nor/this" }, []string{"city: /does/not/exist: ", "networks: /nor/this: "}},
		"damaged":  {func(c *enrich.Config) { c.ASN = noise }, []string{"asn: " + noise + ": "}},
		"swapped":  {func(c *enrich.Config) { c.City, c.ASN = c.ASN, c.City }, []string{`"GeoLite2-ASN"`, `"GeoLite2-City"`}},
		"bad line": {func(c *enrich.Config) { c.Networks = c.City }, []string{"networks: " + good.City + ": line "}},
	} {
		cfg := good
		c.edit(&cfg)
		_, err := enrich.Load(cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", name, err, want)
			}
		}
	}
}

func TestConfigNamesAllThatIsWrong(t *testing.T) {
	cfg := enrich.Config{OwnNetworks: []string{"10.0.0.0/8", "ten", "fe80::1%eth0"}, CacheEntries: 0}
	err := cfg.Validate()
	for _, want := range []string{"cache_entries: ", `own_networks[1]: must be an address or a network like 192.0.2.0/24, got "ten"`, "own_networks[2]: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	cfg = enrich.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	cfg.City, cfg.Networks = "a", "b"
	if got := cfg.Paths(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("paths %q", got)
	}
}

func BenchmarkEnrich(b *testing.B) {
	e := enricher(b, files(b), prometheus.NewRegistry())
	tx, client := answered(b, "www.example. 60 IN A 198.51.100.9", "www.example. 60 IN A 203.0.113.7"), netip.MustParsePrefix("10.1.2.3/32")
	var c detect.Context
	b.ReportAllocs()
	for b.Loop() {
		e.Enrich(tx, client, &c)
	}
}

func ExampleConfig() {
	cfg := enrich.DefaultConfig()
	fmt.Println(cfg.City == "", len(cfg.Paths()))
	// Output: true 0
}
