package demo

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// Proxy is the address that a Player sends from, where this machine lets it:
// with the PROXY protocol it says for which client it asks.
var Proxy = netip.MustParseAddr("127.0.0.9")

// lapse is how long a minute of the network takes.
const lapse = 2 * time.Second

// Player asks a server what a network asks for, a day in 48 minutes.
type Player struct {
	network *Network
	conn    *net.UDPConn
	proxied bool
	id      uint16
}

// NewPlayer opens a socket. Where Proxy cannot be had, all clients are this
// machine.
func NewPlayer(network *Network) (*Player, error) {
	p := &Player{network: network, proxied: true}
	var err error
	if p.conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(Proxy, 0))); err != nil {
		p.proxied = false
		p.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	}
	return p, err
}

// Proxied says whether it asks by the PROXY protocol.
func (p *Player) Proxied() bool { return p.proxied }

// Close gives the socket of a Player back that will not Run.
func (p *Player) Close() { _ = p.conn.Close() }

// Run plays from a moment on, to a server, until ctx ends.
func (p *Player) Run(ctx context.Context, from time.Time, server netip.AddrPort) error {
	defer context.AfterFunc(ctx, func() { _ = p.conn.Close() })()
	drained := make(chan struct{})
	go func() { // the answers are weir's to look at
		defer close(drained)
		var buf [maxDatagram]byte
		for {
			if _, _, err := p.conn.ReadFromUDPAddrPort(buf[:]); err != nil {
				return
			}
		}
	}()
	defer func() {
		_ = p.conn.Close() // ends the reader
		<-drained
	}()
	const steps = 20 // of a minute
	tick := time.NewTicker(lapse / steps)
	defer tick.Stop()
	for at := from; ; at = at.Add(time.Minute) {
		events := p.network.Minute(at)
		for step := range steps {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			for end := at.Add(time.Duration(step+1) * time.Minute / steps); len(events) > 0 && events[0].At.Before(end); events = events[1:] {
				if err := p.ask(&events[0], server); err != nil && ctx.Err() == nil {
					return fmt.Errorf("demo: %w", err)
				}
			}
		}
	}
}

// ask sends one query.
func (p *Player) ask(e *Event, server netip.AddrPort) error {
	p.id++
	var msg []byte
	if p.proxied {
		msg = proxyHeader(e.Client, server)
	}
	_, err := p.conn.WriteToUDPAddrPort(append(msg, Query(e, p.id)...), server)
	return err
}

// Query is an event as a message.
func Query(e *Event, id uint16) []byte {
	return dnswire.AppendQuestion(dnswire.AppendHeader(nil, dnswire.Header{ID: id, Flags: dnswire.FlagRD, QD: 1}), e.Name, e.Type, dnswire.ClassIN)
}

// proxyHeader says who asks (PROXY protocol, version 2: a datagram over IPv4).
func proxyHeader(client netip.Addr, server netip.AddrPort) []byte {
	h := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c")
	h = append(h, client.AsSlice()...)
	h = append(h, server.Addr().AsSlice()...)
	h = binary.BigEndian.AppendUint16(h, 5353)
	return binary.BigEndian.AppendUint16(h, server.Port())
}

// sorted are the events in order.
func (m *minute) sorted() []Event {
	slices.SortStableFunc(*m.events, func(a, b Event) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return *m.events
}
