package sqltext

import "slices"

// inList watches the lists behind IN: those in a condition whose values cannot be
// told without a transaction.
type inList struct {
	where bool  // there has been a WHERE
	open  int   // the depth inside the list's parentheses; 0 outside a list
	start token // the list's parenthesis

	before, last token
}

// needTx are the functions that ask the transaction for their value.
var needTx = []string{"age", "clock_timestamp", "current_user", "currval", "nextval", "now"}

// watchLists looks at the token that was just read.
func (p *parser) watchLists() {
	l, t := &p.lists, p.tok
	before, last := l.before, l.last
	l.before, l.last = last, t
	switch {
	case t.is(kwWhere):
		l.where = true
	case l.open == 0:
		if l.where && t.isSymbol('(') && last.is(kwIn) && !before.is(kwNot) {
			l.open, l.start = p.depth, t
		}
	case p.depth < l.open:
		l.open = 0
	case last == l.start && (t.is(kwSelect) || t.is(kwWith)):
		l.open = 0 // a query, which the server reads row by row
	case t.is(kwSelect),
		t.isSymbol('(') && last.isName() && slices.Contains(needTx, p.fold(last)):
		p.st.FatalList = true
	}
}
