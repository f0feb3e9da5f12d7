package blocklist

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// maxRowJSON bounds what is read for one row of a JSON dump, read-ahead
// included.
const maxRowJSON = 1 << 20

// urlhausRow is a row of URLhaus' JSON: of the dumps (json_recent,
// json_online), which have a list of them under each ID, and of the API's
// answers, which have a list of them under "urls".
type urlhausRow struct {
	URL       string   `json:"url"`
	Date      string   `json:"dateadded"`
	DateAPI   string   `json:"date_added"`
	Threat    string   `json:"threat"`
	Tags      []string `json:"tags"`
	Link      string   `json:"urlhaus_link"`
	LinkAPI   string   `json:"urlhaus_reference"`
	Reference string   `json:"reference"`
}

// sizedRow is a row that knows how many octets of the source it took.
type sizedRow struct {
	urlhausRow
	size int
}

func (r *sizedRow) UnmarshalJSON(b []byte) error {
	r.size = len(b)
	return json.Unmarshal(b, &r.urlhausRow)
}

// isJSON says whether a source is a JSON object, which no list of lines begins as.
func isJSON(br *bufio.Reader) bool {
	head, _ := br.Peek(64)
	head = []byte(strings.TrimLeft(string(head), " \t\r\n"))
	if len(head) == 0 || head[0] != '{' {
		return false
	}
	rest := strings.TrimLeft(string(head[1:]), " \t\r\n")
	return rest != "" && (rest[0] == '"' || rest[0] == '}')
}

// readJSON reads a dump of rows.
func (p *parser) readJSON(r io.Reader) error {
	p.format, p.begun = FormatURLhaus, true
	in := &lineCounter{r: r}
	dec := json.NewDecoder(in)
	if _, err := dec.Token(); err != nil { // the opening brace
		return jsonError(p, err)
	}
	found := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return jsonError(p, err)
		}
		value, err := dec.Token()
		if err != nil {
			return jsonError(p, err)
		}
		switch d, isDelim := value.(json.Delim); {
		case !isDelim:
			continue // "query_status": "ok" and its like
		case d != '[':
			return refuse(resultMalformed, "line %d: %q is not a list of rows", in.lineAt(dec.InputOffset()), key)
		}
		found = true
		for dec.More() {
			in.limit = in.n + maxRowJSON
			var row sizedRow
			err := dec.Decode(&row)
			p.lines = in.lineAt(dec.InputOffset() - int64(row.size)) // where it begins
			p.text = []byte(row.URL)
			if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				p.reject(BadRow)
				continue
			}
			if err != nil {
				return jsonError(p, err)
			}
			if err := p.addJSON(&row.urlhausRow); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil { // the closing bracket
			return jsonError(p, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(p, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return refuse(resultMalformed, "line %d: more than one object", in.lineAt(dec.InputOffset()))
	}
	p.lines = in.lineAt(dec.InputOffset())
	if !found {
		return refuse(resultMalformed, "JSON without a list of rows")
	}
	return p.finish()
}

func (p *parser) addJSON(row *urlhausRow) error {
	s := sighting{date: row.Date, threat: row.Threat, tags: strings.Join(row.Tags, ",")}
	if s.date == "" {
		s.date = row.DateAPI
	}
	for _, link := range []string{row.Link, row.LinkAPI, row.Reference} {
		if strings.HasPrefix(link, "https://") {
			s.link = link
			break
		}
	}
	return p.addURL(row.URL, &s)
}

// jsonError makes a refusal of what the decoder says, and passes on what the
// source itself says.
func jsonError(p *parser, err error) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return refuse(resultMalformed, "line %d: not JSON: %w", max(p.lines, 1), err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(resultTruncated, "JSON cut short: %w", err)
	}
	return err
}

// lineCounter finds the line of an offset, bounds how much is read for a row,
// and refuses what is no text.
type lineCounter struct {
	r        io.Reader
	n, limit int64
	lines    int     // that end before pending
	pending  []int64 // where lines end that were not asked for yet
}

func (c *lineCounter) Read(b []byte) (int, error) {
	if c.limit > 0 && c.n > c.limit {
		return 0, refuse(resultMalformed, "line %d: a row of more than %d octets", c.lines+1, maxRowJSON)
	}
	n, err := c.r.Read(b[:min(len(b), readBuffer)])
	for i, v := range b[:n] {
		if v == '\n' {
			c.pending = append(c.pending, c.n+int64(i))
		}
	}
	c.n += int64(n)
	return n, err
}

// lineAt is the number of the line of an offset; offsets come in order.
func (c *lineCounter) lineAt(offset int64) int {
	n := 0
	for n < len(c.pending) && c.pending[n] < offset {
		n++
	}
	c.lines += n
	c.pending = c.pending[n:]
	return c.lines + 1
}

// day is the date of a sighting's time, as it stands in records: "" if it is none.
func day(date string) string {
	if len(date) < len(time.DateOnly) {
		return ""
	}
	date = date[:len(time.DateOnly)]
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return ""
	}
	return date
}
