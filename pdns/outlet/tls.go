package outlet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// TLSConfig says whom an outlet believes, and who it is.
type TLSConfig struct {
	// CAFile has the certificates, PEM, that a server's must come from. Default:
	// empty, those of the system.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are weir's own certificate, PEM. Default: empty, none.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name in the server's certificate. Default: empty, the one
	// that is connected to.
	ServerName string `yaml:"server_name"`
}

// Validate says everything that is wrong with c, short of reading files.
func (c *TLSConfig) Validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("cert_file: cert_file and key_file belong together")
	}
	return nil
}

// Load reads the files.
func (c *TLSConfig) Load() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(c.CAFile))
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s has no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// Files are those that Load reads.
func (c *TLSConfig) Files() []string { return []string{c.CAFile, c.CertFile, c.KeyFile} }

// maxSecret bounds a file with a password or token, octets.
const maxSecret = 16 << 10

// ReadSecret reads a password or token from a file, without the white space around
// it; "" for no file. The error never holds what the file does.
func ReadSecret(field, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || len(secret) > maxSecret || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s: %s must hold one line, of %d octets at most", field, path, maxSecret)
	}
	return secret, nil
}
