package immudb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
)

// Hash is a SHA-256 digest. It prints and marshals as 64 hex digits.
type Hash [32]byte

// String returns 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns 64 hex digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("immudb: a hash has %d hex digits, not %d", hex.EncodedLen(len(h)), len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return errors.New("immudb: a hash holds a character that is not a hex digit")
	}
	return nil
}

// State is what is trusted of a database: that its history up to TxID has the
// hash Hash, which commits to every transaction up to there. Everything that is
// verified is verified against a State, and moves it forward.
type State struct {
	// ServerUUID is what the server calls itself. It is not proven: what tells
	// servers apart is the hash.
	ServerUUID string `json:"server_uuid"`
	Database   string `json:"database"`
	// Host is where the server was reached when it was first trusted, as
	// host:port. A server that has another UUID at the same place has to show the
	// same history.
	Host string `json:"host,omitempty"`

	TxID uint64 `json:"tx_id"`
	Hash Hash   `json:"hash"`
	// Signature is the server's signature of the state, if it signs; see
	// server_public_key at [ParseDSN]. It has been checked if that was set.
	Signature []byte `json:"signature,omitempty"`

	// Tables holds, by name, a digest of each table definition that is relied on:
	// pinned when it was first used, or proven.
	Tables map[string]Hash `json:"tables,omitempty"`
}

// Pin is the state as the option trusted_state takes it: tx:hash.
func (s State) Pin() string { return fmt.Sprintf("%d:%s", s.TxID, s.Hash) }

// parsePin reads what [State.Pin] gives.
func parsePin(pin string) (proof.State, error) {
	id, digits, ok := strings.Cut(pin, ":")
	tx, err := strconv.ParseUint(id, 10, 64)
	var h Hash
	if !ok || err != nil || tx == 0 || h.UnmarshalText([]byte(digits)) != nil {
		return proof.State{}, errors.New("immudb: a pinned state is tx:hash, a transaction id above 0 and 64 hex digits")
	}
	return proof.State{TxID: tx, Alh: proof.Digest(h)}, nil
}

func (s State) proof() proof.State { return proof.State{TxID: s.TxID, Alh: proof.Digest(s.Hash)} }

// clone shares nothing with s.
func (s State) clone() State {
	s.Signature = bytes.Clone(s.Signature)
	s.Tables = maps.Clone(s.Tables)
	return s
}

// same says whether a and b trust the same.
func (s State) same(b State) bool {
	return s.ServerUUID == b.ServerUUID && s.Database == b.Database && s.TxID == b.TxID && s.Hash == b.Hash && maps.Equal(s.Tables, b.Tables)
}

// StateStore keeps states, one for each server UUID and database. Its methods
// are called from several goroutines.
type StateStore interface {
	// Load returns the state of the database on the server. If there is none, the
	// error matches [ErrStateMissing]; one that cannot be read is another error.
	Load(ctx context.Context, serverUUID, database string) (State, error)

	// Swap replaces the state old by new, for all users of the store at once, and
	// reports whether it did: false if the stored state is not old any more. A zero
	// old means that there is none yet. A new state that is behind old, or is another
	// one for the same transaction, is an error.
	Swap(ctx context.Context, old, new State) (bool, error)

	// States returns all states.
	States(ctx context.Context) ([]State, error)
}

// checkSwap refuses what no store may do.
func checkSwap(old, new State) error {
	switch {
	case new.TxID == 0:
		return errors.New("immudb: state store: a state without a transaction cannot be stored")
	case old.TxID == 0:
		return nil
	case new.ServerUUID != old.ServerUUID || new.Database != old.Database:
		return errors.New("immudb: state store: a state cannot be replaced by that of another server or database")
	case new.TxID < old.TxID:
		return fmt.Errorf("immudb: state store: the state does not go back from tx %d to %d", old.TxID, new.TxID)
	case new.TxID == old.TxID && new.Hash != old.Hash:
		return fmt.Errorf("immudb: state store: tx %d has one hash, not two", old.TxID)
	}
	return nil
}

// MemoryStateStore keeps states as long as the program runs. Its zero value is
// empty and ready to use.
type MemoryStateStore struct {
	mu sync.Mutex
	m  map[stateKey]State
}

type stateKey struct{ serverUUID, database string }

var _ StateStore = (*MemoryStateStore)(nil)

// Load implements [StateStore].
func (m *MemoryStateStore) Load(_ context.Context, serverUUID, database string) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.m[stateKey{serverUUID, database}]
	if !ok {
		return State{}, ErrStateMissing
	}
	return s.clone(), nil
}

// Swap implements [StateStore].
func (m *MemoryStateStore) Swap(_ context.Context, old, new State) (bool, error) {
	if err := checkSwap(old, new); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := stateKey{new.ServerUUID, new.Database}
	if now, ok := m.m[key]; ok != (old.TxID != 0) || ok && !now.same(old) {
		return false, nil
	}
	if m.m == nil {
		m.m = make(map[stateKey]State)
	}
	m.m[key] = new.clone()
	return true, nil
}

// States implements [StateStore].
func (m *MemoryStateStore) States(context.Context) ([]State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []State
	for _, s := range m.m {
		all = append(all, s.clone())
	}
	return all, nil
}
