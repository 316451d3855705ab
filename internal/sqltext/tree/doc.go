// Package tree parses immudb SQL: a text becomes a tree of statements, clauses,
// expressions and names, each with its place in the text.
//
// The grammar is that of the server (immudb v1.11.1). A text that [Parse] refuses
// would be refused by the server too. There are four exceptions, because the server
// accepts these and they do harm or hide a mistake:
//
//   - a NUL byte: the server takes it for the end of the text and ignores the rest;
//   - a comment that is not closed: the server ignores the rest too;
//   - nesting deeper than [MaxDepth];
//   - an argument number above [MaxParam].
//
// Parse also accepts constructs that are not in the server's grammar but can be
// rewritten exactly, and marks them in [Script.Has]: a byte order mark, empty
// statements (";;"), names in backquotes, t.*, FOR UPDATE, parentheses around the
// sides of UNION, columns and VALUES after a name of WITH, SELECT … WHERE without FROM,
// and quoted names with characters that the server does not allow.
//
// Which statements are safe to run is not decided here, but in package rules.
package tree
