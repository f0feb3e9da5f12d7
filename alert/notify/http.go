package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/pdns/outlet"
)

// poster posts one JSON document for each notification.
type poster struct {
	url    string
	header http.Header
	client *http.Client
	body   func(n *alert.Notification) any
}

func newPoster(cfg Config, where, token string, tlsConfig *tls.Config) *poster {
	p := &poster{url: where, header: http.Header{}}
	p.header.Set("Content-Type", "application/json")
	p.header.Set("User-Agent", "weir")
	switch cfg.Kind {
	case Webhook:
		p.body = func(n *alert.Notification) any { return n }
		if cfg.Format == "cloudevents" {
			p.body = cloudEvent
			p.header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
		}
		p.bearer(token)
	case Alertmanager:
		p.body = alertmanager
		p.url = strings.TrimSuffix(strings.TrimSuffix(where, "/"), "/api/v2/alerts") + "/api/v2/alerts"
		p.bearer(token)
	case Slack:
		p.body = slack
	case Teams:
		p.body = teams
	case PagerDuty:
		if p.url == "" {
			p.url = "https://events.pagerduty.com/v2/enqueue"
		}
		p.body = func(n *alert.Notification) any { return pagerDuty(n, token) }
	case Telegram:
		if p.url == "" {
			p.url = "https://api.telegram.org"
		}
		p.url = strings.TrimSuffix(p.url, "/") + "/bot" + token + "/sendMessage"
		p.body = func(n *alert.Notification) any { return telegram(n, cfg.Chat) }
	}
	p.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second, // alerts are few and far between
		},
		// Where it goes is configured; it is not sent on with its token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

func (p *poster) bearer(token string) {
	if token != "" {
		p.header.Set("Authorization", "Bearer "+token)
	}
}

// maxReply bounds how much of an answer is read, octets.
const maxReply = 64 << 10

// Send posts n.
func (p *poster) Send(ctx context.Context, n *alert.Notification) error {
	body, err := json.Marshal(p.body(n))
	if err != nil {
		return &outlet.Refused{Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used") // it may hold a secret
	}
	req.Header = p.header.Clone()
	req.Header.Set("Idempotency-Key", n.ID)
	resp, err := p.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if failed := outlet.CheckStatus(resp); failed != nil {
		var later *outlet.Later
		if errors.As(failed, &later) && later.After == 0 {
			later.After = retryParameter(reply)
		}
		return failed
	}
	return err
}

// retryParameter is how Telegram says when to come again.
func retryParameter(reply []byte) time.Duration {
	var said struct {
		Parameters struct {
			RetryAfter int `json:"retry_after"`
		} `json:"parameters"`
	}
	if json.Unmarshal(reply, &said) != nil || said.Parameters.RetryAfter < 0 || said.Parameters.RetryAfter > 86400 {
		return 0
	}
	return time.Duration(said.Parameters.RetryAfter) * time.Second
}

// withoutURL leaves the address out of an error: it may be a secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// event is a CloudEvent, version 1.0, in structured mode.
type event struct {
	SpecVersion string              `json:"specversion"`
	ID          string              `json:"id"`
	Source      string              `json:"source"`
	Type        string              `json:"type"`
	Subject     string              `json:"subject"`
	Time        time.Time           `json:"time"`
	ContentType string              `json:"datacontenttype"`
	Data        *alert.Notification `json:"data"`
}

func cloudEvent(n *alert.Notification) any {
	return event{
		SpecVersion: "1.0", ID: n.ID, Source: "/weir/" + url.PathEscape(n.Host), Type: "org.weirdns.alert." + n.Reason,
		Subject: n.Alert.Rule, Time: n.Time, ContentType: "application/json", Data: n,
	}
}

// alertmanager is the body of Alertmanager's API v2, which takes alerts again for
// as long as they fire and forgets them at endsAt.
func alertmanager(n *alert.Notification) any {
	labels := map[string]string{
		"alertname": n.Alert.Rule, "severity": n.Alert.Severity.String(), "instance": n.Host, "job": "weir", "alert_id": n.Alert.ID,
	}
	if n.Alert.Key != "" {
		labels[n.Alert.By] = n.Alert.Key
	}
	return []any{map[string]any{
		"labels":      labels,
		"annotations": map[string]string{"summary": n.Subject, "description": n.Body, "notification_id": n.ID},
		"startsAt":    n.Alert.Began, "endsAt": n.Until,
	}}
}

// pagerDuty is an event of the Events API v2.
func pagerDuty(n *alert.Notification, key string) any {
	action := "trigger"
	if n.Reason == alert.ReasonOver {
		action = "resolve"
	}
	return map[string]any{
		"routing_key": key, "event_action": action, "dedup_key": n.Alert.ID, "client": "weir",
		"payload": map[string]any{
			"summary": clip(n.Subject, 1024), "source": n.Host, "severity": n.Alert.Severity.String(), "timestamp": n.Time,
			"component": "dns", "class": n.Alert.Rule, "custom_details": map[string]any{"notification": n.ID, "text": clip(n.Body, 8<<10), "alert": n.Alert},
		},
	}
}

// clip is s, or as much of it as limit octets hold.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-3], "") + "..."
}
