module github.com/immudb-go/immudb/bunimmudb

go 1.26.0

require (
	github.com/immudb-go/immudb v0.0.0
	github.com/immudb-go/immudb/immudbtest v0.0.0
	github.com/uptrace/bun v1.3.0
)

replace (
	github.com/immudb-go/immudb => ../
	github.com/immudb-go/immudb/immudbtest => ../immudbtest
)
