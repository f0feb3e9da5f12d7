package blocklist

import "strings"

// detect tells the format by the first line that is no comment.
func detect(line string) Format {
	if _, _, ok := cutScheme(line); ok {
		return FormatURLhaus
	}
	switch {
	case line[0] == '"':
		if strings.HasPrefix(line, foxHeader) {
			return FormatThreatFox
		}
		var fields [foxColumns]string
		if splitCSV(fields[:], line) >= foxColumns14 {
			return FormatThreatFox
		}
		return FormatURLhaus
	case strings.HasPrefix(line, csvHeader):
		return FormatURLhaus
	case isRule(line):
		return FormatAdblock
	case hasAnyPrefix(line, "address=/", "server=/", "local=/"):
		return FormatDnsmasq
	case hasAnyPrefix(line, "local-zone:", "local-data:", "server:"):
		return FormatUnbound
	case hasAnyPrefix(line, `zone "`, "zone\t"):
		return FormatBIND
	case hasAnyPrefix(line, "$TTL", "$ORIGIN"):
		return FormatRPZ
	}
	first, rest := nextField(line)
	if second, _ := nextField(rest); second != "" && second[0] != '#' {
		if _, ok := parseAddr(first); ok {
			return FormatHosts
		}
		if _, _, ok := cutRecord(rest); ok {
			return FormatRPZ
		}
	}
	return FormatDomains
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// isRule says whether a line can only be the ad blockers' language.
func isRule(line string) bool {
	return line[0] == '|' || hasAnyPrefix(line, "@@", "[Adblock", "[uBlock", "[AdGuard") || isCosmetic(line)
}

// isCosmetic says whether a line is a rule for parts of pages: hosts, one of
// the ad blockers' separators, and a selector without a space before it.
func isCosmetic(line string) bool {
	at := strings.IndexByte(line, '#')
	if at < 0 || at > 0 && (line[at-1] == ' ' || line[at-1] == '\t') {
		return false // none, or a comment
	}
	rest := line[at+1:]
	sep := strings.IndexByte(rest, '#')
	if sep < 0 || sep > 3 || strings.Trim(rest[:sep], "@?$%") != "" {
		return false
	}
	selector := rest[sep+1:]
	return selector != "" && selector[0] != '#' && selector[0] != ' ' && selector[0] != '\t'
}
