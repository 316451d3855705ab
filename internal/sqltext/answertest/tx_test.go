package answertest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A transaction sees its own writes, for all indexes and all kinds of queries.
func TestTransactionsSeeTheirWritesAsInSQLite(t *testing.T) {
	db, lite := both(t, true)
	for _, rows := range []string{rowsOfT, rowsOfU} {
		dbtest.Exec(t, lite, "INSERT "+rows)
		dbtest.Exec(t, db, "INSERT "+rows)
	}
	refusals := map[string]int{}
	compared, complete := 0, 0
	n := testserver.Rounds(t, 200, 300)
	for i := range n {
		ours, theirs := dbtest.Begin(t, db, nil), dbtest.Begin(t, lite, nil)
		g := newGenerator(3, uint64(i))
		var texts []string
		for range 2 + g.IntN(11) {
			g.args = nil
			if g.chance(0.4) {
				text := g.write()
				texts = append(texts, text)
				res, err := ours.Exec(text, g.args...)
				want, liteErr := theirs.Exec(text, g.args...)
				if err != nil {
					if !errors.Is(err, immudb.ErrUnsupported) && !(errors.Is(err, immudb.ErrDuplicateKey) && liteErr != nil) {
						t.Errorf("%s: %v, SQLite: %v", strings.Join(texts, "; "), err, liteErr)
					}
					refusals[reason(err)]++
					break
				}
				if liteErr != nil {
					t.Errorf("%s: SQLite says %v", strings.Join(texts, "; "), liteErr)
					break
				}
				got, _ := res.RowsAffected()
				if rows, _ := want.RowsAffected(); got != rows {
					t.Errorf("%s %v: %d rows, want %d", strings.Join(texts, "; "), g.args, got, rows)
				}
				continue
			}
			query, ordered := g.query()
			texts = append(texts, query)
			want, err := answer(theirs, ordered, query, g.args)
			if err != nil {
				t.Fatalf("SQLite: %s %v: %v", query, g.args, err)
			}
			got, err := answer(ours, ordered, query, g.args)
			switch {
			case errors.Is(err, immudb.ErrUnsupported):
				refusals[reason(err)]++
			case err != nil && strings.Contains(err.Error(), "column does not exist"):
				refusals["a subquery that the server cannot relate to a join"]++
			case err != nil:
				t.Errorf("%s %v: %v", strings.Join(texts, "; "), g.args, err)
			case got != want:
				t.Errorf("%s %v\ngot  %s\nwant %s", strings.Join(texts, "; "), g.args, got, want)
			default:
				compared++
			}
		}
		if ours.Rollback() == nil {
			complete++
		}
		if err := theirs.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range slices.Sorted(maps.Keys(refusals)) {
		t.Logf("%d × %s", refusals[r], r)
	}
	t.Logf("%d transactions, %d answers compared", complete, compared)
	if compared < n {
		t.Errorf("%d answers of %d transactions were compared", compared, n)
	}
}

// reason returns an error's text without the place in the query.
func reason(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, ": line "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	return text
}
