package migrateimmudb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/sqltext"
)

// migration is a parsed migration.
type migration struct {
	statements []sqltext.Statement // without a BEGIN and COMMIT around them
	lines      []int               // where each begins, counted from 1
	enclosed   bool                // it had a BEGIN and COMMIT around it
	apart      bool                // it cannot be one transaction
}

// parse parses a migration and refuses one that would fail half-way.
func parse(text string) (*migration, error) {
	text = strings.TrimPrefix(text, "\ufeff") // some editors begin a file so
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil, syntaxError{err}
	}
	if q.NumInput > 0 {
		return nil, errors.New("the migration holds ?, $1 or @name outside quotes, but a migration has no arguments")
	}
	m := &migration{statements: q.Statements, lines: lines(text, q.Statements)}
	if n := len(m.statements); n >= 2 && m.statements[0].Kind == sqltext.Begin && m.statements[n-1].Kind == sqltext.Commit {
		m.statements, m.lines, m.enclosed = m.statements[1:n-1], m.lines[1:n-1], true
	}
	for i := range m.statements {
		switch st := &m.statements[i]; {
		case st.Kind.ControlsTx():
			return nil, fmt.Errorf("line %d: %v in a migration: it is one transaction already, and BEGIN and COMMIT are only allowed around all of it",
				m.lines[i], st.Kind)
		case st.Kind == sqltext.UseDatabase, st.Kind == sqltext.UseSnapshot:
			return nil, fmt.Errorf("line %d: %v in a migration: it would take what follows elsewhere; name the database in the URL", m.lines[i], st.Kind)
		case standsAlone(st) && m.enclosed:
			return nil, fmt.Errorf("line %d: this statement cannot be part of a transaction: leave out BEGIN and COMMIT", m.lines[i])
		case standsAlone(st):
			m.apart = true
		}
	}
	return m, nil
}

// syntaxError is the error of a migration that cannot be parsed. It is an
// [immudb.ErrSyntax].
type syntaxError struct{ error }

func (e syntaxError) Error() string { return "syntax error: " + e.error.Error() }

func (e syntaxError) Is(target error) bool { return target == immudb.ErrSyntax }

// standsAlone reports whether the driver runs the statement only outside a transaction and
// without other statements.
func standsAlone(st *sqltext.Statement) bool {
	return st.Kind == sqltext.CreateDatabase || st.Kind == sqltext.Access || st.SelfSelect
}

// lines returns where each statement begins, counted from 1.
func lines(text string, statements []sqltext.Statement) []int {
	var found []int
	line := 1
	for i := range statements {
		// Only blanks, separators and comments come before it. A comment may hold
		// the same words, but then there is no statement up to their end.
		length, at := len(statements[i].Text), 0
		for {
			at += strings.Index(text[at:], statements[i].Text)
			if q, err := sqltext.Parse(text[:at+length]); err == nil && len(q.Statements) == 1 {
				break
			}
			at++
		}
		line += strings.Count(text[:at], "\n")
		found = append(found, line)
		line += strings.Count(text[at:at+length], "\n")
		text = text[at+length:]
	}
	return found
}

// StatementError is the error of a statement that stopped a migration.
type StatementError struct {
	Statement  int // its number, counted from 1
	Statements int // how many the migration has
	Line       int // where it begins in the migration, counted from 1
	Committed  int // how many of the statements before it are committed
	Err        error
}

// Error does not quote the statement, which may hold a password.
func (e *StatementError) Error() string {
	var done string
	switch e.Committed {
	case 0:
		done = "nothing of the migration is committed"
	case 1:
		done = "the statement before it is committed"
	default:
		done = fmt.Sprintf("the %d statements before it are committed", e.Committed)
	}
	return fmt.Sprintf("statement %d of %d, line %d: %v; %s", e.Statement, e.Statements, e.Line, e.Err, done)
}

// Unwrap returns the error of the statement.
func (e *StatementError) Unwrap() error { return e.Err }
