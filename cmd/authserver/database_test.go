package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"authbridge/internal/command"
	"authbridge/internal/pgtest"
)

// Ctrl-C takes back what the database is at: a statement that went on alone
// would be done after the operator was told that it was not.
func TestInterruptCancelsTheStatement(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	arrangeUsers(t, db, "alice")

	// Somebody else holds the row, so that the command waits.
	tx, err := db.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `select from auth.users u where u.identifier = 'alice' for update`); err != nil {
		t.Fatal(err)
	}

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	exited := make(chan int)
	var stdout, stderr bytes.Buffer
	go func() {
		args := []string{"--database", db.URL, "user", "edit", "alice", "--set-fullname", "Somebody Else"}
		exited <- command.Run(ctx, app(), args, strings.NewReader(""), &stdout, &stderr)
	}()
	const waiting = `select count(*) from pg_stat_activity a where a.usename = 'authserver_admin' and a.datname = current_database() and a.wait_event_type = 'Lock'`
	for number(t, db, waiting) == 0 {
		execute(t, db, `select pg_sleep(0.01)`)
	}
	interrupt()
	if code := <-exited; code != command.Failed || stderr.String() != "authserver: interrupted\n" {
		t.Errorf("exit %d, %q", code, stderr.String())
	}
	if n := number(t, db, waiting); n != 0 {
		t.Errorf("%d statements go on", n)
	}
}
