package resolver_test

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// script sets what a server does: NAME|* ACTION[, WAIT, ACTION]... [|| the same
// for TCP].
func (s *scenario) script(up *dnstest.Server, text string) {
	name, what, _ := strings.Cut(text, " ")
	switch name {
	case "stop":
		up.Stop()
		return
	case "start":
		up.Start()
		return
	}
	udp, tcp, both := strings.Cut(what, "||")
	script := s.sequence(udp)
	if both {
		script = dnstest.Split(script, s.sequence(tcp))
	}
	if name == "*" {
		up.ScriptAll(script)
	} else {
		up.Script(name, script)
	}
}

func (s *scenario) sequence(text string) dnstest.Script {
	var steps []dnstest.Script
	for _, item := range strings.Split(text, ", ") {
		item = strings.TrimSpace(item)
		if d, err := time.ParseDuration(item); err == nil {
			steps = append(steps, nil)
			steps[len(steps)-1] = dnstest.Script(func(x *dnstest.Exchange) { x.Wait(d) })
			continue
		}
		steps = append(steps, s.action(item))
	}
	return func(x *dnstest.Exchange) {
		for _, step := range steps {
			step(x)
		}
	}
}

func (s *scenario) action(text string) dnstest.Script {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "good":
		return dnstest.Good()
	case "drop":
		return dnstest.Drop()
	case "noedns":
		return dnstest.NoEDNS(rest == "bare")
	case "forge":
		if !slices.Contains(dnstest.Forgeries(), rest) {
			s.fatal("no forgery is called %q", rest)
		}
		return dnstest.Forged(rest)
	case "truncate":
		return dnstest.Edit(func(m *dns.Msg) { m.Truncated, m.Answer, m.Ns = true, nil, nil })
	case "rcode": // rcode NAME [ede CODE TEXT...]
		return s.rcode(rest)
	case "records": // records RR | RR | auth RR | add RR
		return s.records(rest)
	case "raw": // the octets behind the ID
		return dnstest.Raw(s.hex(rest))
	case "close":
		return func(x *dnstest.Exchange) { x.Close() }
	case "big": // big N: so many TXT records of 100 octets
		n, _ := strconv.Atoi(rest)
		return dnstest.Edit(func(m *dns.Msg) {
			for i := range n {
				m.Answer = append(m.Answer, s.rr(m.Question[0].Name+" 300 TXT "+strconv.Itoa(i)+strings.Repeat("x", 86)))
			}
		})
	}
	s.fatal("no action is called %q", verb)
	return nil
}

func (s *scenario) rcode(text string) dnstest.Script {
	f := strings.SplitN(text, " ", 4)
	code, ok := dns.StringToRcode[f[0]]
	if n, err := strconv.Atoi(f[0]); err == nil {
		code, ok = n, true
	}
	if !ok {
		s.fatal("no rcode is called %q", f[0])
	}
	return func(x *dnstest.Exchange) {
		m := new(dns.Msg)
		m.SetRcode(x.Msg, code)
		if x.EDNS {
			m.SetEdns0(1232, x.DO)
		}
		if len(f) == 4 && f[1] == "ede" && x.EDNS {
			n, _ := strconv.Atoi(f[2])
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: uint16(n), ExtraText: f[3]}}
		}
		x.Send(m)
	}
}

func (s *scenario) records(text string) dnstest.Script {
	return dnstest.Edit(func(m *dns.Msg) {
		m.Answer, m.Ns, m.Rcode = nil, nil, dns.RcodeSuccess
		for _, item := range strings.Split(text, " | ") {
			item = strings.TrimSpace(item)
			if code, ok := dns.StringToRcode[item]; ok {
				m.Rcode = code
			} else if item == "ad" {
				m.AuthenticatedData = true
			} else if rest, ok := strings.CutPrefix(item, "auth "); ok {
				m.Ns = append(m.Ns, s.rr(rest))
			} else if rest, ok := strings.CutPrefix(item, "add "); ok {
				m.Extra = append(m.Extra, s.rr(rest))
			} else if item != "none" {
				m.Answer = append(m.Answer, s.rr(item))
			}
		}
	})
}

func (s *scenario) rr(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil || rr == nil {
		s.t.Errorf("line %d: %q: %v", s.line, text, err)
		return &dns.ANY{Hdr: dns.RR_Header{Name: "."}}
	}
	return rr
}

func (s *scenario) hex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		s.fatal("%v", err)
	}
	return b
}

// ask sends queries and keeps the answers: [N x] NAME TYPE [OPTION]...
func (s *scenario) ask(text string) {
	f := strings.Fields(text)
	times := 1
	if n, err := strconv.Atoi(f[0]); err == nil && len(f) > 1 && f[1] == "x" {
		times, f = n, f[2:]
	}
	if len(f) < 2 {
		s.fatal("ask needs a name and a type")
	}
	network, from, m := s.query(f)
	wire, err := m.Pack()
	if err != nil {
		s.fatal("%v", err)
	}
	for i := range times {
		msg := slices.Clone(wire)
		msg[0], msg[1] = byte((int(m.Id)+i)>>8), byte(int(m.Id)+i)
		s.asking.Go(func() { s.add(s.exchange(network, from, msg, scenarioPatience)) })
	}
}

func (s *scenario) query(f []string) (network, from string, m *dns.Msg) {
	qtype, ok := dns.StringToType[f[1]]
	if n, err := strconv.Atoi(strings.TrimPrefix(f[1], "TYPE")); err == nil {
		qtype, ok = uint16(n), true
	}
	if !ok {
		s.fatal("no type is called %q", f[1])
	}
	network = s.over
	m = new(dns.Msg)
	m.SetQuestion(dns.Fqdn(f[0]), qtype)
	m.SetEdns0(1232, false)
	opt := m.IsEdns0()
	for _, o := range f[2:] {
		key, value, _ := strings.Cut(o, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "udp", "tcp":
			network = key
		case "from":
			from = value
		case "noedns":
			m.Extra = nil
		case "edns":
			opt.SetUDPSize(uint16(n))
		case "version":
			opt.SetVersion(uint8(n))
		case "opts": // opts=N: so many options that nobody knows
			for i := range n {
				opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: uint16(65001 + i%500)})
			}
		case "opt": // opt=CODE/HEX
			code, data, _ := strings.Cut(value, "/")
			c, _ := strconv.Atoi(code)
			opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: uint16(c), Data: s.hex(data)})
		case "twoopts":
			m.Extra = append(m.Extra, dns.Copy(opt))
		case "do":
			opt.SetDo()
		case "cd":
			m.CheckingDisabled = true
		case "ad":
			m.AuthenticatedData = true
		case "z":
			m.Zero = true
		case "qr":
			m.Response = true
		case "tc":
			m.Truncated = true
		case "-rd":
			m.RecursionDesired = false
		case "twoquestions":
			m.Question = append(m.Question, m.Question[0])
		case "class":
			m.Question[0].Qclass = uint16(n)
		case "opcode":
			m.Opcode = n
		default:
			s.fatal("no option of ask is called %q", o)
		}
	}
	return network, from, m
}

// raw sends octets as they are: udp|tcp HEX.
func (s *scenario) raw(text string, patience time.Duration) {
	network, data, _ := strings.Cut(text, " ")
	s.add(s.exchange(network, "", s.hex(data), patience))
}

// scenarioPatience is how long a client waits; silence is what came not in it.
const scenarioPatience = 40 * time.Second

// exchange is a client of its own: one message and what comes back. from is its
// address; "": any.
func (s *scenario) exchange(network, from string, wire []byte, patience time.Duration) (r scenarioReply) {
	began := time.Now()
	if network == "doh" {
		r.wire = s.post(wire)
	} else {
		r.wire = s.converse(network, from, wire, began.Add(patience))
	}
	r.took = time.Since(began)
	if r.wire == nil {
		return r
	}
	m := new(dns.Msg)
	if err := m.Unpack(r.wire); err == nil {
		r.msg = m
	} else {
		s.t.Errorf("line %d: the answer cannot be read: %v\n%x", s.line, err, r.wire)
	}
	if len(wire) > 2 && (r.wire[0] != wire[0] || r.wire[1] != wire[1]) {
		s.t.Errorf("line %d: the answer has another ID", s.line)
	}
	return r
}

// converse asks over UDP, TCP or TLS; nil is silence.
func (s *scenario) converse(network, from string, wire []byte, end time.Time) []byte {
	c, err := s.dial(network, from)
	if err != nil {
		s.t.Errorf("line %d: %v", s.line, err)
		return nil
	}
	defer c.Close()
	_ = c.SetDeadline(end)
	conn := &dns.Conn{Conn: c, UDPSize: 65535}
	if _, err := conn.Write(wire); err != nil {
		return nil
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n:n]
}

func (s *scenario) dial(network, from string) (net.Conn, error) {
	if network == "dot" {
		return tls.Dial("tcp", s.secure["dot"], s.tls)
	}
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		if network == "udp" {
			d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
		}
	}
	return d.Dial(network, s.addr)
}

// post asks over HTTPS; nil is an answer that is none of DNS.
func (s *scenario) post(wire []byte) []byte {
	resp, err := s.doh.Post("https://"+s.secure["doh"]+"/dns-query", message, bytes.NewReader(wire))
	if err != nil {
		s.t.Errorf("line %d: %v", s.line, err)
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	return body
}

// check compares every answer of the last ask.
func (s *scenario) check(text string) {
	if len(s.replies) == 0 {
		s.fatal("nothing was asked")
	}
	for _, r := range s.replies {
		s.checkReply(r, text)
	}
}

func (s *scenario) checkReply(r scenarioReply, text string) {
	what, rest, _ := strings.Cut(text, " ")
	if what == "silence" {
		if r.wire != nil {
			s.fail("answered with\n%v\nwant silence", r.msg)
		}
		return
	}
	if what == "within" {
		if limit := s.duration(rest); r.took > limit {
			s.fail("it took %s, want at most %s", r.took, limit)
		}
		return
	}
	if r.msg == nil {
		s.fail("no answer")
		return
	}
	m := r.msg
	var ok bool
	switch what {
	case "answer":
		ok = sameRecords(s, m.Answer, rest)
	case "authority":
		ok = sameRecords(s, m.Ns, rest)
	case "additional":
		ok = sameRecords(s, withoutOPT(m.Extra), rest)
	case "records": // how many in the answer section
		ok = s.holds(float64(len(m.Answer)), strings.Fields(rest))
	case "negative": // an SOA in the authority section and nothing else
		ok = len(m.Answer) == 0 && len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA
	case "question":
		ok = len(m.Question) == 1 && m.Question[0].Name == rest
	case "questions":
		ok = s.holds(float64(len(m.Question)), strings.Fields(rest))
	case "ttl": // the smallest of the answer
		least := uint32(1<<32 - 1)
		for _, rr := range append(slices.Clone(m.Answer), m.Ns...) {
			least = min(least, rr.Header().Ttl)
		}
		ok = s.holds(float64(least), strings.Fields(rest))
	case "size":
		ok = s.holds(float64(len(r.wire)), strings.Fields(rest))
	case "ede":
		ok = sameEDE(m, rest)
	case "edns": // none, or VERSION OPTIONS
		opt := m.IsEdns0()
		if rest == "none" {
			ok = opt == nil
		} else {
			f := strings.Fields(rest)
			ok = opt != nil && strconv.Itoa(int(opt.Version())) == f[0] && strconv.Itoa(len(opt.Option)) == f[1]
		}
	default:
		ok = s.sameHeader(m, strings.Fields(text))
	}
	if !ok {
		s.fail("got (%d octets)\n%v\nwant %s", len(r.wire), m, text)
	}
}

// sameHeader compares the rcode and flags: NOERROR ra !ad.
func (s *scenario) sameHeader(m *dns.Msg, f []string) bool {
	code, ok := dns.StringToRcode[f[0]]
	if f[0] == "BADVERS" { // the table calls it BADSIG
		code, ok = dns.RcodeBadVers, true
	}
	if !ok {
		s.fatal("no check and no rcode is called %q", f[0])
	}
	if m.Rcode != code || !m.Response || m.Zero {
		return false
	}
	flags := map[string]bool{
		"aa": m.Authoritative, "tc": m.Truncated, "rd": m.RecursionDesired, "ra": m.RecursionAvailable,
		"ad": m.AuthenticatedData, "cd": m.CheckingDisabled, "do": m.IsEdns0() != nil && m.IsEdns0().Do(),
	}
	for _, flag := range f[1:] {
		name, not := strings.CutPrefix(flag, "!")
		got, known := flags[name]
		if !known {
			s.fatal("no flag is called %q", name)
		}
		if got == not {
			return false
		}
	}
	return true
}

func withoutOPT(rrs []dns.RR) (out []dns.RR) {
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, rr)
		}
	}
	return out
}

// sameRecords compares a section with RR | RR | ..., or none, in any order. A
// TTL may be written as *.
func sameRecords(s *scenario, got []dns.RR, want string) bool {
	var wants, gots []string
	wild := false
	if want != "none" {
		for _, item := range strings.Split(want, " | ") {
			f := strings.Fields(item)
			if len(f) > 1 && f[1] == "*" {
				wild, f[1] = true, "0"
			}
			wants = append(wants, s.rr(strings.Join(f, " ")).String())
		}
	}
	for _, rr := range got {
		if wild {
			rr = dns.Copy(rr)
			rr.Header().Ttl = 0
		}
		gots = append(gots, rr.String())
	}
	sort.Strings(wants)
	sort.Strings(gots)
	return slices.Equal(gots, wants)
}

// sameEDE compares the first Extended DNS Error: none, CODE, or CODE TEXT.
func sameEDE(m *dns.Msg, want string) bool {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				code := strconv.Itoa(int(e.InfoCode))
				return code == want || code+" "+e.ExtraText == want
			}
		}
	}
	return want == "none"
}
