package dnstap_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/outlettest"
)

// Whatever happens to a receiver, every row arrives.
func TestFaults(t *testing.T) {
	r := &receiver{t: t}
	p := outlettest.NewProxy(t, "tcp", r.listen("tcp", "127.0.0.1:0"), 0)
	cfg := config("tcp://" + p.Addr())
	outlettest.Faults(t, cfg.Config, sink(t, cfg), outlettest.Service{
		Name: "dnstap, TCP", Proxy: p,
		Arrived: func() (map[string]string, int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return identities(t, r.frames), len(r.frames)
		},
	})
}

// identities are those of the names in frames.
func identities(t *testing.T, frames [][]byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range frames {
		all := fields(t, f)
		var extra struct {
			ID string `json:"weir_id"`
		}
		if err := json.Unmarshal(all[3].([]byte), &extra); err != nil {
			t.Fatal(err)
		}
		response := inner(t, all, 14)[14].([]byte)
		name := dnsname.Name(response[12 : 13+strings.IndexByte(string(response[12:]), 0)])
		if old, ok := out[name.String()]; ok && old != extra.ID {
			t.Errorf("%v came as %s and as %s", name, old, extra.ID)
		}
		out[name.String()] = extra.ID
	}
	return out
}
