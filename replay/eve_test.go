package replay_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/replay"
)

// transactions are those of a log, in lines, and its counts.
func transactions(t *testing.T, log string) ([]string, replay.Stats) {
	t.Helper()
	var got []string
	s, err := replay.Read(strings.NewReader(log), func(t *detect.Transaction) { got = append(got, said(t)) })
	if err != nil {
		t.Fatal(err)
	}
	return got, s
}

// Of the same capture, what Suricata 7.0.10 and 8.0.7 logged is what weir read,
// but for what Suricata does not log.
func TestSuricatasLogOfACaptureIsTheCapture(t *testing.T) {
	read := func(file string) []string {
		b, err := os.ReadFile("../testdata/pcap/sample." + file + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		lines, s := transactions(t, string(b))
		if s.Bad != 0 {
			t.Errorf("%s: %+v", file, s)
		}
		for i := range lines {
			_, lines[i], _ = strings.Cut(lines[i], " ") // TCP has another time
			_, lines[i], _ = strings.Cut(lines[i], " ") // weir's log has the client's network
			for from, to := range map[string]string{
				`\.<b>`:                           `.<b>`,       // a dot inside of a label
				"MX NOERROR 10 mail.example.com.": "MX NOERROR", // written as an object
				`HTTPS NOERROR 1 . alpn="h2" ipv4hint="192.0.2.80"`: "HTTPS NOERROR",
				"broken.example A NOERROR 192.0.2.12":               "broken.example A unanswered",  // the answer breaks off
				"formerr.example A FORMERR":                         "formerr.example A unanswered", // without a question
			} {
				lines[i] = strings.Replace(lines[i], from, to, 1)
			}
		}
		slices.Sort(lines)
		return lines
	}
	want := slices.DeleteFunc(read("transactions"), func(line string) bool {
		// An answer that nobody asked for, and one in fragments.
		return strings.HasPrefix(line, "unasked.example") || strings.HasPrefix(line, "large.example")
	})
	for _, file := range []string{"suricata7", "suricata8"} {
		if got := read(file); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func event(at, kind, rest string, fields ...any) string {
	return fmt.Sprintf(`{"timestamp":"2026-03-01T12:00:%s+0000","flow_id":1,"event_type":"%s","src_ip":"192.0.2.10","src_port":40000,"dest_ip":"198.51.100.53","dest_port":53,"dns":{%s}}`+"\n", at, kind, fmt.Sprintf(rest, fields...))
}

func query(at string, id int, name string) string {
	return event(at, "dns", `"type":"query","id":%d,"rrname":"%s","rrtype":"A"`, id, name)
}

// backwards is an event of the server's.
func backwards(line string) string {
	return regexp.MustCompile(`"src_ip":"(.*?)","src_port":(.*?),"dest_ip":"(.*?)","dest_port":(.*?),`).
		ReplaceAllString(line, `"src_ip":"$3","src_port":$4,"dest_ip":"$1","dest_port":$2,`)
}

func answer(at string, id int, name, addr string) string {
	return backwards(event(at, "dns", `"version":2,"type":"answer","id":%d,"rrname":"%s","rrtype":"A","rcode":"NOERROR","grouped":{"A":["%s"]}`, id, name, addr))
}

func TestQueriesOfEVEAreToldOnce(t *testing.T) {
	one := func(at string, rest string, fields ...any) string {
		return backwards(event(at, "dns", `"type":"answer","id":7,`+rest, fields...))
	}
	const asked = "2026-03-01T12:00:01Z 192.0.2.10 a.example A"
	for name, c := range map[string]struct {
		log  string
		want []string
		bad  uint64
	}{
		"asked again before the answers": {
			query("01", 7, "a.example") + query("02", 7, "a.example") + answer("03", 7, "a.example", "192.0.2.1") + answer("04", 7, "a.example", "192.0.2.2"),
			[]string{asked + " NOERROR 192.0.2.1", "2026-03-01T12:00:02Z 192.0.2.10 a.example A NOERROR 192.0.2.2"}, 0,
		},
		"asked again, and answered once": {
			query("01", 7, "a.example") + query("02", 7, "a.example") + answer("03", 7, "a.example", "192.0.2.1"),
			[]string{asked + " NOERROR 192.0.2.1", "2026-03-01T12:00:02Z 192.0.2.10 a.example A unanswered"}, 0,
		},
		"the answer's thread was quicker": {
			answer("02", 7, "a.example", "192.0.2.1") + query("01", 7, "a.example"),
			[]string{asked + " NOERROR 192.0.2.1"}, 0,
		},
		"too late to be the answer": {
			query("01", 7, "a.example") + answer("12", 7, "a.example", "192.0.2.1"),
			[]string{asked + " unanswered", "2026-03-01T12:00:12Z 192.0.2.10 a.example A NOERROR 192.0.2.1"}, 0,
		},
		"one thread is far behind": {
			query("01", 7, "a.example") + query("40", 8, "b.example") + answer("02", 7, "a.example", "192.0.2.1"),
			[]string{asked + " NOERROR 192.0.2.1", "2026-03-01T12:00:40Z 192.0.2.10 b.example A unanswered"}, 0,
		},
		"an alert in front of the event": {
			event("01", "alert", `"query":[{"type":"query","id":7,"rrname":"a.example","rrtype":"A"}]`) + query("01", 7, "a.example") + answer("02", 7, "a.example", "192.0.2.1"),
			[]string{asked + " NOERROR 192.0.2.1"}, 0,
		},
		"an alert about the answer": {
			query("01", 7, "a.example") + answer("02", 7, "a.example", "192.0.2.1") +
				backwards(event("02", "alert", `"version":3,"type":"response","id":7,"rcode":"NOERROR","queries":[{"rrname":"a.example","rrtype":"A"}]`)),
			[]string{asked + " NOERROR 192.0.2.1"}, 0,
		},
		"nothing but alerts": {
			event("01", "alert", `"version":3,"type":"request","id":7,"queries":[{"rrname":"a.example","rrtype":"A"}]`) +
				backwards(event("02", "alert", `"query":[{"type":"query","id":7,"rrname":"a.example","rrtype":"A"}],"answer":{"type":"answer","id":7}`)) +
				strings.Replace(event("03", "alert", ``), `,"dns":{}`, "", 1),
			[]string{asked + " unanswered"}, 0,
		},
		"version 1, a line for each record": {
			query("01", 7, "a.example") + one("02", `"rcode":"NOERROR","rrname":"a.example","rrtype":"CNAME","ttl":60,"rdata":"b.example"`) +
				one("02", `"rcode":"NOERROR","rrname":"b.example","rrtype":"A","ttl":60,"rdata":"192.0.2.1"`) + query("03", 8, "c.example"),
			[]string{asked + " NOERROR b.example. 192.0.2.1", "2026-03-01T12:00:03Z 192.0.2.10 c.example A unanswered"}, 0,
		},
		"version 1, another thread in between": {
			query("01", 7, "a.example") + one("02", `"rcode":"NOERROR","rrname":"a.example","rrtype":"A","ttl":60,"rdata":"192.0.2.1"`) + query("03", 8, "c.example") +
				one("02", `"rcode":"NOERROR","rrname":"a.example","rrtype":"A","ttl":60,"rdata":"192.0.2.2"`),
			[]string{asked + " NOERROR 192.0.2.1", "2026-03-01T12:00:03Z 192.0.2.10 c.example A unanswered"}, 0,
		},
		"version 1, no such name": {
			query("01", 7, "a.example") + one("02", `"rcode":"NXDOMAIN","rrname":"a.example"`) + strings.ReplaceAll(one("05", `"rcode":"NXDOMAIN","rrname":"d.example"`), `"id":7`, `"id":9`),
			[]string{asked + " NXDOMAIN"}, 1,
		},
		"the root, an update, a neighbour, octets": {
			query("01", 7, "") + event("01", "dns", `"type":"query","id":8,"opcode":5,"rrname":"u.example","rrtype":"SOA"`) +
				strings.Replace(query("01", 9, "printer.local"), `"dest_port":53`, `"dest_port":5353`, 1) + query("01", 10, `J\\xe4ger.example`),
			[]string{"2026-03-01T12:00:01Z 192.0.2.10 . A unanswered", `2026-03-01T12:00:01Z 192.0.2.10 j\228ger.example A unanswered`}, 0,
		},
		"the flow's direction, and TXT": {
			event("02", "dns", `"type":"answer","id":7,"rrname":"a.example","rrtype":"TXT","rcode":"NOERROR","answers":[{"rrname":"a.example","rrtype":"TXT","rdata":"\"x\\xff"}]`),
			[]string{`2026-03-01T12:00:02Z 192.0.2.10 a.example TXT NOERROR "\"x\255"`}, 0,
		},
	} {
		got, s := transactions(t, c.log)
		if !slices.Equal(got, c.want) || s.Bad != c.bad {
			t.Errorf("%s: %+v\n%s\nwant\n%s", name, s, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// What waits is bounded; what had to go is a query without an answer.
func TestWhatWaitsOfEVEIsBounded(t *testing.T) {
	const n = 1<<16 + 10
	log := func(yield func(string)) {
		for i := range n {
			yield(query("01", i, "a.example"))
		}
		yield(answer("02", 0, "a.example", "192.0.2.1")) // whose query had to go
		yield(answer("02", n-1, "a.example", "192.0.2.1"))
	}
	var b strings.Builder
	log(func(s string) { b.WriteString(s) })
	answered, unanswered := 0, 0
	if _, err := replay.Read(strings.NewReader(b.String()), func(t *detect.Transaction) {
		if t.Response == nil {
			unanswered++
		} else {
			answered++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if answered != 2 || unanswered != n-1 {
		t.Errorf("%d answered, %d not; want 2 and %d", answered, unanswered, n-1)
	}
}
