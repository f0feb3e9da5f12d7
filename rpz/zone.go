package rpz

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// maxOrigin is the longest name of a zone, octets on the wire.
const maxOrigin = 64

// Inspector says what happens to a query; *detect.Detector is the one.
type Inspector interface {
	InspectLists(q *detect.Query, v *detect.Verdict)
	InspectAddress(q *detect.Query, addr netip.Addr, v *detect.Verdict)
}

// Extra is a rule beside those of lists, for a name and all below it.
type Extra struct {
	Name   dnsname.Name
	Action detect.Action
	Answer *detect.BlockAnswer // for Sinkhole
}

// Zone is what a zone file is made of.
type Zone struct {
	Origin    string
	TTL       time.Duration
	Serial    uint32
	Now       time.Time
	Inspector Inspector
	Snapshot  *blocklist.Snapshot
	Lists     []string // that are written; empty: all
	// Extras are written after the lists, where a list has nothing for their
	// names: names that are let through (Pass), and detections.
	Extras []Extra
}

// Counts says what is in a zone.
type Counts struct {
	Rules  int // names and networks, "*." counted by itself
	Passes int // of these, how many let pass
	Extras int // of these, how many are Extras
	Long   int // entries that were left out: too long below the origin
}

// Write writes the zone in the text form of RFC 1035.
func (z *Zone) Write(out io.Writer) (Counts, error) {
	w := &writer{z: z, out: bufio.NewWriterSize(out, 64<<10), networks: map[netip.Prefix]bool{}}
	origin, err := dnsname.ParseHost(z.Origin)
	if err != nil {
		return Counts{}, fmt.Errorf("origin %q: %w", z.Origin, err)
	}
	w.room = dnsname.MaxWire - (len(origin) - 1)
	ttl := int(z.TTL / time.Second)
	fmt.Fprintf(w.out, "; Response policy zone of weir. It is replaced as a whole: changes made here are lost.\n")
	fmt.Fprintf(w.out, "$ORIGIN %s.\n$TTL %d\n@ SOA localhost. hostmaster.localhost. %d 300 60 604800 %d\n@ NS localhost.\n", origin, ttl, z.Serial, ttl)
	for _, l := range z.Snapshot.Lists() {
		if l.Kind == blocklist.Allow || z.selected(l.Name) {
			l.Each(func(e *blocklist.Entry) bool {
				w.entry(l, e)
				return w.err == nil
			})
		}
	}
	for i := range z.Extras {
		w.extra(&z.Extras[i])
	}
	fmt.Fprintf(w.out, "; %d rules, %d of them pass\n", w.counts.Rules, w.counts.Passes)
	return w.counts, w.out.Flush()
}

func (z *Zone) selected(list string) bool { return len(z.Lists) == 0 || slices.Contains(z.Lists, list) }

// writer is a Zone while it is written.
type writer struct {
	z        *Zone
	out      *bufio.Writer // keeps the first error, and Flush returns it
	err      error
	room     int // octets of a name below the origin, with its root
	counts   Counts
	networks map[netip.Prefix]bool // that are written
	v        detect.Verdict
	wire     [dnsname.MaxWire + 2]byte
	text     []byte
}

var star = []byte{1, '*'}

// entry writes what becomes of an entry of a list.
func (w *writer) entry(l *blocklist.List, e *blocklist.Entry) {
	switch {
	case e.Name == nil && !e.Clients:
		w.network(e.Network)
	case e.Name != nil:
		if e.Exact {
			w.name(l, e, e.Name)
		}
		if e.Below {
			if len(e.Name)+len(star) > w.room {
				w.counts.Long++
				return
			}
			w.name(l, e, append(append(w.wire[:0], star...), e.Name...))
		}
	}
}

// name writes the rule for an owner that is an entry's name, or "*." and that
// name. One query stands for all below. Where several lists have the key, the
// first of them writes.
func (w *writer) name(l *blocklist.List, e *blocklist.Entry, owner dnsname.Name) {
	if len(owner) > w.room {
		w.counts.Long++
		return
	}
	w.ask(owner)
	if w.firstOf(e.Name) != l.Name {
		return
	}
	switch {
	case w.v.Blocks():
		w.rule(owner, w.v.Action, w.v.Answer)
	case w.v.Origin == detect.OriginAllowList, e.Policy == blocklist.Passthru:
		w.rule(owner, detect.Pass, nil)
	}
}

func (w *writer) query(name dnsname.Name) *detect.Query {
	return &detect.Query{Time: w.z.Now, Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN}
}

func (w *writer) ask(owner dnsname.Name) { w.z.Inspector.InspectLists(w.query(owner), &w.v) }

// firstOf is the first list that is written and that met the query by an entry
// for name itself; "" for none.
func (w *writer) firstOf(name dnsname.Name) string {
	w.text = name.AppendText(w.text[:0])
	for i := range w.v.Matches {
		m := &w.v.Matches[i]
		rule := strings.TrimPrefix(strings.TrimPrefix(m.Rule, "@@"), "*.")
		if rule == string(w.text) && m.List != allow.List && w.written(m.List) {
			return m.List
		}
	}
	return ""
}

// written says whether a list's entries are in the zone.
func (w *writer) written(list string) bool {
	return w.z.selected(list) || slices.ContainsFunc(w.z.Snapshot.Lists(), func(l *blocklist.List) bool {
		return l.Name == list && l.Kind == blocklist.Allow
	})
}

// extra writes a rule for a name and all below it, unless lists have one.
func (w *writer) extra(x *Extra) {
	for _, owner := range []dnsname.Name{x.Name, append(append(w.wire[:0], star...), x.Name...)} {
		if len(owner) > w.room {
			w.counts.Long++
			continue
		}
		w.ask(owner)
		if w.firstOf(x.Name) != "" && (w.v.Blocks() || w.v.Origin == detect.OriginAllowList) {
			continue // written by its list
		}
		if x.Action == detect.Pass || w.v.Origin != detect.OriginAllowList {
			w.counts.Extras++
			w.rule(owner, x.Action, x.Answer)
		}
	}
}

// network writes the rule for addresses in answers.
func (w *writer) network(p netip.Prefix) {
	if w.networks[p] {
		return
	}
	w.z.Inspector.InspectAddress(w.query(nil), p.Addr(), &w.v)
	if w.v.Blocks() {
		w.networks[p] = true
		w.records(networkOwner(p), w.v.Action, w.v.Answer, p.Addr().Is4(), p.Addr().Is6())
	}
}

// networkOwner is the name that RPZ has for a network: its length and its
// octets, or groups, in reverse.
func networkOwner(p netip.Prefix) string {
	parts := []string{strconv.Itoa(p.Bits())}
	if p.Addr().Is4() {
		a := p.Addr().As4()
		for i := range a {
			parts = append(parts, strconv.Itoa(int(a[3-i])))
		}
	} else {
		a := p.Addr().As16()
		for i := 14; i >= 0; i -= 2 {
			parts = append(parts, strconv.FormatUint(uint64(a[i])<<8|uint64(a[i+1]), 16))
		}
	}
	return strings.Join(append(parts, "rpz-ip"), ".")
}

func (w *writer) rule(owner dnsname.Name, action detect.Action, answer *detect.BlockAnswer) {
	w.records(string(owner.AppendText(nil)), action, answer, true, true)
}

// records writes the records that say an action. RPZ has no REFUSED; NXDOMAIN
// is the nearest. v4 and v6 say which addresses there may be: a rule about
// addresses has those of its own family only.
func (w *writer) records(owner string, action detect.Action, answer *detect.BlockAnswer, v4, v6 bool) {
	w.counts.Rules++
	line := func(data string) {
		if _, err := fmt.Fprintf(w.out, "%s %s\n", owner, data); err != nil {
			w.err = err
		}
	}
	switch action {
	case detect.Pass:
		w.counts.Passes++
		line("CNAME rpz-passthru.")
	case detect.NODATA:
		line("CNAME *.")
	case detect.Drop:
		line("CNAME rpz-drop.")
	case detect.Truncate:
		line("CNAME rpz-tcp-only.")
	case detect.ZeroIP:
		if v4 {
			line("A 0.0.0.0")
		}
		if v6 {
			line("AAAA ::")
		}
	case detect.Sinkhole:
		any := false
		for _, a := range slices.Concat(answer.V4, answer.V6) {
			switch {
			case a.Is4() && v4:
				line("A " + a.String())
			case a.Is6() && v6:
				line("AAAA " + a.String())
			default:
				continue
			}
			any = true
		}
		if !any {
			line("CNAME *.")
		}
	default: // NXDOMAIN, Refuse
		line("CNAME .")
	}
}
