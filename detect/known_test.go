package detect_test

import (
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// kinds of names, of which each leads judge another way.
var kindsOfNames = []string{
	"www.wikipedia.org", "wikipedia.org", "org", "printer", ".", "a.b.co.uk", "co.uk", "x.github.io", "github.io",
	"1.0.168.192.in-addr.arpa", "nas.local", "example.test", "_dmarc.example.net", "_tcp.example.net",
	"xn--bcher-kva.example.net", "xn--pypal-4ve.com", "192.168.0.1", "paypa1.com", "paypal.com.session.example.net", "login.paypal-secure.com",
	"qxkzjvwpqmf.com", "kq3v9z7x1m.biz", "www.qxkzjvwpqmf.com", "www.ck", "foo.ck", "a.www.ck",
}

// alike compares verdicts field by field. Why is kept by pointer, and NaN is
// never equal to itself.
func alike(a, b *detect.Verdict) bool {
	x, y := *a, *b
	for _, v := range []*detect.Verdict{&x, &y} {
		if math.IsNaN(v.Probability) {
			v.Probability = -1
		}
		v.Matches = append([]detect.Match{}, v.Matches...)
	}
	// Only the first query brings the score to the site.
	return fmt.Sprintf("%+v", redact(x)) == fmt.Sprintf("%+v", redact(y)) && reflect.DeepEqual(x.Why, y.Why)
}

// redact drops what may differ between two queries for one name.
func redact(v detect.Verdict) string {
	return fmt.Sprint(v.Origin, v.Action, v.Enforced, v.Unscored, v.Level, v.Score, v.Probability, v.OneIn, v.Popular, v.Shadow, v.Lookalike, v.Registered.String(), v.Matches)
}

func TestANameIsJudgedAlikeWhenItIsKnown(t *testing.T) {
	for name, s := range map[string]setup{
		"as built in":     {},
		"without a model": {noModel: true},
		"own zone":        {change: func(c *detect.Config) { c.OwnZones = []string{"wikipedia.org"} }},
		"no look-alikes":  {change: func(c *detect.Config) { c.Lookalike.Mode = detect.ModeOff }},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDetector(t, s)
			for _, n := range kindsOfNames {
				first := inspect(d, n)
				for range 3 {
					if again := inspect(d, n); !alike(again, first) {
						t.Errorf("%s: got %s, want %s", n, redact(*again), redact(*first))
					}
				}
			}
			// More names than there is room for.
			for i := range 70_000 {
				inspect(d, fmt.Sprintf("host%d.www.wikipedia.org", i))
			}
			fresh := newDetector(t, s)
			for _, n := range kindsOfNames {
				if got, want := inspect(d, n), inspect(fresh, n); !alike(got, want) {
					t.Errorf("%s, forgotten in between: got %s, want %s", n, redact(*got), redact(*want))
				}
			}
		})
	}
}

// A group whose model is off shares what is known with all others.
func TestAGroupWithoutAModelTeachesNobody(t *testing.T) {
	group := detect.GroupConfig{Name: "quiet", Clients: []string{"127.0.0.2"}, ModelMode: detect.ModeOff}
	d := newDetector(t, setup{change: func(c *detect.Config) { c.Groups = []detect.GroupConfig{group} }})
	want := newDetector(t, setup{})
	for _, n := range kindsOfNames {
		q := query(n)
		q.Client = q.Client.Next()
		var quiet detect.Verdict
		for range 2 {
			d.Inspect(q, &quiet)
			if quiet.Unscored == detect.Scored || quiet.Registered != nil {
				t.Errorf("%s: the group whose model is off got %s", n, redact(quiet))
			}
		}
		got, plain := inspect(d, n), inspect(want, n)
		if !alike(got, plain) || got.Lookalike != quiet.Lookalike {
			t.Errorf("%s: got %s, want %s", n, redact(*got), redact(*plain))
		}
		d.Inspect(q, &quiet)
		if quiet.Unscored == detect.Scored {
			t.Errorf("%s: once known, the group whose model is off got %s", n, redact(quiet))
		}
	}
}

func TestANewPolicyForgetsWhatWasKnown(t *testing.T) {
	d := newDetector(t, setup{})
	if got := inspect(d, "www.wikipedia.org").Unscored; got != detect.Scored {
		t.Fatalf("unscored %q", got)
	}
	cfg := detect.DefaultConfig()
	cfg.OwnZones = []string{"wikipedia.org"}
	if err := d.Swap(cfg, nil, d.Model()); err != nil {
		t.Fatal(err)
	}
	if got := inspect(d, "www.wikipedia.org").Unscored; got != detect.OwnZone {
		t.Errorf("got %q, want %q", got, detect.OwnZone)
	}
}

func TestWordsOfTwoWritersAreNobodysName(t *testing.T) {
	for i := range 1000 {
		a, b := dnsname.MustParse(fmt.Sprintf("a%d.example.com", i)), dnsname.MustParse(fmt.Sprintf("b%d.example.com", i))
		if n := detect.TornWords(a, b); n > 0 {
			t.Fatalf("%s and %s: %d times something that nobody wrote", a, b, n)
		}
	}
}

func TestKnownNamesUnderManyHands(t *testing.T) {
	d := newDetector(t, setup{})
	want := map[string]string{}
	for _, n := range kindsOfNames {
		want[n] = redact(*inspect(d, n))
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5_000 {
				inspect(d, fmt.Sprintf("h%d.%d.wikipedia.org", i, w))
				n := kindsOfNames[i%len(kindsOfNames)]
				if got := redact(*inspect(d, n)); got != want[n] {
					t.Errorf("%s: got %s, want %s", n, got, want[n])
					return
				}
			}
		})
	}
	wg.Wait()
}
