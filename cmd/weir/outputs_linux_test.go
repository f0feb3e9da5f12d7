package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Who reads the output may leave; that is said, and what is lost of it is
// counted where there is a summary.
func TestSniffIntoAPipeThatIsClosed(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "many.pcap"), string(samples(t, manyPackets)))
	summary := filepath.Join(t.TempDir(), "summary.json")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"one of two outputs": {[]string{"sniff", file, "--transactions", "-", "--summary", summary}, "weir: --transactions -: 4352 lines lost: "},
		"the only output":    {[]string{"sniff", file, "--transactions", "-"}, "weir: no output is left that can be written: the rest was not read\n"},
		"the summary":        {[]string{"sniff", file}, "weir: --summary -: "},
		"the report":         {[]string{"replay", file}, "weir: standard output: the report is lost: "},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Close() // that is the point
			defer w.Close()
			cmd := command(t, append(c.args, "-c", repeating(t))...)
			cmd.Stdout = w
			b := startInBackground(t, cmd)
			if status := b.wait(); status.ExitStatus() != exitFailure {
				t.Errorf("exit code %d, want %d", status.ExitStatus(), exitFailure)
			}
			if said := b.says(); !strings.Contains(said, c.want) || !strings.Contains(said, "broken pipe") {
				t.Errorf("it says %s, want %s", said, c.want)
			}
		})
	}
	s := summaryFile(t, summary)
	if s.Transactions != 17*manyPackets || s.Drops["sink"]["transactions"] != s.Transactions {
		t.Errorf("%d transactions, %v lost", s.Transactions, s.Drops["sink"])
	}
}

// A sniffer goes on for the outputs that are left, and says and counts what is
// lost; without any it ends.
func TestSniffGoesOnWithoutAnOutput(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "in/1.pcap"), string(samples(t, 1)))
	summary := filepath.Join(dir, "summary.json")
	p, line := startSniffer(t, "--follow", filepath.Join(dir, "in"), "--admin", "127.0.0.1:0", "--state", filepath.Join(dir, "state"),
		"--transactions", "/dev/full", "--summary", summary)
	_, rest, _ := strings.Cut(line, `"metrics":"`)
	addr, _, _ := strings.Cut(rest, `"`)
	p.metrics = "http://" + addr + "/metrics"
	untilTrue(t, "the loss in metrics", func() bool {
		return metric(p.scrape(), `weir_sniff_lines_lost_total{output="transactions"}`) == "17"
	})
	if !strings.Contains(p.log(), `"output cannot be written: its lines are lost from here on","error":"--transactions /dev/full: `) {
		t.Errorf("the log does not say it:\n%s", p.log())
	}
	checkDocumented(t, p.scrape())
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.ExitCode() != exitFailure {
		t.Errorf("it ended with %v", err)
	}
	if s := summaryFile(t, summary); s.Transactions != 17 || s.Drops["sink"]["transactions"] != 17 {
		t.Errorf("%d transactions, %v lost", s.Transactions, s.Drops["sink"])
	}

	p, _ = startSniffer(t, "--follow", filepath.Join(dir, "in"), "--admin", "", "--state", filepath.Join(dir, "state"), "--transactions", "/dev/full")
	<-p.done // by itself
	if err := p.cmd.Wait(); err == nil || !regexp.MustCompile(`weir: --transactions /dev/full: \d+ lines lost: `).MatchString(p.log()) {
		t.Errorf("it ended with %v\n%s", err, p.log())
	}
}
