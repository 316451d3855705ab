package tree

// Span is a part of the text, by its offsets in bytes: text[Start:End].
type Span struct{ Start, End int }

// Place returns the span itself, so that each type that embeds a Span is a [Node].
func (s Span) Place() Span { return s }

// Given reports whether the text has the part. The zero Span means that an optional
// part was left out.
func (s Span) Given() bool { return s.End > 0 }

// Of returns the part of the text.
func (s Span) Of(text string) string { return text[s.Start:s.End] }

// Node is a part of the tree.
type Node interface{ Place() Span }

// Ident is a name of a table, a column, a function or an alias. The zero Ident means
// that there is no name.
type Ident struct {
	Span
	// Name is folded as the server folds it: to lower case, quoted or not, but an
	// unquoted word that is one of its keywords keeps its case, and the name of an
	// aggregate function is in capitals.
	Name string
	// Quoted is true for "name" and `name`.
	Quoted bool
}

// Style says how a text names its arguments. The server takes one style per text.
type Style uint8

const (
	NoParams Style = iota
	Question       // ?, numbered across the whole text
	Dollar         // $1, $2, …: a number may occur many times
	Named          // @name, case folded
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

// Script is a parsed text. It is immutable once [Parse] has returned it and may be
// shared between goroutines; its strings share the memory of the text.
type Script struct {
	Text       string
	Statements []Statement // empty ones are left out

	// Params are the placeholders in the order of the text.
	Params []*Param
	Style  Style
	// NumInput is how many arguments the text takes: the number of ?, the highest n
	// of $n, or the number of distinct @names.
	NumInput int
	// Names holds the distinct @names in order of first appearance, folded.
	Names []string

	// Odd holds the names in backquotes and those of [HasStrangeName], in the order of
	// the text. A name that the parser read twice occurs twice.
	Odd []Ident

	// Has holds the constructs that occur in the text, so that a check for a rare
	// construct need not walk the tree.
	Has Feature

	one [1]Statement // backs Statements in the common case
}

// ParamsOf returns the placeholders that stand within n.
func (s *Script) ParamsOf(n Node) []*Param {
	place := n.Place()
	first := len(s.Params)
	for i, p := range s.Params {
		if p.Start >= place.Start {
			first = i
			break
		}
	}
	last := first
	for last < len(s.Params) && s.Params[last].End <= place.End {
		last++
	}
	return s.Params[first:last]
}

// Feature is a set of constructs.
type Feature uint64

const (
	HasWrite Feature = 1 << iota // INSERT, UPSERT, UPDATE or DELETE
	HasDDL
	HasControl // BEGIN, COMMIT, ROLLBACK, savepoints, USE, CREATE DATABASE, users and grants
	HasCall
	HasAggregate
	HasOver
	HasList   // IN (a, b)
	HasExists // EXISTS (…)
	HasSubquery
	HasSetOperation
	HasWith
	HasJoin
	HasPeriod // SINCE, AFTER, UNTIL, BEFORE
	HasLike
	HasCast
	HasGroupBy
	HasOrderBy
	HasLimit
	HasAlias
	HasValues // as a source of rows: (VALUES …)
	HasTableFunction
	HasComparison // with < <= > >= or BETWEEN
	HasReturning
	HasConflict
	HasString       // literals
	HasSystemTable  // a table called pg_… or information_schema_…
	HasOrdinal      // ORDER BY 2
	HasCapitalAlias // AS "UserId"
	HasStrangeName  // "user.id": a quoted name with characters that the server does not allow

	// Constructs that the server refuses or misreads, and that can be rewritten.
	HasTouchingNumber // 1e10, 0x1F: a number with a letter after it
	HasHugeNumber     // an integer literal above 2⁶³-1
	HasByteOrderMark
	HasBackquotes
	HasTableStar // t.*
	HasLocking   // FOR UPDATE
	HasBrackets  // (SELECT …) UNION …
	HasEmptyStatement
	HasWithColumns // WITH t (a, b) AS …, or WITH t AS (VALUES …)
	HasNoFrom      // SELECT … WHERE without FROM
	HasCurrentTime // CURRENT_TIMESTAMP
)

// Any reports whether f has one of the others.
func (f Feature) Any(others Feature) bool { return f&others != 0 }

// Statement is one of the types below.
type Statement interface {
	Node
	statement()
}

// Query is a statement that returns rows: *Select, *SetOperation, *Brackets,
// *With, *Values, *Show or *Explain.
type Query interface {
	Statement
	query()
}

// Select is SELECT … up to its OFFSET.
type Select struct {
	Span
	Distinct bool
	Star     bool // SELECT *: there are no Targets
	Targets  []Target

	From    Source // nil without FROM; there are then no Index and Joins
	Index   []Ident
	Joins   []*Join
	Where   Expr
	GroupBy []*Column
	Having  Expr
	OrderBy []Order
	Limit   Expr // nil for LIMIT ALL too
	Offset  Expr

	// The places of the clauses with their keywords; zero for a missing clause.
	TargetsAt, GroupAt, OrderAt, LimitAt, OffsetAt Span
	Locking                                        Locking
}

// Locking is FOR UPDATE, FOR SHARE, …
type Locking struct {
	Span
	SkipLocked bool
}

// Target is one of the expressions that a SELECT or a RETURNING returns.
type Target struct {
	Span
	Expr  Expr
	Alias Ident
	As    bool // the alias follows AS
	// Star is true for t.*. Table is then t, and Expr is nil.
	Star  bool
	Table Ident
}

// Order is one of the expressions after ORDER BY.
type Order struct {
	Span
	Expr       Expr
	Descending bool
	Nulls      bool // NULLS FIRST or NULLS LAST is written
	NullsFirst bool // NULLS FIRST is written
}

// SetOperator joins the rows of two queries.
type SetOperator uint8

const (
	Union SetOperator = iota
	UnionAll
	Except
	Intersect
)

func (o SetOperator) String() string {
	return [...]string{Union: "UNION", UnionAll: "UNION ALL", Except: "EXCEPT", Intersect: "INTERSECT"}[o]
}

// SetOperation is a UNION b EXCEPT c …, which the server reads from the right:
// a UNION (b EXCEPT c). Sides has one more element than Operators; each is a
// *Select or *Brackets, but the last may be any query.
type SetOperation struct {
	Span
	Sides     []Query
	Operators []SetOperator

	// Clauses after a last side in parentheses. They apply to all rows.
	OrderBy       []Order
	Limit, Offset Expr
	TailAt        Span
}

// Brackets is (query) as a side of a set operation, which the server refuses.
type Brackets struct {
	Span
	Query Query
}

// With is WITH [RECURSIVE] … and the query after it: a *Select or *SetOperation.
type With struct {
	Span
	Recursive bool
	Tables    []*CommonTable
	Body      Query
}

// CommonTable is name [(a, b)] AS (query).
type CommonTable struct {
	Span
	Name      Ident
	Columns   []Ident // nil without a list
	ColumnsAt Span    // the list with its parentheses
	Query     Query
}

// Values is VALUES (…), (…) as the query of a [CommonTable], which the server refuses.
type Values struct {
	Span
	Rows []Row
}

// Show is SHOW DATABASES, TABLES, TABLE t, USERS, GRANTS [FOR u].
type Show struct {
	Span
	What string // DATABASES, TABLES, …
	Name Ident
}

// Explain is EXPLAIN query.
type Explain struct {
	Span
	Query Query
}

// Source is a source of rows: *Table, *Derived, *ValuesSource or *TableFunction.
type Source interface {
	Node
	source()
}

// SourceKind says whether a table's present rows are read, or its former ones.
type SourceKind uint8

const (
	Plain SourceKind = iota
	History
	Diff
)

// Table is a table or view: t [SINCE … UNTIL …] [AS a], (HISTORY OF t), (DIFF OF t).
type Table struct {
	Span
	Name         Ident
	Kind         SourceKind
	Since, Until *Instant
	Alias        Ident
}

// Instant is one end of a period.
type Instant struct {
	Span
	Word string // SINCE, AFTER, UNTIL, BEFORE
	Tx   bool   // a transaction number; else a time
	Expr Expr
}

// Derived is (query) [AS a].
type Derived struct {
	Span
	Query Query
	Alias Ident
}

// ValuesSource is (VALUES (…), (…)).
type ValuesSource struct {
	Span
	Rows []Row
}

// Row is (a, b, …).
type Row struct {
	Span
	Values []Expr
}

// TableFunction is f(…) [AS a] in place of a table. Name is folded, or as written
// for DATABASES, TABLES, TABLE and USERS.
type TableFunction struct {
	Span
	Name  Ident
	Args  []Expr
	Over  *Window
	Table Ident // of TABLE(t)
	Alias Ident
}

// Join is one of the sources after the first.
type Join struct {
	Span
	Kind    string // INNER, LEFT, RIGHT, CROSS, FULL; "," for a comma
	Natural bool
	Lateral bool
	Source  Source
	Index   []Ident
	On      Expr
	Using   []Ident
}

// Returning is RETURNING * or RETURNING a, b.
type Returning struct {
	Span
	After int // where the statement ends without the clause
	Star  bool
	Items []Target
}

// Insert is INSERT INTO or UPSERT INTO. Its rows come from Rows or from Query.
type Insert struct {
	Span
	Upsert    bool
	Table     Ident
	Columns   []Ident // nil without a list
	Rows      []Row
	Query     Query
	Conflict  *Conflict
	Returning *Returning
}

// Conflict is ON CONFLICT DO NOTHING, or DO UPDATE SET, which has assignments.
type Conflict struct {
	Span
	Set []Assignment
}

// Assignment is column = value. The server accepts any comparison operator as the =.
type Assignment struct {
	Span
	Column   Ident
	Operator string
	Value    Expr
}

// Update is UPDATE t SET ….
type Update struct {
	Span
	Table         Ident
	Set           []Assignment
	Where         Expr
	Index         []Ident
	Limit, Offset Expr
	Returning     *Returning
}

// Delete is DELETE FROM t ….
type Delete struct {
	Span
	Table         Ident
	Where         Expr
	Index         []Ident
	Limit, Offset Expr
	Returning     *Returning
}

// CreateTable is CREATE TABLE.
type CreateTable struct {
	Span
	IfNotExists bool
	Name        Ident
	Columns     []*ColumnDef
	Checks      []*Check
	PrimaryKey  []Ident
	ForeignKeys []*ForeignKey
}

// ColumnDef is a column of CREATE TABLE and ADD COLUMN.
type ColumnDef struct {
	Span
	Name          Ident
	Type          string // the server's name: INTEGER, VARCHAR, …
	TypeAt        Span   // with its length
	Length        uint64 // 0: none was given
	NotNull       bool
	Default       Expr
	AutoIncrement bool
	PrimaryKey    bool
}

// Check is [CONSTRAINT name] CHECK expression.
type Check struct {
	Span
	Name Ident
	Expr Expr
}

// ForeignKey is FOREIGN KEY (…) REFERENCES t (…).
type ForeignKey struct {
	Span
	Columns    []Ident
	Table      Ident
	References []Ident
}

// CreateIndex is CREATE [UNIQUE] INDEX ON t(…) [WHERE …].
type CreateIndex struct {
	Span
	Unique, IfNotExists bool
	Table               Ident
	Columns             []Ident
	Where               Expr
}

// CreateView is CREATE VIEW v AS query.
type CreateView struct {
	Span
	IfNotExists bool
	Name        Ident
	Query       Query
}

// CreateSequence is CREATE SEQUENCE s.
type CreateSequence struct {
	Span
	Name Ident
}

// Drop is DROP TABLE, INDEX, VIEW, SEQUENCE or USER.
type Drop struct {
	Span
	What     string
	IfExists bool
	Name     Ident   // for an index its table
	Columns  []Ident // of an index
	Cascade  bool
}

// Truncate is TRUNCATE TABLE t.
type Truncate struct {
	Span
	Table Ident
}

// Alteration is the kind of change that ALTER TABLE makes.
type Alteration uint8

const (
	AddColumn Alteration = iota
	RenameTable
	RenameColumn
	DropColumn
	DropConstraint
	AlterColumn // SET NOT NULL, DROP NOT NULL, TYPE
)

// AlterTable is ALTER TABLE t ….
type AlterTable struct {
	Span
	Action Alteration
	Table  Ident
	Column *ColumnDef // of ADD COLUMN
	Name   Ident      // the column or constraint concerned
	New    Ident      // the new name of it, or of the table
}

// Control is a statement that begins, ends or marks a transaction.
type Control struct {
	Span
	Kind ControlKind
	Name Ident // of a savepoint
}

// ControlKind is the kind of a Control.
type ControlKind uint8

const (
	Begin ControlKind = iota
	Commit
	Rollback
	Savepoint
	RollbackTo
	Release
)

func (k ControlKind) String() string {
	return [...]string{Begin: "BEGIN", Commit: "COMMIT", Rollback: "ROLLBACK", Savepoint: "SAVEPOINT",
		RollbackTo: "ROLLBACK TO SAVEPOINT", Release: "RELEASE SAVEPOINT"}[k]
}

// CreateDatabase is CREATE DATABASE d.
type CreateDatabase struct {
	Span
	IfNotExists bool
	Name        Ident
}

// Use is USE [DATABASE] d, or USE SNAPSHOT with a period.
type Use struct {
	Span
	Database     Ident
	Snapshot     bool
	Since, Until *Instant
}

// Access is CREATE USER, ALTER USER, DROP USER, GRANT or REVOKE. The text may hold a
// password.
type Access struct {
	Span
	What string // CREATE USER, …
	User Ident
}

func (*Select) statement()         {}
func (*SetOperation) statement()   {}
func (*Brackets) statement()       {}
func (*With) statement()           {}
func (*Values) statement()         {}
func (*Show) statement()           {}
func (*Explain) statement()        {}
func (*Insert) statement()         {}
func (*Update) statement()         {}
func (*Delete) statement()         {}
func (*CreateTable) statement()    {}
func (*CreateIndex) statement()    {}
func (*CreateView) statement()     {}
func (*CreateSequence) statement() {}
func (*Drop) statement()           {}
func (*Truncate) statement()       {}
func (*AlterTable) statement()     {}
func (*Control) statement()        {}
func (*CreateDatabase) statement() {}
func (*Use) statement()            {}
func (*Access) statement()         {}

func (*Select) query()       {}
func (*SetOperation) query() {}
func (*Brackets) query()     {}
func (*With) query()         {}
func (*Values) query()       {}
func (*Show) query()         {}
func (*Explain) query()      {}

func (*Table) source()         {}
func (*Derived) source()       {}
func (*ValuesSource) source()  {}
func (*TableFunction) source() {}
