// Package bunimmudb makes uptrace/bun work on immudb.
//
//	db, err := bunimmudb.Open("immudb://user:password@localhost:3322/defaultdb")
//
// returns a *bun.DB whose connections also understand the statements that bun
// spells differently than the server: named indexes, UNIQUE in CREATE TABLE, bulk
// updates, and FOR UPDATE. On it bun's migrate.Migrator works as elsewhere, its
// lock included. [New] returns the bare dialect, for a pool of the program's own.
//
// What the server cannot do is an error: foreign keys, which it parses and does
// not enforce, ALTER COLUMN, savepoints (and with them nested transactions),
// dropping an index by name. ON CONFLICT takes no target and is about the primary
// key: On("CONFLICT DO UPDATE"). A row inserted with a key of its own must come
// after the highest key there is.
//
// # Types
//
//	bool                          BOOLEAN
//	int…, uint…                   INTEGER (64 bits, signed: a uint64 above 1<<63-1 is an error)
//	float32, float64              FLOAT
//	string                        VARCHAR; VARCHAR(256) in a primary key or with unique
//	[]byte                        BLOB
//	time.Time                     TIMESTAMP: microseconds, UTC
//	maps, slices and structs      JSON
//	type:uuid                     UUID
//	type:decimal(10,2), numeric   VARCHAR, or FLOAT on float fields
//
// Lengths count bytes. A primary key may be 501 bytes long, an index of one column
// beside a numeric key 999.
package bunimmudb

import (
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
	"github.com/uptrace/bun/schema"
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

// Init does nothing: there is nothing to be asked of a server.
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

// Features returns what bun may use of SQL.
func (d *Dialect) Features() feature.Feature { return features }

// Tables returns bun's tables.
func (d *Dialect) Tables() *schema.Tables { return d.tables }

// OnTable translates the column types and defaults of a model.
func (d *Dialect) OnTable(table *schema.Table) {
	unique := make(map[*schema.Field]int) // how many columns share its shortest key
	note := func(fields []*schema.Field, parts int) {
		for _, f := range fields {
			unique[f] = max(unique[f], parts)
		}
	}
	note(table.PKs, 2*len(table.PKs)) // its columns stand twice in the key of a row
	for key, fields := range table.Unique {
		if key == "" {
			note(fields, 1) // each by itself
		} else {
			note(fields, len(fields))
		}
	}
	for _, f := range table.FieldMap {
		keyed := unique[f]
		f.CreateTableSQLType = columnType(f, keyed)
		f.DiscoveredSQLType = f.CreateTableSQLType
		if strings.EqualFold(f.SQLDefault, "current_timestamp") {
			f.SQLDefault = "NOW()"
		}
	}
}

var typeTag = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:[(\[]\s*(\d+)[^)\]]*[)\]])?\s*$`)

// maxKeyedLength is the length that a string or []byte in a key gets if it has
// none of its own and there is room for more.
const maxKeyedLength = 256

// columnType is the server's type for a field. keyed says how many strings have to
// share a key of 1,024 bytes if the field is part of one; 0 if it is not.
func columnType(f *schema.Field, keyed int) string {
	declared := f.UserSQLType
	if declared == "" {
		declared = f.DiscoveredSQLType
	}
	m := typeTag.FindStringSubmatch(declared)
	if m == nil {
		return declared // for the server to judge
	}
	length := m[2]
	name := ""
	switch strings.ToUpper(m[1]) {
	case "BOOLEAN", "BOOL":
		return "BOOLEAN"
	case "INTEGER", "INT", "BIGINT", "SMALLINT", "TINYINT", "INT2", "INT4", "INT8", "SERIAL", "BIGSERIAL":
		return "INTEGER"
	case "REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT4", "FLOAT8":
		return "FLOAT"
	case "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "DATE":
		return "TIMESTAMP"
	case "JSON", "JSONB":
		return "JSON"
	case "UUID":
		return "UUID"
	case "DECIMAL", "NUMERIC":
		if k := f.IndirectType.Kind(); k == reflect.Float32 || k == reflect.Float64 {
			return "FLOAT"
		}
		name, length = "VARCHAR", "" // the number is one of digits
	case "VARCHAR", "TEXT", "CHAR", "CHARACTER VARYING":
		name = "VARCHAR"
	case "BLOB", "BYTEA", "BINARY", "VARBINARY":
		name = "BLOB"
	default:
		return declared
	}
	if length == "" && keyed > 0 {
		length = strconv.Itoa(min(maxKeyedLength, 960/keyed-8))
	}
	if length == "" {
		return name
	}
	return name + "(" + length + ")"
}

// IdentQuote returns the double quote.
func (d *Dialect) IdentQuote() byte { return '"' }

// AppendUint64 appends n, or an error if INTEGER has no room for it.
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

// AppendSequence appends AUTO_INCREMENT to the one column of a primary key; the
// server generates no others.
func (d *Dialect) AppendSequence(b []byte, table *schema.Table, field *schema.Field) []byte {
	if field.IsPK && len(table.PKs) == 1 && field.CreateTableSQLType == "INTEGER" {
		b = append(b, " AUTO_INCREMENT"...)
	}
	return b
}

// DefaultVarcharLen returns 0: a VARCHAR needs no length.
func (d *Dialect) DefaultVarcharLen() int { return 0 }

// DefaultSchema returns "public", which the catalog calls the only schema.
func (d *Dialect) DefaultSchema() string { return "public" }
