package entimmudb

import (
	"context"
	"slices"
)

// update is an UPDATE.
type update struct {
	table string
	known *table
	set   []assignment
	where []any // parts of the text, from WHERE on
}

// readUpdate reads an UPDATE. It returns nil for one that the server runs as it is.
func (c conn) readUpdate(query string, args []any) (*write, error) {
	rest := split(query)
	rest.take("UPDATE")
	up := &update{table: name(rest.next())}
	up.known = c.tables[up.table]
	if up.known == nil || len(up.known.sparse) == 0 || !rest.take("SET") {
		return nil, nil
	}
	var ok bool
	if up.set, ok = readSet(&rest); !ok || !slices.ContainsFunc(up.known.sparse, func(key []string) bool { return up.sets(key, args) }) {
		return nil, nil
	}
	where := rest.until("RETURNING")
	if len(where) > 0 {
		up.where = []any{" ", where}
	}
	var returning tokens
	if rest.take("RETURNING") {
		returning = rest
	}
	return &write{args, func(ctx context.Context, s step) (*answer, error) {
		if err := up.check(ctx, s); err != nil {
			return nil, err
		}
		return s.exec(ctx, returning, up.parts()...)
	}}, nil
}

func (up *update) parts() []any {
	parts := []any{"UPDATE " + quote(up.table) + " SET "}
	for i, a := range up.set {
		if i > 0 {
			parts = append(parts, ", ")
		}
		parts = append(parts, quote(a.column)+" = ", a.value)
	}
	return append(parts, up.where...)
}

// sets reports whether the UPDATE gives a column of an index a value other than NULL.
func (up *update) sets(key []string, args []any) bool {
	return slices.ContainsFunc(up.set, func(a assignment) bool {
		return slices.Contains(key, a.column) && !a.value.isNull(args)
	})
}

// check looks for rows that would be duplicates in the indexes that the server does not
// check.
func (up *update) check(ctx context.Context, s step) error {
	for _, key := range up.known.sparse {
		if up.sets(key, s.args) {
			if err := up.checkIndex(ctx, s, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (up *update) checkIndex(ctx context.Context, s step, key []string) error {
	before, err := s.query(ctx, append([]any{"SELECT " + quoteAll(slices.Concat(up.known.primary, key)) + " FROM " + quote(up.table)}, up.where...)...)
	if err != nil {
		return err
	}
	n := len(up.known.primary)
	changed, after := make(map[string]bool), make(map[string]bool)
	for _, row := range before.rows {
		changed[identities(row[:n])] = true
	}
	for _, row := range before.rows {
		values := row[n:]
		for _, a := range up.set {
			if i := slices.Index(key, a.column); i >= 0 {
				v, ok := a.value.argument(s.args)
				if !ok && !a.value.isNull(s.args) {
					return unsupported("an expression for column %s of table %s, which is unique and may be NULL: give it a value", a.column, up.table)
				}
				values[i] = v
			}
		}
		if slices.ContainsFunc(values, isNil) {
			continue
		}
		if id := identities(values); after[id] {
			return duplicate(up.table, key)
		} else {
			after[id] = true
		}
		parts := []any{"SELECT " + quoteAll(up.known.primary) + " FROM " + quote(up.table) + " WHERE "}
		for i, column := range key {
			if i > 0 {
				parts = append(parts, " AND ")
			}
			parts = append(parts, quote(column)+" = ", value{values[i]})
		}
		found, err := s.query(ctx, parts...)
		if err != nil {
			return err
		}
		for _, other := range found.rows {
			if !changed[identities(other)] {
				return duplicate(up.table, key)
			}
		}
	}
	return nil
}
