package httpout_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirdns/weir/internal/outlettest"
	"github.com/weirdns/weir/pdns/outlet/httpout"
	"github.com/weirdns/weir/pdns/privacy"
)

// taker is a service of a preset: it keeps the identities of what it has read whole.
type taker struct {
	t      *testing.T
	preset httpout.Preset

	mu      sync.Mutex
	failing bool
	answers int
	names   map[string]string
	rows    int
}

func (s *taker) fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = on
}

func (s *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in io.Reader = r.Body
	if z, err := gzip.NewReader(r.Body); err == nil {
		in = z
	}
	body, err := io.ReadAll(in)
	if err != nil {
		panic(http.ErrAbortHandler) // cut: nobody hears an answer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader([]int{429, 500, 503, 502, 408}[s.answers%5])
		s.answers++
		return
	}
	known := 0
	for _, line := range s.lines(string(body)) {
		var one struct {
			ID    string `json:"weir_id"`
			Qname string `json:"qname"`
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			s.t.Errorf("%s: %v", line, err)
			continue
		}
		old, ok := s.names[one.Qname]
		if ok && old != one.ID {
			s.t.Errorf("%s came as %s and as %s", one.Qname, old, one.ID)
		}
		s.names[one.Qname] = one.ID
		if ok && s.preset == httpout.ElasticBulk {
			known++ // its _id is there: refused
			continue
		}
		s.rows++
	}
	if s.preset == httpout.ElasticBulk {
		items := strings.Repeat(`{"create":{"status":409}},`, known) + `{"create":{"status":201}}`
		fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, known > 0, items)
	}
}

// lines are the rows in a body.
func (s *taker) lines(body string) (out []string) {
	switch all := strings.Split(strings.TrimSuffix(body, "\n"), "\n"); s.preset {
	case httpout.Loki:
		var push struct {
			Streams []struct {
				Values [][2]string `json:"values"`
			} `json:"streams"`
		}
		if err := json.Unmarshal([]byte(body), &push); err != nil {
			s.t.Error(err)
			return nil
		}
		for _, v := range push.Streams[0].Values {
			out = append(out, v[1])
		}
	case httpout.SplunkHEC:
		for _, line := range all {
			var one struct {
				Event json.RawMessage `json:"event"`
			}
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				s.t.Error(err)
			}
			out = append(out, string(one.Event))
		}
	case httpout.ElasticBulk:
		for i := 1; i < len(all); i += 2 {
			out = append(out, all[i])
		}
	case httpout.NDJSON:
		return all
	}
	return out
}

// Whatever happens to a service, every row arrives.
func TestFaults(t *testing.T) {
	for _, preset := range []httpout.Preset{httpout.NDJSON, httpout.Loki, httpout.SplunkHEC, httpout.ElasticBulk} {
		t.Run(preset.String(), func(t *testing.T) {
			t.Parallel()
			s := &taker{t: t, preset: preset, names: map[string]string{}}
			server := httptest.NewServer(s)
			t.Cleanup(server.Close)
			p := outlettest.NewProxy(t, "tcp", strings.TrimPrefix(server.URL, "http://"), 0)
			cfg := config("http://" + p.Addr())
			cfg.Preset, cfg.Index, cfg.Labels, cfg.TokenFile, cfg.BatchRows = preset, "dns", []string{"job=weir"}, secret(t, "key"), 1000
			sink, err := httpout.New(cfg, privacy.Kept(privacy.DefaultConfig()))
			if err != nil {
				t.Fatal(err)
			}
			outlettest.Faults(t, cfg.Config, sink, outlettest.Service{
				Name: "HTTP, " + preset.String(), Proxy: p, Fail: s.fail, Once: preset == httpout.ElasticBulk,
				Arrived: func() (map[string]string, int) {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.names, s.rows
				},
			})
		})
	}
}
