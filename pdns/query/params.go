// Package query is how people and programs ask the passive DNS database: what
// they may ask for, the forms of the answer, and the HTTP interface of the
// Common Output Format's draft. It reads a store.Reader and nothing else, so the
// answer is the same from a running weir and from the files of one that stopped.
package query

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/store"
)

// Limits on how many records an answer has.
const (
	DefaultLimit = 1000
	MaxLimit     = 1_000_000
)

// Params are a question to the database.
type Params struct {
	What    string   // a name, an address, a network; or with Rdata the rdata
	Rdata   bool     // What is rdata, or a name in it
	Subtree bool     // also all names below
	Types   []string // mnemonics; none: all
	Since   string   // see parseTime; empty: no bound
	Until   string
	Limit   int    // 0: DefaultLimit
	Format  string // a format's name; empty: FormatCOF
}

// FromURL reads Params from a request's query, of which it knows every key.
func FromURL(what string, v url.Values) (Params, error) {
	p := Params{What: what}
	var errs []error
	for key, values := range v {
		value := values[len(values)-1]
		var err error
		switch key {
		case "rrtype":
			for _, one := range values {
				p.Types = append(p.Types, strings.Split(one, ",")...)
			}
		case "subtree":
			p.Subtree, err = strconv.ParseBool(value)
		case "rdata":
			p.Rdata, err = strconv.ParseBool(value)
		case "limit":
			p.Limit, err = strconv.Atoi(value)
		case "since":
			p.Since = value
		case "until":
			p.Until = value
		case "format":
			p.Format = value
		case "what":
			p.What = value
		default:
			err = errors.New("no such parameter")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", key, value, unwrapNum(err)))
		}
	}
	return p, errors.Join(errs...)
}

// unwrapNum is the reason of an error of strconv, without its function's name.
func unwrapNum(err error) error {
	var num *strconv.NumError
	if errors.As(err, &num) {
		return num.Err
	}
	return err
}

// URL is the path and query that FromURL reads.
func (p *Params) URL() string {
	v := url.Values{}
	if len(p.Types) > 0 {
		v.Set("rrtype", strings.Join(p.Types, ","))
	}
	if p.Subtree {
		v.Set("subtree", "true")
	}
	if p.Rdata {
		v.Set("rdata", "true")
	}
	if p.Limit != 0 {
		v.Set("limit", strconv.Itoa(p.Limit))
	}
	for key, value := range map[string]string{"since": p.Since, "until": p.Until, "format": p.Format} {
		if value != "" {
			v.Set(key, value)
		}
	}
	what := "/query/" + p.What
	if path.Clean(what) != what {
		// The root, and rdata with slashes: a server would tidy the path.
		v.Set("what", p.What)
		what = "/query/"
	}
	return (&url.URL{Path: what, RawQuery: v.Encode()}).String()
}

// Compile checks p and makes the store's query of it. now is for times that
// count back from it.
func (p *Params) Compile(now time.Time) (store.Query, error) {
	var q store.Query
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch prefix, isNet := parseNet(p.What); {
	case p.What == "":
		fail("what: a name, an address or a network is needed")
	case p.Rdata && p.Subtree:
		fail("subtree: means nothing for rdata")
	case p.Rdata:
		q.Rdata = p.What
		if name, err := dnsname.ParseHost(p.What); err == nil && !isNet {
			q.Rdata = strings.TrimSuffix(name.String(), ".") + "." // as names stand in rdata
		} else if isNet && prefix.IsSingleIP() {
			q.Rdata, q.Prefix = "", prefix
		}
	case isNet && p.Subtree:
		fail("subtree: means nothing for an address or network")
	case isNet:
		q.Prefix = prefix
	default:
		name, err := dnsname.Parse(p.What)
		if err != nil {
			fail("what: %q is no name, address or network: %w", p.What, err)
		}
		q.Name, q.Subtree = name, p.Subtree
	}
	for _, t := range p.Types {
		n, ok := dnswire.ParseType(strings.ToUpper(t))
		if !ok {
			fail("rrtype: %q is no type", t)
		}
		q.Types = append(q.Types, n)
	}
	var err error
	if q.Since, err = parseTime(p.Since, now); err != nil {
		fail("since: %w", err)
	}
	if q.Until, err = parseTime(p.Until, now); err != nil {
		fail("until: %w", err)
	}
	if q.Until > 0 && q.Until < q.Since {
		fail("until: is before since")
	}
	if p.Limit < 0 || p.Limit > MaxLimit {
		fail("limit: must be 1 to %d, got %d", MaxLimit, p.Limit)
	}
	if p.Limit == 0 {
		p.Limit = DefaultLimit
	}
	if p.Format == "" {
		p.Format = FormatCOF
	}
	if _, ok := formats[p.Format]; !ok {
		fail("format: must be cof, json, csv or text, got %q", p.Format)
	}
	return q, errors.Join(errs...)
}

func parseNet(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}

// parseTime reads a time as Unix seconds: RFC 3339, a day, Unix seconds, or how
// long ago: 90m, 24h, 7d. Empty is 0.
func parseTime(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return max(t.Unix(), 0), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return max(now.Add(-time.Duration(n)*24*time.Hour).Unix(), 0), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return max(now.Add(-d).Unix(), 0), nil
	}
	return 0, fmt.Errorf("%q is no time: want 2026-03-01, 2026-03-01T12:00:00Z, Unix seconds, or how long ago as 90m, 24h, 7d", s)
}
