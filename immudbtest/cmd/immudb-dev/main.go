// Command immudb-dev runs a real immudb server on 127.0.0.1 for development and for tests in any language.
//
//	$ immudb-dev
//	{"dsn":"immudb://immudb:immudb@127.0.0.1:23456/defaultdb?sslmode=disable","addr":"127.0.0.1:23456",…}
//
// It prints one line to standard output when the server is ready, with its address. It runs until SIGINT or SIGTERM and
// then removes its data, unless -dir names a directory for them. Run with -help for all settings.
//
// A program that starts it as a child passes -control. The server then ends when its standard input ends, so also when the
// parent dies, and answers each of these lines on standard input with one line of JSON:
//
//	sessions        {"sessions":2}: how many sessions are open
//	drop-sessions   {"sessions":0}: all sessions were ended, as if they had expired
//	new-database    {"dsn":"immudb://…"}: an empty database was made
//	discard DSN     {}: the database is not needed any more; it is dropped when the next one is created
//
// The answer to a command that fails is {"error":"…"}.
//
// The exit status is 0 after a signal, 1 if the server could not start or run (also if another one uses -dir), and 2 for a wrong
// command line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/immudb-go/immudb/immudbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The server's session manager prints messages to standard output, where the parent would read them as answers.
	answers := os.Stdout
	os.Stdout = os.Stderr
	err := run(ctx, os.Args[1:], os.Stdin, answers, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "immudb-dev:", err)
		os.Exit(statusOf(err))
	}
}

// usageError is an error of the command line.
type usageError struct{ error }

// statusOf is the exit status for an error of run.
func statusOf(err error) int {
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// ready is the line that is printed when the server is ready.
type ready struct {
	DSN            string `json:"dsn"`
	Addr           string `json:"addr"`
	PostgreSQLAddr string `json:"pgsql_addr,omitempty"`
	Dir            string `json:"dir"`
	PID            int    `json:"pid"`
	CAFile         string `json:"ca_file,omitempty"`
	ClientCertFile string `json:"client_cert_file,omitempty"`
	ClientKeyFile  string `json:"client_key_file,omitempty"`
}

// answer is the reply to a control command.
type answer struct {
	Sessions *int   `json:"sessions,omitempty"`
	DSN      string `json:"dsn,omitempty"`
	Error    string `json:"error,omitempty"`
}

// run runs the server until ctx is done or, with -control, stdin ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.version {
		_, err := fmt.Fprintln(stdout, "immudb-dev", programVersion())
		return err
	}
	srv, err := immudbtest.New(s.opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()

	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false) // a DSN is full of ampersands
	cert, key := srv.ClientCertFiles()
	if err := out.Encode(ready{
		DSN:            srv.DSN(),
		Addr:           srv.Addr(),
		PostgreSQLAddr: srv.PostgreSQLAddr(),
		Dir:            srv.Dir(),
		PID:            os.Getpid(),
		CAFile:         srv.CAFile(),
		ClientCertFile: cert,
		ClientKeyFile:  key,
	}); err != nil {
		return err
	}
	if !s.control {
		<-ctx.Done()
		return nil
	}

	orphaned := make(chan struct{})
	go func() {
		defer close(orphaned)
		for lines := bufio.NewScanner(stdin); lines.Scan(); {
			if out.Encode(obey(ctx, srv, lines.Text())) != nil {
				return
			}
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-orphaned:
		// The parent has died, so the data is not needed any more.
		if s.temporary {
			return errors.Join(srv.Close(), os.RemoveAll(s.dir), os.RemoveAll(s.dir+".tls"))
		}
		return nil
	}
}

func obey(ctx context.Context, srv *immudbtest.Server, line string) answer {
	command, argument, _ := strings.Cut(line, " ")
	switch command {
	case "sessions":
		return answer{Sessions: new(srv.Sessions())}
	case "drop-sessions":
		if err := srv.DropSessions(); err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Sessions: new(srv.Sessions())}
	case "new-database":
		dsn, err := srv.CreateDatabase(ctx)
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{DSN: dsn}
	case "discard":
		srv.DiscardDatabase(argument)
		return answer{}
	}
	return answer{Error: fmt.Sprintf("unknown command %q", command)}
}
