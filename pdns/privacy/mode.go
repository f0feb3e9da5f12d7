package privacy

import (
	"fmt"
)

// Mode is how much of a client's address is kept.
type Mode uint8

// The modes. The zero value protects.
const (
	Truncated Mode = iota // the /24 or /48 that it is in
	None                  // nothing
	Full                  // the address
	Hash                  // a pseudonym that nobody can turn back once the key is forgotten
	IPCrypt               // a pseudonym that the key turns back
)

var modeNames = [...]string{Truncated: "truncated", None: "none", Full: "full", Hash: "hash", IPCrypt: "ipcrypt"}

const modeList = "truncated, none, full, hash or ipcrypt"

// String is the word used in the configuration.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText is String, for the configuration.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the word used in the configuration.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if string(text) == name {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("must be %s, got %q", modeList, text)
}

func (m Mode) keyed() bool { return m == Hash || m == IPCrypt }

// keyLen is the length of the mode's key, octets.
func (m Mode) keyLen() int {
	if m == IPCrypt {
		return 16 // AES-128
	}
	return 32
}
