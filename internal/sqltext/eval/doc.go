// Package eval checks on the client the rows that the server returns: whether each row
// meets the WHERE condition, and whether the rows are in the order of ORDER BY and not
// more than LIMIT.
//
// A [Query] is compiled once per text, bound to the columns of its table and to
// arguments, and then checks one row after the other:
//
//	q, err := eval.Compile(script.Text, sel)
//	b, err := q.Bind(columns, args)
//	for _, row := range rows {
//		err := b.Check(row)
//	}
//
// # Semantics
//
// The semantics are those of immudb v1.11.1 with the changes that this driver makes to
// queries (see package rules). The tests compare them with a real server. They differ
// from standard SQL:
//
//   - Conditions have no third truth value. NULL is a value that is smaller than all
//     others and equal to NULL: n > NULL holds for every n but NULL, n < 5 holds for
//     NULL, and n NOT IN (1, NULL) holds for 2.
//   - A boolean that is NULL makes the query fail as an operand of AND, OR and NOT;
//     alone it is not true.
//   - A NULL of a column has the column's type and is not comparable with a value of
//     another one, INTEGER with FLOAT included.
//   - INTEGER and FLOAT are compared as FLOAT. VARCHAR and BLOB are compared byte by
//     byte. A FLOAT on the left side reads a VARCHAR as a number. VARCHAR and UUID
//     are compared as UUID.
//   - NaN is unequal to every value, and smaller than every value if it is on the left.
//   - Arithmetic of INTEGER wraps; arithmetic with NULL and division by zero fail.
//   - LIKE supports % and _, which do not match a newline, and \ as the escape
//     character. NOT LIKE is true for NULL.
//   - AND, OR and IN stop at the first operand that decides.
//
// # What it does not check
//
// Compile returns an [*Unsupported] for an expression that needs more than the row:
// subqueries, functions, CASE, fields of JSON and the like. Bind and Check return one
// for an expression on which this version of the server fails. An honest server of this
// version cannot have returned such a row; but it is not reported as a contradiction,
// because another version may support the expression.
//
// The order is compared with both orders in which the server may sort: by values, or by
// the keys of an index. Keys order times outside of 1677 to 2262 by nanoseconds that
// have overflowed, and order -0 before 0. The rows must be in one of the two orders. The
// server does not sort rows with a NaN in a column of ORDER BY; if LIMIT or OFFSET hides
// all of them, the other rows may look misplaced.
//
// Missing rows cannot be detected, and neither can the rows that OFFSET skipped.
package eval
