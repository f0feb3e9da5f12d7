package blocklist_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"aead.dev/minisign"
	"github.com/miekg/dns"

	"github.com/weirdns/weir/blocklist"
)

// serving is a feed on loopback, and its port.
func serving(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return srv, port
}

func lists(t *testing.T, c blocklist.Config) *blocklist.Lists {
	t.Helper()
	l, err := blocklist.New([]blocklist.Config{c}, deps(t))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAFeedIsReachedAtItsAddresses(t *testing.T) {
	var host atomic.Value
	_, port := serving(t, func(w http.ResponseWriter, r *http.Request) {
		host.Store(r.Host)
		fmt.Fprintln(w, "bad.example")
	})
	l := lists(t, blocklist.Config{Name: "f", URL: "http://feed.invalid:" + port + "/", AllowPrivate: true, Addresses: []string{"127.0.0.1"}})
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if got := host.Load(); got != "feed.invalid:"+port {
		t.Errorf("asked for host %q", got)
	}
	wantHits(t, l, "bad.example", "f bad.example")
}

// The addresses are the feed's own: somebody whom it redirects to has others.
func TestAddressesAreNotForOthers(t *testing.T) {
	_, port := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "feed.invalid") {
			http.Redirect(w, r, "http://other.invalid:"+strings.Split(r.Host, ":")[1]+"/", http.StatusFound)
			return
		}
		fmt.Fprintln(w, "bad.example")
	})
	l := lists(t, blocklist.Config{Name: "f", URL: "http://feed.invalid:" + port + "/", AllowPrivate: true,
		Addresses: []string{"127.0.0.1"}, Bootstrap: []string{"127.0.0.1:1"}})
	if err := l.Refresh(t.Context(), "f"); err == nil {
		t.Error("another host was reached at the feed's address")
	}
}

func TestAFeedsHostIsResolvedByTheBootstrap(t *testing.T) {
	_, port := serving(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "bad.example") })
	var asked atomic.Int64
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Name == "feed.invalid." && q.Question[0].Qtype == dns.TypeA {
			asked.Add(1)
			rr, _ := dns.NewRR("feed.invalid. 60 A 127.0.0.1")
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	<-started
	defer func() { _ = srv.Shutdown(); <-done }()
	l := lists(t, blocklist.Config{Name: "f", URL: "http://feed.invalid:" + port + "/", AllowPrivate: true, Bootstrap: []string{pc.LocalAddr().String()}})
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if asked.Load() == 0 {
		t.Error("the bootstrap resolver was not asked")
	}
	// What it says is checked where it is dialled.
	l = lists(t, blocklist.Config{Name: "f", URL: "http://feed.invalid:" + port + "/", Bootstrap: []string{pc.LocalAddr().String()}})
	if err := l.Refresh(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("error %v, want one of a private address", err)
	}
}

func TestAProxyIsUsedAndLedNowherePrivate(t *testing.T) {
	var asked atomic.Value
	asked.Store("")
	redirect := ""
	proxy, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		if redirect != "" {
			http.Redirect(w, r, redirect, http.StatusFound)
			return
		}
		fmt.Fprintln(w, "bad.example")
	})
	l := lists(t, blocklist.Config{Name: "f", URL: "http://feed.example/list", Proxy: proxy.URL})
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != "http://feed.example/list" {
		t.Errorf("the proxy was asked for %q", got)
	}
	for _, to := range []string{"http://127.0.0.1:80/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://localhost/", "http://x.localhost./"} {
		redirect = to
		if err := l.Refresh(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "private") {
			t.Errorf("redirected to %s: error %v, want one of a private address", to, err)
		}
		if got := asked.Load(); got != "http://feed.example/list" {
			t.Errorf("the proxy was asked for %q", got)
		}
	}
	// The environment says nothing.
	t.Setenv("HTTP_PROXY", proxy.URL)
	direct, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "direct.example") })
	l = lists(t, blocklist.Config{Name: "f", URL: direct.URL, AllowPrivate: true})
	if err := l.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, l, "direct.example", "f direct.example")
}

// sign is what the minisign tool does.
func sign(t *testing.T, key minisign.PrivateKey, text string) string {
	t.Helper()
	r := minisign.NewReader(strings.NewReader(text))
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	return string(r.Sign(key))
}

func TestPinnedAndSignedLists(t *testing.T) {
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const good = "bad.example\n"
	text, sig, sigStatus := good, sign(t, private, good), http.StatusOK
	srv, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/list":
			fmt.Fprint(w, text)
		case "/list.minisig":
			w.WriteHeader(sigStatus)
			fmt.Fprint(w, sig)
		default:
			http.NotFound(w, r)
		}
	})
	const sum = "ce9fc7ee9c9e5bc8b7a60d3e5e6d2c0d0a6d0f9b7d6f3f6dbd1b6a3a3b1c0c00" // of something else
	cfg := blocklist.Config{Name: "f", URL: srv.URL + "/list?x=1", AllowPrivate: true, MinisignKey: public.String()}
	signed := lists(t, cfg)
	if err := signed.Refresh(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if err := lists(t, blocklist.Config{Name: "f", URL: cfg.URL, AllowPrivate: true, PinSHA256: sum}).Refresh(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "pin_sha256") {
		t.Errorf("error %v, want one of the pin", err)
	}
	pinned := lists(t, blocklist.Config{Name: "f", URL: cfg.URL, AllowPrivate: true, PinSHA256: strings.ToUpper(list(t, signed, "f").SHA256)})
	if err := pinned.Refresh(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	refused := func(what string) {
		t.Helper()
		if err := signed.Refresh(t.Context(), "f"); err == nil {
			t.Errorf("%s: taken", what)
		}
		wantHits(t, signed, "bad.example", "f bad.example")
		wantHits(t, signed, "evil.example")
	}
	text = "evil.example\n"
	refused("another text")
	if err := pinned.Refresh(t.Context(), "f"); err == nil {
		t.Error("another text than the one that is pinned was taken")
	}
	text, sig = good+"\n", sig+"x"
	refused("a damaged signature")
	sig = strings.Repeat("x", 8<<10)
	refused("a giant signature")
	sigStatus = http.StatusNotFound
	refused("no signature")
	text, sig, sigStatus = good, sign(t, private, good), http.StatusOK
	cfg.MinisignKey = other.String()
	if err := lists(t, cfg).Refresh(t.Context(), "f"); err == nil {
		t.Error("a list signed with another key was taken")
	}
}

func TestWaysToAListAreValidated(t *testing.T) {
	for want, c := range map[string]blocklist.Config{
		"addresses[0]: want an IP":                   {Addresses: []string{"x"}},
		"addresses[0]: 10.0.0.1":                     {Addresses: []string{"10.0.0.1"}},
		"bootstrap[0]: want":                         {Bootstrap: []string{"dns.example"}},
		"proxy: want":                                {Proxy: "ftp://x"},
		"proxy: a password":                          {Proxy: "http://me:hunter2@proxy.example"},
		"proxy: the proxy resolves":                  {Proxy: "http://proxy.example", Addresses: []string{"192.0.2.1"}},
		"pin_sha256: want":                           {PinSHA256: "abc"},
		"minisign_key: want":                         {MinisignKey: "RWQ"},
		"transfer.primary: want":                     {Transfer: blocklist.Transfer{Primary: "ns.example", Zone: "rpz.local"}},
		"transfer.zone":                              {Transfer: blocklist.Transfer{Primary: "192.0.2.1"}},
		"transfer.tsig_name: a key":                  {Transfer: blocklist.Transfer{Primary: "192.0.2.1", Zone: "rpz.local", TSIGName: "k"}},
		"transfer.tsig_algorithm: wan":               {Transfer: blocklist.Transfer{Primary: "192.0.2.1", Zone: "rpz.local", TSIGAlgorithm: "hmac-md5"}},
		"only one of inline, file, url and transfer": {Transfer: blocklist.Transfer{Primary: "192.0.2.1", Zone: "rpz.local"}},
	} {
		c.Name, c.URL = "f", "https://feed.example/"
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
