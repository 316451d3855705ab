package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ergochat/readline"
	"golang.org/x/term"

	"github.com/immudb-go/immudb"
)

// askPassword asks for the password that the DSN lacks, and connects with it.
func (s *shell) askPassword(ctx context.Context, cfg *immudb.Config) error {
	fmt.Fprintf(s.stderr, "Password for user %s: ", printable(cfg.User))
	password, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(s.stderr)
	if err != nil {
		return err
	}
	cfg = cfg.Clone()
	cfg.Password, cfg.PassFile = string(password), ""
	return s.connect(ctx, cfg)
}

// person is a source of lines that are typed.
type person struct {
	*readline.Instance
	lines []string // of the statement or command that is not complete
}

func (p *person) place() string { return "" }

func (p *person) line(prompt string) (string, error) {
	p.SetPrompt(prompt)
	line, err := p.ReadLine()
	if err != nil {
		return "", err
	}
	return line + "\n", nil
}

// remember adds the lines to the history, unless there may be a password in them.
func (p *person) remember() {
	if !maySecret(strings.Join(p.lines, " ")) {
		for _, line := range p.lines {
			if strings.TrimSpace(line) != "" {
				_ = p.SaveToHistory(line) // a history that cannot be written does not stop the work
			}
		}
	}
	p.lines = nil
}

// maySecret reports whether a text may hold a password: it creates a user, or has a DSN.
func maySecret(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "password") || strings.Contains(text, "://")
}

// historyFile is where the history is kept, readable by its owner only, or "".
func historyFile() string {
	name := os.Getenv("IMMUDB_SQL_HISTORY")
	if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		name = filepath.Join(home, ".immudb_sql_history")
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return ""
	}
	file.Close()
	return name
}

// talk reads from a terminal until its end or \q. Errors do not end it.
func (s *shell) talk(ctx context.Context) error {
	rl, err := readline.NewFromConfig(&readline.Config{
		HistoryFile: historyFile(), HistoryLimit: 2000, DisableAutoSaveHistory: true, HistorySearchFold: true,
		AutoComplete: &completer{ctx: ctx, s: s},
	})
	if err != nil {
		return err
	}
	defer rl.Close()
	p := &person{Instance: rl}
	if !s.quiet {
		_, version, err := s.server(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "immudb-sql %s, immudb %s. \\? for help, \\q to end.\n\n", programVersion(), printable(version))
	}
	var b splitter
	for ctx.Err() == nil {
		line, err := p.line(s.prompt(&b))
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			b.take()
			p.lines = nil
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		p.lines = append(p.lines, strings.TrimSuffix(line, "\n"))
		switch word := strings.TrimSpace(line); {
		case b.begun():
		case word == "quit", word == "exit":
			line = `\q`
		case word == "help":
			line = `\?`
		}
		err = s.accept(ctx, p, &b, line)
		if errors.Is(err, errQuit) {
			return nil
		}
		if err != nil {
			b.take()
			s.complain(err)
		}
		if !b.begun() {
			p.remember()
		}
	}
	return nil
}

// complain prints an error to a person.
func (s *shell) complain(err error) {
	var at *placeError
	if errors.As(err, &at) {
		fmt.Fprintf(s.stderr, "%s: ", printable(at.place))
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("cancelled")
	}
	fmt.Fprintln(s.stderr, printable(err.Error()))
}

// prompt is name=>, with * in a transaction and a sign of what is open in a statement.
func (s *shell) prompt(b *splitter) string {
	sign := "="
	if b.begun() {
		if sign = "-"; b.in != 0 && b.in != '-' {
			sign = string(b.in)
		}
	}
	if s.tx != nil {
		sign += "*"
	}
	return printable(s.cfg.Database) + sign + "> "
}
