package pdns_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/pdns"
	"go.yaml.in/yaml/v3"
)

func TestDefaultConfigIsValidAndReadsBackFromYAML(t *testing.T) {
	want := pdns.DefaultConfig()
	if err := want.Validate(); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got pdns.Config
	if err := yaml.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s\nread back as %+v, %v", text, got, err)
	}
	if !strings.Contains(string(text), "flush_interval: 1m0s") {
		t.Errorf("config text:\n%s", text)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	var c pdns.Config
	c.COF.Enabled, c.COF.RotateBytes, c.COF.MaxBytes = true, 2<<20, 3<<20
	err := c.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, want := range []string{
		"cof.flush_interval: must be at least 1s, got 0s", "cof.memory_bytes: must be at least 1048576, got 0",
		"cof.queue_bytes: ", "cof.max_bytes: must be at least twice rotate_bytes, 4194304, got 3145728", "cof.max_age: must be at least 1h0m0s, got 0s",
		"transactions.queue_bytes: ", "transactions.rotate_bytes: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "cof.rotate_bytes") {
		t.Errorf("complains of a good field:\n%v", err)
	}
}
