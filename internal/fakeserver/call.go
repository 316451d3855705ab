package fakeserver

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
)

// Call is a call as the server saw it.
type Call struct {
	Method string // without the service

	// The tokens of the call; "" for a missing one.
	UUID, Session, Tx string

	User, Password, Database string  // of OpenSession; the Database also of UseDatabase
	SQL                      string  // of the four SQL methods
	Params                   []Param // in the order they were sent
	AcceptStream             bool    // of the query methods
	TxMode                   int     // of NewTx: 0 read-only, 2 read-write

	Opened   string     // the session that an OpenSession opened
	Ran      bool       // the server ran it
	Done     bool       // the server has finished the call
	Canceled bool       // the client cancelled it before it was answered
	Code     codes.Code // of the answer, once Done
}

// Param is an argument. Value is an int64, string, bool, []byte or float64, nil for NULL,
// or a Micros for a TIMESTAMP.
type Param struct {
	Name  string
	Value any
}

// Micros is a TIMESTAMP in the protocol: microseconds since 1970.
type Micros int64

// String is the method, the session, the transaction and the request of the call, as in
// "TxSQLQuery s1 t2 SELECT 1 [param1=5]".
func (c Call) String() string {
	parts := []string{c.Method}
	for _, s := range []string{c.Session, c.Tx, c.User, c.Database, c.SQL} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if c.Method == "NewTx" {
		parts = append(parts, map[int]string{0: "read-only", 2: "read-write"}[c.TxMode])
	}
	if len(c.Params) > 0 {
		var b strings.Builder
		for i, p := range c.Params {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s=%v", p.Name, p.Value)
		}
		parts = append(parts, "["+b.String()+"]")
	}
	return strings.Join(parts, " ")
}

// newCall decodes a request.
func newCall(method string, md metadata.MD, req []byte) *Call {
	c := &Call{Method: method}
	for key, into := range map[string]*string{"immudb-uuid": &c.UUID, "sessionid": &c.Session, "transactionid": &c.Tx} {
		if v := md.Get(key); len(v) > 0 {
			*into = v[0]
		}
	}
	fields(req, func(num protowire.Number, n uint64, bytes []byte) {
		switch method {
		case "OpenSession":
			switch num {
			case 1:
				c.User = string(bytes)
			case 2:
				c.Password = string(bytes)
			case 3:
				c.Database = string(bytes)
			}
		case "UseDatabase":
			if num == 1 {
				c.Database = string(bytes)
			}
		case "NewTx":
			if num == 1 {
				c.TxMode = int(n)
			}
		case "SQLExec", "SQLQuery", "TxSQLExec", "TxSQLQuery":
			switch num {
			case 1:
				c.SQL = string(bytes)
			case 2:
				c.Params = append(c.Params, param(bytes))
			case 4:
				c.AcceptStream = n != 0
			}
		}
	})
	return c
}

func param(msg []byte) (p Param) {
	fields(msg, func(num protowire.Number, _ uint64, bytes []byte) {
		switch num {
		case 1:
			p.Name = string(bytes)
		case 2:
			p.Value = value(bytes)
		}
	})
	return p
}

func value(msg []byte) (v any) {
	fields(msg, func(num protowire.Number, n uint64, bytes []byte) {
		switch num {
		case 1:
			v = nil
		case 2:
			v = int64(n)
		case 3:
			v = string(bytes)
		case 4:
			v = n != 0
		case 5:
			v = bytes
		case 6:
			v = Micros(n)
		case 7:
			v = math.Float64frombits(n)
		}
	})
	return v
}

// fields calls f for each field of a message of the driver. It panics if the message is
// not valid, because that is a bug of the driver.
func fields(msg []byte, f func(num protowire.Number, n uint64, bytes []byte)) {
	for len(msg) > 0 {
		num, typ, tag := protowire.ConsumeTag(msg)
		size := protowire.ConsumeFieldValue(num, typ, msg[max(tag, 0):])
		if tag < 0 || size < 0 {
			panic(fmt.Sprintf("the driver sent something that is not a message: %x", msg))
		}
		body := msg[tag : tag+size]
		msg = msg[tag+size:]
		switch typ {
		case protowire.VarintType:
			n, _ := protowire.ConsumeVarint(body)
			f(num, n, nil)
		case protowire.Fixed64Type:
			f(num, binary.LittleEndian.Uint64(body), nil)
		case protowire.BytesType:
			bytes, _ := protowire.ConsumeBytes(body)
			f(num, 0, bytes)
		}
	}
}
