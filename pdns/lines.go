package pdns

import (
	"bytes"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
)

// Lines writes transactions as lines, for who brings them somewhere by other ways
// than a file. It belongs to one goroutine.
type Lines struct{ l lines }

// NewLines writes the format, and clients as the guard says. A nil suffixes is the
// list that the module was built with.
func NewLines(format encode.Format, client *privacy.Guard, suffixes *dnsname.Suffixes) *Lines {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	return &Lines{newLines(format, client, suffixes)}
}

// AppendIdentified appends t without its newline and with its identity, the field
// weir_id, in front. The format has to be one whose lines are JSON objects.
func (l *Lines) AppendIdentified(dst []byte, id string, t *detect.Transaction) []byte {
	dst = append(append(append(dst, `{"weir_id":"`...), id...), '"')
	at := len(dst)
	dst = l.l.append(dst, t)
	dst[at] = ',' // was its {
	return bytes.TrimRight(dst, "\n")
}

// Append appends t as one line, newline included.
func (l *Lines) Append(dst []byte, t *detect.Transaction) []byte { return l.l.append(dst, t) }
