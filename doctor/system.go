package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// netBind is the bit of CAP_NET_BIND_SERVICE.
const netBind = 10

// Capabilities says whether who asks may bind the ports below 1024.
func (s System) Capabilities(listen []netip.AddrPort) Result {
	const check = "privileges"
	least := 1024
	if text, err := os.ReadFile(filepath.Join(s.Root, "/proc/sys/net/ipv4/ip_unprivileged_port_start")); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			least = n
		}
	}
	i := slices.IndexFunc(listen, func(a netip.AddrPort) bool { return a.Port() != 0 && int(a.Port()) < least })
	if i < 0 {
		return result(check, OK, "", "every port may be bound by anybody")
	}
	status, err := os.ReadFile(filepath.Join(s.Root, "/proc/self/status"))
	if err != nil {
		return result(check, Skip, "", "capabilities cannot be read: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64); err == nil && set>>netBind&1 == 1 {
				return result(check, OK, "", "port %d may be bound", listen[i].Port())
			}
		}
	}
	return result(check, Fail, "run it by configs/systemd/weir.service, or: setcap cap_net_bind_service=+ep $(command -v weir), or: sysctl net.ipv4.ip_unprivileged_port_start=53",
		"port %d needs root or CAP_NET_BIND_SERVICE, and user %d has neither", listen[i].Port(), s.UID)
}

// Resolved says how systemd-resolved and resolv.conf stand to weir.
func (s System) Resolved(listen []netip.AddrPort) (out []Result) {
	const check = "resolv.conf"
	text, err := os.ReadFile(filepath.Join(s.Root, "/etc/resolv.conf"))
	if err != nil {
		return []Result{result(check, Skip, "", "cannot be read: %v", err)}
	}
	var servers []netip.Addr
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				servers = append(servers, a)
			}
		}
	}
	stub := netip.MustParseAddr("127.0.0.53")
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(listen, func(l netip.AddrPort) bool {
			return l.Port() == 53 && (l.Addr() == a || l.Addr().IsUnspecified() && a.IsLoopback() && a != stub)
		})
	}
	switch {
	case len(servers) == 0:
		return []Result{result(check, Warn, "write one: echo nameserver ADDRESS >/etc/resolv.conf", "names no nameserver")}
	case ours(servers[0]):
		out = append(out, result(check, OK, "", "this machine itself asks weir (%s)", servers[0]))
		if len(servers) > 1 {
			out = append(out, result(check, Warn, "take the other nameservers out of /etc/resolv.conf", "it asks %s too when weir is slow, past all lists", servers[1]))
		}
	case servers[0] == stub:
		fix := "resolvectl dns INTERFACE ADDRESS-OF-WEIR, or DNS=ADDRESS-OF-WEIR in /etc/systemd/resolved.conf"
		out = append(out, result(check, OK, fix, "this machine itself asks systemd-resolved, not weir; the fix is for who wants that"))
	default:
		out = append(out, result(check, OK, "echo nameserver ADDRESS-OF-WEIR >/etc/resolv.conf", "this machine itself asks %s, not weir; the fix is for who wants that", servers[0]))
	}
	return out
}

// Sandbox says whether the kernel has what the sandbox is made of.
func (s System) Sandbox(enabled bool) Result {
	const check = "sandbox"
	if !enabled {
		return result(check, OK, "sandbox: {enabled: true}", "off; the fix is for who wants one")
	}
	text, err := os.ReadFile(filepath.Join(s.Root, "/sys/kernel/security/lsm"))
	if err != nil {
		return result(check, Skip, "", "what the kernel has cannot be read: %v", err)
	}
	if !slices.Contains(strings.Split(strings.TrimSpace(string(text)), ","), "landlock") {
		return result(check, Warn, "boot with lsm=landlock,... (or a kernel from 5.13 on)", "the kernel has no landlock: files stay as open as the user's")
	}
	return result(check, OK, "", "on, and the kernel has landlock")
}

// Secret says whether a file with a secret is there, has something in it, and is
// not everybody's.
func (s System) Secret(setting, path string) Result {
	check := "secret"
	full := filepath.Join(s.Root, path)
	info, err := os.Stat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return result(check, Fail, "put the key into "+path, "%s: %s is not there", setting, path)
	case err != nil:
		return result(check, Fail, fmt.Sprintf("let weir's user read %s", path), "%s: %v", setting, err)
	case info.Size() == 0:
		return result(check, Fail, "put the key into "+path, "%s: %s is empty", setting, path)
	case info.Mode().Perm()&0o007 != 0:
		return result(check, Warn, fmt.Sprintf("chmod o= %s", path), "%s: %s is open to every user (%o)", setting, path, info.Mode().Perm())
	}
	f, err := os.Open(full)
	if err != nil {
		return result(check, Fail, fmt.Sprintf("let weir's user read %s", path), "%s: %v", setting, err)
	}
	f.Close()
	return result(check, OK, "", "%s is there", setting)
}

// Client is how many queries one client made.
type Client struct {
	Name  string
	Count uint64
}

// Thresholds of NATed clients.
const (
	enoughQueries = 1000
	mostQueries   = 0.9
)

// Clients says whether all queries come from one address, as behind a NAT or a
// container's gateway. total is how many queries there were.
func Clients(busiest []Client, total uint64) Result {
	const check = "clients"
	fix := "let clients reach weir directly (in containers: network_mode: host), or have the forwarder in front speak PROXY (resolver.proxy_protocol)"
	switch {
	case busiest == nil:
		return result(check, Skip, "store: {clients: true}", "they are not counted")
	case total < enoughQueries:
		return result(check, Skip, "", "only %d queries were seen: too few to say", total)
	case len(busiest) == 0:
		return result(check, Skip, "", "none may be kept (privacy.client_address)")
	}
	top := busiest[0]
	if p, err := netip.ParsePrefix(top.Name); err == nil && !p.IsSingleIP() {
		return result(check, Skip, "", "only networks are kept (privacy.client_address), so clients cannot be told apart")
	}
	addr, err := netip.ParseAddr(top.Name)
	if share := float64(top.Count) / float64(total); share > mostQueries && (err != nil || !addr.IsLoopback()) {
		return result(check, Warn, fix, "%.0f %% of %d queries come from one address: clients behind it cannot be told apart, and share its limits", 100*share, total)
	}
	return result(check, OK, "", "%d and more clients", len(busiest))
}
