package detect

import "github.com/weirdns/weir/internal/dnsname"

// Standing is whose a name is: Apache Spot's class of the top domain.
type Standing uint8

// Standings.
const (
	StandingOther   Standing = iota
	StandingPopular          // by detect.popularity
	StandingOwn              // below one of the site's own zones
)

var standingNames = [...]string{StandingOther: "other", StandingPopular: "popular", StandingOwn: "own"}

// String is the word for it.
func (s Standing) String() string {
	if int(s) < len(standingNames) {
		return standingNames[s]
	}
	return "Standing(?)"
}

// Brand says whether a registered domain is a protected brand's, or its owner's.
func (d *Detector) Brand(registered dnsname.Name) bool {
	i := d.state.Load().policy.imitations
	return i != nil && i.index.Owned(registered)
}

// Standing says whose a name is; registered is its registered domain, nil if it has
// none.
func (d *Detector) Standing(name, registered dnsname.Name) Standing {
	st := d.state.Load()
	switch {
	case within(name, st.policy.ownZones):
		return StandingOwn
	case registered != nil && st.popular.Has(registered):
		return StandingPopular
	}
	return StandingOther
}
