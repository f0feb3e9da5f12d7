// Package demo makes up a small network: what its machines ask for over a day,
// and a server that answers. Nothing of it leaves this machine. It is for
// people who want to see weir at work before they give it a network, and for
// tests of what they see.
//
// The names of ordinary sites are real, so that they look like what a network
// asks for, and so are not: nobody is asked about them. Whatever is bad about a
// name is made up.
package demo

import (
	"encoding/base32"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Names with a part in the story.
const (
	TunnelZone = "sync.weirdemo-relay.net"    // carries data in its names
	Payload    = "files.weirdemo-payload.net" // hands out malware; Feed lists it
	Squat      = "paypal-login.com"           // imitates a brand
)

// Feed is a list as URLhaus writes it, with one host.
const Feed = `# weir demo: one made-up row in the form of a URLhaus dump
"1","2026-03-01 06:12:00","http://` + Payload + `/agent.exe","online","2026-03-01 08:00:00","malware_download","AgentTesla,exe","https://urlhaus.example/url/1/","demo"
`

// Clients with a part in the story; the others are ordinary.
var (
	Infected = netip.MustParseAddr("192.168.7.23")
	Leaking  = netip.MustParseAddr("192.168.7.31")
	Clicked  = netip.MustParseAddr("192.168.7.12")
	Loaded   = netip.MustParseAddr("192.168.7.17")
)

// ordinary clients, and how busy they are by day and by night: visits to sites
// in an hour.
var ordinary = []struct {
	host       byte
	day, night int
}{{11, 40, 0}, {12, 55, 1}, {13, 25, 4}, {14, 15, 2}, {15, 1, 1}, {16, 6, 12}, {17, 50, 0}, {18, 12, 0}, {20, 20, 20}}

// logging is the ordinary client that is always on.
var logging = netip.MustParseAddr("192.168.7.20")

// Event is one query.
type Event struct {
	At     time.Time
	Client netip.Addr
	Name   dnsname.Name
	Type   uint16
}

// Network makes the queries, the same for the same seed.
type Network struct {
	rng      *rand.Rand
	ten      time.Time // when it is ten o'clock there, so that people are at work
	infected time.Time // from when on there is anything bad
	wave     int       // of generated names
	parcel   int       // of what is carried away
}

// NewNetwork makes a network whose people are at work at now, and in which all
// is well until infected.
func NewNetwork(seed uint64, now, infected time.Time) *Network {
	return &Network{rng: rand.New(rand.NewPCG(seed, 0)), ten: now, infected: infected}
}

// hour is the hour there.
func (n *Network) hour(at time.Time) int {
	h := int(at.Sub(n.ten).Hours()+24*365) + 10 // from a while ago on
	return h % 24
}

// Minute is what is asked in the minute that begins at at, in order.
func (n *Network) Minute(at time.Time) []Event {
	var out []Event
	m := minute{at: at, events: &out, rng: n.rng}
	day := n.hour(at) >= 7 && n.hour(at) < 23
	for _, c := range ordinary {
		visits := c.night
		if day {
			visits = c.day
		}
		client := netip.AddrFrom4([4]byte{192, 168, 7, c.host})
		for range n.times(visits) {
			n.visit(&m, client)
		}
	}
	if at.Minute()%5 == 2 { // it writes a log, in which machines have names
		for _, c := range ordinary {
			m.add(logging, fmt.Sprintf("%d.7.168.192.in-addr.arpa", c.host), dnswire.TypePTR)
		}
	}
	if at.Before(n.infected) {
		return m.sorted()
	}
	switch at.Minute() % 12 {
	case 1:
		n.wave++
		for i := range 24 {
			m.add(Infected, Generated(n.wave*24+i), dnswire.TypeA)
		}
	case 4, 5:
		for range 25 {
			n.parcel++
			m.add(Leaking, n.carried(), dnswire.TypeTXT)
		}
	case 7:
		m.add(Clicked, Squat, dnswire.TypeA, dnswire.TypeAAAA)
		m.add(Clicked, "www."+Squat, dnswire.TypeA, dnswire.TypeAAAA)
	case 9:
		m.add(Loaded, Payload, dnswire.TypeA, dnswire.TypeAAAA)
	}
	return m.sorted()
}

// times is how often something happens in this minute that happens so often in
// an hour.
func (n *Network) times(hourly int) int {
	whole, rest := hourly/60, hourly%60
	if n.rng.IntN(60) < rest {
		whole++
	}
	return whole
}

// visit is what a browser or a program asks to show one page.
func (n *Network) visit(m *minute, client netip.Addr) {
	if n.rng.IntN(100) == 0 { // a slip of the fingers, which leads nowhere
		m.add(client, "www."+plain(n.rng.IntN(plainCount))+"x.org", dnswire.TypeA)
		return
	}
	site := sites[min(n.rng.IntN(len(sites)), n.rng.IntN(len(sites)))] // the first are the busiest
	if n.rng.IntN(3) == 0 {
		site = plain(n.rng.IntN(plainCount)) + ".com"
	}
	host := [...]string{"www.", "", "api.", "static."}[n.rng.IntN(4)] + site
	m.add(client, host, dnswire.TypeA, dnswire.TypeAAAA)
	if n.rng.IntN(2) == 0 {
		m.add(client, host, dnswire.TypeHTTPS)
	}
	if n.rng.IntN(3) == 0 {
		m.add(client, fmt.Sprintf("e%d.%s", n.rng.IntN(30), edges[n.rng.IntN(len(edges))]), dnswire.TypeA)
	}
}

// carried is a name with thirty octets of somebody's file in it.
func (n *Network) carried() string {
	var file [30]byte
	for i := range file {
		file[i] = byte(n.rng.Uint32())
	}
	return fmt.Sprintf("%s.%d.%s", base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(file[:]), n.parcel, TunnelZone)
}

// minute gathers events.
type minute struct {
	at     time.Time
	events *[]Event
	rng    *rand.Rand
}

// add asks for a name, for each type, at some moment of the minute.
func (m *minute) add(client netip.Addr, name string, types ...uint16) {
	at := m.at.Add(time.Duration(m.rng.Int64N(int64(time.Minute))))
	for _, t := range types {
		*m.events = append(*m.events, Event{At: at, Client: client, Name: dnsname.MustParse(name), Type: t})
	}
}
