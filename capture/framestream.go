package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/weirdns/weir/internal/framestream"
)

// Bounds of data frames: what is larger than maxFrame holds no dnstap message
// of ours and is passed over, and what is larger than maxSkipped is no length.
const (
	maxFrame   = 192 << 10
	maxSkipped = 16 << 20
)

// frames reads a frame stream. With a writer behind it the stream may be the
// bidirectional one, which begins with a handshake and ends with a farewell.
type frames struct {
	r     *bufio.Reader
	w     io.Writer // nil: a file
	buf   []byte
	polls bool // the sender waits for answers
}

func newFrames(r *bufio.Reader, w io.Writer) *frames { return &frames{r: r, w: w} }

// start reads the beginning of a stream and answers it.
func (f *frames) start() error {
	for {
		n, err := f.length()
		if err != nil {
			return err
		}
		if n != 0 {
			return fmt.Errorf("%w: data in front of START", framestream.ErrFormat)
		}
		kind, ours, err := f.control()
		switch {
		case err != nil:
			return err
		case kind == framestream.Ready && f.w != nil && !f.polls && ours:
			f.polls = true
			if err := f.answer(framestream.Accept); err != nil {
				return err
			}
		case kind == framestream.Start && ours:
			return nil
		case !ours:
			return fmt.Errorf("%w: the content is not %s", framestream.ErrFormat, framestream.Dnstap)
		default:
			return fmt.Errorf("%w: control frame %d in front of START", framestream.ErrFormat, kind)
		}
	}
}

// next is the next data frame, good until the call after; nil is one that was
// too large. The end of the stream is io.EOF.
func (f *frames) next() ([]byte, error) {
	n, err := f.length()
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		kind, _, err := f.control()
		if err != nil {
			return nil, err
		}
		if kind != framestream.Stop {
			return nil, fmt.Errorf("%w: control frame %d behind START", framestream.ErrFormat, kind)
		}
		if f.polls {
			_ = f.answer(framestream.Finish) // it may not wait for that
		}
		return nil, io.EOF
	case n > maxSkipped:
		return nil, fmt.Errorf("%w: a frame of %d octets", framestream.ErrFormat, n)
	case n > maxFrame:
		if _, err := f.r.Discard(int(n)); err != nil {
			return nil, inside(err)
		}
		return nil, nil
	}
	if cap(f.buf) < int(n) {
		f.buf = make([]byte, max(4096, int(n)))
	}
	data := f.buf[:n]
	if _, err := io.ReadFull(f.r, data); err != nil {
		return nil, inside(err)
	}
	return data, nil
}

// inside is the error for an end inside of a frame.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *frames) length() (uint32, error) { return framestream.ReadLength(f.r) }

// control reads a control frame behind its escape: its type, and whether it
// says that the content is ours, as one without that field does.
func (f *frames) control() (kind uint32, ours bool, err error) {
	return framestream.ReadControl(f.r, framestream.Dnstap)
}

func (f *frames) answer(kind uint32) error {
	content := framestream.Dnstap
	if kind == framestream.Finish {
		content = ""
	}
	_, err := f.w.Write(framestream.AppendControl(nil, kind, content))
	return err
}

// tapFile is a file of dnstap frames as a source.
type tapFile struct{ frames *frames }

func newTapFile(b *bufio.Reader) (*tapFile, error) {
	f := newFrames(b, nil)
	if err := f.start(); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, framestream.ErrFormat) {
			return nil, ErrFormat // zeros begin many files
		}
		return nil, err
	}
	return &tapFile{f}, nil
}

func (t *tapFile) next() (packet, error) {
	data, err := t.frames.next()
	return packet{tap: true, data: data}, err
}
