// Package proof checks what an immudb server claims against hashes that the client already trusts.
// It consists of pure functions over plain structs: it does no I/O, keeps no state and imports only
// the standard library. The caller fills the structs from the server's answers and keeps the
// trusted [State].
//
// # What is committed to, and how
//
//	row value ─ sha256 ─┐
//	row key ────────────┼─ entry digest ─ leaf of the entry tree ─ EH ─┐
//	entry metadata ─────┘                                             │
//	time, version, tx metadata, number of entries, BlTxID, BlRoot ────┴─ inner hash ─┐
//	tx id, PrevAlh (the Alh of the transaction before) ───────────────────────────────┴─ Alh
//
// Alh, the accumulated linear hash, makes a hash chain of all transactions. BlRoot is the root of
// the binary linking tree, a Merkle tree over Alh(1) … Alh(BlTxID), which makes proofs logarithmic.
// Both trees are the history trees of RFC 9162 section 2.1 (leaf prefix 0x00, node prefix 0x01,
// split at the largest power of two below the size).
//
// An Alh commits to the chain and to the tree, but not to their agreement about older transactions.
// A proof that skips transactions shows only that one of the two, chain or tree, leads from the
// source to the target. An audit from the first transaction on reads the chain and builds the tree
// from it, so it detects a history in which the two differ.
//
// # What is proven and what is only claimed
//
// A [RowProof] that verifies proves that transaction TxID wrote the value under the key, and that
// this transaction and the trusted state belong to one history. It does NOT prove
//
//   - that the value is the latest one: an older revision of the row verifies as well, because no
//     hash commits to the server's index;
//   - that a row is absent, or that the rows of a result are all the rows;
//   - which table and columns the ids in key and value stand for: the answer of the server gives
//     table id, column ids, types, lengths and primary key without any proof. A server that
//     swaps two column names, or answers with the id of another table, would not be detected.
//     Therefore [RowProof.Verify] takes a [Table] from the caller and nothing from the answer. A
//     Table is proven when it comes from a [Catalog] to which verified transactions were applied;
//     a claimed one can be pinned ([Table.Fingerprint]) and compared with a proven one ([Table.Same]);
//   - the name of the database: every database has its own chain and the database id 1 in all keys,
//     so only the trusted state tells databases apart. A state signature covers the database name,
//     but not the server: two servers with one key and one database name differ only by their Alh.
//
// # Errors
//
// A failed check is an [*Error] and matches [ErrInvalid]: the server, or an attacker between it and
// the client, sent something that contradicts what is trusted. [ErrArgument] is the caller's mistake,
// [ErrSchema] a table definition that does not fit, [ErrNoState] a missing trusted state,
// [ErrUnlinked] a proof that needs one more part before it can be checked, [ErrSignature] a signature
// that does not verify.
package proof
