package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// ErrSuspectState is a state of suspects that is damaged, or none of ours.
var ErrSuspectState = errors.New("bad state of suspects")

// suspectState is the state in JSON. Of clients it has a hash, whose key is beside
// it: who has the file can try addresses, as with privacy.client_address: hash.
type suspectState struct {
	Version  int            `json:"version"`
	Key      []byte         `json:"key"`
	Suspects []savedSuspect `json:"suspects"`
}

type savedSuspect struct {
	Name    string    `json:"name"` // registered domain
	Kind    string    `json:"kind"`
	Client  uint64    `json:"client"` // hash; 0: everybody
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Enforce bool      `json:"enforce"`
}

const suspectVersion = 1

// Changes counts what has changed: while it stays the same, so does the state.
func (s *Suspects) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// AppendState appends what is suspected at a moment, to outlive a restart.
func (s *Suspects) AppendState(dst []byte, at time.Time) ([]byte, error) {
	state := suspectState{Version: suspectVersion, Key: s.key[:], Suspects: []savedSuspect{}}
	current := *s.current.Load()
	for _, name := range slices.Sorted(maps.Keys(current)) {
		for _, one := range current[name] {
			if at.Before(one.until) {
				state.Suspects = append(state.Suspects, savedSuspect{dnsname.Name(name).String(), one.kind.String(), one.who, one.since.UTC(), one.until.UTC(), one.enforce})
			}
		}
	}
	data, err := json.Marshal(&state)
	return append(dst, data...), err
}

// RestoreState takes what AppendState gave, all or nothing, less what is over at
// at. It must be called before the first query and the first finding.
func (s *Suspects) RestoreState(data []byte, at time.Time) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrSuspectState, fmt.Errorf(format, args...))
	}
	var state suspectState
	if err := json.Unmarshal(data, &state); err != nil {
		return bad("%w", err)
	}
	if state.Version != suspectVersion {
		return bad("version %d, want %d", state.Version, suspectVersion)
	}
	if len(state.Key) != len(s.key) {
		return bad("a key of %d octets, want %d", len(state.Key), len(s.key))
	}
	next := map[string][]suspect{}
	for i, one := range state.Suspects {
		name, err := dnsname.Parse(one.Name)
		if err != nil {
			return bad("suspects[%d].name: %w", i, err)
		}
		kind, ok := ParseFindingKind(one.Kind)
		if !ok || !kind.Suspects() {
			return bad("suspects[%d].kind: %q speaks against no domain", i, one.Kind)
		}
		if !one.Since.Before(one.Until) {
			return bad("suspects[%d].until: %v is not after %v", i, one.Until, one.Since)
		}
		if !at.Before(one.Until) || !slices.Equal(name, s.suffixes.Split(name).Registered) {
			continue // it is over, or a later list of public suffixes has it
		}
		restored := suspect{kind: kind, enforce: one.Enforce, who: one.Client, since: one.Since, until: one.Until}
		restored.describe()
		of := append(next[string(name)], restored)
		if next[string(name)] = of; len(next) > maxSuspects || len(of) > maxSuspectsEach {
			return bad("more than %d domains, or %d clients of one", maxSuspects, maxSuspectsEach)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	copy(s.key[:], state.Key)
	s.store(next)
	return nil
}

// hash is what the state has of a client; 0 is that of none.
func (s *Suspects) hash(client netip.Addr) uint64 {
	if !client.IsValid() {
		return 0
	}
	octets := client.As16()
	var message [len(s.key) + len(octets)]byte
	copy(message[copy(message[:], s.key[:]):], octets[:])
	sum := sha256.Sum256(message[:])
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}
