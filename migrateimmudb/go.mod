module github.com/immudb-go/immudb/migrateimmudb

go 1.26.0

require (
	github.com/golang-migrate/migrate/v4 v4.20.1
	github.com/immudb-go/immudb v0.0.0
)

replace github.com/immudb-go/immudb => ../
