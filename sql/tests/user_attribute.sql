-- Attributes of users: set, listed, unset.
select plan(29);

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
create function pg_temp.id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;

select is(api.set_user_attribute(pg_temp.id('alice'), 'state', 'member'), 'ok', 'an attribute is set');
select is(api.set_user_attribute(pg_temp.id('alice'), 'state', 'member'), 'unchanged', 'to what it is');
select is(api.set_user_attribute(pg_temp.id('alice'), 'state', 'guest'), 'ok', 'to something else');
select is(api.set_user_attribute(pg_temp.id('alice'), 'address_text', E'1 Main St\n\tTown'), 'ok', 'it may have lines');
select is(api.set_user_attribute(pg_temp.id('bob'), 'state', 'member'), 'ok', 'another has his own');
select is(api.set_user_attribute(gen_random_uuid(), 'state', 'member'), 'gone', 'nobody has none');
select is(api.set_user_attribute(null, 'state', 'member'), 'gone', 'nor has null');
select throws_ok(format($$ select api.set_user_attribute(pg_temp.id('bob'), %L, 'x') $$, n), '23514', null, 'name ' || n)
  from unnest(array['', 'State', '1', 'a-b', repeat('a', 64)]) n;
select throws_ok(format($$ select api.set_user_attribute(pg_temp.id('bob'), 'a', %L) $$, n), '23514', null, 'value of ' || length(n))
  from unnest(array['', E'\x01', E'\x7f', repeat('é', 2049)]) n;

select results_eq($$ select f.identifier, f.name, f.value from api.find_user_attributes(null, null) f $$,
  $$ values ('alice', 'address_text', E'1 Main St\n\tTown'), ('alice', 'state', 'guest'), ('bob', 'state', 'member') $$, 'all are listed');
select results_eq($$ select f.value from api.find_user_attributes(pg_temp.id('bob'), null) f $$, $$ values ('member') $$, 'those of one');
select results_eq($$ select f.identifier from api.find_user_attributes(null, 'state') f $$, $$ values ('alice'), ('bob') $$, 'or of one name');

select results_eq($$ select n.identifier, n.name, n.value from api.unset_user_attributes(pg_temp.id('alice'), array['state', 'x'], true) n $$,
  $$ values ('alice', 'state', 'guest') $$, 'what would go');
select is((select count(*) from api.unset_user_attributes(pg_temp.id('alice'), array['state'], null)), 1::bigint, 'null is not yes');
select is((select n.name from api.unset_user_attributes(pg_temp.id('alice'), array['state', 'x'], false) n), 'state', 'what went');
select is((select count(*) from api.find_user_attributes(pg_temp.id('alice'), null)), 1::bigint, '(it did)');
select is((select count(*) from api.find_user_attributes(pg_temp.id('bob'), null)), 1::bigint, 'and no other');
select results_eq($$ select a.action, a.object, a.before, a.after from auth.audit a where a.action ~ 'attribute' order by a.id $$,
  $$ values ('user.set_attribute', 'alice', null::jsonb, '{"state": "member"}'::jsonb), ('user.set_attribute', 'alice', '{"state": "member"}', '{"state": "guest"}'),
            ('user.set_attribute', 'alice', null, '{"address_text": "1 Main St\n\tTown"}'), ('user.set_attribute', 'bob', null, '{"state": "member"}'),
            ('user.unset_attribute', 'alice', '{"state": "guest"}', null) $$, 'each is recorded');

-- Clients may know users by it.
select is(api.set_user_attribute(pg_temp.id('alice'), 'legacy_id', '17'), 'ok', 'what another system called a user');
select is(api.set_user_attribute(pg_temp.id('bob'), 'legacy_id', '17'), 'taken', 'is nobody else''s');
select is(api.set_user_attribute(pg_temp.id('alice'), 'legacy_id', '17'), 'unchanged', 'but their own');
select throws_ok($$ insert into auth.user_attributes (user_id, name, value) select u.id, 'legacy_id', '17' from auth.users u where u.identifier = 'bob' $$, '23505', null, 'by no way');

select * from finish();
