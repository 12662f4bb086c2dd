-- Mailing lists: creation, selection, addresses, removal.
select plan(63);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.list_id(p_name text) returns bigint
language sql as $$ select min(m.id) from auth.mailing_lists m where m.name = p_name $$;
create function pg_temp.addresses(p_name text) returns text
language sql as $$ select array_to_string(auth.addresses_of_list(pg_temp.list_id(p_name)), ' ') $$;
create function pg_temp.last_audit(p_object text) returns auth.audit
language sql as $$ select a from auth.audit a where a.object = p_object order by a.id desc limit 1 $$;
create function pg_temp.found(p_selectors text[], p_contains text default null)
returns text language sql
as $$ select string_agg(coalesce(f.name, '(' || f.selector || ')'), ' ' order by f.name, f.selector) from api.find_mailing_lists(p_selectors, p_contains) f $$;

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.domains (name) values ('example.com');

-- create
select is((select c.outcome from api.create_mailing_list('team', null, null, array['z@x.test', 'a@x.test', 'm@x.test']) c), 'ok', 'a list is made');
select is(pg_temp.addresses('team'), 'z@x.test a@x.test m@x.test', 'with its addresses in their order');
select is((pg_temp.last_audit('team')).after - 'id', '{"name": "team", "owner_id": null, "new_mailfrom": null, "addresses": ["z@x.test", "a@x.test", "m@x.test"]}'::jsonb,
  'all of which is in the audit trail');
select is((select c.outcome from api.create_mailing_list('Board', 'board@example.com', pg_temp.user_id('alice'), array['a@x.test', 'b@x.test', 'a@x.test']) c), 'ok',
  'one with an owner');
select is(pg_temp.addresses('Board'), 'a@x.test b@x.test', 'an address is on a list once');
select is((select c.outcome from api.create_mailing_list('x', null, null, '{}') c), 'empty', 'one without addresses is refused');
select is((select c.outcome from api.create_mailing_list('x', null, null, null) c), 'empty', '(null is none)');
select is((select c.outcome from api.create_mailing_list('x', null, gen_random_uuid(), array['a@x.test']) c), 'no_user', 'the owner has to be there');
select throws_ok($$ select api.create_mailing_list('x', null, null, array['A@x.test']) $$, '23514', null, 'capitals are refused');
select throws_ok($$ select api.create_mailing_list('x', null, null, array['a']) $$, '23514', null, 'what is no address');
select throws_ok($$ select api.create_mailing_list('x', 'a', null, array['a@x.test']) $$, '23514', null, 'a sender that is no address');
select throws_ok($$ select api.create_mailing_list('', null, null, array['a@x.test']) $$, '23514', null, 'an empty name');
select is((select count(*) from auth.mailing_lists), 2::bigint, 'of what was refused nothing is left');

-- find
insert into auth.aliases (local_part, domain_id, mailing_list_id)
  select v.local_part, d.id, pg_temp.list_id('team') from (values ('team'), ('all')) v (local_part), auth.domains d;
select results_eq(
  $$ select f.name, f.new_mailfrom, f.addresses, f.owner, f.aliases from api.find_mailing_lists(null, null) f $$,
  $$ values ('Board', 'board@example.com', array['a@x.test', 'b@x.test'], 'alice', '{}'::text[]),
            ('team', null, array['z@x.test', 'a@x.test', 'm@x.test'], null, array['all@example.com', 'team@example.com']) $$,
  'all are found, with all that they have');
select is(pg_temp.found(array['TEAM']), 'team', 'by name');
select is(pg_temp.found(array[pg_temp.list_id('Board')::text]), 'Board', 'by id');
select is(pg_temp.found(array['nobody', 'team']), 'team (nobody)', 'what means none is said');
select is(pg_temp.found(array['99999999999999999999', '-1', '']), '() (-1) (99999999999999999999)', 'strange ids mean none');
select is(pg_temp.found(null, 'OAR'), 'Board', 'by a part of the name');
select is(pg_temp.found(null, '%'), null, 'which is no pattern');
select lives_ok($$ select api.create_mailing_list('team', null, null, array['other@x.test']) $$, 'a name is not a list''s own');
select is(pg_temp.found(array['team']), 'team team', 'so it may mean several');
select lives_ok($$ select api.create_mailing_list(pg_temp.list_id('team')::text, null, null, array['other@x.test']) $$, 'a list may be named like the id of another');
select is(pg_temp.found(array[pg_temp.list_id('team')::text]), 'team', 'which is meant');
select is(pg_temp.found(array['team', pg_temp.list_id('team')::text], 'Board'), null, 'filters leave out');

-- edit
select is(api.edit_mailing_lists(array[pg_temp.list_id('Board')], null, null, pg_temp.user_id('bob'), false), 'ok', 'a list gets another owner');
select is((select f.owner || f.new_mailfrom from api.find_mailing_lists(array['Board'], null) f), 'bobboard@example.com', 'and keeps the rest');
select is(api.edit_mailing_lists(array[pg_temp.list_id('Board')], 'Directors', '', null, true), 'ok', 'name, no sender, no owner');
select results_eq($$ select f.owner, f.new_mailfrom from api.find_mailing_lists(array['Directors'], null) f $$, $$ values (null::text, null::text) $$, '(it did)');
select is((pg_temp.last_audit('Board')).after ->> 'name', 'Directors', 'the audit trail has it under the old name');
select is(api.edit_mailing_lists(array[pg_temp.list_id('Directors'), 0], 'x', null, null, false), 'gone', 'what is not there is said');
select is(pg_temp.found(array['Directors']), 'Directors', 'and nothing else changed');
select is(api.edit_mailing_lists(array[pg_temp.list_id('Directors')], 'x', null, gen_random_uuid(), false), 'no_user', 'the new owner has to be there');

-- addresses
select is((select array_to_string(a.added, ' ') from api.add_mailing_list_addresses(pg_temp.list_id('team'), array['y@x.test', 'a@x.test', 'b@x.test', 'y@x.test']) a),
  'y@x.test b@x.test', 'what is on the list is not added');
select is(pg_temp.addresses('team'), 'z@x.test a@x.test m@x.test y@x.test b@x.test', 'the rest goes to its end');
select is((pg_temp.last_audit('team')).after -> 'addresses', '["y@x.test", "b@x.test"]'::jsonb, 'and to the audit trail');
select is((select a.outcome from api.add_mailing_list_addresses(0, array['y@x.test']) a), 'gone', 'to no list nothing is added');
select is((select r.outcome || ' ' || array_to_string(r.missing, ' ') from api.remove_mailing_list_addresses(pg_temp.list_id('team'), array['y@x.test', 'q@x.test', 'p@x.test'], false) r),
  'missing q@x.test p@x.test', 'what is not on the list is not removed');
select is((select r.outcome from api.remove_mailing_list_addresses(pg_temp.list_id('team'), array['y@x.test', 'z@x.test'], true) r), 'ok', 'a dry run');
select is(pg_temp.addresses('team'), 'z@x.test a@x.test m@x.test y@x.test b@x.test', 'removes nothing');
select is((select r.outcome from api.remove_mailing_list_addresses(pg_temp.list_id('team'), array['y@x.test', 'z@x.test'], false) r), 'ok', 'the rest is');
select is(pg_temp.addresses('team'), 'a@x.test m@x.test b@x.test', '(it was)');
select is((select r.outcome from api.remove_mailing_list_addresses(pg_temp.list_id('team'), array['a@x.test', 'm@x.test', 'b@x.test'], false) r), 'empty', 'a list keeps an address');
select is((select r.outcome from api.remove_mailing_list_addresses(0, array['a@x.test'], false) r), 'gone', 'from no list nothing is removed');
select is((select concat_ws('|', s.outcome, array_to_string(s.added, ' '), array_to_string(s.removed, ' ')) from api.set_mailing_list_addresses(pg_temp.list_id('team'), array['n@x.test', 'b@x.test', 'a@x.test'], false) s),
  'ok|n@x.test|m@x.test', 'all are replaced, and what came and went is said');
select is(pg_temp.addresses('team'), 'n@x.test b@x.test a@x.test', 'in this order');
select is((select s.outcome from api.set_mailing_list_addresses(pg_temp.list_id('team'), '{}', false) s), 'empty', 'by none is no replacement');
select is((select s.outcome from api.set_mailing_list_addresses(0, array['a@x.test'], false) s), 'gone', 'nor of no list');

-- remove
select is((select concat_ws('|', r.name, r.addresses, array_to_string(r.aliases, ' ')) from api.remove_mailing_lists(array[pg_temp.list_id('team')], true) r),
  'team|3|all@example.com team@example.com', 'a dry run says what would go');
select is((select r.name from api.remove_mailing_lists(array[pg_temp.list_id('team'), 0], false) r), 'team', 'the list goes');
select is((select count(*) from auth.aliases), 0::bigint, 'with its aliases');
select is((pg_temp.last_audit('team')).before -> 'aliases', '["all@example.com", "team@example.com"]'::jsonb, 'the audit trail has them');
select is((pg_temp.last_audit('all@example.com')).action, 'alias.remove', 'each under its own name, too');

-- Constraints, as the second line behind Go's grammar.
select throws_ok(format($$ select api.create_mailing_list('x', null, null, array[%L]) $$, bad), '23514', null, format('%s is no address', bad))
  from unnest(array['a,b@x.test', '"a"@x.test', '<a>@x.test', 'a@y..z', 'a@-', '.a@x.test', E'a\u0085@x.test', 'A@x.test', 'a@b@x.test']) bad;
select throws_ok($$ select api.create_mailing_list('x', 'a,b@x.test', null, array['a@x.test']) $$, '23514', null, 'nor is it a sender');

select * from finish();
