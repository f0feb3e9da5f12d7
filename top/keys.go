package top

// Key is what was pressed, by what it means here.
type Key int

// Keys.
const (
	KeyNone Key = iota
	KeyQuit
	KeyUp
	KeyDown
	KeyPageUp
	KeyPageDown
	KeyTab
	KeyPause
	KeyAllow
	KeyDeny
)

// letters are keys of one octet.
var letters = map[byte]Key{
	'q': KeyQuit, 'Q': KeyQuit, 3: KeyQuit, 4: KeyQuit, // Ctrl-C and Ctrl-D, which a raw terminal makes no signals of
	'k': KeyUp, 'j': KeyDown, '\t': KeyTab, 'p': KeyPause, ' ': KeyPause, 'a': KeyAllow, 'u': KeyDeny,
}

// sequences are what terminals send for keys without a letter, behind ESC [ or
// ESC O (ECMA-48, and xterm's application mode).
var sequences = map[string]Key{"A": KeyUp, "B": KeyDown, "5~": KeyPageUp, "6~": KeyPageDown, "Z": KeyTab}

// maxSequence is the longest that is put together, in octets behind the bracket.
const maxSequence = 16

// Keys puts octets of a terminal together to keys. What it does not know is no
// key.
type Keys struct {
	state byte // 0, ESC, or '[' inside of a sequence
	seq   []byte
}

// Next takes one octet and says which key it ends.
func (k *Keys) Next(b byte) Key {
	const esc = 0x1b
	switch k.state {
	case esc:
		k.state, k.seq = 0, k.seq[:0]
		if b == '[' || b == 'O' {
			k.state = '['
			return KeyNone
		}
	case '[':
		k.seq = append(k.seq, b)
		if b >= 0x40 && b <= 0x7e || len(k.seq) >= maxSequence { // a final octet
			k.state = 0
			return sequences[string(k.seq)]
		}
		return KeyNone
	}
	if b == esc {
		k.state = esc
		return KeyNone
	}
	return letters[b]
}
