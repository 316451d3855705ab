// Package faulttest runs every kind of work during every kind of fault between the driver and a real server, and compares
// the results that the callers got with the rows in the database afterwards.
//
// A [Stage] is a server in a child process, a link to it that can fail, and a sql.DB for each [Workload]. Play starts the
// workers of the workloads, injects a [Fault], waits until every worker has succeeded again, stops the workers and judges.
// The result is a [Cell] for each workload. The package uses only exported identifiers of the driver.
//
// Planted faults test the judges: a driver that runs a write twice, loses a write, returns an old result of a query, and so
// on. See plant.go.
package faulttest
