package detect

import (
	"net/netip"
	"strconv"
)

// Context is what files and services say of the addresses and the name of a
// transaction. It is looked up behind the answer path, and nothing is judged by it.
type Context struct {
	// Client is what may be told of who asked.
	Client ClientContext
	// Answers are the addresses of the answer section of which anything is known,
	// in its order.
	Answers []AnswerContext
	// Reputations are what services say of the name.
	Reputations []Reputation
}

// Known says whether there is anything in c.
func (c *Context) Known() bool {
	return c != nil && (c.Client != ClientContext{} || len(c.Answers) > 0 || len(c.Reputations) > 0)
}

// ClientContext is what is known of a client.
type ClientContext struct {
	Name  string // of the host or network, as the site calls it
	Own   bool   // in one of the site's own networks
	Place        // of a client outside of them
}

// AnswerContext is what is known of an address in an answer.
type AnswerContext struct {
	Addr netip.Addr
	Name string // as the site calls its host or network
	Place
}

// Place is where an address is, and whose. What is not known is empty.
type Place struct {
	Country string // ISO 3166-1, two letters
	City    string // in English
	ASN     uint32 // autonomous system; 0: not known
	Org     string // who runs it
}

// ReputationLevel is the scale on which all services are brought, Apache Spot's.
type ReputationLevel int8

// Levels of reputation. Unverified is a service that has no answer, which is not
// the same as a good one.
const (
	ReputationUnverified ReputationLevel = iota - 1
	ReputationNone
	ReputationLow
	ReputationMedium
	ReputationHigh
)

var reputationNames = [...]string{"UNVERIFIED", "NONE", "LOW", "MEDIUM", "HIGH"}

// Valid says whether l is on the scale.
func (l ReputationLevel) Valid() bool {
	return l >= ReputationUnverified && l <= ReputationHigh
}

// String is Spot's word for it.
func (l ReputationLevel) String() string {
	if !l.Valid() {
		return "ReputationLevel(" + strconv.Itoa(int(l)) + ")"
	}
	return reputationNames[l+1]
}

// Reputation is what one service says of a name.
type Reputation struct {
	Service string
	Level   ReputationLevel
	// Detail is what it says beside, as a malware family and tags; may be empty.
	Detail string
}

// String is service:LABEL:value, as in Spot's column query_rep.
func (r Reputation) String() string {
	return r.Service + ":" + r.Level.String() + ":" + strconv.Itoa(int(r.Level))
}
