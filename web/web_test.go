package web_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/web"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server on a free port and returns its base URL.
func start(t *testing.T, ready func() []string) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_test"}, func() float64 { return 1 }))
	s := web.New(web.Config{Listen: "127.0.0.1:0"}, web.Deps{Log: zap.NewNop(), Gatherer: reg, Registry: reg, Ready: ready})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil at shutdown", err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestHealthAndMetrics(t *testing.T) {
	missing := []string{"no upstream answers"}
	url := start(t, func() []string { return missing })
	if code, body := get(t, url+"/metrics"); code != 200 || !strings.Contains(body, "weir_test 1") {
		t.Errorf("/metrics = %d %q, want 200 with the gauge", code, body)
	}
	if code, _ := get(t, url+"/healthz"); code != 200 {
		t.Errorf("/healthz = %d, want 200: the process lives even when it is not ready", code)
	}
	if code, body := get(t, url+"/readyz"); code != 503 || !strings.Contains(body, "no upstream answers") {
		t.Errorf("/readyz = %d %q, want 503 with what is missing", code, body)
	}
	missing = nil
	if code, _ := get(t, url+"/readyz"); code != 200 {
		t.Errorf("/readyz = %d, want 200 when nothing is missing", code)
	}
	if code, _ := get(t, url+"/"); code != 404 {
		t.Errorf("/ = %d, want 404", code)
	}
}

func TestConfigValidate(t *testing.T) {
	for listen, ok := range map[string]bool{"": true, "127.0.0.1:5380": true, "[::1]:1": true, "localhost:1": false, ":5380": false} {
		c := web.Config{Listen: listen}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("Validate(listen=%q) = %v, want ok %v", listen, err, ok)
		}
	}
}
