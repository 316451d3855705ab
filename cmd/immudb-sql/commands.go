package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/immudb-go/immudb"
)

const commandHelp = `Statements end with a semicolon. BEGIN, COMMIT, ROLLBACK and SAVEPOINT work as in SQL.

  \d [TABLE]             list the tables, or show a table with its columns and indexes
  \di                    list the indexes
  \l                     list the databases
  \du                    list the users
  \c DATABASE or DSN     connect to another database
  \conninfo              say what this is connected to
  \verify TABLE KEY...   show a row, proven, with the transaction that wrote it
  \copy TABLE [(COLUMNS)] from FILE [csv] [header] [upsert]
  \copy TABLE or (QUERY) to FILE [csv] [header]
                         load or write a CSV file; stdin: lines of the script up to \.
  \i FILE                run a file
  \g, \gx                run the statement that has begun; \gx prints each column in a line
  \p, \r                 print or drop the statement that has begun
  \x                     print each column in a line of its own, or stop doing so
  \format NAME           aligned, unaligned, csv, json or html
  \timing                print how long statements take, or stop doing so
  \echo TEXT             print the text
  \q                     end
`

// command runs a command of the shell. An interrupt cancels it.
func (s *shell) command(ctx context.Context, from source, name, args string) error {
	if name != `\i` { // the statements of a file are cancelled one by one
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	switch name {
	case `\?`, `\h`, `\help`:
		fmt.Fprint(s.stdout, commandHelp)
		return nil
	case `\q`:
		return errQuit
	case `\d`, `\dt`:
		if name == `\d` && args != "" {
			return s.describe(ctx, args)
		}
		return s.list(ctx, "Tables", "SELECT name FROM TABLES()")
	case `\di`:
		return s.listIndexes(ctx)
	case `\l`:
		return s.list(ctx, "Databases", "SHOW DATABASES")
	case `\du`:
		return s.list(ctx, "Users", "SHOW USERS")
	case `\c`, `\connect`:
		return s.reconnect(ctx, args)
	case `\conninfo`:
		return s.connInfo(ctx)
	case `\verify`:
		return s.verify(ctx, args)
	case `\copy`:
		return s.copy(ctx, from, args)
	case `\i`:
		return s.runFile(ctx, unquoted(args))
	case `\x`:
		s.expanded = !s.expanded
		s.tag("expanded output is %s", onOff(s.expanded))
		return nil
	case `\timing`:
		s.timing = !s.timing
		s.tag("timing is %s", onOff(s.timing))
		return nil
	case `\format`:
		if !slices.Contains(formats, args) {
			return fmt.Errorf(`\format takes one of %s`, strings.Join(formats, ", "))
		}
		s.format = args
		return nil
	case `\echo`:
		fmt.Fprintln(s.stdout, args)
		return nil
	}
	return fmt.Errorf(`%s is no command: \? lists them`, name)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// unquoted removes the quotes around a name of a file.
func unquoted(text string) string {
	if n := len(text); n >= 2 && text[0] == '\'' && text[n-1] == '\'' {
		return strings.ReplaceAll(text[1:n-1], "''", "'")
	}
	return text
}

// reconnect goes to a database of the same server, or to that of a DSN.
func (s *shell) reconnect(ctx context.Context, target string) error {
	if target == "" {
		return errors.New(`\c takes a database or a DSN`)
	}
	if !strings.ContainsAny(target, ":=") {
		return s.use(ctx, strings.ToLower(target))
	}
	if err := s.outsideTx(`\c`); err != nil {
		return err
	}
	cfg, err := immudb.ParseDSN(target)
	if err != nil {
		return err
	}
	if err := s.connect(ctx, cfg); err != nil {
		return err
	}
	s.tag("connected to database %s", printable(cfg.Database))
	return nil
}

// connInfo says what the shell is connected to. It asks the server.
func (s *shell) connInfo(ctx context.Context) error {
	host, version, err := s.server(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "database %s on %s as user %s; immudb %s\n", printable(s.cfg.Database), printable(host), printable(s.cfg.User), printable(version))
	fmt.Fprintln(s.stdout, s.cfg) // without passwords
	return nil
}

// server is the address and the version of the server.
func (s *shell) server(ctx context.Context) (host, version string, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	err = immudb.Raw(ctx, conn, func(c *immudb.Conn) (err error) {
		host = c.Host()
		version, err = c.ServerVersion(ctx)
		return err
	})
	return host, version, err
}
