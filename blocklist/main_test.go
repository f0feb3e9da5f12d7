package blocklist_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deps is the least that Lists needs.
func deps(t testing.TB) blocklist.Deps {
	return blocklist.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Dir: t.TempDir()}
}

// load makes lists and loads what is on this machine.
func load(t testing.TB, cfgs ...blocklist.Config) *blocklist.Lists {
	t.Helper()
	l, err := blocklist.New(cfgs, deps(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	return l
}

// file writes a list file and gives its path.
func file(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	write(t, path, strings.Join(lines, "\n")+"\n")
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hits is what the lists say of a name, each hit as "list rule", with " observe"
// behind where it is only that, and the info last.
func hits(l *blocklist.Lists, name string) []string {
	return show(l.Snapshot().Match(nil, dnsname.MustParse(name)))
}

func addrHits(l *blocklist.Lists, addr string) []string {
	return show(l.Snapshot().MatchAddr(nil, netip.MustParseAddr(addr)))
}

func show(hits []blocklist.Hit) (out []string) {
	for _, h := range hits {
		s := h.List.Name + " " + h.Rule
		if h.ObserveOnly {
			s += " observe"
		}
		if h.Info != "" {
			s += " " + h.Info
		}
		out = append(out, s)
	}
	return out
}

func wantHits(t *testing.T, l *blocklist.Lists, name string, want ...string) {
	t.Helper()
	if got := hits(l, name); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: hits %q, want %q", name, got, want)
	}
}

func wantAddrHits(t *testing.T, l *blocklist.Lists, addr string, want ...string) {
	t.Helper()
	if got := addrHits(l, addr); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: hits %q, want %q", addr, got, want)
	}
}

// list is the one list of a snapshot with that name.
func list(t *testing.T, l *blocklist.Lists, name string) *blocklist.List {
	t.Helper()
	for _, v := range l.Snapshot().Lists() {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("the snapshot has no list %q", name)
	return nil
}

// wantRejected compares all counts; what is not named must be 0.
func wantRejected(t *testing.T, l *blocklist.Lists, name string, want map[blocklist.Reason]int) {
	t.Helper()
	var w blocklist.Rejected
	for r, n := range want {
		w[r] = n
	}
	if got := list(t, l, name).Rejected; got != w {
		for r := range got {
			if got[r] != w[r] {
				t.Errorf("list %s: %d items rejected as %s, want %d", name, got[r], blocklist.Reason(r), w[r])
			}
		}
	}
}
