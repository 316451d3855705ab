// Package goosetest runs the tests that goose has of its provider with the store and the
// locker of gooseimmudb.
package goosetest
