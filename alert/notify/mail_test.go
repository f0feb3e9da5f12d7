package notify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/weirdns/weir/alert/notify"
	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/pdns/outlet"
)

func serverTLS(t *testing.T, l net.Listener, id *dnstest.Identity) net.Listener {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(id.CertFile, id.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
}

// post is a mail server that keeps what it gets.
type post struct {
	addr string
	mu   sync.Mutex
	mail []letter
	hold chan struct{} // not nil: DATA waits for it
	fail error         // of DATA
	auth bool          // MAIL wants a login
}

type letter struct {
	from, user string
	to         []string
	secure     bool
	text       string
}

// session is one connection to a post.
type session struct {
	p    *post
	conn *smtp.Conn
	letter
}

func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{p: p, conn: c}, nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "weir" || password != "hunter2" {
			return &smtp.SMTPError{Code: 535, Message: "no, not " + password}
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.p.auth && s.user == "" {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, Message: "no such user " + to}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.p.hold != nil {
		<-s.p.hold
	}
	if s.p.fail != nil {
		return s.p.fail
	}
	_, s.secure = s.conn.TLSConnectionState()
	s.text = string(text)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.mail = append(s.p.mail, s.letter)
	return nil
}

func (s *session) Reset()        { s.to = nil }
func (s *session) Logout() error { return nil }

// open starts a mail server: with starttls, tls or none.
func (p *post) open(t *testing.T, security string, id *dnstest.Identity) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	s := smtp.NewServer(p)
	s.Domain = "mail.example"
	s.AllowInsecureAuth = true
	s.ErrorLog = quiet{}
	switch security {
	case "starttls":
		cert, err := tls.LoadX509KeyPair(id.CertFile, id.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	case "tls":
		l = serverTLS(t, l, id)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func mailTo(t *testing.T, p *post, security string, id *dnstest.Identity, to ...string) notify.Config {
	t.Helper()
	c := config(notify.Mail)
	c.TLS.CAFile = id.CAFile
	c.Mail = notify.MailConfig{Server: p.addr, Security: security, From: "Weir <weir@example.com>", To: to, User: "weir", PasswordFile: secret(t, "hunter2")}
	return c
}

func TestMailArrivesByEachWay(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	for _, security := range []string{"starttls", "tls", "none"} {
		p := &post{auth: true}
		p.open(t, security, id)
		c := mailTo(t, p, security, id, "Ops <ops@example.com>", "nobody@example.com", "second@example.com")
		n := sample()
		n.Subject = "ü: infected\r\nBcc: evil@example.com"
		if err := sender(t, c).Send(within(t), n); err != nil {
			t.Errorf("%s: %v", security, err)
			continue
		}
		if len(p.mail) != 1 {
			t.Fatalf("%s: %d mails", security, len(p.mail))
		}
		got := p.mail[0]
		if got.from != "weir@example.com" || strings.Join(got.to, " ") != "ops@example.com second@example.com" || got.user != "weir" || got.secure != (security != "none") {
			t.Errorf("%s: envelope %+v", security, got)
		}
		m, err := mail.ReadMessage(strings.NewReader(got.text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", security, err, got.text)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || subject != "ü: infected Bcc: evil@example.com" || m.Header.Get("Bcc") != "" {
			t.Errorf("%s: subject %q (%v)", security, subject, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if want := "line one <script>\r\n\r\n.line two ü\r\n"; err != nil || string(body) != want {
			t.Errorf("%s: body %q (%v), want %q", security, body, err, want)
		}
		if !strings.HasPrefix(m.Header.Get("Message-Id"), "<0123456789abcdef-1.weir@") || m.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("%s: header %v", security, m.Header)
		}
	}
}

func TestMailThatCannotGoSaysWhetherItEverWill(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	refused := func(err error) bool { var no *outlet.Refused; return errors.As(err, &no) }

	p := &post{}
	p.open(t, "none", id)
	// The server, or somebody in between, has no STARTTLS: nothing is said in the
	// clear.
	if err := sender(t, mailTo(t, p, "starttls", id, "ops@example.com")).Send(within(t), sample()); err == nil || refused(err) || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("without STARTTLS: %v", err)
	}
	// No recipient is taken.
	if err := sender(t, mailTo(t, p, "none", id, "nobody@example.com")).Send(within(t), sample()); !refused(err) || strings.Contains(err.Error(), "nobody") {
		t.Errorf("no recipient: %v", err)
	}
	for code, want := range map[int]bool{451: false, 554: true} {
		p := &post{fail: &smtp.SMTPError{Code: code, Message: "no"}}
		p.open(t, "none", id)
		if err := sender(t, mailTo(t, p, "none", id, "ops@example.com")).Send(within(t), sample()); err == nil || refused(err) != want {
			t.Errorf("%d: %v, refused %v, want %v", code, err, refused(err), want)
		}
	}
	// A wrong password may be put right, and is told to nobody.
	c := mailTo(t, p, "none", id, "ops@example.com")
	c.Mail.PasswordFile = secret(t, "wr0ng")
	if err := sender(t, c).Send(within(t), sample()); err == nil || refused(err) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
	// A server that nobody vouches for.
	q := &post{}
	q.open(t, "tls", id)
	c = mailTo(t, q, "tls", dnstest.NewIdentity(t, "127.0.0.1"), "ops@example.com")
	if err := sender(t, c).Send(within(t), sample()); err == nil || refused(err) || len(q.mail) != 0 {
		t.Errorf("an unknown certificate: %v", err)
	}
	// One that never answers.
	slow := &post{hold: make(chan struct{})}
	slow.open(t, "none", id)
	defer close(slow.hold)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := sender(t, mailTo(t, slow, "none", id, "ops@example.com")).Send(ctx, sample()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow server: %v", err)
	}
}
