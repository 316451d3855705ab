package indeximmudb

import (
	"context"
	"errors"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/immudb-go/immudb/internal/feed"
	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

// maxBatch is how many changes of rows are kept in memory before they are written.
const maxBatch = 1 << 16

// Update reads the history on, up to the newest transaction that the server shows. What it
// has read until an error stays in the index. The errors are those of immudb.Changes. While
// another call reads, Update waits until that has come as far.
func (x *Index) Update(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return x.read(ctx, false)
	default:
	}
	var newest trust.State
	err := inside.Prove(ctx, x.db, func(p *trust.Prover) (err error) {
		newest, err = p.CatchUp(ctx)
		return err
	})
	for err == nil {
		moved := x.nextCommit()
		if x.Tx() >= newest.TxID {
			return nil
		}
		select {
		case <-moved:
		case x.turn <- struct{}{}: // the other call has ended
			return x.read(ctx, false)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return err
}

// Run reads the history and waits for new transactions, see Options.PollInterval, and for
// the server while it cannot be reached. It ends with an error, or with that of ctx.
func (x *Index) Run(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return x.read(ctx, true)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read reads the history into the index. The caller has taken the turn, which read gives
// back.
func (x *Index) read(ctx context.Context, follow bool) error {
	defer func() { <-x.turn }()
	w := &writer{index: x}
	at, err := w.begin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	s, err := feed.Start(ctx, at.cursor, feed.Source{
		Use: func(ctx context.Context, f func(*trust.Prover) error) error {
			return inside.Prove(ctx, x.db, f)
		},
		IsPassing: inside.IsUnreachable,
		Entries:   wire.KeysOnly,
		Follow:    follow,
		Poll:      x.opts.PollInterval,
	})
	if err != nil {
		cancel()
		return err
	}
	defer s.Wait()
	defer cancel()
	for page := range s.Pages {
		if page.Err != nil {
			if err := w.flush(); err != nil {
				return errors.Join(page.Err, err)
			}
			return page.Err
		}
		if err := w.add(page); err != nil {
			return err // it may have added a part of a transaction
		}
		if w.size >= maxBatch || w.through() >= page.Last {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// writer turns proven transactions into batches.
type writer struct {
	index *Index
	batch
	catalog *proof.Catalog
	tables  map[uint32]bool // that there are, and whether they are indexed
	last    *proof.Header   // of the last transaction that the batch has; nil: it has none
	key     []byte
}

// begin finds out what the file has.
func (w *writer) begin() (at *position, err error) {
	w.rows, w.tables = make(map[uint32]map[string]uint64), make(map[uint32]bool)
	err = w.index.view(func(tx *bolt.Tx, p *position) error {
		at, w.cursor = p, p.cursor
		ids, err := indexedIn(tx)
		for _, id := range ids {
			w.tables[id] = true
		}
		return err
	})
	return at, err
}

// through is the last transaction that was added.
func (w *writer) through() uint64 {
	if w.last != nil {
		return w.last.ID
	}
	return w.cursor.After.TxID
}

// add adds the transactions of a page.
func (w *writer) add(page feed.Page) error {
	if page.Catalog != nil {
		w.index.anchored.Store(true)
		w.catalog, w.cursor.Seen = page.Catalog, string(page.Catalog.Checkpoint())
		for _, t := range w.catalog.TablesAt(w.catalog.Through()) {
			if !w.tables[t.ID] {
				w.tables[t.ID] = false // it is known, too
			}
		}
	}
	for _, tx := range page.Txs {
		if err := w.addTx(tx); err != nil {
			return inside.Error(page.Fault(err))
		}
	}
	return nil
}

func (w *writer) addTx(tx *proof.Tx) error {
	entries := tx.Entries()
	if err := w.catalog.Apply(tx); err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e proof.Entry) bool { return proof.IsCatalogKey(e.Key) }) {
		if err := w.define(tx.Header().ID); err != nil {
			return err
		}
	}
	for i := range entries {
		e := &entries[i]
		id, ok := proof.TableOfRow(e.Key)
		if !ok || !w.tables[id] {
			continue
		}
		if e.Metadata.Expires || e.Metadata.NonIndexable {
			return &proof.Error{Check: "a row entry has no metadata but the mark of its deletion", TxID: tx.Header().ID}
		}
		w.put(id, e, tx.Header().ID)
	}
	w.last = tx.Header()
	return nil
}

// put notes what a transaction did to a row.
func (w *writer) put(table uint32, e *proof.Entry, tx uint64) {
	rows := w.rows[table]
	if rows == nil {
		rows = make(map[string]uint64)
		w.rows[table] = rows
	}
	w.key = appendKey(w.key[:0], e.Key[proof.RowKeyHead:])
	if e.Metadata.Deleted {
		tx = 0
	}
	before := len(rows)
	rows[string(w.key)] = tx
	w.size += len(rows) - before
}

// define looks at the tables after a transaction that has changed some: new ones get a
// place, dropped ones lose theirs.
func (w *writer) define(tx uint64) error {
	live := w.catalog.TablesAt(tx)
	tables := make(map[uint32]bool, len(live))
	for _, t := range live {
		indexed, known := w.tables[t.ID]
		tables[t.ID] = indexed || !known && (w.index.opts.Tables == nil || slices.Contains(w.index.opts.Tables, t.Name))
	}
	for id, rows := range w.rows {
		if !tables[id] {
			w.size -= len(rows)
			delete(w.rows, id)
		}
	}
	w.tables = tables
	w.indexed = maps.Clone(tables)
	// The catalog keeps what tables were, which is not needed, so a new one takes its place.
	seen := w.catalog.Checkpoint()
	catalog, err := proof.RestoreCatalog(seen, tx)
	w.catalog, w.cursor.Seen = catalog, string(seen)
	return err
}

// flush writes what was added since the last time.
func (w *writer) flush() error {
	if w.last == nil {
		return nil
	}
	hash, err := w.last.Alh()
	if err != nil {
		return err
	}
	w.cursor = feed.Cursor{After: proof.State{TxID: w.last.ID, Alh: hash}, Seen: w.cursor.Seen}
	if err := w.index.commit(&w.batch); err != nil {
		return err
	}
	w.last, w.size, w.indexed = nil, 0, nil
	clear(w.rows)
	return nil
}
