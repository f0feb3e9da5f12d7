package web

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	codeLife    = 10 * time.Minute
	sessionLife = 12 * time.Hour
	// maxCodes and maxSessions are kept; one more pushes the oldest out.
	maxCodes    = 16
	maxSessions = 64
)

// sessions are who has logged in, and the codes by which to. They live in
// memory: after a restart one logs in again. Only hashes are kept, so that a
// look-up takes as long for a guess that begins well as for any other.
type sessions struct {
	now func() time.Time

	mu              sync.Mutex
	codes, sessions secrets
}

// secrets are a few things that somebody may know, with when they end.
type secrets struct {
	max  int
	ends map[[sha256.Size]byte]time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{
		now:      now,
		codes:    secrets{maxCodes, map[[sha256.Size]byte]time.Time{}},
		sessions: secrets{maxSessions, map[[sha256.Size]byte]time.Time{}},
	}
}

// add makes a secret.
func (s *secrets) add(now time.Time, life time.Duration) (text string, ends time.Time) {
	for hash, end := range s.ends {
		if !end.After(now) {
			delete(s.ends, hash)
		}
	}
	for len(s.ends) >= s.max {
		var oldest [sha256.Size]byte
		first := time.Time{}
		for hash, end := range s.ends {
			if first.IsZero() || end.Before(first) {
				oldest, first = hash, end
			}
		}
		delete(s.ends, oldest)
	}
	text, ends = rand.Text(), now.Add(life)
	s.ends[sha256.Sum256([]byte(text))] = ends
	return text, ends
}

func (s *secrets) has(text string, now time.Time) bool {
	end, ok := s.ends[sha256.Sum256([]byte(text))]
	return ok && end.After(now)
}

func (s *secrets) remove(text string) { delete(s.ends, sha256.Sum256([]byte(text))) }

func (s *sessions) newCode() (string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes.add(s.now(), codeLife)
}

// has says whether the request comes with a session.
func (s *sessions) has(r *http.Request) bool {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.has(c.Value, s.now())
}

// cookieName has the port: browsers keep cookies by host alone, and several
// weirs may run on one.
func cookieName(r *http.Request) string {
	for at := len(r.Host) - 1; at >= 0 && r.Host[at] != ']'; at-- {
		if r.Host[at] == ':' {
			return "weir_session_" + r.Host[at+1:]
		}
	}
	return "weir_session"
}

// loginRequest is the body of POST /api/v1/login: a code of weir dashboard, or
// the token.
type loginRequest struct {
	Code string `json:"code"`
}

// login is POST /api/v1/login, which makes a session of a code or of the token.
func (d *Door) login(w http.ResponseWriter, r *http.Request) {
	var req loginRequest
	switch {
	case crossSite(r):
		d.refuse(w, http.StatusForbidden, refusedOrigin, "sent by the page of another site")
		return
	case !isJSON(r):
		d.refuse(w, http.StatusUnsupportedMediaType, refusedType, "Content-Type must be application/json")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := Decode(r, &req); err != nil {
		fail(w, err)
		return
	}
	session, err := d.enter(req.Code)
	if err != nil {
		d.refuse(w, http.StatusUnauthorized, refusedLogin, "%w", err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: session, Path: "/", MaxAge: int(sessionLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	writeJSON(w, http.StatusOK, struct{}{})
}

// enter makes a session for who knows the token, or a code, which is used up.
func (d *Door) enter(secret string) (session string, err error) {
	s := d.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !d.isToken(secret) {
		if !s.codes.has(secret, now) {
			return "", errors.New("this link was used or is too old: weir dashboard prints another")
		}
		s.codes.remove(secret)
	}
	session, _ = s.sessions.add(now, sessionLife)
	return session, nil
}

// logout is POST /api/v1/logout.
func (d *Door) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		d.sessions.mu.Lock()
		d.sessions.sessions.remove(c.Value)
		d.sessions.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	writeJSON(w, http.StatusOK, struct{}{})
}
