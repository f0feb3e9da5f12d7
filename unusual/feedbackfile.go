package unusual

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/weirdns/weir/internal/atomicfile"
	"github.com/weirdns/weir/internal/dnsname"
)

// feedbackFile is its name in the state folder: a JSON object a line.
const feedbackFile = "feedback.jsonl"

// maxFeedbackLine bounds a line, in octets.
const maxFeedbackLine = 16 << 10

// openBook reads the file at path, "" for none. What can be read holds, also where
// there is an error.
func openBook(path string) (*Book, error) {
	b := &Book{path: path, names: map[string]Feedback{}}
	if path == "" {
		return b, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	defer f.Close() // read only: nothing to lose
	err = b.read(f)
	b.index()
	if err == nil && b.lines > 2*len(b.all)+100 {
		err = b.rewrite()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return b, err
}

// read takes up whole lines. Half a one at the end is what a crash left of something
// that nobody was told it holds.
func (b *Book) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, maxFeedbackLine)
	var errs []error
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return errors.Join(errs...)
		}
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("line %d: %w", b.lines+1, err))...)
		}
		b.lines++
		b.size += int64(len(line))
		f, err := parseFeedback(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", b.lines, err))
			continue
		}
		if len(b.all) < maxFeedback || f.Removed {
			b.apply(f)
		}
	}
}

func parseFeedback(line []byte) (f Feedback, err error) {
	if err := json.Unmarshal(line, &f); err != nil {
		return f, err
	}
	if _, err := ParseDay(f.Day); err != nil {
		return f, err
	}
	if f.Removed {
		return f, nil
	}
	if !f.Severity.Valid() {
		return f, fmt.Errorf("severity: %q is none", f.Severity)
	}
	if _, ok := parseClients(f.Target); !ok {
		if n, err := dnsname.Parse(f.Target); err != nil || n.IsRoot() {
			return f, fmt.Errorf("target: %q is neither a name nor a network", f.Target)
		}
	}
	return f, nil
}

// append writes one line and waits until it is on the disk; mu is held. After an
// error the file is as it was.
func (b *Book) append(f Feedback) error {
	if b.path == "" {
		return nil
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if len(line) > maxFeedbackLine {
		return errors.New("too long")
	}
	file, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// What stands behind the whole lines is half of one.
	if err = file.Truncate(b.size); err == nil {
		if _, err = file.WriteAt(line, b.size); err == nil {
			err = file.Sync()
		}
	}
	if err != nil {
		return errors.Join(err, file.Truncate(b.size), file.Close())
	}
	b.size += int64(len(line))
	b.lines++
	return file.Close()
}

// rewrite leaves out what was taken back.
func (b *Book) rewrite() error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, f := range b.all {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	err := atomicfile.Write(b.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(out.Bytes())
		return err
	})
	if err == nil {
		b.size, b.lines = int64(out.Len()), len(b.all)
	}
	return err
}
