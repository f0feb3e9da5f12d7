package blocklist_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
)

const urlhausDump = `{
"3490001":[{"dateadded":"2025-04-21 12:35:06 UTC","url":"http://bad.example/bins.sh","url_status":"online","last_online":"2025-04-21","threat":"malware_download","tags":["elf","mirai"],"urlhaus_link":"https://urlhaus.abuse.ch/url/3490001/","reporter":"x"}],
"3490002":[{"dateadded":"2025-04-20 10:00:00 UTC","url":"https://192.0.2.7:8080/i","url_status":"offline","last_online":null,"threat":"malware_download","tags":null,"urlhaus_link":"https://urlhaus.abuse.ch/url/3490002/","reporter":"y"}],
"3490003":[{"dateadded":"2025-04-20 10:00:00 UTC","url":"https://github.com/x","threat":"malware_download","tags":[],"urlhaus_link":"javascript:alert(1)"}],
"3490004":[{"url":"http://com/"},{"url":7},{"url":"no url"}, {"url":"http://10.0.0.1/"}],
"1":[{"url":"http://b1.example/"},{"url":"http://b2.example/"},{"url":"http://b3.example/"},{"url":"http://a1.example/"},{"url":"http://a2.example/"},{"url":"http://a3.example/"},{"url":"http://a4.example/"},{"url":"http://a5.example/"},{"url":"http://a6.example/"},
{"url":"http://a1.example/"},{"url":"http://a2.example/"},{"url":"http://a3.example/"},{"url":"http://a4.example/"},{"url":"http://a5.example/"},{"url":"http://a6.example/"}]
}
`

func TestURLhausJSON(t *testing.T) {
	l := load(t, blocklist.Config{Name: "u", File: file(t, urlhausDump)})
	if got := list(t, l, "u").Format; got != blocklist.FormatURLhaus {
		t.Errorf("detected %q, want urlhaus", got)
	}
	wantHits(t, l, "bad.example", "u bad.example malware_download elf,mirai https://urlhaus.abuse.ch/url/3490001/ 2025-04-21")
	wantHits(t, l, "github.com", "u github.com observe malware_download 2025-04-20")
	wantAddrHits(t, l, "192.0.2.7", "u 192.0.2.7 malware_download https://urlhaus.abuse.ch/url/3490002/ 2025-04-20")
	wantRejected(t, l, "u", map[blocklist.Reason]int{blocklist.PublicSuffix: 1, blocklist.BadRow: 1, blocklist.BadURL: 1, blocklist.PrivateAddress: 1})

	// An answer of the API about one host.
	l = load(t, blocklist.Config{Name: "u", File: file(t, `{"query_status": "ok", "host": "bad.example", "firstseen": "2019-01-15 07:09:01 UTC", "blacklists": null,
	  "urls": [{"id": "105821", "urlhaus_reference": "https://urlhaus.abuse.ch/url/105821/", "url": "http://bad.example/anna.doc", "date_added": "2019-01-19 01:33:26 UTC", "threat": "malware_download", "tags": ["Loki"]}]}`)})
	wantHits(t, l, "bad.example", "u bad.example malware_download Loki https://urlhaus.abuse.ch/url/105821/ 2019-01-19")
}

func TestURLhausJSONThatIsNotWhole(t *testing.T) {
	for what, text := range map[string]string{
		"cut":           urlhausDump[:600],
		"no rows":       `{"error": "no key"}`,
		"another thing": `{"a": {"b": 1}}`,
		"two objects":   urlhausDump + "{}",
		"not JSON":      `{"a": [}`,
		"deep":          `{"a": ` + strings.Repeat("[", 100_000),
		"a giant row":   `{"a": [{"url": "http://x.example/` + strings.Repeat("x", 4<<20) + `"}]}`,
	} {
		c := blocklist.Config{Name: "u"}
		if _, err := blocklist.Check(strings.NewReader(text), &c, func(blocklist.RefusedLine) {}); err == nil {
			t.Errorf("%s: taken", what)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d octets", what, len(err.Error()))
		}
	}
}

// Lines of a dump are counted for whoever looks for them.
func TestURLhausJSONSaysTheLine(t *testing.T) {
	var got []blocklist.RefusedLine
	if _, err := blocklist.Check(strings.NewReader(urlhausDump), &blocklist.Config{Name: "u"}, func(l blocklist.RefusedLine) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0].Number != 5 || got[0].Text != "http://com/" {
		t.Errorf("refused %+v, want four of line 5", got)
	}
}
