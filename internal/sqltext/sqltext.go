// Package sqltext describes a query text for the driver, before the driver sends it:
// how many arguments it takes and how they are named, where each statement begins
// and ends, and what each statement does.
//
// The parser is in package tree. A text that the parser refuses would be refused by
// the server too; the parser's error says at which place.
package sqltext

import (
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Style says how a text names its arguments: all of a text in the same way.
type Style = tree.Style

const (
	None     = tree.NoParams
	Question = tree.Question // ?, numbered across the whole text
	Dollar   = tree.Dollar   // $1, $2, …: a number may occur many times
	Named    = tree.Named    // @name, case folded
)

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

	// Script is the syntax tree of the text.
	Script *tree.Script

	one [1]Statement // backs Statements in the common case
}

// Statement is one statement of a text.
type Statement struct {
	// Text is the statement from its first token to its last: no separator, no
	// blank or comment around it. It can be sent alone, and more can be appended
	// to it after a space.
	Text string

	// Tree is the syntax tree of the statement; its offsets are those in [Query.Text].
	Tree tree.Statement

	Kind Kind

	// Table is the table that the statement writes, creates, changes or drops,
	// folded. It is "" if there is none or more than one.
	Table string

	// Database is the database that CREATE DATABASE and USE name, folded.
	Database string

	// FirstArg and NumArgs select what to send when Text is sent alone: of the
	// arguments of the whole text, args[FirstArg : FirstArg+NumArgs].
	// For Question these are the statement's own, for Dollar the first ones up to
	// its highest number (so FirstArg is 0 and the numbers stay valid). For Named,
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

	// Selects is true if the statement contains a SELECT.
	Selects bool

	// SelfSelect is true for an INSERT or UPSERT whose query reads Table itself.
	// A read through a view is not detected.
	SelfSelect bool

	// OnConflict says what INSERT does with a row whose key exists.
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

// Answerable reports whether the server returns the right value for every item. It
// supports * and the names of columns that exist. For an expression or an alias it
// returns NULL without an error, or the value of another column: one that has the
// name of the alias or, for the expression at index n, the name "col" followed by n.
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
