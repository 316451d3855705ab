package immudb

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/session"
)

// The driver parses a text with the grammar of immudb 1.11. If the server then finds a
// syntax error in it, the server is probably older. Its version number does not tell:
// servers embedded in a program have none. So the driver asks whether the server knows
// RETURNING, which came with 1.11, once for each session and only after such an error.

var errTooOldForReturning = unsupported("RETURNING is not supported by this server: it came with immudb 1.11; " +
	"run the statement with Exec and query for what it wrote")

// grammar is what a connection knows of the grammar of its session's server.
type grammar struct {
	of        *session.Session // the session that was asked
	returning bool             // the server knows RETURNING
}

// knowsReturning reports whether the server can parse a RETURNING clause. It asks
// for one on a table that does not exist: a server that knows RETURNING refuses that
// for another reason than its syntax. If there is no answer, it reports true.
func (c *Conn) knowsReturning(ctx context.Context) bool {
	s := c.session()
	if c.grammar.of == s {
		return c.grammar.returning
	}
	q, err := c.connector.queries.parse("DELETE FROM no_table_of_this_name RETURNING id")
	if err != nil {
		return true
	}
	set, err := c.stream(ctx, q.bind(0, nil))
	if err == nil {
		set.close()
	}
	known := !errors.Is(err, ErrSyntax)
	if c.session() == s && (!known || errors.Is(err, ErrNoSuchTable)) {
		c.grammar = grammar{s, known}
	}
	return known
}

// missingParameter is the SQLSTATE of an ErrSyntax that says nothing of the grammar.
const missingParameter = "07001"

// ifTooOld returns an [ErrUnsupported] instead of a syntax error that only a server
// older than 1.11 finds (an unknown word or function), and other errors unchanged.
func (c *Conn) ifTooOld(ctx context.Context, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.kind != ErrSyntax || e.GRPC == codes.OK || e.SQLState == missingParameter || c.knowsReturning(ctx) {
		return err
	}
	return &Error{
		Message:  "this server does not know a part of the statement: it is older than immudb 1.11; write it without that, or use a newer server",
		SQLState: "0A000",
		GRPC:     e.GRPC,
		kind:     ErrUnsupported,
		cause:    err,
	}
}
