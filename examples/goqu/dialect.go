package main

import (
	"github.com/doug-martin/goqu/v9"
	"github.com/doug-martin/goqu/v9/exp"
)

// The default dialect is nearly immudb's. Without these differences goqu would leave
// the Limit of an Update or Delete away without a word, and the server refuse the rest.
func init() {
	d := goqu.DefaultDialectOptions()
	d.SupportsLimitOnUpdate, d.SupportsLimitOnDelete = true, true
	d.SupportsOrderByOnUpdate, d.SupportsOrderByOnDelete = true, true // refused by the server rather than left away
	d.SupportsConflictTarget = false                                  // it is the primary key
	d.SupportsConflictUpdateWhere = false
	d.SupportsMultipleUpdateTables = false
	d.SupportsDistinctOn = false
	d.WrapCompoundsInParens = false
	d.TruncateClause = []byte("TRUNCATE TABLE")
	// immudb has no IS TRUE. Its = and <> do the same, for NULL too.
	d.BooleanOperatorLookup[exp.IsOp] = []byte("=")
	d.BooleanOperatorLookup[exp.IsNotOp] = []byte("<>")
	goqu.RegisterDialect("immudb", d)

	// Else goqu writes values into the text, and times and bytes as strings, which
	// immudb does not compare with a TIMESTAMP nor take for a BLOB.
	goqu.SetDefaultPrepared(true)
}
