package wire

import "strings"

// Class is what an error message of the server means. ClassNone: the driver does
// not know the message.
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
	NoSuchTx
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

// phrase is a part of an error message of the server and its meaning. The server
// sends most SQL errors with code Unknown and no details, so only the message tells
// them apart. Messages come as "text", "text (name)", "text: more" or
// "wrapper: text".
type phrase struct {
	text     string
	prefix   bool // the message must begin with text
	class    Class
	sqlState string

	verdict verdict
}

// verdict is what a message tells about whether a call that writes has committed.
type verdict uint8

const (
	decided        verdict = iota // nothing was committed
	undecided                     // the server may have committed
	deadlinePassed                // the server may have committed, and the caller's deadline has passed
)

var phrases = []phrase{
	{"tx read conflict", false, Conflict, "40001", decided},
	{"max concurrency limit exceeded", false, Overloaded, "53000", decided},
	{"max active transactions limit exceeded", false, Overloaded, "53000", decided},
	{"max waiting limit exceeded", false, Overloaded, "53000", undecided},
	{"read tx pool exhausted", false, Overloaded, "53000", decided},
	{"transaction pool exhausted", false, Overloaded, "53000", decided},
	{"max active snapshots limit reached", false, Overloaded, "53000", decided},
	{"write stalling", false, Overloaded, "53000", decided},
	// The server is unloading or has just closed the database; it loads the database
	// again when that is next used.
	{"already closed", false, Overloaded, "57P03", undecided},
	// The server's copy of the caller's deadline passed while it waited.
	{"context deadline exceeded", true, ClassNone, "", deadlinePassed},
	{"context canceled", true, ClassNone, "", deadlinePassed},

	// Errors of work that the server does after a commit, such as deleting the index
	// of a table that was created and dropped in the same transaction.
	{"[", true, ClassNone, "", undecided},

	{"session not found", true, SessionLost, "08003", decided},
	{"no session found", true, SessionLost, "08003", decided},
	{"max sessions number reached", false, MaxSessions, "53300", decided},
	{"no transaction found", false, TxAborted, "25P02", decided},
	{"no ongoing transaction", false, TxAborted, "25P02", decided},

	{"key already exists", false, DuplicateKey, "23505", decided},
	{"not nullable column can not be null", false, NotNull, "23502", decided},
	{"primary key can not be null", false, NotNull, "23502", decided},
	{"check constraint violation", false, Check, "23514", decided},
	{"max length exceeded", false, TooLong, "22001", decided},
	{"max key length exceeded", false, TooLong, "54000", decided},
	{"max value length exceeded", false, TooLong, "54000", decided},
	{requestTooLarge, true, RequestTooLarge, "54000", decided},
	{"max number of entries per tx exceeded", false, TooManyEntries, "54000", decided},
	{"tx size greater than max tx size", false, TooManyEntries, "54000", decided},
	{"invalid value provided", false, InvalidValue, "22P02", decided},
	{"unsupported cast", false, InvalidValue, "22P02", decided},
	{"values are not comparable", false, InvalidValue, "42804", decided},
	{"division by zero", false, InvalidValue, "22012", decided},

	{"key not found", false, NoSuchKey, "02000", decided},
	{"tx not found", false, NoSuchTx, "02000", decided},
	{"table does not exist", false, NoSuchTable, "42P01", decided},
	{"view does not exist", true, NoSuchTable, "42P01", decided},
	{"sequence does not exist", true, NoSuchTable, "42P01", decided},
	{"column does not exist", false, NoSuchColumn, "42703", decided},
	{"database does not exist", false, NoSuchDatabase, "3D000", decided},
	{"table already exists", false, Exists, "42P07", decided},
	{"index already exists", false, Exists, "42P07", decided},
	{"column already exists", false, Exists, "42701", decided},
	{"database already exists", false, Exists, "42P04", decided},
	{"syntax error", true, Syntax, "42601", decided},
	{"parsing error", true, Syntax, "42601", decided},
	{"missing parameter", false, Syntax, "07001", decided},

	// Errors of the statement itself, with the SQLSTATE that PostgreSQL has for each.
	{"function does not exist", false, Syntax, "42883", decided},
	{"illegal arguments: unknown function", true, Syntax, "42883", decided},
	{"duplicated column", false, Syntax, "42701", decided},
	{"same old and new names", false, Syntax, "42701", decided},
	{"duplicated parameters", false, Syntax, "07001", decided},
	{"ambiguous selector", false, Syntax, "42702", decided},
	{notGrouped, false, Syntax, "42803", decided},
	{"column is not an aggregation", false, Syntax, "42803", decided},
	{"having clause requires group clause", false, Syntax, "42803", decided},
	{"column mismatch in union statement", false, Syntax, "42601", decided},
	{"invalid number of values provided", false, Syntax, "42601", decided},
	{"only VARCHAR and BLOB types support max length", false, Syntax, "42601", decided},
	{"DIFF requires both", false, Syntax, "42601", decided},
	{"illegal statement", true, Syntax, "42601", decided},
	{"index not found", false, Syntax, "42704", decided},
	{"constraint not found", false, Syntax, "42704", decided},
	{"no primary key specified", false, Syntax, "42P16", decided},
	{"multiple primary keys are not allowed", false, Syntax, "42P16", decided},
	{"reserved word", false, Syntax, "42939", decided},
	{"is not in select list", false, Syntax, "42P10", decided},
	{"-> operator cannot be applied", true, InvalidValue, "42804", decided},
	{"timestamp expression must be of type", true, InvalidValue, "42804", decided},
	{"invalid character", true, InvalidValue, "22P02", decided}, // of JSON
	{"unexpected end of JSON input", true, InvalidValue, "22P02", decided},
	{"invalid types", false, InvalidValue, "42804", decided},
	{"invalid condition", false, InvalidValue, "42804", decided},
	{"invalid check constraint", false, InvalidValue, "42804", decided},
	{"numeric type expected", false, InvalidValue, "42804", decided},
	{"inferred multiple types", false, InvalidValue, "42P18", decided},
	{"illegal arguments", true, InvalidValue, "22023", decided},
	{"unsupported parameter", false, InvalidValue, "22023", decided},
	{"too many rows", false, InvalidValue, "21000", decided},
	{"new column must be nullable", false, NotNull, "23502", decided},
	{"indexed key of unsupported type or exceeded length", false, TooLong, "54000", decided},
	{"number of columns in multi-column index exceeded", false, TooLong, "54011", decided},
	{"window function result exceeds", false, TooLong, "54000", decided},
	{"cannot drop column", true, Unsupported, "2BP01", decided},
	{"cannot index column of type JSON", true, Unsupported, "0A000", decided},
	{"column is not indexed", false, Unsupported, "0A000", decided},
	{"primary key can not be updated", false, Unsupported, "0A000", decided},
	{"only INTEGER single-column primary keys", false, Unsupported, "0A000", decided},
	{"unique index creation is only supported on empty tables", false, Unsupported, "0A000", decided},
	{"only unbounded counting is supported", false, Unsupported, "0A000", decided},
	{"unsupported join type", false, Unsupported, "0A000", decided},

	{"read-only transaction", true, ReadOnlyTx, "25006", decided},
	{"database is read-only because it's a replica", false, Replica, "25006", decided},

	{"invalid user name or password", false, Authentication, "28P01", decided},
	{"user is not active", false, Authentication, "28000", decided},
	{"not logged in", true, Authentication, "28000", decided},
	{"access denied", false, Permission, "42501", decided},
	{"permission denied", false, Permission, "42501", decided},
	{"does not have permission", false, Permission, "42501", decided},
	{"insufficient permission", false, Permission, "42501", decided},
	// Seen in v1.11.1: the transaction writes a value of an indexed column and also
	// removes that value, even if from another row.
	{"cannot change a non-transient key to transient", false, IndexedTwice, "0A000", decided},
	{"not supported", false, Unsupported, "0A000", decided},
}

// notGrouped is the end of the message for a column that GROUP BY does not name.
const notGrouped = "must appear in the group by clause or be used in an aggregated function"

// requestTooLarge is the beginning of gRPC's error for a message over the
// receiver's limit (the server's max-recv-msg-size, 32 MiB by default).
const requestTooLarge = "grpc: received message larger than max"

// classify finds the phrase that a message means, or nil. The server quotes the
// caller's data only after its own words. So the phrase that begins first decides,
// and nothing after the first quotation is looked at: a value that a program writes
// never changes the class of an error.
func classify(text string) *phrase {
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, notGrouped) {
		text = notGrouped // it follows a column with the name of a JSON field, which may hold any characters
	}
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

// unwrapped is the message without the wrappers that name a clause, a CTE, a
// view, a column or an aggregate before the reason, as in "error in 'LIKE' clause:
// reason", "(t.c): reason" and "MAX(t.c): reason". Such names hold letters, digits
// and underscores only. Other text may be the caller's data and is kept.
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
	if isSelector(s) {
		return true
	}
	known := s == "'EXISTS' clause" || s == "'IN' subquery clause"
	for _, prefix := range []string{"error in ", "error evaluating ", "error inferring ", "error resolving ", "error materializing ",
		"error parsing view "} {
		known = known || strings.HasPrefix(s, prefix)
	}
	if !known {
		return false
	}
	return isName(strings.NewReplacer("'", "", " ", "", "(", "", ")", "").Replace(s))
}

// isSelector reports whether s is the server's notation of a column or aggregate:
// (t.c), MAX(t.c), COUNT(*).
func isSelector(s string) bool {
	function, inner, ok := strings.Cut(s, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed || !isName(function) {
		return false
	}
	return isName(strings.TrimSuffix(inner, "*"))
}

// isName reports whether s consists of letters, digits, underscores and dots.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
