package main

import (
	"strings"
	"testing"
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
