-- Claims that are made of attributes: made, listed, removed.
select plan(31);

select is(api.create_oauth2_claim('department', 'department', 'profile', 'string'), 'ok', 'a claim is made');
select is(api.create_oauth2_claim('department', 'other', 'profile', 'string'), 'exists', 'but once');
select is(api.create_oauth2_claim('https://example.com/roles', 'roles', 'roles', 'list'), 'ok', 'its name may have a prefix');
select is(api.create_oauth2_claim(n, 'a', 'profile', 'string'), 'reserved', n || ' has a meaning of its own')
  from unnest(array['iss', 'sub', 'aud', 'exp', 'nonce', 'sid', 'client_id', 'grant_id', 'email', 'email_verified', 'groups', 'permissions', 'state']) n;
select throws_ok(format($$ select api.create_oauth2_claim(%L, 'a', 'profile', 'string') $$, n), '23514', null, 'name ' || n)
  from unnest(array['', '1a', 'a b', 'é', repeat('a', 128)]) n;
select throws_ok($$ select api.create_oauth2_claim('x', 'A', 'profile', 'string') $$, '23514', null, 'an attribute that nobody can have');
select throws_ok($$ select api.create_oauth2_claim('x', 'a', 'a b', 'string') $$, '23514', null, 'a scope that nobody can ask for');
select throws_ok($$ select api.create_oauth2_claim('x', 'a', 'profile', 'text') $$, '23514', null, 'a type that there is not');
select results_eq($$ select c.name, c.attribute, c.scope, c.type from api.oauth2_claims() c $$,
  $$ values ('department', 'department', 'profile', 'string'), ('https://example.com/roles', 'roles', 'roles', 'list') $$, 'all are listed, by name');

select results_eq($$ select r.name, r.type from api.remove_oauth2_claims(array['department', 'x'], true) r $$, $$ values ('department', 'string') $$, 'what would go');
select is((select count(*) from api.remove_oauth2_claims(array['department'], null)), 1::bigint, 'null is not yes');
select is((select count(*) from api.oauth2_claims()), 2::bigint, 'nothing went');
select is((select r.name from api.remove_oauth2_claims(array['department', 'x'], false) r), 'department', 'what went');
select is((select count(*) from api.oauth2_claims()), 1::bigint, '(it did)');
select results_eq($$ select a.action, a.object from auth.audit a where a.action ~ '^oauth2_claim' order by a.id $$,
  $$ values ('oauth2_claim.create', 'department'), ('oauth2_claim.create', 'https://example.com/roles'), ('oauth2_claim.remove', 'department') $$, 'each is recorded');

select * from finish();
