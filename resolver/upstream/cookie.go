package upstream

import (
	"bytes"
	"crypto/rand"
	"sync"
	"time"
)

const (
	// clientCookieLen and maxServerCookie are the sizes of RFC 7873, section 4.
	clientCookieLen = 8
	minServerCookie = 8
	maxServerCookie = 32
	// cookieFor is how long a client cookie is used: long enough to be of use,
	// and not so long that it follows us to another address.
	cookieFor = time.Hour
)

// jar is our cookie for one server and the server's for us (RFC 7873): whoever
// does not see our queries knows neither, and so cannot forge an answer once
// the server has shown that it speaks cookies.
type jar struct {
	mu     sync.Mutex // guards all below
	client [clientCookieLen]byte
	server []byte // nil: the server has not given one
	until  time.Time
	off    time.Time // until then without: the server does not keep to it
}

// cookie is what is sent: the client's part, and the server's once it is known.
func (j *jar) append(dst []byte) []byte {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if now.Before(j.off) {
		return dst
	}
	if !now.Before(j.until) {
		_, _ = rand.Read(j.client[:]) // never fails
		j.server, j.until = nil, now.Add(cookieFor)
	}
	return append(append(dst, j.client[:]...), j.server...)
}

// learn keeps what the server gave to the client cookie in sent.
func (j *jar) learn(sent, got []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if bytes.Equal(sent[:clientCookieLen], j.client[:]) && !bytes.Equal(got, j.server) {
		j.server = bytes.Clone(got)
	}
}

// suspend does without cookies for a while.
func (j *jar) suspend(d time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.off = time.Now().Add(d)
}

// checkCookie looks at the COOKIE option of an answer over UDP to a query with
// one (RFC 7873, section 5.3): nil where there is none. Our part must be as we
// sent it, and once the server has spoken cookies it must go on to do so.
func checkCookie(sent, got []byte) reason {
	switch {
	case len(sent) == clientCookieLen && (got == nil || bytes.Equal(got, sent)):
		return valid // it does not know cookies, for all we know, or gives back what it does not know
	case len(got) < clientCookieLen+minServerCookie || len(got) > clientCookieLen+maxServerCookie,
		!bytes.Equal(got[:clientCookieLen], sent[:clientCookieLen]):
		return badCookie
	}
	return valid
}
