package ecotest

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/georgysavva/scany/v2/sqlscan"
	"github.com/go-testfixtures/testfixtures/v3"
	"github.com/huandu/go-sqlbuilder"

	"github.com/immudb-go/immudb"
)

func TestScany(t *testing.T) {
	db, _ := accounts(t)
	_, err := db.Exec("INSERT INTO accounts (name, created, data) VALUES ('a''b', NOW(), x'00ff'), ('c', NULL, NULL)")
	must(t, err)
	var list []account
	must(t, selectWithScany(t.Context(), db, &list, 1))
	same(t, "selected", len(list) == 2 && list[0].Name == "a'b" && list[0].Data[1] == 255 && list[1].Created == nil, true)
	var a account
	must(t, sqlscan.Get(t.Context(), db, &a, "SELECT id, name FROM accounts WHERE id = $1", 2))
	same(t, "name", a.Name, "c")
	same(t, "not found", sqlscan.NotFound(sqlscan.Get(t.Context(), db, &a, "SELECT * FROM accounts WHERE id = ?", 9)), true)
	var ids []int64
	must(t, sqlscan.Select(t.Context(), db, &ids, "SELECT id FROM accounts"))
	same(t, "ids", len(ids), 2)
}

func TestSQLBuilder(t *testing.T) {
	db, _ := accounts(t)
	run := func(query string, args []any) int64 {
		t.Helper()
		res, err := db.Exec(query, args...)
		must(t, err)
		n, err := res.RowsAffected()
		must(t, err)
		return n
	}
	same(t, "inserted", run(buildInsert("a'b")), 1)
	for _, flavor := range []sqlbuilder.Flavor{sqlbuilder.PostgreSQL, sqlbuilder.SQLite} {
		insert := flavor.NewInsertBuilder()
		same(t, "inserted", run(insert.InsertInto("accounts").Cols("name", "created", "data").Values("x"+flavor.String(), time.Now(), []byte{1}).Values("y"+flavor.String(), time.Now(), nil).Build()), 2)
		query := flavor.NewSelectBuilder()
		text, args := query.Select("name", query.As("COUNT(*)", "n")).From("accounts").Where(query.In("id", 1, 2), query.Or(query.Like("name", "x%"), query.IsNull("note")),
			query.Between("id", 1, 20)).GroupBy("name").OrderByDesc("name").Limit(5).Offset(0).Build()
		rows, err := db.Query(text, args...)
		must(t, err)
		must(t, rows.Close())
		update := flavor.NewUpdateBuilder()
		same(t, "updated", run(update.Update("accounts").Set(update.Assign("note", "z")).Where(update.E("id", 1)).Build()), 1)
		type row struct {
			ID   int64  `db:"id"`
			Name string `db:"name"`
		}
		rowsOf := sqlbuilder.NewStruct(new(row)).For(flavor)
		var r row
		text, args = rowsOf.SelectFrom("accounts").Where("id = 1").Build()
		must(t, db.QueryRow(text, args...).Scan(rowsOf.Addr(&r)...))
		same(t, "name", r.Name, "a'b")
		del := flavor.NewDeleteBuilder()
		same(t, "deleted", run(del.DeleteFrom("accounts").Where(del.NotIn("id", 1)).Build()), 2)
	}
}

func TestTestfixtures(t *testing.T) {
	db, _ := accounts(t)
	_, err := db.Exec(`CREATE TABLE things (id INTEGER, name VARCHAR, note VARCHAR, created TIMESTAMP, data BLOB, active BOOLEAN, PRIMARY KEY id);
		INSERT INTO things (id, name) VALUES (1, 'left over'), (7, 'left over')`)
	must(t, err)
	for range 2 {
		must(t, loadFixtures(db, "testdata/fixtures", "things"))
		var list []account
		must(t, sqlscan.Select(t.Context(), db, &list, "SELECT * FROM things"))
		if len(list) != 2 || list[0].Name != "ada" || list[0].Created.UTC() != time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) ||
			!*list[0].Active || list[1].Name != "it's" || len(list[1].Data) != 2 || list[1].Data[1] != 255 {
			t.Errorf("loaded %+v", list)
		}
	}
	must(t, loadFixtures(db, "testdata/generated", "accounts"))
	err = loadFixtures(db, "testdata/generated", "accounts")
	failed, ok := errors.AsType[*testfixtures.InsertError](err)
	same(t, "the key of an AUTO_INCREMENT again", ok && errors.Is(failed.Err, immudb.ErrInvalidValue), true)
}

func TestCasbin(t *testing.T) {
	db, _ := accounts(t)
	e, err := openCasbin(db, "testdata/model.conf")
	must(t, err)
	_, err = e.AddPolicies([][]string{{"admin", "data", "read"}, {"admin", "data", "write"}, {"it's", "data", "read"}})
	must(t, err)
	_, err = e.AddGroupingPolicy("ada", "admin")
	must(t, err)
	_, err = e.UpdatePolicy([]string{"admin", "data", "write"}, []string{"admin", "data", "append"})
	must(t, err)
	_, err = e.RemovePolicy("it's", "data", "read")
	must(t, err)
	again, err := openCasbin(db, "testdata/model.conf")
	must(t, err)
	for _, row := range []struct {
		who, act string
		may      bool
	}{{"ada", "read", true}, {"ada", "append", true}, {"ada", "write", false}, {"it's", "read", false}} {
		may, err := again.Enforce(row.who, "data", row.act)
		must(t, err)
		same(t, row.who+" "+row.act, may, row.may)
	}
	must(t, again.SavePolicy())
	must(t, e.LoadPolicy())
	policies, err := e.GetPolicy()
	must(t, err)
	same(t, "policies", len(policies), 2)
	e.EnableAutoSave(false)
	for i := range 1100 {
		_, err := e.AddPolicy("admin", "data", strconv.Itoa(i))
		must(t, err)
	}
	same(t, "too many rules", errors.Is(e.SavePolicy(), immudb.ErrTooManyEntries), true)
}
