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
			`CREATE TABLE IF NOT EXISTS "T" (a INTEGER, PRIMARY KEY (a)); CREATE UNIQUE INDEX ON "T" (b)`, "t"},
		{"unless it has no such index", `CREATE TABLE IF NOT EXISTS t (a INTEGER, PRIMARY KEY (a))`, `CREATE TABLE IF NOT EXISTS t (a INTEGER, PRIMARY KEY (a))`, ""},
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

func FuzzRewriteNeverPanics(f *testing.F) {
	f.Add(`WITH "_data" ("id") AS (VALUES (1)) UPDATE t SET a = _data.a FROM _data`)
	f.Add("CREATE TABLE t (a INTEGER, UNIQUE (a))")
	f.Add("CREATE INDEX i ON t (")
	f.Fuzz(func(t *testing.T, query string) { _, _, _ = rewrite(query) })
}
