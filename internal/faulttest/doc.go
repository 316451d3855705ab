// Package faulttest runs every kind of work through every kind of fault between the driver and a real server, and
// judges what the callers were told by what is in the database afterwards.
//
// A [Stage] is a server in a child process, a link to it that can fail, and a sql.DB for each [Workload]. Play has
// the workers of the workloads work, injects a [Fault], waits until every worker has succeeded again, stops them and
// judges: that is a [Cell] for each workload. The package uses nothing of the driver but what it exports.
//
// Whether the judges notice anything is tested with planted faults: a driver that runs a write twice, loses one,
// answers a query with what it answered before, and so on. See plant.go.
package faulttest
