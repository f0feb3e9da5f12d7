// Package alert tells people of what they should know: rules say which verdicts
// and findings matter, how many of them, and per whom; what fires is told once,
// told again only after a while, handed on if nobody cares, and told to be over
// when it is.
//
// Time comes with the data; where nothing comes, Deps.Now lets it pass. What is
// known of clients is what the privacy setting lets be kept. It delivers nothing:
// that is alert/outbox and alert/notify.
package alert

import (
	"fmt"
	"time"
)

// Severity is how much an alert matters.
type Severity uint8

// Severities.
const (
	Info Severity = iota
	Warning
	Critical
)

var severityNames = [...]string{Info: "info", Warning: "warning", Critical: "critical"}

// String is the word used in the configuration.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word used in the configuration.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if string(text) == name {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("must be info, warning or critical, got %q", text)
}

// States of an alert.
const (
	Firing   = "firing"
	Resolved = "resolved"
)

// Reasons for a notification.
const (
	ReasonFires     = "new"       // it fires
	ReasonRepeated  = "repeated"  // it still does
	ReasonEscalated = "escalated" // it does, and nobody has acknowledged it
	ReasonOver      = "resolved"  // it no longer does
	ReasonTest      = "test"      // somebody wants to see whether it arrives
)

// Alert is a rule that was met, by one client, network or name, or by all.
type Alert struct {
	ID       string   `json:"id"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	State    string   `json:"state"`
	By       string   `json:"by,omitempty"`  // client, network or name; empty: one alert for all
	Key      string   `json:"key,omitempty"` // which one; a client as far as it may be kept
	// Began and Last are the times of the event that it fires since and of the
	// latest one; Ended is when it was resolved.
	Began time.Time `json:"began"`
	Last  time.Time `json:"last"`
	Ended time.Time `json:"ended,omitzero"`
	// Count is how many events there were, those that led to it included.
	Count  uint64  `json:"count"`
	Events []Event `json:"events"` // the latest few, the newest last
	// Notified is when it was last told, zero: never.
	Notified  time.Time `json:"notified,omitzero"`
	Told      time.Time `json:"told,omitzero"`    // first
	ToldTo    []string  `json:"told_to,omitzero"` // receivers
	Sent      uint64    `json:"notifications"`
	Escalated int       `json:"escalated,omitempty"` // steps taken
	Acked     *Ack      `json:"acknowledged,omitempty"`
	// Owed says that a notification is to go out as soon as it may.
	Owed bool `json:"owed,omitempty"`
	// Held says why it does not now: silence, quiet or acknowledged.
	Held string `json:"held,omitempty"`
}

// Event is one transaction or finding that a rule is about.
type Event struct {
	Time   time.Time `json:"time"`
	Client string    `json:"client,omitempty"` // as far as it may be kept
	Name   string    `json:"name,omitempty"`   // qname, presentation form
	// Kind is the origin of the verdict, or the kind of the finding.
	Kind     string   `json:"kind"`
	Level    string   `json:"level,omitempty"`
	Action   string   `json:"action,omitempty"`
	Enforced bool     `json:"enforced,omitempty"`
	Lists    []string `json:"lists,omitempty"`
	Why      string   `json:"why,omitempty"`
}

// Ack is somebody's word that they know.
type Ack struct {
	Time time.Time `json:"time"`
	Note string    `json:"note,omitempty"`
}

// Notification is one message about an alert. Its ID is the same whenever it is
// delivered again.
type Notification struct {
	ID      string    `json:"id"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"` // of the data
	Host    string    `json:"host"`
	Subject string    `json:"subject"`
	Body    string    `json:"body"`
	// Until is when a receiver that forgets alerts by itself may do so.
	Until time.Time `json:"until,omitzero"`
	Alert Alert     `json:"alert"`
}

// Silence keeps alerts from being told for a while.
type Silence struct {
	ID    string    `json:"id"`
	Rule  string    `json:"rule,omitempty"` // empty: every rule
	Key   string    `json:"key,omitempty"`  // empty: every client, network or name
	Until time.Time `json:"until"`
	Note  string    `json:"note,omitempty"`
}

func (s *Silence) covers(a *Alert, at time.Time) bool {
	return at.Before(s.Until) && (s.Rule == "" || s.Rule == a.Rule) && (s.Key == "" || s.Key == a.Key)
}
