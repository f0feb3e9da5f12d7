package behaviour

import "github.com/weirdns/weir/internal/seen"

// domains are the registered domains that this site has asked for. Those of
// today are new all day long, to whoever asks for them. It takes no memory
// before the first.
type domains struct {
	before, today seen.Names
	any           bool
}

// known says whether a domain was asked for before today.
func (d *domains) known(hash uint64) bool { return d.any && d.before.Has(hash) }

// add remembers a domain of today and says whether it is the first of today.
func (d *domains) add(hash uint64) (first bool) {
	if !d.any {
		d.clear()
	}
	if d.today.Has(hash) {
		return false
	}
	d.today.Add(hash)
	return true
}

func (d *domains) clear() {
	d.before.Clear()
	d.today.Clear()
	d.any = true
}

// turn ends the day.
func (d *domains) turn() {
	if d.any {
		d.before.Merge(&d.today)
		d.today.Clear()
	}
}
