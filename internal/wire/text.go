package wire

import "google.golang.org/protobuf/encoding/protowire"

// AppendSQLParts is AppendSQL for a query that is the concatenation of several
// parts, which saves a bulk write from joining them first.
func AppendSQLParts(b []byte, parts ...[]byte) []byte {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}
