// Package gormimmudb is the gorm dialect for immudb.
//
//	db, err := gorm.Open(gormimmudb.Open("immudb://user:password@localhost:3322/defaultdb"), &gorm.Config{})
//
// A program that already has a *sql.DB passes it:
//
//	db, err := gorm.Open(gormimmudb.New(gormimmudb.Config{Conn: sqlDB}), &gorm.Config{})
//
// gorm works as on other databases, with these differences, which come from the server:
//
//   - Foreign keys are not created: the server parses them but does not enforce them.
//   - Columns cannot be altered: AutoMigrate adds tables, columns and indexes and
//     returns an error that wraps [immudb.ErrUnsupported] for the rest.
//     [Migrator.Rebuild] copies a table into a new shape, and [Config] can make
//     AutoMigrate do so.
//   - A model without a primary key gets the generated column _row as its key.
//   - No index is created on a gorm.DeletedAt alone: nearly all rows have the same value
//     in it.
//   - A nested transaction that fails is rolled back and the outer one continues. But the
//     rollback fails with [immudb.ErrConflict] if another client has changed rows that the
//     outer transaction read. See [Dialector.RollbackTo].
//   - A transaction holds at most 1,024 rows. A Create of more rows than that fails with
//     [immudb.ErrTooManyEntries], and so do the batches of CreateInBatches and
//     CreateBatchSize, because gorm puts them in one transaction. With
//     SkipDefaultTransaction each batch is a transaction of its own: if one fails, those
//     before it stay committed. Update and Delete honour Limit, for writing in portions,
//     but not Order beside it, which the server does not have there.
//   - SELECT … FOR UPDATE takes no lock. With the clause or without it, a transaction
//     fails to commit with [immudb.ErrConflict] if another one has changed rows that it
//     read.
//
// A single statement without hooks and associations runs without gorm's default
// transaction: it is atomic without it, and the driver runs it again after a conflict.
//
// # Reading only what is proven
//
// With verify=reads,strict in the DSN no read of the program can forget the proof: rows
// of one table are proven on the client, and what cannot be proven (joins, counts,
// histories, a transaction's own rows) is [immudb.ErrUnsupported] instead of an answer.
// [immudb.WithoutProof] lets a single read through.
//
// # Features of immudb
//
//	db.Clauses(gormimmudb.AsOfTx(42)).Preload("Orders").Find(&users)        // as of transaction 42
//	db.Clauses(gormimmudb.AsOf(yesterday)).First(&user, 1)                  // as of a time; see also Between
//	db.Table("users").Clauses(gormimmudb.History()).Find(&all, "id = ?", 1) // every revision of a row
//	db.Clauses(gormimmudb.Verified()).First(&user, 42)                      // proven on the client, or an error
//
// # Types
//
//	bool                       BOOLEAN
//	int…, uint…                INTEGER: 64 bits, signed, for every size; a uint64 above 1<<63-1 is an error
//	float32, float64           FLOAT; NaN is an error
//	string                     VARCHAR, or VARCHAR[n] with size:n; n counts bytes
//	[]byte                     BLOB, or BLOB[n] with size:n
//	time.Time                  TIMESTAMP: microseconds, finer digits are cut; read in UTC
//	json.RawMessage            JSON, also string and []byte with type:json or type:jsonb
//	type:uuid                  UUID, for strings and types whose Value is a string, such as uuid.UUID
//	type:decimal, numeric      VARCHAR for strings and types that are stored as strings: exact, ordered as text;
//	                           FLOAT for float fields, INTEGER for integer fields
//	serializer:json, gob       VARCHAR or, with type:json, JSON; BLOB
//	serializer:unixtime        TIMESTAMP with type:time
//	gorm.io/datatypes          see COMPATIBILITY.md
//
// Other databases' names of types work too: bigint, text, bytea, timestamptz. Strings and
// bytes in a key or an index need a length; without one they get 256, or less if their
// keys would exceed the 1,024 bytes that the server can store.
//
// Rows and Raw(…).Scan, which do not use the dialect, return JSON as a string.
package gormimmudb

import (
	"database/sql"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb"
)

var (
	_ gorm.Dialector                     = (*Dialector)(nil)
	_ gorm.SavePointerDialectorInterface = (*Dialector)(nil)
	_ gorm.ErrorTranslator               = (*Dialector)(nil)
)

// Config says where the database is. One of DSN and Conn must be set.
type Config struct {
	// DSN is a data source name as [immudb.ParseDSN] reads it.
	DSN string
	// Conn is an open pool, usually a *sql.DB. It is used instead of DSN, and the caller
	// must close it.
	Conn gorm.ConnPool
	// RebuildTables makes AutoMigrate, AlterColumn and CreateConstraint use
	// [Migrator.Rebuild] for changes that the server cannot make to a table,
	// where they otherwise fail. A column that is nullable stays so, as gorm has it on
	// other databases. Default: false.
	RebuildTables bool
}

// Dialector is the dialect. Get one from [Open] or [New].
type Dialector struct {
	Config
}

// Open returns the dialect for a data source name.
func Open(dsn string) gorm.Dialector { return New(Config{DSN: dsn}) }

// New returns the dialect for a configuration.
func New(config Config) gorm.Dialector { return &Dialector{Config: config} }

// Name returns "immudb".
func (d *Dialector) Name() string { return "immudb" }

// Apply sets the defaults for the server, before gorm sets its own.
func (d *Dialector) Apply(config *gorm.Config) error {
	if config.NowFunc == nil {
		// The server stores microseconds: a time must be equal after it was stored and read.
		config.NowFunc = func() time.Time { return time.Now().Truncate(time.Microsecond) }
	}
	return nil
}

// Initialize connects gorm to the database and registers the callbacks and
// clause builders of the dialect.
func (d *Dialector) Initialize(db *gorm.DB) error {
	config := &callbacks.Config{
		LastInsertIDReversed: true, // the driver's LastInsertId is the last row's
		CreateClauses:        []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses:        []string{"UPDATE", "SET", "WHERE", "LIMIT", "RETURNING"},
		DeleteClauses:        []string{"DELETE", "FROM", "WHERE", "LIMIT", "RETURNING"},
	}
	callbacks.RegisterDefaultCallbacks(db, config)
	if err := registerCallbacks(db, callbacks.Create(config)); err != nil {
		return err
	}
	for name, build := range clauseBuilders {
		if _, taken := db.ClauseBuilders[name]; !taken {
			db.ClauseBuilders[name] = build
		}
	}
	return d.connect(db)
}

func (d *Dialector) connect(db *gorm.DB) error {
	switch conn := d.Conn.(type) {
	case nil:
		cfg, err := immudb.ParseDSN(d.DSN)
		if err != nil {
			return err
		}
		connector, err := immudb.NewConnector(cfg)
		if err != nil {
			return err
		}
		db.ConnPool = &pool{DB: sql.OpenDB(connector), database: cfg.Database}
	case *sql.DB:
		db.ConnPool = &pool{DB: conn}
	default:
		db.ConnPool = conn
	}
	return nil
}

// Migrator returns the dialect's migrator, a [Migrator].
func (d *Dialector) Migrator(db *gorm.DB) gorm.Migrator {
	return Migrator{migrator.Migrator{Config: migrator.Config{
		DB:                          db,
		Dialector:                   d,
		CreateIndexAfterCreateTable: true,
	}}}
}

// DefaultValueOf marks a column that takes its default in a row of a batch. The server has
// no DEFAULT keyword: rows that leave out different columns become separate statements.
func (d *Dialector) DefaultValueOf(*schema.Field) clause.Expression { return leftOut{} }

// BindVarTo writes $1, $2, …
func (d *Dialector) BindVarTo(writer clause.Writer, stmt *gorm.Statement, _ any) {
	_ = writer.WriteByte('$')
	_, _ = writer.WriteString(strconv.Itoa(len(stmt.Vars)))
}

// QuoteTo writes a name in double quotes, a dotted one part by part. Existing quotes are
// kept: a name cannot contain one.
func (d *Dialector) QuoteTo(writer clause.Writer, name string) {
	for i, part := range strings.Split(name, ".") {
		if i > 0 {
			_ = writer.WriteByte('.')
		}
		part = strings.Trim(part, "`\"")
		if part == "*" {
			_ = writer.WriteByte('*')
			continue
		}
		_ = writer.WriteByte('"')
		_, _ = writer.WriteString(part)
		_ = writer.WriteByte('"')
	}
}

var numericPlaceholder = regexp.MustCompile(`\$(\d+)`)

// Explain returns the statement with its arguments filled in, for logs and
// gorm's ToSQL. It is not meant to be run.
func (d *Dialector) Explain(sql string, vars ...any) string {
	return logger.ExplainSQL(sql, numericPlaceholder, `'`, vars...)
}
