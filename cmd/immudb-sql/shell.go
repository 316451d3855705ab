package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
	"unicode"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/sqltext"
)

// shell is one session: a connection to a database, and how answers are printed.
type shell struct {
	program
	cfg *immudb.Config
	db  *sql.DB
	tx  *sql.Tx // the transaction that BEGIN has begun

	format      string
	expanded    bool
	quiet       bool
	timing      bool
	interactive bool
	includes    int // how many files are running, one in another
}

// errQuit ends the shell. It is no failure.
var errQuit = errors.New("quit")

// connect opens the database of cfg, and then leaves the one before.
func (s *shell) connect(ctx context.Context, cfg *immudb.Config) error {
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return err
	}
	if s.db != nil {
		s.db.Close()
	}
	s.cfg, s.db = cfg, db
	return nil
}

func (s *shell) close() {
	s.rollback()
	s.db.Close()
}

func (s *shell) rollback() {
	if s.tx != nil {
		_ = s.tx.Rollback() // what the server cannot roll back now, it drops with the session
		s.tx = nil
	}
}

// runner is a *sql.DB or a *sql.Tx.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *shell) runner() runner {
	if s.tx != nil {
		return s.tx
	}
	return s.db
}

// outsideTx refuses what does not run in the shell's transaction.
func (s *shell) outsideTx(what string) error {
	if s.tx != nil {
		return fmt.Errorf("%s does not run inside a transaction: end that with COMMIT or ROLLBACK first", what)
	}
	return nil
}

// execute runs a statement and prints its answer. An interrupt cancels it.
func (s *shell) execute(ctx context.Context, statement string, expanded bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	began := time.Now()
	kind, returning := sqltext.DDL, false
	if parsed, err := sqltext.Parse(statement); err == nil {
		if len(parsed.Statements) == 0 {
			return nil
		}
		first := &parsed.Statements[0]
		kind, returning = first.Kind, first.Returning.Has
		statement = first.Text
		if kind == sqltext.UseDatabase {
			return s.use(ctx, first.Database)
		}
	} // otherwise the driver says what is wrong
	var err error
	switch {
	case kind == sqltext.Begin:
		err = s.begin(ctx)
	case kind == sqltext.Commit:
		err = s.end("COMMIT", (*sql.Tx).Commit)
	case kind == sqltext.Rollback:
		err = s.end("ROLLBACK", (*sql.Tx).Rollback)
	case kind.IsQuery() || returning:
		err = s.query(ctx, statement, s.expanded || expanded)
	default:
		err = s.exec(ctx, statement, kind)
	}
	if s.timing && err == nil {
		fmt.Fprintf(s.stdout, "Time: %.3f ms\n", float64(time.Since(began).Microseconds())/1000)
	}
	return err
}

// tag prints what a statement without rows has done.
func (s *shell) tag(format string, args ...any) {
	if !s.quiet && s.format == "aligned" {
		fmt.Fprintf(s.stdout, format+"\n", args...)
	}
}

func (s *shell) begin(ctx context.Context) error {
	if s.tx != nil {
		return errors.New("a transaction has begun already")
	}
	// The transaction outlives the statement, and so the context that an interrupt ends.
	tx, err := s.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	s.tx = tx
	s.tag("BEGIN")
	return nil
}

func (s *shell) end(tag string, end func(*sql.Tx) error) error {
	if s.tx == nil {
		return fmt.Errorf("%s: no transaction has begun", tag)
	}
	tx := s.tx
	s.tx = nil
	if err := end(tx); err != nil {
		return err
	}
	s.tag("%s", tag)
	return nil
}

func (s *shell) exec(ctx context.Context, statement string, kind sqltext.Kind) error {
	result, err := s.runner().ExecContext(ctx, statement)
	if err != nil {
		return err
	}
	words := strings.Fields(strings.ToUpper(statement))
	switch n := int64(0); {
	case kind.IsDML():
		if n, err = result.RowsAffected(); err != nil {
			s.tag("%s", words[0])
			return nil // an old server does not count in transactions
		}
		s.tag("%s %d", words[0], n)
	case kind.IsSavepoint():
		s.tag("%s", words[0])
	case len(words) > 2 && words[1] == "UNIQUE":
		s.tag("%s", strings.Join(words[:3], " "))
	case len(words) > 1:
		s.tag("%s", strings.Join(words[:2], " "))
	}
	return nil
}

func (s *shell) query(ctx context.Context, statement string, expanded bool) error {
	var read immudb.ReadProof
	if s.cfg.Verify.Reads {
		ctx = immudb.WithReadProof(ctx, &read)
	}
	rows, err := s.runner().QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := s.print(rows, expanded); err != nil {
		return err
	}
	switch {
	case read.Unproven > 0:
		s.tag("not proven: %s", printable(read.Reason))
	case read.Proven > 0:
		s.tag("proven")
	}
	return nil
}

// use goes to another database of the same server.
func (s *shell) use(ctx context.Context, database string) error {
	if err := s.outsideTx("USE"); err != nil {
		return err
	}
	cfg := s.cfg.Clone()
	cfg.Database = database
	if err := s.connect(ctx, cfg); err != nil {
		return err
	}
	s.tag("connected to database %s", printable(database))
	return nil
}

// printable replaces control characters in texts of the server, so that they cannot change
// what a terminal shows.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
