module github.com/immudb-go/immudb/gormimmudb

go 1.26.0

require (
	github.com/immudb-go/immudb v0.0.0
	github.com/immudb-go/immudb/immudbtest v0.0.0
	gorm.io/gorm v1.31.2
)

replace (
	github.com/immudb-go/immudb => ../
	github.com/immudb-go/immudb/immudbtest => ../immudbtest
)
