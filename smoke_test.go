package immudb_test

import (
	"database/sql"
	"context"
	"testing"
)

func TestSmoke(t *testing.T) {
	db := openDB(t)
	mustExec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, a INTEGER, b VARCHAR[20], PRIMARY KEY id)")
	res := mustExec(t, db, "INSERT INTO t(a,b) VALUES (?,?),(?,?)", 1, "x", 2, nil)
	n, _ := res.RowsAffected()
	id, err := res.LastInsertId()
	t.Log(n, id, err)
	t.Log(list[int](t, db, "SELECT id FROM t"))
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res = mustExec(t, tx, "INSERT INTO t(a,b) VALUES ($2,$1),(3,'k')", "x", 2)
	n, _ = res.RowsAffected()
	id, err = res.LastInsertId()
	t.Log(n, id, err)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	t.Log(list[int](t, db, "INSERT INTO t(a) VALUES (@a) RETURNING id", namedArg("A", 5)))
	t.Log(list[any](t, db, "SELECT b FROM t"))
}

func namedArg(n string, v any) any { return sqlNamed(n, v) }
func sqlNamed(n string, v any) any { return sql.Named(n, v) }
