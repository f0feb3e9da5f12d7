package dnswire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ErrRdataText means that a text is no rdata of its type.
var ErrRdataText = errors.New("no rdata of this type in presentation form")

// maxRdataText bounds what is read: the longest rdata there is, in the form for
// unknown types, is 131,080 octets.
const maxRdataText = 1 << 18

// AppendRdata appends the rdata that text is in presentation form: what
// [Record.RdataText] writes, and what zone files have on one line. Names without
// a final dot are those of the root.
func AppendRdata(dst []byte, rtype uint16, text string) ([]byte, error) {
	if len(text) > maxRdataText {
		return dst, ErrRdataText
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' { // what would end the line
			return dst, ErrRdataText
		}
	}
	if hexed, ok := strings.CutPrefix(text, `\# `); ok {
		return appendUnknown(dst, hexed)
	}
	rr, err := dns.NewRR(". 0 IN " + TypeString(rtype) + " " + text)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrRdataText, err)
	}
	if rr == nil || rr.Header().Rrtype != rtype {
		return dst, ErrRdataText
	}
	const front = 1 + 10 // the root, and type to RDLENGTH
	wire := make([]byte, dns.Len(rr)+front)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil || n < front {
		return dst, ErrRdataText
	}
	return append(dst, wire[front:n]...), nil
}

// appendUnknown appends rdata in the form for unknown types (RFC 3597, section
// 5), behind its mark: a length, and as many octets.
func appendUnknown(dst []byte, text string) ([]byte, error) {
	length, digits, _ := strings.Cut(text, " ")
	data, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if n, errLength := strconv.Atoi(length); errors.Join(err, errLength) != nil || n != len(data) {
		return dst, ErrRdataText
	}
	return append(dst, data...), nil
}
