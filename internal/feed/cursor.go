package feed

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
)

// Cursor is a position between two changes of a database's history. The zero Cursor is
// the beginning of the history.
type Cursor struct {
	After proof.State // the transaction before the position, with its hash
	Skip  int         // how many changes of the transaction that follows are before the position
	Seen  string      // the checkpoint of the tables; "": to be read from the history
}

// String returns the text form, which [Parse] reads; "" for the zero Cursor.
func (c Cursor) String() string {
	switch {
	case c == Cursor{}:
		return ""
	case c.Seen == "":
		return fmt.Sprintf("%d:%s", c.After.TxID, c.After.Alh)
	}
	sum := c.sum()
	return fmt.Sprintf("%d:%s:%d:%s", c.After.TxID, c.After.Alh, c.Skip, encoding.EncodeToString(append(sum[:], c.Seen...)))
}

// encoding is the encoding of the part after the last colon.
var encoding = base64.RawURLEncoding.Strict()

// sum detects a text that was cut or mistyped.
func (c Cursor) sum() [8]byte {
	b := binary.BigEndian.AppendUint64([]byte("cursor v1"), c.After.TxID)
	b = append(b, c.After.Alh[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Skip))
	sum := sha256.Sum256(append(b, c.Seen...))
	return [8]byte(sum[:])
}

// Parse reads the text form, or tx:hash without the rest. It reports false for a text
// that is neither.
func Parse(text string) (c Cursor, ok bool) {
	if text == "" {
		return c, true
	}
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 4 {
		return c, false
	}
	tx, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil || c.After.Alh.UnmarshalText([]byte(parts[1])) != nil {
		return c, false
	}
	c.After.TxID = tx
	if len(parts) == 2 {
		return c, tx > 0
	}
	if c.Skip, err = strconv.Atoi(parts[2]); err != nil || c.Skip < 0 {
		return c, false
	}
	packed, err := encoding.DecodeString(parts[3])
	if err != nil || len(packed) <= 8 {
		return c, false
	}
	c.Seen = string(packed[8:])
	if _, err := proof.RestoreCatalog(packed[8:], tx); err != nil {
		return c, false
	}
	return c, c.sum() == [8]byte(packed)
}
