// Package rules knows the constructs of SQL that the immudb server handles wrongly. A
// statement with one is refused, with the reason and what to write instead, or it is
// rewritten so that the result is right.
//
// Each [Rule] looks for one construct in the parsed text. Most depend only on the text
// and are applied once per text. Some depend on an argument ([Plan] keeps a check for
// it), on whether the statement runs in a transaction, or on tables ([Tables]).
//
// The faults are those of immudb v1.11.1. Tests show each of them on a real server,
// without the driver.
package rules

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Rule is one fault of the server.
type Rule struct {
	// Name identifies the rule in documentation and tests.
	Name string
	// Construct is the name of the construct in errors: "SAVEPOINT".
	Construct string
	// Reason says what the server does with it, and what to write instead.
	Reason string
	// Needs are features: the rule applies only to texts with one of them; 0: to all.
	Needs tree.Feature

	look func(*look)
}

// All returns the rules in the order in which they are applied.
func All() []*Rule { return slices.Clone(all) }

var all = slices.Concat(controlRules, returningRules, listRules, valuesRules, windowRules, periodRules, lengthRules, likeRules,
	typeRules, systemRules, viewRules, selfRules, storedRules, keyRules, nullRules, numberRules,
	withRules, joinRules, ownRowRules, subqueryRules, starRules, aggregateRules, aggregatedRules, orderRules, answerRules, setRules, sideRules, wordRules, nameRules, literalRules)

// Strict returns the rules that apply only if the caller wants them. The statements that
// they refuse give a right or a wrong result depending on the rows in the tables.
func Strict() []*Rule { return slices.Clone(strictRules) }

var allAndStrict = slices.Concat(all, strictRules)

// Refusal is the error for a construct that is not sent to the server. It says where the
// construct is, what is wrong with it and what to write instead.
type Refusal struct {
	Rule         *Rule
	Construct    string
	Line, Column int // from 1; the column is counted in bytes
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("line %d, column %d: %s is not supported: %s", r.Line, r.Column, r.Construct, r.Rule.Reason)
}

// Plan is the result of the rules for a text: what to send, and what to check first.
type Plan struct {
	// Text is the text to send: the original or a rewritten one. It has the same
	// placeholders in the same order.
	Text string

	// InTx is why the text is refused in a transaction, or nil.
	InTx *Refusal

	// Names are the names of the columns of the results, by the index of the statement,
	// if they differ from those that the server returns. "" keeps the server's name.
	Names map[int][]string

	// Aliases are the aliases of a statement as the caller wrote them, by the names that
	// the server returns. They are for statements without Names.
	Aliases map[int]map[string]string

	// Literals is true if the server does not fill in all placeholders of the text,
	// so that arguments must be written as literals.
	Literals bool

	// Renamed are the columns that the text renames, see [Renamed].
	Renamed []Renamed

	script    *tree.Script
	late      []late
	arguments []argument
	typed     []typed
	stored    []stored
	literalIf []argument // ok is true where literals are wanted
}

// Tables finds a table by its folded name: nil if there is none. IsView reports whether
// the name is not that of a table although queries can read from it.
type Tables interface {
	Table(name string) *Table
	IsView(name string) bool
}

// Table describes a table for rules.
type Table struct {
	Columns []Column
	Primary []string   // the columns of the primary key
	Indexes [][]string // the columns of each other index
}

// Column is a column of a [Table].
type Column struct {
	Name      string
	Type      string // as the server names it: INTEGER, VARCHAR, …
	MaxLength int    // of VARCHAR and BLOB, in bytes; 0: none
	Nullable  bool
}

// Column finds a column, or nil.
func (t *Table) Column(name string) *Column {
	if t != nil {
		for i := range t.Columns {
			if t.Columns[i].Name == name {
				return &t.Columns[i]
			}
		}
	}
	return nil
}

// argument is a check of the argument for a placeholder.
type argument struct {
	refusal *Refusal
	index   int
	ok      func(driver.Value) bool
}

// typed is a check that depends on tables.
type typed struct {
	refusal *Refusal
	ok      func(tables Tables, args Args) bool
	when    func(args Args) bool // whether the check is needed at all; nil: always
}

// Args returns the argument with an index, see [tree.Param].
type Args func(index int) driver.Value

// CheckArguments returns the reason why the text is refused with these arguments,
// or nil.
func (p *Plan) CheckArguments(args Args) *Refusal {
	for i := range p.arguments {
		if a := &p.arguments[i]; !a.ok(args(a.index)) {
			return a.refusal
		}
	}
	return nil
}

// ChecksArguments reports whether the plan has checks or changes that depend on
// arguments or tables.
func (p *Plan) ChecksArguments() bool {
	return p.Literals || len(p.arguments)+len(p.typed)+len(p.stored)+len(p.literalIf)+len(p.late) > 0
}

// NeedsTables reports whether CheckTables has anything to check with these
// arguments.
func (p *Plan) NeedsTables(args Args) bool {
	return slices.ContainsFunc(p.typed, func(t typed) bool { return t.when == nil || t.when(args) })
}

// CheckTables returns the reason why the text is refused with these arguments and
// tables, or nil.
func (p *Plan) CheckTables(tables Tables, args Args) *Refusal {
	for i := range p.typed {
		if t := &p.typed[i]; (t.when == nil || t.when(args)) && !t.ok(tables, args) {
			return t.refusal
		}
	}
	return nil
}

// Check applies the rules to a text, and if strict is true those of [Strict] too. It
// returns the first refusal that does not depend on arguments, if there is one.
func Check(script *tree.Script, strict bool) (*Plan, *Refusal) {
	l := look{script: script, plan: &Plan{Text: script.Text, script: script}}
	asked := all
	if strict {
		asked = allAndStrict
	}
	for _, r := range asked {
		if l.ask(r); l.refusal != nil {
			return nil, l.refusal
		}
	}
	text, whole := apply(script.Text, l.edits)
	if text == script.Text {
		return l.plan, nil
	}
	changed, err := tree.Parse(text)
	if err != nil || !whole {
		// Several rules change the same place.
		text, changed = oneByOne(script)
	}
	if changed != nil && !sameParams(script, changed) {
		// The change repeats or moves a placeholder. A literal can be repeated.
		l.plan.Literals = true
		return l.plan, nil
	}
	l.plan.Text = text
	return l.plan, nil
}

// ask applies a rule to each statement.
func (l *look) ask(r *Rule) {
	if r.Needs != 0 && !l.script.Has.Any(r.Needs) {
		return
	}
	l.rule = r
	for i, st := range l.script.Statements {
		l.st, l.index = st, i
		r.look(l)
	}
}

// maxRepeats bounds how often a rule is applied again to a text because one of its
// changes was within another.
const maxRepeats = 8

// oneByOne applies the rules one after the other, each to the text that the rule before
// it made. changed is the syntax tree of the new text, or nil if that does not parse; the
// caller of Check then gets the error when it parses the text.
func oneByOne(script *tree.Script) (text string, changed *tree.Script) {
	for _, r := range all {
		for range maxRepeats {
			l := look{script: script, plan: &Plan{Text: script.Text, script: script}}
			l.ask(r)
			text, whole := apply(script.Text, l.edits)
			if text == script.Text {
				break
			}
			next, err := tree.Parse(text)
			if err != nil {
				return text, nil
			}
			script = next
			if whole {
				break
			}
		}
	}
	return script.Text, script
}

// sameParams reports whether two texts have the same placeholders in the same order.
func sameParams(a, b *tree.Script) bool {
	return slices.EqualFunc(a.Params, b.Params, func(x, y *tree.Param) bool { return x.Index == y.Index && x.Style == y.Style })
}

// late are changes of the text that depend on tables.
type late func(tables Tables) []edit

// Complete returns the original text with the changes that depend on tables, but without
// those of [Plan.Text]. The caller must check it like any other text. changed is false if
// there are no such changes.
func (p *Plan) Complete(tables Tables) (text string, changed bool) {
	var edits []edit
	for _, f := range p.late {
		edits = append(edits, f(tables)...)
	}
	text, _ = apply(p.script.Text, edits)
	return text, len(edits) > 0
}

// Original returns the text that the plan is for.
func (p *Plan) Original() string { return p.script.Text }

// later changes the text in a way that depends on tables.
func (l *look) later(f func(Tables) []edit) { l.plan.late = append(l.plan.late, f) }

// look is a rule's view of a statement.
type look struct {
	script *tree.Script
	st     tree.Statement
	index  int // of the statement in the text
	rule   *Rule

	plan    *Plan
	edits   []edit
	refusal *Refusal
}

// alone reports whether the statement is the only one of its text.
func (l *look) alone() bool { return len(l.script.Statements) == 1 }

// each calls f for every part of the statement; if f returns false, what is below
// that part is left out.
func (l *look) each(f func(tree.Node) bool) { tree.Inspect(l.st, f) }

// found makes the refusal of the construct at n. If construct is empty, it is that of
// the rule.
func (l *look) found(n tree.Node, construct string) *Refusal {
	if construct == "" {
		construct = l.rule.Construct
	}
	r := &Refusal{Rule: l.rule, Construct: construct}
	r.Line, r.Column = tree.Position(l.script.Text, n.Place().Start)
	return r
}

// refuse refuses the text because of n. Only the first refusal of a rule is kept.
func (l *look) refuse(n tree.Node, construct string) {
	if l.refusal == nil {
		l.refusal = l.found(n, construct)
	}
}

// refuseInTx refuses the text in a transaction because of n.
func (l *look) refuseInTx(n tree.Node, construct string) {
	if l.plan.InTx == nil {
		l.plan.InTx = l.found(n, construct)
	}
}

// refuseArgument refuses the text if ok is false for the argument of p.
func (l *look) refuseArgument(p *tree.Param, construct string, ok func(driver.Value) bool) {
	l.plan.arguments = append(l.plan.arguments, argument{l.found(p, construct), p.Index, ok})
}

// refuseTables refuses the text because of n if ok is false for the tables and
// arguments. If when is false for the arguments, the check is skipped and the tables are
// not read; nil: it is always made.
func (l *look) refuseTables(n tree.Node, construct string, when func(Args) bool, ok func(Tables, Args) bool) {
	l.plan.typed = append(l.plan.typed, typed{l.found(n, construct), ok, when})
}

// quote returns the text of n for an error, with … in place of literals, which may
// be secrets.
func (l *look) quote(n tree.Node) string {
	var hidden []edit
	at := n.Place()
	for _, p := range l.secrets(n) {
		hidden = append(hidden, edit{tree.Span{Start: p.Start - at.Start, End: p.End - at.Start}, "…"})
	}
	quoted, _ := apply(at.Of(l.script.Text), hidden)
	return quoted
}

// secrets returns the places of the string and blob literals within n.
func (l *look) secrets(n tree.Node) []tree.Span {
	var places []tree.Span
	at := n.Place()
	l.each(func(n tree.Node) bool {
		if x, ok := n.(*tree.Literal); ok && (x.Kind == tree.String || x.Kind == tree.Blob) && x.Start >= at.Start && x.End <= at.End {
			places = append(places, x.Span)
		}
		return true
	})
	return places
}

// edit is a change of a text.
type edit struct {
	at   tree.Span
	text string
}

// replace replaces a part of the text. An empty span inserts.
func (l *look) replace(at tree.Span, text string) { l.edits = append(l.edits, edit{at, text}) }

// rank orders edits of the same place: insertions come first, in the order of the rules,
// but those that close a parenthesis come after the other insertions.
func (e edit) rank() int {
	switch {
	case e.at.End > e.at.Start:
		return 2
	case strings.HasPrefix(e.text, ")"):
		return 1
	}
	return 0
}

// apply makes the edits, in the order of their places. If two replace the same part it
// makes the first; if one is within another it makes only the outer one. In both cases
// whole is false.
func apply(text string, edits []edit) (edited string, whole bool) {
	if len(edits) == 0 {
		return text, true
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(a.at.Start-b.at.Start, a.rank()-b.rank()) })
	var b strings.Builder
	copied, whole := 0, true
	for _, e := range edits {
		if e.at.Start < copied {
			whole = false
			continue
		}
		writeApart(&b, text[copied:e.at.Start])
		writeApart(&b, e.text)
		copied = e.at.End
	}
	writeApart(&b, text[copied:])
	return b.String(), whole
}

// writeApart writes text, with a blank before it where two words would become one.
func writeApart(b *strings.Builder, text string) {
	if s := b.String(); s != "" && text != "" && isWord(s[len(s)-1]) && isWord(text[0]) {
		b.WriteByte(' ')
	}
	b.WriteString(text)
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
