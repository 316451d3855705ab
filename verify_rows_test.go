package immudb

import (
	"errors"
	"strings"
	"testing"
)

func TestTailKeepsTheRowsOfTheTable(t *testing.T) {
	for _, tail := range []string{
		"", "WHERE id = ?", "where name = 'a UNION b' -- EXCEPT", "ORDER BY id DESC LIMIT 10 OFFSET 5", "LIMIT @n",
		"WHERE (a = 1) AND (b = 2)", "/* x */ WHERE \"group\" = 1", "WHERE t.a IN (1, 2) FETCH FIRST 3 ROWS ONLY",
	} {
		if _, err := newRowsQuery("t", tail); err != nil {
			t.Errorf("%q: %v", tail, err)
		}
	}
}

func TestTailThatCouldBringOtherRowsIsRefused(t *testing.T) {
	for tail, reason := range map[string]string{
		"BEFORE TX 5 WHERE id = 1":                 "another time",
		"SINCE TX 5":                               "another time",
		"AS u WHERE id = 1":                        "another name",
		"u":                                        "another name",
		"JOIN u ON u.id = id":                      "another table",
		", u WHERE id = 1":                         "another table",
		"WHERE id = 1 UNION SELECT * FROM u":       "another table",
		"WHERE id = 1) UNION (SELECT * FROM u":     "another table, behind a parenthesis",
		"WHERE (id = 1":                            "an end that is missing",
		"WHERE id = 1; DROP TABLE u":               "another statement",
		"WHERE id = 1 EXCEPT SELECT * FROM u":      "a set operation",
		"WHERE id > 0 GROUP BY name HAVING id > 1": "groups",
		"WHERE name = 'x":                          "a string without end",
		"USE INDEX ON (id) WHERE id = 1":           "an index",
		"FOR UPDATE":                               "a lock",
	} {
		if _, err := newRowsQuery("t", tail); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "what follows SELECT * FROM t: ") {
			t.Errorf("%q: err = %v, want ErrSyntax: %s", tail, err, reason)
		}
	}
}

func TestConditionThatTakesMoreThanARowIsUnsupported(t *testing.T) {
	for tail, construct := range map[string]string{
		"WHERE LOWER(name) = 'a'":                  "LOWER(name)",
		"WHERE at < NOW()":                         "NOW()",
		"WHERE id IN (SELECT id FROM u)":           "id IN (SELECT id FROM u)",
		"WHERE EXISTS (SELECT * FROM u)":           "EXISTS (SELECT * FROM u)",
		"WHERE id = (SELECT MAX(id) FROM u)":       "(SELECT MAX(id) FROM u)",
		"WHERE CASE WHEN id = 1 THEN TRUE END":     "CASE WHEN id = 1 THEN TRUE END",
		"WHERE doc->'a' = 1":                       "doc->'a'",
		"WHERE EXTRACT(YEAR FROM at) = 2020":       "EXTRACT(YEAR FROM at)",
		"WHERE doc = CAST('1' AS JSON)":            "CAST(… AS JSON)",
		"WHERE id < 18446744073709551615":          "18446744073709551615",
		"WHERE u.id = 1":                           "u.id",
		"ORDER BY 2":                               "2",
		"ORDER BY ?":                               "?",
		"ORDER BY LENGTH(name)":                    "LENGTH(name)",
		"LIMIT id":                                 "id",
		"WHERE id = 1 OR NOT (2 > ABS(n)) LIMIT 1": "ABS(n)",
	} {
		_, err := newRowsQuery("t", tail)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "evaluate "+construct+": ") {
			t.Errorf("%q: err = %v, want ErrUnsupported that names %s", tail, err, construct)
		}
	}
}
