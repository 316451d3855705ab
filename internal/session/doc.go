// Package session holds the sessions that a connector has on its servers, and the
// connections to those servers. It alone opens, shares, keeps alive and closes
// sessions, counts who uses them, and decides when a connection is dead; nothing
// outside can ask for half of that state or change it.
//
// To the server a session is a user, a database, and the transactions begun in it;
// every call in a transaction carries the transaction's id. Opening a session costs
// the server 58 ms of CPU, because it hashes the password. So connections of
// database/sql share sessions through a [Lease] instead of waiting for new ones.
// More sessions are opened slowly, because sharing has a price too: the server
// begins the transactions of one session one after the other, and its queries wait
// meanwhile (with 16 writers, reads took 1.4 times as long on one shared session as
// on a session for each writer).
//
// The package keeps these rules:
//
//   - The end of a caller's context ends that caller's call and nothing else. A
//     call that creates something on the server (a session, a transaction) goes on
//     after its caller has left, because only its answer gives the id; what a late
//     answer reports is then closed or rolled back.
//   - A server that cannot be reached is assumed to have kept its sessions. They are
//     doubtful: the server is asked about each before it is leased again. A session
//     is lost only when the server answers that it does not know it.
//   - Every session on the server counts against max_sessions until the server has
//     confirmed its end, or must have dropped it for silence.
//   - A connection on which no byte arrives while an answer is due is closed, and
//     dialled again, within seconds.
package session
