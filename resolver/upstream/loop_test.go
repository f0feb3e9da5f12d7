package upstream

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
)

// An exchange is over at its end, not when the context's own timer has come to
// it too: thousands that spin until then keep that timer from running.
func TestTheEndOfAnExchangeIsNotWaitedForBusily(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Servers = []string{"192.0.2.1"}
	g, err := New(cfg, Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	q := &Question{Name: dnsname.MustParse("www.example"), Type: 1, Class: 1}
	ctx, cancel := context.WithCancel(t.Context())
	x := newExchange(ctx, g, q)
	x.begin()
	x.ctx = ctx // as if the deadline's timer had not run yet
	x.end = time.Now().Add(20 * time.Millisecond)
	x.step = x.end
	// All has been asked, and an answer may still come.
	x.tries[0].open, x.tries[0].noUDP, x.tries[0].streams = 1, true, 1
	done := make(chan error, 1)
	go func() {
		_, err := x.loop()
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("got an answer, want none")
		}
	case <-time.After(20 * time.Second):
		t.Error("the exchange goes on after its end")
	}
	cancel()
	x.close()
}
