package entimmudb_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/entimmudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/migrate"
	"github.com/immudb-go/immudb/internal/testserver"
)

// things is a table with the columns after its key.
func things(columns ...*schema.Column) *schema.Table {
	id := &schema.Column{Name: "id", Type: field.TypeInt, Increment: true}
	return &schema.Table{Name: "things", Columns: append([]*schema.Column{id}, columns...), PrimaryKey: []*schema.Column{id}}
}

// migrator creates tables as Schema.Create of generated code does.
func migrator(t *testing.T, dsn string) (create func(*schema.Table, ...schema.MigrateOption) error, drv *entimmudb.Driver) {
	t.Helper()
	t.Parallel()
	drv, err := entimmudb.Open(dsn, nil)
	must(t, err)
	t.Cleanup(func() { _ = drv.Close() })
	return func(table *schema.Table, opts ...schema.MigrateOption) error {
		m, err := schema.NewMigrate(drv, append(opts, drv.Migrate())...)
		if err != nil {
			return err
		}
		return m.Create(t.Context(), table)
	}, drv
}

func TestASecondCreateChangesNothing(t *testing.T) {
	drv := openDriver(t)
	client := ent.NewClient(ent.Driver(drv))
	first := got(drv.Plan(t.Context()))(t)
	same(t, "tables to create", len(first), 4)
	must(t, client.Schema.Create(t.Context(), drv.Migrate()))
	same(t, "left", len(got(drv.Plan(t.Context()))(t)), 0)
	must(t, client.Schema.Create(t.Context(), drv.Migrate()))
}

func TestSeveralProcessesMayCreateTheSchemaAtOnce(t *testing.T) {
	t.Parallel()
	dsn := testserver.Shared(t).NewDatabase(t)
	var starting sync.WaitGroup
	for range 3 {
		drv := got(entimmudb.Open(dsn, migrate.Tables))(t)
		client := ent.NewClient(ent.Driver(drv))
		defer client.Close()
		starting.Go(func() {
			if err := client.Schema.Create(t.Context(), drv.Migrate()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	drv := got(entimmudb.Open(dsn, migrate.Tables))(t)
	defer drv.Close()
	same(t, "left", len(got(drv.Plan(t.Context()))(t)), 0)
}

func TestColumnsAndIndexesAreAddedToTablesWithRows(t *testing.T) {
	create, drv := migrator(t, testserver.Shared(t).NewDatabase(t))
	name := &schema.Column{Name: "name", Type: field.TypeString, Size: 20}
	must(t, create(things(name)))
	_, err := drv.ExecContext(t.Context(), "INSERT INTO things (name) VALUES ('a'), ('b')")
	must(t, err)
	more := things(name, &schema.Column{Name: "n", Type: field.TypeInt, Default: 7}, &schema.Column{Name: "note", Type: field.TypeString, Nullable: true})
	more.Indexes = []*schema.Index{{Name: "i", Columns: []*schema.Column{more.Columns[2]}}, {Name: "j", Columns: []*schema.Column{more.Columns[1], more.Columns[2]}}}
	must(t, create(more))
	var n, sum int
	must(t, drv.DB().QueryRow("SELECT COUNT(*), SUM(n) FROM things WHERE note IS NULL").Scan(&n, &sum))
	same(t, "rows", n, 2)
	same(t, "sum of the new column", sum, 14)
	indexes := func() (names []string) {
		rows := got(drv.QueryContext(t.Context(), "SELECT name FROM INDEXES('things')"))(t)
		defer rows.Close()
		for rows.Next() {
			var name string
			must(t, rows.Scan(&name))
			names = append(names, name)
		}
		return names
	}
	if names := indexes(); !slices.Equal(names, []string{"things(id)", "things(n)", "things(name,n)"}) {
		t.Errorf("indexes: %v", names)
	}

	must(t, create(things(name))) // drops nothing
	same(t, "indexes", len(indexes()), 3)
	must(t, create(things(name), schema.WithDropColumn(true), schema.WithDropIndex(true)))
	if names := indexes(); !slices.Equal(names, []string{"things(id)"}) {
		t.Errorf("indexes: %v", names)
	}
	if err := drv.DB().QueryRow("SELECT n FROM things").Scan(&n); !errors.Is(err, immudb.ErrNoSuchColumn) {
		t.Errorf("the dropped column: %v, want ErrNoSuchColumn", err)
	}
}

func TestWhatTheServerCannotMigrateIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	create, _ := migrator(t, testserver.Shared(t).NewDatabase(t))
	text := &schema.Column{Name: "s", Type: field.TypeString}
	must(t, create(things(text)))
	with := func(change func(*schema.Table)) *schema.Table {
		table := things(text)
		change(table)
		return table
	}
	start := 100
	for what, err := range map[string]error{
		"another type":   create(things(&schema.Column{Name: "s", Type: field.TypeInt})),
		"another length": create(things(&schema.Column{Name: "s", Type: field.TypeString, Size: 10})),
		"optional":       create(things(&schema.Column{Name: "s", Type: field.TypeString, Nullable: true})),
		"NOT NULL":       create(things(text, &schema.Column{Name: "n", Type: field.TypeInt})),
		"CHECK":          create(with(func(t *schema.Table) { t.Annotation = &entsql.Annotation{Checks: map[string]string{"c": "id > 0"}} })),
		"partial index": create(with(func(t *schema.Table) {
			t.Indexes = []*schema.Index{{Name: "i", Columns: []*schema.Column{text}, Annotation: entsql.IndexWhere("id > 0")}}
		})),
		"view":             create(with(func(t *schema.Table) { t.Name, t.View = "v", true })),
		"first key":        create(with(func(t *schema.Table) { t.Annotation = &entsql.Annotation{IncrementStart: &start} })),
		"global unique id": create(things(text), schema.WithGlobalUniqueID(true)),
		"skipped changes":  create(things(text), schema.WithSkipChanges(schema.DropTable)),
		"diff hooks":       create(things(text), schema.WithDiffHook(func(next schema.Differ) schema.Differ { return next })),
		"apply hooks":      create(things(text), schema.WithApplyHook(func(next schema.Applier) schema.Applier { return next })),
		"type":             create(things(text, &schema.Column{Name: "o", Type: field.TypeOther, Nullable: true})),
		"index of JSON": create(with(func(t *schema.Table) {
			t.Name = "j"
			t.Columns[1] = &schema.Column{Name: "j", Type: field.TypeJSON, Unique: true}
		})),
		"a quote in DEFAULT": create(with(func(t *schema.Table) {
			t.Name = "j"
			t.Columns[1] = &schema.Column{Name: "j", Type: field.TypeString, Default: "it's"}
		})),
	} {
		if !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", what, err)
		}
	}
	must(t, create(things(text), schema.WithForeignKeys(false))) // as it was
}

func TestSchemaCreateSaysWhichOptionItNeeds(t *testing.T) {
	drv := openDriver(t)
	client := ent.NewClient(ent.Driver(drv))
	if err := client.Schema.Create(t.Context()); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "Migrate") {
		t.Errorf("without the option: %v", err)
	}
	if err := client.Schema.WriteTo(t.Context(), io.Discard, drv.Migrate()); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "Plan") {
		t.Errorf("WriteTo: %v", err)
	}
	same(t, "tables to create", len(got(drv.Plan(t.Context()))(t)), 4)
}
