package web_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

const token = "0123456789abcdef"

// house is a server with a dashboard.
type house struct {
	t    *testing.T
	door *web.Door
	reg  *prometheus.Registry
	base string
	now  time.Time
}

func open(t *testing.T, cfg web.DashboardConfig, routes ...web.Route) *house {
	t.Helper()
	h := &house{t: t, reg: prometheus.NewRegistry(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.door = web.NewDoor(cfg, token, h.reg, func() time.Time { return h.now })
	s := web.New(web.Config{Listen: "127.0.0.1:0"}, web.Deps{
		Log: zap.NewNop(), Gatherer: h.reg, Registry: prometheus.NewRegistry(), Ready: func() []string { return nil }, Control: routes, Door: h.door,
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h.base = "http://" + s.Addr()
	return h
}

// browser keeps cookies, and nothing else of one request for the next.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

// request is one request; headers are pairs. Host is among them.
func (h *house) request(c *http.Client, method, path, body string, headers ...string) (int, http.Header, string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.base+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

const asJSON = "application/json"

// login makes a session of a code or the token.
func (h *house) login(c *http.Client, code string) int {
	h.t.Helper()
	body, _ := json.Marshal(map[string]string{"code": code})
	status, _, _ := h.request(c, "POST", "/api/v1/login", string(body), "Content-Type", asJSON)
	return status
}

func TestNobodyGetsInWithoutASession(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true}, say("GET /api/v1/names", false), say("POST /api/v1/change", false))
	c := browser(t)
	for _, r := range [][2]string{{"GET", "/api/v1/names"}, {"POST", "/api/v1/change"}} {
		if status, header, _ := h.request(c, r[0], r[1], "{}", "Content-Type", asJSON); status != 401 || header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s = %d, want 401", r[0], r[1], status)
		}
		if status, _, _ := h.request(c, r[0], r[1], "{}", "Content-Type", asJSON, "Authorization", "Bearer 0123456789abcdeX"); status != 401 {
			t.Errorf("%s %s with a wrong token = %d, want 401", r[0], r[1], status)
		}
		if status, _, _ := h.request(c, r[0], r[1], "{}", "Content-Type", asJSON, "Cookie", "weir_session=x; weir_session_"+port(h.base)+"=x"); status != 401 {
			t.Errorf("%s %s with a made-up cookie = %d, want 401", r[0], r[1], status)
		}
		if status, _, body := h.request(c, r[0], r[1], "{}", "Content-Type", asJSON, "Authorization", "Bearer "+token); status != 200 {
			t.Errorf("%s %s with the token = %d %s, want 200", r[0], r[1], status, body)
		}
	}
	if got := testutil.ToFloat64(refused(t, h.reg, "login")); got != 6 {
		t.Errorf("%v counted, want 6", got)
	}
}

func port(base string) string { return base[strings.LastIndexByte(base, ':')+1:] }

// refused is a gauge with the count of a reason.
func refused(t *testing.T, reg *prometheus.Registry, reason string) prometheus.Collector {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
	for _, f := range all {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "weir_dashboard_refused_total" && l.GetValue() == reason {
					g.Set(m.GetCounter().GetValue())
				}
			}
		}
	}
	return g
}

func TestACodeLogsInOnce(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true}, say("GET /api/v1/names", false))
	code, ends := h.door.Code()
	if want := h.now.Add(10 * time.Minute); !ends.Equal(want) {
		t.Errorf("the code ends at %v, want %v", ends, want)
	}
	c := browser(t)
	if status := h.login(c, code); status != 200 {
		t.Fatalf("login = %d, want 200", status)
	}
	if status, _, _ := h.request(c, "GET", "/api/v1/names", ""); status != 200 {
		t.Errorf("with a session = %d, want 200", status)
	}
	if status := h.login(browser(t), code); status != 401 {
		t.Errorf("the same code again = %d, want 401", status)
	}
	late, _ := h.door.Code()
	h.now = h.now.Add(11 * time.Minute)
	if status := h.login(browser(t), late); status != 401 {
		t.Errorf("an old code = %d, want 401", status)
	}
	h.now = h.now.Add(12 * time.Hour)
	if status, _, _ := h.request(c, "GET", "/api/v1/names", ""); status != 401 {
		t.Errorf("an old session = %d, want 401", status)
	}
	if status := h.login(c, token); status != 200 {
		t.Errorf("login with the token = %d, want 200", status)
	}
	if status, _, _ := h.request(c, "POST", "/api/v1/logout", "{}", "Content-Type", asJSON); status != 200 {
		t.Errorf("logout = %d, want 200", status)
	}
	if status, _, _ := h.request(c, "GET", "/api/v1/names", ""); status != 401 {
		t.Errorf("after logout = %d, want 401", status)
	}
}

func TestTheSessionsCookieIsForThisSiteAlone(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true})
	status, header, _ := h.request(browser(t), "POST", "/api/v1/login", `{"code":"`+token+`"}`, "Content-Type", asJSON)
	cookie := header.Get("Set-Cookie")
	if status != 200 || !strings.HasPrefix(cookie, "weir_session_"+port(h.base)+"=") {
		t.Fatalf("login = %d, cookie %q", status, cookie)
	}
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
}

// Any page in a browser on this machine can send requests here, with its cookies
// where SameSite is not known, and a name can be made to lead here.
func TestOtherSitesAreRefused(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true, Hosts: []string{"weir.example"}}, say("GET /api/v1/names", false), say("POST /api/v1/change", false), say("DELETE /api/v1/change", false))
	c := browser(t)
	if status := h.login(c, token); status != 200 {
		t.Fatalf("login = %d", status)
	}
	own := strings.TrimPrefix(h.base, "http://")
	for _, q := range []struct {
		what, method, path string
		headers            []string
		want               int
	}{
		{"itself", "GET", "/api/v1/names", nil, 200},
		{"itself, as browsers say", "GET", "/api/v1/names", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"its own change", "POST", "/api/v1/change", []string{"Origin", h.base, "Content-Type", asJSON}, 200},
		{"its own change, as browsers say", "POST", "/api/v1/change", []string{"Sec-Fetch-Site", "same-origin", "Content-Type", asJSON + "; charset=utf-8"}, 200},
		{"rebound name", "GET", "/api/v1/names", []string{"Host", "attacker.example"}, 403},
		{"rebound name with port", "GET", "/api/v1/names", []string{"Host", "attacker.example:" + port(h.base)}, 403},
		{"rebound name for the files", "GET", "/", []string{"Host", "attacker.example"}, 403},
		{"a name that begins as ours", "GET", "/", []string{"Host", "localhost.attacker.example"}, 403},
		{"no name", "GET", "/", []string{"Host", ""}, 200}, // Go's client fills in the address
		{"localhost", "GET", "/", []string{"Host", "LOCALHOST:" + port(h.base)}, 200},
		{"the configured name", "GET", "/", []string{"Host", "weir.example"}, 200},
		{"foreign origin", "GET", "/api/v1/names", []string{"Origin", "http://attacker.example"}, 403},
		{"foreign origin, change", "POST", "/api/v1/change", []string{"Origin", "http://attacker.example", "Content-Type", asJSON}, 403},
		{"origin null", "POST", "/api/v1/change", []string{"Origin", "null", "Content-Type", asJSON}, 403},
		{"origin on another port", "POST", "/api/v1/change", []string{"Origin", "http://127.0.0.1:1", "Content-Type", asJSON}, 403},
		{"origin of another scheme", "POST", "/api/v1/change", []string{"Origin", "ftp://" + own, "Content-Type", asJSON}, 403},
		{"cross-site fetch", "GET", "/api/v1/names", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same-site fetch", "POST", "/api/v1/change", []string{"Sec-Fetch-Site", "same-site", "Content-Type", asJSON}, 403},
		{"a change that says nothing", "POST", "/api/v1/change", []string{"Content-Type", asJSON}, 403},
		{"a form", "POST", "/api/v1/change", []string{"Origin", h.base, "Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"a form in disguise", "POST", "/api/v1/change", []string{"Origin", h.base, "Content-Type", "text/plain"}, 415},
		{"no type", "POST", "/api/v1/change", []string{"Origin", h.base}, 415},
		{"another method", "DELETE", "/api/v1/change", []string{"Origin", h.base, "Content-Type", asJSON}, 405},
		{"preflight", "OPTIONS", "/api/v1/change", []string{"Origin", "http://attacker.example", "Access-Control-Request-Method", "POST"}, 403},
	} {
		status, header, body := h.request(c, q.method, q.path, "{}", q.headers...)
		if status != q.want {
			t.Errorf("%s: %d %.100s, want %d", q.what, status, body, q.want)
		}
		for name := range header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: the answer has %s", q.what, name)
			}
		}
	}
	if status, _, _ := h.request(browser(t), "POST", "/api/v1/login", `{"code":"`+token+`"}`, "Content-Type", asJSON, "Origin", "http://attacker.example"); status != 403 {
		t.Errorf("login from another site = %d, want 403", status)
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true, ReadOnly: true}, say("GET /api/v1/names", false), say("POST /api/v1/change", false))
	c := browser(t)
	if status := h.login(c, token); status != 200 {
		t.Fatalf("login = %d", status)
	}
	if status, _, _ := h.request(c, "GET", "/api/v1/names", ""); status != 200 {
		t.Errorf("GET = %d, want 200", status)
	}
	if status, _, body := h.request(c, "POST", "/api/v1/change", "{}", "Content-Type", asJSON, "Origin", h.base); status != 403 || !strings.Contains(body, "read-only") {
		t.Errorf("POST = %d %s, want 403", status, body)
	}
	if status, _, _ := h.request(c, "POST", "/api/v1/change", "{}", "Content-Type", asJSON, "Authorization", "Bearer "+token); status != 403 {
		t.Errorf("POST with the token = %d, want 403", status)
	}
}

func TestWhatIsForTheSocketIsNotBehindTheDoor(t *testing.T) {
	local := say("POST /api/v1/local", false)
	local.SocketOnly = true
	own := say("GET /api/v1/own", false)
	own.Token = "another token of 16"
	h := open(t, web.DashboardConfig{Enabled: true}, local, own)
	c := browser(t)
	if status, _, _ := h.request(c, "POST", "/api/v1/local", "{}", "Content-Type", asJSON, "Authorization", "Bearer "+token); status != 404 {
		t.Errorf("an operation of the socket = %d, want 404", status)
	}
	for shown, want := range map[string]int{own.Token: 200, token: 200, "": 401} {
		if status, _, _ := h.request(c, "GET", "/api/v1/own", "", "Authorization", "Bearer "+shown); status != want {
			t.Errorf("an operation with a token of its own, shown %q: %d, want %d", shown, status, want)
		}
	}
}

func TestBrowsersAreToldToRunOurFilesOnly(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true}, say("GET /api/v1/names", false))
	for _, path := range []string{"/", "/app.js", "/style.css", "/api/v1/names", "/api/v1/nothing"} {
		_, header, _ := h.request(browser(t), "GET", path, "")
		csp := header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "require-trusted-types-for 'script'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, header)
		}
	}
	_, _, page := h.request(browser(t), "GET", "/", "")
	for _, bad := range []string{"<style", "onclick", "javascript:", "http://", "https://", "<script>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

// No file of the dashboard makes elements of text.
func TestTheDashboardHasNoWayToMakeMarkupOfText(t *testing.T) {
	index, err := os.ReadFile("ui/index.html")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = filepath.WalkDir("ui", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".js" {
			return err
		}
		n++
		// Asked for at once, and not one after the other as they import each other.
		if name := strings.TrimPrefix(filepath.ToSlash(path), "ui/"); name != "app.js" && !strings.Contains(string(index), `<link rel="modulepreload" href="`+name+`">`) {
			t.Errorf("index.html does not preload %s", name)
		}
		text, err := os.ReadFile(path)
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "createContextualFragment", "srcdoc", "DOMParser"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s uses %s", path, bad)
			}
		}
		return err
	})
	if err != nil || n < 8 {
		t.Errorf("%d modules, %v", n, err)
	}
}

func TestSessionsAndCodesAreBounded(t *testing.T) {
	h := open(t, web.DashboardConfig{Enabled: true}, say("GET /api/v1/names", false))
	first, _ := h.door.Code()
	h.now = h.now.Add(time.Second)
	for range 16 {
		h.door.Code()
	}
	if status := h.login(browser(t), first); status != 401 {
		t.Errorf("the oldest of 17 codes = %d, want 401", status)
	}
	oldest := browser(t)
	h.login(oldest, token)
	h.now = h.now.Add(time.Second)
	for range 64 {
		h.login(browser(t), token)
	}
	if status, _, _ := h.request(oldest, "GET", "/api/v1/names", ""); status != 401 {
		t.Errorf("the oldest of 65 sessions = %d, want 401", status)
	}
}

func TestTheTokenIsItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboard.token")
	made, err := web.Token(path)
	if err != nil || len(made) < 32 {
		t.Fatalf("Token = %q, %v", made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if again, err := web.Token(path); err != nil || again != made {
		t.Errorf("at the next start: %q, %v; want the same", again, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := web.Token(path); err == nil || !strings.Contains(err.Error(), "others may read") {
		t.Errorf("readable by others: %v", err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := web.Token(path); err == nil || !strings.Contains(err.Error(), "16 to 4096") {
		t.Errorf("short: %v", err)
	}
}

func TestHostsAreNamesWithoutPorts(t *testing.T) {
	c := web.Config{Listen: "x", Dashboard: web.DashboardConfig{Hosts: []string{"weir.example", "::1", "10.0.0.1", "a:80", "http://a", ""}}}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{"listen: ", "dashboard.hosts[3]: ", "dashboard.hosts[4]: ", "dashboard.hosts[5]: "}
	if len(got) != len(want) {
		t.Fatalf("%q, want %d problems", got, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d is %q, want %q...", i, got[i], want[i])
		}
	}
}
