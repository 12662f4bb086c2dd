-- Service users: names of their own, one password each.
select plan(56);

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('nobox', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob'), ('nobox', 'Nobox');
insert into auth.domains (name) values ('example.com');
insert into auth.aliases (local_part, domain_id, user_id)
select u.identifier, d.id, u.id from auth.users u, auth.domains d where u.identifier <> 'nobox';
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.svc(p_username text) returns bigint
language sql as $$ select s.id from auth.service_users s where s.username = p_username $$;

create function pg_temp.make(p_identifier text, p_username text, p_hash text, p_app text, out outcome text, out id bigint, out username text)
language sql as $$
  select r.outcome, r.service_user_id, r.username
    from api.create_service_user(pg_temp.user_id(p_identifier), p_username, 'backup', p_hash, p_app,
           sha256(p_app::bytea), '$6$rounds=1000$x$' || p_app, array['imap'], null, null) r
$$;
create function pg_temp.edit(
  p_username text, p_new_name text default null, p_description text default null, p_user uuid default null, p_hash text default null, p_app text default null
) returns text
language sql as $$
  select r.outcome
    from api.edit_service_users(array[pg_temp.svc(p_username)], p_new_name, p_description, p_user, p_hash, p_app,
           sha256(p_app::bytea), '$6$rounds=1000$x$' || p_app, null, null, null) r
$$;
create function pg_temp.audited(p_action text) returns text[]
language sql as $$ select array_agg(a.object order by a.id) from auth.audit a where a.action = p_action $$;

-- Making.
select is((pg_temp.make('alice', 'backup', null, 'aaaaaa')).outcome, 'ok', 'with an app password');
select is((select (s.description, s.password_hash, s.app_password_id, ap.user_id = s.user_id, ap.services)::text
             from auth.service_users s join auth.app_passwords ap on ap.id = s.app_password_id), '(backup,,aaaaaa,t,{imap})', 'which is limited as asked');
select is((pg_temp.make('alice', 'printer', '$y$hash', null)).outcome, 'ok', 'with a hash');
select ok((pg_temp.make('alice', null, '$y$hash', null)).username ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$', 'named by a random UUID');
select is((pg_temp.make('alice', 'backup', '$y$hash', null)).outcome, 'exists', 'the name is another''s');
select is((pg_temp.make('alice', 'bob', '$y$hash', null)).outcome, 'taken', 'the name is a user''s');
select is((pg_temp.make('bob', 'scanner', null, 'aaaaaa')).outcome, 'id_taken', 'the app password''s id is taken');
select is((pg_temp.make('nobox', 'scanner', '$y$hash', null)).outcome, 'no_mailbox', 'the user has no mailbox');
select is((pg_temp.make('nobody', 'scanner', '$y$hash', null)).outcome, 'gone', 'there is no user');
select is((select count(*) from auth.login_names n where n.kind = 'service_user'), 3::bigint, 'what is refused takes no name');
select is((select count(*) from auth.app_passwords), 1::bigint, 'and leaves no app password');
select throws_ok($$ select pg_temp.make('alice', 'scanner', null, null) $$, '23514', null, 'no password at all');
select throws_ok($$ select pg_temp.make('alice', 'scanner', '$y$hash', 'bbbbbb') $$, '23514', null, 'two passwords');
select throws_ok($$ select pg_temp.make('alice', 'scan ner', '$y$hash', null) $$, '23514', null, 'a name that Go would refuse');

-- Which is meant.
select is(auth.find_service_user('BackUp'), pg_temp.svc('backup'), 'by name, in capitals');
select is(auth.find_service_user(pg_temp.svc('backup')::text), pg_temp.svc('backup'), 'by id');
select lives_ok($$ select pg_temp.make('bob', pg_temp.svc('backup')::text, '$y$hash', null) $$, 'one is named like the id of another');
select is(auth.find_service_user(pg_temp.svc('backup')::text), pg_temp.svc(pg_temp.svc('backup')::text), 'the name wins');
select is(auth.find_service_user(s), null, format('%L is none', left(s, 20))) from unnest(array['', 'alice', repeat('9', 30), '-1', '1 or 1', null]) s;
select results_eq($$ select f.selector, f.username, f.user_identifier from api.find_service_users(array['printer', 'nothing'], 'no such text', null) f $$,
  $$ values ('nothing', null::text, null::text) $$, 'what is not found is said whatever the filter');
select results_eq($$ select f.username, f.user_identifier, f.app_password_id from api.find_service_users(null, 'UP', pg_temp.user_id('alice')) f where f.username in ('backup', 'printer') $$,
  $$ values ('backup', 'alice', 'aaaaaa'), ('printer', 'alice', null) $$, 'by part of name or description');
select is((select count(*) from api.find_service_users(null, null, pg_temp.user_id('bob'))), 1::bigint, 'of one user');

-- Changing.
select is(pg_temp.edit('backup', 'printer', 'new'), 'exists', 'renamed to another service user');
select is(pg_temp.edit('backup', 'alice', 'new'), 'taken', 'renamed to a user');
select is(pg_temp.edit('backup', 'saver', 'new', p_app => 'aaaaaa'), 'id_taken', 'the new app password''s id is taken');
select is(pg_temp.edit('backup', 'saver', 'new', pg_temp.user_id('nobox')), 'no_mailbox', 'given to a user without mailbox');
select is(pg_temp.edit('backup', 'saver', 'new', gen_random_uuid()), 'no_user', 'given to nobody');
select is((api.edit_service_users(array[pg_temp.svc('backup'), -1], null, 'new', null, null, null, null, null, null, null, null))::text, '(gone,-1)', 'one of two is gone');
select is((api.edit_service_users(array[pg_temp.svc('backup'), pg_temp.svc('printer')], null, 'new', null, '$y$new', null, null, null, null, null, null)).outcome, 'several', 'one password for two');
select is((api.edit_service_users(array[pg_temp.svc('backup'), pg_temp.svc('printer')], 'saver', 'new', null, null, null, null, null, null, null, null)).outcome, 'several', 'one name for two');
select is((select count(*) from auth.service_users s where s.description = 'new'), 0::bigint, 'none of these changed anything');
select is((select count(*) from auth.login_names n where n.name = 'saver'), 0::bigint, 'nor took a name');
select is(pg_temp.edit('backup', 'saver', 'new', pg_temp.user_id('bob')), 'ok', 'renamed and given to another user');
select is((select (u.identifier, s.description, s.app_password_id, ap.user_id = u.id)::text
             from auth.service_users s join auth.users u on u.id = s.user_id join auth.app_passwords ap on ap.id = s.app_password_id
            where s.username = 'saver'), '(bob,new,aaaaaa,t)', 'the app password goes along');
select is((select (a.object, a.before ->> 'user_id' = pg_temp.user_id('alice')::text, a.after ->> 'user_id' = pg_temp.user_id('bob')::text)::text
             from auth.audit a where a.action = 'app_password.edit'), '(aaaaaa,t,t)', 'which is recorded');
select is((select count(*) from auth.login_names n where n.name = 'backup'), 0::bigint, 'the old name is free');
select is(pg_temp.edit('saver', p_user => pg_temp.user_id('alice'), p_app => 'bbbbbb'), 'ok', 'back, with a new app password');
select is((select array_agg((ap.id, u.identifier, ap.revoked_at is not null)::text order by ap.id)
             from auth.app_passwords ap join auth.users u on u.id = ap.user_id), array['(aaaaaa,bob,t)', '(bbbbbb,alice,f)'], 'the old one stays, revoked');
select is(pg_temp.audited('app_password.revoke'), array['aaaaaa'], 'which is recorded');
select is(pg_temp.edit('saver', p_hash => '$y$new'), 'ok', 'a hash instead');
select is((select (s.password_hash, s.app_password_id)::text from auth.service_users s where s.username = 'saver'), '($y$new,)', 'replaces the app password');
select is(pg_temp.audited('app_password.revoke'), array['aaaaaa', 'bbbbbb'], 'which is revoked');
select is(pg_temp.edit('saver', p_app => 'cccccc'), 'ok', 'and back');
select is((select (s.password_hash, s.app_password_id)::text from auth.service_users s where s.username = 'saver'), '(,cccccc)', 'replaces the hash');
select is(pg_temp.audited('service_user.edit'), array['backup', 'saver', 'saver', 'saver'], 'changes are recorded');
select is(pg_temp.edit('saver', 'saver', 'new', pg_temp.user_id('alice')), 'ok', 'what it is already');
select is(cardinality(pg_temp.audited('service_user.edit')), 4, 'is no change');

-- Removing.
select results_eq($$ select r.username, r.user_identifier, r.app_password_id from api.remove_service_users(array[pg_temp.svc('saver'), pg_temp.svc('printer'), -1], true) r $$,
  $$ values ('printer', 'alice', null::text), ('saver', 'alice', 'cccccc') $$, 'what would go');
select results_eq($$ select r.username, r.user_identifier, r.app_password_id from api.remove_service_users(array[pg_temp.svc('saver'), pg_temp.svc('printer'), -1], false) r $$,
  $$ values ('printer', 'alice', null::text), ('saver', 'alice', 'cccccc') $$, 'what went');
select is((select count(*) from auth.login_names n where n.name in ('saver', 'printer')), 0::bigint, 'names are free');
select is((select array_agg(ap.id order by ap.id) from auth.app_passwords ap), array['aaaaaa', 'bbbbbb'], 'the app password is gone, those revoked before stay');

select * from finish();
