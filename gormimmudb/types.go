package gormimmudb

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gorm.io/gorm/schema"
)

// columnType is a column type of the catalog.
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

// DataTypeOf returns the column type of a field; the package comment has the
// list. Names of SQL types in a type tag are understood in the spellings that
// other databases use for them.
func (d *Dialector) DataTypeOf(field *schema.Field) string {
	sqlType := typeOf(field)
	text := sqlType.String()
	if sqlType.name == "" {
		text = string(field.DataType) // the server accepts or refuses it
	}
	if field.AutoIncrement && sqlType.name == "INTEGER" && isSoleKey(field) {
		text += " AUTO_INCREMENT"
	}
	return text
}

// isSoleKey reports whether the field is the only column of the primary key: the server
// generates values only for such a column.
func isSoleKey(field *schema.Field) bool {
	return field.PrimaryKey && field.Schema != nil && len(field.Schema.PrimaryFields) == 1
}

// typeOf returns the column type of a field. Its name is "" for an unknown type tag.
func typeOf(field *schema.Field) columnType { return keyed(declaredType(field), field) }

// keyed is a type with the length that it needs if the field is part of a key.
func keyed(t columnType, field *schema.Field) columnType {
	if t.variable() && t.length == 0 && field.Schema != nil {
		t.length = keyedLength(field)
	}
	return t
}

var typeTag = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:[(\[]\s*(\d+)[^)\]]*[)\]])?\s*$`)

// declaredType is typeOf without the length that keys need.
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
		if field.Serializer == nil && isInteger(field.IndirectFieldType.Kind()) {
			return columnType{name: "VARCHAR"} // datatypes.Time, a time of day as text
		}
		return columnType{name: "TIMESTAMP"}
	case schema.String:
		return columnType{name: "VARCHAR", length: max(field.Size, 0)}
	case schema.Bytes:
		return columnType{name: "BLOB", length: max(field.Size, 0)}
	}
	if t := namedType(string(field.DataType), field); t.name != "" || field.TagSettings["TYPE"] != "" {
		return t
	}
	return kindType(field) // its GormDataType is a name that only other databases have
}

// namedType is the type that other databases call by a name, or one without a name.
func namedType(name string, field *schema.Field) columnType {
	m := typeTag.FindStringSubmatch(name)
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
		// The number in parentheses is the number of digits, not a length.
		if t := kindType(field); t.name == "FLOAT" || t.name == "INTEGER" {
			return t
		}
		return columnType{name: "VARCHAR"}
	case "JSON", "JSONB", "JSONMAP":
		return columnType{name: "JSON"}
	case "UUID":
		return columnType{name: "UUID"}
	case "URL":
		return columnType{name: "VARCHAR", length: max(field.Size, 0)}
	}
	return columnType{}
}

func isInteger(k reflect.Kind) bool { return reflect.Int <= k && k <= reflect.Uint64 }

// kindType is the type of a field by the kind of its Go type, or one without a name.
func kindType(field *schema.Field) columnType {
	switch k := field.IndirectFieldType.Kind(); {
	case k == reflect.Bool:
		return columnType{name: "BOOLEAN"}
	case isInteger(k):
		return columnType{name: "INTEGER"}
	case k == reflect.Float32, k == reflect.Float64:
		return columnType{name: "FLOAT"}
	case k == reflect.String:
		return columnType{name: "VARCHAR", length: max(field.Size, 0)}
	case k == reflect.Slice && field.IndirectFieldType.Elem().Kind() == reflect.Uint8:
		return columnType{name: "BLOB", length: max(field.Size, 0)}
	}
	return columnType{}
}
