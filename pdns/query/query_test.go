package query_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/store"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
)

var (
	start = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	first = start.Unix()
)

// filled is a store with a few records, some of them hostile.
func filled(tb testing.TB, clients bool) *store.Store {
	tb.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Clients = filepath.Join(tb.TempDir(), "pdns"), clients
	s, err := store.New(cfg, store.Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
		ClientText: func(dst []byte, a netip.Addr) []byte { return a.AppendTo(dst) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	say := func(client, qname string, answers []string, authority ...string) {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(qname), dns.TypeA)
		m.Response = true
		for _, a := range answers {
			rr, err := dns.NewRR(a)
			if err != nil {
				tb.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		for _, a := range authority {
			rr, err := dns.NewRR(a)
			if err != nil {
				tb.Fatal(err)
			}
			m.Ns = append(m.Ns, rr)
		}
		msg, err := m.Pack()
		if err != nil {
			tb.Fatal(err)
		}
		s.Consume(&detect.Transaction{
			Query:  detect.Query{Time: start, Name: dnsname.MustParse(qname), Client: netip.MustParseAddr(client), Type: dns.TypeA, Class: dns.ClassINET},
			Source: detect.FromUpstream, Response: msg,
		})
	}
	say("192.0.2.7", "www.example.com", []string{"www.example.com. 60 IN CNAME host.example.com.", "host.example.com. 60 IN A 192.0.2.1"}, "example.com. 60 IN NS ns.example.com.")
	say("192.0.2.8", "www.example.com", []string{"www.example.com. 60 IN CNAME host.example.com."}, "example.com. 60 IN NS ns.example.com.")
	say("192.0.2.7", "b.example.org", []string{"b.example.org. 60 IN A 192.0.2.1"})
	say("192.0.2.9", `a\010\"\,.evil.example`, []string{`a\010\"\,.evil.example. 60 IN TXT "x\010\",=1+1<script>"`})
	if err := s.Tend(); err != nil {
		tb.Fatal(err)
	}
	return s
}

func serve(tb testing.TB, s *store.Store) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /query/{what...}", query.Handler(s.View, "edge-1", time.Now))
	srv := httptest.NewServer(mux)
	tb.Cleanup(srv.Close)
	return srv
}

func get(tb testing.TB, target string) (status int, body string, trailer string) {
	tb.Helper()
	resp, err := http.Get(target)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Trailer.Get(query.TruncatedTrailer)
}

func TestTheAnswerInEachFormat(t *testing.T) {
	srv := serve(t, filled(t, false))
	at := start.Format("2006-01-02T15:04:05Z")
	for path, want := range map[string]string{
		"www.example.com":             fmt.Sprintf(`{"rrname":"www.example.com.","rrtype":"CNAME","rdata":["host.example.com."],"time_first":%d,"time_last":%d,"count":2,"bailiwick":"example.com.","sensor_id":"edge-1"}`+"\n", first, first),
		"www.example.com?format=json": fmt.Sprintf(`{"rrname":"www.example.com.","rrtype":"CNAME","rdata":"host.example.com.","bailiwick":"example.com.","sections":["answer"],"time_first":%d,"time_last":%d,"count":2}`+"\n", first, first),
		"www.example.com?format=csv":  fmt.Sprintf("rrname,rrtype,rdata,time_first,time_last,count,bailiwick,sections,folded\nwww.example.com.,CNAME,host.example.com.,%d,%d,2,example.com.,answer,false\n", first, first),
		"www.example.com?format=text": fmt.Sprintf("%s  %s        2  www.example.com. CNAME host.example.com.\n", at, at),
		"none.example.com":            "",
		"none.example.com?format=csv": "rrname,rrtype,rdata,time_first,time_last,count,bailiwick,sections,folded\n",
	} {
		status, got, trailer := get(t, srv.URL+"/query/"+path)
		if status != 200 || got != want || trailer != "" {
			t.Errorf("%s: %d %q\n%swant\n%s", path, status, trailer, got, want)
		}
	}
}

func TestNamesNetworksAndRdataAreAsked(t *testing.T) {
	srv := serve(t, filled(t, false))
	for path, want := range map[string]int{
		"192.0.2.1": 2, "192.0.2.0/24": 2, "192.0.2.0%2F24": 2, "::/0": 0, "example.com?subtree=true": 3,
		"example.com?subtree=true&rrtype=A": 1, "example.com?subtree=true&rrtype=a,ns": 2, "host.example.com?rdata=true": 1,
		"192.0.2.1?rdata=true": 2, "www.example.com?since=2h": 1, "www.example.com?since=1m": 0, "www.example.com?until=3d": 0,
		"www.example.com?until=" + fmt.Sprint(first): 1, "?what=.&subtree=true": 5,
	} {
		status, got, _ := get(t, srv.URL+"/query/"+path)
		if n := strings.Count(got, "\n"); status != 200 || n != want {
			t.Errorf("%s: %d, %d records, want %d\n%s", path, status, n, want, got)
		}
	}
}

func TestAnAnswerThatIsCutSaysSo(t *testing.T) {
	srv := serve(t, filled(t, false))
	_, got, trailer := get(t, srv.URL+"/query/?what=.&subtree=1&limit=2")
	if strings.Count(got, "\n") != 2 || trailer != "true" {
		t.Errorf("%q, trailer %q; want two records and a trailer", got, trailer)
	}
	if _, _, trailer := get(t, srv.URL+"/query/?what=.&subtree=1&limit=5"); trailer != "" {
		t.Error("a whole answer is said to be cut")
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	srv := serve(t, filled(t, false))
	for path, want := range map[string]string{
		"a..b": "is no name", "x?limit=-1": "limit: ", "x?limit=y": `limit: \"y\": invalid syntax`, "x?rrtype=NOPE": "rrtype: ",
		"x?since=yesterday": "since: ", "x?format=xml": "format: must be", "x?colour=red": "no such parameter",
		"1.2.3.4?subtree=1": "subtree: ", "x?since=2026-03-02&until=2026-03-01": "until: is before since", "": "what: ",
		"x?limit=1000000000": "limit: must be",
	} {
		status, got, _ := get(t, srv.URL+"/query/"+path)
		var body map[string]string
		if err := json.Unmarshal([]byte(got), &body); err != nil || status != 400 || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s, want 400 with %s", path, status, got, want)
		}
	}
	closed := query.Handler(func(func(*store.Reader) error) error { return store.ErrNotOpen }, "", time.Now)
	rec := httptest.NewRecorder()
	mux := http.NewServeMux()
	mux.Handle("/query/{what...}", closed)
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/query/x", nil))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("a store that is not open answers %d", rec.Code)
	}
}

// Half an answer must not pass for a whole one.
func TestAFailureOnTheWayEndsTheConnection(t *testing.T) {
	broken := errors.New("broken")
	s := filled(t, false)
	mux := http.NewServeMux()
	mux.Handle("/query/{what...}", query.Handler(func(f func(*store.Reader) error) error {
		if err := s.View(f); err != nil {
			return err
		}
		return broken
	}, "", time.Now))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/query/?what=.&subtree=1")
	if err != nil {
		return // before the first octet: as good
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the answer ends as if it were whole: %q", text)
	}
}

// Hostile names and rdata stay one line, and read back to the same octets.
func TestHostileNamesStayOneLineAndReadBack(t *testing.T) {
	srv := serve(t, filled(t, false))
	const name = `a\010\"\,.evil.example.`
	wantName := dnsname.MustParse(`a\010\"\,.evil.example`)
	check := func(format, gotName, gotRdata string) {
		t.Helper()
		n, err := dnsname.Parse(gotName)
		if err != nil || !n.Equal(wantName) {
			t.Errorf("%s: rrname %q reads as %q, %v", format, gotName, n, err)
		}
		rr, err := dns.NewRR(name + " 0 IN TXT " + gotRdata)
		if err != nil || rr.(*dns.TXT).Txt[0] != `x\010\",=1+1<script>` {
			t.Errorf("%s: rdata %q reads as %v, %v", format, gotRdata, rr, err)
		}
	}
	ask := func(format string) string {
		_, got, _ := get(t, srv.URL+"/query/"+url.PathEscape(name)+"?format="+format)
		if strings.Count(got, "\n") != map[string]int{"cof": 1, "json": 1, "csv": 2, "text": 1}[format] {
			t.Errorf("%s: %q is not one line", format, got)
		}
		return got
	}
	var c struct {
		RRName string
		Rdata  []string
	}
	if err := json.Unmarshal([]byte(ask("cof")), &c); err != nil {
		t.Fatal(err)
	}
	check("cof", c.RRName, c.Rdata[0])
	var j query.Record
	if err := json.Unmarshal([]byte(ask("json")), &j); err != nil {
		t.Fatal(err)
	}
	check("json", j.RRName, j.Rdata)
	rows, err := csv.NewReader(strings.NewReader(ask("csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	check("csv", rows[1][0], rows[1][2])
}

func TestParamsComeBackFromTheirURL(t *testing.T) {
	for _, what := range []string{"192.0.2.0/24", ".", "a//b", "..", "x y"} {
		want := query.Params{What: what, Types: []string{"A", "MX"}, Since: "7d", Until: "2026-03-01T00:00:00Z", Limit: 7, Format: "csv", Subtree: true, Rdata: true}
		u, err := url.Parse(want.URL())
		if err != nil {
			t.Fatal(err)
		}
		got, err := query.FromURL(strings.TrimPrefix(u.Path, "/query/"), u.Query())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestInvestigateAClientAndAName(t *testing.T) {
	s := filled(t, true)
	var tree, nameTree strings.Builder
	err := s.View(func(r *store.Reader) error {
		c, err := query.Client(context.Background(), r, "192.0.2.7")
		if err != nil {
			return err
		}
		c.Print(&tree)
		n, err := query.Name(context.Background(), r, dnsname.MustParse("host.example.com"), dnsname.MustParse("example.com"))
		if err != nil {
			return err
		}
		n.Print(&nameTree)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := start.Format("2006-01-02T15:04:05Z")
	times := func(n int) string { return fmt.Sprintf("%s to %s, %d times", at, at, n) }
	want := "192.0.2.7 asked for 2 names\n" +
		"├─ www.example.com.  " + times(1) + "\n" +
		"│  ├─ www.example.com. CNAME host.example.com.  " + times(2) + "\n" +
		"│  └─ also asked by 192.0.2.8  " + times(1) + "\n" +
		"└─ b.example.org.  " + times(1) + "\n" +
		"   └─ b.example.org. A 192.0.2.1  " + times(1) + "\n"
	if tree.String() != want {
		t.Errorf("got\n%s\nwant\n%s", tree.String(), want)
	}
	for _, part := range []string{
		"registered domain example.com.  " + times(2), "pointing here: 1\n└─ www.example.com. CNAME host.example.com.",
		"names at 192.0.2.1: 2\n", "b.example.org. A 192.0.2.1", "clients: 0\n",
	} {
		if !strings.Contains(nameTree.String(), part) {
			t.Errorf("no %q in\n%s", part, nameTree.String())
		}
	}
}

func TestWithoutClientsAnInvestigationSaysSo(t *testing.T) {
	err := filled(t, false).View(func(r *store.Reader) error {
		if _, err := query.Client(context.Background(), r, "192.0.2.7"); !errors.Is(err, query.ErrNoClients) {
			t.Errorf("client: %v, want %v", err, query.ErrNoClients)
		}
		n, err := query.Name(context.Background(), r, dnsname.MustParse("host.example.com"), nil)
		if err != nil || n.Clients != nil || len(n.Records) != 1 {
			t.Errorf("name: %+v, %v", n, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The description must name every parameter that is taken.
func TestOpenAPINamesEveryParameter(t *testing.T) {
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Parameters []struct{ Name, In string }
			}
		}
	}
	if err := yaml.Unmarshal(query.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Paths["/query/{what}"].Get.Parameters {
		if p.In != "query" {
			continue
		}
		value := map[string]string{"limit": "1", "subtree": "true", "rdata": "true"}[p.Name]
		if _, err := query.FromURL("x", url.Values{p.Name: {value}}); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if n := len(doc.Paths["/query/{what}"].Get.Parameters); n != 9 {
		t.Errorf("%d parameters, want 9", n)
	}
	found := doc.Paths["/api/v1/detections"].Get.Parameters
	for _, p := range found {
		value := map[string]string{"limit": "1", "mode": "watched"}[p.Name]
		if _, err := query.DetectionsFromURL(url.Values{p.Name: {value}}); err != nil {
			t.Errorf("detections: %s: %v", p.Name, err)
		}
	}
	if len(found) != 7 {
		t.Errorf("detections: %d parameters, want 7", len(found))
	}
}
