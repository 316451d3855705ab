package gormimmudb

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm/schema"
)

// columnType is a type as the catalog tells it.
type columnType struct {
	name   string // INTEGER, VARCHAR, …
	length int    // of VARCHAR and BLOB, in bytes; 0: without limit
}

func (t columnType) String() string {
	if t.length > 0 && t.variable() {
		return t.name + "[" + strconv.Itoa(t.length) + "]"
	}
	return t.name
}

func (t columnType) variable() bool { return t.name == "VARCHAR" || t.name == "BLOB" }

// keyBytes is what a value of the type takes in a key: a byte that tells NULL
// from the rest and the value, which variable types pad to their full length and
// follow with the length in use.
func (t columnType) keyBytes() int {
	switch t.name {
	case "BOOLEAN":
		return 1 + 1
	case "UUID":
		return 1 + 16
	case "VARCHAR", "BLOB":
		return 1 + t.length + 4
	}
	return 1 + 8
}

// DataTypeOf returns the column type of a field; the package comment has the
// list. Names of SQL types in a type tag are understood in the spellings that
// other databases use for them.
func (d *Dialector) DataTypeOf(field *schema.Field) string {
	sqlType := typeOf(field)
	text := sqlType.String()
	if sqlType.name == "" {
		text = string(field.DataType) // for the server to judge
	}
	if field.AutoIncrement && sqlType.name == "INTEGER" && isSoleKey(field) {
		text += " AUTO_INCREMENT"
	}
	return text
}

// isSoleKey reports whether the field is all of the primary key: the server
// generates no other column's values.
func isSoleKey(field *schema.Field) bool {
	return field.PrimaryKey && field.Schema != nil && len(field.Schema.PrimaryFields) == 1
}

// typeOf returns the column type of a field, with a name of "" for a type tag that
// says nothing known.
func typeOf(field *schema.Field) columnType {
	t := declaredType(field)
	if t.variable() && t.length == 0 && field.Schema != nil {
		t.length = keyedLength(field)
	}
	return t
}

var typeTag = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:[(\[]\s*(\d+)[^)\]]*[)\]])?\s*$`)

// declaredType is typeOf without the length that keys demand.
func declaredType(field *schema.Field) columnType {
	if field.TagSettings["TYPE"] == "" {
		if field.Serializer == nil && field.IndirectFieldType == rawMessage {
			return columnType{name: "JSON"}
		}
		if _, gob := field.Serializer.(schema.GobSerializer); gob {
			return columnType{name: "BLOB", length: max(field.Size, 0)}
		}
	}
	switch field.DataType {
	case schema.Bool:
		return columnType{name: "BOOLEAN"}
	case schema.Int, schema.Uint:
		return columnType{name: "INTEGER"}
	case schema.Float:
		return columnType{name: "FLOAT"}
	case schema.Time:
		return columnType{name: "TIMESTAMP"}
	case schema.String:
		return columnType{name: "VARCHAR", length: max(field.Size, 0)}
	case schema.Bytes:
		return columnType{name: "BLOB", length: max(field.Size, 0)}
	}
	m := typeTag.FindStringSubmatch(string(field.DataType))
	if m == nil {
		return columnType{}
	}
	length, _ := strconv.Atoi(m[2])
	switch strings.ToUpper(m[1]) {
	case "BOOLEAN", "BOOL":
		return columnType{name: "BOOLEAN"}
	case "INTEGER", "INT", "BIGINT", "SMALLINT", "TINYINT", "MEDIUMINT", "INT2", "INT4", "INT8",
		"SERIAL", "BIGSERIAL", "SMALLSERIAL":
		return columnType{name: "INTEGER"}
	case "FLOAT", "REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT4", "FLOAT8":
		return columnType{name: "FLOAT"}
	case "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "DATETIME", "DATE":
		return columnType{name: "TIMESTAMP"}
	case "VARCHAR", "TEXT", "CHAR", "CHARACTER VARYING", "NVARCHAR", "LONGTEXT", "MEDIUMTEXT", "TINYTEXT":
		return columnType{name: "VARCHAR", length: max(length, field.Size, 0)}
	case "BLOB", "BYTEA", "BYTES", "BINARY", "VARBINARY", "LONGBLOB", "MEDIUMBLOB", "TINYBLOB":
		return columnType{name: "BLOB", length: max(length, field.Size, 0)}
	case "DECIMAL", "NUMERIC", "MONEY":
		// The number in brackets is one of digits, not a length.
		switch field.IndirectFieldType.Kind() {
		case reflect.Float32, reflect.Float64:
			return columnType{name: "FLOAT"}
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return columnType{name: "INTEGER"}
		}
		return columnType{name: "VARCHAR"}
	case "JSON", "JSONB":
		return columnType{name: "JSON"}
	case "UUID":
		return columnType{name: "UUID"}
	}
	return columnType{}
}

const (
	// maxKey is the longest key that the server stores, in bytes. A longer primary
	// key is an error at the first INSERT; a longer key of another index is
	// accepted there, and from then on no write to the database comes to an end
	// (seen in v1.11.1). Nothing of that length may therefore be created.
	maxKey = 1024
	// keyOverhead is what stands before the columns: prefixes and ids.
	keyOverhead = 11
	// defaultKeyedLength is the length that keyed strings without one get.
	defaultKeyedLength = 256
)

// primaryKeyLength is the length of the key that a row is found by: the primary
// key's columns count twice.
func primaryKeyLength(key int) int { return keyOverhead + 2*key }

// indexKeyLength is the length of an index's key: that of its columns, followed
// by the primary key's.
func indexKeyLength(columns, key int) int { return keyOverhead + columns + key }

// keyedLength is the length of a variable column without one of its own: 0 if
// nothing demands one.
func keyedLength(field *schema.Field) int {
	s := field.Schema
	length := 0
	limit := func(fields []*schema.Field, available int) {
		if !slices.Contains(fields, field) {
			return
		}
		if n := fairLength(fields, available); length == 0 || n < length {
			length = n
		}
	}
	limit(s.PrimaryFields, (maxKey-keyOverhead)/2)
	key := 0
	if len(s.PrimaryFields) == 0 {
		key = columnType{name: "INTEGER"}.keyBytes() // rowColumn
	}
	for _, f := range s.PrimaryFields {
		t := declaredType(f)
		if t.variable() && t.length == 0 {
			t.length = fairLength(s.PrimaryFields, (maxKey-keyOverhead)/2)
		}
		key += t.keyBytes()
	}
	for _, fields := range indexedFields(s) {
		limit(fields, maxKey-keyOverhead-key)
	}
	return length
}

// fairLength divides what is available of a key among the variable columns
// without a length.
func fairLength(fields []*schema.Field, available int) int {
	n := 0
	for _, f := range fields {
		t := declaredType(f)
		available -= t.keyBytes()
		if t.variable() && t.length == 0 {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return max(1, min(defaultKeyedLength, available/n))
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

// checkKey refuses an index, or with no fields the primary key itself, whose keys
// the server could not store.
func checkKey(s *schema.Schema, fields []*schema.Field) error {
	key, columns := 0, 0
	if len(s.PrimaryFields) == 0 {
		key = columnType{name: "INTEGER"}.keyBytes() // rowColumn
	}
	for _, f := range s.PrimaryFields {
		key += typeOf(f).keyBytes()
	}
	for _, f := range fields {
		if t := typeOf(f); t.name == "JSON" {
			return unsupported("column %s of table %s is JSON, which cannot be indexed", f.DBName, s.Table)
		} else {
			columns += t.keyBytes()
		}
	}
	what, length := "the primary key", primaryKeyLength(key)
	if len(fields) > 0 {
		what, length = "the index on "+strings.Join(dbNames(fields), ", "), indexKeyLength(columns, key)
	}
	if length > maxKey {
		return fmt.Errorf("gormimmudb: %s of table %s takes %d bytes of key, %d is the limit: "+
			"give its string and []byte columns a smaller size", what, s.Table, length, maxKey)
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
