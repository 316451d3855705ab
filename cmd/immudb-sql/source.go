package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// source is where lines come from: a script, or a person.
type source interface {
	// line returns the next line with its newline, or io.EOF. The prompt is for a person.
	line(prompt string) (string, error)
	// place is where the last line is, for errors.
	place() string
}

// fileSource is a script with a name.
type fileSource struct {
	name   string // "": the text of -c, which is short
	r      *bufio.Reader
	number int
}

func newFileSource(name string, r io.Reader) *fileSource {
	return &fileSource{name: name, r: bufio.NewReader(r)}
}

func (f *fileSource) line(string) (string, error) {
	line, err := f.r.ReadString('\n')
	if line == "" {
		return "", err
	}
	f.number++
	if f.number == 1 {
		line = strings.TrimPrefix(line, "\ufeff")
	}
	return line, nil
}

func (f *fileSource) place() string {
	if f.name == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", f.name, f.number)
}

// placeError is an error with the place in a script where it happened.
type placeError struct {
	error
	place string
}

func (e *placeError) Unwrap() error { return e.error }

func (s *shell) runScripts(ctx context.Context, scripts []script) error {
	for _, sc := range scripts {
		var err error
		switch sc.file {
		case "":
			err = s.runSource(ctx, newFileSource("", strings.NewReader(sc.text)))
		case "-":
			err = s.runSource(ctx, newFileSource("standard input", s.stdin))
		default:
			err = s.runFile(ctx, sc.file)
		}
		if errors.Is(err, errQuit) {
			break
		}
		if err != nil {
			return err
		}
	}
	if s.tx != nil {
		s.rollback()
		return errors.New("the script ended inside a transaction, which was rolled back: end it with COMMIT")
	}
	return nil
}

// maxIncludes is how deep \i may be in files that other files include.
const maxIncludes = 16

func (s *shell) runFile(ctx context.Context, name string) error {
	if s.includes == maxIncludes {
		return fmt.Errorf("%s: more than %d files include each other", name, maxIncludes)
	}
	s.includes++
	defer func() { s.includes-- }()
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.runSource(ctx, newFileSource(name, file))
}

// runSource runs a script to its end or to the first error.
func (s *shell) runSource(ctx context.Context, from source) error {
	var b splitter
	for {
		line, err := from.line("")
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.accept(ctx, from, &b, line)
		}
		if err != nil {
			return placed(from, err)
		}
	}
	if b.in == '\'' || b.in == '"' || b.in == '*' {
		return placed(from, errors.New("the script ends inside a quotation or a comment"))
	}
	if b.begun() {
		return placed(from, s.execute(ctx, b.take(), false))
	}
	return nil
}

// placed adds the place to an error that has none.
func placed(from source, err error) error {
	var has *placeError
	if err == nil || from.place() == "" || errors.Is(err, errQuit) || errors.As(err, &has) {
		return err
	}
	return &placeError{err, from.place()}
}

// accept takes one line, and runs the statements and commands that are complete.
func (s *shell) accept(ctx context.Context, from source, b *splitter, line string) error {
	b.add(line)
	for {
		piece, command, ok := b.next()
		if !ok {
			return nil
		}
		var err error
		name, args, _ := strings.Cut(piece, " ")
		switch {
		case !command:
			err = s.execute(ctx, piece, false)
		case name == `\g`, name == `\gx`:
			err = s.execute(ctx, b.take(), name == `\gx`)
		case name == `\r`:
			b.take()
		case name == `\p`:
			fmt.Fprintln(s.stdout, strings.TrimSpace(string(b.text)))
		default:
			err = s.command(ctx, from, name, strings.TrimSpace(args))
		}
		if err != nil {
			return err
		}
	}
}
