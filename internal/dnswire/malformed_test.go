package dnswire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirdns/weir/internal/dnswire"
)

// malformed says what the reader makes of every file in testdata/malformed,
// which is named by what is wrong with the message in it.
var malformed = map[string]struct {
	query   error  // of ReadQuery
	qname   string // of the question, if it was readable
	records int    // that Walk reads before it stops
	walk    error  // that it stops with
}{
	"empty":                                 {query: dnswire.ErrShort},
	"header_one_octet_short":                {query: dnswire.ErrShort},
	"header_only_counts_one_question":       {query: dnswire.ErrName},
	"no_question":                           {query: dnswire.ErrFormat},
	"two_questions":                         {query: dnswire.ErrFormat},
	"question_count_65535":                  {query: dnswire.ErrFormat},
	"qname_without_root":                    {query: dnswire.ErrName},
	"qname_label_past_end":                  {query: dnswire.ErrName},
	"qname_label_type_01":                   {query: dnswire.ErrName},
	"qname_label_type_10":                   {query: dnswire.ErrName},
	"qname_256_octets":                      {query: dnswire.ErrName},
	"qname_128_labels":                      {query: dnswire.ErrName},
	"qname_pointer_to_itself":               {query: dnswire.ErrPointer},
	"qname_pointer_forward":                 {query: dnswire.ErrPointer},
	"qname_pointer_past_end":                {query: dnswire.ErrPointer},
	"qname_pointer_cut":                     {query: dnswire.ErrName},
	"qname_pointer_into_header":             {query: dnswire.ErrPointer},
	"qname_label_then_pointer_into_header":  {query: dnswire.ErrPointer},
	"qname_label_then_pointer_to_itself":    {query: dnswire.ErrPointer},
	"question_without_type":                 {query: dnswire.ErrCut},
	"question_without_class":                {query: dnswire.ErrCut},
	"owner_pointer_loop_of_two":             {qname: "example.com", records: 2},
	"owner_pointer_chain_of_127":            {qname: "example.com", records: 128},
	"owner_without_root":                    {query: dnswire.ErrName, qname: "example.com", walk: dnswire.ErrName},
	"owner_label_type_01":                   {query: dnswire.ErrName, qname: "example.com", walk: dnswire.ErrName},
	"owner_pointer_cut":                     {query: dnswire.ErrName, qname: "example.com", walk: dnswire.ErrName},
	"record_header_cut":                     {query: dnswire.ErrCut, qname: "example.com", walk: dnswire.ErrCut},
	"rdata_one_octet_short":                 {query: dnswire.ErrCut, qname: "example.com", walk: dnswire.ErrCut},
	"rdlength_65535":                        {query: dnswire.ErrCut, qname: "example.com", walk: dnswire.ErrCut},
	"answer_count_too_high":                 {query: dnswire.ErrName, qname: "example.com", records: 1, walk: dnswire.ErrName},
	"answer_count_65535_and_no_records":     {query: dnswire.ErrName, qname: "example.com", walk: dnswire.ErrName},
	"additional_count_with_nothing_there":   {query: dnswire.ErrName, qname: "example.com", walk: dnswire.ErrName},
	"good_answer_then_bad_one":              {query: dnswire.ErrCut, qname: "example.com", records: 1, walk: dnswire.ErrCut},
	"trailing_octets":                       {qname: "example.com"},
	"opt_twice":                             {query: dnswire.ErrFormat, qname: "example.com", records: 2},
	"opt_in_answer_section":                 {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_in_authority_section":              {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_owner_not_root":                    {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_owner_pointer_to_root":             {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_option_header_cut":                 {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_option_longer_than_opt":            {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_33_options":                        {query: dnswire.ErrFormat, qname: "example.com", records: 1},
	"opt_rdlength_past_end":                 {query: dnswire.ErrCut, qname: "example.com", walk: dnswire.ErrCut},
	"a_with_three_octets":                   {qname: "example.com", records: 1},
	"aaaa_with_four_octets":                 {qname: "example.com", records: 1},
	"cname_target_past_rdata":               {qname: "example.com", records: 1},
	"cname_with_octets_behind_target":       {qname: "example.com", records: 1},
	"cname_target_pointer_to_itself":        {qname: "example.com", records: 1},
	"soa_cut_in_numbers":                    {qname: "example.com", records: 1},
	"txt_string_longer_than_rdata":          {qname: "example.com", records: 1},
	"mx_with_one_octet":                     {qname: "example.com", records: 1},
	"rrsig_without_signature":               {qname: "example.com", records: 1},
	"svcb_parameter_past_end":               {qname: "example.com", records: 1},
	"empty_rdata_of_mx":                     {qname: "example.com", records: 1},
	"control_octets_in_txt":                 {qname: "example.com", records: 1},
	"nsec_bitmap_window_too_long":           {qname: "example.com", records: 1},
	"type_zero":                             {qname: "example.com", records: 1},
	"meta_type_any_as_record":               {qname: "example.com", records: 1},
	"null_rdata_with_newline":               {qname: "example.com", records: 1},
	"qname_with_nul_dot_newline_and_quotes": {qname: `a\000\.b\010\".com`},
}

func TestEveryMalformedMessageHasItsOutcome(t *testing.T) {
	for name, want := range malformed {
		t.Run(name, func(t *testing.T) {
			msg := readHex(t, name)
			var q dnswire.Query
			if err := dnswire.ReadQuery(&q, msg); !errors.Is(err, want.query) {
				t.Errorf("ReadQuery = %v, want %v", err, want.query)
			}
			if got := q.Name.String(); got != want.qname {
				t.Errorf("qname = %q, want %q", got, want.qname)
			}
			if q.End == 0 {
				return // nothing to walk from
			}
			records := 0
			walk := dnswire.Walk(msg, q.Header, q.End)
			for r := (dnswire.Record{}); walk.Next(&r); records++ {
				checkText(t, &r, msg)
			}
			if records != want.records || !errors.Is(walk.Err(), want.walk) {
				t.Errorf("walk read %d records, then %v; want %d, then %v", records, walk.Err(), want.records, want.walk)
			}
		})
	}
}

func TestEveryMalformedFileIsInTheTable(t *testing.T) {
	files := malformedFiles(t)
	for _, name := range files {
		if _, ok := malformed[name]; !ok {
			t.Errorf("testdata/malformed/%s.hex has no expected outcome", name)
		}
	}
	if len(files) != len(malformed) {
		t.Errorf("%d files, %d outcomes", len(files), len(malformed))
	}
}

// A header may claim anything: no count in it may size memory or time. 65,535
// claimed records that are not there end at the first.
func TestClaimedCountsCostNothing(t *testing.T) {
	msg := readHex(t, "answer_count_65535_and_no_records")
	var q dnswire.Query
	if got := testing.AllocsPerRun(100, func() { _ = dnswire.ReadQuery(&q, msg) }); got != 0 {
		t.Errorf("ReadQuery allocates %v times, want 0", got)
	}
}

func malformedFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/malformed/*.hex")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no files in testdata/malformed: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".hex")
	}
	return files
}

// readHex reads hexadecimal digits; white space and what follows # is not read.
func readHex(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "malformed", name+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	var digits []byte
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		digits = append(digits, bytes.Join(bytes.Fields(line), nil)...)
	}
	msg := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(msg, digits); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return msg
}

// checkText is what must hold for the text of any rdata at all.
func checkText(tb testing.TB, r *dnswire.Record, msg []byte) {
	tb.Helper()
	text := r.RdataText(msg)
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		tb.Errorf("type %d, rdata %x: text %q is empty or not one line of printable ASCII", r.Type, msg[r.Data:r.End], text)
	}
}
