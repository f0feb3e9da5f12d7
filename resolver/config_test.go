package resolver_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/resolver"
)

func TestEveryBadNetworkIsNamed(t *testing.T) {
	cfg := resolver.DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	cfg.Allow = []string{"10.0.0.0/33", "192.0.2.0/24", "here"}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"allow[0]: ", "allow[2]: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "allow[1]") {
		t.Errorf("%v; want the good network left out", err)
	}
}
