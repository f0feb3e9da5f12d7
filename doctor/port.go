package doctor

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder is a socket that is bound to an address, and whose it is.
type holder struct {
	addr    netip.AddrPort
	network string
	pid     int    // 0: not to be seen
	name    string // of the process
}

// tables of /proc/net, of sockets that hold an address.
var tables = map[string]bool{"udp": false, "udp6": false, "tcp": true, "tcp6": true} // true: only those that listen

// listening is the state of a TCP socket that listens, in these tables.
const listening = "0A"

// holders are the sockets on a port.
func (s System) holders(port uint16) ([]holder, error) {
	var out []holder
	inodes := map[string][]int{} // which of out
	var last error
	read := 0
	for table, tcp := range tables {
		f, err := os.Open(filepath.Join(s.Root, "/proc/net", table))
		if err != nil {
			last = err
			continue
		}
		read++
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || tcp && fields[3] != listening {
				continue
			}
			addr, ok := procAddr(fields[1])
			if !ok || addr.Port() != port {
				continue
			}
			inodes[fields[9]] = append(inodes[fields[9]], len(out))
			out = append(out, holder{addr: addr, network: strings.TrimSuffix(table, "6")})
		}
		f.Close()
	}
	if read == 0 {
		return nil, last
	}
	s.owners(inodes, out)
	slices.SortFunc(out, func(a, b holder) int {
		return strings.Compare(a.network+a.addr.String(), b.network+b.addr.String())
	})
	return out, nil
}

// portReads is how often the tables are read before an address is called free: the
// kernel hands them out in pieces, and while other sockets come and go between two,
// one that stays may be missing.
const portReads = 3

// holdersOf are the sockets on the port of want, some of which take its address
// unless it is free.
func (s System) holdersOf(want netip.AddrPort) (all []holder, err error) {
	for range portReads {
		all, err = s.holders(want.Port())
		if err != nil || slices.ContainsFunc(all, func(h holder) bool { return overlap(h.addr, want) }) {
			break
		}
	}
	return all, err
}

// procAddr reads an address of these tables: words of the machine's order in hex.
func procAddr(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	p, errPort := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || errPort != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		word := binary.BigEndian.Uint32(raw[i:])
		binary.NativeEndian.PutUint32(raw[i:], word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), ok
}

// owners looks through all processes for who has these sockets open.
func (s System) owners(inodes map[string][]int, out []holder) {
	pids, _ := filepath.Glob(filepath.Join(s.Root, "/proc/[0-9]*")) // the pattern is good
	for _, dir := range pids {
		entries, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // somebody else's
		}
		for _, e := range entries {
			to, err := os.Readlink(filepath.Join(dir, "fd", e.Name()))
			if err != nil || !strings.HasPrefix(to, "socket:[") {
				continue
			}
			for _, i := range inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] {
				name, _ := os.ReadFile(filepath.Join(dir, "comm")) // "" is no harm
				out[i].pid, _ = strconv.Atoi(filepath.Base(dir))
				out[i].name = strings.TrimSpace(string(name))
			}
		}
	}
}

// Ports says who holds the addresses that weir is to listen on. own is the process
// of the running weir, 0 for none.
func (s System) Ports(listen []netip.AddrPort, own int) (out []Result) {
	for _, want := range listen {
		if want.Port() == 0 {
			continue
		}
		check := "port " + want.String()
		all, err := s.holdersOf(want)
		if err != nil {
			out = append(out, result(check, Skip, "", "who holds it cannot be seen: %v", err))
			continue
		}
		i := slices.IndexFunc(all, func(h holder) bool { return overlap(h.addr, want) && (own == 0 || h.pid != own) })
		switch {
		case i >= 0 && all[i].pid != 0 && s.inherited(all[i].pid):
			out = append(out, result(check, OK, "", "held by %s (process %d) for weir.socket", all[i].name, all[i].pid))
		case i >= 0:
			out = append(out, s.taken(check, want, all[i], own != 0))
		case own != 0 && slices.ContainsFunc(all, func(h holder) bool { return h.pid == own && overlap(h.addr, want) }):
			out = append(out, result(check, OK, "", "held by weir (process %d)", own))
		default:
			out = append(out, result(check, OK, "", "free"))
		}
	}
	return out
}

// inherited says that a process is init, which holds sockets for others.
func (s System) inherited(pid int) bool { return pid == 1 }

func overlap(held, want netip.AddrPort) bool {
	h, w := held.Addr(), want.Addr()
	return h == w || h.Is4() == w.Is4() && (h.IsUnspecified() || w.IsUnspecified()) ||
		h == netip.IPv6Unspecified() // takes IPv4 too, unless it says not to
}

// fixes of those who usually hold port 53.
var fixes = map[string]string{
	"systemd-resolve": "give weir an address of its own (resolver.listen), or: printf '[Resolve]\\nDNSStubListener=no\\n' >/etc/systemd/resolved.conf.d/weir.conf (make the folder) && systemctl restart systemd-resolved",
	"dnsmasq":         "systemctl disable --now dnsmasq, or give weir another address (resolver.listen)",
	"named":           "systemctl disable --now named, or give weir another address (resolver.listen)",
	"unbound":         "systemctl disable --now unbound, or give weir another port and make it unbound's forwarder",
	"connmand":        "start connmand with --nodnsproxy",
	"pihole-FTL":      "systemctl disable --now pihole-FTL, or give weir another port",
	"AdGuardHome":     "systemctl disable --now AdGuardHome, or give weir another port",
}

func (s System) taken(check string, want netip.AddrPort, h holder, running bool) Result {
	if h.pid == 0 {
		return result(check, map[bool]Grade{false: Fail, true: Warn}[running], "ask as root: sudo weir doctor",
			"%s over %s is held by a process that only root can see", h.addr, h.network)
	}
	fix := fixes[h.name]
	if fix == "" {
		fix = fmt.Sprintf("stop process %d, or give weir another address than %s (resolver.listen)", h.pid, want)
	}
	return result(check, Fail, fix, "%s over %s is held by %s (process %d)", h.addr, h.network, h.name, h.pid)
}
