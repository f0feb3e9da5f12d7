package behaviour

import (
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// harmlessDomains speak in names for a living: what they are asked tells much,
// and that is their purpose. They may say more than others, but not anything:
// who owns one of their customers' names, or can answer for them, could tunnel
// there. From the services' own pages and logs of DNS servers.
const harmlessDomains = `
	spamhaus.org spamhaus.net spamcop.net surbl.org uribl.com barracudacentral.org sorbs.net dnswl.org
	mailspike.net mailspike.org njabl.org uceprotect.net manitu.net spameatingmonkey.net senderscore.com abuse.ch abuseat.org support-intelligence.net team-cymru.com
	team-cymru.org sophosxl.net sophosxl.com mcafee.com trendmicro.com eset.com e5.sk bitdefender.net
	avast.com avg.com kaspersky-labs.com kaspersky.com fortinet.com fortiguard.net fortiguard.com symantec.com
	webrootcloudav.com cnr.io webcfs07.com brightcloud.com cyren.com spotify.com
	akamaiedge.net akamai.net akadns.net akamaihd.net edgekey.net edgesuite.net akstat.io
	footprintdns.com msedge.net azurefd.net trafficmanager.net
	nessus.org ntp.org netflix.com nflxvideo.net googlevideo.com 1e100.net ip6.arpa in-addr.arpa`

func harmlessNames() map[string]bool {
	names := map[string]bool{}
	for _, s := range strings.Fields(harmlessDomains) {
		names[string(dnsname.MustParse(s))] = true
	}
	return names
}

func parseDomain(s string) (dnsname.Name, error) { return dnsname.ParseHost(s) }

// setHarmless takes the built-in domains and those of the configuration.
func (w *Watcher) setHarmless() {
	w.harmless = harmlessNames()
	for _, s := range w.cfg.Tunnels.Harmless {
		if n, err := parseDomain(s); err == nil {
			w.harmless[string(n)] = true
		}
	}
}

// isHarmless says whether a registered domain, or one above it, is of those. A
// reverse zone is: its names are addresses.
func (w *Watcher) isHarmless(registered dnsname.Name) bool {
	for n := registered; len(n) > 1; n = n.Parent() {
		if w.harmless[string(n)] {
			return true
		}
	}
	return registered.Within(arpa)
}

var arpa = dnsname.MustParse("arpa")
