package resolver_test

import (
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// leftToNetHTTP are what the HTTP/2 server of Go does not do, and no handler can:
// it closes a connection with the same setting twice, and answers 400 to what it
// should reset.
var leftToNetHTTP = []string{
	"Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
	"Sends a HEADERS frame that contains the connection-specific header field",
	`Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`,
}

// h2spec, a test suite for RFC 9113 and RFC 7541, finds nothing that is ours.
func TestH2Spec(t *testing.T) {
	h2spec, err := exec.LookPath("h2spec")
	if err != nil {
		t.Skip("h2spec is not there: go install github.com/summerwind/h2spec/cmd/h2spec")
	}
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	host, port, _ := net.SplitHostPort(s.resolver.AddrsHTTPS()[0])
	// A question for www.example, so that there is an answer to look at.
	const path = "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE"
	out, _ := exec.CommandContext(t.Context(), h2spec, "-h", host, "-p", port, "-t", "-k", "-o", "10", "--path", path).CombinedOutput()
	_, failures, _ := strings.Cut(string(out), "Failures:")
	if !strings.Contains(string(out), "145 tests, ") {
		t.Fatalf("h2spec did not run its tests:\n%s", out)
	}
	for _, m := range regexp.MustCompile(`× \d+: (.*)`).FindAllStringSubmatch(failures, -1) {
		if !slices.Contains(leftToNetHTTP, m[1]) {
			t.Errorf("fails: %s", m[1])
		}
	}
	if t.Failed() {
		t.Log(failures)
	}
}
