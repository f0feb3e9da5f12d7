package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A start that fails costs nothing of what the last run wrote, and leaves no empty
// files; one that works begins its files anew.
func TestStartThatFailsKeepsOutputs(t *testing.T) {
	dir := t.TempDir()
	kept, made := filepath.Join(dir, "kept.jsonl"), filepath.Join(dir, "made.jsonl")
	text := writeFile(t, filepath.Join(dir, "text.pcap"), strings.Repeat("no capture\n", 100))
	for name, args := range map[string][]string{
		"what is read is none":        {text, "--transactions", kept, "--cof", made},
		"an output cannot be opened":  {"../../testdata/pcap/sample.pcap", "--transactions", kept, "--cof", made, "--findings", filepath.Join(dir, "none/f")},
		"the interface is none":       {"--interface", "weir-none0", "--admin", "", "--transactions", kept, "--cof", made, "--state", dir},
		"the address cannot be bound": {"--dnstap", "tcp:192.0.2.1:1", "--admin", "", "--transactions", kept, "--cof", made, "--state", dir},
	} {
		writeFile(t, kept, "a line of the last run\n")
		var out, errs strings.Builder
		if code := run(append([]string{"sniff"}, args...), stdio{strings.NewReader(""), &out, &errs}); code == exitOK {
			t.Errorf("%s: exit code 0", name)
		}
		if got, err := os.ReadFile(kept); err != nil || string(got) != "a line of the last run\n" {
			t.Errorf("%s: %q is left, %v", name, got, err)
		}
		if _, err := os.Stat(made); err == nil {
			t.Errorf("%s: an empty file is left", name)
		}
	}
	empty := writeFile(t, filepath.Join(dir, "empty.pcap"), "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00")
	weir(t, exitOK, "sniff", empty, "--transactions", kept)
	if got, err := os.ReadFile(kept); err != nil || len(got) > 0 {
		t.Errorf("after a capture without a packet %q is left, %v", got, err)
	}
}

// fullDisk takes room octets, and what of a write fits.
type fullDisk struct {
	io.Writer
	room int
}

func (d *fullDisk) Write(b []byte) (int, error) {
	n, err := d.Writer.Write(b[:min(len(b), d.room)])
	if d.room -= n; err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

// Where the disk is full, what is read goes on: lines are lost whole and counted,
// the log says when it begins and when it ends, and the file stays one of lines.
func TestOutputOnAFullDiskGoesOnWhenThereIsRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.tsv")
	core, logs := observer.New(zap.InfoLevel)
	gone := false
	o := outputs{log: zap.New(core), waits: true, none: func() { gone = true }}
	out, err := o.create("--transactions", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	disk := &fullDisk{Writer: out.file}
	out.to = disk
	w := o.writer(out, pdns.NewTransactionWriter(out, encode.Zeek, privacy.Plain(privacy.Full), nil))
	record := func(name string) {
		w.Record(&detect.Transaction{Query: detect.Query{Name: dnsname.MustParse(name), Type: 1, Class: 1}})
		w.flush()
	}
	record("one.example") // no room for the header
	disk.room = 2000
	record("two.example")
	disk.room = 20
	record("three.example") // half of it would fit
	record("four.example")
	disk.room = 1 << 20
	record("five.example")
	if err := o.finish(); err == nil || !strings.Contains(err.Error(), "3 lines lost") {
		t.Errorf("finish = %v, want 3 lines lost", err)
	}
	if got := o.lost(); got["transactions"] != 3 {
		t.Errorf("%v lost, want 3", got)
	}
	if err := o.close(); err != nil || gone {
		t.Errorf("close = %v; reading was given up: %v", err, gone)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			rows = append(rows, line)
		}
	}
	if !strings.HasPrefix(string(text), "#separator") || strings.Count(string(text), "#separator") != 1 || len(rows) != 2 ||
		!strings.Contains(rows[0], "two.example") || !strings.Contains(rows[1], "five.example") || !strings.HasSuffix(rows[1], "\n") {
		t.Errorf("the file holds\n%s", text)
	}
	if n, again := logs.FilterMessageSnippet("until it can be again").Len(), logs.FilterMessageSnippet("can be written again").Len(); n != 2 || again != 2 {
		t.Errorf("the log says %d times that it fails and %d times that it works, want 2", n, again)
	}
}
