package blocklist

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The CSV dumps of URLhaus (csv_recent, csv_online) have these columns, all
// quoted; dumps of before 2022 lack last_online.
const (
	csvHeader   = "id,dateadded,url,"
	csvColumns  = 9 // id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter
	csvColumns8 = 8 // the same without last_online
)

// Bounds of what is kept of a host's rows.
const (
	maxDate   = 19
	maxTags   = 8
	maxTag    = 32
	maxThreat = 32
	maxLink   = 96
)

// urlTable gathers the rows of each host: a dump has a row for each URL, an
// entry stands for a host.
type urlTable struct {
	hosts  map[string]*urlHost
	shared *shared
}

type urlHost struct {
	addr  netip.Addr // invalid for a name
	flags uint8
	date  string // of the newest row, "2025-04-21 12:35:06"
	// Of the newest row:
	threat, confidence, link string
	tags                     []string // of all rows
}

// sighting is what one row says of a host.
type sighting struct{ date, threat, tags, confidence, link string }

// urlhausLine reads a row of a dump, or a URL.
func (p *parser) urlhausLine(line string) error {
	if strings.HasPrefix(line, csvHeader) {
		return nil
	}
	if line[0] != '"' {
		return p.addURL(line, nil)
	}
	var fields [csvColumns]string
	switch n := splitCSV(fields[:], line); n {
	case csvColumns:
	case csvColumns8:
		copy(fields[5:], fields[4:8])
		fields[4] = ""
	default:
		p.reject(BadRow)
		return nil
	}
	s := sighting{date: fields[1], threat: fields[5], tags: fields[6]}
	if strings.HasPrefix(fields[7], "https://") {
		s.link = fields[7]
	}
	return p.addURL(fields[2], &s)
}

// addURL adds the host of a URL; s is what the dump's row says, nil for a bare URL.
func (p *parser) addURL(raw string, s *sighting) error {
	host, ok := urlHostname(raw)
	if !ok {
		p.reject(BadURL)
		return nil
	}
	return p.addHost(host, s, true)
}

// addHost notes a host; inURL says that it was seen in a URL, which on a platform
// that many share, or a site that everybody knows, says nothing of the host.
func (p *parser) addHost(host string, s *sighting, inURL bool) error {
	if p.urls.hosts == nil {
		p.urls = urlTable{hosts: make(map[string]*urlHost), shared: newShared()}
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		if !listable(addr) {
			p.reject(PrivateAddress)
			return nil
		}
		addr = addr.Unmap().WithZone("")
		p.saw(subject{kind: answerNetwork, net: netip.PrefixFrom(addr, addr.BitLen())})
		p.urls.add(addr.String(), s, func() *urlHost { return &urlHost{addr: addr} })
	} else {
		name, reason, ok := p.parseName(host, p.scope())
		if !ok {
			p.reject(reason)
			return nil
		}
		flags := p.scope()
		if inURL {
			flags |= flagURL
			if p.urls.shared.has(name) {
				flags |= flagObserve
			}
		}
		p.saw(subject{name: name})
		h := p.urls.add(string(name), s, func() *urlHost { return &urlHost{flags: flags} })
		h.flags &= flags | ^uint8(flagObserve|flagURL) // the host itself may be named elsewhere
	}
	p.accepted++
	return nil
}

// cutScheme cuts "http://" and its like off a URL.
func cutScheme(s string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(s, "://")
	switch strings.ToLower(scheme) {
	case "http", "https", "ftp":
		return scheme, rest, ok
	}
	return "", "", false
}

// urlHostname is the host of a URL, as a browser would take it. Only what
// stands before the path is parsed: URLs in these lists are as odd as malware
// makes them, and the path says nothing of the host. A backslash ends the host
// as a slash does, which is how browsers read "http://a.example\@b.example".
func urlHostname(raw string) (string, bool) {
	scheme, rest, ok := cutScheme(raw)
	if !ok {
		return "", false
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	return u.Hostname(), true
}

// add notes one row of the host with the given key.
func (t *urlTable) add(key string, s *sighting, fresh func() *urlHost) *urlHost {
	h := t.hosts[key]
	if h == nil {
		h = fresh()
		t.hosts[strings.Clone(key)] = h
	}
	if s == nil {
		return h
	}
	if h.threat == "" || s.date > h.date {
		// Clones: a field must not keep its whole line in memory.
		h.date = strings.Clone(s.date[:min(len(s.date), maxDate)])
		h.threat = clean(s.threat, maxThreat)
		h.confidence = s.confidence
		h.link = clean(s.link, maxLink)
	}
	for tag := range strings.SplitSeq(s.tags, ",") {
		tag = clean(strings.TrimSpace(tag), maxTag)
		if len(h.tags) < maxTags && tag != "" && tag != "None" && !slices.Contains(h.tags, tag) {
			h.tags = append(h.tags, tag)
		}
	}
	return h
}

// clean makes a word of s that can stand in a log line or a TXT record: at most
// n octets, printable ASCII without spaces.
func clean(s string, n int) string {
	b := []byte(s[:min(len(s), n)])
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}

// flush hands the hosts over as entries, in the order of their keys so that the
// same source always gives the same set.
func (t *urlTable) flush(out *builder) error {
	keys := make([]string, 0, len(t.hosts))
	for k := range t.hosts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		h := t.hosts[k]
		var err error
		if h.addr.IsValid() {
			err = out.addNetwork(answerNetwork, netip.PrefixFrom(h.addr, h.addr.BitLen()), entry{info: h.info()})
		} else {
			err = out.addName([]byte(k), h.flags, h.info())
		}
		if err != nil {
			return err
		}
	}
	t.hosts = nil
	return nil
}

// info is "threat tag,tag confidence link date", without what is missing. Tags
// give way where it would be too long.
func (h *urlHost) info() string {
	date := day(h.date)
	room := maxInfo - len(h.threat) - len(h.confidence) - len(h.link) - len(date) - 4
	var tags string
	for _, tag := range h.tags {
		if len(tags)+1+len(tag) > room {
			break
		}
		if tags != "" {
			tags += ","
		}
		tags += tag
	}
	return strings.Join(slices.DeleteFunc([]string{h.threat, tags, h.confidence, h.link, date}, func(s string) bool { return s == "" }), " ")
}

// splitCSV cuts one line of CSV (RFC 4180) into fields and says how many there
// are, len(fields)+1 for too many and 0 for a line that is not CSV. A record
// that spans lines is not CSV here: with it, one stray quote would swallow the
// rest of a feed.
func splitCSV(fields []string, line string) int {
	for n := 0; ; n++ {
		var field string
		line = strings.TrimLeft(line, " ") // ThreatFox has one behind each comma
		if strings.HasPrefix(line, `"`) {
			end := 1
			for {
				i := strings.IndexByte(line[end:], '"')
				if i < 0 {
					return 0
				}
				end += i
				if !strings.HasPrefix(line[end+1:], `"`) {
					break
				}
				end += 2
			}
			field, line = strings.ReplaceAll(line[1:end], `""`, `"`), line[end+1:]
			if line != "" && line[0] != ',' {
				return 0
			}
		} else {
			i := strings.IndexByte(line, ',')
			if i < 0 {
				i = len(line)
			}
			field, line = line[:i], line[i:]
		}
		if n == len(fields) {
			return n + 1
		}
		fields[n] = field
		if line == "" {
			return n + 1
		}
		line = line[1:]
	}
}
