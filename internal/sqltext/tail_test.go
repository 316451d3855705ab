package sqltext

import "testing"

func TestATailKeepsTheRowsOfTheTable(t *testing.T) {
	for _, tail := range []string{
		"", "WHERE id = ?", "where name = 'a UNION b' -- EXCEPT", "ORDER BY id DESC LIMIT 10 OFFSET 5", "LIMIT @n",
		"WHERE id IN (SELECT id FROM u UNION SELECT id FROM v)", "WHERE (a = 1) AND (b = 2)", "/* x */ WHERE \"group\" = 1",
	} {
		if err := CheckTail(tail); err != nil {
			t.Errorf("%q: %v", tail, err)
		}
	}
}

func TestATailThatCouldBringOtherRowsIsRefused(t *testing.T) {
	for tail, reason := range map[string]string{
		"BEFORE TX 5 WHERE id = 1":                 "another time",
		"AS u WHERE id = 1":                        "another name",
		"JOIN u ON u.id = id":                      "another table",
		", u WHERE id = 1":                         "another table",
		"WHERE id = 1 UNION SELECT * FROM u":       "another table",
		"WHERE id = 1) UNION (SELECT * FROM u":     "another table, behind a parenthesis",
		"WHERE (id = 1":                            "an end that is missing",
		"WHERE id = 1; DROP TABLE u":               "another statement",
		"WHERE id = 1 EXCEPT SELECT * FROM u":      "a set operation",
		"WHERE id > 0 GROUP BY name HAVING id > 1": "groups",
		"WHERE name = 'x":                          "a string without end",
	} {
		if CheckTail(tail) == nil {
			t.Errorf("%q is accepted: %s", tail, reason)
		}
	}
}
