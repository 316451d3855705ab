package main

import (
	"regexp"
	"strings"
	"testing"
)

// The collector has received the spans of both packages, each below the call that made it, and the metrics are there.
func TestTheTracesAndMetricsTellWhatHasHappened(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), "", "", &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^POST /accounts +[\d.]+ ms  example\n[├└]─ (.|\n)*?─ BATCH observed_accounts +[\d.]+ ms  immudbotel$`,
		// The commit that conflicts, and the transaction again.
		`(?m)^POST /transfers (.|\n)*  immudbotel  error 40001\n(├─ .*\n|│  .*\n)*├─ sql\.conn\.begin_tx .*  otelsql\n(├─ .*\n|│  .*\n)*└─ sql\.tx\.commit .*  otelsql\n\n`,
		`(?m)^├─ sql\.conn\.query .*  otelsql\n│  └─ SELECT .*  immudbotel$`,
		`(?m)^POST /deposits .*\n└─ sql\.conn\.exec .*\n   └─ UPDATE .*  immudbotel$`,
		`(?m)^POST /accounts/1 .*\n└─ sql\.conn\.exec .*\n   └─ INSERT .*  immudbotel  error 23505$`,
		`(?m)^  immudb_conflicts_total\{.*\} [1-9]\d*$`,
		`(?m)^  immudb_sessions_opened_total\{.*\} 1$`,
		`(?m)^  db_client_operation_duration_seconds_count\{db_operation_name="INSERT",.*error_type="23505"\} 1$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the output lacks %s", want)
		}
	}
	if t.Failed() || strings.Contains(out.String(), "immudb:immudb") {
		t.Error(out.String())
	}
}

func TestARunWithoutAServerFails(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), "immudb://u:secret@127.0.0.1:1/x?sslmode=disable", "", &out)
	if err == nil || strings.Contains(err.Error(), "secret") || out.Len() > 0 {
		t.Errorf("%v\n%s", err, &out)
	}
}
