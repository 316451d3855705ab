package entimmudb_test

import (
	stdsql "database/sql"
	"errors"
	"testing"

	"entgo.io/ent/dialect/sql"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/group"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
)

func TestUpsertsByAUniqueField(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SetAge(1).SetVisits(10).SaveX(ctx)
	id := got(client.User.Create().SetName("a").SetAge(2).OnConflictColumns(user.FieldName).UpdateNewValues().ID(ctx))(t)
	same(t, "id", id, a.ID)
	r := client.User.GetX(ctx, id)
	same(t, "age", r.Age, 2)
	same(t, "an immutable field", r.Created.Equal(got(client.User.Get(ctx, a.ID))(t).Created), true)

	id = got(client.User.Create().SetName("a").SetAge(3).OnConflictColumns(user.FieldName).Update(func(u *ent.UserUpsert) { u.UpdateAge().AddVisits(5).SetNote("met") }).ID(ctx))(t)
	r = client.User.GetX(ctx, id)
	if id != a.ID || r.Age != 3 || r.Visits < 5 || *r.Note != "met" {
		t.Errorf("updated: %v", r)
	}
	id = got(client.User.Create().SetName("a").SetAge(4).OnConflictColumns(user.FieldName).Ignore().ID(ctx))(t)
	same(t, "ignored id", id, a.ID)
	same(t, "ignored age", client.User.GetX(ctx, id).Age, 3)
	id = got(client.User.Create().SetName("b").SetAge(5).OnConflictColumns(user.FieldName).UpdateNewValues().ID(ctx))(t)
	same(t, "new age", client.User.GetX(ctx, id).Age, 5)
}

func TestUpsertsByTheKey(t *testing.T) {
	client, ctx := open(t), t.Context()
	g := client.Group.Create().SetName("g").SaveX(ctx)
	id := got(client.Group.Create().SetID(g.ID).SetName("h").OnConflictColumns(group.FieldID).UpdateNewValues().ID(ctx))(t)
	same(t, "id", id, g.ID)
	same(t, "name", client.Group.GetX(ctx, id).Name, "h")
	must(t, client.Pet.Create().SetName("p").OnConflictColumns("id").UpdateNewValues().Exec(ctx)) // no key: it is new
	same(t, "pets", client.Pet.Query().CountX(ctx), 1)
	client.Group.Create().SetName("other").ExecX(ctx)
	err := client.Group.Create().SetID(g.ID).SetName("other").OnConflictColumns(group.FieldID).UpdateNewValues().Exec(ctx)
	if !ent.IsConstraintError(err) {
		t.Errorf("a conflict in another index: %v, want a constraint error", err)
	}
}

func TestBulkUpsertsReturnTheKeysInTheOrderOfTheRows(t *testing.T) {
	client, ctx := open(t), t.Context()
	b := client.User.Create().SetName("b").SaveX(ctx)
	bulk := client.User.CreateBulk(client.User.Create().SetName("a").SetAge(1), client.User.Create().SetName("b").SetAge(2), client.User.Create().SetName("c").SetAge(3))
	must(t, bulk.OnConflictColumns(user.FieldName).UpdateNewValues().Exec(ctx))
	same(t, "users", client.User.Query().CountX(ctx), 3)
	same(t, "age of b", client.User.GetX(ctx, b.ID).Age, 2)
	must(t, client.User.CreateBulk(client.User.Create().SetName("b").SetAge(7), client.User.Create().SetName("d")).OnConflictColumns(user.FieldName).Ignore().Exec(ctx))
	same(t, "age of b", client.User.GetX(ctx, b.ID).Age, 2)
	same(t, "users", client.User.Query().CountX(ctx), 4)
}

func TestDoNothingLeavesARowThatIsThere(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SaveX(ctx)
	client.User.Create().SetName("b").SetMentor(a).ExecX(ctx)
	for what, create := range map[string]*ent.UserCreate{
		"by its name":   client.User.Create().SetName("a").SetAge(9),
		"by its mentor": client.User.Create().SetName("c").SetMentor(a),
	} {
		if err := create.OnConflict(sql.DoNothing()).Exec(ctx); !errors.Is(err, stdsql.ErrNoRows) {
			t.Errorf("%s: %v, want sql.ErrNoRows as with PostgreSQL", what, err)
		}
	}
	must(t, client.User.Create().SetName("c").OnConflict(sql.DoNothing()).Exec(ctx))
	same(t, "users", client.User.Query().CountX(ctx), 3)
	same(t, "age", client.User.GetX(ctx, a.ID).Age, 0)
}

func TestAnUpsertInATransactionIsRolledBackWithIt(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SaveX(ctx)
	tx := got(client.Tx(ctx))(t)
	must(t, tx.User.Create().SetName("a").SetVisits(5).OnConflictColumns(user.FieldName).UpdateNewValues().Exec(ctx))
	same(t, "visits inside", got(tx.User.Get(ctx, a.ID))(t).Visits, 5)
	must(t, tx.User.Create().SetName("n").OnConflictColumns(user.FieldName).UpdateNewValues().Exec(ctx))
	must(t, tx.User.Create().SetName("n").OnConflictColumns(user.FieldName).Update(func(u *ent.UserUpsert) { u.AddVisits(1) }).Exec(ctx)) // its own row
	must(t, tx.Rollback())
	same(t, "visits", client.User.GetX(ctx, a.ID).Visits, 0)
	same(t, "users", client.User.Query().CountX(ctx), 1)
}

func TestUpsertsThatTheServerCannotDoAreRefused(t *testing.T) {
	client, ctx := open(t), t.Context()
	for what, err := range map[string]error{
		"no unique index": client.User.Create().SetName("a").OnConflictColumns(user.FieldAge).UpdateNewValues().Exec(ctx),
		"no columns":      client.User.Create().SetName("a").OnConflict(sql.ResolveWithNewValues()).Exec(ctx),
		"WHERE":           client.User.Create().SetName("a").OnConflict(sql.ConflictColumns(user.FieldName), sql.ResolveWithNewValues(), sql.UpdateWhere(sql.EQ("age", 1))).Exec(ctx),
		"partial index":   client.User.Create().SetName("a").OnConflict(sql.ConflictColumns(user.FieldName), sql.ConflictWhere(sql.EQ("age", 1)), sql.ResolveWithNewValues()).Exec(ctx),
	} {
		if !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", what, err)
		}
	}
	same(t, "users", client.User.Query().CountX(ctx), 0)
}
