package entimmudb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql/schema"

	"github.com/immudb-go/immudb"
)

// Migrate is the option for ent's Schema.Create that makes it work on immudb. It creates
// missing tables, columns and indexes; with ent's options WithDropColumn and WithDropIndex
// it also drops those that the schema does not have. A second call changes nothing. The
// changes of each table are one transaction, except that indexes are dropped before. Several
// processes may call it at once.
//
// What the server cannot do is an error that wraps [immudb.ErrUnsupported]: a column of
// another type, a NOT NULL column without a default in a table that exists, CHECKs added
// to one, global unique IDs, and Schema.WriteTo, for which there is [Driver.Plan].
//
//	err := client.Schema.Create(ctx, drv.Migrate())
func (d *Driver) Migrate() schema.MigrateOption {
	return func(a *schema.Atlas) {
		schema.WithHooks(func(schema.Creator) schema.Creator {
			return schema.CreateFunc(func(ctx context.Context, tables ...*schema.Table) error {
				drop, err := optionsOf(a)
				if err != nil {
					return err
				}
				for tries := 1; ; tries++ {
					err := d.apply(ctx, tables, drop)
					// Another process has created something meanwhile: see what is left.
					if !errors.Is(err, immudb.ErrExists) || tries == maxTries {
						return err
					}
				}
			})
		})(a)
	}
}

// maxTries bounds how often a migration starts again beside those of other processes,
// which are at least one step further each time.
const maxTries = 20

func (d *Driver) apply(ctx context.Context, tables []*schema.Table, drop drops) error {
	texts, err := d.plan(ctx, tables, drop)
	if err != nil {
		return err
	}
	for _, text := range texts {
		if _, err := d.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("entimmudb: %s: %w", text, err)
		}
	}
	return nil
}

// Plan returns what Schema.Create would run, without WithDropColumn and WithDropIndex:
// a text for each transaction.
func (d *Driver) Plan(ctx context.Context) ([]string, error) {
	return d.plan(ctx, d.schema, drops{})
}

// drops says what is dropped if the schema does not have it.
type drops struct{ columns, indexes bool }

// optionsOf reads ent's options, which have no other reader.
func optionsOf(a *schema.Atlas) (d drops, err error) {
	v, foreignKeys := reflect.ValueOf(a).Elem(), true
	for _, o := range []struct {
		name string
		is   func(reflect.Value) bool
	}{
		{"driver", func(f reflect.Value) bool {
			if !f.IsNil() && f.Elem().Type() == reflect.TypeFor[*schema.WriteDriver]() {
				err = unsupported("Schema.WriteTo: Plan of the driver returns the statements")
			}
			return f.Kind() == reflect.Interface
		}},
		{"universalID", func(f reflect.Value) bool {
			if f.Bool() {
				err = unsupported("WithGlobalUniqueID: the server begins each AUTO_INCREMENT at 1")
			}
			return true
		}},
		{"applyHook", func(f reflect.Value) bool {
			if f.Len() > 0 {
				err = unsupported("WithApplyHook: there is no plan of atlas")
			}
			return true
		}},
		{"dropColumns", func(f reflect.Value) bool { d.columns = f.Bool(); return true }},
		{"dropIndexes", func(f reflect.Value) bool { d.indexes = f.Bool(); return true }},
		{"skip", func(f reflect.Value) bool {
			if f.Uint() != 0 {
				err = unsupported("WithSkipChanges: nothing is dropped without WithDropColumn and WithDropIndex")
			}
			return true
		}},
		{"withForeignKeys", func(f reflect.Value) bool { foreignKeys = f.Bool(); return true }},
		{"diffHooks", func(f reflect.Value) bool {
			own := 0 // ent's, which leave out what is not to be dropped, and foreign keys
			if !d.columns || !d.indexes {
				own++
			}
			if !foreignKeys {
				own++
			}
			if f.Len() > own {
				err = unsupported("WithDiffHook: there is no diff of atlas")
			}
			return true
		}},
	} {
		f := v.FieldByName(o.name)
		if !f.IsValid() || !o.is(f) {
			return d, fmt.Errorf("entimmudb: this version of ent is not known: schema.Atlas has no field %s", o.name)
		}
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *Driver) plan(ctx context.Context, tables []*schema.Table, drop drops) (texts []string, err error) {
	ctx = immudb.WithPrimary(ctx)
	existing, err := collect(ctx, d.db, "SELECT name FROM TABLES()", nil)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if err := checkTable(t); err != nil {
			return nil, err
		}
		var text []string
		exists := slices.ContainsFunc(existing.rows, func(row []any) bool { return row[0] == strings.ToLower(t.Name) })
		if exists {
			var before []string
			before, text, err = d.change(ctx, t, drop)
			texts = append(texts, before...)
		} else {
			text, err = create(t)
		}
		if err != nil {
			return nil, err
		}
		if len(text) > 0 {
			texts = append(texts, strings.Join(text, ";\n"))
		}
	}
	return texts, nil
}

// checkTable refuses what the server would accept and ignore.
func checkTable(t *schema.Table) error {
	switch {
	case t.View:
		return unsupported("view %s: run CREATE VIEW and leave it out of the migration with entsql.Skip", t.Name)
	case t.Schema != "":
		return unsupported("table %s in schema %s: there are no schemas", t.Name, t.Schema)
	case len(t.PrimaryKey) == 0:
		return unsupported("table %s without a primary key", t.Name)
	case t.Annotation != nil && t.Annotation.IncrementStart != nil:
		return unsupported("table %s: AUTO_INCREMENT begins at 1", t.Name)
	}
	for _, i := range t.Indexes {
		if i.Annotation != nil && i.Annotation.Where != "" {
			return unsupported("index %s of table %s: the server accepts WHERE %s and indexes every row", i.Name, t.Name, i.Annotation.Where)
		}
	}
	return nil
}

// create is the text that creates a table with its indexes.
func create(t *schema.Table) ([]string, error) {
	types, err := typesOf(t)
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, c := range t.Columns {
		part := quote(c.Name) + " " + types[c].String()
		if !c.Nullable {
			part += " NOT NULL"
		}
		if text, err := defaultOf(c); err != nil {
			return nil, err
		} else if text != "" {
			part += " DEFAULT " + text
		}
		if c.Increment && len(t.PrimaryKey) == 1 && t.PrimaryKey[0] == c {
			part += " AUTO_INCREMENT"
		}
		parts = append(parts, part)
	}
	if t.Annotation != nil {
		if t.Annotation.Check != "" {
			parts = append(parts, "CHECK ("+t.Annotation.Check+")")
		}
		for _, name := range slices.Sorted(maps.Keys(t.Annotation.Checks)) {
			parts = append(parts, "CONSTRAINT "+quote(name)+" CHECK ("+t.Annotation.Checks[name]+")")
		}
	}
	parts = append(parts, "PRIMARY KEY ("+quoteAll(columnNames(t.PrimaryKey))+")")
	texts := []string{"CREATE TABLE " + quote(t.Name) + " (" + strings.Join(parts, ", ") + ")"}
	for _, i := range indexesOf(t) {
		text, err := createIndex(t, types, i)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func createIndex(t *schema.Table, types map[*schema.Column]columnType, i index) (string, error) {
	for _, c := range i.columns {
		if types[c].name == "JSON" {
			return "", unsupported("an index on column %s of table %s, which is JSON", c.Name, t.Name)
		}
	}
	unique := ""
	if i.unique {
		unique = "UNIQUE "
	}
	return "CREATE " + unique + "INDEX ON " + quote(t.Name) + " (" + quoteAll(columnNames(i.columns)) + ")", nil
}

// defaultOf is the default of a column, or "" without one.
func defaultOf(c *schema.Column) (string, error) {
	v := c.Default
	if byDialect, ok := v.(map[string]schema.Expr); ok {
		expr, found := byDialect["immudb"]
		if !found {
			expr, found = byDialect["postgres"]
		}
		if v = any(expr); !found {
			return "", nil
		}
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case schema.Expr:
		if strings.EqualFold(string(v), "CURRENT_TIMESTAMP") {
			return "NOW()", nil
		}
		return string(v), nil
	case string:
		if strings.Contains(v, "'") {
			return "", unsupported("the default %q of column %s: the server stores NULL where it has a quote", v, c.Name)
		}
		return "'" + v + "'", nil
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Bool:
		return strings.ToUpper(strconv.FormatBool(r.Bool())), nil
	case r.CanInt():
		return strconv.FormatInt(r.Int(), 10), nil
	case r.CanUint():
		return strconv.FormatUint(r.Uint(), 10), nil
	case r.CanFloat():
		return strconv.FormatFloat(r.Float(), 'f', -1, 64), nil
	}
	return "", unsupported("a default of type %T of column %s", v, c.Name)
}
