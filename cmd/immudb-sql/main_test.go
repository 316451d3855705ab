package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) {
	if os.Getenv("IMMUDB_SQL_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(testserver.Main(m, testserver.NoSessions))
}

// shellRun runs the program on a new database, with a script on standard input.
func shellRun(t *testing.T, dsn, script string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = program{stdin: strings.NewReader(script), stdout: &out, stderr: &errs}.run(t.Context(), args, dsn)
	return status, trimmed(out.String()), errs.String()
}

// trimmed is a text without the blanks at the ends of lines, which pad the columns.
func trimmed(text string) string {
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
}

func database(t *testing.T, options ...string) string {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	for _, option := range options {
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		dsn += sep + option
	}
	return dsn
}

// want runs a script that must succeed, and compares what it prints.
func want(t *testing.T, dsn, script, output string, args ...string) {
	t.Helper()
	status, stdout, stderr := shellRun(t, dsn, script, args...)
	if status != statusOK || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if output = strings.TrimPrefix(output, "\n"); stdout != output {
		t.Errorf("the script prints\n%s\nwant\n%s", stdout, output)
	}
}

const accounts = `
-- a comment; with a semicolon
CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[40] NOT NULL, balance FLOAT, at TIMESTAMP, seal BLOB, PRIMARY KEY id);
CREATE UNIQUE INDEX ON accounts(owner); /* two; on
a line */ INSERT INTO accounts (owner, balance, at, seal)
VALUES ('Ada; ''A''', 1.5, CAST('2026-01-02 03:04:05' AS TIMESTAMP), x'00ff'), ('"Bo" -- B', NULL, NULL, NULL);
`

func TestAScriptPrintsWhatPsqlPrints(t *testing.T) {
	want(t, database(t), accounts+`
SELECT id, owner, balance, at, seal FROM accounts;
BEGIN; UPDATE accounts SET balance = 2; SELECT balance FROM accounts WHERE id = 2; ROLLBACK;
DELETE FROM accounts WHERE id = 2 RETURNING owner;
SELECT id, owner FROM accounts WHERE id = 2;
\echo the last one
SELECT id, balance
FROM accounts \gx
SELECT COUNT(*) FROM accounts`, `
CREATE TABLE
CREATE UNIQUE INDEX
INSERT 2
 id |   owner   | balance |         at          |  seal
----+-----------+---------+---------------------+---------
  1 | Ada; 'A'  |     1.5 | 2026-01-02 03:04:05 | x'00ff'
  2 | "Bo" -- B | NULL    | NULL                | NULL
(2 rows)
BEGIN
UPDATE 2
 balance
---------
       2
(1 row)
ROLLBACK
   owner
-----------
 "Bo" -- B
(1 row)
 id | owner
----+-------
(0 rows)
the last one
-[ RECORD 1 ]--
 id      | 1
 balance | 1.5
 col0
------
    1
(1 row)
`)
}

func TestFormatsForPrograms(t *testing.T) {
	dsn := database(t)
	want(t, dsn, accounts, "", "-format", "csv")
	query := "SELECT id, owner, at, seal FROM accounts"
	want(t, dsn, query, `
id,owner,at,seal
1,Ada; 'A',2026-01-02T03:04:05Z,AP8=
2,"""Bo"" -- B",,
`, "-format", "csv")
	want(t, dsn, query, `
[{"id":1,"owner":"Ada; 'A'","at":"2026-01-02T03:04:05Z","seal":"AP8="},{"id":2,"owner":"\"Bo\" -- B","at":null,"seal":null}]
`, "-format", "json")
	want(t, dsn, query+" WHERE id = 3", "id,owner,at,seal\n", "-format", "csv")
}

func TestTheCatalogIsDescribed(t *testing.T) {
	dsn := database(t)
	want(t, dsn, accounts, "", "-format", "csv")
	want(t, dsn, `\d ACCOUNTS`, `
                  Table accounts
 Column  |    Type     | Nullable |    Default
---------+-------------+----------+----------------
 id      | INTEGER     | not null | AUTO_INCREMENT
 owner   | VARCHAR[40] | not null |
 balance | FLOAT       |          |
 at      | TIMESTAMP   |          |
 seal    | BLOB        |          |
Indexes:
    PRIMARY KEY (id)
    UNIQUE INDEX (owner)
`)
	want(t, dsn, `\d`, "name\naccounts\n", "-format", "csv")
	want(t, dsn, `\di`, "Table,Index\naccounts,PRIMARY KEY (id)\naccounts,UNIQUE INDEX (owner)\n", "-format", "csv")
}

func TestCopyWritesWhatItReads(t *testing.T) {
	dsn := database(t)
	file := filepath.Join(t.TempDir(), "it's.csv")
	quoted := "'" + strings.ReplaceAll(file, "'", "''") + "'"
	want(t, dsn, accounts+`
\copy (SELECT * FROM accounts WHERE id < (3)) to `+quoted+` csv header
CREATE TABLE copies (id INTEGER, owner VARCHAR[40], balance FLOAT, at TIMESTAMP, seal BLOB, PRIMARY KEY id);
\copy copies from `+quoted+` csv header
\copy copies (id, owner, at) from stdin with (format csv)
3,"Cy, ""C""",2026-05-06
\.
SELECT id, owner, at, seal FROM copies;
`, `
id,owner,at,seal
1,Ada; 'A',2026-01-02T03:04:05Z,AP8=
2,"""Bo"" -- B",,
3,"Cy, ""C""",2026-05-06T00:00:00Z,
`, "-format", "csv")
	want(t, dsn, `\copy copies (owner) to stdout`, "Ada; 'A'\n\"\"\"Bo\"\" -- B\"\n\"Cy, \"\"C\"\"\"\n")

	spreadsheet := filepath.Join(t.TempDir(), "sheet.csv")
	if err := os.WriteFile(spreadsheet, []byte("\ufeffid,owner\r\n1,Zoe\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, dsn, `\copy copies from `+spreadsheet+` csv header upsert`+"\nSELECT owner FROM copies WHERE id = 1", "COPY 1\n owner\n-------\n Zoe\n(1 row)\n")

	status, _, stderr := shellRun(t, dsn, "\\copy copies (id, balance) from stdin\n4,1\n5,much\n\\.\nDELETE FROM copies;")
	if status != statusFailed || !strings.Contains(stderr, "line 2 of the data, column balance") {
		t.Errorf("status %d: %s", status, stderr)
	}
	want(t, dsn, "SELECT id FROM copies WHERE id > 2", "id\n3\n4\n", "-format", "csv") // nothing was deleted
}

func TestVerifyShowsTheRowAndItsTransaction(t *testing.T) {
	dsn := database(t, "verify=trust-first-use")
	want(t, dsn, "CREATE TABLE seats (hall VARCHAR[9], seat INTEGER, guest BLOB, PRIMARY KEY (hall, seat));"+
		"INSERT INTO seats (hall, seat, guest) VALUES ('the 9''s', 7, x'ab');", "CREATE TABLE\nINSERT 1\n")
	status, stdout, stderr := shellRun(t, dsn, `\verify seats 'the 9''s' 7`)
	proven := regexp.MustCompile(`(?m)^-\[ RECORD 1 \]-+
 hall  \| the 9's
 seat  \| 7
 guest \| x'ab'
proven: transaction \d+ wrote it, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ by the server's clock
trusted: transaction \d+, [0-9a-f]{64}
$`)
	if status != statusOK || !proven.MatchString(stdout) {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr = shellRun(t, strings.Replace(dsn, "first-use", "first-use,reads", 1), "SELECT seat FROM seats; SELECT COUNT(*) AS n FROM seats;")
	if !strings.Contains(stdout, "(1 row)\nproven\n n\n---\n 1\n(1 row)\nnot proven: ") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	for script, fault := range map[string]string{
		`\verify seats x`:          "(hall, seat): give a value for each column",
		`\verify seats x y`:        `seat: `,
		`\verify seats x 8`:        "no rows",
		`BEGIN; \verify seats x 7`: "does not run inside a transaction",
	} {
		status, _, stderr := shellRun(t, dsn, script)
		if status != statusFailed || !strings.Contains(stderr, fault) {
			t.Errorf("%s: status %d, %s", script, status, stderr)
		}
	}
}

func TestTheExitStatusSaysWhatFailed(t *testing.T) {
	dsn := database(t)
	unreachable := "immudb://u:secret@127.0.0.1:1/x?sslmode=disable"
	pinned := dsn + "&trusted_state=1:" + strings.Repeat("0", 64)
	table := "CREATE TABLE IF NOT EXISTS t (id INTEGER, PRIMARY KEY id); UPSERT INTO t (id) VALUES (1);"
	for _, c := range []struct {
		dsn, script string
		args        []string
		status      int
	}{
		{dsn, "SELECT 1", nil, statusOK},
		{dsn, "", []string{"-c", table, "-c", `\q`, "-c", "nonsense"}, statusOK},
		{dsn, "", []string{"-version"}, statusOK},
		{dsn, "", []string{"-help"}, statusOK},
		{dsn, "SELECT nosuch FROM t;", nil, statusFailed},
		{dsn, `\nosuch`, nil, statusFailed},
		{dsn, "SELECT 'open", nil, statusFailed},
		{dsn, "BEGIN; INSERT INTO t (id) VALUES (9);", nil, statusFailed},
		{dsn, "", []string{"-f", "nosuch.sql"}, statusFailed},
		{"", "SELECT 1", nil, statusUsage},
		{dsn, "", []string{"-nosuch"}, statusUsage},
		{dsn, "", []string{"-format", "xml"}, statusUsage},
		{dsn, "", []string{dsn, dsn}, statusUsage},
		{"immudb://u@h/x?nosuch=1", "", nil, statusUsage},
		{unreachable, "SELECT 1", nil, statusUnreachable},
		{strings.Replace(dsn, "immudb:immudb@", "immudb:wrong@", 1), "SELECT 1", nil, statusUnreachable},
		{pinned, `\verify t 1`, nil, statusTampered},
	} {
		if status, _, stderr := shellRun(t, c.dsn, c.script, c.args...); status != c.status {
			t.Errorf("%q %q: status %d, want %d: %s", c.script, c.args, status, c.status, stderr)
		}
	}
	want(t, dsn, "SELECT id FROM t", "id\n1\n", "-format", "csv") // what the script did not commit is not there
}

func TestAScriptEndsAtItsFirstErrorAndSaysWhere(t *testing.T) {
	dsn := database(t)
	inner, outer := filepath.Join(t.TempDir(), "inner.sql"), filepath.Join(t.TempDir(), "outer.sql")
	for name, text := range map[string]string{
		inner: "SELECT 1;\n\nSELECT nosuch;\nCREATE TABLE late (id INTEGER, PRIMARY KEY id);\n",
		outer: "\\i " + inner + "\nCREATE TABLE later (id INTEGER, PRIMARY KEY id);\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := shellRun(t, dsn, "", "-quiet", "-f", outer, "-c", "SELECT 2")
	if status != statusFailed || !strings.HasPrefix(stderr, "immudb-sql: "+inner+":3: immudb: ") || strings.Contains(stdout, "2") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	want(t, dsn, `\d`, "name\n", "-format", "csv")
}

func TestThePasswordIsNeverShown(t *testing.T) {
	dsn := database(t)
	shown := ""
	for _, script := range []string{`\conninfo`, `\c immudb://u:geheim7@127.0.0.1:1/x?sslmode=disable`, `\c immudb://u:geheim7@127.0.0.1:1/x?nosuch=1`, `\c geheim7@:`} {
		_, stdout, stderr := shellRun(t, strings.Replace(dsn, "?", "?application_name=shell&", 1), script)
		shown += stdout + stderr
		_, stdout, stderr = shellRun(t, dsn, script)
		shown += stdout + stderr
	}
	_, stdout, stderr := shellRun(t, "immudb://u:geheim7@127.0.0.1:1/x?sslmode=disable", "", "-c", "SELECT 1", "-nosuch")
	shown += stdout + stderr
	if !strings.Contains(shown, "immudb://immudb:xxxxx@") || strings.Contains(shown, "geheim7") || strings.Contains(shown, "immudb:immudb") {
		t.Error(shown)
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	_, _, help := shellRun(t, "", "", "-help")
	_, commands, _ := shellRun(t, database(t), `\?`)
	for _, text := range []string{help, commands} {
		lines := strings.Split(text, "\n")
		if len(lines) > 24 || len(lines) < 10 {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if len(line) > 100 {
				t.Errorf("too long: %s", line)
			}
		}
	}
}
