// Package served compares what SELECT serves with what the history of a database says.
package served

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

// Finding is a row that the server serves differently from its history.
type Finding struct {
	Table string
	TxID  uint64 // the last transaction that wrote the row; 0: none did
	What  string // in words, without values of the row
}

const (
	// maxFindings is how many findings are listed.
	maxFindings = 100
	// maxTries is how often a comparison begins again because tables were changed.
	maxTries = 4
)

// ErrTablesChange is the end of a comparison that began too often.
var ErrTablesChange = errors.New("tables were changed during each comparison of what is served")

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

// Audit is a [trust.Live].
type Audit struct {
	prover *trust.Prover
	query  func(ctx context.Context, table string) (driver.Rows, error)
	salt   [16]byte
	rows   map[sum]revision // the last ones, by key
	// since are the revisions of the rows that were written during a query: the one
	// before, which is a deletion if there was none, and those after it. nil: none runs.
	since   map[sum][]revision
	tries   int
	queries uint32 // how many were run
	buffer  []byte // for sums

	served   map[string]int64
	findings []Finding
	found    int
	tx       *written // the last transaction that was asked for
}

// written are the rows of a table that a transaction wrote.
type written struct {
	id   uint64
	def  *proof.Table
	rows []*proof.Row
}

// NewAudit makes an audit that runs SELECT * FROM a table by query, on the server whose
// history the prover proves.
func NewAudit(p *trust.Prover, query func(ctx context.Context, table string) (driver.Rows, error)) *Audit {
	a := &Audit{prover: p, query: query, rows: make(map[sum]revision)}
	_, _ = rand.Read(a.salt[:]) // it never fails
	return a
}

// Result returns how many rows of each table were served, and the rows that differ from the
// history, the first 100.
func (a *Audit) Result() (served map[string]int64, findings []Finding) { return a.served, a.findings }

// Wrote takes a revision from the history.
func (a *Audit) Wrote(row *proof.Row) {
	key := a.sumOf(row.Key)
	before, had := a.rows[key]
	r := revision{tx: row.TxID, table: row.Table.ID, deleted: row.Deleted, served: before.served}
	r.values = a.valuesOf(row.Table, func(i int) any { return row.Values[i] })
	if a.since != nil {
		if a.since[key] == nil {
			before.deleted = before.deleted || !had
			a.since[key] = append(a.since[key], before)
		}
		a.since[key] = append(a.since[key], r)
	}
	a.rows[key] = r
}

func (a *Audit) sumOf(data []byte) sum {
	a.buffer = append(append(a.buffer[:0], a.salt[:]...), data...)
	return a.sumOfBuffer()
}

func (a *Audit) sumOfBuffer() sum {
	hash := sha256.Sum256(a.buffer)
	return sum(hash[:16])
}

// valuesOf stands for the values of a row, by their columns. Columns that are NULL do not
// count, so that a row is the same after a column was added.
func (a *Audit) valuesOf(t *proof.Table, value func(i int) any) sum {
	a.buffer = append(a.buffer[:0], a.salt[:]...)
	for i, c := range t.Columns {
		v := value(i)
		if v == nil {
			continue
		}
		a.buffer = binary.BigEndian.AppendUint32(a.buffer, c.ID)
		a.buffer = binary.BigEndian.AppendUint64(a.buffer, 0) // the length that follows
		at := len(a.buffer)
		a.buffer = appendText(a.buffer, c.Type, v)
		binary.BigEndian.PutUint64(a.buffer[at-8:], uint64(len(a.buffer)-at))
	}
	return a.sumOfBuffer()
}

// appendText appends a proven value or one of a query's result as bytes, equal for equal
// values. If that does not hold, the rows are compared by their values.
func appendText(b []byte, typ proof.Type, v any) []byte {
	switch v := Value(v).(type) {
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
func (a *Audit) Compare(ctx context.Context, tables []*proof.Table, onward func(context.Context) (bool, error)) error {
	if a.tries++; a.tries > maxTries {
		return ErrTablesChange
	}
	a.served, a.findings, a.found = make(map[string]int64), nil, 0
	for _, t := range tables {
		a.since = make(map[sum][]revision)
		a.queries++
		others, failed := a.serve(ctx, t)
		changed, err := onward(ctx)
		switch {
		case err != nil:
			return err
		case changed:
			return nil // it is called again
		case failed != nil:
			return failed
		}
		a.judge(t, others)
		a.since = nil
	}
	if a.found == 0 {
		return nil
	}
	slices.SortStableFunc(a.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.TxID, b.TxID))
	})
	first := a.findings[0]
	return a.prover.Tampering(&proof.Error{Check: first.What + " of table " + first.Table, TxID: first.TxID})
}

// serve runs SELECT * and marks the rows that it serves. It returns those that are not as
// the history has them so far.
func (a *Audit) serve(ctx context.Context, t *proof.Table) (others []served, err error) {
	rows, err := a.query(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at, columns := make([]int, len(t.Columns)), rows.Columns()
	for i, name := range t.ColumnNames() {
		if at[i] = slices.Index(columns, name); at[i] < 0 || len(columns) != len(at) {
			return nil, a.prover.Tampering(&proof.Error{Check: "SELECT * serves the columns of table " + t.Name})
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
		a.served[t.Name]++
		pk := make([]any, len(t.PrimaryKey))
		for i, id := range t.PrimaryKey {
			pk[i] = row[at[slices.IndexFunc(t.Columns, func(c proof.Column) bool { return c.ID == id })]]
		}
		entry, err := t.RowKey(pk...)
		if err != nil {
			return nil, a.prover.Tampering(&proof.Error{Check: "SELECT serves rows with the primary key of table " + t.Name})
		}
		s := served{key: a.sumOf(entry), values: a.valuesOf(t, func(i int) any { return row[at[i]] })}
		var had bool
		if s.before, had = a.rows[s.key]; s.before.served == a.queries {
			a.find(t, s.before.tx, rowTwice)
			continue
		}
		if had {
			marked := s.before
			marked.served = a.queries
			a.rows[s.key] = marked
		}
		if !had || s.before.deleted || s.before.values != s.values {
			same := false
			if had && !s.before.deleted {
				if same, err = a.same(ctx, t, s.before.tx, entry, func(i int) driver.Value { return row[at[i]] }); err != nil {
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
func (a *Audit) same(ctx context.Context, t *proof.Table, tx uint64, entry []byte, value func(i int) driver.Value) (bool, error) {
	if a.tx == nil || a.tx.id != tx || a.tx.def != t {
		rows, err := a.prover.RowsOf(ctx, tx, t)
		if err != nil {
			return false, err
		}
		a.tx = &written{tx, t, rows}
	}
	for _, row := range a.tx.rows {
		if slices.Equal(row.Key, entry) {
			for i := range row.Values {
				if !Equal(value(i), row.Values[i]) {
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
func (a *Audit) judge(t *proof.Table, others []served) {
	for _, s := range others {
		if slices.ContainsFunc(a.since[s.key], func(r revision) bool { return !r.deleted && r.values == s.values }) {
			continue
		}
		what := rowChanged
		switch {
		case s.before.tx == 0 && a.since[s.key] == nil:
			what = rowInvented
		case s.before.deleted:
			what = rowDeleted
		}
		a.find(t, a.rows[s.key].tx, what)
	}
	for key, r := range a.rows {
		if r.table != t.ID || r.served == a.queries {
			continue
		}
		history := a.since[key]
		if history == nil {
			history = []revision{r}
		}
		if !slices.ContainsFunc(history, func(r revision) bool { return r.deleted }) {
			a.find(t, r.tx, rowHidden)
		}
	}
}

func (a *Audit) find(t *proof.Table, tx uint64, what string) {
	if a.found++; len(a.findings) < maxFindings {
		a.findings = append(a.findings, Finding{Table: t.Name, TxID: tx, What: what})
	}
}

var _ trust.Live = (*Audit)(nil)
