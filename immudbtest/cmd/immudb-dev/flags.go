package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/immudb-go/immudb/immudbtest"
)

type settings struct {
	opts      []immudbtest.Option
	dir       string
	control   bool
	version   bool
	temporary bool // dir is to be removed when the parent has died
}

// parse turns flags into options. It passes only settings that were given, because a zero value may mean something else.
func parse(args []string, stderr io.Writer) (s settings, err error) {
	defer func() {
		if err != nil && !errors.Is(err, flag.ErrHelp) {
			err = usageError{err}
		}
	}()
	add := func(o immudbtest.Option) { s.opts = append(s.opts, o) }
	fs := flag.NewFlagSet("immudb-dev", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main says what is wrong

	fs.BoolVar(&s.version, "version", false, "print the version of this program and end")
	fs.StringVar(&s.dir, "dir", "", "keep the data in this `directory` (default a temporary one, removed at the end)")
	fs.BoolVar(&s.control, "control", false, "end when standard input ends, and obey commands read there")
	fs.BoolVar(&s.temporary, "temporary", false, "with -control: remove -dir when standard input ends")
	port := fs.Int("port", 0, "listen on this `port` of 127.0.0.1 (default a free one)")
	tls := fs.Bool("tls", false, "encrypt, with a certificate made on the fly")
	clientCerts := fs.Bool("client-certs", false, "with -tls: refuse clients without a certificate")
	password := fs.String("admin-password-file", "", "the `file` with the password of the user immudb (default the password immudb)")
	maxSessions := fs.Int("max-sessions", 0, "how many `sessions` may be open at once (default 100)")
	idle := fs.Duration("session-idle", 0, "drop sessions without a call for this `duration` (default 2m)")
	maxAge := fs.Duration("session-max-age", 0, "drop sessions older than this `duration` (default never)")
	signingKey := fs.String("signing-key", "", "sign states with the ECDSA private key in this PEM `file`")
	replicaOf := fs.String("replica-of", "", "be a read-only replica of the server with this `DSN`")
	syncReplicas := fs.Int("sync-replicas", 0, "make each commit wait until this `number` of replicas have it; replicas need it too")
	pg := fs.Bool("pgsql", false, "also serve the PostgreSQL protocol")
	pgPort := fs.Int("pgsql-port", 0, "with -pgsql: listen on this `port` of 127.0.0.1 (default a free one)")
	maxResult := fs.Int("max-result-size", 0, "the most `rows` of one message of a result (default 2048)")
	synced := fs.Bool("synced", false, "make each commit wait for the disk (default true with -dir)")
	log := fs.Bool("log", false, "write the server's log to standard error")
	fs.Usage = func() {} // the flags are not listed below an error
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		printUsage(stderr, fs)
		return s, err
	} else if err != nil {
		return s, fmt.Errorf("%w; run with -help for the settings", err)
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q; run with -help for the settings", fs.Arg(0))
	}
	if s.temporary && (!s.control || s.dir == "") {
		return s, errors.New("-temporary needs -control and -dir")
	}

	given := map[string]func(){
		"dir":             func() { add(immudbtest.WithDir(s.dir)) },
		"port":            func() { add(immudbtest.WithPort(*port)) },
		"max-sessions":    func() { add(immudbtest.WithMaxSessions(*maxSessions)) },
		"session-idle":    func() { add(immudbtest.WithSessionIdleTimeout(*idle)) },
		"session-max-age": func() { add(immudbtest.WithSessionMaxAge(*maxAge)) },
		"signing-key":     func() { add(immudbtest.WithSigningKey(*signingKey)) },
		"replica-of":      func() { add(immudbtest.WithReplicaOf(*replicaOf)) },
		"sync-replicas":   func() { add(immudbtest.WithSyncReplication(*syncReplicas)) },
		"max-result-size": func() { add(immudbtest.WithMaxResultSize(*maxResult)) },
		"synced":          func() { add(immudbtest.WithSynced(*synced)) },
	}
	fs.Visit(func(f *flag.Flag) {
		if apply, ok := given[f.Name]; ok {
			apply()
		}
	})
	if *tls {
		add(immudbtest.WithTLS())
	}
	if *clientCerts {
		add(immudbtest.WithClientCertificates())
	}
	if *pg {
		add(immudbtest.WithPostgreSQL(*pgPort))
	} else if *pgPort != 0 {
		return s, errors.New("-pgsql-port needs -pgsql")
	}
	if *log {
		add(immudbtest.WithLogger(stderr))
	}
	if *password != "" {
		text, err := os.ReadFile(*password)
		if err != nil {
			return s, err
		}
		add(immudbtest.WithAdminPassword(strings.TrimRight(string(text), "\r\n")))
	}
	return s, nil
}

// printUsage prints a line for each flag.
func printUsage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, "usage: immudb-dev [flags]\nRuns an immudb server on 127.0.0.1 and prints its DSN in a line of JSON, until SIGINT or SIGTERM.\n\n")
	fs.VisitAll(func(f *flag.Flag) {
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-32s %s\n", strings.TrimSpace("-"+f.Name+" "+kind), usage)
	})
	fmt.Fprint(w, "\nexit status: 0 after a signal; 1 the server could not start or run; 2 wrong command line\n")
}
