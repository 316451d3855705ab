// Command quickstart keeps a small ledger on immudb through database/sql: it
// loads accounts and transfers from CSV files, moves the money in transactions,
// and reads earlier balances of the accounts.
//
//	go run ./examples/quickstart
//
// It runs a server in this process, whose data is removed when the program ends. With
// IMMUDB_DSN set it uses that server instead: it creates the tables quickstart_accounts and
// quickstart_transfers there and drops them at the end.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("IMMUDB_DSN"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run runs the example on the server of dsn, or on a new one if dsn is empty. It leaves no
// table, file or process behind, also after an error.
func run(ctx context.Context, dsn string, out io.Writer) (err error) {
	place, end := "the one of IMMUDB_DSN", "Both tables are dropped again. As always, the server's log keeps what was done."
	if dsn == "" {
		srv, err := immudbtest.New()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, srv.Close()) }()
		dsn, place = srv.DSN(), "immudb in this process, its data in a temporary directory"
		end = "Both tables are dropped again, and the server goes with all its data."
	}
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	say := report{out}
	if err := introduce(ctx, db, say, place); err != nil {
		return err
	}
	ledger, err := readLedger(files)
	if err != nil {
		return err
	}
	if err := keep(ctx, db, ledger, say); err != nil {
		return err
	}
	say.printf("\n%s\n", end)
	return nil
}

// introduce prints the server and the database of the session, which immudb.Raw gives
// access to.
func introduce(ctx context.Context, db *sql.DB, say report, place string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return immudb.Raw(ctx, conn, func(session *immudb.Conn) error {
		version, err := session.ServerVersion(ctx)
		if err != nil {
			return err
		}
		say.session(place, session.Host(), session.Database(), session.SessionTokens().ServerUUID, version)
		return nil
	})
}

// keep is the life of the ledger, from CREATE TABLE to DROP TABLE.
func keep(ctx context.Context, db *sql.DB, l *ledger, say report) (err error) {
	b := &book{db: db, ledger: l}
	err = b.create(ctx)
	if err != nil && !errors.Is(err, immudb.ErrOutcomeUnknown) {
		return err
	}
	defer func() {
		// Also when ctx has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, b.drop(ctx))
	}()
	if err != nil {
		return err // the tables may be there
	}
	if err := b.load(ctx); err != nil {
		return err
	}
	say.loaded(b)
	if err := b.transferAll(ctx); err != nil {
		return err
	}
	say.transferred(b)
	balances, err := b.check(ctx)
	if err != nil {
		return err
	}
	say.balances(b, balances)
	versions, err := b.history(ctx, watched)
	if err != nil {
		return err
	}
	say.history(b, versions)
	return nil
}
