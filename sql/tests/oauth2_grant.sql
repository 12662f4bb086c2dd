-- Grants: every way in which a code, a refresh token or an access token is good
-- or not. The time of a transaction stands still, so rows are moved.
select no_plan();

insert into auth.domains (name) values ('example.com');
insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice'), ('bob', 'Bob', '$y$bob');
insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d;
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
insert into auth.groups (name) values ('b'), ('A'), ('other');
insert into auth.group_members select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice' and g.name <> 'other';
insert into auth.permissions (permission_name, name) values ('mail', ''), ('wiki', ''), ('none', '');
insert into auth.user_permissions select u.id, p.id from auth.users u, auth.permissions p where u.identifier = 'alice' and p.permission_name <> 'none';
insert into auth.group_permissions select g.id, p.id from auth.groups g, auth.permissions p where p.permission_name = 'wiki';
insert into auth.user_attributes select u.id, n.name, n.value from auth.users u,
  (values ('state', 'Member'), ('legacy_id', '4711'), ('locale', 'de'), ('picture', 'https://example.com/a.png'), ('ticker', 'XYZ'), ('secret', 'x')) n (name, value) where u.identifier = 'alice';
insert into auth.oauth2_claims (name, attribute, scope) values ('x_ticker', 'ticker', 'corp'), ('x_old', 'legacy_id', 'old');
insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, trusted)
select n.id, initcap(n.id), 'confidential', 'client_secret_basic', n.grant_types, true
  from (values ('wiki', '{authorization_code,refresh_token,password}'::text[]), ('other', '{authorization_code,refresh_token}'), ('short', '{authorization_code,password}')) n (id, grant_types);

create function pg_temp.user_id(p_identifier text default 'alice') returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
do $$ begin
  perform api.start_session(sha256(u.identifier::bytea), null, u.id, null, sha256(u.password_hash::bytea), '{pwd}', '1', '12 hours', '14 days', null, '') from auth.users u;
end $$;
-- A grant is named by its code; families and secrets are made of that.
create function pg_temp.authorize(p_code text, p_scope text[] default '{openid,offline_access}', p_client text default 'wiki', p_challenge text default null, p_claims jsonb default null,
  p_since timestamptz default null, p_subject text default null, p_acr text[] default null, p_session text default 'alice', p_consent text default 'remembered') returns text
language sql as $$
  select concat_ws(' ', a.outcome, a.reason, a.identifier)
    from api.authorize(sha256(p_session::bytea), p_client, p_scope, '{https://api.example.com}', 'https://wiki.example.com/cb', p_challenge, 'nonce', p_claims, p_since, p_subject, p_acr, p_consent,
      sha256(p_code::bytea), '192.0.2.7') a
$$;
create function pg_temp.redeem(p_code text, p_client text default 'wiki', p_uri text default 'https://wiki.example.com/cb', p_challenge text default null, p_refresh boolean default true, p_jti text default null) returns text
language sql as $$
  select r.outcome from api.redeem_code(sha256(p_code::bytea), p_client, p_uri, p_challenge, case when p_refresh then md5(p_code)::uuid end, sha256((p_code || 0)::bytea),
    sha256(p_jti::bytea), now() + interval '1 min') r
$$;
create function pg_temp.rotate(p_code text, p_generation int, p_client text default 'wiki', p_scope text[] default null, p_resources text[] default null, p_secret text default null, p_next text default null,
  p_grace interval default '10 s', p_jti text default null) returns text
language sql as $$
  select concat_ws(' ', r.outcome, r.reason, r.generation)
    from api.rotate_refresh_token(md5(p_code)::uuid, p_generation, sha256(coalesce(p_secret, p_code || p_generation)::bytea), sha256(coalesce(p_next, p_code || p_generation::bigint + 1)::bytea), p_client,
      p_scope, p_resources, p_grace, sha256(p_jti::bytea), now() + interval '1 min') r
$$;
create function pg_temp.id(p_code text) returns uuid
language sql as $$ select g.id from auth.oauth2_grants g where g.code_hash = sha256(p_code::bytea) $$;
create function pg_temp.revoked(p_code text) returns text
language sql as $$ select coalesce(g.revoked_reason, 'no') from auth.oauth2_grants g where g.code_hash = sha256(p_code::bytea) $$;
create function pg_temp.lasts(p_code text) returns interval
language sql as $$ select g.expires_at - now() from auth.oauth2_grants g where g.code_hash = sha256(p_code::bytea) $$;
create function pg_temp.seen() returns interval
language sql as $$ select now() - s.last_seen_at from auth.sessions s where s.secret_hash = sha256('alice') $$;
create function pg_temp.trail() returns bigint
language sql as $$ select count(*) from auth.audit $$;
-- A grant with a refresh token.
create function pg_temp.open(p_code text, p_scope text[] default '{openid,offline_access}', p_client text default 'wiki') returns text
language sql as $$ select concat_ws(' ', pg_temp.authorize(p_code, p_scope, p_client), pg_temp.redeem(p_code, p_client)) $$;
-- What is answered while something is so.
create function pg_temp.during(p_change text, p_question text) returns text
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

-- Authorizing.
select is(pg_temp.authorize('a', p_challenge => 'challenge'), 'ok alice', 'somebody who has signed in');
select results_eq($$ select c.client_id = 'wiki', g.user_id = pg_temp.user_id(), g.session_id = s.id, g.grant_type, g.scope, g.resources, g.claims, g.nonce, g.auth_time, g.amr, g.acr, g.redirect_uri, g.code_challenge, g.code_expires_at - now(), g.redeemed_at, g.expires_at - now()
                       from auth.oauth2_grants g join auth.oauth2_clients c on c.id = g.client_id join auth.sessions s on s.secret_hash = sha256('alice') $$,
  $$ values (true, true, true, 'authorization_code', '{openid,offline_access}'::text[], '{https://api.example.com}'::text[], null::jsonb, 'nonce', now(), '{pwd}'::text[], '1', 'https://wiki.example.com/cb', 'challenge', interval '1 min', null::timestamptz, interval '90 days') $$, 'what is stored');
select is((select (a.action, a.object, a.before, a.after ->> 'client', a.after ->> 'from', a.after ? 'code_hash')::text from auth.audit a order by a.id desc limit 1), '(oauth2_grant.create,alice,,wiki,192.0.2.7,f)', 'and recorded, without the code');
select results_eq($$ select a.outcome, a.session_id = s.id, a.user_id = pg_temp.user_id(), a.identifier, a.full_name, a.consented
                       from auth.sessions s, api.authorize(s.secret_hash, 'wiki', '{openid}', '{}', null, null, null, null, null, null, null, 'ask', sha256('x'), null) a where s.secret_hash = sha256('alice') $$,
  $$ values ('consent_required', true, true, 'alice', 'Alice', '{}'::text[]) $$, 'who is asked');
select is(pg_temp.authorize('x', p_session => n), 'login_required', 'nobody') from unnest(array['nothing', null]) n;
select is(pg_temp.during(n.change, n.question), n.want, n.name)
  from (values
    ('an expired session', 'update auth.sessions set expires_at = now()', $$pg_temp.authorize('x')$$, 'login_required'),
    ('an idle one', $$update auth.sessions set last_seen_at = now() - interval '12 hours'$$, $$pg_temp.authorize('x')$$, 'login_required'),
    ('it is noted that it is used', $$update auth.sessions set last_seen_at = now() - interval '1 hour'$$, $$pg_temp.authorize('x') || ' ' || pg_temp.seen()$$, 'ok alice 00:00:00'),
    ('signed in just now', 'select 1', $$pg_temp.authorize('x', p_since => now())$$, 'ok alice'),
    ('signed in before', $$update auth.sessions set auth_time = now() - interval '1 s'$$, $$pg_temp.authorize('x', p_since => now())$$, 'login_required alice'),
    ('signed in so long ago that the grant would have ended', $$update auth.sessions set auth_time = now() - interval '90 days'$$, $$pg_temp.authorize('x')$$, 'login_required alice'),
    ('almost', $$update auth.sessions set auth_time = now() - interval '90 days' + interval '1 s'$$, $$pg_temp.authorize('x') || ' ' || pg_temp.lasts('x')$$, 'ok alice 00:00:01'),
    ('who was meant', 'select 1', $$pg_temp.authorize('x', p_subject => pg_temp.user_id()::text)$$, 'ok alice'),
    ('somebody else was', 'select 1', $$pg_temp.authorize('x', p_subject => pg_temp.user_id('bob')::text)$$, 'login_required alice'),
    ('by the client''s name of the user', $$update auth.oauth2_clients set subject = 'legacy_id'$$, $$pg_temp.authorize('x', p_subject => '4711')$$, 'ok alice'),
    ('by another', $$update auth.oauth2_clients set subject = 'legacy_id'$$, $$pg_temp.authorize('x', p_subject => pg_temp.user_id()::text)$$, 'login_required alice'),
    ('as sure as wanted', 'select 1', $$pg_temp.authorize('x', p_acr => '{2,1}')$$, 'ok alice'),
    ('not so sure', 'select 1', $$pg_temp.authorize('x', p_acr => '{2}')$$, 'unmet_acr alice'),
    ('nothing would do', 'select 1', $$pg_temp.authorize('x', p_acr => '{}')$$, 'unmet_acr alice'),
    ('a client that is not there', 'select 1', $$pg_temp.authorize('x', p_client => 'nothing')$$, 'denied disabled alice'),
    ('denial is before age, subject, acr and consent', $$update auth.users set active = false; update auth.sessions set auth_time = now() - interval '1 s'$$, $$pg_temp.authorize('x', p_since => now(), p_subject => 'x', p_acr => '{2}', p_consent => 'ask')$$, 'denied inactive alice'),
    ('age is before acr and consent', $$update auth.sessions set auth_time = now() - interval '1 s'$$, $$pg_temp.authorize('x', p_since => now(), p_acr => '{2}', p_consent => 'ask')$$, 'login_required alice'),
    ('acr is before consent', 'select 1', $$pg_temp.authorize('x', p_acr => '{2}', p_consent => 'ask')$$, 'unmet_acr alice'),
    ('without a refresh token', 'select 1', $$pg_temp.authorize('x', p_client => 'short') || ' ' || pg_temp.lasts('x')$$, 'ok alice 00:06:00')) n (name, change, question, want);
select is((select count(*) from auth.oauth2_grants), 1::bigint, 'none of which is there');
select throws_ok($$ select pg_temp.authorize('a') $$, '23505', null, 'a code is made once');

-- Redeeming.
select is(pg_temp.redeem('nothing'), 'unknown', 'a code that is not there');
select is(pg_temp.redeem(null), 'unknown', 'null is none');
select is(pg_temp.redeem('a', n, p_challenge => 'challenge'), 'wrong_client', 'another client''s') from unnest(array['other', 'nothing', null]) n;
select is(pg_temp.redeem('a', p_uri => n, p_challenge => 'challenge'), 'wrong_redirect_uri', 'RFC 6749 4.1.3: another redirect_uri') from unnest(array['https://wiki.example.com/cb/', '', null]) n;
select is(pg_temp.redeem('a', p_challenge => n), 'wrong_verifier', 'RFC 7636 4.6: another verifier, or none') from unnest(array['Challenge', '', null]) n;
select is(pg_temp.during(n.change, $$pg_temp.redeem('a', p_challenge => 'challenge')$$), n.want, n.change)
  from (values
    ('update auth.oauth2_grants set code_expires_at = now()', 'expired'),
    ('update auth.oauth2_grants set expires_at = now()', 'expired'),
    ($$update auth.oauth2_grants set revoked_at = now(), revoked_reason = 'x'$$, 'revoked'),
    ('update auth.users set active = false', 'denied'),
    ('delete from auth.sessions', 'ok'),
    ('select 1', 'ok')) n (change, want);
create temp table trail as select pg_temp.trail() as n;
select results_eq(
  $$ select r.outcome, r.reason, r.grant_id = pg_temp.id('a'), r.session_id = s.id, r.user_id = pg_temp.user_id(), r.scope, r.resources, r.nonce, r.claims, r.auth_time, r.amr, r.acr, r.expires_at - now(), r.refreshable,
            r.subject = pg_temp.user_id()::text, r.identifier, r.full_name, r.primary_address, r.groups, r.permissions, r.attributes
       from auth.sessions s, api.redeem_code(sha256('a'), 'wiki', 'https://wiki.example.com/cb', 'challenge', md5('a')::uuid, sha256('a0'), null, null) r where s.secret_hash = sha256('alice') $$,
  $$ values ('ok', null::text, true, true, true, '{openid,offline_access}'::text[], '{https://api.example.com}'::text[], 'nonce', null::jsonb, now(), '{pwd}'::text[], '1', interval '90 days', true,
            true, 'alice', 'Alice', 'alice@example.com', null::text[], null::text[], null::jsonb) $$, 'none of the failures used it up');
select is(pg_temp.trail(), (select t.n from trail t), 'it is not recorded once more');
select is(pg_temp.rotate('a', 0), 'ok 1', 'the refresh token is there');
select is((select (r.outcome, r.grant_id = pg_temp.id('a'), r.user_id = pg_temp.user_id(), num_nonnulls(r.reason, r.session_id, r.scope, r.subject, r.identifier, r.groups, r.refreshable))::text
             from api.redeem_code(sha256('a'), 'wiki', 'https://wiki.example.com/cb', 'challenge', md5('x')::uuid, sha256('x0'), null, null) r), '(replayed,t,t,0)', 'a second time');
select is(pg_temp.revoked('a'), 'code replayed', 'RFC 6749 10.5: revokes the grant');
select is((select (a.action, a.object, a.before ->> 'revoked_at', a.after ->> 'revoked_reason')::text from auth.audit a order by a.id desc limit 1), '(oauth2_grant.revoke,alice,,"code replayed")', 'which is recorded');
select is(pg_temp.rotate('a', 1), 'revoked', 'with its refresh token');
select is(pg_temp.redeem('a') || pg_temp.trail(), 'replayed' || t.n + 1, 'a third time, which changes nothing') from trail t;
select is(pg_temp.authorize('b') || '; ' || pg_temp.redeem('b', 'wiki', p_challenge => 'challenge') || '; ' || pg_temp.redeem('b'), 'ok alice; wrong_verifier; ok', 'a verifier for a code without a challenge');
select is(pg_temp.redeem('b', n), 'replayed', 'whoever it is that comes again') from (values ('other')) n (n);
select is(pg_temp.revoked('b'), 'code replayed', 'has seen it');
select is(pg_temp.authorize('c') || '; ' || pg_temp.redeem('c', p_refresh => false) || '; ' || pg_temp.rotate('c', 0), 'ok alice; ok; unknown', 'a server that wants no refresh token');
select is(pg_temp.authorize('d', p_client => 'short'), 'ok alice', 'a client without refresh tokens');
select is((select r.outcome || ' ' || r.refreshable from api.redeem_code(sha256('d'), 'short', 'https://wiki.example.com/cb', null, md5('d')::uuid, sha256('d0'), null, null) r), 'ok false', 'gets none');
select is((select count(*) from auth.oauth2_refresh_tokens t where t.id = md5('d')::uuid), 0::bigint, 'though the server has made one');

-- Assertions.
select is(pg_temp.authorize('e') || '; ' || pg_temp.redeem('e', p_uri => 'x', p_jti => 'one') || '; ' || pg_temp.redeem('e', p_jti => 'one') || '; ' || pg_temp.redeem('e', p_jti => 'two'),
  'ok alice; wrong_redirect_uri; assertion_replayed; ok', 'RFC 7523 3: an assertion counts once, whatever comes of it');
select is(pg_temp.rotate('e', 0, p_jti => 'two') || '; ' || pg_temp.rotate('e', 0, p_jti => 'three'), 'assertion_replayed; ok 1', 'at a refresh, too');
select is(pg_temp.redeem('e', p_jti => 'three') || '; ' || pg_temp.revoked('e'), 'assertion_replayed; no', 'whoever has not proved who they are revokes nothing');
select is(api.spend_client_assertion(n.client, sha256(n.jti::bytea), now() + interval '1 min'), n.want, concat_ws(' ', n.client, n.jti))
  from (values ('wiki', 'four', true), ('wiki', 'four', false), ('other', 'four', true), ('wiki', 'three', false), ('nothing', 'five', false), (null, 'five', false), ('wiki', null, false)) n (client, jti, want);

-- Refreshing.
select is(pg_temp.open('f'), 'ok alice ok', 'a grant');
select is(pg_temp.rotate(n.code, n.generation, p_secret => n.secret), 'unknown', n.name)
  from (values
    ('nothing', 0, null, 'a family that is not there'), (null, 0, null, 'none'),
    ('f', 0, 'x', 'another secret'), ('f', 1, null, 'one that is not there yet'), ('f', -1, null, 'one that never was'), ('f', null, null, 'which one?'), ('f', 2147483647, null, 'far away')) n (code, generation, secret, name);
select is((select r.outcome from api.rotate_refresh_token(md5('f')::uuid, 0, null, sha256('f1'), 'wiki', null, null, '10 s', null, null) r), 'unknown', 'no secret');
select is(pg_temp.rotate('f', 0, n), 'wrong_client', 'another client') from unnest(array['other', 'nothing', null]) n;
select is(pg_temp.rotate('f', 0, p_scope => n.scope, p_resources => n.resources), n.want, n.name)
  from (values
    ('{openid,email}'::text[], null::text[], 'wrong_scope scope', 'more than was granted'), ('{openid,null}', null, 'wrong_scope scope', 'null is not granted'),
    (null, '{https://other.example.com}', 'wrong_scope resources', 'for something else'), ('{email}', '{https://other.example.com}', 'wrong_scope scope', 'both')) n (scope, resources, want, name);
select is(pg_temp.during(n.change, $$pg_temp.rotate('f', 0)$$), n.want, n.change)
  from (values
    ('update auth.oauth2_grants set expires_at = now()', 'expired'),
    ($$update auth.oauth2_refresh_tokens set rotated_at = now() - interval '14 days'$$, 'expired'),
    ($$update auth.oauth2_refresh_tokens set rotated_at = now() - interval '14 days' + interval '1 s'$$, 'ok 1'),
    ($$update auth.oauth2_clients set refresh_token_lifetime = '1 min'; update auth.oauth2_refresh_tokens set rotated_at = now() - interval '1 min'$$, 'expired'),
    ($$update auth.oauth2_grants set revoked_at = now(), revoked_reason = 'x'$$, 'revoked'),
    ('update auth.users set active = false', 'denied inactive'),
    ('delete from auth.sessions', 'ok 1')) n (change, want);
select is(pg_temp.during($$select api.end_session(sha256('alice'))$$, $$pg_temp.rotate('f', 0)$$), 'ok 1', 'it goes on without the user');
select is(pg_temp.open('g', '{openid}'), 'ok alice ok', 'a grant that does not');
select is(pg_temp.during($$select api.end_session(sha256('alice'))$$, $$pg_temp.rotate('g', 0)$$), 'revoked', 'ends with the session');
select is(pg_temp.during($$select api.end_session(sha256('bob'))$$, $$pg_temp.rotate('g', 0)$$), 'ok 1', 'and no other');
truncate pg_temp.trail;
insert into trail values (pg_temp.trail());
update auth.oauth2_refresh_tokens t set rotated_at = now() - interval '1 hour';
select results_eq(
  $$ select r.outcome, r.reason, r.grant_id = pg_temp.id('f'), r.session_id is not null, r.user_id = pg_temp.user_id(), r.scope, r.resources, r.nonce, r.auth_time, r.amr, r.acr, r.expires_at - now(), r.refreshable, r.generation,
            r.subject = pg_temp.user_id()::text, r.identifier, r.full_name, r.primary_address, r.groups
       from api.rotate_refresh_token(md5('f')::uuid, 0, sha256('f0'), sha256('f1'), 'wiki', '{openid}', '{}', '10 s', null, null) r $$,
  $$ values ('ok', null::text, true, true, true, '{openid}'::text[], '{}'::text[], null::text, now(), '{pwd}'::text[], '1', interval '90 days', true, 1, true, 'alice', 'Alice', 'alice@example.com', null::text[]) $$, 'none of the failures used it up');
select is(pg_temp.trail(), (select t.n from trail t), 'it is not recorded');
select is((select t.rotated_at = now() from auth.oauth2_refresh_tokens t where t.id = md5('f')::uuid), true, 'it lasts anew');
select is((select r.scope || r.resources from api.rotate_refresh_token(md5('f')::uuid, 1, sha256('f1'), sha256('f2'), 'wiki', null, null, '10 s', null, null) r), '{openid,offline_access,https://api.example.com}', 'less for once is not less for ever');
select is(pg_temp.rotate('f', 1), 'ok 2', 'again within the grace') from generate_series(1, 3);
select is(pg_temp.rotate('f', 1, p_next => 'x'), 'retry', 'with another successor');
select is(pg_temp.rotate('f', 1, n), 'wrong_client', 'by another client') from unnest(array['other', null]) n;
select is(pg_temp.rotate('f', 1, p_scope => '{email}'), 'wrong_scope scope', 'for more');
select is(pg_temp.during('update auth.users set active = false', $$pg_temp.rotate('f', 1)$$), 'denied inactive', 'when it is denied');
select is(pg_temp.rotate('f', 1, p_secret => 'x'), 'unknown', 'with another secret');
select is(pg_temp.revoked('f'), 'no', 'none of which revokes');
select is((select (t.generation, t.secret_hash = sha256('f2'), t.previous_hash = sha256('f1'))::text from auth.oauth2_refresh_tokens t where t.id = md5('f')::uuid), '(2,t,t)', 'or changes anything');
select is(pg_temp.during(n.change, n.question || $$ || '; ' || pg_temp.revoked('f') || '; ' || pg_temp.rotate('f', 2)$$), n.want, n.name)
  from (values
    ('after the grace', $$update auth.oauth2_refresh_tokens set rotated_at = now() - interval '10 s'$$, $$pg_temp.rotate('f', 1)$$, 'replayed; refresh token replayed; revoked'),
    ('just within', $$update auth.oauth2_refresh_tokens set rotated_at = now() - interval '9.9 s'$$, $$pg_temp.rotate('f', 1)$$, 'ok 2; no; ok 3'),
    ('without a grace', 'select 1', $$pg_temp.rotate('f', 1, p_grace => '0 s')$$, 'replayed; refresh token replayed; revoked'),
    ('null is no grace', 'select 1', $$pg_temp.rotate('f', 1, p_grace => null)$$, 'replayed; refresh token replayed; revoked'),
    ('an older one', 'select 1', $$pg_temp.rotate('f', 0)$$, 'replayed; refresh token replayed; revoked'),
    ('whatever its secret', 'select 1', $$pg_temp.rotate('f', 0, p_secret => 'x')$$, 'replayed; refresh token replayed; revoked'),
    ('whoever comes with it', 'select 1', $$pg_temp.rotate('f', 0, 'other')$$, 'replayed; refresh token replayed; revoked'),
    ('one that never was', 'select 1', $$pg_temp.rotate('f', -1)$$, 'unknown; no; ok 3'),
    ('one of another family', 'select 1', $$pg_temp.rotate('nothing', 0)$$, 'unknown; no; ok 3')) n (name, change, question, want);
select is((select (r.outcome, r.grant_id = pg_temp.id('f'), r.user_id = pg_temp.user_id(), num_nonnulls(r.reason, r.session_id, r.scope, r.subject, r.identifier, r.groups, r.refreshable, r.generation))::text
             from api.rotate_refresh_token(md5('f')::uuid, 0, sha256('f0'), sha256('f1'), 'wiki', null, null, '10 s', null, null) r), '(replayed,t,t,0)', 'whose grant is revoked');
select is((select (a.action, a.object, a.after ->> 'revoked_reason')::text from auth.audit a order by a.id desc limit 1), '(oauth2_grant.revoke,alice,"refresh token replayed")', 'which is recorded');

-- What is said of a user.
create function pg_temp.identity(p_scope text[], p_claims jsonb default null, p_groups_in_profile boolean default true, p_subject text default 'uuid') returns text
language sql as $$
  select concat_ws(' ', i.groups, i.permissions, i.attributes)
    from auth.oauth2_clients c, auth.oauth2_identity(pg_temp.user_id(), jsonb_populate_record(c, jsonb_build_object('groups_in_profile', p_groups_in_profile, 'subject', p_subject)), p_scope, p_claims) i
   where c.client_id = 'wiki'
$$;
select is(pg_temp.identity(n.scope, n.claims, n.groups_in_profile), n.want, concat_ws(' ', n.scope, n.claims))
  from (values
    ('{}'::text[], null::jsonb, true, ''),
    (null, null, true, ''),
    ('{openid,email,username}', null, true, ''),
    ('{groups}', null, false, '{A,b} {"state": "Member"}'),
    ('{profile}', null, false, '{"locale": "de", "picture": "https://example.com/a.png"}'),
    ('{profile}', null, true, '{A,b} {"state": "Member", "locale": "de", "picture": "https://example.com/a.png"}'),
    ('{permissions}', null, true, '{mail,wiki}'),
    ('{scopes}', null, true, '{mail,wiki}'),
    ('{corp}', null, true, '{"ticker": "XYZ"}'),
    ('{old,corp}', null, true, '{"ticker": "XYZ", "legacy_id": "4711"}'),
    ('{}', '{"userinfo": {"groups": null}}', true, '{A,b} {"state": "Member"}'),
    ('{}', '{"id_token": {"permissions": {"essential": true}}}', true, '{mail,wiki}'),
    ('{}', '{"id_token": {"x_ticker": null}, "userinfo": {"scopes": null, "picture": null}}', true, '{mail,wiki} {"ticker": "XYZ", "picture": "https://example.com/a.png"}'),
    ('{}', '{"userinfo": {"ticker": null, "secret": null, "legacy_id": null, "email": null}}', true, ''),
    ('{}', '{"groups": null}', true, ''),
    ('{}', '{"userinfo": ["groups"], "id_token": "groups"}', true, ''),
    ('{}', '["groups"]', true, ''), ('{}', '"groups"', true, ''), ('{}', 'null', true, ''), ('{}', '{"userinfo": null}', true, '')) n (scope, claims, groups_in_profile, want);
select is((select (i.subject, i.identifier, i.groups, i.permissions, i.attributes)::text from auth.oauth2_clients c, auth.oauth2_identity(pg_temp.user_id('bob'), c, '{groups,permissions,profile}', null) i where c.client_id = 'wiki'),
  format('(%s,bob,{},{},)', pg_temp.user_id('bob')), 'one who has nothing');
select is(pg_temp.during(format('update auth.oauth2_clients set subject = %L', n.strategy), format($$pg_temp.authorize('x') || ' ' || (select r.subject from api.redeem_code(sha256('x'), 'wiki', 'https://wiki.example.com/cb', null, null, null, null, null) r)$$)), 'ok alice ' || n.want, 'sub: ' || n.strategy)
  from (values ('uuid', pg_temp.user_id()::text), ('identifier', 'alice'), ('email', 'alice@example.com'), ('legacy_id', '4711')) n (strategy, want);

-- Passwords.
create function pg_temp.password(p_client text default 'wiki', p_identifier text default 'alice', p_family text default 'p', p_jti text default null,
  p_credential text default '$y$alice', p_service_user text default null) returns text
language sql as $$
  select concat_ws(' ', r.outcome, r.reason, r.identifier, r.expires_at - now(), r.refreshable)
    from api.create_password_grant(p_client, pg_temp.user_id(p_identifier), p_service_user, sha256(p_credential::bytea), '{openid,groups}', '{}', '{pwd}', '1', md5(p_family)::uuid, sha256((p_family || 0)::bytea), sha256(p_jti::bytea), now() + interval '1 min') r
$$;
select is(pg_temp.password('nothing'), 'no_client', 'a client that is not there');
select is(pg_temp.password(null), 'no_client', 'none');
select is(pg_temp.password('other'), 'denied grant_type', 'a client that may not');
select is(pg_temp.password(p_identifier => 'nobody'), 'denied inactive', 'nobody');
select is(pg_temp.during('update auth.oauth2_clients set enabled = false', 'pg_temp.password()'), 'denied disabled', 'a disabled one');
select is(pg_temp.password('short'), 'ok alice 00:06:00 f', 'without a refresh token it ends soon');
select is(pg_temp.password(p_family => null), 'ok alice 90 days f', 'a server that wants none');
select is(pg_temp.password(p_jti => 'six') || '; ' || pg_temp.password(p_family => 'q', p_jti => 'six'), 'ok alice 90 days t; assertion_replayed', 'with one');
select is(pg_temp.rotate('p', 0), 'ok 1', 'which is good');
select is((select (a.action, a.object, a.after ->> 'grant_type', a.after ->> 'client')::text from auth.audit a order by a.id desc limit 1), '(oauth2_grant.create,alice,password,wiki)', 'recorded');
select results_eq($$ select r.outcome, r.user_id = pg_temp.user_id(), r.session_id, r.scope, r.nonce, r.claims, r.auth_time, r.amr, r.acr, r.subject = pg_temp.user_id()::text, r.groups, r.attributes
                       from api.create_password_grant('wiki', pg_temp.user_id(), null, sha256('$y$alice'), '{groups}', '{}', '{pwd,otp}', '2', null, null, null, null) r $$,
  $$ values ('ok', true, null::uuid, '{groups}'::text[], null::text, null::jsonb, now(), '{pwd,otp}'::text[], '2', true, '{A,b}'::text[], '{"state": "Member"}'::jsonb) $$, 'what it says');

insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, expires_at)
select n.id, pg_temp.user_id(), sha256(n.id::bytea), '$6$x', n.services, n.expires_at
  from (values ('a0any0', null::text[], null::timestamptz), ('a0th00', array['oauth2'], now() + interval '1 day'), ('a0web0', array['web'], now() + interval '2 days'), ('a0svc0', null, null)) n (id, services, expires_at);
insert into auth.login_names (name, kind) values ('svc', 'service_user');
insert into auth.service_users (user_id, username, app_password_id) values (pg_temp.user_id(), 'svc', 'a0svc0');
select is(pg_temp.during('select 1', format('pg_temp.password(p_family => %L, p_credential => %L, p_service_user => %L)', 'r', n.credential, n.service_user)), n.want, n.why)
  from (values
    ('$y$old', null, 'gone', 'a password that is no longer the user''s'),
    ('$y$bob', null, 'gone', 'another user''s'),
    (null, null, 'gone', 'none'),
    ('a0web0', null, 'gone', 'an app password for browsers'),
    ('$y$alice', 'svc', 'gone', 'the user''s, for the service user'),
    ('a0any0', null, 'ok alice 90 days t', 'an app password for everything'),
    ('a0svc0', 'svc', 'ok alice 90 days t', 'a service user''s'),
    ('a0any0', 'svc', 'gone', 'another for a service user'),
    ('a0th00', null, 'ok alice 1 day t', 'one that expires, and the grant with it')) n (credential, service_user, want, why);
select is(pg_temp.password(p_family => 's', p_jti => 'once', p_credential => '$y$old') || '; ' || pg_temp.password(p_family => 's', p_jti => 'once'), 'gone; ok alice 90 days t', 'whoever is told so may ask again');
select is((select s.outcome from api.start_session(sha256('by app'), null, pg_temp.user_id(), null, sha256('a0web0'), '{pwd}', '1', '12 hours', '14 days', null, '') s), 'ok', 'a browser by an app password');
select is(pg_temp.during('select 1', format($$pg_temp.authorize('x', %L, p_session => 'by app') || ' ' || pg_temp.lasts('x')$$, n.scope)), n.want, n.why)
  from (values
    ('{openid}', 'ok alice 2 days', 'what it lets clients do ends with it'),
    ('{openid,offline_access}', 'ok alice 90 days', 'except what goes on without the user')) n (scope, want, why);

-- Access tokens.
create function pg_temp.check(p_code text, p_jti text default 'jti', p_client text default 'wiki', p_scope text[] default '{}') returns text
language sql as $$ select concat_ws(' ', r.outcome, r.reason, r.identifier) from api.check_access_token(pg_temp.id(p_code), p_jti, p_client, p_scope, false) r $$;
select is(pg_temp.authorize('h', '{openid}', p_claims => '{"userinfo": {"groups": null}}') || ' ' || pg_temp.redeem('h'), 'ok alice ok', 'a grant');
select results_eq($$ select r.outcome, r.reason, r.user_id = pg_temp.user_id(), r.session_id is not null, r.claims, r.subject = pg_temp.user_id()::text, r.identifier, r.full_name, r.primary_address, r.groups, r.permissions, r.attributes
                       from unnest(array[false, true, null]) wanted, api.check_access_token(pg_temp.id('h'), 'jti', 'wiki', '{permissions}', wanted) r $$,
  $$ select 'ok', null::text, true, true, '{"userinfo": {"groups": null}}'::jsonb, true, 'alice', 'Alice', 'alice@example.com', n.groups, '{mail,wiki}'::text[], n.attributes
       from (values (null::text[], null::jsonb), ('{A,b}', '{"state": "Member"}'), (null, null)) n (groups, attributes) $$, 'who it is for');
select is(pg_temp.check('h', p_jti => null), 'revoked', 'a token without a name');
select is(pg_temp.check('h', p_client => n), 'revoked', 'another client''s') from unnest(array['other', 'nothing', null]) n;
select is(pg_temp.check('f'), 'revoked', 'of a grant that is revoked');
select is((select (r.outcome, num_nonnulls(r.reason, r.user_id, r.identifier, r.claims))::text from api.check_access_token(gen_random_uuid(), 'jti', 'wiki', '{}', true) r), '(revoked,0)', 'of one that is gone');
select is(pg_temp.during(n.change, $$pg_temp.check('h')$$), n.want, n.change)
  from (values
    ('update auth.oauth2_grants set expires_at = now()', 'revoked'), ($$select api.end_session(sha256('alice'))$$, 'revoked'),
    ($$select api.redeem_code(sha256('h'), 'wiki', null, null, null, null, null, null)$$, 'revoked'),
    ('update auth.users set active = false', 'denied inactive'), ('update auth.oauth2_clients set enabled = false', 'denied disabled')) n (change, want);
select is((select (r.outcome, r.reason, num_nonnulls(r.user_id, r.identifier))::text from api.check_access_token(null, 'jti', 'wiki', '{openid}', true) r), '(ok,,0)', 'the client''s own');
select is((select concat_ws(' ', r.outcome, r.reason) from api.check_access_token(null, 'jti', n, '{}', true) r), 'denied disabled', 'of a client that is not there') from unnest(array['nothing', null]) n;
select is(pg_temp.during('update auth.oauth2_clients set enabled = false', $$(select concat_ws(' ', r.outcome, r.reason) from api.check_access_token(null, 'jti', 'wiki', '{}', true) r)$$), 'denied disabled', 'or disabled');

-- Taking back one access token.
select is(api.revoke_access_token(n.jti, n.expires_at, 'wiki', null, null), 'ok', n.name)
  from (values ('jti', now() + interval '5 min', 'taken back'), ('jti', now() + interval '5 min', 'twice'), ('over', now(), 'one that has ended')) n (jti, expires_at, name);
select is((select (a.action, a.object, a.after ->> 'jti')::text from auth.audit a order by a.id desc limit 1), '(oauth2_grant.revoke_token,wiki,jti)', 'recorded');
select is((select count(*) from auth.audit a where a.action = 'oauth2_grant.revoke_token'), 1::bigint, 'once');
select is(pg_temp.check('h') || '; ' || pg_temp.check('h', 'other') || '; ' || (select r.outcome from api.check_access_token(null, 'jti', 'wiki', '{}', true) r), 'revoked; ok alice; revoked', 'it and no other');
select is(api.revoke_access_token('jti2', now() + interval '5 min', 'wiki', sha256('seven'), now()) || '; ' || api.revoke_access_token('jti3', now() + interval '5 min', 'wiki', sha256('seven'), now()), 'ok; assertion_replayed', 'by an assertion');
select is(pg_temp.check('h', 'jti3'), 'ok alice', 'which counts once');

-- Asking about and taking back refresh tokens.
create function pg_temp.introspect(p_code text, p_generation int, p_secret text default null) returns text
language sql as $$ select concat_ws(' ', r.outcome, r.client_id, r.identifier) from api.check_refresh_token(md5(p_code)::uuid, p_generation, sha256(coalesce(p_secret, p_code || p_generation)::bytea)) r $$;
create function pg_temp.revoke(p_code text, p_generation int, p_client text default 'wiki', p_secret text default null, p_jti text default null) returns text
language sql as $$ select api.revoke_refresh_token(md5(p_code)::uuid, p_generation, sha256(coalesce(p_secret, p_code || p_generation)::bytea), p_client, sha256(p_jti::bytea), now()) $$;
select is(pg_temp.rotate('h', 0), 'ok 1', 'used once');
select results_eq($$ select r.outcome, r.client_id, r.scope, r.user_id = pg_temp.user_id(), r.subject = pg_temp.user_id()::text, r.identifier, r.primary_address, r.expires_at - now(), r.created_at from api.check_refresh_token(md5('h')::uuid, 1, sha256('h1')) r $$,
  $$ values ('ok', 'wiki', '{openid}'::text[], true, true, 'alice', 'alice@example.com', interval '14 days', now()) $$, 'the current one');
select is(pg_temp.introspect(n.code, n.generation, n.secret), 'unknown', n.name)
  from (values ('h', 0, null, 'the one before'), ('h', 1, 'x', 'another secret'), ('h', 2, null, 'the next'), ('nothing', 0, null, 'none'), (null, null, null, 'nothing'), ('f', 2, null, 'that of a revoked grant')) n (code, generation, secret, name);
select is(pg_temp.during(n.change, $$pg_temp.introspect('h', 1)$$), n.want, n.change)
  from (values ('select 1', 'ok wiki alice'), ('update auth.oauth2_grants set expires_at = now()', 'unknown'), ($$update auth.oauth2_refresh_tokens set rotated_at = now() - interval '14 days'$$, 'unknown'), ('update auth.users set active = false', 'unknown')) n (change, want);
select is(pg_temp.rotate('h', 1), 'ok 2', 'which changes nothing');
select is(pg_temp.revoke(n.code, n.generation, n.client, n.secret), n.want, n.name)
  from (values ('nothing', 0, 'wiki', null, 'unknown', 'one that is not there'), (null, null, 'wiki', null, 'unknown', 'none'), ('h', 2, 'wiki', 'x', 'unknown', 'another secret'), ('h', 0, 'wiki', null, 'unknown', 'an older one'), ('h', 3, 'wiki', null, 'unknown', 'the next'),
    ('h', 2, 'other', null, 'wrong_client', 'another client'), ('h', 2, null, null, 'wrong_client', 'no client')) n (code, generation, client, secret, want, name);
select is(pg_temp.revoked('h'), 'no', 'none of which revokes');
select is(pg_temp.during('select 1', $$pg_temp.revoke('h', 1) || '; ' || pg_temp.revoked('h')$$), 'ok; revoked by the client', 'the one before');
select is(pg_temp.revoke('h', 2, p_jti => 'seven') || '; ' || pg_temp.revoked('h'), 'assertion_replayed; no', 'a spent assertion');
select is(pg_temp.revoke('h', 2) || '; ' || pg_temp.revoked('h') || '; ' || pg_temp.rotate('h', 2) || '; ' || pg_temp.check('h', 'other'), 'ok; revoked by the client; revoked; revoked', 'RFC 7009 2.1: the grant with all its tokens');
select is(pg_temp.revoke('h', 2), 'ok', 'twice');

-- Finding and revoking, for an operator.
delete from auth.oauth2_grants;
select is(pg_temp.open('i') || pg_temp.open('j', p_client => 'other') || pg_temp.open('k') || pg_temp.authorize('l') || pg_temp.authorize('m') || pg_temp.open('n') || pg_temp.authorize('o', p_session => 'bob') || pg_temp.rotate('i', 0),
  'ok alice okok alice okok alice okok aliceok aliceok alice okok bobok 1', 'some grants');
update auth.oauth2_grants g set code_expires_at = now() where g.id = pg_temp.id('m');
update auth.oauth2_grants g set expires_at = now() where g.id = pg_temp.id('k');
update auth.oauth2_refresh_tokens t set rotated_at = now() - interval '14 days' where t.id = md5('n')::uuid;
select is(pg_temp.revoke('j', 0, 'other'), 'ok', 'one is revoked');
create function pg_temp.name(p_id uuid) returns text
language sql as $$ select n from unnest(array['i', 'j', 'k', 'l', 'm', 'n', 'o']) n where pg_temp.id(n) = p_id $$;
select results_eq($$ select pg_temp.name(f.id), f.user_identifier, f.client_id, f.client_name, f.grant_type, f.scope, f.created_at, f.redeemed_at, f.last_used_at, f.generation, f.expires_at - now(), f.status, f.revoked_reason from api.find_oauth2_grants(pg_temp.user_id(), 'wiki', false) f $$,
  $$ values ('i', 'alice', 'wiki', 'Wiki', 'authorization_code', '{openid,offline_access}'::text[], now(), now(), now(), 1, interval '14 days', 'active', null::text),
            ('l', 'alice', 'wiki', 'Wiki', 'authorization_code', '{openid,offline_access}', now(), null, null, null, interval '1 min', 'unredeemed', null) $$, 'those in use of one user and client');
select is(array(select pg_temp.name(f.id) || ' ' || f.status from api.find_oauth2_grants(n.id, n.client, n.ended) f order by 1), n.want, n.name)
  from (values
    (null::uuid, null, true, array['i active', 'j revoked', 'k expired', 'l unredeemed', 'm expired', 'n expired', 'o unredeemed'], 'all'),
    (null, null, null, array['i active', 'l unredeemed', 'o unredeemed'], 'those in use'),
    (pg_temp.user_id('bob'), null, true, array['o unredeemed'], 'of one user'),
    (null, 'other', true, array['j revoked'], 'of one client'),
    (null, 'nothing', true, '{}', 'of none')) n (id, client, ended, want, name);
select is((select (r.revoked, r.refresh_tokens)::text from api.revoke_oauth2_grants(n.id, n.client, 'x', n.dry_run) r), n.want, n.name)
  from (values
    (null::uuid, null, true, '(5,2)', 'what would be revoked'), (null, null, null, '(5,2)', 'null is not yes'),
    (pg_temp.user_id('bob'), 'other', false, '(0,0)', 'none of them'), (gen_random_uuid(), null, false, '(0,0)', 'of nobody'), (null, 'nothing', false, '(0,0)', 'of no client'),
    (pg_temp.user_id('bob'), null, false, '(1,0)', 'of one user'), (null, 'wiki', false, '(4,2)', 'of one client'), (null, null, false, '(0,0)', 'none is left')) n (id, client, dry_run, want, name);
select is(array(select pg_temp.revoked(n) from unnest(array['i', 'j', 'k', 'o']) n), array['x', 'revoked by the client', 'no', 'x'], 'with the reason');

-- Forgetting.
delete from auth.oauth2_grants;
delete from auth.oauth2_revoked_tokens;
delete from auth.oauth2_assertions;
do $$ begin perform pg_temp.open(n) from unnest(array['live', 'over', 'used', 'revoked', 'revoked long ago']) n; perform pg_temp.authorize(n) from unnest(array['fresh', 'unused', 'unused long ago']) n; end $$;
update auth.oauth2_grants g set expires_at = now() where g.id = pg_temp.id('over');
update auth.oauth2_grants g set code_expires_at = now() - interval '1 day' where g.id in (pg_temp.id('used'), pg_temp.id('unused'));
update auth.oauth2_grants g set code_expires_at = now() - interval '1 day' + interval '1 s' where g.id = pg_temp.id('fresh');
update auth.oauth2_grants g set code_expires_at = now() - interval '4 days' where g.id = pg_temp.id('unused long ago');
update auth.oauth2_grants g set revoked_at = now() - interval '30 days' + interval '1 s', revoked_reason = 'x' where g.id = pg_temp.id('revoked');
update auth.oauth2_grants g set revoked_at = now() - interval '30 days', revoked_reason = 'x' where g.id = pg_temp.id('revoked long ago');
do $$ begin
  perform api.save_oauth2_request(sha256(n::bytea), 'wiki', '{}', n::interval), api.revoke_access_token(n, now() + interval '1 hour', 'wiki', null, null), api.spend_client_assertion('wiki', sha256(n::bytea), now() + n::interval)
     from unnest(array['0 s', '1 s']) n;
end $$;
update auth.oauth2_revoked_tokens r set expires_at = now() where r.jti = '0 s';
truncate pg_temp.trail;
insert into trail values (pg_temp.trail());
select is(array[api.purge_oauth2(2), api.purge_oauth2(2), api.purge_oauth2(2), api.purge_oauth2(2)], array[2, 2, 2, 0]::bigint[], 'no more at once than asked for');
select is(array(select n from unnest(array['live', 'over', 'used', 'revoked', 'revoked long ago', 'fresh', 'unused', 'unused long ago']) n where pg_temp.id(n) is not null), array['live', 'used', 'revoked', 'fresh', 'unused long ago'], 'what stays of grants');
select is((select count(*) from auth.oauth2_refresh_tokens), 3::bigint, 'refresh tokens go with them');
select is((select count(*) from auth.oauth2_requests) || ' ' || (select string_agg(r.jti, ',') from auth.oauth2_revoked_tokens r) || ' ' || (select count(*) from auth.oauth2_assertions), '1 1 s 1', 'what stays besides');
select is(pg_temp.redeem('used'), 'replayed', 'a code that was used is still recognised');
select is(pg_temp.trail(), (select t.n + 1 from trail t), 'nothing else is recorded');

select * from finish();
