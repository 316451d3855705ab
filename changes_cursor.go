package immudb

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
)

// Cursor is a position between two changes of a database's history. It holds the
// transaction before it with its hash, and the definitions of the tables there, so
// that a feed continues without reading what came before. The zero Cursor is the
// beginning of the history.
//
// The text form, of which the first part is the one of trusted_state, is some hundred
// bytes long and grows with the number of tables and columns. Keep it where nobody
// can change it, as state_dir: the names of tables and columns are taken from it.
type Cursor struct {
	after proof.State
	skip  int    // how many changes of the transaction that follows are before the position
	seen  string // the checkpoint of the tables; "": to be read from the history
}

// TxID is the last transaction that lies before the cursor as a whole.
func (c Cursor) TxID() uint64 { return c.after.TxID }

// IsZero reports whether the cursor is the beginning of the history.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String returns the text form, which [ParseCursor] reads; "" for the zero Cursor.
func (c Cursor) String() string {
	switch {
	case c.IsZero():
		return ""
	case c.seen == "":
		return fmt.Sprintf("%d:%s", c.after.TxID, c.after.Alh)
	}
	sum := c.sum()
	return fmt.Sprintf("%d:%s:%d:%s", c.after.TxID, c.after.Alh, c.skip, cursorText.EncodeToString(append(sum[:], c.seen...)))
}

// cursorText is the encoding of the part after the last colon.
var cursorText = base64.RawURLEncoding.Strict()

// sum detects a text that was cut or mistyped.
func (c Cursor) sum() [8]byte {
	b := binary.BigEndian.AppendUint64([]byte("cursor v1"), c.after.TxID)
	b = append(b, c.after.Alh[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.skip))
	sum := sha256.Sum256(append(b, c.seen...))
	return [8]byte(sum[:])
}

// MarshalText implements [encoding.TextMarshaler].
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}

// ParseCursor reads the text form of a cursor. It also takes [State.Pin]: then the
// feed begins after that state, and reads the definitions of tables from the first
// transaction on before.
func ParseCursor(text string) (Cursor, error) {
	c, ok := parseCursor(text)
	if !ok {
		return Cursor{}, newError(ErrInvalidValue, "22023", "the text is not a cursor: give one that Cursor.String returned, a state as tx:hash, or nothing")
	}
	return c, nil
}

func parseCursor(text string) (c Cursor, ok bool) {
	if text == "" {
		return c, true
	}
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 4 {
		return c, false
	}
	tx, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil || c.after.Alh.UnmarshalText([]byte(parts[1])) != nil {
		return c, false
	}
	c.after.TxID = tx
	if len(parts) == 2 {
		return c, tx > 0
	}
	if c.skip, err = strconv.Atoi(parts[2]); err != nil || c.skip < 0 {
		return c, false
	}
	packed, err := cursorText.DecodeString(parts[3])
	if err != nil || len(packed) <= 8 {
		return c, false
	}
	c.seen = string(packed[8:])
	if _, err := proof.RestoreCatalog(packed[8:], tx); err != nil {
		return c, false
	}
	return c, c.sum() == [8]byte(packed)
}
