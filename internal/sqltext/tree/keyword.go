package tree

// keyword is a word that is not an identifier for the server's lexer.
type keyword uint8

const (
	noKeyword keyword = iota
	kwAdd
	kwAdmin
	kwAfter
	kwAll
	kwAlter
	kwAnd
	kwAs
	kwAsc
	kwAutoIncrement
	kwBefore
	kwBegin
	kwBetween
	kwBy
	kwCascade
	kwCase
	kwCast
	kwCheck
	kwColumn
	kwCommit
	kwConflict
	kwConstraint
	kwCreate
	kwDatabase
	kwDatabases
	kwDay
	kwDefault
	kwDelete
	kwDesc
	kwDiff
	kwDistinct
	kwDo
	kwDrop
	kwElse
	kwEnd
	kwExcept
	kwExists
	kwExplain
	kwExtract
	kwFetch
	kwFirst
	kwFor
	kwForeign
	kwFrom
	kwGrant
	kwGrants
	kwGroup
	kwHaving
	kwHistory
	kwHour
	kwIf
	kwIlike
	kwIn
	kwIndex
	kwInsert
	kwIntersect
	kwInto
	kwIs
	kwJoin
	kwKey
	kwLast
	kwLateral
	kwLike
	kwLimit
	kwMinute
	kwMonth
	kwNatural
	kwNot
	kwNothing
	kwNull
	kwNulls
	kwOf
	kwOffset
	kwOn
	kwOnly
	kwOr
	kwOrder
	kwOver
	kwPartition
	kwPassword
	kwPrimary
	kwPrivileges
	kwRead
	kwReadwrite
	kwRecursive
	kwReferences
	kwRelease
	kwRename
	kwReturning
	kwRevoke
	kwRollback
	kwRows
	kwSavepoint
	kwSecond
	kwSelect
	kwSequence
	kwSet
	kwShow
	kwSince
	kwSnapshot
	kwTable
	kwTables
	kwThen
	kwTo
	kwTransaction
	kwTruncate
	kwTx
	kwUnion
	kwUnique
	kwUntil
	kwUpdate
	kwUpsert
	kwUse
	kwUser
	kwUsers
	kwUsing
	kwValues
	kwView
	kwWhen
	kwWhere
	kwWith
	kwYear

	// Names of types. Several words may mean one type.
	kwInteger
	kwBoolean
	kwVarchar
	kwTimestamp
	kwFloat
	kwBlob
	kwUUID
	kwJSON

	// Words that are neither keywords nor identifiers for the server's lexer.
	kwTrue
	kwFalse
	kwAggregate
	kwJoinType
)

// typeNames holds the server's names of types.
var typeNames = map[keyword]string{
	kwInteger: "INTEGER", kwBoolean: "BOOLEAN", kwVarchar: "VARCHAR", kwTimestamp: "TIMESTAMP",
	kwFloat: "FLOAT", kwBlob: "BLOB", kwUUID: "UUID", kwJSON: "JSON",
}

var words = map[string]keyword{
	"ADD": kwAdd, "ADMIN": kwAdmin, "AFTER": kwAfter, "ALL": kwAll, "ALTER": kwAlter, "AND": kwAnd, "AS": kwAs,
	"ASC": kwAsc, "AUTO_INCREMENT": kwAutoIncrement, "BEFORE": kwBefore, "BEGIN": kwBegin, "BETWEEN": kwBetween,
	"BY": kwBy, "CASCADE": kwCascade, "CASE": kwCase, "CAST": kwCast, "CHECK": kwCheck, "COLUMN": kwColumn,
	"COMMIT": kwCommit, "CONFLICT": kwConflict, "CONSTRAINT": kwConstraint, "CREATE": kwCreate,
	"DATABASE": kwDatabase, "DATABASES": kwDatabases, "DAY": kwDay, "DEFAULT": kwDefault, "DELETE": kwDelete,
	"DESC": kwDesc, "DIFF": kwDiff, "DISTINCT": kwDistinct, "DO": kwDo, "DROP": kwDrop, "ELSE": kwElse,
	"END": kwEnd, "EXCEPT": kwExcept, "EXISTS": kwExists, "EXPLAIN": kwExplain, "EXTRACT": kwExtract,
	"FETCH": kwFetch, "FIRST": kwFirst, "FOR": kwFor, "FOREIGN": kwForeign, "FROM": kwFrom, "GRANT": kwGrant,
	"GRANTS": kwGrants, "GROUP": kwGroup, "HAVING": kwHaving, "HISTORY": kwHistory, "HOUR": kwHour, "IF": kwIf,
	"ILIKE": kwIlike, "IN": kwIn, "INDEX": kwIndex, "INSERT": kwInsert, "INTERSECT": kwIntersect,
	"INTO": kwInto, "IS": kwIs, "JOIN": kwJoin, "KEY": kwKey, "LAST": kwLast, "LATERAL": kwLateral,
	"LIKE": kwLike, "LIMIT": kwLimit, "MINUTE": kwMinute, "MONTH": kwMonth, "NATURAL": kwNatural, "NOT": kwNot,
	"NOTHING": kwNothing, "NULL": kwNull, "NULLS": kwNulls, "OF": kwOf, "OFFSET": kwOffset, "ON": kwOn,
	"ONLY": kwOnly, "OR": kwOr, "ORDER": kwOrder, "OVER": kwOver, "PARTITION": kwPartition,
	"PASSWORD": kwPassword, "PRIMARY": kwPrimary, "PRIVILEGES": kwPrivileges, "READ": kwRead,
	"READWRITE": kwReadwrite, "RECURSIVE": kwRecursive, "REFERENCES": kwReferences, "RELEASE": kwRelease,
	"RENAME": kwRename, "RETURNING": kwReturning, "REVOKE": kwRevoke, "ROLLBACK": kwRollback, "ROWS": kwRows,
	"SAVEPOINT": kwSavepoint, "SECOND": kwSecond, "SELECT": kwSelect, "SEQUENCE": kwSequence, "SET": kwSet,
	"SHOW": kwShow, "SINCE": kwSince, "SNAPSHOT": kwSnapshot, "TABLE": kwTable, "TABLES": kwTables,
	"THEN": kwThen, "TO": kwTo, "TRANSACTION": kwTransaction, "TRUNCATE": kwTruncate, "TX": kwTx,
	"UNION": kwUnion, "UNIQUE": kwUnique, "UNTIL": kwUntil, "UPDATE": kwUpdate, "UPSERT": kwUpsert,
	"USE": kwUse, "USER": kwUser, "USERS": kwUsers, "USING": kwUsing, "VALUES": kwValues, "VIEW": kwView,
	"WHEN": kwWhen, "WHERE": kwWhere, "WITH": kwWith, "YEAR": kwYear,

	"BIGINT": kwInteger, "BIGSERIAL": kwInteger, "INT": kwInteger, "INT4": kwInteger, "INT8": kwInteger,
	"INTEGER": kwInteger, "SERIAL": kwInteger, "SMALLINT": kwInteger,
	"BOOLEAN": kwBoolean, "VARCHAR": kwVarchar, "UUID": kwUUID, "JSON": kwJSON, "JSONB": kwJSON,
	"DATE": kwTimestamp, "TIMESTAMP": kwTimestamp, "TIMESTAMPTZ": kwTimestamp,
	"DECIMAL": kwFloat, "DOUBLE": kwFloat, "FLOAT": kwFloat, "FLOAT4": kwFloat, "FLOAT8": kwFloat,
	"NUMERIC": kwFloat, "REAL": kwFloat, "BLOB": kwBlob, "BYTEA": kwBlob,

	"TRUE": kwTrue, "FALSE": kwFalse,
	"AVG": kwAggregate, "COUNT": kwAggregate, "MAX": kwAggregate, "MIN": kwAggregate,
	"STRING_AGG": kwAggregate, "SUM": kwAggregate,
	"CROSS": kwJoinType, "FULL": kwJoinType, "INNER": kwJoinType, "LEFT": kwJoinType, "RIGHT": kwJoinType,
}

const longestWord = len("AUTO_INCREMENT")

// lookup returns the keyword that the server's lexer reads in an unquoted word, in
// lower or upper case.
func lookup(s string) keyword {
	var upper [longestWord]byte
	if len(s) > len(upper) {
		return noKeyword
	}
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return words[string(upper[:len(s)])]
}

// IsKeyword reports whether word, written without quotes, is a keyword for the server
// and not a name.
func IsKeyword(word string) bool { return lookup(word) != noKeyword }

// isUnreserved reports whether the keyword may name a table, a column or an alias.
func (k keyword) isUnreserved() bool {
	switch k {
	case kwAdmin, kwOf, kwDrop, kwDatabase, kwSnapshot, kwIndex, kwAlter, kwAdd, kwRename, kwConstraint, kwKey,
		kwGrant, kwRevoke, kwPrivileges, kwBegin, kwTransaction, kwCommit, kwRollback, kwInsert, kwDelete, kwUpdate,
		kwConflict, kwIf, kwShow, kwTables, kwYear, kwMonth, kwDay, kwHour, kwMinute, kwSecond, kwUsers:
		return true
	}
	return false
}

// isColumnKeyword reports whether the keyword may name a column, or an alias after AS.
func (k keyword) isColumnKeyword() bool {
	switch k {
	case kwBetween, kwBlob, kwBoolean, kwExists, kwExtract, kwFloat, kwInteger, kwJSON, kwTimestamp, kwValues, kwVarchar:
		return true
	}
	return false
}

func (k keyword) isType() bool { return k >= kwInteger && k <= kwJSON }
