package capture

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// followEvery is how often a file is looked at that may grow, and a folder that
// may be filled.
const followEvery = 200 * time.Millisecond

// Follow reads the capture at path as it grows, or those of the folder at path
// as they come, in the order of their names, where numbers count by their value:
// one is read while it grows, and is over when there is a later one. What a
// program makes of one that was read, by compressing it, is not read again; one
// that is written anew under the same name, as in a ring of files, is. Follow
// returns when ctx ends, without an error for that; a file that is damaged is
// said in the log.
//
// How far it came is kept in the file note, if that is not empty, and the next
// Follow goes on there. After a crash the packets of the last second may be read
// a second time.
func (c *Capture) Follow(ctx context.Context, path, note string) error {
	defer c.first().finish()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	pos, err := openPosition(note, c.deps.Log)
	if err != nil {
		return err
	}
	defer pos.write(true)
	if info.IsDir() {
		return c.followFolder(ctx, path, pos)
	}
	for {
		again, err := c.readGrowing(ctx, path, pos, func() bool { return false })
		switch {
		case ctx.Err() != nil:
			return nil
		case !again:
			return err
		}
	}
}

func (c *Capture) followFolder(ctx context.Context, path string, pos *position) error {
	dir := &folder{path: path, pos: pos, looked: map[string]time.Time{}}
	for ctx.Err() == nil {
		next, err := dir.next("")
		if err != nil {
			return err
		}
		if next == "" {
			pos.write(false)
			pause(ctx)
			continue
		}
		dir.take(next)
		for again := true; again; {
			again, err = c.readGrowing(ctx, filepath.Join(path, next), pos, func() bool {
				later, err := dir.next(next)
				return err != nil || later != ""
			})
			if ctx.Err() != nil {
				return nil
			}
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // it may be gone: compressed, rotated
			c.deps.Log.Warn("passed over the rest of a file", zap.Error(err))
		}
		pos.Taken, pos.changed = append(pos.Taken, pos.Current), true
		pos.write(true)
	}
	return nil
}

// readGrowing reads a file as it grows. again says that it is another now, under
// the same name.
func (c *Capture) readGrowing(ctx context.Context, path string, pos *position, over func() bool) (again bool, err error) {
	before := pos.resume(path)
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return false, err // it names the file
	}
	defer func() { _ = f.Close() }() // it was only read
	g := &growing{ctx: ctx, f: f, path: path, over: over, pos: pos, before: before}
	err = c.readFrom(ctx, path, g, g)
	if ctx.Err() == nil && (g.again || err != nil && !pos.Current.Begin.of(path)) {
		pos.Packets, pos.changed = 0, true
		return true, nil
	}
	return false, err
}

// growing reads a file to its end and waits there for more, until it is over.
type growing struct {
	ctx    context.Context // for the one call of read that it is made for
	f      io.Reader
	path   string
	over   func() bool
	pos    *position
	before uint64 // packets that were read by another
	waited bool   // it was at its end
	again  bool   // it ended because there is another under its name
}

func (g *growing) Read(b []byte) (int, error) {
	for {
		over := g.ctx.Err() != nil || g.over() // before the last look
		if g.waited && g.ctx.Err() == nil && !g.pos.Current.Begin.of(g.path) {
			g.again = true
			return 0, io.EOF
		}
		n, err := g.f.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			g.waited = false
			g.pos.Current.Begin.add(b[:n])
			return n, err
		}
		if over {
			return 0, io.EOF
		}
		g.waited = true
		g.pos.write(false)
		pause(g.ctx)
	}
}

// pause waits a little.
func pause(ctx context.Context) {
	t := time.NewTimer(followEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
