package store

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Sizes that keep the store small beside a resolver: some MiB for what was
// written last, and so many open files at most.
const (
	// A part of what was written last. A commit of more than half of it is made a
	// file at once, so that all of a busy resolver's commits would be, and be
	// merged again and again: with 4 MiB a new record cost 59 us of processor
	// time, with 8 MiB 24.
	memTableShare = 32 // of the bound
	minMemTable   = 1 << 20
	maxMemTable   = 8 << 20
	memTables     = 3
	maxOpenFiles  = 128
	bloomBits     = 10 // of a key: one lookup in a hundred reads a block in vain
	blockBytes    = 8 << 10
	// A file is a small share of the bound, so that few are there twice while one
	// is written anew.
	fileShare    = 64
	minFileBytes = 1 << 20
	maxFileBytes = 32 << 20
)

func memTableBytes(maxBytes int64) int64 {
	return min(max(maxBytes/memTableShare, minMemTable), maxMemTable)
}

// options are those of every opening of the database. The cache in them has to
// be given back when the database is open.
func options(maxBytes, cacheBytes int64, fs vfs.FS, log *zap.Logger) *pebble.Options {
	o := &pebble.Options{
		FS: fs,
		// What was written last and is not in a file yet is charged to the cache.
		Cache:                       pebble.NewCache(cacheBytes + memTables*memTableBytes(maxBytes)),
		Merger:                      merger,
		Logger:                      dbLog{log.Sugar()},
		LoggerAndTracer:             nil,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(memTableBytes(maxBytes)),
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		MaxOpenFiles:                maxOpenFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		EventListener:               &pebble.EventListener{},
	}
	for i := range o.Levels {
		o.TargetFileSizes[i] = min(max(maxBytes/fileShare, minFileBytes), maxFileBytes)
		o.Levels[i].BlockSize = blockBytes
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	o.EventListener.BackgroundError = func(err error) { log.Warn("the record store tries again", zap.Error(err)) }
	return o
}
