package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
)

// Raw runs f on the driver's connection beneath conn, also if the sql.DB goes
// through a package that wraps drivers (for tracing, logging or hooks). It makes no
// call to the server. f runs once, must not keep its argument, and must not use conn.
// If f returns an error that matches driver.ErrBadConn, conn is closed.
//
//	err := immudb.Raw(ctx, conn, func(c *immudb.Conn) error {
//		fmt.Println(c.SessionTokens().ServerUUID)
//		return nil
//	})
//
// Raw finds the connection through a method Unwrap, Raw, WrappedConn or RawConn of
// the wrapper, or else by a Ping or an empty Exec that goes through the wrapper and
// that the driver answers by running f. A sql.DB of another driver gets such a Ping
// and Exec too, before Raw returns an error.
func Raw(ctx context.Context, conn *sql.Conn, f func(c *Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a := &ask{f: f}
	var outer any
	err := conn.Raw(func(dc any) error {
		outer = dc
		if own := beneath(dc); own != nil {
			return a.answer(own)
		}
		return nil
	})
	if a.answered || err != nil {
		return err
	}
	// Some wrappers report a connection as bad once its context has ended.
	asking := context.WithValue(context.WithoutCancel(ctx), askKey{}, a)
	err = conn.PingContext(asking)
	if !a.answered && !errors.Is(err, driver.ErrBadConn) {
		_, err = conn.ExecContext(asking, "") // the wrapper has no Ping
	}
	switch {
	case !a.answered && errors.Is(err, driver.ErrBadConn):
		return err
	case !a.answered:
		return unsupported(fmt.Sprintf("this needs a sql.DB of this driver, and its conns are %T, beneath which there is none", outer))
	case errors.Is(a.err, driver.ErrBadConn) && !errors.Is(err, driver.ErrBadConn):
		// The wrapper has changed the error. database/sql must still learn it.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return a.err
}

type askKey struct{}

// ask is a question of [Raw] on its way through a wrapper to the driver's connection.
type ask struct {
	f        func(c *Conn) error
	answered bool
	err      error // of f
}

// askOf returns the question that ctx carries, or nil.
func askOf(ctx context.Context) *ask {
	a, _ := ctx.Value(askKey{}).(*ask)
	return a
}

// answer runs f. A wrapper that makes its call again gets the first result.
func (a *ask) answer(c *Conn) error {
	if !a.answered {
		a.answered = true
		a.err = a.f(c)
	}
	return a.err
}

// own is how a struct that embeds *Conn is known: embedding promotes the method.
func (c *Conn) own() *Conn { return c }

// maxWrappers bounds how many wrappers are looked through.
const maxWrappers = 16

// beneath returns the connection that dc is or wraps, as far as its methods tell, or
// nil.
func beneath(dc any) *Conn {
	for range maxWrappers {
		if c, ok := dc.(interface{ own() *Conn }); ok {
			return c.own()
		}
		dc = unwrapped(dc)
		if dc == nil {
			return nil
		}
	}
	return nil
}

// unwrapped returns what the first of the usual methods of a wrapper returns, or nil.
func unwrapped(dc any) any {
	v := reflect.ValueOf(dc)
	for _, name := range []string{"Unwrap", "Raw", "WrappedConn", "RawConn"} {
		m := v.MethodByName(name)
		if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() == 0 {
			continue
		}
		out := m.Call(nil)[0]
		switch out.Kind() {
		case reflect.Interface, reflect.Pointer:
			if !out.IsNil() {
				return out.Interface()
			}
		case reflect.Struct:
			return out.Interface()
		}
	}
	return nil
}
