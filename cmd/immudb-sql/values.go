package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// valueOf reads a text as a value of a column's type.
func valueOf(typ, text string) (any, error) {
	switch typ {
	case "INTEGER":
		return strconv.ParseInt(text, 10, 64)
	case "FLOAT":
		return strconv.ParseFloat(text, 64)
	case "BOOLEAN":
		return strconv.ParseBool(text)
	case "TIMESTAMP":
		return timeOf(text)
	case "BLOB":
		if strings.HasPrefix(text, "x'") && strings.HasSuffix(text, "'") {
			return hex.DecodeString(text[2 : len(text)-1])
		}
		return base64.StdEncoding.DecodeString(text)
	}
	return text, nil // VARCHAR, UUID, JSON
}

// timeLayouts are how databases write times. Each reads a fraction of a second, too.
var timeLayouts = []string{
	time.RFC3339,
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z07",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05",
	time.DateOnly,
}

// timeOf reads a time. One without a zone is in UTC, as the shell prints it.
func timeOf(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write it as 2006-01-02 15:04:05 or in RFC 3339", text)
}

// words splits a text at blanks. A word in single quotes may hold blanks, and two of them for one;
// so may the text of a BLOB, x'00ff'.
func words(text string) ([]string, error) {
	var list []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] != '\'' {
			word, rest, _ := strings.Cut(text, " ")
			list, text = append(list, word), rest
			continue
		}
		var word strings.Builder
		rest := text[1:]
		for {
			part, after, closed := strings.Cut(rest, "'")
			if !closed {
				return nil, fmt.Errorf("a quotation mark is not closed")
			}
			word.WriteString(part)
			if rest = after; !strings.HasPrefix(rest, "'") {
				break
			}
			word.WriteByte('\'')
			rest = rest[1:]
		}
		list, text = append(list, word.String()), rest
	}
	return list, nil
}
