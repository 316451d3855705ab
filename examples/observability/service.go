package main

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/immudb-go/immudb"
)

// service moves money between accounts.
type service struct {
	db     *sql.DB
	tracer trace.Tracer
}

// request runs f within a span, as a server does for each request.
func (s *service) request(ctx context.Context, name string, f func(ctx context.Context) error) error {
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	err := f(ctx)
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	return err
}

// work answers some requests. One of them conflicts with another, and its transaction runs again; one is refused.
func (s *service) work(ctx context.Context) (err error) {
	if _, err := s.db.ExecContext(ctx, "CREATE TABLE observed_accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)"); err != nil {
		return err
	}
	defer func() {
		_, dropped := s.db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE observed_accounts")
		err = errors.Join(err, dropped)
	}()
	if err := s.request(ctx, "POST /accounts", s.load); err != nil {
		return err
	}
	if err := s.request(ctx, "POST /transfers", func(ctx context.Context) error { return s.transfer(ctx, true) }); err != nil {
		return err
	}
	refused := s.request(ctx, "POST /accounts/1", func(ctx context.Context) error {
		_, err := s.db.ExecContext(ctx, "INSERT INTO observed_accounts (id, balance) VALUES (?, ?)", 1, 0)
		return err
	})
	if !errors.Is(refused, immudb.ErrDuplicateKey) {
		return errors.Join(errors.New("an account was opened twice"), refused)
	}
	return nil
}

// load opens 2,000 accounts.
func (s *service) load(ctx context.Context) error {
	var rows iter.Seq2[[]any, error] = func(yield func([]any, error) bool) {
		for id := range 2000 {
			if !yield([]any{id, 100}, nil) {
				return
			}
		}
	}
	_, err := immudb.CopyFrom(ctx, s.db, "observed_accounts", []string{"id", "balance"}, rows, nil)
	return err
}

// transfer moves 10 from account 1 to account 2. With disturbed another program changes account 1 meanwhile, once.
func (s *service) transfer(ctx context.Context, disturbed bool) error {
	return immudb.RunTx(ctx, s.db, nil, func(tx *sql.Tx) error {
		var balance int
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM observed_accounts WHERE id = ?", 1).Scan(&balance); err != nil {
			return err
		}
		if disturbed {
			disturbed = false
			err := s.request(context.WithoutCancel(trace.ContextWithSpan(ctx, nil)), "POST /deposits", func(ctx context.Context) error {
				_, err := s.db.ExecContext(ctx, "UPDATE observed_accounts SET balance = balance + 5 WHERE id = ?", 1)
				return err
			})
			if err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE observed_accounts SET balance = ? WHERE id = ?", balance-10, 1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE observed_accounts SET balance = balance + 10 WHERE id = ?", 2)
		return err
	})
}
