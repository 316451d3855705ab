package tampertest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// conditioned makes a table of accounts behind a proxy, with rows for which the tested
// conditions give different results.
func conditioned(t *testing.T) (*tamperproxy.Proxy, *sql.DB) {
	t.Helper()
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, `CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, rate FLOAT, open BOOLEAN, born TIMESTAMP,
		ref UUID, mark BLOB, PRIMARY KEY id)`)
	dbtest.Exec(t, db, `INSERT INTO accounts (id, owner, balance, rate, open, born, ref, mark) VALUES
		(1, 'ann', 10, 1.5, TRUE, TIMESTAMP '2020-01-01', CAST('00000000-0000-0000-0000-000000000001' AS UUID), x'01'),
		(2, 'bob', 20, 2.5, FALSE, TIMESTAMP '2021-01-01', CAST('00000000-0000-0000-0000-000000000002' AS UUID), x'02'),
		(3, 'amy', 30, NULL, NULL, NULL, NULL, NULL), (4, NULL, NULL, 0.5, TRUE, NULL, NULL, x'')`)
	return p, db
}

// otherwise makes the server answer another query than the client sent: text in the query is
// replaced by answered, which has the same length.
func otherwise(t *testing.T, p *tamperproxy.Proxy, text, answered string) {
	t.Helper()
	if len(text) != len(answered) {
		t.Fatalf("%q and %q are not of the same length", text, answered)
	}
	p.Tamper(on("SQLQuery", func(msg []byte) []byte { return bytes.Replace(msg, []byte(text), []byte(answered), 1) }), nil)
}

// All returned rows are proven, but they are not the rows that the query selects.
func TestProvenRowsThatDoNotMatchTheQueryAreRefused(t *testing.T) {
	p, db := conditioned(t)
	for _, lie := range []struct {
		tail, answered string
		args           []any
		rows           int // of the honest answer
		promise        string
	}{
		{"WHERE id > 2", "WHERE id > 0", nil, 2, "WHERE"},
		{"WHERE id = ?", "WHERE id < ?", []any{2}, 1, "WHERE"},
		{"WHERE id = @id", "WHERE id > @id", []any{sql.Named("ID", 2)}, 1, "WHERE"},
		{"WHERE id = $1", "WHERE id < $1", []any{2}, 1, "WHERE"},
		{"WHERE owner = 'ann'", "WHERE owner > 'ann'", nil, 1, "WHERE"},
		{"WHERE owner IS     NULL", "WHERE owner IS NOT NULL", nil, 1, "WHERE"},
		{"WHERE NOT (id = 1)", "WHERE     (id = 1)", nil, 3, "WHERE"},
		{"WHERE id IN (1, 2)", "WHERE id IN (1, 3)", nil, 2, "WHERE"},
		{"WHERE id     IN (1, 2)", "WHERE id NOT IN (1, 2)", nil, 2, "WHERE"},
		{"WHERE id BETWEEN 1 AND 2", "WHERE id BETWEEN 1 AND 4", nil, 2, "WHERE"},
		{"WHERE owner LIKE 'a%'", "WHERE owner LIKE '_%'", nil, 2, "WHERE"},
		{"WHERE owner     LIKE 'a%'", "WHERE owner NOT LIKE 'a%'", nil, 2, "WHERE"},
		{"WHERE id + 1 > 4", "WHERE id + 1 > 2", nil, 1, "WHERE"},
		{"WHERE id > 1 AND id < 3", "WHERE id > 1 OR  id < 3", nil, 1, "WHERE"},
		{"WHERE id < 3 AND open", "WHERE id < 3 AND TRUE", nil, 1, "WHERE"},
		{"WHERE open = TRUE", "WHERE id   = 2   ", nil, 2, "WHERE"},
		{"WHERE rate > 1.5", "WHERE rate < 1.5", nil, 1, "WHERE"},
		{"WHERE born > TIMESTAMP '2020-01-01'", "WHERE born < TIMESTAMP '2021-01-01'", nil, 1, "WHERE"},
		{"WHERE id < 3 AND ref = '00000000-0000-0000-0000-000000000002'", "WHERE id < 3 AND ref < '00000000-0000-0000-0000-000000000002'", nil, 1, "WHERE"},
		{"WHERE mark = x'01'", "WHERE mark < x'01'", nil, 1, "WHERE"},
		{"ORDER BY id DESC", "ORDER BY id     ", nil, 4, "order"},
		{"ORDER BY owner, id", "ORDER BY id       ", nil, 4, "order"},
		{"ORDER BY rate NULLS FIRST", "ORDER BY rate NULLS LAST ", nil, 4, "order"},
		{"ORDER BY rate DESC NULLS FIRST", "ORDER BY rate DESC NULLS LAST ", nil, 4, "order"},
		{"WHERE id < 4 ORDER BY id % 2, id", "WHERE id < 4 ORDER BY         id", nil, 3, "order"},
		{"ORDER BY id LIMIT 2", "ORDER BY id LIMIT 3", nil, 2, "LIMIT"},
		{"LIMIT 1 OFFSET 2", "LIMIT 2 OFFSET 2", nil, 1, "LIMIT"},
	} {
		p.Tamper(nil, nil)
		if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", lie.tail, lie.args...); err != nil || len(rows) != lie.rows {
			t.Errorf("%s, honestly: %d rows, %v, want %d", lie.tail, len(rows), err, lie.rows)
		}
		otherwise(t, p, lie.tail, lie.answered)
		rows, err := immudb.VerifyRows(t.Context(), db, "accounts", lie.tail, lie.args...)
		if mustBeTampering(t, err); rows != nil || err != nil && !strings.Contains(err.Error(), lie.promise) {
			t.Errorf("%s, answered as %s: %d rows, %v, want an error about the %s", lie.tail, lie.answered, len(rows), err, lie.promise)
		}
	}
}

// twice repeats the first row of an answer; rows are field 1.
func twice(msg []byte) []byte {
	for at := 0; at < len(msg); {
		num, typ, tag := protowire.ConsumeTag(msg[at:])
		size := tag + protowire.ConsumeFieldValue(num, typ, msg[at+tag:])
		if num == 1 {
			return slices.Insert(msg, at, bytes.Clone(msg[at:at+size])...)
		}
		at += size
	}
	return msg
}

func TestRowThatIsAnsweredTwiceIsRefused(t *testing.T) {
	p, db := conditioned(t)
	if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", "ORDER BY id"); err != nil || len(rows) != 4 {
		t.Fatal(len(rows), err)
	}
	p.Tamper(nil, on("SQLQuery", twice))
	_, err := immudb.VerifyRows(t.Context(), db, "accounts", "ORDER BY id")
	mustBeTampering(t, err)
}

// As documented at VerifyRows, missing rows cannot be detected, also with OFFSET.
func TestMissingRowsAreNotDetected(t *testing.T) {
	p, db := conditioned(t)
	for tail, answered := range map[string]string{"WHERE id > 1": "WHERE id > 2", "ORDER BY id LIMIT 2 OFFSET 1": "ORDER BY id LIMIT 2 OFFSET 2"} {
		otherwise(t, p, tail, answered)
		if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", tail); err != nil || len(rows) != 2 {
			t.Errorf("%s: %d rows, %v", tail, len(rows), err)
		}
	}
}

// A query is refused if the client cannot evaluate its condition, and rows are refused if an
// honest server would have failed at the condition.
func TestConditionThatCannotBeEvaluatedIsUnsupported(t *testing.T) {
	p, db := conditioned(t)
	before := p.Count("SQLQuery")
	if _, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE UPPER(owner) = 'ANN'"); !errors.Is(err, immudb.ErrUnsupported) || p.Count("SQLQuery") != before {
		t.Errorf("a function: err = %v after %d queries", err, p.Count("SQLQuery")-before)
	}
	for tail, answered := range map[string]string{
		"WHERE balance + 1 > 0": "WHERE balance   > 0 OR balance IS NULL",
		"WHERE NOT open":        "WHERE id = 3",
		"WHERE balance = 'x'":   "WHERE balance = 10",
		"WHERE nosuch = 1":      "WHERE id = 1",
	} {
		if _, err := immudb.VerifyRows(t.Context(), db, "accounts", tail); err == nil {
			t.Errorf("%s: the server has not failed", tail)
		}
		size := max(len(tail), len(answered))
		tail, answered = fmt.Sprintf("%-*s LIMIT 9", size, tail), fmt.Sprintf("%-*s LIMIT 9", size, answered)
		otherwise(t, p, tail, answered)
		_, err := immudb.VerifyRows(t.Context(), db, "accounts", tail)
		if p.Tamper(nil, nil); !errors.Is(err, immudb.ErrUnsupported) || errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s, answered as %s: err = %v, want ErrUnsupported", tail, answered, err)
		}
	}
}
