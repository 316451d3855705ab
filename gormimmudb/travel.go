package gormimmudb

import (
	"regexp"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// AsOfTx reads tables as of the commit of the transaction with the given id. For one's own
// transactions, [immudb.CommitInfo] has the id.
//
//	db.Clauses(gormimmudb.AsOfTx(42)).Preload("Orders").Find(&users)
//
// It applies to the table of the query, the tables of association joins, and the queries
// of Preload. Joins written as text are refused, because their tables would be read as of
// now; writes are refused too.
func AsOfTx(tx uint64) clause.Expression { return &period{until: txInstant(tx)} }

// AsOf reads tables as they were at a time, like [AsOfTx]. The server compares
// it with the commit times of transactions, which are whole seconds.
func AsOf(t time.Time) clause.Expression { return &period{until: timeInstant(t)} }

// Between reads the rows that were written after from and up to to, both
// included, as they were at to.
func Between(from, to time.Time) clause.Expression {
	return &period{since: timeInstant(from), until: timeInstant(to)}
}

// BetweenTx reads the rows that the transactions from … to wrote, as of the last of them.
func BetweenTx(from, to uint64) clause.Expression {
	return &period{since: txInstant(from), until: txInstant(to)}
}

// History reads every revision of every row, oldest first within a row. The column _rev
// is the revision's number; a model for it:
//
//	type UserRevision struct {
//		User
//		Rev int64 `gorm:"column:_rev"`
//	}
//	db.Table("users").Clauses(gormimmudb.History()).Where("id = ?", 1).Find(&revisions)
//
// A deletion is a revision too; it has the values of the deleted row.
func History() clause.Expression { return &period{history: true} }

// instant is a point in the history of the database.
type instant func(builder clause.Builder)

func txInstant(tx uint64) instant {
	return func(builder clause.Builder) {
		_, _ = builder.WriteString("TX ")
		builder.AddVar(builder, tx)
	}
}

func timeInstant(t time.Time) instant {
	return func(builder clause.Builder) { builder.AddVar(builder, t) }
}

// period is the part of the history that a query reads.
type period struct {
	since, until instant // nil: open
	history      bool
}

const periodKey = "immudb:period"

// ModifyStatement stores the period where Preload passes it on.
func (p *period) ModifyStatement(stmt *gorm.Statement) { stmt.Settings.Store(periodKey, p) }

// Build writes nothing: the period is part of FROM.
func (p *period) Build(clause.Builder) {}

func (p *period) write(builder clause.Builder) {
	if p.since != nil {
		_, _ = builder.WriteString(" SINCE ")
		p.since(builder)
	}
	if p.until != nil {
		_, _ = builder.WriteString(" UNTIL ")
		p.until(builder)
	}
}

func periodOf(stmt *gorm.Statement) *period {
	if v, ok := stmt.Settings.Load(periodKey); ok {
		return v.(*period)
	}
	return nil
}

// buildFrom writes FROM, with the period after each table. It leaves out the word OUTER of
// joins, which mean the same without it.
func buildFrom(c clause.Clause, builder clause.Builder) {
	from, isFrom := c.Expression.(clause.From)
	stmt, isStatement := builder.(*gorm.Statement)
	if !isFrom || !isStatement {
		buildDefault(c, builder)
		return
	}
	p := periodOf(stmt)
	if p == nil && len(from.Joins) == 0 {
		buildDefault(c, builder)
		return
	}
	if p == nil {
		p = &period{}
	}
	tables := from.Tables
	if len(tables) == 0 {
		table, ok := currentTable(stmt)
		if !ok && p.travels() {
			_ = builder.AddError(unsupported("time travel needs the name of a table, not an expression"))
		}
		if ok && (stmt.TableExpr == nil || p.travels()) {
			tables = []clause.Table{table}
		}
	}
	_, _ = builder.WriteString("FROM ")
	if len(tables) == 0 {
		builder.WriteQuoted(clause.Table{Name: clause.CurrentTable})
	}
	for i, table := range tables {
		if i > 0 {
			_ = builder.WriteByte(',')
		}
		p.table(stmt, table)
	}
	for _, join := range from.Joins {
		_ = builder.WriteByte(' ')
		if join.Expression == nil && !p.history {
			p.join(stmt, join)
			continue
		}
		if p.travels() {
			_ = builder.AddError(unsupported("a join written as text, or with History: its table cannot be read in the past"))
			return
		}
		if named, ok := join.Expression.(clause.NamedExpr); ok {
			named.SQL = outerJoin.ReplaceAllString(named.SQL, "$1 JOIN")
			join.Expression = named
		}
		join.Build(builder)
	}
}

var outerJoin = regexp.MustCompile(`(?i)\b(LEFT|RIGHT|FULL)\s+OUTER\s+JOIN\b`)

func (p *period) travels() bool { return p.history || p.since != nil || p.until != nil }

// table writes a table as of the period.
func (p *period) table(stmt *gorm.Statement, table clause.Table) {
	name := clause.Table{Name: table.Name, Raw: table.Raw}
	if p.history {
		_, _ = stmt.WriteString("(HISTORY OF ")
		stmt.WriteQuoted(name)
		_, _ = stmt.WriteString(") AS ")
		if table.Alias == "" {
			table.Alias = table.Name
		}
	} else {
		stmt.WriteQuoted(name)
		p.write(stmt)
		if table.Alias != "" {
			_ = stmt.WriteByte(' ')
		}
	}
	if table.Alias != "" {
		stmt.WriteQuoted(clause.Table{Name: table.Alias})
	}
}

func (p *period) join(stmt *gorm.Statement, join clause.Join) {
	if join.Type != "" {
		_, _ = stmt.WriteString(string(join.Type))
		_ = stmt.WriteByte(' ')
	}
	_, _ = stmt.WriteString("JOIN ")
	p.table(stmt, join.Table)
	if len(join.ON.Exprs) > 0 {
		_, _ = stmt.WriteString(" ON ")
		clause.Where{Exprs: translate(stmt, join.ON.Exprs)}.Build(stmt)
	} else if len(join.Using) > 0 {
		_, _ = stmt.WriteString(" USING (")
		for i, column := range join.Using {
			if i > 0 {
				_ = stmt.WriteByte(',')
			}
			stmt.WriteQuoted(column)
		}
		_ = stmt.WriteByte(')')
	}
}

var tableAndAlias = regexp.MustCompile("(?i)^\\s*[\"`]?(\\w+)[\"`]?(?:\\s+(?:AS\\s+)?[\"`]?(\\w+)[\"`]?)?\\s*$")

// currentTable is the table of the statement, if it is one.
func currentTable(stmt *gorm.Statement) (clause.Table, bool) {
	if stmt.TableExpr == nil {
		return clause.Table{Name: stmt.Table}, true
	}
	m := tableAndAlias.FindStringSubmatch(stmt.TableExpr.SQL)
	if m == nil || len(stmt.TableExpr.Vars) > 0 {
		return clause.Table{}, false
	}
	return clause.Table{Name: m[1], Alias: m[2]}, true
}
