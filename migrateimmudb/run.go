package migrateimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
	"github.com/immudb-go/immudb/internal/sqltext"
)

// Run runs a migration; see the package comment. If SetVersion announced it under the lock
// and it is one transaction, it is run exactly once, even if processes are killed or
// answers are lost.
func (d *Immudb) Run(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("migrateimmudb: reading the migration: %w", err)
	}
	ctx := context.Background()
	w := work{Immudb: d, lock: d.lock.Load()}
	if w.lock != nil {
		if w.state, err = d.read(ctx, d.db); err != nil && !errors.Is(err, immudb.ErrNoSuchTable) {
			return fmt.Errorf("migrateimmudb: reading the version: %w", err)
		}
		w.announced = w.state.announcedBy == w.lock.Owner()
	}
	if w.migration, err = parse(string(text)); err == nil {
		if w.apart || d.cfg.MultiStatementEnabled && !w.enclosed {
			err = w.runApart(ctx)
		} else {
			err = w.runTogether(ctx)
		}
	}
	if err != nil {
		if !dblock.IsInterruption(err) {
			err = errors.Join(err, w.admit(ctx))
		}
		return fmt.Errorf("migrateimmudb: %w", err)
	}
	return nil
}

// work is a migration being run.
type work struct {
	*Immudb
	*migration
	lock      *dblock.Lock // nil if the caller did not take it
	state     state        // when it began
	announced bool         // by this process since it took the lock
}

// inTx runs these statements in one transaction. If the migration was announced, the
// version table shows whether the transaction was committed.
func (w *work) inTx(statements ...sqltext.Statement) dblock.Work {
	return dblock.Work{
		DB: w.db, Lock: w.lock, Idempotent: w.announced,
		ChangesCatalog: slices.ContainsFunc(statements, func(st sqltext.Statement) bool { return st.Kind.ChangesCatalog() }),
	}
}

// runTogether runs the migration as one transaction, which also clears the dirty
// flag.
func (w *work) runTogether(ctx context.Context) error {
	err := w.inTx(w.statements...).Run(ctx, func(tx *sql.Tx) error {
		if w.announced {
			now, err := w.read(ctx, tx)
			if err != nil || now.announcedBy != w.lock.Owner() {
				return err // committed by a try whose answer was lost
			}
		}
		for i := range w.statements {
			if err := w.exec(ctx, tx, i, 0); err != nil {
				return err
			}
		}
		if w.announced {
			return w.write(ctx, tx, state{version: w.state.version})
		}
		return nil
	})
	if errors.Is(err, immudb.ErrTooManyEntries) {
		err = fmt.Errorf("%w; split the migration, or set x-multi-statement=true to make each statement a transaction of its own", err)
	}
	return err
}

// runApart runs the statements one after the other. If it stops after the first one, a
// person must decide how to continue, so the announcement ends before it.
func (w *work) runApart(ctx context.Context) error {
	if err := w.progress(ctx, 0); err != nil {
		return err
	}
	for i := range w.statements {
		var err error
		if standsAlone(&w.statements[i]) {
			err = w.runAlone(ctx, i)
		} else {
			err = w.runOne(ctx, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *work) runOne(ctx context.Context, i int) error {
	return w.inTx(w.statements[i]).Run(ctx, func(tx *sql.Tx) error {
		if w.announced {
			now, err := w.read(ctx, tx)
			if err != nil || now.statements > i {
				return err // committed by a try whose answer was lost
			}
		}
		if err := w.exec(ctx, tx, i, i); err != nil || !w.announced {
			return err
		}
		return w.write(ctx, tx, w.stopped(i+1))
	})
}

// runAlone runs a statement that cannot run in a transaction. It checks before it that the
// lock is held.
func (w *work) runAlone(ctx context.Context, i int) error {
	if w.lock != nil {
		if err := w.lock.Renew(ctx); err != nil {
			return err
		}
	}
	if err := w.exec(ctx, w.db, i, i); err != nil {
		return err
	}
	return w.progress(ctx, i+1)
}

// stopped is the state to store for a migration that runs statement by statement and has
// committed n of them.
func (w *work) stopped(n int) state {
	return state{version: w.state.version, dirty: true, previous: w.state.previous, statements: n}
}

// progress stores that n statements are committed.
func (w *work) progress(ctx context.Context, n int) error {
	if !w.announced {
		return nil
	}
	return w.inTx().Run(ctx, func(tx *sql.Tx) error {
		return w.write(ctx, tx, w.stopped(n))
	})
}

// admit ends the announcement of a failed migration, so that the next process does not
// treat it as one that was never begun.
func (w *work) admit(ctx context.Context) error {
	if !w.announced {
		return nil
	}
	err := w.inTx().Run(ctx, func(tx *sql.Tx) error {
		now, err := w.read(ctx, tx)
		if err != nil || now.announcedBy != w.lock.Owner() {
			return err
		}
		return w.write(ctx, tx, w.stopped(0))
	})
	if err != nil {
		return fmt.Errorf("noting that the migration failed: %w", err)
	}
	return nil
}

// exec runs statement i. committed is the number of committed statements before it.
func (w *work) exec(ctx context.Context, q querier, i, committed int) error {
	if w.cfg.StatementTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.cfg.StatementTimeout)
		defer cancel()
	}
	_, err := q.ExecContext(ctx, w.statements[i].Text)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than x-statement-timeout (%v): %w", w.cfg.StatementTimeout, err)
	}
	return &StatementError{Statement: i + 1, Statements: len(w.statements), Line: w.lines[i], Committed: committed, Err: err}
}
