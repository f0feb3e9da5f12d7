package capture

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	ringBlock   = 1 << 20               // octets: the kernel hands over packets by the block
	ringRetire  = 20 * time.Millisecond // how long it waits for a block to fill
	tpFrameSize = 1 << 11               // only has to divide the block
)

// Offsets in struct tpacket_block_desc (linux/if_packet.h).
const (
	blockStatus  = 8
	blockPackets = 12
	blockFirst   = 16
)

// ring is the memory that the kernel and we share for the packets of one
// interface, by AF_PACKET's TPACKET_V3 (packet(7)). Packets come without their
// link header: the kernel says what follows it, whatever kind of interface it
// is. It belongs to one goroutine.
type ring struct {
	name   string // of the interface
	fd     int
	mem    []byte
	blocks int
	next   int // block
}

// fanout is a group of rings on one interface, of which each packet goes to one.
type fanout struct {
	id   int
	made bool // by the first that joined
}

// openRing opens a ring on an interface, in a group if it is not alone there.
// It takes no packet until it is given another filter.
func openRing(ifi *net.Interface, blocks int, promiscuous bool, group *fanout) (_ *ring, err error) {
	// With protocol 0 nothing comes before there are filter and interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	r := &ring{name: ifi.Name, fd: fd, blocks: blocks}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	step := func(what string, f func() error) {
		if err != nil {
			return
		}
		if err = f(); err != nil {
			err = fmt.Errorf("%s: %s: %w", ifi.Name, what, err)
		}
	}
	step("TPACKET_V3", func() error {
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3)
	})
	step("ring", func() error {
		return unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size: ringBlock, Block_nr: uint32(blocks), Frame_size: tpFrameSize,
			Frame_nr: uint32(blocks * (ringBlock / tpFrameSize)), Retire_blk_tov: uint32(ringRetire.Milliseconds()),
		})
	})
	step("mmap", func() (err error) {
		r.mem, err = unix.Mmap(fd, 0, blocks*ringBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	})
	step("filter", func() error { return r.filter([]bpf.RawInstruction{{Op: 0x06, K: filterReject}}) })
	if ifi.Flags&net.FlagLoopback != 0 { // there each packet goes out and comes in
		step("PACKET_IGNORE_OUTGOING", func() error {
			return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		})
	}
	step("bind", func() error {
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: ifi.Index})
	})
	if promiscuous {
		step("promiscuous mode", func() error {
			return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
				&unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_PROMISC})
		})
	}
	if group != nil {
		step("fanout", func() error { return r.join(group) })
	}
	return r, err
}

// bigEndian is v as the kernel wants protocols: in network order.
func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

// join makes r one of a group, and makes the group if there is none yet.
func (r *ring) join(group *fanout) (err error) {
	kind := unix.PACKET_FANOUT_CBPF
	if !group.made {
		kind |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group.id|kind<<16); err != nil || group.made {
		return err
	}
	raw, err := spread()
	if err != nil {
		return err
	}
	if err := unix.SetsockoptSockFprog(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, sockProgram(raw)); err != nil {
		return err
	}
	v, err := unix.GetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	group.id, group.made = v&0xffff, true
	return err
}

func sockProgram(raw []bpf.RawInstruction) *unix.SockFprog {
	filter := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}

// filter replaces the socket's filter.
func (r *ring) filter(raw []bpf.RawInstruction) error {
	return unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, sockProgram(raw))
}

// shut lets nothing more come in; what is in the ring stays.
func (r *ring) shut() error { return r.filter([]bpf.RawInstruction{{Op: 0x06, K: filterReject}}) }

func (r *ring) word(off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.mem[off])) // aligned: the kernel lays it out so
}

// ready says whether the next block is ours.
func (r *ring) ready() bool {
	return atomic.LoadUint32(r.word(r.next*ringBlock+blockStatus))&unix.TP_STATUS_USER != 0
}

// take hands the packets of the next block, which is ready, to do, and gives
// the block back to the kernel.
func (r *ring) take(do func(*packet)) {
	begin := r.next * ringBlock
	at := begin + int(*r.word(begin + blockFirst))
	var p packet
	for range *r.word(begin + blockPackets) {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&r.mem[at]))
		from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&r.mem[at+unix.SizeofTpacket3Hdr]))
		data := at + int(h.Mac)
		p = packet{
			time: time.Unix(int64(h.Sec), int64(h.Nsec)).UTC(), link: linkCooked, proto: bigEndian(from.Protocol),
			data: r.mem[data : data+int(h.Snaplen) : data+int(h.Snaplen)],
		}
		if h.Status&unix.TP_STATUS_VLAN_VALID != 0 {
			p.vlan = uint16(h.Hv1.Vlan_tci) & vlanID
		}
		do(&p)
		at += int(h.Next_offset)
	}
	atomic.StoreUint32(r.word(begin+blockStatus), unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % r.blocks
}

// statistics are what came since the last call: packets for the ring, and of
// them those that found it full.
func (r *ring) statistics() (received, dropped uint64, err error) {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: statistics: %w", r.name, err)
	}
	return uint64(s.Packets), uint64(s.Drops), nil
}

// failure is the error that the socket has met, nil for none.
func (r *ring) failure() error {
	n, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = unix.Errno(n)
	}
	return err
}

func (r *ring) close() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem) // it is ours, and whole
		r.mem = nil
	}
	_ = unix.Close(r.fd) // nothing was written
}
