package gormimmudb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/immudb-go/immudb"
)

// rebuilds reports whether tables may be copied to change them.
func (m Migrator) rebuilds() bool {
	d, ok := m.Dialector.(*Dialector)
	return ok && d.RebuildTables && !m.DB.DryRun
}

// entriesPerTransaction is the most index entries that one transaction of the
// server writes; a row has one per index, that of the primary key included.
const entriesPerTransaction = 1024

// Rebuild changes a table to match the model by copying it: it creates a new table,
// copies the rows, and renames both tables in one last transaction. The old table stays,
// with its history, under the name archive: the table's name followed by _until_ and the
// number of a transaction. Columns that the model does not have exist only there.
//
// Values are converted as by INSERT: text to numbers, numbers to text. Rows keep their
// keys; generated keys continue after the highest one. If the table is written during the
// copy, it is not replaced: Rebuild fails and removes the copy.
func (m Migrator) Rebuild(value any) (archive string, err error) {
	return m.rebuildValue(value, false)
}

// rebuildValue is Rebuild, but if lenient a column that is nullable stays so: gorm makes no
// column NOT NULL that was not.
func (m Migrator) rebuildValue(value any, lenient bool) (archive string, err error) {
	err = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if _, inTx := m.DB.Statement.ConnPool.(gorm.TxCommitter); inTx {
			return unsupported("Rebuild in a transaction: it needs several")
		}
		var nullable []string
		if lenient {
			columns, err := m.columns(stmt.Table)
			if err != nil {
				return err
			}
			for _, c := range columns {
				if c.Nullable && !c.Primary {
					nullable = append(nullable, c.Name)
				}
			}
		}
		archive, err = m.rebuild(stmt, nullable)
		return err
	})
	return archive, err
}

func (m Migrator) rebuild(stmt *gorm.Statement, nullable []string) (archive string, err error) {
	var info immudb.CommitInfo
	ctx := immudb.WithCommitInfo(m.context(), &info)
	copied := stmt.Table + "_rebuild"
	db := m.DB.Session(&gorm.Session{NewDB: true, SkipHooks: true})
	text, args, err := m.tableText(stmt, clause.Table{Name: copied}, nullable)
	if err != nil {
		return "", err
	}
	if err := db.WithContext(ctx).Exec(text, args...).Error; err != nil {
		return "", err
	}
	begun := info.TxID
	archive = fmt.Sprintf("%s_until_%d", stmt.Table, begun)
	defer func() {
		if err != nil {
			archive = ""
			err = errors.Join(err, m.dropCopy(stmt, copied))
		}
	}()
	if err := m.copyRows(stmt, copied); err != nil {
		return archive, err
	}
	return archive, db.Transaction(func(tx *gorm.DB) error {
		// Because of this read the commit fails if another transaction writes the table now.
		var old, written, now int64
		count := func(n *int64, from string, args ...any) error {
			return tx.Raw("SELECT COUNT(*) FROM "+from, args...).Scan(n).Error
		}
		if err := errors.Join(count(&old, "?", clause.Table{Name: stmt.Table}), count(&now, "?", clause.Table{Name: copied}),
			count(&written, "? SINCE TX ?", clause.Table{Name: stmt.Table}, begun+1)); err != nil {
			return err
		}
		if old != now || written > 0 {
			return fmt.Errorf("gormimmudb: table %s was written while it was copied: try again while no other client writes to it", stmt.Table)
		}
		rename := "ALTER TABLE ? RENAME TO ?"
		if err := tx.Exec(rename, clause.Table{Name: stmt.Table}, clause.Table{Name: archive}).Error; err != nil {
			return err
		}
		return tx.Exec(rename, clause.Table{Name: copied}, clause.Table{Name: stmt.Table}).Error
	})
}

// dropCopy removes what is left of a Rebuild that failed.
func (m Migrator) dropCopy(stmt *gorm.Statement, copied string) error {
	db := m.DB.Session(&gorm.Session{NewDB: true}).WithContext(context.WithoutCancel(m.context()))
	for name := range stmt.Schema.ParseCheckConstraints() {
		if err := db.Exec("ALTER TABLE ? DROP CONSTRAINT ?", clause.Table{Name: copied}, clause.Column{Name: name}).Error; err != nil {
			return err
		}
	}
	return db.Exec("DROP TABLE IF EXISTS ?", clause.Table{Name: copied}).Error
}

// copyRows copies the columns that both tables have, in the order of the old
// table's key.
func (m Migrator) copyRows(stmt *gorm.Statement, copied string) error {
	from, err := m.columns(stmt.Table)
	if err != nil {
		return err
	}
	to, err := m.columns(copied)
	if err != nil {
		return err
	}
	indexes, err := m.indexes(copied)
	if err != nil {
		return err
	}
	var columns, key []clause.Column
	var types []string
	for _, c := range from {
		if c.Primary {
			key = append(key, clause.Column{Name: c.Name})
		}
		if i := slices.IndexFunc(to, func(t column) bool { return t.Name == c.Name }); i >= 0 {
			columns, types = append(columns, clause.Column{Name: c.Name}), append(types, to[i].Type)
		}
	}
	db := m.DB.Session(&gorm.Session{NewDB: true, SkipHooks: true})
	rows, err := db.Raw("SELECT ? FROM ? ORDER BY ?", list(columns), clause.Table{Name: stmt.Table}, list(key)).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	var batch [][]any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := db.Exec("INSERT INTO ? ?", clause.Table{Name: copied}, clause.Values{Columns: columns, Values: batch}).Error
		batch = nil
		return err
	}
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range row {
			row[i] = asText(row[i], types[i])
		}
		if batch = append(batch, row); len(batch) >= entriesPerTransaction/2/max(1, len(indexes)) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(rows.Err(), flush())
}

// asText converts numbers to text for a text column, because the server does not.
func asText(v any, into string) any {
	switch v.(type) {
	case int64, float64, bool:
		if into == "VARCHAR" {
			return strings.TrimSpace(fmt.Sprint(v))
		}
	}
	return v
}

// list is columns with commas between them.
func list(columns []clause.Column) clause.Expression {
	vars := make([]any, len(columns))
	for i, c := range columns {
		vars[i] = c
	}
	return clause.Expr{SQL: strings.TrimSuffix(strings.Repeat("?,", len(vars)), ","), Vars: vars, WithoutParentheses: true}
}

// differs reports whether the table needs a change that only a copy can make.
func (m Migrator) differs(value any, stmt *gorm.Statement) (bool, error) {
	types, err := m.ColumnTypes(value)
	if err != nil {
		return false, err
	}
	for _, name := range stmt.Schema.DBNames {
		field := stmt.Schema.FieldsByDBName[name]
		if field.IgnoreMigration {
			continue
		}
		at := slices.IndexFunc(types, func(t gorm.ColumnType) bool { return t.Name() == name })
		if at < 0 && field.NotNull || at >= 0 && m.needsAlter(field, types[at]) {
			return true, nil
		}
	}
	return false, nil
}
