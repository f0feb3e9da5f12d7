package detect

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// FindingKind says what was found.
type FindingKind uint8

// Kinds of findings.
const (
	EncryptedDNS     FindingKind = iota // a client speaks DoT, DoQ or DoH past us
	BypassedResolver                    // a client asks a server other than the site's resolvers
	AnswersDiffer                       // two servers say what cannot both be true
	AnswersRace                         // two different answers to one query: forged, or a broken middlebox
	FindingKinds                        // how many there are
)

var findingNames = [...]string{
	EncryptedDNS: "encrypted_dns", BypassedResolver: "bypassed_resolver", AnswersDiffer: "answers_differ", AnswersRace: "answers_race",
}

func (k FindingKind) String() string { return findingNames[k] }

// Fact is one thing that a finding is made of.
type Fact struct{ Key, Value string }

// Finding is something to look at that no single transaction shows.
type Finding struct {
	Time     time.Time // of the data
	Kind     FindingKind
	Client   netip.Addr
	Name     dnsname.Name // nil if it is not about one; borrowed
	Evidence []Fact       // borrowed
}

// FindingSink takes findings. Find neither keeps nor modifies f.
type FindingSink interface {
	Find(f *Finding)
}
