package session

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestStreamContextHasTheValuesOfBothAndTheDeadlineOfTheCaller(t *testing.T) {
	type key string
	caller, cancel := context.WithTimeout(context.WithValue(t.Context(), key("caller"), 1), time.Hour)
	defer cancel()
	ctx := newStreamContext(caller, context.WithValue(t.Context(), key("tokens"), 2))
	if ctx.Value(key("caller")) != 1 || ctx.Value(key("tokens")) != 2 {
		t.Errorf("values: %v, %v", ctx.Value(key("caller")), ctx.Value(key("tokens")))
	}
	want, _ := caller.Deadline()
	if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
		t.Errorf("deadline: %v, want %v", got, want)
	}
}

func TestStreamContextEndsOnceWithItsDerivedContexts(t *testing.T) {
	passed := func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }
	for name, test := range map[string]struct {
		caller func(context.Context) (context.Context, context.CancelFunc)
		end    func(cancelStream, cancelCaller func())
		want   error
	}{
		"by cancel":                         {passed, func(stream, _ func()) { stream() }, context.Canceled},
		"by cancel, of a caller that could": {context.WithCancel, func(stream, _ func()) { stream() }, context.Canceled},
		"by its caller":                     {context.WithCancel, func(_, caller func()) { caller() }, context.Canceled},
		"by its caller's deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, func(_, _ func()) { time.Sleep(time.Second) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				caller, cancelCaller := test.caller(context.Background())
				defer cancelCaller()
				ctx := newStreamContext(caller, context.Background())
				first, cancelFirst := context.WithCancel(ctx)
				second, cancelSecond := context.WithCancel(ctx)
				third, cancelThird := context.WithCancel(ctx)
				defer cancelFirst()
				defer cancelThird()
				cancelSecond() // the others must not go with it
				var done atomic.Int32
				context.AfterFunc(ctx, func() { done.Add(1) })
				stop := context.AfterFunc(ctx, func() { done.Add(100) })
				if !stop() || stop() {
					t.Error("stop did not return true the first time only")
				}
				synctest.Wait()
				if err := errors.Join(ctx.Err(), first.Err(), third.Err()); err != nil {
					t.Fatalf("ended before its end: %v", err)
				}

				test.end(ctx.Cancel, cancelCaller)
				synctest.Wait()
				ctx.Cancel()
				cancelCaller()
				synctest.Wait()
				for _, c := range []context.Context{ctx, first, third} {
					<-c.Done()
					if c.Err() != test.want {
						t.Errorf("ended with %v, want %v", c.Err(), test.want)
					}
				}
				if second.Err() != context.Canceled {
					t.Errorf("the one cancelled before ended with %v", second.Err())
				}
				if n := done.Load(); n != 1 {
					t.Errorf("sum of the functions called at the end: %d, want 1: one call, and none of the stopped function", n)
				}
				late, cancelLate := context.WithCancel(ctx)
				defer cancelLate()
				synctest.Wait()
				if late.Err() != test.want {
					t.Errorf("one made after the end: %v, want %v", late.Err(), test.want)
				}
			})
		})
	}
}

func TestStreamContextOfAnEndedCallerHasEnded(t *testing.T) {
	caller, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newStreamContext(caller, t.Context()).Err(); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestSecondStopDoesNotStopAnotherFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := newStreamContext(context.Background(), context.Background())
		stop := context.AfterFunc(ctx, func() {})
		stop()
		done := false
		context.AfterFunc(ctx, func() { done = true })
		stop()
		ctx.Cancel()
		synctest.Wait()
		if !done {
			t.Error("the function was not called at the end")
		}
	})
}

// newStreamContext begins a StreamContext.
func newStreamContext(ctx, md context.Context) *StreamContext {
	s := new(StreamContext)
	s.begin(ctx, md)
	return s
}
