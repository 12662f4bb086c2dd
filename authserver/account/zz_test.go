package account
import ("testing";"authbridge/internal/pgtest")
func BenchmarkZZ(b *testing.B) {
	db := pgtest.New(b, "authserver_web")
	seedThousand(b, db)
	app := addAppPassword(b, db, "user500")
	sum := app.SHA256()
	conn, _ := db.Owner.Acquire(b.Context())
	defer conn.Release()
	for name, q := range map[string]string{
		"0one": "select 1 where $1<>'' and $2::bytea is not null",
		"1parse": "select local_part from auth.parse_address('user500@example.com') where $1<>'' and $2::bytea is not null",
		"2alias": "select alias_id from auth.find_alias('user500@example.com') where $1<>'' and $2::bytea is not null",
		"3owner": "select user_id from auth.find_owner('user500@example.com') where $1<>'' and $2::bytea is not null",
		"4groups": "select auth.group_names(id) from auth.users where identifier='user500' and $1<>'' and $2::bytea is not null",
		"5perms": "select array(select distinct n.permission_name from auth.permission_names(id) n order by 1) from auth.users where identifier='user500' and $1<>'' and $2::bytea is not null",
		"6begin": "select outcome, permissions, groups from api.begin_login('user500@example.com', 'imap', '192.0.2.7', $1, $2, null, null)",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := conn.Exec(b.Context(), q, app.ID(), sum[:]); err != nil { b.Fatal(err) }
			}
		})
	}
}
