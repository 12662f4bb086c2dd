-- Docker registries: made, found, edited, removed, and what a wrong one is
-- refused for.
select plan(82);

create function pg_temp.key(p_kid text) returns jsonb
language sql as $$ select jsonb_build_array(jsonb_build_object('purpose', 'jwt', 'algorithm', 'rsa', 'kid', p_kid, 'public_key', 'cHVi', 'sealed_key', 'MQ==', 'sealed_by', 'old')) $$;
create function pg_temp.make(p_client_id text, p_name text default null, p_domain text default 'example.com', p_issuer text default null,
  p_signing_key text default 'registry', p_key_hint text default 'x5c+kid', p_pull interval default '5 min', p_push interval default '30 min',
  p_keys jsonb default null, p_anyone text[] default null) returns text
language sql as $$ select c.outcome from api.create_docker_registry(p_client_id, coalesce(p_name, p_client_id), p_domain, p_issuer, p_signing_key, p_key_hint, p_pull, p_push, p_keys, p_anyone) c $$;
create function pg_temp.id(p_client_id text) returns bigint
language sql as $$ select r.id from auth.docker_registries r where r.client_id = p_client_id $$;
create function pg_temp.edit(p_client_id text, p_name text default null, p_domain text default null, p_issuer text default null,
  p_signing_key text default null, p_key_hint text default null, p_pull interval default null, p_push interval default null) returns text
language sql as $$ select api.edit_docker_registry(coalesce(pg_temp.id(p_client_id), -1), p_name, p_domain, p_issuer, p_signing_key, p_key_hint, p_pull, p_push) $$;
create function pg_temp.recorded(p_action text) returns text[]
language sql as $$ select array(select a.object from auth.audit a where a.action = p_action order by a.id) $$;

do $$ begin
  perform api.create_domain('example.com', null, null, false, false, 'default', '+-', pg_temp.key('d1'));
  perform api.create_domain('example.org', null, null, false, false, 'default', '+-', null);
end $$;

-- Making.
select is(pg_temp.make('r.example.com', 'Main', p_keys => pg_temp.key('k1'), p_anyone => array['pull']), 'ok', 'a registry is made');
select is(pg_temp.make('r.example.com', 'Other'), 'exists', 'another has its client_id');
select is(pg_temp.make('s.example.com', 'Main'), 'name_exists', 'another has its name');
select is(pg_temp.make('R.example.com', 'main'), 'ok', 'case counts in both');
select is(pg_temp.make('s.example.com', p_domain => 'nowhere.test'), 'no_domain', 'its domain is not ours');
select is(pg_temp.make('s.example.com', p_domain => null), 'no_domain', 'null is no domain');
select is(pg_temp.make('s.example.com:5000', 'Second', 'example.org', '', 'domain', 'kid', '1 min', '1 day'), 'ok', 'as different as can be');
select results_eq(
  $$ select f.client_id, f.name, f.domain, f.issuer, f.signing_key, f.key_hint, f.pull_lifetime, f.push_lifetime, f.created_at, f.rules, f.keys
       from api.find_docker_registries(null) f where f.name <> 'main' $$,
  $$ values ('r.example.com', 'Main', 'example.com', null::text, 'registry', 'x5c+kid', interval '5 min', interval '30 min', now(), 1::bigint, 1::bigint),
            ('s.example.com:5000', 'Second', 'example.org', null, 'domain', 'kid', '1 min', '1 day', now(), 0, 0) $$, 'everything about them is listed, by name');
select results_eq(
  $$ select d.registry, d.pattern, d.subject, d.actions from api.docker_rules() d $$,
  $$ values ('r.example.com', '**', 'anyone', array['pull']) $$, 'everybody may what was said');
select results_eq(
  $$ select d.client_id, d.issuer, d.pull_lifetime, d.push_lifetime from api.docker_registries() d $$,
  $$ values ('R.example.com', null::text, interval '5 min', interval '30 min'),
            ('r.example.com', null, '5 min', '30 min'),
            ('s.example.com:5000', null, '1 min', '1 day') $$, 'the token endpoint knows the same');
select is(pg_temp.recorded('docker_registry.create'), array['r.example.com', 'R.example.com', 's.example.com:5000'], 'making is recorded');
select is((select (a.object, a.after ->> 'kid', a.after ? 'sealed_key')::text from auth.audit a where a.action = 'docker_registry.create_key'), '(r.example.com,k1,f)', 'so is its key, without what is sealed');

-- Finding.
update auth.docker_registries r set name = 'r.example.com' where r.client_id = 'R.example.com';
select results_eq(
  $$ select f.selector, f.client_id, f.rules, f.keys from api.find_docker_registries(array['r.example.com', 'Second', 'second', '', null]) f order by f.selector collate "C" $$,
  $$ values ('', null, null::bigint, null::bigint), ('Second', 's.example.com:5000', 0, 0), ('r.example.com', 'r.example.com', 1, 1), ('second', null, null, null), (null, null, null, null) $$,
  'by client_id before name; what means none has nulls');

-- What is refused.
select throws_ok(format($$ select pg_temp.make(%L, 'x') $$, n), '23514', null, 'client_id ' || n)
  from unnest(array['', ' r', 'r ', 'r"', 'r\', E'r\ns', E'r\x7f', 'é', repeat('r', 256)]) n;
select throws_ok(format($$ select pg_temp.make('x', %L) $$, n), '23514', null, 'name ' || n)
  from unnest(array['', ' r', 'r ', E'r\ns', U&'r\0085', U&'e\0301', repeat('r', 256)]) n;
select throws_ok(format($$ select pg_temp.make('x', p_issuer => %L) $$, n), '23514', null, 'issuer ' || n)
  from unnest(array['a b', 'a"', 'a\', 'é', repeat('r', 256)]) n;
select throws_ok($$ select pg_temp.make('x', p_signing_key => 'other') $$, '23514', null, 'keys of nobody');
select throws_ok($$ select pg_temp.make('x', p_signing_key => null) $$, '23502', null, 'keys of null');
select throws_ok($$ select pg_temp.make('x', p_key_hint => 'jwk') $$, '23514', null, 'a hint that no registry reads');
select throws_ok(format($$ select pg_temp.make('x', p_pull => %L) $$, n), '23514', null, 'pull tokens for ' || n)
  from unnest(array['59 s', '86401 s', '90.5 s', '60.000001 s', '-5 min', '1 mon']::interval[]) n;
select throws_ok(format($$ select pg_temp.make('x', p_push => %L) $$, n), '23514', null, 'push tokens for ' || n)
  from unnest(array['59 s', '86401 s', '90.5 s']::interval[]) n;
select throws_ok($$ update auth.docker_registries r set domain_id = 0 where r.client_id = 'r.example.com'; set constraints all immediate $$, '23503', null, 'a domain that is not there');
select is(pg_temp.make(n, 'odd ' || nr), 'ok', 'client_id ' || n)
  from unnest(array['Docker registry', 'a', '{"a":1}'::text, repeat('r', 255)]) with ordinality o (n, nr) where n !~ '"';
select is(pg_temp.make('issued', p_issuer => 'https://auth.example.com/x?y'), 'ok', 'an issuer is what the registry has in its configuration');
do $$ begin perform api.remove_docker_registries(array(select r.id from auth.docker_registries r where r.name ~ '^(odd|issued)'), false); end $$;

-- Editing.
select is(pg_temp.edit('nothing', 'x'), 'gone', 'nothing is edited');
select is(pg_temp.edit('r.example.com', 'Second'), 'name_exists', 'the name of another');
select is(pg_temp.edit('r.example.com', 'Main'), 'ok', 'its own');
select is(pg_temp.edit('r.example.com'), 'ok', 'nothing at all');
select is(pg_temp.recorded('docker_registry.edit'), '{}', 'is no change');
select is(pg_temp.edit('r.example.com', p_domain => 'nowhere.test'), 'no_domain', 'a domain that is not ours');
select is(pg_temp.edit('r.example.com', p_signing_key => 'domain', p_domain => 'example.org'), 'no_key', 'keys of a domain that has none');
select is(pg_temp.edit('r.example.com', 'First', 'example.org', 'auth.example.org', null, 'kid-libtrust', '2 min', '3 min'), 'ok', 'its own keys sign for any domain');
select is(pg_temp.edit('r.example.com', p_signing_key => 'domain'), 'no_key', 'and that one''s do not');
select is(pg_temp.edit('r.example.com', p_signing_key => 'domain', p_domain => 'example.com'), 'ok', 'those of one that has some do');
select results_eq(
  $$ select f.name, f.domain, f.issuer, f.signing_key, f.key_hint, f.pull_lifetime, f.push_lifetime from api.find_docker_registries(array['r.example.com']) f $$,
  $$ values ('First', 'example.com', 'auth.example.org', 'domain', 'kid-libtrust', interval '2 min', interval '3 min') $$, 'all of it is edited');
select is(pg_temp.edit('r.example.com', p_domain => 'example.org'), 'no_key', 'a domain whose keys sign is not changed for one without');
select is(pg_temp.edit('R.example.com', p_key_hint => 'kid'), 'ok', 'a registry that has no key yet is edited in other ways');
select is(pg_temp.edit('s.example.com:5000', p_signing_key => 'registry'), 'no_key', 'it does not sign with keys of its own that are not there');
do $$ begin perform api.publish_keys('docker_registry', 's.example.com:5000', pg_temp.key('k2')); end $$;
select is(pg_temp.edit('s.example.com:5000', p_signing_key => 'registry'), 'no_key', 'nor with one that does not sign yet');
do $$ begin perform api.activate_key('docker_registry', 's.example.com:5000', 'k2'); end $$;
select is(pg_temp.edit('s.example.com:5000', p_signing_key => 'registry'), 'ok', 'but with one that does');
select is(pg_temp.edit('r.example.com', p_issuer => ''), 'ok', 'no issuer of its own any more');
select is((select f.issuer from api.find_docker_registries(array['r.example.com']) f), null, '(it has none)');
select is(pg_temp.recorded('docker_registry.edit'), array['r.example.com', 'r.example.com', 'R.example.com', 's.example.com:5000', 'r.example.com'], 'changes are recorded');
select throws_ok($$ select pg_temp.edit('r.example.com', p_key_hint => 'jwk') $$, '23514', null, 'what cannot be made cannot be edited to be');

-- Removing.
insert into auth.login_names (name, kind) values ('alice', 'user');
insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice');
insert into auth.docker_refresh_tokens (secret_hash, registry_id, user_id, login, password_sha256, client_id)
select sha256(n::bytea), pg_temp.id(n), u.id, 'alice', sha256('$y$alice'), 'docker' from auth.users u, unnest(array['r.example.com', 's.example.com:5000']) n;
select results_eq($$ select r.client_id, r.name, r.domain, r.rules, r.keys, r.refresh_tokens from api.remove_docker_registries(array[pg_temp.id('r.example.com'), -1], true) r $$,
  $$ values ('r.example.com', 'First', 'example.com', 1::bigint, 1::bigint, 1::bigint) $$, 'what would go');
select is((select r.client_id from api.remove_docker_registries(array[pg_temp.id('r.example.com')], null) r), 'r.example.com', 'null is not yes');
select is((select (f.rules, f.keys)::text from api.find_docker_registries(array['r.example.com']) f), '(1,1)', 'nothing went');
select is((select r.client_id from api.remove_docker_registries(array[pg_temp.id('r.example.com')], false) r), 'r.example.com', 'what went');
select is((select (f.id, f.client_id)::text from api.find_docker_registries(array['First']) f), '(,)', '(it did)');
select is((select count(*) from api.remove_docker_registries(array[-1], false)), 0::bigint, 'what was gone has no row');
select is((select (array_agg(n.id), array_agg(k.kid))::text from auth.docker_rules n full join (select k.kid from auth.keys k where k.kid = 'k1') k on true), '(,)', 'with its rule and its key');
select is(array(select r.client_id from auth.docker_refresh_tokens t join auth.docker_registries r on r.id = t.registry_id), array['s.example.com:5000'], 'its refresh token, and no other');
select is((select array_agg(a.action order by a.action) from auth.audit a where (a.after is null) and a.action ~ 'docker'
             and (a.object = 'r.example.com' or a.object = 'alice')),
  array['docker_refresh_token.revoke', 'docker_registry.remove', 'docker_registry.remove_key', 'docker_rule.deny'], 'each is recorded');
select is((select count(*) from auth.keys k where k.kid = 'd1'), 1::bigint, 'keys of the domain stay');

-- Who may.
select is(array(
    select (p.proname || ': ' || string_agg(substr(r.rolname, 12), ' ' order by r.rolname))::text
      from pg_proc p, pg_roles r
     where p.pronamespace in ('api'::regnamespace, 'auth'::regnamespace) and p.proname ~ 'docker'
       and r.rolname in ('authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder', 'authserver_spapi')
       and has_function_privilege(r.oid, p.oid, 'execute')
     group by p.oid, p.proname order by p.proname),
  array['create_docker_refresh_token: web', 'docker_registries: web', 'docker_rules: web', 'purge_docker_refresh_tokens: web', 'use_docker_refresh_token: web'],
  'the web server reads registries and rules and handles refresh tokens, and changes nothing else');

select * from finish();
