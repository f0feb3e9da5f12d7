// Package blocklist holds lists of domain names and addresses: it fetches
// them, parses them, guards against what a feed must never be allowed to say,
// and answers which lists name a query's name or an answer's address.
//
// Lookups work on an immutable Snapshot behind an atomic pointer. Loading and
// refreshing build a new one beside it, so serving never waits for a disk or a
// feed, and a feed that is down, cut short, shrunk or captive leaves the last
// good data in place.
//
// It refuses to decide: what follows from a hit is policy and belongs to
// detect. It refuses to let any list name a public suffix, whatever the feed
// says, and it never replaces good data with data that it has doubts about.
package blocklist

import (
	"time"
)

// Kind is what a list is for.
type Kind string

// Kinds of lists. The empty Kind in a Config means Block.
const (
	Block Kind = "block"
	Allow Kind = "allow"
)

// Format is how a source is written.
type Format string

// Formats. The empty Format in a Config means FormatAuto. docs/lists.md has
// the grammar of each.
const (
	// FormatAuto decides by the first line that is no comment.
	FormatAuto Format = "auto"
	// FormatDomains is one name a line, "*.name" for only what is below it,
	// ".name" for the name and what is below it, or one address a line.
	FormatDomains Format = "domains"
	// FormatHosts is hosts(5): an address, which is not looked at, and names.
	FormatHosts Format = "hosts"
	// FormatURLhaus is one URL a line, or the CSV dumps of URLhaus.
	FormatURLhaus Format = "urlhaus"
	// FormatThreatFox is the CSV dumps of ThreatFox.
	FormatThreatFox Format = "threatfox"
	// FormatAdblock is the part of the ad blockers' language that speaks of
	// whole hosts: "||name^", exceptions "@@||name^", and what domains has.
	FormatAdblock Format = "adblock"
	// FormatRegex is one regular expression (RE2) a line, for whole qnames.
	FormatRegex Format = "regex"
	// FormatRPZ is a response policy zone in the text form of RFC 1035.
	FormatRPZ Format = "rpz"
	// FormatDnsmasq is address=, server= and local= of dnsmasq's configuration.
	FormatDnsmasq Format = "dnsmasq"
	// FormatUnbound is local-zone: and local-data: of Unbound's configuration.
	FormatUnbound Format = "unbound"
	// FormatBIND is zone statements of BIND's configuration, one a line, as
	// lists have them: each a zone with nothing in it.
	FormatBIND Format = "bind"
)

// formats is every format that a source can have.
var formats = []Format{
	FormatDomains, FormatHosts, FormatURLhaus, FormatThreatFox, FormatAdblock,
	FormatRegex, FormatRPZ, FormatDnsmasq, FormatUnbound, FormatBIND,
}

// MatchMode is how much of the tree an entry without "*." stands for.
type MatchMode string

// Match modes. The empty MatchMode in a Config means MatchAuto.
const (
	// MatchAuto is what the format says: exact for hosts, urlhaus, threatfox
	// and rpz, subtree for the others.
	MatchAuto MatchMode = "auto"
	// MatchExact is that name only.
	MatchExact MatchMode = "exact"
	// MatchSubtree is the name and every name below it.
	MatchSubtree MatchMode = "subtree"
)

// List is one list as it stands in a Snapshot: its data and how it came to
// them. It is immutable.
type List struct {
	Name   string
	Kind   Kind
	Format Format // as detected, where the configuration says auto

	Entries   int   // names, exceptions among them; one twice where it and what is below differ
	Addresses int   // addresses and networks
	Patterns  int   // regular expressions
	Passes    int   // of these entries, how many let a name pass
	Memory    int64 // octets that the compiled entries take

	Loaded  time.Time // when the data were read or fetched; zero: there are none yet
	Checked time.Time // when the source last confirmed them
	SHA256  string    // of the source as parsed, after decompression, in hex
	// Rejected counts the lines of the data that serve now that were refused.
	Rejected Rejected

	// Err says why the newest attempt to load was refused, and Failed when;
	// empty after a success. Data from before keep serving.
	Err    string
	Failed time.Time

	set *set // nil: no data yet
}

// Hit is one entry of one list that a name or an address met. Its strings
// belong to the list, which is immutable, so they may be kept.
type Hit struct {
	List *List
	// Rule is the entry in presentation form, with "*." in front where it
	// stands only for what is below it, and "@@" before that where it lets pass.
	Rule string
	// Info is what the feed says of the entry, empty for plain lists. For
	// URLhaus: threat, tags joined by commas, link.
	Info string
	// ObserveOnly: the entry came from a list of URLs and stands for a
	// platform that many share (github.com). One bad URL there says nothing of
	// the next, so it is worth a record but must not block.
	ObserveOnly bool
	// Policy is the entry's own wish, AsList for most.
	Policy Policy
	// Overruled: another entry of the same list says otherwise of this name, and
	// counts more: an exception before a block, $important before an exception,
	// the longer rule before the shorter one.
	Overruled bool
	// Local has the addresses of a LocalData entry; nil for others.
	Local *Local

	own own
}
