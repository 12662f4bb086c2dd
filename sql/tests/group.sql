-- Groups: creation, listing, removal.
select plan(31);

create function auth.remove_group(p_selector text)
returns text language sql
as $$ select concat_ws(': ', r.outcome, r.name) from api.remove_group(p_selector) r $$;

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.permissions (permission_name, name) values ('wiki.edit', 'Edit'), ('wiki.admin', 'Administer');

-- create
select is((select c.outcome from api.create_group('wiki') c), 'ok', 'a group is made');
select is((select c.outcome from api.create_group('wiki') c), 'exists', 'but once');
select is((select c.group_id from api.create_group('wiki') c), null, 'and its id is not for who did not make it');
select is((select c.outcome from api.create_group('Wiki') c), 'ok', 'names keep their case');
select is((select c.outcome from api.create_group('Café staff') c), 'ok', 'a name may have blanks and accents');
select throws_ok($$ select api.create_group('') $$, '23514', null, 'an empty name is refused');
select throws_ok($$ select api.create_group(' wiki') $$, '23514', null, 'a blank at the beginning');
select throws_ok($$ select api.create_group('wiki ') $$, '23514', null, 'a blank at the end');
select throws_ok($$ select api.create_group(E'wi\nki') $$, '23514', null, 'a line end');
select throws_ok($$ select api.create_group(E'wi\u0085ki') $$, '23514', null, 'a control character beyond ASCII');
select throws_ok($$ select api.create_group(E'e\u0301') $$, '23514', null, 'text that is not normalised');
select throws_ok($$ select api.create_group(repeat('é', 128)) $$, '23514', null, 'more than 255 octets');
select throws_ok($$ select api.create_group(null) $$, '23502', null, 'no name at all');
select is((select count(*) from auth.audit a where a.action = 'group.create'), 3::bigint,
  'what was made is in the audit trail, and nothing else');

-- list
insert into auth.group_members (group_id, user_id)
  select g.id, u.id from auth.groups g, auth.users u where g.name = 'wiki';
insert into auth.group_permissions (group_id, permission_id)
  select g.id, p.id from auth.groups g, auth.permissions p where g.name = 'wiki' and p.permission_name = 'wiki.edit';
select results_eq(
  $$ select l.name, l.members, l.permissions from api.list_groups(null) l $$,
  $$ values ('Café staff', 0::bigint, 0::bigint), ('Wiki', 0, 0), ('wiki', 2, 1) $$,
  'all groups are listed by name, with how many are in them and what they may');
select results_eq(
  $$ select l.name from api.list_groups('wiki') l $$, $$ values ('wiki') $$, 'one is found by its name');
select results_eq(
  $$ select l.name from api.list_groups((select g.id::text from auth.groups g where g.name = 'wiki')) l $$,
  $$ values ('wiki') $$, 'or by its id');
select is_empty($$ select from api.list_groups('99999999999999999999') $$, 'a number beyond all ids finds nothing');
select is_empty($$ select from api.list_groups('') $$, 'nor does nothing');

-- remove
select is(auth.remove_group('nobody'), 'unknown', 'what is not there is not removed');
select is(auth.remove_group(null), 'unknown', 'null is no group');
select is(auth.remove_group('wiki'), 'ok: wiki', 'a group is removed by its name');
select is_empty($$ select from auth.group_members $$, 'nobody is in it any more');
select is((select array_agg(u.identifier order by u.identifier) from auth.users u), array['alice', 'bob'], 'its members stay');
select is((select a.before - 'id' from auth.audit a where a.action = 'group.remove'),
  '{"name": "wiki", "members": ["alice", "bob"], "permissions": ["wiki.edit"]}'::jsonb,
  'the audit row says who was in it, and what it was for');

-- The name wins over the id.
select is((select c.outcome from api.create_group((select g.id::text from auth.groups g where g.name = 'Wiki')) c), 'ok',
  'a group may be named like the id of another');
select isnt(auth.remove_group((select g.id::text from auth.groups g where g.name = 'Wiki')), 'ok: Wiki', 'and goes first');
select is(auth.remove_group((select g.id::text from auth.groups g where g.name = 'Wiki')), 'ok: Wiki', 'before the other does');

-- A group that a client is for.
do $$ begin
  perform api.create_group('staff');
  perform api.create_oauth2_client(n, jsonb_build_object('name', n, 'type', 'public', 'grant_types', array['authorization_code'], 'allowed_groups', array['staff']), null, null)
     from unnest(array['Wiki', 'Book']) n;
end $$;
select is((select (r.outcome, r.detail)::text from api.remove_group('staff') r), '(required,"{Book,Wiki}")', 'it stays, and the clients are named');
select is((select count(*) from api.list_groups('staff')), 1::bigint, '(it does)');
do $$ begin perform api.remove_oauth2_clients(array(select c.id from auth.oauth2_clients c), false); end $$;
select is(auth.remove_group('staff'), 'ok: staff', 'until they are gone');

select * from finish();
