package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// watch keeps what the driver logs as errors: what an operator must see.
type watch struct {
	mu      sync.Mutex
	records []string
}

func (w *watch) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (w *watch) WithAttrs([]slog.Attr) slog.Handler               { return w }
func (w *watch) WithGroup(string) slog.Handler                    { return w }

func (w *watch) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, text)
	return nil
}

// await waits until an error with the words is logged, and returns it.
func (w *watch) await(ctx context.Context, words string) (record string, err error) {
	err = await(ctx, "the driver logs an error about a "+words, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		at := slices.IndexFunc(w.records, func(r string) bool { return strings.Contains(r, words) })
		if at < 0 {
			return errors.New("it has not")
		}
		record = w.records[at]
		return nil
	})
	return record, err
}
