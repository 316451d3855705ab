package entimmudb_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect/sql"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/predicate"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
)

func TestPredicates(t *testing.T) {
	client, ctx := open(t), t.Context()
	for i, name := range []string{"anna", "Bob", "carl", "dora_%"} {
		c := client.User.Create().SetName(name).SetAge(i * 10).SetActive(i%2 == 0)
		if i > 1 {
			c.SetNote("note")
		}
		c.ExecX(ctx)
	}
	for _, row := range []struct {
		names string
		where predicate.User
	}{
		{"anna", user.Name("anna")},
		{"Bob carl dora_%", user.NameNEQ("anna")},
		{"anna carl", user.NameIn("anna", "carl", "nobody")},
		{"Bob dora_%", user.NameNotIn("anna", "carl")},
		{"carl dora_%", user.AgeGT(10)},
		{"anna Bob", user.AgeLTE(10)},
		{"carl dora_%", user.NoteNotNil()},
		{"anna Bob", user.NoteIsNil()},
		{"anna", user.NameHasPrefix("an")},
		{"Bob", user.NameHasSuffix("ob")},
		{"dora_%", user.NameContains("_%")},
		{"Bob", user.NameContainsFold("BO")},
		{"Bob", user.NameEqualFold("bob")},
		{"anna", user.And(user.Active(true), user.Not(user.NoteNotNil()))},
		{"anna dora_%", user.Or(user.Age(0), user.AgeGTE(30))},
		{"Bob", user.And(user.Or(user.Age(10), user.Age(20)), user.Or(user.Active(false), user.Name("x")))},
		{"", user.NameIn()},
		{"anna Bob carl dora_%", user.RoleEQ(user.RoleGuest)},
	} {
		names := got(client.User.Query().Where(row.where).Order(ent.Asc(user.FieldID)).Select(user.FieldName).Strings(ctx))(t)
		same(t, "names", strings.Join(names, " "), row.names)
	}
}

func TestOrderLimitAndAggregation(t *testing.T) {
	client, ctx := open(t), t.Context()
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		client.User.Create().SetName(name).SetAge(i % 3).SetRate(float64(i) / 2).SetActive(i < 3).ExecX(ctx)
	}
	names := got(client.User.Query().Order(ent.Desc(user.FieldAge), ent.Asc(user.FieldName)).Offset(1).Limit(3).Select(user.FieldName).Strings(ctx))(t)
	same(t, "names", strings.Join(names, " "), "b e a")
	same(t, "count", got(client.User.Query().Where(user.AgeGT(0)).Count(ctx))(t), 3)
	same(t, "first", got(client.User.Query().Order(user.ByName(sql.OrderDesc())).First(ctx))(t).Name, "e")
	same(t, "max", got(client.User.Query().Aggregate(ent.Max(user.FieldAge)).Int(ctx))(t), 2)
	same(t, "min", got(client.User.Query().Aggregate(ent.Min(user.FieldRate)).Float64(ctx))(t), 0)
	same(t, "mean", got(client.User.Query().Aggregate(ent.Mean(user.FieldRate)).Float64(ctx))(t), 1)
	ages := got(client.User.Query().Unique(true).Order(ent.Asc(user.FieldAge)).Select(user.FieldAge).Ints(ctx))(t)
	same(t, "ages", slices.Equal(ages, []int{0, 1, 2}), true)
	var groups []struct {
		Active bool
		Count  int
		Sum    int
	}
	must(t, client.User.Query().GroupBy(user.FieldActive).Aggregate(ent.Count(), ent.Sum(user.FieldAge)).Scan(ctx, &groups))
	slices.SortFunc(groups, func(a, b struct {
		Active bool
		Count  int
		Sum    int
	}) int {
		return a.Count - b.Count
	})
	if len(groups) != 2 || groups[0].Count != 2 || groups[0].Sum != 1 || !groups[1].Active || groups[1].Sum != 3 {
		t.Errorf("groups: %v", groups)
	}
	same(t, "ids", len(got(client.User.Query().IDs(ctx))(t)), 5)
	_, err := client.User.Query().Only(ctx)
	same(t, "not singular", ent.IsNotSingular(err), true)
}

func TestTransactions(t *testing.T) {
	client, ctx := open(t), t.Context()
	tx := got(client.Tx(ctx))(t)
	tx.User.Create().SetName("a").AddPets(tx.Pet.Create().SetName("p").SaveX(ctx)).ExecX(ctx)
	must(t, tx.Rollback())
	same(t, "rolled back", client.User.Query().CountX(ctx)+client.Pet.Query().CountX(ctx), 0)
	tx = got(client.BeginTx(ctx, &sql.TxOptions{}))(t)
	u := tx.User.Create().SetName("b").SaveX(ctx)
	same(t, "its own row", got(tx.User.Query().Where(user.Name("b")).ForUpdate().OnlyID(ctx))(t), u.ID)
	must(t, tx.Commit())
	same(t, "committed", client.User.Query().CountX(ctx), 1)

	first, second := got(client.Tx(ctx))(t), got(client.Tx(ctx))(t)
	first.User.UpdateOneID(u.ID).AddAge(1).ExecX(ctx)
	second.User.UpdateOneID(u.ID).AddAge(1).ExecX(ctx)
	must(t, first.Commit())
	if err := second.Commit(); !errors.Is(err, immudb.ErrConflict) {
		t.Errorf("err = %v, want ErrConflict", err)
	}
}

func TestTheDriverWorksBehindEntsDebugDriver(t *testing.T) {
	drv := openDriver(t)
	var log strings.Builder
	client := ent.NewClient(ent.Driver(drv), ent.Debug(), ent.Log(func(v ...any) { log.WriteString(v[0].(string)) }))
	must(t, client.Schema.Create(t.Context(), drv.Migrate()))
	must(t, client.User.Create().SetName("a").OnConflictColumns(user.FieldName).UpdateNewValues().Exec(context.Background()))
	same(t, "logged", strings.Contains(log.String(), "ON CONFLICT"), true)
}
