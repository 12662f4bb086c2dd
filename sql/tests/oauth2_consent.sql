-- Consent: what users are asked for, how that grows, and how it is taken back.
select no_plan();

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice'), ('bob', 'Bob', '$y$bob');
insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, trusted)
select n.id, initcap(n.id), 'confidential', 'client_secret_basic', '{authorization_code,refresh_token}', n.trusted
  from (values ('wiki', false), ('news', false), ('own', true)) n (id, trusted);

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
do $$ begin
  perform api.start_session(sha256(u.identifier::bytea), null, u.id, null, sha256(u.password_hash::bytea), '{pwd}', '1', '12 hours', '14 days', null, '') from auth.users u;
end $$;
create function pg_temp.authorize(p_consent text, p_scope text[], p_client text default 'wiki', p_identifier text default 'alice') returns text
language sql as $$
  select concat_ws(' ', a.outcome, a.consented::text)
    from api.authorize(sha256(p_identifier::bytea), p_client, p_scope, '{}', null, null, null, null, null, null, null, p_consent, sha256(uuid_send(gen_random_uuid())), null) a
$$;
create function pg_temp.recorded() returns text
language sql as $$ select concat_ws(' ', a.action, a.object, a.before, a.after) from auth.audit a where a.action like 'oauth2\_consent.%' order by a.id desc limit 1 $$;
create function pg_temp.trail() returns bigint
language sql as $$ select count(*) from auth.audit a where a.action like 'oauth2\_consent.%' $$;

select is(pg_temp.authorize('remembered', '{openid}'), 'consent_required {}', 'the first time');
select is((select count(*) from auth.oauth2_grants), 0::bigint, 'nothing is stored');
select is(pg_temp.authorize('given', '{openid,email}'), 'ok {}', 'given');
select is(pg_temp.recorded(), 'oauth2_consent.give alice {"scope": ["email", "openid"], "client": "wiki"}', 'recorded');
select is(pg_temp.authorize('remembered', s), 'ok {email,openid}', 'remembered: ' || s::text) from unnest(array['{email,openid}', '{openid}', '{email}', '{}']) n, lateral (select n::text[] as s) x;
select is(pg_temp.authorize('remembered', '{openid,profile}'), 'consent_required {email,openid}', 'more than that');
select is(pg_temp.authorize('ask', '{openid}'), 'consent_required {email,openid}', 'asked again');
select is(pg_temp.authorize(n, '{openid}'), 'consent_required {email,openid}', 'what is no answer') from unnest(array['', 'yes', null]) n;
select is(pg_temp.authorize('given', '{profile,openid}'), 'ok {email,openid}', 'given again');
select is(pg_temp.recorded(), 'oauth2_consent.give alice {"scope": ["email", "openid"], "client": "wiki"} {"scope": ["email", "openid", "profile"], "client": "wiki"}', 'it adds up');
select is(pg_temp.authorize('remembered', '{openid,profile,email}'), 'ok {email,openid,profile}', 'and is remembered');
select is(pg_temp.authorize('given', '{email}') || pg_temp.trail(), 'ok {email,openid,profile}2', 'what does not grow is not recorded');
select is(pg_temp.authorize('remembered', '{openid}', n.client, n.identifier), 'consent_required {}', n.identifier || ' at ' || n.client)
  from (values ('news', 'alice'), ('wiki', 'bob')) n (client, identifier);
select is(pg_temp.authorize('given', '{}', 'news') || '; ' || pg_temp.authorize('remembered', '{}', 'news') || '; ' || pg_temp.authorize('remembered', '{openid}', 'news'),
  'ok {}; ok {}; consent_required {}', 'consent to nothing in particular');

-- Trusted clients.
select is(pg_temp.authorize('remembered', '{openid}', 'own'), 'ok {}', 'nobody is asked');
select is(pg_temp.authorize('ask', '{openid}', 'own'), 'consent_required {}', 'unless they are to be');
select is((select count(*) from auth.oauth2_consents o join auth.oauth2_clients c on c.id = o.client_id and c.client_id = 'own'), 0::bigint, 'nothing is remembered');
select is(pg_temp.authorize('given', '{openid}', 'own') || '; ' || pg_temp.authorize('ask', '{openid}', 'own'), 'ok {}; consent_required {openid}', 'what was said is');
select is(pg_temp.authorize('remembered', '{openid,email}', 'own'), 'ok {openid}', 'and changes nothing');

-- When it was used.
update auth.oauth2_consents o set last_used_at = now() - interval '59 min', created_at = now() - interval '1 day';
select is(pg_temp.authorize('remembered', '{openid}'), 'ok {email,openid,profile}', 'used within an hour');
select is((select now() - f.last_used_at from api.find_oauth2_consents(pg_temp.user_id('alice'), 'wiki') f), interval '59 min', 'is not noted');
update auth.oauth2_consents o set last_used_at = now() - interval '60 min';
select is(pg_temp.authorize('remembered', '{openid}'), 'ok {email,openid,profile}', 'after an hour');
select is((select now() - f.last_used_at from api.find_oauth2_consents(pg_temp.user_id('alice'), 'wiki') f), interval '0 s', 'it is');

-- Finding.
select is(pg_temp.authorize('given', '{openid,offline_access}', 'wiki', 'bob'), 'ok {}', 'another user');
select results_eq($$ select f.* from api.find_oauth2_consents(pg_temp.user_id('alice'), 'wiki') f $$,
  $$ values ('alice', 'wiki', 'Wiki', '{email,openid,profile}'::text[], now() - interval '1 day', now()) $$, 'everything about one');
select is(array(select f.user_identifier || ' ' || f.client_id from api.find_oauth2_consents(n.id, n.client) f), n.want, n.name)
  from (values
    (pg_temp.user_id('alice'), null, array['alice news', 'alice own', 'alice wiki'], 'of a user'),
    (null, 'wiki', array['alice wiki', 'bob wiki'], 'of a client'),
    (null, null, array['alice news', 'alice own', 'alice wiki', 'bob wiki'], 'all'),
    (null, 'nothing', '{}', 'of none')) n (id, client, want, name);

-- Taking it back.
create temp table live as select count(*) as n from auth.oauth2_grants g where g.user_id = pg_temp.user_id('alice') and g.client_id = (select c.id from auth.oauth2_clients c where c.client_id = 'wiki');
select is((select (r.outcome, r.grants = l.n)::text from live l, api.revoke_oauth2_consent(pg_temp.user_id('alice'), 'wiki', d) r), '(ok,t)', 'what would be revoked') from unnest(array[true, null]) d;
select is(pg_temp.authorize('remembered', '{openid}') || (select count(*) from auth.oauth2_grants g where g.revoked_at is not null), 'ok {email,openid,profile}0', 'only says');
select is((select (r.outcome, r.grants = l.n + 1)::text from live l, api.revoke_oauth2_consent(pg_temp.user_id('alice'), 'wiki', false) r), '(ok,t)', 'revoked');
select is(pg_temp.recorded(), 'oauth2_consent.revoke alice {"scope": ["email", "openid", "profile"], "client": "wiki"}', 'recorded');
select is(array(select distinct concat_ws(' ', u.identifier, c.client_id, g.revoked_reason) from auth.oauth2_grants g join auth.users u on u.id = g.user_id join auth.oauth2_clients c on c.id = g.client_id order by 1),
  array['alice news', 'alice own', 'alice wiki consent revoked', 'bob wiki'], 'with all grants of that user and client');
select is(pg_temp.authorize('remembered', '{openid}'), 'consent_required {}', 'it is asked for anew');
select is(pg_temp.authorize('remembered', '{openid}', 'wiki', 'bob'), 'ok {offline_access,openid}', 'others go on');
select is((select (r.outcome, r.grants)::text from api.revoke_oauth2_consent(n.id, n.client, false) r), '(no_consent,0)', n.name)
  from (values
    (pg_temp.user_id('alice'), 'wiki', 'a second time'), (pg_temp.user_id('bob'), 'news', 'where there was none'),
    (pg_temp.user_id('alice'), 'nothing', 'no such client'), (pg_temp.user_id('alice'), null, 'no client'),
    (gen_random_uuid(), 'wiki', 'nobody'), (null, 'wiki', 'no user')) n (id, client, name);
select is((select count(*) from auth.oauth2_consents), 3::bigint, 'which takes nothing back');
delete from auth.oauth2_consents o using auth.oauth2_clients c where c.id = o.client_id and c.client_id = 'own';
select is((select (r.outcome, r.grants)::text from api.revoke_oauth2_consent(pg_temp.user_id('alice'), 'own', false) r), '(ok,3)', 'grants that nobody was asked for');

-- A user who goes takes along what they have allowed.
do $$ begin perform api.remove_users(array[pg_temp.user_id('bob')], false); end $$;
select is(pg_temp.recorded(), 'oauth2_consent.revoke bob {"scope": ["offline_access", "openid"], "client": "wiki"}', 'recorded');
select is((select count(*) from auth.audit a where a.action = 'oauth2_grant.revoke' and a.object = 'bob' and a.after ->> 'revoked_reason' = 'user removed'), 2::bigint, 'so are the grants');
select is((select count(*) from auth.oauth2_grants g join auth.users u on u.id = g.user_id where u.identifier = 'bob'), 0::bigint, 'they are gone');

select * from finish();
