package tree

import "strings"

// query reads a query of any kind, with its set operations.
func (p *parser) query() Query {
	p.enter()
	defer p.leave()
	start := p.tok.start
	switch {
	case p.tok.is(kwSelect), p.tok.isSymbol('('):
		return p.sides(start, true)
	case p.accept(kwWith):
		return p.with(start)
	case p.accept(kwShow):
		return p.show(start)
	case p.accept(kwExplain):
		q := p.query()
		return &Explain{p.from(start), q}
	}
	p.unexpected("SELECT")
	return nil
}

// sides reads SELECT … UNION SELECT …. Behind WITH only UNION joins the first two.
func (p *parser) sides(start int, any bool) Query {
	first := p.side()
	_, bracketed := first.(*Brackets)
	if !bracketed && !p.tok.is(kwUnion) && !(any && (p.tok.is(kwExcept) || p.tok.is(kwIntersect))) {
		return first
	}
	op := &SetOperation{Sides: []Query{first}}
	for {
		switch {
		case p.accept(kwUnion):
			if p.accept(kwAll) {
				op.Operators = append(op.Operators, UnionAll)
			} else {
				op.Operators = append(op.Operators, Union)
			}
		case any && p.accept(kwExcept):
			op.Operators = append(op.Operators, Except)
		case any && p.accept(kwIntersect):
			op.Operators = append(op.Operators, Intersect)
		default:
			p.tail(op)
			op.Span = p.from(start)
			return op
		}
		p.has |= HasSetOperation
		any = true
		if p.tok.is(kwSelect) || p.tok.isSymbol('(') {
			op.Sides = append(op.Sides, p.side())
			continue
		}
		op.Sides = append(op.Sides, p.query())
		op.Span = p.from(start)
		return op
	}
}

// side reads a SELECT, or a query in parentheses.
func (p *parser) side() Query {
	if !p.tok.isSymbol('(') {
		return p.selectQuery()
	}
	p.enter()
	defer p.leave()
	start := p.tok.start
	p.has |= HasBrackets
	p.advance()
	q := p.query()
	p.expectSymbol(')')
	return &Brackets{p.from(start), q}
}

// tail reads what follows a last side in parentheses.
func (p *parser) tail(op *SetOperation) {
	if _, ok := op.Sides[len(op.Sides)-1].(*Brackets); !ok {
		return
	}
	start := p.tok.start
	if p.tok.is(kwOrder) {
		op.OrderBy = p.orderBy()
	}
	op.Limit = p.limit()
	op.Offset = p.offset()
	if p.last > start {
		op.TailAt = p.from(start)
	}
}

func (p *parser) with(start int) Query {
	p.has |= HasWith
	w := &With{Recursive: p.accept(kwRecursive)}
	for {
		at := p.tok.start
		t := &CommonTable{Name: p.identifier("a name")}
		if list := p.tok.start; p.tok.isSymbol('(') {
			p.has |= HasWithColumns
			t.Columns = p.names()
			t.ColumnsAt = p.from(list)
		}
		p.expect(kwAs, "AS")
		t.Query = p.commonQuery()
		t.Span = p.from(at)
		w.Tables = append(w.Tables, t)
		if !p.acceptSymbol(',') {
			break
		}
	}
	if !p.tok.is(kwSelect) {
		p.unexpected("SELECT")
		return w
	}
	w.Body = p.sides(p.tok.start, false)
	w.Span = p.from(start)
	return w
}

// commonQuery reads the query of a name of WITH.
func (p *parser) commonQuery() Query {
	if !p.tok.isSymbol('(') || !p.ahead().is(kwValues) {
		return p.queryInBrackets()
	}
	p.advance()
	p.has |= HasWithColumns | HasValues
	start := p.tok.start
	p.advance()
	v := &Values{Rows: p.rows()}
	v.Span = p.from(start)
	p.expectSymbol(')')
	return v
}

func (p *parser) queryInBrackets() Query {
	p.expectSymbol('(')
	q := p.query()
	p.expectSymbol(')')
	return q
}

func (p *parser) show(start int) Query {
	s := &Show{What: strings.ToUpper(p.text[p.tok.start:p.tok.end])}
	switch {
	case p.accept(kwDatabases), p.accept(kwTables), p.accept(kwUsers):
	case p.accept(kwTable):
		s.Name = p.identifier("a table")
	case p.accept(kwGrants):
		if p.accept(kwFor) {
			s.Name = p.identifier("a user")
		}
	default:
		p.unexpected("DATABASES, TABLES, TABLE, USERS or GRANTS")
	}
	s.Span = p.from(start)
	return s
}

// selectQuery reads SELECT … OFFSET ….
func (p *parser) selectQuery() *Select {
	start := p.tok.start
	p.expect(kwSelect, "SELECT")
	s := &Select{Distinct: p.accept(kwDistinct)}
	at := p.tok.start
	if p.acceptSymbol('*') {
		s.Star = true
	} else {
		s.Targets = p.targets()
	}
	s.TargetsAt = p.from(at)
	switch {
	case p.accept(kwFrom):
		s.From = p.source()
		s.Index = p.useIndex()
		s.Joins = p.joins()
		p.selectRest(s)
	case !s.Star && p.beginsRest():
		p.has |= HasNoFrom
		p.selectRest(s)
	}
	s.Span = p.from(start)
	return s
}

// beginsRest reports whether the current token begins one of the clauses after FROM.
func (p *parser) beginsRest() bool {
	return p.tok.is(kwWhere) || p.tok.is(kwGroup) || p.tok.is(kwHaving) || p.tok.is(kwOrder) || p.tok.is(kwLimit) || p.tok.is(kwFetch) || p.tok.is(kwOffset)
}

// selectRest reads WHERE … OFFSET ….
func (p *parser) selectRest(s *Select) {
	s.Where = p.where()
	if at := p.tok.start; p.accept(kwGroup) {
		p.expect(kwBy, "BY")
		p.has |= HasGroupBy
		s.GroupBy = append(s.GroupBy, p.columnRef())
		for p.acceptSymbol(',') {
			s.GroupBy = append(s.GroupBy, p.columnRef())
		}
		s.GroupAt = p.from(at)
	}
	if p.accept(kwHaving) {
		s.Having = p.expr()
	}
	if at := p.tok.start; p.tok.is(kwOrder) {
		s.OrderBy = p.orderBy()
		s.OrderAt = p.from(at)
	}
	at := p.tok.start
	if s.Limit = p.limit(); p.last > at {
		s.LimitAt = p.from(at)
	}
	at = p.tok.start
	if s.Offset = p.offset(); s.Offset != nil {
		s.OffsetAt = p.from(at)
	}
	if p.tok.is(kwFor) {
		s.Locking = p.locking()
	}
}

// locking reads FOR UPDATE and the like, which the server does not have.
func (p *parser) locking() (l Locking) {
	start := p.tok.start
	p.has |= HasLocking
	p.advance()
	switch {
	case p.accept(kwUpdate), p.acceptWord("SHARE"):
	case p.acceptWord("NO") && p.accept(kwKey) && p.accept(kwUpdate):
	case p.accept(kwKey) && p.acceptWord("SHARE"):
	default:
		p.unexpected("UPDATE or SHARE")
	}
	if p.accept(kwOf) {
		p.name("a table")
		for p.acceptSymbol(',') {
			p.name("a table")
		}
	}
	switch {
	case p.acceptWord("NOWAIT"):
	case p.acceptWord("SKIP"):
		if !p.acceptWord("LOCKED") {
			p.unexpected("LOCKED")
		}
		l.SkipLocked = true
	}
	l.Span = p.from(start)
	return l
}

// acceptWord skips a word that is not a keyword of the server.
func (p *parser) acceptWord(word string) bool {
	if p.tok.kind != tokName || !strings.EqualFold(p.text[p.tok.start:p.tok.end], word) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) targets() []Target {
	list := make([]Target, 0, 4)
	for {
		list = append(list, p.target())
		if !p.acceptSymbol(',') {
			return list
		}
	}
}

func (p *parser) target() Target {
	start := p.tok.start
	if p.tok.isColumn() && p.ahead().kind == tokDot {
		l, tok, last := p.lexer, p.tok, p.last
		table := p.ident()
		p.advance()
		if p.tok.isSymbol('*') && p.err == nil {
			p.advance()
			p.has |= HasTableStar
			return Target{Span: p.from(start), Star: true, Table: table}
		}
		if p.err == nil {
			p.lexer, p.tok, p.last = l, tok, last
		}
	}
	t := Target{Expr: p.expr()}
	t.Alias, t.As = p.alias()
	t.Span = p.from(start)
	return t
}

func (p *parser) where() Expr {
	if p.accept(kwWhere) {
		return p.expr()
	}
	return nil
}

func (p *parser) useIndex() []Ident {
	if !p.accept(kwUse) {
		return nil
	}
	p.expect(kwIndex, "INDEX")
	p.expect(kwOn, "ON")
	return p.oneOrMoreNames()
}

func (p *parser) orderBy() []Order {
	p.advance()
	p.expect(kwBy, "BY")
	p.has |= HasOrderBy
	var list []Order
	for {
		start := p.tok.start
		o := Order{Expr: p.expr()}
		if x, ok := o.Expr.(*Literal); ok && x.Kind == Integer {
			p.has |= HasOrdinal
		}
		if !p.accept(kwAsc) {
			o.Descending = p.accept(kwDesc)
		}
		if p.accept(kwNulls) {
			o.Nulls = true
			if o.NullsFirst = p.accept(kwFirst); !o.NullsFirst {
				p.expect(kwLast, "FIRST or LAST")
			}
		}
		o.Span = p.from(start)
		list = append(list, o)
		if !p.acceptSymbol(',') {
			return list
		}
	}
}

func (p *parser) limit() Expr {
	switch {
	case p.accept(kwLimit):
		p.has |= HasLimit
		if p.accept(kwAll) {
			return nil
		}
		return p.expr()
	case p.accept(kwFetch):
		p.has |= HasLimit
		p.expect(kwFirst, "FIRST")
		x := p.expr()
		p.expect(kwRows, "ROWS")
		p.accept(kwOnly)
		return x
	}
	return nil
}

func (p *parser) offset() Expr {
	if p.accept(kwOffset) {
		p.has |= HasLimit
		return p.expr()
	}
	return nil
}

// source reads what follows FROM, JOIN and commas.
func (p *parser) source() Source {
	start := p.tok.start
	switch {
	case p.tok.isSymbol('('):
		p.enter()
		defer p.leave()
		p.advance()
		return p.sourceInBrackets(start)
	case p.tok.is(kwTable):
		f := &TableFunction{Name: Ident{Span: Span{start, p.tok.end}, Name: "TABLE"}}
		p.advance()
		p.expectSymbol('(')
		f.Table = p.identifier("a table")
		p.expectSymbol(')')
		f.Span = p.from(start)
		p.has |= HasTableFunction
		return f
	case p.tok.is(kwDatabases),
		(p.tok.is(kwTables) || p.tok.is(kwUsers)) && p.ahead().isSymbol('('):
		f := &TableFunction{Name: Ident{Span: Span{start, p.tok.end}, Name: strings.ToUpper(p.text[start:p.tok.end])}}
		p.advance()
		p.expectSymbol('(')
		p.expectSymbol(')')
		f.Alias, _ = p.alias()
		f.Span = p.from(start)
		p.has |= HasTableFunction
		return f
	case p.tok.kind == tokName && p.ahead().isSymbol('('):
		c := p.call(p.ident())
		f := &TableFunction{Name: c.Name, Args: c.Args, Over: c.Over}
		f.Alias, _ = p.alias()
		f.Span = p.from(start)
		p.has |= HasTableFunction
		return f
	}
	t := &Table{Name: p.name("a table")}
	if strings.HasPrefix(t.Name.Name, "pg_") || strings.HasPrefix(t.Name.Name, "information_schema_") {
		p.has |= HasSystemTable
	}
	t.Since, t.Until = p.period()
	t.Alias, _ = p.alias()
	t.Span = p.from(start)
	return t
}

// sourceInBrackets reads the part after "(".
func (p *parser) sourceInBrackets(start int) Source {
	switch {
	case p.accept(kwValues):
		v := &ValuesSource{Rows: p.rows()}
		p.expectSymbol(')')
		v.Span = p.from(start)
		p.has |= HasValues
		return v
	case p.tok.is(kwHistory), p.tok.is(kwDiff):
		t := &Table{Kind: History}
		if p.tok.is(kwDiff) {
			t.Kind = Diff
		}
		p.advance()
		p.expect(kwOf, "OF")
		t.Name = p.identifier("a table")
		p.expectSymbol(')')
		if t.Kind == Diff {
			t.Since, t.Until = p.period()
		}
		t.Alias, _ = p.alias()
		t.Span = p.from(start)
		return t
	}
	d := &Derived{Query: p.query()}
	p.expectSymbol(')')
	d.Alias, _ = p.alias()
	d.Span = p.from(start)
	return d
}

func (p *parser) period() (since, until *Instant) {
	if p.tok.is(kwSince) || p.tok.is(kwAfter) {
		since = p.instant()
	}
	if p.tok.is(kwUntil) || p.tok.is(kwBefore) {
		until = p.instant()
	}
	return since, until
}

func (p *parser) instant() *Instant {
	start := p.tok.start
	p.has |= HasPeriod
	i := &Instant{Word: strings.ToUpper(p.text[start:p.tok.end])}
	p.advance()
	i.Tx = p.accept(kwTx)
	i.Expr = p.expr()
	i.Span = p.from(start)
	return i
}

func (p *parser) joins() []*Join {
	var list []*Join
	for {
		start := p.tok.start
		j := &Join{Kind: "INNER"}
		switch {
		case p.acceptSymbol(','):
			j.Kind = ","
			j.Lateral = p.accept(kwLateral)
			j.Source = p.source()
		case p.tok.is(kwJoin), p.tok.is(kwJoinType), p.tok.is(kwNatural):
			p.join(j)
		default:
			return list
		}
		p.has |= HasJoin
		j.Span = p.from(start)
		list = append(list, j)
	}
}

func (p *parser) join(j *Join) {
	j.Natural = p.accept(kwNatural)
	if p.tok.is(kwJoinType) {
		j.Kind = strings.ToUpper(p.text[p.tok.start:p.tok.end])
		p.advance()
	}
	p.expect(kwJoin, "JOIN")
	j.Lateral = !j.Natural && p.accept(kwLateral)
	j.Source = p.source()
	if j.Natural {
		return
	}
	if !j.Lateral && p.accept(kwUsing) {
		j.Using = p.names()
		return
	}
	j.Index = p.useIndex()
	switch {
	case p.accept(kwOn):
		j.On = p.expr()
	case !j.Lateral && j.Kind != "CROSS":
		p.unexpected("ON: a join needs a condition, but CROSS JOIN")
	}
}
