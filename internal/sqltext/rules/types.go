package rules

import (
	"database/sql/driver"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// typeRules are about values of a wrong type that the server does not refuse.
var typeRules = []*Rule{
	{
		Name:      "blob-into-uuid",
		Construct: "a blob of other than 16 bytes, or of unknown length, as a UUID",
		Reason:    "the server crashes; write the UUID as a string, or as exactly 16 bytes",
		Needs:     tree.HasWrite,
		look: func(l *look) {
			if i, ok := l.st.(*tree.Insert); ok {
				l.uuidRows(i)
			}
		},
	},
	{
		Name:      "cast-of-blob-to-uuid",
		Construct: "a cast to UUID of a blob or of a value that may be one",
		Reason:    "a blob of other than 16 bytes crashes the server; cast a string",
		Needs:     tree.HasCast,
		look: func(l *look) {
			l.scoped(func(n tree.Node, s scope) {
				if c, ok := n.(*tree.Cast); ok && c.Type == "UUID" {
					l.castToUUID(c, s)
				}
			})
		},
	},
	{
		Name:      "string-agg-of-no-string",
		Construct: "STRING_AGG of a column that is not, or may not be, a VARCHAR",
		Reason:    "the server crashes; aggregate a VARCHAR column of a table",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.scoped(func(n tree.Node, s scope) {
				if a, ok := n.(*tree.Aggregate); ok && a.Name == "STRING_AGG" && a.Column != nil {
					l.refuseTables(a, "", nil, func(tables Tables, _ Args) bool { return s.typeOf(tables, a.Column) == "VARCHAR" })
				}
			})
		},
	},
}

// uuidRows checks the values that an INSERT may write into UUID columns.
func (l *look) uuidRows(i *tree.Insert) {
	column := func(tables Tables, at int) *Column { return l.columnAt(tables, i, at) }
	isUUID := func(c *Column) bool { return c != nil && c.Type == "UUID" }
	for r := range i.Rows {
		for at, x := range i.Rows[r].Values {
			l.blobFor(x, func(tables Tables) bool { return isUUID(column(tables, at)) })
		}
	}
	if i.Conflict != nil {
		for j := range i.Conflict.Set {
			set := &i.Conflict.Set[j]
			l.blobFor(set.Value, func(tables Tables) bool {
				return isUUID(l.table(tables, i.Table.Name).Column(set.Column.Name))
			})
		}
	}
	if i.Query == nil {
		return
	}
	selects, ok := i.Query.(*tree.Select)
	if !ok {
		// The types of the columns of UNION, WITH and the like are not known.
		l.refuseTables(i.Query, "", nil, func(tables Tables, _ Args) bool { return !l.names(tables, i, "UUID") })
		return
	}
	s := scopeOf(selects, nil)
	l.refuseTables(i.Query, "", nil, func(tables Tables, args Args) bool {
		if !l.names(tables, i, "UUID") {
			return true
		}
		if selects.Star {
			source, ok := selects.From.(*tree.Table)
			if !ok || len(selects.Joins) > 0 {
				return false
			}
			from := tables.Table(source.Name.Name)
			if from == nil {
				return false
			}
			for at := range from.Columns {
				if isUUID(column(tables, at)) && from.Columns[at].Type == "BLOB" {
					return false
				}
			}
			return true
		}
		for at := range selects.Targets {
			if !isUUID(column(tables, at)) {
				continue
			}
			if p, ok := tree.Bare(selects.Targets[at].Expr).(*tree.Param); ok {
				if isOtherBlob(args(p.Index)) {
					return false
				}
				continue
			}
			if typ := s.typeOf(tables, selects.Targets[at].Expr); typ == "BLOB" || typ == "" {
				return false
			}
		}
		return true
	})
}

// names reports whether an INSERT names a column of that type.
func (l *look) names(tables Tables, i *tree.Insert, columnType string) bool {
	t := l.table(tables, i.Table.Name)
	if t == nil {
		return false
	}
	if len(i.Columns) == 0 {
		for at := range t.Columns {
			if t.Columns[at].Type == columnType {
				return true
			}
		}
		return false
	}
	for _, name := range i.Columns {
		if c := t.Column(name.Name); c != nil && c.Type == columnType {
			return true
		}
	}
	return false
}

// uuidLength is the length of a UUID in bytes.
const uuidLength = 16

// blobFor refuses a blob of the wrong length, if into reports that it is stored in a
// UUID column.
func (l *look) blobFor(x tree.Expr, into func(Tables) bool) {
	switch x := tree.Bare(x).(type) {
	case *tree.Literal:
		if x.Kind == tree.Blob && len(x.Bytes()) != uuidLength {
			l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool { return !into(tables) })
		}
	case *tree.Param:
		l.refuseTables(x, "", func(args Args) bool { return isOtherBlob(args(x.Index)) },
			func(tables Tables, _ Args) bool { return !into(tables) })
	case *tree.Case:
		for _, w := range x.Whens {
			l.blobFor(w.Then, into)
		}
		if x.Else != nil {
			l.blobFor(x.Else, into)
		}
	case *tree.Cast:
		if x.Type == "BLOB" {
			l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool { return !into(tables) })
		}
	case *tree.Call: // COALESCE and the like return an argument
		for _, arg := range x.Args {
			l.blobFor(arg, into)
		}
	case *tree.Subquery:
		if len(x.Query.Targets) == 1 && x.Query.Targets[0].Expr != nil {
			s := scopeOf(x.Query, nil)
			target := x.Query.Targets[0].Expr
			l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool {
				typ := s.typeOf(tables, target)
				return typ != "BLOB" && typ != "" || !into(tables)
			})
		}
	}
}

func isOtherBlob(v driver.Value) bool {
	b, ok := v.([]byte)
	return ok && len(b) != uuidLength
}

func (l *look) castToUUID(c *tree.Cast, s scope) {
	switch x := tree.Bare(c.Expr).(type) {
	case *tree.Literal:
		if x.Kind == tree.Blob && len(x.Bytes()) != uuidLength {
			l.refuse(c, "")
		}
	case *tree.Param:
		l.refuseArgument(x, "", func(v driver.Value) bool { return !isOtherBlob(v) })
	default:
		l.refuseTables(c, "", nil, func(tables Tables, _ Args) bool {
			typ := s.typeOf(tables, x)
			return typ != "BLOB" && typ != ""
		})
	}
}

// scope holds the tables and sources to which the columns of an expression may belong.
type scope struct {
	sources []tree.Source
	common  []*tree.CommonTable
	target  string // the table of INSERT, UPDATE or DELETE; "" in a query
	outer   *scope
}

func scopeOf(s *tree.Select, outer *scope) scope {
	sc := scope{outer: outer}
	if outer != nil {
		sc.common = outer.common
	}
	if s.From != nil {
		sc.sources = append(sc.sources, s.From)
	}
	for _, j := range s.Joins {
		sc.sources = append(sc.sources, j.Source)
	}
	return sc
}

// within is the scope of the parts of n.
func (s scope) within(n tree.Node) scope {
	switch n := n.(type) {
	case *tree.Select:
		return scopeOf(n, &s)
	case *tree.With:
		s.common = append(s.common[:len(s.common):len(s.common)], n.Tables...)
	}
	return s
}

// scoped calls f for each part of the statement with its scope.
func (l *look) scoped(f func(tree.Node, scope)) { scoped(l.st, scope{target: changed(l.st)}, f) }

func scoped(n tree.Node, s scope, f func(tree.Node, scope)) {
	s = s.within(n)
	tree.Inspect(n, func(m tree.Node) bool {
		if m == n {
			return true
		}
		f(m, s)
		switch m.(type) {
		case *tree.Select, *tree.With:
			scoped(m, s, f)
			return false
		}
		return true
	})
}

// typeOf returns the type of an expression, or "" if it is not known.
func (s *scope) typeOf(tables Tables, x tree.Expr) string {
	switch x := tree.Bare(x).(type) {
	case *tree.Literal:
		return map[tree.LiteralKind]string{tree.Null: "NULL", tree.Bool: "BOOLEAN", tree.Integer: "INTEGER", tree.Float: "FLOAT",
			tree.String: "VARCHAR", tree.Blob: "BLOB"}[x.Kind]
	case *tree.Cast:
		return x.Type
	case *tree.Column:
		return s.columnType(tables, x)
	case *tree.Call:
		switch x.Name.Name {
		case "random_uuid":
			return "UUID"
		case "concat", "upper", "lower", "trim", "substring", "substr", "replace", "lpad", "rpad", "repeat", "left", "right", "reverse", "md5":
			return "VARCHAR"
		}
	}
	return ""
}

// isKnown reports whether the scope reads only tables whose columns are known.
func (s *scope) isKnown(tables Tables) bool {
	for ; s != nil; s = s.outer {
		for _, source := range s.sources {
			t, ok := source.(*tree.Table)
			if !ok || s.isCommon(t.Name.Name) || tables.Table(t.Name.Name) == nil {
				return false
			}
		}
	}
	return true
}

func (s *scope) isCommon(name string) bool {
	return slices.ContainsFunc(s.common, func(t *tree.CommonTable) bool { return t.Name.Name == name })
}

// columnType finds the type of a column in the scope.
func (s *scope) columnType(tables Tables, c *tree.Column) string {
	for ; s != nil; s = s.outer {
		if s.target != "" && (!c.Table.Given() || c.Table.Name == s.target) {
			if found := tables.Table(s.target).Column(c.Name.Name); found != nil {
				return found.Type
			}
		}
		for _, source := range s.sources {
			if typ := s.typeIn(tables, source, c); typ != "" {
				return typ
			}
		}
	}
	return ""
}

// typeIn returns the type of a column of a source, or "" if it has no such column or
// the type is not known.
func (s *scope) typeIn(tables Tables, source tree.Source, c *tree.Column) string {
	switch source := source.(type) {
	case *tree.Table:
		name := source.Alias.Name
		if name == "" {
			name = source.Name.Name
		}
		if c.Table.Given() && c.Table.Name != name {
			return ""
		}
		for _, common := range s.common {
			if common.Name.Name == source.Name.Name {
				return typeOfTarget(tables, common.Query, c.Name.Name)
			}
		}
		if found := tables.Table(source.Name.Name).Column(c.Name.Name); found != nil {
			return found.Type
		}
	case *tree.Derived:
		if !c.Table.Given() || c.Table.Name == source.Alias.Name {
			return typeOfTarget(tables, source.Query, c.Name.Name)
		}
	}
	return ""
}

// typeOfTarget returns the type of a column of a query's result, or "".
func typeOfTarget(tables Tables, q tree.Query, name string) string {
	for {
		b, ok := q.(*tree.Brackets)
		if !ok {
			break
		}
		q = b.Query
	}
	sel, ok := q.(*tree.Select)
	if !ok {
		return ""
	}
	s := scopeOf(sel, nil)
	if sel.Star {
		return s.columnType(tables, &tree.Column{Name: tree.Ident{Name: name}})
	}
	for i := range sel.Targets {
		t := &sel.Targets[i]
		c, isColumn := t.Expr.(*tree.Column)
		if t.Alias.Given() && t.Alias.Name == name || !t.Alias.Given() && isColumn && c.Name.Name == name {
			return s.typeOf(tables, t.Expr)
		}
	}
	return ""
}
