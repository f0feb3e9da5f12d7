package blocklist

import (
	"net/netip"
	"strconv"
	"strings"
)

// The CSV dumps of ThreatFox have these columns, all quoted, with a space after
// each comma; older ones lack is_compromised.
const (
	foxHeader    = `"first_seen_utc",`
	foxColumns   = 15 // first_seen_utc,ioc_id,ioc_value,ioc_type,threat_type,fk_malware,malware_alias,malware_printable,last_seen_utc,confidence_level,is_compromised,reference,tags,anonymous,reporter
	foxColumns14 = 14 // the same without is_compromised
)

// threatfoxLine reads a row of a dump: an indicator that is a domain, a URL, or
// an address and port. What ThreatFox is less sure of than the list asks for
// is left out, and so are hashes of files.
func (p *parser) threatfoxLine(line string) error {
	if strings.HasPrefix(line, foxHeader) {
		return nil
	}
	var f [foxColumns]string
	switch splitCSV(f[:], line) {
	case foxColumns:
	case foxColumns14:
		copy(f[11:], f[10:14])
		f[10] = ""
	default:
		p.reject(BadRow)
		return nil
	}
	confidence, err := strconv.Atoi(f[9])
	if err != nil || confidence < 0 || confidence > 100 {
		p.reject(BadRow)
		return nil
	}
	s := sighting{date: f[0], threat: f[4], tags: f[7] + "," + f[12], confidence: "confidence=" + strconv.Itoa(confidence)}
	if strings.EqualFold(f[10], "true") {
		s.tags = f[7] + ",compromised," + f[12] // somebody's site, not the attacker's own
	}
	if strings.HasPrefix(f[11], "https://") && len(f[11]) <= maxLink {
		s.link = f[11]
	}
	value, kind := f[2], f[3]
	switch kind {
	case "domain", "url", "ip:port":
	default:
		p.reject(NotForDNS)
		return nil
	}
	if confidence < p.minConfidence {
		p.reject(LowConfidence)
		return nil
	}
	switch kind {
	case "url":
		return p.addURL(value, &s)
	case "domain":
		return p.addHost(value, &s, false)
	}
	ap, err := netip.ParseAddrPort(value)
	if err != nil {
		p.reject(BadRow)
		return nil
	}
	return p.addHost(ap.Addr().String(), &s, false)
}
