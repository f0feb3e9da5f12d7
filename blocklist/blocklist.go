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

// Formats. The empty Format in a Config means FormatAuto.
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
)

// MatchMode is how much of the tree an entry without "*." stands for.
type MatchMode string

// Match modes. The empty MatchMode in a Config means MatchAuto.
const (
	// MatchAuto is subtree for domains and exact for hosts and urlhaus.
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

	Entries   int   // names
	Addresses int   // addresses
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
	// stands only for what is below it.
	Rule string
	// Info is what the feed says of the entry, empty for plain lists. For
	// URLhaus: threat, tags joined by commas, link.
	Info string
	// ObserveOnly: the entry came from a list of URLs and stands for a
	// platform that many share (github.com). One bad URL there says nothing of
	// the next, so it is worth a record but must not block.
	ObserveOnly bool
}
