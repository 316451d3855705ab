package wire

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The methods the driver calls.
const (
	service = "/immudb.schema.ImmuService/"

	MethodOpenSession      = service + "OpenSession"
	MethodCloseSession     = service + "CloseSession"
	MethodKeepAlive        = service + "KeepAlive"
	MethodUseDatabase      = service + "UseDatabase"
	MethodHealth           = service + "Health"
	MethodServerInfo       = service + "ServerInfo"
	MethodDatabaseSettings = service + "GetDatabaseSettingsV2"
	MethodUnloadDatabase   = service + "UnloadDatabase"
	MethodLoadDatabase     = service + "LoadDatabase"
	MethodNewTx            = service + "NewTx"
	MethodCommit           = service + "Commit"
	MethodRollback         = service + "Rollback"
	MethodSQLExec          = service + "SQLExec"
	MethodSQLQuery         = service + "SQLQuery"
	MethodTxSQLExec        = service + "TxSQLExec"
	MethodTxSQLQuery       = service + "TxSQLQuery"
)

// OpenSessionRequest asks for a session of user on database.
func OpenSessionRequest(user, password, database string) []byte {
	var b []byte
	b = appendString(b, 1, user)
	b = appendString(b, 2, password)
	return appendString(b, 3, database)
}

// UseDatabaseRequest moves the session to database.
func UseDatabaseRequest(database string) []byte { return DatabaseRequest(database) }

// DatabaseRequest names a database: what to unload, or to load.
func DatabaseRequest(database string) []byte { return appendString(nil, 1, database) }

// TxMode is what a transaction may do.
type TxMode int

const (
	ReadOnly  TxMode = 0
	ReadWrite TxMode = 2 // 1 is WriteOnly, which the server refuses for SQL
)

// NewTxRequest describes the transaction to begin.
type NewTxRequest struct {
	Mode TxMode
	// SnapshotMustIncludeTx is the id of a transaction the snapshot must
	// include; the server waits until it is indexed. 0: any snapshot.
	SnapshotMustIncludeTx uint64
	// SnapshotRenewalPeriod is how old a shared snapshot may be before the
	// server takes a new one. It is sent in whole milliseconds. 0: the server's
	// default.
	SnapshotRenewalPeriod time.Duration
	// UnsafeMVCC turns the server's read-conflict checks off.
	UnsafeMVCC bool
}

// Append appends the request's bytes.
func (r NewTxRequest) Append(b []byte) []byte {
	if r.Mode != ReadOnly {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(r.Mode))
	}
	if r.SnapshotMustIncludeTx != 0 {
		b = appendWrapped(b, 2, r.SnapshotMustIncludeTx)
	}
	if ms := r.SnapshotRenewalPeriod.Milliseconds(); ms > 0 {
		b = appendWrapped(b, 3, uint64(ms))
	}
	if r.UnsafeMVCC {
		b = protowire.AppendTag(b, 4, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	return b
}

// appendWrapped appends a message whose only field, 1, is v.
func appendWrapped(b []byte, num protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeVarint(v)))
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

// AppendSQL begins a SQLExec, SQLQuery, TxSQLExec or TxSQLQuery request. Query
// requests also need AppendAcceptStream. Arguments follow with AppendParam.
func AppendSQL(b []byte, query string) []byte { return appendString(b, 1, query) }

// AppendAcceptStream allows the server to send the rows in several messages.
// Without it the server refuses a query with more rows than fit into one message.
func AppendAcceptStream(b []byte) []byte {
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	return protowire.AppendVarint(b, 1)
}

// AppendNumberedParam appends the argument for the n-th placeholder, counted
// from 1: the server calls it param1, param2, …
func AppendNumberedParam(b []byte, n int, v any) ([]byte, error) {
	var name [24]byte
	return appendParam(b, strconv.AppendInt(append(name[:0], "param"...), int64(n), 10), v)
}

// ParamSize is about how many bytes an argument takes in a request, or the error
// that appending it would return.
func ParamSize(v any) (int, error) {
	size, err := sqlValueSize(v)
	return size + 16, err // 16: its name, tags and lengths
}

// AppendNamedParam appends the argument for @name.
func AppendNamedParam(b []byte, name string, v any) ([]byte, error) { return appendParam(b, name, v) }

func appendParam[N ~string | ~[]byte](b []byte, name N, v any) ([]byte, error) {
	size, err := sqlValueSize(v)
	if err != nil {
		return b, err
	}
	nameSize := 1 + protowire.SizeBytes(len(name))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(nameSize+1+protowire.SizeBytes(size)))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(name)))
	b = append(b, name...)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return AppendSQLValue(b, v), nil
}

// The fields of SQLValue's one-of.
const (
	valueNull      = 1
	valueInteger   = 2
	valueString    = 3
	valueBool      = 4
	valueBytes     = 5
	valueTimestamp = 6
	valueFloat     = 7
)

// sqlValueSize is the number of bytes AppendSQLValue appends for v.
func sqlValueSize(v any) (int, error) {
	switch v := v.(type) {
	case nil, bool:
		return 2, nil
	case int64:
		return 1 + protowire.SizeVarint(uint64(v)), nil
	case string:
		return 1 + protowire.SizeBytes(len(v)), nil
	case []byte:
		return 1 + protowire.SizeBytes(len(v)), nil
	case time.Time:
		return 1 + protowire.SizeVarint(uint64(v.UnixMicro())), nil
	case float64:
		return 9, nil
	}
	return 0, fmt.Errorf("wire: value of type %T", v)
}

// AppendSQLValue appends a SQLValue message for one of the types that
// driver.Value allows. Times are sent as microseconds since 1970 in UTC; finer
// digits are cut off.
func AppendSQLValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		b = protowire.AppendTag(b, valueNull, protowire.VarintType)
		return append(b, 0)
	case int64:
		b = protowire.AppendTag(b, valueInteger, protowire.VarintType)
		return protowire.AppendVarint(b, uint64(v))
	case string:
		return appendText(b, valueString, v)
	case bool:
		b = protowire.AppendTag(b, valueBool, protowire.VarintType)
		return protowire.AppendVarint(b, protowire.EncodeBool(v))
	case []byte:
		b = protowire.AppendTag(b, valueBytes, protowire.BytesType)
		return protowire.AppendBytes(b, v)
	case time.Time:
		b = protowire.AppendTag(b, valueTimestamp, protowire.VarintType)
		return protowire.AppendVarint(b, uint64(v.UnixMicro()))
	case float64:
		b = protowire.AppendTag(b, valueFloat, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, math.Float64bits(v))
	}
	return b
}

// appendText appends a string field, also an empty one: inside a one-of an
// absent field is not an empty one.
func appendText(b []byte, num protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendString appends a string field unless it is empty, as proto3 does.
func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(b, num, s)
}
