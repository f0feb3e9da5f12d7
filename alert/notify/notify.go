package notify

import (
	"context"
	"fmt"
	"os"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/pdns/outlet"
)

// Sender brings a notification to its receiver.
type Sender interface {
	Send(ctx context.Context, n *alert.Notification) error
}

// New reads the files that the configuration names. It connects to nobody.
func New(cfg Config) (Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS.Load()
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	switch cfg.Kind {
	case Mail:
		password, err := outlet.ReadSecret("mail.password_file", cfg.Mail.PasswordFile)
		if err != nil {
			return nil, err
		}
		return &mailer{cfg: cfg.Mail, password: password, tls: tlsConfig}, nil
	case Syslog:
		network, address, _ := cfg.Syslog.target() // Validate has read it
		return &logger{network: network, address: address, facility: facilities[cfg.Syslog.Facility], tls: tlsConfig}, nil
	case Exec:
		return &program{argv: cfg.Exec.Command}, nil
	}
	where, token := cfg.URL, ""
	if cfg.URLFile != "" {
		if where, err = outlet.ReadSecret("url_file", cfg.URLFile); err != nil {
			return nil, err
		}
		if err := checkURL(where); err != nil {
			return nil, fmt.Errorf("url_file: its content %w", err)
		}
	}
	if token, err = outlet.ReadSecret("token_file", cfg.TokenFile); err != nil {
		return nil, err
	}
	return newPoster(cfg, where, token, tlsConfig), nil
}

// Host is what notifications call this machine unless the configuration says.
func Host() string {
	name, err := os.Hostname()
	if err != nil {
		return "weir"
	}
	return name
}
