package resolver

import (
	"net/netip"
	"testing"
	"time"
)

// FuzzProxy: no header makes it panic or read beyond the datagram.
func FuzzProxy(f *testing.F) {
	f.Add([]byte(proxySignature + "\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x35\x00\x35rest"))
	f.Add([]byte(proxySignature + "\x20\x00\x00\x00rest"))
	f.Add([]byte(proxySignature + "\x21\x21\x00\x24" + "0123456789abcdef0123456789abcdef\x00\x35\x00\x35"))
	f.Add([]byte(proxySignature + "\x21\x11\xff\xff"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		proxy := netip.MustParseAddrPort("192.0.2.1:5")
		client, rest, err := readProxy(msg, proxy)
		if err == nil && (!client.IsValid() || len(rest) > len(msg)-proxyHeader) {
			t.Errorf("client %s, %d of %d octets left", client, len(rest), len(msg))
		}
	})
}

// FuzzCookie: no option makes it panic, and only our own cookies are valid.
func FuzzCookie(f *testing.F) {
	now := time.Unix(1790000000, 0)
	j, client := newCookieJar(now), netip.MustParseAddr("192.0.2.1")
	good, _ := j.check(nil, make([]byte, clientCookieLen), client, now)
	f.Add([]byte{})
	f.Add(make([]byte, clientCookieLen))
	f.Add(make([]byte, cookieLen))
	f.Fuzz(func(t *testing.T, option []byte) {
		out, state := j.check(nil, option, client, now)
		if (state == malformedCookie) != (len(out) == 0) || state == validCookie && string(option) != string(good) {
			t.Errorf("%x: state %d, %x", option, state, out)
		}
	})
}

func TestCookiesEnd(t *testing.T) {
	start := time.Unix(1790000000, 0)
	j, client := newCookieJar(start), netip.MustParseAddr("2001:db8::1")
	cookie, _ := j.check(nil, make([]byte, clientCookieLen), client, start)
	check := func(after time.Duration, client netip.Addr) cookieState {
		_, state := j.check(nil, cookie, client, start.Add(after))
		return state
	}
	if check(time.Minute, client) != validCookie || check(59*time.Minute, client) != validCookie {
		t.Error("not valid within its hour")
	}
	if check(61*time.Minute, client) == validCookie || check(-10*time.Minute, client) == validCookie {
		t.Error("valid outside of its hour")
	}
	if check(0, netip.MustParseAddr("2001:db8::2")) == validCookie {
		t.Error("valid for another client")
	}
	if renewed, state := j.check(nil, cookie, client, start.Add(40*time.Minute)); state != validCookie || string(renewed) == string(cookie) {
		t.Error("not renewed after half of its time")
	}
	// The secret goes at the second rotation, not at the first.
	late := start.Add(secretRotate - time.Minute)
	cookie, _ = j.check(nil, make([]byte, clientCookieLen), client, late)
	if _, state := j.check(nil, cookie, client, late.Add(2*time.Minute)); state != validCookie {
		t.Error("a rotation of the secret ended a cookie")
	}
}

// One slot is all that a key takes, whatever others do, and a full table holds
// nobody back.
func TestBucketsAreBoundedAndFair(t *testing.T) {
	now := time.Now()
	b := newBuckets(10)
	key := netip.MustParseAddr("192.0.2.1")
	passed := 0
	for range 200 {
		if b.take(key, now) {
			passed++
		}
	}
	if passed != 10*burst {
		t.Errorf("%d passed at once, want the burst of %d", passed, 10*burst)
	}
	passed = 0
	for range 200 {
		if b.take(key, now.Add(1010*time.Millisecond)) {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("%d passed a second later, want 10", passed)
	}
	a := netip.MustParseAddr("10.0.0.0")
	for range 4 * rateSlots {
		a = a.Next()
		if !b.take(a, now.Add(time.Second)) {
			t.Fatal("the first query of a client was held back")
		}
	}
	if len(b.slots) != rateSlots {
		t.Errorf("%d slots, want %d", len(b.slots), rateSlots)
	}
}

func TestLimitsDoNotAlloc(t *testing.T) {
	l := newRateLimits(RateLimitConfig{ResponsesPerSecond: 100, ClientQueriesPerSecond: 100, IPv4Prefix: 24, IPv6Prefix: 56})
	j := newCookieJar(time.Now())
	client, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	var buf, option [cookieLen]byte
	if n := testing.AllocsPerRun(1000, func() {
		l.judge(client, true, false, now)
		j.check(buf[:0], option[:], client, now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
