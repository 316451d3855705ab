package tree

// Expr is an expression: one of the types below.
type Expr interface {
	Node
	expr()
}

// LiteralKind is the type of a literal.
type LiteralKind uint8

const (
	Null LiteralKind = iota
	Bool
	Integer
	Float
	String
	Blob
)

// Literal is a value written in the text.
type Literal struct {
	Span
	Kind LiteralKind
	Raw  string // as written
	Int  uint64 // of an Integer; 1 of TRUE
}

// String returns the value of a String literal.
func (l *Literal) String() string {
	if l.Kind == String {
		return unquote(l.Raw)
	}
	return l.Raw
}

// Bytes returns the value of a Blob literal.
func (l *Literal) Bytes() []byte { return unhex(l.Raw) }

// Param is a placeholder.
type Param struct {
	Span
	Style Style
	// Index is that of its argument among those of the whole text.
	Index int
}

// Column is a column: c or t.c.
type Column struct {
	Span
	Table Ident
	Name  Ident
}

// IsCurrentTime reports whether c is CURRENT_TIMESTAMP, which for the server is a column.
func (c *Column) IsCurrentTime() bool {
	return c.Name.Name == "current_timestamp" && !c.Name.Quoted && !c.Table.Given()
}

// JSONPath is a field of a JSON column: c->'a'->'b'.
type JSONPath struct {
	Span
	Column *Column
	Path   []*Literal
}

// Aggregate is COUNT, SUM, MAX, MIN, AVG or STRING_AGG. Its Column is nil for
// COUNT(*).
type Aggregate struct {
	Span
	Name      string // in capitals
	Star      bool
	Distinct  bool
	Column    *Column
	Separator *Literal // of STRING_AGG
	Over      *Window
}

// Call is a call of any other function.
type Call struct {
	Span
	Name Ident
	Args []Expr
	Over *Window
}

// Window is OVER (…).
type Window struct {
	Span
	PartitionBy []Expr
	OrderBy     []Order
}

// CastForm is how a cast is written.
type CastForm uint8

const (
	CastCall   CastForm = iota // CAST(x AS type)
	CastSuffix                 // x::type
	CastPrefix                 // TIMESTAMP 'x'
)

// Cast is a conversion.
type Cast struct {
	Span
	Expr Expr
	Type string // the server's name
	Form CastForm
}

// Extract is EXTRACT(field FROM x).
type Extract struct {
	Span
	Field string
	Expr  Expr
}

// Paren is (x).
type Paren struct {
	Span
	Expr Expr
}

// Unary is -x or NOT x.
type Unary struct {
	Span
	Operator string // - or NOT
	Expr     Expr
}

// Chain is a AND b AND c, a OR b, or a + b - c: operands joined by operators of the
// same precedence, which are evaluated from the left.
type Chain struct {
	Span
	Operands  []Expr
	Operators []string // one fewer: AND, OR, +, -, *, /, %
}

// Compare is a = b and its like.
type Compare struct {
	Span
	Operator    string // = != <> < <= > >=
	Left, Right Expr
}

// Like is a [NOT] LIKE b, a [NOT] ILIKE b, a !~ b.
type Like struct {
	Span
	Not, IgnoreCase bool
	Expr, Pattern   Expr
}

// IsNull is a IS [NOT] NULL.
type IsNull struct {
	Span
	Not  bool
	Expr Expr
}

// Between is a BETWEEN b AND c.
type Between struct {
	Span
	Expr, Low, High Expr
}

// InList is a [NOT] IN (b, c).
type InList struct {
	Span
	Not    bool
	Expr   Expr
	Values []Expr
}

// InQuery is a [NOT] IN (query).
type InQuery struct {
	Span
	Not   bool
	Expr  Expr
	Query Query
}

// Exists is EXISTS (query).
type Exists struct {
	Span
	Query Query
}

// Subquery is (SELECT …) as a value.
type Subquery struct {
	Span
	Query *Select
}

// Case is CASE [x] WHEN … THEN … [ELSE …] END.
type Case struct {
	Span
	Operand Expr
	Whens   []When
	Else    Expr
}

// When is one of the branches of a Case.
type When struct {
	Span
	When, Then Expr
}

func (*Literal) expr()   {}
func (*Param) expr()     {}
func (*Column) expr()    {}
func (*JSONPath) expr()  {}
func (*Aggregate) expr() {}
func (*Call) expr()      {}
func (*Cast) expr()      {}
func (*Extract) expr()   {}
func (*Paren) expr()     {}
func (*Unary) expr()     {}
func (*Chain) expr()     {}
func (*Compare) expr()   {}
func (*Like) expr()      {}
func (*IsNull) expr()    {}
func (*Between) expr()   {}
func (*InList) expr()    {}
func (*InQuery) expr()   {}
func (*Exists) expr()    {}
func (*Subquery) expr()  {}
func (*Case) expr()      {}

// Bare returns x without the parentheses around it.
func Bare(x Expr) Expr {
	for {
		p, ok := x.(*Paren)
		if !ok {
			return x
		}
		x = p.Expr
	}
}
