package immudb

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immudb-go/immudb/internal/bulk"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/wire"
)

// CopyOptions say how [CopyFrom] writes. The zero value inserts rows in batches as
// large as the server allows.
type CopyOptions struct {
	// Upsert replaces rows whose primary key exists. Without it such rows are refused
	// with [ErrDuplicateKey]. Only with Upsert does it do no harm to write a row twice.
	Upsert bool

	// AllOrNothing writes all rows in one transaction or none. Rows that are too
	// many for one are refused with [ErrTooManyEntries]. There is one writer.
	AllOrNothing bool

	// Writers is how many batches are written at once, each on a connection of its
	// own, as far as sql.DB.SetMaxOpenConns allows. Batches are always committed in
	// their order; while one is committed, the server already runs the next ones. 0:
	// four. A table with an AUTO_INCREMENT key always has one writer, because the
	// keys that two transactions generate at once conflict.
	Writers int

	// BatchRows is the most rows in one transaction. 0, or more than the server
	// allows: the server's limit, which CopyFrom asks for.
	BatchRows int

	// BatchBytes is the size of a request in bytes; one row may exceed it. CopyFrom
	// uses twice as much memory for each writer, and once more. 0: 4 MiB, with
	// AllOrNothing 32 MiB, which is the default limit of servers.
	BatchBytes int

	// Progress, unless nil, is called after each committed batch, by the goroutine
	// that called CopyFrom, between two rows.
	Progress func(CopyProgress)
}

// CopyProgress is how far a [CopyFrom] has come.
type CopyProgress struct {
	Rows    int64         // rows committed
	Bytes   int64         // bytes of the requests that wrote them
	Elapsed time.Duration // since CopyFrom was called
}

// RowsPerSecond is the rate since the beginning.
func (p CopyProgress) RowsPerSecond() float64 {
	return float64(p.Rows) / max(p.Elapsed.Seconds(), 1e-9)
}

// BytesPerSecond is the rate since the beginning.
func (p CopyProgress) BytesPerSecond() float64 {
	return float64(p.Bytes) / max(p.Elapsed.Seconds(), 1e-9)
}

// CopyFrom writes rows into columns of a table, and returns how many of them are
// committed. These are always the first ones: leave them out to call CopyFrom again
// with the same rows. Empty columns means all columns of the table. opts may be nil.
//
// rows is read once, by the calling goroutine, and in constant memory: while a
// batch is written the next one is encoded. A row's slice and values are used
// before the next row is asked for, so rows may yield the same slice each time.
// Values may be of every type that an argument may have.
//
// Every batch is a transaction. A batch that the server refuses because of a
// conflict, or because it is overloaded, is sent again, up to max_retries times. A
// batch that it refuses because of a row is divided until that row is found; the
// rows before it are committed.
//
// An error that comes after the first row was asked for is a [*CopyError], which
// says what is committed. If rows yields an error or a row that cannot be
// written, the rows before it are committed, or with AllOrNothing none. If rows
// panics, the batches being written are finished, and the panic goes on. A batch
// whose answer was lost is not sent again: its rows may or may not be committed (see
// [CopyError].Unknown). When ctx ends, so does CopyFrom.
//
// CopyFrom uses a connection of db for each batch that is being written, and none
// while it waits for rows. Rows that query db themselves need connections beside
// those: if sql.DB.SetMaxOpenConns does not allow them, CopyFrom fails after ten
// seconds with an error that says so.
func CopyFrom(ctx context.Context, db *sql.DB, table string, columns []string, rows iter.Seq2[[]any, error], opts *CopyOptions) (int64, error) {
	c := &copier{ctx: ctx, db: db, started: time.Now()}
	if opts != nil {
		c.opts = *opts
	}
	if db == nil || rows == nil {
		return 0, newError(ErrInvalidValue, "22023", "CopyFrom needs a sql.DB and rows; one of them is nil")
	}
	if err := c.checkOptions(); err != nil {
		return 0, err
	}
	if err := c.prepare(table, columns); err != nil {
		return 0, err
	}
	c.start()
	defer c.stop() // also when rows panics
	c.read(rows)
	c.drain()
	return c.outcome()
}

// batch is rows that are written in one transaction.
type batch struct {
	first int64 // number of its first row, counted from 0 in all of CopyFrom
	rows  bulk.Rows

	turn     <-chan struct{} // closed when the batch before it is finished
	finished chan struct{}   // closed when this one is

	mayConnect <-chan struct{} // closed when the batch before it has its connection, or needs none
	connected  chan struct{}   // the same for this one

	// The result: how many rows are committed, and how many after them have an
	// unknown outcome. err is the reason why the others are not committed, failedRow
	// the row at fault or -1.
	committed, unknown int
	failedRow          int
	err                error
	bytes              int64 // of the requests that committed
	tx                 wire.CommittedTx
}

// copier is one call of CopyFrom. read passes a batch through work to a writer, and
// the writer passes it back through done; a batch has one owner at any time.
type copier struct {
	ctx     context.Context
	db      *sql.DB
	opts    CopyOptions
	started time.Time

	table   string         // as the catalog spells it
	columns []rules.Column // likewise
	strict  bool           // [Config.Strict]
	keeps   bool           // [VerifyConfig.Writes]
	head    []byte         // the text in front of the rows

	// The size at which a batch is full. Writers lower them when the server
	// refuses a batch that keeps them.
	maxRows, maxBytes atomic.Int64

	work    chan *batch
	done    chan *batch  // its capacity is the number of batches
	failed  atomic.Bool  // a batch failed: those after it are not written
	clashes atomic.Int32 // staged batches that could not be committed
	writers sync.WaitGroup
	close   func() // closes work, once

	// What follows belongs to the goroutine that called CopyFrom.
	batches    int // made so far
	maxBatches int
	free       []*batch
	last       chan struct{} // closed when the batch passed on last is finished
	connected  chan struct{} // closed when the batch passed on last has its connection
	next       int64         // number of the next row, counted from 0
	progress   CopyProgress
	report     CopyError // its cause is nil as long as all goes well
}

const (
	defaultWriters    = 4
	defaultBatchBytes = 4 << 20
	maxBatchBytes     = 1 << 30
	// maxRequestBytes is what a server receives in one message by default.
	maxRequestBytes = 32 << 20
)

func (c *copier) checkOptions() error {
	o := &c.opts
	for _, v := range []struct {
		name   string
		n, max int
	}{
		{"Writers", o.Writers, 1000},
		{"BatchRows", o.BatchRows, 1 << 30},
		{"BatchBytes", o.BatchBytes, maxBatchBytes},
	} {
		if v.n < 0 || v.n > v.max {
			return newError(ErrInvalidValue, "22023", fmt.Sprintf("CopyOptions.%s is %d; it must be between 0, for the default, and %d", v.name, v.n, v.max))
		}
	}
	if o.Writers == 0 {
		o.Writers = defaultWriters
	}
	if o.AllOrNothing {
		o.Writers = 1
	}
	if limit := c.db.Stats().MaxOpenConnections; limit > 0 {
		o.Writers = min(o.Writers, limit)
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = defaultBatchBytes
		if o.AllOrNothing {
			o.BatchBytes = maxRequestBytes - 64<<10 // for what surrounds the rows
		}
	}
	c.maxBytes.Store(int64(o.BatchBytes))
	return nil
}

// start starts the writers.
func (c *copier) start() {
	c.maxBatches = c.opts.Writers + 1
	c.work = make(chan *batch, c.maxBatches)
	c.done = make(chan *batch, c.maxBatches)
	c.last = make(chan struct{})
	close(c.last)
	c.connected = c.last
	c.close = sync.OnceFunc(func() { close(c.work) })
	for range c.opts.Writers {
		w := &copyWriter{copier: c, conn: heldConn{db: c.db, patience: connWait, late: c.noConn}}
		c.writers.Go(w.run)
	}
}

// stop ends the writers once they have done what is under way.
func (c *copier) stop() {
	c.close()
	c.writers.Wait()
}

// read encodes rows into batches and hands them to the writers, until the rows end
// or a batch fails.
func (c *copier) read(rows iter.Seq2[[]any, error]) {
	var b *batch
	for row, err := range rows {
		for len(c.done) > 0 {
			c.collect(<-c.done)
		}
		if b == nil {
			b = c.emptyBatch()
		}
		if c.failed.Load() || c.report.cause != nil {
			return // later rows are never written if earlier ones are not
		}
		if c.ctx.Err() != nil {
			c.fail(c.ctx.Err(), c.next, -1, "")
			return
		}
		if err != nil {
			c.fail(fmt.Errorf("source: %w", err), c.next, c.next, "")
			break
		}
		if c.opts.AllOrNothing && c.full(b) {
			c.fail(newError(ErrTooManyEntries, "54000", fmt.Sprintf("the rows do not fit in one transaction: it holds %d rows and %d bytes at most; "+
				"write them without AllOrNothing", c.maxRows.Load(), c.maxBytes.Load())), c.next, -1, "")
			return
		}
		if column, err := b.rows.Append(row, c.columns); err != nil {
			c.fail(newError(ErrInvalidValue, "22023", err.Error()), c.next, c.next, column)
			break
		}
		c.next++
		if c.full(b) && !c.opts.AllOrNothing {
			c.hand(b)
			b = nil
		}
	}
	if b != nil && b.rows.Len() > 0 && !(c.opts.AllOrNothing && c.report.cause != nil) {
		c.hand(b)
	}
}

// hand passes a batch to the writers, to be committed after the one before.
func (c *copier) hand(b *batch) {
	b.turn, b.finished = c.last, make(chan struct{})
	b.mayConnect, b.connected = c.connected, make(chan struct{})
	c.last, c.connected = b.finished, b.connected
	c.work <- b
}

func (c *copier) full(b *batch) bool {
	return int64(b.rows.Len()) >= c.maxRows.Load() || int64(b.rows.Size()) >= c.maxBytes.Load()
}

// emptyBatch returns an empty batch for the next row. If all batches are being
// written it waits for one.
func (c *copier) emptyBatch() *batch {
	if len(c.free) == 0 {
		if c.batches < c.maxBatches {
			c.batches++
			c.free = append(c.free, &batch{rows: bulk.Rows{Strict: c.strict, Keeps: c.keeps}})
		} else {
			c.collect(<-c.done)
		}
	}
	last := len(c.free) - 1
	b := c.free[last]
	c.free = c.free[:last]
	b.rows.Reset()
	*b = batch{first: c.next, rows: b.rows, failedRow: -1}
	return b
}

// drain waits for the batches that are being written.
func (c *copier) drain() {
	c.stop()
	for len(c.done) > 0 {
		c.collect(<-c.done)
	}
}

// collect adds the result of a finished batch to the report, and keeps the batch's
// memory for another. Batches are collected in their order.
func (c *copier) collect(b *batch) {
	if b.committed > 0 {
		c.report.Committed += int64(b.committed)
		c.progress.Rows += int64(b.committed)
		c.progress.Bytes += b.bytes
		reportOf(c.ctx).add(b.tx)
	}
	c.report.Unknown += int64(b.unknown)
	if b.err != nil && b.err != errNotSent {
		row := int64(-1)
		if b.failedRow >= 0 {
			row = b.first + int64(b.failedRow)
		}
		c.fail(b.err, b.first+int64(b.committed), row, "")
	}
	c.free = append(c.free, b)
	if b.committed > 0 && c.opts.Progress != nil {
		c.progress.Elapsed = time.Since(c.started)
		c.opts.Progress(c.progress)
	}
}

// fail records a failure because of which the rows from number at on are not
// written. row is the number of the row at fault, or -1; both are counted from 0. Of
// several failures, the one with the lowest at is reported.
func (c *copier) fail(err error, at, row int64, column string) {
	if r := &c.report; r.cause == nil || at < r.failedAt {
		r.cause, r.failedAt, r.Row, r.Column = err, at, row+1, column
	}
}

func (c *copier) outcome() (int64, error) {
	if c.report.cause == nil {
		return c.report.Committed, nil
	}
	c.report.Table = c.table
	return c.report.Committed, &c.report
}

// CopyError says how far a failed [CopyFrom] came. The rows after those counted in
// Committed and Unknown were not written.
//
// To continue, call CopyFrom again without the first Committed rows. The Unknown
// rows after them may be committed: write them with Upsert, or query for them first.
// If Unknown is not 0, errors.Is also finds [ErrOutcomeUnknown].
type CopyError struct {
	Table string
	// Committed is how many rows are committed, counted from the first.
	Committed int64
	// Unknown is how many rows after those were sent without an answer; with
	// verify=commits also those whose commit could not be proven.
	Unknown int64
	// Row is the number of the row at fault, counted from 1, and Column its
	// column at fault. They are 0 and "" if it is not known to be one row's or
	// one column's fault.
	Row    int64
	Column string

	cause    error
	failedAt int64 // the first row, counted from 0, that was not written because of cause
}

func (e *CopyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "immudb: copy into %s", e.Table)
	if e.Row > 0 {
		fmt.Fprintf(&b, ": row %d", e.Row)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %s", e.Column)
	}
	fmt.Fprintf(&b, ": %s; committed: %s", strings.TrimPrefix(e.cause.Error(), "immudb: "), rowsText(0, e.Committed))
	if e.Unknown > 0 {
		fmt.Fprintf(&b, "; unknown: %s", rowsText(e.Committed, e.Unknown))
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *CopyError) Unwrap() error { return e.cause }

// Is reports ErrOutcomeUnknown if there are unknown rows, whatever the reason is.
func (e *CopyError) Is(target error) bool { return target == ErrOutcomeUnknown && e.Unknown > 0 }

// rowsText names the n rows after the first skipped rows, counted from 1.
func rowsText(skipped, n int64) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return fmt.Sprintf("row %d", skipped+1)
	}
	return fmt.Sprintf("rows %d to %d", skipped+1, skipped+n)
}
