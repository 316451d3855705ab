package bunimmudb_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// The values of the driver's tests, written by bun's methods, which write literals.
func TestHostileValuesComeBack(t *testing.T) {
	db, ctx := open(t), t.Context()
	for _, query := range dbtest.ValuesTable {
		_, err := db.NewRaw(query).Exec(ctx)
		must(t, err)
	}
	id := 0
	for _, v := range dbtest.Values() {
		if _, isArray := v.Arg.([16]byte); isArray {
			v.Arg = v.Want // bun makes a list of it; uuid.UUID is a Valuer, which gives a string
		}
		if text, isJSON := v.Arg.(json.RawMessage); isJSON && text == nil {
			continue // bun cannot tell it from a nil slice of bytes
		}
		insert := func(db bun.IDB, id int) error {
			_, err := db.NewInsert().Model(&map[string]any{"id": id, v.Column: v.Arg}).TableExpr("vals").Exec(ctx)
			return err
		}
		for way, write := range map[string]func(id int) error{
			"a map": func(id int) error { return insert(db, id) },
			"raw": func(id int) error {
				_, err := db.NewRaw("INSERT INTO vals (id, ?) VALUES (?, ?)", bun.Ident(v.Column), id, v.Arg).Exec(ctx)
				return err
			},
			"arguments": func(id int) error {
				_, err := db.DB.ExecContext(ctx, "INSERT INTO vals (id, "+v.Column+") VALUES (?, ?)", id, v.Arg)
				return err
			},
			"a transaction": func(id int) error {
				return db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return insert(tx, id) })
			},
		} {
			id++
			err := write(id)
			if way != "arguments" && cannotBeWritten(v) {
				if err == nil {
					t.Errorf("%s, column %s: %.80q is written", way, v.Column, v.Arg)
				}
				continue
			}
			want := v
			if way != "arguments" && v.Arg == 0.0 {
				want.Want = 0.0 // bun leaves the sign of zero out
			}
			if err != nil {
				t.Errorf("%s, column %s: %.80q (%T): %v", way, v.Column, v.Arg, v.Arg, err)
				continue
			}
			dbtest.CheckValue(t, db.DB, way, id, &want)
		}
	}
}

// cannotBeWritten are values for which bun writes no literal, or one that the server does not
// accept: these must be errors.
func cannotBeWritten(v dbtest.Value) bool {
	f, isFloat := v.Arg.(float64)
	s, isString := v.Arg.(string)
	text, isJSON := v.Arg.(json.RawMessage)
	return v.NoLiteral || isFloat && math.Abs(f) >= 1<<63 && !math.IsInf(f, 0) || isString && strings.Contains(s, "\x00") || isJSON && string(text) == "null"
}
