// Package answertest holds what the driver answers to generated queries, and does with
// generated writes, against SQLite. It is a module of its own so that nobody who uses
// the driver downloads SQLite.
//
// The tables hold no NULL, because the server compares NULL in its own way, and the
// texts keep to what both read alike: LEFT JOIN and INTERSECT beside other set
// operations are left out.
package answertest
