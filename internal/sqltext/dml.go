package sqltext

// dml reads a statement from behind its verb to its end.
func (p *parser) dml(verb keyword) {
	switch verb {
	case kwInsert, kwUpsert:
		p.st.Kind = Insert
		if verb == kwUpsert {
			p.st.Kind = Upsert
		}
		p.accept(kwInto)
		p.st.Table = p.name()
		p.columns()
		p.rows()
	case kwUpdate:
		p.st.Kind = Update
		p.st.Table = p.name()
	case kwDelete:
		p.st.Kind = Delete
		p.accept(kwFrom)
		p.st.Table = p.name()
	}
	var source sourceList
	for !p.atEnd() {
		if p.st.NumRows < 0 && source.next(p.tok) && p.fold(p.tok) == p.st.Table {
			p.st.SelfSelect = true
		}
		switch {
		case p.depth == 0 && p.tok.is(kwReturning):
			p.returning()
		case p.depth == 0 && p.accept(kwOn):
			p.onConflict()
		default:
			p.advance()
		}
	}
}

// columns reads "(a, b, c)".
func (p *parser) columns() {
	if !p.tok.isSymbol('(') {
		return
	}
	p.advance()
	if p.tok.isColumn() {
		p.st.Columns = make([]string, 0, 8)
	}
	for p.tok.isColumn() {
		p.st.Columns = append(p.st.Columns, p.fold(p.tok))
		p.advance()
		if !p.tok.isSymbol(',') {
			break
		}
		p.advance()
	}
	for p.depth > 0 && !p.atEnd() {
		p.advance()
	}
	if p.tok.isSymbol(')') {
		p.advance()
	}
}

// rows counts the rows of "VALUES (…), (…)" and stops behind them.
func (p *parser) rows() {
	if !p.accept(kwValues) {
		p.st.NumRows = -1
		return
	}
	for p.tok.isSymbol('(') {
		p.st.NumRows++
		for p.depth > 0 && !p.atEnd() {
			p.advance()
		}
		p.advance() // its ')'
		if !p.tok.isSymbol(',') {
			return
		}
		p.advance()
	}
}

// onConflict reads on from behind ON, which may be that of a join as well.
func (p *parser) onConflict() {
	if !p.accept(kwConflict) || !p.accept(kwDo) {
		return
	}
	switch {
	case p.accept(kwNothing):
		p.st.OnConflict = ConflictNothing
	case p.accept(kwUpdate):
		p.st.OnConflict = ConflictUpdate
	}
}

// sourceList tells which names in a query are the tables it reads: those
// behind FROM, JOIN, LATERAL and HISTORY OF, and behind the commas that follow
// them up to the next clause.
type sourceList struct {
	last token
	in   bool
}

func (s *sourceList) next(t token) bool {
	last := s.last
	s.last = t
	if t.kind == tokWord {
		switch t.word.keyword {
		case kwFrom:
			s.in = true
			return false
		case kwSelect, kwWhere, kwOn:
			s.in = false
			return false
		}
	}
	return t.isName() && (last.is(kwFrom) || last.is(kwJoin) || last.is(kwLateral) || last.is(kwOf) ||
		s.in && last.isSymbol(','))
}
