package tree

import (
	"fmt"
	"strings"
)

// Error is a syntax error. It quotes only keywords and symbols of the text, never
// names or literals, because those may be secrets.
type Error struct {
	Offset       int // in bytes, from 0
	Line, Column int // from 1; the column is counted in bytes
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Position returns the line and the column of an offset, both counted from 1, the
// column in bytes.
func Position(text string, offset int) (line, column int) {
	offset = min(max(offset, 0), len(text))
	line = 1 + strings.Count(text[:offset], "\n")
	return line, offset - strings.LastIndexByte(text[:offset], '\n')
}
