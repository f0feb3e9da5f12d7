package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// maxDatagram is more than any message here has.
const maxDatagram = 4 << 10

// ttl of all answers, seconds: short, since a day passes quickly here.
const ttl = 30

// Upstream answers for the made-up internet, over UDP on loopback. Listen, then
// Run.
type Upstream struct {
	domains domains
	conn    *net.UDPConn
}

// NewUpstream makes an Upstream; it opens nothing.
func NewUpstream() *Upstream { return &Upstream{domains: newDomains()} }

// Listen binds a free port on loopback.
func (u *Upstream) Listen() (err error) {
	u.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return err
}

// Addr is where it listens.
func (u *Upstream) Addr() string { return u.conn.LocalAddr().String() }

// Close releases the port of an Upstream that will not Run.
func (u *Upstream) Close() { _ = u.conn.Close() }

// Run answers until ctx ends.
func (u *Upstream) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = u.conn.Close() })()
	var buf [maxDatagram]byte
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("demo upstream: %w", err)
		}
		if answer := u.Answer(buf[:n]); answer != nil {
			_, _ = u.conn.WriteToUDPAddrPort(answer, from) // weir asks again
		}
	}
}

// Answer answers a query; nil for what is none.
func (u *Upstream) Answer(query []byte) []byte {
	var q dnswire.Query
	if dnswire.ReadQuery(&q, query) != nil || q.Response() || q.Opcode() != 0 {
		return nil
	}
	answers, exists := u.records(q.Name, q.Type)
	h := dnswire.Header{ID: q.ID, Flags: dnswire.FlagQR | q.Flags&dnswire.FlagRD | dnswire.FlagRA, QD: 1, AN: uint16(len(answers))}
	if !exists {
		h.Flags |= dnswire.RcodeNXDomain
	}
	if len(answers) == 0 {
		h.NS = 1
	}
	msg := append(dnswire.AppendHeader(nil, h), query[q.Start:q.End]...)
	for _, r := range answers {
		msg = append(msg, r...)
	}
	if len(answers) == 0 {
		msg = dnswire.AppendSOA(msg, ttl)
	}
	return msg
}

// records are the answers to a question, and whether the name exists.
func (u *Upstream) records(name dnsname.Name, qtype uint16) (out [][]byte, exists bool) {
	split := dnsname.DefaultSuffixes().Split(name)
	if split.Registered == nil || !u.domains.known[split.Registered.String()] {
		return nil, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(split.Registered) // cannot fail
	hash := sum.Sum(nil)
	switch {
	case qtype == dnswire.TypeTXT && name.Within(dnsname.MustParse(TunnelZone)):
		text := fmt.Sprintf("%x", hash)
		out = append(out, record(dnswire.TypeTXT, append([]byte{byte(len(text))}, text...)))
	case qtype == dnswire.TypeA || qtype == dnswire.TypeAAAA:
		owner := []byte(nil)
		if label := string(name.Label()); label == "www" || label == "static" {
			target := dnsname.MustParse(fmt.Sprintf("e%d.%s", hash[0]%30, edges[int(hash[1])%len(edges)]))
			out = append(out, record(dnswire.TypeCNAME, target))
			owner = target
		}
		addr := address(hash, qtype)
		if owner == nil {
			out = append(out, dnswire.AppendAddress(nil, addr, dnswire.ClassIN, ttl))
		} else {
			out = append(out, dnswire.AppendHostAddress(nil, owner, addr, dnswire.ClassIN, ttl))
		}
	}
	return out, true
}

// address is one of those that documents use, and nobody else (RFC 5737, RFC
// 3849).
func address(hash []byte, qtype uint16) netip.Addr {
	if qtype == dnswire.TypeAAAA {
		return netip.AddrFrom16([16]byte(slices.Concat([]byte{0x20, 0x01, 0x0d, 0xb8, hash[0], hash[1], 0, 0}, hash[:8])))
	}
	net := [...][3]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}}[hash[2]%3]
	return netip.AddrFrom4([4]byte{net[0], net[1], net[2], hash[3]})
}

// record is a resource record whose owner is the question's name.
func record(rtype uint16, data []byte) []byte {
	r := []byte{0xc0, dnswire.HeaderLen}
	r = binary.BigEndian.AppendUint16(r, rtype)
	r = binary.BigEndian.AppendUint16(r, dnswire.ClassIN)
	r = binary.BigEndian.AppendUint32(r, ttl)
	r = binary.BigEndian.AppendUint16(r, uint16(len(data)))
	return append(r, data...)
}
