package blocklist

import (
	"bytes"

	"github.com/weirdns/weir/internal/dnsname"
)

// Nine lines in ten of large lists are a host name and what the format puts
// around it. plainLine takes those without making text of them; whatever else
// a line is, or may be, is left to the format's own reader.

// hostOctets maps what host names are made of to lower case, all else to 0.
var hostOctets = func() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = byte(c), byte(c)
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = byte(c)
	}
	t['-'], t['_'] = '-', '_'
	return t
}()

var (
	hostsZero = []byte("0.0.0.0 ")
	hostsLoop = []byte("127.0.0.1 ")
)

// plainLine takes a line if it is plain, and says whether it was.
func (p *parser) plainLine(b []byte) (ok bool, err error) {
	b = bytes.TrimRight(b, "\r\n")
	flags := p.scope()
	switch p.format {
	case FormatDomains:
	case FormatHosts:
		var zero, loop bool
		if b, zero = bytes.CutPrefix(b, hostsZero); !zero {
			if b, loop = bytes.CutPrefix(b, hostsLoop); !loop {
				return false, nil
			}
		}
	case FormatAdblock:
		if len(b) < 4 || b[0] != '|' || b[1] != '|' || b[len(b)-1] != '^' {
			return false, nil
		}
		b = b[2 : len(b)-1]
	default:
		return false, nil
	}
	if p.format != FormatHosts && len(b) > 2 && b[0] == '*' && b[1] == '.' {
		b, flags = b[2:], flagBelow
	}
	name, ok := p.plainName(b)
	if !ok {
		return false, nil
	}
	if reason, ok := p.guard.checkHost(name, flags); !ok {
		p.reject(reason)
		return true, nil
	}
	p.accepted++
	if p.out == nil {
		p.saw(subject{name: name})
		return true, nil
	}
	return true, p.out.addOwn(name, entry{flags: flags})
}

// plainName makes a Name of a host name with two labels or more, of which the
// last begins with a letter. The Name is good until the next call.
func (p *parser) plainName(b []byte) (dnsname.Name, bool) {
	if len(b) > dnsname.MaxWire-2 {
		return nil, false
	}
	w := p.name[:len(b)+2]
	label, last := 0, -1
	for i, c := range b {
		if c == '.' {
			n := i - label
			if n == 0 || n > dnsname.MaxLabel {
				return nil, false
			}
			w[label] = byte(n)
			last, label = label, i+1
			continue
		}
		low := hostOctets[c]
		if low == 0 {
			return nil, false
		}
		w[i+1] = low
	}
	n := len(b) - label
	if last < 0 || n == 0 || n > dnsname.MaxLabel || w[label+1] < 'a' {
		return nil, false
	}
	w[label], w[len(b)+1] = byte(n), 0
	return w, true
}
