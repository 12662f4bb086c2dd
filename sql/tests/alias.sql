-- Aliases: creation, selection, change, blocking, removal.
select plan(80);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.list_id(p_name text) returns bigint
language sql as $$ select m.id from auth.mailing_lists m where m.name = p_name $$;
create function pg_temp.ids(variadic p_addresses text[]) returns bigint[]
language sql as $$ select array_agg(a.id order by array_position(p_addresses, auth.address_of(a))) from auth.aliases a where auth.address_of(a) = any (p_addresses) $$;
create function pg_temp.last_audit(p_object text) returns auth.audit
language sql as $$ select a from auth.audit a where a.object = p_object order by a.id desc limit 1 $$;

-- What most of these calls leave out.
create function pg_temp.create_alias(p_local_part text, p_domain text, p_user text default null, p_list text default null, p_blocked boolean default false)
returns text language sql
as $$ select c.outcome from api.create_alias(p_local_part, p_domain, pg_temp.user_id(p_user), pg_temp.list_id(p_list), p_blocked) c $$;
create function pg_temp.edit(p_ids bigint[], p_local_part text default null, p_domain text default null, p_user text default null, p_list text default null, p_blocked boolean default null)
returns text language sql
as $$ select string_agg(e.outcome, ' ' order by e.alias_id)
        from api.edit_aliases(p_ids, p_local_part, p_domain, pg_temp.user_id(p_user), pg_temp.list_id(p_list), p_blocked) e $$;
create function pg_temp.found(p_addresses text[], p_local_part text default null, p_domain text default null, p_contains text default null,
  p_user text default null, p_list text default null, p_blocked boolean default null)
returns text language sql
as $$ select string_agg(coalesce(f.local_part || '@' || f.domain, '(' || f.selector || ')'), ' ' order by f.domain, f.local_part, f.selector)
        from api.find_aliases(p_addresses, p_local_part, p_domain, p_contains, pg_temp.user_id(p_user), pg_temp.list_id(p_list), p_blocked) f $$;
create function pg_temp.block(p_addresses text[], p_create boolean, p_dry_run boolean default false)
returns text language sql
as $$ select string_agg(b.address || ' ' || b.outcome, ', ' order by b.address) from api.block_aliases(p_addresses, p_create, null, null, p_dry_run) b $$;
create function pg_temp.remove(p_ids bigint[], p_dry_run boolean default false)
returns text language sql
as $$ select string_agg(concat_ws(' ', r.address, r.outcome, r.mailbox_of), ', ' order by r.address) from api.remove_aliases(p_ids, p_dry_run) r $$;

insert into auth.domains (name, unicode_name, redirect_to) values
  ('example.com', null, null), ('example.org', null, null), ('old.test', null, 'example.com'), ('xn--bcher-kva.example', 'bücher.example', null);
insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.mailing_lists (name) values ('team');

-- create
select is(pg_temp.create_alias('alice', 'example.com', 'alice'), 'ok', 'an alias of a user');
select is((pg_temp.last_audit('alice@example.com')).action, 'alias.create', 'is in the audit trail');
select is((pg_temp.last_audit('alice@example.com')).after ->> 'user_id', pg_temp.user_id('alice')::text, 'with its owner');
select is(pg_temp.create_alias('alice', 'example.com', 'bob'), 'exists', 'an address is one alias');
select is(pg_temp.create_alias('alice', 'example.org', 'bob'), 'ok', 'another domain is another address');
select is(pg_temp.create_alias('team', 'example.com', p_list => 'team'), 'ok', 'an alias of a list');
select is(pg_temp.create_alias('root', 'example.com'), 'ownerless', 'one of nobody is refused');
select is(pg_temp.create_alias('root', 'example.com', p_blocked => true), 'ok', 'but blocked it is not');
select is(pg_temp.create_alias('a', 'example.net', 'alice'), 'unknown_domain', 'the domain has to be there');
select is((select c.outcome from api.create_alias('a', 'example.com', gen_random_uuid(), null, false) c), 'no_user', 'the user, too');
select is((select c.outcome from api.create_alias('a', 'example.com', null, 0, false) c), 'no_list', 'and the list');
select is((select c.redirect_to from api.create_alias('alice', 'old.test', pg_temp.user_id('alice'), null, false) c), 'example.com',
  'that mail goes elsewhere is said');
select is((select count(*) from auth.audit a where a.action = 'alias.create'), 5::bigint, 'what was refused is not in the audit trail');
select throws_ok($$ select pg_temp.create_alias('Alice', 'example.com', 'alice') $$, '23514', null, 'capitals are refused');
select throws_ok($$ select pg_temp.create_alias('a b', 'example.com', 'alice') $$, '23514', null, 'a blank');
select throws_ok($$ select pg_temp.create_alias('a@b', 'example.com', 'alice') $$, '23514', null, 'an @');
select throws_ok($$ select pg_temp.create_alias('', 'example.com', 'alice') $$, '23514', null, 'an empty local part');
select throws_ok($$ select pg_temp.create_alias(E'a\n', 'example.com', 'alice') $$, '23514', null, 'a line end');
select throws_ok($$ select pg_temp.create_alias(repeat('a', 65), 'example.com', 'alice') $$, '23514', null, 'more than 64 octets');
select throws_ok($$ select pg_temp.create_alias(E'e\u0301', 'example.com', 'alice') $$, '23514', null, 'text that is not normalised');
select throws_ok($$ select pg_temp.create_alias('b', 'example.com', 'alice', 'team') $$, '23514', null, 'two owners');
select is(pg_temp.create_alias('jean-luc', 'xn--bcher-kva.example', 'bob'), 'ok', 'a domain has A-labels');

-- find
select is(pg_temp.found(null),
  'alice@example.com root@example.com team@example.com alice@example.org alice@old.test jean-luc@xn--bcher-kva.example', 'all are found');
select is(pg_temp.found(array['alice@example.com', 'x@example.com', 'Team@Example.COM', 'nonsense']),
  'alice@example.com team@example.com (nonsense) (x@example.com)', 'those with an address are, and what is none is said');
select is(pg_temp.found(array['alice+x@example.com']), '(alice+x@example.com)', 'a sub-address is not the alias');
select is(pg_temp.found(array['jean-luc@bücher.example']), 'jean-luc@xn--bcher-kva.example', 'U-labels find a domain');
select is(pg_temp.found(null, p_local_part => 'alice'), 'alice@example.com alice@example.org alice@old.test', 'by local part');
select is(pg_temp.found(null, p_domain => 'example.org'), 'alice@example.org', 'by domain');
select is(pg_temp.found(null, p_contains => 'E@EX'), 'alice@example.com alice@example.org', 'by a part of the address');
select is(pg_temp.found(null, p_contains => 'ücher'), 'jean-luc@xn--bcher-kva.example', 'also in U-labels');
select is(pg_temp.found(null, p_contains => '%'), null, 'which is no pattern');
select is(pg_temp.found(null, p_user => 'bob'), 'alice@example.org jean-luc@xn--bcher-kva.example', 'by user');
select is(pg_temp.found(null, p_list => 'team'), 'team@example.com', 'by list');
select is(pg_temp.found(null, p_blocked => true), 'root@example.com', 'those that are blocked');
select is(pg_temp.found(array['alice@example.com', 'alice@example.org'], p_user => 'bob'), 'alice@example.org', 'filters leave out');
select results_eq(
  $$ select f.target_type, f.target, f.blocked from api.find_aliases(array['alice@example.com', 'team@example.com', 'root@example.com'], null, null, null, null, null, null) f $$,
  $$ values ('user', 'alice', false), ('none', null, true), ('mailing-list', 'team', false) $$, 'whose they are is said');

-- edit
select is(pg_temp.edit(pg_temp.ids('alice@example.org'), p_local_part => 'al', p_user => 'alice'), 'ok', 'name and owner change');
select is((pg_temp.last_audit('alice@example.org')).after ->> 'local_part', 'al', 'the audit trail has it under the old name');
select is(pg_temp.edit(pg_temp.ids('al@example.org'), p_list => 'team'), 'ok', 'a user''s becomes a list''s');
select is(pg_temp.found(null, p_list => 'team'), 'team@example.com al@example.org', '(it did)');
select is(pg_temp.edit(pg_temp.ids('al@example.org'), p_user => 'bob', p_blocked => true), 'ok', 'and a user''s again');
select is((select f.target || f.blocked from api.find_aliases(array['al@example.org'], null, null, null, null, null, null) f), 'bobtrue', '(it did, and is blocked)');
select is(pg_temp.edit(pg_temp.ids('al@example.org')), 'ok', 'nothing may change');
select is((select count(*) from auth.audit a where a.action = 'alias.edit'), 3::bigint, 'and is then not in the audit trail');
select is(pg_temp.edit(pg_temp.ids('alice@example.com', 'al@example.org'), p_domain => 'old.test'), 'exists ok', 'a change that one cannot make');
select is(pg_temp.found(null, p_domain => 'example.org'), 'al@example.org', 'no other makes');
select is(pg_temp.edit(pg_temp.ids('alice@example.com', 'team@example.com'), p_local_part => 'new'), 'ok exists', 'two do not become one');
select is(pg_temp.edit(pg_temp.ids('alice@example.com') || 0::bigint, p_blocked => true), 'gone ok', 'what is not there is said');
select is(pg_temp.edit(pg_temp.ids('alice@example.com'), p_domain => 'example.net'), 'unknown_domain', 'the new domain has to be there');
select is((select e.outcome from api.edit_aliases(pg_temp.ids('alice@example.com'), null, null, gen_random_uuid(), null, null) e), 'no_user', 'the new user, too');
select is((select e.outcome from api.edit_aliases(pg_temp.ids('alice@example.com'), null, null, null, 0, null) e), 'no_list', 'and the new list');
select is(pg_temp.edit(pg_temp.ids('root@example.com'), p_blocked => false), 'ownerless', 'what is nobody''s stays blocked');
select is(pg_temp.edit(pg_temp.ids('root@example.com'), p_blocked => false, p_user => 'bob'), 'ok', 'until somebody gets it');
insert into auth.domains (name)
  values (repeat('a', 63) || '.' || repeat('b', 63) || '.' || repeat('c', 63) || '.' || repeat('d', 61));
select is(pg_temp.edit(pg_temp.ids('alice@example.com'), p_domain => (select d.name from auth.domains d where d.name like 'aaa%')), 'too_long',
  'an address beyond 254 octets is none');

-- A delivery mailbox stays with its user.
update auth.users u set delivery_mailbox_id = (pg_temp.ids('alice@example.com'))[1] where u.identifier = 'alice';
select is(pg_temp.edit(pg_temp.ids('alice@example.com'), p_user => 'bob'), 'is_mailbox', 'it does not go to another user');
select is(pg_temp.edit(pg_temp.ids('alice@example.com'), p_list => 'team'), 'is_mailbox', 'nor to a list');
select is(pg_temp.edit(pg_temp.ids('alice@example.com'), p_user => 'alice'), 'ok', 'its own user is no other');
select is((select e.mailbox_of || ' ' || e.new_address from api.edit_aliases(pg_temp.ids('alice@example.com'), 'a', null, null, null, null) e),
  'alice a@example.com', 'it can get another name, and whose it is is said');
select is(pg_temp.remove(pg_temp.ids('a@example.com', 'al@example.org')), 'a@example.com is_mailbox alice, al@example.org ok', 'it is not removed');
select is(pg_temp.found(array['al@example.org']), 'al@example.org', 'nor what is named with it');
select is((select f.mailbox from api.find_aliases(array['a@example.com'], null, null, null, null, null, null) f), true, 'the list knows it');

-- block
select is(pg_temp.block(array['a@example.com', 'spam@example.com'], false), 'a@example.com blocked, spam@example.com unknown', 'what is no alias is not blocked');
select is(pg_temp.found(null, p_blocked => true), 'al@example.org', 'nor what is named with it');
select is(pg_temp.block(array['a@example.com', 'spam@example.com'], true, true), 'a@example.com blocked, spam@example.com created', 'a dry run says what would be');
select is(pg_temp.found(null, p_blocked => true), 'al@example.org', 'and does nothing');
select is(pg_temp.block(array['a@example.com', 'spam@example.com', 'a@example.com'], true), 'a@example.com blocked, spam@example.com created', 'it can be made, of nobody');
select is(pg_temp.found(null, p_blocked => true), 'a@example.com spam@example.com al@example.org', '(it was)');
select is(pg_temp.block(array['spam@example.com'], false), 'spam@example.com blocked', 'twice is no harm');
select is((select count(*) from auth.audit a where a.object = 'spam@example.com'), 1::bigint, 'but not in the audit trail twice');
select is(pg_temp.block(array['x@example.com', 'x@example.net'], true), 'x@example.com created, x@example.net unknown_domain', 'the domain has to be there');
select is(pg_temp.found(array['x@example.com']), '(x@example.com)', 'or nothing is made');

-- remove
select is((select count(*) from api.remove_aliases(pg_temp.ids('al@example.org', 'root@example.com'), null)), 2::bigint, 'who does not say whether to do it');
select is(cardinality(pg_temp.ids('al@example.org', 'root@example.com')), 2, 'removes nothing');
select is(pg_temp.remove(pg_temp.ids('al@example.org', 'root@example.com'), true), 'al@example.org ok, root@example.com ok', 'a dry run says what would go');
select is(pg_temp.remove(pg_temp.ids('al@example.org', 'root@example.com') || 0::bigint), 'al@example.org ok, root@example.com ok', 'and they go');
select is((pg_temp.last_audit('al@example.org')).action, 'alias.remove', 'which is in the audit trail');
select is(pg_temp.found(array['al@example.org', 'root@example.com']), '(al@example.org) (root@example.com)', 'they are gone');

select function_privs_are('api', 'edit_aliases', array['bigint[]', 'text', 'text', 'uuid', 'bigint', 'boolean'],
  'authserver_web', array[]::text[], 'the web server does not edit aliases as an operator does');

select is((api.create_domain('long.' || repeat(repeat('d', 60) || '.', 3) || 'test', null, null, false, false, 'd', '+-', null)).outcome, 'ok', 'in a domain with a long name');
select is((api.create_alias(repeat('a', 64), 'long.' || repeat(repeat('d', 60) || '.', 3) || 'test', pg_temp.user_id('alice'), null, false)).outcome,
  'too_long', 'an address that nobody could write to is refused');

select * from finish();
