package wire

import "google.golang.org/protobuf/encoding/protowire"

// AppendSQLParts is AppendSQL with a text in several parts that are kept as
// bytes, as a bulk write is.
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
