// Package bunimmudb makes uptrace/bun work on immudb.
//
//	db, err := bunimmudb.Open("immudb://user:password@localhost:3322/defaultdb")
//
// returns a *bun.DB whose connections also accept bun's statements that the server does
// not accept: named indexes, UNIQUE in CREATE TABLE, bulk updates, EXCLUDED, tuples, and
// FOR UPDATE. A table that is created without a primary key, as for a model without one,
// gets the column rowid, whose values the server makes: the server demands a key.
// bun's migrate.Migrator works on it, with its lock. [New] returns only the
// dialect, for a pool that the program opens.
//
// These are errors, because the server does not support them: foreign keys, which it
// parses and does not enforce, ALTER COLUMN, and dropping an index by name. The server's ON
// CONFLICT is about the primary key, and on a table with a unique index it cannot DO UPDATE.
// ON CONFLICT (columns of a unique index) DO UPDATE becomes an UPDATE and, if that finds no
// row, an INSERT, for each row and in one transaction; it is not prepared and has no
// arguments, which bun never sends. A row inserted with an explicit key must have a higher
// key than all others. COMPATIBILITY.md has the results of bun's own tests.
//
// # Types
//
//	bool                          BOOLEAN
//	int…, uint…                   INTEGER (64 bits, signed: a uint64 above 1<<63-1 is an error)
//	float32, float64              FLOAT
//	string                        VARCHAR
//	[]byte                        BLOB
//	time.Time                     TIMESTAMP: microseconds, UTC
//	maps, slices and structs      JSON
//	type:uuid                     UUID
//	type:decimal(10,2), numeric   VARCHAR, or FLOAT on float fields
//
// Lengths are in bytes. Strings and bytes in a primary key or with unique get a length of
// 256, or less if their keys would exceed the 1,024 bytes that the server can store. Longer
// keys are refused when the table or the index is created, in raw SQL and migrations too: a
// primary key may have 501 bytes, an index of one column in a table with a numeric key 999.
// The server accepts longer ones and then hangs at every write; [New] alone cannot prevent
// them.
package bunimmudb

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
	"github.com/uptrace/bun/migrate"
	"github.com/uptrace/bun/schema"

	"github.com/immudb-go/immudb/internal/sqltext/rules"
)

var _ schema.Dialect = (*Dialect)(nil)

// Name is what [Dialect.Name] returns: bun has no number for immudb.
const Name dialect.Name = 0x1aab

// Dialect is the dialect. Get one from [New]; a dialect belongs to one *bun.DB.
type Dialect struct {
	schema.BaseDialect
	tables *schema.Tables
}

// New returns the dialect.
func New() *Dialect {
	d := &Dialect{}
	d.tables = schema.NewTables(d)
	return d
}

// Init does nothing: the dialect needs nothing from the server.
func (d *Dialect) Init(*sql.DB) {}

// Name returns [Name].
func (d *Dialect) Name() dialect.Name { return Name }

const features = feature.CTE |
	feature.WithValues | // for bulk updates, see rewriteBulkUpdate
	feature.Returning |
	feature.InsertReturning |
	feature.DeleteReturning |
	feature.InsertOnConflict |
	feature.SelectExists |
	feature.TableNotExists |
	feature.TableTruncate |
	feature.CreateIndexIfNotExists |
	feature.AutoIncrement

// Features returns the features of SQL that bun may use.
func (d *Dialect) Features() feature.Feature { return features }

// Tables returns bun's tables.
func (d *Dialect) Tables() *schema.Tables { return d.tables }

// OnTable translates the column types and defaults of a model.
func (d *Dialect) OnTable(table *schema.Table) {
	lengths := keyLengths(table)
	for _, f := range table.FieldMap {
		t := columnType(f)
		if t.length == 0 {
			t.length = lengths[f]
		}
		f.CreateTableSQLType = t.String()
		f.DiscoveredSQLType = f.CreateTableSQLType
		if table.Type == reflect.TypeFor[migrate.Migration]() && f.Name == "migrated_at" {
			f.NotNull = false // so that bun writes the time of each, which WithUpsert needs
		}
		if t.name == "JSON" && f.Append != nil {
			f.Append = withoutNull(f.Append)
		}
	}
}

// withoutNull writes NULL where a field's value is the JSON value null.
func withoutNull(write schema.AppenderFunc) schema.AppenderFunc {
	return func(gen schema.QueryGen, b []byte, v reflect.Value) []byte {
		begin := len(b)
		b = write(gen, b, v)
		if rules.IsJSONNull(bytes.Trim(b[begin:], "'")) {
			b = dialect.AppendNull(b[:begin])
		}
		return b
	}
}

// sqlType is a type of the server, or the type in the model's tag.
type sqlType struct {
	name   string
	length int // of VARCHAR and BLOB, in bytes; 0: without limit
}

func (t sqlType) String() string {
	if t.length > 0 && (t.name == "VARCHAR" || t.name == "BLOB") {
		return t.name + "(" + strconv.Itoa(t.length) + ")"
	}
	return t.name
}

var typeTag = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:[(\[]\s*(\d+)[^)\]]*[)\]])?\s*$`)

// columnType is the server's type for a field.
func columnType(f *schema.Field) sqlType {
	declared := f.UserSQLType
	if declared == "" {
		declared = f.DiscoveredSQLType
	}
	m := typeTag.FindStringSubmatch(declared)
	if m == nil {
		return sqlType{name: declared} // the server accepts or refuses it
	}
	length, _ := strconv.Atoi(m[2])
	switch strings.ToUpper(m[1]) {
	case "BOOLEAN", "BOOL":
		return sqlType{name: "BOOLEAN"}
	case "INTEGER", "INT", "BIGINT", "SMALLINT", "TINYINT", "INT2", "INT4", "INT8", "SERIAL", "BIGSERIAL":
		return sqlType{name: "INTEGER"}
	case "REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT4", "FLOAT8":
		return sqlType{name: "FLOAT"}
	case "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "DATE":
		return sqlType{name: "TIMESTAMP"}
	case "JSON", "JSONB":
		return sqlType{name: "JSON"}
	case "UUID":
		return sqlType{name: "UUID"}
	case "DECIMAL", "NUMERIC":
		if k := f.IndirectType.Kind(); k == reflect.Float32 || k == reflect.Float64 {
			return sqlType{name: "FLOAT"}
		}
		return sqlType{name: "VARCHAR"} // the number is the number of digits
	case "VARCHAR", "TEXT", "CHAR", "CHARACTER VARYING":
		return sqlType{"VARCHAR", length}
	case "BLOB", "BYTEA", "BINARY", "VARBINARY":
		return sqlType{"BLOB", length}
	}
	return sqlType{name: declared}
}

// IdentQuote returns the double quote.
func (d *Dialect) IdentQuote() byte { return '"' }

// AppendUint64 appends n, or an error if n is too large for INTEGER.
func (d *Dialect) AppendUint64(b []byte, n uint64) []byte {
	if n > math.MaxInt64 {
		return dialect.AppendError(b, fmt.Errorf("bunimmudb: %d overflows INTEGER, which ends at %d", n, int64(math.MaxInt64)))
	}
	return strconv.AppendUint(b, n, 10)
}

// AppendTime appends a TIMESTAMP.
func (d *Dialect) AppendTime(b []byte, t time.Time) []byte {
	b = append(b, "CAST('"...)
	b = t.UTC().AppendFormat(b, "2006-01-02 15:04:05.999999")
	return append(b, "' AS TIMESTAMP)"...)
}

// AppendBytes appends a BLOB.
func (d *Dialect) AppendBytes(b, bs []byte) []byte {
	if bs == nil {
		return dialect.AppendNull(b)
	}
	b = append(b, "x'"...)
	b = hex.AppendEncode(b, bs)
	return append(b, '\'')
}

// AppendSequence appends AUTO_INCREMENT to the only column of a primary key; the server
// generates values of no other columns.
func (d *Dialect) AppendSequence(b []byte, table *schema.Table, field *schema.Field) []byte {
	if field.IsPK && len(table.PKs) == 1 && field.CreateTableSQLType == "INTEGER" {
		b = append(b, " AUTO_INCREMENT"...)
	}
	return b
}

// AppendJSON writes a JSON value unchanged, and NULL for the value null, which the server
// cannot read back.
func (d *Dialect) AppendJSON(b, text []byte) []byte {
	if rules.IsJSONNull(text) {
		return dialect.AppendNull(b)
	}
	b = append(b, '\'')
	b = append(b, bytes.ReplaceAll(text, []byte("'"), []byte("''"))...)
	return append(b, '\'')
}

// DefaultVarcharLen returns 0: a VARCHAR needs no length.
func (d *Dialect) DefaultVarcharLen() int { return 0 }

// DefaultSchema returns "public", the only schema in the catalog.
func (d *Dialect) DefaultSchema() string { return "public" }
