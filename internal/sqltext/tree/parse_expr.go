package tree

import "strings"

// expr reads an expression of any kind. The functions below are in the order of
// precedence, from the lowest to the highest.
func (p *parser) expr() Expr {
	p.enter()
	defer p.leave()
	return p.or()
}

func (p *parser) or() Expr {
	start := p.tok.start
	x := p.and()
	if !p.tok.is(kwOr) {
		return x
	}
	c := &Chain{Operands: []Expr{x}}
	for p.accept(kwOr) {
		c.Operators = append(c.Operators, "OR")
		c.Operands = append(c.Operands, p.and())
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) and() Expr {
	start := p.tok.start
	x := p.not()
	if !p.tok.is(kwAnd) {
		return x
	}
	c := &Chain{Operands: []Expr{x}}
	for p.accept(kwAnd) {
		c.Operators = append(c.Operators, "AND")
		c.Operands = append(c.Operands, p.not())
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) not() Expr {
	start := p.tok.start
	if !p.accept(kwNot) {
		return p.condition()
	}
	p.enter()
	defer p.leave()
	x := p.not()
	return &Unary{p.from(start), "NOT", x}
}

// condition reads a comparison, EXISTS or CASE. The last two cannot be operands.
func (p *parser) condition() Expr {
	start := p.tok.start
	switch {
	case p.tok.is(kwCase):
		return p.caseWhen(start)
	case p.tok.is(kwExists) && p.ahead().isSymbol('('):
		p.advance()
		p.has |= HasExists
		q := p.queryInBrackets()
		return &Exists{p.from(start), q}
	}
	return p.comparison(start, p.sum())
}

func (p *parser) comparison(start int, left Expr) Expr {
	switch p.tok.kind {
	case tokCompare:
		op := p.text[p.tok.start:p.tok.end]
		if op[0] == '<' && op != "<>" || op[0] == '>' {
			p.has |= HasComparison
		}
		p.advance()
		right := p.sum()
		return &Compare{p.from(start), op, left, right}
	case tokNotMatch:
		p.advance()
		return p.like(start, left, true, false)
	case tokWord:
	default:
		return left
	}
	switch p.tok.word {
	case kwIs:
		p.advance()
		not := p.accept(kwNot)
		p.expect(kwNull, "NULL")
		return &IsNull{p.from(start), not, left}
	case kwBetween:
		p.advance()
		p.has |= HasComparison
		low := p.sum()
		p.expect(kwAnd, "AND")
		high := p.sum()
		return &Between{p.from(start), left, low, high}
	case kwNot:
		p.advance()
		switch {
		case p.accept(kwLike):
			return p.like(start, left, true, false)
		case p.accept(kwIlike):
			return p.like(start, left, true, true)
		case p.accept(kwIn):
			return p.in(start, left, true)
		}
		if p.tok.is(kwBetween) {
			p.failHere("NOT BETWEEN is not known to the server: write NOT (a BETWEEN b AND c)")
		}
		p.unexpected("LIKE, ILIKE or IN")
		return left
	case kwLike:
		p.advance()
		return p.like(start, left, false, false)
	case kwIlike:
		p.advance()
		return p.like(start, left, false, true)
	case kwIn:
		p.advance()
		return p.in(start, left, false)
	}
	return left
}

func (p *parser) like(start int, left Expr, not, ignoreCase bool) Expr {
	p.has |= HasLike
	pattern := p.sum()
	return &Like{p.from(start), not, ignoreCase, left, pattern}
}

// in reads the part after IN.
func (p *parser) in(start int, left Expr, not bool) Expr {
	p.expectSymbol('(')
	if p.tok.beginsQuery() && !(p.tok.is(kwShow) && !p.showsAhead()) {
		q := p.query()
		p.expectSymbol(')')
		p.has |= HasSubquery
		return &InQuery{p.from(start), not, left, q}
	}
	p.has |= HasList
	values := p.exprs()
	p.expectSymbol(')')
	return &InList{p.from(start), not, left, values}
}

// showsAhead reports whether the next tokens are a SHOW statement such as SHOW TABLES,
// and not a column with the name SHOW.
func (p *parser) showsAhead() bool {
	t := p.ahead()
	return t.is(kwDatabases) || t.is(kwTables) || t.is(kwTable) || t.is(kwUsers) || t.is(kwGrants)
}

func (p *parser) exprs() []Expr {
	list := []Expr{p.expr()}
	for p.acceptSymbol(',') {
		list = append(list, p.expr())
	}
	return list
}

func (p *parser) sum() Expr {
	start := p.tok.start
	x := p.product()
	if !p.tok.isSymbol('+') && !p.tok.isSymbol('-') {
		return x
	}
	c := &Chain{Operands: []Expr{x}}
	for p.tok.isSymbol('+') || p.tok.isSymbol('-') {
		c.Operators = append(c.Operators, p.text[p.tok.start:p.tok.end])
		p.advance()
		c.Operands = append(c.Operands, p.product())
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) product() Expr {
	start := p.tok.start
	x := p.signed()
	if !p.multiplies() {
		return x
	}
	c := &Chain{Operands: []Expr{x}}
	for p.multiplies() {
		c.Operators = append(c.Operators, p.text[p.tok.start:p.tok.end])
		p.advance()
		c.Operands = append(c.Operands, p.signed())
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) multiplies() bool {
	return p.tok.isSymbol('*') || p.tok.isSymbol('/') || p.tok.isSymbol('%')
}

func (p *parser) signed() Expr {
	start := p.tok.start
	if p.acceptSymbol('-') {
		p.enter()
		defer p.leave()
		x := p.signed()
		return &Unary{p.from(start), "-", x}
	}
	if !p.tok.isSymbol('(') {
		return p.operand()
	}
	p.advance()
	if p.tok.is(kwSelect) {
		p.enter()
		defer p.leave()
		p.has |= HasSubquery
		s := p.selectQuery()
		p.expectSymbol(')')
		return &Subquery{p.from(start), s}
	}
	x := p.expr()
	p.expectSymbol(')')
	return &Paren{p.from(start), x}
}

// operand reads a value, a column or a call, with the casts after it.
func (p *parser) operand() Expr {
	start := p.tok.start
	x := p.atom()
	for p.tok.kind == tokCast {
		p.advance()
		p.has |= HasCast
		t := p.typeName()
		x = &Cast{p.from(start), x, t, CastSuffix}
	}
	return x
}

func (p *parser) atom() Expr {
	switch p.tok.kind {
	case tokInteger:
		return p.literal(Integer)
	case tokFloat:
		return p.literal(Float)
	case tokString:
		return p.literal(String)
	case tokBlob:
		return p.literal(Blob)
	case tokQuest, tokDollar, tokNamed:
		return p.param()
	case tokName:
		id := p.ident()
		if p.tok.isSymbol('(') {
			p.has |= HasCall
			return p.call(id)
		}
		return p.columnOrPath(id)
	case tokWord:
		return p.wordAtom()
	}
	p.unexpected("a value")
	return &Literal{}
}

func (p *parser) wordAtom() Expr {
	start := p.tok.start
	switch p.tok.word {
	case kwNull:
		return p.literal(Null)
	case kwTrue, kwFalse:
		return p.literal(Bool)
	case kwAggregate:
		if p.ahead().isSymbol('(') {
			return p.aggregate(start)
		}
	case kwCast:
		p.advance()
		p.has |= HasCast
		p.expectSymbol('(')
		x := p.expr()
		p.expect(kwAs, "AS")
		t := p.typeName()
		p.expectSymbol(')')
		return &Cast{p.from(start), x, t, CastCall}
	case kwTimestamp:
		if p.ahead().kind == tokString {
			p.advance()
			p.has |= HasCast
			x := p.literal(String)
			return &Cast{p.from(start), x, "TIMESTAMP", CastPrefix}
		}
	case kwExtract:
		if p.ahead().isSymbol('(') {
			return p.extract(start)
		}
	}
	if !p.isColumn() {
		p.unexpectedName("a value")
		return &Literal{}
	}
	return p.columnOrPath(p.columnName())
}

func (p *parser) typeName() string {
	if !p.tok.isType() {
		p.unexpected("a type: INTEGER, VARCHAR, BOOLEAN, FLOAT, TIMESTAMP, BLOB, UUID or JSON")
		return ""
	}
	t := typeNames[p.tok.word]
	p.advance()
	return t
}

func (p *parser) extract(start int) Expr {
	p.advance()
	p.expectSymbol('(')
	field := strings.ToUpper(p.text[p.tok.start:p.tok.end])
	switch {
	case p.accept(kwYear), p.accept(kwMonth), p.accept(kwDay), p.accept(kwHour), p.accept(kwMinute), p.accept(kwSecond):
	default:
		p.unexpected("YEAR, MONTH, DAY, HOUR, MINUTE or SECOND")
	}
	p.expect(kwFrom, "FROM")
	x := p.expr()
	p.expectSymbol(')')
	return &Extract{p.from(start), field, x}
}

// columnRef reads c or t.c.
func (p *parser) columnRef() *Column {
	if !p.isColumn() {
		p.unexpectedName("a column")
		return &Column{}
	}
	return p.columnFrom(p.columnName())
}

func (p *parser) columnFrom(id Ident) *Column {
	c := p.columns.take()
	c.Name = id
	if p.tok.kind == tokDot {
		p.advance()
		c.Table, c.Name = id, p.column()
	} else if c.IsCurrentTime() {
		p.has |= HasCurrentTime
	}
	c.Span = p.from(id.Start)
	return c
}

func (p *parser) columnOrPath(id Ident) Expr {
	c := p.columnFrom(id)
	if p.tok.kind != tokArrow {
		return c
	}
	j := &JSONPath{Column: c}
	for p.tok.kind == tokArrow {
		p.advance()
		if p.tok.kind != tokString {
			p.unexpected("the name of a field as a string: c->'name'")
			break
		}
		j.Path = append(j.Path, p.literal(String))
	}
	j.Span = p.from(id.Start)
	return j
}

func (p *parser) aggregate(start int) Expr {
	a := &Aggregate{Name: strings.ToUpper(p.text[p.tok.start:p.tok.end])}
	p.has |= HasAggregate
	p.advance()
	p.expectSymbol('(')
	over := true // may follow
	switch {
	case p.acceptSymbol('*'):
		a.Star = true
	case p.accept(kwDistinct):
		a.Distinct, over = true, false
		if p.acceptSymbol('(') {
			a.Column = p.columnRef()
			p.expectSymbol(')')
		} else {
			a.Column = p.columnRef()
		}
	default:
		a.Column = p.columnRef()
		if p.acceptSymbol(',') {
			over = false
			if p.tok.kind != tokString {
				p.unexpected("a separator as a string")
				return a
			}
			a.Separator = p.literal(String)
		}
	}
	p.expectSymbol(')')
	if over {
		a.Over = p.over()
	}
	a.Span = p.from(start)
	return a
}

// call reads the part after the function's name.
func (p *parser) call(name Ident) *Call {
	c := &Call{Name: name}
	p.expectSymbol('(')
	if !p.tok.isSymbol(')') {
		c.Args = p.exprs()
	}
	p.expectSymbol(')')
	c.Over = p.over()
	c.Span = p.from(name.Start)
	return c
}

func (p *parser) over() *Window {
	start := p.tok.start
	if !p.accept(kwOver) {
		return nil
	}
	p.has |= HasOver
	p.expectSymbol('(')
	w := &Window{}
	if p.accept(kwPartition) {
		p.expect(kwBy, "BY")
		w.PartitionBy = p.exprs()
	}
	if p.tok.is(kwOrder) {
		w.OrderBy = p.orderBy()
	}
	p.expectSymbol(')')
	w.Span = p.from(start)
	return w
}

func (p *parser) caseWhen(start int) Expr {
	p.advance()
	c := &Case{}
	if !p.tok.is(kwWhen) {
		c.Operand = p.expr()
	}
	for {
		at := p.tok.start
		p.expect(kwWhen, "WHEN")
		w := When{When: p.expr()}
		p.expect(kwThen, "THEN")
		w.Then = p.expr()
		w.Span = p.from(at)
		c.Whens = append(c.Whens, w)
		if !p.tok.is(kwWhen) {
			break
		}
	}
	if p.accept(kwElse) {
		c.Else = p.expr()
	}
	p.expect(kwEnd, "END")
	c.Span = p.from(start)
	return c
}
