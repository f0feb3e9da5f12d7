package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Control frames and their field, as the Frame Streams protocol has them
// (farsightsec/fstrm: control.h).
const (
	frameAccept = 1
	frameStart  = 2
	frameStop   = 3
	frameReady  = 4
	frameFinish = 5

	fieldContentType = 1
	maxControl       = 512
	dnstapContent    = "protobuf:dnstap.Dnstap"
)

// Bounds of data frames: what is larger than maxFrame holds no dnstap message
// of ours and is passed over, and what is larger than maxSkipped is no length.
const (
	maxFrame   = 192 << 10
	maxSkipped = 16 << 20
)

// errFrame means that a stream cannot be read on.
var errFrame = errors.New("no Frame Streams protocol")

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
			return fmt.Errorf("%w: data in front of START", errFrame)
		}
		kind, ours, err := f.control()
		switch {
		case err != nil:
			return err
		case kind == frameReady && f.w != nil && !f.polls && ours:
			f.polls = true
			if err := f.answer(frameAccept); err != nil {
				return err
			}
		case kind == frameStart && ours:
			return nil
		case !ours:
			return fmt.Errorf("%w: the content is not %s", errFrame, dnstapContent)
		default:
			return fmt.Errorf("%w: control frame %d in front of START", errFrame, kind)
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
		if kind != frameStop {
			return nil, fmt.Errorf("%w: control frame %d behind START", errFrame, kind)
		}
		if f.polls {
			_ = f.answer(frameFinish) // it may not wait for that
		}
		return nil, io.EOF
	case n > maxSkipped:
		return nil, fmt.Errorf("%w: a frame of %d octets", errFrame, n)
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

func (f *frames) length() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

// control reads a control frame behind its escape: its type, and whether it
// says that the content is ours, as one without that field does.
func (f *frames) control() (kind uint32, ours bool, err error) {
	n, err := f.length()
	if err != nil {
		return 0, false, inside(err)
	}
	if n < 4 || n > maxControl {
		return 0, false, fmt.Errorf("%w: a control frame of %d octets", errFrame, n)
	}
	var buf [maxControl]byte
	b := buf[:n]
	if _, err := io.ReadFull(f.r, b); err != nil {
		return 0, false, inside(err)
	}
	kind, b = binary.BigEndian.Uint32(b), b[4:]
	for ours = true; len(b) > 0; {
		if len(b) < 8 || uint64(len(b)-8) < uint64(binary.BigEndian.Uint32(b[4:])) {
			return 0, false, fmt.Errorf("%w: a field is longer than its frame", errFrame)
		}
		field, size := binary.BigEndian.Uint32(b), int(binary.BigEndian.Uint32(b[4:]))
		if value := b[8 : 8+size]; field == fieldContentType {
			if string(value) == dnstapContent {
				return kind, true, nil // READY may name several
			}
			ours = false
		}
		b = b[8+size:]
	}
	return kind, ours, nil
}

func (f *frames) answer(kind uint32) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 64), 0)
	if kind == frameFinish {
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, kind)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(4+8+len(dnstapContent)))
		b = binary.BigEndian.AppendUint32(b, kind)
		b = binary.BigEndian.AppendUint32(b, fieldContentType)
		b = binary.BigEndian.AppendUint32(b, uint32(len(dnstapContent)))
		b = append(b, dnstapContent...)
	}
	_, err := f.w.Write(b)
	return err
}

// tapFile is a file of dnstap frames as a source.
type tapFile struct{ frames *frames }

func newTapFile(b *bufio.Reader) (*tapFile, error) {
	f := newFrames(b, nil)
	if err := f.start(); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errFrame) {
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
