package resolver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many datagrams one system call moves. More saves little
	// and delays the first of them.
	batchSize = 32
	// controlSize holds one IP_PKTINFO or IPV6_PKTINFO.
	controlSize = 64
	// reusePortSpreads: the kernel shares a port's datagrams out by flow.
	reusePortSpreads = true
)

func reusePort(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// enlarge has a socket that somebody else made hold what one of our own does,
// unless it holds more: between two processes queries wait in it. What the system
// allows shows in one of our own, since asking for more than that could take away
// from what a service manager was allowed.
func enlarge(conn *net.UDPConn) {
	own, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return
	}
	defer func() { _ = own.Close() }() // nothing was sent
	if _ = own.SetReadBuffer(receiveBuffer); holds(conn) < holds(own) {
		_ = conn.SetReadBuffer(receiveBuffer)
	}
}

// holds is the size of a socket's receive buffer, 0 if that cannot be told.
func holds(conn *net.UDPConn) (octets int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		octets, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	return octets
}

// wantDestination asks for each datagram's destination address, where the
// socket has several: the answer must come from the address that was asked.
func wantDestination(conn *net.UDPConn) error {
	local := localAddr(conn).Addr()
	if !local.IsUnspecified() {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		if local.Is6() {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// batch moves datagrams in and out of one socket, many in a call. golang.org/x/net's
// batches allocate a message each and cost nearly as much as single reads, so
// the two system calls are made here.
type batch struct {
	raw      syscall.RawConn
	ipv6     bool
	in, out  [batchSize]mmsghdr
	inVec    [batchSize]unix.Iovec
	outVec   [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // large enough for both families
	outNames [batchSize]unix.RawSockaddrInet6
	controls [batchSize][controlSize]byte
	buffers  [batchSize][maxQuery]byte

	// What the system calls of the moment work on and return; fields, so that
	// the closures below are made once.
	count    int
	done     int
	err      syscall.Errno
	receive  func(fd uintptr) bool
	transmit func(fd uintptr) bool
}

func newBatch(conn *net.UDPConn) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{raw: raw, ipv6: localAddr(conn).Addr().Is6()}
	for i := range b.in {
		b.inVec[i].Base = &b.buffers[i][0]
		b.in[i].hdr.Iov, b.in[i].hdr.Name = &b.inVec[i], (*byte)(unsafe.Pointer(&b.names[i]))
		b.in[i].hdr.SetIovlen(1)
		b.in[i].hdr.Control = &b.controls[i][0]
		b.out[i].hdr.Iov, b.out[i].hdr.Name = &b.outVec[i], (*byte)(unsafe.Pointer(&b.outNames[i]))
		b.out[i].hdr.SetIovlen(1)
	}
	// Neither call waits, so the scheduler is not told of them: while it is, it
	// takes the processor away from a call of more than 20 µs, which a batch of
	// answers is, and two threads change places for each batch.
	b.receive = func(fd uintptr) bool {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			return false
		}
		b.done, b.err = int(n), errno
		return true
	}
	b.transmit = func(fd uintptr) bool {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[b.done])), uintptr(b.count-b.done), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			return false
		}
		b.err = errno
		if errno == 0 {
			b.done += int(n)
		}
		return true
	}
	return b, nil
}

// read waits for datagrams and says how many came.
func (b *batch) read() (int, error) {
	b.makeRoom()
	if err := b.raw.Read(b.receive); err != nil {
		return 0, err
	}
	if b.err != 0 {
		return 0, b.err
	}
	return b.done, nil
}

// drain reads what is there, whatever the socket's deadline; 0: nothing.
func (b *batch) drain() (n int) {
	b.makeRoom()
	err := b.raw.Control(func(fd uintptr) {
		if b.receive(fd) && b.err == 0 {
			n = b.done
		}
	})
	if err != nil {
		return 0 // closed
	}
	return n
}

// makeRoom sets the lengths that a read has made those of what came.
func (b *batch) makeRoom() {
	for i := range b.in {
		b.in[i].hdr.Namelen = unix.SizeofSockaddrInet6
		b.in[i].hdr.SetControllen(controlSize)
		b.inVec[i].SetLen(maxQuery)
	}
}

func (b *batch) message(i int) []byte { return b.buffers[i][:b.in[i].len] }

func (b *batch) control(i int) []byte { return b.controls[i][:b.in[i].hdr.Controllen] }

func (b *batch) peer(i int) netip.AddrPort {
	name := &b.names[i]
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkOrder(&v4.Port))
	}
	addr := netip.AddrFrom16(name.Addr)
	if name.Scope_id != 0 {
		if iface, err := net.InterfaceByIndex(int(name.Scope_id)); err == nil {
			addr = addr.WithZone(iface.Name) // link-local clients only: rare enough to look up
		}
	}
	return netip.AddrPortFrom(addr, networkOrder(&name.Port))
}

// networkOrder reads a port as it lies in a socket address.
func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// write sends the answers of ready, those that have one. What cannot be sent
// is counted and skipped: UDP promises nothing.
func (b *batch) write(ready []*request, failed *atomic.Uint64) {
	b.count, b.done = 0, 0
	for _, r := range ready {
		if len(r.out) > 0 {
			b.queue(r)
		}
	}
	for b.done < b.count {
		if err := b.raw.Write(b.transmit); err != nil {
			failed.Add(uint64(b.count - b.done))
			return
		}
		if b.err != 0 {
			failed.Add(1)
			b.done++ // the one that failed stands first
		}
	}
}

func (b *batch) queue(r *request) {
	i := b.count
	b.count++
	b.outVec[i].Base = &r.out[0]
	b.outVec[i].SetLen(len(r.out))
	h := &b.out[i].hdr
	h.Namelen = b.sockaddr(&b.outNames[i], r.peer)
	h.Control = nil
	h.SetControllen(len(r.control))
	if len(r.control) > 0 {
		h.Control = &r.control[0]
	}
}

func (b *batch) sockaddr(to *unix.RawSockaddrInet6, peer netip.AddrPort) uint32 {
	*to = unix.RawSockaddrInet6{}
	if !b.ipv6 {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(to))
		v4.Family, v4.Addr = unix.AF_INET, peer.Addr().Unmap().As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&v4.Port))[:], peer.Port())
		return unix.SizeofSockaddrInet4
	}
	to.Family, to.Addr = unix.AF_INET6, peer.Addr().As16()
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&to.Port))[:], peer.Port())
	if zone := peer.Addr().Zone(); zone != "" {
		if iface, err := net.InterfaceByName(zone); err == nil {
			to.Scope_id = uint32(iface.Index)
		}
	}
	return unix.SizeofSockaddrInet6
}
