package syslog_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
)

// Whatever happens to a receiver, every row arrives.
func TestFaults(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	names, rows := map[string]string{}, 0
	r := &receiver{t: t, take: func(msg string) { // what is kept of a message is little
		rows++
		for name, id := range identities(t, []string{msg}) {
			if old, ok := names[name]; ok && old != id {
				t.Errorf("%s came as %s and as %s", name, old, id)
			}
			names[strings.Clone(name)] = strings.Clone(id)
		}
	}}
	r.stream(l, nil)
	p := outlettest.NewProxy(t, "tcp", l.Addr().String(), 0)
	cfg := config("tcp://" + p.Addr())
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "syslog, TCP", Proxy: p,
		Arrived: func() (map[string]string, int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return names, rows
		},
	})
}
