package capture

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// What the kernel's filter returns: all octets of a packet, or none.
const (
	filterAccept = 1 << 18
	filterReject = 0
)

// maxTagged is how many VLAN tags the filter looks behind, beside the one that
// the kernel takes off; what has more is let through for the decoder.
const maxTagged = 2

// filterSpec says what is let through to us. The filter is coarse: what it
// cannot tell cheaply it accepts, and the decoder drops it, counted.
type filterSpec struct {
	ports     []uint16 // UDP and TCP
	tunnels   bool     // what may carry other packets
	encrypted bool     // the beginnings of TLS and QUIC on ports of encrypted DNS
}

// assembler builds a classic BPF program out of forward jumps to labels, of any
// length: a conditional jump of BPF reaches 255 instructions only.
type assembler struct {
	ins   []bpf.Instruction
	jumps map[int]string // instruction, and where it goes
	at    map[string]int
}

func (a *assembler) add(ins ...bpf.Instruction) { a.ins = append(a.ins, ins...) }

func (a *assembler) label(name string) { a.at[name] = len(a.ins) }

func (a *assembler) jump(to string) {
	a.jumps[len(a.ins)] = to
	a.add(bpf.Jump{})
}

// when jumps if the accumulator and v meet the condition.
func (a *assembler) when(cond bpf.JumpTest, v uint32, to string) {
	a.add(bpf.JumpIf{Cond: cond, Val: v, SkipFalse: 1})
	a.jump(to)
}

func (a *assembler) is(to string, values ...uint32) {
	for _, v := range values {
		a.when(bpf.JumpEqual, v, to)
	}
}

func (a *assembler) program() ([]bpf.RawInstruction, error) {
	for i, to := range a.jumps {
		at, ok := a.at[to]
		if !ok || at <= i {
			return nil, fmt.Errorf("filter: jump from %d to %q, at %d, is not forward", i, to, at)
		}
		a.ins[i] = bpf.Jump{Skip: uint32(at - i - 1)}
	}
	return bpf.Assemble(a.ins)
}

// filter is the program for packets that begin at offset base; how the type of
// what is there gets into the accumulator is said by kind.
func filter(s filterSpec, kind bpf.Instruction, base uint32) ([]bpf.RawInstruction, error) {
	a := &assembler{jumps: map[int]string{}, at: map[string]int{}}
	a.add(kind)
	for tags := uint32(0); tags <= maxTagged; tags++ {
		a.etherType(s, base+tags*4, tags == 0, tags == maxTagged)
	}
	for tags := uint32(0); tags <= maxTagged; tags++ {
		a.network(s, base+tags*4)
	}
	a.label("reject")
	a.add(bpf.RetConstant{Val: filterReject})
	a.label("accept")
	a.add(bpf.RetConstant{Val: filterAccept})
	return a.program()
}

// at is a label for what begins at an offset.
func at(what string, off uint32) string { return fmt.Sprintf("%s@%d", what, off) }

// etherType sorts by the EtherType in the accumulator; what it is of begins at
// off. Behind the last VLAN tag that is looked at, another lets through.
func (a *assembler) etherType(s filterSpec, off uint32, first, last bool) {
	const snap = 0xaaaa0300
	a.is(at("ipv4", off), etherIPv4)
	a.is(at("ipv6", off), etherIPv6)
	if s.tunnels {
		a.is("accept", etherMPLS, etherMPLSm, etherPPPoE, etherPPP, etherBridged, etherBEB, etherVNTag, etherETag, etherRTag, etherHSR,
			etherCMD, etherMACsec, etherTRILL, etherNSH, etherFabric, etherBATMAN, etherJumbo)
	}
	tagged := "accept"
	if !last {
		tagged = at("tag", off)
	}
	a.is(tagged, etherVLAN, etherQinQ, etherQinQOld, etherQinQDEC)
	a.when(bpf.JumpGreaterThan, lastLength, at("other", off))
	a.add(bpf.LoadAbsolute{Off: off, Size: 4})
	a.is("accept", snap)
	a.jump("reject")
	a.label(at("other", off))
	// A tag that was put in on the way out is told by the type alone: then the
	// packet itself is here.
	if !first {
		a.add(bpf.LoadAbsolute{Off: off - 4, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
		a.is(at("ipv4", off-4), 4)
		a.is(at("ipv6", off-4), 6)
	}
	a.jump("reject")
	if !last {
		a.label(at("tag", off))
		a.add(bpf.LoadAbsolute{Off: off + 2, Size: 2})
	}
}

// network sorts the IP packets at off.
func (a *assembler) network(s filterSpec, off uint32) {
	tunnels := []uint32{protoIPv4, protoIPv6, protoGRE, protoEtherIP, protoIPComp, protoMPLS, protoEthernet}
	a.label(at("ipv4", off))
	a.add(bpf.LoadAbsolute{Off: off + 9, Size: 1})
	if s.tunnels {
		a.is("accept", tunnels...)
	}
	a.is("accept", protoAH, protoUDPLite, protoSCTP)
	a.is(at("known4", off), protoUDP, protoTCP, protoICMP)
	a.jump("reject")
	a.label(at("known4", off))
	a.add(bpf.LoadAbsolute{Off: off + 6, Size: 2})
	a.when(bpf.JumpBitsSet, 0x3fff, "accept") // fragments, the first too: it says what the rest is
	a.add(bpf.LoadMemShift{Off: off}, bpf.LoadAbsolute{Off: off + 9, Size: 1})
	a.is(at("udp", off), protoUDP)
	a.is(at("tcp", off), protoTCP)
	a.add(bpf.LoadIndirect{Off: off, Size: 1})
	a.is("accept", icmpUnreachable, icmpQuench, icmpRedirect, icmpExceeded, icmpProblem)
	a.jump("reject")

	a.label(at("ipv6", off))
	a.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 40}, bpf.LoadAbsolute{Off: off + 6, Size: 1})
	a.is("accept", protoHopByHop, protoRouting, protoFragment, protoAH, protoOptions, protoMobility, protoHIP, protoShim6, protoUDPLite, protoSCTP)
	if s.tunnels {
		a.is("accept", tunnels...)
	}
	a.is(at("udp", off), protoUDP)
	a.is(at("tcp", off), protoTCP)
	a.is(at("icmp6", off), protoICMPv6)
	a.jump("reject")
	a.label(at("icmp6", off))
	a.add(bpf.LoadIndirect{Off: off, Size: 1})
	a.is("accept", icmpv6Redirect)
	a.when(bpf.JumpGreaterThan, icmpv6LastError, "reject")
	a.when(bpf.JumpGreaterThan, 0, "accept")
	a.jump("reject")

	// X is the length of the IP header.
	a.label(at("udp", off))
	ports := s.ports
	if s.tunnels {
		ports = append(tunnelPorts[:], ports...)
	}
	a.ports(off, ports)
	if s.encrypted { // to 443 or 853, with QUIC's long header (RFC 9000, section 17.2)
		a.is(at("quic", off), portDoT, portDoH)
		a.jump("reject")
		a.label(at("quic", off))
		a.add(bpf.LoadIndirect{Off: off + 8, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xc0})
		a.is("accept", 0xc0)
	}
	a.jump("reject")
	a.label(at("tcp", off))
	a.ports(off, s.ports)
	if s.encrypted {
		a.is(at("tls", off), portDoT, portDoH)
		a.jump("reject")
		a.label(at("tls", off))
		a.clientHello(off)
	}
	a.jump("reject")
}

// clientHello accepts of the TCP segments at X+off what may be of a ClientHello:
// a record that begins with one, and what ends a write (PSH) and is no beginning
// of a record. That is the rest of one that takes two segments, as those with
// keys against quantum computers do; of an upload it was one segment in six.
func (a *assembler) clientHello(off uint32) {
	const flags, size, push = 13, 12, 0x08
	const version, handshake = 3, tlsHandshake << 8
	a.add(bpf.LoadIndirect{Off: off + flags, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: push}, bpf.StoreScratch{Src: bpf.RegA},
		bpf.LoadIndirect{Off: off + size, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 2}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{},
		bpf.LoadIndirect{Off: off, Size: 2})
	a.is(at("handshake", off), handshake|version)
	a.is("reject", (tlsHandshake-2)<<8|version, (tlsHandshake-1)<<8|version, (tlsHandshake+1)<<8|version)
	a.add(bpf.LoadScratch{Dst: bpf.RegA})
	a.is("accept", push)
	a.jump("reject")
	a.label(at("handshake", off))
	a.add(bpf.LoadIndirect{Off: off + tlsRecord, Size: 1})
	a.is("accept", tlsClientHello)
	a.jump("reject")
}

// ports accepts what comes from one of ports or goes there, and leaves the port
// it goes to in the accumulator.
func (a *assembler) ports(off uint32, ports []uint16) {
	for _, end := range [2]uint32{0, 2} {
		a.add(bpf.LoadIndirect{Off: off + end, Size: 2})
		for _, p := range ports {
			a.is("accept", uint32(p))
		}
	}
}

// spread is the program that deals packets to workers: by both addresses, in
// either order, so that question, answer, fragments and segments meet. What it
// does not understand goes to the first. Offsets are from the network header.
func spread() ([]bpf.RawInstruction, error) {
	const network = 0xfff00000 // SKF_NET_OFF
	a := &assembler{jumps: map[int]string{}, at: map[string]int{}}
	a.add(bpf.LoadExtension{Num: bpf.ExtProto})
	for tags := uint32(0); tags <= maxTagged; tags++ {
		off := network + tags*4
		a.is(at("ipv4", off), etherIPv4)
		a.is(at("ipv6", off), etherIPv6)
		if tags < maxTagged {
			a.is(at("tag", off), etherVLAN, etherQinQ, etherQinQOld)
			a.jump("none")
			a.label(at("tag", off))
			a.add(bpf.LoadAbsolute{Off: off + 2, Size: 2})
		}
	}
	a.jump("none")
	for tags := uint32(0); tags <= maxTagged; tags++ {
		off := network + tags*4
		a.label(at("ipv4", off))
		a.fold(off+12, off+20)
		a.label(at("ipv6", off))
		a.fold(off+8, off+40)
	}
	a.label("mix")
	// The multiplication of Fibonacci hashing: neighbours part.
	a.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x9e3779b1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.RetA{})
	a.label("none")
	a.add(bpf.RetConstant{Val: 0})
	return a.program()
}

// fold is the exclusive or of the words from one offset to another.
func (a *assembler) fold(from, to uint32) {
	a.add(bpf.LoadAbsolute{Off: from, Size: 4}, bpf.TAX{})
	for off := from + 4; off < to; off += 4 {
		a.add(bpf.LoadAbsolute{Off: off, Size: 4}, bpf.ALUOpX{Op: bpf.ALUOpXor}, bpf.TAX{})
	}
	a.add(bpf.TXA{})
	a.jump("mix")
}
