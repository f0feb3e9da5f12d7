package capture

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"go.uber.org/zap"
)

// worker takes packets to transactions. It belongs to one goroutine; only its
// counters may be read by others. A file has one, interfaces have several: then
// each sees all packets between the same two addresses, so that nothing of one
// conversation is with another worker.
type worker struct {
	cfg     *Config
	deps    *Deps
	pending *pairs
	counts  counters
	slabs   slabs
	streams *streams

	// Memory that is used again for every packet.
	recents *recents
	watch   *watcher // nil: nobody takes findings
	decoder decoder
	message message
	tap     tapped
	tx      detect.Transaction // what the sinks are handed
	handing bool               // a message is with inspector and sinks

	servers map[netip.Addr]string
}

func newWorker(cfg *Config, deps *Deps, watch *watcher) *worker {
	w := &worker{cfg: cfg, deps: deps, pending: newPairs(cfg.MaxPending, cfg.PairTimeout), servers: map[netip.Addr]string{}, recents: newRecents(cfg.DuplicateWindow)}
	w.watch, w.decoder.watch = watch, watch != nil
	w.decoder.tell = func(e *encrypted, at time.Time) {
		w.handing = true
		watch.encrypted(e, at)
		w.handing = false
	}
	w.decoder.multicast = cfg.Multicast != MulticastOff
	w.counts.first.Store(noTime)
	w.counts.last.Store(noTime)
	w.decoder.anyPort = cfg.AnyPort
	w.decoder.ports, w.decoder.tcpPorts = make(map[uint16]bool, len(cfg.Ports)), make(map[uint16]bool, len(cfg.Ports)+1)
	for _, p := range cfg.Ports {
		w.decoder.ports[p], w.decoder.tcpPorts[p] = true, true
	}
	if w.decoder.multicast {
		w.decoder.tcpPorts[portMDNS] = true // RFC 6762, section 5.4 does not forbid it, and it is seen
	}
	w.reset()
	return w
}

// reset begins with empty tables.
func (w *worker) reset() {
	w.decoder.hellos = hellos{}
	w.decoder.fragments = newFragments(w.cfg.FragmentBytes, w.cfg.FragmentTimeout, &w.counts, &w.slabs)
	w.streams = newStreams(w.cfg.StreamBytes, w.cfg.StreamIdle, w.decoder.tcpPorts, &w.counts, &w.slabs, w.overTCP)
}

// finish ends all waiting.
func (w *worker) finish() {
	w.finishTables()
	for {
		p := w.pending.oldest()
		if p == nil {
			return
		}
		w.unanswered(p)
	}
}

func (w *worker) finishTables() {
	defer w.rescue(new(drop))
	w.decoder.fragments.finish()
	w.streams.finish()
	w.decoder.hellos.finish(w.decoder.tell)
}

// packet counts one packet exactly once, whatever happens to it; one that waits
// is counted when its wait is over.
func (w *worker) packet(p *packet) {
	w.counts.packets.Add(1)
	w.counts.seen(p.time)
	w.settle(w.decode(func() drop { return w.begin(p) }))
	for len(w.decoder.besides) > 0 {
		w.counts.further.Add(1)
		w.settle(w.decode(w.decoder.next))
	}
}

// settle counts what became of a packet, or of a part of one.
func (w *worker) settle(why drop) {
	switch why {
	case 0:
		w.counts.messages.Add(1 + w.decoder.further)
		w.expire()
		if w.decoder.quoting {
			w.counts.quoted.Add(1 + w.decoder.further)
			w.counts.further.Add(w.decoder.further)
			return
		}
		if w.recents.again(&w.decoder.datagram, w.decoder.ident) {
			w.counts.duplicates.Add(1)
			return
		}
		w.handle(&w.decoder.datagram)
	case counted:
	default:
		w.counts.drop(why)
	}
}

// begin lets the time of a packet come, and decodes it.
func (w *worker) begin(p *packet) drop {
	d := &w.decoder
	d.now = p.time
	d.fragments.expire(p.time)
	w.streams.expire(p.time)
	d.hellos.expire(p.time, d.tell)
	return d.decode(p)
}

// decode finds the message in a packet, or in a part of one. A panic there is a
// bug, and the next packet is not to pay for it.
func (w *worker) decode(part func() drop) (why drop) {
	defer w.rescue(&why)
	d := &w.decoder
	if why := part(); why != 0 {
		return why
	}
	if d.tcp {
		w.streams.add(&d.segment, d.now)
		return counted
	}
	if !w.message.read(d.datagram.payload) {
		return dropDNSShort
	}
	return 0
}

// overTCP takes a message out of a connection; it has a header.
func (w *worker) overTCP(d *datagram) {
	w.message.read(d.payload)
	w.counts.messages.Add(1)
	w.counts.tcpMessages.Add(1)
	w.handing = true
	w.expire()
	w.handle(d)
	w.handing = false
}

// expire ends the wait of queries whose time is over.
func (w *worker) expire() {
	for p := w.pending.expired(w.decoder.now); p != nil; p = w.pending.expired(w.decoder.now) {
		w.unanswered(p)
	}
}

// rescue recovers from a panic of ours; one of a sink is not ours to hide. The
// tables may be broken: they begin anew, and what was in them counts under the
// panic, with the packet that met it.
func (w *worker) rescue(why *drop) {
	r := recover()
	if r == nil {
		return
	}
	if w.handing {
		panic(r)
	}
	w.panicked(r)
	w.reset()
	w.counts.waiting.Store(0)
	w.counts.drops[dropPanic].Add(w.counts.packets.Load() - w.counts.accounted())
	*why = counted
}

func (w *worker) panicked(value any) {
	w.counts.panics.Add(1)
	w.deps.Log.Error("panic while reading a capture", zap.Any("panic", value), zap.Stack("stack"))
}

// tick lets time pass where no packet does.
func (w *worker) tick(now time.Time) {
	defer w.rescue(new(drop))
	w.decoder.now = now
	w.decoder.fragments.expire(now)
	w.streams.expire(now)
	w.decoder.hellos.expire(now, w.decoder.tell)
	w.handing = true
	w.expire()
	w.handing = false
}
