package resolver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// certLook is how often the certificate's files are looked at: whoever renews
// them does not have to tell us.
const certLook = 30 * time.Second

// certificate is the one that encrypted listeners show. It is read again when
// its files change; one that cannot be read, or has ended while the old one has
// not, leaves that in place.
type certificate struct {
	log     *zap.Logger
	strict  bool // takes none that has ended
	current atomic.Pointer[tls.Certificate]
	failed  atomic.Uint64

	mu   sync.Mutex // guards all below
	cfg  TLSConfig
	seen string // what the files looked like when they were last read
}

var (
	certExpiryDesc = prometheus.NewDesc("weir_tls_certificate_expiry_timestamp_seconds",
		"When the certificate of the encrypted listeners ends.", nil, nil)
	certFailedDesc = prometheus.NewDesc("weir_tls_certificate_reload_failures_total",
		"Certificates that were not taken; the one before serves on.", nil, nil)
)

func newCertificate(cfg TLSConfig, log *zap.Logger, reg prometheus.Registerer) (*certificate, error) {
	c := &certificate{log: log}
	if err := c.load(cfg); err != nil {
		return nil, err
	}
	reg.MustRegister(c)
	return c, nil
}

// load reads the files of cfg and, if they belong together, shows what is in
// them from now on.
func (c *certificate) load(cfg TLSConfig) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loadLocked(cfg)
}

func (c *certificate) loadLocked(cfg TLSConfig) error {
	seen := looks(cfg)
	cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	ended := err == nil && time.Now().After(cert.Leaf.NotAfter)
	if was := c.current.Load(); ended && (c.strict || was != nil && time.Now().Before(was.Leaf.NotAfter)) {
		err = fmt.Errorf("ended on %s", cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	c.seen = seen // also of what is wrong: it is read, and complained about, once
	if err != nil {
		return fmt.Errorf("tls: certificate: %w", err)
	}
	if ended {
		// There is no better one, and plain DNS has nothing to do with it.
		c.log.Error("the certificate has ended: clients that check it cannot use TLS, HTTPS and QUIC; put a new one in its place",
			zap.Time("ended", cert.Leaf.NotAfter))
	}
	c.cfg = cfg
	c.current.Store(&cert)
	return nil
}

// looks is what tells one state of the files from another without reading them.
func looks(cfg TLSConfig) (s string) {
	for _, file := range []string{cfg.CertFile, cfg.KeyFile} {
		if info, err := os.Stat(file); err == nil {
			s += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
		}
	}
	return s
}

// run looks at the files until ctx ends.
func (c *certificate) run(ctx context.Context) error {
	tick := time.NewTicker(certLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.look()
		}
	}
}

func (c *certificate) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if looks(c.cfg) == c.seen {
		return
	}
	if err := c.loadLocked(c.cfg); err != nil {
		c.failed.Add(1)
		c.log.Error("certificate not taken, the old one serves on", zap.Error(err))
		return
	}
	c.log.Info("certificate reloaded", zap.Time("until", c.current.Load().Leaf.NotAfter))
}

// config is for a listener that speaks protocols.
func (c *certificate) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// Describe is part of prometheus.Collector.
func (c *certificate) Describe(ch chan<- *prometheus.Desc) {
	ch <- certExpiryDesc
	ch <- certFailedDesc
}

// Collect is part of prometheus.Collector.
func (c *certificate) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(certExpiryDesc, prometheus.GaugeValue, float64(c.current.Load().Leaf.NotAfter.Unix()))
	ch <- prometheus.MustNewConstMetric(certFailedDesc, prometheus.CounterValue, float64(c.failed.Load()))
}

// TLSConfig is what encrypted listeners show.
type TLSConfig struct {
	// CertFile is the certificate with its chain, in PEM.
	CertFile string `yaml:"cert_file"`
	// KeyFile is its private key, in PEM. Both are read again when they change.
	KeyFile string `yaml:"key_file"`
}

func (c *Config) encrypted() bool { return len(c.ListenTLS)+len(c.ListenHTTPS)+len(c.ListenQUIC) > 0 }

// CheckFiles says whether the certificate could be shown.
func (c *Config) CheckFiles() error {
	if !c.encrypted() {
		return nil
	}
	return (&certificate{strict: true}).load(c.TLS)
}

func (c *TLSConfig) validate() error {
	var errs []error
	if c.CertFile == "" {
		errs = append(errs, errors.New("tls.cert_file: needed for listen_tls, listen_https and listen_quic"))
	}
	if c.KeyFile == "" {
		errs = append(errs, errors.New("tls.key_file: needed for listen_tls, listen_https and listen_quic"))
	}
	return errors.Join(errs...)
}
