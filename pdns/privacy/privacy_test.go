package privacy_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(m privacy.Mode) privacy.Config {
	c := privacy.DefaultConfig()
	c.ClientAddress = m
	return c
}

func guard(t *testing.T, c privacy.Config, d privacy.Deps) *privacy.Guard {
	t.Helper()
	g, err := privacy.New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAddressIsWrittenAsConfigured(t *testing.T) {
	for _, c := range []struct {
		mode       privacy.Mode
		addr, want string
	}{
		{privacy.Full, "192.0.2.77", "192.0.2.77"},
		{privacy.Full, "::ffff:192.0.2.77", "192.0.2.77"},
		{privacy.Full, "fe80::1%eth0", "fe80::1"},
		{privacy.Truncated, "192.0.2.77", "192.0.2.0/24"},
		{privacy.Truncated, "::ffff:192.0.2.77", "192.0.2.0/24"},
		{privacy.Truncated, "2001:db8:1:2:3::4", "2001:db8:1::/48"},
		{privacy.Truncated, "fe80::1%eth0", "fe80::/48"},
		{privacy.None, "192.0.2.77", ""},
		{privacy.Truncated, "198.51.100.5", "198.51.100.5"}, // a server
		{privacy.None, "198.51.100.5", "198.51.100.5"},
		{privacy.Truncated, "2001:db8:ffff::1", "2001:db8:ffff::1"},
	} {
		cfg := config(c.mode)
		cfg.FullClients = []string{"198.51.100.5", "2001:db8:ffff::/64"}
		g := guard(t, cfg, privacy.Deps{})
		if got := g.Text(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%v of %s: %q, want %q", c.mode, c.addr, got, c.want)
		}
	}
	if got := privacy.Plain(privacy.Full).Text(netip.Addr{}); got != "" {
		t.Errorf("no address is written as %q", got)
	}
}

// The pairs are those of the appendix of draft-denis-ipcrypt.
func TestIPCryptIsTheDraft(t *testing.T) {
	for _, c := range []struct{ key, addr, want string }{
		{"0123456789abcdeffedcba9876543210", "0.0.0.0", "bde9:6789:d353:824c:d7c6:f58a:6bd2:26eb"},
		{"1032547698badcfeefcdab8967452301", "255.255.255.255", "aed2:92f6:ea23:58c3:48fd:8b8:74e8:45d8"},
		{"2b7e151628aed2a6abf7158809cf4f3c", "192.0.2.1", "1dbd:c1b9:fff1:7586:7d0b:67b4:e76e:4777"},
	} {
		cfg := config(privacy.IPCrypt)
		cfg.KeyFile = filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(cfg.KeyFile, []byte(c.key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		g := guard(t, cfg, privacy.Deps{})
		got := g.Address(netip.MustParseAddr(c.addr))
		if got.String() != c.want {
			t.Errorf("%s becomes %s, want %s", c.addr, got, c.want)
		}
		if back, ok := g.Reveal(got); !ok || back.String() != c.addr {
			t.Errorf("%s is turned back to %s, want %s", got, back, c.addr)
		}
	}
}

// A client has one pseudonym as long as the key lives, also over a restart, and
// another one afterwards; the key that could connect them is gone.
func TestHashHoldsUntilItsKeyIsForgotten(t *testing.T) {
	dir, client := t.TempDir(), netip.MustParseAddr("192.0.2.77")
	var offset atomic.Int64
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return begin.Add(time.Duration(offset.Load())) }
	deps := privacy.Deps{Dir: dir, Now: now}
	g := guard(t, config(privacy.Hash), deps)
	first := g.Address(client)
	if !netip.MustParsePrefix("100::/64").Contains(first) {
		t.Errorf("the pseudonym %s is not in 100::/64", first)
	}
	if first == g.Address(netip.MustParseAddr("192.0.2.78")) {
		t.Error("two clients have one pseudonym")
	}
	path := filepath.Join(dir, "client-hash.key")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, want 0600", info.Mode())
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	offset.Store(int64(23 * time.Hour))
	g = guard(t, config(privacy.Hash), deps)
	if got := g.Address(client); got != first {
		t.Errorf("after a restart %s, want %s as before", got, first)
	}
	offset.Store(int64(24 * time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for deadline := time.Now().Add(30 * time.Second); g.Address(client) == first; {
		if time.Now().After(deadline) {
			t.Fatal("the key was not rotated within 30 s")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	second := g.Address(client)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v (%v), want one key", files, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) == string(old) {
		t.Errorf("the old key is still there (%v)", err)
	}
	if got := guard(t, config(privacy.Hash), deps).Address(client); got != second {
		t.Errorf("after another restart %s, want %s", got, second)
	}
	// Down for days: the old key must not be used for one more address.
	offset.Store(int64(100 * time.Hour))
	if got := guard(t, config(privacy.Hash), deps).Address(client); got == second {
		t.Error("a key that is too old is used after a restart")
	}
	// A clock that was far ahead must not keep a key for ever.
	offset.Store(int64(-100 * time.Hour))
	if third := guard(t, config(privacy.Hash), deps); third.Address(client) == second {
		t.Error("a key from the future is used")
	}
}

// What cannot be written must not keep the old key alive.
func TestOldKeyIsForgottenWhileTheDiskRefuses(t *testing.T) {
	dir, client := filepath.Join(t.TempDir(), "state"), netip.MustParseAddr("192.0.2.77")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var offset atomic.Int64
	now := func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(offset.Load())) }
	g := guard(t, config(privacy.Hash), privacy.Deps{Dir: dir, Now: now})
	first := g.Address(client)
	// A folder where the temporary file would be.
	if err := os.Mkdir(filepath.Join(dir, "client-hash.key.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	offset.Store(int64(25 * time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := os.Stat(filepath.Join(dir, "client-hash.key"))
		if os.IsNotExist(err) && g.Address(client) != first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s the old key is in use (%v) or on the disk (%v)", g.Address(client) == first, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestIPCryptKeepsItsKey(t *testing.T) {
	dir, client := t.TempDir(), netip.MustParseAddr("2001:db8::1")
	var years int
	now := func() time.Time { return time.Unix(1e9, 0).AddDate(years, 0, 0) }
	first := guard(t, config(privacy.IPCrypt), privacy.Deps{Dir: dir, Now: now}).Address(client)
	years = 5
	if got := guard(t, config(privacy.IPCrypt), privacy.Deps{Dir: dir, Now: now}).Address(client); got != first {
		t.Errorf("%s five years later, want %s", got, first)
	}
}

func TestDamagedKeyIsAnErrorThatDoesNotShowIt(t *testing.T) {
	for _, mode := range []privacy.Mode{privacy.Hash, privacy.IPCrypt} {
		dir := t.TempDir()
		const damaged = `{"mode":"hash","begun":"2026-03-01T12:00:00Z","key":"c0ffee"}`
		path := filepath.Join(dir, "client-"+mode.String()+".key")
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := privacy.New(config(mode), privacy.Deps{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "c0ffee") {
			t.Errorf("%v: error %v, want one that names the file and not the key", mode, err)
		}
		cfg := config(mode)
		cfg.KeyFile = path
		if err := cfg.CheckFiles(); err == nil || !strings.HasPrefix(err.Error(), "key_file: ") || strings.Contains(err.Error(), "c0ffee") {
			t.Errorf("%v: CheckFiles says %v", mode, err)
		}
	}
	if _, err := privacy.New(config(privacy.IPCrypt), privacy.Deps{}); err == nil {
		t.Error("ipcrypt takes a key that nobody has")
	}
	if got := guard(t, config(privacy.Hash), privacy.Deps{}).Text(netip.MustParseAddr("192.0.2.1")); !strings.HasPrefix(got, "100::") {
		t.Errorf("hash without a folder writes %q", got)
	}
}

func TestSomeClientsAndNamesAreSkipped(t *testing.T) {
	cfg := privacy.DefaultConfig()
	cfg.SkipClients = []string{"192.0.2.64/26", "2001:db8::1", "::ffff:198.51.100.0/120"}
	cfg.SkipNames = []string{"Clinic.example", "a.b.example."}
	g := guard(t, cfg, privacy.Deps{})
	for _, c := range []struct {
		client, name string
		want         bool
	}{
		{"192.0.2.77", "www.example", true},
		{"::ffff:192.0.2.77", "www.example", true},
		{"192.0.2.7", "www.example", false},
		{"2001:db8::1", "www.example", true},
		{"2001:db8::2", "www.example", false},
		{"198.51.100.9", "www.example", true},
		{"192.0.2.7", "clinic.example", true},
		{"192.0.2.7", "www.clinic.example", true},
		{"192.0.2.7", "myclinic.example", false},
		{"192.0.2.7", "b.example", false},
		{"192.0.2.7", "example", false},
		{"192.0.2.7", "c.a.b.example", true},
	} {
		if got := g.Skips(netip.MustParseAddr(c.client), dnsname.MustParse(c.name)); got != c.want {
			t.Errorf("%s asks for %s: skipped %v, want %v", c.client, c.name, got, c.want)
		}
	}
	if g.Skips(netip.Addr{}, nil) {
		t.Error("what has neither client nor name is skipped")
	}
}

// Skips is on the answer path.
func TestSkipsAllocNothing(t *testing.T) {
	cfg := privacy.DefaultConfig()
	cfg.SkipClients, cfg.SkipNames = []string{"192.0.2.64/26"}, []string{"clinic.example"}
	g := guard(t, cfg, privacy.Deps{})
	client, name := netip.MustParseAddr("::ffff:203.0.113.9"), dnsname.MustParse("a.very.long.name.of.example")
	if n := testing.AllocsPerRun(100, func() { g.Skips(client, name) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// What was stored as Address returned it is written as Append would have.
func TestKeptAddressIsWrittenAsItWouldHaveBeen(t *testing.T) {
	for _, mode := range []privacy.Mode{privacy.Truncated, privacy.None, privacy.Full, privacy.Hash} {
		cfg := config(mode)
		cfg.FullClients = []string{"198.51.100.5"}
		g, kept := guard(t, cfg, privacy.Deps{}), privacy.Kept(cfg)
		for _, a := range []string{"192.0.2.77", "2001:db8:1:2:3::4", "198.51.100.5"} {
			addr := netip.MustParseAddr(a)
			if got, want := kept.Text(g.Address(addr)), g.Text(addr); got != want {
				t.Errorf("%v: %s is written as %q, want %q", mode, a, got, want)
			}
		}
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := privacy.Config{
		ClientAddress: 9, KeyRotation: time.Second, KeyFile: "x",
		FullClients: []string{"nobody"}, SkipClients: []string{"192.0.2.0/33", "fe80::1%eth0"}, SkipNames: []string{".", "a..b"},
	}
	err := c.Validate()
	for _, want := range []string{
		"client_address: must be", "key_rotation: must be at least 1m0s", "key_file: only", `full_clients[0]: must be an address or a network like 192.0.2.0/24, got "nobody"`,
		"skip_clients[0]: ", "skip_clients[1]: ", "skip_names[0]: the root", "skip_names[1]: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	good := privacy.DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	var m privacy.Mode
	if err := yaml.Unmarshal([]byte("ipcrypt"), &m); err != nil || m != privacy.IPCrypt {
		t.Errorf("ipcrypt reads as %v (%v)", m, err)
	}
	if err := yaml.Unmarshal([]byte("some"), &m); err == nil || !strings.Contains(err.Error(), "truncated, none, full, hash or ipcrypt") {
		t.Errorf("some reads with error %v", err)
	}
}
