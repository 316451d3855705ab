package eval_test

import (
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// For random conditions, the evaluation selects the same rows as the server, and fails
// if the server fails.
func TestConditionsSelectTheSameRowsAsTheServer(t *testing.T) {
	db := dbtest.Open(t)
	const seed = 14
	r := rand.New(rand.NewPCG(seed, 0))
	fill(t, db, r, 60, true)
	all, err := read(db, "SELECT * FROM v")
	if err != nil || len(all) != 60 {
		t.Fatal(len(all), err)
	}
	var selective, failed, refused, rounds int
	for rounds = 0; rounds < testserver.Rounds(t, 500, 3000) && !t.Failed(); rounds++ {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(rounds)))}
		condition := g.condition(3)
		// The server plans with comparisons of a column and a constant, and may fail or
		// miss rows because of that. It does not plan with a condition under NOT (NOT (…)).
		for _, plain := range []bool{true, false} {
			text := "SELECT * FROM v WHERE "
			if plain {
				text += condition
			} else {
				text += "NOT (NOT (" + condition + "))"
			}
			holds, evalErr := evaluate(t, text, g.args, all)
			got, err := read(db, text, anys(g.args)...)
			ids := make([]int64, len(got))
			for i, row := range got {
				ids[i] = row[0].(int64)
			}
			missing := func(id int64) bool { return !slices.Contains(holds, id) }
			switch {
			case errors.Is(err, immudb.ErrUnsupported): // refused by the driver, without a request
				refused++
			case err == nil && evalErr == nil && slices.Equal(ids, holds):
			case err != nil && (evalErr != nil || plain):
			case err == nil && plain && strings.Contains(condition, "id") && !slices.ContainsFunc(ids, missing):
			default:
				t.Errorf("seed %d, round %d: %s, arguments %v:\nthe server answers %v, %v\nthe evaluation says %v, %v",
					seed, rounds, text, g.args, ids, err, holds, evalErr)
			}
			if !plain && evalErr != nil {
				failed++
			}
			if !plain && err == nil && len(ids) > 0 && len(ids) < len(all) {
				selective++
			}
		}
	}
	t.Logf("%d conditions: %d tell rows from others, %d fail, %d texts are refused by the driver", rounds, selective, failed, refused)
	if selective < rounds/4 || failed < rounds/50 || failed > rounds/2 || refused > rounds/5 {
		t.Error("the generator is of no use")
	}
}

// evaluate returns the ids of the rows for which the query's condition holds, or the
// first error.
func evaluate(t *testing.T, text string, args []driver.Value, rows [][]driver.Value) (ids []int64, err error) {
	t.Helper()
	b := bind(t, text, args)
	ids = []int64{}
	for _, row := range rows {
		ok, err := b.Satisfies(row)
		if err != nil {
			return nil, err
		}
		if ok {
			ids = append(ids, row[0].(int64))
		}
	}
	return ids, nil
}
