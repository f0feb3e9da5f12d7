// Package archtest holds the structure that ARCHITECTURE.md draws against the
// code: imports point down, each library lives in one package, and no new one
// arrives unnoticed. It has no code of its own.
package archtest

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden list of modules")

const module = "github.com/weirdns/weir"

// level is how high a package stands. It may import only what stands lower.
var level = map[string]int{
	"cmd/weir":               8,
	"resolver":               5,
	"capture":                5,
	"replay":                 5,
	"web":                    5,
	"resolver/cache":         4,
	"resolver/upstream":      4,
	"reputation":             4,
	"unusual":                4,
	"enrich":                 4,
	"rpz":                    4,
	"pdns":                   5,
	"pdns/encode":            4,
	"pdns/store":             4,
	"pdns/privacy":           2,
	"pdns/outlet":            6,
	"pdns/outlet/httpout":    7,
	"pdns/outlet/kafka":      7,
	"pdns/outlet/clickhouse": 7,
	"pdns/outlet/postgres":   7,
	"pdns/outlet/parquetout": 7,
	"pdns/outlet/syslog":     7,
	"pdns/outlet/dnstap":     7,
	"pdns/tally":             4,
	"doctor":                 1,
	"alert":                  4,
	"alert/outbox":           7,
	"alert/notify":           7,
	"pdns/query":             5,
	"detect":                 3,
	"blocklist":              2,
	"detect/feature":         2,
	"detect/gbm":             2,
	"detect/allow":           2,
	"detect/behaviour":       4,
	"detect/lookalike":       2,
	"internal/dnswire":       1,
	"internal/xfr":           1,
	"internal/dnsname":       0,
	"internal/queue":         0,
	"sandbox":                0,

	"pdns/live":            6,
	"incident":             1,
	"demo":                 2,
	"top":                  0,
	"internal/atomicfile":  0,
	"internal/inherit":     0,
	"internal/seen":        0,
	"internal/framestream": 0,
	"internal/quicdns":     0,
}

// forbidden are imports that point down and are wrong all the same.
var forbidden = map[string]map[string]string{
	"resolver":          {"pdns": "the front ends know only detect.Sink"},
	"capture":           {"pdns": "the front ends know only detect.Sink", "resolver/upstream": "a sniffer asks nobody"},
	"pdns":              {"pdns/store": "the recorder knows only Output"},
	"web":               {"resolver/upstream": "the operator's face is shown things, it does not reach for them"},
	"resolver/cache":    {"detect": "an answer cache judges nothing"},
	"resolver/upstream": {"detect": "a client of upstreams judges nothing"},
}

// home is the one package that may import a library, outside tests.
var home = map[string]string{
	"github.com/dmitryikh/leaves":                             "detect/gbm",
	"github.com/miekg/dns":                                    "internal/dnswire",
	"github.com/weppos/publicsuffix-go":                       "internal/dnsname",
	"github.com/alecthomas/kong":                              "cmd/weir",
	"github.com/landlock-lsm/go-landlock":                     "sandbox",
	"github.com/elastic/go-seccomp-bpf":                       "sandbox",
	"github.com/dchest/siphash":                               "resolver",
	"github.com/oschwald/maxminddb-golang/v2":                 "enrich",
	"go.yaml.in/yaml/v3":                                      "cmd/weir",
	"google.golang.org/protobuf":                              "capture",
	"golang.org/x/net/bpf":                                    "capture",
	"github.com/gaissmai/bart":                                "detect", // clients to groups, by the longest prefix
	"github.com/cockroachdb/pebble/v2":                        "pdns/store",
	"github.com/twmb/franz-go":                                "pdns/outlet/kafka",
	"github.com/ClickHouse/ch-go":                             "pdns/outlet/clickhouse",
	"github.com/jackc/pgx/v5":                                 "pdns/outlet/postgres",
	"github.com/parquet-go/parquet-go":                        "pdns/outlet/parquetout",
	"github.com/minio/minio-go/v7":                            "pdns/outlet/parquetout", // only how requests are signed
	"golang.org/x/net/idna":                                   "internal/dnsname",
	"aead.dev/minisign":                                       "blocklist",
	"github.com/zeebo/xxh3":                                   "blocklist",
	"github.com/prometheus/client_golang/prometheus/promhttp": "web",
	"github.com/quic-go/quic-go":                              "internal/quicdns", // both ends of DNS over QUIC, and HTTP/3 upstream
	"golang.org/x/term":                                       "top",
	"github.com/pierrec/lz4/v4":                               "capture",          // what tshark reads; Parquet and Kafka bring it anyway
	"golang.org/x/net/ipv4":                                   "internal/quicdns", // how quic-go reads a socket
}

// second is another package that may import a library, with the reason.
var second = map[string]map[string]string{
	"github.com/dchest/siphash":  {"detect/behaviour": "sketches of what anybody may send, whose hashes outlive the process"},
	"google.golang.org/protobuf": {"pdns/outlet/dnstap": "the same wire format, written"},
	"github.com/miekg/dns":       {"doctor": "asks servers as their client, signatures included", "internal/xfr": "zone transfers and TSIG: whole records of any type, away from the query path"},
	"github.com/gaissmai/bart":   {"enrich": "names of networks, by the longest prefix: the same question of another file"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// packages lists the module's packages, without those for tests.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch p.name() {
		case "internal/dnstest", "internal/outlettest", "internal/archtest", "internal/faults", "internal/mutants", "internal/respdiff":
			continue
		}
		list = append(list, p)
	}
	if len(list) < len(level) {
		t.Fatalf("go list found %d packages, want at least %d", len(list), len(level))
	}
	return list
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		own, ok := level[p.name()]
		if !ok {
			t.Errorf("%s has no level: give it its place here and in ARCHITECTURE.md", p.name())
		}
		for _, imp := range p.Imports {
			other, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			if other == "internal/dnstest" {
				t.Errorf("%s imports internal/dnstest: it is for tests", p.name())
			} else if level[other] >= own {
				t.Errorf("%s (level %d) imports %s (level %d): imports point down", p.name(), own, other, level[other])
			}
			if why := forbidden[p.name()][other]; why != "" {
				t.Errorf("%s imports %s: %s", p.name(), other, why)
			}
		}
	}
}

func TestEachLibraryHasOneHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for lib, at := range home {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && p.name() != at && second[lib][p.name()] == "" {
					t.Errorf("%s imports %s, whose one place is %s", p.name(), imp, at)
				}
			}
		}
	}
}

func TestNoModuleArrivesUnnoticed(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", module+"/cmd/weir")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	mods := strings.Fields(string(out))
	slices.Sort(mods)
	mods = slices.DeleteFunc(slices.Compact(mods), func(m string) bool { return m == module })
	got := strings.Join(mods, "\n") + "\n"
	const golden = "testdata/modules.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("modules in the binary:\n%s\nwant (%s):\n%s", got, golden, want)
	}
}
