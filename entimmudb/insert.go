package entimmudb

import (
	"context"
	"slices"
	"strings"

	"github.com/immudb-go/immudb"
)

// insertion is an INSERT as ent writes it.
type insertion struct {
	table     string
	known     *table
	columns   []string
	rows      [][]tokens
	conflict  *conflict
	returning tokens
}

// conflict is ON CONFLICT.
type conflict struct {
	target []string
	set    []assignment // nil: DO NOTHING
}

type assignment struct {
	column string
	value  tokens
}

// readInsert reads an INSERT. It returns nil for one that the server runs as it is.
func (c conn) readInsert(query string, args []any) (*write, error) {
	rest := split(query)
	rest.take("INSERT", "INTO")
	ins := &insertion{table: name(rest.next())}
	ins.known = c.tables[ins.table]
	if rest.take("DEFAULT", "VALUES") {
		return ins.readDefaults(rest, args)
	}
	columns, ok := rest.list()
	if !ok || !rest.take("VALUES") {
		return nil, nil // the server accepts or refuses it
	}
	ins.columns = namesOf(columns)
	for {
		row, ok := rest.list()
		if !ok || len(row) != len(ins.columns) {
			return nil, nil
		}
		ins.rows = append(ins.rows, row)
		if !rest.take(",") {
			break
		}
	}
	if rest.take("ON", "CONFLICT") {
		if err := ins.readConflict(&rest); err != nil {
			return nil, err
		}
	}
	if rest.take("RETURNING") {
		ins.returning = rest
	}
	if ins.conflict == nil && !ins.checked() || ins.native() {
		return nil, nil
	}
	return &write{args, ins.run}, nil
}

// readDefaults is an INSERT of a row that names no column, for which the server has no
// statement.
func (ins *insertion) readDefaults(rest tokens, args []any) (*write, error) {
	if ins.known == nil || ins.known.spare == "" {
		return nil, unsupported("a row of table %s that names no column: set a field that is not the key", ins.table)
	}
	ins.columns, ins.rows = []string{ins.known.spare}, [][]tokens{{{"NULL"}}}
	if rest.take("ON", "CONFLICT") {
		if err := ins.readConflict(&rest); err != nil {
			return nil, err
		}
	}
	if rest.take("RETURNING") {
		ins.returning = rest
	}
	return &write{args, ins.run}, nil
}

func (ins *insertion) readConflict(rest *tokens) error {
	ins.conflict = &conflict{}
	if columns, ok := rest.list(); ok {
		ins.conflict.target = namesOf(columns)
		slices.Sort(ins.conflict.target)
	}
	switch {
	case rest.take("DO", "NOTHING"):
	case rest.take("DO", "UPDATE", "SET"):
		set, ok := readSet(rest)
		if !ok {
			return unsupported("this ON CONFLICT: %s", strings.Join(*rest, " "))
		}
		ins.conflict.set = set
		if ins.conflict.target == nil {
			return unsupported("ON CONFLICT DO UPDATE without columns: name those of the key with OnConflictColumns")
		}
	default:
		return unsupported("ON CONFLICT %s: name columns with OnConflictColumns, without WHERE", strings.Join(*rest, " "))
	}
	if len(*rest) > 0 && !strings.EqualFold((*rest)[0], "RETURNING") {
		return unsupported("ON CONFLICT … %s", strings.Join(*rest, " "))
	}
	if target := ins.conflict.target; target != nil && (ins.known == nil ||
		!slices.ContainsFunc(ins.known.keys(), func(key []string) bool { return sameColumns(key, target) })) {
		return unsupported("ON CONFLICT (%s): table %s has no primary key or unique index of these columns", strings.Join(target, ", "), ins.table)
	}
	return nil
}

// readSet reads the assignments of SET.
func readSet(rest *tokens) (set []assignment, ok bool) {
	for {
		column := rest.next()
		if !rest.take("=") {
			return nil, false
		}
		set = append(set, assignment{name(column), rest.until(",", "WHERE", "RETURNING")})
		if !rest.take(",") {
			return set, true
		}
	}
}

// checked reports whether the INSERT names a unique index that the driver checks.
func (ins *insertion) checked() bool {
	return ins.known != nil && slices.ContainsFunc(ins.known.sparse, ins.names)
}

// native reports whether the server's ON CONFLICT DO NOTHING, which is about the primary
// key, is what the INSERT asks for.
func (ins *insertion) native() bool {
	return ins.conflict != nil && ins.conflict.set == nil && ins.known != nil && len(ins.known.keys()) == 1
}

// edges reports whether a statement inserts rows of which the key is all, and ignores
// those that exist: edges of many to many.
func (c conn) edges(query string) bool {
	rest := split(query)
	rest.take("INSERT", "INTO")
	known := c.tables[name(rest.next())]
	columns, ok := rest.list()
	return ok && known != nil && sameColumns(namesOf(columns), known.primary) && strings.HasSuffix(query, " ON CONFLICT DO NOTHING")
}

func (ins *insertion) names(columns []string) bool {
	return !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(ins.columns, c) })
}

// value is what the row gives a column.
func (ins *insertion) value(row []tokens, column string) (tokens, bool) {
	i := slices.Index(ins.columns, column)
	if i < 0 {
		return nil, false
	}
	return row[i], true
}

// at is the condition that a row has the values of this one in the columns. It is nil if
// none can have them: a value is NULL, or made by the server.
func (ins *insertion) at(s step, row []tokens, columns []string) []any {
	where := []any{" WHERE "}
	for i, column := range columns {
		v, ok := ins.value(row, column)
		if !ok || v.isNull(s.args) {
			return nil
		}
		if i > 0 {
			where = append(where, " AND ")
		}
		where = append(where, quote(column)+" = ", v)
	}
	return where
}

// run writes the rows: in one INSERT, or each on its own if some may be there already.
func (ins *insertion) run(ctx context.Context, s step) (*answer, error) {
	if ins.conflict == nil {
		return ins.insert(ctx, s, ins.rows...)
	}
	out := &answer{}
	for rest := ins.returning; len(rest) > 0; rest.next() {
		out.columns = append(out.columns, name(strings.Join(rest.until(","), "")))
	}
	for _, row := range ins.rows {
		met, err := ins.meet(ctx, s, row)
		if err == nil && met == nil {
			met, err = ins.insert(ctx, s, row)
		}
		if err != nil {
			return nil, err
		}
		out.add(met)
	}
	return out, nil
}

func (ins *insertion) insert(ctx context.Context, s step, rows ...[]tokens) (*answer, error) {
	if ins.known != nil {
		for _, key := range ins.known.sparse {
			if err := ins.check(ctx, s, rows, key); err != nil {
				return nil, err
			}
		}
	}
	parts := []any{"INSERT INTO " + quote(ins.table) + " (" + quoteAll(ins.columns) + ") VALUES "}
	for i, row := range rows {
		if i > 0 {
			parts = append(parts, ", ")
		}
		for j, v := range row {
			if j == 0 {
				parts = append(parts, "(", v)
			} else {
				parts = append(parts, ", ", v)
			}
		}
		parts = append(parts, ")")
	}
	return s.exec(ctx, ins.returning, parts...)
}

// check looks for rows that have the values of a new one in the columns of an index.
func (ins *insertion) check(ctx context.Context, s step, rows [][]tokens, key []string) error {
	seen := make(map[string]bool)
	for _, row := range rows {
		where := ins.at(s, row, key)
		if where == nil {
			continue
		}
		var values []any
		for _, column := range key {
			v, _ := ins.value(row, column)
			arg, ok := v.argument(s.args)
			if !ok {
				return unsupported("an expression for column %s of table %s, which is unique and may be NULL: give it a value", column, ins.table)
			}
			values = append(values, arg)
		}
		found, err := s.query(ctx, append([]any{"SELECT " + quoteAll(ins.known.primary) + " FROM " + quote(ins.table)}, where...)...)
		if err != nil {
			return err
		}
		if id := identities(values); len(found.rows) > 0 || seen[id] {
			return duplicate(ins.table, key)
		} else {
			seen[id] = true
		}
	}
	return nil
}

// duplicate is the error of a unique index that the driver checks.
func duplicate(table string, key []string) error {
	return constraint{&duplicateKey{table, key}, "UNIQUE constraint failed"}
}

type duplicateKey struct {
	table string
	key   []string
}

func (e *duplicateKey) Error() string {
	return "entimmudb: duplicate key: another row of table " + e.table + " has this value of (" + strings.Join(e.key, ", ") + ")"
}
func (e *duplicateKey) Unwrap() error { return immudb.ErrDuplicateKey }

// meet does what ON CONFLICT says if the row is there already, and returns nil if it is
// not.
func (ins *insertion) meet(ctx context.Context, s step, row []tokens) (*answer, error) {
	if ins.conflict.set == nil {
		keys := [][]string{ins.conflict.target}
		if ins.conflict.target == nil && ins.known != nil {
			keys = ins.known.keys()
		}
		for _, key := range keys {
			if where := ins.at(s, row, key); where != nil {
				found, err := s.query(ctx, append([]any{"SELECT " + quote(key[0]) + " FROM " + quote(ins.table)}, where...)...)
				if err != nil {
					return nil, err
				}
				if len(found.rows) > 0 {
					return &answer{}, nil
				}
			}
		}
		return nil, nil
	}
	where := ins.at(s, row, ins.conflict.target)
	if where == nil {
		return nil, nil
	}
	set, err := ins.assignments(row)
	if err != nil {
		return nil, err
	}
	found, err := ins.update(ctx, s, set, where)
	if err != nil || found.written == 0 {
		return nil, err
	}
	return found, nil
}

// assignments are those of DO UPDATE for a row. Those that change nothing are left out:
// the server refuses to set a key.
func (ins *insertion) assignments(row []tokens) (set []assignment, err error) {
	for _, a := range ins.conflict.set {
		if a.value.column(ins.table) == a.column || slices.Contains(ins.conflict.target, a.column) && a.value.column("excluded") == a.column {
			continue
		}
		var own tokens
		for rest := a.value; len(rest) > 0; {
			if column := rest[:min(3, len(rest))].column("excluded"); column != "" {
				v, ok := ins.value(row, column)
				if !ok {
					return nil, unsupported("excluded.%s in ON CONFLICT: the row gives that column no value", column)
				}
				own = append(own, v...)
				rest = rest[3:]
				continue
			}
			own = append(own, rest.next())
		}
		set = append(set, assignment{a.column, own})
	}
	return set, nil
}

// update changes the row of a conflict, and returns it if RETURNING asks for it.
func (ins *insertion) update(ctx context.Context, s step, set []assignment, where []any) (*answer, error) {
	if len(set) == 0 {
		columns := ins.returning
		if columns == nil {
			columns = tokens{quoteAll(ins.known.primary)}
		}
		return s.query(ctx, append([]any{"SELECT ", columns, " FROM " + quote(ins.table)}, where...)...)
	}
	up := &update{table: ins.table, known: ins.known, set: set, where: where}
	if err := up.check(ctx, s); err != nil {
		return nil, err
	}
	return s.exec(ctx, ins.returning, up.parts()...)
}
