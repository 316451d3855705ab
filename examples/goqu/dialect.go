package main

import (
	"github.com/doug-martin/goqu/v9"
	"github.com/doug-martin/goqu/v9/exp"
)

// goqu's default dialect is nearly immudb's. Without these settings goqu would silently drop
// the Limit of an Update or Delete, and the server would refuse other statements.
func init() {
	d := goqu.DefaultDialectOptions()
	d.SupportsLimitOnUpdate, d.SupportsLimitOnDelete = true, true
	d.SupportsOrderByOnUpdate, d.SupportsOrderByOnDelete = true, true // the server refuses it; otherwise goqu would drop it
	d.SupportsConflictTarget = false                                  // it is always the primary key
	d.SupportsConflictUpdateWhere = false
	d.SupportsMultipleUpdateTables = false
	d.SupportsDistinctOn = false
	d.WrapCompoundsInParens = false
	d.TruncateClause = []byte("TRUNCATE TABLE")
	// immudb has no IS TRUE. Its = and <> mean the same, for NULL too.
	d.BooleanOperatorLookup[exp.IsOp] = []byte("=")
	d.BooleanOperatorLookup[exp.IsNotOp] = []byte("<>")
	goqu.RegisterDialect("immudb", d)

	// Otherwise goqu writes values into the query, and times and bytes as strings, which
	// immudb does not accept as a TIMESTAMP or a BLOB.
	goqu.SetDefaultPrepared(true)
}
