package fakeserver

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb/internal/wire"
)

// Column is a column of a result.
type Column struct{ Name, Type string }

// Message encodes a SQLQueryResult. Only the first message of a result has columns; each
// row repeats their names. Values are of the types of [wire.AppendSQLValue].
func Message(columns []Column, names []Column, rows ...[]any) []byte {
	var b []byte
	for _, row := range rows {
		var r []byte
		for _, c := range names {
			r = appendString(r, 1, selector(c))
		}
		for _, v := range row {
			r = appendMessage(r, 2, wire.AppendSQLValue(nil, v))
		}
		b = appendMessage(b, 1, r)
	}
	for _, c := range columns {
		b = appendMessage(b, 2, appendString(appendString(nil, 1, selector(c)), 2, c.Type))
	}
	return b
}

// Result encodes a result in one message.
func Result(columns []Column, rows ...[]any) []byte { return Message(columns, columns, rows...) }

// More encodes a further message of a result.
func More(columns []Column, rows ...[]any) []byte { return Message(nil, columns, rows...) }

// ID is the column of the default answer to a query.
var ID = []Column{{"id", "INTEGER"}}

// Numbers returns n rows for the columns ID, with numbers from first on.
func Numbers(first, n int) [][]any {
	rows := make([][]any, n)
	for i := range rows {
		rows[i] = []any{int64(first + i)}
	}
	return rows
}

func selector(c Column) string { return fmt.Sprintf("(t.%s)", c.Name) }

// Lie is a message that announces the given length and is much shorter.
func Lie(length uint32) []byte { return lyingMessage(length) }

func sessionAnswer(id, uuid string) []byte { return appendString(appendString(nil, 1, id), 2, uuid) }

func newTxAnswer(id string) []byte { return appendString(nil, 1, id) }

// committedTx encodes a CommittedSQLTx with a header of id and time, one row
// per text.
func committedTx(id uint64, rows int) []byte {
	header := appendVarint(nil, 1, id)
	header = appendVarint(header, 3, uint64(now.Unix()))
	return appendVarint(appendMessage(nil, 1, header), 2, uint64(rows))
}

// Executed is the answer to a SQLExec that committed a transaction.
func Executed(id uint64, rows int) []byte { return execAnswer(committedTx(id, rows)) }

func execAnswer(tx []byte) []byte { return appendMessage(nil, 5, tx) }

func appendVarint(b []byte, num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendMessage(b []byte, num protowire.Number, msg []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), msg)
}

func settingsAnswer(replica bool, syncAcks int) []byte {
	nullable := func(n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
	}
	var replication []byte
	if replica {
		replication = appendMessage(replication, 1, nullable(1))
	}
	if syncAcks > 0 {
		replication = appendMessage(replication, 8, nullable(uint64(syncAcks)))
	}
	return appendMessage(nil, 2, appendMessage(nil, 2, replication))
}
