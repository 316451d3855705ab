package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb"
)

// check is something that a program asks of the driver and a server.
type check struct {
	group, name string
	run         func(c *subject) error
}

// subject is what a check runs on. The table t (id, name) of each check is its own.
type subject struct {
	ctx     context.Context
	db      *sql.DB
	t       string         // the name of the table, whose key is AUTO_INCREMENT
	cfg     *immudb.Config // that db was made from
	restart func() error   // restarts the server
}

func (s *subject) exec(query string, args ...any) error {
	_, err := s.db.ExecContext(s.ctx, strings.ReplaceAll(query, "{t}", s.t), args...)
	return err
}

// want fails unless the query answers these values, each as fmt prints it, with blanks between them.
func (s *subject) want(want, query string, args ...any) error {
	return wantFrom(s.ctx, s.db, want, strings.ReplaceAll(query, "{t}", s.t), args...)
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func wantFrom(ctx context.Context, db queryer, want, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	var got []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		for _, v := range values {
			got = append(got, fmt.Sprint(*v.(*any)))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if all := strings.Join(got, " "); all != want {
		return fmt.Errorf("got %q, want %q", all, want)
	}
	return nil
}

// mustBe turns an error of the wanted kind into success, and all else into an error.
func mustBe(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return fmt.Errorf("err = %v, want %v", err, kind)
}

func (s *subject) begin(opts *sql.TxOptions, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(s.ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (s *subject) fill() error {
	return s.exec("INSERT INTO {t} (name) VALUES ('a'), ('b'), ('c')")
}

// first runs the steps until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

var checks = []check{
	{"Reads", "a row by its key", func(s *subject) error {
		return first(s.fill, func() error { return s.want("b", "SELECT name FROM {t} WHERE id = ?", 2) })
	}},
	{"Reads", "rows in order, with a limit and an offset", func(s *subject) error {
		return first(s.fill, func() error { return s.want("c b", "SELECT name FROM {t} ORDER BY id DESC LIMIT 2") })
	}},
	{"Reads", "COUNT, MIN, MAX and SUM", func(s *subject) error {
		return first(s.fill, func() error { return s.want("3 1 3 6", "SELECT COUNT(*), MIN(id), MAX(id), SUM(id) FROM {t}") })
	}},
	{"Reads", "GROUP BY", func(s *subject) error {
		return first(s.fill, s.fill, func() error {
			return s.want("a 2 b 2 c 2", "SELECT name, COUNT(*) FROM {t} GROUP BY name ORDER BY name")
		})
	}},
	{"Reads", "INNER JOIN", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("a b", "SELECT x.name FROM {t} AS x INNER JOIN {t} AS y ON x.id = y.id WHERE y.id < 3 ORDER BY x.id")
		})
	}},
	{"Reads", "LEFT JOIN", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("1 <nil>", "SELECT x.id, y.id FROM {t} AS x LEFT JOIN {t} AS y ON x.id = y.id AND y.name = 'none' WHERE x.id = 1")
		})
	}},
	{"Reads", "IN with a list of arguments", func(s *subject) error {
		return first(s.fill, func() error { return s.want("a c", "SELECT name FROM {t} WHERE id IN (?, ?) ORDER BY id", 1, 3) })
	}},
	{"Reads", "CASE", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("x y", "SELECT CASE WHEN id = 1 THEN 'x' ELSE 'y' END FROM {t} WHERE id < 3 ORDER BY id")
		})
	}},
	{"Reads", "UNION", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("a b", "SELECT name FROM {t} WHERE id = 1 UNION SELECT name FROM {t} WHERE id = 2")
		})
	}},
	{"Reads", "WITH", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("a", "WITH x AS (SELECT id, name FROM {t} WHERE id = 1) SELECT name FROM x")
		})
	}},
	{"Reads", "EXISTS with a subquery", func(s *subject) error {
		return first(s.fill, func() error {
			return s.want("3", "SELECT COUNT(*) FROM {t} WHERE EXISTS (SELECT id FROM {t} WHERE id = 1)")
		})
	}},
	{"Reads", "rows as of an earlier transaction", func(s *subject) error {
		return first(s.fill, func() error { return s.want("3", "SELECT COUNT(*) FROM {t} SINCE TX 1") })
	}},
	{"Reads", "the columns of a table", func(s *subject) error {
		return s.want("id name", "SELECT name FROM COLUMNS(?)", s.t)
	}},

	{"Writes", "INSERT tells its rows and its last key", func(s *subject) error {
		res, err := s.db.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a'), ('b')")
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil || n != 2 {
			return fmt.Errorf("%d rows: %w", n, err)
		}
		id, err := res.LastInsertId()
		if err != nil || id != 2 {
			return fmt.Errorf("key %d: %w", id, err)
		}
		return nil
	}},
	{"Writes", "UPSERT", func(s *subject) error {
		return first(s.fill, func() error { return s.exec("UPSERT INTO {t} (id, name) VALUES (1, 'z')") },
			func() error { return s.want("z b c", "SELECT name FROM {t}") })
	}},
	{"Writes", "UPDATE and DELETE", func(s *subject) error {
		return first(s.fill, func() error { return s.exec("UPDATE {t} SET name = ? WHERE id = ?", "z", 2) },
			func() error { return s.exec("DELETE FROM {t} WHERE id = 1") }, func() error { return s.want("z c", "SELECT name FROM {t}") })
	}},
	{"Writes", "ON CONFLICT DO NOTHING", func(s *subject) error {
		return first(s.fill, func() error { return s.exec("INSERT INTO {t} (id, name) VALUES (1, 'z') ON CONFLICT DO NOTHING") },
			func() error { return s.want("a", "SELECT name FROM {t} WHERE id = 1") })
	}},
	{"Writes", "RETURNING", func(s *subject) error {
		return s.want("1", "INSERT INTO {t} (name) VALUES ('a') RETURNING id")
	}},
	{"Writes", "bulk writes (CopyFrom)", func(s *subject) error {
		rows := func(yield func([]any, error) bool) { _ = yield([]any{"a"}, nil) && yield([]any{"b"}, nil) }
		if _, err := immudb.CopyFrom(s.ctx, s.db, s.t, []string{"name"}, rows, nil); err != nil {
			return err
		}
		return s.want("a b", "SELECT name FROM {t}")
	}},
	{"Writes", "ALTER TABLE ADD and RENAME COLUMN", func(s *subject) error {
		return first(s.fill, func() error { return s.exec("ALTER TABLE {t} ADD COLUMN n INTEGER") },
			func() error { return s.exec("ALTER TABLE {t} RENAME COLUMN name TO title") },
			func() error { return s.want("a <nil>", "SELECT title, n FROM {t} WHERE id = 1") })
	}},
	{"Writes", "DROP TABLE", func(s *subject) error {
		return first(s.fill, func() error { return s.exec("DROP TABLE {t}") },
			func() error { return mustBe(s.want("", "SELECT id FROM {t}"), immudb.ErrNoSuchTable) })
	}},
	{"Writes", "a unique index", func(s *subject) error {
		return first(func() error { return s.exec("CREATE UNIQUE INDEX ON {t} (name)") }, s.fill,
			func() error { return mustBe(s.exec("INSERT INTO {t} (name) VALUES ('a')"), immudb.ErrDuplicateKey) })
	}},

	{"Transactions", "sees its own writes, and commits", func(s *subject) error {
		return first(func() error {
			return s.begin(nil, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a')"); err != nil {
					return err
				}
				return wantFrom(s.ctx, tx, "1", "SELECT COUNT(*) FROM "+s.t)
			})
		}, func() error { return s.want("a", "SELECT name FROM {t}") })
	}},
	{"Transactions", "rows and keys that a statement wrote are told", func(s *subject) error {
		return s.begin(nil, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a'), ('b')")
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 2 {
				return cause(err, "%d rows", n)
			}
			id, err := res.LastInsertId()
			if err != nil || id != 2 {
				return cause(err, "key %d", id)
			}
			return nil
		})
	}},
	{"Transactions", "RETURNING", func(s *subject) error {
		return s.begin(nil, func(tx *sql.Tx) error {
			return wantFrom(s.ctx, tx, "1", "INSERT INTO "+s.t+" (name) VALUES ('a') RETURNING id")
		})
	}},
	{"Transactions", "rolls back", func(s *subject) error {
		tx, err := s.db.BeginTx(s.ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a')"); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return first(tx.Rollback, func() error { return s.want("0", "SELECT COUNT(*) FROM {t}") })
	}},
	{"Transactions", "two that meet: one conflicts", func(s *subject) error {
		if err := s.fill(); err != nil {
			return err
		}
		add := func() (*sql.Tx, error) {
			tx, err := s.db.BeginTx(s.ctx, nil)
			if err == nil {
				_, err = tx.ExecContext(s.ctx, "UPDATE "+s.t+" SET name = 'z' WHERE id = 1")
			}
			return tx, err
		}
		one, err := add()
		if err != nil {
			return err
		}
		two, err := add()
		if err != nil {
			return errors.Join(err, one.Rollback())
		}
		return first(one.Commit, func() error { return mustBe(two.Commit(), immudb.ErrConflict) })
	}},
	{"Transactions", "read only", func(s *subject) error {
		return first(s.fill, func() error {
			return s.begin(&sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error { return wantFrom(s.ctx, tx, "3", "SELECT COUNT(*) FROM "+s.t) })
		})
	}},
	{"Transactions", "a read-only one refuses a write", func(s *subject) error {
		tx, err := s.db.BeginTx(s.ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a')")
		return errors.Join(mustBe(err, immudb.ErrReadOnly), tx.Rollback())
	}},
	{"Transactions", "what one reads of two tables is of one moment, or ErrConflict", func(s *subject) error {
		two := s.t + "_2"
		both := "INSERT INTO " + s.t + " (name) VALUES ('a'); INSERT INTO " + two + " (name) VALUES ('a')"
		if err := s.exec("CREATE TABLE " + two + " (id INTEGER AUTO_INCREMENT, name VARCHAR[20], PRIMARY KEY id); CREATE INDEX ON " + two + " (name)"); err != nil {
			return err
		}
		count := func(tx *sql.Tx, want, table string) error {
			return wantFrom(s.ctx, tx, want, "SELECT COUNT(*) FROM "+table)
		}
		fixed, err := s.db.BeginTx(immudb.WithSnapshot(s.ctx, s.t, two), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		err = first(func() error { return s.exec(both) }, func() error { return count(fixed, "0", s.t) }, func() error { return count(fixed, "0", two) })
		if err = errors.Join(err, fixed.Rollback()); err != nil {
			return err
		}
		tx, err := s.db.BeginTx(s.ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		err = first(func() error { return count(tx, "1", s.t) }, func() error { return s.exec(both) }, func() error { return mustBe(count(tx, "1", two), immudb.ErrConflict) })
		return errors.Join(err, tx.Rollback())
	}},
	{"Transactions", "savepoints", func(s *subject) error {
		return first(func() error {
			return s.begin(nil, func(tx *sql.Tx) error {
				for _, st := range []string{"INSERT INTO " + s.t + " (name) VALUES ('a')", "SAVEPOINT x", "INSERT INTO " + s.t + " (name) VALUES ('b')", "ROLLBACK TO SAVEPOINT x"} {
					if _, err := tx.ExecContext(s.ctx, st); err != nil {
						return err
					}
				}
				return nil
			})
		}, func() error { return s.want("a", "SELECT name FROM {t}") })
	}},
	{"Transactions", "RunTx runs again after a conflict", func(s *subject) error {
		if err := s.fill(); err != nil {
			return err
		}
		runs := 0
		err := immudb.RunTx(s.ctx, s.db, nil, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(s.ctx, "UPDATE "+s.t+" SET name = 'z' WHERE id = 1")
			if runs++; runs == 1 && err == nil {
				err = s.exec("UPDATE {t} SET name = 'y' WHERE id = 1")
			}
			return err
		})
		if err != nil || runs != 2 {
			return cause(err, "%d runs, want 2", runs)
		}
		return s.want("z", "SELECT name FROM {t} WHERE id = 1")
	}},

	{"Sessions", "Ping", func(s *subject) error { return s.db.PingContext(s.ctx) }},
	{"Sessions", "a restart of the server costs no statement", func(s *subject) error {
		return first(s.fill, s.restart, func() error { return s.want("3", "SELECT COUNT(*) FROM {t}") }, s.fill,
			func() error { return s.want("6", "SELECT COUNT(*) FROM {t}") })
	}},
	{"Sessions", "a query that its caller leaves", func(s *subject) error {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.db.QueryContext(ctx, "SELECT id FROM "+s.t)
		return first(func() error { return mustBe(err, context.Canceled) }, s.fill, func() error { return s.want("3", "SELECT COUNT(*) FROM {t}") })
	}},

	{"Errors", "a duplicate key", func(s *subject) error {
		return first(s.fill, func() error {
			return mustBe(s.exec("INSERT INTO {t} (id, name) VALUES (1, 'z')"), immudb.ErrDuplicateKey)
		})
	}},
	{"Errors", "no such table", func(s *subject) error {
		return mustBe(s.want("", "SELECT id FROM no_table"), immudb.ErrNoSuchTable)
	}},
	{"Errors", "no such column", func(s *subject) error {
		return mustBe(s.want("", "SELECT absent FROM {t}"), immudb.ErrNoSuchColumn)
	}},
	{"Errors", "a syntax error", func(s *subject) error { return mustBe(s.exec("INSERT {t}"), immudb.ErrSyntax) }},
	{"Errors", "NULL in a NOT NULL column", func(s *subject) error {
		return first(func() error { return s.exec("CREATE TABLE {t}n (id INTEGER, v INTEGER NOT NULL, PRIMARY KEY id)") },
			func() error { return mustBe(s.exec("INSERT INTO {t}n (id, v) VALUES (1, NULL)"), immudb.ErrNotNull) })
	}},
	{"Errors", "a value that is too long", func(s *subject) error {
		return first(func() error { return s.exec("CREATE TABLE {t}l (id INTEGER, v VARCHAR[3], PRIMARY KEY id)") },
			func() error { return mustBe(s.exec("INSERT INTO {t}l (id, v) VALUES (1, 'long')"), immudb.ErrTooLong) })
	}},
	{"Errors", "a table that exists", func(s *subject) error {
		return mustBe(s.exec("CREATE TABLE {t} (id INTEGER, PRIMARY KEY id)"), immudb.ErrExists)
	}},
	{"Errors", "more rows than a transaction holds", func(s *subject) error {
		return mustBe(s.begin(nil, func(tx *sql.Tx) error {
			for range 2 {
				_, err := tx.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a')"+strings.Repeat(", ('a')", 1023))
				if err != nil {
					return err
				}
			}
			return nil
		}), immudb.ErrTooManyEntries)
	}},

	{"Proofs", "a commit is proven (verify=commits)", func(s *subject) error {
		cfg := s.cfg.Clone()
		cfg.Verify.TrustFirstUse, cfg.Verify.Commits = true, true
		connector, err := immudb.NewConnector(cfg)
		if err != nil {
			return err
		}
		db := sql.OpenDB(connector)
		_, err = db.ExecContext(s.ctx, "INSERT INTO "+s.t+" (name) VALUES ('a')")
		return errors.Join(err, db.Close())
	}},
	{"Proofs", "a row (VerifiedRow)", func(s *subject) error {
		return first(s.fill, func() error {
			_, err := immudb.VerifiedRow(s.ctx, s.db, s.t, 1)
			return err
		})
	}},
	{"Proofs", "the rows of a query (VerifyRows)", func(s *subject) error {
		return first(s.fill, func() error {
			_, err := immudb.VerifyRows(s.ctx, s.db, s.t, "WHERE id < ?", 3)
			return err
		})
	}},
}

// cause is err, or an error of its own if there is none.
func cause(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}
