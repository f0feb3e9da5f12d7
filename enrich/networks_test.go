package enrich

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func lookUp(n *networks, addr string) string {
	a := netip.MustParseAddr(addr)
	return n.of(netip.PrefixFrom(a, a.BitLen()))
}

func TestTheSmallestNetworkThatHoldsAnAddressNamesIt(t *testing.T) {
	n, err := readNetworks(strings.NewReader("\xef\xbb\xbfip,description\r\n\n# comment\n" +
		"192.0.2.16-192.0.2.31,desks\r\n192.0.2.16,printer\n 192.0.2.0/24 ,\"lab, \"\"two\"\"\"\n192.0.2.64,192.0.2.70,meeting rooms\n" +
		"0.0.0.0/0,world\n2001:db8::/32,six\n2001:db8::5-2001:db8::9,few\n::ffff:198.51.100.0/120,mapped\n192.0.2.60-192.0.2.80,around\n"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"192.0.2.16": "printer", "192.0.2.17": "desks", "192.0.2.31": "desks", "192.0.2.32": `lab, "two"`, "192.0.2.15": `lab, "two"`,
		"192.0.2.64": "meeting rooms", "192.0.2.70": "meeting rooms", "192.0.2.71": "around", "192.0.2.63": "around", "203.0.113.1": "world",
		"2001:db8::5": "few", "2001:db8::9": "few", "2001:db8::a": "six", "2001:db9::": "", "198.51.100.9": "mapped",
	} {
		if got := lookUp(n, addr); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}

func TestEachBadLineIsNamed(t *testing.T) {
	_, err := readNetworks(strings.NewReader("10.0.0.0/8,a\nten,b\n10.0.0.0/8,again\n10.0.0.300,c\n10.0.0.1\n10.0.0.2,\n" +
		"10.0.0.9-10.0.0.3,back\n10.0.0.1-::1,mixed\n10.0.0.1,d,e,f\n10.0.0.4,\"open\n10.0.0.5,\x1b[0m\nfe80::1%eth0,zone\n10.0.0.6," + strings.Repeat("x", 300) + "\n"))
	for _, want := range []string{
		`line 2: must begin with an address, a range or a network, got "ten"`, "line 3: named already in line 1", "line 4: ", "line 5: ", "line 6: the name is empty",
		"line 7: the range ends before it begins", "line 8: ", "line 9: must have 2 columns", "line 10: ", "line 11: the name must be printable", "line 12: ", "line 13: the name has 300 octets",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q in it", err, want)
		}
	}
}

func TestAFileWithoutEndIsNotReadWithoutEnd(t *testing.T) {
	if _, err := readNetworks(strings.NewReader(strings.Repeat("10.0.0.300,x\n", 1000))); err == nil || strings.Count(err.Error(), "\n") > maxNetworkErrors {
		t.Errorf("1000 bad lines: %d lines of error", strings.Count(fmt.Sprint(err), "\n"))
	}
	if _, err := readNetworks(strings.NewReader("10.0.0.1," + strings.Repeat("x", 1<<20))); err == nil || !strings.Contains(err.Error(), "line 1: ") {
		t.Errorf("a line of 1 MiB: %v", err)
	}
}

// The prefixes of a range are exactly its addresses, by trying each of them.
func TestARangeIsItsPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	base := netip.MustParseAddr("192.0.2.0")
	for range 200 {
		a, b := r.IntN(256), r.IntN(256)
		first, last := step(base, min(a, b)), step(base, max(a, b))
		var got []netip.Prefix
		for p := range prefixes(first, last) {
			got = append(got, p)
		}
		if len(got) > 16 {
			t.Errorf("%v to %v takes %d prefixes, want 16 at most", first, last, len(got))
		}
		for i := range 256 {
			addr := step(base, i)
			in := slices.ContainsFunc(got, func(p netip.Prefix) bool { return p.Contains(addr) })
			if want := !addr.Less(first) && !last.Less(addr); in != want {
				t.Fatalf("%v in %v to %v: got %v, want %v", addr, first, last, in, want)
			}
		}
	}
	for _, whole := range []string{"0.0.0.0/0", "::/0"} {
		p := netip.MustParsePrefix(whole)
		if got := slices.Collect(prefixes(p.Addr(), lastOf(p))); !slices.Equal(got, []netip.Prefix{p}) {
			t.Errorf("%s: got %v", whole, got)
		}
	}
}

func step(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

func FuzzNetworks(f *testing.F) {
	f.Add("10.0.0.0/8,a\n10.0.0.1-10.0.0.9,b\n::1,c\n10.0.0.1,10.0.0.9,d\n\"q\",x\n")
	f.Add("0.0.0.1-255.255.255.254,a\n::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe,b\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := readNetworks(strings.NewReader(text))
		if err == nil && n == nil {
			t.Error("neither networks nor an error")
		}
		if err != nil && !strings.Contains(err.Error(), "line ") {
			t.Errorf("%v names no line", err)
		}
	})
}
