package web_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// control runs a server with routes, and returns a client of its socket, the
// base URL of its admin listener, the socket's path, and what stops it.
func control(t *testing.T, dir string, routes ...web.Route) (client *http.Client, admin, socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(dir, "weir.sock")
	s := web.New(web.Config{Listen: "127.0.0.1:0"}, web.Deps{
		Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Registry: prometheus.NewRegistry(), Ready: func() []string { return nil }, Socket: socket, Control: routes,
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	if s.Socket() != socket {
		t.Fatalf("Socket() = %q, want %q", s.Socket(), socket)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil at shutdown", err)
		}
	}
	t.Cleanup(stop)
	client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return client, "http://" + s.Addr(), socket, stop
}

func do(t *testing.T, c *http.Client, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// say is an operation that answers with its own name.
func say(pattern string, public bool) web.Route {
	return web.Route{Pattern: pattern, Public: public, Handler: web.Answer(func(*http.Request) (any, error) { return pattern, nil })}
}

func TestWhatIsNotPublicIsOnTheSocketOnly(t *testing.T) {
	c, admin, _, _ := control(t, t.TempDir(), say("GET /api/v1/open", true), say("GET /api/v1/names", false), say("POST /api/v1/change", false))
	tcp := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, q := range []struct {
		method, path     string
		onSocket, onAddr int
	}{
		{"GET", "/api/v1/open", 200, 200},
		{"GET", "/api/v1/names", 200, 404},
		{"POST", "/api/v1/change", 200, 404},
		{"GET", "/api/v1/nothing", 404, 404},
		{"POST", "/api/v1/open", 404, 404},
		{"GET", "/healthz", 200, 200},
		{"GET", "/metrics", 200, 200},
	} {
		if code, body := do(t, c, q.method, "http://weir"+q.path, ""); code != q.onSocket || code == 404 && !strings.Contains(body, `{"error":"no operation`) {
			t.Errorf("socket: %s %s = %d %q, want %d", q.method, q.path, code, body, q.onSocket)
		}
		if code, body := do(t, tcp, q.method, admin+q.path, ""); code != q.onAddr {
			t.Errorf("admin: %s %s = %d %q, want %d", q.method, q.path, code, body, q.onAddr)
		}
	}
}

func TestAPublicRouteThatChangesSomethingIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New took a public POST")
		}
	}()
	web.New(web.Config{}, web.Deps{Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Registry: prometheus.NewRegistry(), Control: []web.Route{say("POST /api/v1/change", true)}})
}

func TestTheSocketIsItsOwnersAndGoesAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	// What a killed weir left behind: a socket that nobody serves.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "weir.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	if err := os.MkdirAll(filepath.Join(dir, ".sock", "rest"), 0o700); err != nil { // and one that was killed while it bound it
		t.Fatal(err)
	}
	c, _, socket, stop := control(t, dir, say("GET /api/v1/x", false))
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("mode = %v, want a socket with 0600", info.Mode())
	}
	if code, _ := do(t, c, "GET", "http://weir/api/v1/x", ""); code != 200 {
		t.Errorf("GET = %d, want 200", code)
	}
	stop()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("after the end: %v, %v; want an empty folder", left, err)
	}
}

func TestASocketThatCannotBeBoundStopsNothing(t *testing.T) {
	s := web.New(web.Config{Listen: "127.0.0.1:0"}, web.Deps{
		Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(), Registry: prometheus.NewRegistry(), Socket: filepath.Join(t.TempDir(), strings.Repeat("x", 200), "weir.sock"),
	})
	if err := s.Listen(); err != nil || s.Socket() != "" || s.Addr() == "" {
		t.Errorf("Listen = %v, socket %q, admin %q; want the admin listener alone", err, s.Socket(), s.Addr())
	}
	s.Close()
}

func TestErrorsAreJSONWithTheirStatus(t *testing.T) {
	answer := func(pattern string, err error) web.Route {
		return web.Route{Pattern: pattern, Handler: web.Answer(func(*http.Request) (any, error) { return nil, err })}
	}
	decode := web.Route{Pattern: "POST /api/v1/decode", Handler: web.Answer(func(r *http.Request) (any, error) {
		var v struct{ Name string }
		err := web.Decode(r, &v)
		return v, err
	})}
	c, _, _, _ := control(t, t.TempDir(), answer("GET /api/v1/bad", web.BadRequest("no such <list> %q", "x")), answer("GET /api/v1/none", web.NotFound("none")),
		answer("GET /api/v1/broken", errors.New("disk")), decode)
	for _, q := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/api/v1/bad", "", 400, `{"error":"no such <list> \"x\""}` + "\n"},
		{"GET", "/api/v1/none", "", 404, `{"error":"none"}` + "\n"},
		{"GET", "/api/v1/broken", "", 500, `{"error":"disk"}` + "\n"},
		{"POST", "/api/v1/decode", `{"name":"a"}`, 200, `{"Name":"a"}` + "\n"},
		{"POST", "/api/v1/decode", `{"title":"a"}`, 400, `unknown field`},
		{"POST", "/api/v1/decode", `{"name":"a"}{}`, 400, `more than one value`},
		{"POST", "/api/v1/decode", ``, 400, `"error":"body: `},
		{"POST", "/api/v1/decode", `{"name":"` + strings.Repeat("a", 70<<10) + `"}`, 413, `more than 65536 octets`},
	} {
		if code, body := do(t, c, q.method, "http://weir"+q.path, q.body); code != q.code || !strings.Contains(body, q.want) {
			t.Errorf("%s %s %.20q = %d %.200q, want %d with %q", q.method, q.path, q.body, code, body, q.code, q.want)
		}
	}
}

func TestOperationsAreBoundedInNumberAndTime(t *testing.T) {
	entered := make(chan struct{}, 100)
	slow := web.Route{Pattern: "GET /api/v1/slow", Timeout: time.Minute, Handler: web.Answer(func(r *http.Request) (any, error) {
		entered <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
	brief := web.Route{Pattern: "GET /api/v1/brief", Timeout: time.Millisecond, Handler: web.Answer(func(r *http.Request) (any, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
	c, _, _, stop := control(t, t.TempDir(), slow, brief)
	if code, body := do(t, c, "GET", "http://weir/api/v1/brief", ""); code != 500 || !strings.Contains(body, "deadline") {
		t.Errorf("past its time = %d %q, want the context to end", code, body)
	}
	const most = 16
	codes := make(chan int, most)
	for range most {
		go func() {
			resp, err := c.Get("http://weir/api/v1/slow")
			if err != nil {
				codes <- -1
				return
			}
			_ = resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	for range most {
		<-entered
	}
	if code, body := do(t, c, "GET", "http://weir/api/v1/brief", ""); code != 503 || !strings.Contains(body, "too many") {
		t.Errorf("one more than may run = %d %q, want 503", code, body)
	}
	stop() // ends the operations under way, which still answer
	for range most {
		if code := <-codes; code != 500 {
			t.Errorf("an operation at the end of the server = %d, want its own answer", code)
		}
	}
}
