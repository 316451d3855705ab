package entimmudb_test

import (
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/group"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/pet"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
)

func TestO2OEdgesAreUniqueThoughManyHaveNone(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SaveX(ctx)
	b := got(client.User.Create().SetName("b").SetMentor(a).Save(ctx))(t)
	client.User.CreateBulk(client.User.Create().SetName("c"), client.User.Create().SetName("d")).ExecX(ctx) // no mentor: NULLs
	same(t, "mentor of b", got(b.QueryMentor().Only(ctx))(t).Name, "a")
	same(t, "student of a", got(a.QueryStudent().Only(ctx))(t).Name, "b")
	same(t, "eager", got(client.User.Query().Where(user.ID(a.ID)).WithStudent().Only(ctx))(t).Edges.Student.Name, "b")
	same(t, "eager", got(client.User.Query().Where(user.ID(b.ID)).WithMentor().Only(ctx))(t).Edges.Mentor.Name, "a")
	c := client.User.Query().Where(user.Name("c")).OnlyX(ctx)
	for what, err := range map[string]error{
		"create":              client.User.Create().SetName("e").SetMentor(a).Exec(ctx),
		"update":              c.Update().SetMentor(a).Exec(ctx),
		"in a bulk":           client.User.CreateBulk(client.User.Create().SetName("e").SetMentor(c), client.User.Create().SetName("f").SetMentor(c)).Exec(ctx),
		"update of several":   client.User.Update().Where(user.NameIn("c", "d")).SetMentor(a).Exec(ctx),
		"update of the rest":  client.User.Update().Where(user.Not(user.HasMentor())).SetMentor(b).Exec(ctx),
		"from the other side": client.User.Create().SetName("e").SetStudent(b).Exec(ctx),
	} {
		if !ent.IsConstraintError(err) {
			t.Errorf("%s: %v, want a constraint error", what, err)
		}
	}
	same(t, "users", client.User.Query().CountX(ctx), 4)
	must(t, b.Update().SetMentor(a).SetAge(3).Exec(ctx)) // as it is
	must(t, b.Update().ClearMentor().Exec(ctx))
	same(t, "a has a student", got(a.QueryStudent().Exist(ctx))(t), false)
	must(t, a.Update().SetStudent(c).Exec(ctx))
	same(t, "students of a", got(client.User.Query().Where(user.HasMentorWith(user.Name("a"))).OnlyID(ctx))(t), c.ID)
}

func TestTheCheckOfAnOptionalUniqueFieldHoldsInATransaction(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SaveX(ctx)
	client.User.Create().SetName("b").SetMentor(a).ExecX(ctx)
	tx := got(client.Tx(ctx))(t)
	tx.Pet.Create().SetName("p").ExecX(ctx)
	err := tx.User.Create().SetName("c").SetMentorID(a.ID).Exec(ctx)
	if !ent.IsConstraintError(err) {
		t.Errorf("err = %v, want a constraint error", err)
	}
	if err := tx.Pet.Create().SetName("q").Exec(ctx); !errors.Is(err, immudb.ErrTxAborted) {
		t.Errorf("a statement after it: %v, want ErrTxAborted", err)
	}
	if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) {
		t.Errorf("commit: %v, want ErrTxAborted", err)
	}
	same(t, "pets", client.Pet.Query().CountX(ctx), 0)

	c := client.User.Create().SetName("c").SaveX(ctx)
	first, second := got(client.Tx(ctx))(t), got(client.Tx(ctx))(t)
	first.User.Create().SetName("d").SetMentorID(c.ID).ExecX(ctx)
	err = second.User.Create().SetName("e").SetMentorID(c.ID).Exec(ctx)
	must(t, first.Commit())
	if err == nil {
		err = second.Commit()
	}
	if !errors.Is(err, immudb.ErrConflict) {
		t.Errorf("the second transaction: %v, want ErrConflict", err)
	}
}

func TestO2MEdges(t *testing.T) {
	client, ctx := open(t), t.Context()
	p := client.Pet.Create().SetName("p").SaveX(ctx)
	q := client.Pet.Create().SetName("q").SaveX(ctx)
	a := got(client.User.Create().SetName("a").AddPets(p, q).Save(ctx))(t)
	b := client.User.Create().SetName("b").SaveX(ctx)
	if err := client.User.Create().SetName("c").AddPets(p).Exec(ctx); !ent.IsConstraintError(err) {
		t.Errorf("a pet of two: %v, want a constraint error", err)
	}
	same(t, "c was rolled back", client.User.Query().CountX(ctx), 2)
	must(t, client.Pet.Create().SetName("r").SetOwner(b).SetWeight(9).Exec(ctx))
	users := got(client.User.Query().WithPets(func(q *ent.PetQuery) { q.Order(ent.Desc(pet.FieldName)) }).Order(ent.Asc(user.FieldName)).All(ctx))(t)
	same(t, "pets of a", len(users[0].Edges.Pets), 2)
	same(t, "its first", users[0].Edges.Pets[0].Name, "q")
	same(t, "pets of b", len(users[1].Edges.Pets), 1)
	same(t, "owner", got(p.QueryOwner().Only(ctx))(t).Name, "a")
	same(t, "eager owner", got(client.Pet.Query().Where(pet.Name("r")).WithOwner().Only(ctx))(t).Edges.Owner.Name, "b")
	same(t, "with heavy pets", got(client.User.Query().Where(user.HasPetsWith(pet.WeightGT(5))).OnlyID(ctx))(t), b.ID)
	same(t, "without pets", got(client.User.Query().Where(user.Not(user.HasPets())).Count(ctx))(t), 0)
	same(t, "pets of all", got(client.User.Query().Where(user.Name("a")).QueryPets().Count(ctx))(t), 2)
	same(t, "by their number", got(client.User.Query().Order(user.ByPetsCount()).First(ctx))(t).Name, "b")
	must(t, a.Update().RemovePets(p).AddPets(client.Pet.Create().SetName("s").SaveX(ctx)).Exec(ctx))
	same(t, "pets of a", got(a.QueryPets().Order(ent.Asc(pet.FieldName)).Select(pet.FieldName).Strings(ctx))(t)[1], "s")
	must(t, a.Update().ClearPets().Exec(ctx))
	same(t, "pets without an owner", got(client.Pet.Query().Where(pet.Not(pet.HasOwner())).Count(ctx))(t), 3)
}

func TestM2MEdges(t *testing.T) {
	client, ctx := open(t), t.Context()
	g := client.Group.Create().SetName("g").SaveX(ctx)
	h := client.Group.Create().SetName("h").SaveX(ctx)
	a := got(client.User.Create().SetName("a").AddGroups(g, h).Save(ctx))(t)
	b := client.User.Create().SetName("b").AddGroups(h).SaveX(ctx)
	client.User.Create().SetName("c").ExecX(ctx)
	must(t, b.Update().AddGroups(h).Exec(ctx)) // it is there: no error and no second row
	same(t, "users of h", got(h.QueryUsers().Count(ctx))(t), 2)
	groups := got(client.Group.Query().WithUsers().Order(ent.Asc(group.FieldName)).All(ctx))(t)
	same(t, "users of g", len(groups[0].Edges.Users), 1)
	same(t, "users of h", len(groups[1].Edges.Users), 2)
	users := got(client.User.Query().WithGroups().WithPets().Order(ent.Asc(user.FieldName)).All(ctx))(t)
	same(t, "groups of a", len(users[0].Edges.Groups), 2)
	same(t, "groups of c", len(users[2].Edges.Groups), 0)
	same(t, "in g", got(client.User.Query().Where(user.HasGroupsWith(group.Name("g"))).Only(ctx))(t).Name, "a")
	same(t, "in groups of a", got(a.QueryGroups().QueryUsers().Count(ctx))(t), 2)
	must(t, a.Update().RemoveGroups(g).Exec(ctx))
	same(t, "users of g", got(g.QueryUsers().Exist(ctx))(t), false)
	must(t, h.Update().ClearUsers().AddUsers(a).Exec(ctx))
	same(t, "users of h", got(h.QueryUsers().OnlyID(ctx))(t), a.ID)
	bulk := got(client.User.CreateBulk(client.User.Create().SetName("d").AddGroups(g, h), client.User.Create().SetName("e").AddGroups(g)).Save(ctx))(t)
	same(t, "users of g", got(g.QueryUsers().Count(ctx))(t), 2)
	same(t, "groups of d", got(bulk[0].QueryGroups().Count(ctx))(t), 2)
}

func TestADeletedRowLeavesTheEdgesToIt(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").AddPets(client.Pet.Create().SetName("p").SaveX(ctx)).SaveX(ctx)
	must(t, client.User.DeleteOne(a).Exec(ctx))
	same(t, "pets with an owner's key", got(client.Pet.Query().Where(pet.HasOwner()).Count(ctx))(t), 1)
	same(t, "owners", got(client.Pet.Query().QueryOwner().Exist(ctx))(t), false)
}
