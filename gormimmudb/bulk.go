package gormimmudb

import (
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/immudb-go/immudb"
)

// tooManyEntries is the driver's [immudb.ErrTooManyEntries] with what a program that uses
// gorm can do about it.
type tooManyEntries struct {
	cause  error
	remedy string
}

func (e *tooManyEntries) Error() string { return "gormimmudb: " + e.remedy + ": " + e.cause.Error() }
func (e *tooManyEntries) Unwrap() error { return e.cause }

// tellRemedy returns a callback that adds a remedy to an error about too many entries. An
// associated value's error has one already.
func tellRemedy(remedy func(*gorm.DB) string) func(*gorm.DB) {
	return func(db *gorm.DB) {
		if !errors.Is(db.Error, immudb.ErrTooManyEntries) {
			return
		}
		if _, told := errors.AsType[*tooManyEntries](db.Error); told {
			return
		}
		if text := remedy(db); text != "" {
			db.Error = &tooManyEntries{db.Error, text}
		}
	}
}

// createRemedy is "" in a transaction of the program's own, where the driver's error says
// enough. Unless SkipDefaultTransaction is set, the transaction may be gorm's.
func createRemedy(db *gorm.DB) string {
	_, inTx := db.Statement.ConnPool.(gorm.TxCommitter)
	switch {
	case !db.SkipDefaultTransaction:
		return "gorm writes all rows of a Create, and all batches of CreateInBatches, in one transaction; " +
			"outside a transaction, SkipDefaultTransaction and CreateInBatches or CreateBatchSize commit each batch by itself"
	case !inTx:
		return "CreateInBatches or CreateBatchSize with smaller batches commits each of them by itself"
	}
	return ""
}

func updateRemedy(*gorm.DB) string {
	return "update the rows in portions, with Limit(500) and a condition that updated rows do not meet, until RowsAffected is 0"
}

func deleteRemedy(*gorm.DB) string {
	return "delete the rows in portions, with Limit(500), until RowsAffected is 0"
}

// limitWrite prepares the LIMIT of an UPDATE or DELETE.
func limitWrite(db *gorm.DB) {
	stmt := db.Statement
	c, ok := stmt.Clauses["LIMIT"]
	if !ok {
		return
	}
	if stmt.RaiseErrorOnNotFound {
		// In db.First(&user).Update(…) the limit is the query's.
		delete(stmt.Clauses, "LIMIT")
		return
	}
	if _, ordered := stmt.Clauses["ORDER BY"]; ordered {
		if l, ok := c.Expression.(clause.Limit); ok && (l.Limit != nil && *l.Limit >= 0 || l.Offset > 0) {
			_ = db.AddError(unsupported("ORDER BY with LIMIT in an UPDATE or DELETE: select the keys first"))
		}
	}
	limitToNothing(stmt)
}

// limitToNothing replaces LIMIT 0, which the server reads as no limit.
func limitToNothing(stmt *gorm.Statement) {
	c, ok := stmt.Clauses["LIMIT"]
	if !ok {
		return
	}
	if l, ok := c.Expression.(clause.Limit); ok && l.Limit != nil && *l.Limit == 0 {
		stmt.AddClause(clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "1 <> 1"}}})
		one := 1
		l.Limit = &one
		c.Expression = l
		stmt.Clauses["LIMIT"] = c
	}
}
