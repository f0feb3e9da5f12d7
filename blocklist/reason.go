package blocklist

// Reason says why a line, or a name on it, did not become an entry.
type Reason uint8

// Reasons. The first group means that the source is not what it should be, and
// too many of them refuse it as a whole. The second group is well-formed and
// refused by rule.
const (
	NotAName Reason = iota // neither a domain name nor an address
	BadURL                 // no URL, or one without a host
	BadRow                 // not the columns that the format has
	BadRule                // not what the format's grammar has
	LongLine               // more than 4096 octets

	IPAsName         // an address, or all digits at its end, where a name belongs
	PrivateAddress   // an address that is loopback, private, link-local, multicast or none
	PublicSuffix     // at or above a public suffix: it would block what belongs to many
	SingleLabel      // no dot, and no top-level domain either: localhost and its like
	OwnHost          // would cut weir off from its feeds or upstreams
	Cosmetic         // adblock: hides a part of a page
	URLRule          // adblock: for some URLs of a host only
	Pattern          // adblock: a name with wildcards in it
	Modifier         // adblock: under a condition that DNS cannot see
	ClientTrigger    // RPZ: for some clients, from a URL that may not say so
	ServerTrigger    // RPZ: by the name server's name or address
	AddressRange     // a network larger than /8, or /16 of IPv6
	Unsupported      // an action, record or directive that weir has nothing for
	OutOfZone        // RPZ: a name outside of the zone
	NotForDNS        // ThreatFox: a hash or another thing that is neither name nor address
	LowConfidence    // ThreatFox: below min_confidence
	CostlyPattern    // a regular expression beyond the bounds
	TooManyAddresses // local data with more addresses, or more different ones, than are kept

	numReasons
)

// damages is the number of reasons in the first group.
const damages = int(LongLine) + 1

var reasonNames = [numReasons]string{
	NotAName: "not_a_name", BadURL: "bad_url", BadRow: "bad_row", BadRule: "bad_rule", LongLine: "long_line",
	IPAsName: "ip_as_name", PrivateAddress: "private_address", PublicSuffix: "public_suffix",
	SingleLabel: "single_label", OwnHost: "own_host",
	Cosmetic: "cosmetic", URLRule: "url_rule", Pattern: "pattern", Modifier: "modifier",
	ClientTrigger: "client_trigger", ServerTrigger: "server_trigger", AddressRange: "address_range",
	Unsupported: "unsupported", OutOfZone: "out_of_zone", NotForDNS: "not_for_dns",
	LowConfidence: "low_confidence", CostlyPattern: "costly_pattern", TooManyAddresses: "too_many_addresses",
}

var reasonTexts = [numReasons]string{
	NotAName:         "not a domain name",
	BadURL:           "not a URL with a host",
	BadRow:           "not the columns of this dump",
	BadRule:          "not what this format has",
	LongLine:         "longer than 4096 octets",
	IPAsName:         "an address in place of a name",
	PrivateAddress:   "not a public address",
	PublicSuffix:     "a public suffix: it would block what belongs to many",
	SingleLabel:      "a single label",
	OwnHost:          "needed by weir itself: a feed's or an upstream's host",
	Cosmetic:         "hides a part of a page, which DNS cannot",
	URLRule:          "for some URLs of a host, which DNS does not see",
	Pattern:          "a pattern, not a name",
	Modifier:         "under a condition that DNS does not see",
	ClientTrigger:    "for some clients, which a URL may say only with allow_local_data",
	ServerTrigger:    "by a name server's name or address, which a forwarder does not see",
	AddressRange:     "a network too wide to mean",
	Unsupported:      "an action, record or setting that weir has nothing for",
	OutOfZone:        "outside of the zone",
	NotForDNS:        "neither a name nor an address",
	LowConfidence:    "below min_confidence",
	CostlyPattern:    "a regular expression too long or too large, or more than are kept",
	TooManyAddresses: "more addresses than are kept",
}

// String is the reason as metrics have it.
func (r Reason) String() string { return reasonNames[r] }

// Text is the reason in words.
func (r Reason) Text() string { return reasonTexts[r] }

// Rejected counts refusals by reason.
type Rejected [numReasons]int

// Total is the sum over all reasons.
func (r *Rejected) Total() int {
	n := 0
	for _, v := range r {
		n += v
	}
	return n
}

// damaged counts the refusals that cast doubt on the source.
func (r *Rejected) damaged() int {
	n := 0
	for _, v := range r[:damages] {
		n += v
	}
	return n
}
