package eval

import "fmt"

// Unsupported says what the client cannot evaluate, and what to do about it.
type Unsupported struct {
	Construct string // as it is written in the text
	Reason    string // why, and the remedy
}

func (u *Unsupported) Error() string {
	return fmt.Sprintf("the client cannot evaluate %s: %s", u.Construct, u.Reason)
}

// Contradiction says that a row cannot be an answer to the query.
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
