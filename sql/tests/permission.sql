-- Permissions: creation, granting, revoking, removal; memberships.
select plan(90);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.held(p_identifier text) returns text
language sql as $$ select string_agg(concat_ws(':', l.permission_name, case when l.direct then 'direct' end, array_to_string(l.groups, '+')), ' ' order by l.permission_name)
                     from api.list_user_permissions(pg_temp.user_id(p_identifier)) l $$;
create function pg_temp.held_by_group(p_group text) returns text
language sql as $$ select string_agg(l.permission_name, ' ' order by l.permission_name) from api.list_group_permissions(p_group) l $$;
create function pg_temp.groups_of(p_identifier text) returns text
language sql as $$ select string_agg(l.group_name || array_to_string(l.permissions, '+', 'null'), ' ' order by l.group_name) from api.list_memberships(pg_temp.user_id(p_identifier)) l $$;
create function pg_temp.last_audit(p_object text) returns auth.audit
language sql as $$ select a from auth.audit a where a.object = p_object order by a.id desc limit 1 $$;
-- The outcome, and what is told about it.
create function pg_temp.say(p_outcome text, p_detail text[], p_holder text, p_changed text[]) returns text
language sql as $$ select concat_ws('|', p_outcome, array_to_string(p_detail, ' '), p_holder, array_to_string(p_changed, ' ')) $$;

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.domains (name) values ('example.com');
insert into auth.aliases (local_part, domain_id, user_id) select 'alice', d.id, pg_temp.user_id('alice') from auth.domains d;
insert into auth.groups (name) values ('wiki'), ('staff');

-- create
select is(api.create_permission('wiki.edit', 'Edit the wiki'), 'ok', 'a permission is made');
select is(api.create_permission('wiki.edit', 'Other'), 'exists', 'but once');
select is(api.create_permission('wiki.read', 'Read'), 'ok', 'another');
select is(api.create_permission('mail.read', 'Read'), 'ok', 'a name for people need not be its own');
select is(api.create_permission('Read', 'Shout'), 'ok', 'and may be what applications ask for elsewhere');
select is((pg_temp.last_audit('wiki.edit')).after ->> 'name', 'Edit the wiki', 'what was made is in the audit trail');
select throws_ok($$ select api.create_permission('a b', 'x') $$, '23514', null, 'a blank is refused');
select throws_ok($$ select api.create_permission('a,b', 'x') $$, '23514', null, 'a comma');
select throws_ok($$ select api.create_permission('', 'x') $$, '23514', null, 'nothing');

-- list
select is((select string_agg(l.permission_name, ' ') from api.list_permissions(null, null) l), 'Read mail.read wiki.edit wiki.read', 'all are listed');
select is((select string_agg(l.permission_name, ' ') from api.list_permissions('WIKI', null) l), 'wiki.edit wiki.read', 'by a part of it');
select is((select string_agg(l.permission_name, ' ') from api.list_permissions('wiki', 'edit') l), 'wiki.edit', 'or of the name for people');
select is((select string_agg(l.permission_name, ' ') from api.list_permissions('%', null) l), null, 'which is no pattern');

-- a user's
select is((select pg_temp.say(g.outcome, g.detail, g.identifier, g.changed) from api.grant_user_permissions('alice', array['wiki.edit', 'wiki.edit']) g),
  'ok||alice|wiki.edit', 'a user gets a permission');
select is((select pg_temp.say(g.outcome, g.detail, g.identifier, g.changed) from api.grant_user_permissions('ALICE@example.com', array['Edit the wiki', 'wiki.read']) g),
  'ok||alice|wiki.read', 'however both are named; what they had is not new');
select is((select pg_temp.say(g.outcome, g.detail, g.identifier, g.changed) from api.grant_user_permissions('alice', array['Read']) g),
  'ok||alice|Read', 'what applications ask for comes before the name for people');
select is((select pg_temp.say(g.outcome, g.detail, null, g.changed) from api.grant_user_permissions('bob', array['wiki.edit', 'x', 'y']) g),
  'unknown|x y', 'what is not there is said');
select is(pg_temp.held('bob'), null, 'and nothing is given');
update auth.permissions p set permission_name = 'shout' where p.permission_name = 'Read';
select is((select pg_temp.say(g.outcome, g.detail, null, g.changed) from api.grant_user_permissions('bob', array['wiki.edit', 'Read']) g),
  'ambiguous|mail.read wiki.read', 'a name of several is said, too');
select is((select g.outcome from api.grant_user_permissions('carol', array['wiki.edit']) g), 'no_user', 'the user has to be there');
select is(pg_temp.held('alice'), 'shout:direct: wiki.edit:direct: wiki.read:direct:', 'what they have is listed');
select is((select count(*) from auth.audit a where a.action = 'permission.grant_user'), 3::bigint, 'each gift is in the audit trail');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_user_permissions('alice', array['wiki.edit', 'mail.read'], true) r),
  'ok||alice|wiki.edit', 'a dry run says what would be taken');
select is(pg_temp.held('alice'), 'shout:direct: wiki.edit:direct: wiki.read:direct:', 'and takes nothing');
select is((select pg_temp.say(r.outcome, r.detail, null, r.changed) from api.revoke_user_permissions('alice', array['wiki.edit', 'x'], false) r),
  'unknown|x', 'what is not there is not taken');
select is(pg_temp.held('alice'), 'shout:direct: wiki.edit:direct: wiki.read:direct:', 'nor the rest');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_user_permissions('alice', array['wiki.edit'], false) r),
  'ok||alice|wiki.edit', 'one is taken');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_user_permissions('alice', null, false) r),
  'ok||alice|shout wiki.read', 'all are');
select is((pg_temp.last_audit('alice')).before, '{"permissions": ["shout", "wiki.read"]}'::jsonb, 'the audit trail has what was taken');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_user_permissions('alice', null, false) r), 'ok||alice|', 'of nothing nothing is taken');
select is((select r.outcome from api.revoke_user_permissions('carol', null, false) r), 'no_user', 'nor of nobody');

-- a group's
select is((select pg_temp.say(g.outcome, g.detail, g.name, g.changed) from api.grant_group_permissions('wiki', array['wiki.read', 'wiki.edit']) g),
  'ok||wiki|wiki.edit wiki.read', 'a group gets permissions');
select is((select pg_temp.say(g.outcome, g.detail, null, g.changed) from api.grant_group_permissions('wiki', array['mail.read', 'x']) g), 'unknown|x', 'all or none');
select is((select g.outcome from api.grant_group_permissions('nobody', array['wiki.read']) g), 'no_group', 'the group has to be there');
select is(pg_temp.held_by_group('wiki'), 'wiki.edit wiki.read', 'what it has is listed');
select is(pg_temp.held_by_group((select g.id::text from auth.groups g where g.name = 'wiki')), 'wiki.edit wiki.read', 'by its id, too');
select is((pg_temp.last_audit('wiki')).action, 'permission.grant_group', 'the gift is in the audit trail');

-- memberships
select is((select pg_temp.say(g.outcome, g.detail, g.identifier, g.changed) from api.grant_memberships('bob', array['wiki', 'staff']) g), 'ok||bob|staff wiki', 'a user joins groups');
select is((select pg_temp.say(g.outcome, g.detail, g.identifier, g.changed) from api.grant_memberships('bob', array['wiki']) g), 'ok||bob|', 'once');
select is((select pg_temp.say(g.outcome, g.detail, null, g.changed) from api.grant_memberships('alice', array['staff', 'x', 'y']) g), 'unknown_group|x y', 'all or none');
select is((select g.outcome from api.grant_memberships('alice', array['x']) g), 'unknown_group', 'no group at all');
select is((select g.outcome from api.grant_memberships('carol', array['wiki']) g), 'no_user', 'the user has to be there');
select is(pg_temp.groups_of('bob'), 'staff wikiwiki.edit+wiki.read', 'groups are listed with what they are for');
select is(pg_temp.groups_of('alice'), null, 'who joined none is in none');
select lives_ok($$ select api.grant_user_permissions('bob', array['wiki.edit', 'mail.read']) $$, 'what a group has a user may have, too');
select lives_ok($$ select api.grant_group_permissions('staff', array['wiki.edit']) $$, 'and another group');
select is(pg_temp.held('bob'), 'mail.read:direct: wiki.edit:direct:staff+wiki wiki.read:wiki', 'where each comes from is said');
select is(auth.has_permission(pg_temp.user_id('bob'), 'wiki.read'), true, 'and it counts');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_memberships('bob', array['x', 'wiki'], true) r),
  'ok|x|bob|wiki', 'a group that is not there is passed over');
select is(pg_temp.groups_of('bob'), 'staffwiki.edit wikiwiki.edit+wiki.read', 'a dry run takes nothing');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_memberships('bob', array['x', 'wiki'], false) r), 'ok|x|bob|wiki', 'a user leaves a group');
select is((select pg_temp.say(r.outcome, r.detail, r.identifier, r.changed) from api.revoke_memberships('bob', null, false) r), 'ok||bob|staff', 'and all');
select is((pg_temp.last_audit('bob')).before, '{"groups": ["staff"]}'::jsonb, 'the audit trail has it');
select is((select r.outcome from api.revoke_memberships('carol', null, false) r), 'no_user', 'nobody leaves nothing');
select is((select pg_temp.say(r.outcome, r.detail, r.name, r.changed) from api.revoke_group_permissions('wiki', null, false) r), 'ok||wiki|wiki.edit wiki.read', 'a group loses all');

-- remove
select is((select pg_temp.say(r.outcome, r.detail, r.permission_name, array[r.users, r.groups]::text[]) from api.remove_permission('Edit the wiki', true) r),
  'ok|wiki.edit|1 1', 'a dry run says how many lose it');
select is((select pg_temp.say(r.outcome, r.detail, r.permission_name, null) from api.remove_permission('Read', false) r), 'ambiguous|mail.read wiki.read', 'a name of several is said');
select is((select r.outcome from api.remove_permission('wiki.edit', false) r), 'ok', 'it goes');
select is((select r.outcome from api.remove_permission('wiki.edit', false) r), 'unknown', 'once');
select is((pg_temp.last_audit('wiki.edit')).before - 'id', '{"name": "Edit the wiki", "permission_name": "wiki.edit", "users": ["bob"], "groups": ["staff"]}'::jsonb,
  'the audit trail has who lost it');

-- What OAuth 2.0 clients require.
do $$ begin
  perform api.create_permission('book.edit', 'Edit the book');
  perform api.create_permission('book.admin', 'Run the book');
  perform api.create_permission('book.boss', 'Run the book');
  perform api.create_oauth2_client('c1', '{"name": "Book", "type": "public", "grant_types": ["authorization_code"]}', null, null);
  perform api.create_oauth2_client('c2', '{"name": "c1", "type": "public", "grant_types": ["authorization_code"]}', null, null);
end $$;
select is((select pg_temp.say(r.outcome, r.detail, r.name, r.changed) from api.require_permissions('Book', array['book.edit', 'x', 'Edit the book', 'y']) r), 'ok|x y|Book|book.edit',
  'a client requires what is there; what is not is said');
select is((select pg_temp.say(r.outcome, r.detail, r.name, r.changed) from api.require_permissions('c1', array['book.edit', 'book.admin']) r), 'ok||Book|book.admin', 'once; the client_id wins');
select is((select pg_temp.say(r.outcome, r.detail, r.name, r.changed) from api.require_permissions('c1', array['x']) r), 'ok|x|Book|', 'nothing that is there');
select is((select pg_temp.say(r.outcome, r.detail, null, r.changed) from api.require_permissions('c1', array['x', 'book.boss', 'Run the book']) r), 'ambiguous|book.admin book.boss', 'nothing of what is not clear');
select is((select r.outcome from api.require_permissions('c9', array['book.edit']) r), 'no_client', 'the client has to be there');
select results_eq($$ select l.permission_name, l.name from api.list_client_permissions('Book') l $$, $$ values ('book.admin', 'Run the book'), ('book.edit', 'Edit the book') $$, 'what it requires is listed');
select is_empty($$ select from api.list_client_permissions('c2') $$, 'another requires nothing');
select is((pg_temp.last_audit('c1')).after, '{"permissions": ["book.admin"]}'::jsonb, 'the audit trail has it');
select is((select pg_temp.say(r.outcome, r.detail, null, null) from api.remove_permission('book.edit', false) r), 'required|Book', 'what is required stays');
select is((select r.outcome from api.remove_permission('book.edit', true) r), 'required', 'a dry run says so');
select is((select pg_temp.say(d.outcome, d.detail, d.name, d.changed) || d.remaining from api.drop_permissions('c1', array['book.edit', 'x'], true) d), 'ok|x|Book|book.edit1', 'a dry run says what would go');
select is((select count(*) from api.list_client_permissions('c1')), 2::bigint, 'and takes nothing');
select is((select pg_temp.say(d.outcome, d.detail, d.name, d.changed) || d.remaining from api.drop_permissions('c1', array['book.edit', 'x'], false) d), 'ok|x|Book|book.edit1', 'one goes');
select is((select d.changed from api.drop_permissions('c1', array['book.edit'], false) d), '{}', 'once');
select is((select d.outcome from api.drop_permissions('c1', array['Run the book'], false) d), 'ambiguous', 'not what is not clear');
select is((select d.outcome from api.drop_permissions('c9', array['book.admin'], false) d), 'no_client', 'nobody drops nothing');
select is((select d.remaining from api.drop_permissions('c1', array['book.admin'], null) d), 0::bigint, 'null is not yes');
select is((select count(*) from api.list_client_permissions('c1')), 1::bigint, '(it is not)');
select is((pg_temp.last_audit('c1')).before, '{"permissions": ["book.edit"]}'::jsonb, 'the audit trail has it');
select is((select r.outcome from api.remove_permission('book.edit', false) r), 'ok', 'what nobody requires goes');

-- What all of them require.
select is_empty($$ select from api.oauth2_policy() $$, 'nothing');
select is((select pg_temp.say(e.outcome, e.detail, e.permission_name, null) from api.edit_oauth2_policy('book.boss') e), 'ok||book.boss', 'a permission');
select is((select e.outcome from api.edit_oauth2_policy('book.boss') e), 'ok', 'again');
select results_eq($$ select y.permission_name, y.name from api.oauth2_policy() y $$, $$ values ('book.boss', 'Run the book') $$, 'it is shown');
select is((select r.outcome from api.remove_permission('book.boss', false) r), 'global', 'it stays');
select is((select pg_temp.say(e.outcome, e.detail, null, null) from api.edit_oauth2_policy('x') e), 'unknown|x', 'what is not there is nothing');
select is((select pg_temp.say(e.outcome, e.detail, null, null) from api.edit_oauth2_policy('Run the book') e), 'ambiguous|book.admin book.boss', 'nor what is not clear');
select is((select e.outcome from api.edit_oauth2_policy(null) e), 'ok', 'nothing again');
select is((select r.outcome from api.remove_permission('book.boss', false) r), 'ok', 'and it goes');
select results_eq($$ select a.before ->> 'permission', a.after ->> 'permission' from auth.audit a where a.action = 'oauth2_policy.edit' order by a.id $$,
  $$ values (null, 'book.boss'), ('book.boss', null) $$, 'both are recorded');

select * from finish();
