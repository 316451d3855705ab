package oracle

import (
	"math/rand/v2"
	"strings"
)

// grammar generates texts: rule -> alternatives of words. A word in capitals or a
// symbol means itself, <x> a rule, and <x?> the rule or nothing. The grammar was written
// for this test. In some places it allows more than the server, so that refusals are
// tested too.
var grammar = readGrammar(`
script = <statement> | <statement> ; | <statement> ; <script> | ; <statement> | 
statement = <query> | <query> | <query> | <query> | <query> | <insert> | <insert> | <update> | <delete> | <schema> | <schema> | <control> | <access>
control = BEGIN | BEGIN TRANSACTION | COMMIT | ROLLBACK | SAVEPOINT <id> | ROLLBACK TO <id> | ROLLBACK TO SAVEPOINT <name> | RELEASE SAVEPOINT <id> | USE <name> | USE DATABASE <id> | USE SNAPSHOT <period?> | CREATE DATABASE <id> | CREATE DATABASE IF NOT EXISTS <name>
access = CREATE USER <id> WITH PASSWORD <string> <permission?> | ALTER USER <name> WITH PASSWORD <string> <permission?> | DROP USER <id> | GRANT <privileges> ON DATABASE <name> TO USER <id> | REVOKE <privileges> ON DATABASE <name> TO USER <id>
permission = READ | READWRITE | ADMIN
privileges = ALL PRIVILEGES | <privilege> | <privilege> , <privileges>
privilege = SELECT | CREATE | INSERT | UPDATE | DELETE | DROP | ALTER
schema = CREATE TABLE <ine?> <name> ( <elements> ) | DROP TABLE <ie?> <name> | DROP TABLE <name> CASCADE | TRUNCATE TABLE <name> | CREATE VIEW <ine?> <name> AS <query> | DROP VIEW <ie?> <id> | CREATE SEQUENCE <id> | DROP SEQUENCE <ie?> <name> | CREATE <unique?> INDEX <ine?> ON <name> <cols> <where?> | DROP INDEX ON <name> <cols> | DROP INDEX <name> . <col> | ALTER TABLE <name> <alter>
unique = UNIQUE
alter = ADD COLUMN <colspec> | RENAME TO <name> | RENAME COLUMN <col> TO <col> | DROP COLUMN <col> | DROP CONSTRAINT <name> | ALTER COLUMN <col> SET NOT NULL | ALTER COLUMN <col> DROP NOT NULL | ALTER COLUMN <col> TYPE <type> | ALTER COLUMN <col> <id> <type>
ine = IF NOT EXISTS
ie = IF EXISTS
elements = <element> | <element> , <elements>
element = <colspec> | <colspec> | <colspec> | CHECK <expr> | CONSTRAINT <id> CHECK <expr> | PRIMARY KEY <col> | PRIMARY KEY <cols> | FOREIGN KEY <cols> REFERENCES <name> <cols>
colspec = <col> <type> <len?> <null?> <default?> <auto?> <pk?>
len = [ <int> ] | ( <int> )
null = NULL | NOT NULL
default = DEFAULT <expr>
auto = AUTO_INCREMENT
pk = PRIMARY KEY
type = INTEGER | INT | BIGSERIAL | BOOLEAN | VARCHAR | UUID | BLOB | BYTEA | TIMESTAMP | DATE | FLOAT | NUMERIC | JSON | JSONB
cols = ( <collist> )
collist = <col> | <col> , <collist>
insert = INSERT INTO <name> <cols?> <rowsource> <conflict?> <returning?> | UPSERT INTO <name> <cols?> <rowsource> <returning?> | UPSERT INTO <name> <rowsource> <conflict?>
rowsource = VALUES <rows> | VALUES <rows> | VALUES <rows> | <query>
rows = <row> | <row> , <rows>
row = ( ) | ( <exprs> ) | ( <exprs> )
conflict = ON CONFLICT DO NOTHING | ON CONFLICT DO UPDATE SET <sets> | ON CONFLICT ( <col> ) DO NOTHING
sets = <set> | <set> , <sets>
set = <id> = <expr> | <col> = <expr> | <id> <cmp> <expr>
returning = RETURNING * | RETURNING <targets>
update = UPDATE <name> SET <sets> <where?> <useindex?> <limit?> <offset?> <returning?>
delete = DELETE FROM <name> <where?> <useindex?> <limit?> <offset?> <returning?>
query = <select> | <select> | <select> | <select> UNION <query> | <select> UNION ALL <query> | <select> EXCEPT <query> | <select> INTERSECT <query> | <with> | <show> | EXPLAIN <query>
with = WITH <ctes> <select> | WITH RECURSIVE <ctes> <select> | WITH <ctes> <select> UNION <query> | WITH <ctes> <select> EXCEPT <query> | WITH RECURSIVE <ctes> <select> UNION ALL <query>
ctes = <cte> | <cte> , <ctes>
cte = <id> AS ( <query> ) | <id> AS ( <query> ) | <id> AS ( <query> ) | <name> AS ( <query> ) | <id> <cols> AS ( <query> ) | <id> AS ( VALUES <rows> ) | <id> <cols> AS ( VALUES <rows> )
show = SHOW DATABASES | SHOW TABLES | SHOW TABLE <name> | SHOW USERS | SHOW GRANTS | SHOW GRANTS FOR <id>
select = SELECT <distinct?> <what> FROM <source> <useindex?> <joins?> <where?> <group?> <having?> <order?> <limit?> <offset?> | SELECT <distinct?> <what> FROM <source> <where?> | SELECT <what> | SELECT <what> <where>
distinct = DISTINCT
what = * | <targets> | <targets>
targets = <target> | <target> | <target> , <targets>
target = <expr> | <expr> <alias> | <expr> <alias> | <name> . *
alias = AS <name> | AS <col> | <name> | AS <agg>
source = <name> <period?> <alias?> | <name> <period?> <alias?> | <name> | <name> | ( VALUES <rows> ) | ( <query> ) <alias?> | DATABASES ( ) <alias?> | TABLES ( ) <alias?> | USERS ( ) | TABLE ( <id> ) | <call> <alias?> | ( HISTORY OF <name> ) <alias?> | ( DIFF OF <id> ) <period?> <alias?>
period = <since?> <until?> | <since> | <until>
since = SINCE <instant> | AFTER <instant>
until = UNTIL <instant> | BEFORE <instant>
instant = TX <expr> | <expr>
joins = <join> | <join> <joins>
join = <jointype?> JOIN <source> <useindex?> ON <expr> | <jointype?> JOIN <source> USING <cols> | NATURAL <jointype?> JOIN <source> | , LATERAL <source> | , <source> | <jointype?> JOIN LATERAL <source> ON <expr> | CROSS JOIN <source> | <jointype?> JOIN <source> | NATURAL JOIN LATERAL <source>
jointype = INNER | LEFT | RIGHT | CROSS | FULL
useindex = USE INDEX ON <col> | USE INDEX ON <cols>
where = WHERE <expr>
group = GROUP BY <colrefs>
colrefs = <colref> | <colref> , <colrefs>
colref = <col> | <name> . <col>
having = HAVING <expr>
order = ORDER BY <orders>
orders = <ord> | <ord> , <orders>
ord = <expr> <dir?> <nulls?>
dir = ASC | DESC
nulls = NULLS FIRST | NULLS LAST
limit = LIMIT <expr> | LIMIT ALL | FETCH FIRST <expr> ROWS ONLY | FETCH FIRST <expr> ROWS
offset = OFFSET <expr>
exprs = <expr> | <expr> , <exprs>
expr = <add> | <add> | <add> | <cond> | <cond> | <expr> AND <expr> | <expr> OR <expr> | NOT <expr>
cond = <add> <cmp> <add> | <add> <cmp> <add> | <add> IS <not?> NULL | <add> <not?> BETWEEN <add> AND <add> | <add> <not?> LIKE <add> | <add> <not?> ILIKE <add> | <add> !~ <add> | EXISTS ( <query> ) | <add> <not?> IN ( <exprs> ) | <add> <not?> IN ( <query> ) | <case>
not = NOT
cmp = = | <> | != | < | <= | > | >= 
case = CASE <expr?> <whens> END | CASE <whens> ELSE <expr> END
whens = WHEN <expr> THEN <expr> | WHEN <expr> THEN <expr> <whens>
add = <mul> | <mul> | <mul> | <add> + <mul> | <add> - <mul>
mul = <atom> | <atom> | <atom> | <atom> | <mul> * <atom> | <mul> / <atom> | <mul> % <atom>
atom = <colref> | <colref> | <colref> | <literal> | <literal> | <param> | <call> | <aggcall> | ( <expr> ) | ( <select> ) | - <atom> | <atom> :: <type> | CAST ( <expr> AS <type> ) | EXTRACT ( <field> FROM <expr> ) | <colref> <path> | TIMESTAMP <string> | <case>
path = -> <string> | -> <string> <path>
field = YEAR | MONTH | DAY | HOUR | MINUTE | SECOND | <id>
call = <id> ( ) | <id> ( <exprs> ) | <id> ( <exprs> ) | <id> ( <exprs?> ) <over>
over = OVER ( <partition?> <order?> )
partition = PARTITION BY <exprs>
agg = COUNT | SUM | MAX | MIN | AVG | STRING_AGG
aggcall = <agg> ( * ) | <agg> ( <colref> ) | <agg> ( DISTINCT <colref> ) | <agg> ( DISTINCT ( <colref> ) ) | <agg> ( <colref> , <string> ) | <agg> ( <colref> ) <over> | <agg> ( * ) <over> | <agg> ( <expr> )
literal = <int> | <int> | <float> | <string> | <blob> | TRUE | FALSE | NULL
int = 0 | 1 | 42 | 9223372036854775807 | 9223372036854775808 | 18446744073709551615 | 18446744073709551616
float = 1.5 | .5 | 1. | 00.00
string = '' | 'a' | 'it''s' | 'é?;--'
blob = x'' | x'00ff' | x'0' | x'zz' | X'00'
param = ? | ? | ? | $1 | $2 | @a | $0 | @1 | $
name = <id> | <id> | <id> | <unreserved>
col = <id> | <id> | <id> | <unreserved> | <colkeyword>
id = t | a | b | "q" | Mixed | "Mixed" | _x1 | "" | "1" | "select" | count_x | NOW | nextval | type | CURRENT_TIMESTAMP
unreserved = ADMIN | OF | DROP | DATABASE | SNAPSHOT | INDEX | ALTER | ADD | RENAME | CONSTRAINT | KEY | GRANT | REVOKE | PRIVILEGES | BEGIN | TRANSACTION | COMMIT | ROLLBACK | INSERT | DELETE | UPDATE | CONFLICT | IF | SHOW | TABLES | YEAR | MONTH | DAY | HOUR | MINUTE | SECOND | USERS
colkeyword = BETWEEN | BLOB | BOOLEAN | EXISTS | EXTRACT | FLOAT | INTEGER | JSON | TIMESTAMP | VALUES | VARCHAR | UUID | DATE
`)

func readGrammar(text string) map[string][][]string {
	m := map[string][][]string{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		name, alternatives, _ := strings.Cut(line, " = ")
		for a := range strings.SplitSeq(strings.TrimRight(alternatives, "\n"), " | ") {
			m[name] = append(m[name], strings.Fields(a))
		}
	}
	return m
}

// generator makes texts. The same seed makes the same texts.
type generator struct {
	*rand.Rand
	words []string // of the text being made
}

func newGenerator(seed uint64) *generator { return &generator{Rand: rand.New(rand.NewPCG(seed, 7))} }

// enough is the number of words after which rules choose their shortest alternative.
const enough = 60

func (g *generator) expand(rule string, depth int) {
	name, optional := strings.CutSuffix(strings.TrimSuffix(strings.TrimPrefix(rule, "<"), ">"), "?")
	if optional && g.IntN(3) > 0 {
		return
	}
	alternatives := grammar[name]
	pick := alternatives[g.IntN(len(alternatives))]
	if depth > 12 || len(g.words) > enough {
		pick = alternatives[0]
	}
	for _, w := range pick {
		if len(w) > 2 && w[0] == '<' && w[len(w)-1] == '>' {
			if depth < 40 {
				g.expand(w, depth+1)
			}
			continue
		}
		g.words = append(g.words, w)
	}
}

// text returns a text. Two of three texts have a few mutations.
func (g *generator) text() string {
	g.words = g.words[:0]
	g.expand("<script>", 0)
	switch g.IntN(6) {
	case 0, 1:
		return g.join()
	case 2, 3, 4:
		for range 1 + g.IntN(3) {
			g.mutateWords()
		}
		return g.join()
	}
	return g.mutateBytes(g.join())
}

func (g *generator) mutateWords() {
	n := len(g.words)
	if n == 0 {
		return
	}
	i, j := g.IntN(n), g.IntN(n)
	switch g.IntN(5) {
	case 0:
		g.words = append(g.words[:i], g.words[i+1:]...)
	case 1:
		g.words[i], g.words[j] = g.words[j], g.words[i]
	case 2:
		g.words[i] = g.words[j]
	case 3:
		g.words[i] = vocabulary[g.IntN(len(vocabulary))]
	case 4:
		w := vocabulary[g.IntN(len(vocabulary))]
		g.words = append(g.words[:i], append([]string{w}, g.words[i:]...)...)
	}
}

// vocabulary is every word of the grammar, and some that are not in it.
var vocabulary = func() []string {
	seen := map[string]bool{}
	list := []string{"||", "`a`", "``", "/* c */", "-- c\n", "/*", "\x00", "\ufeff", "é", "#", ":", ":a", "~", "=~", "[", "]", "FOR", "'", "\"", "1e10", "0x1F", "$99999", "LEFT", "DEFAULT", ".", ".5", "-", "->"}
	for _, alternatives := range grammar {
		for _, words := range alternatives {
			for _, w := range words {
				if !seen[w] && !(len(w) > 2 && w[0] == '<') {
					seen[w] = true
				}
			}
		}
	}
	for w := range seen {
		list = append(list, w)
	}
	// Maps have no order, and a seed must give the same texts.
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			if list[j] < list[i] {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
	return list
}()

// join writes the words with blanks between them, sometimes without.
func (g *generator) join() string {
	var b strings.Builder
	for _, w := range g.words {
		switch g.IntN(12) {
		case 0:
			b.WriteString("\n\t")
		case 1:
			if last := b.String(); last != "" && (strings.IndexByte("(),=+*;'", last[len(last)-1]) >= 0 || strings.IndexByte("(),=+*;", w[0]) >= 0) {
				break
			}
			b.WriteByte(' ')
		default:
			b.WriteByte(' ')
		}
		if g.IntN(6) == 0 {
			w = strings.ToLower(w)
		}
		b.WriteString(w)
	}
	return b.String()
}

const hostile = " '\"`;()-/*.?$@x:!<>=\x00"

func (g *generator) mutateBytes(text string) string {
	b := []byte(text)
	for range 1 + g.IntN(2) {
		if len(b) == 0 {
			return ""
		}
		i := g.IntN(len(b))
		switch g.IntN(4) {
		case 0:
			b = append(b[:i], b[i+1:]...)
		case 1:
			b[i] = byte(g.IntN(256))
		case 2:
			b = append(b[:i], append([]byte{hostile[g.IntN(len(hostile))]}, b[i:]...)...)
		case 3:
			b = b[:i]
		}
	}
	return string(b)
}
