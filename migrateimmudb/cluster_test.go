package migrateimmudb_test

const runnerVariable = "MIGRATEIMMUDB_RUNNER"

func runner() int { return 0 }
