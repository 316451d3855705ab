package ecotest

import "github.com/huandu/go-sqlbuilder"

func buildInsert(name string) (query string, args []any) {
	b := sqlbuilder.PostgreSQL.NewInsertBuilder()
	return b.InsertInto("accounts").Cols("name").Values(name).Build()
}
