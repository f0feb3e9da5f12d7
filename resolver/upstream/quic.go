package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/weirdns/weir/internal/quicdns"
)

// exchangeQUIC asks s over QUIC (RFC 9250), on a stream of the connection that
// all questions to s share, or with fresh on a new one.
func (s *server) exchangeQUIC(ctx context.Context, q *Question, edns, redo, fresh bool) (o outcome, redone bool) {
	o = s.askQUIC(ctx, q, edns, fresh)
	if o.kind == kindNoEDNS && edns && redo {
		return s.askQUIC(ctx, q, false, false), true
	}
	return o, false
}

func (s *server) askQUIC(ctx context.Context, q *Question, edns, fresh bool) outcome {
	var sent query
	// The stream tells answers apart, and the ID must be 0 (section 4.2.1).
	sent.build(q, &s.group.cfg, how{edns: edns, stream: true, pad: true, noID: true})
	s.streams.Inc()
	start := time.Now()
	msg, err := s.quic.Ask(ctx, sent.wire, fresh)
	if errors.Is(err, quicdns.ErrGone) && ctx.Err() == nil {
		s.streams.Inc()
		start = time.Now()
		msg, err = s.quic.Ask(ctx, sent.wire, false)
	}
	switch {
	case errors.Is(err, quicdns.ErrAnswer):
		s.bad(badFormat)
		return outcome{kind: kindBad, reason: badFormat}
	case err != nil:
		return failed(ctx, err)
	}
	return s.judge(msg, &sent, start)
}
