// Package wraptest runs the driver behind the packages that wrap database/sql drivers,
// for tracing, logging, hooks and tests, and writes docs/wrappers.md.
package wraptest
