// Command outbox copies every change of an immudb database into a table of SQLite,
// exactly once, whenever it is killed: the changes and the cursor after them are
// written in one transaction of SQLite.
//
//	IMMUDB_DSN='immudb://reader:secret@db1/ledger?verify=trust-first-use&state_dir=/var/lib/outbox' outbox -to outbox.db
//
// Each change is proven before it is written. Another program takes rows from the
// outbox, in the order of seq, and sends them where they are wanted; seq tells a
// receiver what it has seen already.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/immudb-go/immudb"
	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	to := flag.String("to", "outbox.db", "the SQLite database")
	tables := flag.String("tables", "", "only changes of these tables (a,b)")
	flag.Parse()
	var wanted []string
	if *tables != "" {
		wanted = strings.Split(*tables, ",")
	}
	if err := run(ctx, os.Getenv("IMMUDB_DSN"), *to, wanted); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn, path string, tables []string) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	o, err := openOutbox(ctx, path)
	if err != nil {
		return err
	}
	defer o.close()
	return o.follow(ctx, db, tables)
}

// outbox is the SQLite database.
type outbox struct {
	db *sql.DB
	at immudb.Cursor // as stored

	tx   *sql.Tx // nil: no change is waiting to be committed
	size int     // how many changes are
}

const schema = `
	CREATE TABLE IF NOT EXISTS outbox (
		seq INTEGER PRIMARY KEY AUTOINCREMENT,
		tx_id INTEGER NOT NULL, committed_at TEXT NOT NULL, kind TEXT NOT NULL, table_name TEXT NOT NULL,
		key TEXT, row TEXT, schema TEXT
	);
	CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT NOT NULL);
	INSERT OR IGNORE INTO position (id, cursor) VALUES (1, '')`

// openOutbox opens the database and reads where it has got to.
func openOutbox(ctx context.Context, path string) (*outbox, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	o := &outbox{db: db}
	var cursor string
	if _, err = db.ExecContext(ctx, schema); err == nil {
		err = db.QueryRowContext(ctx, "SELECT cursor FROM position").Scan(&cursor)
	}
	if err == nil {
		o.at, err = immudb.ParseCursor(cursor)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("outbox %s: %w", path, err), db.Close())
	}
	return o, nil
}

func (o *outbox) close() {
	if o.tx != nil {
		_ = o.tx.Rollback() // what it holds comes again
	}
	_ = o.db.Close()
}

// most is how many changes one transaction of SQLite holds.
const most = 500

// follow writes changes until ctx ends or something fails.
func (o *outbox) follow(ctx context.Context, from *sql.DB, tables []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opts := immudb.ChangesOptions{After: o.at, Tables: tables, Follow: true}
	opts.Progress = func(at immudb.Cursor) { // nothing more to read for now
		if at != o.at {
			if err := o.commit(ctx, at); err != nil {
				cancel(err)
			}
		}
	}
	for c, err := range immudb.Changes(ctx, from, opts) {
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if err := o.add(ctx, &c); err != nil {
			return err
		}
		if o.size >= most {
			if err := o.commit(ctx, c.Cursor); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *outbox) begin(ctx context.Context) (err error) {
	if o.tx == nil {
		o.tx, err = o.db.BeginTx(ctx, nil)
	}
	return err
}

func (o *outbox) add(ctx context.Context, c *immudb.Change) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	var key, row any
	if c.Row != nil {
		values := make(map[string]any)
		for i, name := range c.Row.Columns {
			values[name] = c.Row.Values[i]
			if f, ok := values[name].(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				values[name] = fmt.Sprint(f) // JSON has no such numbers
			}
		}
		rowText, err := json.Marshal(values)
		if err != nil {
			return err
		}
		keyText, err := json.Marshal(c.Key())
		if err != nil {
			return err
		}
		key, row = string(keyText), string(rowText)
	}
	_, err := o.tx.ExecContext(ctx, "INSERT INTO outbox (tx_id, committed_at, kind, table_name, key, row, schema) VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, ''))",
		int64(c.TxID), c.Time.Format("2006-01-02T15:04:05Z"), string(c.Kind), c.Table, key, row, c.Schema)
	o.size++
	return err
}

// commit stores the changes since the last commit together with the cursor after them.
func (o *outbox) commit(ctx context.Context, at immudb.Cursor) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	if _, err := o.tx.ExecContext(ctx, "UPDATE position SET cursor = ?", at.String()); err != nil {
		return err
	}
	if err := o.tx.Commit(); err != nil {
		return err
	}
	o.tx, o.size, o.at = nil, 0, at
	return nil
}
