package liartest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// steps are what sessions consist of.
var steps = map[string]step{
	"insert":      {"commit", 4, (*session).insert, true},
	"upsert":      {"commit", 3, (*session).upsert, true},
	"update":      {"commit", 3, (*session).update, true},
	"delete":      {"commit", 2, (*session).remove, true},
	"transaction": {"commit", 3, (*session).transaction, false},
	"copy":        {"commit", 1, (*session).copyRows, false},
	"ddl":         {"commit", 2, (*session).alter, true},
	"row":         {"row", 8, (*session).row, true},
	"rows":        {"rows", 5, (*session).verifyRows, false},
	"select one":  {"select", 5, (*session).selectOne, false},
	"select":      {"select", 5, (*session).selectMany, false},
	"select tx":   {"select", 4, (*session).selectInTx, false},
	"row at":      {"row at", 4, (*session).rowAt, false},
	"written":     {"written", 3, (*session).written, false},
	"audit":       {"audit", 2, (*session).audit, false},
	"accept":      {"accept", 1, (*session).accept, true},
	"reopen":      {"open", 2, (*session).reopen, true},
	"restart":     {"open", 3, (*session).restart, true},
}

var owners = []string{"ann", "bob", "eve", "dan", "sue"}

func (s *session) anyTable() *table { return s.tables[s.rnd.IntN(len(s.tables))] }

// anyRow picks the key of a row there is, and false if there is none.
func (s *session) anyRow(t *table) (int64, bool) {
	ids := t.live()
	if len(ids) == 0 {
		return 0, false
	}
	return ids[s.rnd.IntN(len(ids))], true
}

// newRow makes values for the columns there are.
func (s *session) newRow(t *table, id int64) []any {
	values := []any{id, owners[s.rnd.IntN(len(owners))], owners[s.rnd.IntN(len(owners))], s.rnd.Int64N(60), s.rnd.Int64N(60)}
	for len(values) < len(t.columns) {
		values = append(values, s.rnd.Int64N(60))
	}
	return values
}

// put is the statement that writes rows.
func put(verb string, t *table, rows ...[]any) (query string, args []any) {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	var marks []string
	for _, row := range rows {
		marks = append(marks, one)
		args = append(args, row...)
	}
	return fmt.Sprintf("%s INTO %s (%s) VALUES %s", verb, t.name, strings.Join(t.columns, ", "), strings.Join(marks, ", ")), args
}

// mine notes that this client wrote the row last.
func (s *session) mine(c *client, t *table, id int64) {
	for _, other := range s.clients {
		delete(other.own[t], id)
	}
	if c.own[t] == nil {
		c.own[t] = make(map[int64]bool)
	}
	c.own[t][id] = true
}

func (s *session) exec(c *client, t *table, must bool, query string, args []any, predict func(tx uint64)) error {
	return s.write(c, must, func(ctx context.Context) error {
		return c.exec(ctx, query, args...)
	}, predict)
}

func (s *session) insert(c *client) error {
	t := s.anyTable()
	rows := make([][]any, 1+s.rnd.IntN(2))
	for i := range rows {
		s.next++
		rows[i] = s.newRow(t, s.next)
	}
	query, args := put("INSERT", t, rows...)
	s.sent = sentRows{t, rows}
	return s.exec(c, t, true, query, args, func(tx uint64) {
		for _, row := range rows {
			t.write(row[0].(int64), tx, row)
			s.mine(c, t, row[0].(int64))
		}
	})
}

func (s *session) upsert(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok {
		return errSkip
	}
	row := s.newRow(t, id)
	query, args := put("UPSERT", t, row)
	s.sent = sentRows{t, [][]any{row}}
	return s.exec(c, t, true, query, args, func(tx uint64) {
		t.write(id, tx, row)
		s.mine(c, t, id)
	})
}

func (s *session) update(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok {
		return errSkip
	}
	n := s.rnd.Int64N(60)
	return s.exec(c, t, false, fmt.Sprintf("UPDATE %s SET %s = ? WHERE id = ?", t.name, t.columns[3]), []any{n, id},
		func(tx uint64) { s.set(c, t, id, tx, n) })
}

// set takes an UPDATE of column 3 into the model.
func (s *session) set(c *client, t *table, id int64, tx uint64, n int64) {
	r, _ := t.latest(id)
	values := slices.Clone(r.values)
	for len(values) < len(t.columns) {
		values = append(values, nil)
	}
	values[3] = n
	t.write(id, tx, values)
	s.mine(c, t, id)
}

func (s *session) remove(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok {
		return errSkip
	}
	return s.exec(c, t, false, "DELETE FROM "+t.name+" WHERE id = ?", []any{id}, func(tx uint64) {
		t.delete(id, tx)
		s.mine(c, t, id)
	})
}

func (s *session) transaction(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	s.next++
	row, n := s.newRow(t, s.next), s.rnd.Int64N(60)
	if !ok {
		s.sent = sentRows{t, [][]any{row}} // else the UPDATE may have changed it
	}
	return s.write(c, true, func(ctx context.Context) error {
		tx, err := c.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		query, args := put("INSERT", t, row)
		if _, err := tx.Exec(query, args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if ok {
			if _, err := tx.Exec(fmt.Sprintf("UPDATE %s SET %s = ? WHERE id = ?", t.name, t.columns[3]), n, id); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	}, func(tx uint64) {
		t.write(row[0].(int64), tx, row)
		s.mine(c, t, row[0].(int64))
		if ok {
			s.set(c, t, id, tx, n)
		}
	})
}

func (s *session) copyRows(c *client) error {
	t := s.anyTable()
	var rows [][]any
	for range 2 + s.rnd.IntN(2) {
		s.next++
		rows = append(rows, s.newRow(t, s.next))
	}
	s.sent = sentRows{t, rows}
	return s.write(c, false, func(ctx context.Context) error {
		_, err := immudb.CopyFrom(ctx, c.db, t.name, t.columns, dbtest.Rows(rows...), &immudb.CopyOptions{Writers: 1})
		return err
	}, func(tx uint64) {
		for _, row := range rows {
			t.write(row[0].(int64), tx, row)
			s.mine(c, t, row[0].(int64))
		}
	})
}

// otherName is the other one of two names that a table has by turns.
func otherName(name string) string {
	if rest, ok := strings.CutSuffix(name, "x"); ok {
		return rest + "y"
	}
	return strings.TrimSuffix(name, "y") + "x"
}

func (s *session) alter(c *client) error {
	t := s.anyTable()
	name, columns := t.name, slices.Clone(t.columns)
	var query string
	switch n := s.rnd.IntN(4); {
	case n == 0 && len(columns) < 7:
		columns = append(columns, fmt.Sprintf("more%d", len(columns)))
		query = fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s INTEGER", t.name, columns[len(columns)-1])
	case n == 1:
		columns[3] = map[string]string{"debit": "gives", "gives": "debit"}[columns[3]]
		query = fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", t.name, t.columns[3], columns[3])
	case n == 2:
		name = otherName(t.name)
		query = fmt.Sprintf("ALTER TABLE %s RENAME TO %s", t.name, name)
	default:
		query = fmt.Sprintf("CREATE TABLE %sz%d (id INTEGER, PRIMARY KEY id)", s.name, s.rnd.IntN(1e6))
	}
	return s.exec(c, t, true, query, nil, func(tx uint64) {
		if name != t.name || !slices.Equal(columns, t.columns) {
			t.name, t.columns = name, columns
			t.version++
			t.rename(tx)
		}
	})
}

func (s *session) row(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok || s.rnd.IntN(6) == 0 {
		id = s.rnd.Int64N(s.next + 3)
	}
	if s.skip {
		return s.plainly(c, t, "WHERE id = ?", id)
	}
	told := s.liar.count()
	var row *immudb.ProvenRow
	err := s.accepting(c, t, told, func() (_ int, err error) {
		row, err = s.provenRow(c, t.name, id)
		return 1, err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, is := t.latest(id); is && !s.lying(told) && c.own[t][id] {
			s.faultf("row: %d of %s is missing, of an honest server", id, t.name)
		}
		return nil
	case err != nil:
		return err
	}
	s.judge(c, "row", t, told, row.Columns, [][]any{row.Values}, []uint64{row.TxID})
	if row.Values[0] != id && c.relied(t) >= 0 {
		s.faultf("row: asked for %d, got %v", id, row.Values)
	}
	return nil
}

// plainly reads as a driver would that proves nothing: the planted fault.
func (s *session) plainly(c *client, t *table, tail string, args ...any) error {
	told := s.liar.count()
	rows, err := c.db.Query("SELECT * FROM "+t.name+" "+tail, args...)
	if err != nil {
		return err
	}
	names, list, err := drain(rows)
	if err == nil {
		s.judge(c, "rows", t, told, names, list, nil)
	}
	return err
}

func drain(rows *sql.Rows) (names []string, list [][]any, err error) {
	defer rows.Close()
	if names, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		list = append(list, values)
	}
	return names, list, rows.Err()
}

// judgeMany judges the answer to a question for all rows whose column 3 is at least
// from, in the order of their keys.
func (s *session) judgeMany(c *client, asks string, t *table, told int, from int64, names []string, list [][]any, txs []uint64) {
	s.judge(c, asks, t, told, names, list, txs)
	if c.deceived {
		return
	}
	last := int64(-1)
	for _, values := range list {
		id, _ := values[0].(int64)
		if id <= last {
			s.faultf("%s: a wrong order: %v", asks, list)
		}
		last = id
		if n, ok := values[3].(int64); (!ok || n < from) && c.relied(t) >= 0 {
			s.faultf("%s: %v does not meet the condition, from %d", asks, values, from)
		}
	}
	want := 0
	for _, id := range t.live() {
		r, _ := t.latest(id)
		if n, ok := r.values[3].(int64); ok && n >= from { // NULL is not, as in SQL
			want++
		}
	}
	if len(list) < want && !s.lying(told) {
		s.faultf("%s: %d rows of an honest server, want %d", asks, len(list), want)
	}
}

func (s *session) verifyRows(c *client) error {
	t, from, told := s.anyTable(), s.rnd.Int64N(30), s.liar.count()
	tail := fmt.Sprintf("WHERE %s >= ? ORDER BY id", t.columns[3])
	if s.skip {
		return s.plainly(c, t, tail, from)
	}
	var rows []*immudb.ProvenRow
	err := s.accepting(c, t, told, func() (_ int, err error) {
		rows, err = s.verifier(c).Rows(context.Background(), t.name, tail, from)
		return len(rows), err
	})
	if err != nil {
		return err
	}
	var list [][]any
	var txs []uint64
	var names []string
	for _, row := range rows {
		names, list, txs = row.Columns, append(list, row.Values), append(txs, row.TxID)
	}
	s.judgeMany(c, "rows", t, told, from, names, list, txs)
	return nil
}

func (s *session) selectOne(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok {
		return errSkip
	}
	told := s.liar.count()
	names, list, proven, err := s.query(c, t, told, "SELECT * FROM "+t.name+" WHERE id = ?", id)
	if err != nil || !proven {
		return err
	}
	s.judge(c, "select", t, told, names, list, nil)
	if len(list) == 0 && !s.lying(told) && c.own[t][id] {
		s.faultf("select: %d of %s is missing, of an honest server", id, t.name)
	}
	return nil
}

func (s *session) selectMany(c *client) error {
	t, from, told := s.anyTable(), s.rnd.Int64N(30), s.liar.count()
	names, list, proven, err := s.query(c, t, told, fmt.Sprintf("SELECT * FROM %s WHERE %s >= ? ORDER BY id", t.name, t.columns[3]), from)
	if err == nil && proven {
		s.judgeMany(c, "select", t, told, from, names, list, nil)
	}
	return err
}

// selectInTx is selectMany in a transaction. A lie may make rows differ from what is
// committed since; they are then not proven, and only said to be.
func (s *session) selectInTx(c *client) error {
	if s.skip {
		return errSkip
	}
	t, from, told := s.anyTable(), s.rnd.Int64N(30), s.liar.count()
	opts := &sql.TxOptions{ReadOnly: s.rnd.IntN(2) == 0}
	query := fmt.Sprintf("SELECT * FROM %s WHERE %s >= ? ORDER BY id", t.name, t.columns[3])
	var info immudb.ReadProof
	var names []string
	var list [][]any
	err := s.accepting(c, t, told, func() (int, error) {
		info = immudb.ReadProof{}
		tx, err := c.db.BeginTx(context.Background(), opts)
		if err != nil {
			return 0, err
		}
		defer tx.Rollback()
		rows, err := tx.QueryContext(immudb.WithReadProof(context.Background(), &info), query, from)
		if err != nil {
			return 0, err
		}
		names, list, err = drain(rows)
		return len(list), err
	})
	switch {
	case err != nil:
	case info.All():
		s.judgeMany(c, "select", t, told, from, names, list, nil)
	case c.strict || !s.lying(told):
		s.faultf("select in a transaction: the rows are not proven: %s", info.Reason)
	}
	return err
}

// query runs a query under verify=reads. That it is answered without a proof is a
// fault: all queries of these tests can be proven. Only a table that was never proven
// can be denied.
func (s *session) query(c *client, t *table, told int, query string, args ...any) (names []string, list [][]any, proven bool, err error) {
	_, relied := c.state().Tables[t.name]
	var info immudb.ReadProof
	err = s.accepting(c, t, told, func() (int, error) {
		info = immudb.ReadProof{}
		rows, err := c.db.QueryContext(immudb.WithReadProof(context.Background(), &info), query, args...)
		if err != nil {
			return 0, err
		}
		names, list, err = drain(rows)
		return len(list), err
	})
	if err == nil && !s.skip && info.Unproven > 0 && (relied || c.strict || !s.lying(told) || !promises["select"].unproven) {
		s.faultf("select: the server has talked the driver out of the proof: %s", info.Reason)
	}
	return names, list, s.skip || info.Unproven == 0, err
}

func (s *session) rowAt(c *client) error {
	t := s.anyTable()
	var of revision
	var id int64
	for key, list := range t.rows { // any, of a map: so the choice is made by the keys below
		_ = list
		id = max(id, key)
	}
	id = 1 + s.rnd.Int64N(id+1)
	list := t.rows[id]
	if len(list) == 0 || s.skip {
		return errSkip
	}
	of = list[s.rnd.IntN(len(list))]
	if of.tx == 0 {
		return errSkip
	}
	told := s.liar.count()
	row, err := s.verifier(c).RowAt(context.Background(), of.tx, t.name, id)
	if errors.Is(err, sql.ErrNoRows) && s.lying(told) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := s.wrote(of.tx)
	if got := rowText(row.Table, row.Columns, row.Values, row.Deleted); row.TxID != of.tx || !slices.Contains(lines, got) || row.Values[0] != id {
		s.faultf("row at: %d of tx %d: got %s of tx %d, true is %q", id, of.tx, got, row.TxID, lines)
	}
	return nil
}

func (s *session) written(c *client) error {
	t := s.anyTable()
	id, ok := s.anyRow(t)
	if !ok || s.skip {
		return errSkip
	}
	list := t.rows[id]
	of := list[s.rnd.IntN(len(list))]
	if of.tx == 0 {
		return errSkip
	}
	rows, err := s.verifier(c).Written(context.Background(), of.tx)
	if err != nil {
		return err
	}
	var got []string
	for _, row := range rows {
		got = append(got, rowText(row.Table, row.Columns, row.Values, row.Deleted))
	}
	slices.Sort(got)
	if want := s.wrote(of.tx); !slices.Equal(got, want) {
		s.faultf("written: tx %d: got %q, true is %q", of.tx, got, want)
	}
	return nil
}

func (s *session) audit(c *client) error {
	if s.skip {
		return errSkip
	}
	opts := immudb.AuditOptions{FromStart: s.rnd.IntN(3) == 0}
	if s.rnd.IntN(3) == 0 {
		opts.Tables = []string{"*"}
	}
	r, err := immudb.Audit(context.Background(), c.db, opts)
	if err == nil && !s.isTrue(r.State) {
		s.faultf("audit: tx %d with a false hash is reported as right", r.State.TxID)
	}
	return err
}

func (s *session) accept(c *client) error {
	if s.skip {
		return errSkip
	}
	t := s.anyTable()
	told := s.liar.count()
	err := s.acceptSchema(c, t.name)
	if err == nil && !s.lying(told) {
		c.accepted[t] = t.version
	}
	return err
}

func (s *session) reopen(c *client) error {
	if err := c.close(); err != nil {
		return err
	}
	return s.open(c)
}

// restart stops the server and starts it again, as an operator does.
func (s *session) restart(*client) error {
	if s.server == nil {
		return errSkip
	}
	if err := s.server.Restart(); err != nil {
		s.t.Fatal(err)
	}
	s.proxy.Connect(s.t, s.honest)
	s.sessions = sessions{} // they are gone
	s.restarts++
	return nil
}
