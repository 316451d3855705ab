package bunimmudb

import (
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
)

func TestRewrite(t *testing.T) {
	for _, row := range []struct {
		reason, query, want, table string
	}{
		{"indexes have no names", `CREATE UNIQUE INDEX IF NOT EXISTS "i" ON "t" ("a", "b")`, `CREATE UNIQUE INDEX IF NOT EXISTS ON "t" ("a", "b")`, ""},
		{"none to begin with", `CREATE INDEX ON t(a);`, `CREATE INDEX ON t(a)`, ""},
		{"UNIQUE becomes an index", `CREATE TABLE "t" ("a" INTEGER, PRIMARY KEY ("a"), UNIQUE ("b"), CONSTRAINT "k" UNIQUE ("c", "d"))`,
			`CREATE TABLE "t" ("a" INTEGER, PRIMARY KEY ("a")); CREATE UNIQUE INDEX ON "t" ("b"); CREATE UNIQUE INDEX ON "t" ("c", "d")`, ""},
		{"but not in a literal", `CREATE TABLE t (a VARCHAR DEFAULT 'x'', UNIQUE (a)', PRIMARY KEY (a))`, `CREATE TABLE t (a VARCHAR DEFAULT 'x'', UNIQUE (a)', PRIMARY KEY (a))`, ""},
		{"a table that may exist is asked for first", `CREATE TABLE IF NOT EXISTS "T" (a INTEGER, PRIMARY KEY (a), UNIQUE (b))`,
			`CREATE TABLE IF NOT EXISTS "T" (a INTEGER, PRIMARY KEY (a)); CREATE UNIQUE INDEX IF NOT EXISTS ON "T" (b)`, "t"},
		{"unless it has no such index", `CREATE TABLE IF NOT EXISTS t (a INTEGER, PRIMARY KEY (a))`, `CREATE TABLE IF NOT EXISTS t (a INTEGER, PRIMARY KEY (a))`, ""},
		{"a table without a key gets one", `CREATE TABLE "t" ("a" VARCHAR DEFAULT 'PRIMARY KEY', UNIQUE ("a"))`,
			`CREATE TABLE "t" ("a" VARCHAR DEFAULT 'PRIMARY KEY', "rowid" INTEGER AUTO_INCREMENT, PRIMARY KEY ("rowid")); CREATE UNIQUE INDEX ON "t" ("a")`, ""},
		{"a key beside a column", `CREATE TABLE t (a INTEGER PRIMARY KEY)`, `CREATE TABLE t (a INTEGER PRIMARY KEY)`, ""},
		{"a column that has the name of an aggregate", `UPDATE "t" SET count = count + 1, "max" = 'min' WHERE id IN (SELECT MAX (id) FROM t)`,
			`UPDATE "t" SET "count" = "count" + 1, "max" = 'min' WHERE id IN (SELECT MAX (id) FROM t)`, ""},
		{"there are no locks", `SELECT * FROM t WHERE a = ' FOR UPDATE' FOR UPDATE OF "t" NOWAIT`, `SELECT * FROM t WHERE a = ' FOR UPDATE'`, ""},
		{"a literal at the end", `SELECT * FROM t WHERE a = ' FOR UPDATE'`, `SELECT * FROM t WHERE a = ' FOR UPDATE'`, ""},
		{"an UPDATE for each row", `WITH "_data" ("id", "a") AS (VALUES (1, 'x, (''y'') _data."id"'), (2, CAST('z' AS VARCHAR))) UPDATE "t" SET "a" = _data."a" FROM "_data" WHERE ("t"."id" = _data."id")`,
			`UPDATE "t" SET "a" = 'x, (''y'') _data."id"' WHERE ("t"."id" = 1); UPDATE "t" SET "a" = CAST('z' AS VARCHAR) WHERE ("t"."id" = 2)`, ""},
		{"ADD needs COLUMN", `ALTER TABLE "t" ADD a INTEGER`, `ALTER TABLE "t" ADD COLUMN a INTEGER`, ""},
		{"and only once", `ALTER TABLE "t" ADD COLUMN a INTEGER`, `ALTER TABLE "t" ADD COLUMN a INTEGER`, ""},
		{"what looks like a fault in a literal", `SELECT '?!(bunimmudb: x)'`, `SELECT '?!(bunimmudb: x)'`, ""},
		{"anything else stays", `INSERT INTO t (a) VALUES ('CREATE INDEX i ON t (a)')`, `INSERT INTO t (a) VALUES ('CREATE INDEX i ON t (a)')`, ""},
	} {
		got, table, err := rewrite(row.query)
		if err != nil || got != row.want || table != row.table {
			t.Errorf("%s:\ngot  %s %q (%v)\nwant %s %q", row.reason, got, table, err, row.want, row.table)
		}
	}
	for _, row := range []struct{ reason, query string }{
		{"foreign keys are not enforced", `CREATE TABLE t (a INTEGER, PRIMARY KEY (a), FOREIGN KEY (a) REFERENCES u (a))`},
		{"a predicate is ignored", `CREATE INDEX i ON t (a) WHERE a > 0`},
		{"a name says nothing", `DROP INDEX IF EXISTS "i"`},
		{"several statements return nothing", `WITH _data (id) AS (VALUES (1)) UPDATE t SET id = _data.id FROM _data WHERE t.id = _data.id RETURNING id`},
	} {
		if got, _, err := rewrite(row.query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %s (%v), want ErrUnsupported", row.reason, got, err)
		}
	}
}

func TestRewriteTuples(t *testing.T) {
	for query, want := range map[string]string{
		`DELETE FROM "t" WHERE ("a", "b") IN ((1, 'x, ('), (2, NULL))`:         `DELETE FROM "t" WHERE (("a" = 1 AND "b" = 'x, (') OR ("a" = 2 AND "b" = NULL))`,
		`SELECT 1 FROM t WHERE ((t.a, t."b") NOT IN ((1, f(2, 3)))) AND c = 1`: `SELECT 1 FROM t WHERE (NOT ((t.a = 1 AND t."b" = f(2, 3)))) AND c = 1`,
		`SELECT ' (a, b) IN ((1, 2))' FROM t WHERE (a, b) IN (SELECT 1, 2)`:    `SELECT ' (a, b) IN ((1, 2))' FROM t WHERE (a, b) IN (SELECT 1, 2)`,
	} {
		if got, err := rewriteTuples(query); err != nil || got != want {
			t.Errorf("%s\ngot  %s (%v)\nwant %s", query, got, err, want)
		}
	}
	if got, err := rewriteTuples(`DELETE FROM t WHERE (a, b) IN ((1))`); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("%s (%v), want ErrUnsupported", got, err)
	}
}

func TestReadUpsert(t *testing.T) {
	const insert = `INSERT INTO "T" AS "x" ("id", "a") VALUES `
	for _, row := range []struct{ reason, query, want string }{
		{"a target is left out", insert + `(1, 'x') ON CONFLICT ("id") DO NOTHING`, insert + `(1, 'x') ON CONFLICT DO NOTHING`},
		{"EXCLUDED is the row", insert + `(1, 'excluded.a'), (2, f('y', (3))) ON CONFLICT (id) DO UPDATE SET a = EXCLUDED."a", b = 'EXCLUDED.a'`,
			insert + `(1, 'excluded.a') ON CONFLICT DO UPDATE SET a = 'excluded.a', b = 'EXCLUDED.a'; ` +
				insert + `(2, f('y', (3))) ON CONFLICT DO UPDATE SET a = f('y', (3)), b = 'EXCLUDED.a'`},
		{"one row may return", insert + `(1, 'x') ON CONFLICT DO UPDATE SET a = excluded.a RETURNING id`, insert + `(1, 'x') ON CONFLICT DO UPDATE SET a = 'x' RETURNING id`},
	} {
		u, err := readUpsert(row.query)
		if err != nil || u == nil || u.text != row.want || u.table != "t" {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %s", row.reason, u, err, row.want)
		}
	}
	for _, query := range []string{
		insert + `(1, 'x'), (2, 'y') ON CONFLICT DO UPDATE SET a = excluded.a RETURNING id`,
		insert + `(1, 'x') ON CONFLICT DO UPDATE SET b = excluded.b`,
		insert + `(1) ON CONFLICT DO UPDATE SET a = excluded.a`,
	} {
		if u, err := readUpsert(query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %+v (%v), want ErrUnsupported", query, u, err)
		}
	}
	for _, query := range []string{`SELECT ' ON CONFLICT '`, insert + `(1, ' ON CONFLICT (id) DO NOTHING')`, `INSERT INTO t (a) SELECT 1`} {
		if u, err := readUpsert(query); err != nil || u != nil {
			t.Errorf("%s: %+v (%v), want nothing to do", query, u, err)
		}
	}
}

func FuzzRewriteNeverPanics(f *testing.F) {
	f.Add(`WITH "_data" ("id") AS (VALUES (1)) UPDATE t SET a = _data.a FROM _data`)
	f.Add("CREATE TABLE t (a INTEGER, UNIQUE (a))")
	f.Add("CREATE INDEX i ON t (")
	f.Add("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a")
	f.Add("(a, b) IN ((1, '")
	f.Fuzz(func(t *testing.T, query string) {
		_, _, _ = rewrite(query)
		_, _ = rewriteTuples(query)
		_, _ = readUpsert(query)
	})
}
