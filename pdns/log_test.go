package pdns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/pdns"
)

// line is a COF line of its own, about 100 octets.
func line(i int) []byte {
	return fmt.Appendf(nil, `{"rrname":"n%d.example.","rrtype":"A","rdata":["192.0.2.1"],"time_first":%d,"time_last":%d,"count":1}`+"\n", i, start.Unix(), start.Unix()+int64(i))
}

// files are the names in dir, closed files first and in order.
func files(tb testing.TB, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(b[strings.LastIndexByte(b, '-')+1:], a[strings.LastIndexByte(a, '-')+1:])
	})
	slices.Reverse(names)
	return names
}

// all is the lines of every file in dir.
func all(tb testing.TB, dir string) []cofLine {
	tb.Helper()
	var lines []cofLine
	for _, name := range files(tb, dir) {
		lines = append(lines, parse[cofLine](tb, read(tb, filepath.Join(dir, name)))...)
	}
	return lines
}

func size(tb testing.TB, dir string) (total int64) {
	tb.Helper()
	for _, name := range files(tb, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

func TestClosedFilesAreNamedByTimeAndSequence(t *testing.T) {
	dir := t.TempDir()
	l := pdns.NewLog(pdns.Disk{}, dir, 250, 10_000, time.Hour, time.Now)
	for i := range 5 {
		if !l.Row(line(i), start.Unix()+int64(i)) || l.Flush() != nil {
			t.Fatal("row refused")
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"cof-20260301T120002Z-000001.jsonl", "cof-20260301T120004Z-000002.jsonl", "cof.jsonl"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if got := len(all(t, dir)); got != 5 {
		t.Errorf("%d lines, want 5", got)
	}
	// The next process goes on where this one stopped.
	l = pdns.NewLog(pdns.Disk{}, dir, 250, 10_000, time.Hour, time.Now)
	for i := range 2 {
		l.Row(line(i), start.Unix())
		_ = l.Flush()
	}
	_ = l.Close()
	if got := files(t, dir); len(got) != 4 || !strings.HasSuffix(got[2], "-000003.jsonl") {
		t.Errorf("files after a restart: %v", got)
	}
	if got := len(all(t, dir)); got != 7 {
		t.Errorf("%d lines after a restart, want 7", got)
	}
}

func TestAllFilesTogetherStayWithinMaxBytes(t *testing.T) {
	dir := t.TempDir()
	l := pdns.NewLog(pdns.Disk{}, dir, 1000, 5000, time.Hour, time.Now)
	for i := range 500 {
		if !l.Row(line(i), start.Unix()) || l.Flush() != nil {
			t.Fatal("row refused")
		}
		if got := size(t, dir); got > 5000 {
			t.Fatalf("%d octets after %d lines, the bound is 5000", got, i+1)
		}
	}
	_ = l.Close()
	lines := all(t, dir)
	if got, want := lines[len(lines)-1].RRName, "n499.example."; got != want {
		t.Errorf("last line is of %s, want %s", got, want)
	}
	if got := size(t, dir); got < 3000 {
		t.Errorf("%d octets kept, far under the bound: too much is deleted", got)
	}
	// A smaller bound holds as soon as the log is opened.
	l = pdns.NewLog(pdns.Disk{}, dir, 1000, 2000, time.Hour, time.Now)
	l.Row(line(0), start.Unix())
	_ = l.Close()
	if got := size(t, dir); got > 2000 {
		t.Errorf("%d octets under a bound of 2000", got)
	}
}

func TestOldFilesGoEvenWhenNothingIsWritten(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	clock := func() time.Time { return now }
	l := pdns.NewLog(pdns.Disk{}, dir, 250, 10_000, 10*time.Hour, clock)
	for i := range 5 {
		l.Row(line(i), start.Unix())
		_ = l.Flush()
	}
	_ = l.Close()
	if err := os.WriteFile(filepath.Join(dir, "cof-notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(11 * time.Hour)
	if err := pdns.NewLog(pdns.Disk{}, dir, 250, 10_000, 10*time.Hour, clock).Tend(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 2 || !slices.Contains(got, "cof.jsonl") || !slices.Contains(got, "cof-notes.txt") {
		t.Errorf("files %v, want the current one and the one that is not ours", got)
	}
}

// A file that never fills up must not keep its lines for ever, also when the
// process is started again every day.
func TestAQuietFileIsClosedByAge(t *testing.T) {
	dir := t.TempDir()
	now := start
	clock := func() time.Time { return now }
	for range 5 {
		l := pdns.NewLog(pdns.Disk{}, dir, 1000, 10_000, 100*time.Hour, clock)
		l.Row(line(0), start.Unix())
		if err := l.Tend(); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		now = now.Add(4 * time.Hour)
	}
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("files %v after 16 hours, want one closed by its age of 10", got)
	}
}

// A process that is killed leaves half a line; whatever is left of a file, it
// is cut to whole lines, and writing goes on behind them.
func TestHalfALineIsCutOffOnOpening(t *testing.T) {
	whole := slices.Concat(line(0), line(1), line(2))
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "cof.jsonl"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := pdns.NewLog(pdns.Disk{}, dir, 1<<20, 1<<22, time.Hour, func() time.Time { return start })
		l.Row(line(9), start.Unix())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		want := strings.Count(string(whole[:cut]), "\n") + 1
		if got := all(t, dir); len(got) != want || got[want-1].RRName != "n9.example." {
			t.Fatalf("cut at %d: %d lines, want %d", cut, len(got), want)
		}
	}
}

// Also half a line that is longer than what is read at once.
func TestALongHalfLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	text := append(line(0), strings.Repeat("x", 200_000)...)
	if err := os.WriteFile(filepath.Join(dir, "cof.jsonl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	l := pdns.NewLog(pdns.Disk{}, dir, 1<<20, 1<<22, time.Hour, func() time.Time { return start })
	l.Row(line(1), start.Unix())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := all(t, dir); len(got) != 2 {
		t.Errorf("%d lines, want 2", len(got))
	}
}

// For every n: the n-th call to the disk fails, once or for a while, and a
// write gets through in part. No line is ever torn or lost or written twice
// without being counted: what is said to be written is in the files.
func TestAFaultAtEveryCall(t *testing.T) {
	const lines = 24
	run := func(t *testing.T, n *nth) int {
		dir := filepath.Join(t.TempDir(), "log")
		l := pdns.NewLog(faultDisk{before: n.hook}, dir, 1000, 1<<20, time.Hour, func() time.Time { return start })
		for i := range lines {
			if !l.Row(line(i), start.Unix()) {
				t.Fatalf("line %d refused although there is room to keep it", i)
			}
			if i%3 == 0 {
				_ = l.Tend()
			}
		}
		_ = l.Close()
		if l.Pending() > 0 {
			_ = l.Close() // the disk is well again
		}
		if got := int(l.Written()) + l.Pending(); got != lines {
			t.Fatalf("written %d + pending %d, want %d", l.Written(), l.Pending(), lines)
		}
		// Half a line may still stand at the end if cutting it failed; the next
		// process sees to that.
		if err := pdns.NewLog(faultDisk{before: (&nth{}).hook}, dir, 1000, 1<<20, time.Hour, func() time.Time { return start }).TouchOpen(); err != nil {
			t.Fatal(err)
		}
		got := all(t, dir)
		seen := map[string]bool{}
		for _, l := range got {
			if seen[l.RRName] {
				t.Fatalf("%s is there twice", l.RRName)
			}
			seen[l.RRName] = true
		}
		// A write that failed to the end may have got through all the same.
		if len(got) < int(l.Written()) || len(got) > int(l.Written())+l.Pending() {
			t.Fatalf("%d lines in the files, %d said to be written", len(got), l.Written())
		}
		return n.calls
	}
	calls := run(t, &nth{})
	if calls < 25 {
		t.Fatalf("only %d calls: nothing to break", calls)
	}
	for from := 1; from <= calls; from++ {
		for _, many := range []int{1, 4} {
			for _, partial := range []int{0, 50, 1 << 20} {
				t.Run(fmt.Sprintf("call %d, %d times, %d octets through", from, many, partial), func(t *testing.T) {
					run(t, &nth{from: from, many: many, partial: partial})
				})
			}
		}
	}
}

// While the disk is full lines are kept until there is no room, then refused;
// when it has space again the kept ones are written and new ones taken.
func TestAFullDiskRefusesAndResumes(t *testing.T) {
	dir := t.TempDir()
	d := &fullDisk{}
	l := pdns.NewLog(faultDisk{before: d.hook}, dir, 1<<20, 1<<22, time.Hour, func() time.Time { return start })
	l.Row(line(0), start.Unix())
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	d.set(true)
	taken, refused := 1, 0
	for i := range 6000 {
		if l.Row(line(i+1), start.Unix()) {
			taken++
		} else {
			refused++
		}
		if i%1000 == 0 && l.Tend() == nil {
			t.Fatal("a write to a full disk succeeded")
		}
		if i%1000 == 0 {
			if got := len(all(t, dir)); got != 1 { // parse finds torn lines
				t.Fatalf("%d lines while the disk is full, want 1", got)
			}
		}
	}
	if refused == 0 || taken == 1 {
		t.Fatalf("%d taken, %d refused: the bound was not reached", taken, refused)
	}
	d.set(false)
	if err := l.Tend(); err != nil {
		t.Fatal(err)
	}
	if !l.Row(line(9999), start.Unix()) {
		t.Fatal("refused after the disk had space again")
	}
	taken++
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(all(t, dir)); got != taken || l.Written() != uint64(taken) {
		t.Errorf("%d lines in the file, %d said to be written; want %d", got, l.Written(), taken)
	}
}
