package upstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/internal/dnswire"
)

// overdueGroup has a server that answers when told is closed.
func overdueGroup(t *testing.T, timeout time.Duration, told chan struct{}) (*Group, *dnstest.Server) {
	t.Helper()
	s := dnstest.NewServer(t, "example.", "@ SOA ns host 1 3600 600 86400 300\n NS ns\n*.www A 192.0.2.1\n")
	s.ScriptAll(func(x *dnstest.Exchange) {
		for x.Wait(time.Millisecond) {
			select {
			case <-told:
				x.Send(x.Good())
				return
			default:
			}
		}
	})
	cfg := DefaultConfig()
	cfg.Servers, cfg.Timeout, cfg.AttemptTimeout = []string{s.Addr()}, timeout, timeout
	g, err := New(cfg, Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

func overdueQuestion(i int) *Question {
	return &Question{Name: dnsname.MustParse(fmt.Sprintf("n%d.www.example", i)), Type: dnswire.TypeA, Class: dnswire.ClassIN}
}

// When the time is over whoever asked hears of it, nobody is asked again, and
// the answer still comes.
func TestLateAnswerComesBehindTheTimeOut(t *testing.T) {
	late := make(chan struct{})
	g, s := overdueGroup(t, 5*time.Second, late)
	q := overdueQuestion(0)
	var told []error
	q.Overdue = func(err error) {
		told = append(told, err)
		if n := g.inFlight.Load(); n != 0 {
			t.Errorf("%d in flight, want 0: who is overdue holds no place", n)
		}
		close(late)
	}
	a, err := g.Exchange(t.Context(), q)
	if err != nil || a.Rcode != dnswire.RcodeSuccess {
		t.Errorf("got %+v, %v", a, err)
	}
	if len(told) != 1 || !errors.Is(told[0], ErrTimeout) {
		t.Errorf("told %v, want one time-out", told)
	}
	if n := testutil.ToFloat64(g.metrics.overdue.WithLabelValues("answered")); n != 1 {
		t.Errorf("%v late answers counted, want 1", n)
	}
	if n := len(s.Queries()); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
	if g.overdue.Load() != 0 || g.inFlight.Load() != 0 {
		t.Errorf("places still held: %d, %d", g.overdue.Load(), g.inFlight.Load())
	}
}

// Only so many questions are waited for behind their time; one more ends.
func TestOverdueQuestionsAreBounded(t *testing.T) {
	g, _ := overdueGroup(t, 200*time.Millisecond, nil)
	for i, want := range []bool{true, false} {
		g.overdue.Store(int64(maxOverdue - 1 + i))
		told := false
		q := overdueQuestion(i)
		q.Overdue = func(error) { told = true }
		if a, err := g.Exchange(t.Context(), q); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %+v, %v; want a time-out", a, err)
		}
		if told != want || g.overdue.Load() != int64(maxOverdue-1+i) {
			t.Errorf("with %d overdue: waited for is %v, want %v; %d held", maxOverdue-1+i, told, want, g.overdue.Load())
		}
	}
	if n := testutil.ToFloat64(g.metrics.overdue.WithLabelValues("refused")); n != 1 {
		t.Errorf("%v refused, want 1", n)
	}
}

// While all servers are down nothing is waited for: once one is up, the question
// is to be asked anew.
func TestNothingIsWaitedForInAnOutage(t *testing.T) {
	g, _ := overdueGroup(t, 200*time.Millisecond, nil)
	for i := range uint64(downZones) {
		g.servers[0].health.failure(i << 8)
	}
	q := overdueQuestion(0)
	q.Overdue = func(error) { t.Error("the question is waited for") }
	if a, err := g.Exchange(t.Context(), q); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %+v, %v; want a time-out", a, err)
	}
}
