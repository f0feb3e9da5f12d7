package blocklist

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/xfr"
)

// A stored copy is one file: a header of headerSize octets, which is a line of
// JSON padded with spaces so that it can be written last, and the source as it
// was parsed, after decompression. The file's modification time is when the
// source last confirmed the copy. The URL is in it only as a hash.
const (
	headerSize  = 1024
	copySuffix  = ".list"
	storeFormat = "weir-list-1"
	// maxTagHeader bounds the ETag and Last-Modified that are kept.
	maxTagHeader = 128
)

type storeHeader struct {
	Format       string    `json:"format"`
	List         string    `json:"list"`
	URLHash      string    `json:"url_sha256"`
	SHA256       string    `json:"sha256"` // of what follows the header
	Size         int64     `json:"size"`
	Fetched      time.Time `json:"fetched"`
	SOA          *xfr.SOA  `json:"soa,omitempty"` // of a zone
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
}

// storePath is the file of a list's copy in dir. The hash keeps apart what a
// list had from another URL, and names that differ only in case.
func storePath(dir string, c *Config) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Name, c.URL + c.File, c.Transfer.Primary, c.Transfer.Zone, c.PinSHA256, c.MinisignKey}, "\x00")))
	return filepath.Join(dir, strings.ToLower(c.Name)+"-"+hex.EncodeToString(sum[:8])+copySuffix)
}

func urlHash(c *Config) string {
	sum := sha256.Sum256([]byte(c.URL + c.Transfer.Primary + " " + c.Transfer.Zone))
	return hex.EncodeToString(sum[:])
}

// spool writes the source to a temporary file beside the stored copy while it
// is parsed, and hashes it. A disk that fails must not keep good data from
// serving: the first error is kept, and the rest is only hashed.
type spool struct {
	path string // of the copy; "" for none
	file *os.File
	hash hash.Hash
	size int64
	err  error
}

// newSpool begins a copy at path; with no path it only hashes.
func newSpool(path string) *spool {
	s := &spool{path: path, hash: sha256.New()}
	if path == "" {
		return s
	}
	if s.err = os.MkdirAll(filepath.Dir(path), 0o700); s.err != nil {
		return s
	}
	s.file, s.err = os.OpenFile(s.tmp(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if s.err == nil {
		_, s.err = s.file.Write(make([]byte, headerSize))
	}
	return s
}

func (s *spool) tmp() string { return s.path + tmpSuffix }

// Write never fails: see spool.
func (s *spool) Write(b []byte) (int, error) {
	s.hash.Write(b)
	s.size += int64(len(b))
	if s.file != nil && s.err == nil {
		_, s.err = s.file.Write(b)
	}
	return len(b), nil
}

func (s *spool) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// finish writes the header and brings everything to the disk, still under the
// temporary name.
func (s *spool) finish(h storeHeader) {
	if s.file == nil || s.err != nil {
		return
	}
	h.Format, h.SHA256, h.Size = storeFormat, s.sum(), s.size
	line, err := json.Marshal(h)
	if err == nil && len(line) >= headerSize {
		err = errors.New("header too long")
	}
	if err == nil {
		padded := bytes.Repeat([]byte{' '}, headerSize)
		copy(padded, line)
		padded[headerSize-1] = '\n'
		_, err = s.file.WriteAt(padded, 0)
	}
	s.err = errors.Join(err, s.file.Sync())
}

// commit puts the copy in place, so that after a crash there is the old one or
// the new one. It says what went wrong since newSpool.
func (s *spool) commit() error {
	if s.file == nil || s.err != nil {
		return s.err
	}
	if err := os.Rename(s.tmp(), s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// close releases the file, and removes what was not committed.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.tmp()) // gone already after commit
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// copyReader reads a stored copy: first its header, then its body through Read,
// then check.
type copyReader struct {
	file    *os.File
	header  storeHeader
	checked time.Time
	hash    hash.Hash
	size    int64
}

// openCopy opens the copy at path, if there is one that is c's. The error is
// fs.ErrNotExist or a refusal.
func openCopy(path string, c *Config) (*copyReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &copyReader{file: f, hash: sha256.New()}
	if err := r.readHeader(c); err != nil {
		f.Close()
		return nil, refuse(resultDamaged, "stored copy %s: %w", path, err)
	}
	return r, nil
}

func (r *copyReader) readHeader(c *Config) error {
	line := make([]byte, headerSize)
	if _, err := io.ReadFull(r.file, line); err != nil {
		return err
	}
	if err := json.Unmarshal(line, &r.header); err != nil {
		return err
	}
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.checked = info.ModTime()
	h := &r.header
	switch {
	case h.Format != storeFormat:
		return fmt.Errorf("format %q, want %q", h.Format, storeFormat)
	case h.List != c.Name || h.URLHash != urlHash(c):
		return errors.New("belongs to another list")
	case info.Size() != headerSize+h.Size:
		return fmt.Errorf("%d octets, want %d", info.Size(), headerSize+h.Size)
	case h.Size > c.MaxBytes:
		return fmt.Errorf("%d octets, and max_bytes is %d", h.Size, c.MaxBytes)
	case len(h.ETag) > maxTagHeader || len(h.LastModified) > maxTagHeader:
		return errors.New("header field too long")
	}
	return nil
}

func (r *copyReader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	r.hash.Write(b[:n])
	r.size += int64(n)
	return n, err
}

// check says whether what was read is what was written. What was parsed of it
// must not serve before.
func (r *copyReader) check() error {
	if got := hex.EncodeToString(r.hash.Sum(nil)); got != r.header.SHA256 {
		return refuse(resultDamaged, "stored copy: sha256 is %s, want %s", got, r.header.SHA256)
	}
	return nil
}

func (r *copyReader) close() { r.file.Close() }

// confirm notes that the source still has what the copy at path holds.
func confirm(path string, now time.Time) error {
	err := os.Chtimes(path, now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it could not be written before, which was reported then
	}
	return err
}
