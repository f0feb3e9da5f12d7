package resolver

import (
	"fmt"

	"github.com/weirdns/weir/internal/dnsname"
)

// reverseZones are the reverse zones of addresses that mean nothing outside one
// network: whoever forwards a question about them tells a stranger what is in
// this one, and the public DNS only has NXDOMAIN for it. RFC 6303, section 4,
// and RFC 7793 for the addresses of carrier grade NAT.
func reverseZones() (zones []string) {
	zones = []string{
		"10.in-addr.arpa", "168.192.in-addr.arpa", // RFC 1918, and 172.16/12 below
		"0.in-addr.arpa", "127.in-addr.arpa", "254.169.in-addr.arpa",
		"2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa", // examples
		"255.255.255.255.in-addr.arpa",
		dnsZeroes(32, "ip6.arpa"), "1." + dnsZeroes(31, "ip6.arpa"), // :: and ::1
		"d.f.ip6.arpa",                                                         // fd00::/8
		"8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa", // fe80::/10
		"8.b.d.0.1.0.0.2.ip6.arpa", // examples
	}
	for i := 16; i < 32; i++ {
		zones = append(zones, fmt.Sprintf("%d.172.in-addr.arpa", i))
	}
	for i := 64; i < 128; i++ {
		zones = append(zones, fmt.Sprintf("%d.100.in-addr.arpa", i))
	}
	return zones
}

// dnsZeroes is n labels 0 in front of zone.
func dnsZeroes(n int, zone string) string {
	for range n {
		zone = "0." + zone
	}
	return zone
}

// loopbackNames are the reverse names of 127.0.0.1 and ::1, which have a name.
func loopbackNames() []string {
	return []string{"1.0.0.127.in-addr.arpa", "1." + dnsZeroes(31, "ip6.arpa")}
}

var localhost = dnsname.MustParse("localhost")
