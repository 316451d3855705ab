package feedtest

import (
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// The values of a change are those that were written, of the types that a query gives.
func TestAChangeHasTheValuesThatWereWritten(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	for _, statement := range dbtest.ValuesTable {
		dbtest.Exec(t, db, statement)
	}
	values := dbtest.Values()
	for i, v := range values {
		dbtest.Exec(t, db, "INSERT INTO vals (id, "+v.Column+") VALUES (?, ?)", i, v.Arg)
	}
	n := 0
	for _, c := range all(t, db, immudb.ChangesOptions{Tables: []string{"vals"}}) {
		if c.Kind == immudb.ChangeSchema {
			continue
		}
		v := values[n]
		if got, ok := c.Row.Value(v.Column); !ok || !v.Same(got) || c.Key()[0] != int64(n) {
			t.Errorf("column %s: wrote %.80q (%T), the change of row %v has %.80q (%T)", v.Column, v.Arg, v.Arg, c.Key(), got, got)
		}
		n++
	}
	if n != len(values) {
		t.Errorf("%d changes of %d rows", n, len(values))
	}
}
