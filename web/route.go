package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxBody is the largest body that an operation of the control API reads.
	maxBody = 64 << 10
	// defaultTimeout is how long an operation may take that says nothing else.
	defaultTimeout = 20 * time.Second
	// writeGrace is what a client has to take the answer after the time-out.
	writeGrace = 10 * time.Second
	// maxConcurrent is how many operations run at a time. Their callers are
	// people and scripts of this machine.
	maxConcurrent = 16
)

// Route is one operation of the control API.
type Route struct {
	// Pattern is http.ServeMux's, with the method: "GET /api/v1/status".
	Pattern string
	Handler http.Handler
	// Public serves the operation on the admin listener too, where there is no
	// proof of who asks. Only for a GET that shows neither names of queries nor
	// addresses of clients.
	Public bool
	// Token, where it is not empty, serves the operation on the admin listener to
	// who shows it as a bearer token (RFC 6750).
	Token string
	// SocketOnly keeps the operation off the admin listener, whoever asks.
	SocketOnly bool
	// Stream is for an answer that goes on until somebody ends it: it has no
	// time-out and no place among the operations that run at a time, so its
	// handler bounds how many there are and how long a write takes.
	Stream bool
	// Timeout is when the request's context ends. Default 20s.
	Timeout time.Duration
}

// Error is a failure that is the caller's, with the HTTP status that says so.
// Every other error is a 500.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// BadRequest is an Error about what was asked.
func BadRequest(format string, args ...any) error {
	return &Error{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// NotFound is an Error about something that is not there.
func NotFound(format string, args ...any) error {
	return &Error{http.StatusNotFound, fmt.Errorf(format, args...)}
}

// Answer makes a handler of f: what f returns becomes the body in JSON, and its
// error {"error": "..."} with the status of an Error, or 500.
func Answer(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := f(r)
		if err != nil {
			fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, body)
	})
}

// Decode reads a request's body, one JSON value without unknown fields.
func Decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more than one value")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &Error{http.StatusRequestEntityTooLarge, fmt.Errorf("body: more than %d octets", large.Limit)}
	}
	return BadRequest("body: %w", err)
}

// failure is the body of every error.
type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e *Error
	if errors.As(err, &e) {
		status = e.Status
	}
	writeJSON(w, status, failure{err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client went away: nobody to tell
}

// slots bound how many operations run at a time.
type slots struct {
	taken   chan struct{}
	refused prometheus.Counter
}

func newSlots(reg prometheus.Registerer) *slots {
	s := &slots{taken: make(chan struct{}, maxConcurrent), refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_control_refused_total", Help: "Operations of the control API that were refused since too many ran.",
	})}
	reg.MustRegister(s.refused)
	return s
}

// handleSocket adds all routes to the control socket's mux.
func handleSocket(mux *http.ServeMux, routes []Route, slots *slots) {
	for _, r := range routes {
		mux.Handle(r.Pattern, bounded(r, slots))
	}
	mux.HandleFunc("/api/", noOperation)
}

// handleAdmin adds to the admin listener's mux the routes that are public, those
// that have a token of their own, and where there is a door, the dashboard and
// all the others behind it.
func handleAdmin(mux *http.ServeMux, routes []Route, slots *slots, door *Door) {
	for _, r := range routes {
		if r.Public && !strings.HasPrefix(r.Pattern, "GET ") {
			panic("web: route " + r.Pattern + " is public and no GET")
		}
		h := bounded(r, slots)
		var behind http.Handler
		if door != nil {
			behind = door.guard(h)
		}
		switch {
		case r.SocketOnly:
		case r.Public:
			mux.Handle(r.Pattern, h)
		case r.Token != "":
			mux.Handle(r.Pattern, bearer(r.Token, h, behind))
		case behind != nil:
			mux.Handle(r.Pattern, behind)
		}
	}
	if door == nil {
		mux.HandleFunc("/api/", noOperation)
		return
	}
	mux.Handle("/api/", door.screen(http.HandlerFunc(noOperation)))
	mux.Handle("POST /api/v1/login", door.screen(http.HandlerFunc(door.login)))
	mux.Handle("POST /api/v1/logout", door.screen(http.HandlerFunc(door.logout)))
	mux.Handle("/", door.screen(assets()))
}

func noOperation(w http.ResponseWriter, r *http.Request) {
	fail(w, NotFound("no operation %s %s here", r.Method, r.URL.Path))
}

// bearer lets those in who show the token, and leaves the others to otherwise,
// if there is one. Hashes are compared, so the time that it takes says nothing,
// not even the token's length.
func bearer(token string, h, otherwise http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(shown))
		switch {
		case ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1:
			h.ServeHTTP(w, r)
		case otherwise != nil:
			otherwise.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			fail(w, &Error{http.StatusUnauthorized, errors.New("a token is needed")})
		}
	})
}

// bounded keeps an operation within its time, its body's size, and the number
// of those that run.
func bounded(route Route, slots *slots) http.Handler {
	if route.Stream {
		return route.Handler
	}
	timeout := route.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots.taken <- struct{}{}:
			defer func() { <-slots.taken }()
		default:
			slots.refused.Inc()
			fail(w, &Error{http.StatusServiceUnavailable, errors.New("too many operations at a time")})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		// Without it a long operation would have no time left to answer in.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + writeGrace)) // the server's own has it
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		route.Handler.ServeHTTP(w, r.WithContext(ctx))
	})
}
