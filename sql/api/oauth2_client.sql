-- Clients of OAuth 2.0: what each may do, its secrets, and who may use it.
--
-- The settings of a client travel as one object. Its names are the columns of
-- auth.oauth2_clients, with lifetimes in seconds, and three for what stands
-- elsewhere: domain (a name; null: that of the issuer), required_permissions and
-- allowed_groups. A setting that is not in it stays as it is.
--
-- Functions here lock in one order: domains, permissions and groups, clients,
-- then what a client has.

-- auth.find_oauth2_client returns the client that an operator means by its
-- client_id or name, or null. The client_id wins: a client may be named like that
-- of another.
create or replace function auth.find_oauth2_client(p_selector text)
returns bigint
language plpgsql stable
as $$
begin
  return coalesce(
    (select c.id from auth.oauth2_clients c where c.client_id = p_selector),
    (select c.id from auth.oauth2_clients c where c.name = p_selector));
end
$$;

-- auth.oauth2_client_settings returns the settings of a client.
create or replace function auth.oauth2_client_settings(p_client auth.oauth2_clients)
returns jsonb
language plpgsql stable
as $$
begin
  return to_jsonb(p_client) - array['id', 'client_id', 'domain_id', 'created_at']
    || jsonb_build_object(
      'domain', (select d.name from auth.domains d where d.id = p_client.domain_id),
      'required_permissions', auth.permission_names(array(
        select r.permission_id from auth.oauth2_client_permissions r where r.client_id = p_client.id)),
      'allowed_groups', array(
        select g.name from auth.oauth2_client_groups l join auth.groups g on g.id = l.group_id
         where l.client_id = p_client.id order by g.name),
      'code_lifetime', extract(epoch from p_client.code_lifetime)::bigint,
      'access_token_lifetime', extract(epoch from p_client.access_token_lifetime)::bigint,
      'id_token_lifetime', extract(epoch from p_client.id_token_lifetime)::bigint,
      'refresh_token_lifetime', extract(epoch from p_client.refresh_token_lifetime)::bigint,
      'grant_lifetime', extract(epoch from p_client.grant_lifetime)::bigint);
end
$$;

-- auth.recorded_oauth2_client returns what an audit row says of a client.
create or replace function auth.recorded_oauth2_client(p_client auth.oauth2_clients)
returns jsonb
language plpgsql stable
as $$
begin
  return to_jsonb(p_client) - 'domain_id' || auth.oauth2_client_settings(p_client);
end
$$;

-- auth.can_sign tells whether a domain has a key that signs by an algorithm of
-- RFC 7518 or 8037.
create or replace function auth.can_sign(p_domain_id bigint, p_alg text)
returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select from auth.keys k
     where k.domain_id = p_domain_id and k.purpose = 'jwt' and k.state = 'active'
       and k.algorithm = case p_alg when 'ES256' then 'ecdsa-p256' when 'EdDSA' then 'ed25519' else 'rsa' end);
end
$$;

-- auth.set_oauth2_client changes the settings of a client, all of them or none,
-- and with them what follows:
--
-- a public client authenticates by nothing and uses PKCE, any other is
-- confidential; keys are for private_key_jwt, and where they are is known in one
-- way; secrets end if nothing asks for them any more.
--
-- outcome: ok (detail: the names of what changed); gone; name_exists; no_domain;
-- no_key: the domain has no key that signs (detail: by which algorithm);
-- unknown_permission, ambiguous_permission, unknown_group (detail as
-- auth.hold_permissions and auth.hold_groups have it); no_secret: such a client
-- takes none.
create or replace function auth.set_oauth2_client(
  p_client_id   bigint,
  p_settings    jsonb,
  p_with_secret boolean,  -- a secret will follow
  out outcome   text,
  out detail    text[],
  out before    jsonb,    -- for the audit row
  out after     jsonb
)
language plpgsql
as $$
declare
  was auth.oauth2_clients;
  made auth.oauth2_clients;
  permissions bigint[];
  groups bigint[];
  stranger text;
begin
  perform from auth.domains d where d.name = p_settings ->> 'domain' for key share;
  if jsonb_typeof(p_settings -> 'required_permissions') = 'array' then
    select h.outcome, h.detail, h.ids into outcome, detail, permissions
      from auth.hold_permissions(array(select jsonb_array_elements_text(p_settings -> 'required_permissions'))) h;
    if outcome <> 'ok' then
      outcome := outcome || '_permission';
      return;
    end if;
  end if;
  if jsonb_typeof(p_settings -> 'allowed_groups') = 'array' then
    select h.unknown, h.ids into detail, groups
      from auth.hold_groups(array(select jsonb_array_elements_text(p_settings -> 'allowed_groups'))) h;
    if cardinality(detail) > 0 then
      outcome := 'unknown_group';
      return;
    end if;
  end if;

  select c.* into was from auth.oauth2_clients c where c.id = p_client_id for no key update;
  if was.id is null then
    outcome := 'gone';
    return;
  end if;
  select s into stranger from jsonb_object_keys(p_settings) s where not auth.oauth2_client_settings(was) ? s limit 1;
  if stranger is not null then
    raise 'a client has no setting %', stranger;
  end if;
  before := auth.recorded_oauth2_client(was);
  made := jsonb_populate_record(was, p_settings);
  if p_settings ? 'domain' then
    made.domain_id := (select d.id from auth.domains d where d.name = p_settings ->> 'domain');
  end if;
  if p_settings ? 'type' and not p_settings ? 'token_endpoint_auth_method' then
    made.token_endpoint_auth_method := case
      when made.type = 'public'                     then 'none'
      when was.token_endpoint_auth_method <> 'none' then was.token_endpoint_auth_method
      else 'client_secret_basic'
    end;
  end if;
  if p_settings ? 'token_endpoint_auth_method' and not p_settings ? 'type' then
    made.type := case made.token_endpoint_auth_method when 'none' then 'public' else 'confidential' end;
  end if;
  if made.type = 'public' and not p_settings ? 'require_pkce' then
    made.require_pkce := true;
  end if;
  if made.token_endpoint_auth_method <> 'private_key_jwt' or p_settings ? 'jwks_uri' and not p_settings ? 'jwks' then
    made.jwks := nullif(p_settings -> 'jwks', 'null');
  end if;
  if made.token_endpoint_auth_method <> 'private_key_jwt' or p_settings ? 'jwks' and not p_settings ? 'jwks_uri' then
    made.jwks_uri := p_settings ->> 'jwks_uri';
  end if;
  if p_settings ? 'domain' and p_settings ->> 'domain' is not null and made.domain_id is null then
    outcome := 'no_domain';
    return;
  end if;
  if (made.domain_id, made.id_token_alg, made.access_token_alg) is distinct from (was.domain_id, was.id_token_alg, was.access_token_alg)
     and made.domain_id is not null then
    detail := array(
      select distinct a from unnest(array[made.id_token_alg, made.access_token_alg]) a
       where a is not null and not auth.can_sign(made.domain_id, a)
       order by a);
    if cardinality(detail) > 0 then
      outcome := 'no_key';
      return;
    end if;
  end if;
  if p_with_secret and not auth.takes_secret(made) then
    outcome := 'no_secret';
    return;
  end if;

  begin
    update auth.oauth2_clients c
       set name = made.name, domain_id = made.domain_id, enabled = made.enabled, type = made.type,
           token_endpoint_auth_method = made.token_endpoint_auth_method, grant_types = made.grant_types,
           redirect_uris = made.redirect_uris, post_logout_redirect_uris = made.post_logout_redirect_uris,
           allowed_origins = made.allowed_origins, scope = made.scope, resources = made.resources,
           jwks = made.jwks, jwks_uri = made.jwks_uri, trusted = made.trusted, require_pkce = made.require_pkce,
           may_introspect = made.may_introspect, allowed_states = made.allowed_states, subject = made.subject,
           id_token_claims = made.id_token_claims, access_token_claims = made.access_token_claims,
           groups_in_profile = made.groups_in_profile, id_token_alg = made.id_token_alg,
           access_token_alg = made.access_token_alg, access_token_typ = made.access_token_typ,
           code_lifetime = made.code_lifetime, access_token_lifetime = made.access_token_lifetime,
           id_token_lifetime = made.id_token_lifetime, refresh_token_lifetime = made.refresh_token_lifetime,
           grant_lifetime = made.grant_lifetime, debug = made.debug
     where c.id = was.id and made is distinct from was;
  exception when unique_violation then  -- also by another just now
    outcome := 'name_exists';
    return;
  end;
  if permissions is not null then
    delete from auth.oauth2_client_permissions r where r.client_id = was.id and r.permission_id <> all (permissions);
    insert into auth.oauth2_client_permissions (client_id, permission_id) select was.id, i from unnest(permissions) i on conflict do nothing;
  end if;
  if groups is not null then
    delete from auth.oauth2_client_groups l where l.client_id = was.id and l.group_id <> all (groups);
    insert into auth.oauth2_client_groups (client_id, group_id) select was.id, i from unnest(groups) i on conflict do nothing;
  end if;
  after := auth.recorded_oauth2_client(made);
  detail := array(select s from jsonb_object_keys(auth.oauth2_client_settings(made)) s where before -> s is distinct from after -> s order by s);
  if not auth.takes_secret(made) then
    perform auth.end_oauth2_client_secrets(made, null, now());
  end if;
  outcome := 'ok';
end
$$;

-- auth.takes_secret tells whether a client proves itself by a secret.
create or replace function auth.takes_secret(p_client auth.oauth2_clients)
returns boolean
language plpgsql immutable
as $$
begin
  return p_client.token_endpoint_auth_method in ('client_secret_basic', 'client_secret_post');
end
$$;

-- auth.live_oauth2_client_secrets returns the secrets of a client that are good.
create or replace function auth.live_oauth2_client_secrets(p_client_id bigint)
returns setof auth.oauth2_client_secrets
language plpgsql stable
as $$
begin
  return query
    select s.* from auth.oauth2_client_secrets s
     where s.client_id = p_client_id and (s.expires_at is null or s.expires_at > now())
     order by s.id;
end
$$;

-- auth.recorded_oauth2_client_secret returns what an audit row says of a secret.
create or replace function auth.recorded_oauth2_client_secret(p_secret auth.oauth2_client_secrets)
returns jsonb
language plpgsql immutable
as $$
begin
  return to_jsonb(p_secret) - array['client_id', 'secret_sha256', 'secret_hash'];
end
$$;

-- auth.end_oauth2_client_secrets lets secrets of a locked client end at a time, if
-- not sooner.
create or replace function auth.end_oauth2_client_secrets(
  p_client auth.oauth2_clients,
  p_ids    bigint[],  -- null: all
  p_at     timestamptz
)
returns void
language plpgsql
as $$
declare
  was auth.oauth2_client_secrets;
  made auth.oauth2_client_secrets;
begin
  for was in
    select s.* from auth.live_oauth2_client_secrets(p_client.id) s
     where (p_ids is null or s.id = any (p_ids)) and (s.expires_at is null or s.expires_at > p_at)
  loop
    if p_at > now() then
      update auth.oauth2_client_secrets s set expires_at = p_at where s.id = was.id returning s.* into made;
    else
      delete from auth.oauth2_client_secrets s where s.id = was.id;
      made := null;
    end if;
    perform auth.record('oauth2_client.end_secret', p_client.client_id,
      auth.recorded_oauth2_client_secret(was), case when made.id is not null then auth.recorded_oauth2_client_secret(made) end);
  end loop;
end
$$;

-- auth.insert_oauth2_client_secret gives a locked client a secret, which has one
-- of the two hashes, and returns its id.
create or replace function auth.insert_oauth2_client_secret(p_client auth.oauth2_clients, p_sha256 bytea, p_hash text)
returns bigint
language plpgsql
as $$
declare
  made auth.oauth2_client_secrets;
begin
  delete from auth.oauth2_client_secrets s where s.client_id = p_client.id and s.expires_at <= now();
  insert into auth.oauth2_client_secrets (client_id, secret_sha256, secret_hash) values (p_client.id, p_sha256, p_hash)
  returning * into made;
  perform auth.record('oauth2_client.add_secret', p_client.client_id, null, auth.recorded_oauth2_client_secret(made));
  return made.id;
end
$$;

-- api.create_oauth2_client makes a client. name, type and grant_types have to be
-- among the settings.
--
-- outcome: ok; exists (another has the client_id); or as auth.set_oauth2_client
-- has it.
create or replace function api.create_oauth2_client(
  p_client_id     text,
  p_settings      jsonb,
  p_secret_sha256 bytea,  -- of a generated secret
  p_secret_hash   text,   -- of an imported one; both null: none
  out outcome     text,
  out detail      text[],
  out id          bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  made auth.oauth2_clients;
  recorded jsonb;
begin
  -- It begins with the defaults of the table, as one that may do little.
  insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types)
  values (p_client_id, p_settings ->> 'name', 'public', 'none', '{authorization_code}')
  on conflict do nothing
  returning * into made;
  if made.id is null then
    outcome := case when exists (select from auth.oauth2_clients c where c.client_id = p_client_id) then 'exists' else 'name_exists' end;
    return;
  end if;

  select s.outcome, s.detail, s.after into outcome, detail, recorded
    from auth.set_oauth2_client(made.id, p_settings, num_nonnulls(p_secret_sha256, p_secret_hash) > 0) s;
  if outcome <> 'ok' then
    delete from auth.oauth2_clients c where c.id = made.id;
    return;
  end if;
  perform auth.record('oauth2_client.create', made.client_id, null, recorded);
  detail := '{}';
  if num_nonnulls(p_secret_sha256, p_secret_hash) > 0 then
    perform auth.insert_oauth2_client_secret(made, p_secret_sha256, p_secret_hash);
  end if;
  id := made.id;
end
$$;

-- api.find_oauth2_clients returns clients by name: those that any of p_selectors
-- means (null: all), one row for each selector, with nulls if it means none.
create or replace function api.find_oauth2_clients(p_selectors text[])
returns table (
  selector   text,
  id         bigint,
  client_id  text,
  settings   jsonb,
  secrets    jsonb,       -- id, created_at, expires_at and imported of each that is good
  created_at timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select w.selector, c.id, c.client_id,
           case when c.id is not null then auth.oauth2_client_settings(c) end,
           case when c.id is not null then
             coalesce((select jsonb_agg(auth.recorded_oauth2_client_secret(s) || jsonb_build_object('imported', s.secret_hash is not null) order by s.id)
                         from auth.live_oauth2_client_secrets(c.id) s), '[]') end,
           c.created_at
      from (select s as selector, auth.find_oauth2_client(s) as wanted from unnest(p_selectors) s
            union all
            select null, every.id from auth.oauth2_clients every where p_selectors is null) w
      left join auth.oauth2_clients c on c.id = w.wanted
     order by c.name, w.selector;
end
$$;

-- api.edit_oauth2_client changes settings.
--
-- outcome as auth.set_oauth2_client has it.
create or replace function api.edit_oauth2_client(
  p_client_id bigint,
  p_settings  jsonb,
  out outcome text,
  out detail  text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was jsonb;
  made jsonb;
begin
  select s.outcome, s.detail, s.before, s.after into outcome, detail, was, made from auth.set_oauth2_client(p_client_id, p_settings, false) s;
  if outcome = 'ok' and cardinality(detail) > 0 then
    perform auth.record('oauth2_client.edit', was ->> 'client_id', was, made);
  end if;
end
$$;

-- api.apply_oauth2_client makes a client what somebody has written down: a new
-- one, or that with the client_id or, if p_client_id is null, the name. A secret
-- takes the place of all that the client has, unless it is one of them.
--
-- outcome: created; changed (detail: the names of what changed, secret among
-- them); unchanged; or as auth.set_oauth2_client has it.
create or replace function api.apply_oauth2_client(
  p_client_id     text,
  p_new_client_id text,   -- of a new client, if p_client_id is null
  p_settings      jsonb,  -- name among them
  p_secret_sha256 bytea,
  p_secret_hash   text,   -- both null: whatever secrets it has
  out outcome     text,
  out detail      text[],
  out client_id   text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  secret constant boolean := num_nonnulls(p_secret_sha256, p_secret_hash) > 0;
  was auth.oauth2_clients;
  before jsonb;
  after jsonb;
begin
  select c.* into was from auth.oauth2_clients c
   where case when p_client_id is null then c.name = p_settings ->> 'name' else c.client_id = p_client_id end;
  if was.id is null then
    client_id := coalesce(p_client_id, p_new_client_id);
    select m.outcome, m.detail into outcome, detail from api.create_oauth2_client(client_id, p_settings, p_secret_sha256, p_secret_hash) m;
    if outcome = 'ok' then
      outcome := 'created';
    end if;
    return;
  end if;

  client_id := was.client_id;
  select s.outcome, s.detail, s.before, s.after into outcome, detail, before, after from auth.set_oauth2_client(was.id, p_settings, secret) s;
  if outcome <> 'ok' then
    return;
  end if;
  if cardinality(detail) > 0 then
    perform auth.record('oauth2_client.edit', client_id, before, after);
  end if;
  if secret and not exists (
    select from auth.live_oauth2_client_secrets(was.id) s where s.secret_sha256 = p_secret_sha256 or s.secret_hash = p_secret_hash) then
    perform auth.end_oauth2_client_secrets(was, null, now());
    perform auth.insert_oauth2_client_secret(was, p_secret_sha256, p_secret_hash);
    detail := array_append(detail, 'secret');
  end if;
  outcome := case when cardinality(detail) > 0 then 'changed' else 'unchanged' end;
end
$$;

-- api.remove_oauth2_clients removes clients with their secrets, consents and
-- grants, and returns how many of each that were; one that was gone already has
-- no row. With p_dry_run it only says.
create or replace function api.remove_oauth2_clients(p_client_ids bigint[], p_dry_run boolean)
returns table (id bigint, client_id text, name text, secrets bigint, consents bigint, grants bigint)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.oauth2_clients;
  recorded jsonb;
begin
  perform from auth.oauth2_clients c where c.id = any (p_client_ids) order by c.id for update;
  for was in select c.* from auth.oauth2_clients c where c.id = any (p_client_ids) order by c.name loop
    id := was.id;
    client_id := was.client_id;
    name := was.name;
    secrets := (select count(*) from auth.live_oauth2_client_secrets(was.id));
    consents := (select count(*) from auth.oauth2_consents s where s.client_id = was.id);
    grants := (select count(*) from auth.oauth2_grants g where g.client_id = was.id and g.revoked_at is null and g.expires_at > now());
    if p_dry_run is false then
      recorded := auth.recorded_oauth2_client(was) || jsonb_build_object('secrets', secrets, 'consents', consents, 'grants', grants);
      delete from auth.oauth2_clients c where c.id = was.id;
      perform auth.record('oauth2_client.remove', was.client_id, recorded, null);
    end if;
    return next;
  end loop;
end
$$;

-- api.add_oauth2_client_secret gives a client another secret; it has at most two.
--
-- outcome: ok; gone; no_secret (such a client takes none); too_many (detail: the
-- ids of the two that it has).
create or replace function api.add_oauth2_client_secret(
  p_client_id     bigint,
  p_secret_sha256 bytea,
  p_secret_hash   text,
  out outcome     text,
  out detail      text[],
  out secret_id   bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client auth.oauth2_clients;
begin
  select c.* into client from auth.oauth2_clients c where c.id = p_client_id for no key update;
  detail := array(select s.id from auth.live_oauth2_client_secrets(client.id) s);
  outcome := case
    when client.id is null             then 'gone'
    when not auth.takes_secret(client) then 'no_secret'
    when cardinality(detail) > 1       then 'too_many'
    else 'ok'
  end;
  if outcome = 'ok' then
    secret_id := auth.insert_oauth2_client_secret(client, p_secret_sha256, p_secret_hash);
  end if;
end
$$;

-- api.end_oauth2_client_secret lets a secret end after some time, if not sooner.
--
-- outcome: ok; unknown: the client has no such secret.
create or replace function api.end_oauth2_client_secret(
  p_client_id bigint,
  p_secret_id bigint,
  p_after     interval,
  out outcome text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client auth.oauth2_clients;
begin
  select c.* into client from auth.oauth2_clients c where c.id = p_client_id for no key update;
  outcome := case
    when exists (select from auth.live_oauth2_client_secrets(client.id) s where s.id = p_secret_id) then 'ok'
    else 'unknown'
  end;
  if outcome = 'ok' then
    perform auth.end_oauth2_client_secrets(client, array[p_secret_id], now() + p_after);
  end if;
end
$$;

-- api.oauth2_clients returns what the web server knows about clients, by
-- client_id.
-- What changes in here notifies the channel authserver_oauth2_client: see
-- auth.record.
create or replace function api.oauth2_clients()
returns table (
  client_id                  text,
  name                       text,
  domain                     text,      -- whose keys sign; null: that of the issuer
  enabled                    boolean,
  type                       text,
  token_endpoint_auth_method text,
  grant_types                text[],
  redirect_uris              text[],
  post_logout_redirect_uris  text[],
  allowed_origins            text[],
  scope                      text[],    -- null: the scopes of OpenID Connect
  resources                  text[],
  jwks                       jsonb,
  jwks_uri                   text,
  trusted                    boolean,
  require_pkce               boolean,
  may_introspect             boolean,
  subject                    text,
  id_token_claims            text,
  access_token_claims        text,
  groups_in_profile          boolean,
  id_token_alg               text,
  access_token_alg           text,      -- null: ES256 if there is such a key, else as the ID token
  access_token_typ           text,
  code_lifetime              interval,
  access_token_lifetime      interval,
  id_token_lifetime          interval,
  refresh_token_lifetime     interval,
  grant_lifetime             interval,
  debug                      boolean,
  -- Its secrets that are good, each with one of the two hashes. Four arrays
  -- that belong together.
  secret_ids                 bigint[],
  secret_sha256              bytea[],       -- null: it has the other hash
  secret_hash                text[],        -- '': it has the other hash
  secret_expires_at          timestamptz[]  -- null: never
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select c.client_id, c.name, d.name, c.enabled, c.type, c.token_endpoint_auth_method, c.grant_types,
           c.redirect_uris, c.post_logout_redirect_uris, c.allowed_origins, c.scope, c.resources, c.jwks, c.jwks_uri,
           c.trusted, c.require_pkce, c.may_introspect, c.subject, c.id_token_claims, c.access_token_claims,
           c.groups_in_profile, c.id_token_alg, c.access_token_alg, c.access_token_typ,
           c.code_lifetime, c.access_token_lifetime, c.id_token_lifetime, c.refresh_token_lifetime, c.grant_lifetime, c.debug,
           coalesce(s.ids, '{}'), coalesce(s.sha256, '{}'), coalesce(s.hashes, '{}'), coalesce(s.ends, '{}')
      from auth.oauth2_clients c
      left join auth.domains d on d.id = c.domain_id
      left join (
        select t.client_id,
               array_agg(t.id order by t.id) as ids,
               array_agg(t.secret_sha256 order by t.id) as sha256,
               array_agg(coalesce(t.secret_hash, '') order by t.id) as hashes,
               array_agg(t.expires_at order by t.id) as ends
          from auth.oauth2_client_secrets t
         where t.expires_at is null or t.expires_at > now()
         group by t.client_id) s on s.client_id = c.id
     order by c.client_id;
end
$$;

-- api.rehash_oauth2_client_secret puts another hash of the same secret in the
-- place of an imported one that was slow: SHA-256 for one that nobody can
-- guess, or else another text. Nothing happens if the secret was changed
-- meanwhile.
create or replace function api.rehash_oauth2_client_secret(
  p_secret_id bigint,
  p_was       text,
  p_sha256    bytea,  -- either this
  p_hash      text    -- or this
)
returns void
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client text;
begin
  update auth.oauth2_client_secrets s set secret_sha256 = p_sha256, secret_hash = p_hash
    from auth.oauth2_clients c
   where s.id = p_secret_id and s.secret_hash = p_was and c.id = s.client_id
  returning c.client_id into client;
  if client is not null then
    perform auth.record('oauth2_client.rehash_secret', client, '{"secret_hash": "old"}', '{"secret_hash": "new"}');
  end if;
end
$$;
