package postgres_test

import (
	"fmt"
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
)

// Whatever happens to the server, every row arrives, and once.
func TestFaults(t *testing.T) {
	s := newServer(t)
	p := outlettest.NewProxy(t, "tcp", s.addr(), 0)
	cfg := s.config()
	cfg.Address, cfg.BatchRows = p.Addr(), 1000
	conn := s.connect("postgres")
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "PostgreSQL " + s.version, Proxy: p, Once: true,
		Fail: func(on bool) { // 57P01, then 55000
			for _, statement := range []string{fmt.Sprintf("ALTER DATABASE weir ALLOW_CONNECTIONS %v", !on), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='weir'"} {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Error(err)
				}
			}
		},
		Arrived: func() (map[string]string, int) {
			names := map[string]string{}
			rows, err := s.connect("weir").Query(t.Context(), "SELECT qname, weir_id::text FROM weir_dns")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			n := 0
			for ; rows.Next(); n++ {
				var name, id string
				if err := rows.Scan(&name, &id); err != nil {
					t.Fatal(err)
				}
				names[name] = id
			}
			return names, n
		},
	})
}
