// Package indeximmudb keeps an index of a database's rows in a local file: for each key, the transaction that
// wrote its latest revision. It is read from the proven history, so it proves what no server can prove
// about its own answer: that a revision is the latest one, that a row does not exist, and that no row of a
// table or a range of keys is missing.
//
//	idx, err := indeximmudb.Open("/var/lib/myapp/ledger.index", db, indeximmudb.Options{})
//	if err != nil {
//		return err
//	}
//	defer idx.Close()
//	err = idx.Update(ctx)
//	row, err := idx.Row(ctx, "accounts", 42)
//	rows, err := idx.Rows(ctx, "entries", "WHERE id BETWEEN ? AND ?", 1000, 1999)
//
// # As of which transaction
//
// Every answer is that of the database as of the index's transaction, [Index.Tx]: the rows, their values, and the
// names of tables and columns. It does not depend on what was committed later. [Index.Update] moves
// the index to the newest transaction that the server shows, [Index.Run] keeps it there.
//
// What the index cannot tell: what is not committed, what was committed after its transaction, and what a
// server holds back that has never shown it. A program that knows of a transaction, from immudb.CommitInfo
// or another client, compares its number with Index.Tx after an Update.
//
// # What is trusted
//
// The file and the trusted state (see verify, trusted_state and state_dir at immudb.ParseDSN), but no
// server. A server that leaves a transaction out of the history, shows an old or false revision, or denies a row,
// is an immudb.ErrTampered. Keep the file where nobody else can write: it holds no hashes of its own content.
// It can be deleted at any time; Update then reads the history again from its first transaction on.
package indeximmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/trust"
)

// Options are how an index is kept.
type Options struct {
	// Tables are the tables to index, by the names with which they are created; nil: all.
	// A table stays in the index when it is renamed. An index that exists must have been
	// made for the same tables.
	Tables []string
	// PollInterval is the longest time between two questions of [Index.Run] for new
	// transactions. 0: one second. While transactions come, Run asks up to 20 times a second.
	PollInterval time.Duration
	// Concurrency is how many transactions [Index.Rows] asks for at once. 0: 8.
	Concurrency int
}

// Index is an index in a file. Its methods may be called from several goroutines at once.
type Index struct {
	db    *sql.DB
	opts  Options
	store *bolt.DB

	turn     chan struct{} // holds a token while a goroutine reads the history
	anchored atomic.Bool   // the history that is trusted has the index's transaction

	mu    sync.Mutex
	moved chan struct{} // closed at the next commit
	at    *position     // as last read from the file
}

// lockTimeout is how long Open waits for the lock of the file.
const lockTimeout = time.Second

// Open opens the index in a file, or makes one that has nothing yet, for a database that
// was opened with this driver. It asks no server. A file can be open only once at a time.
func Open(path string, db *sql.DB, opts Options) (*Index, error) {
	opts.Tables = slices.Clone(opts.Tables)
	for i, name := range opts.Tables {
		opts.Tables[i] = strings.ToLower(name)
	}
	slices.Sort(opts.Tables)
	store, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("indeximmudb: %s is open already: use one Index, and close it before the next is opened", path)
	case err != nil:
		return nil, fmt.Errorf("indeximmudb: %s: %w", path, err)
	}
	x := &Index{db: db, opts: opts, store: store, turn: make(chan struct{}, 1), moved: make(chan struct{})}
	if err := x.prepare(); err != nil {
		return nil, fmt.Errorf("indeximmudb: %s: %w", path, errors.Join(err, store.Close()))
	}
	return x, nil
}

// Close closes the file. Calls under way must have ended, Run above all.
func (x *Index) Close() error { return x.store.Close() }

// Tx is the transaction as of which the index answers; 0: it has read nothing yet, or is closed.
func (x *Index) Tx() uint64 {
	at, err := x.now()
	if err != nil {
		return 0
	}
	return at.cursor.After.TxID
}

// now reads the position of the index.
func (x *Index) now() (at *position, err error) {
	err = x.view(func(_ *bolt.Tx, p *position) error {
		at = p
		return nil
	})
	return at, err
}

// anchor proves, once, that the history that is trusted has the index's transaction. It
// extends it from then on.
func (x *Index) anchor(ctx context.Context) error {
	if x.anchored.Load() {
		return nil
	}
	at, err := x.now()
	if err != nil || at.cursor.After.TxID == 0 {
		return err
	}
	err = inside.Prove(ctx, x.db, func(p *trust.Prover) error {
		_, err := p.Anchor(ctx, at.cursor.After)
		return err
	})
	if err == nil {
		x.anchored.Store(true)
	}
	return err
}
