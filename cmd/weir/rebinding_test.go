package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/weirdns/weir/detect"
)

// Private addresses for public names are refused where nobody's own names can be
// hidden by it, and else watched.
func TestRebindingIsRefusedWhereNoNameOfOursIsLost(t *testing.T) {
	for _, tt := range []struct {
		what, file string
		want       string
	}{
		{"the user chose servers outside", "resolver: {upstream: {servers: [192.0.2.53, 127.0.0.1:5335]}}", detect.ModeEnforce},
		{"one is of the local network", "resolver: {upstream: {servers: [192.0.2.53, 192.168.1.1]}}", detect.ModeMonitor},
		{"the file chooses none", "{}", detect.ModeMonitor},
		{"told so", "{resolver: {upstream: {servers: [192.168.1.1]}}, detect: {answers: {rebinding: enforce}}}", detect.ModeEnforce},
		{"told not to", "{resolver: {upstream: {servers: [192.0.2.53]}}, detect: {answers: {rebinding: monitor}}}", detect.ModeMonitor},
	} {
		cfg, err := loadConfig(writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), tt.file))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.judging().Answers.Rebinding; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
}

func TestZonesWithServersOfTheirOwnMayPointInside(t *testing.T) {
	cfg, err := loadConfig(writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `resolver:
  upstream:
    servers: [192.0.2.53]
    zones: [{zones: [corp.example.org], servers: [10.0.0.53]}, {disabled: true, zones: [old.example.org], servers: [10.0.0.53]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.judging().Answers
	if got.Rebinding != detect.ModeEnforce || !slices.Contains(got.RebindingAllow, "corp.example.org") || slices.Contains(got.RebindingAllow, "old.example.org") {
		t.Errorf("%s but for %v, want it enforced but for corp.example.org", got.Rebinding, got.RebindingAllow)
	}
	if slices.Contains(cfg.Detect.Answers.RebindingAllow, "corp.example.org") {
		t.Error("the configuration itself was changed")
	}
}
