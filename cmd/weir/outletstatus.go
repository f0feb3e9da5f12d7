package main

import (
	"fmt"
	"time"

	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/outlet"
)

// openOutlet is one that is in use.
type openOutlet struct {
	*outlet.Outlet
	name, kind string
	queue      int64
}

type openOutlets []openOutlet

// outputs are where records go.
func (o openOutlets) outputs() (out []pdns.QueuedOutput) {
	for _, one := range o {
		out = append(out, pdns.QueuedOutput{Output: one.Outlet, QueueBytes: one.queue})
	}
	return out
}

// tasks send what is there.
func (o openOutlets) tasks() (out []task) {
	for _, one := range o {
		out = append(out, task{"outlet " + one.name, one.Run})
	}
	return out
}

// outletStatus says how an outlet does.
type outletStatus struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Up      bool              `json:"up"` // the last try worked, or none was made
	Sent    uint64            `json:"sent_rows"`
	Waiting uint64            `json:"waiting_rows"` // on the disk
	Bytes   int64             `json:"waiting_bytes"`
	Oldest  *time.Time        `json:"oldest"` // of the rows that wait; null: none does
	Dropped map[string]uint64 `json:"dropped_rows"`
	// LastError is the last thing that went wrong, and when; without secrets. Null:
	// nothing did.
	LastError   *string    `json:"last_error"`
	LastErrorAt *time.Time `json:"last_error_at"`
}

func (o openOutlets) status() (out []outletStatus) {
	for _, one := range o {
		st := one.Stats()
		s := outletStatus{Name: one.name, Kind: one.kind, Up: !st.Failing, Sent: st.Sent, Bytes: st.Bytes, Dropped: st.Dropped}
		var oldest time.Time
		if s.Waiting, oldest = one.Waiting(); !oldest.IsZero() {
			oldest = oldest.UTC()
			s.Oldest = &oldest
		}
		if e := one.Trouble(); e != nil {
			at := e.At.UTC()
			s.LastError, s.LastErrorAt = &e.Text, &at
		}
		out = append(out, s)
	}
	return out
}

// text is a line for people.
func (o *outletStatus) text(now time.Time) string {
	state := "up"
	if !o.Up {
		state = "DOWN"
	}
	line := fmt.Sprintf("%s (%s) %s, %d sent, %d waiting", o.Name, o.Kind, state, o.Sent, o.Waiting)
	if o.Oldest != nil {
		line += fmt.Sprintf(" (oldest %s)", now.Sub(*o.Oldest).Round(time.Second))
	}
	var dropped uint64
	for _, n := range o.Dropped {
		dropped += n
	}
	line += fmt.Sprintf(", %d dropped", dropped)
	if o.LastError != nil && !o.Up {
		line += ": " + *o.LastError
	}
	return line
}
