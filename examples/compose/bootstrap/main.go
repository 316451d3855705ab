// Bootstrap creates a database and a user on a new immudb. If they exist it changes only the
// user's password. It waits until the server answers.
//
// It takes its settings from the environment:
//
//	BOOTSTRAP_ADMIN_DSN   the server, as its administrator: immudb://immudb:password@immudb:3322/defaultdb
//	BOOTSTRAP_DATABASE    the database to make
//	BOOTSTRAP_USER        the user to make, who may read and write it
//	BOOTSTRAP_PASSWORD    the user's password
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/immudb-go/immudb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bootstrap(ctx, os.Getenv); err != nil {
		log.Fatal(err)
	}
}

// patience is how long a server may take to come up.
const patience = time.Minute

// validName allows only characters that are safe in a name without quotes.
var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func bootstrap(ctx context.Context, getenv func(string) string) error {
	database, user, password := getenv("BOOTSTRAP_DATABASE"), getenv("BOOTSTRAP_USER"), getenv("BOOTSTRAP_PASSWORD")
	if !validName.MatchString(database) || !validName.MatchString(user) || password == "" {
		return errors.New("BOOTSTRAP_DATABASE and BOOTSTRAP_USER must be names of a-z, 0-9 and _, and BOOTSTRAP_PASSWORD must be set")
	}
	cfg, err := immudb.ParseDSN(getenv("BOOTSTRAP_ADMIN_DSN"))
	if err != nil {
		return fmt.Errorf("BOOTSTRAP_ADMIN_DSN: %w", err)
	}
	if err := withDB(cfg, func(db *sql.DB) error {
		if err := await(ctx, db); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+database)
		return err
	}); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	cfg.Database = database // the user is created for this database
	if err := withDB(cfg, func(db *sql.DB) error { return makeUser(ctx, db, user, password) }); err != nil {
		return fmt.Errorf("making the user: %w", err)
	}
	return nil
}

func withDB(cfg *immudb.Config, f func(*sql.DB) error) error {
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	return errors.Join(f(db), db.Close())
}

// await returns when the server answers. With a wrong password it fails at once.
func await(ctx context.Context, db *sql.DB) error {
	for deadline := time.Now().Add(patience); ; {
		err := db.PingContext(ctx)
		if err == nil || errors.Is(err, immudb.ErrAuthentication) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeUser makes the user, or gives one that exists the password.
func makeUser(ctx context.Context, db *sql.DB, user, password string) error {
	users, err := db.QueryContext(ctx, "SHOW USERS")
	if err != nil {
		return err
	}
	defer users.Close()
	verb := "CREATE"
	for users.Next() {
		var name, permission string
		if err := users.Scan(&name, &permission); err != nil {
			return err
		}
		if name == user {
			verb = "ALTER"
		}
	}
	if err := users.Err(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf("%s USER %s WITH PASSWORD '%s' READWRITE", verb, user, strings.ReplaceAll(password, "'", "''")))
	return err
}
