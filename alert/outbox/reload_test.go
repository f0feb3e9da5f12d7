package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/outbox"
	"go.uber.org/zap"
)

// What waits for a receiver that is down goes by its new setup at once, in order,
// however long the next try by the old one was to wait.
func TestAReloadTriesWhatWaitsAtOnce(t *testing.T) {
	tried := make(chan struct{}, 100)
	cfg := config()
	cfg.RetryMax = time.Hour
	o := open(t, cfg, t.TempDir(), send(func(context.Context, *alert.Notification) error {
		tried <- struct{}{}
		return errors.New("down")
	}))
	o.SetRetry(time.Hour)
	put(t, o, 0, 3)
	start(t, o)
	<-tried
	var got log
	o.Reload(config(), send(func(_ context.Context, n *alert.Notification) error {
		got.add(n.ID)
		return nil
	}))
	until(t, "arrival of all", func() bool { return o.Status().Waiting == 0 })
	if ids := got.all(); fmt.Sprint(ids) != "[n0 n1 n2]" {
		t.Errorf("arrived: %v", ids)
	}
}

// A receiver that is taken out and comes back gets what waited for it.
func TestWhoComesBackFindsWhatWaited(t *testing.T) {
	dir, reg := t.TempDir(), prometheus.NewRegistry()
	again := func(s outbox.Sender) *outbox.Outbox {
		t.Helper()
		o, err := outbox.New(config(), s, outbox.Deps{Dir: dir, Log: zap.NewNop(), Registry: reg})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	first := again(send(func(context.Context, *alert.Notification) error { return errors.New("down") }))
	put(t, first, 0, 2)
	first.Close()
	if all, err := reg.Gather(); err != nil || len(all) != 0 {
		t.Errorf("metrics of who is gone: %d, %v", len(all), err)
	}
	var got log
	start(t, again(send(func(_ context.Context, n *alert.Notification) error {
		got.add(n.ID)
		return nil
	})))
	until(t, "arrival of all", func() bool { return len(got.all()) == 2 })
}
