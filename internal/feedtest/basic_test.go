package feedtest

import (
	"slices"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// A change has the names of its own time: those of the table and columns as they were once it was committed.
func TestChangesHaveTheNamesOfTheirTime(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	for _, statement := range []string{
		"CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)",
		"INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', 10), (2, 'bob', 20)",
		"ALTER TABLE accounts RENAME COLUMN balance TO cents",
		"UPDATE accounts SET cents = 11 WHERE id = 1",
		"ALTER TABLE accounts ADD COLUMN note VARCHAR",
		"UPSERT INTO accounts (id, owner, cents, note) VALUES (2, 'bob', 21, 'x')",
		"DELETE FROM accounts WHERE id = 1",
		"ALTER TABLE accounts RENAME TO clients",
		"INSERT INTO clients (id, owner) VALUES (3, 'eve')",
		"ALTER TABLE clients DROP COLUMN note",
		"DROP TABLE clients",
		"CREATE TABLE clients (code VARCHAR[8], id INTEGER, PRIMARY KEY (code, id))",
		"INSERT INTO clients (code, id) VALUES ('a', 1)",
		"INSERT INTO clients (code, id) VALUES ('b', 2); UPSERT INTO clients (code, id) VALUES ('b', 2)",
		"INSERT INTO clients (code, id) VALUES ('c', 3); CREATE TABLE other (id INTEGER, PRIMARY KEY id); INSERT INTO other (id) VALUES (1); DROP TABLE clients",
		"TRUNCATE TABLE other",
		"INSERT INTO other (id) VALUES (2)",
	} {
		dbtest.Exec(t, db, statement)
	}
	want := []string{
		"accounts: the table is created",
		"upsert accounts [id][1]=[1 ann 10] of [id owner balance]",
		"upsert accounts [id][2]=[2 bob 20] of [id owner balance]",
		"accounts: column balance is renamed to cents",
		"upsert accounts [id][1]=[1 ann 11] of [id owner cents]",
		"accounts: column note is added",
		"upsert accounts [id][2]=[2 bob 21 x] of [id owner cents note]",
		"delete accounts [id][1]=[1 ann 11 <nil>] of [id owner cents note]",
		"accounts: the table is renamed to clients",
		"upsert clients [id][3]=[3 eve <nil> <nil>] of [id owner cents note]",
		"clients: column note is dropped",
		"clients: the table is dropped",
		"clients: the table is created",
		"upsert clients [code id][a 1]=[a 1] of [code id]",
		"upsert clients [code id][b 2]=[b 2] of [code id]",
		"upsert clients [code id][c 3]=[c 3] of [code id]",
		"clients: the table is dropped",
		"other: the table is created",
		"upsert other [id][1]=[1] of [id]",
		"other: the table is dropped",
		"other: the table is created",
		"upsert other [id][2]=[2] of [id]",
	}
	list := all(t, db, immudb.ChangesOptions{})
	var got []string
	for i := range list {
		got = append(got, inWords(&list[i]))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%q, want\n%q", got, want)
	}

	// The feed continues after each of them, in another program, from the text of the cursor.
	for i, c := range list {
		text := c.Cursor.String()
		cursor, err := immudb.ParseCursor(text)
		if err != nil || cursor != c.Cursor {
			t.Fatalf("%q is read as %v, %v", text, cursor, err)
		}
		var rest []string
		for _, c := range all(t, db, immudb.ChangesOptions{After: cursor}) {
			rest = append(rest, inWords(&c))
		}
		if !slices.Equal(rest, want[i+1:]) {
			t.Fatalf("after %q: got\n%q, want\n%q", want[i], rest, want[i+1:])
		}
	}
	// A pinned state is a cursor too.
	for i, c := range list {
		if i+1 < len(list) && list[i+1].TxID == c.TxID {
			continue
		}
		s, err := immudb.NewVerifier(db).Tx(t.Context(), c.TxID)
		if err != nil {
			t.Fatal(err)
		}
		cursor, err := immudb.ParseCursor(s.Pin())
		if err != nil {
			t.Fatal(err)
		}
		if rest := all(t, db, immudb.ChangesOptions{After: cursor}); len(rest) != len(list)-i-1 || len(rest) > 0 && rest[0].Cursor != list[i+1].Cursor {
			t.Fatalf("after the state %s: got %d changes, want %d", s.Pin(), len(rest), len(list)-i-1)
		}
	}
	// Of chosen tables, by the name of the time.
	var chosen []string
	for _, c := range all(t, db, immudb.ChangesOptions{Tables: []string{"Clients"}}) {
		chosen = append(chosen, inWords(&c))
	}
	if !slices.Equal(chosen, want[8:17]) {
		t.Errorf("got\n%q, want\n%q", chosen, want[8:17])
	}
}
