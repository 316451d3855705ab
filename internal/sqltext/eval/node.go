package eval

import "math"

// node is a part of an expression. eval fails with an *Unsupported where the server
// fails.
type node interface {
	eval(b *Bound) (value, error)
}

type (
	constant struct{ value value }
	argument struct{ index int }
	column   struct{ slot int }

	// logic is operands joined by AND, or by OR.
	logic struct {
		or       bool
		operands []node
		text     string
	}
	not struct {
		x    node
		text string
	}
	comparison struct {
		operator    operator
		left, right node
		text        string
	}
	between struct {
		x, low, high node
		text         string
	}
	isNull struct {
		x   node
		not bool
	}
	inList struct {
		x    node
		list []node
		not  bool
		// withoutNull marks the values that are removed if they are NULL; it may be nil.
		// See [compiler.leaveNullOut].
		withoutNull []bool
		text        string
	}
	// arithmetic is operands joined by operators, from the left.
	arithmetic struct {
		operands  []node
		operators []byte
		text      string
	}
	cast struct {
		x    node
		to   Type
		text string
	}
)

type operator uint8

const (
	equal operator = iota
	different
	less
	lessOrEqual
	greater
	greaterOrEqual
)

var operators = map[string]operator{
	"=": equal, "!=": different, "<>": different, "<": less, "<=": lessOrEqual, ">": greater, ">=": greaterOrEqual,
}

func (o operator) holds(order int) bool {
	switch o {
	case equal:
		return order == 0
	case different:
		return order != 0
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	}
	return order >= 0
}

func (c *constant) eval(*Bound) (value, error)   { return c.value, nil }
func (a *argument) eval(b *Bound) (value, error) { return b.args[a.index], nil }

func (c *column) eval(b *Bound) (value, error) {
	s := &b.slots[c.slot]
	v, ok := fromColumn(b.row[s.index], s.typ)
	if !ok {
		return v, &Unsupported{"column " + b.query.columns[c.slot].name, "its value is not of its type, " + s.typ.String()}
	}
	return v, nil
}

func (l *logic) eval(b *Bound) (value, error) {
	for _, x := range l.operands {
		v, err := x.eval(b)
		if err != nil {
			return v, err
		}
		is, ok := v.isTrue()
		if !ok {
			return v, notBoolean(l.text)
		}
		if is == l.or {
			return v, nil
		}
	}
	return truth(!l.or), nil
}

func (n *not) eval(b *Bound) (value, error) {
	v, err := n.x.eval(b)
	if err != nil {
		return v, err
	}
	is, ok := v.isTrue()
	if !ok {
		return v, notBoolean(n.text)
	}
	return truth(!is), nil
}

func notBoolean(text string) error {
	return &Unsupported{text, "an operand is NULL or no BOOLEAN, at which the server fails: write column = TRUE"}
}

func (c *comparison) eval(b *Bound) (value, error) {
	l, err := c.left.eval(b)
	if err != nil {
		return l, err
	}
	r, err := c.right.eval(b)
	if err != nil {
		return r, err
	}
	return b.holds(c.operator, &l, &r, c.text)
}

func (b *Bound) holds(o operator, l, r *value, text string) (value, error) {
	order, ok := compare(l, r)
	if !ok {
		return value{}, &Unsupported{text, "the server does not compare " + l.typ.String() + " with " + r.typ.String() + ": cast one of them"}
	}
	return truth(o.holds(order)), nil
}

// eval evaluates x twice, as the server does.
func (w *between) eval(b *Bound) (value, error) {
	low := comparison{greaterOrEqual, w.x, w.low, w.text}
	v, err := low.eval(b)
	if err != nil || v.n == 0 {
		return v, err
	}
	high := comparison{lessOrEqual, w.x, w.high, w.text}
	return high.eval(b)
}

func (i *isNull) eval(b *Bound) (value, error) {
	v, err := i.x.eval(b)
	if err != nil {
		return v, err
	}
	isNull := v.null || v.typ == json && v.n == 1
	return truth(isNull != i.not), nil
}

func (i *inList) eval(b *Bound) (value, error) {
	x, err := i.x.eval(b)
	if err != nil {
		return x, err
	}
	for at, y := range i.list {
		v, err := y.eval(b)
		if err != nil {
			return v, err
		}
		if i.withoutNull != nil && i.withoutNull[at] && v.null {
			continue
		}
		if v, err = b.holds(equal, &x, &v, i.text); err != nil {
			return v, err
		}
		if v.n == 1 {
			return truth(!i.not), nil
		}
	}
	return truth(i.not), nil
}

func (a *arithmetic) eval(b *Bound) (value, error) {
	v, err := a.operands[0].eval(b)
	if err != nil {
		return v, err
	}
	for i, op := range a.operators {
		r, err := a.operands[i+1].eval(b)
		if err != nil {
			return r, err
		}
		var ok bool
		if v.typ == float || r.typ == float {
			v, ok = calculateFloat(op, &v, &r)
		} else {
			v, ok = calculate(op, &v, &r)
		}
		if !ok {
			return v, &Unsupported{a.text, "an operand is NULL, no number, or a divisor is 0, at which the server fails"}
		}
	}
	return v, nil
}

func calculate(op byte, l, r *value) (value, bool) {
	a, ok := asInteger(l)
	b, okay := asInteger(r)
	if !ok || !okay || b == 0 && (op == '/' || op == '%') {
		return value{}, false
	}
	v := value{typ: integer}
	switch op {
	case '+':
		v.n = a + b
	case '-':
		v.n = a - b
	case '*':
		v.n = a * b
	case '/':
		v.n = a / b
	case '%':
		v.n = a % b
	}
	return v, true
}

func calculateFloat(op byte, l, r *value) (value, bool) {
	a, ok := asFloat(l)
	b, okay := asFloat(r)
	if !ok || !okay || b == 0 && (op == '/' || op == '%') {
		return value{}, false
	}
	v := value{typ: float}
	switch op {
	case '+':
		v.f = a + b
	case '-':
		v.f = a - b
	case '*':
		v.f = a * b
	case '/':
		v.f = a / b
	case '%':
		v.f = math.Mod(a, b)
	}
	return v, true
}

func (c *cast) eval(b *Bound) (value, error) {
	v, err := c.x.eval(b)
	if err != nil {
		return v, err
	}
	converted, ok := convert(&v, c.to)
	if !ok {
		return v, &Unsupported{c.text, "the value is none of " + c.to.String() + ", or the server knows no such cast"}
	}
	return converted, nil
}
