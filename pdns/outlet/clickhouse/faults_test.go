package clickhouse_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
)

// Whatever happens to the server, every row arrives, and changes what is there once.
func TestFaults(t *testing.T) {
	m := newMemory()
	s, addr := listen(t, m)
	s.code = 241 // MEMORY_LIMIT_EXCEEDED
	p := outlettest.NewProxy(t, "tcp", addr, 0)
	cfg := config(p.Addr())
	cfg.BatchRows = 1000
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "ClickHouse, its protocol alone", Proxy: p, Once: true,
		Fail: func(on bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = 0
			if on {
				s.refused = 1 << 30
			}
		},
		Arrived: func() (map[string]string, int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.identities, len(m.names)
		},
	})
}

// The same with ClickHouse's engine.
func TestFaultsOfTheEngine(t *testing.T) {
	e := newChdb(t)
	s, addr := listen(t, e)
	s.code = 241
	p := outlettest.NewProxy(t, "tcp", addr, 0)
	cfg := config(p.Addr())
	cfg.BatchRows = 1000
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "ClickHouse " + e.must("SELECT version()") + " (chdb)", Proxy: p, Once: true,
		Fail: func(on bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = 0
			if on {
				s.refused = 1 << 30
			}
		},
		Arrived: func() (map[string]string, int) {
			names, rows := map[string]string{}, 0
			for _, line := range strings.Split(e.must("SELECT qname, weir_id FROM weir.weir_dns FORMAT TSVRaw"), "\n") {
				name, id, _ := strings.Cut(line, "\t")
				names[name] = id
				rows++
			}
			return names, rows
		},
	})
}
