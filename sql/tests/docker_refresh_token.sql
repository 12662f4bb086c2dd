-- Refresh tokens of Docker clients: what they are bound to, and every way in
-- which they end. The time of a transaction stands still, so idleness is
-- arranged by moving last_used_at.
select no_plan();

insert into auth.domains (name) values ('example.com');
insert into auth.docker_registries (client_id, name, domain_id) select n, n, d.id from auth.domains d, unnest(array['one', 'two']) n;
insert into auth.login_names (name, kind)
select n, 'user' from unnest(array['alice', 'bob', 'carol', 'nohash']) n union all select n, 'service_user' from unnest(array['svc-hash', 'svc-app']) n;
insert into auth.users (identifier, full_name, password_hash, staff) values
  ('alice', 'Alice', '$y$alice', true), ('bob', 'Bob', '$y$bob', false), ('carol', 'Carol', '$y$carol', false), ('nohash', 'Nohash', null, false);
insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d where u.identifier <> 'nohash';
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
insert into auth.groups (name) values ('b'), ('A');
insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice';
insert into auth.permissions (permission_name, name) values ('imap', '');
insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.users u, auth.permissions p where u.identifier = 'alice';
insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, networks, expires_at, revoked_at, registries, registry_actions)
select n.id, u.id, sha256(n.id::bytea), '$6$x', n.services, n.networks, n.expires_at, n.revoked_at, n.registries, n.actions
  from (values
    ('alice', 'a00000', null::text[], null::cidr[], null::timestamptz, null::timestamptz, null::text[], null::text[]),
    ('alice', 'a0d0ck', array['docker'], '{192.0.2.0/24}', null, null, array['one'], array['pull']),
    ('alice', 'a0svc0', null, null, null, null, null, null),
    ('alice', 'a0mapn', array['imap'], null, null, null, null, null),
    ('alice', 'a0exp0', null, null, now(), null, null, null),
    ('alice', 'a0rev0', null, null, null, now(), null, null),
    ('bob',   'b00000', null, null, null, null, null, null)) n (identifier, id, services, networks, expires_at, revoked_at, registries, actions)
  join auth.users u on u.identifier = n.identifier;
insert into auth.service_users (user_id, username, password_hash, app_password_id)
select u.id, n.username, n.hash, n.app
  from (values ('svc-hash', '$y$svc', null), ('svc-app', null, 'a0svc0')) n (username, hash, app) join auth.users u on u.identifier = 'alice';

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
-- A token that is named after what it is made for.
create function pg_temp.make(p_token text, p_identifier text, p_app text default null, p_hash text default null, p_service_user text default null,
  p_registry text default 'one', p_client_id text default 'docker', p_client inet default '192.0.2.7', p_login text default null) returns text
language sql as $$
  select api.create_docker_refresh_token(sha256(p_token::bytea), p_registry, pg_temp.user_id(p_identifier),
    coalesce(p_login, p_service_user, p_identifier || '@example.com'), p_service_user, p_app, sha256(coalesce(p_hash, p_app)::bytea), p_client_id, p_client)
$$;
-- Its outcome, or why not.
create function pg_temp.use(p_token text, p_registry text default 'one', p_client inet default '192.0.2.7') returns text
language sql as $$
  select coalesce(regexp_replace(u.reason, '^refresh token [0-9]+: ', ''), u.outcome) from api.use_docker_refresh_token(sha256(p_token::bytea), p_registry, p_client) u
$$;
create function pg_temp.id(p_token text) returns bigint
language sql as $$ select t.id from auth.docker_refresh_tokens t where t.secret_hash = sha256(p_token::bytea) $$;
create function pg_temp.status(p_token text) returns text
language sql as $$ select concat_ws(': ', f.status, f.reason) from api.find_docker_refresh_tokens(array[pg_temp.id(p_token)], null, null) f $$;
create function pg_temp.tokens() returns bigint
language sql as $$ select count(*) from auth.docker_refresh_tokens $$;
create function pg_temp.recorded() returns text
language sql as $$ select a.action || ' ' || a.object from auth.audit a order by a.id desc limit 1 $$;

-- Making: who has just logged in, and with what.
select is(pg_temp.make('hash', 'alice', p_hash => '$y$alice'), 'ok', 'by a password');
select is((select (a.action, a.object, a.after ->> 'client_id', a.after ? 'secret_hash', a.after ? 'password_sha256')::text from auth.audit a order by a.id desc limit 1),
  '(docker_refresh_token.create,alice,docker,f,f)', 'which is recorded, without hashes');
select is(pg_temp.make('app', 'alice', 'a00000'), 'ok', 'by an app password');
select is(pg_temp.make('limited', 'alice', 'a0d0ck'), 'ok', 'by a limited one');
select is(pg_temp.make('svc-hash', 'alice', p_hash => '$y$svc', p_service_user => 'svc-hash'), 'ok', 'by a service user''s');
select is(pg_temp.make('svc-app', 'alice', 'a0svc0', p_service_user => 'svc-app', p_client => null), 'ok', 'by its app password, from nobody knows where');
select is(pg_temp.make('own-svc', 'alice', 'a0svc0'), 'ok', 'which is good for the user''s own name, too');
select is(pg_temp.make('bob', 'bob', p_hash => '$y$bob', p_client_id => ''), 'ok', 'a program without a name');
select is(pg_temp.make('x', n.identifier, n.app, n.hash, n.service_user, n.registry), 'gone', n.why)
  from (values
    ('alice', null, '$y$old', null, 'one', 'a password that is no longer the user''s'),
    ('alice', null, '$y$bob', null, 'one', 'another user''s password'),
    ('alice', null, '$y$svc', null, 'one', 'a service user''s password for the user'),
    ('alice', null, '$y$alice', 'svc-hash', 'one', 'the user''s password for a service user'),
    ('alice', null, '$y$svc', 'svc-app', 'one', 'a password for one that has an app password'),
    ('alice', null, '$y$svc', 'nothing', 'one', 'a service user that is gone'),
    ('bob', null, '$y$svc', 'svc-hash', 'one', 'a service user that is another''s now'),
    ('nohash', null, '$y$alice', null, 'one', 'a user without a password'),
    ('nohash', null, null, null, 'one', 'null is not the password of one who has none'),
    ('alice', null, null, null, 'one', 'nothing is no password'),
    ('nobody', null, '$y$alice', null, 'one', 'nobody'),
    ('nobody', 'a00000', null, null, 'one', 'nobody with an app password'),
    ('alice', 'b00000', null, null, 'one', 'another user''s app password'),
    ('alice', 'a00000', null, 'svc-app', 'one', 'an app password that is not the service user''s'),
    ('alice', 'a0mapn', null, null, 'one', 'one for another service'),
    ('alice', 'a0exp0', null, null, 'one', 'one that has expired'),
    ('alice', 'a0rev0', null, null, 'one', 'one that was revoked'),
    ('alice', 'zzzzzz', null, null, 'one', 'one that is gone'),
    ('alice', 'zzzzzz', '$y$alice', null, 'one', 'though the password is right'),
    ('alice', 'a00000', 'b00000', null, 'one', 'the secret of another app password')) n (identifier, app, hash, service_user, registry, why);
select is(pg_temp.make('x', 'alice', p_hash => '$y$alice', p_registry => n), 'no_registry', 'a registry that is not there') from unnest(array['three', null]) n;
select is(pg_temp.make('x', 'alice', p_hash => '$y$alice', p_login => n), 'gone', 'a login that is not this user''s') from unnest(array['bob@example.com', 'nobody', '']) n;
select is(api.create_docker_refresh_token(sha256('x'), 'one', pg_temp.user_id('alice'), null, null, null, sha256('$y$alice'), '', null), 'gone', 'no login');
select is(api.create_docker_refresh_token(sha256('x'), 'one', pg_temp.user_id('alice'), 'alice', null, 'a00000', null, '', null), 'gone', 'an app password without its secret');
update auth.users u set active = false where u.identifier = 'carol';
select is(pg_temp.make('x', 'carol', p_hash => '$y$carol'), 'gone', 'an inactive user');
select is(pg_temp.tokens(), 7::bigint, 'none of which is there');
select throws_ok($$ select pg_temp.make('hash', 'bob', p_hash => '$y$bob') $$, '23505', null, 'a token is made once');
select throws_ok($$ select pg_temp.make('x', 'alice', 'a00000', p_client_id => E'a\nb') $$, '23514', null, 'a program with a line break in its name');
select throws_ok($$ select pg_temp.make('x', 'alice', 'a00000', p_client_id => repeat('a', 256)) $$, '23514', null, 'one with too long a name');
select throws_ok($$ select api.create_docker_refresh_token('x', 'one', pg_temp.user_id('alice'), 'alice', null, 'a00000', sha256('a00000'), '', null) $$, '23514', null, 'the token itself instead of its hash');
select throws_ok($$ insert into auth.docker_refresh_tokens (secret_hash, registry_id, user_id, login, client_id) select sha256('x'), t.registry_id, t.user_id, '', '' from auth.docker_refresh_tokens t limit 1 $$,
  '23514', null, 'one that nothing can end');
select throws_ok($$ insert into auth.docker_refresh_tokens (secret_hash, registry_id, user_id, login, client_id, password_sha256) select sha256('x'), t.registry_id, t.user_id, '', '', 'x' from auth.docker_refresh_tokens t limit 1 $$,
  '23514', null, 'one that is bound to no hash');

-- Using.
select results_eq(
  $$ select u.outcome, u.reason, u.user_id = pg_temp.user_id('alice'), u.identifier, u.groups, u.registry_actions
       from unnest(array['hash', 'limited', 'svc-hash', 'svc-app']) n, lateral api.use_docker_refresh_token(sha256(n::bytea), 'one', '192.0.2.7') u $$,
  $$ values ('ok', null, true, 'alice', '{A,b}'::text[], null::text[]),
            ('ok', null, true, 'alice', '{A,b}', '{pull}'),
            ('ok', null, true, 'alice', '{A,b}', null),
            ('ok', null, true, 'alice', '{A,b}', null) $$, 'who it is, as of now, and within which limits');
select is(array(select distinct pg_temp.use('app') from generate_series(1, 3)), array['ok'], 'again and again');
select is(pg_temp.use('nothing'), 'unknown refresh token', 'a token that is not there');
select is(pg_temp.use(null), 'unknown refresh token', 'null is none');
select is(pg_temp.use('hash', 'two'), 'another registry''s', 'at another registry');
select is(pg_temp.use('hash', null), 'another registry''s', 'at none');
select is(pg_temp.use('hash', 'three'), 'another registry''s', 'at one that is not there');
select is(pg_temp.use('limited', p_client => '198.51.100.1'), 'app password a0d0ck is not for this network', 'from another network');
select is(pg_temp.use('limited', p_client => null), 'app password a0d0ck is not for this network', 'from nobody knows where');
select is(pg_temp.use('hash', p_client => null), 'ok', 'which is good enough where no network is asked for');
select is_empty($$
  select from unnest(array['hash', 'nothing']) n, lateral api.use_docker_refresh_token(sha256(n::bytea), 'two', null) u
   where u.outcome <> 'denied' or num_nonnulls(u.user_id, u.identifier, u.groups, u.registry_actions) > 0 $$,
  'nothing is said of those who may not');

-- What ends it. Each is undone, and it is good again: nothing but this was in
-- its way.
create function pg_temp.during(p_change text, p_token text) returns text
language plpgsql as $$
declare
  answer text;
begin
  begin
    execute p_change;
    answer := pg_temp.use(p_token) || '; ' || pg_temp.status(p_token);
    raise exception using errcode = 'XX999', message = coalesce(answer, 'null');
  exception when sqlstate 'XX999' then
    answer := sqlerrm;
  end;
  return answer || '; ' || pg_temp.use(p_token);
end $$;
select is(pg_temp.during(n.change, n.token), n.want, n.token || ': ' || n.change)
  from (values
    ('hash',     'update auth.users set active = false', 'inactive user; void: inactive user; ok'),
    ('app',      'update auth.users set active = false', 'inactive user; void: inactive user; ok'),
    ('svc-hash', 'update auth.users set active = false', 'inactive user; void: inactive user; ok'),
    ('hash',     $$update auth.users set password_hash = '$y$new'$$, 'password changed; void: password changed; ok'),
    ('hash',     'update auth.users set password_hash = null', 'password changed; void: password changed; ok'),
    ('app',      $$update auth.users set password_hash = '$y$new'$$, 'ok; active; ok'),
    ('svc-hash', $$update auth.users set password_hash = '$y$new'$$, 'ok; active; ok'),
    ('svc-hash', $$update auth.service_users set password_hash = '$y$new' where username = 'svc-hash'$$, 'password changed; void: password changed; ok'),
    ('hash',     $$update auth.service_users set password_hash = '$y$new' where username = 'svc-hash'$$, 'ok; active; ok'),
    ('svc-hash', $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), null, null, null, null, 'fresh0', sha256('x'), '$6$x', null, null, null)$$,
                 'password changed; void: password changed; ok'),
    ('svc-app',  $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-app'), null, null, null, '$y$new', null, null, null, null, null, null)$$,
                 'revoked app password a0svc0; void: revoked app password a0svc0; ok'),
    ('own-svc',  $$update auth.service_users set password_hash = '$y$new', app_password_id = null where username = 'svc-app'$$, 'ok; active; ok'),
    ('svc-app',  $$update auth.service_users set password_hash = '$y$new', app_password_id = null where username = 'svc-app'$$,
                 'another login''s app password a0svc0; void: another login''s app password a0svc0; ok'),
    ('svc-hash', $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), null, null, pg_temp.user_id('bob'), null, null, null, null, null, null, null)$$,
                 'another user''s service user; void: another user''s service user; ok'),
    ('svc-app',  $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-app'), null, null, pg_temp.user_id('bob'), null, null, null, null, null, null, null)$$,
                 'another user''s service user; void: another user''s service user; ok'),
    ('own-svc',  $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-app'), null, null, pg_temp.user_id('bob'), null, null, null, null, null, null, null)$$,
                 'another user''s app password a0svc0; void: another user''s app password a0svc0; ok'),
    ('svc-hash', $$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), 'renamed', null, null, null, null, null, null, null, null, null)$$,
                 'no longer this user''s login; void: no longer this user''s login; ok'),
    ('hash',     $$update auth.aliases set blocked = true where local_part = 'alice'$$, 'no longer this user''s login; void: no longer this user''s login; ok'),
    ('app',      $$update auth.aliases set blocked = true where local_part = 'alice'$$, 'no longer this user''s login; void: no longer this user''s login; ok'),
    ('svc-hash', $$update auth.aliases set blocked = true where local_part = 'alice'$$, 'ok; active; ok'),
    ('hash',     $$update auth.aliases set local_part = 'renamed' where local_part = 'alice'$$, 'no longer this user''s login; void: no longer this user''s login; ok'),
    ('limited',  $$update auth.app_passwords set registries = '{two}' where id = 'a0d0ck'$$,
                 'app password a0d0ck is not for this registry; void: app password a0d0ck is not for this registry; ok'),
    ('svc-hash', $$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-hash'), false)$$, 'unknown refresh token; ; ok'),
    ('svc-app',  $$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-app'), false)$$, 'unknown refresh token; ; ok'),
    ('own-svc',  $$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-app'), false)$$, 'unknown refresh token; ; ok'),
    ('app',      $$select api.revoke_app_passwords(array['a00000'])$$, 'revoked app password a00000; void: revoked app password a00000; ok'),
    ('limited',  $$select api.revoke_app_passwords(array['a00000'])$$, 'ok; active; ok'),
    ('app',      $$select api.remove_app_passwords(array['a00000'], false)$$, 'unknown refresh token; ; ok'),
    ('app',      $$select api.remove_app_passwords(array['a00000'], true)$$, 'ok; active; ok'),
    ('app',      'update auth.app_passwords set expires_at = now()', 'expired app password a00000; void: expired app password a00000; ok'),
    ('app',      $$update auth.app_passwords set expires_at = now() + interval '1 s'$$, 'ok; active; ok'),
    ('app',      $$update auth.app_passwords set services = '{imap,smtp}' where id = 'a00000'$$, 'app password a00000 is not for this service; void: app password a00000 is not for this service; ok'),
    ('app',      $$update auth.app_passwords set services = '{imap,docker}' where id = 'a00000'$$, 'ok; active; ok'),
    ('app',      $$update auth.app_passwords set networks = '{198.51.100.0/24}'$$, 'app password a00000 is not for this network; active; ok'),
    ('hash',     $$update auth.app_passwords set networks = '{198.51.100.0/24}'$$, 'ok; active; ok'),
    ('hash',     $$update auth.docker_refresh_tokens set last_used_at = now() - interval '90 days'$$, 'idle for 90 days; idle: idle for 90 days; ok'),
    ('app',      $$update auth.docker_refresh_tokens set last_used_at = now() - interval '90 days'$$, 'idle for 90 days; idle: idle for 90 days; ok'),
    ('hash',     $$update auth.docker_refresh_tokens set created_at = now() - interval '5 years', last_used_at = now() - interval '90 days' + interval '1 s'$$, 'ok; active; ok'),
    ('hash',     $$select api.revoke_docker_refresh_tokens(array[pg_temp.id('hash')], false)$$, 'unknown refresh token; ; ok'),
    ('hash',     $$select api.revoke_docker_refresh_tokens(array[pg_temp.id('app')], false)$$, 'ok; active; ok'),
    ('hash',     $$select api.revoke_docker_refresh_tokens(array[pg_temp.id('hash')], true)$$, 'ok; active; ok'),
    ('hash',     $$select api.remove_docker_registries(array(select id from auth.docker_registries where client_id = 'one'), false)$$, 'unknown refresh token; ; ok'),
    ('hash',     $$select api.remove_docker_registries(array(select id from auth.docker_registries where client_id = 'two'), false)$$, 'ok; active; ok'),
    ('hash',     $$select api.remove_users(array[pg_temp.user_id('alice')], false)$$, 'unknown refresh token; ; ok'),
    ('hash',     $$select api.remove_users(array[pg_temp.user_id('bob')], false)$$, 'ok; active; ok')) n (token, change, want);

-- A password that is hashed anew is the same one.
do $$ begin
  perform api.rehash_password(pg_temp.user_id('alice'), null, '$y$alice', '$y$today');
  perform api.rehash_password(pg_temp.user_id('alice'), 'svc-hash', '$y$svc', '$y$svctoday');
  perform api.rehash_password(pg_temp.user_id('bob'), null, '$y$other', '$y$never');
end $$;
select is(array(select n || ' ' || pg_temp.use(n) from unnest(array['hash', 'svc-hash', 'app', 'bob']) n), array['hash ok', 'svc-hash ok', 'app ok', 'bob ok'], 'nobody has to log in again');
select is((select (t.password_sha256 = sha256('$y$today'))::text from auth.docker_refresh_tokens t where t.id = pg_temp.id('hash')), 'true', 'it goes with the new hash');
select is(pg_temp.make('bob2', 'bob', p_hash => '$y$bob'), 'ok', 'somebody''s second token');
update auth.users u set password_hash = '$y$bobnew' where u.identifier = 'bob';
do $$ begin perform api.rehash_password(pg_temp.user_id('bob'), null, '$y$bobnew', '$y$bobtoday'); end $$;
select is(pg_temp.use('bob'), 'password changed', 'that of a password that was changed before stays void');
select is(pg_temp.make('bob3', 'bob', p_hash => '$y$bobtoday'), 'ok', 'until there is another');

-- When it was used.
create function pg_temp.used(p_token text) returns text
language sql as $$ select concat_ws(' ', now() - t.last_used_at, host(t.last_used_from), host(t.created_from)) from auth.docker_refresh_tokens t where t.id = pg_temp.id(p_token) $$;
update auth.docker_refresh_tokens t set last_used_at = now() - interval '59 minutes';
update auth.app_passwords ap set last_used_at = now() - interval '59 minutes';
select is(pg_temp.use('limited', p_client => '192.0.2.8'), 'ok', 'used again within an hour');
select is(pg_temp.used('limited'), '00:59:00 192.0.2.7 192.0.2.7', 'is not noted');
select is((select now() - ap.last_used_at from auth.app_passwords ap where ap.id = 'a0d0ck'), interval '59 minutes', 'of the app password neither');
update auth.docker_refresh_tokens t set last_used_at = now() - interval '1 hour';
update auth.app_passwords ap set last_used_at = now() - interval '1 hour';
select is(pg_temp.use('limited', 'two', '192.0.2.8') || '; ' || pg_temp.use('limited', 'one', '198.51.100.1'),
  'another registry''s; app password a0d0ck is not for this network', 'what is refused');
select is(pg_temp.used('limited'), '01:00:00 192.0.2.7 192.0.2.7', 'is no use');
select is(pg_temp.use('limited', p_client => '192.0.2.8'), 'ok', 'after an hour');
select is(pg_temp.used('limited'), '00:00:00 192.0.2.8 192.0.2.7', 'it is');
select is((select (ap.last_used_at = now(), ap.last_used_service, host(ap.last_used_from))::text from auth.app_passwords ap where ap.id = 'a0d0ck'), '(t,docker,192.0.2.8)', 'of the app password, too');
select is((select count(*) from auth.docker_refresh_tokens t where t.last_used_at = now()) + (select count(*) from auth.app_passwords ap where ap.last_used_at = now()), 2::bigint, 'and of no other');

-- Finding.
select results_eq(
  $$ select f.selector, f.id, f.registry, f.user_identifier, f.service_user, f.credential, f.client_id, f.created_at, f.created_from, f.last_used_at, f.last_used_from, f.status, f.reason
       from api.find_docker_refresh_tokens(array[-1], pg_temp.user_id('bob'), -1) f $$,
  $$ values (-1::bigint, null::bigint, null::text, null::text, null::text, null::text, null::text, null::timestamptz, null::text, null::timestamptz, null::text, null::text, null::text) $$,
  'what is not found is said whatever the filter');
select results_eq(
  $$ select f.selector, f.id = pg_temp.id('svc-app'), f.registry, f.user_identifier, f.service_user, f.credential, f.client_id, f.created_at, f.created_from, f.last_used_at, f.last_used_from, f.status, f.reason
       from api.find_docker_refresh_tokens(null, pg_temp.user_id('alice'), null) f where f.service_user = 'svc-app' $$,
  $$ values (null::bigint, true, 'one', 'alice', 'svc-app', 'app:a0svc0', 'docker', now(), null::text, now() - interval '1 hour', null::text, 'active', null::text) $$, 'everything about one');
select is(array(select f.credential from api.find_docker_refresh_tokens(null, pg_temp.user_id('alice'), null) f order by f.id), array['password', 'app:a00000', 'app:a0d0ck', 'service', 'app:a0svc0', 'app:a0svc0'], 'those of one user');
select is((select count(*) from api.find_docker_refresh_tokens(null, null, (select r.id from auth.docker_registries r where r.client_id = 'two'))), 0::bigint, 'those of a registry');
select is((select count(*) from api.find_docker_refresh_tokens(null, null, null)), 9::bigint, 'all');

-- Revoking.
select is((select string_agg(concat_ws(' ', r.id = pg_temp.id('hash'), r.registry, r.user_identifier, r.client_id), ';') from api.revoke_docker_refresh_tokens(array[pg_temp.id('hash'), -1], null) r),
  't one alice docker', 'what would be revoked');
select is(pg_temp.use('hash'), 'ok', 'null is not yes');
select is((select count(*) from api.revoke_docker_refresh_tokens(array[pg_temp.id('hash'), -1], false) r), 1::bigint, 'what is revoked');
select is(pg_temp.use('hash'), 'unknown refresh token', 'is good for nothing');
select is(pg_temp.recorded(), 'docker_refresh_token.revoke alice', 'recorded');
select is((select (a.before ? 'secret_hash', a.before ? 'password_sha256')::text from auth.audit a order by a.id desc limit 1), '(f,f)', 'without hashes');

-- Forgetting.
select is(api.purge_docker_refresh_tokens(), 2::bigint, 'what can never be used again is forgotten');
select is(array(select pg_temp.id(n) is null from unnest(array['bob', 'bob2', 'bob3']) n), array[true, true, false], 'tokens of old passwords');
do $$ begin perform api.revoke_app_passwords(array['a00000']); end $$;
update auth.users u set active = false where u.identifier = 'bob';
select is(api.purge_docker_refresh_tokens(), 0::bigint, 'but not that of a revoked app password, nor of an inactive user');
update auth.docker_refresh_tokens t set last_used_at = now() - interval '90 days' where t.id = pg_temp.id('app');
select is(api.purge_docker_refresh_tokens(), 1::bigint, 'until it is idle');
select is(array(select n from unnest(array['limited', 'svc-hash', 'svc-app', 'own-svc', 'bob3', 'app']) n where pg_temp.id(n) is null), array['app'], 'the others stay');

select * from finish();
