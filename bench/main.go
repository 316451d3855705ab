// Command bench compares this driver with the other clients of immudb for Go, on one server and in one run:
//
//	go run ./bench
//
// The contenders are this driver, the vendor's database/sql driver, pgx over the server's PostgreSQL port, and the
// floor: gRPC calls whose requests were encoded before and whose answers are not decoded. The server and each contender are
// separate processes. In each round every contender does the same work once, in an order that changes from round to round,
// so that other load of the machine affects all of them equally. Compare the ratios, which are similar on other machines,
// and not the times, which are not.
//
// The results go to standard output as a table, and as results.json and results.svg to the directory of -out. The
// command must run inside a checkout of the repository, which the server is built from.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// childCommand as the only argument makes the program one contender, driven through its standard streams.
const childCommand = "contend"

func main() {
	if slices.Equal(os.Args[1:], []string{childCommand}) {
		os.Exit(contend())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// usageError is an error of the command line.
type usageError struct{ error }

type settings struct {
	only       []*workload
	contenders []string
	builds     map[string]string // programs of contenders that are other builds of this one
	rounds     int
	quick      bool
	out        string
	profile    string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{only: workloads, contenders: contenders, builds: map[string]string{}}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	only := fs.String("only", "", "measure these `workloads` only, separated by commas")
	among := fs.String("contenders", "", "with these `contenders` only, separated by commas: "+strings.Join(contenders, ", "))
	fs.Func("beside", "also run this driver as `name=program` has it, an earlier build of this command; may be repeated", func(v string) error {
		name, program, ok := strings.Cut(v, "=")
		if !ok || name == "" || slices.Contains(contenders, name) {
			return errors.New("want a new name, = and the path of a program")
		}
		var err error
		s.builds[name], err = filepath.Abs(program) // contenders run in directories of their own
		return err
	})
	list := fs.Bool("list", false, "list the workloads and end")
	fs.IntVar(&s.rounds, "rounds", 11, "measure this many `rounds`; expensive workloads have fewer, short ones five times as many or more")
	fs.BoolVar(&s.quick, "quick", false, "do little of everything: a test of the command, not a measurement")
	fs.StringVar(&s.out, "out", "", "write results to this `directory` (default results beside the source)")
	fs.StringVar(&s.profile, "profile", "", "instead of measuring, write pprof profiles (cpu and allocs) to this `directory`")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	switch {
	case fs.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q; run with -help for the settings", fs.Arg(0))
	case s.rounds < 1:
		return s, fmt.Errorf("-rounds is %d; it must be at least 1", s.rounds)
	case *list:
		for _, w := range workloads {
			fmt.Fprintf(stderr, "%-16s %s\n", w.name, w.title)
		}
		return s, flag.ErrHelp
	}
	if *only != "" {
		s.only = nil
		for name := range strings.SplitSeq(*only, ",") {
			w := findWorkload(name)
			if w == nil {
				return s, fmt.Errorf("there is no workload %q; run with -list for their names", name)
			}
			s.only = append(s.only, w)
		}
	}
	if *among != "" {
		s.contenders = strings.Split(*among, ",")
		for _, name := range s.contenders {
			if !slices.Contains(contenders, name) {
				return s, fmt.Errorf("there is no contender %q; they are %s", name, strings.Join(contenders, ", "))
			}
		}
	}
	s.contenders = slices.Concat(slices.Sorted(maps.Keys(s.builds)), s.contenders)
	if s.profile != "" {
		var err error
		if s.profile, err = filepath.Abs(s.profile); err != nil {
			return s, err
		}
	} else if s.out == "" {
		root, err := checkout()
		if err != nil {
			return s, err
		}
		s.out = filepath.Join(root, "bench", "results")
	}
	return s, nil
}

// checkout finds the root of the repository above the working directory.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "immudbtest", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no checkout of the repository above the working directory; run the command in one")
		}
		dir = parent
	}
}
