package gormimmudb

import (
	"regexp"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// name is an identifier in a piece of SQL that the program wrote.
type name struct {
	text      string // without quotes
	qualifier string // the name before the dot before it, or ""
	call      bool   // a parenthesis follows
	partial   bool   // a dot follows: it is a qualifier
}

// rewriteNames calls f for every identifier outside of literals, and replaces it,
// including its qualifier, by the result of f if ok is true. A star after a dot counts as
// an identifier.
func rewriteNames(sql string, f func(n name) (with string, ok bool)) string {
	var out strings.Builder
	var last name // the identifier before the dot before i
	lastAt := 0   // where last begins in out
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case c == '\'':
			end := i + 1
			for end < len(sql) && sql[end] != '\'' {
				end++
			}
			end = min(end+1, len(sql))
			out.WriteString(sql[i:end])
			i, last = end, name{}
			continue
		case c == '@': // a named argument
			end := i + 1
			for end < len(sql) && isNameByte(sql[end]) {
				end++
			}
			out.WriteString(sql[i:end])
			i, last = end, name{}
			continue
		}
		n, end := name{}, i
		switch {
		case c == '"' || c == '`':
			if close := strings.IndexByte(sql[i+1:], c); close >= 0 {
				n.text, end = sql[i+1:i+1+close], i+close+2
			}
		case isNameByte(c) && (c < '0' || c > '9'):
			for end < len(sql) && isNameByte(sql[end]) {
				end++
			}
			n.text = sql[i:end]
		case c == '*' && last.partial:
			n.text, end = "*", i+1
		}
		if n.text == "" {
			out.WriteByte(c)
			i++
			// A digit is not the beginning of a name.
			for i < len(sql) && c >= '0' && c <= '9' && isNameByte(sql[i]) {
				out.WriteByte(sql[i])
				i++
			}
			if c != '.' {
				last = name{}
			}
			continue
		}
		at := out.Len()
		if last.partial {
			n.qualifier, at = last.text, lastAt
		}
		rest := strings.TrimLeft(sql[end:], " ")
		n.call = strings.HasPrefix(rest, "(")
		n.partial = strings.HasPrefix(sql[end:], ".")
		if with, ok := f(n); ok && !n.partial {
			kept := out.String()[:at]
			out.Reset()
			out.WriteString(kept)
			out.WriteString(with)
		} else {
			out.WriteString(sql[i:end])
		}
		i, last, lastAt = end, n, at
	}
	return out.String()
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// schemaOf finds the model of a table that a statement reads: its own, or one that
// is associated with it. The name may be the association's, as in joins.
func schemaOf(stmt *gorm.Statement, table string) *schema.Schema {
	if stmt.Schema == nil {
		return nil
	}
	if own, ok := currentTable(stmt); ok && (strings.EqualFold(own.Name, table) || own.Alias != "" && strings.EqualFold(own.Alias, table)) {
		return stmt.Schema
	}
	return associated(stmt.Schema, table, 3)
}

func associated(s *schema.Schema, table string, depth int) *schema.Schema {
	if depth == 0 {
		return nil
	}
	for _, rel := range s.Relationships.Relations {
		for _, candidate := range []*schema.Schema{rel.FieldSchema, rel.JoinTable} {
			if candidate != nil && (strings.EqualFold(candidate.Table, table) || candidate == rel.FieldSchema && strings.EqualFold(rel.Name, table)) {
				return candidate
			}
		}
	}
	for _, rel := range s.Relationships.Relations {
		if rel.FieldSchema != nil && rel.FieldSchema != s {
			if found := associated(rel.FieldSchema, table, depth-1); found != nil {
				return found
			}
		}
	}
	return nil
}

// columnOf is the column's name if the expression is a column of the statement's
// own table.
func columnOf(stmt *gorm.Statement, column any) (string, bool) {
	switch c := column.(type) {
	case string:
		return c, !strings.Contains(c, ".")
	case clause.Column:
		if c.Raw || c.Table != "" && c.Table != clause.CurrentTable && !strings.EqualFold(c.Table, stmt.Table) {
			return c.Name, false
		}
		if c.Name == clause.PrimaryKey && stmt.Schema != nil && stmt.Schema.PrioritizedPrimaryField != nil {
			return stmt.Schema.PrioritizedPrimaryField.DBName, true
		}
		return c.Name, true
	}
	return "", false
}

// withoutStars replaces the stars that the server's SELECT does not accept by columns: t.*,
// and a star among other columns.
func withoutStars(stmt *gorm.Statement, sql string) string {
	if !strings.Contains(sql, "*") {
		return sql
	}
	sql = rewriteNames(sql, func(n name) (string, bool) {
		if n.text != "*" {
			return "", false
		}
		return columnList(stmt, n.qualifier)
	})
	if rest, ok := strings.CutPrefix(strings.TrimSpace(sql), "*"); ok {
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, ",") {
			if list, ok := ownColumnList(stmt); ok {
				return list + rest
			}
		}
	}
	return sql
}

// ownColumnList spells out the star of the statement's own table.
func ownColumnList(stmt *gorm.Statement) (string, bool) {
	table, ok := currentTable(stmt)
	if !ok {
		return "", false
	}
	if table.Alias != "" {
		return columnList(stmt, table.Alias)
	}
	return columnList(stmt, table.Name)
}

// columnList lists the columns of a table, given by its name or alias in the statement:
// those of the catalog or, in a dry run, those of the model.
func columnList(stmt *gorm.Statement, alias string) (string, bool) {
	var names []string
	if !stmt.DB.DryRun {
		names = columnsOf(stmt, realTable(stmt, alias))
	}
	if s := schemaOf(stmt, alias); s != nil && len(names) == 0 {
		for _, column := range s.DBNames {
			if f := s.FieldsByDBName[column]; f.Readable && !f.IgnoreMigration {
				names = append(names, column)
			}
		}
	}
	for i, column := range names {
		names[i] = stmt.Quote(clause.Column{Table: alias, Name: column})
	}
	return strings.Join(names, ","), len(names) > 0
}

func columnsOf(stmt *gorm.Statement, table string) (names []string) {
	rows, err := stmt.ConnPool.QueryContext(stmt.Context, "SELECT name FROM COLUMNS($1)", strings.ToLower(table))
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if rows.Scan(&column) != nil {
			return nil
		}
		if column != rowColumn {
			names = append(names, column)
		}
	}
	return names
}

var joinedAlias = regexp.MustCompile("(?i)\\bJOIN\\s+[\"`]?(\\w+)[\"`]?\\s+(?:AS\\s+)?[\"`]?(\\w+)[\"`]?\\s+ON\\b")

// realTable returns the table that has an alias.
func realTable(stmt *gorm.Statement, alias string) string {
	if own, ok := currentTable(stmt); ok && (strings.EqualFold(own.Alias, alias) || strings.EqualFold(own.Name, alias)) {
		return own.Name
	}
	for _, join := range stmt.Joins {
		for _, m := range joinedAlias.FindAllStringSubmatch(join.Name, -1) {
			if strings.EqualFold(m[2], alias) {
				return m[1]
			}
		}
	}
	if stmt.Schema != nil {
		if rel := stmt.Schema.Relationships.Relations[alias]; rel != nil && rel.FieldSchema != nil {
			return rel.FieldSchema.Table
		}
	}
	return alias
}
