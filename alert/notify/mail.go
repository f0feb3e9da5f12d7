package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/pdns/outlet"
)

// mailer sends mail over SMTP (RFC 5321), one connection for each message. The
// standard library has the protocol; the message is plain text.
type mailer struct {
	cfg      MailConfig
	password string
	tls      *tls.Config
}

func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err == nil && (host == "" || port == "") {
		err = errors.New("must be host:port")
	}
	return host, port, err
}

// Send delivers n to all recipients.
func (m *mailer) Send(ctx context.Context, n *alert.Notification) error {
	from, err := mail.ParseAddress(m.cfg.From)
	if err != nil {
		return err
	}
	client, err := m.connect(ctx)
	if err != nil {
		return m.clean(ctx, err)
	}
	defer func() { _ = client.Close() }() // after a QUIT it is closed already
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	if err := m.talk(client, from.Address, n); err != nil {
		return m.clean(ctx, err)
	}
	return nil
}

// connect dials, turns TLS on as configured, and logs in.
func (m *mailer) connect(ctx context.Context) (*smtp.Client, error) {
	host, _, err := splitHostPort(m.cfg.Server)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.cfg.Server)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a socket has deadlines
	}
	config := m.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	if m.cfg.Security == "tls" {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		conn.Close()
		return nil, err
	}
	err = m.login(client, config, host)
	if err != nil {
		_ = client.Close() // the error says more
		return nil, err
	}
	return client, nil
}

func (m *mailer) login(client *smtp.Client, config *tls.Config, host string) error {
	if err := client.Hello(helloName()); err != nil {
		return err
	}
	if m.cfg.Security == "starttls" {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return errors.New("the server has no STARTTLS; mail.security says what else there is")
		}
		if err := client.StartTLS(config); err != nil {
			return err
		}
	}
	if m.cfg.User == "" {
		return nil
	}
	// PlainAuth itself refuses to show a password in the clear to another machine.
	err := client.Auth(smtp.PlainAuth("", m.cfg.User, m.password, host))
	var said *textproto.Error
	if errors.As(err, &said) {
		// A password may be corrected: it is tried again. The server's words may
		// quote it.
		return fmt.Errorf("the server refuses the login (%d)", said.Code)
	}
	return err
}

// helloName is what EHLO says: the machine's name where it is one.
func helloName() string {
	if name := Host(); !strings.ContainsAny(name, " \r\n") {
		return name
	}
	return "localhost"
}

// talk brings the message over. That no recipient is taken is the message's end,
// and so is a message that is refused for good.
func (m *mailer) talk(client *smtp.Client, from string, n *alert.Notification) error {
	if err := client.Mail(from); err != nil {
		return err
	}
	taken := 0
	var refusal error
	for _, to := range m.cfg.To {
		addr, err := mail.ParseAddress(to)
		if err != nil {
			return err
		}
		switch err := client.Rcpt(addr.Address); {
		case err == nil:
			taken++
		case permanent(err):
			refusal = err
		default:
			return err // later, for all of them
		}
	}
	if taken == 0 {
		return &outlet.Refused{Err: refusal}
	}
	w, err := client.Data()
	if err == nil {
		_, err = w.Write(m.message(n))
	}
	if err == nil {
		err = w.Close()
	}
	if permanent(err) {
		return &outlet.Refused{Err: err}
	}
	if err != nil {
		return err
	}
	_ = client.Quit() // it has been taken, whatever is said now
	return nil
}

func permanent(err error) bool {
	var said *textproto.Error
	return errors.As(err, &said) && said.Code >= 500 && said.Code <= 599
}

// clean leaves the server's words out: they may quote addresses.
func (m *mailer) clean(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return context.DeadlineExceeded // what closed the connection
	}
	var said *textproto.Error
	if !errors.As(err, &said) {
		return err
	}
	short := fmt.Errorf("the mail server answers %d", said.Code)
	var no *outlet.Refused
	if errors.As(err, &no) {
		return &outlet.Refused{Err: short}
	}
	return short
}

// message is n as a mail (RFC 5322), with lines that end in CRLF.
func (m *mailer) message(n *alert.Notification) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	addresses := func(list ...string) string {
		var out []string
		for _, s := range list {
			if a, err := mail.ParseAddress(s); err == nil {
				out = append(out, a.String())
			}
		}
		return strings.Join(out, ",\r\n ")
	}
	header("From", addresses(m.cfg.From))
	header("To", addresses(m.cfg.To...))
	header("Subject", mime.QEncoding.Encode("utf-8", oneLine(clip(n.Subject, 500))))
	header("Date", n.Time.UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+n.ID+".weir@"+oneLine(helloName())+">")
	// All of an alert is one thread.
	header("References", "<"+n.Alert.ID+".weir@"+oneLine(helloName())+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834: nobody's vacation need answer
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(strings.ReplaceAll(n.Body, "\n", "\r\n"))) // into memory
	_ = q.Close()
	return b.Bytes()
}

// oneLine is s without what would end a header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
