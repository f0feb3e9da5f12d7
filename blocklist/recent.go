package blocklist

import (
	"sync/atomic"

	"github.com/weirdns/weir/internal/dnsname"
)

// recent keeps the strings of the entries that were met last. The entries may
// be in a mapped file, and what a caller keeps must outlive the mapping; so a
// rule's text is made when it is first met, and a name that is asked for again
// and again, which is how blocked names are, costs no further allocation. A
// slot is found by the entry's place; whoever comes last has it.
type recent struct {
	slots []atomic.Pointer[texts]
}

// texts is one entry in words.
type texts struct {
	at         uint32
	rule, info string
	site       dnsname.Name // see found.site
}

// maxRecent is how many texts a set keeps: about half a megabyte at most.
const maxRecent = 4096

// recentWays is how many slots an entry can be in.
const recentWays = 4

func newRecent(entries int) recent {
	n := recentWays
	for n < entries && n < maxRecent {
		n *= 2
	}
	return recent{slots: make([]atomic.Pointer[texts], n)}
}

// of is the texts of f.
func (r *recent) of(f *found) *texts {
	h := f.at * 0x9e3779b1
	first := int(h>>16) & (len(r.slots) - 1) &^ (recentWays - 1)
	ways := r.slots[first : first+recentWays]
	free := int(h>>8) & (recentWays - 1) // somebody has to go
	for i := range ways {
		t := ways[i].Load()
		if t == nil {
			free = i
			break
		}
		if t.at == f.at {
			return t
		}
	}
	t := &texts{at: f.at, rule: f.rule(), info: string(f.info), site: f.site()}
	ways[free].Store(t)
	return t
}
