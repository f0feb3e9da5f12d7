// Package doctor looks at a machine and says what keeps weir from working well on
// it, each with what to do about it. It changes nothing, and where it cannot tell
// it says so rather than guess.
package doctor

import (
	"fmt"
)

// Grade is what a check came to.
type Grade uint8

// Grades.
const (
	OK   Grade = iota
	Skip       // could not be looked at
	Warn       // works, and not as well as it could
	Fail       // does not work, or not safely
)

var gradeNames = [...]string{OK: "OK", Skip: "SKIP", Warn: "WARN", Fail: "FAIL"}

// String is the word that is printed.
func (g Grade) String() string { return gradeNames[g] }

// MarshalText is String.
func (g Grade) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// Result is what one check says.
type Result struct {
	Check string `json:"check"`
	Grade Grade  `json:"grade"`
	Text  string `json:"text"`
	// Fix is what to do: a command, or a setting. Empty: nothing.
	Fix string `json:"fix,omitempty"`
}

func result(check string, g Grade, fix, format string, args ...any) Result {
	return Result{Check: check, Grade: g, Text: fmt.Sprintf(format, args...), Fix: fix}
}

// System is the machine as a check sees it.
type System struct {
	// Root is where its file system begins; "" is /. Tests have one of their own.
	Root string
	// UID is who asks.
	UID int
}
