// Package ent is the client that ent generates from package schema, for the tests.
package ent

//go:generate go run entgo.io/ent/cmd/ent@v0.14.6 generate --feature sql/upsert,sql/lock ./schema
