package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/immudb-go/immudb"
)

// copies are calls of CopyFrom, which reports for each row whether it is committed.
type copies struct {
	table string
	ids   ids
	rows  *ledger
	seen  seen
}

const copyRows, copyBatch = 200, 40

func newCopies(table string, _ int) work { return &copies{table: table, rows: newLedger()} }

func (c *copies) prepare(ctx context.Context, db *sql.DB) error {
	return createTable(ctx, db, c.table, "id INTEGER, v INTEGER, PRIMARY KEY id")
}

// numbered are rows with ids from first on and all with the same second value.
func numbered(first, n, value int64) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for id := first; id < first+n; id++ {
			if !yield([]any{id, value}, nil) {
				return
			}
		}
	}
}

func (c *copies) do(ctx context.Context, db *sql.DB, worker int) error {
	first := c.ids.take(worker, copyRows)
	whole, batch := first/copyRows%3 == 0, copyBatch
	if whole {
		batch = 0 // the server's limit: all rows must fit into one transaction
	}
	n, err := immudb.CopyFrom(ctx, db, c.table, nil, numbered(first, copyRows, int64(worker)),
		&immudb.CopyOptions{BatchRows: batch, AllOrNothing: whole})
	var failure *immudb.CopyError
	var unsure int64
	if errors.As(err, &failure) {
		n, unsure = failure.Committed, failure.Unknown
	}
	if err == nil && n != copyRows || whole && n+unsure != 0 && n+unsure != copyRows {
		c.seen.addf("count", "of %d rows %d are said to be there and %d unknown (all or nothing: %v): %v", copyRows, n, unsure, whole, err)
	}
	for i := range int64(copyRows) {
		switch {
		case i < n:
			c.rows.note(first+i, acked)
		case i < n+unsure:
			c.rows.note(first+i, unknown)
		default:
			c.rows.note(first+i, failed)
		}
	}
	return err
}

func (c *copies) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := countRows(ctx, db, "SELECT id FROM "+c.table)
	if err != nil {
		return nil, err
	}
	return append(c.seen.violations(), c.rows.judge(rows)...), nil
}

// prepared keeps a sql.Conn for each worker, with statements prepared on it, until a call fails.
type prepared struct {
	table string
	ids   ids
	rows  *ledger
	seen  seen
	mu    sync.Mutex
	conns map[int]*preparedConn
}

type preparedConn struct {
	conn           *sql.Conn
	insert, choose *sql.Stmt
}

func newPrepared(table string, _ int) work {
	return &prepared{table: table, rows: newLedger(), conns: map[int]*preparedConn{}}
}

func (p *prepared) prepare(ctx context.Context, db *sql.DB) error {
	return createTable(ctx, db, p.table, "id INTEGER, v INTEGER, PRIMARY KEY id")
}

// take removes the worker's connection from the kept ones, and opens one if there is none.
func (p *prepared) take(ctx context.Context, db *sql.DB, worker int) (*preparedConn, error) {
	p.mu.Lock()
	c := p.conns[worker]
	delete(p.conns, worker)
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c = &preparedConn{conn: conn}
	if c.insert, err = conn.PrepareContext(ctx, "INSERT INTO "+p.table+" (id, v) VALUES (?, 5)"); err == nil {
		c.choose, err = conn.PrepareContext(ctx, "SELECT v FROM "+p.table+" WHERE id = ?")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (p *prepared) do(ctx context.Context, db *sql.DB, worker int) error {
	c, err := p.take(ctx, db, worker)
	if err != nil {
		return err
	}
	if err := p.use(ctx, c, worker); err != nil {
		_ = c.conn.Close() // the connection has failed
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[worker] = c
	return nil
}

func (p *prepared) use(ctx context.Context, c *preparedConn, worker int) error {
	id := p.ids.take(worker, 1)
	_, err := c.insert.ExecContext(ctx, id)
	p.rows.note(id, fateOf(err))
	if err != nil {
		return err
	}
	var v int64
	switch err := c.choose.QueryRowContext(ctx, id).Scan(&v); {
	case err == sql.ErrNoRows:
		p.seen.addf("own write not read", "row %d was written on this connection and is not there", id)
	case err != nil:
		return err
	}
	return nil
}

// release returns the connections to the pool.
func (p *prepared) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for worker, c := range p.conns {
		_ = c.conn.Close() // it may have failed already
		delete(p.conns, worker)
	}
}

func (p *prepared) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := countRows(ctx, db, "SELECT id FROM "+p.table)
	if err != nil {
		return nil, err
	}
	return append(p.seen.violations(), p.rows.judge(rows)...), nil
}

// impatient callers share a sql.DB and use short deadlines.
type impatient struct{ *writes }

func newImpatient(table string, workers int) work {
	return impatient{newWrites(table, workers).(*writes)}
}

func (i impatient) do(ctx context.Context, db *sql.DB, worker int) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond+rand.N(450*time.Millisecond))
	defer cancel()
	if rand.IntN(2) == 0 {
		var n int64
		return db.QueryRowContext(ctx, "SELECT n FROM "+i.table+"_n WHERE worker = ?", worker).Scan(&n)
	}
	return i.writes.do(ctx, db, worker)
}
