package pdns

import (
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
)

// Encoder writes transactions in the native form of the transaction log, for
// who shows them as they come. It is for one goroutine.
type Encoder struct{ lines lines }

// NewEncoder writes as much of clients as client says, and at most maxAnswers
// answers of a transaction; answers_omitted counts the rest.
func NewEncoder(client *privacy.Guard, maxAnswers int) *Encoder {
	return &Encoder{lines{client: client, suffixes: dnsname.DefaultSuffixes(), maxAnswers: maxAnswers}}
}

// Append appends t as one JSON object, newline included.
func (e *Encoder) Append(dst []byte, t *detect.Transaction) []byte { return e.lines.append(dst, t) }
