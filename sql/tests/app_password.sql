-- App passwords: made, revoked, forgotten.
select plan(43);

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('svc', 'service_user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;

create function pg_temp.make(
  p_id text, p_identifier text default 'alice', p_services text[] default null, p_networks cidr[] default null, p_expires_at timestamptz default null,
  p_registries text[] default null, p_registry_actions text[] default null
) returns text
language sql as $$
  select api.create_app_password(pg_temp.user_id(p_identifier), p_id, 'phone of ' || p_identifier, sha256(p_id::bytea), '$6$rounds=1000$x$y', p_services, p_networks, p_expires_at, p_registries, p_registry_actions)
$$;

select is(pg_temp.make('aaaaaa'), 'ok', 'made');
select is(pg_temp.make('aaaaaa', 'bob'), 'id_taken', 'its id is taken');
select is(api.create_app_password(gen_random_uuid(), 'bbbbbb', '', sha256('x'), '$6$x$y', null, null, null, null, null), 'gone', 'for nobody');
select is(pg_temp.make('bbbbbb', 'bob', array['imap', 'smtp'], array['192.0.2.0/24', '2001:db8::/32']::cidr[], now() + interval '1 day'), 'ok', 'with limits');
select is(pg_temp.make('cccccc', p_expires_at => now() - interval '1 s'), 'ok', 'expired');
select is(pg_temp.make('dddddd'), 'ok', 'for a service user');
insert into auth.service_users (user_id, username, app_password_id) values (pg_temp.user_id('alice'), 'svc', 'dddddd');
select is((select (a.action, a.after ? 'secret_hash', a.after ? 'crypt_hash')::text from auth.audit a where a.object = 'aaaaaa'), '(app_password.create,f,f)', 'making is recorded, without hashes');

select throws_ok($$ select pg_temp.make('iiiiii') $$, '23514', null, 'an id of other letters');
select throws_ok($$ select pg_temp.make('eeeeee', p_services => array[]::text[]) $$, '23514', null, 'good for no service');
select throws_ok($$ select pg_temp.make('eeeeee', p_networks => array[null]::cidr[]) $$, '23514', null, 'a network that is null');

select results_eq($$ select f.id, f.status, f.service_user from api.find_app_passwords(null, null, pg_temp.user_id('alice')) f order by f.id $$,
  $$ values ('aaaaaa', 'active', null::text), ('cccccc', 'expired', null), ('dddddd', 'active', 'svc') $$, 'those of one user');
select results_eq($$ select f.selector, f.id, f.user_identifier, f.services, f.networks, f.status from api.find_app_passwords(array['bbbbbb', 'zzzzzz'], 'no such text', null) f $$,
  $$ values ('zzzzzz', null::text, null::text, null::text[], null::text[], null::text) $$, 'what is not found is said whatever the filter');
select results_eq($$ select f.id, f.services, f.networks from api.find_app_passwords(null, 'OF BOB', null) f $$,
  $$ values ('bbbbbb', array['imap', 'smtp'], array['192.0.2.0/24', '2001:db8::/32']) $$, 'by part of the description');
select is((select count(*) from api.find_app_passwords(null, null, gen_random_uuid())), 0::bigint, 'of nobody');

-- Limits at Docker registries. The registries may be there or not.
create function pg_temp.limits(p_id text) returns text
language sql as $$ select (f.registries, f.registry_actions)::text from api.find_app_passwords(array[p_id], null, null) f $$;
select is(pg_temp.make('eeeee1', p_services => '{docker}', p_registries => array['b.test', 'Docker registry'], p_registry_actions => array['push', 'pull', 'push']), 'ok', 'for two registries');
select is(pg_temp.limits('eeeee1'), '("{b.test,""Docker registry""}","{pull,push}")', 'is limited to them');
select is(pg_temp.make('eeeee2', p_services => '{docker}', p_registries => array['b.test']), 'ok', 'for all of a registry');
select is(pg_temp.limits('eeeee2'), '({b.test},)', 'is limited to that');
select is(pg_temp.make('eeeee3', p_services => '{docker}', p_registry_actions => array['pull']), 'ok', 'for reading everywhere');
select is(pg_temp.limits('eeeee3') || pg_temp.limits('aaaaaa') || pg_temp.limits('zzzzzz'), '(,{pull})(,)(,)', 'is limited to reading, and others to nothing');
select throws_ok(format($$ select pg_temp.make('eeeee4', p_services => %L, p_registries => %L, p_registry_actions => %L) $$, n.services, n.registries, n.actions), '23514', null, n.why)
  from (values
    ('{docker}'::text[], '{}'::text[], null::text[], 'for no registry'),
    ('{docker}', '{null}', null, 'for a registry that is null'),
    ('{docker}', null, '{}', 'for doing nothing'),
    ('{docker}', null, '{pull,other}', 'for what nobody can do'),
    ('{docker,imap}', '{b.test}', null, 'for a registry and all of the mail'),
    (null, null, '{pull}', 'for reading, and for all services')) n (services, registries, actions, why);
delete from auth.app_passwords ap where ap.id like 'eeeee%';

-- Revoking.
select is((api.revoke_app_passwords(array['aaaaaa', 'zzzzzz']))::text, '(gone,zzzzzz)', 'one of two is gone');
select is((select count(*) from auth.app_passwords ap where ap.revoked_at is not null), 0::bigint, 'so none is revoked');
select is((api.revoke_app_passwords(array['aaaaaa', 'aaaaaa', 'dddddd'])).outcome, 'ok', 'revoked, also that of a service user');
select is((select array_agg(f.id order by f.id) from api.find_app_passwords(null, null, null) f where f.status = 'revoked'), array['aaaaaa', 'dddddd'], 'they stay');
select is((select array_agg(a.object order by a.object) from auth.audit a where a.action = 'app_password.revoke'), array['aaaaaa', 'dddddd'], 'recorded once each');
update auth.app_passwords ap set revoked_at = now() - interval '1 day' where ap.id = 'aaaaaa';
select is((api.revoke_app_passwords(array['aaaaaa'])).outcome, 'ok', 'revoked again');
select ok((select ap.revoked_at < now() from auth.app_passwords ap where ap.id = 'aaaaaa'), 'changes nothing');

-- Removing.
select is((api.remove_app_passwords(array['aaaaaa', 'zzzzzz'], false))::text, '(gone,zzzzzz,)', 'one of two is gone');
select is((api.remove_app_passwords(array['aaaaaa', 'dddddd'], true))::text, '(bound,dddddd,svc)', 'one of two is a service user''s');
select is((api.remove_app_passwords(array['aaaaaa', 'dddddd'], false))::text, '(bound,dddddd,svc)', 'also when it is meant');
select is((select count(*) from auth.app_passwords), 4::bigint, 'so none is removed');
select is((api.remove_app_passwords(array['aaaaaa', 'bbbbbb'], true)).outcome, 'ok', 'would be removed');
select is((select count(*) from auth.app_passwords), 4::bigint, 'and was not');
select is((api.remove_app_passwords(array['aaaaaa', 'bbbbbb'], false)).outcome, 'ok', 'removed');
select is((select array_agg(ap.id order by ap.id) from auth.app_passwords ap), array['cccccc', 'dddddd'], 'the others stay');
select is((select array_agg(a.object order by a.object) from auth.audit a where a.action = 'app_password.remove'), array['aaaaaa', 'bbbbbb'], 'recorded');

select is_empty($$
  select p.oid::regprocedure, r.rolname
    from pg_proc p, pg_roles r
   where r.rolname like 'authserver\_%' and r.rolname not in ('authserver_owner')
     and (p.pronamespace = 'api'::regnamespace and r.rolname <> 'authserver_admin'
       or p.pronamespace = 'auth'::regnamespace)
     and p.proname ~ '(user|app_password|login_name|email_agent_token)s?$' and p.proname !~ 'has_permission|redeem_email_agent_token'
     and has_function_privilege(r.oid, p.oid, 'execute') $$,
  'only the command line calls the functions of users and their passwords');

select * from finish();
