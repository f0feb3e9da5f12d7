package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// A line that is too long ends the run; what was judged before it is not lost.
func TestScoreWritesWhatItJudgedBeforeAnError(t *testing.T) {
	var out, errs strings.Builder
	in := strings.NewReader("example.com\nexample.org\n" + strings.Repeat("x", maxLine+1) + "\n")
	code := run([]string{"score", "--no-features", "-"}, stdio{in: in, out: &out, err: &errs})
	if code != exitFailure || !strings.Contains(errs.String(), "line 3") {
		t.Errorf("exit %d, %q; want 1 and the line", code, errs.String())
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines of output, want those of the 2 names before", got)
	}
}

// Names are judged on all processors, and come out in the order in which they
// came in, each as if it were alone.
func TestScoreKeepsTheOrder(t *testing.T) {
	var in, want, out, errs strings.Builder
	for i := range 5000 {
		name := fmt.Sprintf("name%d.com", i)
		switch i % 7 {
		case 0:
			name = fmt.Sprintf("bad..%d", i)
		case 1:
			name = fmt.Sprintf("printer%d", i)
		case 2:
			in.WriteByte('\n') // no name at all
		}
		fmt.Fprintln(&in, name)
		fmt.Fprintln(&want, name)
	}
	if code := run([]string{"score", "--no-features", "-"}, stdio{in: strings.NewReader(in.String()), out: &out, err: &errs}); code != exitOK {
		t.Fatalf("exit %d, %s", code, errs.String())
	}
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		var s scored
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		fmt.Fprintln(&got, s.Name)
	}
	if got.String() != want.String() {
		t.Error("the names do not come out as they came in")
	}
}

// full is a disk without room.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

// endless is a stream that does not end by itself.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n++
	return copy(p, fmt.Sprintf("name%d.com\n", e.n)), nil
}

func TestScoreEndsWhenItCannotWrite(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var errs strings.Builder
	code := run([]string{"score", "-"}, stdio{in: &endless{}, out: &full{room: 1 << 20}, err: &errs})
	if code != exitFailure || !strings.Contains(errs.String(), "disk full") {
		t.Errorf("exit %d, %q; want 1 and what failed", code, errs.String())
	}
}
