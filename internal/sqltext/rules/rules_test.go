package rules

import (
	"database/sql/driver"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// aDatabase has table t with a nullable column of each type, named like its type, table
// p with key id and without NULLs, and view v.
type aDatabase struct{}

func (aDatabase) Table(name string) *Table {
	switch name {
	case "t":
		t := &Table{Primary: []string{"id"}, Columns: []Column{{Name: "id", Type: "INTEGER"}, {Name: "varchar", Type: "VARCHAR", MaxLength: 600, Nullable: true}}}
		for _, typ := range []string{"INTEGER", "BOOLEAN", "BLOB", "UUID", "JSON", "FLOAT", "TIMESTAMP"} {
			t.Columns = append(t.Columns, Column{Name: strings.ToLower(typ) + "_", Type: typ, Nullable: true})
		}
		t.Columns = append(t.Columns, Column{Name: "s", Type: "VARCHAR", MaxLength: 20, Nullable: true})
		return t
	case "p":
		return &Table{Primary: []string{"id"}, Columns: []Column{{Name: "id", Type: "INTEGER"}, {Name: "s", Type: "VARCHAR", MaxLength: 20}}}
	}
	return nil
}

func (aDatabase) IsView(name string) bool { return name == "v" }

// refusal applies the rules to a text with arguments.
func refusal(t *testing.T, text string, inTx bool, args ...driver.Value) *Refusal {
	t.Helper()
	return refusalIf(t, false, text, inTx, args...)
}

func refusalIf(t *testing.T, strict bool, text string, inTx bool, args ...driver.Value) *Refusal {
	t.Helper()
	script, err := tree.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plan, r := Check(script, strict)
	if r != nil {
		return r
	}
	if inTx && plan.InTx != nil {
		return plan.InTx
	}
	values := func(index int) driver.Value {
		if index < len(args) {
			return args[index]
		}
		return int64(1)
	}
	if r := plan.CheckArguments(values); r != nil {
		return r
	}
	return plan.CheckTables(aDatabase{}, values)
}

var (
	short = []byte{1, 2}
	uuid  = make([]byte, 16)
)

// sample is a text that a rule refuses, or allows.
type sample struct {
	text string
	args []driver.Value
}

func texts(list ...string) []sample {
	samples := make([]sample, len(list))
	for i := range list {
		samples[i].text = list[i]
	}
	return samples
}

func with(text string, args ...driver.Value) sample { return sample{text, args} }

// samples are texts that each rule refuses, and similar texts that it allows.
var samples = map[string]struct{ refused, allowed []sample }{
	"transaction-in-text":          {texts("BEGIN", "COMMIT", "ROLLBACK", "BEGIN; COMMIT", "BEGIN; SELECT 1; BEGIN; COMMIT"), texts("BEGIN; SELECT 1; COMMIT", "BEGIN; DELETE FROM p; ROLLBACK", "BEGIN TRANSACTION; INSERT INTO p (id) VALUES (1); SELECT 1; COMMIT")},
	"session-change-beside-others": {texts("USE a; SELECT 1", "CREATE DATABASE a; SELECT 1", "SELECT 1; CREATE USER a WITH PASSWORD 'p' READ", "GRANT SELECT ON DATABASE d TO USER u; SELECT 1"), texts("USE a", "CREATE DATABASE a", "CREATE USER a WITH PASSWORD 'p' READ")},
	"alter-column":                 {texts("ALTER TABLE t ALTER COLUMN s SET NOT NULL", "ALTER TABLE t ALTER COLUMN s TYPE INTEGER"), texts("ALTER TABLE t ADD COLUMN z INTEGER", "ALTER TABLE t DROP COLUMN s")},
	"returning-expression":         {texts("INSERT INTO p (id) VALUES (1) RETURNING id + 1", "DELETE FROM p RETURNING id AS k", "UPDATE p SET s = '' RETURNING NULL"), texts("INSERT INTO p (id) VALUES (1) RETURNING id, p.s", "DELETE FROM p RETURNING *")},

	"list-asks-transaction": {
		texts("SELECT * FROM t WHERE id IN ((SELECT 1 FROM p))", "SELECT * FROM t WHERE timestamp_ IN (NOW())", "SELECT * FROM t JOIN p ON p.id IN (1, NEXTVAL('s'))",
			"SELECT * FROM p LEFT JOIN t ON t.id = p.id AND t.timestamp_ IN (CLOCK_TIMESTAMP())", "DELETE FROM t WHERE id = 1 OR timestamp_ IN (NOW())",
			"UPDATE t SET s = '' WHERE id IN (1, 2 + (SELECT 1 FROM p))", "WITH c AS (SELECT id FROM t WHERE timestamp_ IN (NOW())) SELECT * FROM c",
			"SELECT * FROM t WHERE s IN (UPPER(CURRENT_USER()))", "INSERT INTO p (id) SELECT id FROM t WHERE id IN (CURRVAL('s'))",
			"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE id IN (NEXTVAL('s')))"),
		texts("SELECT * FROM t WHERE id IN (SELECT id FROM p)", "SELECT * FROM t WHERE timestamp_ NOT IN (NOW())", "SELECT * FROM t WHERE s IN (UPPER('a'), 'b')",
			"SELECT id IN ((SELECT 1 FROM p)) FROM t", "SELECT id FROM t GROUP BY id HAVING id IN ((SELECT 1 FROM p))", "SELECT * FROM t WHERE id IN (?, 2)",
			"SELECT * FROM t WHERE timestamp_ = NOW() AND id IN (1)")},
	"values-of-unequal-width": {
		texts("SELECT * FROM (VALUES (1, 2), (3))", "SELECT * FROM (VALUES (1), (2, 3))", "WITH x AS (VALUES (1), (2, 3)) SELECT * FROM x"),
		texts("SELECT * FROM (VALUES (1, 2), (3, 4))", "WITH x AS (VALUES (1, 2), (2, 3)) SELECT * FROM x")},
	"with-columns": {
		texts("WITH x (a, b) AS (VALUES (1), (2)) SELECT a FROM x", "WITH x (a) AS (SELECT * FROM t) SELECT a FROM x", "WITH x (a, b) AS (SELECT t.id, p.id FROM t JOIN p ON p.id = t.id) SELECT a FROM x",
			"WITH x (a) AS (SHOW TABLES) SELECT a FROM x", "WITH x AS (VALUES ()) SELECT 1 FROM x"),
		texts("WITH x (a, b) AS (VALUES (1, 'a'), (2, 'b')) SELECT a FROM x", "WITH x AS (VALUES (1), (2)) SELECT column1 FROM x", "WITH x (a) AS (SELECT id FROM t UNION SELECT id FROM p) SELECT a FROM x")},
	"select-without-from": {nil, texts("SELECT 1 WHERE 1 = 2", "SELECT EXISTS (SELECT 1 WHERE 1 = 2)", "SELECT 1 LIMIT 1")},
	"current-timestamp":   {nil, texts("SELECT CURRENT_TIMESTAMP", "UPDATE t SET timestamp_ = CURRENT_TIMESTAMP", "SELECT MAX(current_timestamp) FROM t")},
	"window-outside-select-list": {
		texts("SELECT * FROM t WHERE id NOT IN (COUNT(*) OVER ())", "INSERT INTO p (id) VALUES (COUNT(*) OVER ())", "SELECT * FROM p LIMIT ROW_NUMBER() OVER ()",
			"SELECT * FROM p LIMIT 1 OFFSET ROW_NUMBER() OVER ()", "SELECT * FROM (VALUES (ROW_NUMBER() OVER ()))", "SELECT * FROM COLUMNS(ROW_NUMBER() OVER ())",
			"SELECT * FROM t SINCE TX ROW_NUMBER() OVER ()", "SELECT ABS(ROW_NUMBER() OVER ()) FROM t", "SELECT CASE WHEN ROW_NUMBER() OVER () > 1 THEN 1 END FROM t",
			"UPDATE t SET id = ROW_NUMBER() OVER ()", "SELECT * FROM t ORDER BY ROW_NUMBER() OVER ()", "SELECT * FROM t WHERE id = ROW_NUMBER() OVER ()"),
		texts("SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM t", "SELECT * FROM (SELECT id, COUNT(*) OVER () AS n FROM t) x WHERE x.n > 1")},
	"period-of-null": {
		append(texts("SELECT * FROM t BEFORE NULL", "SELECT * FROM t UNTIL CAST(NULL AS TIMESTAMP)", "SELECT * FROM t SINCE CASE WHEN 1 = 2 THEN NOW() END",
			"SELECT * FROM t AFTER (SELECT timestamp_ FROM t)", "SELECT * FROM t SINCE TX NULL", "SELECT * FROM t SINCE COALESCE(NULL, NULL)", "SELECT * FROM t UNTIL COALESCE()",
			"SELECT id FROM t WHERE id IN (SELECT id FROM p BEFORE NULL)"),
			with("SELECT * FROM t SINCE ?", nil), with("SELECT * FROM t SINCE TX 1 UNTIL ?", nil), with("SELECT * FROM t UNTIL CAST(? AS TIMESTAMP)", nil)),
		append(texts("SELECT * FROM t SINCE TX 1 BEFORE TX 9", "SELECT * FROM t SINCE '2020-01-01' UNTIL NOW()", "SELECT * FROM t UNTIL CAST('2020-01-01' AS TIMESTAMP)",
			"SELECT * FROM t BEFORE TX 5 + 1"), with("SELECT * FROM t SINCE TX ?", int64(1)))},
	"length-out-of-range": {
		append(texts("SELECT LPAD(s, 9223372036854775807) FROM t", "SELECT RPAD(s, -1, 'x') FROM t", "SELECT RPAD(s, 3 - LENGTH(s)) FROM t", "SELECT REPEAT(s, id) FROM t",
			"SELECT repeat(s, 1000000) FROM t", "SELECT SUBSTRING(s, 2, 9223372036854775807) FROM t", "SELECT SUBSTR(s, 2, LENGTH(s)) FROM t"),
			with("SELECT LPAD(s, ?) FROM t", int64(-1)), with("SELECT REPEAT(s, ?) FROM t", int64(1<<40)), with("SELECT SUBSTRING(s, 1, ?) FROM t", int64(1<<62))),
		append(texts("SELECT LPAD(s, 20, '0') FROM t", "SELECT REPEAT('ab', 10000) FROM t", "SELECT SUBSTRING(s, STRPOS(s, 'a'), 5) FROM t"),
			with("SELECT LPAD(s, ?) FROM t", int64(20)))},
	"like-null": {
		append(texts("SELECT s LIKE NULL FROM t", "SELECT * FROM t WHERE s NOT LIKE NULL", "SELECT * FROM t WHERE s ILIKE CAST(NULL AS VARCHAR)", "UPDATE t SET s = '' WHERE s LIKE s",
			"SELECT * FROM t WHERE s LIKE (SELECT s FROM p)", "SELECT * FROM t WHERE s LIKE UPPER(s)", "SELECT * FROM t WHERE s LIKE COALESCE(s, s)"),
			with("SELECT * FROM t WHERE s LIKE ?", nil)),
		append(texts("SELECT * FROM t WHERE s LIKE 'a%'", "SELECT * FROM t WHERE s LIKE CONCAT(s, '%')", "SELECT * FROM t WHERE s LIKE COALESCE(s, '')"), with("SELECT * FROM t WHERE s LIKE ?", "a%"))},
	"like-of-other-letters": {
		append(texts("SELECT * FROM t WHERE s LIKE 'a%ä'", "SELECT * FROM t WHERE s LIKE 'ä_'", "SELECT * FROM t WHERE s ILIKE CONCAT('日', '%')"), with("SELECT * FROM t WHERE s LIKE CONCAT(?, '%')", "é")),
		append(texts("SELECT * FROM t WHERE s LIKE 'a%' AND s <> 'ä'", "SELECT * FROM t WHERE s LIKE 'ä%' OR s NOT LIKE '%ä%'"), with("SELECT * FROM t WHERE s LIKE ? AND s <> ?", "a", "ä"))},
	"blob-into-uuid": {
		append(texts("INSERT INTO t (uuid_) VALUES (x'00')", "UPSERT INTO t (id, uuid_) VALUES (1, x'')", "INSERT INTO t (id, uuid_) VALUES (1, NULL) ON CONFLICT DO UPDATE SET uuid_ = x'00'",
			"INSERT INTO t (uuid_) SELECT blob_ FROM t", "INSERT INTO t (uuid_) VALUES (COALESCE(NULL, x'00'))", "INSERT INTO t (uuid_) VALUES (CASE WHEN 1 = 1 THEN x'00' END)",
			"INSERT INTO t (uuid_) VALUES ((SELECT blob_ FROM t))", "CREATE TABLE n (u UUID, PRIMARY KEY u); INSERT INTO n (u) VALUES (x'00')",
			"INSERT INTO t (uuid_) SELECT s FROM p UNION SELECT s FROM p"),
			with("INSERT INTO t (id, uuid_) VALUES (?, ?)", int64(1), short), with("INSERT INTO t (id, uuid_) VALUES (1, @u)", short)),
		append(texts("INSERT INTO t (blob_) VALUES (x'00')", "INSERT INTO t (uuid_) VALUES ('00000000-0000-0000-0000-000000000000')",
			"INSERT INTO t (uuid_) VALUES (x'00000000000000000000000000000000')", "INSERT INTO t (uuid_) VALUES (RANDOM_UUID())",
			"INSERT INTO p (id, s) SELECT id, s FROM t", "INSERT INTO t (uuid_) SELECT uuid_ FROM t"),
			with("INSERT INTO t (id, uuid_, blob_) VALUES (?, ?, ?)", int64(1), uuid, short))},
	"cast-of-blob-to-uuid": {
		append(texts("SELECT CAST(blob_ AS UUID) FROM t", "SELECT x'00'::UUID FROM t", "SELECT CAST(y.b AS UUID) FROM (SELECT blob_ AS b FROM t) y", "SELECT * FROM t WHERE CAST(blob_ AS UUID) = uuid_",
			"UPDATE t SET uuid_ = CAST(blob_ AS UUID)", "WITH c AS (SELECT blob_ AS b FROM t) SELECT CAST(b AS UUID) FROM c", "SELECT CAST(b AS UUID) FROM v"),
			with("SELECT CAST(? AS UUID) FROM t", short)),
		append(texts("SELECT CAST(s AS UUID) FROM t", "SELECT '00000000-0000-0000-0000-000000000000'::UUID FROM t", "SELECT CAST(y.b AS UUID) FROM (SELECT s AS b FROM t) y",
			"SELECT CAST(UPPER(s) AS UUID) FROM t"), with("SELECT CAST(? AS UUID) FROM t", "x"))},
	"string-agg-of-no-string": {
		texts("SELECT STRING_AGG(id, ',') FROM t", "SELECT STRING_AGG(uuid_, ',') FROM t", "SELECT STRING_AGG(x.n, ',') FROM (SELECT id AS n FROM t) x", "SELECT STRING_AGG(a, ',') FROM v",
			"SELECT id FROM p WHERE s = (SELECT STRING_AGG(json_, ',') FROM t)"),
		texts("SELECT STRING_AGG(s, ',') FROM t", "SELECT STRING_AGG(p.s, ';') FROM t JOIN p ON p.id = t.id", "SELECT STRING_AGG(x.n, ',') FROM (SELECT UPPER(s) AS n FROM t) x",
			"WITH c AS (SELECT s FROM t) SELECT STRING_AGG(s, ',') FROM c")},
	"write-to-system-table": {
		texts("DELETE FROM pg_class", "UPDATE information_schema_tables SET table_name = 'x'", "INSERT INTO pg_type (oid) VALUES (1)", "ALTER TABLE pg_class ADD COLUMN z INTEGER",
			"TRUNCATE TABLE pg_class", "DROP TABLE pg_class", "CREATE TABLE pg_mine (id INTEGER, PRIMARY KEY id)", "ALTER TABLE p RENAME TO pg_p"),
		texts("SELECT * FROM pg_class", "DELETE FROM p WHERE s IN (SELECT relname FROM pg_class)", "CREATE TABLE pages (id INTEGER, PRIMARY KEY id)")},
	"delete-from-view": {texts("DELETE FROM v", "DELETE FROM v WHERE id = 1"), texts("DELETE FROM p", "DELETE FROM not_there", "CREATE TABLE n (id INTEGER, PRIMARY KEY id); DELETE FROM n")},
	"view-in-transaction": {
		texts("CREATE VIEW w AS SELECT * FROM t; SELECT 1", "INSERT INTO p (id) VALUES (1); CREATE SEQUENCE s", "DROP VIEW v; DROP TABLE p", "BEGIN; CREATE VIEW w AS SELECT * FROM t; COMMIT"),
		texts("CREATE VIEW w AS SELECT * FROM t", "DROP SEQUENCE s", "DROP TABLE p; DROP TABLE t")},
	"view-of-itself": {
		texts("CREATE VIEW w AS SELECT * FROM w", "CREATE VIEW w AS SELECT * FROM t WHERE id IN (SELECT id FROM W)", "CREATE VIEW w AS SELECT id FROM t UNION SELECT id FROM w",
			"CREATE VIEW w AS SELECT * FROM not_yet", "CREATE VIEW w AS SELECT * FROM (SELECT * FROM w) x"),
		texts("CREATE VIEW w AS SELECT * FROM t", "CREATE VIEW w AS SELECT * FROM v", "CREATE VIEW w AS SELECT t.id FROM t JOIN p ON p.id = t.id")},
	"select-from-target": {
		texts("INSERT INTO p (id) VALUES (1); INSERT INTO p (id) SELECT id + 1 FROM p", "UPSERT INTO t (id) SELECT id FROM p JOIN t ON t.id = p.id; SELECT 1"),
		texts("INSERT INTO p (id) SELECT id + 1 FROM p", "INSERT INTO p (id) VALUES (1); INSERT INTO p (id) SELECT id FROM t")},
	"check-not-read-back": {
		texts("CREATE TABLE n (id INTEGER, s VARCHAR, CHECK s <> 'it''s', PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, b BLOB, CHECK b <> x'00', PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, CHECK id IN (SELECT id FROM p), PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, CHECK id > 1 AND EXISTS (SELECT 1 FROM p), PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, CHECK id NOT IN (1, 2), PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, CHECK CASE id WHEN 1 THEN TRUE ELSE FALSE END, PRIMARY KEY id)",
			`CREATE TABLE n (id INTEGER, "select" INTEGER, CHECK "select" > 1, PRIMARY KEY id)`, "CREATE TABLE n (id INTEGER, f FLOAT, CHECK f < 100000000000000000000.0, PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, j JSON, CHECK j->'a'->'b' = 'x', PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, CONSTRAINT c CHECK id < ?, PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, s VARCHAR, CHECK LENGTH('a''b') > 1, PRIMARY KEY id)"),
		texts("CREATE TABLE n (id INTEGER, s VARCHAR, CHECK s <> 'a' AND id IN (1, 2) OR id BETWEEN 5 AND 7, PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, s VARCHAR, CHECK UPPER(s) LIKE 'A%', PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, f FLOAT, CHECK f > -0.5 AND NOT (id = 1), PRIMARY KEY id)", `CREATE TABLE n (id INTEGER, "a" INTEGER, CHECK "a" > 1 AND id IS NOT NULL, PRIMARY KEY id)`,
			"CREATE TABLE n (id INTEGER, j JSON, CHECK j->'a' = 'x', PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, CHECK CASE WHEN id = 1 THEN TRUE ELSE FALSE END, PRIMARY KEY id)")},
	"default-not-read-back": {
		texts("CREATE TABLE n (id INTEGER, s VARCHAR DEFAULT 'it''s', PRIMARY KEY id)", "ALTER TABLE p ADD COLUMN b BLOB DEFAULT x'12'", "CREATE TABLE n (id INTEGER, i INTEGER DEFAULT (SELECT 7), PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, i INTEGER DEFAULT ?, PRIMARY KEY id)", "CREATE TABLE n (id INTEGER, f FLOAT DEFAULT 100000000000000000000000.0, PRIMARY KEY id)",
			"CREATE TABLE n (id INTEGER, s VARCHAR DEFAULT CASE 1 WHEN 1 THEN 'x' END, PRIMARY KEY id)"),
		texts("CREATE TABLE n (id INTEGER, s VARCHAR DEFAULT 'a', f FLOAT DEFAULT 1.5, b BOOLEAN DEFAULT TRUE, ts TIMESTAMP DEFAULT NOW(), u UUID DEFAULT RANDOM_UUID(), i INTEGER DEFAULT -5, PRIMARY KEY id)")},
	"rename-of-checked-column": {
		texts("CREATE TABLE n (id INTEGER, a INTEGER, CHECK a > 1, PRIMARY KEY id); ALTER TABLE n RENAME COLUMN a TO b"),
		texts("CREATE TABLE n (id INTEGER, a INTEGER, CHECK id > 1, PRIMARY KEY id); ALTER TABLE n RENAME COLUMN a TO b", "ALTER TABLE p RENAME COLUMN s TO z")},
	"conflict-changes-key": {
		texts("INSERT INTO p (id) VALUES (1) ON CONFLICT DO UPDATE SET id = 2", "INSERT INTO p (id) VALUES (1) ON CONFLICT DO UPDATE SET s = 'a', id = id + 1",
			"CREATE TABLE n (id INTEGER, PRIMARY KEY id); INSERT INTO n (id) VALUES (1) ON CONFLICT DO UPDATE SET id = 3"),
		texts("INSERT INTO p (id) VALUES (1) ON CONFLICT DO UPDATE SET s = 'a'", "INSERT INTO p (id) VALUES (1) ON CONFLICT DO NOTHING", "INSERT INTO p (id) VALUES (1) ON CONFLICT DO UPDATE SET id = id")},
	"key-too-long": {
		texts("CREATE TABLE n (s VARCHAR[600], PRIMARY KEY s)", "CREATE TABLE n (a VARCHAR[256], b VARCHAR[256], PRIMARY KEY (a, b))", "CREATE INDEX ON t (varchar, varchar)",
			"CREATE TABLE n (id INTEGER, s VARCHAR[1100], PRIMARY KEY id); CREATE INDEX ON n (s)", "ALTER TABLE p ADD COLUMN z VARCHAR[2000]; CREATE UNIQUE INDEX ON p (z)"),
		texts("CREATE TABLE n (s VARCHAR[400], PRIMARY KEY s)", "CREATE INDEX ON t (varchar)", "CREATE TABLE n (id INTEGER, s VARCHAR[900], PRIMARY KEY id); CREATE INDEX ON n (s)",
			"CREATE TABLE n (id INTEGER, s VARCHAR[5000], PRIMARY KEY id)", "CREATE INDEX ON not_there (a)")},
	"null-in-list": {nil, []sample{with("SELECT id FROM t WHERE id IN (?, NULL)", nil)}},
	"json-null": {
		append(texts("INSERT INTO t (json_) VALUES ('null')", "UPDATE t SET json_ = ' null '", "INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET json_ = 'null'", "SELECT CAST('null' AS JSON) FROM t",
			"INSERT INTO t (id, json_) SELECT id, 'null' FROM p", "INSERT INTO t (id, json_) SELECT 1, '{}' FROM p UNION SELECT 2, 'null' FROM p", "UPDATE t SET json_ = COALESCE(NULL, 'null')",
			"UPDATE t SET json_ = CASE WHEN id = 1 THEN 'null' END"),
			with("INSERT INTO t (json_, s) VALUES ($1, $1)", "null"), with("UPDATE t SET json_ = COALESCE(?, '{}')", "null")),
		append(texts("INSERT INTO t (s) VALUES ('null')", "INSERT INTO t (json_) VALUES (NULL)", `INSERT INTO t (json_) VALUES ('{"a": null}')`), with("INSERT INTO t (json_) VALUES (?)", "null"), with("INSERT INTO t (id, json_) SELECT 1, ? FROM p", "null"),
			with("INSERT INTO t (id, s) SELECT 1, 'null' FROM p"), with("UPDATE t SET json_ = CASE WHEN id = 1 THEN ? END", "null"))},
	"text-into-json": {
		texts("UPDATE t SET json_ = s", "UPDATE t SET json_ = CONCAT('nu', 'll')", "INSERT INTO t (id, json_) SELECT id, s FROM p", "INSERT INTO t (id, json_) VALUES (1, UPPER('x'))",
			"UPDATE t SET json_ = (SELECT s FROM p)", "UPDATE t SET json_ = COALESCE(s, '{}')", "UPDATE t SET json_ = CASE WHEN id = 1 THEN s ELSE json_ END", "UPDATE t SET json_ = CAST(id AS VARCHAR)",
			"INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET json_ = s", "INSERT INTO t (id, json_) SELECT id, MAX(s) FROM p GROUP BY id", "INSERT INTO t (id, json_) SELECT id, a FROM v", "INSERT INTO t (id, json_) SELECT * FROM p"),
		texts("UPDATE t SET json_ = CAST(s AS JSON)", "UPDATE t SET json_ = json_", "UPDATE t SET json_ = json_->'a'", "UPDATE t SET json_ = '{}'", "UPDATE t SET json_ = ?", "UPDATE t SET s = UPPER(s)", "INSERT INTO t (id, json_) SELECT id + 1, json_ FROM t AS x",
			"UPDATE t SET json_ = CASE WHEN s = 'a' THEN '{}' ELSE json_ END", "UPDATE t SET json_ = COALESCE(json_, ?)", "UPDATE t SET json_ = 1 + 1", "INSERT INTO t (id, json_) SELECT id, COUNT(*) FROM p GROUP BY id", "INSERT INTO t SELECT * FROM t AS x", "INSERT INTO p (id) SELECT * FROM v", "INSERT INTO p (id, s) SELECT * FROM p AS x")},
	"number-touches-letter": {
		texts("SELECT 1e10 FROM t", "SELECT id, 0x1F FROM t", "SELECT 1.5e3 FROM t", "SELECT id FROM t WHERE id IN (SELECT 1e3 FROM p)"),
		texts("SELECT 1 e10 FROM t", "SELECT id FROM t WHERE id = 1AND s = 'a'", "SELECT 1 AS e10 FROM t")},
	"name-with-other-characters": {
		texts(`SELECT "a.b" FROM t`, `SELECT id AS k FROM t ORDER BY "user id"`, `UPDATE t SET id = "x-y"`),
		texts(`SELECT id AS "a.b" FROM t`, "SELECT `id` FROM `t`", `SELECT x."a.b" FROM (SELECT id AS "a.b" FROM t) x`)},
	"alias-as-written": {nil, texts(`SELECT id AS "Id" FROM t`, "SELECT COUNT(*) AS count FROM t")},
	"order-by-ordinal": {
		texts("SELECT * FROM t ORDER BY 2", "SELECT id FROM t ORDER BY 2", "SELECT id FROM t ORDER BY 0", "SELECT id + 1 FROM t UNION SELECT id FROM p ORDER BY 1"),
		texts("SELECT id, s FROM t ORDER BY 2", "SELECT id + ? FROM t ORDER BY 1", "SELECT 3, id FROM t ORDER BY 1, 2", "SELECT id FROM t ORDER BY id", "SELECT id AS k FROM t UNION SELECT id FROM p ORDER BY 1")},
	"group-by-alias": {
		texts("SELECT UPPER(s) AS k, COUNT(*) FROM t GROUP BY k"),
		texts("SELECT s AS k, COUNT(*) FROM t GROUP BY k", "SELECT s, COUNT(*) FROM t GROUP BY s", "SELECT UPPER(s) AS s, COUNT(*) FROM t GROUP BY s")},
	"aggregates-of-one-column": {
		texts("SELECT COUNT(s), COUNT(DISTINCT s) FROM t", "SELECT id, COUNT(s) FROM t GROUP BY id HAVING COUNT(DISTINCT t.s) > 1", "SELECT COUNT(DISTINCT s) FROM t ORDER BY COUNT(s)",
			"SELECT STRING_AGG(s, '-'), STRING_AGG(s, '+') FROM t", "SELECT COUNT(s) + COUNT(DISTINCT s) FROM t"),
		texts("SELECT COUNT(*), COUNT(DISTINCT s) FROM t", "SELECT COUNT(id), COUNT(DISTINCT s) FROM t", "SELECT COUNT(s), SUM(id) FROM t", "SELECT MIN(s), MIN(DISTINCT s) FROM t",
			"SELECT COUNT(t.id), COUNT(DISTINCT p.id) FROM t JOIN p ON p.id = t.id", "SELECT STRING_AGG(s), STRING_AGG(s, ', ') FROM t",
			"SELECT COUNT(s) FROM t WHERE id = (SELECT COUNT(DISTINCT s) FROM t)")},
	"distinct-left-out": {
		texts("SELECT SUM(DISTINCT id) FROM t", "SELECT s FROM t GROUP BY s HAVING AVG(DISTINCT id) > 1"),
		texts("SELECT COUNT(DISTINCT id), MIN(DISTINCT id), MAX(DISTINCT id) FROM t", "SELECT SUM(id) FROM (SELECT DISTINCT id FROM t) x")},
	"aggregate-not-selected": {nil, texts("SELECT s FROM t GROUP BY s HAVING COUNT(*) > 1")},
	"aggregate-in-expression": {
		texts("SELECT COUNT(*) + 1 FROM t ORDER BY 1"),
		texts("SELECT COALESCE(MAX(id), 0) FROM t", "SELECT id, COUNT(*) FROM t GROUP BY id ORDER BY id", "SELECT COUNT(*) FROM t ORDER BY 1")},
	"sorted-by-name":     {nil, texts("SELECT p.id FROM t JOIN p ON p.id = t.id ORDER BY p.id")},
	"alias-hides-column": {nil, texts("SELECT -id AS id FROM t ORDER BY t.id")},
	"order-by-constant":  {nil, texts("SELECT 2 AS k, id FROM t ORDER BY k, id")},
	"distinct-cut-short": {nil, texts("SELECT DISTINCT s FROM t ORDER BY s LIMIT 2")},
	"not-in-becomes-in":  {nil, texts("SELECT t.id FROM t JOIN p ON p.id = t.id WHERE p.id NOT IN (1, 2)")},
	"subquery-sees-own-writes": {
		texts("DELETE FROM t WHERE id IN (SELECT id FROM t AS x WHERE x.s = 'a')", "UPDATE p SET s = (SELECT MAX(s) FROM p)", "UPDATE p SET s = 'a' WHERE NOT EXISTS (SELECT 1 FROM p AS x WHERE x.s = 'a')",
			"INSERT INTO p (id) SELECT id FROM t WHERE id > (SELECT MAX(id) FROM p)", "INSERT INTO p (id) SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.s = t.s)",
			"DELETE FROM p WHERE (id = 1 OR s = 'a') AND id = (SELECT MIN(id) FROM p)", "INSERT INTO p (id) VALUES ((SELECT MAX(id) + 1 FROM p)), ((SELECT MAX(id) + 2 FROM p))"),
		append(texts("DELETE FROM t WHERE id IN (SELECT id FROM p)", "UPDATE p SET s = (SELECT MAX(s) FROM p) WHERE id = 1", "UPDATE p SET s = 'a' WHERE 1 = p.id AND NOT EXISTS (SELECT 1 FROM p AS x WHERE x.s = 'a')",
			"INSERT INTO p (id) SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM p WHERE p.id = t.id)", "INSERT INTO p (id) SELECT id FROM t WHERE id NOT IN (SELECT id FROM p)",
			"INSERT INTO p (id) VALUES ((SELECT MAX(id) + 1 FROM p))", "DELETE FROM p WHERE id IN (SELECT id FROM p UNTIL TX 5)"),
			with("DELETE FROM p WHERE id = ? AND s = (SELECT MAX(s) FROM p)", int64(1)))},
	"join-using": {
		texts("SELECT * FROM t JOIN p USING (id)", "SELECT t.id FROM t JOIN p ON p.id = t.id JOIN p AS x USING (nosuch)"),
		texts("SELECT t.id FROM t JOIN p USING (id)", "SELECT * FROM t JOIN p ON p.id = t.id", "SELECT t.id FROM t JOIN p ON p.id = t.id JOIN p AS x USING (s)")},
	"order-by-subquery": {
		texts("SELECT DISTINCT id FROM t ORDER BY (SELECT MAX(id) FROM p)", "SELECT * FROM t ORDER BY CASE WHEN EXISTS (SELECT id FROM p) THEN 1 ELSE 2 END"),
		texts("SELECT id FROM t ORDER BY (SELECT MAX(p.id) FROM p WHERE p.id = t.id)", "SELECT id FROM t WHERE EXISTS (SELECT id FROM p) ORDER BY id")},
	"natural-join": {
		texts("SELECT * FROM t NATURAL JOIN p", "SELECT t.id FROM t NATURAL JOIN v", "SELECT t.id FROM TABLES() NATURAL LEFT JOIN t"),
		texts("SELECT t.id FROM t NATURAL JOIN p", "SELECT t.id FROM t NATURAL LEFT JOIN (SELECT id AS other FROM p) x", "SELECT * FROM t NATURAL JOIN (SELECT id AS other FROM p) x", "SELECT t.id FROM t CROSS JOIN p")},
	"full-join-where":               {nil, texts("SELECT t.id FROM t FULL JOIN p ON p.id = t.id WHERE t.id IS NULL")},
	"join-condition-of-both-tables": {nil, texts("SELECT t.id FROM t JOIN p ON p.id = t.id AND p.s < t.s")},
	"count-beside-subquery":         {nil, texts("SELECT COUNT(*) FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.id = t.id)")},
	"with-is-shared": {
		texts("WITH RECURSIVE c AS (SELECT 1 AS n FROM t UNION ALL SELECT n + 1 AS n FROM c WHERE n < 5) SELECT n FROM c"),
		texts("WITH x AS (SELECT id FROM t) SELECT id FROM x", "WITH t AS (SELECT id FROM t) SELECT id FROM t", "WITH RECURSIVE x AS (SELECT id FROM t) SELECT id FROM x")},
	"set-operations-from-the-right": {nil, texts("SELECT id FROM t EXCEPT SELECT id FROM p EXCEPT SELECT id FROM p")},
	"set-operation-repeats-rows":    {nil, texts("SELECT s FROM t INTERSECT SELECT s FROM p")},
	"subquery-takes-outer-column":   {nil, texts("SELECT id FROM t WHERE id IN (SELECT id FROM p WHERE s = 'a')")},
	"subquery-without-its-end": {
		texts("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.id = t.id GROUP BY p.s HAVING COUNT(*) > 1)", "DELETE FROM t WHERE s IN (SELECT p.s FROM p WHERE p.id = t.id LIMIT 1)",
			"SELECT id FROM t WHERE s IN (SELECT s FROM p WHERE blob_ = x'00' OFFSET 1)"),
		texts("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.id = t.id)", "SELECT id FROM t WHERE id IN (SELECT id FROM p WHERE s = 'a' ORDER BY id LIMIT 1)",
			"SELECT id FROM t WHERE id IN (SELECT MAX(id) FROM p GROUP BY s)", "SELECT id FROM t WHERE id IN (SELECT p.id FROM p WHERE p.s = 'a' GROUP BY p.id HAVING COUNT(*) > 1)")},
	"order-after-set-operation": {
		texts("SELECT t.id FROM t UNION SELECT p.id FROM p ORDER BY p.id"),
		texts("SELECT id FROM t UNION SELECT id FROM p ORDER BY id LIMIT 1", "SELECT id FROM t UNION SELECT id FROM p")},
	"order-beside-window": {
		texts("SELECT DISTINCT id, ROW_NUMBER() OVER (ORDER BY s) FROM t ORDER BY s", "SELECT id, ROW_NUMBER() OVER (ORDER BY s) FROM t ORDER BY 3"),
		texts("SELECT id, ROW_NUMBER() OVER (ORDER BY s) FROM t ORDER BY id", "SELECT ROW_NUMBER() OVER (ORDER BY s) FROM t", "SELECT t.id, ROW_NUMBER() OVER (ORDER BY s) FROM t ORDER BY t.id, s")},
	"window-function-unknown": {
		append(texts("SELECT PERCENT_RANK() OVER (ORDER BY id) FROM t", "SELECT LAG(id, 1, 0) OVER (ORDER BY id) FROM t", "SELECT NTH_VALUE(id, 2) OVER (ORDER BY id) FROM t",
			"SELECT LEAD(id, 1 + 1) OVER (ORDER BY id) FROM t", "SELECT LAG(id, 'a') OVER (ORDER BY id) FROM t"), with("SELECT LAG(id, ?) OVER (ORDER BY id) FROM t", "1")),
		append(texts("SELECT LAG(id, 2) OVER (ORDER BY id), COUNT(*) OVER (), SUM(id) OVER (PARTITION BY s), LEAD(id, -1) OVER (ORDER BY id) FROM t"),
			with("SELECT LAG(id, ?) OVER (ORDER BY id) FROM t", int64(1)))},
	"window-of-whole-partition": {
		texts("SELECT SUM(id) OVER (ORDER BY id) FROM t", "SELECT COUNT(*) OVER (PARTITION BY s ORDER BY id) FROM t", "SELECT LAST_VALUE(id) OVER (ORDER BY id) FROM t",
			"SELECT NTILE(4) OVER (ORDER BY id) FROM t", "SELECT COUNT(s) OVER () FROM t"),
		texts("SELECT SUM(id) OVER (PARTITION BY s), MAX(id) OVER () FROM t", "SELECT FIRST_VALUE(id) OVER (ORDER BY id DESC), RANK() OVER (ORDER BY id) FROM t", "SELECT LAST_VALUE(id) OVER () FROM t")},
	"window-of-no-column": {
		texts("SELECT ROW_NUMBER() OVER (ORDER BY nosuch) FROM t", "SELECT id AS k, RANK() OVER (PARTITION BY k) FROM t", "SELECT RANK() OVER (ORDER BY p.uuid_) FROM t JOIN p ON p.id = t.id"),
		texts("SELECT RANK() OVER (PARTITION BY uuid_ ORDER BY p.s) FROM t JOIN p ON p.id = t.id", "SELECT RANK() OVER (ORDER BY a) FROM v", "SELECT RANK() OVER (ORDER BY k) FROM (SELECT id AS k FROM t) x",
			"WITH c AS (SELECT id AS k FROM t) SELECT RANK() OVER (ORDER BY k) FROM c", "SELECT RANK() OVER (ORDER BY _rev) FROM (HISTORY OF t)")},
	"row-locks": {
		texts("SELECT id FROM t FOR UPDATE SKIP LOCKED"),
		texts("SELECT id FROM t WHERE id = 1 FOR UPDATE", "SELECT id FROM t FOR SHARE")},
	"brackets-around-side": {nil, texts("(SELECT id FROM t) UNION (SELECT id FROM p)", "(SELECT 1)")},
	"table-star": {
		texts("SELECT v.*, p.id FROM v JOIN p ON p.id = v.id", "SELECT x.*, p.id FROM (SELECT UPPER(s) FROM t) x JOIN p ON p.id = 1", "SELECT nosuch.*, id FROM t"),
		texts("SELECT t.*, p.id FROM t JOIN p ON p.id = t.id", "SELECT t.* FROM t JOIN p ON p.id = t.id", "SELECT x.*, p.id FROM (SELECT * FROM t) x JOIN p ON p.id = x.id", "SELECT t.* FROM t", "SELECT x.* FROM t AS x WHERE x.id = 1")},
	"placeholder-not-filled-in": {nil, []sample{with("SELECT EXISTS (SELECT 1 FROM t WHERE id = ?)", int64(1))}},
	"time-out-of-range": {
		append(texts("SELECT CAST('9999-12-31' AS TIMESTAMP) FROM t", "SELECT id FROM t WHERE timestamp_ > CAST('1600-01-01 10:00' AS TIMESTAMP)"),
			with("INSERT INTO t (id, timestamp_) VALUES (1, ?)", time.Time{}), with("SELECT id FROM t WHERE id = ? AND timestamp_ > ?", int64(1), time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC))),
		append(texts("SELECT CAST('2262-01-01' AS TIMESTAMP) FROM t", "SELECT CAST('no time' AS TIMESTAMP) FROM t"), with("INSERT INTO t (id, timestamp_) VALUES (1, ?)", time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC)))},
	"null-is-smallest": {
		append(texts("SELECT id FROM t WHERE s < 'a'", "DELETE FROM t WHERE timestamp_ <= NOW()", "UPDATE t SET s = '' WHERE 'a' > s", "SELECT id FROM t WHERE s <> 'a' OR id = 1", "SELECT id FROM t WHERE NOT (s = 'a')",
			"SELECT id FROM t WHERE NOT (s = 'a' OR id = 1)", "SELECT id FROM t WHERE s NOT IN ('a')", "SELECT id FROM t WHERE s NOT LIKE 'a%'", "SELECT id FROM t WHERE NOT (s BETWEEN 'a' AND 'b')",
			"SELECT id FROM t WHERE NOT (s > 'a')", "SELECT id FROM t WHERE id > NULL", "SELECT id FROM t WHERE s IS NULL AND s < 'a' OR s != 'b'",
			"SELECT id FROM p WHERE EXISTS (SELECT 1 FROM t WHERE t.s < p.s)", "SELECT p.id FROM t LEFT JOIN p ON p.id = t.id WHERE p.s < 'a'", "SELECT x.id FROM t AS x WHERE x.s < 'a' AND x.uuid_ IS NOT NULL"),
			with("SELECT id FROM t WHERE s <> ?", "a"), with("SELECT id FROM t WHERE s <= ?", nil), with("SELECT id FROM t WHERE s BETWEEN ? AND 'a'", nil), with("DELETE FROM p WHERE id > ?", nil), with("SELECT id FROM t WHERE s > ?", nil)),
		append(texts("SELECT id FROM t WHERE s < 'a' AND s IS NOT NULL", "SELECT id FROM t WHERE s > 'a' AND s < 'b'", "SELECT id FROM t WHERE s >= 'a'", "SELECT id FROM t WHERE s = 'a'", "SELECT id FROM t WHERE s < 'a' OR s IS NULL",
			"SELECT id FROM t WHERE id < 1 AND id <> 3 AND id NOT IN (4)", "SELECT id FROM p WHERE s <> 'a'", "SELECT id FROM t WHERE NOT (s < 'a')", "SELECT id FROM t WHERE NOT (s IS NULL OR s = 'a')",
			"SELECT id FROM t WHERE NOT (NOT (s = 'a'))", "SELECT id FROM t WHERE s IN ('a') AND s <> 'b'", "SELECT id FROM t WHERE COALESCE(s, '') < 'a'", "SELECT id FROM t WHERE 'a' < s", "SELECT id FROM t WHERE nosuch < 1",
			"SELECT x.id FROM t AS x WHERE x.s < 'a' AND x.s IS NOT NULL", "SELECT s < 'a' FROM t"), with("SELECT id FROM t WHERE s = ?", nil), with("SELECT id FROM t WHERE s <> ?", nil), with("SELECT id FROM t WHERE s != NULL"), with("SELECT id FROM t WHERE s IN (?)", nil), with("SELECT id FROM t WHERE s IN (?)", "a"))},
	"avg-of-integer": {
		texts("SELECT AVG(integer_) FROM t", "SELECT s FROM t GROUP BY s HAVING AVG(integer_) > 1"),
		texts("SELECT AVG(float_) FROM t", "SELECT SUM(integer_) FROM t", "SELECT AVG(f) FROM (SELECT CAST(integer_ AS FLOAT) AS f FROM t)")},
	"json-number-rounded": {
		append(texts(`INSERT INTO t (id, json_) VALUES (1, '{"a":[9007199254740993]}')`, `UPDATE t SET json_ = '1.00000000000000000001'`),
			with("INSERT INTO t (id, json_) VALUES (1, ?)", []byte("9007199254740993")), with("INSERT INTO t (id, json_) VALUES (1, ?)", "[1e999]"),
			with("INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET json_ = ?", "1e-999999999")),
		append(texts(`INSERT INTO t (id, json_) VALUES (1, '{"a":9007199254740992,"b":"9007199254740993","c":0.1,"d":-0.0}')`, `INSERT INTO t (id, s) VALUES (1, '9007199254740993')`),
			with("INSERT INTO t (id, json_) VALUES (1, ?)", []byte("[1, 2.5, 1e300]")), with("INSERT INTO t (id, json_) VALUES (1, ?)", nil), with("INSERT INTO t (id, s) VALUES (1, ?)", "9007199254740993"))},
	"number-out-of-range": {
		texts("SELECT 9223372036854775808 FROM t", "SELECT -9223372036854775809 FROM t", "SELECT 1 - 9223372036854775808 FROM t", "SELECT id FROM t WHERE id < 18446744073709551615"),
		texts("SELECT 9223372036854775807 FROM t", "SELECT 9223372036854775808.0 FROM t", "SELECT id FROM t WHERE id > -9223372036854775808")},
}

func TestEachRuleRefusesItsKindAndNothingElse(t *testing.T) {
	for i, rule := range append(All(), Strict()...) {
		strict := i >= len(All())
		s, ok := samples[rule.Name]
		if !ok {
			t.Errorf("rule %s has no samples", rule.Name)
			continue
		}
		for _, x := range s.refused {
			if r := refusalIf(t, strict, x.text, false, x.args...); r == nil || r.Rule.Name != rule.Name {
				t.Errorf("%s: %q %v: got %v", rule.Name, x.text, x.args, r)
			}
		}
		for _, x := range s.allowed {
			if r := refusalIf(t, strict, x.text, false, x.args...); r != nil {
				t.Errorf("%s: %q %v is refused: %v", rule.Name, x.text, x.args, r)
			}
		}
	}
}

func TestWhatATransactionCannotHoldIsRefusedThere(t *testing.T) {
	for _, text := range []string{
		"BEGIN; SELECT 1; COMMIT", "USE d", "CREATE DATABASE d", "CREATE VIEW w AS SELECT * FROM t", "CREATE SEQUENCE s", "DROP VIEW v",
		"INSERT INTO p (id) SELECT id + 1 FROM p", "UPSERT INTO p (id) SELECT id FROM t WHERE id IN (SELECT id FROM p)",
	} {
		if refusal(t, text, true) == nil {
			t.Errorf("%q is allowed in a transaction", text)
		}
		if r := refusal(t, text, false); r != nil {
			t.Errorf("%q is refused outside one: %v", text, r)
		}
	}
}

func TestRefusalSaysWhereAndWhatToWriteInstead(t *testing.T) {
	r := refusal(t, "SELECT id\nFROM t BEFORE NULL", false)
	want := "line 2, column 15: SINCE, AFTER, UNTIL or BEFORE with a value that may be NULL is not supported: " +
		"NULL crashes the server; write a literal or an argument that is not nil, or leave the period out"
	if r == nil || r.Error() != want {
		t.Errorf("got  %v\nwant %s", r, want)
	}
}

func TestARefusalQuotesNoLiteral(t *testing.T) {
	r := refusal(t, "DELETE FROM p RETURNING CONCAT('hunter2', s) AS k", false)
	if r == nil || strings.Contains(r.Error(), "hunter2") || !strings.Contains(r.Error(), "CONCAT(…, s) AS k") {
		t.Errorf("got %v", r)
	}
}

func TestArgumentsFitTheColumnsThatTheyAreStoredIn(t *testing.T) {
	script, err := tree.Parse("INSERT INTO t (json_, s, json_, json_, s, blob_, s) VALUES (?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	plan, r := Check(script, false)
	if r != nil {
		t.Fatal(r)
	}
	values := []driver.Value{"null", "null", []byte("\nnull"), []byte("{}"), []byte("ä"), []byte("b"), []byte{0xff}}
	args := func(index int) driver.Value { return values[index] }
	if !plan.MayFit(args) {
		t.Error("nothing is to be changed")
	}
	want := map[int]driver.Value{0: nil, 2: nil, 3: "{}", 4: "ä"}
	if got := plan.Fitted(aDatabase{}, args); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
