package resolver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// keepCache brings the cache back from its file and then writes it there every
// snapshot_interval until ctx ends. Queries are answered meanwhile.
func (s *Resolver) keepCache(ctx context.Context) {
	s.loadCache()
	tick := time.NewTicker(s.cfg.Cache.SnapshotInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.saveCache()
		}
	}
}

// keepsCache says whether the cache outlives the process. Where rules send
// questions elsewhere it does not: under other rules its answers would be other
// servers'.
func (s *Resolver) keepsCache() bool {
	return s.cacheFile != "" && s.cfg.Cache.SnapshotInterval > 0 && len(s.live.Load().zones) == 0
}

func (s *Resolver) loadCache() {
	f, err := os.Open(s.cacheFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var n int
	if err == nil {
		defer f.Close()
		n, err = s.cache.Load(f, s.now())
	}
	if err != nil {
		s.metrics.snapshotRefused.Add(1)
		s.log.Warn("the cache's snapshot is not used", zap.String("file", s.cacheFile), zap.Error(err))
		return
	}
	s.metrics.snapshotLoaded.Add(1)
	s.log.Info("cache loaded", zap.Int("answers", n))
}

// saveCache replaces the file as a whole: who reads it finds the old one or the
// new one.
func (s *Resolver) saveCache() {
	if err := s.writeCache(); err != nil {
		s.metrics.snapshotFailed.Add(1)
		s.log.Warn("the cache could not be saved", zap.String("file", s.cacheFile), zap.Error(err))
		return
	}
	s.metrics.snapshotSaved.Add(1)
}

func (s *Resolver) writeCache() error {
	// Names that were asked for are in it: for its owner only.
	return atomicfile.Write(s.cacheFile, 0o600, func(w io.Writer) error {
		_, err := s.cache.Save(w, s.now())
		return err
	})
}
