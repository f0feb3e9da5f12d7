package reputation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

const (
	// waiting is how many names wait to be asked about.
	waiting = 256
	// maxAnswer bounds what is read of an answer, in octets.
	maxAnswer = 1 << 20
	// failedTTL is how long a name is not asked about again after a failure.
	failedTTL = time.Minute
)

// service asks one service about one name at a time.
type service struct {
	cfg                  HTTPConfig
	key, value           string // header
	client               http.Client
	queue                chan string
	asked, failed, shed  prometheus.Counter
	mu                   sync.Mutex // guards what is below
	cached, cachedBefore map[string]answer
}

// answer is what a service said; pending where it has not yet.
type answer struct {
	detect.Reputation
	pending bool
	until   time.Time
}

func newService(cfg HTTPConfig, reg prometheus.Registerer) (*service, error) {
	s := &service{cfg: cfg, queue: make(chan string, waiting), cached: map[string]answer{}}
	var err error
	if s.key, s.value, err = readHeader(cfg.HeaderFile); err != nil {
		return nil, err
	}
	s.client = http.Client{
		Timeout: cfg.Timeout,
		// A redirect would bring the header somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	labels := prometheus.Labels{"service": cfg.Name}
	s.asked = prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_reputation_requests_total", Help: "Questions to a reputation service.", ConstLabels: labels})
	s.failed = prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_reputation_failures_total", Help: "Questions to a reputation service without an answer that has a level.", ConstLabels: labels})
	s.shed = prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_reputation_shed_total", Help: "Names that a reputation service was not asked about since too many waited.", ConstLabels: labels})
	return s, errors.Join(reg.Register(s.asked), reg.Register(s.failed), reg.Register(s.shed))
}

// look is what the service has said of the registered domain of a detection. Of one
// that it was not asked about, it is asked, and the records to come have it.
func (s *service) look(t *detect.Transaction, dst []detect.Reputation) []detect.Reputation {
	if t.Verdict.Action == detect.Pass && t.Verdict.Level == detect.LevelNone || t.Verdict.Origin == detect.OriginAllowList || t.Verdict.Registered == nil {
		return dst
	}
	name := string(t.Verdict.Registered)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.get(name)
	switch {
	case ok && a.pending:
		return dst
	case ok && time.Now().Before(a.until):
		return append(dst, a.Reputation)
	}
	select {
	case s.queue <- name:
		s.put(name, answer{pending: true})
	default:
		s.shed.Inc()
	}
	return dst
}

// get and put keep two generations; mu is held.
func (s *service) get(name string) (answer, bool) {
	if a, ok := s.cached[name]; ok {
		return a, true
	}
	a, ok := s.cachedBefore[name]
	return a, ok
}

func (s *service) put(name string, a answer) {
	if len(s.cached) >= max(s.cfg.CacheEntries/2, 1) {
		s.cachedBefore, s.cached = s.cached, map[string]answer{}
	}
	s.cached[name] = a
}

// run asks, no faster than it may, until ctx ends.
func (s *service) run(ctx context.Context) {
	pace := time.NewTicker(time.Minute / time.Duration(s.cfg.PerMinute))
	defer pace.Stop()
	defer s.client.CloseIdleConnections()
	for {
		var name string
		select {
		case <-ctx.Done():
			return
		case name = <-s.queue:
		}
		r, err := s.ask(ctx, dnsname.Name(name))
		a := answer{Reputation: r, until: time.Now().Add(s.cfg.TTL)}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.failed.Inc()
			// No answer is not a good one.
			a.Reputation = detect.Reputation{Service: s.cfg.Name, Level: detect.ReputationUnverified}
			a.until = time.Now().Add(failedTTL)
		}
		s.mu.Lock()
		s.put(name, a)
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// ask asks about one name. Its errors name neither the URL nor the name.
func (s *service) ask(ctx context.Context, name dnsname.Name) (r detect.Reputation, err error) {
	s.asked.Inc()
	r.Service = s.cfg.Name
	target := strings.ReplaceAll(s.cfg.URL, "{name}", url.QueryEscape(name.String()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return r, errors.New("url: cannot be asked")
	}
	req.Header.Set("Accept", "application/json")
	if s.key != "" {
		req.Header.Set(s.key, s.value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return r, errors.New("no answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return r, errors.New("answer: cut or too long")
	}
	return s.cfg.read(body)
}
