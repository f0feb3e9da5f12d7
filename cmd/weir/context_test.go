package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// Records have what the site's files say of addresses, and SIGHUP reads the files
// again; a file with a mistake leaves the old names.
func TestRecordsHaveTheNamesOfNetworks(t *testing.T) {
	type line struct {
		QName   string `json:"qname"`
		Context struct {
			Client struct {
				Name *string `json:"name"`
				Own  bool    `json:"own"`
			} `json:"client"`
			Answers []struct {
				Address, Name string
			} `json:"answers"`
		} `json:"context"`
	}
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.1\n")
	dir := t.TempDir()
	networks := writeFile(t, filepath.Join(dir, "networks.csv"), "127.0.0.0/8,this host\n127.0.0.1,itself\n192.0.2.1,web\n")
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), "state_dir: "+filepath.Join(dir, "state")+"\nenrich: {networks: "+networks+"}\nrecords: {transactions: {enabled: true}}\n")
	weir(t, exitOK, "check", conf)
	p := startWeir(t, "-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "a.example.com.", dns.TypeA)
	logs := filepath.Join(dir, "state", "records", "transactions.jsonl")
	read := func(qname string) (got line) {
		t.Helper()
		untilTrue(t, "the record of "+qname, func() bool {
			for _, l := range jsonLines[line](t, logs) {
				if l.QName == qname {
					got = l
					return true
				}
			}
			return false
		})
		return got
	}
	// Of 127.0.0.0/24 nobody may know that it is 127.0.0.1.
	got := read("a.example.com")
	if got.Context.Client.Name == nil || *got.Context.Client.Name != "this host" || !got.Context.Client.Own {
		t.Errorf("the client is %+v", got.Context.Client)
	}
	if len(got.Context.Answers) != 1 || got.Context.Answers[0].Name != "web" || got.Context.Answers[0].Address != "192.0.2.1" {
		t.Errorf("the answers are %+v", got.Context.Answers)
	}
	writeFile(t, networks, "127.0.0.0/8,this host\nnonsense\n")
	p.reload("reload rejected")
	if want := "enrich.networks: " + networks + ": line 2: "; !strings.Contains(p.log(), want) {
		t.Errorf("no %q in the log\n%s", want, p.log())
	}
	if _, errs := weir(t, exitConfig, "check", conf); !strings.Contains(errs, "weir.yaml:2: enrich.networks: ") {
		t.Errorf("check says\n%s", errs)
	}
	writeFile(t, networks, "192.0.2.1,another\n")
	p.reload("reloaded")
	p.ask("udp", p.listen[0], "b.example.com.", dns.TypeA)
	if got := read("b.example.com"); got.Context.Client.Name != nil || got.Context.Answers[0].Name != "another" {
		t.Errorf("after the reload: %+v", got)
	}
	p.stop()
}

// Records have what lists and services think of a name; services are asked about
// detections alone.
func TestRecordsHaveReputations(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		_, _ = io.WriteString(w, `{"score": 42}`)
	}))
	defer service.Close()
	server := dnstest.NewServer(t, "example.com", "@ SOA ns admin 1 3600 600 86400 60\n* A 192.0.2.1\n")
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "weir.yaml"), "state_dir: "+filepath.Join(dir, "state")+`
records: {transactions: {enabled: true, format: spot}}
lists:
  - {name: bad, inline: [bad.example.com], mode: monitor}
reputation:
  lists: [{list: bad, level: medium}]
  http: [{name: svc, url: "`+service.URL+`/{name}", path: score, from: [{number: 10, level: low}, {number: 40, level: high}]}]
`)
	weir(t, exitOK, "check", conf)
	p := startWeir(t, "-c", conf, "--upstream", server.Addr(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	p.ask("udp", p.listen[0], "good.example.com.", dns.TypeA)
	rows := func() string {
		data, err := os.ReadFile(filepath.Join(dir, "state", "records", "transactions.jsonl"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return string(data)
	}
	untilTrue(t, "the records", func() bool {
		p.ask("udp", p.listen[0], "bad.example.com.", dns.TypeA)
		return strings.Contains(rows(), ",bad:MEDIUM:2::svc:HIGH:3,")
	})
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 || asked[0] != "/example.com" {
		t.Errorf("the service was asked %q, want one registered domain once", asked)
	}
	p.stop()
	conf = writeFile(t, filepath.Join(dir, "bad.yaml"), "reputation: {lists: [{list: gone, level: high}], http: [{name: a, url: x}]}\n")
	_, errs := weir(t, exitConfig, "check", conf)
	for _, want := range []string{`reputation.lists[0].list: no list is named "gone"`, "reputation.http[0].url: must be http:// or https://"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
}
