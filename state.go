package immudb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
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

// State is the trusted state of a database: its history up to transaction TxID has
// the hash Hash, which commits to every transaction up to there. Every verification
// checks against a State, and may move it forward.
type State struct {
	// History is the value of the option history, and Database the name of the
	// database. The two identify the history, whichever server shows it.
	History  string `json:"history,omitempty"`
	Database string `json:"database"`

	// ServerUUID and Host (host:port) are those of the server that showed the state.
	// They are for information only: histories are told apart by the hash.
	ServerUUID string `json:"server_uuid"`
	Host       string `json:"host,omitempty"`

	TxID uint64 `json:"tx_id"`
	Hash Hash   `json:"hash"`
	// Signature is the server's signature of the state, if it signs; see
	// server_public_key at [ParseDSN]. It has been checked if that was set.
	Signature []byte `json:"signature,omitempty"`

	// AuditedTxID and AuditedHash are the last transaction that audits have read, or
	// the one that was trusted first. The next [Audit] continues after it, even if
	// reads have moved TxID since. 0: an audit reads from the first transaction on.
	AuditedTxID uint64 `json:"audited_tx_id,omitempty"`
	AuditedHash Hash   `json:"audited_hash,omitzero"`

	// Tables holds, by name, a digest of each table definition that is relied on:
	// pinned when it was first used, or proven.
	Tables map[string]Hash `json:"tables,omitempty"`
	// DroppedTables are the ids of tables that the history has dropped, ascending.
	// Proofs of their rows are refused.
	DroppedTables []uint32 `json:"dropped_tables,omitempty"`
}

// Pin is the state as the option trusted_state takes it: tx:hash.
func (s State) Pin() string { return proof.State{TxID: s.TxID, Alh: proof.Digest(s.Hash)}.Pin() }

// StateStore keeps states, one for each history and database. Its methods are
// called from several goroutines.
type StateStore interface {
	// Load returns the state with the given History and Database. If there is none,
	// the error matches [ErrStateMissing]; one that cannot be read is another error.
	Load(ctx context.Context, history, database string) (State, error)

	// Swap replaces the state old by new, for all users of the store at once, and
	// reports whether it did: false if the stored state is not old any more. A zero
	// old means that there is none yet. A new state that is behind old, or is another
	// one for the same transaction, is an error.
	Swap(ctx context.Context, old, new State) (bool, error)

	// States returns all states.
	States(ctx context.Context) ([]State, error)
}

// MemoryStateStore keeps states in memory, until the program ends. Its zero value is
// empty and ready to use.
type MemoryStateStore struct{ states trust.MemoryStore }

var _ StateStore = (*MemoryStateStore)(nil)

// Load implements [StateStore].
func (m *MemoryStateStore) Load(ctx context.Context, history, database string) (State, error) {
	return loadState(ctx, &m.states, history, database)
}

// Swap implements [StateStore].
func (m *MemoryStateStore) Swap(ctx context.Context, old, new State) (bool, error) {
	return m.states.Swap(ctx, old.trusted(), new.trusted())
}

// States implements [StateStore].
func (m *MemoryStateStore) States(ctx context.Context) ([]State, error) {
	return listStates(ctx, &m.states)
}

// FileStateStore keeps states in a directory, one file for each, readable by its
// owner only. Several processes may share the directory: a file is replaced as a
// whole, under a lock, and never by an older state. A user who can write to the
// directory can change what is trusted.
//
// Each file is JSON. It may be read, and copied as a backup. Delete it to trust the
// database anew.
type FileStateStore struct{ states *trust.FileStore }

var _ StateStore = (*FileStateStore)(nil)

// NewFileStateStore uses dir, and creates it, with its parents, if it does not exist.
// It refuses a directory that other users than its owner may write to.
func NewFileStateStore(dir string) (*FileStateStore, error) {
	states, err := trust.NewFileStore(dir)
	if err != nil {
		return nil, err
	}
	return &FileStateStore{states}, nil
}

// Load implements [StateStore].
func (f *FileStateStore) Load(ctx context.Context, history, database string) (State, error) {
	return loadState(ctx, f.states, history, database)
}

// Swap implements [StateStore].
func (f *FileStateStore) Swap(ctx context.Context, old, new State) (bool, error) {
	return f.states.Swap(ctx, old.trusted(), new.trusted())
}

// States implements [StateStore].
func (f *FileStateStore) States(ctx context.Context) ([]State, error) {
	return listStates(ctx, f.states)
}

func loadState(ctx context.Context, store trust.Store, history, database string) (State, error) {
	s, err := store.Load(ctx, history, database)
	if errors.Is(err, trust.ErrNotStored) {
		return State{}, ErrStateMissing
	}
	return newState(s), err
}

func listStates(ctx context.Context, store trust.Store) ([]State, error) {
	all, err := store.States(ctx)
	states := make([]State, len(all))
	for i, s := range all {
		states[i] = newState(s)
	}
	return states, err
}

// trustedStore is a StateStore as package trust sees it.
type trustedStore struct{ StateStore }

func (t trustedStore) Load(ctx context.Context, history, database string) (trust.State, error) {
	s, err := t.StateStore.Load(ctx, history, database)
	if errors.Is(err, ErrStateMissing) {
		err = trust.ErrNotStored
	}
	return s.trusted(), err
}

func (t trustedStore) Swap(ctx context.Context, old, new trust.State) (bool, error) {
	return t.StateStore.Swap(ctx, newState(old), newState(new))
}

func (t trustedStore) States(ctx context.Context) ([]trust.State, error) {
	all, err := t.StateStore.States(ctx)
	states := make([]trust.State, len(all))
	for i, s := range all {
		states[i] = s.trusted()
	}
	return states, err
}

// newState and trusted convert between the State that programs see and the one of
// package trust. The two share nothing that changes.
func newState(s trust.State) State {
	s = s.Clone()
	return State{
		History: s.History, Database: s.Database, ServerUUID: s.ServerUUID, Host: s.Host,
		TxID: s.TxID, Hash: Hash(s.Hash), Signature: s.Signature,
		AuditedTxID: s.AuditedTxID, AuditedHash: Hash(s.AuditedHash),
		Tables: convertHashes[Hash](s.Tables), DroppedTables: s.DroppedTables,
	}
}

func (s State) trusted() trust.State {
	return trust.State{
		History: s.History, Database: s.Database, ServerUUID: s.ServerUUID, Host: s.Host,
		TxID: s.TxID, Hash: proof.Digest(s.Hash), Signature: bytes.Clone(s.Signature),
		AuditedTxID: s.AuditedTxID, AuditedHash: proof.Digest(s.AuditedHash),
		Tables: convertHashes[proof.Digest](s.Tables), DroppedTables: slices.Clone(s.DroppedTables),
	}
}

func convertHashes[To, From ~[32]byte](from map[string]From) map[string]To {
	if from == nil {
		return nil
	}
	to := make(map[string]To, len(from))
	for name, h := range from {
		to[name] = To(h)
	}
	return to
}
