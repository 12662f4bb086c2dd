package account

import (
	"context"
	"net/netip"
	"testing"

	"authbridge/internal/pgtest"
)

func arrange(t testing.TB, db pgtest.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

func addAppPassword(t testing.TB, db pgtest.DB, identifier string) AppPassword {
	t.Helper()
	app := NewAppPassword()
	sum := app.SHA256()
	arrange(t, db, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash)
		select $1, u.id, $2, '$6$x' from auth.users u where u.identifier = $3`, app.ID(), sum[:], identifier)
	return app
}

func seedThousand(b *testing.B, db pgtest.DB) {
	arrange(b, db, `insert into auth.domains (name) values ('example.com')`)
	arrange(b, db, `insert into auth.login_names (name, kind) select 'user' || n, 'user' from generate_series(1, 1000) n`)
	arrange(b, db, `insert into auth.users (identifier, full_name) select name, name from auth.login_names`)
	arrange(b, db, `insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d`)
	arrange(b, db, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`)
	arrange(b, db, `insert into auth.groups (name) select 'group' || n from generate_series(1, 10) n`)
	arrange(b, db, `insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where (hashtext(u.identifier) + g.id) % 3 = 0`)
	arrange(b, db, `insert into auth.permissions (permission_name, name) select 'p' || n, '' from generate_series(1, 20) n`)
	arrange(b, db, `insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p where (g.id + p.id) % 3 = 0`)
	arrange(b, db, `insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.permissions p, auth.users u where (hashtext(u.identifier) + p.id) % 10 = 0`)
	arrange(b, db, `analyze auth.domains, auth.users, auth.aliases, auth.groups, auth.group_members, auth.permissions, auth.group_permissions, auth.user_permissions, auth.login_names`)
}

// What an app password costs on one connection, with the way there and back.
func BenchmarkVerifyAppPassword(b *testing.B) {
	db := pgtest.New(b, "authserver_web")
	seedThousand(b, db)
	conn, err := db.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	v := &Verifier{DB: conn}
	login := Login{Name: "user500@example.com", Password: addAppPassword(b, db, "user500").Text(), Service: "imap", Client: netip.MustParseAddr("192.0.2.7")}
	for b.Loop() {
		if _, err := v.Verify(b.Context(), login); err != nil {
			b.Fatal(err)
		}
	}
}
