package blocklist

import (
	"net/netip"
	"slices"
)

// Policy is what an entry itself wants done, in the words of RPZ. Most lists
// only name; RPZ zones, resolvers' configuration files and exceptions say more.
type Policy uint8

// Policies. The zero Policy leaves it to whoever configured the list.
const (
	AsList    Policy = iota // the entry says nothing
	NXDOMAIN                // the name does not exist
	NODATA                  // the name exists, without data
	Refuse                  // REFUSED
	Drop                    // no answer at all
	TCPOnly                 // over UDP only an empty answer with TC
	LocalData               // the addresses of Hit.Local, NODATA for other types
	Passthru                // not this name: the list's other entries do not count
)

// own is what an entry says of itself beyond the name, in one octet: its
// Policy in the low bits, and these.
type own uint8

const (
	ownPolicy    own = 0x0f
	ownZone      own = 1 << 5 // LocalData: its addresses are those of all that is below, too
	ownException own = 1 << 6 // beats the list's other entries, longer ones too
	ownImportant own = 1 << 7 // beats the list's entries that are not
)

func (o own) policy() Policy { return Policy(o & ownPolicy) }
func (o own) passes() bool   { return o.policy() == Passthru }

// rank orders what a list says of one name: an exception beats an entry,
// $important beats an exception, an important exception beats all. Within a
// rank the longest rule decides, as in RPZ.
func (o own) rank() own { return o & (ownException | ownImportant) }

// Local is the addresses that a LocalData entry answers with. It is immutable.
type Local struct {
	V4 []netip.Addr `json:"v4,omitempty"`
	V6 []netip.Addr `json:"v6,omitempty"`
}

const (
	// maxLocalAddrs is how many addresses of a family one entry answers with.
	maxLocalAddrs = 8
	// maxLocals is how many different answers one list may have. Walled gardens
	// have a few; and an entry keeps the number of its answer in two octets.
	maxLocals = 4096
)

// locals is the answers of a list, each held once.
type locals struct {
	all  []*Local
	byID map[string]uint16 // only while the list is built
}

// intern gives the answer with these addresses its number; ok is false where
// there are too many addresses or too many answers.
func (l *locals) intern(addrs []netip.Addr) (id uint16, ok bool) {
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	var key []byte
	var local Local
	for _, a := range addrs {
		key = append(append(key, a.AsSlice()...), byte(a.BitLen()))
		if a.Is4() {
			local.V4 = append(local.V4, a)
		} else {
			local.V6 = append(local.V6, a)
		}
	}
	if len(local.V4) > maxLocalAddrs || len(local.V6) > maxLocalAddrs {
		return 0, false
	}
	if id, ok := l.byID[string(key)]; ok {
		return id, true
	}
	if len(l.all) == maxLocals {
		return 0, false
	}
	if l.byID == nil {
		l.byID = make(map[string]uint16)
	}
	id = uint16(len(l.all))
	l.all = append(l.all, &local)
	l.byID[string(key)] = id
	return id, true
}

// join is the answer with the addresses of both.
func (l *locals) join(a, b uint16) (id uint16, ok bool) {
	if a == b {
		return a, true
	}
	return l.intern(slices.Concat(l.all[a].V4, l.all[a].V6, l.all[b].V4, l.all[b].V6))
}

// empty says whether an answer has no address yet: a zone that is to be
// redirected, before it was said where to.
func (l *locals) empty(id uint16) bool { return len(l.all[id].V4)+len(l.all[id].V6) == 0 }

// overrule marks, among the hits of one list on one name, those that do not
// count: hits come longest rule first. The first of the highest rank decides.
// Where it lets the name pass, nothing else of the list counts; where it does
// not, nothing that would let it pass does.
func overrule(hits []Hit) {
	best := 0
	any := false
	for i := range hits {
		any = any || hits[i].own != 0
		if hits[i].own.rank() > hits[best].own.rank() {
			best = i
		}
	}
	if !any {
		return
	}
	pass := hits[best].own.passes()
	for i := range hits {
		hits[i].Overruled = i != best && (pass || hits[i].own.passes())
	}
}
