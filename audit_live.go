package immudb

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
)

// AuditFinding is a row that the server serves differently from its history.
type AuditFinding struct {
	Table string `json:"table"`
	TxID  uint64 `json:"tx_id,omitempty"` // the last transaction that wrote the row; 0: none did
	What  string `json:"what"`            // in words, without values of the row
}

const (
	// maxFindings is how many findings a report lists.
	maxFindings = 100
	// maxLiveTries is how often a comparison begins again because tables were changed.
	maxLiveTries = 4
)

const (
	rowHidden   = "SELECT does not serve a row that the history has"
	rowChanged  = "SELECT serves other values of a row than the history has"
	rowDeleted  = "SELECT serves a row that was deleted"
	rowInvented = "SELECT serves a row that was never written"
	rowTwice    = "SELECT serves a row twice"
)

// sum stands for a key or for the values of a row. It is salted, so that nobody can make
// two rows of one sum.
type sum [16]byte

// revision is what a transaction made of a row.
type revision struct {
	tx      uint64
	values  sum
	table   uint32
	deleted bool
	served  uint32 // the last query that served it
}

// liveAudit is a [trust.Live].
type liveAudit struct {
	conn *Conn
	salt [16]byte
	rows map[sum]revision // the last ones, by key
	// since are the revisions of the rows that were written during a query: the one
	// before, which is a deletion if there was none, and those after it. nil: none runs.
	since  map[sum][]revision
	tries  int
	query  uint32 // how many queries were run
	buffer []byte // for sums

	served   map[string]int64
	findings []AuditFinding
	found    int
	tx       *liveTx // the last transaction that was asked for
}

// liveTx are the rows of a table that a transaction wrote.
type liveTx struct {
	id   uint64
	def  *proof.Table
	rows []*proof.Row
}

func newLiveAudit(c *Conn) *liveAudit {
	l := &liveAudit{conn: c, rows: make(map[sum]revision)}
	_, _ = rand.Read(l.salt[:]) // it never fails
	return l
}

// Wrote takes a revision from the history.
func (l *liveAudit) Wrote(row *proof.Row) {
	key := l.sumOf(row.Key)
	before, had := l.rows[key]
	r := revision{tx: row.TxID, table: row.Table.ID, deleted: row.Deleted, served: before.served}
	r.values = l.valuesOf(row.Table, func(i int) any { return row.Values[i] })
	if l.since != nil {
		if l.since[key] == nil {
			before.deleted = before.deleted || !had
			l.since[key] = append(l.since[key], before)
		}
		l.since[key] = append(l.since[key], r)
	}
	l.rows[key] = r
}

func (l *liveAudit) sumOf(data []byte) sum {
	l.buffer = append(append(l.buffer[:0], l.salt[:]...), data...)
	return l.sumOfBuffer()
}

func (l *liveAudit) sumOfBuffer() sum {
	hash := sha256.Sum256(l.buffer)
	return sum(hash[:16])
}

// valuesOf stands for the values of a row, by their columns. Columns that are NULL do not
// count, so that a row is the same after a column was added.
func (l *liveAudit) valuesOf(t *proof.Table, value func(i int) any) sum {
	l.buffer = append(l.buffer[:0], l.salt[:]...)
	for i, c := range t.Columns {
		v := value(i)
		if v == nil {
			continue
		}
		l.buffer = binary.BigEndian.AppendUint32(l.buffer, c.ID)
		l.buffer = binary.BigEndian.AppendUint64(l.buffer, 0) // the length that follows
		at := len(l.buffer)
		l.buffer = appendText(l.buffer, c.Type, v)
		binary.BigEndian.PutUint64(l.buffer[at-8:], uint64(len(l.buffer)-at))
	}
	return l.sumOfBuffer()
}

// appendText appends a proven value or one of a query's result as bytes, equal for equal
// values. If that does not hold, the rows are compared by their values.
func appendText(b []byte, typ proof.Type, v any) []byte {
	switch v := asQueried(v).(type) {
	case string:
		return append(b, v...)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []byte:
		var document any
		if typ != proof.JSON || json.Unmarshal(v, &document) != nil {
			return append(b, v...)
		}
		text, _ := json.Marshal(document) // what Unmarshal makes has a text
		return append(b, text...)
	case time.Time:
		return binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro()))
	case float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v))
	default:
		return fmt.Append(b, v)
	}
}

// served is a row of a query that is not as it was when the query began.
type served struct {
	key, values sum
	before      revision // that it is compared with; tx 0: none
}

// Compare compares the rows of tables with what SELECT serves.
func (l *liveAudit) Compare(ctx context.Context, tables []*proof.Table, onward func(context.Context) (bool, error)) error {
	if l.tries++; l.tries > maxLiveTries {
		e := newError(ErrConflict, "40001", fmt.Sprintf("audit: tables were changed during each of %d comparisons of what is served: audit again", maxLiveTries))
		e.safe = true
		return e
	}
	l.served, l.findings, l.found = make(map[string]int64), nil, 0
	for _, t := range tables {
		l.since = make(map[sum][]revision)
		l.query++
		others, failed := l.serve(ctx, t)
		changed, err := onward(ctx)
		switch {
		case err != nil:
			return err
		case changed:
			return nil // it is called again
		case failed != nil:
			return failed
		}
		l.judge(t, others)
		l.since = nil
	}
	if l.found == 0 {
		return nil
	}
	slices.SortStableFunc(l.findings, func(a, b AuditFinding) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.TxID, b.TxID))
	})
	first := l.findings[0]
	return l.conn.prover().Tampering(&proof.Error{Check: first.What + " of table " + first.Table, TxID: first.TxID})
}

// serve runs SELECT * and marks the rows that it serves. It returns those that are not as
// the history has them so far.
func (l *liveAudit) serve(ctx context.Context, t *proof.Table) (others []served, err error) {
	q, err := l.conn.connector.queries.parse("SELECT * FROM " + quoteName(t.Name))
	if err != nil {
		return nil, err
	}
	set, err := l.conn.read(ctx, q.bind(0, nil)) // of the server that is audited, never of a replica
	if err != nil {
		return nil, err
	}
	rows := set.rows()
	defer rows.Close()
	at := make([]int, len(t.Columns))
	for i, name := range columnNames(t) {
		if at[i] = slices.Index(set.columns.names, name); at[i] < 0 || len(set.columns.names) != len(at) {
			return nil, l.conn.prover().Tampering(&proof.Error{Check: "SELECT * serves the columns of table " + t.Name})
		}
	}
	row := make([]driver.Value, len(at))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return others, nil
		case err != nil:
			return nil, err
		}
		l.served[t.Name]++
		pk := make([]any, len(t.PrimaryKey))
		for i, id := range t.PrimaryKey {
			pk[i] = row[at[slices.IndexFunc(t.Columns, func(c proof.Column) bool { return c.ID == id })]]
		}
		entry, err := t.RowKey(pk...)
		if err != nil {
			return nil, l.conn.prover().Tampering(&proof.Error{Check: "SELECT serves rows with the primary key of table " + t.Name})
		}
		s := served{key: l.sumOf(entry), values: l.valuesOf(t, func(i int) any { return row[at[i]] })}
		var had bool
		if s.before, had = l.rows[s.key]; s.before.served == l.query {
			l.find(t, s.before.tx, rowTwice)
			continue
		}
		if had {
			marked := s.before
			marked.served = l.query
			l.rows[s.key] = marked
		}
		if !had || s.before.deleted || s.before.values != s.values {
			same := false
			if had && !s.before.deleted {
				if same, err = l.same(ctx, t, s.before.tx, entry, func(i int) driver.Value { return row[at[i]] }); err != nil {
					return nil, err
				}
			}
			if !same {
				others = append(others, s)
			}
		}
	}
}

// same reports whether a row is as transaction tx wrote it, in the columns that there are
// now.
func (l *liveAudit) same(ctx context.Context, t *proof.Table, tx uint64, entry []byte, value func(i int) driver.Value) (bool, error) {
	if l.tx == nil || l.tx.id != tx || l.tx.def != t {
		rows, err := l.conn.prover().RowsOf(ctx, tx, t)
		if err != nil {
			return false, err
		}
		l.tx = &liveTx{tx, t, rows}
	}
	for _, row := range l.tx.rows {
		if slices.Equal(row.Key, entry) {
			for i := range row.Values {
				if !equalValue(value(i), row.Values[i]) {
					return false, nil
				}
			}
			return !row.Deleted, nil
		}
	}
	return false, nil
}

// judge decides about the rows that were served otherwise and those that were not served:
// they may be as the history had them at any time during the query.
func (l *liveAudit) judge(t *proof.Table, others []served) {
	for _, s := range others {
		if slices.ContainsFunc(l.since[s.key], func(r revision) bool { return !r.deleted && r.values == s.values }) {
			continue
		}
		what := rowChanged
		switch {
		case s.before.tx == 0 && l.since[s.key] == nil:
			what = rowInvented
		case s.before.deleted:
			what = rowDeleted
		}
		l.find(t, l.rows[s.key].tx, what)
	}
	for key, r := range l.rows {
		if r.table != t.ID || r.served == l.query {
			continue
		}
		history := l.since[key]
		if history == nil {
			history = []revision{r}
		}
		if !slices.ContainsFunc(history, func(r revision) bool { return r.deleted }) {
			l.find(t, r.tx, rowHidden)
		}
	}
}

func (l *liveAudit) find(t *proof.Table, tx uint64, what string) {
	if l.found++; len(l.findings) < maxFindings {
		l.findings = append(l.findings, AuditFinding{Table: t.Name, TxID: tx, What: what})
	}
}

var _ trust.Live = (*liveAudit)(nil)
