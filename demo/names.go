package demo

import (
	"slices"
	"strings"
)

// sites that people visit, the busiest first.
var sites = []string{
	"wikipedia.org", "github.com", "debian.org", "mozilla.org", "openstreetmap.org", "python.org", "stackoverflow.com", "kernel.org",
	"archive.org", "w3.org", "ietf.org", "golang.org", "gnome.org", "kde.org", "libreoffice.org", "videolan.org", "gutenberg.org", "arxiv.org",
	"nlnetlabs.nl", "isc.org", "letsencrypt.org", "eff.org", "gnu.org", "apache.org", "postgresql.org", "sqlite.org", "rust-lang.org", "mit.edu",
	"cern.ch", "nasa.gov", "esa.int", "bbc.co.uk", "lwn.net", "jquery.com", "nginx.org", "ubuntu.com", "fedoraproject.org", "blender.org",
}

// edges are where sites keep what is large.
var edges = []string{"cdn-edge.net", "fastdelivery.net", "imagehost.com"}

// Words that names of small shops and clubs are made of.
var (
	firstWords  = strings.Fields("garden river stone green blue silver golden little happy sunny city village harbor mountain forest family royal modern classic quiet bright fresh local north south early open wild simple grand")
	secondWords = strings.Fields("house market kitchen books music travel design flowers coffee bakery bikes school dental legal sports gallery studio theatre clinic tools paper farm hotel pizza shoes yoga camera boats toys gifts lamps wines honey cycles fabrics pottery guitars horses recipes trains movies garage stories")
)

// plainCount is how many plain names there are.
var plainCount = len(firstWords) * len(secondWords)

// plain is the label of the nth small site.
func plain(n int) string {
	return firstWords[n%len(firstWords)] + secondWords[n/len(firstWords)%len(secondWords)]
}

// Generated is the nth name that the malware of this story makes, by a generator
// as many have it: letters of a linear congruential sequence.
func Generated(n int) string {
	state := uint64(n)*2862933555777941757 + 0x5eed
	next := func(below uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 33 % below
	}
	label := make([]byte, 12+next(6))
	for i := range label {
		label[i] = byte('a' + next(26))
	}
	return string(label) + [...]string{".info", ".biz", ".net", ".top"}[next(4)]
}

// met says whether the nth generated name is one that somebody has registered,
// to tell the infected client what to do.
func met(n int) bool { return n%24 == 17 }

// exists says whether a registered domain does. Of generated names it knows as
// many as a long demo comes to.
type domains struct{ known map[string]bool }

// maxGenerated bounds the generated names that the upstream knows.
const maxGenerated = 24 * 2000

func newDomains() domains {
	d := domains{map[string]bool{}}
	for _, name := range slices.Concat(sites, edges, []string{Squat, "weirdemo-relay.net", "weirdemo-payload.net"}) {
		d.known[name] = true
	}
	for n := range plainCount {
		d.known[plain(n)+".com"] = true
	}
	for n := range maxGenerated {
		if met(n) {
			d.known[Generated(n)] = true
		}
	}
	return d
}
