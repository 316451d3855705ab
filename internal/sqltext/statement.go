package sqltext

import (
	"slices"
	"strconv"
	"strings"
)

// parser reads one statement after the other, one token at a time. Everything
// that holds anywhere in a statement (arguments, parentheses, where it ends)
// happens in advance; the rest looks at the tokens it is interested in and
// skips the others.
type parser struct {
	scanner
	style Style

	// Of the statement at hand:
	st    Statement
	tok   token // the current token; tokSeparator and tokEnd are never passed
	depth int   // of parentheses, behind tok
	first int   // offset of its first token
	last  int   // end of the last token passed
	lists inList
}

// begin goes to the first token behind the last separator.
func (p *parser) begin(firstArg int) {
	p.st = Statement{}
	if p.style == Question {
		p.st.FirstArg = firstArg
	}
	p.depth = 0
	p.lists = inList{}
	p.read()
	p.first, p.last = p.tok.start, p.tok.start
}

// finish goes to the end of the statement.
func (p *parser) finish() {
	for !p.atEnd() {
		p.advance()
	}
	p.st.Text = p.text[p.first:p.last]
	if !p.st.Returning.Has {
		p.st.Returning.End = len(p.st.Text)
	}
}

func (p *parser) atEnd() bool { return p.tok.kind <= tokSeparator }

// advance passes the current token.
func (p *parser) advance() {
	if !p.atEnd() {
		p.last = p.tok.end
		p.read()
	}
}

func (p *parser) read() {
	p.tok = p.next()
	switch {
	case p.tok.kind == tokArg:
		p.argument()
	case p.tok.is(kwSelect):
		p.st.Selects = true
	case p.tok.isSymbol('('):
		p.depth++
	case p.tok.isSymbol(')') && p.depth > 0:
		p.depth--
	}
	p.watchLists()
}

func (p *parser) argument() {
	text := p.text[p.tok.start:p.tok.end]
	style := Question
	switch p.tok.sym {
	case '$':
		style = Dollar
	case '@':
		style = Named
	}
	if p.style != None && p.style != style {
		p.tok = p.failf(p.tok.start, "argument %s in a text that has %v arguments before it: use one style throughout", text, p.style)
		return
	}
	p.style = style
	switch style {
	case Question:
		p.st.NumArgs++
	case Dollar:
		n, err := strconv.ParseInt(text[1:], 10, 32)
		if err != nil {
			p.tok = p.failf(p.tok.start, "argument number of %s is too large: number the arguments $1, $2, … without gaps", text)
		} else if n == 0 {
			p.tok = p.failf(p.tok.start, "argument %s does not exist: the first is $1", text)
		}
		p.st.NumArgs = max(p.st.NumArgs, int(n))
	case Named:
		name := strings.ToLower(text[1:])
		if !slices.Contains(p.st.Names, name) {
			p.st.Names = append(p.st.Names, name)
			p.st.NumArgs++
		}
	}
}

// accept passes the current token if it is the keyword.
func (p *parser) accept(k keyword) bool {
	if !p.tok.is(k) {
		return false
	}
	p.advance()
	return true
}

// name passes a name and folds it; "" if there is none.
func (p *parser) name() string {
	if !p.tok.isName() {
		return ""
	}
	t := p.tok
	p.advance()
	return p.fold(t)
}

// fold gives the name as the server keeps it: lower case, but an unquoted name
// that is a keyword keeps its case.
func (p *parser) fold(t token) string {
	switch {
	case t.kind == tokQuoted:
		return strings.ToLower(p.text[t.start+1 : t.end-1])
	case t.word.class == aggregate:
		return strings.ToUpper(p.text[t.start:t.end])
	case t.word.class != identifier:
		return p.text[t.start:t.end]
	}
	return strings.ToLower(p.text[t.start:t.end])
}

// statement reads the head of a statement, and the clauses of a DML statement.
func (p *parser) statement() {
	if p.tok.isSymbol('(') {
		for p.tok.isSymbol('(') {
			p.advance()
		}
		if p.tok.is(kwSelect) || p.tok.is(kwWith) || p.tok.is(kwValues) {
			p.st.Kind = Select
		}
		return
	}
	head := p.tok
	p.advance()
	if head.kind != tokWord {
		return
	}
	switch head.word.keyword {
	case kwSelect, kwShow, kwValues:
		p.st.Kind = Select
	case kwExplain:
		p.st.Kind = Explain
	case kwWith:
		p.with()
	case kwInsert, kwUpsert, kwUpdate, kwDelete:
		p.dml(head.word.keyword)
	case kwTruncate:
		p.st.Kind = Truncate
		p.accept(kwTable)
		p.st.Table = p.name()
	case kwCreate, kwAlter, kwDrop:
		p.ddl(head.word.keyword)
	case kwGrant, kwRevoke:
		p.st.Kind = Access
	case kwBegin:
		p.st.Kind = Begin
	case kwCommit:
		p.st.Kind = Commit
	case kwRollback:
		p.st.Kind = Rollback
		if p.tok.is(kwTo) {
			p.st.Kind = RollbackToSavepoint
		}
	case kwSavepoint:
		p.st.Kind = Savepoint
	case kwRelease:
		p.st.Kind = ReleaseSavepoint
	case kwUse:
		p.use()
	}
}

// with finds what the common table expressions are for. The server knows only
// queries here.
func (p *parser) with() {
	for ; !p.atEnd(); p.advance() {
		if p.depth > 0 || p.tok.kind != tokWord {
			continue
		}
		switch k := p.tok.word.keyword; k {
		case kwSelect, kwValues:
			p.st.Kind = Select
			return
		case kwInsert, kwUpsert, kwUpdate, kwDelete:
			p.advance()
			p.dml(k)
			return
		}
	}
}

func (p *parser) use() {
	switch {
	case p.accept(kwSnapshot):
		p.st.Kind = UseSnapshot
	default:
		p.accept(kwDatabase)
		p.st.Kind = UseDatabase
		p.st.Database = p.name()
	}
}

func (p *parser) ddl(verb keyword) {
	p.accept(kwUnique)
	what := p.tok.word.keyword
	if p.tok.kind != tokWord {
		return
	}
	p.advance()
	switch what {
	case kwTable:
		p.st.Kind = DDL
		p.st.Table = p.guardedName()
		if verb == kwAlter && p.accept(kwAlter) {
			p.st.Kind = AlterColumn
		}
	case kwIndex:
		p.st.Kind = DDL
		name, isTable := p.guard()
		switch {
		case isTable: // DROP INDEX if.a
			p.st.Table = p.fold(name)
		case p.accept(kwOn), verb == kwDrop: // DROP INDEX t.a
			p.st.Table = p.name()
		}
	case kwView, kwSequence:
		p.st.Kind = DDL
	case kwDatabase:
		if verb == kwCreate {
			p.st.Kind = CreateDatabase
			p.st.Database = p.guardedName()
		}
	case kwUser:
		p.st.Kind = Access
	}
}

// guard passes IF [NOT] EXISTS. An IF that nothing of the kind follows is a
// name: guard then returns it.
func (p *parser) guard() (name token, ok bool) {
	t := p.tok
	if !p.accept(kwIf) {
		return token{}, false
	}
	if not := p.accept(kwNot); p.accept(kwExists) || not {
		return token{}, false
	}
	return t, true
}

func (p *parser) guardedName() string {
	if t, ok := p.guard(); ok {
		return p.fold(t)
	}
	return p.name()
}
