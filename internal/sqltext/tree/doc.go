// Package tree parses immudb SQL: a text becomes a tree of statements, clauses,
// expressions and names, each with its place in the text.
//
// The grammar is that of the server (immudb v1.11.1). What [Parse] refuses the
// server would refuse too, with these exceptions, each of which would do harm or
// hide a mistake:
//
//   - a NUL byte, which the server takes for the end of the text, so that all
//     behind it vanishes;
//   - a comment that is not closed, likewise;
//   - nesting deeper than [MaxDepth];
//   - an argument number above [MaxParam].
//
// Beyond the server's grammar it reads what can be rewritten exactly, and marks it
// in [Script.Has]: a byte order mark, empty statements (";;"), names in backquotes,
// t.*, FOR UPDATE, brackets around the sides of UNION, and names in quotes that
// hold what the server's names do not.
//
// The package knows no rule about what is wise to run.
package tree
