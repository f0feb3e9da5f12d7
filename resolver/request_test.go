package resolver

import "testing"

func TestTextIsCutBehindAWord(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"short", 64, "short"},
		{"exactly", 7, "exactly"},
		{"many consonants, few vowels", 20, "many consonants, few"},
		{"many consonants, few vowels", 19, "many consonants"},
		{"rule=averylongnamewithoutanyspace.example", 20, "rule=averylongnamewi"},
		{"a bcdefghijklmnopqrstuvwxyz", 10, "a bcdefghi"},
		{"grün", 3, "gr"},
		{"grün", 4, "grü"},
		{"ü", 0, ""},
	} {
		if got := string(shorten([]byte(tt.text), tt.n)); got != tt.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}
