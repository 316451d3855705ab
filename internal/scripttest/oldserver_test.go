package scripttest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// A server that finds a syntax error in what immudb 1.11 can parse is asked once in each session whether it is older, and
// the error says that. A server that knows RETURNING has its own error told.
func TestAServerIsAskedOnceInASessionWhetherItIsOld(t *testing.T) {
	syntax := func(words, sql string) fakeserver.Rule {
		return fakeserver.Rule{SQL: sql, Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "syntax error: unexpected " + words, SQLState: "42601"}}}
	}
	missing := fakeserver.Rule{SQL: "RETURNING", Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "table does not exist (no_table_of_this_name)", SQLState: "42P01"}}}
	for _, row := range []struct {
		server string
		probe  fakeserver.Rule
		want   error
	}{
		{"an old server", syntax("IDENTIFIER", "RETURNING"), immudb.ErrUnsupported},
		{"a server of today", missing, immudb.ErrSyntax},
	} {
		t.Run(row.server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := fakeserver.New(fakeserver.Script{Rules: []fakeserver.Rule{syntax("CASE", "CASE"), row.probe}})
				defer fake.Close()
				conn := Conn(t, fake)
				defer func() { _ = conn.Close() }()
				query := "SELECT CASE WHEN id = 1 THEN 2 ELSE 3 END FROM t"
				fail := func() {
					t.Helper()
					_, err := conn.QueryContext(t.Context(), query, nil)
					if !errors.Is(err, row.want) || !strings.Contains(err.Error(), "unexpected CASE") {
						t.Errorf("err = %v, want %v with the server's words", err, row.want)
					}
				}
				probes := func() (n int) {
					for _, c := range fake.Calls() {
						if strings.Contains(c.SQL, "RETURNING") {
							n++
						}
					}
					return n
				}
				fail()
				fail()
				if n := probes(); n != 1 {
					t.Errorf("the server was asked %d times in one session, want once", n)
				}
				fake.Forget() // as a restart of the server, perhaps of another version
				if err := conn.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				fail()
				fail()
				if n := probes(); n != 2 {
					t.Errorf("the server was asked %d times in two sessions, want twice", n)
				}
			})
		})
	}
}
