package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"
)

// sessions is how many TLS sessions are kept per server, so that a connection
// after the first takes one round trip less.
const sessions = 8

// errPin is a server whose key is not the one that was configured.
var errPin = errors.New("certificate does not match a pin")

// tlsConfig is how a server proves that it is t (RFC 8310, strict profile):
// with a certificate for its name from a CA in roots (nil: the system's), or,
// where there are pins, with the key itself.
func (t *target) tlsConfig(roots *x509.CertPool, protocols ...string) *tls.Config {
	c := &tls.Config{
		ServerName:         t.name,
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols,
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
	}
	if len(t.pins) > 0 {
		// The chain proves nothing more than the key does. Only the server's own
		// certificate counts: the others are not checked, so anybody could send
		// along the right one.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			key := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if !hasHash(t.pins, key[:]) {
				return errPin
			}
			return nil
		}
	} else if len(t.tbs) > 0 {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			for _, chain := range s.VerifiedChains {
				for _, cert := range chain {
					if sum := sha256.Sum256(cert.RawTBSCertificate); hasHash(t.tbs, sum[:]) {
						return nil
					}
				}
			}
			return errPin
		}
	}
	return c
}

func hasHash(hashes [][]byte, hash []byte) bool {
	return slices.ContainsFunc(hashes, func(h []byte) bool { return slices.Equal(h, hash) })
}

// parsePins reads SHA-256 hashes of public keys in base64, as RFC 7858,
// appendix A, has them.
func parsePins(texts []string) (pins [][]byte, err error) {
	for i, s := range texts {
		pin, perr := base64.StdEncoding.DecodeString(s)
		if perr != nil || len(pin) != sha256.Size {
			err = errors.Join(err, fmt.Errorf("pins[%d]: must be the SHA-256 of a public key in base64, got %q", i, s))
			continue
		}
		pins = append(pins, pin)
	}
	return pins, err
}

// readRoots reads the CAs of a PEM file; nil for no file: the system's.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: no certificate in %s", file)
	}
	return roots, nil
}

// dial connects to the first of the server's addresses that takes it, over TLS
// where the server is asked so.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	var errs []error
	for i, addr := range s.addrs {
		conn, err := s.dialAddr(ctx, addr.String(), len(s.addrs)-i)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// dialAddr leaves time for the addresses that are left: of so many this one may
// take its share.
func (s *server) dialAddr(ctx context.Context, addr string, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil || s.tls == nil {
		return conn, err
	}
	t := tls.Client(conn, s.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}
