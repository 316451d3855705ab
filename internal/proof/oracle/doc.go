// Package oracle holds the tests of package proof against the server's own store, trees and SQL
// engine. It is a module of its own so that users of the driver do not download the server.
package oracle
