package tree

import (
	"math"
	"slices"
	"strings"
)

const (
	// MaxDepth is how deep parentheses, subqueries, CASE, NOT and signs may be nested.
	// It protects this process and the server, which both walk the tree by recursion.
	// A chain (a AND b AND …) counts as one level.
	MaxDepth = 1000

	// MaxParam is the highest argument number. It is the limit of other databases too.
	MaxParam = 1<<16 - 1
)

// Parse parses a text. Its error is an [*Error].
func Parse(text string) (*Script, error) {
	p := parser{lexer: lexer{text: text}, script: &Script{Text: text}}
	p.script.Statements = p.script.one[:0:1]
	p.advance()
	for {
		for p.tok.kind == tokSeparator {
			p.has |= HasEmptyStatement
			p.advance()
		}
		if p.tok.kind == tokEnd {
			break
		}
		st := p.statement()
		if p.tok.kind > tokSeparator {
			p.unexpected("; or the end")
		}
		if p.err != nil {
			break
		}
		p.script.Statements = append(p.script.Statements, st)
		if p.tok.kind == tokSeparator {
			p.advance()
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	p.script.Has = p.has
	if p.script.Style == Named {
		p.script.NumInput = len(p.script.Names)
	}
	return p.script, nil
}

// parser is a recursive descent parser. It looks one token ahead, in two places two.
// After an error every token is the end of the text (see lexer.failf), so that every
// loop ends; the incomplete tree is dropped.
type parser struct {
	lexer
	script *Script
	tok    token // the current token
	last   int   // the end of the token before it
	depth  int

	params   slab[Param]
	literals slab[Literal]
	columns  slab[Column]
}

func (p *parser) advance() {
	p.last = p.tok.end
	p.tok = p.next()
}

// ahead returns the token after the current one.
func (p *parser) ahead() token {
	l := p.lexer
	return l.next()
}

func (p *parser) from(start int) Span { return Span{start, p.last} }

// enter begins a level of nesting. Each call of enter needs a call of leave.
func (p *parser) enter() {
	if p.depth++; p.depth > MaxDepth {
		p.failHere("the query is nested more than %d levels deep: write it flatter", MaxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) failHere(format string, args ...any) {
	p.tok = p.failf(p.tok.start, format, args...)
}

// unexpected records an error: the current token is not allowed at this place.
func (p *parser) unexpected(expected string) {
	p.failHere("unexpected %s, expected %s", p.describe(p.tok), expected)
}

// describe names a token for an error, without names and literals, which may be
// secrets.
func (p *parser) describe(t token) string {
	switch t.kind {
	case tokEnd:
		return "end of the query"
	case tokName:
		return "name"
	case tokInteger, tokFloat:
		return "number"
	case tokString:
		return "string"
	case tokBlob:
		return "blob"
	}
	return strings.ToUpper(p.text[t.start:min(t.end, t.start+40)])
}

func (p *parser) accept(k keyword) bool {
	if !p.tok.is(k) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) acceptSymbol(c byte) bool {
	if !p.tok.isSymbol(c) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(k keyword, name string) {
	if !p.accept(k) {
		p.unexpected(name)
	}
}

func (p *parser) expectSymbol(c byte) {
	if !p.acceptSymbol(c) {
		p.unexpected(string(rune(c)))
	}
}

// ident reads the current token as a name.
func (p *parser) ident() Ident {
	id := Ident{Span: Span{p.tok.start, p.tok.end}}
	switch raw := p.text[p.tok.start:p.tok.end]; {
	case p.tok.is(kwAggregate):
		id.Name = strings.ToUpper(raw)
	case p.tok.kind == tokWord:
		id.Name = raw
	case raw[0] == '"' || raw[0] == '`':
		id.Name, id.Quoted = strings.ToLower(raw[1:len(raw)-1]), true
		if raw[0] == '`' || p.has&HasStrangeName != 0 && strange(raw[1:len(raw)-1]) {
			p.script.Odd = append(p.script.Odd, id)
		}
	default:
		id.Name = strings.ToLower(raw)
	}
	p.advance()
	return id
}

// strange reports whether a quoted name holds characters that the server does not
// allow in names.
func strange(name string) bool {
	for i := range len(name) {
		if !isLetter(name[i]) && !isDigit(name[i]) {
			return true
		}
	}
	return false
}

// identifier reads a name that is not a keyword.
func (p *parser) identifier(what string) Ident {
	if p.tok.kind != tokName {
		p.unexpectedName(what)
		return Ident{}
	}
	return p.ident()
}

// name reads a name that may be an unreserved keyword.
func (p *parser) name(what string) Ident {
	if !p.tok.isName() {
		p.unexpectedName(what)
		return Ident{}
	}
	return p.ident()
}

func (p *parser) column() Ident {
	if !p.isColumn() {
		p.unexpectedName("a column")
		return Ident{}
	}
	return p.columnName()
}

func (p *parser) unexpectedName(expected string) {
	if p.tok.kind == tokWord {
		expected += "; a keyword is a name only in double quotes"
	}
	p.unexpected(expected)
}

// isColumn reports whether the current token names a column. The name of an aggregate
// function does if no parenthesis follows it, although the server refuses that.
func (p *parser) isColumn() bool {
	return p.tok.isColumn() || p.tok.is(kwAggregate) && !p.ahead().isSymbol('(')
}

// aggregateName reads the name of an aggregate function as the name of a column.
func (p *parser) aggregateName() Ident {
	id := p.ident()
	id.Name = strings.ToLower(id.Name)
	p.has |= HasStrangeName
	p.script.Odd = append(p.script.Odd, id)
	return id
}

// columnName reads the name of a column; isColumn must be true for the token.
func (p *parser) columnName() Ident {
	if p.tok.is(kwAggregate) {
		return p.aggregateName()
	}
	return p.ident()
}

// names reads "(a, b)".
func (p *parser) names() []Ident {
	p.expectSymbol('(')
	list := []Ident{p.column()}
	for p.acceptSymbol(',') {
		list = append(list, p.column())
	}
	p.expectSymbol(')')
	return list
}

// oneOrMoreNames reads "(a, b)" or "a".
func (p *parser) oneOrMoreNames() []Ident {
	if p.tok.isSymbol('(') {
		return p.names()
	}
	return []Ident{p.column()}
}

// alias reads [AS] a, if there is one.
func (p *parser) alias() (id Ident, as bool) {
	switch {
	case p.accept(kwAs):
		if !p.tok.isColumn() && !p.tok.is(kwAggregate) {
			p.unexpectedName("an alias")
			return Ident{}, true
		}
		as = true
	case !p.tok.isName():
		return Ident{}, false
	}
	p.has |= HasAlias
	if p.tok.is(kwAggregate) {
		p.has |= HasCapitalAlias
		return p.aggregateName(), as
	}
	if p.text[p.tok.start] == '"' && strings.ToLower(p.text[p.tok.start:p.tok.end]) != p.text[p.tok.start:p.tok.end] {
		p.has |= HasCapitalAlias
	}
	return p.ident(), as
}

func (p *parser) param() *Param {
	style := Question
	switch p.tok.kind {
	case tokDollar:
		style = Dollar
	case tokNamed:
		style = Named
	}
	s := p.script
	if s.Style != NoParams && s.Style != style {
		p.failHere("argument %s in a query that has %v arguments before it: use one style throughout",
			p.text[p.tok.start:p.tok.end], s.Style)
		return &Param{}
	}
	s.Style = style
	x := p.params.take()
	x.Span, x.Style = Span{p.tok.start, p.tok.end}, style
	switch style {
	case Question:
		x.Index = len(s.Params)
		s.NumInput = x.Index + 1
	case Dollar:
		x.Index = int(p.tok.number) - 1
		s.NumInput = max(s.NumInput, x.Index+1)
	case Named:
		name := strings.ToLower(p.text[p.tok.start+1 : p.tok.end])
		if x.Index = slices.Index(s.Names, name); x.Index < 0 {
			x.Index = len(s.Names)
			s.Names = append(s.Names, name)
		}
	}
	s.Params = append(s.Params, x)
	p.advance()
	return x
}

func (p *parser) literal(k LiteralKind) *Literal {
	x := p.literals.take()
	x.Span, x.Kind, x.Raw = Span{p.tok.start, p.tok.end}, k, p.text[p.tok.start:p.tok.end]
	switch k {
	case Integer:
		if x.Int = p.tok.number; x.Int > math.MaxInt64 {
			p.has |= HasHugeNumber
		}
	case Bool:
		if p.tok.is(kwTrue) {
			x.Int = 1
		}
	case String:
		p.has |= HasString
	}
	p.advance()
	return x
}

// statement reads one statement.
func (p *parser) statement() Statement {
	start := p.tok.start
	if p.tok.isSymbol('(') {
		return p.query()
	}
	if p.tok.kind != tokWord {
		p.unexpected("a statement")
		return nil
	}
	switch p.tok.word {
	case kwSelect, kwWith, kwShow, kwExplain:
		return p.query()
	case kwInsert, kwUpsert:
		return p.insert(start)
	case kwUpdate:
		return p.update(start)
	case kwDelete:
		return p.delete(start)
	case kwBegin, kwCommit, kwRollback, kwSavepoint, kwRelease:
		p.has |= HasControl
		return p.control(start)
	case kwUse:
		p.has |= HasControl
		return p.use(start)
	case kwGrant, kwRevoke:
		p.has |= HasControl
		return p.grant(start)
	case kwCreate:
		return p.create(start)
	case kwDrop:
		return p.drop(start)
	case kwAlter:
		return p.alter(start)
	case kwTruncate:
		p.has |= HasDDL
		p.advance()
		p.expect(kwTable, "TABLE")
		table := p.name("a table")
		return &Truncate{p.from(start), table}
	}
	p.unexpected("a statement")
	return nil
}
