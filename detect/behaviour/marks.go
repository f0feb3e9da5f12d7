package behaviour

import (
	"strings"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// dynamicZones are zones in which anybody gets a name for an address that
// changes, from their providers' own pages. Below them a registered domain is a
// stranger's.
const dynamicZones = `
	duckdns.org ddns.net no-ip.org no-ip.com no-ip.biz no-ip.info noip.me hopto.org zapto.org sytes.net myftp.org myftp.biz
	myvnc.com serveftp.com servegame.com servehttp.com redirectme.net bounceme.net webhop.me gotdns.ch
	dyndns.org dyndns.biz dyndns.info dyndns.tv dyndns.ws homeip.net homelinux.org dnsalias.com dnsalias.org is-a-geek.com
	dynu.net ddnsfree.com freeddns.org mywire.org giize.com casacam.net accesscam.org camdvr.org kozow.com loseyourip.com
	theworkpc.com ooguy.com gleeze.com mooo.com chickenkiller.com crabdance.com ignorelist.com jumpingcrab.com strangled.net
	twilightparadox.com us.to uk.to changeip.com 3utilities.com ddns.me dynv6.net v6.rocks dns.army dns.navy nsupdate.info
	spdns.de spdns.org selfhost.de selfhost.eu dyn.ddnss.de ddnss.de myfritz.net synology.me diskstation.me
	myqnapcloud.com quickconnect.to asuscomm.com tplinkdns.com afraid.org now-dns.net yi.org dynserv.com`

// parkingZones are where names of parking services point: their name servers and
// targets of aliases.
const parkingZones = `
	sedoparking.com parkingcrew.net bodis.com above.com parklogic.com voodoo.com uniregistrymarket.link
	cashparking.com parkingspa.com domainparking.ru namebrightdns.com dan.com undeveloped.com hugedomains.com afternic.com
	smartname.com fastpark.net skenzo.com trafficz.com rookdns.com dopa.com parkpage.foundationapi.com`

var (
	dynamicSet = wireSet(dynamicZones)
	parkingSet = wireSet(parkingZones)
)

func wireSet(names string) map[string]bool {
	set := map[string]bool{}
	for _, s := range strings.Fields(names) {
		set[string(dnsname.MustParse(s))] = true
	}
	return set
}

// isDynamic says whether a name stands below a zone of dynamic DNS.
func isDynamic(n dnsname.Name) bool { return len(n) > 1 && belowAny(n.Parent(), dynamicSet) }

func isParking(n dnsname.Name) bool { return belowAny(n, parkingSet) }

func belowAny(n dnsname.Name, set map[string]bool) bool {
	for ; len(n) > 1; n = n.Parent() {
		if set[string(n)] {
			return true
		}
	}
	return false
}

// marks is what says nothing of the event's domain by itself, as one fact, or none.
func (e *event) marks() []detect.Fact {
	var marks []string
	if e.registered != nil && isDynamic(e.registered) {
		marks = append(marks, "dynamic_dns")
	}
	if e.parked() {
		marks = append(marks, "parked")
	}
	if marks == nil {
		return nil
	}
	return []detect.Fact{{Key: "mark", Value: strings.Join(marks, " ")}}
}
