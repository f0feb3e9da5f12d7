package main

import (
	"slices"
	"testing"
)

// What a reload reads must be readable in the sandbox, too.
func TestSandboxLeavesThePopularityFiles(t *testing.T) {
	cfg, err := loadConfig(writeFile(t, t.TempDir()+"/weir.yaml", `detect:
  popularity:
    files: [tranco 2026-04-01 /srv/lists/tranco.csv, umbrella 2026-07-24 /srv/lists/umbrella 2.csv]
`))
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.paths("").Read
	for _, want := range []string{"/srv/lists/tranco.csv", "/srv/lists/umbrella 2.csv"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
}
