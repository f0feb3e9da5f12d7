package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/notify"
	"github.com/weirdns/weir/pdns/outlet"
)

// request is what a server got.
type request struct {
	path   string
	header http.Header
	body   map[string]any
}

// serve answers with status and what answer adds, and gives what it got.
func serve(t *testing.T, status int, answer func(w http.ResponseWriter)) (*httptest.Server, chan request) {
	t.Helper()
	got := make(chan request, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req := request{path: r.URL.Path, header: r.Header}
		text := strings.TrimSuffix(strings.TrimPrefix(string(raw), "["), "]")
		if err := json.Unmarshal([]byte(text), &req.body); err != nil {
			t.Errorf("no JSON: %s", raw)
		}
		got <- req
		if answer != nil {
			answer(w)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s, got
}

// at follows keys into a JSON document; numbers count elements.
func at(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func TestEachServiceGetsItsOwnDocument(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *notify.Config, url string)
		over   bool
		path   string
		want   map[string]any
		header map[string]string
	}{
		{name: "webhook", path: "/hook", change: func(c *notify.Config, url string) {
			c.Kind, c.URL, c.TokenFile = notify.Webhook, url+"/hook", secret(t, "s3cret")
		}, want: map[string]any{"id": "0123456789abcdef-1", "alert.rule": "infected", "alert.severity": "critical", "alert.key": "192.0.2.7", "host": "host.example"},
			header: map[string]string{"Authorization": "Bearer s3cret", "Idempotency-Key": "0123456789abcdef-1", "Content-Type": "application/json"}},
		{name: "cloudevents", path: "/", change: func(c *notify.Config, url string) { c.Kind, c.URL, c.Format = notify.Webhook, url+"/", "cloudevents" },
			want: map[string]any{"specversion": "1.0", "id": "0123456789abcdef-1", "source": "/weir/host.example", "type": "org.weirdns.alert.new",
				"time": "2026-03-01T12:00:00Z", "data.alert.id": "0123456789abcdef", "datacontenttype": "application/json"},
			header: map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}},
		{name: "slack", path: "/services/T/B/X", change: func(c *notify.Config, url string) {
			c.Kind, c.URLFile = notify.Slack, secret(t, url+"/services/T/B/X")
		}, want: map[string]any{"text": "&lt;!channel&gt; infected &amp; *bold* [x](http://evil.example)", "unfurl_links": false, "attachments.0.text": "line one &lt;script&gt;\n\n.line two ü\n"}},
		{name: "teams", path: "/", change: func(c *notify.Config, url string) { c.Kind, c.URL = notify.Teams, url+"/" },
			want: map[string]any{"type": "message", "attachments.0.contentType": "application/vnd.microsoft.card.adaptive", "attachments.0.content.type": "AdaptiveCard",
				"attachments.0.content.body.0.text": `&lt;!channel> infected & \*bold\* \[x\](http://evil.example)`, "attachments.0.content.body.2.text": ".line two ü"}},
		{name: "pagerduty", path: "/v2/enqueue", change: func(c *notify.Config, url string) {
			c.Kind, c.URL, c.TokenFile = notify.PagerDuty, url+"/v2/enqueue", secret(t, "key")
		}, want: map[string]any{"routing_key": "key", "event_action": "trigger", "dedup_key": "0123456789abcdef", "payload.severity": "critical", "payload.source": "host.example"}},
		{name: "pagerduty, over", over: true, path: "/v2/enqueue", change: func(c *notify.Config, url string) {
			c.Kind, c.URL, c.TokenFile = notify.PagerDuty, url+"/v2/enqueue", secret(t, "key")
		}, want: map[string]any{"event_action": "resolve", "dedup_key": "0123456789abcdef"}},
		{name: "telegram", path: "/botkey/sendMessage", change: func(c *notify.Config, url string) {
			c.Kind, c.URL, c.TokenFile, c.Chat = notify.Telegram, url, secret(t, "key"), "-100"
		}, want: map[string]any{"chat_id": "-100", "link_preview_options.is_disabled": true, "parse_mode": nil}},
		{name: "alertmanager", path: "/api/v2/alerts", change: func(c *notify.Config, url string) { c.Kind, c.URL = notify.Alertmanager, url+"/" },
			want: map[string]any{"labels.alertname": "infected", "labels.severity": "critical", "labels.client": "192.0.2.7", "endsAt": "2026-03-01T12:05:00Z", "startsAt": "2026-03-01T12:00:00Z"}},
	} {
		s, got := serve(t, http.StatusAccepted, nil)
		conf := config("")
		c.change(&conf, s.URL)
		n := sample()
		if c.over {
			n.Reason, n.Alert.State = alert.ReasonOver, alert.Resolved
		}
		if err := sender(t, conf).Send(within(t), n); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r := <-got
		if r.path != c.path {
			t.Errorf("%s: path %s, want %s", c.name, r.path, c.path)
		}
		for path, want := range c.want {
			if v := at(r.body, path); v != want {
				t.Errorf("%s: %s is %v, want %v", c.name, path, v, want)
			}
		}
		for name, want := range c.header {
			if v := r.header.Get(name); v != want {
				t.Errorf("%s: header %s is %q, want %q", c.name, name, v, want)
			}
		}
	}
}

func TestAnswersSayWhetherToTryAgain(t *testing.T) {
	for _, c := range []struct {
		status  int
		answer  func(w http.ResponseWriter)
		refused bool
		after   time.Duration
	}{
		{status: 500}, {status: 404}, {status: 401}, {status: 302, answer: func(w http.ResponseWriter) { w.Header().Set("Location", "http://192.0.2.1/") }},
		{status: 400, refused: true}, {status: 413, refused: true},
		{status: 429, after: 7 * time.Second, answer: func(w http.ResponseWriter) { w.Header().Set("Retry-After", "7") }},
	} {
		s, _ := serve(t, c.status, c.answer)
		conf := config(notify.Telegram)
		conf.URL, conf.TokenFile, conf.Chat = s.URL, secret(t, "t0ken"), "1"
		err := sender(t, conf).Send(within(t), sample())
		var no *outlet.Refused
		var later *outlet.Later
		if err == nil || errors.As(err, &no) != c.refused || errors.As(err, &later) && later.After != c.after {
			t.Errorf("%d: %v (refused %v, later %+v)", c.status, err, no != nil, later)
		}
		if err != nil && strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%d: the error has the token: %v", c.status, err)
		}
	}
	// Telegram says it in its body.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"ok":false,"parameters":{"retry_after":11}}`)
	}))
	defer s.Close()
	conf := config(notify.Telegram)
	conf.URL, conf.TokenFile, conf.Chat = s.URL, secret(t, "t0ken"), "1"
	var later *outlet.Later
	if err := sender(t, conf).Send(within(t), sample()); !errors.As(err, &later) || later.After != 11*time.Second {
		t.Errorf("a wait in the body: %v", err)
	}
	// One that is not there, and its secret address.
	s.Close()
	if err := sender(t, conf).Send(within(t), sample()); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestASlowServiceIsGivenUp(t *testing.T) {
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer s.Close()
	defer close(hold)
	conf := config(notify.Webhook)
	conf.URL = s.URL
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := sender(t, conf).Send(ctx, sample()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
