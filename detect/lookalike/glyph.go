package lookalike

// Glyphs that are taken for each other fall into classes, each named by one
// character:
//
//	o 0            l i 1          3 8            6 9
//	c e            b d            g q            m n r
//
// and some are taken for two: b and d for l and c beside them (cl, dl, lb), h
// for lh, k for lk and lc, m for two of its class (rn, nn, rr), w for vv.
var class = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for _, group := range []string{"o0", "li1", "38", "69", "ce", "bd", "gq", "mnr"} {
		for _, c := range []byte(group) {
			t[c] = group[0]
		}
	}
	return t
}()

// classes appends the label with every character replaced by its class.
func classes(dst, label []byte) []byte {
	for _, c := range label {
		dst = append(dst, class[c])
	}
	return dst
}

// glyphKey is the hash of what no change of glyphs can touch, so that a brand and
// all its homoglyphs share it: characters that a change can bring in or take
// away (l, c, b, k) are left out, w counts as two v, a run of m as one.
func glyphKey(skel []byte) uint64 {
	var buf [2 * maxLabel]byte
	key := buf[:0]
	var before byte
	for _, c := range skel {
		switch c {
		case 'l', 'c', 'b', 'k':
			// Left out, and what stood around it stays apart: a run of m is
			// counted over it, because k or b may have become such letters only
			// beside it.
			continue
		case 'w':
			key = append(key, 'v', 'v')
		case 'm':
			if before != 'm' {
				key = append(key, 'm')
			}
		default:
			key = append(key, c)
		}
		before = c
	}
	return hashOf(key)
}

// glyph finds brands that the label equals but for glyphs.
func (q *query) glyph() {
	for it := q.x.glyphs.find(glyphKey(q.skel)); it.next(); {
		b := &q.x.brands[it.id]
		if d := len(q.label) - len(b.label); d < -len(b.label)/2 || d > len(b.label) || b.label == string(q.label) {
			continue
		}
		if !alike(b.skel, q.skel) {
			continue
		}
		grade := GradeMedium
		if q.idn || digitsFor(b.label, q.label) {
			grade = GradeHigh
		}
		q.offer(it.id, KindHomoglyph, byLength(len(b.label), grade))
	}
}

// digitsFor tells whether the label has digits where the brand has none: people
// do not name sites so.
func digitsFor(brand string, label []byte) bool {
	for i := range brand {
		if '0' <= brand[i] && brand[i] <= '9' {
			return false
		}
	}
	for _, c := range label {
		if '0' <= c && c <= '9' {
			return true
		}
	}
	return false
}

// alike tells whether the label can be read as the brand, both in classes. It is
// a walk over both from the left that keeps, for each place in the brand, the
// places in the label that may stand for it: at most 63 each, so bits.
func alike(brand, label []byte) bool {
	if len(label) > maxLabel {
		return false
	}
	// reach has bit j: brand[:i] can be read from label[:j].
	reach := uint64(1)
	for _, c := range brand {
		var next uint64
		for j := 0; j < len(label); j++ {
			if reach>>j&1 == 1 {
				next |= spellings(c, label, j)
			}
		}
		if reach = next; reach == 0 {
			return false
		}
	}
	return reach>>len(label)&1 == 1
}

// spellings are the places in the label where one character of the brand, begun
// at j, may end.
func spellings(c byte, label []byte, j int) (ends uint64) {
	at := func(k int) byte {
		if k < len(label) {
			return label[k]
		}
		return 0
	}
	ls := 0
	for ls < 3 && at(j+ls) == 'l' {
		ls++
	}
	switch c {
	case 'm':
		for n := 0; n < 4 && at(j+n) == 'm'; n++ {
			ends |= 1 << (j + n + 1)
		}
	case 'w':
		if at(j) == 'w' {
			ends |= 1 << (j + 1)
		}
		if at(j) == 'v' && at(j+1) == 'v' {
			ends |= 1 << (j + 2)
		}
	case 'h':
		if at(j+ls) == 'h' {
			ends |= 1 << (j + ls + 1)
		}
	case 'k':
		if at(j+ls) == 'k' || ls > 0 && at(j+ls) == 'c' {
			ends |= 1 << (j + ls + 1)
		}
	case 'b': // b, d; l before it, l after it, or c with l after it
		switch at(j + ls) {
		case 'b':
			ends |= 1 << (j + ls + 1)
			for n := 1; n <= 2 && at(j+ls+n) == 'l'; n++ {
				ends |= 1 << (j + ls + 1 + n)
			}
		case 'c':
			for n := 1; n <= 2 && at(j+ls+n) == 'l'; n++ {
				ends |= 1 << (j + ls + 1 + n)
			}
		}
	default:
		if at(j) == c {
			ends |= 1 << (j + 1)
		}
	}
	return ends
}
