package wire

import "strings"

// Class is what a refusal of the server means. ClassNone: the driver does not
// know the server's words.
type Class uint8

const (
	ClassNone Class = iota
	Conflict
	Overloaded
	SessionLost
	MaxSessions
	TxAborted
	DuplicateKey
	NotNull
	Check
	TooLong
	RequestTooLarge
	TooManyEntries
	InvalidValue
	NoSuchKey
	NoSuchTable
	NoSuchColumn
	NoSuchDatabase
	Exists
	Syntax
	ReadOnlyTx
	Replica
	Authentication
	Permission
	Unsupported
	IndexedTwice
)

// Safe reports whether nothing was committed and running the work again may
// succeed.
func (c Class) Safe() bool {
	switch c {
	case Conflict, Overloaded, SessionLost, MaxSessions, TxAborted:
		return true
	}
	return false
}

// phrase is something the server says and what it means. The server sends most
// SQL errors as bare text (code Unknown, no details), so the text is all there
// is. Messages come as "text", "text (name)", "text: more" or "wrapper: text".
type phrase struct {
	text     string
	prefix   bool // the text must begin the message
	class    Class
	sqlState string

	// undecided: the server says so also when it has committed and cannot wait any
	// longer, so that a call that writes has an unknown fate.
	undecided bool
}

var phrases = []phrase{
	{"tx read conflict", false, Conflict, "40001", false},
	{"max concurrency limit exceeded", false, Overloaded, "53000", false},
	{"max active transactions limit exceeded", false, Overloaded, "53000", false},
	{"max waiting limit exceeded", false, Overloaded, "53000", true},
	{"read tx pool exhausted", false, Overloaded, "53000", false},
	{"transaction pool exhausted", false, Overloaded, "53000", false},
	{"max active snapshots limit reached", false, Overloaded, "53000", false},
	{"write stalling", false, Overloaded, "53000", false},
	// A database that the server is unloading or has just closed; it is loaded
	// again when it is next used.
	{"already closed", false, Overloaded, "57P03", true},
	// The server's copy of the caller's deadline passed while it waited.
	{"context deadline exceeded", true, ClassNone, "", true},
	{"context canceled", true, ClassNone, "", true},

	{"session not found", true, SessionLost, "08003", false},
	{"no session found", true, SessionLost, "08003", false},
	{"max sessions number reached", false, MaxSessions, "53300", false},
	{"no transaction found", false, TxAborted, "25P02", false},
	{"no ongoing transaction", false, TxAborted, "25P02", false},

	{"key already exists", false, DuplicateKey, "23505", false},
	{"not nullable column can not be null", false, NotNull, "23502", false},
	{"primary key can not be null", false, NotNull, "23502", false},
	{"check constraint violation", false, Check, "23514", false},
	{"max length exceeded", false, TooLong, "22001", false},
	{"max key length exceeded", false, TooLong, "54000", false},
	{"max value length exceeded", false, TooLong, "54000", false},
	{requestTooLarge, true, RequestTooLarge, "54000", false},
	{"max number of entries per tx exceeded", false, TooManyEntries, "54000", false},
	{"tx size greater than max tx size", false, TooManyEntries, "54000", false},
	{"invalid value provided", false, InvalidValue, "22P02", false},
	{"unsupported cast", false, InvalidValue, "22P02", false},
	{"values are not comparable", false, InvalidValue, "42804", false},
	{"division by zero", false, InvalidValue, "22012", false},

	{"key not found", false, NoSuchKey, "02000", false},
	{"table does not exist", false, NoSuchTable, "42P01", false},
	{"column does not exist", false, NoSuchColumn, "42703", false},
	{"database does not exist", false, NoSuchDatabase, "3D000", false},
	{"table already exists", false, Exists, "42P07", false},
	{"index already exists", false, Exists, "42P07", false},
	{"column already exists", false, Exists, "42701", false},
	{"database already exists", false, Exists, "42P04", false},
	{"syntax error", true, Syntax, "42601", false},
	{"parsing error", true, Syntax, "42601", false},
	{"missing parameter", false, Syntax, "07001", false},

	{"read-only transaction", true, ReadOnlyTx, "25006", false},
	{"database is read-only because it's a replica", false, Replica, "25006", false},

	{"invalid user name or password", false, Authentication, "28P01", false},
	{"user is not active", false, Authentication, "28000", false},
	{"not logged in", true, Authentication, "28000", false},
	{"access denied", false, Permission, "42501", false},
	{"permission denied", false, Permission, "42501", false},
	{"does not have permission", false, Permission, "42501", false},
	{"insufficient permission", false, Permission, "42501", false},
	// Said (seen in v1.11.1) of a transaction that writes a value of an indexed
	// column and takes it away, be it of other rows.
	{"cannot change a non-transient key to transient", false, IndexedTwice, "0A000", false},
	{"not supported", false, Unsupported, "0A000", false},
}

// requestTooLarge begins what gRPC says of a message over the receiver's limit
// (the server's max-recv-msg-size, 32 MiB by default).
const requestTooLarge = "grpc: received message larger than max"

// classify finds what a refusal means, or nil. What the server quotes of the
// caller's data comes after its own words, so the known text that begins first
// in the server's own words decides, and nothing behind the first quotation
// counts.
func classify(text string) *phrase {
	text = ownWords(text)
	var found *phrase
	first := len(text)
	for i := range phrases {
		p := &phrases[i]
		at := strings.Index(text, p.text)
		if at >= 0 && at < first && (at == 0 || !p.prefix) {
			found, first = p, at
		}
	}
	return found
}

// ownWords is the message up to the first quotation of the caller's data.
func ownWords(text string) string {
	text = unwrapped(text)
	for at, r := range text {
		switch r {
		case '\'':
			if strings.HasSuffix(text[:at], "because it") { // it's a replica
				continue
			}
			return text[:at]
		case '"', '(', '`':
			return text[:at]
		}
	}
	return text
}

// unwrapped is the message without the wrappers that name a clause, a CTE or a
// view before the reason, as in "error in 'LIKE' clause: reason". Such names hold
// letters, digits and underscores only.
func unwrapped(text string) string {
	for {
		begin, rest, ok := strings.Cut(text, ": ")
		if !ok || !isWrapper(begin) {
			return text
		}
		text = rest
	}
}

func isWrapper(s string) bool {
	known := s == "'EXISTS' clause" || s == "'IN' subquery clause"
	for _, prefix := range []string{"error in ", "error evaluating ", "error inferring ", "error resolving ", "error materializing ",
		"error parsing view "} {
		known = known || strings.HasPrefix(s, prefix)
	}
	if !known {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '\'', c == ' ':
		default:
			return false
		}
	}
	return true
}
