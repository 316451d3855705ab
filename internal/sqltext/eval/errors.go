package eval

import "fmt"

// Unsupported is the error for a construct that the client cannot evaluate.
type Unsupported struct {
	Construct string // as it is written in the text
	Reason    string // why, and the remedy
}

func (u *Unsupported) Error() string {
	return fmt.Sprintf("the client cannot evaluate %s: %s", u.Construct, u.Reason)
}

// Contradiction is the error for a row that cannot be in the result of the query.
type Contradiction struct {
	Clause string // WHERE, ORDER BY or LIMIT
}

func (c *Contradiction) Error() string {
	switch c.Clause {
	case "WHERE":
		return "a row does not meet the WHERE condition"
	case "ORDER BY":
		return "the rows are not in the order of ORDER BY"
	}
	return "there are more rows than LIMIT allows"
}
