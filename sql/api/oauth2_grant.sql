-- Grants: what a user has let a client do, by which tokens, and how that ends.
--
-- A grant is made with its authorization code (api.authorize), which is
-- exchanged once (api.redeem_code) for tokens. One of them is a refresh token,
-- whose row is the whole family: the generation that is good now, and what the
-- one before was (api.rotate_refresh_token). An access token is signed and not
-- stored, but it names its grant, so that it can be asked for
-- (api.check_access_token).
--
-- Everything that is refused is a row of a table that begins with outcome. A
-- code or refresh token that is seen twice has leaked, and its grant is revoked
-- in the same transaction; that is why outcomes are returned and not raised.
--
-- Of many who come with one code or refresh token at once, the one whose update
-- finds the row as it was read wins; the others read anew. Nothing is locked
-- beforehand, which would be written, too.

-- auth.oauth2_identity says of a user what a client may know: by the scope and
-- the claims parameter of its request, and no more than these take. It says
-- nothing of who may use the client.
create or replace function auth.oauth2_identity(
  p_user_id           uuid,
  p_client            auth.oauth2_clients,
  p_scope             text[],
  p_claims            jsonb,   -- the claims parameter; null: there was none
  out subject         text,
  out identifier      text,
  out full_name       text,
  out primary_address text,
  out groups          text[],  -- null: not asked for
  out permissions     text[],  -- null: not asked for
  out attributes      jsonb    -- those that are asked for and there; null: none
)
language plpgsql stable
as $$
declare
  claims text[] := array[]::text[];  -- that are asked for by name
  wanted text[] := array[]::text[];  -- attributes
begin
  if p_claims is not null then
    -- What is no object asks for nothing.
    claims := array(
      select k from unnest(array[p_claims -> 'userinfo', p_claims -> 'id_token']) c
       cross join lateral jsonb_object_keys(case jsonb_typeof(c) when 'object' then c else '{}' end) k);
  end if;

  subject := auth.oauth2_subject(p_user_id, p_client.subject);
  select a.identifier, a.full_name, a.primary_address into identifier, full_name, primary_address from auth.account(p_user_id) a;
  if 'profile' = any (p_scope) then
    wanted := array['locale', 'picture'];
  elsif cardinality(claims) > 0 then
    wanted := array(select n from unnest(array['locale', 'picture']) n where n = any (claims));
  end if;
  if 'groups' = any (p_scope) or ('profile' = any (p_scope) and p_client.groups_in_profile) or 'groups' = any (claims) then
    groups := (select a.groups from auth.account(p_user_id) a);
    wanted := wanted || array['state'];
  end if;
  if p_scope && array['permissions', 'scopes'] or claims && array['permissions', 'scopes'] then
    permissions := (select a.permissions from auth.account(p_user_id) a);
  end if;
  wanted := wanted || array(select c.attribute from auth.oauth2_claims c where c.scope = any (p_scope) or c.name = any (claims));
  if cardinality(wanted) > 0 then
    attributes := (
      select jsonb_object_agg(a.name, a.value)
        from auth.user_attributes a
       where a.user_id = p_user_id and a.name = any (wanted));
  end if;
end
$$;

-- auth.oauth2_grant_end is when the last token of a grant will have ended. One
-- without a refresh token needs no longer than its code and access token.
create or replace function auth.oauth2_grant_end(p_client auth.oauth2_clients, p_auth_time timestamptz)
returns timestamptz
language sql stable parallel safe
return least(
  p_auth_time + p_client.grant_lifetime,
  case when 'refresh_token' <> all (p_client.grant_types) then now() + p_client.code_lifetime + p_client.access_token_lifetime end);

-- auth.credential_end is when the app password expires by which somebody signed
-- in, and with it what came of it, unless the user has allowed that to go on
-- without them; null: never.
create or replace function auth.credential_end(p_session auth.sessions, p_scope text[])
returns timestamptz
language plpgsql stable
as $$
begin
  if p_session.app_password_id is null or 'offline_access' = any (p_scope) then
    return null;
  end if;
  return (select ap.expires_at from auth.app_passwords ap where ap.id = p_session.app_password_id);
end
$$;

-- auth.describe_oauth2_grant returns a grant as the audit trail has it: whose it
-- is by name, too.
create or replace function auth.describe_oauth2_grant(p_grant auth.oauth2_grants)
returns jsonb
language plpgsql stable
as $$
begin
  return to_jsonb(p_grant) || jsonb_build_object(
    'client', (select c.client_id from auth.oauth2_clients c where c.id = p_grant.client_id));
end
$$;

-- auth.revoke_oauth2_grants ends grants with all their tokens, and returns how
-- many had not been revoked before. p_reason is for whoever asks why.
create or replace function auth.revoke_oauth2_grants(p_ids uuid[], p_reason text)
returns bigint
language plpgsql
as $$
declare
  was auth.oauth2_grants;
  made auth.oauth2_grants;
  revoked bigint := 0;
begin
  for was in
    select g.* from auth.oauth2_grants g
     where g.id = any (p_ids) and g.revoked_at is null
     order by g.id for no key update
  loop
    update auth.oauth2_grants g set revoked_at = now(), revoked_reason = p_reason where g.id = was.id returning g.* into made;
    perform auth.record('oauth2_grant.revoke', u.identifier, auth.describe_oauth2_grant(was), auth.describe_oauth2_grant(made))
       from auth.users u where u.id = was.user_id;
    revoked := revoked + 1;
  end loop;
  return revoked;
end
$$;

-- auth.spend_assertion notes that a client has proved itself by an assertion;
-- false: it did so by the same one before, or there is no such client.
create or replace function auth.spend_assertion(p_client_id text, p_jti_hash bytea, p_expires_at timestamptz)
returns boolean
language plpgsql
as $$
begin
  insert into auth.oauth2_assertions (client_id, jti_hash, expires_at)
  select c.id, p_jti_hash, p_expires_at
    from auth.oauth2_clients c
   where c.client_id = p_client_id and p_jti_hash is not null
  on conflict do nothing;
  return found;
end
$$;

-- api.spend_client_assertion is that, for a request that asks for nothing else.
create or replace function api.spend_client_assertion(p_client_id text, p_jti_hash bytea, p_jti_expires_at timestamptz)
returns boolean
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  return auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at);
end
$$;

-- api.authorize makes a grant and its code for the user who has signed in with
-- this browser.
--
-- outcome:
--   ok                the grant is there
--   login_required    nobody has, or it is too long ago, or not as p_subject
--   denied            the user may not use the client; reason as
--                     auth.oauth2_denial has it
--   unmet_acr         they have signed in, but not in one of these ways
--   consent_required  consented: the scopes that they have allowed before
create or replace function api.authorize(
  p_session_hash        bytea,
  p_client_id           text,
  p_scope               text[],
  p_resources           text[],
  p_redirect_uri        text,         -- null: it was not sent
  p_code_challenge      text,         -- S256; null: none was sent
  p_nonce               text,
  p_claims              jsonb,        -- the claims parameter; null: none was sent
  p_authenticated_since timestamptz,  -- null: whenever it was
  p_subject             text,         -- of the id_token_hint; null: whoever it is
  p_acr_values          text[],       -- null: any
  p_consent             text,         -- remembered, ask, given (just now)
  p_code_hash           bytea,
  p_client              inet,         -- from where; null: unknown
  out outcome           text,
  out reason            text,
  out session_id        uuid,
  out user_id           uuid,
  out identifier        text,
  out full_name         text,
  out consented         text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  session auth.sessions;
  client auth.oauth2_clients;
  consent auth.oauth2_consents;
  made auth.oauth2_grants;
begin
  -- In the order of session.sql. Who ends the session, removes one of them or
  -- takes back consent comes before this, or after and finds the grant.
  select s.* into session from auth.sessions s where s.secret_hash = p_session_hash;
  select u.identifier, u.full_name into identifier, full_name from auth.users u where u.id = session.user_id for key share;
  select c.* into client from auth.oauth2_clients c where c.client_id = p_client_id for key share;
  select s.* into session from auth.sessions s
   where s.secret_hash = p_session_hash and s.user_id = session.user_id and auth.session_is_live(s)
     for key share;
  select o.* into consent from auth.oauth2_consents o where o.user_id = session.user_id and o.client_id = client.id for no key update;

  reason := case when session.id is not null then auth.oauth2_denial(session.user_id, client) end;
  outcome := case
    when session.id is null                                               then 'login_required'
    when reason is not null                                               then 'denied'
    when session.auth_time < p_authenticated_since                        then 'login_required'
    when session.auth_time + client.grant_lifetime <= now()               then 'login_required'
    when p_subject <> auth.oauth2_subject(session.user_id, client.subject) then 'login_required'
    when p_acr_values is not null
         and (session.acr = any (p_acr_values)) is not true               then 'unmet_acr'
    when p_consent = 'given'                                              then 'ok'
    when p_consent = 'remembered'
         and (client.trusted or p_scope <@ consent.scope)                 then 'ok'
    else 'consent_required'
  end;

  if session.id is null then
    identifier := null;
    full_name := null;
    return;
  end if;
  session_id := session.id;
  user_id := session.user_id;
  consented := coalesce(consent.scope, '{}');
  perform auth.touch_session(session);
  if outcome <> 'ok' then
    return;
  end if;

  if p_consent = 'given' then
    perform auth.give_oauth2_consent(session.user_id, client.id, p_scope);
  elsif consent.last_used_at <= now() - interval '1 hour' then
    update auth.oauth2_consents o set last_used_at = now() where o.user_id = consent.user_id and o.client_id = consent.client_id;
  end if;
  insert into auth.oauth2_grants
    (client_id, user_id, session_id, grant_type, scope, resources, claims, nonce, auth_time, amr, acr,
     code_hash, redirect_uri, code_challenge, code_expires_at, expires_at)
  values
    (client.id, session.user_id, session.id, 'authorization_code', p_scope, p_resources, p_claims, p_nonce, session.auth_time, session.amr, session.acr,
     p_code_hash, p_redirect_uri, p_code_challenge, now() + client.code_lifetime,
     least(auth.oauth2_grant_end(client, session.auth_time), auth.credential_end(session, p_scope)))
  returning * into made;
  perform auth.record('oauth2_grant.create', identifier, null, auth.describe_oauth2_grant(made) || jsonb_build_object('from', host(p_client)));
end
$$;

-- api.redeem_code exchanges an authorization code for what the grant allows,
-- exactly once (RFC 6749 section 4.1.2), and begins a family of refresh tokens if
-- the client uses them.
--
-- outcome is ok or the reason it is not. A second use revokes the grant (section
-- 10.5), whoever it is. A code that is not used up by its own client, in the same
-- words as it was asked for, is still good.
create or replace function api.redeem_code(
  p_code_hash         bytea,
  p_client_id         text,         -- who has proved to be it
  p_redirect_uri      text,
  p_code_challenge    text,         -- S256 of the code_verifier; null: none was sent
  p_family            uuid,         -- of the refresh token; null: no refresh token
  p_secret_hash       bytea,        -- of its first generation
  p_jti_hash          bytea,        -- of the assertion by which the client has; null: by something else
  p_jti_expires_at    timestamptz,
  out outcome         text,
  out reason          text,         -- as auth.oauth2_denial has it
  out grant_id        uuid,         -- this and whose it was also with replayed and denied
  out session_id      uuid,
  out user_id         uuid,
  out scope           text[],
  out resources       text[],
  out nonce           text,
  out claims          jsonb,
  out auth_time       timestamptz,
  out amr             text[],
  out acr             text,
  out expires_at      timestamptz,  -- the end of all tokens from it
  out refreshable     boolean,      -- the refresh token is there
  out subject         text,
  out identifier      text,
  out full_name       text,
  out primary_address text,
  out groups          text[],
  out permissions     text[],
  out attributes      jsonb
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  granted auth.oauth2_grants;
  client auth.oauth2_clients;
begin
  if p_jti_hash is not null and not auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at) then
    outcome := 'assertion_replayed';
    return;
  end if;

  loop
    select g.* into granted from auth.oauth2_grants g where g.code_hash = p_code_hash;
    select c.* into client from auth.oauth2_clients c where c.id = granted.client_id;
    outcome := case
      when granted.id is null                                        then 'unknown'
      when granted.redeemed_at is not null                           then 'replayed'
      when granted.revoked_at is not null                            then 'revoked'
      when client.client_id is distinct from p_client_id             then 'wrong_client'
      when least(granted.code_expires_at, granted.expires_at) <= now() then 'expired'
      when granted.redirect_uri is distinct from p_redirect_uri      then 'wrong_redirect_uri'
      when granted.code_challenge is distinct from p_code_challenge  then 'wrong_verifier'
      when auth.oauth2_denial(granted.user_id, client) is not null   then 'denied'
      else 'ok'
    end;
    exit when outcome <> 'ok';
    update auth.oauth2_grants g set redeemed_at = now()
     where g.id = granted.id and g.redeemed_at is null and g.revoked_at is null;
    exit when found;
  end loop;

  if outcome in ('ok', 'replayed', 'denied') then
    grant_id := granted.id;
    user_id := granted.user_id;
  end if;
  if outcome = 'replayed' then
    perform auth.revoke_oauth2_grants(array[granted.id], 'code replayed');
  elsif outcome = 'denied' then
    reason := auth.oauth2_denial(granted.user_id, client);
  end if;
  if outcome <> 'ok' then
    return;
  end if;

  refreshable := p_family is not null and 'refresh_token' = any (client.grant_types);
  if refreshable then
    insert into auth.oauth2_refresh_tokens (id, grant_id, secret_hash) values (p_family, granted.id, p_secret_hash);
  end if;
  select granted.session_id, granted.scope, granted.resources, granted.nonce, granted.claims, granted.auth_time, granted.amr, granted.acr,
         granted.expires_at, i.subject, i.identifier, i.full_name, i.primary_address, i.groups, i.permissions, i.attributes
    into session_id, scope, resources, nonce, claims, auth_time, amr, acr,
         expires_at, subject, identifier, full_name, primary_address, groups, permissions, attributes
    from auth.oauth2_identity(granted.user_id, client, granted.scope, granted.claims) i;
end
$$;

-- auth.refresh_token_is tells which of its family a refresh token is:
--
--   current   the one that is good now
--   previous  the one before
--   older     one before that, of which nothing is known but that it was there
--   null      none: it was never made
create or replace function auth.refresh_token_is(p_token auth.oauth2_refresh_tokens, p_generation int, p_secret_hash bytea)
returns text
language sql immutable parallel safe
return case
  when p_generation = p_token.generation     and p_secret_hash = p_token.secret_hash   then 'current'
  when p_generation = p_token.generation - 1 and p_secret_hash = p_token.previous_hash then 'previous'
  when p_generation between 0 and p_token.generation - 2                               then 'older'
end;

-- api.rotate_refresh_token exchanges a refresh token for its successor.
--
-- outcome is ok or the reason it is not. Whoever comes again with the previous
-- one within p_grace gets the same successor, as one whose answer was lost;
-- retry: that has become another one meanwhile, by a new key. Anything older, or
-- later, is a replay and revokes the grant (RFC 9700 section 4.14.2), whoever it
-- is.
create or replace function api.rotate_refresh_token(
  p_family            uuid,
  p_generation        int,
  p_secret_hash       bytea,
  p_next_hash         bytea,        -- of the successor
  p_client_id         text,         -- who has proved to be it
  p_scope             text[],       -- null: as granted
  p_resources         text[],       -- null: as granted
  p_grace             interval,
  p_jti_hash          bytea,        -- of the assertion by which the client has; null: by something else
  p_jti_expires_at    timestamptz,
  out outcome         text,
  out reason          text,         -- as auth.oauth2_denial has it; with wrong_scope: scope, resources
  out grant_id        uuid,         -- this and whose it was also with replayed and denied
  out session_id      uuid,
  out user_id         uuid,
  out scope           text[],
  out resources       text[],
  out nonce           text,         -- null: it was for the first ID token
  out claims          jsonb,
  out auth_time       timestamptz,
  out amr             text[],
  out acr             text,
  out expires_at      timestamptz,  -- the end of all tokens from it
  out refreshable     boolean,      -- true
  out generation      int,          -- of the successor
  out subject         text,
  out identifier      text,
  out full_name       text,
  out primary_address text,
  out groups          text[],
  out permissions     text[],
  out attributes      jsonb
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  token auth.oauth2_refresh_tokens;
  granted auth.oauth2_grants;
  client auth.oauth2_clients;
  which text;
begin
  if p_jti_hash is not null and not auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at) then
    outcome := 'assertion_replayed';
    return;
  end if;

  loop
    select t.* into token from auth.oauth2_refresh_tokens t where t.id = p_family;
    select g.* into granted from auth.oauth2_grants g where g.id = token.grant_id;
    select c.* into client from auth.oauth2_clients c where c.id = granted.client_id;
    which := auth.refresh_token_is(token, p_generation, p_secret_hash);
    outcome := case
      when which is null                                             then 'unknown'
      when which = 'older'
        or (which = 'previous' and (token.rotated_at > now() - p_grace) is not true)
                                                                     then 'replayed'
      when granted.revoked_at is not null                            then 'revoked'
      when client.client_id is distinct from p_client_id             then 'wrong_client'
      when least(granted.expires_at, token.rotated_at + client.refresh_token_lifetime) <= now()
                                                                     then 'expired'
      when not (coalesce(p_scope, '{}') <@ granted.scope
                and coalesce(p_resources, '{}') <@ granted.resources) then 'wrong_scope'
      when which = 'previous' and token.secret_hash is distinct from p_next_hash
                                                                     then 'retry'
      when auth.oauth2_denial(granted.user_id, client) is not null   then 'denied'
      else 'ok'
    end;
    exit when outcome <> 'ok' or which = 'previous';
    update auth.oauth2_refresh_tokens t
       set generation = t.generation + 1, secret_hash = p_next_hash, previous_hash = t.secret_hash, rotated_at = now()
     where t.id = token.id and t.generation = token.generation and t.secret_hash = token.secret_hash;
    exit when found;
  end loop;

  if outcome in ('ok', 'replayed', 'denied') then
    grant_id := granted.id;
    user_id := granted.user_id;
  end if;
  if outcome = 'replayed' then
    perform auth.revoke_oauth2_grants(array[granted.id], 'refresh token replayed');
  elsif outcome = 'denied' then
    reason := auth.oauth2_denial(granted.user_id, client);
  elsif outcome = 'wrong_scope' then
    reason := case when coalesce(p_scope, '{}') <@ granted.scope then 'resources' else 'scope' end;
  end if;
  if outcome <> 'ok' then
    return;
  end if;

  select granted.session_id, coalesce(p_scope, granted.scope), coalesce(p_resources, granted.resources), granted.claims, granted.auth_time, granted.amr,
         granted.acr, granted.expires_at, true, p_generation + 1, i.subject, i.identifier, i.full_name, i.primary_address, i.groups, i.permissions, i.attributes
    into session_id, scope, resources, claims, auth_time, amr,
         acr, expires_at, refreshable, generation, subject, identifier, full_name, primary_address, groups, permissions, attributes
    from auth.oauth2_identity(granted.user_id, client, coalesce(p_scope, granted.scope), granted.claims) i;
end
$$;

-- api.create_password_grant makes a grant for a user who has given a client their
-- password (RFC 6749 section 4.3), which has been found right.
--
-- outcome: ok; gone (the credential is no longer what it was, and the assertion
-- not used up); denied (reason as auth.oauth2_denial has it; grant_type: the client
-- may not do that); no_client; assertion_replayed.
create or replace function api.create_password_grant(
  p_client_id         text,         -- who has proved to be it
  p_user_id           uuid,
  p_service_user      text,         -- null: the user as such
  p_credential_sha256 bytea,        -- of the stored hash or of the app password, as begin_login has it
  p_scope             text[],
  p_resources         text[],
  p_amr               text[],
  p_acr               text,
  p_family            uuid,         -- of the refresh token; null: no refresh token
  p_secret_hash       bytea,        -- of its first generation
  p_jti_hash          bytea,        -- of the assertion by which the client has; null: by something else
  p_jti_expires_at    timestamptz,
  out outcome         text,
  out reason          text,
  out grant_id        uuid,
  out session_id      uuid,         -- null, as nonce and claims
  out user_id         uuid,         -- also with denied
  out scope           text[],
  out resources       text[],
  out nonce           text,
  out claims          jsonb,
  out auth_time       timestamptz,
  out amr             text[],
  out acr             text,
  out expires_at      timestamptz,  -- the end of all tokens from it
  out refreshable     boolean,      -- the refresh token is there
  out subject         text,
  out identifier      text,
  out full_name       text,
  out primary_address text,
  out groups          text[],
  out permissions     text[],
  out attributes      jsonb
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  held record := auth.hold_credential(p_user_id, p_service_user, p_credential_sha256, 'oauth2');
  client auth.oauth2_clients;
  made auth.oauth2_grants;
begin
  select c.* into client from auth.oauth2_clients c where c.client_id = p_client_id for key share;
  reason := case
    when 'password' <> all (client.grant_types) then 'grant_type'
    else auth.oauth2_denial(p_user_id, client)
  end;
  outcome := case
    when client.id is null     then 'no_client'
    when reason is not null    then 'denied'
    when held.good is not true     then 'gone'
    else 'ok'
  end;
  -- Whoever is told that it is gone may come again.
  if outcome <> 'gone' and p_jti_hash is not null and not auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at) then
    outcome := 'assertion_replayed';
  end if;
  if outcome not in ('ok', 'denied') then
    reason := null;
    return;
  end if;
  user_id := p_user_id;
  if outcome <> 'ok' then
    return;
  end if;

  insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, resources, auth_time, amr, acr, expires_at)
  values (client.id, p_user_id, 'password', p_scope, p_resources, now(), p_amr, p_acr,
    least(auth.oauth2_grant_end(client, now()), (held.app).expires_at))
  returning * into made;
  refreshable := p_family is not null and 'refresh_token' = any (client.grant_types);
  if refreshable then
    insert into auth.oauth2_refresh_tokens (id, grant_id, secret_hash) values (p_family, made.id, p_secret_hash);
  end if;
  grant_id := made.id;
  scope := made.scope;
  resources := made.resources;
  auth_time := made.auth_time;
  amr := made.amr;
  acr := made.acr;
  expires_at := made.expires_at;
  select i.subject, i.identifier, i.full_name, i.primary_address, i.groups, i.permissions, i.attributes
    into subject, identifier, full_name, primary_address, groups, permissions, attributes
    from auth.oauth2_identity(p_user_id, client, made.scope, null) i;
  perform auth.record('oauth2_grant.create', identifier, null, auth.describe_oauth2_grant(made));
end
$$;

-- api.check_access_token asks whether an access token, whose signature and time
-- are good, is still good for anything.
--
-- outcome: ok; revoked (it is, or its grant, or that has ended or is gone, or is
-- another client's); denied (reason as auth.oauth2_denial has it).
create or replace function api.check_access_token(
  p_grant_id          uuid,     -- null: the token is the client's own
  p_jti               text,
  p_client_id         text,     -- as the token has it
  p_scope             text[],   -- of the token, for what is said of the user
  p_claims_wanted     boolean,  -- also what the claims parameter asks for
  out outcome         text,
  out reason          text,
  out user_id         uuid,     -- null: the token is the client's own
  out session_id      uuid,
  out claims          jsonb,    -- the claims parameter
  out subject         text,
  out identifier      text,
  out full_name       text,
  out primary_address text,
  out groups          text[],
  out permissions     text[],
  out attributes      jsonb
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
declare
  granted auth.oauth2_grants;
  client auth.oauth2_clients;
begin
  select g.* into granted from auth.oauth2_grants g where g.id = p_grant_id;
  select c.* into client from auth.oauth2_clients c where c.client_id = p_client_id;
  reason := case
    when p_grant_id is not null          then auth.oauth2_denial(granted.user_id, client)
    when client.enabled is not true      then 'disabled'
  end;
  outcome := case
    when p_jti is null
      or exists (select from auth.oauth2_revoked_tokens r where r.jti = p_jti)       then 'revoked'
    when p_grant_id is not null
         and (granted.client_id = client.id and granted.revoked_at is null
              and granted.expires_at > now()) is not true                            then 'revoked'
    when reason is not null                                                          then 'denied'
    else 'ok'
  end;
  if outcome = 'revoked' then
    reason := null;
  end if;
  if outcome = 'revoked' or p_grant_id is null then
    return;
  end if;

  user_id := granted.user_id;
  if outcome <> 'ok' then
    return;
  end if;
  session_id := granted.session_id;
  claims := granted.claims;
  select i.subject, i.identifier, i.full_name, i.primary_address, i.groups, i.permissions, i.attributes
    into subject, identifier, full_name, primary_address, groups, permissions, attributes
    from auth.oauth2_identity(granted.user_id, client, p_scope, case when p_claims_wanted then granted.claims end) i;
end
$$;

-- api.check_refresh_token asks whether a refresh token would be good now.
--
-- outcome: ok, unknown.
create or replace function api.check_refresh_token(
  p_family            uuid,
  p_generation        int,
  p_secret_hash       bytea,
  out outcome         text,
  out client_id       text,
  out scope           text[],
  out user_id         uuid,
  out subject         text,
  out identifier      text,
  out primary_address text,
  out expires_at      timestamptz,  -- if it is not used
  out created_at      timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
declare
  token auth.oauth2_refresh_tokens;
  granted auth.oauth2_grants;
  client auth.oauth2_clients;
begin
  select t.* into token from auth.oauth2_refresh_tokens t where t.id = p_family;
  select g.* into granted from auth.oauth2_grants g where g.id = token.grant_id;
  select c.* into client from auth.oauth2_clients c where c.id = granted.client_id;
  expires_at := least(granted.expires_at, token.rotated_at + client.refresh_token_lifetime);
  outcome := case
    when auth.refresh_token_is(token, p_generation, p_secret_hash) = 'current'
         and granted.revoked_at is null
         and expires_at > now()
         and auth.oauth2_denial(granted.user_id, client) is null then 'ok'
    else 'unknown'
  end;
  if outcome <> 'ok' then
    expires_at := null;
    return;
  end if;
  client_id := client.client_id;
  scope := granted.scope;
  user_id := granted.user_id;
  created_at := token.rotated_at;
  select i.subject, i.identifier, i.primary_address
    into subject, identifier, primary_address
    from auth.oauth2_identity(granted.user_id, client, '{}', null) i;
end
$$;

-- api.revoke_refresh_token ends the grant of a refresh token: the one that is
-- good now, or the one before, whose successor may have been lost.
--
-- outcome: ok, also if that happened before; unknown; wrong_client;
-- assertion_replayed.
create or replace function api.revoke_refresh_token(
  p_family         uuid,
  p_generation     int,
  p_secret_hash    bytea,
  p_client_id      text,         -- who has proved to be it
  p_jti_hash       bytea,        -- of the assertion by which the client has; null: by something else
  p_jti_expires_at timestamptz,
  out outcome      text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  token auth.oauth2_refresh_tokens;
  owner text;
begin
  if p_jti_hash is not null and not auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at) then
    outcome := 'assertion_replayed';
    return;
  end if;
  -- A refresh that comes between gives a token of a grant that is revoked then.
  select t.* into token from auth.oauth2_refresh_tokens t where t.id = p_family;
  select c.client_id into owner
    from auth.oauth2_grants g join auth.oauth2_clients c on c.id = g.client_id
   where g.id = token.grant_id;
  outcome := case
    when auth.refresh_token_is(token, p_generation, p_secret_hash) in ('current', 'previous') is not true then 'unknown'
    when owner is distinct from p_client_id                                                               then 'wrong_client'
    else 'ok'
  end;
  if outcome = 'ok' then
    perform auth.revoke_oauth2_grants(array[token.grant_id], 'revoked by the client');
  end if;
end
$$;

-- api.revoke_access_token takes back one access token, whose signature is good
-- and whose client has proved to be it.
--
-- outcome: ok, also if that happened before; assertion_replayed.
create or replace function api.revoke_access_token(
  p_jti            text,
  p_expires_at     timestamptz,
  p_client_id      text,
  p_jti_hash       bytea,        -- of the assertion by which the client has; null: by something else
  p_jti_expires_at timestamptz,
  out outcome      text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  if p_jti_hash is not null and not auth.spend_assertion(p_client_id, p_jti_hash, p_jti_expires_at) then
    outcome := 'assertion_replayed';
    return;
  end if;
  outcome := 'ok';
  insert into auth.oauth2_revoked_tokens (jti, expires_at)
  select p_jti, p_expires_at
   where p_expires_at > now()
  on conflict do nothing;
  if found then
    perform auth.record('oauth2_grant.revoke_token', p_client_id, null, jsonb_build_object('jti', p_jti, 'expires_at', p_expires_at));
  end if;
end
$$;

-- api.find_oauth2_grants returns grants, those that end last first: of one user
-- or client or of all.
create or replace function api.find_oauth2_grants(
  p_user_id       uuid,    -- null: all
  p_client_id     text,    -- null: all
  p_include_ended boolean  -- also those that are expired or revoked
)
returns table (
  id              uuid,
  user_identifier text,
  client_id       text,
  client_name     text,
  grant_type      text,
  scope           text[],
  created_at      timestamptz,
  redeemed_at     timestamptz,
  last_used_at    timestamptz,  -- when the refresh token was made or used; null: there is none
  generation      int,          -- how often it was used
  expires_at      timestamptz,
  status          text,         -- active, expired, revoked, unredeemed
  revoked_reason  text
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select g.id, u.identifier, c.client_id, c.name, g.grant_type, g.scope, g.created_at, g.redeemed_at, t.rotated_at, t.generation,
           e.expires_at, e.status, g.revoked_reason
      from auth.oauth2_grants g
      join auth.users u on u.id = g.user_id
      join auth.oauth2_clients c on c.id = g.client_id
      left join auth.oauth2_refresh_tokens t on t.grant_id = g.id
     cross join lateral (
       select least(g.expires_at, t.rotated_at + c.refresh_token_lifetime,
                    case when g.redeemed_at is null then g.code_expires_at end) as expires_at) until
     cross join lateral (
       select until.expires_at,
              case
                when g.revoked_at is not null                                          then 'revoked'
                when until.expires_at <= now()                                         then 'expired'
                when g.grant_type = 'authorization_code' and g.redeemed_at is null     then 'unredeemed'
                else 'active'
              end as status) e
     where (p_user_id is null or g.user_id = p_user_id)
       and (p_client_id is null or c.client_id = p_client_id)
       and (p_include_ended or e.status in ('active', 'unredeemed'))
     order by e.expires_at desc, g.created_at desc, g.id;
end
$$;

-- api.revoke_oauth2_grants ends grants that are in use, of one user or client or
-- of all, and returns how many; also how many of them have a refresh token. With
-- p_dry_run it only says.
create or replace function api.revoke_oauth2_grants(
  p_user_id          uuid,  -- null: all
  p_client_id        text,  -- null: all
  p_reason           text,
  p_dry_run          boolean,
  out revoked        bigint,
  out refresh_tokens bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  ids uuid[];
begin
  perform from auth.users u where u.id = p_user_id for key share;  -- as in api.revoke_oauth2_consent
  select coalesce(array_agg(g.id), '{}'), count(*), count(t.id)
    into ids, revoked, refresh_tokens
    from auth.oauth2_grants g
    join auth.oauth2_clients c on c.id = g.client_id
    left join auth.oauth2_refresh_tokens t on t.grant_id = g.id
   where (p_user_id is null or g.user_id = p_user_id)
     and (p_client_id is null or c.client_id = p_client_id)
     and g.revoked_at is null and g.expires_at > now();
  if p_dry_run is false then
    perform auth.revoke_oauth2_grants(ids, p_reason);
  end if;
end
$$;

-- api.purge_oauth2 forgets up to p_limit rows that nobody can use, and returns how
-- many that were; less than p_limit: there are no more. They had ended before, so
-- there is no audit row.
--
-- A redeemed code stays with its grant until that expires, so that it is
-- recognised when it comes again. One that was never redeemed stays for a day;
-- nobody looks for those that were overlooked for two more, which stay until they
-- expire. Revoked grants stay for thirty days, for whoever asks why.
create or replace function api.purge_oauth2(p_limit int)
returns bigint
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  forgotten bigint := 0;
  n bigint;
begin
  with ended as (
    select g.id from auth.oauth2_grants g
     where g.expires_at <= now()
        or g.revoked_at <= now() - interval '30 days'
        or (g.code_expires_at between now() - interval '3 days' and now() - interval '1 day' and g.redeemed_at is null)
     limit p_limit
       for update skip locked)
  delete from auth.oauth2_grants g using ended e where g.id = e.id;
  get diagnostics n = row_count;
  forgotten := forgotten + n;

  with ended as (
    select r.handle_hash from auth.oauth2_requests r
     where r.expires_at <= now()
     limit p_limit - forgotten
       for update skip locked)
  delete from auth.oauth2_requests r using ended e where r.handle_hash = e.handle_hash;
  get diagnostics n = row_count;
  forgotten := forgotten + n;

  with ended as (
    select r.jti from auth.oauth2_revoked_tokens r
     where r.expires_at <= now()
     limit p_limit - forgotten
       for update skip locked)
  delete from auth.oauth2_revoked_tokens r using ended e where r.jti = e.jti;
  get diagnostics n = row_count;
  forgotten := forgotten + n;

  with ended as (
    select a.client_id, a.jti_hash from auth.oauth2_assertions a
     where a.expires_at <= now()
     limit p_limit - forgotten
       for update skip locked)
  delete from auth.oauth2_assertions a using ended e where a.client_id = e.client_id and a.jti_hash = e.jti_hash;
  get diagnostics n = row_count;
  return forgotten + n;
end
$$;
