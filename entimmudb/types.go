package entimmudb

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/immudb-go/immudb/internal/indexkey"
)

// columnType is a type of a column in the catalog.
type columnType struct {
	name   string // INTEGER, VARCHAR, …
	length int    // of VARCHAR and BLOB, in bytes; 0: without limit
}

func (t columnType) variable() bool { return t.name == "VARCHAR" || t.name == "BLOB" }

func (t columnType) String() string {
	if t.length > 0 && t.variable() {
		return t.name + "[" + strconv.Itoa(t.length) + "]"
	}
	return t.name
}

// typesOf returns the types of a table's columns. Strings and bytes in keys that have no
// length get one.
func typesOf(t *schema.Table) (map[*schema.Column]columnType, error) {
	types, keyed := make(map[*schema.Column]columnType), make(map[*schema.Column]*indexkey.Column)
	for _, c := range t.Columns {
		ct, err := typeOf(c)
		if err != nil {
			return nil, fmt.Errorf("column %s of table %s: %w", c.Name, t.Name, err)
		}
		types[c] = ct
		keyed[c] = &indexkey.Column{Type: ct.name, Length: ct.length}
	}
	list := func(columns []*schema.Column) (list []*indexkey.Column) {
		for _, c := range columns {
			list = append(list, keyed[c])
		}
		return list
	}
	keys := indexkey.Table{Primary: list(t.PrimaryKey)}
	for _, index := range indexesOf(t) {
		keys.Indexes = append(keys.Indexes, list(index.columns))
	}
	keys.Fit()
	for c, ct := range types {
		ct.length = keyed[c].Length
		types[c] = ct
	}
	return types, nil
}

var typeName = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:[(\[]\s*(\d+)[^)\]]*[)\]])?\s*$`)

func typeOf(c *schema.Column) (columnType, error) {
	for _, key := range []string{"immudb", dialect.Postgres} {
		if declared := c.SchemaType[key]; declared != "" {
			return declaredType(c, declared)
		}
	}
	length := int(min(c.Size, 1<<31-1))
	switch t := c.Type; {
	case t == field.TypeBool:
		return columnType{name: "BOOLEAN"}, nil
	case t.Integer():
		return columnType{name: "INTEGER"}, nil
	case t.Float():
		return columnType{name: "FLOAT"}, nil
	case t == field.TypeTime:
		return columnType{name: "TIMESTAMP"}, nil
	case t == field.TypeJSON:
		return columnType{name: "JSON"}, nil
	case t == field.TypeUUID:
		return columnType{name: "UUID"}, nil
	case t == field.TypeEnum:
		return columnType{name: "VARCHAR"}, nil
	case t == field.TypeString:
		if length == 1<<31-1 { // Text
			length = 0
		}
		return columnType{"VARCHAR", length}, nil
	case t == field.TypeBytes:
		return columnType{"BLOB", length}, nil
	}
	return columnType{}, unsupported(`a field of type %s: name the server's type with SchemaType(map[string]string{"immudb": "VARCHAR"})`, c.Type)
}

// declaredType reads the name that SchemaType gives, also that of another database.
func declaredType(c *schema.Column, declared string) (columnType, error) {
	m := typeName.FindStringSubmatch(declared)
	if m == nil {
		return columnType{}, unsupported("the type %s", declared)
	}
	length, _ := strconv.Atoi(m[2])
	switch strings.ToUpper(m[1]) {
	case "BOOLEAN", "BOOL":
		return columnType{name: "BOOLEAN"}, nil
	case "INTEGER", "INT", "BIGINT", "SMALLINT", "INT2", "INT4", "INT8", "SERIAL", "BIGSERIAL", "SMALLSERIAL":
		return columnType{name: "INTEGER"}, nil
	case "REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT4", "FLOAT8":
		return columnType{name: "FLOAT"}, nil
	case "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITHOUT TIME ZONE", "DATETIME", "DATE":
		return columnType{name: "TIMESTAMP"}, nil
	case "JSON", "JSONB":
		return columnType{name: "JSON"}, nil
	case "UUID":
		return columnType{name: "UUID"}, nil
	case "DECIMAL", "NUMERIC": // the number is the number of digits
		if c.Type.Float() {
			return columnType{name: "FLOAT"}, nil
		}
		return columnType{name: "VARCHAR"}, nil
	case "VARCHAR", "TEXT", "CHAR", "CHARACTER VARYING", "CHARACTER":
		return columnType{"VARCHAR", length}, nil
	case "BLOB", "BYTEA", "BINARY", "VARBINARY":
		return columnType{"BLOB", length}, nil
	}
	return columnType{}, unsupported("the type %s", declared)
}

// index is an index that the server has, or is to have.
type index struct {
	columns []*schema.Column
	unique  bool
}

// indexesOf lists the indexes that a table is to have, unique ones first: the server has
// only one index of the same columns. One that is unique but may hold NULLs is an
// ordinary one here, see the package comment.
func indexesOf(t *schema.Table) (all []index) {
	add := func(columns []*schema.Column, unique bool) {
		made := [][]*schema.Column{t.PrimaryKey}
		for _, i := range all {
			made = append(made, i.columns)
		}
		if !slices.ContainsFunc(made, func(c []*schema.Column) bool { return slices.Equal(c, columns) }) {
			all = append(all, index{columns, unique})
		}
	}
	unique := uniqueIndexes(t)
	for _, columns := range unique {
		if !mayBeNull(columns) {
			add(columns, true)
		}
	}
	for _, columns := range unique {
		add(columns, false)
	}
	for _, i := range t.Indexes {
		add(i.Columns, false)
	}
	return all
}
