// Package oracle compares package sqltext and its subpackages with the server's SQL
// parser. It is a separate module, so that users of the driver do not download the
// server.
package oracle
