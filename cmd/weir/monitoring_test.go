package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// metricName finds weir's metrics in expressions and in code.
var metricName = regexp.MustCompile(`\bweir_[a-z0-9_]+\b`)

// Every metric that the rules and the dashboard ask for is one that weir has.
func TestRulesAndDashboardAskForMetricsThatThereAre(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range metricName.FindAllString(string(text), -1) {
			there[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(there) < 80 {
		t.Fatalf("%d metrics in the code, want 80 at least: is this the module?", len(there))
	}
	for file, least := range map[string]int{"../../configs/prometheus/weir.rules.yml": 15, "../../configs/grafana/weir.json": 25} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]bool{}
		for _, name := range metricName.FindAllString(string(text), -1) {
			for _, part := range []string{"_bucket", "_sum", "_count"} { // of histograms
				if base := strings.TrimSuffix(name, part); there[base] {
					name = base
				}
			}
			asked[name] = true
			if !there[name] {
				t.Errorf("%s asks for %s, which weir does not have", file, name)
			}
		}
		if len(asked) < least {
			t.Errorf("%s asks for %d metrics, want %d at least", file, len(asked), least)
		}
	}
}

func TestTheDashboardIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../configs/grafana/weir.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil || board.UID != "weir" {
		t.Fatalf("%v, uid %q", err, board.UID)
	}
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		seen[p.ID] = true
	}
}

// The rules, and each expression of the dashboard, are what Prometheus reads.
func TestPrometheusReadsTheRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not there (Debian: prometheus)")
	}
	if out, err := exec.Command(promtool, "check", "rules", "../../configs/prometheus/weir.rules.yml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile("../../configs/grafana/weir.json")
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, m := range regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllStringSubmatch(string(text), -1) {
		expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(m[1])
		fmt.Fprintf(&rules, "  - {record: x, expr: %s, labels: {n: \"%d\"}}\n", expr, i)
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "dashboard.yml"), rules.String())
	if out, err := exec.Command(promtool, "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
