// Package session holds the sessions that a connector has on its servers, and the
// connections to those servers. It alone opens, shares, keeps alive and closes
// sessions, counts who uses them, and decides when a connection is dead; nothing
// outside can ask for half of that state or change it.
//
// A session is little to the server: a user, a database, and the transactions
// begun in it, each of which is named in every call. Opening one, though, costs
// the server 58 ms of CPU, because it hashes the password. So connections of
// database/sql share sessions through a [Lease] rather than wait for more of them,
// and more are opened slowly: the server begins the transactions of one session
// one after the other and makes its queries wait meanwhile (with 16 writers, reads
// took 1.4 times as long on one session as on one for each).
//
// What follows holds throughout:
//
//   - The end of a caller's context ends that caller's call and nothing else. A
//     call whose loss would leave something on the server that cannot be named (a
//     session, a transaction) runs detached: the answer that comes too late is
//     undone.
//   - A server that cannot be reached has lost nothing. Its sessions are doubtful,
//     and asked for before they are leased again; only the server's own word that
//     it does not know a session removes it.
//   - Every session on the server counts against max_sessions, whatever became of
//     it, until the server has confirmed its end or must have dropped it.
//   - A connection that has been silent while an answer was due is closed, and
//     dialled again, within seconds.
package session
