package entimmudb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"
)

// write is a statement that takes several steps.
type write struct {
	args []any
	run  func(ctx context.Context, s step) (*answer, error)
}

// step runs statements that are made of the parts of one.
type step struct {
	on   entsql.ExecQuerier
	args []any // of the whole statement
}

// value is a part of a statement that is sent as an argument.
type value struct{ v any }

// text makes a statement of parts: strings, tokens of the whole statement, and values.
func (s step) text(parts ...any) (string, []any) {
	var b strings.Builder
	var args []any
	arg := func(v any) {
		args = append(args, v)
		b.WriteString("$" + strconv.Itoa(len(args)))
	}
	for _, part := range parts {
		switch p := part.(type) {
		case string:
			b.WriteString(p)
		case value:
			arg(p.v)
		case tokens:
			for i, token := range p {
				if i > 0 && token != "." && p[i-1] != "." {
					b.WriteByte(' ')
				}
				if v, ok := (tokens{token}).argument(s.args); ok {
					arg(v)
				} else {
					b.WriteString(token)
				}
			}
		}
	}
	return b.String(), args
}

// query runs a statement that returns rows.
func (s step) query(ctx context.Context, parts ...any) (*answer, error) {
	text, args := s.text(parts...)
	return collect(ctx, s.on, text, args)
}

// exec runs a statement, and returns the rows that it wrote if they are asked for.
func (s step) exec(ctx context.Context, returning tokens, parts ...any) (*answer, error) {
	if returning != nil {
		return s.query(ctx, append(parts, " RETURNING ", returning)...)
	}
	text, args := s.text(parts...)
	res, err := s.on.ExecContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	n, err := res.RowsAffected()
	return &answer{written: n}, err
}

func quote(name string) string { return `"` + name + `"` }

func quoteAll(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }

// isNil reports whether database/sql would send an argument as NULL.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	if valuer, ok := v.(driver.Valuer); ok {
		plain, err := driver.DefaultParameterConverter.ConvertValue(valuer)
		return err == nil && plain == nil
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// identity is equal for equal values, whether they are arguments or were read.
func identity(v any) string {
	plain, err := driver.DefaultParameterConverter.ConvertValue(v)
	if err != nil {
		plain = v
	}
	switch v := plain.(type) {
	case []byte:
		plain = string(v)
	case time.Time:
		plain = v.UnixMicro()
	}
	return fmt.Sprintf("%T %v", plain, plain)
}

// identities is equal for equal rows.
func identities(row []any) string {
	var b strings.Builder
	for _, v := range row {
		b.WriteString(strconv.Quote(identity(v)))
	}
	return b.String()
}
