package top_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirdns/weir/top"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func detection(name string, score float64, after time.Duration) top.Detection {
	return top.Detection{Time: noon.Add(after), Name: name, Client: "192.0.2.7", Verdict: "blocked: model", Blocked: true, Score: &score, Level: "high"}
}

func text(s *top.Screen, width, height int) string {
	var out []string
	for _, l := range s.Draw(width, height, noon) {
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

func full(t *testing.T) *top.Screen {
	t.Helper()
	s := top.New("weir at \x1b]0;title\x07")
	for i := range 3 {
		n := float64(i)
		s.Sample(top.Sample{
			Time: noon.Add(time.Duration(i) * 2 * time.Second), Started: noon.Add(-time.Hour), Answers: 1000 + 100*n, NX: 10 + 5*n, Blocked: 7 + 2*n, Hits: 60 * n, Misses: 40 * n,
			Clients: []top.Count{{"192.0.2.7\x1b[2J", 12}}, Domains: []top.Count{{"exämple.\u202eorg", 3}},
		})
	}
	for i := range 60 {
		s.Detected(detection(fmt.Sprintf("n%02d.example", i), float64(i)/100, time.Duration(i)*time.Second))
	}
	s.Detected(detection("\x1b]0;pwned\x07.example", 0.999, time.Hour), detection("a\nb\x00\u202e.example", 0.998, time.Hour))
	return s
}

// No size, no name and no state makes a line that is longer than the screen or has
// anything but printable ASCII in it.
func TestEveryLineFitsAndIsPlainText(t *testing.T) {
	states := map[string]*top.Screen{"empty": top.New("weir"), "full": full(t)}
	broken := full(t)
	broken.Trouble(errors.New("dial \x1b[31m\xff"), noon)
	states["trouble"] = broken
	said := full(t)
	said.Say(true, "no: %s", "\x1b[5m")
	said.Press(top.KeyTab)
	said.Say(true, "no: %s", "\x1b[5m")
	states["said"] = said
	for name, s := range states {
		for width := range 170 {
			for _, height := range []int{0, 1, 2, 5, 6, 7, 8, 9, 12, 24, 60} {
				lines := s.Draw(width, height, noon)
				if len(lines) > max(height, 1) {
					t.Fatalf("%s, %d by %d: %d lines", name, width, height, len(lines))
				}
				for _, l := range lines {
					if len(l.Text) > width || strings.ContainsFunc(l.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
						t.Fatalf("%s, %d by %d: %q", name, width, height, l.Text)
					}
				}
			}
		}
	}
	if got := text(full(t), 120, 40); !strings.Contains(got, `\u{1b}]0;pwned\u{7}.example`) || !strings.Contains(got, `ex\u{e4}mple.\u{202e}org`) {
		t.Errorf("hostile names are not shown as what they are:\n%s", got)
	}
}

func TestNumbersAreRatesOfWhatPassedLately(t *testing.T) {
	got := text(full(t), 120, 40)
	for _, want := range []string{"Queries 50.0/s  NXDOMAIN 5.0 %  cache 60.0 %", "Blocked 1.0/s (2.0 %)", "since the start: 11 blocked", "192.0.2.7", "up 1h0m4s"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	s := full(t)
	s.Sample(top.Sample{Time: noon.Add(6 * time.Second), Started: noon.Add(5 * time.Second), Answers: 3})
	if got := text(s, 120, 40); !strings.Contains(got, "Queries ...  (3 since the start)") || !strings.Contains(got, "not kept (store.clients)") {
		t.Errorf("after a restart of weir:\n%s", got)
	}
	for i := range 100 { // an hour of it is not averaged
		s.Sample(top.Sample{Time: noon.Add(time.Duration(10+i) * time.Second), Started: noon.Add(5 * time.Second), Answers: float64(3 + max(i-80, 0)*10)})
	}
	if got := text(s, 120, 40); !strings.Contains(got, "Queries 10.0/s") {
		t.Errorf("the last ten seconds had 10 a second:\n%s", got)
	}
}

// What is chosen stays so while other names arrive: a key never lets another name
// through than the one that was marked.
func TestTheChosenNameStaysChosen(t *testing.T) {
	s := full(t)
	s.Press(top.KeyDown)
	s.Press(top.KeyDown)
	s.Press(top.KeyDown)
	_, before := s.Press(top.KeyAllow)
	for i := range 10 {
		s.Detected(detection(fmt.Sprintf("new%d.example", i), 0.5, 2*time.Hour))
	}
	if asked, name := s.Press(top.KeyAllow); asked != top.Allow || name != before || name != "n58.example" {
		t.Errorf("asks for %v of %q, want the name that was marked, %q", asked, name, before)
	}
	if asked, name := s.Press(top.KeyDeny); asked != top.Deny || name != before {
		t.Errorf("asks for %v of %q", asked, name)
	}
	s.Press(top.KeyTab)
	if _, name := s.Press(top.KeyAllow); !strings.Contains(name, "pwned") {
		t.Errorf("the highest score is %q", name)
	}
	if asked, _ := s.Press(top.KeyQuit); asked != top.Quit {
		t.Errorf("q asks for %v", asked)
	}
	if asked, _ := top.New("weir").Press(top.KeyAllow); asked != top.Nothing {
		t.Errorf("with nothing on the screen a asks for %v", asked)
	}
}

func TestWhileItIsPausedNothingMoves(t *testing.T) {
	s := full(t)
	s.Press(top.KeyPause)
	s.Detected(detection("later.example", 0.1, 3*time.Hour))
	if got := text(s, 120, 40); strings.Contains(got, "later.example") || !strings.Contains(got, "[paused]") {
		t.Errorf("while paused:\n%s", got)
	}
	s.Press(top.KeyPause)
	if got := text(s, 120, 40); !strings.Contains(got, "later.example") {
		t.Errorf("what came while it was paused is lost:\n%s", got)
	}
}

// Whatever comes, little is kept: 200 detections, 50 scores.
func TestTheScreenIsBounded(t *testing.T) {
	s := top.New("weir")
	for i := range 1000 {
		s.Detected(detection(fmt.Sprintf("n%d.example", i), float64(i%100)/100, time.Duration(i)*time.Second))
	}
	got := text(s, 120, 2000)
	if n := strings.Count(got, ".example"); n != 250 {
		t.Errorf("%d lines, want 250", n)
	}
	s.Press(top.KeyPause)
	for i := range 1000 {
		s.Detected(detection(fmt.Sprintf("p%d.example", i), 0, time.Hour))
	}
	s.Press(top.KeyPause)
	if n := strings.Count(text(s, 120, 2000), "p0.example"); n != 0 {
		t.Error("a thousand names were kept while it was paused")
	}
}

func TestKeysOfTerminals(t *testing.T) {
	for in, want := range map[string][]top.Key{
		"q": {top.KeyQuit}, "\x03": {top.KeyQuit}, "\x1b[A\x1b[B": {top.KeyUp, top.KeyDown}, "\x1bOA": {top.KeyUp}, "\x1b[5~\x1b[6~": {top.KeyPageUp, top.KeyPageDown},
		"jk\tpa u":  {top.KeyDown, top.KeyUp, top.KeyTab, top.KeyPause, top.KeyAllow, top.KeyPause, top.KeyDeny},
		"\x1b[1;5A": nil, "\x1b\x1b[A": {top.KeyUp}, "\x1b[" + strings.Repeat("9", 100) + "q": nil, "\x1bx": nil,
	} {
		var keys top.Keys
		var got []top.Key
		for _, b := range []byte(in) {
			if k := keys.Next(b); k != top.KeyNone {
				got = append(got, k)
			}
		}
		if in[len(in)-1] == 'q' && len(in) > 50 { // what is too long ends, and keys work again
			want = []top.Key{top.KeyQuit}
		}
		if in == "\x1bx" {
			want = nil
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestPrintedOnceItHasNoKeysAndNoControl(t *testing.T) {
	var b strings.Builder
	if err := full(t).Print(&b, noon); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if strings.Contains(got, "\x1b") || strings.Contains(got, "q quit") || !strings.Contains(got, "\nDETECTIONS\n") || !strings.Contains(got, "n59.example") {
		t.Errorf("printed:\n%s", got)
	}
}

// FuzzScreen presses whatever comes, among names of whatever comes.
func FuzzScreen(f *testing.F) {
	f.Add("\x1b[Aq\x1bOBja\t", "a.example", uint8(80), uint8(24))
	f.Add("\x1b[5~pp ", "\x1b]0;x\x07\xff\u202e", uint8(31), uint8(7))
	f.Fuzz(func(t *testing.T, pressed, name string, width, height uint8) {
		s := top.New(name)
		s.Sample(top.Sample{Time: noon, Started: noon, Missing: []string{name}, Clients: []top.Count{{name, 1}}})
		var keys top.Keys
		for i, b := range []byte(pressed) {
			s.Detected(detection(name+pressed[:i%8], float64(b)/256, time.Duration(i)*time.Second))
			s.Press(keys.Next(b))
		}
		for _, l := range s.Draw(int(width), int(height), noon) {
			if len(l.Text) > int(width) || strings.ContainsFunc(l.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%d by %d: %q", width, height, l.Text)
			}
		}
	})
}
