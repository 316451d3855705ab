package wire

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

var errMalformed = errors.New("malformed answer from the server")

// fields calls f for each field of msg with the value as a number (varint,
// fixed) or as bytes, and skips groups.
func fields(msg []byte, f func(num protowire.Number, n uint64, bytes []byte) error) error {
	for len(msg) > 0 {
		num, typ, tagLen := protowire.ConsumeTag(msg)
		if tagLen < 0 {
			return errMalformed
		}
		msg = msg[tagLen:]
		var (
			n     uint64
			bytes []byte
			size  int
		)
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(msg)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(msg)
		case protowire.Fixed32Type:
			var n32 uint32
			n32, size = protowire.ConsumeFixed32(msg)
			n = uint64(n32)
		default:
			size = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if size < 0 {
			return errMalformed
		}
		if err := f(num, n, bytes); err != nil {
			return err
		}
		msg = msg[size:]
	}
	return nil
}

// Session answers OpenSession.
type Session struct{ ID, ServerUUID string }

// decode refuses what no call can name: the two are sent with each call of the session,
// as headers, which hold printable ASCII.
func (s *Session) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, _ uint64, bytes []byte) error {
		for _, b := range bytes {
			if (num == 1 || num == 2) && (b < ' ' || b > '~') {
				return errMalformed
			}
		}
		switch num {
		case 1:
			s.ID = string(bytes)
		case 2:
			s.ServerUUID = string(bytes)
		}
		return nil
	})
}

// ServerInfo answers ServerInfo.
type ServerInfo struct {
	Version string // without a leading v; "" for a server embedded in a program
}

func (i *ServerInfo) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, _ uint64, bytes []byte) error {
		if num == 1 {
			i.Version = string(bytes)
		}
		return nil
	})
}

// DatabaseSettings answers GetDatabaseSettingsV2 with the limits a bulk load
// has to keep, where 0 is not told, and with the database's role.
type DatabaseSettings struct {
	MaxTxEntries int  // entries one transaction may hold
	MaxValueLen  int  // bytes of one row
	Replica      bool // the database follows another server's and takes no writes
	Sync         bool // the database replicates, or is replicated, synchronously
	SyncAcks     int  // replicas that a commit on the primary waits for
}

func (d *DatabaseSettings) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, _ uint64, settings []byte) error {
		if num != 2 {
			return nil
		}
		return fields(settings, func(num protowire.Number, _ uint64, nullable []byte) error {
			var into *int
			switch num {
			case 2:
				return fields(nullable, d.decodeReplication)
			case 10:
				into = &d.MaxValueLen
			case 11:
				into = &d.MaxTxEntries
			default:
				return nil
			}
			return fields(nullable, func(num protowire.Number, n uint64, _ []byte) error {
				if num == 1 {
					*into = int(n)
				}
				return nil
			})
		})
	})
}

func (d *DatabaseSettings) decodeReplication(num protowire.Number, _ uint64, nullable []byte) error {
	if num != 1 && num != 7 && num != 8 {
		return nil
	}
	return fields(nullable, func(field protowire.Number, n uint64, _ []byte) error {
		switch {
		case field != 1:
		case num == 1:
			d.Replica = n != 0
		case num == 7:
			d.Sync = n != 0
		default:
			d.SyncAcks = int(n)
		}
		return nil
	})
}

// NewTx answers NewTx.
type NewTx struct{ ID string }

func (t *NewTx) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, _ uint64, bytes []byte) error {
		if num == 1 {
			t.ID = string(bytes)
		}
		return nil
	})
}

// InsertedKey is the first or last primary key given or generated in a table.
type InsertedKey struct {
	Table string
	Key   int64
}

// CommittedTx answers Commit; SQLExec answers with one for each transaction it
// committed.
type CommittedTx struct {
	TxID        uint64 // 0: nothing was written, so there is no transaction
	Header      []byte // the transaction's header, for DecodeHeader
	Time        time.Time
	UpdatedRows int64
	First, Last []InsertedKey // only tables with an AUTO_INCREMENT key
}

func (c *CommittedTx) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, n uint64, bytes []byte) error {
		switch num {
		case 1:
			c.Header = append([]byte(nil), bytes...) // gRPC owns bytes
			return fields(bytes, func(num protowire.Number, n uint64, _ []byte) error {
				switch num {
				case 1:
					c.TxID = n
				case 3:
					c.Time = time.Unix(int64(n), 0).UTC()
				}
				return nil
			})
		case 2:
			c.UpdatedRows = int64(uint32(n))
		case 3:
			return appendInsertedKey(&c.Last, bytes)
		case 4:
			return appendInsertedKey(&c.First, bytes)
		}
		return nil
	})
}

// appendInsertedKey decodes an entry of map<string, SQLValue>.
func appendInsertedKey(keys *[]InsertedKey, entry []byte) error {
	var k InsertedKey
	isInteger := false
	err := fields(entry, func(num protowire.Number, _ uint64, bytes []byte) error {
		switch num {
		case 1:
			k.Table = string(bytes)
		case 2:
			return fields(bytes, func(num protowire.Number, n uint64, _ []byte) error {
				if num == valueInteger {
					k.Key, isInteger = int64(n), true
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && isInteger {
		*keys = append(*keys, k)
	}
	return err
}

// maxCommittedTxs bounds the transactions in one answer to SQLExec. The driver
// sends statements that commit one; a hostile server could send one in two bytes.
const maxCommittedTxs = 256

// ExecResult answers SQLExec.
type ExecResult struct {
	Txs       []CommittedTx
	OngoingTx bool
}

func (r *ExecResult) decode(msg []byte) error {
	return fields(msg, func(num protowire.Number, n uint64, bytes []byte) error {
		switch num {
		case 5:
			if len(r.Txs) == maxCommittedTxs {
				return fmt.Errorf("%w: more than %d transactions", errMalformed, maxCommittedTxs)
			}
			var tx CommittedTx
			if err := tx.decode(bytes); err != nil {
				return err
			}
			r.Txs = append(r.Txs, tx)
		case 6:
			r.OngoingTx = n != 0
		}
		return nil
	})
}

// ErrorDetail is what the server may attach to an error's status.
type ErrorDetail struct {
	SQLState string
	Cause    string
}

const errorInfoURL = "type.googleapis.com/immudb.schema.ErrorInfo"

// DecodeErrorDetail decodes a status detail of the given type; ok is false for
// a type it does not know and for bytes that are not one.
func DecodeErrorDetail(typeURL string, msg []byte) (d ErrorDetail, ok bool) {
	if typeURL != errorInfoURL {
		return d, false
	}
	err := fields(msg, func(num protowire.Number, _ uint64, bytes []byte) error {
		switch num {
		case 1:
			d.SQLState = string(bytes)
		case 2:
			d.Cause = string(bytes)
		}
		return nil
	})
	return d, err == nil
}

// Column is a column of a result.
type Column struct {
	Name string // without the table
	Type string // INTEGER, VARCHAR, …, or ANY

	msg string // the message it was decoded from, to recognise the same column again
}

func (c *Column) decode(msg []byte) error {
	c.msg = string(msg)
	err := fields(msg, func(num protowire.Number, _ uint64, bytes []byte) error {
		switch num {
		case 1:
			name, err := columnName(bytes)
			if err != nil {
				return err
			}
			c.Name = name
		case 2:
			c.Type = string(bytes)
		}
		return nil
	})
	if err == nil && c.Name == "" {
		err = errNoName
	}
	return err
}

var errNoName = fmt.Errorf("%w: column without a name", errMalformed)

// columnName returns the column of a selector "(table.column)". Names hold
// letters, digits and underscores only, so the table ends at the last dot. Dots
// after "->" belong to the JSON key of "(table.column->'key.of.a.JSON')".
func columnName(selector []byte) (string, error) {
	s := selector
	if len(s) >= 2 && s[0] == '(' && s[len(s)-1] == ')' {
		s = s[1 : len(s)-1]
	}
	names := len(s)
	if arrow := bytes.Index(s, []byte("->")); arrow >= 0 {
		names = arrow
	}
	for i := names - 1; i >= 0; i-- {
		if s[i] == '.' {
			s = s[i+1:]
			break
		}
	}
	if len(s) == 0 {
		return "", errNoName
	}
	return string(s), nil
}
