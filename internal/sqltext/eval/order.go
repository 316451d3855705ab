package eval

import "math"

// term is one of the expressions of ORDER BY.
type term struct {
	x          node
	descending bool
	nullsFirst bool
}

// order compares rows one after the other with the two orders that the server may use.
type order struct {
	last, next     []value
	any            bool // last holds the values of a row
	byValue, byKey bool // all rows so far were in this order
	sawNaN         bool
}

func newOrder(q *Query) order {
	return order{last: make([]value, len(q.order)), next: make([]value, len(q.order)), byValue: true, byKey: q.alongIndex}
}

// follow checks the next row.
func (b *Bound) follow() error {
	o := &b.order
	for i := range b.query.order {
		v, err := b.query.order[i].x.eval(b)
		if err != nil {
			return err
		}
		// The caller owns the row's memory.
		v.b = append(o.next[i].b[:0], v.b...)
		o.next[i] = v
		o.sawNaN = o.sawNaN || v.typ == float && math.IsNaN(v.f)
	}
	if o.any {
		o.byValue = o.byValue && !o.sawNaN && b.inOrder()
		o.byKey = o.byKey && b.inKeyOrder()
	}
	o.any = true
	o.last, o.next = o.next, o.last
	switch {
	case o.byValue || o.byKey:
		return nil
	case o.sawNaN:
		return &Unsupported{"ORDER BY", "a row holds NaN, which has no place in an order: order by another column"}
	}
	return &Contradiction{"ORDER BY"}
}

func (b *Bound) inOrder() bool {
	for i := range b.query.order {
		t, l, r := &b.query.order[i], &b.order.last[i], &b.order.next[i]
		if l.null != r.null {
			return l.null == t.nullsFirst
		}
		order, _ := compare(l, r)
		if t.descending {
			order = -order
		}
		if order != 0 {
			return order < 0
		}
	}
	return true
}

func (b *Bound) inKeyOrder() bool {
	for i := range b.query.order {
		order := compareKeys(&b.order.last[i], &b.order.next[i])
		if b.query.order[i].descending {
			order = -order
		}
		if order != 0 {
			return order < 0
		}
	}
	return true
}
