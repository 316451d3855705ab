package eval_test

import (
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
)

// Names of tables, and of targets in ORDER BY, are resolved as the server does.
func TestNamesMeanWhatTheyMeanToTheServer(t *testing.T) {
	db := dbtest.Open(t)
	fill(t, db, rand.New(rand.NewPCG(17, 0)), 20, false)
	all, err := read(db, "SELECT * FROM v")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"SELECT id, -id AS n FROM v WHERE n > 0 ORDER BY n",
		"SELECT id, -id AS n FROM v ORDER BY v.n",
		"SELECT id, -id AS n FROM v ORDER BY N DESC",
		"SELECT id, n AS m, m AS n FROM v ORDER BY m, n",
		"SELECT id, n AS n, m AS o FROM v ORDER BY n, o",
		"SELECT id, id % 3 FROM v ORDER BY 2, 1 DESC",
		"SELECT id, n x FROM v ORDER BY x DESC, id",
		"SELECT id FROM v AS a WHERE a.n > 0 ORDER BY a.n",
		"SELECT id FROM v a WHERE n > 0 AND A.f < 5.0",
		`SELECT id FROM "V" WHERE "N" > 0 AND "v"."F" < 5.0`,
		"SELECT id FROM v USE INDEX ON (id) WHERE n > 0",
		"SELECT id FROM v AS a WHERE v.n > 0",
		"SELECT id FROM v WHERE a.n > 0",
		"SELECT id FROM v WHERE nosuch > 0",
	} {
		answer, err := read(db, text)
		q, evalErr := compile(t, text)
		var b *eval.Bound
		if evalErr == nil {
			b, evalErr = q.Bind(columns, nil)
		}
		if (err == nil) != (evalErr == nil) {
			t.Errorf("%s: the server says %v, the evaluation %v", text, err, evalErr)
		}
		for _, row := range answer {
			if err := b.Check(all[row[0].(int64)]); err != nil {
				t.Errorf("%s: row %d: %v", text, row[0], err)
			}
		}
	}
}

func TestRowsOfMoreThanOneTableAreUnsupported(t *testing.T) {
	for text, construct := range map[string]string{
		"SELECT * FROM v JOIN u ON v.id = u.id":        "FROM",
		"SELECT * FROM v, u":                           "FROM",
		"SELECT * FROM (SELECT * FROM v)":              "FROM",
		"SELECT * FROM TABLES()":                       "FROM",
		"SELECT 1":                                     "FROM",
		"SELECT DISTINCT n FROM v":                     "DISTINCT",
		"SELECT n FROM v GROUP BY n":                   "GROUP BY",
		"SELECT COUNT(*) FROM v":                       "COUNT(*)",
		"SELECT ROW_NUMBER() OVER (ORDER BY n) FROM v": "ROW_NUMBER() OVER (ORDER BY n)",
		"SELECT LOWER(s) AS l FROM v ORDER BY l":       "LOWER(s)",
		"SELECT * FROM v ORDER BY 1":                   "1",
		"SELECT 5 AS k FROM v ORDER BY k":              "k",
		"SELECT * FROM v ORDER BY ?":                   "?",
	} {
		_, err := compile(t, text)
		var u *eval.Unsupported
		if !errors.As(err, &u) || u.Construct != construct {
			t.Errorf("%s: err = %v, want *Unsupported that names %s", text, err, construct)
		}
	}
}

func TestQueryIsBoundOnlyToWhatFitsIt(t *testing.T) {
	for text, construct := range map[string]string{
		"SELECT * FROM v WHERE nosuch = 1":      "column nosuch",
		"SELECT * FROM v WHERE j = '1'":         "column j",
		"SELECT * FROM v ORDER BY j":            "column j",
		"SELECT * FROM v WHERE n = $3":          "argument 3",
		"SELECT * FROM v WHERE n = $1 LIMIT $2": "LIMIT",
		"SELECT * FROM v LIMIT -1":              "LIMIT",
	} {
		q, err := compile(t, text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.Bind(columns, []driver.Value{int64(1), true})
		var u *eval.Unsupported
		if !errors.As(err, &u) || u.Construct != construct {
			t.Errorf("%s: err = %v, want *Unsupported that names %s", text, err, construct)
		}
	}
	q, err := compile(t, "SELECT * FROM v WHERE n = 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Bind([]eval.Column{{Name: "n", Type: "MONEY"}}, nil); err == nil || !strings.Contains(err.Error(), "MONEY") {
		t.Errorf("an unknown type: err = %v", err)
	}
	if _, err := q.Bind(columns, []driver.Value{uint8(1)}); err == nil {
		t.Error("an argument of a type that does not travel is taken")
	}
	row := make([]driver.Value, len(columns))
	row[1] = "1"
	b, err := q.Bind(columns, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Satisfies(row); err == nil || !strings.Contains(err.Error(), "column n") {
		t.Errorf("a value of another type than its column: err = %v", err)
	}
}

var everything = []driver.Value{int64(1), int64(2), nil, 1.5, nil, true, "abc", "b", "k", []byte("blob"), nil,
	time.Unix(0, 0).UTC(), nil, uuids[1], nil, []byte(`{"a": 1}`)}

// The null of JSON, which another client may have stored, is NULL to the server.
func TestNullOfJSONIsNull(t *testing.T) {
	b := bind(t, "SELECT * FROM v WHERE j IS NULL", nil)
	for j, want := range map[driver.Value]bool{nil: true, "null": true, " null ": true, "0": false, `"null"`: false, "[null]": false} {
		row := make([]driver.Value, len(columns))
		if row[15] = j; j != nil {
			row[15] = []byte(j.(string)) // the driver's type
		}
		if ok, err := b.Satisfies(row); ok != want || err != nil {
			t.Errorf("%v: %v, %v", j, ok, err)
		}
	}
}

const longCondition = `SELECT * FROM v WHERE n BETWEEN 1 AND 3 AND f * 2 > n AND (b OR m IS NULL) AND s LIKE 'a%' AND x = x'626c6f62'
	AND NOT (n IN (5, 6, ?)) AND ts < TIMESTAMP '2020-01-01' AND u = ? AND j IS NOT NULL ORDER BY n, s DESC, x, ts, u, f LIMIT 1000000000`

// A query may be shared, a Bound not.
func TestQueryIsSharedBetweenGoroutines(t *testing.T) {
	q, err := compile(t, longCondition)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b, err := q.Bind(columns, []driver.Value{int64(7), uuids[1]})
			for n := 0; n < 100 && err == nil; n++ {
				err = b.Check(everything)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCheckOfARowAllocatesNothing(t *testing.T) {
	b := bind(t, longCondition, []driver.Value{int64(7), uuids[1]})
	n := testing.AllocsPerRun(100, func() {
		if err := b.Check(everything); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	bound := bind(b, longCondition, []driver.Value{int64(7), uuids[1]})
	b.ReportAllocs()
	for b.Loop() {
		if err := bound.Check(everything); err != nil {
			b.Fatal(err)
		}
	}
}
