-- API clients: made, found, edited, rotated, removed, and recognised.
select plan(69);

create function pg_temp.client_id(p_name text) returns bigint
language sql as $$ select c.id from auth.api_clients c where c.name = p_name $$;
create function pg_temp.make(p_name text, p_networks cidr[] default null, p_secret text default null) returns text
language sql as $$ select (api.create_api_client(p_name, 'host ' || p_name, sha256(coalesce(p_secret, p_name)::bytea), p_networks)).outcome $$;
create function pg_temp.verify(p_secret text, p_client inet default '192.0.2.7') returns text
language sql as $$ select v.name from api.verify_api_client(sha256(p_secret::bytea), p_client) v $$;
create function pg_temp.audited(p_action text) returns text[]
language sql as $$ select array_agg(a.object order by a.id) from auth.audit a where a.action = p_action $$;
create function pg_temp.last_audit() returns auth.audit
language sql as $$ select a from auth.audit a order by a.id desc limit 1 $$;

-- Making.
select is(pg_temp.make('mx1', array['192.0.2.0/24', '2001:db8::/32']::cidr[]), 'ok', 'made, for two networks');
select is(pg_temp.make('web'), 'ok', 'made, for everywhere');
select is(pg_temp.make('web', null, 'another'), 'exists', 'the name is taken');
select is(pg_temp.audited('api_client.create'), array['mx1', 'web'], 'what was made is recorded, and nothing else');
select is((pg_temp.last_audit()).after - array['id', 'created_at'],
  '{"name": "web", "description": "host web", "networks": null, "last_used_at": null, "last_used_from": null}'::jsonb, 'without the hash');
select is((select (c.outcome, c.api_client_id = pg_temp.client_id('old'))::text from api.create_api_client('old', '', sha256('old'), null) c), '(ok,t)', 'the id of what was made');
select is((select c.outcome from api.create_api_client('id', '', sha256('id'), null) c), 'ok', 'one more');

select throws_ok($$ select pg_temp.make('new', null, 'web') $$, '23505', null, 'no two have one secret');
select throws_ok($$ select api.create_api_client('new', '', 'web', null) $$, '23514', null, 'a secret that is not hashed');
select throws_ok(format($$ select pg_temp.make(%L) $$, wrong), '23514', null, 'a name: ' || what)
  from (values
    ('', 'empty'), ('MX', 'in capitals'), ('-y', 'like a flag'), ('a b', 'with a blank'), ('a@b', 'with an at sign'), ('a/b', 'with a slash'),
    (U&'e\0301', 'not in NFC'), (repeat('x', 65), 'too long'), ('ac_' || repeat('a', 52), 'like a secret')) v (wrong, what);
select throws_ok($$ select pg_temp.make('new', '{}') $$, '23514', null, 'good from nowhere');
select throws_ok($$ select pg_temp.make('new', array[null]::cidr[]) $$, '23514', null, 'a network that is null');
select throws_ok($$ select api.create_api_client('new', E'a\nb', sha256('new'), null) $$, '23514', null, 'a description of two lines');

-- Finding.
select results_eq($$ select f.selector, f.name, f.networks, f.last_used_at from api.find_api_clients(null) f $$,
  $$ values (null::text, 'id', null::text[], null::timestamptz), (null, 'mx1', array['192.0.2.0/24', '2001:db8::/32'], null), (null, 'old', null, null), (null, 'web', null, null) $$,
  'all, by name');
select results_eq($$ select f.selector, f.id is null, f.name, f.description from api.find_api_clients(array['WEB', 'nothing', 'web']) f $$,
  $$ values ('WEB', false, 'web', 'host web'), ('web', false, 'web', 'host web'), ('nothing', true, null, null) $$, 'by name, in either case');
select is_empty($$ select f.* from api.find_api_clients('{}') f $$, 'none');

-- Recognising.
select is(pg_temp.verify('web'), 'web', 'known by its secret');
select is(pg_temp.verify('mx1'), 'mx1', 'another, from its network');
select is(pg_temp.verify('nothing'), null, 'an unknown secret');
select is((select v.name from api.verify_api_client('web', '192.0.2.7') v), null, 'a secret that is not hashed');
select is((select v.name from api.verify_api_client(null, '192.0.2.7') v), null, 'no secret');
select is((select count(*) from api.verify_api_client(null, null)), 1::bigint, 'the answer is always one row');
select is(pg_temp.verify('mx1', '198.51.100.7'), null, 'from another network');
select is(pg_temp.verify('mx1', '2001:db8::7'), 'mx1', 'from the second network');
select is(pg_temp.verify('mx1', '2001:db9::7'), null, 'from beside it');
select is(pg_temp.verify('mx1', '::ffff:192.0.2.7'), 'mx1', 'from IPv4 by way of IPv6');
select is(pg_temp.verify('mx1', '::ffff:198.51.100.7'), null, 'from other IPv4 by way of IPv6');
select is(pg_temp.verify('mx1', '::192.0.2.7'), null, 'from IPv6 that only looks like it');
select is(pg_temp.verify('mx1', '0.0.0.0/0'), null, 'from what is no single address');
select is(pg_temp.verify('mx1', null), null, 'from an address that nobody knows');
select is(pg_temp.verify('web', null), 'web', 'which is good enough where any is');

-- The use is noted, by the hour.
update auth.api_clients c set last_used_at = null, last_used_from = null;
select is(pg_temp.verify('mx1', '198.51.100.7'), null, 'a refused one');
select is((select c.last_used_at from auth.api_clients c where c.name = 'mx1'), null, 'is no use');
select is(pg_temp.verify('mx1', '::ffff:192.0.2.7'), 'mx1', 'a use');
select is((select (c.last_used_at = now(), host(c.last_used_from))::text from auth.api_clients c where c.name = 'mx1'), '(t,192.0.2.7)', 'is noted');
select is((select f.last_used_from from api.find_api_clients(array['mx1']) f), '192.0.2.7', 'and shown');
update auth.api_clients c set last_used_at = now() - interval '59 minutes' where c.name = 'mx1';
select is(pg_temp.verify('mx1', '192.0.2.8'), 'mx1', 'a use within the hour');
select is((select (c.last_used_at = now(), host(c.last_used_from))::text from auth.api_clients c where c.name = 'mx1'), '(f,192.0.2.7)', 'is not');
update auth.api_clients c set last_used_at = now() - interval '60 minutes' where c.name = 'mx1';
select is(pg_temp.verify('mx1', '192.0.2.8'), 'mx1', 'a use after an hour');
select is((select (c.last_used_at = now(), host(c.last_used_from))::text from auth.api_clients c where c.name = 'mx1'), '(t,192.0.2.8)', 'is noted again');
select is((select count(*) from auth.api_clients c where c.name <> 'mx1' and c.last_used_at is not null), 0::bigint, 'of the one that it was');
select is((select count(*) from auth.audit a where a.action not like '%.create'), 0::bigint, 'no use is a change');

-- Editing.
create function pg_temp.edit(p_names text[], p_description text default null, p_networks cidr[] default null) returns text
language sql as $$
  select e.outcome from api.edit_api_clients(array(select coalesce(pg_temp.client_id(n), -1) from unnest(p_names) n), p_description, p_networks) e
$$;
select is(pg_temp.edit(array['mx1', 'nothing'], 'new'), 'gone', 'one of two is gone');
select is((api.edit_api_clients(array[pg_temp.client_id('mx1'), -1], 'new', null))::text, '(gone,-1)', 'which one');
select is(pg_temp.edit(array['mx1', 'web'], 'new'), 'ok', 'two descriptions');
select is(pg_temp.edit(array['web'], 'new'), 'ok', 'what it is already');
select is(pg_temp.edit(array['web'], p_networks => array['198.51.100.0/24']::cidr[]), 'ok', 'networks');
select is(pg_temp.verify('web'), null, 'hold at once');
select is(pg_temp.edit(array['mx1'], p_networks => '{}'), 'ok', 'no networks any more');
select is(pg_temp.verify('mx1', '198.51.100.7'), 'mx1', 'is from everywhere');
select is(pg_temp.audited('api_client.edit'), array['mx1', 'web', 'web', 'mx1'], 'changes are recorded');

-- Rotating.
select is((api.rotate_api_client_secret(-1, sha256('x'))), 'gone', 'the secret of nothing');
select is((api.rotate_api_client_secret(pg_temp.client_id('mx1'), sha256('fresh'))), 'ok', 'a new secret');
select is((pg_temp.verify('mx1'), pg_temp.verify('fresh'))::text, '(,mx1)', 'in place of the old one');
select is(((pg_temp.last_audit()).action, (pg_temp.last_audit()).object, (pg_temp.last_audit()).after -> 'changed', (pg_temp.last_audit()).after ? 'secret_hash')::text,
  '(api_client.rotate,mx1,"[""secret_hash""]",f)', 'that it changed is recorded, and not the hash');

-- Removing.
select results_eq($$ select r.name, r.description, r.last_used_at from api.remove_api_clients(array[pg_temp.client_id('old'), pg_temp.client_id('mx1'), -1], true) r $$,
  $$ values ('mx1', 'new', now()), ('old', '', null) $$, 'what would go');
select is(pg_temp.verify('fresh'), 'mx1', 'and does not');
select results_eq($$ select r.name from api.remove_api_clients(array[pg_temp.client_id('old'), pg_temp.client_id('mx1'), -1], false) r $$,
  $$ values ('mx1'), ('old') $$, 'what went');
select is(pg_temp.verify('fresh'), null, 'its secret is good for nothing');
select is(pg_temp.audited('api_client.remove'), array['mx1', 'old'], 'recorded');

-- Whoever may make API clients is believed about everybody.
select set_eq($$
  select p.proname::text, r.rolname::text
    from pg_proc p, pg_roles r
   where r.rolname like 'authserver\_%' and r.rolname <> 'authserver_owner' and not r.rolsuper
     and p.pronamespace = 'api'::regnamespace and p.proname ~ 'api_client'
     and has_function_privilege(r.oid, p.oid, 'execute') $$,
  $$ values ('create_api_client', 'authserver_admin'), ('find_api_clients', 'authserver_admin'), ('edit_api_clients', 'authserver_admin'),
            ('rotate_api_client_secret', 'authserver_admin'), ('remove_api_clients', 'authserver_admin'), ('verify_api_client', 'authserver_admin'),
            ('verify_api_client', 'authserver_web') $$,
  'the web server recognises API clients, and only the command line changes them');

select * from finish();
