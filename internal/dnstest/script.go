package dnstest

import (
	"net"
	"sort"
	"time"

	"github.com/miekg/dns"
)

// Script answers one query, or does not. It runs in a goroutine of its own per
// UDP query, and per connection over TCP; one that waits uses Exchange.Wait.
type Script func(x *Exchange)

// Good answers from the zones.
func Good() Script { return func(x *Exchange) { x.Send(x.Good()) } }

// Drop never answers.
func Drop() Script { return func(*Exchange) {} }

// Delay lets d pass and then does next.
func Delay(d time.Duration, next Script) Script {
	return func(x *Exchange) {
		if x.Wait(d) {
			next(x)
		}
	}
}

// Rcode answers with no records and this response code.
func Rcode(rcode int) Script {
	return func(x *Exchange) {
		m := new(dns.Msg)
		m.SetRcode(x.Msg, rcode)
		x.Send(m)
	}
}

// Raw answers with these octets behind the query's ID.
func Raw(rest []byte) Script {
	return func(x *Exchange) { x.SendRaw(append([]byte{byte(x.ID >> 8), byte(x.ID)}, rest...)) }
}

// Edit answers with the true answer after change.
func Edit(change func(m *dns.Msg)) Script {
	return func(x *Exchange) {
		m := x.Good()
		change(m)
		x.Send(m)
	}
}

// Split does one thing over UDP and another over TCP.
func Split(udp, tcp Script) Script {
	return func(x *Exchange) {
		if x.TCP {
			tcp(x)
		} else {
			udp(x)
		}
	}
}

// Then does a, lets d pass, and does b.
func Then(a Script, d time.Duration, b Script) Script {
	return func(x *Exchange) {
		a(x)
		if x.Wait(d) {
			b(x)
		}
	}
}

// NoEDNS is a server from before EDNS: FORMERR to a query with OPT, by an
// answer without question if bare.
func NoEDNS(bare bool) Script {
	return func(x *Exchange) {
		if !x.EDNS {
			x.Send(x.Good())
			return
		}
		m := new(dns.Msg)
		m.SetRcode(x.Msg, dns.RcodeFormatError)
		if bare {
			m.Question = nil
		}
		x.Send(m)
	}
}

// ForgedAddress is in every forged answer that has an address. Nothing that a
// client gets may contain it.
var ForgedAddress = net.IPv4(203, 0, 113, 66)

// Forgeries lists the names that Forged knows, sorted.
func Forgeries() (names []string) {
	for name := range forgeries {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Forged sends one packet of an attacker, by the name of what is wrong in it:
// see forgeries. It panics on an unknown name.
func Forged(what string) Script {
	script, ok := forgeries[what]
	if !ok {
		panic("dnstest: no forgery " + what)
	}
	return script
}

// forged is an otherwise perfect answer with ForgedAddress.
func forged(x *Exchange) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(x.Msg)
	m.RecursionAvailable = true
	m.Answer = []dns.RR{address(x.Name, ForgedAddress)}
	return m
}

func address(owner string, ip net.IP) dns.RR {
	return &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: ip}
}

func cname(owner, target string) dns.RR {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 3600}, Target: target}
}

func forge(change func(m *dns.Msg)) Script {
	return func(x *Exchange) {
		m := forged(x)
		change(m)
		x.Send(m)
	}
}

func forgeRaw(change func(wire []byte) []byte) Script {
	return func(x *Exchange) {
		wire, err := forged(x).Pack()
		if err != nil {
			x.server.t.Errorf("dnstest: %v", err)
			return
		}
		x.SendRaw(change(wire))
	}
}

// elsewhere is a name that nobody asks for.
const elsewhere = "elsewhere.invalid."

var forgeries = map[string]Script{
	// Another ID.
	"badid": forge(func(m *dns.Msg) { m.Id++ }),
	// Another question, and an answer to that.
	"badq": forge(func(m *dns.Msg) {
		m.Question[0].Name = elsewhere
		m.Answer[0].Header().Name = elsewhere
	}),
	// The question in another case: 0x20 was not echoed.
	"badcase": forge(func(m *dns.Msg) { m.Question[0].Name = flip(m.Question[0].Name) }),
	// Another type in the question.
	"badqt": forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }),
	// Another class in the question.
	"badqc": forge(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
	// No question.
	"noq": forge(func(m *dns.Msg) { m.Question = nil }),
	// The question twice.
	"twoq": forge(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
	// Not marked as a response.
	"qr0": forge(func(m *dns.Msg) { m.Response = false }),
	// Another opcode.
	"opc": forge(func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }),
	// From another port.
	"otherport": func(x *Exchange) {
		if x.TCP {
			x.Send(x.Good())
			return
		}
		x.SendFromOtherPort(forged(x))
	},
	// Records of another name only.
	"wrongowner": forge(func(m *dns.Msg) { m.Answer[0].Header().Name = elsewhere }),
	// Records of another class only.
	"wrongclass": forge(func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS }),
	// Cut in the middle of the record, without TC.
	"trunc": forgeRaw(func(wire []byte) []byte { return wire[:len(wire)-6] }),
	// Nothing but half a header.
	"short": forgeRaw(func(wire []byte) []byte { return wire[:7] }),
	// Nothing.
	"empty": forgeRaw(func(wire []byte) []byte { return wire[:0] }),
	// An owner whose compression pointer points to itself.
	"loopresp": forgeRaw(func(wire []byte) []byte {
		end := 12
		for wire[end] != 0 {
			end += int(wire[end]) + 1
		}
		end += 5
		return append(append(wire[:end:end], 0xc0|byte(end>>8), byte(end)),
			0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 203, 0, 113, 66)
	}),
	// A chain of CNAMEs that bites its tail.
	"cnameloop": forge(func(m *dns.Msg) {
		m.Answer = []dns.RR{cname(m.Question[0].Name, elsewhere), cname(elsewhere, m.Question[0].Name)}
	}),
	// An answer too large for the size that was advertised.
	"oversize": forge(func(m *dns.Msg) {
		for range 100 {
			m.Answer = append(m.Answer, address(m.Question[0].Name, ForgedAddress))
		}
		m.Compress = true
	}),
	// An A record of five octets.
	"badrdata": forgeRaw(func(wire []byte) []byte {
		wire[len(wire)-5]++
		return append(wire, 1)
	}),
	// More records claimed than there are.
	"badcount": forgeRaw(func(wire []byte) []byte { wire[9]++; return wire }),
}

// flip turns the case of every letter.
func flip(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}
