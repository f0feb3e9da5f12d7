package upstream

import (
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

const (
	// maxChain is how many aliases may lead from a qname to its records.
	// Resolvers stop after some ten to twenty.
	maxChain = 32
	// maxLinks bounds the aliases in an answer, used or not: what is done with
	// them is quadratic.
	maxLinks = 64
)

// chain is the set of names that an answer may speak about: the qname, the
// targets of its aliases in turn, and the owners of DNAMEs used on the way.
type chain struct {
	names  []dnsname.Name // in order; the first is the qname
	dnames []dnsname.Name
	class  uint16
}

// link is one alias in an answer.
type link struct {
	owner, target dnsname.Name
	dname         bool
}

// follow builds the chain from the answer section, in whatever order it is.
func (c *chain) follow(msg []byte, h dnswire.Header, q *Question) reason {
	links, bad := readLinks(msg, h, q)
	if bad != valid {
		return bad
	}
	c.names, c.class = []dnsname.Name{q.Name}, q.Class
	if len(links) == 0 {
		return valid
	}
	for len(c.names) <= maxChain {
		next := c.step(links, c.names[len(c.names)-1])
		if next == nil {
			return valid
		}
		c.names = append(c.names, next)
	}
	return badLoop // a circle, or as good as one
}

// step is where the aliases lead from name; nil: nowhere.
func (c *chain) step(links []link, name dnsname.Name) (next dnsname.Name) {
	for _, l := range links {
		switch {
		case !l.dname:
			if l.owner.Equal(name) {
				next = l.target // beats what a DNAME gives: it should be the same
			}
		case len(l.owner) < len(name) && name.Within(l.owner):
			if !contains(c.dnames, l.owner) {
				c.dnames = append(c.dnames, l.owner)
			}
			// RFC 6672, section 2.2: the target in the owner's place. A name
			// that gets too long is an error that the server has to report.
			prefix := name[:len(name)-len(l.owner)]
			if next == nil && len(prefix)+len(l.target) <= dnsname.MaxWire {
				next = append(prefix.Clone(), l.target...)
			}
		}
	}
	return next
}

func readLinks(msg []byte, h dnswire.Header, q *Question) (links []link, bad reason) {
	walk := answers(msg, h, q)
	for rec := (dnswire.Record{}); walk.Next(&rec); {
		dname := rec.Type == dnswire.TypeDNAME
		if rec.Type != dnswire.TypeCNAME && !dname || rec.Class != q.Class && q.Class != dnswire.ClassANY {
			continue
		}
		owner, err1 := rec.Owner(nil, msg)
		target, err2 := rec.Target(nil, msg)
		if err1 != nil || err2 != nil {
			return nil, badFormat
		}
		if len(links) == maxLinks {
			return nil, badLoop
		}
		links = append(links, link{owner, target, dname})
	}
	return links, valid
}

// has says whether an answer record speaks about a name of the chain, in the
// class asked for.
func (c *chain) has(msg []byte, rec *dnswire.Record) bool {
	if rec.Class != c.class && c.class != dnswire.ClassANY {
		return false
	}
	if pointsToQuestion(msg, rec.Start) {
		return true
	}
	var buf [dnsname.MaxWire]byte
	owner, err := rec.Owner(buf[:0], msg)
	return err == nil && (contains(c.names, owner) || contains(c.dnames, owner))
}

func contains(names []dnsname.Name, name dnsname.Name) bool {
	for _, n := range names {
		if n.Equal(name) {
			return true
		}
	}
	return false
}
