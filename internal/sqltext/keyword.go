package sqltext

import "strings"

// keyword is a word that the server's lexer does not take for an identifier.
// Those that this package looks at have a constant of their own.
type keyword uint8

const (
	notKeyword keyword = iota
	kwOther            // a keyword that steers nothing here
	kwAlter
	kwAs
	kwBegin
	kwColumn
	kwCommit
	kwConflict
	kwCreate
	kwDatabase
	kwDelete
	kwDo
	kwDrop
	kwEnd
	kwExists
	kwExplain
	kwFrom
	kwGrant
	kwIf
	kwIn
	kwIndex
	kwInsert
	kwInto
	kwJoin
	kwLateral
	kwNot
	kwNothing
	kwNull
	kwOf
	kwOn
	kwRelease
	kwReturning
	kwRevoke
	kwRollback
	kwSavepoint
	kwSelect
	kwSequence
	kwShow
	kwSnapshot
	kwTable
	kwTo
	kwTruncate
	kwUnique
	kwUpdate
	kwUpsert
	kwUse
	kwUser
	kwUUID
	kwValues
	kwView
	kwWhere
	kwWith
)

// wordClass says where a word may stand.
type wordClass uint8

const (
	identifier wordClass = iota // a name
	unreserved                  // a keyword that may be the name of anything
	columnOnly                  // a keyword that may name a column, or an alias after AS
	aggregate                   // an aggregate function; an alias after AS
	reserved                    // never a name unless quoted
	literal                     // TRUE, FALSE
)

type word struct {
	keyword keyword
	class   wordClass
}

// words are the server's keywords. A name that is one of them and stands
// unquoted keeps its case; every other name is folded to lower case.
var words = makeWords()

func makeWords() map[string]word {
	m := map[string]word{}
	add := func(class wordClass, list string) {
		for w := range strings.FieldsSeq(list) {
			m[w] = word{kwOther, class}
		}
	}
	add(reserved, `AFTER ALL AND AS ASC AUTO_INCREMENT BEFORE BY CASCADE CASE CAST CHECK COLUMN CREATE
		CROSS DATABASES DEFAULT DESC DIFF DISTINCT DO ELSE END EXCEPT EXPLAIN FETCH FIRST FOR FOREIGN FROM FULL
		GRANTS GROUP HAVING HISTORY ILIKE IN INNER INTERSECT INTO IS JOIN LAST LATERAL LEFT LIKE LIMIT
		NATURAL NOT NOTHING NULL NULLS OFFSET ON ONLY OR ORDER OVER PARTITION PASSWORD PRIMARY READ READWRITE
		RECURSIVE REFERENCES RELEASE RETURNING RIGHT ROWS SAVEPOINT SELECT SEQUENCE SET SINCE TABLE THEN TO
		TRUNCATE TX UNION UNIQUE UNTIL UPSERT USE USER USING UUID VIEW WHEN WHERE WITH`)
	add(unreserved, `ADD ADMIN ALTER BEGIN COMMIT CONFLICT CONSTRAINT DATABASE DAY DELETE DROP GRANT HOUR IF INDEX
		INSERT KEY MINUTE MONTH OF PRIVILEGES RENAME REVOKE ROLLBACK SECOND SHOW SNAPSHOT TABLES TRANSACTION
		UPDATE USERS YEAR`)
	add(columnOnly, `BETWEEN EXISTS EXTRACT VALUES
		BIGINT BIGSERIAL BLOB BOOLEAN BYTEA DATE DECIMAL DOUBLE FLOAT FLOAT4 FLOAT8 INT INT4 INT8 INTEGER
		JSON JSONB NUMERIC REAL SERIAL SMALLINT TIMESTAMP TIMESTAMPTZ VARCHAR`)
	add(aggregate, `AVG COUNT MAX MIN STRING_AGG SUM`)
	add(literal, `FALSE TRUE`)
	for w, k := range map[string]keyword{
		"ALTER": kwAlter, "AS": kwAs, "BEGIN": kwBegin, "COLUMN": kwColumn, "COMMIT": kwCommit,
		"CONFLICT": kwConflict, "CREATE": kwCreate, "DATABASE": kwDatabase, "DELETE": kwDelete, "DO": kwDo,
		"DROP": kwDrop, "END": kwEnd, "EXISTS": kwExists, "EXPLAIN": kwExplain, "FROM": kwFrom, "GRANT": kwGrant,
		"IF": kwIf, "IN": kwIn, "INDEX": kwIndex, "INSERT": kwInsert, "INTO": kwInto, "JOIN": kwJoin, "LATERAL": kwLateral, "NOT": kwNot, "NOTHING": kwNothing,
		"NULL": kwNull, "OF": kwOf, "ON": kwOn, "RELEASE": kwRelease, "RETURNING": kwReturning, "REVOKE": kwRevoke,
		"ROLLBACK": kwRollback, "SAVEPOINT": kwSavepoint, "SELECT": kwSelect, "SEQUENCE": kwSequence,
		"SHOW": kwShow, "SNAPSHOT": kwSnapshot, "TABLE": kwTable, "TO": kwTo, "TRUNCATE": kwTruncate,
		"UNIQUE": kwUnique, "UPDATE": kwUpdate, "UPSERT": kwUpsert, "USE": kwUse, "USER": kwUser, "UUID": kwUUID,
		"VALUES": kwValues, "VIEW": kwView, "WHERE": kwWhere, "WITH": kwWith,
	} {
		m[w] = word{k, m[w].class}
	}
	return m
}

const longestKeyword = len("AUTO_INCREMENT")

// lookup finds what the server's lexer makes of a bare word.
func lookup(s string) word {
	var upper [longestKeyword]byte
	if len(s) > len(upper) {
		return word{}
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
