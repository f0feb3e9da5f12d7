package lookalike

import (
	"bytes"
	_ "embed"
	"sort"
	"strings"
	"unicode/utf8"
)

//go:embed confusables.txt
var confusables string

// runeTable says which ASCII characters a rune is taken for.
type runeTable struct {
	runes []rune // sorted
	ascii []string
}

func newRuneTable() *runeTable {
	t := &runeTable{}
	byRune := make(map[rune]string)
	for line := range strings.Lines(confusables) {
		ascii, runes, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		for _, r := range runes {
			byRune[r] = ascii
		}
	}
	for r := range byRune {
		t.runes = append(t.runes, r)
	}
	sort.Slice(t.runes, func(i, j int) bool { return t.runes[i] < t.runes[j] })
	for _, r := range t.runes {
		t.ascii = append(t.ascii, byRune[r])
	}
	return t
}

// reduce appends to dst what label looks like in ASCII. It is false where a
// rune looks like nothing there, and where an A-label cannot be read.
func (t *runeTable) reduce(dst, label []byte) ([]byte, bool) {
	if !bytes.HasPrefix(label, []byte("xn--")) {
		return append(dst, label...), true
	}
	var buf [maxLabel]rune
	runes, ok := decodePunycode(buf[:0], label[len("xn--"):])
	if !ok {
		return dst, false
	}
	for _, r := range runes {
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
			continue
		}
		if combining(r) {
			continue // a mark over a letter: the letter is what is read
		}
		ascii, ok := t.look(r)
		if !ok {
			return dst, false
		}
		dst = append(dst, ascii...)
	}
	return dst, true
}

func (t *runeTable) look(r rune) (string, bool) {
	lo, hi := 0, len(t.runes)
	for lo < hi {
		if mid := (lo + hi) / 2; t.runes[mid] < r {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(t.runes) && t.runes[lo] == r {
		return t.ascii[lo], true
	}
	return "", false
}

// combining are the marks of the blocks that hold nothing else.
func combining(r rune) bool {
	return 0x300 <= r && r <= 0x36F || 0x1AB0 <= r && r <= 0x1AFF || 0x1DC0 <= r && r <= 0x1DFF
}

// decodePunycode reads the part of an A-label after its prefix (RFC 3492,
// section 6.2). It is written here because the libraries allocate, and have the
// whole of IDNA to say no with: a forger's label is read as a browser shows it.
func decodePunycode(dst []rune, s []byte) ([]rune, bool) {
	const tMin, tMax, skew, damp, initialBias, initialN = 1, 26, 38, 700, 72, 128
	if len(s) == 0 || len(s) > maxLabel {
		return dst, false
	}
	if d := bytes.LastIndexByte(s, '-'); d >= 0 {
		for _, c := range s[:d] {
			dst = append(dst, rune(c))
		}
		s = s[d+1:]
	}
	n, bias, i := initialN, initialBias, 0
	for len(s) > 0 {
		oldI, w := i, 1
		for k := 36; ; k += 36 {
			if len(s) == 0 {
				return dst, false
			}
			var digit int
			switch c := s[0]; {
			case 'a' <= c && c <= 'z':
				digit = int(c - 'a')
			case '0' <= c && c <= '9':
				digit = int(c-'0') + 26
			default:
				return dst, false
			}
			s = s[1:]
			i += digit * w
			t := min(max(k-bias, tMin), tMax)
			if digit < t {
				break
			}
			w *= 36 - t
			if i > utf8.MaxRune*maxLabel || w > utf8.MaxRune*maxLabel {
				return dst, false
			}
		}
		length := len(dst) + 1
		if length > maxLabel || length > cap(dst) {
			return dst, false
		}
		delta := i - oldI
		if oldI == 0 {
			delta /= damp
		} else {
			delta /= 2
		}
		delta += delta / length
		k := 0
		for ; delta > (36-tMin)*tMax/2; k += 36 {
			delta /= 36 - tMin
		}
		bias = k + (36-tMin+1)*delta/(delta+skew)
		n += i / length
		i %= length
		if n > utf8.MaxRune || n < utf8.RuneSelf {
			return dst, false
		}
		dst = append(dst, 0)
		copy(dst[i+1:], dst[i:])
		dst[i] = rune(n)
		i++
	}
	return dst, true
}
