package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// explainCmd shows everything that a verdict rests on.
type explainCmd struct {
	Names []string `arg:"" name:"name" help:"Names to explain, or addresses that answers may hold."`
	controlFlags
	Client  string `placeholder:"IP" help:"As if this client asked."`
	Type    string `default:"A" placeholder:"TYPE" help:"Type of the query. Default: A."`
	At      string `placeholder:"TIME" help:"As if asked then: 2006-01-02T15:04:05Z. Default: now."`
	Offline bool   `help:"Ask no running weir: judge by the configuration, or without one by the built-in model alone."`
	JSON    bool   `help:"Print JSON, one object for each name."`
}

// explained is all there is to say of a name.
type explained struct {
	scored
	By       string              `json:"by"` // who says so: "the running weir", or "the configuration"
	Query    explainRequest      `json:"query"`
	Group    string              `json:"group"` // of the client; "": none
	Lists    []explainedList     `json:"lists"` // every entry that was met
	Answers  *explainedAnswers   `json:"answers,omitempty"`
	Normal   string              `json:"normal_form"`
	Suffix   string              `json:"public_suffix"`
	Unscored string              `json:"reason_text,omitempty"`
	OneIn    *uint32             `json:"one_in"`
	BySite   bool                `json:"by_site"`
	Popular  bool                `json:"popular"`
	Model    *explainedModel     `json:"model,omitempty"`
	Bias     float64             `json:"bias"`
	Margin   float64             `json:"margin"`
	Why      []explainedGround   `json:"why,omitempty"`
	Features []explainedFeature  `json:"features,omitempty"`
	Shadow   *explainedShadow    `json:"shadow,omitempty"`
	Imitates *explainedImitation `json:"lookalike,omitempty"`

	addr netip.Addr // where it is about an address
}

// explainedAnswers is how far the answer would be judged, of which nothing is
// known here: off, monitor or enforce.
type explainedAnswers struct {
	Target    string `json:"cname"`
	Address   string `json:"address"`
	Rebinding string `json:"rebinding"`
}

type explainedModel struct {
	Name       string             `json:"name"`
	Version    string             `json:"version"`
	Thresholds map[string]float64 `json:"thresholds"`
}

type explainedGround struct {
	Text    string  `json:"text"`
	LogOdds float64 `json:"log_odds"`
}

type explainedFeature struct {
	Feature string  `json:"feature"`
	Value   float64 `json:"value"`
	LogOdds float64 `json:"log_odds"`
}

type explainedShadow struct {
	Model string  `json:"model"`
	Score float64 `json:"score"`
	Level string  `json:"level"`
}

type explainedImitation struct {
	Brand string `json:"brand"`
	Kind  string `json:"kind"`
	Grade string `json:"grade"`
}

// Run explains names: the running weir does it, by what it has now, or where
// there is none the same code by the configuration.
func (c *explainCmd) Run(std stdio) error {
	explain, err := c.explainer()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(std.out)
	enc.SetEscapeHTML(false)
	for i, name := range c.Names {
		e, err := explain(&explainRequest{Name: name, Client: c.Client, Type: c.Type, At: c.At})
		if err != nil {
			return err
		}
		if c.JSON {
			err = enc.Encode(e)
		} else {
			if i > 0 {
				fmt.Fprintln(std.out)
			}
			err = e.print(std.out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explain judges a query, and says why.
func (d *detection) explain(req *explainRequest) (*explained, error) {
	query, err := req.query(time.Now())
	if err != nil {
		return nil, err
	}
	text := req.Name
	e := &explained{}
	if e.addr, err = netip.ParseAddr(text); err == nil {
		d.explainAddress(e, req, query)
		return e, nil
	}
	name, err := parseName(text)
	if err != nil {
		e.scored = *notAName(text, err)
		e.Unscored = err.Error()
		return e, nil
	}
	query.Name = name
	var v detect.Verdict
	d.detector.Inspect(query, &v)
	e.Query = *req
	d.explainLists(e, query)
	e.scored = *newScored(text, name, &v)
	if target, address, rebinding := d.detector.AnswerChecks(); !v.Blocks() {
		e.Answers = &explainedAnswers{target, address, rebinding}
	}
	e.Normal = name.String()
	split := dnsname.DefaultSuffixes().Split(name)
	e.Suffix = split.Suffix.String()
	e.Unscored = v.Unscored.Text()
	e.BySite, e.Popular = v.BySite, v.Popular
	if v.OneIn > 0 {
		e.OneIn = &v.OneIn
	}
	if v.Shadow.Model != "" {
		e.Shadow = &explainedShadow{v.Shadow.Model, v.Shadow.Score, v.Shadow.Level.String()}
	}
	if m := v.Lookalike; m.Brand != "" {
		e.Imitates = &explainedImitation{m.Brand, m.Kind.String(), m.Grade.String()}
	}
	if v.Unscored != detect.Scored {
		return e, nil
	}
	info := d.models.live.Info()
	e.Model = &explainedModel{Name: info.Name, Version: info.Version, Thresholds: map[string]float64{}}
	for _, t := range info.Thresholds {
		e.Model.Thresholds[t.Level.String()] = t.Score
	}
	why, err := d.models.live.Explain(split)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	e.Bias, e.Margin = why.Bias, why.Margin
	for _, g := range why.Grounds {
		e.Why = append(e.Why, explainedGround(g))
	}
	for _, f := range why.Features {
		e.Features = append(e.Features, explainedFeature(f))
	}
	return e, nil
}

// reasonAddress is why an address has no score.
const reasonAddress = "address"

// explainAddress says what the lists have of an address in an answer.
func (d *detection) explainAddress(e *explained, req *explainRequest, q *detect.Query) {
	e.addr = e.addr.Unmap().WithZone("")
	e.scored = *notAName(req.Name, nil)
	e.Reason, e.Unscored = reasonAddress, "an address: explained as one that an answer holds"
	e.Query, e.Normal = *req, e.addr.String()
	d.explainLists(e, q)
}

// print writes e for people. Names are in presentation form, which has no
// control characters; what feeds say is quoted.
func (e *explained) print(w io.Writer) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-18s %s\n", what, fmt.Sprintf(format, args...))
	}
	if e.Reason == "not_a_name" {
		fmt.Fprintf(&b, "%+q\n", e.Name)
		line("not a name", "%s", e.Error)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%s\n", e.Normal)
	if e.Reason != reasonAddress {
		if e.Unicode != "" {
			line("in Unicode", "%s", e.Unicode)
		}
		line("registered domain", "%s", orNone(e.Registered))
		line("public suffix", "%s", orNone(e.Suffix))
	}
	if e.Group != "" {
		line("group", "%s", e.Group)
	}
	for i := range e.Lists {
		l := &e.Lists[i]
		line("list "+l.List, "%s", l.text())
	}
	if len(e.Lists) == 0 {
		line("lists", "none has it")
	}
	if e.Scored {
		e.printScore(line)
	} else {
		line("not scored", "%s: %s", e.Reason, e.Unscored)
	}
	if i := e.Imitates; i != nil {
		line("looks like", "%s (%s, grade %s)", i.Brand, i.Kind, i.Grade)
	}
	line("decision", "%s", e.decision())
	if e.Answers != nil {
		line("its answer", "%s", e.Answers.text())
	}
	line("according to", "%s", e.By)
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *explained) printScore(line func(what, format string, args ...any)) {
	probability := "no calibration"
	if e.Probability != nil {
		probability = fmt.Sprintf("probability %.4f", *e.Probability)
	}
	line("score", "%.4f, level %s, %s (model %s %s)", *e.Score, e.Level, probability, e.Model.Name, e.Model.Version)
	if at := e.Model.Thresholds; len(at) > 0 {
		line("levels", "high from %.4f, medium from %.4f, low from %.4f", at["high"], at["medium"], at["low"])
	}
	if e.OneIn != nil {
		line("on this site", "1 in %d names scores this high", *e.OneIn)
	}
	if e.Shadow != nil {
		line("shadow", "%.4f, level %s (model %s)", e.Shadow.Score, e.Shadow.Level, e.Shadow.Model)
	}
	line("log-odds", "%+.2f for any name", e.Bias)
	for _, g := range e.Why {
		if math.Abs(g.LogOdds) >= 0.005 {
			line("", "%+.2f %s", g.LogOdds, g.Text)
		}
	}
	line("", "%+.2f in all: score %.4f", e.Margin, *e.Score)
}

// decision is the verdict in a sentence.
func (e *explained) decision() string {
	var notes []string
	if e.BySite {
		notes = append(notes, "by its rarity on this site")
	}
	if e.Popular {
		notes = append(notes, "not enforced since the name is popular")
	}
	note := ""
	if len(notes) > 0 {
		note = " (" + strings.Join(notes, "; ") + ")"
	}
	switch {
	case e.Reason == reasonAddress:
		return e.addressDecision()
	case e.Origin == detect.OriginNone.String():
		return "pass, not judged"
	case e.Origin == detect.OriginModel.String() && e.Action == detect.Pass.String():
		return "pass: no list that applies and no detection is against it" + note
	case e.Action == detect.Pass.String():
		return "pass, by " + e.Origin + note
	case e.Enforced:
		return e.Action + ", by " + e.Origin + note
	}
	return "pass, only watched: policy wants " + e.Action + ", by " + e.Origin + note
}

// addressDecision is what comes of an answer that holds the address.
func (e *explained) addressDecision() string {
	out := "pass: nothing that applies is against it"
	for i := range e.Lists {
		switch e.Lists[i].Effect {
		case detect.EffectEnforce.String():
			return "an answer that holds it is blocked, by list " + e.Lists[i].List
		case detect.EffectMonitor.String():
			out = "pass, only watched: detect.answers.address or the list says so"
		}
	}
	return out
}

// text is what else may keep the name from a client.
func (a *explainedAnswers) text() string {
	var checks []string
	add := func(what, mode string) {
		switch mode {
		case detect.ModeEnforce:
			checks = append(checks, what+" (enforced)")
		case detect.ModeMonitor:
			checks = append(checks, what+" (only watched)")
		}
	}
	add("CNAME, SVCB and HTTPS targets against the lists", a.Target)
	add("addresses against the lists", a.Address)
	add("private addresses", a.Rebinding)
	if len(checks) == 0 {
		return "not looked at"
	}
	return "looked at when it comes: " + strings.Join(checks, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Validate wants a name, for kong.
func (c *explainCmd) Validate() error {
	for _, name := range c.Names {
		if name == "" {
			return errors.New("an empty name: which one?")
		}
	}
	return nil
}
