// Package libpq reads settings as PostgreSQL's libpq does: hosts and ports, files of
// passwords, and what pgx's pgconn makes of TLS options. Nothing is taken from the
// environment, the home directory or the operating system's user.
package libpq
