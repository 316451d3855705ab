package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// completer completes commands, keywords, and the names of tables and their columns.
type completer struct {
	ctx context.Context
	s   *shell
}

var keywords = strings.Fields(`ALTER AND AS ASC BEGIN BETWEEN BLOB BOOLEAN BY COLUMN COMMIT CREATE DATABASE DELETE DESC DISTINCT DROP EXISTS
	EXPLAIN FLOAT FROM GROUP HAVING HISTORY INDEX INNER INSERT INTEGER INTO IS JOIN JSON KEY LEFT LIKE LIMIT NOT NULL OF OFFSET ON OR ORDER
	PRIMARY RENAME RETURNING ROLLBACK SAVEPOINT SELECT SET SHOW SINCE TABLE TIMESTAMP TRANSACTION TRUNCATE UNION UNIQUE UNTIL UPDATE UPSERT USE
	USERS UUID VALUES VARCHAR VIEW WHERE`)

var commandNames = strings.Fields(`\c \conninfo \copy \d \di \du \echo \format \g \gx \i \l \p \q \r \timing \verify \x`)

// Do implements readline.AutoCompleter. It asks the server, for a second at most.
func (c *completer) Do(line []rune, pos int) (endings [][]rune, length int) {
	begin := pos
	for begin > 0 && !strings.ContainsRune(" \t(),=<>;", line[begin-1]) {
		begin--
	}
	word := string(line[begin:pos])
	var list []string
	switch {
	case begin == 0 && strings.HasPrefix(word, `\`):
		list = commandNames
	case word == "":
		return nil, 0
	default:
		list = append(c.names(string(line[:begin])), keywords...)
	}
	for _, candidate := range list {
		if len(candidate) < len(word) || !strings.EqualFold(candidate[:len(word)], word) {
			continue
		}
		ending := candidate[len(word):]
		if word == strings.ToLower(word) {
			ending = strings.ToLower(ending)
		}
		if ending += " "; !slices.ContainsFunc(endings, func(e []rune) bool { return string(e) == ending }) {
			endings = append(endings, []rune(ending))
		}
	}
	return endings, len([]rune(word))
}

// names are the tables, and the columns of those that the line names. Inside a transaction there are
// none: a failed query there must not come from a key.
func (c *completer) names(before string) []string {
	if c.s.tx != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	tables, err := c.s.tables(ctx)
	if err != nil {
		return nil
	}
	names := slices.Clone(tables)
	before = strings.ToLower(before)
	for _, table := range tables {
		if !strings.Contains(before, table) {
			continue
		}
		columns, err := c.s.columns(ctx, table)
		if err != nil {
			return names
		}
		for _, column := range columns {
			names = append(names, column.name)
		}
	}
	return names
}
