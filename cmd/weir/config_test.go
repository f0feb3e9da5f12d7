package main

import (
	"github.com/weirdns/weir/internal/dnstest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What weir defaults prints is what weir does without a file, and it names
// every setting there is.
func TestDefaultsFileIsTheDefaults(t *testing.T) {
	got := defaultConfig()
	doc := decodeYAML("defaults.yaml", defaultsYAML, &got)
	for _, err := range doc.errs {
		t.Error(err)
	}
	want := defaultConfig()
	// The example list shows the settings of a list; there is none by default.
	if len(got.Lists) != 1 || !got.Lists[0].Disabled {
		t.Errorf("lists = %+v, want one disabled example", got.Lists)
	}
	got.Lists = nil
	// So do those of a group and a schedule.
	if len(got.Detect.Groups) != 1 || !got.Detect.Groups[0].Disabled || len(got.Detect.Schedules) != 1 {
		t.Errorf("groups = %+v, schedules = %+v; want one disabled example group, and one schedule", got.Detect.Groups, got.Detect.Schedules)
	}
	got.Detect.Groups, got.Detect.Schedules = nil, nil
	if m := got.Detect.Behaviour.Mute; len(m) != 1 || m[0].Until != "2020-01-01" {
		t.Errorf("detect.behaviour.mute = %+v, want one that is long over", m)
	}
	got.Detect.Behaviour.Mute = nil
	// So does the example of an upstream's name, which nothing refers to.
	if len(got.Resolver.Upstream.Hosts) != 1 {
		t.Errorf("resolver.upstream.hosts = %+v, want one example", got.Resolver.Upstream.Hosts)
	}
	if z := got.Resolver.Upstream.Zones; len(z) != 1 || !z[0].Disabled {
		t.Errorf("resolver.upstream.zones = %+v, want one disabled example", z)
	}
	got.Resolver.Upstream.Hosts, got.Resolver.Upstream.Zones = nil, nil
	// So do those of the outlets.
	for _, o := range got.Outlets.all() {
		if !o.common.Disabled {
			t.Errorf("%s is not disabled", o.at)
		}
	}
	got.Outlets = outletsConfig{}
	// So do those of reputations.
	for _, l := range got.Reputation.Lists {
		if !l.Disabled {
			t.Errorf("reputation.lists: %s is not disabled", l.List)
		}
	}
	for _, h := range got.Reputation.HTTP {
		if !h.Disabled {
			t.Errorf("reputation.http: %s is not disabled", h.Name)
		}
	}
	got.Reputation = reputationConfig{}
	// So do those of a rule and a receiver of alerts.
	if a := got.Alerts; len(a.Rules) != 1 || !a.Rules[0].Disabled || len(a.Receivers) != 1 || !a.Receivers[0].Disabled {
		t.Errorf("alerts = %+v, want one disabled example of a rule and of a receiver", a)
	}
	got.Alerts.Rules, got.Alerts.Receivers = nil, nil
	clearEmpty(reflect.ValueOf(&got).Elem())
	clearEmpty(reflect.ValueOf(&want).Elem())
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults.yaml says\n%+v\nthe code says\n%+v", got, want)
	}
	for _, path := range settings(reflect.TypeFor[config](), "") {
		if _, ok := doc.lines[path]; !ok {
			t.Errorf("defaults.yaml does not name %s", path)
		}
	}
}

// clearEmpty makes empty slices nil: a file cannot tell the two apart.
func clearEmpty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clearEmpty(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
		}
	}
}

// settings are the paths of all settings of a type.
func settings(t reflect.Type, prefix string) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			out = append(out, settings(f.Type, prefix)...)
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			out = append(out, settings(f.Type, prefix+name+".")...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			out = append(out, settings(f.Type.Elem(), prefix+name+"[0].")...)
		default:
			out = append(out, prefix+name)
		}
	}
	return out
}

func TestExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d examples (%v), want at least 4", len(files), err)
	}
	for _, file := range files {
		t.Setenv("STATE_DIRECTORY", t.TempDir())
		cfg, err := loadConfig(file)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		cfg.StateDir = t.TempDir()
		if tls := &cfg.Resolver.TLS; tls.CertFile != "" { // is on the reader's machine
			id := dnstest.NewIdentity(t, "dns.example")
			tls.CertFile, tls.KeyFile = id.CertFile, id.KeyFile
		}
		if err := rehearse(cfg); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The ConfigMap of the Kubernetes example is the example beside it.
func TestKubernetesExampleCarriesTheSidecarConfiguration(t *testing.T) {
	data, err := os.ReadFile("../../configs/kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cm struct {
		Kind string
		Data map[string]string
	}
	if err := yaml.NewDecoder(strings.NewReader(string(data))).Decode(&cm); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../configs/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cm.Kind != "ConfigMap" || cm.Data["weir.yaml"] != string(want) {
		t.Errorf("%s with\n%s\nwant a ConfigMap with configs/sidecar.yaml", cm.Kind, cm.Data["weir.yaml"])
	}
}

func TestSystemResolversLeavesOutOurselves(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "resolv.conf"), "# x\nsearch a.example\nnameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:5\n")
	got, err := systemResolvers(file, []string{"127.0.0.1:53"})
	want := []string{"192.0.2.1:53", "[fe80::1%eth0]:53"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("systemResolvers = %q, %v; want %q", got, err, want)
	}
	if got, err := systemResolvers(file, []string{"0.0.0.0:53", "[::]:53"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("listening everywhere: systemResolvers = %q, %v; want %q", got, err, want)
	}
	if got, err := systemResolvers(file, []string{"127.0.0.1:53", "192.0.2.1:53", "[fe80::1%eth0]:53"}); err == nil {
		t.Errorf("systemResolvers = %q; want an error when only weir itself is left", got)
	}
}

// What list_defaults says holds for each URL that says nothing itself, and a
// list that would need this very weir to find its feed is warned of.
func TestFeedsAreNotResolvedThroughOurselves(t *testing.T) {
	load := func(defaults string) *config {
		t.Helper()
		cfg, err := loadConfig(writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), defaults+`
resolver:
  listen: ["0.0.0.0:53"]
lists:
  - {name: plain, url: https://a.example/x}
  - {name: own, url: https://b.example/x, bootstrap: [192.0.2.2]}
  - {name: fixed, url: https://c.example/x, addresses: [198.51.100.1], allow_private: true}
  - {name: number, url: https://8.8.8.8/x}
  - {name: proxied, url: https://d.example/x, proxy: "http://proxy.example:3128"}
  - {name: off, url: https://e.example/x, disabled: true}
  - {name: inline, inline: [f.example]}
`))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	resolv := func(server string) string {
		return writeFile(t, filepath.Join(t.TempDir(), "resolv.conf"), "nameserver "+server+"\n")
	}
	cfg := load("")
	warnings := cfg.feedsThroughUs(resolv("127.0.0.1"))
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "weir.yaml:5: lists[0].url: ") || !strings.Contains(warnings[0].Error(), "127.0.0.1:53") {
		t.Errorf("warnings = %q, want one of the first list, with its line", warnings)
	}
	if w := cfg.feedsThroughUs(resolv("192.0.2.1")); len(w) != 0 {
		t.Errorf("with another resolver: %q", w)
	}
	if w := cfg.feedsThroughUs("/nonexistent"); len(w) != 0 {
		t.Errorf("without a resolv.conf: %q", w)
	}
	cfg = load("list_defaults: {bootstrap: [192.0.2.9]}")
	if w := cfg.feedsThroughUs(resolv("127.0.0.1")); len(w) != 0 {
		t.Errorf("with list_defaults.bootstrap: %q", w)
	}
	for i, want := range [][]string{{"192.0.2.9"}, {"192.0.2.2"}, {"192.0.2.9"}, {"192.0.2.9"}, nil, {"192.0.2.9"}, nil} {
		if got := cfg.sources()[i].Bootstrap; !reflect.DeepEqual(got, want) {
			t.Errorf("list %s: bootstrap = %q, want %q", cfg.Lists[i].Name, got, want)
		}
	}
	_, err := loadConfig(writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "list_defaults: {bootstrap: [dns.example]}\n"))
	if err == nil || !strings.Contains(err.Error(), "weir.yaml:1: list_defaults.bootstrap[0]: want IP or IP:port") {
		t.Errorf("a name as a bootstrap resolver: %v", err)
	}
}
