package syslog_test

import (
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
)

// Whatever happens to a receiver, every row arrives.
func TestFaults(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	r := &receiver{t: t}
	r.stream(l, nil)
	p := outlettest.NewProxy(t, "tcp", l.Addr().String(), 0)
	cfg := config("tcp://" + p.Addr())
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "syslog, TCP", Proxy: p,
		Arrived: func() (map[string]string, int) {
			msgs := r.all()
			return identities(t, msgs), len(msgs)
		},
	})
}
