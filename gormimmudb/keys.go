package gormimmudb

import (
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb/internal/indexkey"
)

// keys are the keys of a model's table.
type keys struct {
	indexkey.Table
	columns map[*schema.Field]*indexkey.Column
}

// keysOf returns the keys of a model. Strings and bytes in them that have no length get
// one.
func keysOf(s *schema.Schema) *keys {
	k := &keys{columns: make(map[*schema.Field]*indexkey.Column)}
	k.Primary = k.list(s.PrimaryFields)
	if len(k.Primary) == 0 {
		k.Primary = []*indexkey.Column{{Type: "INTEGER"}} // rowColumn
	}
	for _, fields := range indexedFields(s) {
		k.Indexes = append(k.Indexes, k.list(fields))
	}
	k.Fit()
	return k
}

func (k *keys) list(fields []*schema.Field) []*indexkey.Column {
	list := make([]*indexkey.Column, len(fields))
	for i, field := range fields {
		if k.columns[field] == nil {
			t := declaredType(field)
			k.columns[field] = &indexkey.Column{Type: t.name, Length: t.length}
		}
		list[i] = k.columns[field]
	}
	return list
}

// keyedLength is the length that a column without a length needs for its keys, or 0.
func keyedLength(field *schema.Field) int {
	if c := keysOf(field.Schema).columns[field]; c != nil {
		return c.Length
	}
	return 0
}

// indexedFields lists the fields of each index and unique constraint.
func indexedFields(s *schema.Schema) [][]*schema.Field {
	var all [][]*schema.Field
	for _, idx := range s.ParseIndexes() {
		var fields []*schema.Field
		for _, f := range idx.Fields {
			fields = append(fields, f.Field)
		}
		all = append(all, fields)
	}
	for _, f := range s.Fields {
		if f.Unique && f.DBName != "" {
			all = append(all, []*schema.Field{f})
		}
	}
	return all
}

// checkIndex refuses an index that the server does not support. The driver checks that its
// keys are not too long.
func checkIndex(s *schema.Schema, fields []*schema.Field) error {
	for _, f := range fields {
		if declaredType(f).name == "JSON" {
			return unsupported("column %s of table %s is JSON, which cannot be indexed", f.DBName, s.Table)
		}
	}
	return nil
}

func dbNames(fields []*schema.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.DBName
	}
	return names
}
