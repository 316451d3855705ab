package entimmudb_test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql/sqlgraph"
	"github.com/google/uuid"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/group"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/pet"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
)

func TestEachTypeOfFieldIsReadAsItWasWritten(t *testing.T) {
	client, ctx := open(t), t.Context()
	created, ref := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC), uuid.New()
	u := got(client.User.Create().SetName("it's ü").SetAge(-7).SetNote("").SetActive(false).SetRate(1.5).SetData([]byte{0, 255}).
		SetCreated(created).SetRef(ref).SetTags([]string{"a", `"b"`}).SetRole(user.RoleAdmin).Save(ctx))(t)
	r := got(client.User.Get(ctx, u.ID))(t)
	same(t, "name", r.Name, "it's ü")
	same(t, "age", r.Age, -7)
	same(t, "active", r.Active, false)
	same(t, "rate", r.Rate, 1.5)
	same(t, "ref", r.Ref, ref)
	same(t, "role", r.Role, user.RoleAdmin)
	if r.Note == nil || *r.Note != "" || !bytes.Equal(r.Data, []byte{0, 255}) || !r.Created.Equal(created) || !slices.Equal(r.Tags, []string{"a", `"b"`}) {
		t.Errorf("read %v %v %v %v", r.Note, r.Data, r.Created, r.Tags)
	}
	empty := got(client.User.Create().SetName("empty").SetTags(nil).Save(ctx))(t)
	r = got(client.User.Get(ctx, empty.ID))(t)
	if r.Note != nil || r.Data != nil || r.Tags != nil || r.Rate != 0 || !r.Active || r.Role != user.RoleGuest {
		t.Errorf("the row without values is %v", r)
	}
}

func TestBulkCreatesReturnTheKeysInTheOrderOfTheRows(t *testing.T) {
	client, ctx := open(t), t.Context()
	users := got(client.User.MapCreateBulk(make([]int, 200), func(c *ent.UserCreate, i int) {
		c.SetName("u" + strconv.Itoa(i))
		if i%2 == 0 {
			c.SetNote("even")
		}
	}).Save(ctx))(t)
	for _, i := range []int{0, 1, 199} {
		r := got(client.User.Query().Where(user.Name("u" + strconv.Itoa(i))).Only(ctx))(t)
		same(t, "id", r.ID, users[i].ID)
		same(t, "note", r.Note != nil, i%2 == 0)
	}
	groups := got(client.Group.CreateBulk(client.Group.Create().SetName("a"), client.Group.Create().SetName("b")).Save(ctx))(t)
	same(t, "name", got(client.Group.Get(ctx, groups[1].ID))(t).Name, "b")
}

func TestABulkCreateOfMoreRowsThanATransactionHoldsWritesNothing(t *testing.T) {
	client, ctx := open(t), t.Context()
	err := client.Pet.MapCreateBulk(make([]int, 1100), func(c *ent.PetCreate, _ int) { c.SetName("p") }).Exec(ctx)
	if !errors.Is(err, immudb.ErrTooManyEntries) {
		t.Errorf("err = %v, want ErrTooManyEntries", err)
	}
	same(t, "rows", got(client.Pet.Query().Count(ctx))(t), 0)
}

func TestErrorsOfConstraintsAreThoseOfEntAndOfTheDriver(t *testing.T) {
	client, ctx := open(t), t.Context()
	client.User.Create().SetName("a").SaveX(ctx)
	b := client.User.Create().SetName("b").SaveX(ctx)
	g := client.Group.Create().SetName("g").SaveX(ctx)
	for what, err := range map[string]error{
		"create":        client.User.Create().SetName("a").Exec(ctx),
		"bulk":          client.User.CreateBulk(client.User.Create().SetName("c"), client.User.Create().SetName("a")).Exec(ctx),
		"update":        b.Update().SetName("a").Exec(ctx),
		"update many":   client.User.Update().Where(user.Name("b")).SetName("a").Exec(ctx),
		"key":           client.Group.Create().SetID(g.ID).SetName("h").Exec(ctx),
		"with an edge":  client.User.Create().SetName("a").AddGroups(g).Exec(ctx),
		"unique string": client.Group.Create().SetName("g").Exec(ctx),
	} {
		if !ent.IsConstraintError(err) || !sqlgraph.IsUniqueConstraintError(err) || !errors.Is(err, immudb.ErrDuplicateKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := client.Pet.Create().SetName("light").SetWeight(0).Exec(ctx)
	if !ent.IsConstraintError(err) || !sqlgraph.IsCheckConstraintError(err) || !errors.Is(err, immudb.ErrCheck) {
		t.Errorf("CHECK: %v", err)
	}
	same(t, "users", client.User.Query().CountX(ctx), 2)
	same(t, "groups", client.Group.Query().CountX(ctx), 1)
	if err := client.User.Create().Exec(ctx); !ent.IsValidationError(err) {
		t.Errorf("a user without a name: %v", err)
	}
}

func TestUpdatesAndDeletes(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SetNote("n").SetTags([]string{"x"}).SaveX(ctx)
	client.User.Create().SetName("b").SaveX(ctx)
	r := got(a.Update().AddAge(5).AddVisits(2).ClearNote().ClearTags().SetName("a").Save(ctx))(t)
	if r.Age != 5 || r.Visits != 2 || r.Note != nil || r.Tags != nil {
		t.Errorf("updated: %v", r)
	}
	same(t, "updated", got(client.User.Update().Where(user.NameIn("a", "b"), user.AgeLT(10)).AddAge(1).SetActive(false).Save(ctx))(t), 2)
	same(t, "sum", got(client.User.Query().Aggregate(ent.Sum(user.FieldAge)).Int(ctx))(t), 7)
	_, err := client.User.UpdateOneID(99).SetAge(1).Save(ctx)
	same(t, "not found", ent.IsNotFound(err), true)
	_, err = client.User.Update().Where(user.Name("nobody")).SetAge(1).Save(ctx)
	must(t, err)
	_, err = a.Update().Where(user.Age(99)).SetVisits(1).Save(ctx)
	same(t, "not found by its predicate", ent.IsNotFound(err), true)
	must(t, client.User.DeleteOne(a).Exec(ctx))
	same(t, "not found", ent.IsNotFound(client.User.DeleteOneID(a.ID).Exec(ctx)), true)
	same(t, "deleted", got(client.User.Delete().Where(user.NameHasPrefix("b")).Exec(ctx))(t), 1)
	same(t, "left", got(client.User.Query().Exist(ctx))(t), false)
	for range 2 {
		client.Pet.Create().SetName("p").ExecX(ctx)
	}
	same(t, "deleted all", got(client.Pet.Delete().Where(pet.WeightGTE(1)).Exec(ctx))(t), 2)
	client.Group.Create().SetName("g").ExecX(ctx)
	same(t, "deleted by name", got(client.Group.Delete().Where(group.NameEqualFold("G")).Exec(ctx))(t), 1)
}
