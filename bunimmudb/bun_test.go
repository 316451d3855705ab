package bunimmudb_test

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

type User struct {
	ID        int64  `bun:",pk,autoincrement"`
	Email     string `bun:",unique,notnull"`
	Name      string
	Age       int
	Score     float64
	Active    bool
	Data      map[string]any
	Photo     []byte
	CreatedAt time.Time `bun:",nullzero,notnull,default:current_timestamp"`
	DeletedAt time.Time `bun:",soft_delete,nullzero"`
	Profile   *Profile  `bun:"rel:has-one,join:id=user_id"`
	Books     []*Book   `bun:"rel:has-many,join:id=author_id"`
	Groups    []*Group  `bun:"m2m:memberships,join:User=Group"`
}

type Profile struct {
	ID     int64 `bun:",pk,autoincrement"`
	UserID int64
	Lang   string
}

type Book struct {
	ID       int64 `bun:",pk,autoincrement"`
	Title    string
	AuthorID int64
	Author   *User `bun:"rel:belongs-to,join:author_id=id"`
}

type Group struct {
	ID   int64 `bun:",pk,autoincrement"`
	Name string
}

type Membership struct {
	UserID  int64  `bun:",pk"`
	User    *User  `bun:"rel:belongs-to,join:user_id=id"`
	GroupID int64  `bun:",pk"`
	Group   *Group `bun:"rel:belongs-to,join:group_id=id"`
}

func family(t testing.TB) *bun.DB {
	t.Helper()
	db := open(t)
	db.RegisterModel((*Membership)(nil))
	for _, model := range []any{(*User)(nil), (*Profile)(nil), (*Book)(nil), (*Group)(nil), (*Membership)(nil)} {
		_, err := db.NewCreateTable().Model(model).Exec(t.Context())
		must(t, err)
	}
	return db
}

func TestCRUD(t *testing.T) {
	db, ctx := family(t), t.Context()
	user := &User{Email: "ann@example.com", Name: "Ann's", Age: 30, Score: 2, Active: true,
		Data: map[string]any{"k": "it's \"quoted\""}, Photo: []byte{0, 255}}
	_, err := db.NewInsert().Model(user).Exec(ctx)
	must(t, err)
	if user.ID != 1 || time.Since(user.CreatedAt).Abs() > time.Minute {
		t.Errorf("the key or the default did not come back: %+v", user)
	}
	var got User
	must(t, db.NewSelect().Model(&got).Where("id = ?", 1).Scan(ctx))
	if got.Email != user.Email || got.Name != user.Name || got.Score != 2 || !got.Active || got.Data["k"] != user.Data["k"] ||
		!slices.Equal(got.Photo, user.Photo) || !got.CreatedAt.Equal(user.CreatedAt) {
		t.Errorf("wrote %+v, read %+v", user, got)
	}
	got.Name, got.CreatedAt = "Bea", time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	_, err = db.NewUpdate().Model(&got).WherePK().Exec(ctx)
	must(t, err)
	res, err := db.NewUpdate().Model((*User)(nil)).Set("age = age + ?", 1).Where("name = ?", "Bea").Exec(ctx)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		t.Errorf("%d rows affected (%v), want 1", n, err)
	}
	var again User
	must(t, db.NewSelect().Model(&again).Where("created_at = ?", got.CreatedAt).Scan(ctx))
	if again.Age != 31 || again.Name != "Bea" {
		t.Errorf("got %+v", again)
	}
	var deleted []User
	_, err = db.NewDelete().Model(&deleted).Where("id = ?", 1).ForceDelete().Returning("id, name").Exec(ctx)
	must(t, err)
	if n := count(t, db, (*User)(nil)); n != 0 || len(deleted) != 1 || deleted[0].ID != 1 || deleted[0].Name != "Bea" {
		t.Errorf("%d rows left, deleted %+v", n, deleted)
	}
	if err := db.NewSelect().Model(&again).Where("id = 1").Scan(ctx); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("err = %v, want sql.ErrNoRows", err)
	}
}

func TestBulkInsertAndUpdate(t *testing.T) {
	db, ctx := family(t), t.Context()
	books := []*Book{{Title: "a"}, {Title: "b, ('c')"}, {Title: "d' FROM _data; _data.title"}}
	_, err := db.NewInsert().Model(&books).Exec(ctx)
	must(t, err)
	if books[0].ID != 1 || books[2].ID != 3 {
		t.Errorf("keys %d … %d, want 1 … 3", books[0].ID, books[2].ID)
	}
	for _, b := range books {
		b.AuthorID = b.ID * 10
		b.Title += "!"
	}
	res, err := db.NewUpdate().Model(&books).Column("title", "author_id").Bulk().Exec(ctx)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n != 3 {
		t.Errorf("%d rows affected (%v), want 3", n, err)
	}
	var got []*Book
	must(t, db.NewSelect().Model(&got).Order("id").Scan(ctx))
	if !reflect.DeepEqual(got, books) {
		t.Errorf("got %+v %+v %+v", got[0], got[1], got[2])
	}
}

func TestRelations(t *testing.T) {
	db, ctx := family(t), t.Context()
	users := []*User{{Email: "a"}, {Email: "b"}}
	_, err := db.NewInsert().Model(&users).Exec(ctx)
	must(t, err)
	for _, model := range []any{
		&[]*Profile{{UserID: 1, Lang: "en"}, {UserID: 2, Lang: "fr"}},
		&[]*Book{{Title: "one", AuthorID: 1}, {Title: "two", AuthorID: 1}, {Title: "three", AuthorID: 2}},
		&[]*Group{{Name: "g1"}, {Name: "g2"}},
		&[]*Membership{{UserID: 1, GroupID: 1}, {UserID: 1, GroupID: 2}, {UserID: 2, GroupID: 2}},
	} {
		_, err := db.NewInsert().Model(model).Exec(ctx)
		must(t, err)
	}
	var got []*User
	must(t, db.NewSelect().Model(&got).Relation("Profile").Relation("Books").Relation("Groups").Order("user.id").Scan(ctx))
	if len(got) != 2 || got[0].Profile.Lang != "en" || len(got[0].Books) != 2 || len(got[0].Groups) != 2 ||
		got[1].Profile.Lang != "fr" || len(got[1].Books) != 1 || len(got[1].Groups) != 1 {
		t.Errorf("got %+v and %+v", got[0], got[1])
	}
	var book Book
	must(t, db.NewSelect().Model(&book).Relation("Author").Where("book.title = ?", "three").Scan(ctx))
	if book.Author == nil || book.Author.Email != "b" {
		t.Errorf("got %+v", book)
	}
	n, err := db.NewSelect().Model((*Book)(nil)).Where("author_id IN (?)", bun.List([]int64{1, 2})).Count(ctx)
	must(t, err)
	ok, err := db.NewSelect().Model((*Book)(nil)).Where("title = ?", "two").Exists(ctx)
	must(t, err)
	if n != 3 || !ok {
		t.Errorf("%d books, exists %v", n, ok)
	}
}

func TestSoftDelete(t *testing.T) {
	db, ctx := family(t), t.Context()
	users := []*User{{Email: "a"}, {Email: "b"}}
	_, err := db.NewInsert().Model(&users).Exec(ctx)
	must(t, err)
	_, err = db.NewDelete().Model(users[0]).WherePK().Exec(ctx)
	must(t, err)
	var emails []string
	must(t, db.NewSelect().Model((*User)(nil)).Column("email").Scan(ctx, &emails))
	if !slices.Equal(emails, []string{"b"}) || countAll(t, db, (*User)(nil)) != 2 {
		t.Errorf("emails %q, want [b] and one more that is deleted", emails)
	}
	must(t, db.NewSelect().Model((*User)(nil)).Column("email").WhereDeleted().Scan(ctx, &emails))
	if !slices.Equal(emails, []string{"a"}) {
		t.Errorf("deleted emails %q, want [a]", emails)
	}
}

func TestUpsertOnThePrimaryKey(t *testing.T) {
	type Setting struct {
		Key   string `bun:",pk"`
		Value string
		N     int
	}
	for _, row := range []struct {
		on   string
		set  string
		want []Setting
	}{
		{"CONFLICT DO UPDATE", "value = 'new'", []Setting{{"k", "new", 1}, {"l", "L", 5}}},
		{"CONFLICT (key) DO UPDATE", "value = EXCLUDED.value", []Setting{{"k", "K", 1}, {"l", "L", 5}}},
		{"CONFLICT (key) DO UPDATE", "n = n + EXCLUDED.n", []Setting{{"k", "old", 5}, {"l", "L", 5}}},
		{"CONFLICT DO UPDATE", "", []Setting{{"k", "K", 4}, {"l", "L", 5}}},
		{"CONFLICT (key) DO NOTHING", "", []Setting{{"k", "old", 1}, {"l", "L", 5}}},
	} {
		db, ctx := open(t, (*Setting)(nil)), t.Context()
		_, err := db.NewInsert().Model(&Setting{"k", "old", 1}).Exec(ctx)
		must(t, err)
		query := db.NewInsert().Model(&[]Setting{{"k", "K", 4}, {"l", "L", 5}}).On(row.on)
		if row.set != "" {
			query = query.Set(row.set)
		}
		_, err = query.Exec(ctx)
		must(t, err)
		var got []Setting
		must(t, db.NewSelect().Model(&got).Order("key").Scan(ctx))
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s %s: got %v, want %v", row.on, row.set, got, row.want)
		}
		_, err = db.NewInsert().Model(&Setting{Key: "x"}).On("CONFLICT (value) DO NOTHING").Exec(ctx)
		if !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("another target: %v, want ErrUnsupported", err)
		}
	}
}

func TestRowsWithKeysOfSeveralColumns(t *testing.T) {
	db, ctx := family(t), t.Context()
	members := []*Membership{{UserID: 1, GroupID: 1}, {UserID: 1, GroupID: 2}, {UserID: 2, GroupID: 2}}
	_, err := db.NewInsert().Model(&members).Exec(ctx)
	must(t, err)
	some := []*Membership{{UserID: 1, GroupID: 2}, {UserID: 2, GroupID: 1}, {UserID: 2, GroupID: 2}}
	must(t, db.NewSelect().Model(&some).WherePK().Order("user_id").Scan(ctx))
	if len(some) != 2 || some[0].UserID != 1 || some[0].GroupID != 2 {
		t.Errorf("found %+v", some)
	}
	res, err := db.NewDelete().Model(&some).WherePK().Exec(ctx)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n != 2 || count(t, db, (*Membership)(nil)) != 1 {
		t.Errorf("%d rows deleted (%v), want 2 of 3", n, err)
	}
}

func TestReturning(t *testing.T) {
	db, ctx := family(t), t.Context()
	in := func(db bun.IDB) error {
		users := []*User{{Email: "a", Name: "A"}, {Email: "b"}}
		if _, err := db.NewInsert().Model(&users).Returning("id, created_at").Exec(ctx); err != nil {
			return err
		}
		if users[1].ID == 0 || users[1].CreatedAt.IsZero() {
			t.Errorf("inserted %+v", users[1])
		}
		changed := &User{ID: users[0].ID}
		if _, err := db.NewUpdate().Model(changed).Set("age = ?", 40).WherePK().Returning("*").Exec(ctx); err != nil {
			return err
		}
		if changed.Age != 40 || changed.Name != "A" {
			t.Errorf("updated %+v", changed)
		}
		var emails []string
		_, err := db.NewDelete().Model((*User)(nil)).Where("id >= ?", users[0].ID).ForceDelete().Returning("email").Exec(ctx, &emails)
		if !slices.Equal(emails, []string{"a", "b"}) {
			t.Errorf("deleted %q", emails)
		}
		return err
	}
	must(t, in(db))
	must(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return in(tx) }))
}

func TestUniqueColumnsAndIndexes(t *testing.T) {
	type Place struct {
		ID   int64  `bun:",pk,autoincrement"`
		Code string `bun:",unique"`
		X    int    `bun:",unique:xy"`
		Y    int    `bun:",unique:xy"`
		Note string `bun:"type:varchar(20),default:'n'"`
	}
	db, ctx := open(t, (*Place)(nil)), t.Context()
	insert := func(p Place) error {
		_, err := db.NewInsert().Model(&p).Exec(ctx)
		return err
	}
	must(t, insert(Place{Code: "a", X: 1, Y: 1}))
	must(t, insert(Place{Code: "b", X: 1, Y: 2}))
	for _, p := range []Place{{Code: "a", X: 5}, {Code: "c", X: 1, Y: 2}} {
		if err := insert(p); !errors.Is(err, immudb.ErrDuplicateKey) {
			t.Errorf("%+v: %v, want ErrDuplicateKey", p, err)
		}
	}
	_, err := db.NewCreateTable().Model((*Place)(nil)).IfNotExists().Exec(ctx)
	must(t, err)
	_, err = db.NewCreateIndex().Model((*Place)(nil)).Index("idx_note").Column("note").IfNotExists().Exec(ctx)
	must(t, err)
	_, err = db.NewCreateIndex().Model((*Place)(nil)).Index("idx_note").Column("note").IfNotExists().Exec(ctx)
	must(t, err)
	_, err = db.NewRaw("DROP INDEX ON places(note)").Exec(ctx)
	must(t, err)
	_, err = db.NewAddColumn().Model((*Place)(nil)).ColumnExpr("extra VARCHAR(10)").Exec(ctx)
	must(t, err)
	_, err = db.NewDropColumn().Model((*Place)(nil)).Column("extra").Exec(ctx)
	must(t, err)
	_, err = db.NewTruncateTable().Model((*Place)(nil)).Exec(ctx)
	must(t, err)
	_, err = db.NewDropTable().Model((*Place)(nil)).IfExists().Exec(ctx)
	must(t, err)
}

func TestStatementsThatCannotBe(t *testing.T) {
	db, ctx := family(t), t.Context()
	exec := func(q interface {
		Exec(ctx context.Context, dest ...any) (sql.Result, error)
	}) error {
		_, err := q.Exec(ctx)
		return err
	}
	for _, row := range []struct {
		reason string
		err    error
	}{
		{"foreign keys are not enforced", exec(db.NewCreateTable().Model((*Book)(nil)).ModelTableExpr("books2").ForeignKey(`("author_id") REFERENCES "users" ("id")`))},
		{"indexes have no names", exec(db.NewDropIndex().Index("idx_note"))},
		{"the predicate of an index is ignored", exec(db.NewCreateIndex().Model((*Book)(nil)).Index("i").Column("title").Where("title <> ''"))},
		{"RETURNING cannot come from several statements", exec(db.NewUpdate().Model(&[]*Book{{ID: 1}}).Column("title").Bulk().Returning("id"))},
	} {
		if !errors.Is(row.err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", row.reason, row.err)
		}
	}
	_, err := db.NewSelect().Model((*User)(nil)).Where("age = ?", uint64(1<<63)).Count(ctx)
	if err == nil || !strings.Contains(err.Error(), "overflows INTEGER") {
		t.Errorf("uint64 beyond INTEGER: %v", err)
	}
}

func TestModelWithoutAKeyIsStored(t *testing.T) {
	db := open(t)
	type Counter struct{ Count int64 }
	ctx := t.Context()
	if _, err := db.NewCreateTable().Model((*Counter)(nil)).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.NewInsert().Model(&[]Counter{{1}, {1}}).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.NewUpdate().Model((*Counter)(nil)).Set("count = count + 1").Where("1 = 1").Exec(ctx); err != nil {
		t.Fatal(err)
	}
	var all []Counter
	if err := db.NewSelect().Model(&all).Scan(ctx); err != nil || len(all) != 2 || all[0].Count != 2 || all[1].Count != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestNestedTransactions(t *testing.T) {
	db, ctx := family(t), t.Context()
	wanted := errors.New("wanted")
	must(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		add := func(ctx context.Context, tx bun.Tx, name string, err error) error {
			if _, err := tx.NewInsert().Model(&Group{Name: name}).Exec(ctx); err != nil {
				return err
			}
			return err
		}
		must(t, add(ctx, tx, "outer", nil))
		if err := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, "undone", wanted) }); !errors.Is(err, wanted) {
			t.Errorf("a nested transaction that fails: %v", err)
		}
		if err := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("INSERT INTO groups (id, name) VALUES (1, 'double')").Exec(ctx)
			return err
		}); !errors.Is(err, immudb.ErrDuplicateKey) {
			t.Errorf("a nested transaction with a duplicate key: %v", err)
		}
		return tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, "inner", nil) })
	}))
	var names []string
	must(t, db.NewSelect().Model((*Group)(nil)).Column("name").Order("id").Scan(ctx, &names))
	if !slices.Equal(names, []string{"outer", "inner"}) {
		t.Errorf("committed %q, want outer and inner", names)
	}
}

func TestTransactions(t *testing.T) {
	db, ctx := family(t), t.Context()
	wanted := errors.New("wanted")
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&Group{Name: "no"}).Exec(ctx)
		must(t, err)
		return wanted
	})
	if !errors.Is(err, wanted) || count(t, db, (*Group)(nil)) != 0 {
		t.Errorf("err %v, %d rows", err, count(t, db, (*Group)(nil)))
	}
	must(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		group := &Group{Name: "yes"}
		if _, err := tx.NewInsert().Model(group).Exec(ctx); err != nil {
			return err
		}
		var got Group
		if err := tx.NewSelect().Model(&got).Where("id = ?", group.ID).For("UPDATE").Scan(ctx); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model(&got).Set("name = ?", got.Name+"!").WherePK().Exec(ctx)
		return err
	}))
	var names []string
	must(t, db.NewSelect().Model((*Group)(nil)).Column("name").Scan(ctx, &names))
	if !slices.Equal(names, []string{"yes!"}) {
		t.Errorf("names %q, want [yes!]", names)
	}
}

func TestTypes(t *testing.T) {
	type Everything struct {
		ID    string    `bun:",pk"`
		UUID  string    `bun:"type:uuid"`
		Big   int64     `bun:"type:bigint"`
		Price string    `bun:"type:decimal(10,2)"`
		Rate  float32   `bun:"type:numeric(8,3)"`
		Text  string    `bun:"type:text"`
		Short string    `bun:"type:varchar(5)"`
		Stamp time.Time `bun:"type:timestamptz"`
		List  []string
		Ptr   *int
		JSON  struct{ A int } `bun:"type:jsonb"`
		Blob  []byte          `bun:"type:bytea"`
	}
	db, ctx := open(t, (*Everything)(nil)), t.Context()
	want := Everything{ID: strings.Repeat("k", 256), UUID: "00010203-0405-0607-0809-101112131415", Big: 1 << 62, Price: "10.50", Rate: 0.5,
		Text: "t", Short: "12345", Stamp: time.UnixMicro(1_700_000_000_123_456).UTC(), List: []string{"a", "b'"}, Blob: []byte{}}
	want.JSON.A = 7
	_, err := db.NewInsert().Model(&want).Exec(ctx)
	must(t, err)
	var got Everything
	must(t, db.NewSelect().Model(&got).Scan(ctx))
	got.Stamp = got.Stamp.UTC()
	if len(got.Blob) == 0 {
		got.Blob = []byte{}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("wrote %+v\nread  %+v", want, got)
	}
}

func TestDialectOnAPoolOfOnesOwn(t *testing.T) {
	pool, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	must(t, err)
	db := bun.NewDB(pool, bunimmudb.New())
	defer db.Close()
	_, err = db.NewCreateTable().Model((*Group)(nil)).Exec(t.Context())
	must(t, err)
	group := &Group{Name: "g"}
	_, err = db.NewInsert().Model(group).Exec(t.Context())
	must(t, err)
	if group.ID != 1 {
		t.Errorf("key %d, want 1", group.ID)
	}
}
