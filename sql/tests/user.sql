-- Users: who is meant, who is changed, what goes with whom.
select plan(59);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;

create function pg_temp.last_audit(p_object text) returns auth.audit
language sql as $$ select a from auth.audit a where a.object = p_object order by a.id desc limit 1 $$;

-- Making.
select is((api.create_user('alice', 'Alice', null, false)).outcome, 'ok', 'a user without password');
select is((api.create_user('alice', 'Other', null, false)).outcome, 'exists', 'the identifier is another user''s');
select is((api.create_user('bob', 'Bob', '$y$hash', true)).outcome, 'ok', 'a user with password');
select is((select (u.password_hash, u.staff, u.active)::text from auth.users u where u.identifier = 'alice'), '(,f,t)', 'no password, no staff, active');
select is((select (u.password_hash, u.staff, u.active)::text from auth.users u where u.identifier = 'bob'), '($y$hash,t,t)', 'password and staff');
select is((pg_temp.last_audit('bob')).action, 'user.create', 'making is recorded');
select is((pg_temp.last_audit('bob')).after ? 'password_hash', false, 'without the hash');

insert into auth.domains (name, unicode_name) values ('example.com', null), ('xn--mnchen-3ya.example', 'münchen.example');
insert into auth.aliases (local_part, domain_id, user_id)
select v.local_part, d.id, pg_temp.user_id(v.owner)
  from (values ('alice', 'example.com', 'alice'), ('ali', 'example.com', 'alice'),
               ('alice', 'xn--mnchen-3ya.example', 'alice'), ('bob', 'example.com', 'bob')) v (local_part, domain, owner)
  join auth.domains d on d.name = v.domain;
insert into auth.login_names (name, kind) values
  ('svc', 'service_user'), ('svc2', 'service_user'), ('11111111-1111-4111-8111-111111111111', 'service_user');
insert into auth.service_users (user_id, username, password_hash) values
  (pg_temp.user_id('alice'), 'svc', '$6$x$y'),
  (pg_temp.user_id('alice'), 'svc2', '$6$x$y'),
  (pg_temp.user_id('bob'), '11111111-1111-4111-8111-111111111111', '$6$x$y');

select is((api.create_user('svc', 'Thief', null, false)).outcome, 'taken', 'the identifier is a service user''s name');

-- The mailbox.
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'bob@example.com'), 'not_own', 'another user''s alias');
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'nobody@example.com'), 'unknown_alias', 'no such alias');
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'alice+x@example.com'), 'unknown_alias', 'a sub-address is no mailbox');
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'a@b@example.com'), 'unknown_alias', 'no address');
select is(api.set_delivery_mailbox(gen_random_uuid(), 'alice@example.com'), 'gone', 'no such user');
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'Alice@Example.COM'), 'ok', 'an own alias, in capitals');
select is((pg_temp.last_audit('alice')).action, 'user.set_delivery_mailbox', 'choosing a mailbox is recorded');
select is(api.set_delivery_mailbox(pg_temp.user_id('alice'), 'alice@example.com'), 'ok', 'again');
select is((select count(*) from auth.audit a where a.action = 'user.set_delivery_mailbox'), 1::bigint, 'what changes nothing is not recorded');

-- Who is meant.
select is(auth.find_user(upper(pg_temp.user_id('alice')::text)), pg_temp.user_id('alice'), 'by UUID in capitals');
select is(auth.find_user('ALICE'), pg_temp.user_id('alice'), 'by identifier in capitals');
select is(auth.find_user('ali@EXAMPLE.com'), pg_temp.user_id('alice'), 'by alias');
select is(auth.find_user('alice@münchen.example'), pg_temp.user_id('alice'), 'by alias in U-labels');
select is(auth.find_user('svc'), pg_temp.user_id('alice'), 'by service user');
select is(auth.find_user('11111111-1111-4111-8111-111111111111'), pg_temp.user_id('bob'), 'by a service user that is named by a UUID');
select is(auth.find_user('alice+x@example.com'), null, 'a sub-address is nobody''s');
select is(auth.find_user(s), null, format('%L is nobody', s)) from unnest(array['', 'alice@', '@example.com', 'alice@example.com@example.com', ' alice', repeat('a', 9999)]) s;
select is(auth.find_user(null), null, 'null is nobody');
select results_eq($$ select f.selector, f.identifier, f.delivery_mailbox from api.find_users(array['svc', 'nobody', 'alice'], 'no such text', null) f $$,
  $$ values ('nobody', null::text, null::text) $$, 'who is not found is said whatever the filter');
select results_eq($$ select f.selector, f.identifier, f.delivery_mailbox from api.find_users(array['svc', 'nobody', 'alice'], null, true) f $$,
  $$ values ('alice', 'alice', 'alice@example.com'), ('svc', 'alice', 'alice@example.com'), ('nobody', null, null) $$, 'one row for each selector');
select results_eq($$ select f.identifier from api.find_users(null, 'B', null) f $$, $$ values ('bob') $$, 'part of a name in either case');
select is_empty($$ select f.identifier from api.find_users(null, '%', null) f $$, 'a percent sign is none');

-- Changing.
select is((api.edit_users(array[pg_temp.user_id('alice')], 'bob', 'X', null, false, null, null)).outcome, 'exists', 'renamed to another user');
select is((api.edit_users(array[pg_temp.user_id('alice')], 'svc', 'X', null, false, null, null)).outcome, 'taken', 'renamed to a service user');
select is((api.edit_users(array[pg_temp.user_id('alice'), pg_temp.user_id('bob')], 'carol', 'X', null, false, null, null)).outcome, 'several', 'one identifier for two');
select is((api.edit_users(array[pg_temp.user_id('alice'), gen_random_uuid()], null, 'X', null, false, null, null)).outcome, 'gone', 'one of two is gone');
select is((select array_agg(u.full_name order by u.full_name) from auth.users u), array['Alice', 'Bob'], 'none of these changed anything');
select is((select array_agg(n.name order by n.name) from auth.login_names n where n.kind = 'user'), array['alice', 'bob'], 'nor took a name');
select is((api.edit_users(array[pg_temp.user_id('alice'), pg_temp.user_id('alice')], 'alicia', 'Alicia', '$y$new', false, true, false)).outcome, 'ok', 'everything at once, for a user who is named twice');
select is((select (u.identifier, u.full_name, u.password_hash, u.staff, u.active)::text from auth.users u where u.id = auth.find_user('ali@example.com')),
  '(alicia,Alicia,$y$new,t,f)', 'and it is done');
select is((select array_agg(n.name order by n.name) from auth.login_names n where n.kind = 'user'), array['alicia', 'bob'], 'the old identifier is free');
select is((pg_temp.last_audit('alice')).after -> 'changed', '["password_hash"]', 'that the password changed is recorded');
select is((api.edit_users(array[pg_temp.user_id('alicia')], 'alicia', null, null, null, null, null)).outcome, 'ok', 'renamed to itself');
select is((pg_temp.last_audit('alicia')).id, null, 'is no change');
select is((api.edit_users(array[pg_temp.user_id('alicia'), pg_temp.user_id('bob')], null, null, '$y$both', true, null, true)).outcome, 'ok', 'removing passwords wins over setting them');
select is((select count(*) from auth.users u where u.password_hash is null and u.active), 2::bigint, 'nobody has one');
select throws_ok($$ select api.create_user('two@signs@', 'X', null, false) $$, '23514', null, 'an identifier that Go would refuse');
select throws_ok($$ select api.create_user('x', E'line\nend', null, false) $$, '23514', null, 'a name that Go would refuse');

-- Removing.
select results_eq($$ select r.identifier, r.aliases, r.service_users, r.app_passwords, r.agent_tokens, r.mailing_lists
                       from api.remove_users(array[pg_temp.user_id('alicia'), gen_random_uuid()], true) r $$,
  $$ values ('alicia', array['alice@example.com', 'ali@example.com', 'alice@xn--mnchen-3ya.example'], array['svc', 'svc2'], 0::bigint, 0::bigint, array[]::text[]) $$,
  'what would go, the mailbox first');
select isnt(pg_temp.user_id('alicia'), null, 'and did not');
insert into auth.mailing_lists (name, owner_id) values ('team', pg_temp.user_id('alicia'));
insert into auth.email_agent_tokens (creator_id, token_hash, token_hint) values (pg_temp.user_id('alicia'), sha256('x'), 'x');
select is((select (r.agent_tokens, r.mailing_lists)::text from api.remove_users(array[pg_temp.user_id('alicia')], false) r), '(1,{team})', 'what went');
select is((select array_agg(n.name order by n.name) from auth.login_names n), array['11111111-1111-4111-8111-111111111111', 'bob'], 'names are free');
select is((select count(*) from auth.aliases), 1::bigint, 'aliases are gone');
select is((pg_temp.last_audit('alicia')).before -> 'aliases', '["alice@example.com", "ali@example.com", "alice@xn--mnchen-3ya.example"]', 'and recorded');
select is((select m.owner_id from auth.mailing_lists m), null, 'the list stays');
select is(array(select a.action || ' ' || a.object from auth.audit a
                 where a.id > (select max(e.id) from auth.audit e where e.action = 'user.edit') order by a.action, a.object collate "C"),
  array['alias.remove ali@example.com', 'alias.remove alice@example.com', 'alias.remove alice@xn--mnchen-3ya.example',
        'email_agent_token.remove x', 'mailing_list.edit team',
        'service_user.remove svc', 'service_user.remove svc2', 'user.remove alicia'], 'all that went is recorded under its own name');

select * from finish();
