// Package answertest compares the driver with SQLite: the results of generated queries,
// and the effects of generated writes. It is a separate module, so that users of the
// driver do not download SQLite.
//
// The tables hold no NULL, because the server compares NULL differently, and the texts
// use only syntax that both understand in the same way: LEFT JOIN, and INTERSECT together
// with other set operations, are left out.
package answertest
