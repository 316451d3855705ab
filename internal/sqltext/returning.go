package sqltext

// returning reads the clause from its keyword to the end of the statement.
// RETURNING is reserved, so an unquoted one is the clause.
func (p *parser) returning() {
	r := &p.st.Returning
	r.Has = true
	r.End = p.last - p.first
	p.advance()
	for !p.atEnd() {
		r.Items = append(r.Items, p.returnItem())
		if !p.tok.isSymbol(',') {
			break
		}
		p.advance()
	}
	if len(r.Items) == 1 && r.Items[0].Text == "*" {
		r.Star, r.Items = true, nil
	}
}

// returnItem reads "expression [[AS] alias]" up to the next comma or the end.
func (p *parser) returnItem() ReturnItem {
	var head, tail [3]token // the first tokens of the item, the last ones
	n := 0
	for ; !p.atEnd(); n++ {
		if p.depth == 0 && p.tok.isSymbol(',') {
			break
		}
		if n < len(head) {
			head[n] = p.tok
		}
		tail[0], tail[1], tail[2] = tail[1], tail[2], p.tok
		p.advance()
	}
	if n == 0 {
		return ReturnItem{}
	}

	var item ReturnItem
	end := tail[2].end
	switch last, before := tail[2], tail[1]; {
	case n > 2 && before.is(kwAs) && (last.isColumn() || last.kind == tokWord && last.word.class == aggregate):
		item.Alias = p.fold(last)
		end = tail[0].end
		n -= 2
	case n > 1 && last.isName() && before.endsExpression():
		item.Alias = p.fold(last)
		end = before.end
		n--
	}
	item.Text = p.text[head[0].start:end]
	switch {
	case n == 1 && head[0].isColumn():
		item.Column = p.fold(head[0])
	case n == 3 && head[0].isColumn() && head[1].isSymbol('.') && head[2].isColumn():
		item.Table, item.Column = p.fold(head[0]), p.fold(head[2])
	}
	return item
}

// endsExpression tells "a b", b being an alias, from "a + b" and "NOT b".
func (t token) endsExpression() bool {
	switch t.kind {
	case tokQuoted, tokLiteral, tokArg:
		return true
	case tokWord:
		return t.word.class != reserved && t.word.class != aggregate || t.word.keyword == kwNull || t.word.keyword == kwEnd ||
			t.word.keyword == kwUUID // behind ::
	}
	return t.isSymbol(')')
}
