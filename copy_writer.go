package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/wire"
	"github.com/immudb-go/immudb/internal/written"
)

// prepare looks the table up and asks the server for its limit of rows.
func (c *copier) prepare(table string, columns []string) error {
	return onConn(c.ctx, c.db, func(conn *Conn) error {
		if err := c.resolve(conn, table, columns); err != nil {
			return err
		}
		return c.askLimit(conn)
	})
}

// resolve looks the table and its columns up, and makes the SQL before the rows.
func (c *copier) resolve(conn *Conn, name string, columns []string) error {
	t, err := c.lookup(conn, name)
	if err != nil {
		return err
	}
	c.columns, c.head, c.strict, c.keeps = nil, nil, conn.connector.cfg.Strict, conn.connector.cfg.Verify.Writes
	if len(columns) == 0 {
		c.columns = t.Columns
	}
	for _, column := range columns {
		i := slices.IndexFunc(t.Columns, func(known rules.Column) bool { return strings.EqualFold(known.Name, column) })
		switch {
		case i < 0:
			return newError(ErrNoSuchColumn, "42703", fmt.Sprintf("copy into %s: column does not exist (%s)", c.table, column))
		case slices.Contains(c.columns, t.Columns[i]):
			return newError(ErrSyntax, "42701", fmt.Sprintf("copy into %s: column %s is given twice", c.table, column))
		}
		c.columns = append(c.columns, t.Columns[i])
	}
	if t.autoIncrement != "" {
		c.opts.Writers = 1
	}
	verb := "INSERT INTO "
	if c.opts.Upsert {
		verb = "UPSERT INTO "
	}
	c.head = append(c.head, verb...)
	c.head = append(c.head, quoteName(c.table)...)
	for i, column := range c.columns {
		c.head = append(c.head, "(,"[min(i, 1)])
		c.head = append(c.head, quoteName(column.Name)...)
	}
	c.head = append(c.head, ") VALUES "...)
	return nil
}

// lookup finds a table by its name as given or else in lower case, to which the
// server folds names that are not keywords.
func (c *copier) lookup(conn *Conn, name string) (*table, error) {
	for _, c.table = range []string{name, strings.ToLower(name)} {
		// Ask the server instead of the cache, which may be outdated: the rows of a whole
		// file must not be written into the wrong columns.
		t, err := conn.describe(c.table, conn.reader(c.ctx))
		if err == nil && len(t.Columns) > 0 {
			return t, nil
		}
		if err != nil && !errors.Is(err, ErrNoSuchTable) {
			return nil, err
		}
	}
	return nil, newError(ErrNoSuchTable, "42P01", fmt.Sprintf("copy into %s: table does not exist", name))
}

// refusesToTell reports whether err means that this user may not ask for the
// settings, or that the server has no such method.
func refusesToTell(err error) bool {
	var e *Error
	if errors.Is(err, driver.ErrBadConn) || !errors.As(err, &e) {
		return false
	}
	return e.GRPC == codes.PermissionDenied || e.GRPC == codes.Unimplemented || e.GRPC == codes.Unknown
}

// defaultTxEntries is the server's default limit, used if the user may not ask for it.
const defaultTxEntries = 1024

// askLimit asks how many rows a transaction may hold. A row is one entry, however
// many indexes the table has. Only an UPSERT that changes an indexed value adds one
// entry for each such index; if the server then refuses the batch, it is divided.
func (c *copier) askLimit(conn *Conn) error {
	var settings wire.DatabaseSettings
	err := conn.call(c.ctx, reads, "", wire.MethodDatabaseSettings, nil, &settings)
	if err != nil && !refusesToTell(err) {
		return err
	}
	limit := defaultTxEntries
	if settings.MaxTxEntries > 0 {
		limit = settings.MaxTxEntries
	}
	if c.opts.BatchRows > 0 {
		limit = min(limit, c.opts.BatchRows)
	}
	c.maxRows.Store(int64(limit))
	return nil
}

// copyWriter writes batches, one after the other. It has a connection only while
// it writes: the rows may need one to be read.
type copyWriter struct {
	*copier
	conn    heldConn
	request []byte // the last one's memory
}

var errNotSent = errors.New("not sent")

func (w *copyWriter) run() {
	for b := range w.work {
		w.write(b)
		w.conn.release()
		finished := b.finished
		w.done <- b // in order; from here on it is another batch
		close(finished)
	}
}

// connWait bounds the wait for a connection of the sql.DB.
const connWait = 10 * time.Second

// connect takes a connection for a batch, after the batch before it has one. So the
// batch that must commit next never waits for a connection that a later one holds.
func (w *copyWriter) connect(b *batch) error {
	<-b.mayConnect
	defer close(b.connected)
	if w.failed.Load() {
		return errNotSent
	}
	return w.conn.take(w.ctx)
}

// noConn is the error of CopyFrom when its rows hold the connections that it needs.
func (c *copier) noConn() error {
	return newError(ErrOverloaded, "53300", fmt.Sprintf("CopyFrom has waited for a connection of the sql.DB for %v: "+
		"rows that query the same sql.DB need connections beside it; raise sql.DB.SetMaxOpenConns, which is %d", connWait, c.db.Stats().MaxOpenConnections))
}

// write writes a batch after those before it, and stores the result in it. While
// they are being written it already runs the batch's statement in a transaction,
// which is most of the server's work, and commits that when its turn has come.
func (w *copyWriter) write(b *batch) {
	b.err = w.connect(b)
	staged := 0 // bytes
	select {
	case <-b.turn:
	default:
		if b.err == nil {
			staged = w.stage(b)
		}
		<-b.turn
	}
	switch {
	case w.failed.Load():
		b.err = errNotSent
		w.unstage()
	case b.err != nil:
	case staged > 0 && w.commitStaged(b, staged):
		// The result is in b.
	default:
		b.err = w.writeRows(b, 0, b.rows.Len())
		if w.divisible(b.err) {
			b.err = w.divide(b, 0, b.rows.Len(), b.err)
		}
	}
	if b.err != nil {
		w.failed.Store(true)
	}
}

// writeRows writes rows from ≤ i < to of b in one transaction.
func (w *copyWriter) writeRows(b *batch, from, to int) error {
	// gRPC may still be sending a request that failed, so its memory is not reused.
	req := b.rows.AppendRequest(w.request[:0], w.head, from, to)
	w.request = nil
	tx, err := w.send(req, w.sent(b, from, to))
	switch {
	case err == nil:
		w.request = req
		b.committed = to
		b.bytes += int64(len(req))
		b.tx = tx
	case errors.Is(err, ErrOutcomeUnknown):
		b.unknown = to - from
	case errors.Is(err, ErrTooManyEntries):
		lower(&w.maxRows, int64(to-from)/2)
	case requestTooLarge(err):
		lower(&w.maxBytes, int64(len(req))/2)
	}
	return err
}

// divide writes rows in two halves after the server has refused them together,
// because one row is at fault, which divide finds, or because they are too many.
// Nothing of a refused request is committed. divide ends at the first row that
// cannot be written.
func (w *copyWriter) divide(b *batch, from, to int, refused error) error {
	if to-from == 1 {
		b.failedRow = from
		return refused
	}
	middle := from + (to-from)/2
	for _, half := range [2][2]int{{from, middle}, {middle, to}} {
		err := w.writeRows(b, half[0], half[1])
		if w.divisible(err) {
			err = w.divide(b, half[0], half[1], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *copyWriter) divisible(err error) bool {
	return err != nil && !w.opts.AllOrNothing && blamesRows(err)
}

// lower sets limit to n unless another writer has set it lower.
func lower(limit *atomic.Int64, n int64) {
	for old := limit.Load(); n < old && !limit.CompareAndSwap(old, n); old = limit.Load() {
	}
}

// blamesRows reports whether err is a refusal because of the rows of a request, so
// that a request with fewer of them may succeed.
func blamesRows(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.kind {
	case ErrDuplicateKey, ErrNotNull, ErrCheck, ErrInvalidValue, ErrTooLong, ErrTooManyEntries, ErrUnsupported:
		return true
	case nil: // a refusal in words that the driver does not know
		return e.GRPC == codes.Unknown || e.GRPC == codes.InvalidArgument
	}
	return false
}

// send sends one request. It is sent again only if the server provably did not
// run it.
func (w *copyWriter) send(req []byte, sent *written.Writes) (tx wire.CommittedTx, err error) {
	err = w.conn.use(w.ctx, func(c *Conn) (err error) {
		tx, err = c.copyBatch(w.ctx, w.table, req, sent)
		return err
	})
	return tx, err
}

// copyBatch runs one request as a transaction of its own.
func (c *Conn) copyBatch(ctx context.Context, table string, req []byte, sent *written.Writes) (committed wire.CommittedTx, err error) {
	ctx, op := c.trace(ctx, TraceBatch, "", table, 0, nil)
	defer func() { op.end(ctx, err) }()
	if err := c.readyToProve(ctx); err != nil {
		return wire.CommittedTx{}, err
	}
	var ans wire.ExecResult
	err = c.retry(ctx, table, func() error {
		ans = wire.ExecResult{}
		return c.call(ctx, writes, "a batch", wire.MethodSQLExec, req, &ans)
	})
	if err != nil {
		return wire.CommittedTx{}, err
	}
	c.sawCommits(c.session(), ans.Txs...)
	if err := c.proveCommits(ctx, true, sent, ans.Txs...); err != nil || len(ans.Txs) == 0 {
		return wire.CommittedTx{}, unprovenBatch(err)
	}
	return ans.Txs[len(ans.Txs)-1], nil
}

// requestTooLarge reports whether the request as a whole was over the server's
// limit, and not a value in it.
func requestTooLarge(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.kind == ErrTooLong && e.GRPC == codes.ResourceExhausted
}

// maxClashes is how many staged batches may fail to commit before no more are
// staged: the batches then conflict with each other.
const maxClashes = 3

// stage runs a batch's statement in a transaction without committing it, and
// returns the bytes sent. It returns 0 if that failed for any reason; the batch is
// then written when its turn has come.
func (w *copyWriter) stage(b *batch) int {
	if w.clashes.Load() >= maxClashes || w.failed.Load() {
		return 0
	}
	req := b.rows.AppendRequest(w.request[:0], w.head, 0, b.rows.Len())
	w.request = nil // until it is known to have arrived
	if w.conn.useOnce(w.ctx, func(c *Conn) error { return c.stageBatch(w.ctx, w.table, req, w.sent(b, 0, b.rows.Len())) }) == nil {
		w.request = req
		return len(req)
	}
	w.clashes.Add(1)
	return 0
}

// commitStaged commits what stage has run. It reports false if that was not
// possible, and nothing was committed.
func (w *copyWriter) commitStaged(b *batch, bytes int) bool {
	var tx wire.CommittedTx
	err := w.conn.useOnce(w.ctx, func(c *Conn) (err error) {
		tx, err = c.commitStaged(w.ctx)
		return err
	})
	switch {
	case err == nil:
		b.committed, b.bytes, b.tx = b.rows.Len(), int64(bytes), tx
		return true
	case errors.Is(err, ErrOutcomeUnknown):
		b.err, b.unknown = withoutBadConn(err), b.rows.Len()
		return true
	}
	w.clashes.Add(1)
	w.conn.release() // it may be of no use
	return false
}

// unstage undoes what stage has run, if anything. Nobody waits for that.
func (w *copyWriter) unstage() {
	if w.conn.conn == nil {
		return
	}
	_ = w.conn.useOnce(w.ctx, func(c *Conn) error {
		if c.tx != nil {
			c.tx.giveUp(errNotSent)
		}
		return nil
	})
}

// stageBatch runs a request in a transaction that it leaves open. After an error
// there is none.
func (c *Conn) stageBatch(ctx context.Context, table string, req []byte, sent *written.Writes) (err error) {
	ctx, op := c.trace(ctx, TraceBatch, "", table, 0, nil)
	defer func() { op.end(ctx, err) }()
	tx, err := c.begin(ctx, false)
	if err != nil {
		return err
	}
	tx.report = nil // CopyFrom tells of all batches itself
	if f := tx.server.Call(ctx, wire.MethodTxSQLExec, req, wire.Empty); f != nil {
		err := tx.failed(writesInTx, "", f)
		tx.leave()
		return err
	}
	tx.wrote = true
	if sent != nil {
		tx.sent = *sent
	}
	return nil
}

func (c *Conn) commitStaged(ctx context.Context) (committed wire.CommittedTx, err error) {
	ctx, op := c.trace(ctx, TraceCommit, "", "", 0, nil)
	defer func() { op.end(ctx, err) }()
	committed, err = c.tx.commit(ctx)
	if committed.TxID != 0 || isVerdict(err) {
		err = unprovenBatch(err)
	}
	return committed, err
}

// unprovenBatch says of a batch, with an error of its proof, that nobody knows
// what became of it.
func unprovenBatch(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Message: "the commit of a batch could not be verified: the server reports it as committed", SQLState: "08007",
		kind: ErrOutcomeUnknown, cause: err}
}
