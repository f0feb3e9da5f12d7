package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DashboardConfig says who may see the dashboard, and do what there.
type DashboardConfig struct {
	// Enabled serves the dashboard on the admin listener, to who has logged in.
	// Default true.
	Enabled bool `yaml:"enabled"`
	// ReadOnly refuses there whatever changes something. Default false.
	ReadOnly bool `yaml:"read_only"`
	// Hosts are names and addresses, without a port, by which it may be called
	// beside localhost and this machine's own. Only where there is one do other
	// machines get in. Default none.
	Hosts []string `yaml:"hosts"`
}

// Validate says what is wrong with c.
func (c *DashboardConfig) Validate() error {
	var errs []error
	for i, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/:@ ") && !isIP(h) {
			errs = append(errs, fmt.Errorf("hosts[%d]: must be a name or an address without a port, got %q", i, h))
		}
	}
	return errors.Join(errs...)
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// Door decides who gets in on the admin listener: who shows the token, or has
// made a session of it. What is in a browser on this machine is not trusted:
// any page can send requests here, and a name of its owner's can be made to
// lead here, so Host, Origin and Fetch metadata are held against that.
type Door struct {
	cfg      DashboardConfig
	token    [sha256.Size]byte
	sessions *sessions
	refused  *prometheus.CounterVec
}

// Why a request was refused, in metrics.
const (
	refusedHost     = "host"      // called by a name that is not ours, or from elsewhere
	refusedOrigin   = "origin"    // another site's page sent it
	refusedLogin    = "login"     // neither token nor session
	refusedType     = "type"      // a change without a JSON body
	refusedReadOnly = "read_only" // a change
)

// NewDoor makes a Door for who knows the token.
func NewDoor(cfg DashboardConfig, token string, reg prometheus.Registerer, now func() time.Time) *Door {
	d := &Door{
		cfg: cfg, token: sha256.Sum256([]byte(token)), sessions: newSessions(now),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_dashboard_refused_total", Help: "Requests for the dashboard and its operations that were refused, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{refusedHost, refusedOrigin, refusedLogin, refusedType, refusedReadOnly} {
		d.refused.WithLabelValues(reason)
	}
	reg.MustRegister(d.refused)
	return d
}

// ReadOnly says whether nothing can be changed through it.
func (d *Door) ReadOnly() bool { return d.cfg.ReadOnly }

// Code makes a code that logs in once, until it ends.
func (d *Door) Code() (code string, ends time.Time) { return d.sessions.newCode() }

// refuse answers with an error, and counts it.
func (d *Door) refuse(w http.ResponseWriter, status int, reason, format string, args ...any) {
	d.refused.WithLabelValues(reason).Inc()
	fail(w, &Error{status, fmt.Errorf(format, args...)})
}

// screen lets pass what the page of another site cannot have sent.
func (d *Door) screen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		switch host := hostOf(r.Host); {
		case !d.knows(host):
			d.refuse(w, http.StatusForbidden, refusedHost, "this host name is not known here: use localhost, or name it in admin.dashboard.hosts")
		case !local(r.RemoteAddr) && !slices.ContainsFunc(d.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) }):
			d.refuse(w, http.StatusForbidden, refusedHost, "only this machine is let in, unless admin.dashboard.hosts names the host that is called")
		case !ownOrigin(r):
			d.refuse(w, http.StatusForbidden, refusedOrigin, "sent by the page of another site")
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// guard lets those in who show the token or a session, and holds changes to be
// POST with JSON, which no form of another site can send.
func (d *Door) guard(h http.Handler) http.Handler {
	return d.screen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, session := d.shows(r), d.sessions.has(r)
		switch change := r.Method != http.MethodGet && r.Method != http.MethodHead; {
		case !token && !session:
			w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			d.refuse(w, http.StatusUnauthorized, refusedLogin, "log in: weir dashboard prints a link")
		case crossSite(r):
			d.refuse(w, http.StatusForbidden, refusedOrigin, "sent by the page of another site")
		case change && r.Method != http.MethodPost:
			d.refuse(w, http.StatusMethodNotAllowed, refusedType, "changes are POST here")
		case change && !isJSON(r):
			d.refuse(w, http.StatusUnsupportedMediaType, refusedType, "Content-Type must be application/json")
		case change && !token && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "":
			d.refuse(w, http.StatusForbidden, refusedOrigin, "a browser says where a change comes from, and this one did not")
		case change && d.cfg.ReadOnly:
			d.refuse(w, http.StatusForbidden, refusedReadOnly, "this dashboard is read-only (admin.dashboard.read_only)")
		default:
			h.ServeHTTP(w, r)
		}
	}))
}

// shows says whether the token comes with the request.
func (d *Door) shows(r *http.Request) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && d.isToken(shown)
}

// isToken compares hashes, so the time that it takes says nothing.
func (d *Door) isToken(s string) bool {
	got := sha256.Sum256([]byte(s))
	return subtle.ConstantTimeCompare(got[:], d.token[:]) == 1
}

// knows says whether a Host may call this server. An address cannot be made to
// lead somewhere else, so any does; a name can (DNS rebinding).
func (d *Door) knows(host string) bool {
	return isIP(host) || strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(d.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// hostOf is a Host header without its port and brackets.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func local(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// ownOrigin says that a request names no other site as its origin.
func ownOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	return true
}

// crossSite says that a browser tells of another site's page behind a request.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// harden tells browsers to run nothing but our own files, to show them in
// nobody's frame, to tell nobody where the reader was, and to keep nothing.
func harden(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}
