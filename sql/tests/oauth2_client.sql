-- Clients of OAuth 2.0: made, found, edited, applied, removed; their secrets, and
-- what a wrong one is refused for.
select plan(150);

create function pg_temp.make(p_client_id text, p_settings jsonb default '{}', p_sha256 bytea default null, p_hash text default null) returns text
language sql as $$
  select concat_ws(': ', c.outcome, nullif(array_to_string(c.detail, ', '), ''))
    from api.create_oauth2_client(p_client_id, '{"type": "confidential", "grant_types": ["authorization_code"]}' || jsonb_build_object('name', p_client_id) || p_settings, p_sha256, p_hash) c $$;
create function pg_temp.id(p_client_id text) returns bigint
language sql as $$ select c.id from auth.oauth2_clients c where c.client_id = p_client_id $$;
create function pg_temp.edit(p_client_id text, p_settings jsonb) returns text
language sql as $$ select concat_ws(': ', e.outcome, nullif(array_to_string(e.detail, ', '), '')) from api.edit_oauth2_client(coalesce(pg_temp.id(p_client_id), -1), p_settings) e $$;
create function pg_temp.apply(p_client_id text, p_settings jsonb, p_sha256 bytea default null, p_hash text default null) returns text
language sql as $$
  select concat_ws(': ', a.outcome, nullif(array_to_string(a.detail, ', '), ''), a.client_id)
    from api.apply_oauth2_client(p_client_id, 'fresh', p_settings, p_sha256, p_hash) a $$;
create function pg_temp.setting(p_client_id text, p_name text) returns jsonb
language sql as $$ select f.settings -> p_name from api.find_oauth2_clients(array[p_client_id]) f $$;
create function pg_temp.secrets(p_client_id text) returns text
language sql as $$ select string_agg(coalesce(encode(s.secret_sha256, 'escape'), s.secret_hash), ' ' order by s.id) from auth.live_oauth2_client_secrets(pg_temp.id(p_client_id)) s $$;
create function pg_temp.add(p_client_id text, p_hash text) returns text
language sql as $$ select a.outcome || ': ' || cardinality(a.detail) || case when a.secret_id is not null then ', made' else '' end from api.add_oauth2_client_secret(coalesce(pg_temp.id(p_client_id), -1), null, p_hash) a $$;
create function pg_temp.secret(p_hash text) returns bigint
language sql as $$ select s.id from auth.oauth2_client_secrets s where s.secret_hash = p_hash $$;
create function pg_temp.recorded(p_action text) returns text[]
language sql as $$ select array(select a.object from auth.audit a where a.action = p_action order by a.id) $$;
create function pg_temp.key(p_kid text, p_algorithm text) returns jsonb
language sql as $$ select jsonb_build_array(jsonb_build_object('purpose', 'jwt', 'algorithm', p_algorithm, 'kid', p_kid, 'public_key', 'cHVi', 'sealed_key', 'MQ==', 'sealed_by', 'old')) $$;

do $$ begin
  perform api.create_domain('example.com', null, null, false, false, 'default', '+-', pg_temp.key('k1', 'rsa'));
  perform api.create_domain('example.org', null, null, false, false, 'default', '+-', pg_temp.key('k2', 'ecdsa-p256'));
  perform api.create_domain('example.net', null, null, false, false, 'default', '+-', null);
  perform api.create_permission('wiki.edit', 'Edit the wiki');
  perform api.create_permission('wiki.admin', 'Run it');
  perform api.create_permission('mail.admin', 'Run it');
  perform api.create_group('staff');
  perform api.create_group('friends');
end $$;

-- Making.
select is(pg_temp.make('c1', '{"name": "Wiki"}', sha256('s1')), 'ok', 'a client is made');
select is(pg_temp.make('c1'), 'exists', 'another has its client_id');
select is(pg_temp.make('c2', '{"name": "Wiki"}'), 'name_exists', 'another has its name');
select is(pg_temp.make('C1', '{"name": "wiki", "type": "public"}'), 'ok', 'case counts in both; a client may be public');
select results_eq(
  $$ select c.client_id, c.name, c.domain, c.enabled, c.type, c.token_endpoint_auth_method, c.grant_types, c.redirect_uris, c.scope, c.require_pkce, c.subject,
            c.id_token_alg, c.access_token_alg, c.code_lifetime, c.grant_lifetime, c.secret_sha256, c.secret_hash, c.secret_expires_at from api.oauth2_clients() c $$,
  $$ values ('C1', 'wiki', null::text, true, 'public', 'none', array['authorization_code'], '{}'::text[], null::text[], true, 'uuid', 'RS256', null::text,
             interval '1 min', interval '90 days', '{}'::bytea[], '{}'::text[], '{}'::timestamptz[]),
            ('c1', 'Wiki', null, true, 'confidential', 'client_secret_basic', array['authorization_code'], '{}', null, true, 'uuid', 'RS256', null,
             '1 min', '90 days', array[sha256('s1')], array[''], array[null::timestamptz]) $$,
  'servers see both, with the defaults of the table');
select is(pg_temp.make('all', $$ {"domain": "example.com", "enabled": false, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example.com/jwks",
  "grant_types": ["authorization_code", "refresh_token", "client_credentials", "password"], "redirect_uris": ["https://a.example.com/", "https://b.example.com/"],
  "post_logout_redirect_uris": ["https://a.example.com/bye"], "allowed_origins": ["https://a.example.com"], "scope": ["openid", "x"], "resources": ["https://api.example.com"],
  "trusted": true, "require_pkce": false, "may_introspect": true, "required_permissions": ["Edit the wiki", "wiki.admin"], "allowed_groups": ["staff"], "allowed_states": ["member"],
  "subject": "email", "id_token_claims": "scoped", "access_token_claims": "scoped", "groups_in_profile": false, "id_token_alg": "PS256", "access_token_alg": "RS256",
  "access_token_typ": "JWT", "code_lifetime": 10, "access_token_lifetime": 10, "id_token_lifetime": 10, "refresh_token_lifetime": 60, "grant_lifetime": 60, "debug": true} $$),
  'ok', 'as different as can be');
select is((select f.settings from api.find_oauth2_clients(array['all']) f),
  $$ {"name": "all", "domain": "example.com", "enabled": false, "type": "confidential", "token_endpoint_auth_method": "private_key_jwt", "jwks": null, "jwks_uri": "https://app.example.com/jwks",
  "grant_types": ["authorization_code", "refresh_token", "client_credentials", "password"], "redirect_uris": ["https://a.example.com/", "https://b.example.com/"],
  "post_logout_redirect_uris": ["https://a.example.com/bye"], "allowed_origins": ["https://a.example.com"], "scope": ["openid", "x"], "resources": ["https://api.example.com"],
  "trusted": true, "require_pkce": false, "may_introspect": true, "required_permissions": ["wiki.admin", "wiki.edit"], "allowed_groups": ["staff"], "allowed_states": ["member"],
  "subject": "email", "id_token_claims": "scoped", "access_token_claims": "scoped", "groups_in_profile": false, "id_token_alg": "PS256", "access_token_alg": "RS256",
  "access_token_typ": "JWT", "code_lifetime": 10, "access_token_lifetime": 10, "id_token_lifetime": 10, "refresh_token_lifetime": 60, "grant_lifetime": 60, "debug": true} $$::jsonb,
  'all of it is there');
select is((select array(select jsonb_object_keys(f.settings) order by 1) from api.find_oauth2_clients(array['all']) f),
  (select array_agg(a.attname::text order by a.attname::text) from (
    select a.attname from pg_attribute a where a.attrelid = 'auth.oauth2_clients'::regclass and a.attnum > 0 and a.attname not in ('id', 'client_id', 'domain_id', 'created_at')
    union all select unnest(array['domain', 'required_permissions', 'allowed_groups'])) a),
  'every column of the table is a setting');
select is((select array(select c.domain from api.oauth2_clients() c where c.client_id = 'all')), array['example.com'], 'servers know its domain');
select is(pg_temp.recorded('oauth2_client.create'), array['c1', 'C1', 'all'], 'making is recorded');
select is((select a.after - array['id', 'created_at'] from auth.audit a where a.object = 'all'), (select f.settings || '{"client_id": "all"}' from api.find_oauth2_clients(array['all']) f), 'with all settings');
select is(pg_temp.recorded('oauth2_client.add_secret'), array['c1'], 'so is its secret');
select is_empty($$ select a.id from auth.audit a where concat(a.before, a.after) ~ 'sha256|hash' $$, 'and no hash');

-- Refused, and then nothing is saved.
select is(pg_temp.make('x', '{"domain": "nowhere.test"}'), 'no_domain', 'its domain is not ours');
select is(pg_temp.make('x', '{"domain": "example.net"}'), 'no_key: RS256', 'its domain has no key');
select is(pg_temp.make('x', '{"domain": "example.org"}'), 'no_key: RS256', 'none of this kind');
select is(pg_temp.make('x', '{"domain": "example.com", "access_token_alg": "ES256"}'), 'no_key: ES256', 'none for access tokens');
select is(pg_temp.make('x', '{"domain": "example.com", "id_token_alg": "EdDSA", "access_token_alg": "ES256"}'), 'no_key: ES256, EdDSA', 'neither');
select is(pg_temp.make('x', '{"required_permissions": ["wiki.edit", "x", "y"]}'), 'unknown_permission: x, y', 'permissions that are not there');
select is(pg_temp.make('x', '{"required_permissions": ["Run it"]}'), 'ambiguous_permission: mail.admin, wiki.admin', 'a name of two');
select is(pg_temp.make('x', '{"allowed_groups": ["staff", "x", "y"]}'), 'unknown_group: x, y', 'groups that are not there');
select is(pg_temp.make('x', '{"type": "public"}', sha256('s')), 'no_secret', 'a public client has no secret');
select is(pg_temp.make('x', '{"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}', sha256('s')), 'no_secret', 'nor one that signs');
select throws_ok($$ select pg_temp.make('x', '{"colour": "red"}') $$, 'P0001', 'a client has no setting colour', 'a setting that there is not');
select throws_ok($$ select pg_temp.make('x', '{"client_id": "y"}') $$, 'P0001', 'a client has no setting client_id', 'the client_id is none');
select throws_ok($$ select pg_temp.make('x', '{"id": 7}') $$, 'P0001', 'a client has no setting id', 'nor is the id');
select throws_ok($$ select pg_temp.make('x', '{"domain_id": 7}') $$, 'P0001', 'a client has no setting domain_id', 'nor the domain''s');
select throws_ok(format($$ select pg_temp.make(%L, '{"name": "x"}') $$, n), '23514', null, 'client_id ' || n)
  from unnest(array['', 'a b', E'a\nb', 'é', repeat('c', 256)]) n;
select throws_ok(format($$ select pg_temp.make('x', jsonb_build_object('name', %L::text)) $$, n), '23514', null, 'name ' || n)
  from unnest(array['', ' x', 'x ', E'x\ny', U&'e\0301', repeat('x', 256)]) n;
select throws_ok($$ select pg_temp.make('x', '{"name": null}') $$, '23502', null, 'no name');
select throws_ok(format($$ select pg_temp.make('x', %L) $$, n), '23514', null, 'refused: ' || n)
  from unnest(array[
    '{"type": "secret"}', '{"token_endpoint_auth_method": "magic"}', '{"type": "public", "token_endpoint_auth_method": "client_secret_basic"}',
    '{"type": "confidential", "token_endpoint_auth_method": "none"}',
    '{"grant_types": []}', '{"grant_types": ["implicit"]}', '{"grant_types": [null]}', '{"type": "public", "grant_types": ["client_credentials"]}',
    '{"type": "public", "require_pkce": false}', '{"jwks": {"keys": []}}', '{"jwks_uri": "https://x.test"}', '{"token_endpoint_auth_method": "private_key_jwt"}',
    '{"token_endpoint_auth_method": "private_key_jwt", "jwks": {}, "jwks_uri": "https://x.test"}',
    '{"redirect_uris": [null]}', '{"scope": [null]}', '{"allowed_states": [null]}',
    '{"subject": "name"}', '{"id_token_claims": "many"}', '{"access_token_claims": "many"}', '{"id_token_alg": "none"}', '{"access_token_alg": "HS256"}', '{"access_token_typ": "jwt"}',
    '{"code_lifetime": 9}', '{"code_lifetime": 601}', '{"access_token_lifetime": 9}', '{"access_token_lifetime": 86401}', '{"id_token_lifetime": 86401}',
    '{"refresh_token_lifetime": 59}', '{"grant_lifetime": 315360001}']) n;
select throws_ok($$ select pg_temp.make('x', '{}', '\x00') $$, '23514', null, 'a hash that is none');
select throws_ok($$ select pg_temp.make('x', '{}', null, '') $$, '23514', null, 'an empty hash');
select throws_ok($$ select pg_temp.make('x', '{}', sha256('x'), 'x') $$, '23514', null, 'two hashes of one secret');
select is(pg_temp.id('x'), null, 'none of them is there');

-- Finding.
do $$ begin perform pg_temp.edit('C1', '{"name": "c1"}'); end $$;
select results_eq(
  $$ select f.selector, f.client_id, jsonb_array_length(f.secrets) from api.find_oauth2_clients(array['c1', 'Wiki', 'WIKI', '', null]) f order by f.selector collate "C" $$,
  $$ values ('', null, null::int), ('WIKI', null, null), ('Wiki', 'c1', 1), ('c1', 'c1', 1), (null, null, null) $$,
  'by client_id before name; what means none has nulls');
select results_eq($$ select f.client_id from api.find_oauth2_clients(null) f $$, $$ values ('c1'), ('all'), ('C1') $$, 'all of them, by name');
select is((select array(select jsonb_object_keys(f.secrets -> 0) order by 1) from api.find_oauth2_clients(array['c1']) f), array['created_at', 'expires_at', 'id', 'imported'],
  'nothing of a secret is shown');

-- Editing.
select is(pg_temp.edit('nothing', '{"debug": true}'), 'gone', 'nothing is edited');
select is(pg_temp.edit('c1', '{}'), 'ok', 'nothing at all');
select is(pg_temp.edit('c1', '{"debug": false, "name": "Wiki", "required_permissions": []}'), 'ok', 'what it is');
select is(pg_temp.recorded('oauth2_client.edit'), array['C1'], 'is no change');
select is(pg_temp.edit('c1', '{"name": "all"}'), 'name_exists', 'the name of another');
select is(pg_temp.edit('c1', '{"domain": "nowhere.test"}'), 'no_domain', 'a domain that is not ours');
select is(pg_temp.edit('c1', '{"debug": true, "domain": "example.org"}'), 'no_key: RS256', 'a domain without such a key');
select is(pg_temp.setting('c1', 'debug'), 'false', '(nothing of it is done)');
select is(pg_temp.edit('c1', '{"domain": "example.org", "id_token_alg": "ES256"}'), 'ok: domain, id_token_alg', 'one with a key of the other kind');
select is(pg_temp.edit('c1', '{"id_token_alg": "RS256"}'), 'no_key: RS256', 'the key counts when the algorithm changes');
do $$ begin perform api.retire_key('domain', 'example.org', 'k2'); end $$;
select is(pg_temp.edit('c1', '{"debug": true}'), 'ok: debug', 'and not when neither does');
select is(pg_temp.edit('c1', '{"domain": null, "id_token_alg": "RS256"}'), 'ok: domain, id_token_alg', 'the domain of the issuer');
select is(pg_temp.edit('c1', '{"scope": ["openid"], "access_token_lifetime": 60, "redirect_uris": ["https://a.test/"]}'), 'ok: access_token_lifetime, redirect_uris, scope', 'several at once');
select is(pg_temp.edit('c1', '{"scope": null}'), 'ok: scope', 'null where that is something');
select throws_ok($$ select pg_temp.edit('c1', '{"debug": null}') $$, '23502', null, 'not where it is nothing');
select is(pg_temp.edit('c1', '{"required_permissions": ["wiki.edit", "wiki.admin"], "allowed_groups": ["staff", "friends"]}'), 'ok: allowed_groups, required_permissions', 'who may use it');
select is(pg_temp.edit('c1', '{"required_permissions": ["wiki.edit", "x"], "allowed_groups": []}'), 'unknown_permission: x', 'all or nothing');
select is(pg_temp.edit('c1', '{"required_permissions": ["wiki.admin"], "allowed_groups": ["friends"]}'), 'ok: allowed_groups, required_permissions', 'what is not named goes');
select is((select (f.settings -> 'required_permissions')::text || (f.settings -> 'allowed_groups')::text from api.find_oauth2_clients(array['c1']) f), '["wiki.admin"]["friends"]', '(it has)');
select is((select a.before -> 'required_permissions' from auth.audit a where a.action = 'oauth2_client.edit' order by a.id desc limit 1), '["wiki.admin", "wiki.edit"]', 'the audit row says what it was');

-- What follows from what.
select is(pg_temp.edit('c1', '{"require_pkce": false}'), 'ok: require_pkce', 'a confidential client need not use PKCE');
select is(pg_temp.edit('c1', '{"type": "public"}'), 'ok: require_pkce, token_endpoint_auth_method, type', 'a public one has to, and proves nothing');
select is(pg_temp.secrets('c1'), null, 'its secret has ended');
select is(pg_temp.recorded('oauth2_client.end_secret'), array['c1'], 'which is recorded');
select is(pg_temp.edit('c1', '{"type": "confidential"}'), 'ok: token_endpoint_auth_method, type', 'and back');
select is(pg_temp.setting('c1', 'token_endpoint_auth_method'), '"client_secret_basic"', '(by a secret)');
select is(pg_temp.edit('c1', '{"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [1]}}'), 'ok: jwks, token_endpoint_auth_method', 'it signs');
select is(pg_temp.edit('c1', '{"jwks_uri": "https://x.test"}'), 'ok: jwks, jwks_uri', 'its keys are known in one way');
select is(pg_temp.edit('c1', '{"jwks": {"keys": [2]}}'), 'ok: jwks, jwks_uri', 'or the other');
select is(pg_temp.edit('c1', '{"type": "confidential"}'), 'ok', 'a confidential client stays what it is');
select is(pg_temp.edit('c1', '{"token_endpoint_auth_method": "none"}'), 'ok: jwks, token_endpoint_auth_method, type', 'without keys it is public');
select is(pg_temp.edit('c1', '{"token_endpoint_auth_method": "client_secret_post"}'), 'ok: token_endpoint_auth_method, type', 'with a secret it is not');
select is(pg_temp.edit('c1', '{"jwks": null, "jwks_uri": null}'), 'ok', 'that it has no keys may be said');

-- Secrets.
select is(pg_temp.add('nothing', 'h'), 'gone: 0', 'nothing gets none');
select is(pg_temp.add('all', 'h'), 'no_secret: 0', 'nor does one that signs');
select is(pg_temp.add('c1', 'h1'), 'ok: 0, made', 'one');
select is(pg_temp.add('c1', 'h2'), 'ok: 1, made', 'and another');
select is(pg_temp.add('c1', 'h3'), 'too_many: 2', 'and no third');
select is(api.end_oauth2_client_secret(pg_temp.id('c1'), pg_temp.secret('h1'), '1 hour'), 'ok', 'the first ends in an hour');
select is((select c.secret_expires_at from api.oauth2_clients() c where c.client_id = 'c1'), array[now() + interval '1 hour', null], 'servers know when');
select is(api.end_oauth2_client_secret(pg_temp.id('c1'), pg_temp.secret('h1'), '2 hours'), 'ok', 'not later');
select is((select s.expires_at from auth.oauth2_client_secrets s where s.secret_hash = 'h1'), now() + interval '1 hour', '(it does not)');
select is(api.end_oauth2_client_secret(pg_temp.id('all'), pg_temp.secret('h1'), '0'), 'unknown', 'it is not another client''s');
update auth.oauth2_client_secrets s set expires_at = now() where s.secret_hash = 'h1';
select is((select c.secret_hash from api.oauth2_clients() c where c.client_id = 'c1'), array['h2'], 'what has ended is not there for servers');
select is((select jsonb_array_length(f.secrets) from api.find_oauth2_clients(array['c1']) f), 1, 'nor for operators');
select is(api.end_oauth2_client_secret(pg_temp.id('c1'), pg_temp.secret('h1'), '0'), 'unknown', 'and does not end again');
select is(pg_temp.add('c1', 'h4'), 'ok: 1, made', 'there is room again');
select is(pg_temp.secret('h1'), null, 'and it is gone');
select is(api.end_oauth2_client_secret(pg_temp.id('c1'), pg_temp.secret('h2'), '0'), 'ok', 'one ends at once');
select is(pg_temp.secrets('c1'), 'h4', '(it has)');
do $$ begin perform api.rehash_oauth2_client_secret(pg_temp.secret('h4'), 'other', sha256('s'), null); end $$;
select is(pg_temp.secrets('c1'), 'h4', 'a hash that is no longer there is not replaced');
do $$ begin perform api.rehash_oauth2_client_secret(pg_temp.secret('h4'), 'h4', null, 'h5'); perform api.rehash_oauth2_client_secret(pg_temp.secret('h5'), 'h5', sha256('s'), null); end $$;
select is((select c.secret_sha256 from api.oauth2_clients() c where c.client_id = 'c1'), array[sha256('s')], 'another is put in its place');
select is(pg_temp.recorded('oauth2_client.rehash_secret'), array['c1', 'c1'], 'which is recorded');

-- Applying.
select is(pg_temp.apply('a1', '{"name": "App", "type": "confidential", "grant_types": ["authorization_code"]}', sha256('t')), 'created: a1', 'a new one');
select is(pg_temp.apply('a1', '{"name": "App", "type": "confidential"}', sha256('t')), 'unchanged: a1', 'again');
select is(pg_temp.apply(null, '{"name": "App", "debug": true}'), 'changed: debug: a1', 'by its name');
select is(pg_temp.apply(null, '{"name": "Other", "type": "public", "grant_types": ["password"]}'), 'created: fresh', 'a new one by its name');
select is(pg_temp.apply('a1', '{"name": "Renamed"}', sha256('u')), 'changed: name, secret: a1', 'by its client_id, with another secret');
select is((select c.secret_sha256 from api.oauth2_clients() c where c.client_id = 'a1'), array[sha256('u')], 'in the place of the other');
select is(pg_temp.apply('a1', '{"name": "Other"}'), 'name_exists: a1', 'not by the name of another');
select is(pg_temp.apply('a1', '{"name": "Renamed", "type": "public", "debug": false}', sha256('v')), 'no_secret: a1', 'nor with a secret that it cannot have');
select is(pg_temp.setting('a1', 'debug'), 'true', '(nothing of it is done)');
select is(pg_temp.apply('a2', '{"name": "App2", "type": "confidential", "grant_types": ["password"]}', null, 'h'), 'created: a2', 'with a hash');
select is(pg_temp.apply('a2', '{"name": "App2"}', null, 'h'), 'unchanged: a2', 'again');
select is(pg_temp.apply('a2', '{"name": "Gone", "domain": "nowhere.test"}'), 'no_domain: a2', 'what editing refuses');
select is((select count(*) from auth.oauth2_client_secrets s where s.client_id = pg_temp.id('a2')), 1::bigint, 'one secret is one');

-- Removing.
insert into auth.login_names (name, kind) values ('alice', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice');
insert into auth.oauth2_consents (user_id, client_id, scope) select u.id, pg_temp.id('a1'), '{openid}' from auth.users u;
insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, auth_time, amr, acr, expires_at)
  select pg_temp.id('a1'), u.id, 'password', '{openid}', now(), '{pwd}', '1', now() + interval '1 hour' from auth.users u;
select results_eq($$ select r.client_id, r.name, r.secrets, r.consents, r.grants from api.remove_oauth2_clients(array[pg_temp.id('a1'), pg_temp.id('c1'), -1], true) r $$,
  $$ values ('a1', 'Renamed', 1::bigint, 1::bigint, 1::bigint), ('c1', 'Wiki', 1, 0, 0) $$, 'what would go');
select is((select count(*) from api.remove_oauth2_clients(array[pg_temp.id('a1')], null)), 1::bigint, 'null is not yes');
select isnt(pg_temp.id('a1'), null, 'nothing went');
select is((select count(*) from api.remove_oauth2_clients(array[pg_temp.id('a1'), pg_temp.id('c1')], false)), 2::bigint, 'what went');
select is((select count(*) from api.remove_oauth2_clients(array[-1], false)), 0::bigint, 'what was gone has no row');
select is((select concat(pg_temp.id('a1'), (select count(*) from auth.oauth2_consents), (select count(*) from auth.oauth2_grants))), '00', 'with everything of it');
select is((select (a.before -> 'name')::text || (a.before -> 'grants')::text from auth.audit a where a.action = 'oauth2_client.remove' and a.object = 'a1'), '"Renamed"1', 'the audit row says what it was');
select is_empty($$ select a.id from auth.audit a where concat(a.before, a.after) ~ 'secret_(sha256|hash)' and a.action <> 'oauth2_client.rehash_secret' $$, 'no audit row has a hash');

-- Who may.
select is(array(
    select (p.proname || ': ' || string_agg(substr(r.rolname, 12), ' ' order by r.rolname))::text
      from pg_proc p, pg_roles r
     where p.pronamespace in ('api'::regnamespace, 'auth'::regnamespace) and p.proname ~ 'oauth2_(client|claim|policy)|client_permissions'
       and r.rolname in ('authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder', 'authserver_spapi')
       and has_function_privilege(r.oid, p.oid, 'execute')
     group by p.oid, p.proname order by p.proname),
  array['oauth2_claims: web', 'oauth2_clients: web', 'rehash_oauth2_client_secret: web'],
  'the web server reads clients and claims, and changes hashes of secrets');

select * from finish();
