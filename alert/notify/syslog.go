package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/weirdns/weir/alert"
)

// facilities by name (RFC 5424, section 6.2.1).
var facilities = map[string]int{
	"user": 1, "daemon": 3, "auth": 4, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// priorities of severities: informational, warning, critical.
var priorities = map[alert.Severity]int{alert.Info: 6, alert.Warning: 4, alert.Critical: 2}

// logger writes RFC 5424: a datagram for each message over UDP and to a local
// socket, with its length in front over TCP and TLS (RFC 6587, section 3.4.1, and
// RFC 5425).
type logger struct {
	network, address string
	facility         int
	tls              *tls.Config
}

// target is what Address says.
func (c *SyslogConfig) target() (network, address string, err error) {
	u, err := url.Parse(c.Address)
	if err != nil {
		return "", "", errors.New("must be like udp://host:514 or unix:///dev/log")
	}
	switch u.Scheme {
	case "unix":
		if u.Path == "" {
			return "", "", errors.New("must be like unix:///dev/log")
		}
		return "unixgram", u.Path, nil
	case "udp", "tcp", "tls":
		if _, _, err := splitHostPort(u.Host); err != nil || u.Path != "" {
			return "", "", fmt.Errorf("must be like %s://host:514", u.Scheme)
		}
		return u.Scheme, u.Host, nil
	}
	return "", "", errors.New("must begin with udp://, tcp://, tls:// or unix://")
}

// Send writes n. Over UDP and TCP it has arrived as far as these can say.
func (l *logger) Send(ctx context.Context, n *alert.Notification) error {
	network := l.network
	if network == "tls" {
		network = "tcp"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a socket has deadlines
	}
	message := l.message(n)
	switch l.network {
	case "tls":
		config := l.tls.Clone()
		if host, _, err := splitHostPort(l.address); err == nil && config.ServerName == "" {
			config.ServerName = host
		}
		secure := tls.Client(conn, config)
		if _, err := fmt.Fprintf(secure, "%d %s", len(message), message); err != nil {
			return err
		}
		return secure.Close() // says that it was all
	case "tcp":
		_, err = fmt.Fprintf(conn, "%d %s", len(message), message)
	default:
		_, err = conn.Write(message)
	}
	return err
}

// maxMessage is what fits a datagram of a local network, octets; receivers take
// 2 KiB at least (RFC 5426).
const maxMessage = 2000

// message is n in one line: what happened in words, then the notification without
// its texts as JSON, as far as there is room.
func (l *logger) message(n *alert.Notification) []byte {
	printable := func(s string, limit int) string {
		s = strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' {
				return -1
			}
			return r
		}, s)
		if s == "" {
			return "-"
		}
		return s[:min(len(s), limit)]
	}
	head := fmt.Sprintf("<%d>1 %s %s weir %d %s - %s", l.facility*8+priorities[n.Alert.Severity], n.Time.UTC().Format("2006-01-02T15:04:05.000000Z"),
		printable(n.Host, 255), os.Getpid(), printable(n.Reason, 32), oneLine(clip(n.Subject, 400)))
	small := *n
	small.Subject, small.Body = "", ""
	for {
		body, err := json.Marshal(small)
		if err == nil && len(head)+len(body)+1 <= maxMessage {
			return append(append([]byte(head), ' '), body...)
		}
		if len(small.Alert.Events) == 0 {
			return []byte(head)
		}
		small.Alert.Events = small.Alert.Events[1:]
	}
}
