package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
)

// State is what is trusted of a database: that its history up to TxID has the
// hash Hash.
type State struct {
	ServerUUID string `json:"server_uuid"`
	Database   string `json:"database"`
	Host       string `json:"host,omitempty"`

	TxID      uint64       `json:"tx_id"`
	Hash      proof.Digest `json:"hash"`
	Signature []byte       `json:"signature,omitempty"`

	// Tables holds, by name, the fingerprint of each definition that is relied on.
	Tables map[string]proof.Digest `json:"tables,omitempty"`
}

// Pin is the state as [ParsePin] reads it.
func (s State) Pin() string { return FormatPin(s.TxID, s.Hash) }

func (s State) proof() proof.State { return proof.State{TxID: s.TxID, Alh: s.Hash} }

// Clone shares nothing with s.
func (s State) Clone() State {
	s.Signature = bytes.Clone(s.Signature)
	s.Tables = maps.Clone(s.Tables)
	return s
}

// same reports whether a and b trust the same.
func (s State) same(b State) bool {
	return s.ServerUUID == b.ServerUUID && s.Database == b.Database && s.TxID == b.TxID && s.Hash == b.Hash && maps.Equal(s.Tables, b.Tables)
}

// ErrNotStored is the error of a [Store] that has no state of a database.
var ErrNotStored = errors.New("no trusted state")

// Store keeps states. Its methods are called from several goroutines.
type Store interface {
	// Load returns the stored state. If there is none, the error matches
	// [ErrNotStored]; one that cannot be read is another error.
	Load(ctx context.Context, serverUUID, database string) (State, error)
	// Swap replaces the state old by new and reports whether it did: false if the
	// stored state is not old any more. A zero old means that there is none yet.
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

// MemoryStore keeps states as long as the program runs. Its zero value is empty
// and ready to use.
type MemoryStore struct {
	mu sync.Mutex
	m  map[storeKey]State
}

type storeKey struct{ serverUUID, database string }

var _ Store = (*MemoryStore)(nil)

// Load implements [Store].
func (m *MemoryStore) Load(_ context.Context, serverUUID, database string) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.m[storeKey{serverUUID, database}]
	if !ok {
		return State{}, ErrNotStored
	}
	return s.Clone(), nil
}

// Swap implements [Store].
func (m *MemoryStore) Swap(_ context.Context, old, new State) (bool, error) {
	if err := checkSwap(old, new); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := storeKey{new.ServerUUID, new.Database}
	if now, ok := m.m[key]; ok != (old.TxID != 0) || ok && !now.same(old) {
		return false, nil
	}
	if m.m == nil {
		m.m = make(map[storeKey]State)
	}
	m.m[key] = new.Clone()
	return true, nil
}

// States implements [Store].
func (m *MemoryStore) States(context.Context) ([]State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []State
	for _, s := range m.m {
		all = append(all, s.Clone())
	}
	return all, nil
}
