-- Sessions: who may start one, how long it lasts, and what it takes along. The
-- time of a transaction stands still, so rows are moved.
select no_plan();

insert into auth.domains (name) values ('example.com');
insert into auth.login_names (name, kind)
select n, 'user' from unnest(array['alice', 'bob', 'nohash']) n union all select n, 'service_user' from unnest(array['svc-hash', 'svc-app']) n;
insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice'), ('bob', 'Bob', '$y$bob'), ('nohash', 'Nohash', null);
insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d where u.identifier <> 'nohash';
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, expires_at, revoked_at, registries)
select n.id, u.id, sha256(n.id::bytea), '$6$x', n.services, n.expires_at, n.revoked_at, n.registries
  from (values
    ('alice', 'a0any0', null::text[], null::timestamptz, null::timestamptz, null::text[]),
    ('alice', 'a0web0', array['imap', 'web'], now() + interval '1 day', null, null),
    ('alice', 'a0mapn', array['imap'], null, null, null),
    ('alice', 'a0exp0', array['web'], now(), null, null),
    ('alice', 'a0rev0', array['web'], null, now(), null),
    ('alice', 'a0reg0', array['docker'], null, null, array['one']),
    ('alice', 'a0svc0', null, null, null, null),
    ('bob',   'b0web0', array['web'], null, null, null)) n (identifier, id, services, expires_at, revoked_at, registries)
  join auth.users u on u.identifier = n.identifier;
insert into auth.service_users (user_id, username, password_hash, app_password_id)
select u.id, n.username, n.hash, n.app
  from (values ('svc-hash', '$y$svc', null), ('svc-app', null, 'a0svc0')) n (username, hash, app) join auth.users u on u.identifier = 'alice';
insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types)
values ('wiki', 'Wiki', 'confidential', 'client_secret_basic', '{authorization_code,refresh_token}');

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.start(p_cookie text, p_identifier text default 'alice', p_credential text default '$y$alice', p_service_user text default null,
  p_replaces text default null, p_lifetime interval default '14 days', p_acr text default '1') returns text
language sql as $$
  select s.outcome
    from api.start_session(sha256(p_cookie::bytea), sha256(p_replaces::bytea), pg_temp.user_id(p_identifier), p_service_user, sha256(p_credential::bytea), '{pwd}',
      p_acr, '12 hours', p_lifetime, '192.0.2.7', 'Browser/1') s
$$;
create function pg_temp.id(p_cookie text) returns uuid
language sql as $$ select s.id from auth.sessions s where s.secret_hash = sha256(p_cookie::bytea) $$;
-- Who is signed in.
create function pg_temp.who(p_cookie text) returns text
language sql as $$ select concat_ws(' ', f.identifier, f.service_user) from api.find_session(sha256(p_cookie::bytea)) f $$;
-- A grant of a session, named by its resource.
create function pg_temp.allow(p_name text, p_cookie text, p_scope text[]) returns void
language sql as $$
  insert into auth.oauth2_grants (client_id, user_id, session_id, grant_type, scope, resources, auth_time, amr, acr, expires_at, code_hash, code_expires_at)
  select c.id, s.user_id, s.id, 'authorization_code', p_scope, array[p_name], now(), '{pwd}', '1', now() + interval '1 day', sha256(p_name::bytea), now() + interval '1 min'
    from auth.sessions s, auth.oauth2_clients c where s.secret_hash = sha256(p_cookie::bytea)
$$;
-- What has become of them.
create function pg_temp.grants() returns text[]
language sql as $$ select array(select concat_ws(': ', g.resources[1], g.revoked_reason) || case when g.session_id is null then ' (no session)' else '' end from auth.oauth2_grants g order by g.resources) $$;
create function pg_temp.recorded(p_limit int default 1) returns text[]
language sql as $$ select array(select r.action || ' ' || r.object from (select a.* from auth.audit a order by a.id desc limit p_limit) r order by r.id) $$;

-- Starting.
select is(pg_temp.start('one'), 'ok', 'by a password');
select is((select (a.action, a.object, a.before, a.after ->> 'user_agent', a.after ->> 'client', a.after ? 'secret_hash')::text from auth.audit a order by a.id desc limit 1),
  '(session.start,alice,,Browser/1,192.0.2.7,f)', 'which is recorded, without the cookie');
select results_eq($$ select f.* from api.find_session(sha256('one')) f $$,
  $$ values (pg_temp.id('one'), pg_temp.user_id('alice'), 'alice', 'Alice', 'alice@example.com', null::text, now(), '{pwd}'::text[], '1') $$, 'who it is');
select is((select s.expires_at - now() from auth.sessions s), interval '14 days', 'it lasts as long as that');
select is(pg_temp.start('svc', p_credential => '$y$svc', p_service_user => 'svc-hash'), 'ok', 'by a service user''s');
select is(pg_temp.who('svc'), 'alice svc-hash', 'which is said');
select is(pg_temp.start('svc-app', p_credential => 'a0svc0', p_service_user => 'svc-app'), 'ok', 'by a service user''s app password');
select is(pg_temp.start('web', p_credential => 'a0web0'), 'ok', 'by an app password for browsers');
select is((select s.expires_at - now() from auth.sessions s where s.id = pg_temp.id('web')), interval '1 day', 'no longer than that');
select is(pg_temp.start('x', n.identifier, n.credential, n.service_user), 'gone', n.why)
  from (values
    ('alice', '$y$old', null, 'a password that is no longer the user''s'),
    ('alice', '$y$bob', null, 'another user''s'),
    ('alice', '$y$svc', null, 'a service user''s for the user'),
    ('alice', '$y$alice', 'svc-hash', 'the user''s for a service user'),
    ('alice', '$y$svc', 'svc-app', 'one for a service user that has an app password'),
    ('alice', '$y$svc', 'nothing', 'a service user that is gone'),
    ('alice', '$y$alice', 'nothing', 'though the user''s is right'),
    ('bob', '$y$svc', 'svc-hash', 'another user''s service user'),
    ('bob', '$y$bob', 'svc-hash', 'another user''s service user, with the password of the user'),
    ('nohash', '$y$alice', null, 'a user without a password'),
    ('nohash', null, null, 'null is not the password of one who has none'),
    ('alice', null, null, 'nothing is no password'),
    ('nobody', '$y$alice', null, 'nobody'),
    ('alice', 'a0any0', null, 'an app password for all services: it is a device''s'),
    ('alice', 'a0mapn', null, 'one for another service'),
    ('alice', 'a0exp0', null, 'one that has expired'),
    ('alice', 'a0rev0', null, 'one that was revoked'),
    ('alice', 'a0reg0', null, 'one for a Docker registry'),
    ('alice', 'a0svc0', null, 'the service user''s, for the user'),
    ('alice', 'a0web0', 'svc-app', 'the user''s, for the service user'),
    ('alice', 'a0web0', 'svc-hash', 'one for a service user that has a password'),
    ('alice', 'b0web0', null, 'another user''s app password')) n (identifier, credential, service_user, why);
select is(pg_temp.who('x'), null, 'which starts nothing');
update auth.users u set active = false where u.identifier = 'bob';
select is(pg_temp.start('x', 'bob', '$y$bob'), 'gone', 'an inactive user');
update auth.users u set active = true where u.identifier = 'bob';
select throws_ok($$ select pg_temp.start('one', 'bob', '$y$bob') $$, '23505', null, 'a cookie is made once');
select throws_ok($$ select api.start_session('one', null, pg_temp.user_id('alice'), null, sha256('$y$alice'), '{pwd}', '1', '1 h', '1 h', null, '') $$, '23514', null, 'the cookie itself instead of its hash');
select throws_ok($$ select api.start_session(sha256('x'), null, pg_temp.user_id('alice'), null, sha256('$y$alice'), '{}', '1', '1 h', '1 h', null, '') $$, '23514', null, 'one that nobody has signed in to');
-- begin_login has the same rule.
select is((select array_agg(concat_ws(': ', b.outcome, b.reason) order by n.nr)
             from unnest(array['a0any0', 'a0web0', 'a0mapn']) with ordinality n (id, nr)
            cross join lateral api.begin_login('alice@example.com', 'web', null, n.id, sha256(n.id::bytea), null, null) b),
  array['repeated: app password a0any0 is not for browsers', 'ok', 'repeated: app password a0mapn is not for this service'], 'app passwords at the login page');
select is((select concat_ws(': ', b.outcome, b.reason) from api.begin_login('svc-app', 'web', null, 'a0svc0', sha256('a0svc0'), null, null) b), 'ok', 'that of a service user');
select is((select concat_ws(': ', b.outcome, b.reason) from api.begin_login('alice@example.com', 'imap', null, 'a0any0', sha256('a0any0'), null, null) b), 'ok', 'elsewhere nothing changes');

-- Finding.
select is(pg_temp.who(n), null, 'nobody') from unnest(array['nothing', null]) n;
create function pg_temp.during(p_change text) returns text
language plpgsql as $$
declare
  answer text;
begin
  begin
    execute p_change;
    answer := coalesce(pg_temp.who('one'), 'nobody');
    raise exception using errcode = 'XX999', message = answer;
  exception when sqlstate 'XX999' then
    answer := sqlerrm;
  end;
  return answer || '; ' || pg_temp.who('one');
end $$;
select is(pg_temp.during(n.change), n.want || '; alice', n.change)
  from (values
    ('update auth.sessions set expires_at = now()', 'nobody'),
    ($$update auth.sessions set expires_at = now() + interval '1 s'$$, 'alice'),
    ($$update auth.sessions set last_seen_at = now() - interval '12 hours'$$, 'nobody'),
    ($$update auth.sessions set last_seen_at = now() - interval '12 hours' + interval '1 s'$$, 'alice'),
    ('update auth.users set active = false', 'nobody'),
    ($$update auth.users set password_hash = '$y$other'$$, 'alice'),
    ($$select api.rehash_password(pg_temp.user_id('alice'), null, '$y$alice', '$y$today')$$, 'alice'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, '$y$new', null, null, null)$$, 'nobody'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, '$y$alice', null, null, null)$$, 'alice'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, null, true, null, null)$$, 'nobody'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, null, null, null, false)$$, 'nobody'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, null, null, null, true)$$, 'alice'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, 'Alice B', null, null, true, null)$$, 'alice'),
    ($$select api.edit_users(array[pg_temp.user_id('bob')], null, null, '$y$new', null, null, null)$$, 'alice'),
    ($$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), null, null, null, '$y$new', null, null, null, null, null, null)$$, 'alice'),
    ($$select api.remove_users(array[pg_temp.user_id('alice')], false)$$, 'nobody'),
    ($$select api.remove_users(array[pg_temp.user_id('alice')], true)$$, 'alice'),
    ($$select api.remove_users(array[pg_temp.user_id('bob')], false)$$, 'alice'),
    ($$select api.end_session(sha256('one'))$$, 'nobody'),
    ($$select api.end_session(sha256('svc'))$$, 'alice')) n (change, want);

-- Sessions of service users and app passwords end with them, and no others.
create function pg_temp.left_after(p_change text) returns text[]
language plpgsql as $$
declare
  answer text[];
begin
  begin
    execute p_change;
    answer := array(select n from unnest(array['one', 'svc', 'svc-app', 'web']) n where pg_temp.who(n) is not null);
    raise exception using errcode = 'XX999', message = answer::text;
  exception when sqlstate 'XX999' then
    answer := sqlerrm::text[];
  end;
  return answer;
end $$;
select is(pg_temp.left_after(n.change), n.want, n.change)
  from (values
    ('select 1', '{one,svc,svc-app,web}'::text[]),
    ($$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), null, null, null, '$y$new', null, null, null, null, null, null)$$, '{one,svc-app,web}'),
    ($$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), 'renamed', 'text', null, null, null, null, null, null, null, null)$$, '{one,svc,svc-app,web}'),
    ($$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-hash'), null, null, pg_temp.user_id('bob'), null, null, null, null, null, null, null)$$, '{one,svc-app,web}'),
    ($$select api.edit_service_users(array(select id from auth.service_users where username = 'svc-app'), null, null, null, null, 'fresh0', sha256('x'), '$6$x', null, null, null)$$, '{one,svc,web}'),
    ($$select api.rehash_password(pg_temp.user_id('alice'), 'svc-hash', '$y$svc', '$y$today')$$, '{one,svc,svc-app,web}'),
    ($$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-hash'), false)$$, '{one,svc-app,web}'),
    ($$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-app'), false)$$, '{one,svc,web}'),
    ($$select api.remove_service_users(array(select id from auth.service_users where username = 'svc-app'), true)$$, '{one,svc,svc-app,web}'),
    ($$select api.revoke_app_passwords(array['a0web0'])$$, '{one,svc,svc-app}'),
    ($$select api.revoke_app_passwords(array['a0svc0'])$$, '{one,svc,web}'),
    ($$select api.remove_app_passwords(array['a0web0'], false)$$, '{one,svc,svc-app}'),
    ($$select api.remove_app_passwords(array['a0web0'], true)$$, '{one,svc,svc-app,web}'),
    ($$select api.revoke_app_passwords(array['a0any0'])$$, '{one,svc,svc-app,web}'),
    ($$select api.edit_users(array[pg_temp.user_id('alice')], null, null, '$y$new', null, null, null)$$, '{}')) n (change, want);

-- When it was seen.
update auth.sessions s set last_seen_at = now() - interval '59 s' where s.id = pg_temp.id('one');
select is(pg_temp.who('one'), 'alice', 'seen again within a minute');
select is((select now() - s.last_seen_at from auth.sessions s where s.id = pg_temp.id('one')), interval '59 s', 'is not noted');
update auth.sessions s set last_seen_at = now() - interval '1 min' where s.id = pg_temp.id('one');
select is(pg_temp.who('one'), 'alice', 'after a minute');
select is((select now() - s.last_seen_at from auth.sessions s where s.id = pg_temp.id('one')), interval '0 s', 'it is');

-- Signing in again.
do $$ begin
  perform pg_temp.allow('a', 'one', '{openid}');
  perform pg_temp.allow('b', 'one', '{openid,offline_access}');
end $$;
update auth.sessions s set auth_time = now() - interval '1 hour', expires_at = now() + interval '1 s', created_at = now() - interval '1 hour' where s.id = pg_temp.id('one');
create temp table was as select pg_temp.id('one') as id;
select is(pg_temp.start('two', p_replaces => 'one', p_acr => '2'), 'ok', 'as the same user');
select is(pg_temp.who('one'), null, 'the old cookie is nobody''s');
select results_eq($$ select s.id = (select w.id from was w), s.auth_time = now(), s.expires_at - now(), s.acr, now() - s.created_at from auth.sessions s where s.secret_hash = sha256('two') $$,
  $$ values (true, true, interval '14 days', '2', interval '1 hour') $$, 'it is the same session, for as long as a new one');
select is(pg_temp.grants(), array['a', 'b'], 'what it let clients do goes on');
select is((select a.before ->> 'acr' || ' ' || (a.after ->> 'acr') || ' ' || (a.after ->> 'changed') from auth.audit a order by a.id desc limit 1), '1 2 ["secret_hash"]', 'which is recorded');
select is(pg_temp.start('two-svc', p_credential => '$y$svc', p_service_user => 'svc-hash', p_replaces => 'two'), 'ok', 'as a service user of the same one');
select is(pg_temp.who('two-svc') || ' ' || (pg_temp.id('two-svc') = w.id)::text, 'alice svc-hash true', 'that is the same user') from was w;
select is(pg_temp.start('two', p_replaces => 'two-svc'), 'ok', 'and back');
select is(pg_temp.who('two'), 'alice', 'the service user is forgotten');
select is(pg_temp.start('three', 'bob', '$y$wrong', p_replaces => 'two'), 'gone', 'another user with a wrong password');
select is(pg_temp.who('two'), 'alice', 'ends nothing');
select is(pg_temp.start('three', 'bob', '$y$bob', p_replaces => 'two'), 'ok', 'as another user');
select is(pg_temp.recorded(3), array['oauth2_grant.revoke alice', 'session.end alice', 'session.start bob'], 'which is recorded');
select is((select array_agg(w.id = pg_temp.id('three')) from was w), array[false], 'is another session');
select is(pg_temp.who('two') is null and pg_temp.who('three') = 'bob', true, 'the first one''s has ended');
select is(pg_temp.grants(), array['a: another user signed in (no session)', 'b (no session)'], 'with what it let clients do, except what goes on without the user');
select is(pg_temp.start('four', 'bob', '$y$bob', p_replaces => 'nothing'), 'ok', 'a cookie that is unknown');
select is(pg_temp.who('three') || ' ' || pg_temp.who('four'), 'bob bob', 'ends nothing');

-- Ending.
do $$ begin perform pg_temp.allow('c', 'three', '{}'), pg_temp.allow('d', 'three', '{openid,offline_access}'), pg_temp.allow('e', 'four', '{openid}'); end $$;
select is((select (e.outcome, e.session_id)::text from unnest(array[sha256('nothing'), null]) h, api.end_session(h) e limit 1), '(unknown,)', 'none that is there');
select is((select (e.outcome, e.session_id = i.id)::text from (select pg_temp.id('three') as id) i, api.end_session(sha256('three')) e), '(ok,t)', 'signing out');
select is(pg_temp.recorded(2), array['oauth2_grant.revoke bob', 'session.end bob'], 'is recorded');
select is((select a.before ? 'secret_hash' from auth.audit a where a.action = 'session.end' order by a.id desc limit 1), false, 'without the cookie');
select is((select e.outcome from api.end_session(sha256('three')) e), 'unknown', 'once');
select is(pg_temp.grants(), array['a: another user signed in (no session)', 'b (no session)', 'c: signed out (no session)', 'd (no session)', 'e'], 'it takes its own along');
select is(pg_temp.who('four'), 'bob', 'another browser of the same user stays');

-- Forgetting.
delete from auth.sessions;
delete from auth.oauth2_grants;
select is(pg_temp.start(n, p_credential => case n when 'byapp' then 'a0web0' else '$y$alice' end), 'ok', 'a session') from unnest(array['live', 'idle', 'over', 'over2', 'ended', 'held', 'byapp']) n;
do $$ begin
  perform pg_temp.allow(n, n, '{openid}') from unnest(array['live', 'ended', 'held', 'byapp']) n;
  perform pg_temp.allow(n, n, '{openid,offline_access}') from unnest(array['idle', 'over']) n;
end $$;
update auth.sessions s set expires_at = now() where s.id in (pg_temp.id('over'), pg_temp.id('over2'), pg_temp.id('ended'), pg_temp.id('held'), pg_temp.id('byapp'));
update auth.sessions s set last_seen_at = now() - interval '12 hours' where s.id = pg_temp.id('idle');
update auth.oauth2_grants g set expires_at = now() where g.resources = '{ended}';
create temp table trail as select count(*) as n from auth.audit;
select is(api.purge_sessions(3), 3::bigint, 'no more than asked for');
select is(api.purge_sessions(3), 1::bigint, 'the rest');
select is(api.purge_sessions(3), 0::bigint, 'none is left');
select is(pg_temp.who('live'), 'alice', 'but what is live');
select is(pg_temp.grants(), array['byapp', 'ended (no session)', 'held', 'idle (no session)', 'live', 'over (no session)'], 'a browser is forgotten, not what its user has allowed; what ends with it, it waits for');
select is((select count(*) from auth.audit), (select t.n from trail t), 'it had ended before');
select is(pg_temp.who(n), null, 'which makes no session last') from unnest(array['held', 'byapp']) n;
select is((api.revoke_app_passwords(array['a0web0'])).outcome, 'ok', 'an app password is revoked');
select is(pg_temp.grants(), array['byapp: app password revoked (no session)', 'ended (no session)', 'held', 'idle (no session)', 'live', 'over (no session)'], 'with what came of it in a session that was over');
insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, resources, auth_time, amr, acr, expires_at)
select c.id, u.id, 'password', '{openid,offline_access}', array['by password ' || u.identifier], now(), '{pwd}', '1', now() + interval '1 day' from auth.users u, auth.oauth2_clients c where u.identifier in ('alice', 'bob');
select is((api.edit_users(array[pg_temp.user_id('alice')], null, null, '$y$new', null, null, null)).outcome, 'ok', 'a new password');
select is(pg_temp.grants(), array['by password alice: password changed (no session)', 'by password bob (no session)', 'byapp: app password revoked (no session)', 'ended (no session)',
  'held: password changed (no session)', 'idle (no session)', 'live: password changed (no session)', 'over (no session)'], 'ends what came of the old one, with a session or without');

select * from finish();
