package resolver

import (
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

// answerBlock is what encrypted answers are padded to (RFC 8467, section 4.1).
const answerBlock = 468

// options is what a query's EDNS options ask for, as far as we do it. The
// answer's own are made of it in finish.
type options struct {
	state     cookieState
	cookie    []byte // of buf: what the client gets back
	keepalive time.Duration
	pad       bool
	forbidden bool // there is one that may not be sent over this transport
	buf       [cookieLen]byte
}

// readOptions looks at the options of r's query. Of several with one code the
// first counts (RFC 7873, section 5.2).
func (s *Resolver) readOptions(r *request) {
	o := &r.options
	o.state, o.cookie, o.keepalive = noCookie, nil, 0
	o.pad = r.ask.Transport == detect.DoQ // whoever speaks it must pad, asked or not: RFC 9250, section 5.4
	o.forbidden = false
	for rest := r.EDNS.Options; len(rest) > 0; {
		code, value, tail, ok := dnswire.NextOption(rest)
		if !ok {
			return // ReadQuery has refused it
		}
		rest = tail
		switch code {
		case dnswire.OptionCookie:
			if s.cookies != nil && o.state == noCookie {
				o.cookie, o.state = s.cookies.check(o.buf[:0], value, r.ask.Client, r.ask.Time)
			}
		case dnswire.OptionKeepalive:
			o.forbidden = r.ask.Transport == detect.DoQ // RFC 9250, section 5.5.2
			if r.ask.Transport == detect.TCP || r.ask.Transport == detect.DoT {
				o.keepalive = s.cfg.TCP.IdleTimeout // RFC 7828, section 3.3.2: over UDP ignored
			}
		case dnswire.OptionPadding:
			o.pad = r.ask.Transport >= detect.DoT // RFC 7830, section 6: not in the clear
		}
	}
}

// addTo puts the answer's options into opt.
func (o *options) addTo(opt *dnswire.OPT) {
	opt.Cookie, opt.Keepalive = o.cookie, o.keepalive
	if o.pad {
		opt.PadTo = answerBlock
	}
}
