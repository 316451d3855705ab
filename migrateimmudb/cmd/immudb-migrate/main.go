// Command immudb-migrate is golang-migrate's command for immudb: it takes the same
// options and commands as migrate, with the driver built in.
//
//	immudb-migrate -path migrations -database 'immudb://user:password@localhost:3322/app' up
//
// The URL may also come from the environment (IMMUDB_MIGRATE_DATABASE), where other users
// of the machine do not see it; package migrateimmudb describes its options. Run with -help
// for all commands.
//
// The command reload is for replicas, which see no migration that comes after they have read
// their catalog: it has them read it again, see [immudb.ReloadDatabase] for when it may be
// used, and needs no -path.
//
// The exit status is 0 if the command succeeded, or had nothing to do; 1 if it failed or
// was stopped by a signal; 2 if the command line is wrong. The version is printed to
// standard output, everything else to standard error.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/source/file"

	_ "github.com/immudb-go/immudb/migrateimmudb"
)

// databaseVariable is the environment variable for the URL if there is no -database.
const databaseVariable = "IMMUDB_MIGRATE_DATABASE"

const usage = `Usage: immudb-migrate OPTIONS COMMAND [arguments]
Options:
  -path DIR          directory of the migrations, short for -source file://DIR
  -source URL        where the migrations are
  -database URL      immudb://user:password@host:port/database?x-…
                     (default $IMMUDB_MIGRATE_DATABASE)
  -prefetch N        migrations to load in advance (default 10)
  -lock-timeout N    seconds to wait for another process's migrations (default 15)
  -verbose           say what is being done, and when
  -version, -help    print the version of this program, or this text
Commands:
  up [N]             apply all or N up migrations
  down [N | -all]    apply N or all down migrations; asks before all
  goto V             migrate to version V
  force V            set version V and clear the dirty flag, run nothing; -1 is no version
  version            print the current version
  drop [-f]          drop every table of the database; asks unless -f
  reload [-primary]  have the replicas among the URL's hosts unload and load the database,
                     so that they see the migrations; a primary too, after its promotion
  create [-ext E] [-dir D] [-seq [-digits N] | -format F] [-tz Z] NAME
                     make an empty up and down migration; the version is a time
                     (-format in Go's words, or unix, unixNano), or with -seq the next number
Exit status: 0 done, or nothing to do; 1 failed or stopped by a signal; 2 wrong command line
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// usageError is an error of the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	err := c.run(ctx, args)
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		return statusOK
	case errors.Is(err, migrate.ErrNoChange):
		fmt.Fprintln(stderr, err)
		return statusOK
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "error: %v\nRun immudb-migrate -help for all options and commands.\n", err)
		return statusUsage
	}
	fmt.Fprintln(stderr, "error:", err)
	return statusFailed
}

// command is one call of the program.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	source      string
	database    string
	prefetch    uint
	lockTimeout uint
	verbose     bool
}

func (c *command) run(ctx context.Context, args []string) error {
	flags := newFlagSet()
	path := flags.String("path", "", "")
	version := flags.Bool("version", false, "")
	flags.StringVar(&c.source, "source", "", "")
	flags.StringVar(&c.database, "database", os.Getenv(databaseVariable), "")
	flags.UintVar(&c.prefetch, "prefetch", migrate.DefaultPrefetchMigrations, "")
	flags.UintVar(&c.lockTimeout, "lock-timeout", 15, "")
	flags.BoolVar(&c.verbose, "verbose", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *version {
		fmt.Fprintln(c.stdout, programVersion())
		return nil
	}
	if c.source == "" && *path != "" {
		c.source = "file://" + *path
	}
	name, args := flags.Arg(0), flags.Args()
	if name == "" {
		return usageError("no command")
	}
	if name == "create" {
		return c.create(args[1:], *path)
	}
	if name == "reload" {
		return c.reload(ctx, args[1:])
	}
	do, err := c.plan(name, args[1:])
	if err != nil {
		return err
	}
	return c.migrate(ctx, do)
}

// migrate runs a planned command on the database.
func (c *command) migrate(ctx context.Context, do func(*migrate.Migrate) error) (err error) {
	if c.source == "" {
		return usageError("where are the migrations? give -path or -source")
	}
	if !strings.HasPrefix(c.database, "immudb://") {
		return usageError("which database? give -database or " + databaseVariable + ", beginning with immudb://")
	}
	m, err := migrate.New(c.source, withLockTimeout(c.database, c.lockTimeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(append([]error{err}, closeBoth(m)...)...) }()
	m.Log = logger{c.stderr, c.verbose}
	m.PrefetchMigrations = c.prefetch
	m.LockTimeout = 24 * time.Hour // the driver has its own timeout, and names the owner of the lock

	finished := context.AfterFunc(ctx, func() {
		fmt.Fprintln(c.stderr, "stopping after the migration that is running")
		m.GracefulStop <- true
	})
	err = do(m)
	if !finished() && err == nil {
		return errors.New("stopped by a signal, maybe before all was done")
	}
	return err
}

func closeBoth(m *migrate.Migrate) []error {
	source, database := m.Close()
	return []error{source, database}
}

// withLockTimeout adds the option to a URL that does not have it.
func withLockTimeout(url string, seconds uint) string {
	if strings.Contains(url, "x-lock-timeout=") {
		return url
	}
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	return fmt.Sprintf("%s%sx-lock-timeout=%d", url, sep, seconds)
}

// confirm asks a question whose answer must be yes.
func (c *command) confirm(question string) error {
	fmt.Fprint(c.stderr, question, " [y/N] ")
	answer, _ := bufio.NewReader(c.stdin).ReadString('\n') // a missing answer means no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was done")
}

// logger prints the messages of golang-migrate.
type logger struct {
	w       io.Writer
	verbose bool
}

func (l logger) Verbose() bool { return l.verbose }

func (l logger) Printf(format string, args ...any) {
	if l.verbose {
		format = time.Now().Format("15:04:05.000 ") + format
	}
	fmt.Fprintf(l.w, format, args...)
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
