package bunimmudb

import (
	"reflect"

	"github.com/uptrace/bun/migrate"
	"github.com/uptrace/bun/schema"

	"github.com/immudb-go/immudb/internal/indexkey"
)

// keyLengths returns the lengths of the strings and bytes that are part of a key
// of the model's table and have no length of their own.
func keyLengths(table *schema.Table) map[*schema.Field]int {
	columns := make(map[*schema.Field]*indexkey.Column)
	list := func(fields []*schema.Field) (list []*indexkey.Column) {
		for _, f := range fields {
			if columns[f] == nil {
				t := columnType(f)
				columns[f] = &indexkey.Column{Type: t.name, Length: t.length}
			}
			list = append(list, columns[f])
		}
		return list
	}
	keys := indexkey.Table{Primary: list(table.PKs)}
	if table.Type == reflect.TypeFor[migrate.Migration]() {
		keys.Indexes = append(keys.Indexes, list([]*schema.Field{table.FieldMap["name"]})) // of migrate.WithUpsert
	}
	for name, fields := range table.Unique {
		if name != "" {
			keys.Indexes = append(keys.Indexes, list(fields))
			continue
		}
		for i := range fields { // each field separately
			keys.Indexes = append(keys.Indexes, list(fields[i:i+1]))
		}
	}
	keys.Fit()
	lengths := make(map[*schema.Field]int)
	for f, c := range columns {
		lengths[f] = c.Length
	}
	return lengths
}
