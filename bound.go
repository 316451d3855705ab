package immudb

import (
	"database/sql/driver"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// bound is a statement with its arguments, which have been checked: what a call
// sends.
type bound struct {
	query *query
	st    *sqltext.Statement // nil: all statements of the text
	args  []driver.NamedValue
	sql   string // the statement as it is sent
}

// bind binds the i-th statement of the text.
func (q *query) bind(i int, args []driver.NamedValue) bound {
	st := &q.statements[i]
	return bound{query: q, st: st, args: args, sql: st.Text}
}

// bindAll binds all statements of a text that is sent to SQLExec.
func (q *query) bindAll(args []driver.NamedValue) bound {
	return bound{query: q, args: args, sql: q.exec}
}

// request is the request that runs the statement, appended to memory or, if that
// is nil, in memory of its own.
func (b *bound) request(memory []byte) ([]byte, error) {
	if memory == nil {
		memory = make([]byte, 0, len(b.sql)+24*len(b.args)+8)
	}
	req := wire.AppendSQL(memory, b.sql)
	names, args := b.query.Names, b.args
	if b.st != nil {
		names = b.st.Names
	}
	var err error
	if b.query.Style == sqltext.Named {
		for _, name := range names {
			if req, err = wire.AppendNamedParam(req, name, namedArg(args, name).Value); err != nil {
				return nil, err
			}
		}
		return req, nil
	}
	if b.st != nil {
		args = args[b.st.FirstArg : b.st.FirstArg+b.st.NumArgs]
	}
	for i := range args {
		if req, err = wire.AppendNumberedParam(req, i+1, args[i].Value); err != nil {
			return nil, err
		}
	}
	return req, nil
}
