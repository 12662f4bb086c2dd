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
	exited := make(chan int, 1)
	var stdout, stderr bytes.Buffer
	go func() {
		args := []string{"--database", db.URL, "user", "edit", "alice", "--set-fullname", "Somebody Else"}
		exited <- command.Run(ctx, app(), args, strings.NewReader(""), &stdout, &stderr)
	}()
	super := connect(t, db.SuperURL) // others do not see what a session waits for
	waiting := func() (n int) {
		t.Helper()
		if err := super.QueryRow(t.Context(), `
			select count(*) from pg_stat_activity a
			 where a.usename = 'authserver_admin' and a.datname = current_database() and a.wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for tries := 0; waiting() == 0; tries++ {
		if tries == 1000 {
			t.Fatal("the command does not wait")
		}
		if _, err := super.Exec(t.Context(), `select pg_sleep(0.01)`); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	if code := <-exited; code != command.Failed || stderr.String() != "authserver: interrupted\n" {
		t.Errorf("exit %d, %q", code, stderr.String())
	}
	if n := waiting(); n != 0 {
		t.Errorf("%d statements go on", n)
	}
}
