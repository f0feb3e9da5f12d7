package enrich

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gaissmai/bart"
)

// Bounds of a file of networks.
const (
	maxNetworkEntries = 1 << 20
	maxNetworkLine    = 4096 // octets
	maxNetworkName    = 256  // octets
	maxNetworkErrors  = 20   // that are told of one file
)

// networks are names of prefixes.
type networks struct{ table bart.Table[string] }

// span is one line: a name for all addresses from first to last.
type span struct {
	first, last netip.Addr
	name        string
	line        int
}

func loadNetworks(path string) (*networks, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	return readNetworks(f)
}

// readNetworks reads lines of an address, a range or a prefix and its name:
//
//	192.0.2.7,printer
//	192.0.2.16-192.0.2.31,desks
//	2001:db8::/32,lab
//
// A range may take two columns, as in Spot's ipranges.csv. Lines that begin with #
// and a first line of column names are passed over. Of those that hold an address
// the smallest counts, wherever it stands. The errors are of all lines.
func readNetworks(r io.Reader) (*networks, error) {
	var spans []span
	var errs []error
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxNetworkLine), maxNetworkLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // a byte order mark, of spreadsheets
		}
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(spans) == maxNetworkEntries {
			return nil, fmt.Errorf("line %d: more than %d entries", n, maxNetworkEntries)
		}
		s, err := parseSpan(line)
		if errors.Is(err, errColumnNames) && n == 1 {
			continue
		}
		if err != nil {
			if errs = append(errs, fmt.Errorf("line %d: %w", n, err)); len(errs) == maxNetworkErrors {
				return nil, errors.Join(append(errs, errors.New("and maybe more"))...)
			}
			continue
		}
		s.line = n
		spans = append(spans, s)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("line %d: %w", n+1, err))
	}
	out := &networks{}
	errs = append(errs, out.insert(spans))
	return out, errors.Join(errs...)
}

var errColumnNames = errors.New("must begin with an address, a range or a network")

// parseSpan reads one line.
func parseSpan(line []byte) (s span, err error) {
	c := csv.NewReader(bytes.NewReader(line))
	c.TrimLeadingSpace = true
	fields, err := c.Read()
	if err != nil {
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			err = parse.Err // the line number is ours
		}
		return s, err
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	if first := fields[0]; first == "" || !strings.ContainsAny(first, ".:") {
		return s, fmt.Errorf("%w, got %q", errColumnNames, first)
	}
	switch len(fields) {
	case 2:
		s.name = fields[1]
		s.first, s.last, err = parseEnds(fields[0])
	case 3:
		s.name = fields[2]
		s.first, s.last, err = parseRange(fields[0], fields[1])
	default:
		return s, fmt.Errorf("must have 2 columns, a network and its name, or 3, a range's ends and its name; got %d", len(fields))
	}
	if err != nil {
		return s, err
	}
	switch {
	case s.name == "":
		return s, errors.New("the name is empty")
	case len(s.name) > maxNetworkName:
		return s, fmt.Errorf("the name has %d octets, at most %d", len(s.name), maxNetworkName)
	case !utf8.ValidString(s.name) || strings.ContainsFunc(s.name, unicode.IsControl):
		return s, errors.New("the name must be printable UTF-8")
	}
	return s, nil
}

func parseEnds(s string) (first, last netip.Addr, err error) {
	if from, to, ok := strings.Cut(s, "-"); ok {
		return parseRange(strings.TrimSpace(from), strings.TrimSpace(to))
	}
	p, err := parseNetwork(s)
	if err != nil {
		return first, last, err
	}
	return p.Addr(), lastOf(p), nil
}

func parseRange(from, to string) (first, last netip.Addr, err error) {
	if first, err = netip.ParseAddr(from); err == nil {
		last, err = netip.ParseAddr(to)
	}
	if err != nil {
		return first, last, fmt.Errorf("must be a range like 192.0.2.16-192.0.2.31, got %q to %q", from, to)
	}
	first, last = first.Unmap(), last.Unmap()
	switch {
	case first.Zone() != "" || last.Zone() != "":
		return first, last, errors.New("addresses must have no zone")
	case first.BitLen() != last.BitLen():
		return first, last, fmt.Errorf("a range must not have an IPv4 and an IPv6 end, got %v to %v", first, last)
	case last.Less(first):
		return first, last, fmt.Errorf("the range ends before it begins: %v to %v", first, last)
	}
	return first, last, nil
}

// insert puts the largest spans in first: where two take the same prefix, the
// smaller one's name stays.
func (n *networks) insert(spans []span) error {
	var errs []error
	slices.SortFunc(spans, func(a, b span) int {
		if c := compareSizes(b, a); c != 0 {
			return c
		}
		if c := a.first.Compare(b.first); c != 0 {
			return c
		}
		return a.line - b.line
	})
	for i, s := range spans {
		if i > 0 && spans[i-1].first == s.first && spans[i-1].last == s.last {
			if errs = append(errs, fmt.Errorf("line %d: named already in line %d", s.line, spans[i-1].line)); len(errs) == maxNetworkErrors {
				break
			}
			continue
		}
		for p := range prefixes(s.first, s.last) {
			n.table.Insert(p, s.name)
		}
	}
	return errors.Join(errs...)
}

// of is the name of the smallest network that has all of p, "" for none.
func (n *networks) of(p netip.Prefix) string {
	if n == nil || !p.IsValid() {
		return ""
	}
	name, _ := n.table.LookupPrefix(p)
	return name
}
