package main

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The description has every operation of a running weir and no other; whoever
// writes a program by it finds what there is.
func TestOpenAPIHasEveryOperation(t *testing.T) {
	conf := writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), `
resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}
admin: {listen: "127.0.0.1:0"}
`)
	p := startWeir(t, "-c", conf, "--state", t.TempDir())
	v := visit(t, p)
	var state dashboardState
	v.get("api/v1/dashboard", &state)
	there := map[string]bool{"POST /api/v1/dashboard/link": true, "POST /api/v1/login": true, "POST /api/v1/logout": true} // not for browsers, and of the door itself
	for _, o := range state.Operations {
		there[strings.Replace(o, "{what...}", "{what}", 1)] = true
	}
	resp, err := v.http.Get(v.base + "api/v1/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	var doc struct {
		Paths      map[string]map[string]yaml.Node
		Components map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	methods, ids := []string{"get", "post", "delete", "put"}, map[string]string{}
	for path, item := range doc.Paths {
		for method, node := range item {
			if !slices.Contains(methods, method) {
				continue
			}
			operation := strings.ToUpper(method) + " " + path
			if !there[operation] {
				t.Errorf("%s is described, and not there", operation)
			}
			delete(there, operation)
			var o struct {
				Summary   string
				ID        string `yaml:"operationId"`
				Responses map[string]yaml.Node
			}
			if err := node.Decode(&o); err != nil {
				t.Errorf("%s: %v", operation, err)
			}
			if o.Summary == "" || o.ID == "" || ids[o.ID] != "" || len(o.Responses) == 0 {
				t.Errorf("%s: summary %q, id %q (also of %q), %d responses", operation, o.Summary, o.ID, ids[o.ID], len(o.Responses))
			}
			ids[o.ID] = operation
		}
	}
	for operation := range there {
		t.Errorf("%s is not described", operation)
	}
	for _, ref := range strings.Split(string(text), `$ref: "#/components/`)[1:] {
		kind, name, _ := strings.Cut(ref[:strings.Index(ref, `"`)], "/")
		if _, ok := doc.Components[kind][name]; !ok {
			t.Errorf("there is no component %s/%s", kind, name)
		}
	}
}
