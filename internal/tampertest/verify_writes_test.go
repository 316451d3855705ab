package tampertest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

const proveWrites = "verify=trust-first-use,writes"

// provenWrites has the tables t, u and log behind a proxy, and proves what is written.
func provenWrites(t *testing.T, options ...string) (*tamperproxy.Proxy, *sql.DB) {
	t.Helper()
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, append([]string{proveWrites}, options...)...))
	for _, name := range []string{"t", "u"} {
		dbtest.Exec(t, db, "CREATE TABLE "+name+" (id INTEGER, owner VARCHAR[40], amount INTEGER DEFAULT 5, PRIMARY KEY id)")
	}
	dbtest.Exec(t, db, "CREATE TABLE log (id INTEGER AUTO_INCREMENT, owner VARCHAR[40], PRIMARY KEY id)")
	return p, db
}

// waysToWrite write the row (id, owner) of t and perhaps others.
var waysToWrite = map[string]func(t *testing.T, db *sql.DB, id int, owner string) error{
	"Exec": func(t *testing.T, db *sql.DB, id int, owner string) error {
		_, err := db.Exec("INSERT INTO t (id, owner, amount) VALUES (?, ?, 1)", id, owner)
		return err
	},
	"literals": func(t *testing.T, db *sql.DB, id int, owner string) error {
		_, err := db.Exec(fmt.Sprintf("UPSERT INTO t (id, owner) VALUES (%d, '%s'), (%d, 'another')", id, owner, id+100000))
		return err
	},
	"names": func(t *testing.T, db *sql.DB, id int, owner string) error {
		_, err := db.Exec("INSERT INTO t (owner, id) VALUES (@owner, @id); INSERT INTO log (owner) VALUES (@owner), (NULL)", sql.Named("id", id), sql.Named("owner", owner))
		return err
	},
	"RETURNING": func(t *testing.T, db *sql.DB, id int, owner string) error {
		var amount int
		return db.QueryRow("INSERT INTO t (id, owner) VALUES ($1, $2) RETURNING amount", id, owner).Scan(&amount)
	},
	"transaction": func(t *testing.T, db *sql.DB, id int, owner string) error {
		tx := dbtest.Begin(t, db, nil)
		defer tx.Rollback()
		for _, text := range []string{
			"UPDATE u SET amount = 0 WHERE id > 0",
			fmt.Sprintf("INSERT INTO t (id, owner) VALUES (%d, 'to be replaced')", id),
			fmt.Sprintf("UPSERT INTO t (id, owner) VALUES (%d, '%s')", id, owner),
			"INSERT INTO log (owner) VALUES ('the log')",
		} {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
		return tx.Commit()
	},
	"savepoint": func(t *testing.T, db *sql.DB, id int, owner string) error {
		tx := dbtest.Begin(t, db, nil)
		defer tx.Rollback()
		for _, text := range []string{
			"SAVEPOINT a", "INSERT INTO t (id, owner) VALUES (-1, 'undone')", "ROLLBACK TO a",
			fmt.Sprintf("INSERT INTO t (id, owner) VALUES (%d, '%s')", id, owner),
		} {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
		return tx.Commit()
	},
	"CopyFrom": func(t *testing.T, db *sql.DB, id int, owner string) error {
		_, err := immudb.CopyFrom(t.Context(), db, "t", []string{"owner", "id"}, dbtest.Rows([]any{owner, id}, []any{nil, id + 100000}), nil)
		return err
	},
}

// liesAboutWrites change a statement on its way to the server's storage: the server runs
// and proves something else than what was sent.
var liesAboutWrites = map[string]func(request []byte) []byte{
	"another value": func(req []byte) []byte { return bytes.ReplaceAll(req, []byte("alice"), []byte("mallo")) },
	"another table": func(req []byte) []byte {
		for _, verb := range []string{"INSERT INTO ", "UPSERT INTO "} {
			req = bytes.ReplaceAll(req, []byte(verb+"t "), []byte(verb+"u "))
			req = bytes.ReplaceAll(req, []byte(verb+"\"t\""), []byte(verb+"\"u\""))
		}
		return req
	},
	"another column": func(req []byte) []byte {
		return bytes.ReplaceAll(req, []byte("alice'"), []byte("al'||''"))
	},
}

func TestRowThatIsNotTheOneSentIsRefused(t *testing.T) {
	for _, option := range []string{"group_commit=0", "group_commit=8"} {
		p, db := provenWrites(t, option)
		id := 0
		for what, write := range waysToWrite {
			id++
			if err := write(t, db, id, "alice"); err != nil {
				t.Fatalf("%s, %s: the honest server is refused: %v", option, what, err)
			}
			for lie, change := range liesAboutWrites {
				changed := false
				p.Tamper(func(method string, msg []byte) []byte {
					if method != "SQLExec" && !strings.HasPrefix(method, "TxSQL") {
						return msg
					}
					now := change(bytes.Clone(msg))
					if len(now) != len(msg) {
						return msg
					}
					changed = changed || !bytes.Equal(now, msg)
					return now
				}, nil)
				id++
				err := write(t, db, id, "alice")
				p.Tamper(nil, nil)
				if !changed {
					continue // the lie does not fit this way
				}
				if mustBeTampering(t, err); t.Failed() {
					t.Fatalf("%s, %s, %s: a lie is accepted", option, what, lie)
				}
			}
		}
	}
}

// A row that nobody sent must not be in the transaction, whatever table it is of.
func TestRowThatWasNotSentIsRefused(t *testing.T) {
	p, db := provenWrites(t)
	for _, table := range []string{"t", "u"} {
		const sent = "INSERT INTO t (id, owner, amount) VALUES (1, 'x',                                          1)"
		extra := "INSERT INTO t (id, owner, amount) VALUES (1, 'x', 1);INSERT INTO " + table + " (id) VALUES (9);"
		extra += strings.Repeat(" ", len(sent)-len(extra))
		p.Tamper(on("SQLExec", func(req []byte) []byte { return bytes.Replace(req, []byte(sent), []byte(extra), 1) }), nil)
		_, err := db.Exec(sent)
		p.Tamper(nil, nil)
		if mustBeTampering(t, err); t.Failed() {
			t.Fatalf("a row of %s that was not sent is accepted", table)
		}
		dbtest.Exec(t, db, "DELETE FROM t WHERE id > 0")
	}
}

func TestFalseLastInsertIdIsRefused(t *testing.T) {
	p, db := provenWrites(t)
	insert := func() (int64, error) {
		res, err := db.Exec("INSERT INTO log (owner) VALUES ('ann'), ('bob')")
		if err != nil {
			return 0, err
		}
		return res.LastInsertId()
	}
	for want := int64(2); want <= 4; want += 2 {
		if id, err := insert(); id != want || err != nil {
			t.Fatalf("the honest server: %d, %v", id, err)
		}
	}
	p.Tamper(nil, on("SQLExec", func(answer []byte) []byte {
		// An entry of the maps of keys: field 1 is the table, field 2 a value of 2 bytes.
		head := []byte("\x0a\x03log\x12\x02")
		for at := 0; ; {
			i := bytes.Index(answer[at:], head)
			if i < 0 {
				return answer
			}
			at += i + len(head)
			answer[at+1]++
		}
	}))
	_, err := insert()
	mustBeTampering(t, err)
}

// What the driver was not told to write cannot be compared, and is not refused.
func TestWritesThatDependOnTheServersRowsAreNotCompared(t *testing.T) {
	_, db := provenWrites(t)
	for _, text := range []string{
		"INSERT INTO t (id, owner) VALUES (1, 'ann'), (2, 'bob')",
		"UPDATE t SET amount = amount + 1 WHERE id > 0",
		"INSERT INTO u (id, owner) SELECT id, owner FROM t",
		"INSERT INTO t (id, owner) VALUES (1, 'eve') ON CONFLICT DO NOTHING",
		"INSERT INTO t (id, owner) VALUES (3, 'eve'); DELETE FROM t WHERE id = 3",
		"UPSERT INTO t (id, amount) VALUES (4, 1 + 2), (5, CAST('7' AS INTEGER))",
		"ALTER TABLE t RENAME COLUMN owner TO holder; INSERT INTO t (id, holder) VALUES (6, 'ann')",
		"INSERT INTO t (id, holder) VALUES (7, 'ann')",
		"DROP TABLE u; CREATE TABLE u (id INTEGER, at TIMESTAMP, PRIMARY KEY id); INSERT INTO u (id, at) VALUES (1, NOW())",
		"INSERT INTO u (id) VALUES (2)",
		"TRUNCATE TABLE u",
		"INSERT INTO u (id, at) VALUES (3, NULL)",
		"DELETE FROM u WHERE id > 0",
	} {
		if _, err := db.Exec(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The rows of an Exec are compared with its one transaction: the server commits the statements of a text together, also
// where some change the schema, and the driver refuses the texts that would make several.
func TestTextOfSeveralStatementsIsOneTransaction(t *testing.T) {
	p, db := provenWrites(t)
	var txs []int // in the answer to each call
	p.Tamper(nil, on("SQLExec", func(answer []byte) []byte {
		n := 0
		for rest := answer; len(rest) > 0; {
			num, typ, size := protowire.ConsumeField(rest)
			if size < 0 {
				t.Errorf("%v in an answer", protowire.ParseError(size))
				break
			}
			if num == 5 && typ == protowire.BytesType {
				n++
			}
			rest = rest[size:]
		}
		txs = append(txs, n)
		return answer
	}))
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", 100+i)
	}
	for _, text := range []string{
		"CREATE TABLE v (id INTEGER, PRIMARY KEY id); INSERT INTO v (id) VALUES (1)",
		"INSERT INTO t (id) VALUES (1); CREATE TABLE w (id INTEGER, PRIMARY KEY id); INSERT INTO w (id) VALUES (1); INSERT INTO t (id) VALUES (2)",
		"ALTER TABLE t ADD COLUMN more INTEGER; INSERT INTO t (id, more) VALUES (3, 4)",
		"TRUNCATE TABLE v; INSERT INTO v (id) VALUES (2)",
		"CREATE TABLE IF NOT EXISTS v (id INTEGER, PRIMARY KEY id); INSERT INTO v (id) VALUES (3)",
		strings.Join(many, ";"),
	} {
		txs = nil
		if _, err := db.Exec(text); err != nil || len(txs) == 0 || txs[0] != 1 {
			t.Errorf("%.60s: %v, transactions by call: %v", text, err, txs)
		}
	}
	for _, text := range []string{
		"INSERT INTO t (id) VALUES (4); COMMIT; INSERT INTO t (id) VALUES (5)",
		"BEGIN TRANSACTION; INSERT INTO t (id) VALUES (4); COMMIT; BEGIN TRANSACTION; INSERT INTO t (id) VALUES (5); COMMIT",
	} {
		txs = nil
		if _, err := db.Exec(text); !errors.Is(err, immudb.ErrUnsupported) || len(txs) > 0 {
			t.Errorf("%s: %v, transactions by call: %v", text, err, txs)
		}
	}
}
