// Package gormimmudb is the gorm dialect for immudb.
//
//	db, err := gorm.Open(gormimmudb.Open("immudb://user:password@localhost:3322/defaultdb"), &gorm.Config{})
//
// A program that has a *sql.DB already hands it over:
//
//	db, err := gorm.Open(gormimmudb.New(gormimmudb.Config{Conn: sqlDB}), &gorm.Config{})
//
// What gorm does elsewhere it does here, with these differences, each of which
// comes from the server:
//
//   - Foreign keys are not created: the server parses them and enforces nothing.
//   - Columns cannot be altered: AutoMigrate adds tables, columns and indexes and
//     returns an error that wraps [immudb.ErrUnsupported] for the rest.
//     [Migrator.Rebuild] copies a table into a new shape, and [Config] can make
//     AutoMigrate do so.
//   - A model without a primary key gets one beside its fields, the generated
//     column _row.
//   - No index is made for a gorm.DeletedAt that stands alone in it: all that a
//     query could find through it is every row that is not deleted.
//   - A nested transaction that fails is undone, and the outer one goes on, but that
//     fails with [immudb.ErrConflict] if another client has changed what the outer
//     one read. See [Dialector.RollbackTo].
//   - SELECT … FOR UPDATE takes no lock: a transaction that has read what another
//     one changed fails to commit with [immudb.ErrConflict], with the clause or
//     without it.
//
// Statements that stand alone, with no hooks and no associations around them, run
// without gorm's default transaction: they are atomic by themselves, and the
// driver runs them again after a conflict.
//
// # What only immudb has
//
//	db.Clauses(gormimmudb.AsOfTx(42)).Preload("Orders").Find(&users)        // as transaction 42 left them
//	db.Clauses(gormimmudb.AsOf(yesterday)).First(&user, 1)                  // as of a time; see also Between
//	db.Table("users").Clauses(gormimmudb.History()).Find(&all, "id = ?", 1) // every revision of a row
//	db.Clauses(gormimmudb.Verified()).First(&user, 42)                      // proven on the client, or an error
//
// # Types
//
//	bool                       BOOLEAN
//	int…, uint…                INTEGER: 64 bits, signed, whatever the size; a uint64 above 1<<63-1 is an error
//	float32, float64           FLOAT; NaN is an error
//	string                     VARCHAR, or VARCHAR[n] with size:n; n counts bytes
//	[]byte                     BLOB, or BLOB[n] with size:n
//	time.Time                  TIMESTAMP: microseconds, finer digits are cut; read in UTC
//	json.RawMessage            JSON, also string and []byte with type:json or type:jsonb
//	type:uuid                  UUID, for strings and what makes strings of itself, as uuid.UUID does
//	type:decimal, numeric      VARCHAR for strings and types that are stored as such: exact, ordered as text;
//	                           FLOAT for float fields, INTEGER for integer fields
//	serializer:json, gob       VARCHAR or, with type:json, JSON; BLOB
//	serializer:unixtime        TIMESTAMP with type:time
//
// Other names of types are understood as other databases use them: bigint, text,
// bytea, timestamptz. Strings and bytes in a key or an index need a length; those
// without one get 256, or less if the keys they are part of would grow past the
// 1,024 bytes that the server can store.
//
// Rows and Raw(…).Scan, which read past the dialect, give JSON as a string.
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
	// Conn is a pool opened before, most often a *sql.DB. It takes the place of
	// DSN, and stays the caller's to close.
	Conn gorm.ConnPool
	// RebuildTables makes AutoMigrate, AlterColumn and CreateConstraint use
	// [Migrator.Rebuild] for changes that the server cannot make to a table,
	// where they otherwise fail. Default: false.
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

// Apply sets the defaults that suit the server, before gorm sets its own.
func (d *Dialector) Apply(config *gorm.Config) error {
	if config.NowFunc == nil {
		// What is stored and read again must equal what was created.
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
		UpdateClauses:        []string{"UPDATE", "SET", "WHERE", "RETURNING"},
		DeleteClauses:        []string{"DELETE", "FROM", "WHERE", "RETURNING"},
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

// DefaultValueOf marks a column that a row of a batch leaves to its default. The
// server has no DEFAULT keyword: rows that leave out different columns become
// statements of their own.
func (d *Dialector) DefaultValueOf(*schema.Field) clause.Expression { return leftOut{} }

// BindVarTo writes $1, $2, …
func (d *Dialector) BindVarTo(writer clause.Writer, stmt *gorm.Statement, _ any) {
	_ = writer.WriteByte('$')
	_, _ = writer.WriteString(strconv.Itoa(len(stmt.Vars)))
}

// QuoteTo writes a name in double quotes, a dotted one part by part. Quotes that
// are there already are kept: a name cannot contain one.
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
