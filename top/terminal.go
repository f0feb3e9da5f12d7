package top

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNoTerminal is that there is none to draw on.
var ErrNoTerminal = errors.New("standard output is no terminal")

// Terminal draws lines on a terminal and reads its keys. Close must be called.
type Terminal struct {
	out    *os.File
	in     *os.File
	fd     int // of in
	before *term.State
	color  bool

	width, height int // of what was drawn last
}

// Open takes the terminal that out is: its own screen, each key at once. Keys are
// read from the terminal itself, whatever standard input is.
func Open(out io.Writer) (*Terminal, error) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, ErrNoTerminal
	}
	in, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	t := &Terminal{out: f, in: in, color: os.Getenv("NO_COLOR") == ""}
	if t.fd, err = descriptor(in); err == nil {
		t.before, err = term.MakeRaw(t.fd)
	}
	if err == nil {
		_, err = io.WriteString(f, "\x1b[?1049h\x1b[?25l\x1b[2J") // the other screen, without a cursor, empty
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("terminal: %w", err), t.Close())
	}
	return t, nil
}

// descriptor is f's, and leaves f as it is: Fd would make its reads such that
// Close does not end them.
func descriptor(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(d uintptr) { fd = int(d) })
	return fd, err
}

// Size in columns and lines, as they are now.
func (t *Terminal) Size() (width, height int) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// Draw replaces what is on the screen by lines made for that size.
func (t *Terminal) Draw(width, height int, lines []Line) error {
	var b strings.Builder
	if width != t.width || height != t.height {
		b.WriteString("\x1b[2J") // what stood beyond
		t.width, t.height = width, height
	}
	b.WriteString("\x1b[H")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		// Before the text: behind a line that is full it would take the last column.
		b.WriteString("\x1b[2K")
		if l.look == plain || !t.color && l.look != marked {
			b.WriteString(l.Text)
		} else {
			b.WriteString(string(l.look) + l.Text + reset)
		}
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// Read hands keys to f until the terminal is closed or gone.
func (t *Terminal) Read(f func(Key)) {
	var keys Keys
	var buf [64]byte
	for {
		n, err := t.in.Read(buf[:])
		for _, b := range buf[:n] {
			if k := keys.Next(b); k != KeyNone {
				f(k)
			}
		}
		if err != nil {
			return
		}
	}
}

// Close gives the terminal back as it was.
func (t *Terminal) Close() error {
	var errs []error
	if t.before != nil {
		errs = append(errs, term.Restore(t.fd, t.before))
		_, err := io.WriteString(t.out, "\x1b[?25h\x1b[?1049l")
		errs = append(errs, err)
	}
	return errors.Join(append(errs, t.in.Close())...)
}
