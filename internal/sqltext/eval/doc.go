// Package eval answers on the client what the server is asked to answer: whether a
// row meets a WHERE condition, and whether rows stand in the order of ORDER BY and
// are no more than LIMIT.
//
// A [Query] is compiled once per text, bound to the columns of its table and to
// arguments, and then looks at one row after the other:
//
//	q, err := eval.Compile(script.Text, sel)
//	b, err := q.Bind(columns, args)
//	for _, row := range rows {
//		err := b.Check(row)
//	}
//
// # Semantics
//
// They are those of immudb v1.11.1 after this driver (see package rules), measured by
// the tests against a real server, and differ from standard SQL:
//
//   - Conditions have no third truth value. NULL is a value that is smaller than all
//     others and equal to NULL: n > NULL holds for every n but NULL, n < 5 holds for
//     NULL, and n NOT IN (1, NULL) holds for 2.
//   - A boolean that is NULL fails the query beside AND, OR and NOT; alone it does
//     not hold.
//   - A NULL of a column has the column's type and is not comparable with a value of
//     another one, INTEGER with FLOAT included.
//   - INTEGER and FLOAT are compared as FLOAT. VARCHAR and BLOB are compared byte by
//     byte. A FLOAT on the left side reads a VARCHAR as a number. VARCHAR and UUID
//     are compared as UUID.
//   - NaN is unequal to all, and smaller than all if it stands on the left.
//   - Arithmetic of INTEGER wraps; arithmetic with NULL and division by zero fail.
//   - LIKE takes % and _, which match no newline, and \ before a character that is
//     meant literally. NOT LIKE holds for NULL.
//   - AND, OR and IN end at the first operand that decides.
//
// # What it does not do
//
// What would take more than the row is an [*Unsupported] when the text is compiled:
// subqueries, functions, CASE, fields of JSON and the like. So is, when it is bound
// or a row is looked at, what the server fails at: an honest server has answered no
// such row. It is not called a lie, because another version of the server may be
// able to do it.
//
// An order is looked at in both of the ways in which the server sorts: by the values,
// or along an index, whose keys order times outside of 1677 to 2262 by wrapped
// nanoseconds and tell -0 from 0. The rows must be in one of the two orders. Rows with
// a NaN in a column of ORDER BY are sorted by the server in no order; if LIMIT or
// OFFSET hides all of them, the others may look misplaced.
//
// Rows that are missing cannot be seen, nor which ones OFFSET left out.
package eval
