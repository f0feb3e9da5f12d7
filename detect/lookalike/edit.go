package lookalike

import "strings"

// neighbours are the keys beside each key, on the keyboards qwerty, qwertz and
// azerty together: rows as they lie, each shifted half a key to the right.
var neighbours = func() (t [256]string) {
	for _, rows := range [][]string{
		{"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"},
		{"1234567890", "qwertzuiop", "asdfghjkl", "yxcvbnm"},
		{"1234567890", "azertyuiop", "qsdfghjklm", "wxcvbn"},
	} {
		join := func(a, b byte) {
			if !strings.Contains(t[a], string(b)) {
				t[a] += string(b)
			}
			if !strings.Contains(t[b], string(a)) {
				t[b] += string(a)
			}
		}
		for r, row := range rows {
			for i := range row {
				if i > 0 {
					join(row[i], row[i-1])
				}
				if r == 0 {
					continue
				}
				// The keys above: the one over it, and those on either side,
				// because forgers are generous with what counts as near.
				for d := -1; d <= 1; d++ {
					if k := i + d; k >= 0 && k < len(rows[r-1]) {
						join(row[i], rows[r-1][k])
					}
				}
			}
		}
	}
	return t
}()

func near(a, b byte) bool { return strings.IndexByte(neighbours[a], b) >= 0 }

func vowel(c byte) bool { return strings.IndexByte("aeiou", c) >= 0 }

// edits finds brands one edit away: they share the label, or the label less one
// character.
func (q *query) edits() {
	q.edit(q.h.whole())
	for i := range q.label {
		if i == 0 || q.label[i] != q.label[i-1] {
			q.edit(q.h.without(i))
		}
	}
	// The plural in es is two characters away.
	for i := 2; i+1 < len(q.label); i++ {
		if q.label[i] == 'e' && q.label[i+1] == 's' && strings.IndexByte("sxz", q.label[i-1]) >= 0 {
			q.pluralES(i)
		}
	}
}

func (q *query) edit(h uint64) {
	for it := q.x.deletes.find(h); it.next(); {
		b := &q.x.brands[it.id]
		if b.label == string(q.label) {
			continue // the brand itself: another kind's matter
		}
		kind := classify(b.label, q.label)
		if kind == KindNone {
			continue
		}
		q.offer(it.id, kind, editGrade(kind, len(b.label)))
	}
}

func (q *query) pluralES(i int) {
	h := mix(q.h.prefix[i]*powers[q.h.n-i-2] + (q.h.prefix[q.h.n] - q.h.prefix[i+2]*powers[q.h.n-i-2]))
	for it := q.x.exact.find(h); it.next(); {
		b := &q.x.brands[it.id]
		if len(b.label) == len(q.label)-2 && b.label[:i] == string(q.label[:i]) && b.label[i:] == string(q.label[i+2:]) {
			q.offer(it.id, KindPlural, editGrade(KindPlural, len(b.label)))
		}
	}
}

// editGrade: one edit of a short name is a common accident among honest names,
// of a long one it is not.
func editGrade(kind Kind, n int) Grade {
	switch {
	case n <= 5:
		return GradeLow
	case kind == KindEdit || kind == KindAddition || kind == KindPlural:
		if n >= 9 {
			return GradeMedium
		}
		return GradeLow
	case n <= 7 && kind != KindHyphenation && kind != KindTransposition && kind != KindRepetition:
		return GradeLow
	}
	return GradeMedium
}

// classify says which single edit makes label of brand; KindNone where more than
// one is needed.
func classify(brand string, label []byte) Kind {
	i := 0
	for i < len(brand) && i < len(label) && brand[i] == label[i] {
		i++
	}
	switch len(label) - len(brand) {
	case 0:
		if i+1 < len(brand) && brand[i] == label[i+1] && brand[i+1] == label[i] && brand[i+2:] == string(label[i+2:]) {
			return KindTransposition
		}
		if i < len(brand) && brand[i+1:] == string(label[i+1:]) {
			return replaced(brand[i], label[i])
		}
	case -1:
		if brand[i+1:] == string(label[i:]) {
			if brand[i] == '-' {
				return KindHyphenation
			}
			return KindOmission
		}
	case 1:
		if brand[i:] == string(label[i+1:]) {
			return inserted(brand, label, i)
		}
	}
	return KindNone
}

func replaced(was, is byte) Kind {
	diff := was ^ is
	switch {
	case vowel(was) && vowel(is):
		return KindVowelSwap
	case near(was, is):
		return KindReplacement
	case diff&(diff-1) == 0:
		return KindBitsquat
	}
	return KindEdit
}

// inserted: label[i] is too many. Of a run of equal characters i is the last.
func inserted(brand string, label []byte, i int) Kind {
	c := label[i]
	switch {
	case c == '-':
		return KindHyphenation
	case i > 0 && label[i-1] == c || i+1 < len(label) && label[i+1] == c:
		return KindRepetition
	case c == 's' && i > 1:
		return KindPlural
	case i == len(brand):
		return KindAddition
	case i > 0 && near(label[i-1], c) || near(label[i+1], c):
		return KindInsertion
	}
	return KindEdit
}
