// Package witnesstest has tests of immudb-audit with a real witness, that of
// github.com/transparency-dev/witness, which speaks c2sp.org/tlog-witness.
package witnesstest
