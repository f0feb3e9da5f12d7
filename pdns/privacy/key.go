package privacy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// secret is a key in use. It never changes; a new one takes its place.
type secret struct {
	key   []byte
	begun time.Time
	block cipher.Block // of ipcrypt
}

func newSecret(m Mode, key []byte, begun time.Time) *secret {
	s := &secret{key: key, begun: begun}
	if m == IPCrypt {
		// The length is right, which is all that NewCipher asks for.
		s.block, _ = aes.NewCipher(key)
	}
	return s
}

// hash is a pseudonym in 100::/64, the block that RFC 6666 sets aside for
// discarding: where an address is expected it is one, and it is never a host's.
// Half of it is HMAC-SHA256 of the address in 16 octets, cut to 64 bits.
func (s *secret) hash(a netip.Addr) netip.Addr {
	in := a.As16()
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write(in[:]) // never fails
	out := [16]byte{0: 0x01}
	copy(out[8:], mac.Sum(nil))
	return netip.AddrFrom16(out)
}

// encrypt is ipcrypt-deterministic: one block of AES-128 over the address in 16
// octets, an IPv4 address as ::ffff:a.b.c.d.
func (s *secret) encrypt(a netip.Addr) netip.Addr {
	b := a.As16()
	s.block.Encrypt(b[:], b[:])
	return netip.AddrFrom16(b).Unmap()
}

// decrypt is the way back.
func (s *secret) decrypt(a netip.Addr) netip.Addr {
	b := a.As16()
	s.block.Decrypt(b[:], b[:])
	return netip.AddrFrom16(b).Unmap()
}

// keyFile is what weir's own key file holds.
type keyFile struct {
	Mode  string    `json:"mode"`
	Begun time.Time `json:"begun"`
	Key   string    `json:"key"`
}

// ownPath is weir's key file for a mode. Each mode has one of its own, so that
// trying hash costs nobody the key of ipcrypt.
func ownPath(dir string, m Mode) string { return filepath.Join(dir, "client-"+m.String()+".key") }

// readKey reads weir's own key file. fs.ErrNotExist says that there is none.
func readKey(path string, m Mode) (*secret, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	var f keyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%s is not a key file of weir", path) // the cause might quote the key
	}
	key, err := hex.DecodeString(f.Key)
	if err != nil || len(key) != m.keyLen() || f.Mode != m.String() || f.Begun.IsZero() {
		return nil, fmt.Errorf("%s is not a key file of weir for %v", path, m)
	}
	return newSecret(m, key, f.Begun), nil
}

func writeKey(path string, m Mode, s *secret) error {
	text, err := json.Marshal(keyFile{m.String(), s.begun, hex.EncodeToString(s.key)})
	if err != nil {
		return err
	}
	return atomicfile.Write(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

func (g *Guard) fresh() *secret {
	key := make([]byte, g.mode.keyLen())
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return newSecret(g.mode, key, g.now().UTC())
}

// open finds the key of a keyed mode: the operator's, weir's own, or a new one.
func (g *Guard) open(cfg Config, dir string) error {
	if cfg.KeyFile != "" {
		key, err := readOwnKey(cfg.KeyFile, g.mode)
		if err != nil {
			return err
		}
		g.secret.Store(newSecret(g.mode, key, time.Time{}))
		return nil
	}
	if g.mode == Hash {
		g.rotation = cfg.KeyRotation
	}
	if dir == "" {
		if g.mode == IPCrypt {
			return errors.New("client_address: ipcrypt without a state folder needs key_file: nobody could turn the addresses back")
		}
		g.secret.Store(g.fresh())
		return nil
	}
	g.path = ownPath(dir, g.mode)
	s, err := readKey(g.path, g.mode)
	switch {
	case err == nil:
		g.secret.Store(s)
		if g.due() > 0 || g.rotation == 0 {
			return nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err // an unreadable key is not thrown away: it may be all that turns ipcrypt back
	}
	next := g.fresh()
	if err := writeKey(g.path, g.mode, next); err != nil {
		return fmt.Errorf("key of client addresses: %w", err)
	}
	g.secret.Store(next)
	return nil
}

// due is how long the key is still good for. A key from the future is one from
// before a clock was set back: it must not live for ever.
func (g *Guard) due() time.Duration {
	age := g.now().Sub(g.secret.Load().begun)
	if age < -g.rotation {
		return 0
	}
	return g.rotation - age
}

// retryEvery is how soon a disk is tried again that refused the new key, and how
// often the clock is looked at: it may be set at any time.
const retryEvery = time.Minute

// Run rotates the key of hash until ctx ends. The old one is forgotten even
// where the new one cannot be written: then it is removed from the disk, too.
func (g *Guard) Run(ctx context.Context) error {
	if g.rotation == 0 {
		<-ctx.Done()
		return nil
	}
	unwritten := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if g.due() <= 0 {
			g.secret.Store(g.fresh())
			unwritten = g.path != ""
		}
		if unwritten {
			unwritten = !g.keep()
		}
		timer.Reset(min(max(g.due(), time.Millisecond), retryEvery))
	}
}

// keep writes the key that is in use, and says whether it did.
func (g *Guard) keep() bool {
	err := writeKey(g.path, g.mode, g.secret.Load())
	if err == nil {
		return true
	}
	if gone := os.Remove(g.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	g.log.Error("the new key of client addresses cannot be written, will try again", zap.Error(err))
	return false
}
