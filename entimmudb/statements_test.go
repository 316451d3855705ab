package entimmudb_test

import (
	stdsql "database/sql"
	"errors"
	"testing"

	"entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
	"github.com/immudb-go/immudb/internal/testserver"
)

// opened creates a table and a driver that knows it.
func opened(t *testing.T, table *schema.Table) *entimmudb.Driver {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	create, _ := migrator(t, dsn)
	must(t, create(table))
	drv := got(entimmudb.Open(dsn, []*schema.Table{table}))(t)
	t.Cleanup(func() { _ = drv.Close() })
	return drv
}

func TestTheValuesOfAnUpsertMayBeExpressions(t *testing.T) {
	client, ctx := open(t), t.Context()
	a := client.User.Create().SetName("a").SetVisits(10).SaveX(ctx)
	must(t, client.User.Create().SetName("a").SetVisits(5).OnConflict(sql.ConflictColumns(user.FieldName), sql.ResolveWith(func(u *sql.UpdateSet) {
		u.Set(user.FieldVisits, sql.ExprFunc(func(b *sql.Builder) { b.WriteString(`"users"."visits" * 2 + "excluded"."visits" + `).Arg(1) })).Set(user.FieldNote, "it's \"excluded\".\"visits\" $1")
	})).Exec(ctx))
	r := client.User.GetX(ctx, a.ID)
	same(t, "visits", r.Visits, 26)
	same(t, "note", *r.Note, `it's "excluded"."visits" $1`)
}

func TestAnUpsertWithoutReturningSaysHowManyRowsItWrote(t *testing.T) {
	table := things(&schema.Column{Name: "name", Type: field.TypeString, Size: 10, Unique: true}, &schema.Column{Name: "n", Type: field.TypeInt, Nullable: true})
	drv := opened(t, table)
	for _, row := range []struct {
		resolve sql.ConflictOption
		wrote   int64
	}{{sql.ResolveWithNewValues(), 2}, {sql.ResolveWithNewValues(), 2}, {sql.DoNothing(), 0}} {
		query, args := sql.Dialect(drv.Dialect()).Insert("things").Columns("name", "n").Values("a", 1).Values("b", nil).OnConflict(sql.ConflictColumns("name"), row.resolve).Query()
		var res stdsql.Result
		must(t, drv.Exec(t.Context(), query, args, &res))
		same(t, "written", got(res.RowsAffected())(t), row.wrote)
	}
}

func TestARowWithoutFieldsNeedsAnOptionalOne(t *testing.T) {
	for optional, table := range map[bool]*schema.Table{
		true:  things(&schema.Column{Name: "note", Type: field.TypeString, Nullable: true}),
		false: things(),
	} {
		t.Run("optional="+map[bool]string{true: "yes", false: "no"}[optional], func(t *testing.T) {
			drv := opened(t, table)
			query, args := sql.Dialect(drv.Dialect()).Insert("things").Default().Returning("id").Query()
			for want := range 2 {
				var rows sql.Rows
				err := drv.Query(t.Context(), query, args, &rows)
				if !optional {
					same(t, "refused", errors.Is(err, immudb.ErrUnsupported), true)
					continue
				}
				must(t, err)
				same(t, "id", got(sql.ScanInt(&rows))(t), want+1)
			}
		})
	}
}

func TestUniqueIndexesOfSeveralColumnsIgnoreRowsWithNULL(t *testing.T) {
	table := things(&schema.Column{Name: "name", Type: field.TypeString, Size: 10}, &schema.Column{Name: "owner", Type: field.TypeInt, Nullable: true})
	table.Indexes = []*schema.Index{{Name: "u", Unique: true, Columns: table.Columns[1:]}}
	drv, ctx := opened(t, table), t.Context()
	insert := func(name string, owner any) error {
		query, args := sql.Dialect(drv.Dialect()).Insert("things").Columns("name", "owner").Values(name, owner).Query()
		return drv.Exec(ctx, query, args, nil)
	}
	must(t, insert("a", nil))
	must(t, insert("a", nil))
	must(t, insert("a", 1))
	must(t, insert("b", 1))
	must(t, insert("a", 2))
	same(t, "the pair again", errors.Is(insert("a", 1), immudb.ErrDuplicateKey), true)
	update := func(column string, value any, id int) error {
		query, args := sql.Dialect(drv.Dialect()).Update("things").Set(column, value).Where(sql.EQ("id", id)).Query()
		return drv.Exec(ctx, query, args, nil)
	}
	same(t, "another name", errors.Is(update("name", "a", 4), immudb.ErrDuplicateKey), true)
	same(t, "another owner", errors.Is(update("owner", 1, 5), immudb.ErrDuplicateKey), true)
	same(t, "an expression", errors.Is(update("owner", sql.Expr("1 + 1"), 4), immudb.ErrUnsupported), true)
	must(t, update("name", "b", 4)) // as it is
	must(t, update("owner", nil, 3))
	must(t, update("owner", 1, 5))
}
