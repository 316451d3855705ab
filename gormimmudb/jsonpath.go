package gormimmudb

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// jsonQuery is a condition of gorm.io/datatypes on a field of JSON. It writes nothing for a
// database whose name it does not know, so it is asked what SQLite understands.
type jsonQuery struct{ clause.Expression }

// asJSONQuery finds out by its name whether v is such a condition: gormimmudb does not depend on
// datatypes.
func asJSONQuery(v any) (jsonQuery, bool) {
	e, ok := v.(clause.Expression)
	if t := reflect.TypeOf(v); !ok || t.Kind() != reflect.Pointer || t.Elem().PkgPath() != "gorm.io/datatypes" || t.Elem().Name() != "JSONQueryExpression" {
		return jsonQuery{}, false
	}
	return jsonQuery{e}, true
}

// sqlite is the dialect with the name of another.
type sqlite struct{ gorm.Dialector }

func (sqlite) Name() string { return "sqlite" }

func (sqlite) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }

var jsonExtract = regexp.MustCompile(`^JSON_EXTRACT\((.*?),\?\)(.*?)(\?)?$`)

// Build writes column->'a'->'b' where SQLite has JSON_EXTRACT(column, '$.a.b').
func (q jsonQuery) Build(builder clause.Builder) {
	stmt, ok := builder.(*gorm.Statement)
	if !ok {
		return
	}
	config, db := *stmt.Config, *stmt.DB
	config.Dialector = sqlite{stmt.Dialector}
	db.Config = &config
	other := &gorm.Statement{DB: &db, Table: stmt.Table, Schema: stmt.Schema}
	q.Expression.Build(other)
	m := jsonExtract.FindStringSubmatch(other.SQL.String())
	if m == nil || len(other.Vars) == 0 || (m[3] != "") != (len(other.Vars) == 2) {
		_ = builder.AddError(unsupported("%s: write the condition as column->'field' = value", other.SQL.String()))
		return
	}
	path := fmt.Sprint(other.Vars[0])
	if strings.Contains(path, "[") {
		_ = builder.AddError(unsupported("an element of an array in a JSON path: %s", path))
		return
	}
	_, _ = builder.WriteString(m[1])
	for key := range strings.SplitSeq(strings.TrimPrefix(path, "$."), ".") {
		_, _ = builder.WriteString("->'" + strings.ReplaceAll(key, "'", "''") + "'")
	}
	_, _ = builder.WriteString(m[2])
	if m[3] != "" {
		builder.AddVar(builder, other.Vars[1])
	}
}
