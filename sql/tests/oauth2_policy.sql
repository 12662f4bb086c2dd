-- Who may use which client: the rules one by one, and at each place where they
-- are asked, with those before it passed.
select no_plan();

insert into auth.domains (name) values ('example.com');
insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice'), ('bob', 'Bob', '$y$bob');
insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d where u.identifier = 'alice';
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
insert into auth.groups (name) values ('editors'), ('readers'), ('others');
insert into auth.permissions (permission_name, name) values ('sso', ''), ('wiki', ''), ('wiki.edit', '');
insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, trusted)
values ('wiki', 'Wiki', 'confidential', 'client_secret_basic', '{authorization_code,refresh_token,password}', true),
       ('other', 'wiki', 'confidential', 'client_secret_basic', '{authorization_code}', true);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.client(p_client_id text default 'wiki') returns auth.oauth2_clients
language sql as $$ select c from auth.oauth2_clients c where c.client_id = p_client_id $$;
create function pg_temp.denial(p_identifier text default 'alice', p_client_id text default 'wiki') returns text
language sql as $$ select coalesce(auth.oauth2_denial(pg_temp.user_id(p_identifier), pg_temp.client(p_client_id)), 'none') $$;
create function pg_temp.permission(p_name text) returns bigint
language sql as $$ select p.id from auth.permissions p where p.permission_name = p_name $$;
create function pg_temp.grp(p_name text) returns bigint
language sql as $$ select g.id from auth.groups g where g.name = p_name $$;
-- What is answered while something is so.
create function pg_temp.during(p_change text, p_question text default 'pg_temp.denial()') returns text
language plpgsql as $$
declare
  answer text;
begin
  begin
    execute p_change;
    execute 'select ' || p_question into answer;
    raise exception using errcode = 'XX999', message = coalesce(answer, 'null');
  exception when sqlstate 'XX999' then
    return sqlerrm;
  end;
end $$;

-- State and groups of a client: one of them is enough, and none is asked for if
-- there is none.
select is(pg_temp.during(concat_ws(';',
    case when n.client_states <> '{}' then format('update auth.oauth2_clients set allowed_states = %L', n.client_states) end,
    (select string_agg(format('insert into auth.oauth2_client_groups select id, pg_temp.grp(%L) from auth.oauth2_clients where client_id = ''wiki''', g), ';') from unnest(n.client_groups) g),
    format('insert into auth.user_attributes select pg_temp.user_id(''alice''), ''state'', %L where %L is not null', n.state, n.state),
    format('insert into auth.group_members select pg_temp.grp(g), pg_temp.user_id(''alice'') from unnest(%L::text[]) g', n.groups))), n.want, n.name)
  from (values
    ('an open client',                              '{}'::text[],     '{}'::text[],         null,      '{}'::text[],    'none'),
    ('the state is one of them',                    '{Member,Guest}', '{}',                 'Guest',   '{}',            'none'),
    ('the state is none of them',                   '{Member}',       '{}',                 'Guest',   '{}',            'client'),
    ('a group is one of them',                      '{}',             '{editors,readers}',  null,      '{readers}',     'none'),
    ('no group is one of them',                     '{}',             '{editors,readers}',  null,      '{others}',      'client'),
    ('the state is, no group',                      '{Member}',       '{editors}',          'Member',  '{}',            'none'),
    ('the state is not, a group is',                '{Member}',       '{editors}',          'Guest',   '{editors}',     'none'),
    ('neither is',                                  '{Member}',       '{editors}',          'Guest',   '{readers}',     'client'),
    ('there is neither',                            '{Member}',       '{editors}',          null,      '{}',            'client'),
    ('a state that is written in another way',      '{Member}',       '{}',                 'member',  '{}',            'client')) n (name, client_states, client_groups, state, groups, want);
select is(pg_temp.during($$insert into auth.user_attributes values (pg_temp.user_id('alice'), 'legacy_id', 'Member'); update auth.oauth2_clients set allowed_states = '{Member}'$$), 'client', 'another attribute is no state');
-- Nobody is above the rules.
select is(pg_temp.during($$update auth.users set staff = true; update auth.oauth2_clients set allowed_states = '{Member}'$$), 'client', 'staff neither');

-- The other rules.
create function pg_temp.require(p_permission text, p_client text default 'wiki') returns text
language sql as $$ select format('insert into auth.oauth2_client_permissions select c.id, pg_temp.permission(%L) from auth.oauth2_clients c where c.client_id = %L', p_permission, p_client) $$;
create function pg_temp.hold(p_permission text, p_identifier text default 'alice') returns text
language sql as $$ select format('insert into auth.user_permissions select pg_temp.user_id(%L), pg_temp.permission(%L)', p_identifier, p_permission) $$;
create function pg_temp.hold_by_group(p_permission text) returns text
language sql as $$ select format('insert into auth.group_members values (pg_temp.grp(''editors''), pg_temp.user_id(''alice'')); insert into auth.group_permissions select pg_temp.grp(''editors''), pg_temp.permission(%L)', p_permission) $$;
select is(pg_temp.during(concat_ws(';', variadic n.changes)), n.want, n.name)
  from (values
    ('a disabled client', array['update auth.oauth2_clients set enabled = false'], 'disabled'),
    ('another one is disabled', array[$$update auth.oauth2_clients set enabled = false where client_id = 'other'$$], 'none'),
    ('an inactive user', array['update auth.users set active = false'], 'inactive'),
    ('a permission that is required', array[pg_temp.require('wiki')], 'client'),
    ('and held', array[pg_temp.require('wiki'), pg_temp.hold('wiki')], 'none'),
    ('and held through a group', array[pg_temp.require('wiki'), pg_temp.hold_by_group('wiki')], 'none'),
    ('and held by another', array[pg_temp.require('wiki'), pg_temp.hold('wiki', 'bob')], 'client'),
    ('and required by another', array[pg_temp.require('wiki', 'other')], 'none'),
    ('one of two', array[pg_temp.require('wiki'), pg_temp.require('wiki.edit'), pg_temp.hold('wiki')], 'client'),
    ('both, one through a group', array[pg_temp.require('wiki'), pg_temp.require('wiki.edit'), pg_temp.hold('wiki'), pg_temp.hold_by_group('wiki.edit')], 'none'),
    ('a permission and no state', array[pg_temp.require('wiki'), pg_temp.hold('wiki'), $$update auth.oauth2_clients set allowed_states = '{Member}'$$], 'client'),
    ('a state and no permission', array[pg_temp.require('wiki'), $$insert into auth.user_attributes values (pg_temp.user_id('alice'), 'state', 'Member')$$, $$update auth.oauth2_clients set allowed_states = '{Member}'$$], 'client'),
    ('a permission for all clients', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$], 'global'),
    ('and held', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.hold('sso')], 'none'),
    ('and held through a group', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.hold_by_group('sso')], 'none'),
    ('the client''s is not enough', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.require('wiki'), pg_temp.hold('wiki')], 'global'),
    ('nor is that for all', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.require('wiki'), pg_temp.hold('sso')], 'client'),
    ('a policy that has gone', array['delete from auth.oauth2_policy'], 'inactive'),
    ('what the client says is first', array['update auth.oauth2_clients set enabled = false', 'update auth.users set active = false', $$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.require('wiki')], 'disabled'),
    ('all clients are before one', array[$$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, pg_temp.require('wiki')], 'global')) n (name, changes, want);
select is(pg_temp.denial('nobody'), 'inactive', 'nobody');
select is(pg_temp.denial('alice', 'nothing'), 'disabled', 'a client that is not there');
select is(auth.oauth2_denial(null, null), 'disabled', 'nothing at all');

-- What a client knows a user by.
select is(pg_temp.during(format('update auth.oauth2_clients set subject = %L; insert into auth.user_attributes values (pg_temp.user_id(''alice''), ''legacy_id'', ''4711'')', n.strategy),
    format($$auth.oauth2_subject(pg_temp.user_id(%L), %L) || ' ' || pg_temp.denial(%L)$$, n.identifier, n.strategy, n.identifier)), n.want, n.strategy || ' of ' || n.identifier)
  from (values
    ('uuid', 'alice', pg_temp.user_id('alice') || ' none'), ('identifier', 'alice', 'alice none'), ('email', 'alice', 'alice@example.com none'), ('legacy_id', 'alice', '4711 none'),
    ('uuid', 'bob', pg_temp.user_id('bob') || ' none'), ('identifier', 'bob', 'bob none'), ('email', 'bob', 'null'), ('legacy_id', 'bob', 'null')) n (strategy, identifier, want);
select is(pg_temp.during(format('update auth.oauth2_clients set subject = %L', s), $$pg_temp.denial('bob')$$), 'subject', 'a client that would not know who it is: ' || s) from unnest(array['email', 'legacy_id']) s;
select is(auth.oauth2_subject(pg_temp.user_id('alice'), n), null, 'no such name') from unnest(array['', null]) n;

-- The places where it is asked. What was allowed a moment ago is not any more:
-- each step before went well.
do $$ begin perform api.start_session(sha256('cookie'), null, pg_temp.user_id('alice'), null, sha256('$y$alice'), '{pwd}', '1', '12 hours', '14 days', null, ''); end $$;
create function pg_temp.authorize(p_code text, p_consent text default 'remembered') returns text
language sql as $$
  select concat_ws(' ', a.outcome, a.reason)
    from api.authorize(sha256('cookie'), 'wiki', '{openid}', '{}', null, null, null, null, null, null, null, p_consent, sha256(p_code::bytea), null) a
$$;
create function pg_temp.redeem(p_code text) returns text
language sql as $$
  select concat_ws(' ', r.outcome, r.reason) from api.redeem_code(sha256(p_code::bytea), 'wiki', null, null, md5(p_code)::uuid, sha256((p_code || 0)::bytea), null, null) r
$$;
create function pg_temp.rotate(p_code text, p_generation int) returns text
language sql as $$
  select concat_ws(' ', r.outcome, r.reason)
    from api.rotate_refresh_token(md5(p_code)::uuid, p_generation, sha256((p_code || p_generation)::bytea), sha256((p_code || p_generation + 1)::bytea), 'wiki', null, null, '10 s', null, null) r
$$;
create function pg_temp.check(p_code text) returns text
language sql as $$
  select concat_ws(' ', r.outcome, r.reason, r.identifier)
    from auth.oauth2_grants g, api.check_access_token(g.id, 'jti', 'wiki', '{openid}', false) r where g.code_hash = sha256(p_code::bytea)
$$;
create function pg_temp.introspect(p_code text, p_generation int) returns text
language sql as $$ select r.outcome from api.check_refresh_token(md5(p_code)::uuid, p_generation, sha256((p_code || p_generation)::bytea)) r $$;
create function pg_temp.password() returns text
language sql as $$ select concat_ws(' ', r.outcome, r.reason, r.identifier) from api.create_password_grant('wiki', pg_temp.user_id('alice'), null, sha256('$y$alice'), '{openid}', '{}', '{pwd}', '1', null, null, null, null) r $$;
create function pg_temp.store() returns text
language plpgsql as $$
begin
  insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, auth_time, amr, acr, expires_at)
  values ((pg_temp.client()).id, pg_temp.user_id('alice'), 'password', '{}', now(), '{pwd}', '1', now() + interval '1 day');
  return 'stored';
exception when insufficient_privilege then
  return regexp_replace(sqlerrm, '.*: ', '');
end $$;

select is(pg_temp.authorize('unused') || ' ' || pg_temp.authorize('used') || ' ' || pg_temp.redeem('used'), 'ok ok ok', 'what was allowed');
select is(array[pg_temp.check('used'), pg_temp.introspect('used', 0), pg_temp.store(), pg_temp.during('', 'pg_temp.password()')], array['ok alice', 'ok', 'stored', 'ok alice'], 'is good');
select is(pg_temp.during(n.change, $$concat_ws('; ', pg_temp.authorize('a'), pg_temp.authorize('b', 'ask'), pg_temp.authorize('c', 'given'), pg_temp.redeem('unused'), pg_temp.rotate('used', 0),
    pg_temp.check('used'), pg_temp.introspect('used', 0), pg_temp.password(), pg_temp.store())$$),
    format('denied %1$s; denied %1$s; denied %1$s; denied %1$s; denied %1$s; denied %1$s; unknown; denied %1$s; %1$s', n.reason), 'everywhere: ' || n.reason)
  from (values
    ('update auth.oauth2_clients set enabled = false', 'disabled'),
    ('update auth.users set active = false', 'inactive'),
    ($$update auth.oauth2_clients set subject = 'legacy_id'$$, 'subject'),
    ($$update auth.oauth2_policy set permission_id = pg_temp.permission('sso')$$, 'global'),
    (pg_temp.require('wiki'), 'client'),
    ($$update auth.oauth2_clients set allowed_states = '{Member}'$$, 'client')) n (change, reason);
select is(array[pg_temp.redeem('unused'), pg_temp.rotate('used', 0), pg_temp.check('used')], array['ok', 'ok', 'ok alice'], 'which has used up nothing');
select is((select count(*) from auth.oauth2_consents), 0::bigint, 'and nobody has consented');
update auth.oauth2_clients c set enabled = false where c.client_id = 'other';
select throws_ok($$ update auth.oauth2_grants set client_id = (pg_temp.client('other')).id $$, '42501', null, 'a grant is not moved to where it would be denied');
select throws_ok($$ insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, auth_time, amr, acr, expires_at) values ((pg_temp.client('other')).id, pg_temp.user_id('alice'), 'password', '{}', now(), '{pwd}', '1', now()) $$,
  '42501', null, 'nor stored there');
update auth.oauth2_clients c set enabled = true where c.client_id = 'other';

-- Why.
select is((select e.outcome from api.explain_oauth2_policy(n.user_selector, n.client) e), n.want, concat_ws(' at ', n.user_selector, n.client))
  from (values ('alice', 'wiki', 'ok'), ('alice@example.com', 'Wiki', 'ok'), ('nobody', 'wiki', 'no_user'), (null, 'wiki', 'no_user'), ('alice', 'nothing', 'no_client'), ('alice', null, 'no_client'), ('nobody', 'nothing', 'no_user')) n (user_selector, client, want);
select is((select e.client_id from api.explain_oauth2_policy('alice', 'wiki') e), 'wiki', 'a client_id wins over a name');
select results_eq($$ select e.* from api.explain_oauth2_policy('alice', 'wiki') e $$,
  $$ values ('ok', 'alice', 'wiki', 'Wiki', true, true, 'allowed', null::text, null::text, '{}'::text[], '{}'::text[], '{}'::text[], '{}'::text[], '{}'::text[], null::text, null::boolean) $$, 'an open one');
insert into auth.user_attributes values (pg_temp.user_id('alice'), 'state', 'Guest');
insert into auth.group_members select pg_temp.grp(g), pg_temp.user_id('alice') from unnest(array['readers', 'editors']) g;
insert into auth.oauth2_client_groups select (pg_temp.client()).id, pg_temp.grp(g) from unnest(array['readers', 'others']) g;
insert into auth.oauth2_client_permissions select (pg_temp.client()).id, pg_temp.permission(p) from unnest(array['wiki.edit', 'wiki']) p;
insert into auth.user_permissions select pg_temp.user_id('alice'), pg_temp.permission(p) from unnest(array['wiki', 'sso']) p;
update auth.oauth2_policy set permission_id = pg_temp.permission('sso');
update auth.oauth2_clients c set allowed_states = '{Member,Guest}', enabled = false where c.client_id = 'wiki';
select results_eq($$ select e.* from api.explain_oauth2_policy('alice', 'wiki') e $$,
  $$ values ('ok', 'alice', 'wiki', 'Wiki', false, true, 'denied', 'disabled', 'Guest', '{editors,readers}'::text[], '{Guest,Member}'::text[], '{others,readers}'::text[], '{wiki,wiki.edit}'::text[], '{wiki.edit}'::text[], 'sso', true) $$,
  'everything about one');

select * from finish();
