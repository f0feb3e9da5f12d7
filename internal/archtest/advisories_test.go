package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	advisory = regexp.MustCompile(`(?i)cve-20\d\d-\d+`)
	heldBy   = regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9]+)`")
)

// Every advisory has a scenario named after it, or stands in docs/advisories.md
// with tests that exist.
func TestAdvisoriesAreHeldByTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/advisories.md")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		ids := advisory.FindAllString(line, -1)
		if !strings.HasPrefix(line, "| ") || len(ids) == 0 {
			continue
		}
		tests := heldBy.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("%s: held by no test", ids)
		}
		for _, test := range tests {
			if !hasTest(t, test[1], test[2]) {
				t.Errorf("%s: %s has no %s", ids, test[1], test[2])
			}
		}
		for _, id := range ids {
			held[strings.ToLower(id)] = true
		}
	}
	files, err := filepath.Glob("../../testdata/scenario/cve-*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		story, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// A story that is true of several names them all.
		for _, id := range append(advisory.FindAllString(string(story), -1), advisory.FindString(filepath.Base(file))) {
			held[strings.ToLower(id)] = true
		}
	}
	if len(held) < 80 {
		t.Errorf("%d advisories are held by a test, want at least 80", len(held))
	}
}

// hasTest looks for a test in the sources of a package.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
