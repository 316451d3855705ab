// Package oracle holds the tests of the packages beside it against the server's own
// SQL parser. It is a module of its own so that nobody who uses the driver downloads
// the server.
package oracle
