-- App passwords: generated, one for each device or program of a user.
--
-- A revoked one stays as a row, so that its use can be recognised; only
-- removing makes it unknown. Either ends the sessions of browsers that have
-- signed in with it.

-- auth.add_app_password makes an app password, unless another has its id.
create or replace function auth.add_app_password(
  p_id               text,
  p_user_id          uuid,
  p_description      text,
  p_secret_hash      bytea,
  p_crypt_hash       text,
  p_services         text[],
  p_networks         cidr[],
  p_expires_at       timestamptz,
  p_registries       text[],
  p_registry_actions text[]
)
returns boolean
language plpgsql
as $$
declare
  made auth.app_passwords;
begin
  insert into auth.app_passwords (id, user_id, description, secret_hash, crypt_hash, services, networks, expires_at, registries, registry_actions)
  values (p_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at, p_registries, p_registry_actions)
  on conflict do nothing
  returning * into made;
  if made.id is null then
    return false;
  end if;
  perform auth.record('app_password.create', made.id, null, to_jsonb(made));
  return true;
end
$$;

-- auth.app_password_reason returns why an app password whose secret was right is
-- not good for a login: of a user, or of the service user p_service_user, whose
-- only app password is p_service_app. One that is limited at Docker registries is
-- good for nothing else, and p_registry says where it is used. One of a device
-- does not open a browser (service web), where it would become whatever its user
-- may do; that of a service user does, and one that says so. Null: it is good, if
-- it is used from one of its networks. It is SQL, so that it becomes part of the
-- query that asks.
create or replace function auth.app_password_reason(
  p_app          auth.app_passwords,
  p_user_id      uuid,
  p_service_user text,
  p_service_app  text,
  p_service      text,
  p_registry     text   -- client_id; null: it is no login to a Docker registry
)
returns text
language sql stable parallel safe
return case
  when p_app.id is null                                then 'unknown app password'
  when p_app.revoked_at is not null                    then 'revoked app password ' || p_app.id
  when p_app.expires_at <= now()                       then 'expired app password ' || p_app.id
  when p_app.user_id is distinct from p_user_id        then 'another user''s app password ' || p_app.id
  when p_service_user is not null
       and p_service_app is distinct from p_app.id     then 'another login''s app password ' || p_app.id
  when p_app.services is not null
       and (p_service = any (p_app.services)) is not true then 'app password ' || p_app.id || ' is not for this service'
  when p_service = 'web' and p_service_user is null
       and p_app.services is null                      then 'app password ' || p_app.id || ' is not for browsers'
  when num_nonnulls(p_app.registries, p_app.registry_actions) > 0
       and p_registry is null                          then 'app password ' || p_app.id || ' is for Docker registries only'
  when p_app.registries is not null
       and (p_registry = any (p_app.registries)) is not true then 'app password ' || p_app.id || ' is not for this registry'
end;

-- auth.revoke_app_password ends an app password; it changes nothing if that
-- happened before.
create or replace function auth.revoke_app_password(p_id text)
returns void
language plpgsql
as $$
declare
  was auth.app_passwords;
  made auth.app_passwords;
begin
  select ap.* into was from auth.app_passwords ap where ap.id = p_id and ap.revoked_at is null for update;
  if was.id is null then
    return;
  end if;
  update auth.app_passwords ap set revoked_at = now() where ap.id = was.id returning * into made;
  perform auth.end_sessions(array(select s.id from auth.sessions s where s.app_password_id = was.id), 'app password revoked');
  perform auth.record('app_password.revoke', was.id, to_jsonb(was), to_jsonb(made));
end
$$;

-- auth.hold_app_passwords locks app passwords, after their users: removing a
-- user takes them along in an order of its own, so it has to come first or wait.
create or replace function auth.hold_app_passwords(p_ids text[])
returns void
language plpgsql
as $$
begin
  perform from auth.users u
    where u.id in (select ap.user_id from auth.app_passwords ap where ap.id = any (p_ids))
    order by u.id for key share;
  perform from auth.app_passwords ap where ap.id = any (p_ids) order by ap.id for update;
end
$$;

-- api.create_app_password gives a user an app password that the program has
-- generated.
--
-- outcome: ok, gone (the user is), id_taken (make another).
create or replace function api.create_app_password(
  p_user_id          uuid,
  p_id               text,
  p_description      text,
  p_secret_hash      bytea,
  p_crypt_hash       text,
  p_services         text[],       -- null: every service
  p_networks         cidr[],       -- null: from everywhere
  p_expires_at       timestamptz,  -- null: never
  p_registries       text[],       -- Docker registries, by client_id; null: every one
  p_registry_actions text[],       -- null: whatever its user may do there
  out outcome        text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  perform from auth.users u where u.id = p_user_id for key share;
  if not found then
    outcome := 'gone';
    return;
  end if;
  outcome := case
    when auth.add_app_password(p_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at,
           p_registries, auth.docker_actions(p_registry_actions))
    then 'ok' else 'id_taken' end;
end
$$;

-- api.find_app_passwords returns app passwords by user and age: those with
-- p_ids (null: all), one row for each, with nulls if there is none; of one user
-- or of all. p_contains is looked for in descriptions.
create or replace function api.find_app_passwords(
  p_ids      text[],
  p_contains text,
  p_user_id  uuid  -- null: all
)
returns table (
  selector          text,
  id                text,
  user_identifier   text,
  user_id           uuid,
  service_user      text,  -- whose only password it is
  description       text,
  services          text[],
  networks          text[],
  status            text,  -- active, expired, revoked
  created_at        timestamptz,
  expires_at        timestamptz,
  revoked_at        timestamptz,
  last_used_at      timestamptz,
  last_used_service text,
  last_used_from    text,
  registries        text[],
  registry_actions  text[]
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select w.selector, ap.id, u.identifier, ap.user_id, s.username, ap.description, ap.services, ap.networks::text[],
           case
             when ap.id is null           then null
             when ap.revoked_at is not null then 'revoked'
             when ap.expires_at <= now()  then 'expired'
             else 'active'
           end,
           ap.created_at, ap.expires_at, ap.revoked_at, ap.last_used_at, ap.last_used_service, host(ap.last_used_from),
           ap.registries, ap.registry_actions
      from (select i as selector, i as wanted from unnest(p_ids) i
            union all
            select null, every.id from auth.app_passwords every where p_ids is null) w
      left join auth.app_passwords ap on ap.id = w.wanted
      left join auth.users u on u.id = ap.user_id
      left join auth.service_users s on s.app_password_id = ap.id
     where (p_contains is null or ap.id is null or strpos(lower(ap.description), lower(p_contains)) > 0)
       and (p_user_id is null or ap.id is null or ap.user_id = p_user_id)
     order by u.identifier collate "C", ap.created_at, w.wanted collate "C";
end
$$;

-- api.revoke_app_passwords ends all of these app passwords, or none. A service
-- user that one belongs to cannot log in until it gets another.
--
-- outcome: ok; gone (app_password_id is).
create or replace function api.revoke_app_passwords(
  p_ids               text[],
  out outcome         text,
  out app_password_id text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  perform auth.hold_app_passwords(p_ids);
  select i into app_password_id from unnest(p_ids) i
   where not exists (select from auth.app_passwords ap where ap.id = i) order by i limit 1;
  if app_password_id is not null then
    outcome := 'gone';
    return;
  end if;
  perform auth.revoke_app_password(i) from unnest(p_ids) i;
  outcome := 'ok';
end
$$;

-- api.remove_app_passwords forgets all of these app passwords, or none.
--
-- outcome: ok; gone (app_password_id is); bound (app_password_id is the password
-- of service_user, which is removed with it or gets another). With p_dry_run it
-- only says.
create or replace function api.remove_app_passwords(
  p_ids               text[],
  p_dry_run           boolean,
  out outcome         text,
  out app_password_id text,
  out service_user    text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.app_passwords;
begin
  perform auth.hold_app_passwords(p_ids);
  select i into app_password_id from unnest(p_ids) i
   where not exists (select from auth.app_passwords ap where ap.id = i) order by i limit 1;
  if app_password_id is not null then
    outcome := 'gone';
    return;
  end if;
  select s.app_password_id, s.username into app_password_id, service_user
    from auth.service_users s
   where s.app_password_id = any (p_ids)
   order by s.app_password_id
   limit 1;
  if app_password_id is not null then
    outcome := 'bound';
    return;
  end if;

  outcome := 'ok';
  if p_dry_run is not false then
    return;
  end if;
  perform auth.remove_docker_refresh_tokens(array(
    select t.id from auth.docker_refresh_tokens t where t.app_password_id = any (p_ids)));
  perform auth.end_sessions(array(select s.id from auth.sessions s where s.app_password_id = any (p_ids)), 'app password removed');
  for was in delete from auth.app_passwords ap where ap.id = any (p_ids) returning ap.* loop
    perform auth.record('app_password.remove', was.id, to_jsonb(was), null);
  end loop;
end
$$;
