package wire

import "google.golang.org/protobuf/encoding/protowire"

// EntryDetail selects what an answer holds of a transaction's entries.
type EntryDetail int

const (
	NoEntries  EntryDetail = iota // the header alone
	KeysOnly                      // key, metadata and value hash
	WithValues                    // KeysOnly, and the values of entries that SQL wrote
	// AnyKeys is KeysOnly for transactions that a document store wrote, whose
	// entries the server leaves out of the answers above.
	AnyKeys
)

// appendEntriesSpec appends an EntriesSpec, or nothing for AnyKeys. The server
// excludes the kinds of entry that the spec does not name.
func appendEntriesSpec(b []byte, num protowire.Number, d EntryDetail) []byte {
	const onlyDigest, rawValue = 1, 2
	var spec []byte
	kind := func(num protowire.Number, action uint64) {
		spec = appendWrapped(spec, num, action)
	}
	switch d {
	case AnyKeys:
		return b
	case KeysOnly, WithValues:
		kind(1, onlyDigest)
		kind(2, onlyDigest)
		if d == WithValues {
			kind(3, rawValue)
		} else {
			kind(3, onlyDigest)
		}
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, spec)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

// VerifiableRowRequest asks for the row with the given primary key and for a
// proof that links it to transaction since. at is the transaction that wrote the
// wanted revision of the row; 0: the latest revision.
func VerifiableRowRequest(table string, pk []any, at, since uint64) ([]byte, error) {
	get := appendString(nil, 1, table)
	for _, v := range pk {
		if _, err := sqlValueSize(v); err != nil {
			return nil, err
		}
		get = protowire.AppendTag(get, 2, protowire.BytesType)
		get = protowire.AppendBytes(get, AppendSQLValue(nil, v))
	}
	get = appendUint(get, 3, at)
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, get)
	return appendUint(b, 2, since), nil
}

// VerifiableTxRequest asks for transaction tx and for a proof that links it to
// transaction since.
func VerifiableTxRequest(tx, since uint64, d EntryDetail) []byte {
	b := appendUint(nil, 1, tx)
	b = appendUint(b, 2, since)
	b = appendEntriesSpec(b, 3, d)
	return appendUint(b, 6, 1) // keepReferencesUnresolved: references need the index, which may lag
}

// TxRequest asks for transaction tx.
func TxRequest(tx uint64, d EntryDetail) []byte {
	return appendUint(appendEntriesSpec(appendUint(nil, 1, tx), 2, d), 5, 1) // keepReferencesUnresolved
}

// TxScanRequest asks for up to limit transactions from first on.
func TxScanRequest(first uint64, limit int, d EntryDetail) []byte {
	return appendEntriesSpec(appendUint(appendUint(nil, 1, first), 2, uint64(limit)), 4, d)
}
