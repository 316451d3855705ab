// Command immudb-sql is a shell for immudb, used as psql is.
//
//	immudb-sql [flags] [DSN]
//
// On a terminal it reads statements and commands, with a history and completion. Otherwise, and
// with -c or -f, it runs a script and ends at the first error. The DSN may also be in IMMUDB_DSN, so
// that a password is not in the list of processes. See docs/shell.md.
//
// The exit status:
//
//	0  all was done
//	1  a statement or a command failed, or the script ended inside a transaction, which was rolled back
//	2  the command line or the DSN is wrong
//	3  the server cannot be reached, or refuses the login
//	4  the server contradicts what is proven or trusted, or its signature is wrong
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/immudb-go/immudb"
)

// The exit statuses, described above.
const (
	statusOK = iota
	statusFailed
	statusUsage
	statusUnreachable
	statusTampered
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
		progress: term.IsTerminal(int(os.Stderr.Fd())),
	}
	os.Exit(p.run(ctx, os.Args[1:], os.Getenv("IMMUDB_DSN")))
}

// program is what one call of the command has around it.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // a person types, and reads the answers
	progress       bool // stderr can show how far \copy is
}

// script is an argument of -c, or a file of -f.
type script struct {
	text string
	file string
}

type settings struct {
	dsn      string
	scripts  []script
	format   string
	expanded bool
	quiet    bool
	version  bool
}

// printUsage prints what fits a screen; docs/shell.md says more.
func printUsage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, "usage: immudb-sql [flags] [DSN]\n\nA shell for immudb, as psql is for PostgreSQL. The DSN may also be in IMMUDB_DSN.\n\n")
	fs.VisitAll(func(f *flag.Flag) {
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-16s %s\n", strings.TrimSpace("-"+f.Name+" "+kind), usage)
	})
	fmt.Fprint(w, `
exit status:
  0  all was done
  1  a statement or a command failed; a script ends there
  2  the command line or the DSN is wrong
  3  the server cannot be reached, or refuses the login
  4  the server contradicts what is proven or trusted

In the shell, \? lists its commands.
`)
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func parse(args []string, env string, stderr io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("immudb-sql", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run says what is wrong
	fs.Usage = func() {}
	fs.Func("c", "run this `text` of statements and commands, and end", func(text string) error {
		s.scripts = append(s.scripts, script{text: text})
		return nil
	})
	fs.Func("f", "run this `file`, and end; - is standard input. -c and -f can be repeated", func(file string) error {
		s.scripts = append(s.scripts, script{file: file})
		return nil
	})
	fs.StringVar(&s.format, "format", "aligned", "the `format` of rows: "+strings.Join(formats, ", "))
	fs.BoolVar(&s.expanded, "x", false, "print each column in a line of its own")
	fs.BoolVar(&s.quiet, "quiet", false, "print rows only")
	fs.BoolVar(&s.version, "version", false, "print the version of this program and end")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		printUsage(stderr, fs)
		return s, err
	} else if err != nil {
		return s, fmt.Errorf("%w; run with -help for the flags", err)
	}
	s.dsn = env
	switch {
	case s.version:
		return s, nil
	case !slices.Contains(formats, s.format):
		return s, fmt.Errorf("-format %q is unknown: take one of %s", s.format, strings.Join(formats, ", "))
	case fs.NArg() > 1:
		// The argument is not quoted, because it may be a DSN with a password.
		return s, errors.New("give one DSN, after the flags")
	case fs.NArg() == 1:
		s.dsn = fs.Arg(0)
	case env == "":
		return s, errors.New("the DSN is missing: give it as the argument or in IMMUDB_DSN")
	}
	return s, nil
}

func (p program) run(ctx context.Context, args []string, env string) int {
	s, err := parse(args, env, p.stderr)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	if s.version && err == nil {
		fmt.Fprintln(p.stdout, "immudb-sql", programVersion())
		return statusOK
	}
	var cfg *immudb.Config
	if err == nil {
		cfg, err = immudb.ParseDSN(s.dsn)
	}
	if err != nil {
		p.report("", err)
		return statusUsage
	}
	sh := &shell{program: p, format: s.format, expanded: s.expanded, quiet: s.quiet}
	sh.interactive = p.terminal && len(s.scripts) == 0
	err = sh.connect(ctx, cfg)
	if sh.interactive && errors.Is(err, immudb.ErrAuthentication) && cfg.Password == "" {
		err = sh.askPassword(ctx, cfg)
	}
	if err != nil {
		p.report("", err)
		return statusOf(err, statusUnreachable)
	}
	defer sh.close()
	switch {
	case sh.interactive:
		err = sh.talk(ctx)
	case len(s.scripts) == 0:
		err = sh.runScripts(ctx, []script{{file: "-"}})
	default:
		err = sh.runScripts(ctx, s.scripts)
	}
	if err != nil {
		var at *placeError
		where := ""
		if errors.As(err, &at) {
			where = at.place
		}
		p.report(where, err)
	}
	return statusOf(err, statusFailed)
}

// report prints an error, after the place in a script where it happened.
func (p program) report(place string, err error) {
	if place != "" {
		place = printable(place) + ": "
	}
	fmt.Fprintf(p.stderr, "immudb-sql: %s%s\n", place, printable(err.Error()))
}

// statusOf is the exit status for an error; failed is that for one that has no status of its own.
func statusOf(err error, failed int) int {
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, immudb.ErrTampered), errors.Is(err, immudb.ErrSignature):
		return statusTampered
	case errors.Is(err, immudb.ErrUnreachable):
		return statusUnreachable
	}
	return failed
}
