package capture

// Public servers of DNS over HTTPS, as their operators publish them. Both lists
// are short and known to be: a site adds its own.
const (
	knownDoHNames = `
		dns.google dns.google.com cloudflare-dns.com one.one.one.one dns.quad9.net dns9.quad9.net dns10.quad9.net dns11.quad9.net
		doh.opendns.com doh.familyshield.opendns.com doh.umbrella.com doh.cleanbrowsing.org dns.adguard.com dns.adguard-dns.com
		family.adguard-dns.com unfiltered.adguard-dns.com dns-family.adguard.com dns-unfiltered.adguard.com dns.nextdns.io
		dns.mullvad.net adblock.dns.mullvad.net doh.mullvad.net doh.dns.sb dns.sb doh.libredns.gr dns.controld.com freedns.controld.com
		dns.switch.ch dns0.eu zero.dns0.eu kids.dns0.eu ordns.he.net doh.xfinity.com dns.alidns.com doh.pub dot.pub doh.360.cn
		dns.twnic.tw public.dns.iij.jp doh.dns.apple.com mask.icloud.com mask-h2.icloud.com doh.applied-privacy.net dns.digitale-gesellschaft.ch
		dnsforge.de doh.ffmuc.net wikimedia-dns.org dns.njal.la`
	knownDoHAddresses = `
		1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 8.8.8.8 8.8.4.4 9.9.9.9 149.112.112.112 9.9.9.10 149.112.112.10 9.9.9.11 149.112.112.11
		208.67.222.222 208.67.220.220 208.67.222.123 208.67.220.123 94.140.14.14 94.140.15.15 94.140.14.140 94.140.14.141 94.140.14.15 94.140.15.16
		185.228.168.9 185.228.169.9 185.228.168.168 223.5.5.5 223.6.6.6 119.29.29.29 1.12.12.12 120.53.53.53 194.242.2.2 76.76.2.0 76.76.10.0
		2606:4700:4700::1111 2606:4700:4700::1001 2606:4700:4700::1112 2606:4700:4700::1113 2001:4860:4860::8888 2001:4860:4860::8844
		2620:fe::fe 2620:fe::9 2620:fe::10 2620:fe::11 2620:119:35::35 2620:119:53::53 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff 2400:3200::1 2400:3200:baba::1`
)
