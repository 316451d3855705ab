package ecotest

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/go-gorp/gorp/v3"
	"github.com/gocraft/dbr/v2"
	"github.com/stephenafamo/bob"
	"github.com/stephenafamo/bob/dialect/psql"
	"github.com/stephenafamo/bob/dialect/psql/dm"
	"github.com/stephenafamo/bob/dialect/psql/im"
	"github.com/stephenafamo/bob/dialect/psql/sm"
	"github.com/stephenafamo/bob/dialect/psql/um"
	"github.com/stephenafamo/scan"
	"xorm.io/xorm"

	"github.com/immudb-go/immudb"
)

type xormAccount struct {
	Id      int64 `xorm:"pk autoincr"`
	Name    string
	Note    *string
	Created time.Time `xorm:"created"`
	Data    []byte
	Active  bool
}

func (xormAccount) TableName() string { return "accounts" }

func TestXorm(t *testing.T) {
	_, dsn := accounts(t)
	e, err := openXorm(dsn)
	must(t, err)
	defer e.Close()
	note := "note"
	a := xormAccount{Name: "a'b", Note: &note, Data: []byte{0, 255}, Active: true}
	_, err = e.Insert(&a)
	must(t, err)
	same(t, "id", a.Id, 1)
	_, err = e.Insert(&xormAccount{Name: "a'b"})
	same(t, "a duplicate", errors.Is(err, immudb.ErrDuplicateKey), true)
	_, err = e.Insert([]xormAccount{{Name: "b"}, {Name: "c"}})
	must(t, err)
	var read xormAccount
	found, err := e.ID(a.Id).Get(&read)
	must(t, err)
	same(t, "found", found && read.Name == "a'b" && *read.Note == "note" && read.Active && read.Data[1] == 255, true)
	same(t, "created", read.Created.Unix(), a.Created.Unix())
	var list []xormAccount
	must(t, e.Where("name LIKE ?", "%").And("active = ?", false).In("id", 2, 3).OrderBy("id DESC").Limit(5, 0).Find(&list))
	same(t, "found", len(list), 2)
	n, err := e.Where("id > ?", 0).Count(new(xormAccount))
	must(t, err)
	same(t, "count", n, 3)
	n, err = e.ID(a.Id).Cols("name", "note").Update(&xormAccount{Name: "z"})
	must(t, err)
	same(t, "updated", n, 1)
	s := e.NewSession()
	defer s.Close()
	must(t, s.Begin())
	_, err = s.Insert(&xormAccount{Name: "rolled back"})
	must(t, err)
	must(t, s.Rollback())
	_, err = e.Transaction(func(s *xorm.Session) (any, error) { return s.Insert(&xormAccount{Name: "committed"}) })
	must(t, err)
	n, err = e.ID(a.Id).Delete(new(xormAccount))
	must(t, err)
	same(t, "deleted", n, 1)
	n, err = e.Count(new(xormAccount))
	must(t, err)
	same(t, "count", n, 3)
	same(t, "Sync fails", e.Sync(new(xormAccount)) != nil, true)
	_, err = e.DBMetas()
	same(t, "DBMetas fails", err != nil, true)
}

func TestGorp(t *testing.T) {
	_, dsn := accounts(t)
	m, err := openGorp(dsn)
	must(t, err)
	defer m.Db.Close()
	type person struct {
		ID      int64          `db:"id"`
		Name    string         `db:"name"`
		Note    sql.NullString `db:"note"`
		Born    time.Time      `db:"born"`
		Data    []byte         `db:"data"`
		Active  bool           `db:"active"`
		Version int64          `db:"version"`
	}
	table := m.AddTableWithName(person{}, "people").SetKeys(true, "id")
	table.SetVersionCol("version")
	err = m.CreateTables()
	same(t, "CREATE TABLE of gorp", errors.Is(err, immudb.ErrSyntax), true)
	_, err = m.Exec(`CREATE TABLE people (id INTEGER AUTO_INCREMENT, name VARCHAR[100] NOT NULL, note VARCHAR, born TIMESTAMP, data BLOB,
		active BOOLEAN, version INTEGER, PRIMARY KEY id); CREATE UNIQUE INDEX ON people (name)`)
	must(t, err)
	a := &person{Name: "a'b", Born: time.Now(), Data: []byte{1}, Active: true}
	must(t, m.Insert(a))
	same(t, "id", a.ID, 1)
	same(t, "a duplicate", errors.Is(m.Insert(&person{Name: "a'b"}), immudb.ErrDuplicateKey), true)
	read, err := m.Get(person{}, a.ID)
	must(t, err)
	same(t, "name", read.(*person).Name, "a'b")
	a.Note = sql.NullString{String: "n", Valid: true}
	n, err := m.Update(a)
	must(t, err)
	same(t, "updated", n, 1)
	a.Version = 1
	_, err = m.Update(a)
	same(t, "a stale version", errors.As(err, new(gorp.OptimisticLockError)), true)
	var list []person
	_, err = m.Select(&list, "SELECT * FROM people WHERE id > :id AND name = :name", map[string]any{"id": 0, "name": "a'b"})
	must(t, err)
	same(t, "selected", len(list), 1)
	tx, err := m.Begin()
	must(t, err)
	must(t, tx.Insert(&person{Name: "rolled back"}))
	must(t, tx.Rollback())
	count, err := m.SelectInt("SELECT COUNT(*) FROM people")
	must(t, err)
	same(t, "count", count, 1)
	n, err = m.Delete(&person{ID: a.ID, Version: 2})
	must(t, err)
	same(t, "deleted", n, 1)
	must(t, m.TruncateTables())
	must(t, m.DropTables())
}

func TestDbr(t *testing.T) {
	_, dsn := accounts(t)
	_, err := dbr.Open("immudb", dsn, nil)
	same(t, "dbr.Open", errors.Is(err, dbr.ErrNotSupported), true)
	s, err := openDbr(dsn)
	must(t, err)
	defer s.Close()
	_, err = s.InsertInto("accounts").Columns("name", "created", "data", "active").Record(&struct {
		Name    string
		Created time.Time
		Data    []byte
		Active  bool
	}{"a'b", time.Now(), []byte{0, 255}, true}).Exec()
	must(t, err)
	var id int64
	must(t, s.InsertInto("accounts").Columns("name").Values("r").Returning("id").Load(&id))
	same(t, "id", id, 2)
	_, err = s.InsertInto("accounts").Columns("name").Values("r").Exec()
	same(t, "a duplicate", errors.Is(err, immudb.ErrDuplicateKey), true)
	var list []account
	_, err = s.Select("*").From("accounts").Where("id > ?", 0).OrderDesc("id").Limit(3).Load(&list)
	must(t, err)
	same(t, "selected", len(list) == 2 && list[1].Name == "a'b" && list[1].Data[1] == 255 && *list[1].Active, true)
	_, err = s.Select("*").From("accounts").Where(dbr.And(dbr.Eq("name", []string{"a'b", "x"}), dbr.Eq("note", nil))).Load(&list)
	must(t, err)
	_, err = s.Update("accounts").Set("note", "x").Set("created", time.Now()).Where(dbr.Eq("active", true)).Exec()
	must(t, err)
	tx, err := s.Begin()
	must(t, err)
	_, err = tx.InsertInto("accounts").Columns("name").Values("tx").Exec()
	must(t, err)
	must(t, tx.Commit())
	_, err = s.DeleteFrom("accounts").Where("id = ?", 1).Exec()
	must(t, err)
	var n int
	must(t, s.Select("COUNT(*)").From("accounts").LoadOne(&n))
	same(t, "count", n, 2)
}

func TestBob(t *testing.T) {
	raw, dsn := accounts(t)
	db, err := openBob(dsn)
	must(t, err)
	defer db.Close()
	ctx := t.Context()
	id, err := insertWithBob(ctx, db, "a'b")
	must(t, err)
	same(t, "id", id, 1)
	_, err = insertWithBob(ctx, db, "a'b")
	same(t, "a duplicate", errors.Is(err, immudb.ErrDuplicateKey), true)
	list, err := bob.All(ctx, db, psql.Select(sm.Columns("id", "name", "created", "data"), sm.From("accounts"), sm.Where(psql.Quote("id").In(psql.Arg(1, 2))),
		sm.Where(psql.Quote("name").Like(psql.Arg("a%"))), sm.OrderBy("id").Desc(), sm.Limit(3)), scan.StructMapper[account]())
	must(t, err)
	same(t, "selected", len(list) == 1 && list[0].Name == "a'b", true)
	_, err = bob.Exec(ctx, db, psql.Update(um.Table("accounts"), um.SetCol("note").ToArg("x"), um.Where(psql.Quote("id").EQ(psql.Arg(1)))))
	must(t, err)
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	_, err = insertWithBob(ctx, tx, "rolled back")
	must(t, err)
	must(t, tx.Rollback(ctx))
	_, err = bob.Exec(ctx, db, psql.Insert(im.Into("accounts", "id", "name"), im.Values(psql.Arg(1, "z")), im.OnConflict().DoNothing()))
	must(t, err)
	_, err = bob.Exec(ctx, db, psql.Insert(im.Into("accounts", "id", "name"), im.Values(psql.Arg(1, "z")), im.OnConflict("id").DoUpdate(im.SetExcluded("name"))))
	same(t, "ON CONFLICT (id)", errors.Is(err, immudb.ErrSyntax), true)
	_, err = bob.Exec(ctx, db, psql.Delete(dm.From("accounts"), dm.Where(psql.Quote("id").EQ(psql.Arg(1)))))
	must(t, err)
	var n int
	must(t, raw.QueryRow("SELECT COUNT(*) FROM accounts").Scan(&n))
	same(t, "count", n, 0)
}
