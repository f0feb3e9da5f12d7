package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirdns/weir/capture"
)

// samples is the sample that many times, as one capture.
func samples(t *testing.T, times int) []byte {
	t.Helper()
	one, err := os.ReadFile("../../testdata/pcap/sample.pcap")
	if err != nil {
		t.Fatal(err)
	}
	const header = 24
	return append(one[:header:header], bytes.Repeat(one[header:], times)...)
}

// manyPackets is how often the sample is given to what is going to be
// interrupted: a megabyte, more than pipes and buffers on the way can hold.
const manyPackets = 256

// repeating is a configuration in which a packet that comes again is another.
func repeating(t *testing.T) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "weir.yaml"), "capture: {duplicate_window: 0s}\n")
}

// command is weir, to be started.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(bin, args...)
}

// background is a process whose standard error is kept.
type background struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr string // a file
}

func startInBackground(t *testing.T, cmd *exec.Cmd) *background {
	t.Helper()
	b := &background{t, cmd, filepath.Join(t.TempDir(), "stderr")}
	f, err := os.Create(b.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stderr = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // no harm if it has ended
	return b
}

func (b *background) says() string {
	b.t.Helper()
	text, err := os.ReadFile(b.stderr)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *background) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// wait waits for the end.
func (b *background) wait() syscall.WaitStatus {
	b.t.Helper()
	hung := time.AfterFunc(time.Minute, func() { _ = b.cmd.Process.Kill() })
	defer hung.Stop()
	err := b.cmd.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return b.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// summaryIn reads a summary, and wants its sums to hold.
func summaryIn(t *testing.T, text []byte) capture.Summary {
	t.Helper()
	var s capture.Summary
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	dropped := uint64(0)
	for stage, reasons := range s.Drops {
		for _, n := range reasons {
			if stage != "sink" {
				dropped += n
			}
		}
	}
	if s.Packets != s.DNSMessages-s.TCPMessages-s.Further+s.Segments+s.Merged+dropped || s.Waiting != 0 ||
		s.DNSMessages != s.Queries+s.Responses+s.OtherOpcodes+s.NoQuestion+s.Quoted+s.Duplicates+s.Multicast ||
		s.Queries != s.Answered+s.Unanswered || s.Responses != s.Answered+s.Unmatched ||
		s.Transactions != s.Answered+s.Unanswered+s.Unmatched+s.MulticastRecorded {
		t.Errorf("does not add up: %s", text)
	}
	return s
}

func summaryFile(t *testing.T, path string) capture.Summary {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return summaryIn(t, text)
}

// counted are the observations that a file of COF has.
func counted(t *testing.T, path string) (n uint64) {
	t.Helper()
	for _, l := range jsonLines[struct{ Count uint64 }](t, path) {
		n += l.Count
	}
	return n
}

// A pipe that stays open does not keep weir from ending, and what came
// by it is recorded and summed up.
func TestSniffInterruptedAtAPipe(t *testing.T) {
	conf := repeating(t)
	for _, how := range []struct {
		name   string
		signal syscall.Signal
		fifo   bool
	}{{"standard input", syscall.SIGINT, false}, {"a named pipe", syscall.SIGTERM, true}} {
		t.Run(how.name, func(t *testing.T) {
			dir := t.TempDir()
			out := func(name string) string { return filepath.Join(dir, name) }
			from := "-"
			if how.fifo {
				if from = out("fifo"); syscall.Mkfifo(from, 0o600) != nil {
					t.Skip("no pipes here")
				}
			}
			cmd := command(t, "sniff", from, "-c", conf, "--transactions", out("t.jsonl"), "--cof", out("cof.jsonl"), "--summary", out("summary.json"))
			in := pipeTo(t, cmd, from)
			b := startInBackground(t, cmd)
			given := samples(t, manyPackets)
			if _, err := in().Write(given); err != nil {
				t.Fatal(err, b.says())
			}
			b.signal(how.signal)
			if status := b.wait(); status.ExitStatus() != exitFailure {
				t.Errorf("exit code %d, want %d", status.ExitStatus(), exitFailure)
			}
			if said := b.says(); !strings.Contains(said, "weir: interrupted: what was written is of what was read until then\n") || strings.Contains(said, "canceled") {
				t.Errorf("it says %s", said)
			}
			s := summaryFile(t, out("summary.json"))
			whole := uint64(39 * manyPackets)
			if s.Packets == 0 || s.Packets > whole {
				t.Errorf("%d packets, want some of %d", s.Packets, whole)
			}
			if lines := jsonLines[struct{}](t, out("t.jsonl")); uint64(len(lines)) != s.Transactions {
				t.Errorf("%d transactions are written, %d counted", len(lines), s.Transactions)
			}
			if n := counted(t, out("cof.jsonl")); n < s.Answered {
				t.Errorf("COF has %d observations of %d answers", n, s.Answered)
			}
		})
	}
}

// pipeTo makes standard input of cmd a pipe, or for another name opens it: when
// the process has started.
func pipeTo(t *testing.T, cmd *exec.Cmd, name string) (open func() io.Writer) {
	t.Helper()
	if name == "-" {
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		return func() io.Writer { return in }
	}
	return func() io.Writer {
		in, err := os.OpenFile(name, os.O_RDWR, 0) // does not wait for a reader, nor outlive one
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close() }) // nothing is lost
		return in
	}
}

// stuck starts weir sniff on a capture, or a folder with it, with an output that
// nobody reads, and waits until it waits for that.
func stuck(t *testing.T, folder bool) (b *background, out io.Reader, summary string) {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(dir, "captures")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, filepath.Join(from, "1.pcap"), string(samples(t, manyPackets)))
	writeFile(t, filepath.Join(from, "2.pcap"), string(samples(t, 1)))
	if !folder {
		from = file
	}
	summary = filepath.Join(dir, "summary.json")
	cmd := command(t, "sniff", from, "-c", repeating(t), "--transactions", "-", "--summary", summary)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	b = startInBackground(t, cmd)
	first := make([]byte, 1)
	if _, err := io.ReadFull(pipe, first); err != nil {
		t.Fatal(err, b.says())
	}
	b.signal(syscall.SIGTERM)
	untilTrue(t, "the signal", func() bool { return strings.Contains(b.says(), "a second signal ends it at once") })
	return b, io.MultiReader(bytes.NewReader(first), pipe), summary
}

// A file, or a folder of them, is left in the middle, and what was read of it is
// recorded to the last line.
func TestSniffInterruptedInAFile(t *testing.T) {
	for name, folder := range map[string]bool{"a file": false, "a folder": true} {
		t.Run(name, func(t *testing.T) {
			b, out, summary := stuck(t, folder)
			all, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			if status := b.wait(); status.ExitStatus() != exitFailure {
				t.Errorf("exit code %d, want %d", status.ExitStatus(), exitFailure)
			}
			if said := b.says(); strings.Count(said, "weir: interrupted: ") != 1 || strings.Contains(said, "canceled") {
				t.Errorf("it says %s", said)
			}
			s := summaryFile(t, summary)
			if lines := uint64(bytes.Count(all, []byte("\n"))); lines != s.Transactions || s.Packets >= 39*manyPackets {
				t.Errorf("%d lines, %d transactions, %d packets: want a part of the capture, all of it written", lines, s.Transactions, s.Packets)
			}
		})
	}
}

// Who does not want to wait for what is written says so with a second signal.
func TestASecondSignalEndsSniffAtOnce(t *testing.T) {
	b, _, _ := stuck(t, false)
	b.signal(syscall.SIGTERM)
	if status := b.wait(); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want by the signal", status)
	}
}

// A folder is followed until a signal; that is its end, and no failure.
func TestSniffEndedWhileItFollows(t *testing.T) {
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(out("in"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, out("in/1.pcap"), string(samples(t, 4)))
	// The last packet of the second is still being written.
	part := samples(t, 4)
	writeFile(t, out("in/2.pcap"), string(part[:len(part)-5]))
	p, _ := startSniffer(t, "--follow", out("in"), "-c", repeating(t), "--admin", "", "--state", out("state"),
		"--transactions", out("t.jsonl"), "--cof", out("cof.jsonl"), "--summary", out("summary.json"))
	untilTrue(t, "the second file", func() bool { return len(jsonLines[struct{}](t, out("t.jsonl"))) > 4*17 })
	p.stop()
	s := summaryFile(t, out("summary.json"))
	if lines := jsonLines[struct{}](t, out("t.jsonl")); uint64(len(lines)) != s.Transactions || s.Packets > 8*39-1 || s.Packets <= 4*39 {
		t.Errorf("%d lines, %d transactions, %d packets", len(lines), s.Transactions, s.Packets)
	}
	if n := counted(t, out("cof.jsonl")); n < s.Answered {
		t.Errorf("COF has %d observations of %d answers", n, s.Answered)
	}
}

// A replay that is interrupted reports what it has read, of captures and logs.
func TestReplayInterrupted(t *testing.T) {
	log, err := os.ReadFile("../../testdata/pcap/sample.transactions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a capture": samples(t, manyPackets), "a log": bytes.Repeat(log, manyPackets)} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t, "replay", "-", "--json", "-c", repeating(t))
			in := pipeTo(t, cmd, "-")
			var out bytes.Buffer
			cmd.Stdout = &out
			b := startInBackground(t, cmd)
			if _, err := in().Write(data); err != nil {
				t.Fatal(err, b.says())
			}
			b.signal(syscall.SIGINT)
			if status := b.wait(); status.ExitStatus() != exitFailure {
				t.Errorf("exit code %d, want %d", status.ExitStatus(), exitFailure)
			}
			if said := b.says(); strings.Count(said, "weir: interrupted: the report is of what was read until then\n") != 1 || strings.Contains(said, "canceled") {
				t.Errorf("it says %s", said)
			}
			var r struct {
				Report   struct{ Queries uint64 }
				Captures json.RawMessage
				Logs     struct{ Lines, Records, Other, Bad uint64 }
			}
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatalf("%v in %q", err, out.String())
			}
			if r.Captures != nil {
				if s := summaryIn(t, r.Captures); s.Transactions != r.Report.Queries || s.Packets == 0 {
					t.Errorf("%d queries are in the report of %s", r.Report.Queries, r.Captures)
				}
			} else if r.Logs.Records == 0 || r.Logs.Records != r.Report.Queries || r.Logs.Lines != r.Logs.Records+r.Logs.Other+r.Logs.Bad {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Where nothing comes at all, the wait for it ends too.
func TestInterruptedAtASilentPipe(t *testing.T) {
	for _, name := range []string{"sniff", "replay"} {
		t.Run(name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Skipf("no pipes here: %v", err)
			}
			b := startInBackground(t, command(t, name, fifo))
			in, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits until weir reads
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			b.signal(syscall.SIGINT)
			if status := b.wait(); status.ExitStatus() != exitFailure {
				t.Errorf("it ended with %v, want exit code %d", status, exitFailure)
			}
			if said := b.says(); !strings.Contains(said, "weir: interrupted: ") {
				t.Errorf("it says %s", said)
			}
		})
	}
}
