package eval_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
	"github.com/immudb-go/immudb/internal/testserver"
)

// orderTerms are the expressions of ORDER BY. For some of them there is an index.
var orderTerms = []string{"id", "n", "m", "f", "g", "b", "s", "r", "k", "x", "y", "ts", "t2", "u", "w", "v.n", "(f)", "id % 3", "n < 5", "n IS NULL", "-id"}

// Rows in the server's order, for random ORDER BY and LIMIT, are accepted. They are
// refused when two unequal rows have changed places.
func TestOnlyTheServersOrderIsAccepted(t *testing.T) {
	db := dbtest.Open(t)
	const seed = 15
	fill(t, db, rand.New(rand.NewPCG(seed, 0)), 60, false)
	for _, index := range []string{"n", "n, f", "f", "f, n", "ts", "ts, r", "r", "x", "b, ts", "u"} {
		dbtest.Exec(t, db, "CREATE INDEX ON v("+index+")")
	}
	swapped := 0
	for round := range testserver.Rounds(t, 200, 1500) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(round)))}
		text := "SELECT * FROM v"
		if g.IntN(3) == 0 {
			text += " WHERE " + pick(g.Rand, []string{"n = 1", "f = 1.0", "b = TRUE", "id > 10", "n >= 1 AND n <= 1", "ts IS NOT NULL"})
		}
		text += " ORDER BY " + g.terms()
		if g.IntN(3) == 0 {
			text += fmt.Sprint(" LIMIT ", g.IntN(30)) // 0 is none
		}
		if g.IntN(4) == 0 {
			text += fmt.Sprint(" OFFSET ", g.IntN(30))
		}
		rows, err := read(db, text, anys(g.args)...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := checkAll(t, text, rows, g.args...); err != nil {
			t.Errorf("seed %d, round %d: %s: %v", seed, round, text, err)
		}
		if len(rows) < 2 {
			continue
		}
		// Exchange two neighbouring rows.
		i := g.IntN(len(rows) - 1)
		j := i + 1 + g.IntN(len(rows)-i-1)
		rows[i], rows[j] = rows[j], rows[i]
		pair := text[:strings.Index(text, " ORDER BY")] + " ORDER BY " + orderOf(text)
		if checkAll(t, pair, [][]driver.Value{rows[i], rows[j]}, g.args...) == nil {
			continue // this order is allowed too
		}
		swapped++
		if err := checkAll(t, text, rows, g.args...); !isContradiction(err, "ORDER BY") {
			t.Errorf("seed %d, round %d: %s: err = %v after rows %d and %d have changed places", seed, round, text, err, i, j)
		}
	}
	if swapped < testserver.Rounds(t, 200, 1500)/4 {
		t.Errorf("only %d answers were altered", swapped)
	}
}

func orderOf(text string) string {
	_, text, _ = strings.Cut(text, "ORDER BY ")
	text, _, _ = strings.Cut(text, " LIMIT")
	text, _, _ = strings.Cut(text, " OFFSET")
	return text
}

func (g *generator) terms() string {
	var list []string
	for range 1 + g.IntN(3) {
		list = append(list, pick(g.Rand, orderTerms)+pick(g.Rand, []string{"", "", " ASC", " DESC", " DESC"})+
			pick(g.Rand, []string{"", "", "", " NULLS FIRST", " NULLS LAST"}))
	}
	if g.IntN(8) == 0 {
		g.args = append(g.args, int64(3))
		return "id % ?, id DESC"
	}
	return strings.Join(list, ", ")
}

// checkAll checks the rows of a result and returns the first error.
func checkAll(t *testing.T, text string, rows [][]driver.Value, args ...driver.Value) error {
	t.Helper()
	b := bind(t, text, args)
	for _, row := range rows {
		row = slices.Clone(row)
		if err := b.Check(row); err != nil {
			return err
		}
		for i, v := range row { // as the driver does
			if bytes, ok := v.([]byte); ok {
				row[i] = bytes[:len(bytes):len(bytes)]
			}
		}
	}
	return nil
}

func isContradiction(err error, clause string) bool {
	var c *eval.Contradiction
	return errors.As(err, &c) && c.Clause == clause
}

// If values and keys of an index are ordered differently, the server may use either
// order.
func TestOrderOfValuesAndOrderOfKeysAreAccepted(t *testing.T) {
	zero, ancient := time.Unix(0, 0).UTC(), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	far := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC) // its nanoseconds overflow to a time before 1970
	minus := math.Copysign(0, -1)
	row := func(f, ts any, n any) []driver.Value {
		r := make([]driver.Value, len(columns))
		r[1], r[3], r[11] = n, f, ts
		return r
	}
	for _, c := range []struct {
		order string
		rows  [][]driver.Value
		want  bool
	}{
		{"ts", [][]driver.Value{row(nil, ancient, nil), row(nil, zero, nil), row(nil, far, nil)}, true},
		{"ts", [][]driver.Value{row(nil, far, nil), row(nil, zero, nil)}, true},
		{"ts DESC", [][]driver.Value{row(nil, zero, nil), row(nil, far, nil)}, true},
		{"ts, n DESC", [][]driver.Value{row(nil, far, nil), row(nil, zero, nil)}, false}, // an index has one direction only
		{"ts", [][]driver.Value{row(nil, far, nil), row(nil, zero, nil), row(nil, nil, nil)}, false},
		{"ts", [][]driver.Value{row(nil, ancient, nil), row(nil, far, nil), row(nil, ancient, nil)}, false},
		{"f, n", [][]driver.Value{row(minus, nil, int64(5)), row(0.0, nil, int64(1))}, true},
		{"f, n", [][]driver.Value{row(0.0, nil, int64(1)), row(minus, nil, int64(5))}, true},
		{"f, n", [][]driver.Value{row(0.0, nil, int64(5)), row(minus, nil, int64(1))}, false},
		{"n NULLS LAST", [][]driver.Value{row(nil, nil, nil), row(nil, nil, int64(1))}, false},
		{"n NULLS LAST", [][]driver.Value{row(nil, nil, int64(1)), row(nil, nil, nil)}, true},
		{"n", [][]driver.Value{row(nil, nil, int64(1)), row(nil, nil, nil)}, false},
	} {
		err := checkAll(t, "SELECT * FROM v ORDER BY "+c.order, c.rows)
		if c.want != (err == nil) || !c.want && !isContradiction(err, "ORDER BY") {
			t.Errorf("ORDER BY %s: err = %v for %v", c.order, err, c.rows)
		}
	}
}

func TestOrderOfNaNIsUnsupported(t *testing.T) {
	row := func(f float64) []driver.Value {
		r := make([]driver.Value, len(columns))
		r[3] = f
		return r
	}
	sorted := [][]driver.Value{row(1), row(2), row(math.NaN())} // the order of an index
	if err := checkAll(t, "SELECT * FROM v ORDER BY f", sorted); err != nil {
		t.Error(err)
	}
	var u *eval.Unsupported
	slices.Reverse(sorted)
	if err := checkAll(t, "SELECT * FROM v ORDER BY f", sorted); !errors.As(err, &u) {
		t.Errorf("err = %v, want *Unsupported", err)
	}
}

func TestRowsBeyondLimitContradictIt(t *testing.T) {
	for text, most := range map[string]int{
		"LIMIT 2": 2, "LIMIT 1 + 1": 2, "LIMIT 2.9": 2, "LIMIT '2'": 2, "FETCH FIRST 2 ROWS ONLY": 2, "LIMIT ?": 2, "LIMIT 2 OFFSET 1": 2,
		"LIMIT 0": 5, "LIMIT ALL": 5, "OFFSET 1": 5,
	} {
		var args []driver.Value
		if strings.Contains(text, "?") {
			args = []driver.Value{int64(2)}
		}
		b := bind(t, "SELECT * FROM v "+text, args)
		for n := 1; n <= 5; n++ {
			err := b.Check(make([]driver.Value, len(columns)))
			if (n <= most) != (err == nil) || n > most && !isContradiction(err, "LIMIT") {
				t.Errorf("%s, row %d: err = %v", text, n, err)
			}
		}
	}
}

// LIMIT means the same as on the server.
func TestLimitIsTheServers(t *testing.T) {
	db := dbtest.Open(t)
	fill(t, db, rand.New(rand.NewPCG(16, 0)), 5, false)
	for _, text := range []string{"LIMIT 2", "LIMIT 1 + 1", "LIMIT 2.9", "LIMIT '2'", "FETCH FIRST 2 ROWS ONLY", "LIMIT 0", "LIMIT ALL",
		"LIMIT -1", "LIMIT TRUE", "LIMIT NULL", "LIMIT 'x'", "LIMIT 2147483648", "LIMIT 1/0", "OFFSET 2"} {
		text = "SELECT * FROM v " + text
		rows, err := read(db, text)
		q, evalErr := compile(t, text)
		if evalErr == nil {
			var b *eval.Bound
			if b, evalErr = q.Bind(columns, nil); evalErr == nil {
				for _, row := range rows {
					if err := b.Check(row); err != nil {
						t.Errorf("%s: %v", text, err)
					}
				}
			}
		}
		if (err == nil) != (evalErr == nil) {
			t.Errorf("%s: the server says %v, the evaluation %v", text, err, evalErr)
		}
	}
}
