package gormimmudb

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/immudb-go/immudb"
)

// Verified makes a query return only rows that were proven on the client:
//
//	db.Clauses(gormimmudb.Verified()).First(&user, 42)
//	db.Clauses(gormimmudb.Verified()).Where("age > ?", 18).Preload("Orders").Find(&users)
//
// One row by its primary key is read by [immudb.VerifiedRow], in one call; every other
// query by [immudb.VerifyRows], which proves each row. The DSN must say which state is
// trusted, for example with verify=trust-first-use.
//
// It is proven that a transaction of the trusted history wrote each row with these values
// under this key. Conditions, the order and the limit are evaluated again on the client
// for the proven rows. Two things are not proven: that no row is missing, and that a row
// was not changed later; see [immudb.VerifiedRow]. That function, with the *sql.DB that
// gorm's DB returns, also returns the transaction that wrote a row, and its time.
//
// The destination is not changed before the rows are proven. After an error it is
// unchanged, or zero if an association could not be proven. The error matches
// [immudb.ErrTampered] if the server's answer contradicts the trusted state, else
// [immudb.ErrStateMissing], [immudb.ErrSignature] or [immudb.ErrServerOlder].
//
// A query that cannot be proven is refused with [immudb.ErrUnsupported], and never run
// without a proof: joins, aggregates such as Count, expressions, DISTINCT and GROUP BY,
// tables with an alias, raw SQL, Rows and Scan, time travel, conditions that need more
// than the row, such as subqueries and functions, and every query in a transaction. The
// same rules apply to the queries of Preload. Writes are refused.
//
// With gorm's generics, both gorm.G[User](db, gormimmudb.Verified()) and
// gorm.G[User](db.Clauses(gormimmudb.Verified())) read only what is proven.
func Verified() clause.Expression { return verified{} }

type verified struct{}

const verifiedKey = "immudb:verified"

// ModifyStatement takes note of the demand twice. Preload and a session with prepared
// statements keep the settings; gorm.G makes a new statement of the old one, and keeps
// nothing of it but its connections and its context, which it replaces.
func (verified) ModifyStatement(stmt *gorm.Statement) {
	stmt.Settings.Store(verifiedKey, true)
	if _, done := stmt.ConnPool.(provingPool); !done {
		stmt.ConnPool = provingPool{stmt.ConnPool}
	}
}

// Build writes nothing: the rows are proven after they are read.
func (verified) Build(clause.Builder) {}

func wantsProof(stmt *gorm.Statement) bool {
	_, set := stmt.Settings.Load(verifiedKey)
	_, proving := stmt.ConnPool.(provingPool)
	return set || proving
}

var errProofInTx = unprovable("in a transaction: what it sees is not committed, and has no proof; read before it or after it")

// unprovable makes the error for a query that Verified cannot prove.
func unprovable(what string) error { return unsupported("Verified: %s", what) }

// verify runs gorm's query with proven rows.
func verify(db *gorm.DB) {
	stmt := db.Statement
	plan, err := planProof(stmt)
	if db.AddError(err) != nil || db.DryRun {
		return
	}
	pool, err := db.DB()
	if err != nil {
		_ = db.AddError(errors.Join(unprovable("the connections are not a *sql.DB of this driver"), err))
		return
	}
	rows, err := plan.read(stmt, pool)
	if err == nil && plan.selected != nil {
		rows, err = selectColumns(rows, plan.selected)
	}
	if db.AddError(err) != nil {
		return
	}
	gorm.Scan(&provenRows{rows: rows}, db, 0)
}

// forgetUnproven empties the destination if Preload could not prove an association.
func forgetUnproven(db *gorm.DB) {
	if v := db.Statement.ReflectValue; wantsProof(db.Statement) && db.Error != nil && db.RowsAffected > 0 && v.CanSet() {
		v.SetZero()
	}
}

// refuseProof refuses methods that return unproven rows, or write.
func refuseProof(db *gorm.DB, what string) {
	if wantsProof(db.Statement) {
		_ = db.AddError(unprovable(what))
	}
}

// proofPlan says how the rows of a query are read and proven.
type proofPlan struct {
	table    string
	selected []string    // columns, nil for all
	checks   []condition // to be checked again on the client
	key      []any       // of the only row that is asked for, or nil
	tail     string      // what follows SELECT * FROM table otherwise
	vars     []any
}

// planProof reads the clauses of a query that has been built. A query that is not a plain
// SELECT from one table is an error.
func planProof(stmt *gorm.Statement) (*proofPlan, error) {
	conns := stmt.ConnPool
	if p, ok := conns.(provingPool); ok {
		conns = p.of
	}
	if _, inTx := conns.(gorm.TxCommitter); inTx {
		return nil, errProofInTx
	}
	from, _ := stmt.Clauses["FROM"].Expression.(clause.From)
	table, named := currentTable(stmt)
	_, grouped := stmt.Clauses["GROUP BY"]
	switch {
	case len(stmt.Joins) > 0 || len(from.Joins) > 0:
		return nil, unprovable("a join: its rows are those of no table; use Preload")
	case !named || table.Alias != "" || len(from.Tables) > 0:
		return nil, unprovable("FROM must be one table under its own name")
	case grouped:
		return nil, unprovable("GROUP BY makes rows that are those of no table")
	case periodOf(stmt) != nil:
		return nil, unprovable("time travel: immudb.Verifier.RowAt proves an older revision of a row")
	}
	for _, name := range stmt.BuildClauses {
		if _, used := stmt.Clauses[name]; used && !slices.Contains(selectClauses, name) {
			return nil, unprovable("the clause " + name)
		}
	}
	p := &proofPlan{table: table.Name}
	var err error
	if p.selected, err = selectedColumns(stmt, table.Name); err != nil {
		return nil, err
	}
	var all bool
	p.checks, all = plainConditions(stmt)
	limit, _ := stmt.Clauses["LIMIT"].Expression.(clause.Limit)
	if all && limit.Offset <= 0 {
		p.key = soleKey(stmt, p.checks)
	}
	if p.key == nil {
		p.tail, p.vars = tailOf(stmt)
	}
	return p, nil
}

// selectClauses are the clauses of gorm's query. FOR is written as nothing.
var selectClauses = []string{"SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "FOR"}

// tailOf writes the clauses after SELECT * FROM table.
func tailOf(stmt *gorm.Statement) (tail string, vars []any) {
	text, all := stmt.SQL.String(), stmt.Vars
	fresh(stmt)
	stmt.Build("WHERE", "ORDER BY", "LIMIT")
	tail, vars = stmt.SQL.String(), stmt.Vars
	fresh(stmt)
	_, _ = stmt.SQL.WriteString(text)
	stmt.Vars = all
	return tail, vars
}

var plainColumn = regexp.MustCompile("^\\s*(?:[\"`]?(\\w+)[\"`]?\\.)?(?:[\"`]?([A-Za-z_]\\w*)[\"`]?|\\*)\\s*$")

// selectedColumns lists the columns that SELECT names, nil for all.
func selectedColumns(stmt *gorm.Statement, table string) (columns []string, err error) {
	s, plain := stmt.Clauses["SELECT"].Expression.(clause.Select)
	switch {
	case !plain:
		return nil, unprovable("a count or another expression in SELECT: only columns are proven")
	case s.Distinct:
		return nil, unprovable("DISTINCT makes rows that are those of no table")
	}
	all := len(s.Columns) == 0
	for _, c := range s.Columns {
		names := []string{c.Name}
		if c.Raw {
			names = strings.Split(c.Name, ",")
		}
		for _, name := range names {
			m := plainColumn.FindStringSubmatch(name)
			own := c.Table == "" || c.Table == clause.CurrentTable || strings.EqualFold(c.Table, table)
			if m == nil || c.Alias != "" || !own || m[1] != "" && !strings.EqualFold(m[1], table) {
				return nil, unprovable("SELECT " + name + ": only columns of the table are proven")
			}
			all = all || m[2] == ""
			columns = append(columns, m[2])
		}
	}
	if all {
		return nil, nil
	}
	return columns, nil
}

// read reads and proves the rows.
func (p *proofPlan) read(stmt *gorm.Statement, pool *sql.DB) ([]*immudb.ProvenRow, error) {
	if p.key != nil {
		row, err := immudb.VerifiedRow(stmt.Context, pool, p.table, p.key...)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil, nil
		case err != nil:
			return nil, err
		case slices.ContainsFunc(p.checks, func(c condition) bool { return c.fails(row) }):
			return nil, nil // as one that is deleted by a gorm.DeletedAt
		}
		return []*immudb.ProvenRow{row}, nil
	}
	rows, err := immudb.VerifyRows(stmt.Context, pool, p.table, p.tail, p.vars...)
	if errors.Is(err, immudb.ErrUnsupported) {
		err = fmt.Errorf("gormimmudb: Verified: %w", err)
	}
	return rows, err
}
