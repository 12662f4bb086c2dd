package sql_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"authbridge/internal/pgtest"
)

func TestZZBench(t *testing.T) {
	db := pgtest.New(t, "authserver_web")
	owner := connect(t, db.OwnerURL)
	exec(t, owner, `
	insert into auth.login_names (name, kind) select 'u'||i, 'user' from generate_series(1,2000) i;
	insert into auth.users (identifier, full_name, password_hash) select 'u'||i, 'U', '$y$'||i from generate_series(1,2000) i;
	insert into auth.domains (name) values ('example.com');
	insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d;
	update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
	insert into auth.groups (name) values ('a'), ('b');
	insert into auth.group_members (user_id, group_id) select u.id, g.id from auth.users u, auth.groups g;
	insert into auth.permissions (permission_name, name) values ('imap',''),('smtp','');
	insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p;
	insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, last_used_at)
	select substr('0000'||u.identifier||'0', length(u.identifier)) , u.id, sha256('x'), '$6$'||repeat('x',100), '{docker}', now() from auth.users u where u.identifier ~ '^u[0-9]{3}$' limit 0;
	insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, last_used_at)
	select lpad(replace(u.identifier,'u',''), 6, '0'), u.id, sha256('x'), '$6$'||repeat('x',100), '{docker}', now() from auth.users u;
	analyze`)
	conn := connect(t, db.URL)
	var pid int
	conn.QueryRow(t.Context(), `select pg_backend_pid()`).Scan(&pid)
	cpu := func() int {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		f := strings.Fields(string(b[strings.LastIndex(string(b), ")")+1:]))
		u, _ := strconv.Atoi(f[11])
		s, _ := strconv.Atoi(f[12])
		return u + s
	}
	run := func(name, call string) {
		for range 3 {
			start := cpu()
			exec(t, conn, `do $$ declare r record; begin for i in 1..20000 loop select * into r from `+call+`; if r.outcome <> 'ok' then raise '%', r; end if; end loop; end $$`)
			t.Logf("%s: %.1f us", name, float64(cpu()-start)*10000/20000)
		}
	}
	run("app password", `api.begin_login('u7@example.com', 'docker', '192.0.2.1', '000007', sha256('x'), null, null)`)
	exec(t, owner, `insert into auth.docker_registries (client_id, name, domain_id) select 'one', 'one', d.id from auth.domains d;
	insert into auth.docker_refresh_tokens (secret_hash, registry_id, user_id, app_password_id, client_id) select sha256('t'), r.id, u.id, '000007', 'docker' from auth.docker_registries r, auth.users u where u.identifier='u7'`)
	run("refresh", `api.use_docker_refresh_token(sha256('t'), 'one', '192.0.2.1')`)
	run("known hash", `api.begin_login('u7@example.com', 'docker', '192.0.2.1', null, null, sha256('y'), sha256('$y$7'))`)
}
