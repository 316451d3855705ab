package sqltext

import (
	"slices"
	"testing"
)

func TestKindAndTarget(t *testing.T) {
	for _, tc := range []struct {
		text  string
		kind  Kind
		table string
		why   string
	}{
		{"SELECT * FROM t", Select, "", "a query has no target"},
		{"select 1", Select, "", "keywords are of any case"},
		{"(SELECT 1 FROM t)", Select, "", "in parentheses"},
		{"((SELECT 1) UNION SELECT 2)", Select, "", "in several"},
		{"WITH a AS (SELECT 1) SELECT * FROM a", Select, "", "a common table expression"},
		{"WITH RECURSIVE a AS (SELECT 1 UNION SELECT 2) SELECT insert FROM a", Select, "", "insert is a column here"},
		{"SELECT * FROM (VALUES (1))", Select, "", "rows without a table"},
		{"SHOW TABLES", Select, "", "the catalog is read like a table"},
		{"EXPLAIN SELECT * FROM t", Explain, "", "the plan of a query"},
		{"/* a */ -- b\nSELECT 1", Select, "", "comments stand before it"},

		{"INSERT INTO t (id) VALUES (1)", Insert, "t", "the table follows INTO"},
		{"insert into \"T\" (id) values (1)", Insert, "t", "quoted names are folded as well"},
		{"INSERT INTO Orders VALUES (1)", Insert, "orders", "names are folded"},
		{"INSERT INTO Users (id) VALUES (1)", Insert, "Users", "a name that is a keyword keeps its case"},
		{"INSERT INTO \"Users\" (id) VALUES (1)", Insert, "users", "in quotes it is no keyword"},
		{"UPSERT INTO t (id) VALUES (1)", Upsert, "t", "as INSERT"},
		{"UPDATE t SET a = 1", Update, "t", "no INTO"},
		{"UPDATE Index SET a = 1", Update, "Index", "index may name a table"},
		{"DELETE FROM t WHERE id = 1", Delete, "t", "behind FROM"},
		{"TRUNCATE TABLE t", Truncate, "t", "empties a table"},

		{"CREATE TABLE t (id INTEGER, PRIMARY KEY id)", DDL, "t", "creates it"},
		{"CREATE TABLE IF NOT EXISTS T (id INTEGER, PRIMARY KEY id)", DDL, "t", "IF NOT EXISTS is no name"},
		{"CREATE TABLE If (id INTEGER, PRIMARY KEY id)", DDL, "If", "IF alone is one"},
		{"DROP TABLE t CASCADE", DDL, "t", "drops it"},
		{"DROP TABLE IF EXISTS t", DDL, "t", "IF EXISTS is no name"},
		{"DROP TABLE if", DDL, "if", "IF alone is one"},
		{"CREATE INDEX ON t(a)", DDL, "t", "an index changes its table"},
		{"CREATE UNIQUE INDEX IF NOT EXISTS ON t(a, b)", DDL, "t", "with all its words"},
		{"DROP INDEX ON t(a)", DDL, "t", "by columns"},
		{"DROP INDEX t.a", DDL, "t", "by column, the older form"},
		{"DROP INDEX If.a", DDL, "If", "IF alone is a name here as well"},
		{"ALTER TABLE t ADD COLUMN a INTEGER", DDL, "t", "changes it"},
		{"ALTER TABLE t DROP COLUMN a", DDL, "t", "changes it"},
		{"ALTER TABLE t RENAME TO u", DDL, "t", "by its old name"},
		{"ALTER TABLE t ALTER COLUMN a SET NOT NULL", AlterColumn, "t", "the server accepts it and does nothing"},
		{"ALTER TABLE t ALTER COLUMN a TYPE VARCHAR", AlterColumn, "t", "likewise"},
		{"ALTER TABLE alter ADD COLUMN a INTEGER", DDL, "alter", "alter may name a table"},
		{"CREATE VIEW v AS SELECT * FROM t", DDL, "", "a view is no table"},
		{"DROP VIEW IF EXISTS v", DDL, "", "a view is no table"},
		{"CREATE SEQUENCE s", DDL, "", "a sequence is no table"},
		{"CREATE USER bob WITH PASSWORD 'x' READ", Access, "", "holds a password"},
		{"ALTER USER bob WITH PASSWORD 'x'", Access, "", "holds a password"},
		{"DROP USER bob", Access, "", "a user goes"},
		{"GRANT SELECT ON DATABASE d TO USER bob", Access, "", "gives a right"},
		{"REVOKE ALL PRIVILEGES ON DATABASE d TO USER bob", Access, "", "takes one"},

		{"BEGIN", Begin, "", "of a transaction"},
		{"begin transaction", Begin, "", "in full"},
		{"COMMIT", Commit, "", "its end"},
		{"ROLLBACK", Rollback, "", "its other end"},
		{"SAVEPOINT a", Savepoint, "", "undoes nothing later"},
		{"ROLLBACK TO a", RollbackToSavepoint, "", "not the end of the transaction"},
		{"ROLLBACK TO SAVEPOINT a", RollbackToSavepoint, "", "in full"},
		{"RELEASE SAVEPOINT a", ReleaseSavepoint, "", "forgets it"},
		{"USE SNAPSHOT SINCE TX 1", UseSnapshot, "", "no database"},
	} {
		st := one(t, tc.text)
		if st.Kind != tc.kind || st.Table != tc.table {
			t.Errorf("%s: %q: %v of %q, want %v of %q", tc.why, tc.text, st.Kind, st.Table, tc.kind, tc.table)
		}
	}
}

func TestTheDatabaseOfUseAndCreate(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind Kind
		want string
	}{
		{"USE db", UseDatabase, "db"},
		{"use database \"MyDB\"", UseDatabase, "mydb"},
		{"CREATE DATABASE Db", CreateDatabase, "db"},
		{"CREATE DATABASE IF NOT EXISTS db", CreateDatabase, "db"},
		{"SELECT * FROM t USE INDEX ON a", Select, ""},
	} {
		if st := one(t, tc.text); st.Kind != tc.kind || st.Database != tc.want {
			t.Errorf("%q: %v of %q, want %v of %q", tc.text, st.Kind, st.Database, tc.kind, tc.want)
		}
	}
}

func TestEveryKindHasItsPlace(t *testing.T) {
	for k := range Kind(len(kindNames)) {
		n := 0
		for _, is := range []bool{k.IsQuery(), k.IsDML(), k.ControlsTx()} {
			if is {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%v is in %d groups that exclude each other", k, n)
		}
		if k.ChangesCatalog() && (n > 0) {
			t.Errorf("%v is a query or changes rows only, yet ChangesCatalog", k)
		}
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

func TestInsertRowsAndColumns(t *testing.T) {
	for _, tc := range []struct {
		text    string
		columns []string
		rows    int
		why     string
	}{
		{"INSERT INTO t (a, B) VALUES (1, 2)", []string{"a", "b"}, 1, "folded"},
		{"INSERT INTO t (id, Year, Timestamp, \"Key\") VALUES (1,2,3,4)", []string{"id", "Year", "Timestamp", "key"}, 1, "keywords keep their case, quoted names do not"},
		{"INSERT INTO t (values) VALUES (1), (2)", []string{"values"}, 2, "VALUES may be a column"},
		{"INSERT INTO t VALUES (1)", nil, 1, "no list"},
		{"UPSERT INTO t (a) VALUES (f(1, (2))), ((3)), (?)", []string{"a"}, 3, "parentheses in a row"},
		{"INSERT INTO t (a) VALUES (1), (2) ON CONFLICT DO UPDATE SET a = f(3)", []string{"a"}, 2, "what follows is no row"},
		{"INSERT INTO t (a) VALUES (1), (2) RETURNING a, (b)", []string{"a"}, 2, "nor is a RETURNING item"},
		{"INSERT INTO t (a) SELECT a FROM u", []string{"a"}, -1, "rows of a query"},
		{"INSERT INTO t SELECT a FROM u", nil, -1, "rows of a query"},
		{"INSERT INTO t (a) WITH c AS (SELECT 1) SELECT * FROM c", []string{"a"}, -1, "rows of a query"},
		{"UPDATE t SET a = 1", nil, 0, "neither"},
	} {
		st := one(t, tc.text)
		if !slices.Equal(st.Columns, tc.columns) || st.NumRows != tc.rows {
			t.Errorf("%s: %q: columns %q, %d rows, want %q, %d", tc.why, tc.text, st.Columns, st.NumRows, tc.columns, tc.rows)
		}
	}
}

func TestAnInsertThatReadsItsOwnTable(t *testing.T) {
	for _, tc := range []struct {
		text string
		want bool
		why  string
	}{
		{"INSERT INTO t (a) SELECT a FROM t", true, "itself"},
		{"UPSERT INTO T (a) SELECT a FROM u JOIN \"t\" ON u.id = t.id", true, "by a join"},
		{"INSERT INTO t (a) SELECT u.a FROM u, t", true, "by a comma"},
		{"INSERT INTO t (a) SELECT a FROM u WHERE id IN (SELECT id FROM t)", true, "in a subquery"},
		{"INSERT INTO t (a) WITH c AS (SELECT a FROM t) SELECT a FROM c", true, "in a common table expression"},
		{"INSERT INTO t (a) SELECT a FROM (HISTORY OF t)", true, "its history"},
		{"INSERT INTO t (a) SELECT a FROM u", false, "another table"},
		{"INSERT INTO t (a) SELECT a, t FROM u", false, "a column of that name"},
		{"INSERT INTO t (a) SELECT a FROM u WHERE f(a, t) = 1", false, "a column of that name in a condition"},
		{"INSERT INTO t (a) VALUES (1)", false, "no query"},
		{"UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t)", false, "no INSERT"},
	} {
		if st := one(t, tc.text); st.SelfSelect != tc.want {
			t.Errorf("%s: %q: SelfSelect = %v, want %v", tc.why, tc.text, st.SelfSelect, tc.want)
		}
	}
}

func TestASelectAnywhereInAStatement(t *testing.T) {
	for _, tc := range []struct {
		text string
		want bool
		why  string
	}{
		{"SELECT 1", true, "it is one"},
		{"INSERT INTO t (a) VALUES ((select MAX(a) + 1 FROM u))", true, "in a row"},
		{"INSERT INTO t (a) SELECT a FROM u", true, "instead of rows"},
		{"UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u)", true, "in a condition"},
		{"INSERT INTO t (\"select\", a) VALUES ('SELECT', 1) /* SELECT */ RETURNING a", false, "a name, a string, a comment"},
		{"SELECT 1; DELETE FROM t", false, "in the statement before"},
	} {
		q, err := Parse(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Statements[len(q.Statements)-1].Selects; got != tc.want {
			t.Errorf("%s: %q: Selects = %v, want %v", tc.why, tc.text, got, tc.want)
		}
	}
}

func TestOnConflict(t *testing.T) {
	for _, tc := range []struct {
		text string
		want OnConflict
		why  string
	}{
		{"INSERT INTO t (a) VALUES (1)", ConflictFails, "no clause"},
		{"INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", ConflictNothing, "skips the row"},
		{"insert into t (a) values (1) on conflict do update set a = 2 returning a", ConflictUpdate, "updates the row"},
		{"INSERT INTO t (a) SELECT a FROM u JOIN v ON conflict = 1", ConflictFails, "the ON of a join, and a column"},
		{"INSERT INTO t (a) SELECT a FROM u JOIN v ON u.id = v.id ON CONFLICT DO NOTHING", ConflictNothing, "both"},
		{"INSERT INTO t (a) VALUES ('ON CONFLICT DO NOTHING')", ConflictFails, "a string"},
	} {
		if st := one(t, tc.text); st.OnConflict != tc.want {
			t.Errorf("%s: %q: %d, want %d", tc.why, tc.text, st.OnConflict, tc.want)
		}
	}
}

func TestWhatIsNoStatementIsASyntaxError(t *testing.T) {
	for _, text := range []string{
		"START TRANSACTION",
		"MERGE INTO t",
		"\"select\" 1",
		"CREATE",
		"CREATE UNIQUE",
		"DROP DATABASE d",
		"?",
		"selector",
		"a_name_longer_than_every_keyword",
	} {
		if q, err := Parse(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, q.Statements)
		}
	}
}
