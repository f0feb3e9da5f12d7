package alert

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// DefaultSubject and DefaultBody are what is told unless the configuration says
// otherwise. Names are written so that nothing makes links of them.
const (
	DefaultSubject = `[weir] {{.Severity}}: {{.Rule}} is {{.State}}{{with .Key}} for {{defang .}}{{end}}`
	DefaultBody    = `Alert "{{.Rule}}" changed its state to {{.State}}{{if eq .Reason "repeated"}} a while ago, and still is{{end}}{{if eq .Reason "escalated"}}, and nobody has acknowledged it{{end}}.
{{with .Key}}{{$.By}}: {{defang .}}
{{end}}host: {{.Host}}
since: {{stamp .Began}}
{{if eq .State "resolved"}}until: {{stamp .Last}}
{{end}}events: {{.Count}}
{{if .Events}}
The latest of them:
{{range .Events}}- {{stamp .Time}}{{with .Client}} {{.}}{{end}}{{with .Name}} {{defang .}}{{end}} ({{.Kind}}{{with .Lists}} {{join . ", "}}{{end}}{{with .Level}}, {{.}}{{end}}{{with .Action}}, {{.}}{{end}}{{if .Enforced}}, enforced{{end}}){{with .Why}}: {{.}}{{end}}
{{end}}{{end}}{{if eq .State "firing"}}
weir alerts ack {{.ID}} says that you know.
{{end}}`
)

// templated is what a template sees: an Alert, and these.
type templated struct {
	Alert
	Reason string
	Host   string
}

// maxText bounds what a template writes, octets.
const maxText = 32 << 10

var errLong = errors.New("writes more than 32 KiB")

type texts struct{ subject, body *template.Template }

// parseTemplates reads both, an empty one as the default. Errors begin with the
// field.
func parseTemplates(subject, body string) (*texts, error) {
	if subject == "" {
		subject = DefaultSubject
	}
	if body == "" {
		body = DefaultBody
	}
	t := &texts{}
	var err error
	if t.subject, err = parseTemplate(subject); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if t.body, err = parseTemplate(body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return t, nil
}

// parseTemplate reads one and tries it.
func parseTemplate(text string) (*template.Template, error) {
	t, err := template.New("template").Option("missingkey=error").Funcs(template.FuncMap{
		"defang": Defang,
		"join":   strings.Join,
		"stamp":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
		"upper":  strings.ToUpper,
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	_, err = execute(t, sample())
	return t, err
}

// Defang writes a name so that no program makes a link of it.
func Defang(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 && strings.ContainsFunc(name, func(r rune) bool { return r >= 'a' && r <= 'z' }) && !strings.Contains(name, ":") {
		return name[:i] + "[.]" + name[i+1:]
	}
	return name
}

// limited is a writer with an end, so that a template has one too.
type limited struct{ strings.Builder }

func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > maxText {
		return 0, errLong
	}
	return l.Builder.Write(b)
}

func execute(t *template.Template, data templated) (string, error) {
	var out limited
	err := t.Execute(&out, data)
	return out.String(), err
}

// render writes n's subject, one line, and body.
func (t *texts) render(n *Notification) error {
	data := templated{n.Alert, n.Reason, n.Host}
	subject, err := execute(t.subject, data)
	if err != nil {
		return err
	}
	body, err := execute(t.body, data)
	n.Subject, n.Body = strings.Join(strings.Fields(subject), " "), body
	return err
}

// sample is an alert with everything in it.
func sample() templated {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return templated{Reason: ReasonFires, Host: "host.example", Alert: Alert{
		ID: "0123456789abcdef", Rule: "sample", Severity: Warning, State: Firing, By: ByClient, Key: "192.0.2.0/24", Began: at, Last: at, Count: 1,
		Notified: at, Told: at, ToldTo: []string{"example"}, Sent: 1, Acked: &Ack{Time: at, Note: "seen"},
		Events: []Event{{Time: at, Client: "192.0.2.0/24", Name: "kq3v9x7zj1.example", Kind: "model", Level: "high", Action: "zero_ip", Lists: []string{"example"}, Why: "looks like a sample"}},
	}}
}

// Sample is a notification to try a receiver with.
func Sample(host, id string, at time.Time) *Notification {
	s := sample()
	s.Alert.ID, s.Alert.Rule, s.Alert.Severity, s.Alert.Key = id, "test", Info, ""
	s.Alert.Began, s.Alert.Last, s.Alert.By, s.Alert.Acked = at, at, "", nil
	s.Alert.Events[0].Time = at
	n := &Notification{ID: id + "-1", Reason: ReasonTest, Time: at, Host: host, Until: at.Add(5 * time.Minute), Alert: s.Alert}
	n.Subject = "[weir] test from " + host
	n.Body = "This is a test of weir's alerts from " + host + ". Nothing has happened.\n"
	return n
}
