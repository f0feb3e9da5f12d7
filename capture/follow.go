package capture

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// followEvery is how often a file is looked at that may grow, and a folder that
// may be filled.
const followEvery = 200 * time.Millisecond

// Follow reads the capture at path as it grows, or those of the folder at path
// as they come, in the order of their names: one is read while it grows, and is
// over when there is a later one. What a program makes of one that was read, by
// compressing it, is not read again. Follow returns when ctx ends, without an
// error for that; a file that is damaged is said in the log.
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
	if !info.IsDir() {
		err := c.readGrowing(ctx, path, pos, func() bool { return false })
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return c.followFolder(ctx, path, pos)
}

func (c *Capture) followFolder(ctx context.Context, path string, pos *position) error {
	for ctx.Err() == nil {
		names, err := captureNames(path)
		if err != nil {
			return err
		}
		taken := make(map[string]bool, len(pos.Taken))
		for _, name := range pos.Taken {
			taken[name] = true
		}
		next := ""
		var present []string
		for _, name := range names {
			if plain := plainName(name); taken[plain] {
				present = append(present, plain)
			} else if next == "" {
				next = name
			}
		}
		present = slices.Compact(present)  // as it is, and compressed
		if len(present) < len(pos.Taken) { // so that it does not grow with what was deleted
			pos.Taken, pos.changed = present, true
		}
		if next == "" {
			pos.write(false)
			pause(ctx)
			continue
		}
		err = c.readGrowing(ctx, filepath.Join(path, next), pos, func() bool {
			names, err := captureNames(path)
			return err != nil || len(names) > 0 && plainName(names[len(names)-1]) > plainName(next)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // it may be gone: compressed, rotated
			c.deps.Log.Warn("passed over the rest of a file", zap.Error(err))
		}
		pos.Taken, pos.changed = append(pos.Taken, plainName(next)), true
		pos.write(true)
	}
	return nil
}

// captureNames are the regular files of a folder, sorted, without hidden ones.
func captureNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// plainName is a file's name before it was compressed.
func plainName(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

func (c *Capture) readGrowing(ctx context.Context, path string, pos *position, over func() bool) error {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err // it names the file
	}
	defer func() { _ = f.Close() }() // it was only read
	g := &growing{ctx: ctx, f: f, over: over, pos: pos, before: pos.resume(plainName(filepath.Base(path)))}
	return c.readFrom(ctx, path, g, g)
}

// growing reads a file to its end and waits there for more, until it is over.
type growing struct {
	ctx    context.Context // for the one call of read that it is made for
	f      io.Reader
	over   func() bool
	pos    *position
	before uint64 // packets that were read by another
}

func (g *growing) Read(b []byte) (int, error) {
	for {
		over := g.ctx.Err() != nil || g.over() // before the last look
		n, err := g.f.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if over {
			return 0, io.EOF
		}
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
