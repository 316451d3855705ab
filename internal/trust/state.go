package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
)

// State is the trusted state of a database: its history up to transaction TxID has
// the hash Hash.
type State struct {
	History  string `json:"history,omitempty"` // the user's name for the history, often ""
	Database string `json:"database"`

	// The server that showed it last, for information only.
	ServerUUID string `json:"server_uuid"`
	Host       string `json:"host,omitempty"`

	TxID      uint64       `json:"tx_id"`
	Hash      proof.Digest `json:"hash"`
	Signature []byte       `json:"signature,omitempty"`

	// AuditedTxID and AuditedHash are the last transaction that audits have read, or
	// the one that was trusted first. 0: none was read.
	AuditedTxID uint64       `json:"audited_tx_id,omitempty"`
	AuditedHash proof.Digest `json:"audited_hash,omitzero"`

	// Tables holds, by name, the fingerprint of each definition that is relied on.
	Tables map[string]proof.Digest `json:"tables,omitempty"`
	// DroppedTables are the ids of tables that the history was seen to drop, ascending.
	DroppedTables []uint32 `json:"dropped_tables,omitempty"`
}

// Pin is the state as [proof.ParseState] reads it.
func (s State) Pin() string { return s.proof().Pin() }

func (s State) proof() proof.State { return proof.State{TxID: s.TxID, Alh: s.Hash} }

// begun is s as the first trusted state: the next audit starts after it.
func (s State) begun() State {
	s.AuditedTxID, s.AuditedHash = s.TxID, s.Hash
	return s
}

// Clone returns a copy that shares no memory with s.
func (s State) Clone() State {
	s.Signature = bytes.Clone(s.Signature)
	s.Tables = maps.Clone(s.Tables)
	s.DroppedTables = slices.Clone(s.DroppedTables)
	return s
}

func (s State) dropped(table uint32) bool { return slices.Contains(s.DroppedTables, table) }

// same reports whether s and b are equal apart from the server that showed them.
func (s State) same(b State) bool {
	return s.key() == b.key() && s.TxID == b.TxID && s.Hash == b.Hash &&
		s.AuditedTxID == b.AuditedTxID && s.AuditedHash == b.AuditedHash && maps.Equal(s.Tables, b.Tables) &&
		slices.Equal(s.DroppedTables, b.DroppedTables)
}

// ErrNotStored is the error of a [Store] that has no state of a database.
var ErrNotStored = errors.New("no trusted state")

// Store keeps states. Its methods are called from several goroutines.
type Store interface {
	// Load returns the stored state. If there is none, the error matches
	// [ErrNotStored]; one that cannot be read is another error.
	Load(ctx context.Context, history, database string) (State, error)
	// Swap replaces the state old by new and reports whether it did: false if the
	// stored state is not old any more. A zero old means that there is none yet.
	Swap(ctx context.Context, old, new State) (bool, error)
	// States returns all states.
	States(ctx context.Context) ([]State, error)
}

// checkSwap returns an error for replacements that no store may make.
func checkSwap(old, new State) error {
	switch {
	case new.TxID == 0:
		return errors.New("immudb: state store: a state without a transaction cannot be stored")
	case old.TxID == 0:
		return nil
	case new.key() != old.key():
		return errors.New("immudb: state store: a state cannot be replaced by that of another history or database")
	case new.TxID < old.TxID:
		return fmt.Errorf("immudb: state store: the state does not go back from tx %d to %d", old.TxID, new.TxID)
	case new.TxID == old.TxID && new.Hash != old.Hash:
		return fmt.Errorf("immudb: state store: tx %d has one hash, not two", old.TxID)
	case new.AuditedTxID < old.AuditedTxID:
		return fmt.Errorf("immudb: state store: the audited transaction does not go back from tx %d to %d", old.AuditedTxID, new.AuditedTxID)
	}
	return nil
}

// MemoryStore keeps states in memory, until the program ends. Its zero value is
// empty and ready to use.
type MemoryStore struct {
	mu sync.Mutex
	m  map[storeKey]State
}

type storeKey struct{ history, database string }

func (s State) key() storeKey { return storeKey{s.History, s.Database} }

func (k storeKey) String() string {
	if k.history == "" {
		return k.database
	}
	return fmt.Sprintf("%s (history=%s)", k.database, k.history)
}

var _ Store = (*MemoryStore)(nil)

// Load implements [Store].
func (m *MemoryStore) Load(_ context.Context, history, database string) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.m[storeKey{history, database}]
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
	key := new.key()
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
