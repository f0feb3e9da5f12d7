// Command weir is a DNS resolver with detection inside: it forwards, judges
// every name, keeps a passive DNS record, and can sinkhole what is bad. See
// README.md for its commands.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"

	// Schedules name time zones; a minimal image has no database of them.
	_ "time/tzdata"
)

// Exit codes. Scripts and service managers rely on them.
const (
	exitOK        = 0
	exitFailure   = 1 // at run time
	exitUsage     = 2
	exitConfig    = 3 // the configuration is invalid
	exitBind      = 4 // an address cannot be bound, or a capability lacks
	exitIntegrity = 5 // a model or list is damaged
)

// exitError is an error with the exit code that it leads to.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitWith(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// prefixed says of an error which flag it came by, and keeps its exit code.
func prefixed(flag string, err error) error {
	var coded *exitError
	if errors.As(err, &coded) {
		return exitWith(coded.code, fmt.Errorf("%s: %w", flag, coded.err))
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// commands is the command line.
type commands struct {
	Serve       serveCmd       `cmd:"" help:"Resolve: forward DNS, judge every name, record, and sinkhole what policy says."`
	Sniff       sniffCmd       `cmd:"" help:"Read captures, interfaces or dnstap, and give the verdicts and records that the resolver would have given. Nothing is enforced."`
	Replay      replayCmd      `cmd:"" help:"Say what a configuration would have blocked in past traffic: captures, or logs of weir, Zeek or Suricata."`
	Query       queryCmd       `cmd:"" help:"Ask the passive DNS database: records of a name, a subtree, an address or a network."`
	Investigate investigateCmd `cmd:"" help:"Say all that is known of a client or a name, as a tree."`
	Stats       statsCmd       `cmd:"" help:"Say what passes a running weir: by minute, response code, domain, client."`
	Unusual     unusualCmd     `cmd:"" help:"Say what is least usual of a day, the most unusual first, and why."`
	Feedback    feedbackCmd    `cmd:"" help:"Say what an entry of weir unusual is."`
	Score       scoreCmd       `cmd:"" help:"Judge names and print one JSON object for each."`
	Explain     explainCmd     `cmd:"" help:"Say what is known of names and why: lists, score, what moved it, and the decision."`
	Features    featuresCmd    `cmd:"" help:"Write the feature matrix of names, for training."`
	Lists       listsCmd       `cmd:"" help:"Look into lists."`
	Allow       allowCmd       `cmd:"" help:"Let a name through for a while, against lists and model."`
	Alerts      alertsCmd      `cmd:"" help:"Say what alerts there are; try receivers; acknowledge and silence."`
	Incident    incidentCmd    `cmd:"" help:"Put what belongs to a case into a record, and print it as Markdown or JSON."`
	Clients     clientsCmd     `cmd:"" help:"Say which clients look infected, and why."`
	Suspects    suspectsCmd    `cmd:"" help:"Print the domains that findings speak against now, for whom, and until when."`
	Top         topCmd         `cmd:"" help:"Show what passes a running weir, in a terminal: rates, clients, highest scores, what is blocked; a key lets a name through."`
	Status      statusCmd      `cmd:"" help:"Say how a running weir is: listeners, upstreams, lists, model, records."`
	Doctor      doctorCmd      `cmd:"" help:"Say what keeps weir from working well on this machine, each with the fix."`
	Demo        demoCmd        `cmd:"" help:"Show weir at work on a made-up network, on this machine alone."`
	Dashboard   dashboardCmd   `cmd:"" help:"Print a link that logs in to the dashboard of a running weir."`
	Cache       cacheCmd       `cmd:"" help:"Forget answers in the cache of a running weir."`
	Check       checkCmd       `cmd:"" help:"Say whether a configuration file is valid and the resolver would start with it."`
	Defaults    defaultsCmd    `cmd:"" help:"Print the default configuration, annotated."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a running weir whether it is ready; exit 0 if so."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// run is the program: main without the process around it.
func run(args []string, std stdio) int {
	var cmds commands
	exited := -1
	parser, err := kong.New(&cmds,
		kong.Name("weir"),
		kong.Description("A DNS resolver with detection inside. Start with: weir serve"),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(std),
		kong.NamedMapper("once", kong.MapperFunc(once)),
	)
	if err != nil {
		fmt.Fprintln(std.err, "weir:", err)
		return exitFailure
	}
	switch {
	case len(args) == 0:
		_, _ = parser.Parse([]string{"--help"})
		return exitUsage
	case args[0] == "help":
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args[0] = "version"
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		fmt.Fprintln(std.err, "weir:", err)
		fmt.Fprintln(std.err, helpFor(err, args))
		return exitUsage
	}
	if err := ctx.Run(std); err != nil {
		for _, e := range split(unwrapExit(err)) {
			fmt.Fprintln(std.err, "weir:", e)
		}
		var coded *exitError
		if !errors.As(err, &coded) {
			return exitFailure
		}
		switch {
		case args[0] == "check":
		case coded.code == exitConfig:
			fmt.Fprintf(std.err, "weir: weir %s did nothing, because the configuration cannot be used\n", args[0])
		case coded.code == exitIntegrity && args[0] == "serve":
			fmt.Fprintln(std.err, "weir: weir serve ends before it has answered anything, because of what cannot be read")
		}
		return coded.code
	}
	return exitOK
}

// once reads a flag that names one thing: given twice, one of the two would be
// missing without a word.
func once(ctx *kong.DecodeContext, target reflect.Value) error {
	before := target.String()
	if err := ctx.Scan.PopValueInto("file", target.Addr().Interface()); err != nil {
		return err
	}
	if before != "" {
		return fmt.Errorf("given twice, as %s and as %s", before, target)
	}
	return nil
}

// helpFor says where to read about what args got wrong: at the command that they
// name, as far as they name one.
func helpFor(err error, args []string) string {
	var parse *kong.ParseError
	if !errors.As(err, &parse) {
		return `Run "weir --help" for the commands.`
	}
	var named, chosen *kong.Node // chosen may be a default below the one that is named
	for _, step := range parse.Context.Path {
		if step.Command == nil {
			continue
		}
		if chosen = step.Command; slices.Contains(args, chosen.Name) {
			named = chosen
		}
	}
	if named == nil {
		return `Run "weir --help" for the commands.`
	}
	return fmt.Sprintf("Usage: weir %s\nRun \"%s --help\" for more.", chosen.Summary(), named.FullPath())
}

// unwrapExit is the error behind the exit code.
func unwrapExit(err error) error {
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.err
	}
	return err
}
