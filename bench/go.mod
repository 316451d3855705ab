module github.com/immudb-go/immudb/bench

go 1.26.0

require (
	github.com/codenotary/immudb v1.11.1
	github.com/immudb-go/immudb v0.0.0
	github.com/jackc/pgx/v5 v5.12.0
	google.golang.org/grpc v1.85.0
)

replace github.com/immudb-go/immudb => ../
