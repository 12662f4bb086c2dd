-- Refresh tokens of Docker clients: what `docker login` keeps instead of a
-- password. Each is for one registry, one user, and the credential that it was
-- made for, with which it ends. What is stored is its SHA-256; programs make the
-- token and hash it.
--
-- Functions here lock in the order of service_user.sql, then tokens by id.

-- auth.docker_refresh_token_reason returns why a refresh token is good for
-- nothing; null: it is good. From which network it is used is not looked at.
create or replace function auth.docker_refresh_token_reason(p_token auth.docker_refresh_tokens)
returns text
language plpgsql stable
as $$
declare
  login record := auth.find_login(p_token.login);
begin
  -- What is not there is a reason, too.
  return (
    select case
             when (p_token.last_used_at > now() - interval '90 days') is not true then 'idle for 90 days'
             when p_token.app_password_id is null
                  and (sha256(convert_to(case when p_token.service_user_id is null then u.password_hash else s.password_hash end, 'UTF8'))
                       = p_token.password_sha256) is not true                     then 'password changed'
             when u.active is not true                                            then 'inactive user'
             when p_token.service_user_id is not null
                  and s.user_id is distinct from u.id                             then 'another user''s service user'
             when login.user_id is distinct from u.id                             then 'no longer this user''s login'
             when p_token.app_password_id is not null
                  then auth.app_password_reason(ap, u.id, s.username, s.app_password_id, 'docker',
                    (select r.client_id from auth.docker_registries r where r.id = p_token.registry_id))
           end
      from (select) one
      left join auth.users u on u.id = p_token.user_id
      left join auth.service_users s on s.id = p_token.service_user_id
      left join auth.app_passwords ap on ap.id = p_token.app_password_id);
end
$$;

-- auth.remove_docker_refresh_tokens forgets refresh tokens: they are revoked, or
-- what they belong to goes.
create or replace function auth.remove_docker_refresh_tokens(p_ids bigint[])
returns void
language plpgsql
as $$
declare
  was auth.docker_refresh_tokens;
begin
  for was in select t.* from auth.docker_refresh_tokens t where t.id = any (p_ids) order by t.id for update loop
    delete from auth.docker_refresh_tokens t where t.id = was.id;
    perform auth.record('docker_refresh_token.revoke', u.identifier, to_jsonb(was), null) from auth.users u where u.id = was.user_id;
  end loop;
end
$$;

-- auth.rebind_docker_refresh_tokens keeps refresh tokens good whose password is
-- the same as before under another hash: those of a user, whose row the caller
-- has changed, or of a service user.
create or replace function auth.rebind_docker_refresh_tokens(p_user_id uuid, p_service_user_id bigint, p_was text, p_hash text)
returns void
language plpgsql
as $$
declare
  rebound bigint[];
begin
  rebound := array(
    select t.id from auth.docker_refresh_tokens t
     where t.user_id = p_user_id and t.service_user_id is not distinct from p_service_user_id
       and t.password_sha256 = sha256(convert_to(p_was, 'UTF8'))
     order by t.id for no key update);
  update auth.docker_refresh_tokens t set password_sha256 = sha256(convert_to(p_hash, 'UTF8')) where t.id = any (rebound);
end
$$;

-- api.create_docker_refresh_token makes a refresh token for somebody who has
-- just logged in, with an app password or by a hash.
--
-- outcome: ok; no_registry; gone: the user or service user is, or the credential
-- is no longer what it was.
create or replace function api.create_docker_refresh_token(
  p_secret_hash       bytea,
  p_registry          text,   -- client_id
  p_user_id           uuid,
  p_login             text,   -- by which name
  p_service_user      text,   -- null: the user logged in as such
  p_app_password_id   text,   -- null: by a hash
  p_credential_sha256 bytea,  -- of the stored hash or of the app password, as begin_login has it
  p_client_id         text,   -- what the program calls itself
  p_client            inet,   -- null: unknown
  out outcome         text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  token auth.docker_refresh_tokens;
  made auth.docker_refresh_tokens;
  identifier text;
begin
  -- No password changes, not even into another hash of itself, until there is a
  -- token to change with it.
  select u.id, u.identifier into token.user_id, identifier from auth.users u where u.id = p_user_id for share;
  select s.id into token.service_user_id from auth.service_users s where s.username = p_service_user and s.user_id = token.user_id for share;
  select ap.id into token.app_password_id
    from auth.app_passwords ap
   where ap.id = p_app_password_id and ap.secret_hash = p_credential_sha256
     for share;
  select r.id into token.registry_id from auth.docker_registries r where r.client_id = p_registry for key share;
  token.login := p_login;
  if p_app_password_id is null then
    token.password_sha256 := p_credential_sha256;
  end if;
  token.last_used_at := now();
  outcome := case
    when token.registry_id is null then 'no_registry'
    when (p_service_user is not null and token.service_user_id is null)
      or (p_app_password_id is not null and token.app_password_id is null)
      or auth.docker_refresh_token_reason(token) is not null then 'gone'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  insert into auth.docker_refresh_tokens
    (secret_hash, registry_id, user_id, login, service_user_id, app_password_id, password_sha256, client_id, created_from, last_used_from)
  values
    (p_secret_hash, token.registry_id, token.user_id, token.login, token.service_user_id, token.app_password_id, token.password_sha256,
     p_client_id, p_client, p_client)
  returning * into made;
  perform auth.record('docker_refresh_token.create', identifier, null, to_jsonb(made));
  -- Machines log in again and again, and forget what they got. Those tokens that
  -- nobody has used for longest go first.
  delete from auth.docker_refresh_tokens t
   where t.id in (
     select old.id from auth.docker_refresh_tokens old
      where old.user_id = made.user_id and old.registry_id = made.registry_id
      order by old.last_used_at desc, old.id desc offset 1000);
end
$$;

-- api.use_docker_refresh_token recognises a refresh token, which stays what it
-- is. An account is described with ok only, as api.begin_login does.
--
-- outcome: ok; denied.
--
-- The use, which is one of the app password, too, is noted at most once an hour.
-- It is no change that anybody made, so it has no audit row.
create or replace function api.use_docker_refresh_token(
  p_secret_hash        bytea,
  p_registry           text,   -- client_id
  p_client             inet,   -- null: unknown
  out outcome          text,
  out reason           text,   -- for the operator: why it is denied
  out user_id          uuid,
  out identifier       text,
  out groups           text[],
  out registry_actions text[]  -- what the app password is limited to; null: nothing
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  token auth.docker_refresh_tokens;
  app record;
begin
  select t.* into token from auth.docker_refresh_tokens t where t.secret_hash = p_secret_hash;
  select ap.id, ap.networks, ap.registry_actions, ap.last_used_at
    into app
    from auth.app_passwords ap
   where ap.id = token.app_password_id;
  reason := case
    when token.id is null then 'unknown refresh token'
    when not exists (select from auth.docker_registries r where r.id = token.registry_id and r.client_id = p_registry)
      then 'refresh token ' || token.id || ': another registry''s'
    when app.networks is not null and (p_client <<= any (app.networks)) is not true
      then 'refresh token ' || token.id || ': app password ' || app.id || ' is not for this network'
    else 'refresh token ' || token.id || ': ' || auth.docker_refresh_token_reason(token)
  end;
  outcome := case when reason is null then 'ok' else 'denied' end;
  if outcome <> 'ok' then
    return;
  end if;

  if app.last_used_at is null or app.last_used_at <= now() - interval '1 hour' then
    perform auth.touch_app_password(app.id, 'docker', p_client);
  end if;
  if token.last_used_at <= now() - interval '1 hour' then
    -- Of many at once one notes it, and none waits for somebody who holds the row.
    perform from auth.docker_refresh_tokens t
      where t.id = token.id and t.last_used_at <= now() - interval '1 hour'
        for no key update skip locked;
    if found then
      update auth.docker_refresh_tokens t set last_used_at = now(), last_used_from = p_client where t.id = token.id;
    end if;
  end if;

  user_id := token.user_id;
  select a.identifier, a.groups into identifier, groups from auth.account(token.user_id) a;
  registry_actions := app.registry_actions;
end
$$;

-- api.find_docker_refresh_tokens returns refresh tokens by user and age: those
-- with p_ids (null: all), one row for each, with nulls if there is none; of one
-- user or registry or of all.
create or replace function api.find_docker_refresh_tokens(
  p_ids         bigint[],
  p_user_id     uuid,   -- null: all
  p_registry_id bigint  -- null: all
)
returns table (
  selector        bigint,
  id              bigint,
  registry        text,  -- client_id
  user_identifier text,
  service_user    text,
  credential      text,  -- what it was made for: password, service (a service user's), app:ID
  client_id       text,  -- what the program called itself
  created_at      timestamptz,
  created_from    text,
  last_used_at    timestamptz,
  last_used_from  text,
  status          text,  -- active, idle (for too long), void
  reason          text   -- why it is not active
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select w.selector, t.id, r.client_id, u.identifier, s.username,
           case
             when t.id is null                  then null
             when t.app_password_id is not null then 'app:' || t.app_password_id
             when t.service_user_id is not null then 'service'
             else 'password'
           end,
           t.client_id, t.created_at, host(t.created_from), t.last_used_at, host(t.last_used_from),
           case
             when t.id is null                      then null
             when state.reason is null              then 'active'
             when state.reason = 'idle for 90 days' then 'idle'
             else 'void'
           end,
           state.reason
      from (select i as selector, i as wanted from unnest(p_ids) i
            union all
            select null, every.id from auth.docker_refresh_tokens every where p_ids is null) w
      left join auth.docker_refresh_tokens t on t.id = w.wanted
      left join auth.docker_registries r on r.id = t.registry_id
      left join auth.users u on u.id = t.user_id
      left join auth.service_users s on s.id = t.service_user_id
     cross join lateral (select case when t.id is not null then auth.docker_refresh_token_reason(t) end as reason) state
     where (p_user_id is null or t.id is null or t.user_id = p_user_id)
       and (p_registry_id is null or t.id is null or t.registry_id = p_registry_id)
     order by u.identifier, t.created_at, w.wanted;
end
$$;

-- api.revoke_docker_refresh_tokens ends refresh tokens, and returns what they
-- were; one that was gone already has no row. With p_dry_run it only says.
create or replace function api.revoke_docker_refresh_tokens(p_ids bigint[], p_dry_run boolean)
returns table (id bigint, registry text, user_identifier text, client_id text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select t.id, r.client_id, u.identifier, t.client_id
      from auth.docker_refresh_tokens t
      join auth.docker_registries r on r.id = t.registry_id
      join auth.users u on u.id = t.user_id
     where t.id = any (p_ids)
     order by u.identifier, t.id;
  if p_dry_run is false then
    perform auth.remove_docker_refresh_tokens(p_ids);
  end if;
end
$$;

-- api.purge_docker_refresh_tokens forgets what nobody can use again, and returns
-- how many that were: those that were idle for too long, or whose password has
-- changed. They had ended before, so there is no audit row. Those of a revoked
-- app password stay until they are idle, so that their use can be recognised.
create or replace function api.purge_docker_refresh_tokens()
returns bigint
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  forgotten bigint;
begin
  with ended as (
    select t.id
      from auth.docker_refresh_tokens t
      join auth.users u on u.id = t.user_id
      left join auth.service_users s on s.id = t.service_user_id
     where t.last_used_at <= now() - interval '90 days'
        or (t.password_sha256 is not null
            and (t.password_sha256 = sha256(convert_to(case when s.id is null then u.password_hash else s.password_hash end, 'UTF8'))) is not true)
       for update of t skip locked)
  delete from auth.docker_refresh_tokens t
   using ended e
   where t.id = e.id;
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
