package capture

import (
	"bytes"
	"time"
)

// data takes the octets of a segment, and missing ones behind them that the
// capture cut off, and counts it.
func (s *streams) data(c *conn, h *half, seq uint32, b []byte, missing int, now time.Time) {
	if h.state != inStep {
		if why := s.pickUp(c, h, seq, b, missing, now); why == counted {
			return
		} else if why != 0 {
			s.counts.drop(why)
			return
		}
	}
	off := int(int32(seq - h.next))
	switch end := off + len(b) + missing; {
	case off > window || off < -window:
		s.counts.drop(dropTCPWindow)
		return
	case off < 0:
		s.compare(h, off, b)
		if end <= 0 {
			s.counts.drop(dropTCPRepeated)
			return
		}
		b = b[min(-off, len(b)):]
		missing = end - len(b)
		off = 0
	case h.ended && int32(seq-h.end) >= 0:
		s.counts.drop(dropTCPWindow)
		return
	}
	if off == 0 && (h.held == nil || int32(h.held.seq-h.next) >= int32(len(b))) {
		s.counts.segments.Add(1)
		s.take(c, h, b, missing, now)
		s.drain(c, h)
		return
	}
	if !s.hold(c, h, h.next+uint32(off), b, missing, now) {
		s.counts.drop(dropTCPRepeated)
		return
	}
	s.counts.waiting.Add(1)
	s.drain(c, h)
	for h.heldBytes > maxAhead || h.heldCount > maxAheadSegments {
		s.giveUp(c, h, now)
	}
}

// pickUp begins to read a direction whose beginning was not seen, or that was
// lost, if that is safe; otherwise it says why not, or that the segment waits
// for what comes behind it.
func (s *streams) pickUp(c *conn, h *half, seq uint32, b []byte, missing int, at time.Time) drop {
	end := seq + uint32(len(b)+missing)
	if h.state == lost || h.unsure > 0 {
		if off := int32(seq - h.next); off < 0 && off > -window {
			if int32(end-h.next) <= 0 {
				return dropTCPRepeated
			}
			s.disbelieve(c, h)
			h.state, h.next = lost, end
			return dropTCPUnsynchronised
		}
	}
	if h.unsure > 0 && seq == h.next {
		enough := b[:min(len(b), maxUnsure)]
		s.remember(c, h, enough)
		switch begins(h.past, h.from, &s.name) {
		case beginsSo:
			h.past = h.past[:len(h.past)-len(enough)]
			s.believe(c, h, at)
			return 0
		case mayBegin:
			return s.wait(h, end, missing)
		}
	}
	s.disbelieve(c, h)
	sure := begins(b, h.from, &s.name)
	if sure != beginsSo && fills(b, missing, h.from) {
		sure = beginsSo
	}
	switch sure {
	case beginsSo:
		h.next = seq
		s.believe(c, h, at)
		return 0
	case mayBegin:
		if missing == 0 {
			s.remember(c, h, b)
			return s.wait(h, end, missing)
		}
	}
	h.state, h.next = lost, end
	return dropTCPUnsynchronised
}

// wait lets a segment wait, with those before it in h.past, for what tells
// whether they begin with a message.
func (s *streams) wait(h *half, end uint32, missing int) drop {
	h.next = end
	if missing > 0 { // nothing will
		h.state = lost
		s.settle(h, dropTCPUnsynchronised)
		return dropTCPUnsynchronised
	}
	h.unsure++
	s.counts.waiting.Add(1)
	return counted
}

// believe begins to read a direction with what waits in h.past, or if nothing
// does, at h.next.
func (s *streams) believe(c *conn, h *half, at time.Time) {
	first := h.past
	if h.unsure == 0 {
		first = nil
		s.release(c, h.past)
	}
	h.past, h.next = nil, h.next-uint32(len(first))
	if h.state == unseen { // its SYN may have been overtaken
		h.start = h.next
	}
	h.state, h.ended, h.framing.skip = inStep, false, 0
	s.counts.segments.Add(uint64(h.unsure))
	s.settle(h, 0)
	s.take(c, h, first, 0, at)
	s.release(c, first)
}

// disbelieve drops what waits in h.past.
func (s *streams) disbelieve(c *conn, h *half) {
	s.settle(h, dropTCPUnsynchronised)
	s.release(c, h.past)
	h.past = nil
}

// settle ends the wait of unsure segments, which are read or dropped.
func (s *streams) settle(h *half, why drop) {
	if why != 0 {
		s.counts.drops[why].Add(uint64(h.unsure))
	}
	s.counts.waiting.Add(-int64(h.unsure))
	h.unsure = 0
}

// take reads the next octets of a direction.
func (s *streams) take(c *conn, h *half, b []byte, missing int, at time.Time) {
	h.next += uint32(len(b))
	s.remember(c, h, b)
	s.frame(c, h, b, at)
	if missing > 0 { // unless others of the octets are here
		if h.held != nil {
			missing = max(0, min(missing, int(int32(h.held.seq-h.next))))
		}
		s.skip(c, h, missing, at)
	}
}

// skip passes over octets that do not come.
func (s *streams) skip(c *conn, h *half, n int, at time.Time) {
	if n == 0 {
		return
	}
	s.counts.gaps.Add(1)
	h.next += uint32(n)
	h.past = h.past[:0]
	s.hole(c, h, n, at)
}

// giveUp passes over the hole in front of what is held.
func (s *streams) giveUp(c *conn, h *half, now time.Time) {
	if h.held == nil {
		return
	}
	s.skip(c, h, int(max(0, int32(h.held.seq-h.next))), now)
	s.drain(c, h)
}

// acknowledged says that the receiver has all up to ack: a hole before that is
// one of the capture, unless it only sees the segments late.
func (s *streams) acknowledged(c *conn, h *half, ack uint32, now time.Time) {
	for e := h.held; e != nil && int32(ack-e.seq) > 0 && now.Sub(e.at).Abs() >= reordered; e = h.held {
		s.giveUp(c, h, now)
	}
}

// drain reads what is held and has no hole in front of it any more.
func (s *streams) drain(c *conn, h *half) {
	for e := h.held; e != nil; e = h.held {
		off := int(int32(e.seq - h.next))
		if off > 0 && h.state == inStep {
			return
		}
		s.counts.waiting.Add(-1)
		b, missing := e.data, e.missing
		why := drop(0)
		switch {
		case h.state != inStep:
			why = s.pickUp(c, h, e.seq, b, missing, e.at)
		case off+len(b)+missing <= 0:
			why = dropTCPRepeated
		default:
			end := off + len(b) + missing
			b = b[min(-off, len(b)):]
			missing = end - len(b)
		}
		s.unlink(c, h)
		switch why {
		case 0:
			s.counts.segments.Add(1)
			s.take(c, h, b, missing, e.at)
		case counted:
		default:
			s.counts.drop(why)
		}
		s.recycle(c, e)
	}
}

// hold keeps a segment for later, with the octets that came first where others
// have them. It does not if they have all.
func (s *streams) hold(c *conn, h *half, seq uint32, b []byte, missing int, now time.Time) bool {
	data := append(s.grab(c, len(b)), b...)
	covered := 0 // octets of b that others have
	differs := false
	place := &h.held
	for at := &h.held; *at != nil; at = &(*at).next {
		e := *at
		if int32(e.seq-seq) < 0 {
			place = &e.next
		}
		// e covers from to to of b; the list is in order of from, so what was
		// covered before reaches to covered.
		from := int(int32(e.seq - seq))
		to := min(from+len(e.data), len(b))
		lo := max(from, 0)
		if lo >= to {
			continue
		}
		old := e.data[lo-from : to-from]
		if !bytes.Equal(data[lo:to], old) {
			differs = true
			copy(data[lo:to], old)
		}
		if lo <= covered {
			covered = max(covered, to)
		}
	}
	if differs {
		s.counts.conflicts.Add(1)
	}
	if covered == len(b) && covered > 0 {
		s.release(c, data)
		return false
	}
	e := s.spareHeld
	if e != nil {
		s.spareHeld = e.next
		s.helds--
	} else {
		e = new(held)
	}
	*e = held{seq: seq, data: data, missing: missing, at: now, next: *place}
	*place = e
	h.heldBytes += len(b)
	h.heldCount++
	s.ledger.grow(&c.entry, segmentCost)
	return true
}

// unlink takes the first out of what is held.
func (s *streams) unlink(c *conn, h *half) *held {
	e := h.held
	h.held, e.next = e.next, nil
	h.heldBytes -= len(e.data)
	h.heldCount--
	s.ledger.grow(&c.entry, -segmentCost)
	return e
}

// recycle gives back what was unlinked and is read.
func (s *streams) recycle(c *conn, e *held) {
	s.release(c, e.data)
	e.data = nil
	if s.helds < maxSpares {
		e.next, s.spareHeld = s.spareHeld, e
		s.helds++
	}
}

// remember keeps the last of what was read.
func (s *streams) remember(c *conn, h *half, b []byte) {
	if n := min(len(h.past)+len(b), maxPast); n > cap(h.past) {
		larger := append(s.grab(c, n), h.past...)
		s.release(c, h.past)
		h.past = larger
	}
	if len(b) >= maxPast {
		h.past = append(h.past[:0], b[len(b)-maxPast:]...)
		return
	}
	if over := len(h.past) + len(b) - maxPast; over > 0 {
		h.past = h.past[:copy(h.past, h.past[over:])]
	}
	h.past = append(h.past, b...)
}

// compare counts a repetition that is none: other octets than those that were
// read, as somebody sends who wants to be read differently by different
// readers.
func (s *streams) compare(h *half, off int, b []byte) {
	begin := len(h.past) + off // of b in past
	if begin < 0 {
		if -begin >= len(b) {
			return
		}
		b, begin = b[-begin:], 0
	}
	n := min(len(b), len(h.past)-begin)
	if n > 0 && !bytes.Equal(b[:n], h.past[begin:begin+n]) {
		s.counts.conflicts.Add(1)
	}
}
