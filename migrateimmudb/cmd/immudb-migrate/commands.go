package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/golang-migrate/migrate/v4"
)

// newFlagSet returns a flag set that prints neither errors nor help.
func newFlagSet() *flag.FlagSet {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && err != flag.ErrHelp {
		return usageError(err.Error())
	}
	return err
}

// plan reads a command and its arguments, and asks for confirmation, before it connects to
// the database.
func (c *command) plan(name string, args []string) (do func(*migrate.Migrate) error, err error) {
	flags := newFlagSet()
	all, force := new(bool), new(bool)
	switch name {
	case "down":
		all = flags.Bool("all", false, "")
	case "drop":
		force = flags.Bool("f", false, "")
	case "force": // its argument may be -1, which is not a flag
		return planForce(args)
	}
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	args = flags.Args()

	most := 1
	if name == "version" || name == "drop" || *all {
		most = 0
	}
	if len(args) > most {
		return nil, usageError(fmt.Sprintf("%s: unexpected argument %q", name, args[most]))
	}
	n := 0
	if len(args) == 1 {
		if n, err = strconv.Atoi(args[0]); err != nil || n < 0 {
			return nil, usageError(fmt.Sprintf("%s: %q is not a number", name, args[0]))
		}
	}

	switch {
	case name == "up" && len(args) == 0:
		return (*migrate.Migrate).Up, nil
	case name == "up":
		return func(m *migrate.Migrate) error { return m.Steps(n) }, nil
	case name == "down" && len(args) == 1:
		return func(m *migrate.Migrate) error { return m.Steps(-n) }, nil
	case name == "down":
		if !*all {
			err = c.confirm("Apply all down migrations?")
		}
		return (*migrate.Migrate).Down, err
	case name == "goto" && len(args) == 0:
		return nil, usageError("goto: which version?")
	case name == "goto":
		return func(m *migrate.Migrate) error { return m.Migrate(uint(n)) }, nil
	case name == "drop":
		if !*force {
			err = c.confirm("Drop every table of the database?")
		}
		return (*migrate.Migrate).Drop, err
	case name == "version":
		return c.printVersion, nil
	}
	return nil, usageError(fmt.Sprintf("unknown command %q", name))
}

func planForce(args []string) (func(*migrate.Migrate) error, error) {
	if len(args) != 1 {
		return nil, usageError("force: which version?")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < -1 {
		return nil, usageError(fmt.Sprintf("force: %q is not a version: a number, or -1 for none", args[0]))
	}
	return func(m *migrate.Migrate) error { return m.Force(n) }, nil
}

func (c *command) printVersion(m *migrate.Migrate) error {
	v, dirty, err := m.Version()
	if err != nil {
		return err
	}
	if dirty {
		_, err = fmt.Fprintln(c.stdout, v, "(dirty)")
	} else {
		_, err = fmt.Fprintln(c.stdout, v)
	}
	return err
}
