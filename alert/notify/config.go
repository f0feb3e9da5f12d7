// Package notify has the receivers of alerts: programs, services and people that
// are told. Each sends one notification at a time; keeping and trying again is
// alert/outbox's.
//
// Each is a post of a small document, or less. Libraries that know many services
// were weighed and not taken: they add megabytes, take secrets in URLs, and keep
// to themselves what decides here, whether and when to try again.
package notify

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/pdns/outlet"
)

// Kinds of receivers.
const (
	Webhook      = "webhook"
	Slack        = "slack"
	PagerDuty    = "pagerduty"
	Teams        = "teams"
	Telegram     = "telegram"
	Alertmanager = "alertmanager"
	Mail         = "mail"
	Syslog       = "syslog"
	Exec         = "exec"
)

var kinds = []string{Webhook, Slack, PagerDuty, Teams, Telegram, Alertmanager, Mail, Syslog, Exec}

// Config is one receiver.
type Config struct {
	// Name of the receiver: its folder, its label in metrics, and what rules call
	// it. Lower-case letters, digits, - and _, 32 at most.
	Name string `yaml:"name"`
	// Disabled keeps the entry without using it. Default false.
	Disabled bool `yaml:"disabled"`
	// Kind: webhook, slack, pagerduty, teams, telegram, alertmanager, mail, syslog
	// or exec.
	Kind string `yaml:"kind"`
	// MinSeverity is the least that it is told: info, warning or critical. Default
	// info.
	MinSeverity alert.Severity `yaml:"min_severity"`
	// OnlyNamed: it is told only by rules that name it. Default false.
	OnlyNamed bool `yaml:"only_named"`
	// Resolved: it is told when an alert is over, too. Default true.
	Resolved bool `yaml:"resolved"`
	// Timeout is how long one try may take. Default 15s.
	Timeout time.Duration `yaml:"timeout"`
	// RetryMax is the longest wait between two tries; the first is of a second.
	// Default 10m.
	RetryMax time.Duration `yaml:"retry_max"`
	// MaxWaiting bounds what waits on the disk; the oldest go. Default 1000.
	MaxWaiting int `yaml:"max_waiting"`
	// MaxAge is how long a notification may wait. Default 72h.
	MaxAge time.Duration `yaml:"max_age"`
	// URL is where it is posted to, for the kinds over HTTP; pagerduty and telegram
	// have one by default. URLFile has it in a file instead, for it is a secret
	// with slack and teams.
	URL     string `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// TokenFile has the bearer token of webhook and alertmanager, the routing key of
	// pagerduty, or the bot's token of telegram.
	TokenFile string `yaml:"token_file"`
	// Format of webhook: json, or cloudevents (1.0, structured). Default json.
	Format string `yaml:"format"`
	// Chat of telegram: its number, or @name.
	Chat string `yaml:"chat"`
	// TLS says whom to believe, for what speaks TLS. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
	// Mail, Syslog and Exec are for these kinds.
	Mail   MailConfig   `yaml:"mail"`
	Syslog SyslogConfig `yaml:"syslog"`
	Exec   ExecConfig   `yaml:"exec"`
}

// MailConfig says how mail leaves.
type MailConfig struct {
	// Server is host:port of an SMTP server.
	Server string `yaml:"server"`
	// Security: starttls (refused without it), tls (from the first octet), or none.
	// Default starttls.
	Security string `yaml:"security"`
	// User and PasswordFile log in (PLAIN); never without TLS, but to this machine.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// From and To are addresses, with or without names.
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
}

// SyslogConfig says where messages go (RFC 5424).
type SyslogConfig struct {
	// Address: udp://host:port, tcp://host:port, tls://host:port or
	// unix:///dev/log. Default unix:///dev/log.
	Address string `yaml:"address"`
	// Facility: user, daemon, auth, local0 to local7. Default daemon.
	Facility string `yaml:"facility"`
}

// ExecConfig is a program that is told.
type ExecConfig struct {
	// Command is the program, with an absolute path, and its arguments, without a
	// shell. It gets the notification as JSON on its standard input; anything but
	// exit status 0 is tried again. Not with sandbox.enabled.
	Command []string `yaml:"command"`
}

// DefaultConfig is a receiver without a kind.
func DefaultConfig() Config {
	return Config{
		Resolved: true, Timeout: 15 * time.Second, RetryMax: 10 * time.Minute, MaxWaiting: 1000, MaxAge: 72 * time.Hour, Format: "json",
		Mail: MailConfig{Security: "starttls"}, Syslog: SyslogConfig{Address: "unix:///dev/log", Facility: "daemon"},
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Bounds of the configuration.
const (
	maxRetry   = 6 * time.Hour
	maxTimeout = 5 * time.Minute
	maxWaiting = 100_000
)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(c.Name) {
		fail("name: must be up to 32 lower-case letters, digits, - and _, got %q", c.Name)
	}
	if c.Timeout < time.Second || c.Timeout > maxTimeout {
		fail("timeout: must be 1s to %v, got %v", maxTimeout, c.Timeout)
	}
	if c.RetryMax < time.Second || c.RetryMax > maxRetry {
		fail("retry_max: must be 1s to %v, got %v", maxRetry, c.RetryMax)
	}
	if c.MaxWaiting < 1 || c.MaxWaiting > maxWaiting {
		fail("max_waiting: must be 1 to %d, got %d", maxWaiting, c.MaxWaiting)
	}
	if c.MaxAge < time.Minute {
		fail("max_age: must be at least 1m, got %v", c.MaxAge)
	}
	if err := c.TLS.Validate(); err != nil {
		fail("tls.%w", err)
	}
	switch c.Kind {
	case Webhook, Slack, Teams, Alertmanager:
		errs = append(errs, c.checkURL(true)...)
	case PagerDuty, Telegram:
		errs = append(errs, c.checkURL(false)...)
		if c.TokenFile == "" {
			fail("token_file: %s needs one", c.Kind)
		}
	case Mail:
		errs = append(errs, c.Mail.problems()...)
	case Syslog:
		if _, _, err := c.Syslog.target(); err != nil {
			fail("syslog.address: %w", err)
		}
		if _, ok := facilities[c.Syslog.Facility]; !ok {
			fail("syslog.facility: must be user, daemon, auth or local0 to local7, got %q", c.Syslog.Facility)
		}
	case Exec:
		if len(c.Exec.Command) == 0 || !filepath.IsAbs(c.Exec.Command[0]) {
			fail("exec.command: must be a program with an absolute path, and its arguments")
		}
	default:
		fail("kind: must be one of %s, got %q", strings.Join(kinds, ", "), c.Kind)
	}
	if c.Kind == Webhook && c.Format != "json" && c.Format != "cloudevents" {
		fail("format: must be json or cloudevents, got %q", c.Format)
	}
	if c.Kind == Telegram && c.Chat == "" {
		fail("chat: telegram needs one")
	}
	return errors.Join(errs...)
}

func (c *Config) checkURL(needed bool) (errs []error) {
	switch {
	case c.URL != "" && c.URLFile != "":
		return []error{errors.New("url: either url or url_file")}
	case c.URL != "":
		if err := checkURL(c.URL); err != nil {
			return []error{fmt.Errorf("url: %w", err)}
		}
	case needed && c.URLFile == "":
		return []error{fmt.Errorf("url: %s needs one, or url_file", c.Kind)}
	}
	return nil
}

// checkURL never quotes the URL: it may be a secret.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("must be like https://host/path")
	case u.User != nil:
		return errors.New("must not hold a user or password")
	}
	return nil
}

var securities = []string{"starttls", "tls", "none"}

func (c *MailConfig) problems() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := splitHostPort(c.Server); err != nil {
		fail("mail.server: must be host:port, got %q", c.Server)
	}
	if !slices.Contains(securities, c.Security) {
		fail("mail.security: must be starttls, tls or none, got %q", c.Security)
	}
	if (c.User == "") != (c.PasswordFile == "") {
		fail("mail.user: user and password_file belong together")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		fail("mail.from: must be an address, got %q", c.From)
	}
	if len(c.To) == 0 || len(c.To) > 100 {
		fail("mail.to: must be 1 to 100 addresses, got %d", len(c.To))
	}
	for i, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			fail("mail.to[%d]: must be an address, got %q", i, to)
		}
	}
	return errs
}

// Files are those that the configuration names.
func (c *Config) Files() []string {
	return append(c.TLS.Files(), c.URLFile, c.TokenFile, c.Mail.PasswordFile)
}
