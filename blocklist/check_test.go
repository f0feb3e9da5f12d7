package blocklist_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
)

func TestCheckSaysWhichLineAndWhy(t *testing.T) {
	source := "good.example\n\n# fine\n10.0.0.1\r\n" + strings.Repeat("x", 9000) + "\n co.uk \n" + strings.Repeat("good.example\n", 20) + "last line"
	var got []string
	report, err := blocklist.Check(strings.NewReader(source), &blocklist.Config{}, func(l blocklist.RefusedLine) {
		got = append(got, fmt.Sprintf("%d %s %d %.9s", l.Number, l.Reason, len(l.Text), l.Text))
	})
	want := []string{"4 private_address 8 10.0.0.1", "5 long_line 120 xxxxxxxxx", "6 public_suffix 5 co.uk", "27 not_a_name 9 last line"}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, refused lines %q, want %q", err, got, want)
	}
	if report.Lines != 27 || report.Entries != 1 || report.Rejected.Total() != 4 {
		t.Errorf("%+v, want 27 lines, 1 name and 4 refused", report)
	}
}

func TestCheckRefusesWhatAListWouldRefuse(t *testing.T) {
	for source, want := range map[string]string{
		"<html>":                      "line 1: a web page, not a list",
		"a.example\nx y\n":            "line 2: not an entry of format domains, and 1 of 2 items are like it",
		"a.example\n\x00":             "line 2: binary data",
		"\x1f\x8b\x08 and not a gzip": "gzip",
	} {
		_, err := blocklist.Check(strings.NewReader(source), &blocklist.Config{}, func(blocklist.RefusedLine) {})
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, "gzip")) {
			t.Errorf("%q: error %v, want %s", source, err, want)
		}
	}
	tight := blocklist.Config{MaxBytes: 1024}
	if _, err := blocklist.Check(strings.NewReader(strings.Repeat("a.example\n", 200)), &tight, func(blocklist.RefusedLine) {}); err == nil {
		t.Error("a source of 2000 octets passed max_bytes 1024")
	}
}

// That an address is one too many shows only when the whole list is read.
func TestCheckNamesTheLinesOfAddressesThatAreTooMany(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("$ORIGIN z.example.\n")
	for i := range 10 {
		fmt.Fprintf(&zone, "bad.example A 192.0.2.%d\nok%d.example A 192.0.2.%d\n32.1.2.0.192.rpz-ip A 198.51.100.%d\n", i+1, i, i+1, i+1)
	}
	var got []string
	report, err := blocklist.Check(strings.NewReader(zone.String()), &blocklist.Config{Format: blocklist.FormatRPZ}, func(l blocklist.RefusedLine) {
		got = append(got, fmt.Sprintf("%d %s %s", l.Number, l.Reason, l.Text))
	})
	slices.Sort(got)
	want := []string{
		"26 too_many_addresses bad.example A 192.0.2.9", "28 too_many_addresses 32.1.2.0.192.rpz-ip A 198.51.100.9",
		"29 too_many_addresses bad.example A 192.0.2.10", "31 too_many_addresses 32.1.2.0.192.rpz-ip A 198.51.100.10",
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || report.Rejected[blocklist.TooManyAddresses] != len(want) {
		t.Errorf("%v, %d refused, lines %q, want %q", err, report.Rejected[blocklist.TooManyAddresses], got, want)
	}
}
