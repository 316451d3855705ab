package immudb

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/feed"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/served"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

// ChangesOptions say what [Changes] reads.
type ChangesOptions struct {
	// After is where the feed begins: the Cursor of the last change that was seen.
	// The zero Cursor is the beginning of the history.
	After Cursor
	// Tables are the tables whose changes are wanted, by their names at the time of the
	// change. nil: all. A feed of a table that is renamed ends with the change of its
	// name; name both tables to go on.
	Tables []string
	// Follow waits for new transactions instead of ending after the newest. It ends
	// only with an error, or when ctx does.
	Follow bool
	// PollInterval is the longest time between two questions for new transactions.
	// 0: one second. While transactions come, the feed asks up to 20 times a second.
	PollInterval time.Duration
	// Progress, if not nil, is called by the goroutine that reads the feed, after each
	// answer of the server that held no more changes to yield, also if it held nothing
	// new. The cursor is the end of what was read: it may be stored instead of that of
	// the last change, so that transactions without wanted changes are not read again.
	Progress func(Cursor)
}

// ChangeKind is what a change did.
type ChangeKind string

const (
	// ChangeUpsert wrote a row. INSERT, UPDATE and UPSERT store the same entry: the
	// whole row. Which of them it was cannot be told from the history.
	ChangeUpsert ChangeKind = "upsert"
	// ChangeDelete deleted a row.
	ChangeDelete ChangeKind = "delete"
	// ChangeSchema changed the definition of a table.
	ChangeSchema ChangeKind = "schema"
)

// Change is a change that a committed transaction made.
type Change struct {
	Kind  ChangeKind
	TxID  uint64
	Time  time.Time // of the commit, by the server's clock, UTC, in whole seconds
	Table string    // its name as of that transaction; for ChangeSchema the one before it, or that of a new table

	// Row has the columns as of that transaction and their values; after ChangeDelete
	// the values that the row had. nil for ChangeSchema.
	Row *ProvenRow
	// PrimaryKey are the columns of the primary key, in their order. Changes share it.
	PrimaryKey []string
	// Schema is what ChangeSchema did, in words: "column balance is renamed to cents".
	Schema string

	// Cursor is the position after the change, to continue from.
	Cursor Cursor
}

// Key returns the values of the primary key.
func (c *Change) Key() []any {
	key := make([]any, len(c.PrimaryKey))
	for i, name := range c.PrimaryKey {
		key[i], _ = c.Row.Value(name)
	}
	return key
}

// Changes returns the changes of rows and of tables that were committed after a
// cursor, in the order of their transactions. Each is proven before it is yielded:
// its transaction belongs to the history that extends the trusted state, none before
// it is left out, and none of its own entries is. The first error ends the feed; the
// errors are those of [VerifiedRow], and [ErrInvalidValue] for a cursor that is none.
//
//	for change, err := range immudb.Changes(ctx, db, immudb.ChangesOptions{After: cursor, Follow: true}) {
//		if err != nil {
//			return err
//		}
//		… // apply the change and store change.Cursor, in one transaction
//	}
//
// A feed that begins with the Cursor of a change continues with the next one, in any
// process and on any server that has the history. That of a server that was restored
// from a backup made before the cursor is [ErrServerOlder].
//
// Without Follow the feed ends with the newest transaction of the time when it began.
// With it, the feed waits while the server cannot be reached, and asks for new
// transactions by polling, see PollInterval.
//
// Within a transaction, changes of tables come first, then those of rows in the order
// in which the server stored them; rows of a table that the transaction drops come
// before its drop. A row has the columns that the table has after the transaction, or
// had before its drop. Rows of a table that was created and dropped within one transaction
// are left out, as no definition of it remains. Indexes, constraints, views, sequences,
// documents and key-value entries are no part of the feed.
//
// The feed needs the values of all rows: a server that has deleted old values
// (retention) answers with an error. It keeps two answers of the server in memory, of
// about 4 MB each. The connection goes back to db between two answers.
func Changes(ctx context.Context, db *sql.DB, opts ChangesOptions) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s, err := feed.Start(ctx, opts.After.at, feed.Source{
			Use: func(ctx context.Context, f func(*trust.Prover) error) error {
				return onConn(ctx, db, func(c *Conn) error { return f(c.prover()) })
			},
			IsPassing: isUnreachable,
			Entries:   wire.WithValues,
			Follow:    opts.Follow,
			Poll:      opts.PollInterval,
		})
		if err != nil {
			cancel()
			yield(Change{}, newError(ErrInvalidValue, "22023", "the cursor is damaged: "+err.Error()))
			return
		}
		defer s.Wait()
		defer cancel()
		f := &changeReader{opts: &opts, yield: yield, at: opts.After.at}
		for _, name := range opts.Tables {
			f.tables = append(f.tables, strings.ToLower(name))
		}
		for page := range s.Pages {
			if page.Err == nil {
				page.Err = f.read(page)
			}
			if page.Err != nil && !f.stopped {
				yield(Change{}, page.Err)
			}
			if page.Err != nil || f.stopped {
				return
			}
			if opts.Progress != nil {
				opts.Progress(Cursor{f.at})
			}
		}
	}
}

// Cursor is a position between two changes of a database's history. It holds the
// transaction before it with its hash, and the definitions of the tables there, so
// that a feed continues without reading what came before. The zero Cursor is the
// beginning of the history.
//
// The text form, of which the first part is the one of trusted_state, is some hundred
// bytes long and grows with the number of tables and columns. Keep it where nobody
// can change it, as state_dir: the names of tables and columns are taken from it.
type Cursor struct{ at feed.Cursor }

// TxID is the last transaction that lies before the cursor as a whole.
func (c Cursor) TxID() uint64 { return c.at.After.TxID }

// IsZero reports whether the cursor is the beginning of the history.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String returns the text form, which [ParseCursor] reads; "" for the zero Cursor.
func (c Cursor) String() string { return c.at.String() }

// MarshalText implements [encoding.TextMarshaler].
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}

// ParseCursor reads the text form of a cursor. It also takes [State.Pin]: then the
// feed begins after that state, and reads the definitions of tables from the first
// transaction on before.
func ParseCursor(text string) (Cursor, error) {
	at, ok := feed.Parse(text)
	if !ok {
		return Cursor{}, newError(ErrInvalidValue, "22023", "the text is not a cursor: give one that Cursor.String returned, a state as tx:hash, or nothing")
	}
	return Cursor{at}, nil
}

// isUnreachable reports whether an error of a call that changes nothing may go away by
// itself.
func isUnreachable(err error) bool {
	var e *Error
	return isRetryable(err) || errors.As(err, &e) && e.GRPC == codes.Unavailable
}

// changeReader turns proven transactions into changes.
type changeReader struct {
	opts    *ChangesOptions
	tables  []string
	yield   func(Change, error) bool
	stopped bool // by yield

	reader *proof.ChangeReader
	at     feed.Cursor
	keys   map[*proof.Table]keyedColumns
}

// keyedColumns are the names of a table's columns.
type keyedColumns struct{ all, key []string }

// read yields the changes of a page.
func (f *changeReader) read(p feed.Page) error {
	if p.Catalog != nil {
		f.reader = proof.NewChangeReader(p.Catalog)
		f.learn()
	}
	for _, tx := range p.Txs {
		if err := f.readTx(tx, p); err != nil || f.stopped {
			return err
		}
	}
	return nil
}

// learn keeps the definitions of tables for the cursors that follow.
func (f *changeReader) learn() {
	f.at.Seen = string(f.reader.Checkpoint())
	f.keys = make(map[*proof.Table]keyedColumns)
}

func (f *changeReader) readTx(tx *proof.Tx, p feed.Page) error {
	changes, changed, err := f.reader.Read(tx)
	if err != nil {
		return fromTrust(p.Fault(err))
	}
	h := tx.Header()
	alh, err := h.Alh()
	if err != nil {
		return fromTrust(p.Fault(err))
	}
	before := f.at
	f.at = feed.Cursor{After: proof.State{TxID: h.ID, Alh: alh}, Seen: before.Seen}
	if changed {
		f.learn()
	}
	for i := before.Skip; i < changes.Len() && !f.stopped; i++ {
		c := Change{TxID: h.ID, Time: h.When(), Cursor: Cursor{f.at}}
		if i < changes.Len()-1 {
			c.Cursor = Cursor{before}
			c.Cursor.at.Skip = i + 1
		}
		row, table := changes.At(i)
		switch {
		case table != nil:
			if !f.schema(&c, table) {
				continue
			}
		case !f.wants(row.Table()):
			continue
		default:
			decoded, err := row.Row()
			if err != nil {
				return fromTrust(p.Fault(err))
			}
			f.row(&c, decoded)
		}
		f.stopped = !f.yield(c, nil)
	}
	return nil
}

func (f *changeReader) wants(table string) bool {
	return f.tables == nil || slices.Contains(f.tables, table)
}

// schema fills in a change of a table and reports whether it is wanted.
func (f *changeReader) schema(c *Change, s *proof.TableChange) bool {
	c.Kind, c.Table, c.Schema = ChangeSchema, s.Table, s.What
	return f.wants(s.Table) || s.After != nil && f.wants(s.After.Name)
}

// row fills in a change of a row.
func (f *changeReader) row(c *Change, row *proof.Row) {
	names, ok := f.keys[row.Table]
	if !ok {
		names.all = row.Table.ColumnNames()
		for _, id := range row.Table.PrimaryKey {
			i := slices.IndexFunc(row.Table.Columns, func(c proof.Column) bool { return c.ID == id })
			names.key = append(names.key, names.all[i])
		}
		f.keys[row.Table] = names
	}
	c.Kind, c.Table, c.PrimaryKey = ChangeUpsert, row.Table.Name, names.key
	if row.Deleted {
		c.Kind = ChangeDelete
	}
	for i, v := range row.Values {
		row.Values[i] = served.Value(v)
	}
	c.Row = &ProvenRow{Table: c.Table, Columns: names.all, Values: row.Values, TxID: c.TxID, Time: c.Time, Deleted: row.Deleted, key: row.Key}
}
