package tree

func (p *parser) insert(start int) Statement {
	p.has |= HasWrite
	i := &Insert{Upsert: p.tok.is(kwUpsert)}
	p.advance()
	p.expect(kwInto, "INTO")
	i.Table = p.name("a table")
	if p.tok.isSymbol('(') {
		i.Columns = p.names()
	}
	if p.accept(kwValues) {
		i.Rows = p.rows()
	} else {
		i.Query = p.query()
	}
	if at := p.tok.start; !i.Upsert && p.accept(kwOn) {
		i.Conflict = p.conflict(at)
	}
	i.Returning = p.returning()
	i.Span = p.from(start)
	return i
}

func (p *parser) rows() []Row {
	var list []Row
	for {
		width := 4
		if n := len(list); n > 0 {
			width = len(list[n-1].Values)
		}
		list = append(list, p.row(width))
		if !p.acceptSymbol(',') {
			return list
		}
	}
}

// row reads "(a, b)". width is the expected number of values.
func (p *parser) row(width int) Row {
	start := p.tok.start
	p.expectSymbol('(')
	r := Row{}
	if !p.tok.isSymbol(')') {
		r.Values = make([]Expr, 0, width)
		for {
			r.Values = append(r.Values, p.expr())
			if !p.acceptSymbol(',') {
				break
			}
		}
	}
	p.expectSymbol(')')
	r.Span = p.from(start)
	return r
}

// conflict reads the part after ON.
func (p *parser) conflict(start int) *Conflict {
	p.has |= HasConflict
	p.expect(kwConflict, "CONFLICT")
	if p.tok.isSymbol('(') {
		p.failHere("ON CONFLICT (columns) is not known to the server, which looks at the primary key only: write ON CONFLICT DO …")
	}
	p.expect(kwDo, "DO")
	c := &Conflict{}
	if !p.accept(kwNothing) {
		p.expect(kwUpdate, "NOTHING or UPDATE SET")
		p.expect(kwSet, "SET")
		c.Set = p.assignments()
	}
	c.Span = p.from(start)
	return c
}

func (p *parser) assignments() []Assignment {
	var list []Assignment
	for {
		start := p.tok.start
		a := Assignment{Column: p.identifier("a column")}
		if p.tok.kind != tokCompare {
			p.unexpected("=")
			return list
		}
		a.Operator = p.text[p.tok.start:p.tok.end]
		p.advance()
		a.Value = p.expr()
		a.Span = p.from(start)
		list = append(list, a)
		if !p.acceptSymbol(',') {
			return list
		}
	}
}

func (p *parser) returning() *Returning {
	start, last := p.tok.start, p.last
	if !p.accept(kwReturning) {
		return nil
	}
	p.has |= HasReturning
	r := &Returning{After: last}
	if p.acceptSymbol('*') {
		r.Star = true
	} else {
		r.Items = p.targets()
	}
	r.Span = p.from(start)
	return r
}

func (p *parser) update(start int) Statement {
	p.has |= HasWrite
	p.advance()
	u := &Update{Table: p.name("a table")}
	p.expect(kwSet, "SET")
	u.Set = p.assignments()
	u.Where = p.where()
	u.Index = p.useIndex()
	u.Limit = p.limit()
	u.Offset = p.offset()
	u.Returning = p.returning()
	u.Span = p.from(start)
	return u
}

func (p *parser) delete(start int) Statement {
	p.has |= HasWrite
	p.advance()
	p.expect(kwFrom, "FROM")
	d := &Delete{Table: p.name("a table")}
	d.Where = p.where()
	d.Index = p.useIndex()
	d.Limit = p.limit()
	d.Offset = p.offset()
	d.Returning = p.returning()
	d.Span = p.from(start)
	return d
}
