package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
)

// feedbackCmd is the commands about what analysts say of the list.
type feedbackCmd struct {
	Add    feedbackAddCmd    `cmd:"" default:"withargs" help:"Say what a name, or a client, of the list is: it comes first, or is left out from now on."`
	List   feedbackListCmd   `cmd:"" help:"Print what was said."`
	Reset  feedbackResetCmd  `cmd:"" help:"Take back what was said of a day's list."`
	Export feedbackExportCmd `cmd:"" help:"Write what was said of names as rows for training: fqdn, label, family, source, rank."`
}

type feedbackAddCmd struct {
	Target   string           `arg:"" name:"name-or-client" help:"Name, with all below it, or address or network as clients are shown in the list."`
	Severity unusual.Severity `required:"" placeholder:"benign|low|medium|high" help:"benign leaves it out of the list."`
	Note     string           `help:"Why; it is shown in the list."`
	Day      string           `placeholder:"YYYY-MM-DD" help:"Whose list it is said of. Default: today, UTC."`
	controlFlags
}

// Validate checks the flags, for kong.
func (c *feedbackAddCmd) Validate() error {
	switch {
	case c.Target == "": // kong says so
		return nil
	case c.Severity == "":
		return fmt.Errorf("--severity: what is %s? benign, low, medium or high (weir feedback list prints what was said)", c.Target)
	case !c.Severity.Valid():
		return fmt.Errorf("--severity: must be benign, low, medium or high, got %q", c.Severity)
	}
	return nil
}

// feedback asks the running weir, or its state folder where none runs.
func (f *controlFlags) feedback(ask func(*controlClient) error, direct func(*unusual.Book, *privacy.Guard) error) error {
	client, err := f.connect()
	if err == nil {
		return ask(client)
	}
	if !errors.Is(err, errNoDaemon) {
		return err
	}
	t, guard, err := f.unusualState()
	if err != nil {
		return err
	}
	return direct(t.Feedback(), guard)
}

func (c *feedbackAddCmd) Run(std stdio) error {
	req := feedbackRequest{Target: c.Target, Severity: c.Severity, Note: c.Note, Day: c.Day}
	var f unusual.Feedback
	err := c.feedback(func(client *controlClient) error {
		return client.call(context.Background(), http.MethodPost, "/api/v1/feedback", &req, &f)
	}, func(b *unusual.Book, g *privacy.Guard) (err error) {
		f, err = b.Add(req.feedback(time.Now()), g)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is %s, of %s\n", f.Target, f.Severity, f.Day)
	return nil
}

// all is what was said of a day, of every day where it is "".
func (f *controlFlags) all(day string) (all []unusual.Feedback, err error) {
	err = f.feedback(func(client *controlClient) error {
		return client.call(context.Background(), http.MethodGet, "/api/v1/feedback?"+url.Values{"day": {day}}.Encode(), nil, &all)
	}, func(b *unusual.Book, _ *privacy.Guard) error {
		all = b.List(day)
		return nil
	})
	return all, err
}

type feedbackListCmd struct {
	Day  string `placeholder:"YYYY-MM-DD" help:"Only of this day's list."`
	JSON bool   `name:"json" help:"Print the answer as it comes, one JSON array."`
	controlFlags
}

func (c *feedbackListCmd) Run(std stdio) error {
	all, err := c.all(c.Day)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(all)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DAY\tTARGET\tSEVERITY\tNOTE")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Day, f.Target, f.Severity, f.Note)
	}
	return w.Flush()
}

type feedbackResetCmd struct {
	Target string `arg:"" optional:"" name:"name-or-client" help:"Only what was said of it. Default: all of the day."`
	Day    string `required:"" placeholder:"YYYY-MM-DD" help:"Which day's."`
	controlFlags
}

func (c *feedbackResetCmd) Run(std stdio) error {
	var r removed
	err := c.feedback(func(client *controlClient) error {
		return client.call(context.Background(), http.MethodDelete, "/api/v1/feedback", &feedbackRequest{Target: c.Target, Day: c.Day}, &r)
	}, func(b *unusual.Book, g *privacy.Guard) (err error) {
		if r.Removed, err = b.Remove(c.Day, c.Target, g, time.Now().UTC()); err == nil && r.Removed == 0 {
			err = fmt.Errorf("there is no such feedback of %s", c.Day)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d taken back\n", r.Removed)
	return nil
}

type feedbackExportCmd struct {
	controlFlags
}

func (c *feedbackExportCmd) Run(std stdio) error {
	all, err := c.all("")
	if err != nil {
		return err
	}
	return unusual.Export(std.out, all, dnsname.DefaultSuffixes())
}
