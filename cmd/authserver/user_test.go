package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"testing"

	"authbridge/authserver/account"
	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

// racers is how many do the same at once.
const racers = 64

// race runs f by racers at once, each on a connection of its own, and counts
// what they return.
func race(t *testing.T, db pgtest.DB, f func(ctx context.Context, conn *pgx.Conn, i int) (string, error)) map[string]int {
	t.Helper()
	conns := make([]*pgx.Conn, racers)
	for i := range conns {
		conns[i] = connect(t, db.URL)
	}
	start := make(chan struct{})
	results := make([]string, racers)
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Go(func() {
			<-start
			result, err := f(t.Context(), conn, i)
			if err != nil {
				result = err.Error()
			}
			results[i] = result
		})
	}
	close(start)
	wg.Wait()

	count := map[string]int{}
	for _, result := range results {
		count[result]++
	}
	return count
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// execute runs a statement as the owner.
func execute(t *testing.T, db pgtest.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Owner.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// number returns what a query of the owner counts.
func number(t *testing.T, db pgtest.DB, query string) int {
	t.Helper()
	var n int
	if err := db.Owner.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// arrangeUsers makes the domain example.com, and users without mailboxes.
func arrangeUsers(t *testing.T, db pgtest.DB, identifiers ...string) map[string]listedUser {
	t.Helper()
	execute(t, db, `insert into auth.domains (name) values ('example.com')`)
	conn := connect(t, db.URL)
	users := map[string]listedUser{}
	for _, identifier := range identifiers {
		if err := createUser(t.Context(), conn, identifier, "Somebody", nil, false); err != nil {
			t.Fatal(err)
		}
		user, err := oneUser(t.Context(), conn, identifier)
		if err != nil {
			t.Fatal(err)
		}
		users[identifier] = user
	}
	return users
}

// giveMailboxes gives every user the mailbox identifier@example.com.
func giveMailboxes(t *testing.T, db pgtest.DB) {
	t.Helper()
	execute(t, db, `insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.domains d, auth.users u`)
	execute(t, db, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`)
}

func hashHex(a account.AppPassword) string {
	hash := a.SHA256()
	return hex.EncodeToString(hash[:])
}

// Users and service users share one namespace: of all who want a name at
// once, one gets it, and the others are told.
func TestLoginNameRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	users := arrangeUsers(t, db, "alice")
	giveMailboxes(t, db)
	name := "wanted"
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		if i%2 == 0 {
			return "made", createUser(ctx, conn, name, "Racer", nil, false)
		}
		_, err := createServiceUser(ctx, conn, users["alice"], &name, "", newCredential{generate: true})
		return "made", err
	})
	asUser := map[string]int{"made": 1, `user "wanted" already exists`: racers/2 - 1, `"wanted" is the identifier of a user`: racers / 2}
	asService := map[string]int{"made": 1, `service user "wanted" already exists`: racers/2 - 1, `"wanted" is the name of a service user`: racers / 2}
	if !maps.Equal(count, asUser) && !maps.Equal(count, asService) {
		t.Errorf("%v, want %v or %v", count, asUser, asService)
	}
	// Who lost left nothing behind.
	if n := number(t, db, `select count(*) from auth.login_names`); n != 2 {
		t.Errorf("%d names, want 2", n)
	}
	if passwords, bound := number(t, db, `select count(*) from auth.app_passwords`), number(t, db, `select count(*) from auth.service_users`); passwords != bound {
		t.Errorf("%d app passwords of %d service users", passwords, bound)
	}
}

// Many users want to be renamed to the same.
func TestRenameUserRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	var identifiers []string
	for i := range racers {
		identifiers = append(identifiers, fmt.Sprintf("user%d", i))
	}
	users := arrangeUsers(t, db, identifiers...)
	name := "wanted"
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		return "renamed", editUsers(ctx, conn, []listedUser{users[identifiers[i]]}, userChange{identifier: &name})
	})
	want := map[string]int{"renamed": 1, `user "wanted" already exists`: racers - 1}
	if !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	if n := number(t, db, `select count(*) from auth.login_names n join auth.users u on u.identifier = n.name`); n != racers {
		t.Errorf("%d users with names, want %d", n, racers)
	}
}

// Many give one service user a new password: all can, and the last one's is
// the only one left.
func TestServiceUserPasswordRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	users := arrangeUsers(t, db, "alice")
	giveMailboxes(t, db)
	name := "printer"
	made, err := createServiceUser(t.Context(), connect(t, db.URL), users["alice"], &name, "", newCredential{generate: true})
	if err != nil {
		t.Fatal(err)
	}
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		_, err := editServiceUsers(ctx, conn, []listedServiceUser{{ID: made.ID, Username: name}}, serviceUserChange{}, newCredential{generate: true})
		return "changed", err
	})
	if want := map[string]int{"changed": racers}; !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	if n := number(t, db, `select count(*) from auth.app_passwords ap where ap.revoked_at is not null`); n != racers {
		t.Errorf("%d app passwords are revoked, want %d", n, racers)
	}
	if n := number(t, db, `select count(*) from auth.service_users s join auth.app_passwords ap on ap.id = s.app_password_id where ap.revoked_at is null`); n != 1 {
		t.Errorf("%d service users with a password, want 1", n)
	}
}

// A user goes while others work on the same user's names and passwords: each is
// done before or refused after, and nobody waits for each other.
func TestRemoveUserRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	users := arrangeUsers(t, db, "alice", "bob")
	giveMailboxes(t, db)
	conn := connect(t, db.URL)
	var services []listedServiceUser
	for i := range 8 {
		name := fmt.Sprintf("service%d", i)
		made, err := createServiceUser(t.Context(), conn, users["alice"], &name, "", newCredential{generate: true})
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, listedServiceUser{ID: made.ID, Username: name})
	}
	alice, bob := users["alice"], users["bob"]
	identifier := "alicia"
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		service := services[i%len(services) : i%len(services)+1]
		var err error
		switch i % 7 {
		case 0:
			_, err = editServiceUsers(ctx, conn, service, serviceUserChange{user: &bob}, newCredential{})
		case 1:
			_, err = editServiceUsers(ctx, conn, service, serviceUserChange{}, newCredential{generate: true})
		case 2:
			_, err = removeServiceUsers(ctx, conn, service, false)
		case 3:
			_, err = createAppPassword(ctx, conn, alice, "", appPasswordLimits{})
		case 4:
			err = editUsers(ctx, conn, []listedUser{alice, bob}, userChange{fullName: &identifier})
		case 5:
			err = editUsers(ctx, conn, []listedUser{alice}, userChange{identifier: &identifier})
		case 6:
			_, err = removeUsers(ctx, conn, []listedUser{alice}, false)
		}
		return "done", err
	})
	delete(count, "done")
	delete(count, "user alice is no longer there; nothing was done")
	for _, s := range services {
		delete(count, "service user "+s.Username+" is no longer there; nothing was done")
	}
	if len(count) > 0 {
		t.Errorf("answers that an operator cannot use: %v", count)
	}
	if n := number(t, db, `select count(*) from auth.users`); n != 1 {
		t.Errorf("%d users are left, want 1", n)
	}
	if names, owners := number(t, db, `select count(*) from auth.login_names`), number(t, db, `select count(*) from auth.service_users`)+1; names != owners {
		t.Errorf("%d names of %d users and service users", names, owners)
	}
}
