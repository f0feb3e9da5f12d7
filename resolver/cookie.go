package resolver

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"
)

// Sizes of RFC 9018, section 4.
const (
	clientCookieLen = 8
	serverCookieLen = 16
	cookieLen       = clientCookieLen + serverCookieLen
	maxCookieLen    = clientCookieLen + 32 // RFC 7873, section 4
)

const (
	// A cookie is good for an hour, and for five minutes before its time, for
	// clocks that differ; after half an hour the client gets a new one (RFC
	// 9018, section 4.3).
	cookieLife   = time.Hour
	cookieEarly  = 5 * time.Minute
	cookieRenew  = cookieLife / 2
	secretRotate = 24 * time.Hour // the one before stays good
)

// cookieState is what a client's cookie is.
type cookieState uint8

const (
	noCookie        cookieState = iota
	malformedCookie             // RFC 7873, section 5.2.2: FORMERR
	clientCookie                // without a server's part, or with one that is not ours or too old
	validCookie                 // whoever sent it gets our answers: the address is not forged
)

// secret is a SipHash key.
type secret struct{ k0, k1 uint64 }

func newSecret() secret {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return secret{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

// cookieJar makes and checks server cookies. It keeps nothing of any client: a
// cookie is a hash of what the client sent, its address and a secret.
type cookieJar struct {
	secrets atomic.Pointer[secrets]
}

type secrets struct {
	now, before secret
	made        time.Time
}

func newCookieJar(now time.Time) *cookieJar {
	j := &cookieJar{}
	j.secrets.Store(&secrets{now: newSecret(), before: newSecret(), made: now})
	return j
}

// current is the secrets, new ones if their time has come.
func (j *cookieJar) current(now time.Time) *secrets {
	s := j.secrets.Load()
	if now.Sub(s.made) < secretRotate {
		return s
	}
	next := &secrets{now: newSecret(), before: s.now, made: now}
	if !j.secrets.CompareAndSwap(s, next) {
		return j.secrets.Load()
	}
	return next
}

// check says what the option's value is and appends what the client is to get
// back to dst; nothing for what is malformed.
func (j *cookieJar) check(dst, option []byte, client netip.Addr, now time.Time) ([]byte, cookieState) {
	switch n := len(option); {
	case n < clientCookieLen, n > clientCookieLen && n < clientCookieLen+8, n > maxCookieLen:
		return dst, malformedCookie
	}
	s := j.current(now)
	state := clientCookie
	if len(option) == cookieLen && option[8] == 1 {
		age := time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(option[12:]))) * time.Second
		if age <= cookieLife && age >= -cookieEarly && (s.now.matches(option, client) || s.before.matches(option, client)) {
			state = validCookie
			if age < cookieRenew && s.now.matches(option, client) {
				return append(dst, option...), state
			}
		}
	}
	var c [cookieLen]byte
	copy(c[:], option[:clientCookieLen])
	c[8] = 1 // version
	binary.BigEndian.PutUint32(c[12:], uint32(now.Unix()))
	binary.LittleEndian.PutUint64(c[16:], s.now.hash(c[:16], client))
	return append(dst, c[:]...), state
}

func (s secret) matches(cookie []byte, client netip.Addr) bool {
	return binary.LittleEndian.Uint64(cookie[16:]) == s.hash(cookie[:16], client)
}

// hash is SipHash-2-4 over the client cookie, version, time and address.
func (s secret) hash(head []byte, client netip.Addr) uint64 {
	var buf [16 + 16]byte
	n := copy(buf[:], head)
	if client.Is4() {
		a := client.As4()
		n += copy(buf[n:], a[:])
	} else {
		a := client.As16()
		n += copy(buf[n:], a[:])
	}
	return siphash.Hash(s.k0, s.k1, buf[:n])
}
