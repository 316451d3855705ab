// Package sqltext reads immudb SQL the way the server's own lexer does and
// tells what a driver must know before it sends a text: how many arguments it
// takes and how they are named, where one statement ends and the next begins,
// and what each statement does.
//
// It is a lexer with a little look at the head of each statement, not a
// grammar. The server is the judge of SQL: a statement this package does not
// know is [Other], never an error. Only what cannot be lexed, or what would
// bind arguments to the wrong places, is refused.
//
// Names are folded as the server folds them, so that they match its catalog: to
// lower case, whether quoted or not, but an unquoted name that is one of the
// server's keywords keeps its case. CREATE TABLE Users makes a table Users that
// neither users nor "Users" finds.
//
// The lexer followed is that of immudb v1.11.1. Older servers have fewer
// keywords, and those up to v1.10 do not know -- comments: such a comment within
// a statement is a syntax error there.
package sqltext

import "slices"

// Style says how a text names its arguments. The server takes one style per
// text, and so does [Parse].
type Style uint8

const (
	None     Style = iota // no arguments
	Question              // ?, numbered across the whole text
	Dollar                // $1, $2, …: a number may occur many times
	Named                 // @name, case folded
)

func (s Style) String() string {
	switch s {
	case Question:
		return "?"
	case Dollar:
		return "$n"
	case Named:
		return "@name"
	}
	return "none"
}

// Query is a parsed text. It is immutable once [Parse] has returned it and may
// be shared between goroutines; its strings share the memory of the text.
type Query struct {
	Text  string
	Style Style

	// NumInput is the exact number of arguments the text takes: the number of
	// ?, the highest n of $n, or the number of distinct @names. With $1 and $3
	// it is 3: a gap is an argument that is sent and not used, which the server
	// allows.
	NumInput int

	// Names holds the distinct @names in order of first appearance, folded to
	// lower case as the server looks them up. It is nil for the other styles.
	Names []string

	// Statements holds the statements in order. Empty ones (";;") are left out:
	// a text of blanks and comments has none. The server refuses an empty
	// statement, so a text that has some can only be sent statement by statement.
	Statements []Statement

	one [1]Statement // backs Statements in the common case
}

// Statement is one statement of a text.
type Statement struct {
	// Text is the statement from its first token to its last: no separator, no
	// blank or comment around it. It can be sent alone, and more can be appended
	// to it after a space.
	Text string

	Kind Kind

	// Table is the table that the statement writes, creates, changes or drops,
	// folded. It is "" where the statement has no single one.
	Table string

	// Database is the one that CREATE DATABASE and USE name, folded.
	Database string

	// FirstArg and NumArgs select what to send when Text is sent alone: of the
	// arguments of the whole text, args[FirstArg : FirstArg+NumArgs].
	// For Question these are the statement's own, for Dollar the first ones up to
	// its highest number (so FirstArg is 0 and the numbers stay true). For Named,
	// FirstArg is 0 and NumArgs is len(Names): select by name instead.
	FirstArg, NumArgs int

	// Names holds the distinct @names of this statement in order of first
	// appearance, folded.
	Names []string

	// Columns is the column list of INSERT and UPSERT, folded; nil without one.
	Columns []string

	// NumRows is the number of rows after VALUES in INSERT and UPSERT, or -1
	// when the rows come from a query. It is 0 for every other statement.
	NumRows int

	// Selects is true where a SELECT stands anywhere in the statement.
	Selects bool

	// SelfSelect is true for an INSERT or UPSERT whose query reads Table itself.
	// Inside a transaction that has already written to Table such an INSERT makes
	// the server (v1.11.1) panic, and its process ends. A read through a view is
	// not seen here.
	SelfSelect bool

	// FatalList is true if, in or behind a WHERE, a list of IN (not NOT IN) holds a
	// query or a function such as NOW(): a IN ((SELECT 1 FROM t)), a IN (NOW()).
	// The server (v1.11.1) works out the bounds of such a list before it has a
	// transaction to ask, panics, and its process ends. It does not if the
	// list is compared with anything but a column; that is not told apart here.
	FatalList bool

	// OnConflict is what INSERT does with a row whose key exists.
	OnConflict OnConflict

	// Returning is the RETURNING clause of INSERT, UPSERT, UPDATE and DELETE.
	Returning Returning
}

// OnConflict is the conflict clause of an INSERT.
type OnConflict uint8

const (
	ConflictFails   OnConflict = iota // no clause
	ConflictNothing                   // ON CONFLICT DO NOTHING
	ConflictUpdate                    // ON CONFLICT DO UPDATE SET …
)

// Returning is a RETURNING clause. Has says whether there is one.
type Returning struct {
	Has bool

	// Star is true for RETURNING *, which has no Items.
	Star bool

	// End is where the statement without its clause ends: Statement.Text[:End]
	// can be sent, or be given another clause. It is len(Text) without a clause.
	End int

	Items []ReturnItem
}

// Answerable reports whether the server answers every item truly: it knows *
// and plain column names (of columns that exist). For an expression or an alias
// it answers NULL without an error; or a wrong column, if there is one that is
// called like the alias or, for the expression at index n, "col" followed by n.
func (r *Returning) Answerable() bool {
	return !slices.ContainsFunc(r.Items, func(it ReturnItem) bool {
		return it.Column == "" || it.Alias != ""
	})
}

// ReturnItem is one item of a RETURNING clause.
type ReturnItem struct {
	Text   string // the expression as written, without its alias
	Table  string // folded qualifier of a plain column; the server ignores it
	Column string // folded name of a plain column; "" for any other expression
	Alias  string // folded; "" without one
}

// Parse reads text. It fails for a string, blob, quoted name or comment that
// is not closed, for arguments of several styles in one text, and for an
// argument that has no usable number or name. The error says where (line and
// column, both counted from 1, in bytes) and what to write instead; of the text
// it quotes only placeholders.
func Parse(text string) (*Query, error) {
	q := &Query{Text: text}
	q.Statements = q.one[:0:1]
	p := parser{scanner: scanner{text: text}}
	for {
		p.begin(q.NumInput)
		if p.tok.kind == tokSeparator {
			continue
		}
		if p.tok.kind == tokEnd {
			break
		}
		p.statement()
		if p.err != nil {
			break
		}
		p.finish()
		q.Statements = append(q.Statements, p.st)
		q.NumInput = max(q.NumInput, p.st.FirstArg+p.st.NumArgs)
		if p.tok.kind == tokEnd {
			break
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	q.Style = p.style
	if q.Style == Named {
		q.Names = q.Statements[0].Names
		for i := range q.Statements[1:] {
			for _, name := range q.Statements[1+i].Names {
				if !slices.Contains(q.Names, name) {
					q.Names = append(slices.Clip(q.Names), name)
				}
			}
		}
		q.NumInput = len(q.Names)
	}
	return q, nil
}
