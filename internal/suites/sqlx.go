package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const sqlxRelease = "v1.4.0"

// sqlxSuite is sqlx with its tests, which open immudb in place of PostgreSQL. Their
// tables get the server's types and primary keys, and integers are passed as such.
func (s *settings) sqlxSuite(ctx context.Context, root, dir string) (tests, error) {
	at := filepath.Join(dir, "sqlx")
	if err := download(ctx, at, "github.com/jmoiron/sqlx", sqlxRelease); err != nil {
		return tests{}, err
	}
	err := edit(filepath.Join(at, "sqlx_test.go"),
		change{old: "\t_ \"github.com/go-sql-driver/mysql\"\n\t_ \"github.com/lib/pq\"\n\t_ \"github.com/mattn/go-sqlite3\"\n", new: "\t_ \"github.com/immudb-go/immudb\"\n", times: 1},
		change{old: `Connect("postgres", pgdsn)`, new: `Connect("immudb", pgdsn)`, times: 1})
	if err != nil {
		return tests{}, err
	}
	for _, file := range []string{"sqlx_test.go", "sqlx_context_test.go"} {
		err := edit(filepath.Join(at, file),
			change{old: `"New York", "1")`, new: `"New York", 1)`, times: 2},
			change{old: `"Hong Kong", "852")`, new: `"Hong Kong", 852)`, times: 2},
			change{old: `"Singapore", "65")`, new: `"Singapore", 65)`, times: 2},
			change{old: `"Sarf Efrica", "27")`, new: `"Sarf Efrica", 27)`, times: 2},
			change{old: `"Peter", "4444")`, new: `"Peter", 4444)`, times: 1},
			change{old: `"Joe", "1", "4444")`, new: `"Joe", 1, 4444)`, times: 1},
			change{old: `"Martin", "2", "4444")`, new: `"Martin", 2, 4444)`, times: 1})
		if err != nil {
			return tests{}, err
		}
		if s.names {
			err := edit(filepath.Join(at, file),
				change{old: "SELECT * FROM capplace;", new: `SELECT country AS \"COUNTRY\", city AS \"CITY\", telcode AS \"TELCODE\" FROM capplace;`, times: 2},
				change{old: "SELECT * FROM jsperson", new: `SELECT "first" AS "FIRST", last_name, email AS "EMAIL" FROM jsperson`, times: 2})
			if err != nil {
				return tests{}, err
			}
		}
		if err := keyTables(filepath.Join(at, file)); err != nil {
			return tests{}, err
		}
	}
	if err := requireModules(ctx, at, root, ""); err != nil {
		return tests{}, err
	}
	return tests{dir: at, depth: 1, env: func(dsn string) []string {
		return []string{"SQLX_POSTGRES_DSN=" + dsn, "SQLX_MYSQL_DSN=skip", "SQLX_SQLITE_DSN=skip"}
	}}, nil
}

// sqlxKeys are the primary keys of the tables of sqlx's tests, which have none.
var sqlxKeys = map[string]string{
	"person": "email", "place": "country", "capplace": `"COUNTRY"`, "nullperson": "email", "employees": "id", "placeperson": "email",
	"jsperson": `"EMAIL"`, "tt": "id", "tt_conn": "id", "kv": "k", "message": "string", "x": "k",
}

var (
	createTable = regexp.MustCompile(`CREATE TABLE (\w+) \(((?s:.*?))\n(\s*\);)`)
	textColumn  = regexp.MustCompile(`(?m)^(\s+"?\w+"?) text\b`)
)

// keyTables gives the tables of a file primary keys, and their columns types that the
// server has.
func keyTables(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var unknown []string
	changed := createTable.ReplaceAllStringFunc(string(text), func(table string) string {
		parts := createTable.FindStringSubmatch(table)
		name, columns, end := parts[1], parts[2], parts[3]
		key := sqlxKeys[name]
		switch {
		case key == "":
			unknown = append(unknown, name)
		case strings.Contains(columns, "added_at"):
			key = "(email, added_at)" // the tests insert people again
		case strings.Contains(columns, "id integer PRIMARY KEY"):
			columns, key = strings.Replace(columns, " PRIMARY KEY", "", 1), "id"
		}
		return "CREATE TABLE " + name + " (" + textColumn.ReplaceAllString(columns, "$1 VARCHAR[100]") + ",\n\tPRIMARY KEY " + key + "\n" + end
	})
	if len(unknown) > 0 {
		return fmt.Errorf("%s: no key is known for %v", filepath.Base(file), unknown)
	}
	return os.WriteFile(file, []byte(changed), 0o600)
}
