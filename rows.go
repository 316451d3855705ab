package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/replay"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

var (
	_ driver.Rows                           = (*rows)(nil)
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
)

// resultSet is the answer to one statement. Its rows are decoded from the server's
// messages one at a time. It holds one message, or more if the rest had to be
// received early.
type resultSet struct {
	columns *columns
	names   []string     // of the columns, once the caller has them
	batch   wire.Batch   // the message being read
	pending []wire.Batch // messages received early, in order

	// While live is set, stream may have more messages; the end of ctx ends the query,
	// on the server too.
	live    bool
	stream  wire.Stream
	ctx     session.StreamContext
	conn    *Conn
	tx      *tx           // the transaction that must not go on before the stream has ended, or nil
	call    *replay.Call  // what the transaction remembers of the answer, or nil
	replica *session.Link // that it comes from; nil: the primary
	undone  bool          // the transaction has returned to a savepoint before the query
	late    bool          // the transaction must be checked at the end of the answer, see [tx.hasReadAll]
	short   *query        // the query, while its answer has had one message so far; else nil

	// These fields are part of the struct to save allocations: 6 of 110 for a query
	// of one row.
	request wire.Request
	memory  [160]byte // of request, if it is short
	space   [4]string // of names, if they are few
	head    rows
}

// rows returns the rows of a query text that begin with this set.
func (s *resultSet) rows() *rows {
	s.head.set = s
	return &s.head
}

// next decodes the next row into dest, or returns io.EOF.
func (s *resultSet) next(dest []driver.Value) error {
	for {
		ok, err := s.batch.Next(dest)
		if err != nil {
			return &Error{Message: err.Error(), GRPC: codes.Internal}
		}
		if ok {
			return nil
		}
		switch {
		case len(s.pending) > 0:
			s.batch.Release()
			s.batch = s.pending[0]
			s.pending = s.pending[1:]
		case s.live:
			if err := s.receive(&s.batch); err != nil {
				return err
			}
		default:
			return io.EOF
		}
	}
}

// receive receives a message into b. At the end of the answer it returns io.EOF and
// clears live.
func (s *resultSet) receive(b *wire.Batch) error {
	ok, f := s.stream.Recv(b)
	if ok {
		s.short = nil
		if s.call != nil {
			s.call.Answer.Message(b.Bytes())
		}
		return nil
	}
	s.live = false
	if f == nil && s.call != nil {
		s.call.Answer.End()
	}
	if s.tx != nil && s.tx.rows == s {
		s.tx.rows = nil
	}
	err := io.EOF
	switch {
	case f == nil && s.late:
		if torn := s.tx.hasReadAll(&s.ctx); torn != nil {
			err = torn
		}
	case f == nil && s.short != nil:
		s.short.answers.CompareAndSwap(unknownAnswers, shortAnswers)
	case f == nil:
	case s.undone:
		err = errRowsUndone
	case s.tx != nil:
		err = s.tx.failed(readsInTx, "", f)
	default:
		server := s.conn.session()
		if s.replica != nil {
			server = s.replica.Session()
		}
		// The caller has rows already, so database/sql must not run the query again.
		err = withoutBadConn(s.conn.callFailed(server, reads, "", f))
	}
	s.ctx.Cancel()
	return s.ifOutdated(err)
}

// maxBuffered bounds, in bytes, the unread rows that are kept in memory when the next
// statement of a transaction begins.
const maxBuffered = 64 << 20

var errRowsInTheWay error = newError(ErrUnsupported, "54000", fmt.Sprintf("the rows of an earlier query are still being read, and more than %d MiB of them are left: "+
	"close them, or read them to the end, before the next statement of the transaction", maxBuffered>>20))

// buffer receives all remaining messages, within ctx. If they are larger than
// maxBuffered, it stops and returns errRowsInTheWay.
func (s *resultSet) buffer(ctx context.Context) error { return s.receiveAll(ctx, maxBuffered) }

// bufferAll is buffer without a limit.
func (s *resultSet) bufferAll(ctx context.Context) error { return s.receiveAll(ctx, math.MaxInt) }

func (s *resultSet) receiveAll(ctx context.Context, limit int) error {
	if !s.live {
		return nil
	}
	defer context.AfterFunc(ctx, s.ctx.Cancel)()
	size := 0
	for i := range s.pending {
		size += s.pending[i].Size()
	}
	for size <= limit {
		var b wire.Batch
		switch err := s.receive(&b); err {
		case nil:
			s.pending = append(s.pending, b)
			size += b.Size()
		case io.EOF:
			return nil
		default:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
	return errRowsInTheWay
}

// count reads the rows to the end and returns how many there were, and the first
// column of the last one, which is not valid if it is a []byte.
func (s *resultSet) count() (n int64, last driver.Value, err error) {
	defer s.close()
	dest := make([]driver.Value, len(s.columns.list))
	for {
		switch err := s.next(dest); err {
		case nil:
			n++
		case io.EOF:
			if n > 0 && len(dest) > 0 {
				last = dest[0]
			}
			return n, last, nil
		default:
			return n, nil, err
		}
	}
}

// close discards the rows that were not read. Outside a transaction it ends the
// query on the server. Inside one it receives and drops the remaining rows, because
// the server must not run two statements of a transaction at once. If the server
// stops sending for closeTimeout, close ends the query, and so the transaction. The
// error says that the rows that were read were not of one moment.
func (s *resultSet) close() (torn error) {
	if s.live && s.tx != nil && s.tx.err == nil {
		stalled := time.AfterFunc(closeTimeout, s.ctx.Cancel)
		err := s.receive(&s.batch)
		for ; err == nil; err = s.receive(&s.batch) {
			stalled.Reset(closeTimeout)
		}
		stalled.Stop()
		if s.late && err != io.EOF {
			torn = err
		}
	}
	if s.live && s.tx == nil && !s.batch.HasRow() {
		s.conn.connector.endings.await(s)
	}
	if s.live {
		s.live = false
		s.ctx.Cancel()
		s.stream.GiveUp()
	}
	s.batch.Release()
	for i := range s.pending {
		s.pending[i].Release()
	}
	s.pending = nil
	s.stream.Free()
	return torn
}

// rows are the result sets of a query of one or several statements. If all only
// read, each statement is run when its result set is asked for. If one of them
// writes, all have run before the first row is returned.
type rows struct {
	set  *resultSet
	rest []*resultSet // of statements already run

	next, queued int // the statements not run yet: next ≤ i < queued
	run          func(i int) (*resultSet, error)
}

// noColumns are the columns of a statement that returns no rows.
var noColumns = newColumns(nil, nil, nil)

// queue leaves all statements but the first of n to NextResultSet, which calls run.
func (r *rows) queue(n int, run func(i int) (*resultSet, error)) {
	r.next, r.queued, r.run = 1, n, run
}

// Columns returns the column names, without their table. The server names a
// computed column without an alias col0, col1, … The caller owns the slice:
// database/sql returns it to programs, and gorm writes into it.
func (r *rows) Columns() []string {
	if r.set.names == nil {
		r.set.names = append(r.set.space[:0], r.set.columns.names...)
	}
	return r.set.names
}

// Next decodes the next row. Values of type []byte are the driver's memory until
// the next call, as sql.RawBytes expects; everything else is the caller's.
// JSON comes as []byte, so that it can be scanned into a json.RawMessage.
func (r *rows) Next(dest []driver.Value) error {
	err := r.set.next(dest)
	for _, i := range r.set.columns.json {
		if s, ok := dest[i].(string); ok {
			dest[i] = []byte(s)
		}
	}
	return err
}

// Close discards the rows that were not read.
func (r *rows) Close() error {
	err := r.set.close()
	for _, set := range r.rest {
		set.close()
	}
	r.rest, r.queued = nil, 0
	return err
}

// HasNextResultSet reports whether the query has another statement.
func (r *rows) HasNextResultSet() bool { return len(r.rest) > 0 || r.next < r.queued }

// NextResultSet goes to the rows of the next statement, running it if it has not
// been run.
func (r *rows) NextResultSet() error {
	switch err := r.set.close(); {
	case err != nil:
		r.queued = 0
		return err
	case len(r.rest) > 0:
		r.set = r.rest[0]
		r.rest = r.rest[1:]
	case r.next < r.queued:
		set, err := r.run(r.next)
		r.next++
		if err != nil {
			r.queued = 0
			return err
		}
		r.set = set
	default:
		return io.EOF
	}
	return nil
}

// ColumnTypeDatabaseTypeName returns the SQL type without a length: INTEGER,
// BOOLEAN, VARCHAR, BLOB, FLOAT, TIMESTAMP, UUID, JSON, or ANY where the server
// does not know it.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.set.columns.list[i].Type }

var scanTypes = map[string]reflect.Type{
	"INTEGER":   reflect.TypeFor[sql.Null[int64]](),
	"BOOLEAN":   reflect.TypeFor[sql.Null[bool]](),
	"VARCHAR":   reflect.TypeFor[sql.Null[string]](),
	"UUID":      reflect.TypeFor[sql.Null[string]](),
	"JSON":      reflect.TypeFor[[]byte](),
	"BLOB":      reflect.TypeFor[[]byte](),
	"FLOAT":     reflect.TypeFor[sql.Null[float64]](),
	"TIMESTAMP": reflect.TypeFor[sql.Null[time.Time]](),
}

// ColumnTypeScanType returns a Go type that holds every value of the column, NULL
// too: a sql.Null, []byte for BLOB and JSON, or any where the server does not know
// the type.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if t := scanTypes[r.set.columns.list[i].Type]; t != nil {
		return t
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeNullable returns ok false: a result does not tell which table its
// columns belong to.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return false, false }

// ColumnTypeLength returns math.MaxInt64 for types of variable length: a result
// does not tell the limit of the column it came from.
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	if slices.Contains([]string{"VARCHAR", "BLOB", "JSON"}, r.set.columns.list[i].Type) {
		return math.MaxInt64, true
	}
	return 0, false
}

// ColumnTypePrecisionScale returns ok false: immudb has no decimal type.
func (r *rows) ColumnTypePrecisionScale(int) (precision, scale int64, ok bool) { return 0, 0, false }

// endings holds answers that were closed after all rows received so far had been
// read, as sql.Row.Scan does. Usually those were all the rows, and the end of the
// answer is about to arrive. Waiting for it is less work for both sides than
// cancelling a finished call (6 % of a server's CPU for a row by its key). It also
// causes no cancelled calls, which proxies count since CVE-2023-44487.
//
// One timer serves all answers: a timer for each would wake a thread for each query,
// which costs 6 µs of 170. The zero value is ready to use.
type endings struct {
	mu       sync.Mutex
	since    map[*resultSet]time.Time
	watching bool
}

// endPatience is longer than a server needs to send the end of a finished answer.
// The longest wait is twice as long.
const endPatience = 50 * time.Millisecond

// await waits for the end of s or another message, and ends the query if neither
// arrives.
func (e *endings) await(s *resultSet) {
	e.mu.Lock()
	if e.since == nil {
		e.since = make(map[*resultSet]time.Time)
	}
	e.since[s] = time.Now()
	e.watch()
	e.mu.Unlock()
	_ = s.receive(&s.batch) // an error now concerns rows that the caller does not want
	e.mu.Lock()
	delete(e.since, s)
	e.mu.Unlock()
}

// watch starts the timer for look, unless it is running. mu is held.
func (e *endings) watch() {
	if !e.watching {
		e.watching = true
		time.AfterFunc(endPatience, e.look)
	}
}

func (e *endings) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, since := range e.since {
		if time.Since(since) >= endPatience {
			s.ctx.Cancel()
		}
	}
	e.watching = false
	if len(e.since) > 0 {
		e.watch()
	}
}
