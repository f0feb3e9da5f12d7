package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/incident"
)

// incidentCmd is the commands about incident records: those of the dashboard, by
// the same operations.
type incidentCmd struct {
	List   incidentListCmd   `cmd:"" default:"withargs" help:"Print the records there are, the latest changed first."`
	Show   incidentShowCmd   `cmd:"" help:"Print a record, as Markdown or JSON."`
	Open   incidentOpenCmd   `cmd:"" help:"Begin a record."`
	Add    incidentAddCmd    `cmd:"" help:"Add events to a record: one by flags, or many as JSON."`
	Note   incidentNoteCmd   `cmd:"" help:"Replace the note of a record."`
	Remove incidentRemoveCmd `cmd:"" help:"Remove a record."`
}

const incidentsPath = "/api/v1/incidents"

func incidentPath(id string) string { return incidentsPath + "/" + url.PathEscape(id) }

// askIncident is one operation on incidents.
func (f *controlFlags) askIncident(method, path string, in, out any) error {
	client, err := f.connect()
	if err != nil {
		return err
	}
	return client.call(context.Background(), method, path, in, out)
}

type incidentListCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON array."`
}

func (c *incidentListCmd) Run(std stdio) error {
	var all []incident.Incident
	if err := c.askIncident(http.MethodGet, incidentsPath, nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return writeIndented(std.out, all)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tCHANGED\tEVENTS\tTITLE")
	for _, i := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", i.ID, i.Updated.Local().Format(time.DateTime), len(i.Events), i.Title)
	}
	return w.Flush()
}

type incidentShowCmd struct {
	ID string `arg:"" help:"The record's ID."`
	controlFlags
	JSON bool `name:"json" help:"As one JSON object."`
}

func (c *incidentShowCmd) Run(std stdio) error {
	var i incident.Incident
	if err := c.askIncident(http.MethodGet, incidentPath(c.ID), nil, &i); err != nil {
		return err
	}
	if c.JSON {
		return writeIndented(std.out, i)
	}
	_, err := io.WriteString(std.out, i.Markdown())
	return err
}

type incidentOpenCmd struct {
	Title string `arg:"" help:"What it is about."`
	Note  string `help:"What is known so far."`
	controlFlags
}

func (c *incidentOpenCmd) Run(std stdio) error {
	var i incident.Incident
	change := incident.Change{Title: &c.Title}
	if c.Note != "" {
		change.Note = &c.Note
	}
	if err := c.askIncident(http.MethodPost, incidentsPath, &change, &i); err != nil {
		return err
	}
	_, err := fmt.Fprintln(std.out, i.ID)
	return err
}

type incidentAddCmd struct {
	ID     string `arg:"" help:"The record's ID."`
	Name   string `help:"A name."`
	Client string `help:"A client, as it is shown."`
	Kind   string `help:"What kind of event." default:"note"`
	Text   string `help:"What happened."`
	Time   string `placeholder:"RFC3339" help:"When. Default: now."`
	Events string `placeholder:"FILE" help:"Many events: a JSON array of objects with time, kind, name, client, text; - is standard input."`
	controlFlags
}

func (c *incidentAddCmd) Run(std stdio) error {
	events, err := c.events(std)
	if err != nil {
		return err
	}
	var i incident.Incident
	if err := c.askIncident(http.MethodPost, incidentPath(c.ID), &incident.Change{Add: events}, &i); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s has %d events\n", i.ID, len(i.Events))
	return err
}

// maxIncidentEvents bounds what is read of a file of events, octets; weir takes
// less in one go.
const maxIncidentEvents = 1 << 20

// events are what the flags say.
func (c *incidentAddCmd) events(std stdio) ([]incident.Event, error) {
	if c.Events == "" {
		e := incident.Event{Time: time.Now(), Kind: c.Kind, Name: c.Name, Client: c.Client, Text: c.Text}
		if c.Time != "" {
			at, err := time.Parse(time.RFC3339, c.Time)
			if err != nil {
				return nil, exitWith(exitUsage, fmt.Errorf("--time: must be like 2006-01-02T15:04:05Z, got %q", c.Time))
			}
			e.Time = at
		}
		return []incident.Event{e}, nil
	}
	if c.Name+c.Client+c.Text+c.Time != "" {
		return nil, exitWith(exitUsage, errors.New("either --events, or one event by the other flags"))
	}
	in := std.in
	if c.Events != "-" {
		f, err := os.Open(c.Events)
		if err != nil {
			return nil, err
		}
		defer f.Close() // read only: nothing to lose
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxIncidentEvents))
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var events []incident.Event
	if err := dec.Decode(&events); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Events, err)
	}
	return events, nil
}

type incidentNoteCmd struct {
	ID   string `arg:"" help:"The record's ID."`
	Note string `arg:"" help:"The note."`
	controlFlags
}

func (c *incidentNoteCmd) Run(std stdio) error {
	var i incident.Incident
	if err := c.askIncident(http.MethodPost, incidentPath(c.ID), &incident.Change{Note: &c.Note}, &i); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.out, "%s is noted\n", i.ID)
	return err
}

type incidentRemoveCmd struct {
	ID string `arg:"" help:"The record's ID."`
	controlFlags
}

func (c *incidentRemoveCmd) Run(std stdio) error {
	if err := c.askIncident(http.MethodPost, incidentPath(c.ID)+"/remove", struct{}{}, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.out, "%s is removed\n", c.ID)
	return err
}
