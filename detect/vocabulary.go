// Package detect turns names into verdicts. It owns the vocabulary that the
// front ends (resolver, capture) and the back ends (pdns, later alert and web)
// share, the lists and the model that judge a name, and the policy that says
// what should follow. It never enforces anything and never reads a clock: time
// comes with the query, so that a capture gives the same verdicts twice.
package detect

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// Transport is how a query reached us.
type Transport uint8

// Transports.
const (
	UDP Transport = iota
	TCP
	Pcap   // captured, from a file or an interface
	Dnstap // told by a resolver
	DoT    // DNS over TLS
	DoH    // DNS over HTTPS
	DoQ    // DNS over QUIC
)

var transportNames = [...]string{UDP: "udp", TCP: "tcp", Pcap: "pcap", Dnstap: "dnstap", DoT: "dot", DoH: "doh", DoQ: "doq"}

func (t Transport) String() string { return transportNames[t] }

// Query is one question as it was asked.
type Query struct {
	Time        time.Time    // arrival, or the packet's own time
	Client      netip.Addr   // who asked; never in a metric, and in records only as configured
	Name        dnsname.Name // borrowed: valid as long as the call that brings the Query
	Type, Class uint16
	Transport   Transport
}

// Origin says whose judgement a verdict is.
type Origin uint8

// Origins. OriginNone means "not judged", which is counted and shown and is never the
// same as a low score.
const (
	OriginNone Origin = iota
	OriginAllowList
	OriginBlockList
	OriginModel
	OriginRebinding // an answer that points a public name into private address space
	OriginLookalike // the name imitates a brand
	OriginBehaviour // a finding speaks against the domain: see Suspects
)

var originNames = [...]string{
	OriginNone: "none", OriginAllowList: "allowlist", OriginBlockList: "blocklist",
	OriginModel: "model", OriginRebinding: "rebinding",
	OriginLookalike: "lookalike", OriginBehaviour: "behaviour",
}

func (o Origin) String() string { return originNames[o] }

// Action is what policy wants done with a query, in the words of RPZ.
type Action uint8

// Actions.
const (
	Pass     Action = iota // resolve as if nothing were known
	NXDOMAIN               // the name does not exist
	NODATA                 // the name exists, without data of this type
	ZeroIP                 // 0.0.0.0 and ::, NODATA for types other than A and AAAA
	Sinkhole               // the configured addresses, NODATA for other types
	Refuse                 // REFUSED
	Drop                   // no answer at all
	Truncate               // over UDP an empty answer with TC, so that the client proves its address over TCP
)

var actionNames = [...]string{
	Pass: "pass", NXDOMAIN: "nxdomain", NODATA: "nodata", ZeroIP: "zero_ip",
	Sinkhole: "sinkhole", Refuse: "refuse", Drop: "drop", Truncate: "truncate",
}

func (a Action) String() string { return actionNames[a] }

// Level is a score in words, each with a false positive rate that the model's
// card states.
type Level uint8

// Levels. LevelNone is a score below all thresholds.
const (
	LevelNone Level = iota
	LevelLow
	LevelMedium
	LevelHigh
)

var levelNames = [...]string{LevelNone: "none", LevelLow: "low", LevelMedium: "medium", LevelHigh: "high"}

func (l Level) String() string { return levelNames[l] }

// Reason says why a name has no score.
type Reason uint8

// Reasons. Scored is the one that comes with a score.
const (
	Scored       Reason = iota
	NotAsked            // the zero verdict was never inspected, or the query was not for a name in class IN
	NoModel             // no model is loaded
	ReverseZone         // below in-addr.arpa or ip6.arpa
	SingleLabel         // no dot: a host name of the local network
	PublicSuffix        // the name is itself a public suffix
	SpecialUse          // RFC 6761 and its like: local, test, onion, internal, ...
	OwnZone             // below a zone that the configuration calls its own
	ServiceLabel        // the registered label begins with an underscore
	IDN                 // punycode: the model knows Latin letters only
	NotHost             // no host name: an address, or octets that nobody can register
	Allowed             // an allow list passed it before the model was asked
	Failed              // the scorer failed or was over its budget; counted as an error
)

var reasonNames = [...]string{
	Scored: "", NotAsked: "not_asked", NoModel: "no_model", ReverseZone: "reverse_zone",
	SingleLabel: "single_label", PublicSuffix: "public_suffix", SpecialUse: "special_use",
	OwnZone: "own_zone", ServiceLabel: "service_label", IDN: "idn", NotHost: "not_a_hostname", Allowed: "allowed", Failed: "failed",
}

// String is empty for Scored.
func (r Reason) String() string { return reasonNames[r] }

// reasonTexts are Reasons for people.
var reasonTexts = [...]string{
	Scored: "", NotAsked: "only names in class IN are judged", NoModel: "no model is loaded, or it is switched off",
	ReverseZone: "a reverse zone holds addresses, not names", SingleLabel: "a single label is a host of the local network",
	PublicSuffix: "a public suffix is nobody's own name", SpecialUse: "the name is not part of the public DNS (RFC 6761 and its like)",
	OwnZone: "the configuration calls its zone the site's own", ServiceLabel: "a service label (_name) is a protocol's word",
	IDN: "punycode: the model knows Latin letters only", NotHost: "an address, or octets that nobody can register",
	Allowed: "an allow list passed it before the model was asked", Failed: "the scorer failed, and the name passed unjudged",
}

// Text is the reason for people; empty for Scored.
func (r Reason) Text() string { return reasonTexts[r] }

// MatchKind says what of a query or of its answer stood in a list.
type MatchKind uint8

// Kinds of matches.
const (
	MatchName    MatchKind = iota // the name asked for
	MatchTarget                   // a name on the answer's CNAME chain
	MatchAddress                  // an address in the answer
	MatchClient                   // the client's address
)

var matchKindNames = [...]string{MatchName: "qname", MatchTarget: "cname", MatchAddress: "address", MatchClient: "client"}

func (k MatchKind) String() string { return matchKindNames[k] }

// Effect says what a match does by itself; which of several acts is the
// verdict's to say.
type Effect uint8

// Effects.
const (
	EffectMonitor   Effect = iota // it would block: its list only watches
	EffectEnforce                 // it blocks
	EffectObserve                 // worth a record, and never a block: a platform that many share
	EffectPass                    // it lets pass
	EffectOverruled               // another entry of its list counts more, or an allow list, or a special name
)

var effectNames = [...]string{
	EffectMonitor: ModeMonitor, EffectEnforce: ModeEnforce, EffectObserve: "observe", EffectPass: "pass", EffectOverruled: "overruled",
}

func (e Effect) String() string { return effectNames[e] }

// Match is one list entry that a query hit. Its strings belong to the list,
// which is immutable, so they may be kept.
type Match struct {
	List   string // the list's name in the configuration
	Rule   string // the entry, in presentation form; "@@" in front: it lets pass
	Info   string // what the feed says of it (URLhaus: threat, tags, link), may be empty
	Kind   MatchKind
	Effect Effect
}

// BlockAnswer is what an enforced action answers with. It is part of the
// policy, immutable and shared.
type BlockAnswer struct {
	TTL    time.Duration
	V4, V6 []netip.Addr // for Sinkhole
	EDE    uint16       // RFC 8914: 15 Blocked, 16 Censored, 17 Filtered
}

// Verdict is what is known of a query and what should follow.
type Verdict struct {
	Origin   Origin
	Action   Action // what policy wants
	Enforced bool   // false: monitor mode, the query passes and the action is only recorded
	Unscored Reason // Scored (zero) if Score holds
	Level    Level
	Score    float64 // 0 to 1; meaningful only if Unscored is Scored
	// Probability is Model.Probability of Score: NaN without a calibration,
	// meaningful only if Unscored is Scored.
	Probability float64
	// OneIn is how rare the score is among this site's own names: one in OneIn
	// scores as high. 0: too few names were seen to say so.
	OneIn uint32
	// BySite says that OneIn was asked whether the score is a detection; if
	// not, it was Level.
	BySite bool
	// Popular is a detection that is not enforced since the name is popular.
	Popular bool
	// Why says what made the model's detection; nil where there is none.
	Why *Why
	// Shadow is what the model beside the one in use said, if there is one.
	Shadow Shadow
	// fresh is the model that scored the domain just now; nil: the score was
	// known. For Site, which counts a domain once.
	fresh *Model
	// Lookalike is the brand that the name imitates, and how; zero: none.
	Lookalike lookalike.Match
	// Registered is the registered domain that was scored; nil if there is
	// none. It shares the query's memory.
	Registered dnsname.Name
	Matches    []Match      // every list entry that was hit, in the order of the configuration; 64 at most
	Decider    int          // for OriginBlockList and OriginBehaviour: which of Matches the action is from
	Answer     *BlockAnswer // for Enforced actions
}

// Shadow is the opinion of a model that is on trial. Nothing follows from it.
type Shadow struct {
	Model string // its version; "": there is none, or it did not judge
	Score float64
	Level Level
}

// Blocks says whether the query must not be resolved.
func (v *Verdict) Blocks() bool { return v.Enforced && v.Action != Pass }

// Yield takes the action out of a verdict, for a query that somebody answered
// before policy had a say: what was hit stays in the record, blocked by nobody.
func (v *Verdict) Yield() {
	v.Enforced = false
	for i := range v.Matches {
		if v.Matches[i].Effect == EffectEnforce {
			v.Matches[i].Effect = EffectOverruled
		}
	}
}

// Source says where a response came from.
type Source uint8

// Sources.
const (
	FromNowhere  Source = iota // no response: dropped, or never seen
	FromUpstream               // an upstream's answer, asked for this query
	FromCache
	FromStale  // the cache, past its TTL, since no upstream answered
	FromPolicy // made by us, for an enforced verdict
	FromLocal  // made by us: special names, errors, refusals
	FromWire   // captured
)

var sourceNames = [...]string{
	FromNowhere: "none", FromUpstream: "upstream", FromCache: "cache", FromStale: "stale",
	FromPolicy: "policy", FromLocal: "local", FromWire: "wire",
}

func (s Source) String() string { return sourceNames[s] }

// Transaction is one question and what became of it. It is never modified once
// recorded, and everything in it is borrowed: a sink that keeps any of it copies.
type Transaction struct {
	Query    Query
	Verdict  Verdict
	Source   Source
	Rcode    uint16 // with the upper bits of OPT; meaningful only with a Response
	Response []byte // the message that the client got, in wire form; nil if none
	Upstream string // who answered, for FromUpstream; the server's address, for FromWire
	Latency  time.Duration
	// Context is what is known beside; nil: nothing was looked up.
	Context *Context
}

// Answered says whether the response carries what the DNS said, rather than
// something of our own making: only that is passive DNS.
func (t *Transaction) Answered() bool {
	switch t.Source {
	case FromUpstream, FromCache, FromStale, FromWire:
		return len(t.Response) > 0
	}
	return false
}

// Sink takes transactions. Record neither blocks nor modifies nor keeps t.
type Sink interface {
	Record(t *Transaction)
}
