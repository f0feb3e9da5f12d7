package unusual

import (
	"fmt"
	"math"
	"strconv"

	"github.com/weirdns/weir/internal/dnswire"
)

var partNames = [parts]string{
	"standing", "frame_length", "hour", "subdomain_length", "subdomain_entropy", "labels", "qtype", "rcode",
}

// value is a part as text.
func (w *word) value(part int) string {
	span := func(log uint8) string {
		if log == 0 {
			return "0 to 1"
		}
		return fmt.Sprintf("%d to %d", 1<<log, 1<<(log+1)-1)
	}
	switch part {
	case partStanding:
		return w.standing.String()
	case partFrame:
		return span(w.frame)
	case partHour:
		return strconv.Itoa(int(w.hour))
	case partLength:
		return span(w.length)
	case partEntropy:
		switch w.entropy {
		case 0:
			return "0"
		case entropyBins - 1:
			return "over 5.4"
		}
		return fmt.Sprintf("%.1f to %.1f", float64(w.entropy-1)*entropyStep, float64(w.entropy)*entropyStep)
	case partLabels:
		return span(w.labels)
	case partQtype:
		return dnswire.TypeString(w.qtype)
	}
	if w.rcode == noRcode {
		return "none"
	}
	return dnswire.RcodeString(w.rcode)
}

// describe is a rare part as a reason.
func describe(part int, w *word, oneIn float64) Part {
	value := w.value(part)
	what := map[int]string{
		partStanding: "a name that is " + value, partFrame: "a frame of " + value + " octets", partHour: "in the hour from " + value + ":00 UTC",
		partLength: "a subdomain of " + value + " characters", partEntropy: "a subdomain with an entropy of " + value + " bits",
		partLabels: "a name of " + value + " labels", partQtype: "query type " + value, partRcode: "response code " + value,
	}[part]
	return Part{Part: partNames[part], Value: value, OneIn: round1(oneIn), Text: fmt.Sprintf("%s: 1 in %d", what, int64(math.Round(oneIn)))}
}
