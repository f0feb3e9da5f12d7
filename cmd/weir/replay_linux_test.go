package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On a terminal a replay that takes long says how far it is, and the report is
// what is left.
func TestReplayShowsItsProgressOnATerminal(t *testing.T) {
	log, err := os.ReadFile("../../testdata/pcap/sample.transactions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	c := onConsole(t, 80, 24, "replay", pipe)
	in, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the progress is shown", func() bool {
		if _, err := in.Write(log); err != nil {
			t.Fatal(err, c.output())
		}
		return strings.Contains(c.output(), " MB read, ")
	})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the replay does not end")
	}
	eventually(t, "the report is shown", func() bool { return strings.Contains(c.output(), "of 13 names") })
	if out := c.output(); strings.LastIndex(out, " MB read") > strings.Index(out, "of 13 names") {
		t.Errorf("a bar behind the report:\n%s", out)
	}
}
