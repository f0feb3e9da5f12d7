package detect

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// FindingKind says what was found.
type FindingKind uint8

// Kinds of findings. Those up to AnswersRace need packets; those from Rebinding
// on are made of transactions.
const (
	EncryptedDNS     FindingKind = iota // a client speaks DoT, DoQ or DoH past us
	BypassedResolver                    // a client asks a server other than the site's resolvers
	AnswersDiffer                       // two servers say what cannot both be true
	AnswersRace                         // two different answers to one query: forged, or a broken middlebox
	Rebinding                           // a public name points into private address space
	Tunnel                              // a client moves data in the names below a domain
	InfectedClient                      // a client asks for names as infected ones do
	NXDOMAINBurst                       // a client asks for many domains that do not exist
	Beacon                              // a client asks for a name by the clock
	FastFlux                            // a name points to many networks, for a short time each
	NewDomain                           // a domain that nobody here has asked for before
	UpstreamBlock                       // an upstream answers by a policy of its own
	SilentClient                        // a client that asked every day asks no more
	Imitation                           // a new domain stands near a brand and is not its owner's
	FindingKinds                        // how many there are
)

var findingNames = [...]string{
	EncryptedDNS: "encrypted_dns", BypassedResolver: "bypassed_resolver", AnswersDiffer: "answers_differ", AnswersRace: "answers_race",
	Rebinding: "rebinding", Tunnel: "tunnel", InfectedClient: "infected_client",
	NXDOMAINBurst: "nxdomain_burst", Beacon: "beacon", FastFlux: "fast_flux", NewDomain: "new_domain",
	UpstreamBlock: "upstream_block", SilentClient: "silent_client", Imitation: "lookalike",
}

// Suspects says whether findings of this kind speak against a domain: whether they
// have an Until.
func (k FindingKind) Suspects() bool {
	return k == Tunnel || k == Beacon || k == FastFlux || k == NewDomain || k == Imitation
}

func (k FindingKind) String() string { return findingNames[k] }

// ParseFindingKind reads what String writes.
func ParseFindingKind(s string) (k FindingKind, ok bool) {
	for k, name := range findingNames {
		if name == s {
			return FindingKind(k), true
		}
	}
	return 0, false
}

// Fact is one thing that a finding is made of.
type Fact struct{ Key, Value string }

// Finding is something to look at that no single transaction shows.
type Finding struct {
	Time     time.Time // of the data
	Kind     FindingKind
	Level    Level        // how much it says: low is worth a look, high is hard to explain otherwise
	Client   netip.Addr   // invalid if it is not about one
	Name     dnsname.Name // nil if it is not about one; borrowed
	Evidence []Fact       // each key once; borrowed
	// Until is how long the registered domain of Name is suspected in verdicts; zero:
	// it is not. Enforce says that policy's action is carried out then.
	Until   time.Time
	Enforce bool
	// Transaction is the one by which it was found; nil: it is not about one.
	// Borrowed.
	Transaction *Transaction
	// Context is what is known of the client's network and the name beside; nil:
	// nothing. Borrowed.
	Context *Context
}

// FindingSink takes findings, from any number of goroutines. Find neither
// blocks nor keeps nor modifies f.
type FindingSink interface {
	Find(f *Finding)
}
