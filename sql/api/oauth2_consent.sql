-- What users have allowed clients to ask for. The scopes that a user consents to
-- add up, until consent is revoked with all that came of it.

-- auth.give_oauth2_consent adds scopes to what a user allows a client. It is
-- recorded if that grows.
create or replace function auth.give_oauth2_consent(p_user_id uuid, p_client_id bigint, p_scope text[])
returns void
language plpgsql
as $$
declare
  was auth.oauth2_consents;
  made auth.oauth2_consents;
begin
  -- Whoever comes second sees what the first has added.
  insert into auth.oauth2_consents as o (user_id, client_id, scope)
  values (p_user_id, p_client_id, '{}')
  on conflict on constraint oauth2_consents_pkey do update set last_used_at = now()
  returning o.* into was;
  update auth.oauth2_consents o
     set scope = array(select s from unnest(o.scope || p_scope) s group by s order by s collate "C")
   where o.user_id = p_user_id and o.client_id = p_client_id
  returning o.* into made;
  if made.scope <> was.scope then
    perform auth.record('oauth2_consent.give', u.identifier,
              case when was.scope <> '{}' then jsonb_build_object('client', c.client_id, 'scope', was.scope) end,
              jsonb_build_object('client', c.client_id, 'scope', made.scope))
       from auth.users u, auth.oauth2_clients c
      where u.id = p_user_id and c.id = p_client_id;
  end if;
end
$$;

-- auth.remove_oauth2_consents forgets what a user has allowed a client; null:
-- all clients. What came of it is not its business. It returns how many that
-- were.
create or replace function auth.remove_oauth2_consents(p_user_id uuid, p_client_id bigint)
returns bigint
language plpgsql
as $$
declare
  was auth.oauth2_consents;
  forgotten bigint := 0;
begin
  for was in
    select o.* from auth.oauth2_consents o
     where o.user_id = p_user_id and (p_client_id is null or o.client_id = p_client_id)
     order by o.client_id for update
  loop
    delete from auth.oauth2_consents o where o.user_id = was.user_id and o.client_id = was.client_id;
    perform auth.record('oauth2_consent.revoke', u.identifier, jsonb_build_object('client', c.client_id, 'scope', was.scope), null)
       from auth.users u, auth.oauth2_clients c
      where u.id = was.user_id and c.id = was.client_id;
    forgotten := forgotten + 1;
  end loop;
  return forgotten;
end
$$;

-- api.revoke_oauth2_consent takes back what a user has allowed a client, with
-- all grants that it has of that user: those that nobody was asked for, too.
-- With p_dry_run it only says.
--
-- outcome: ok (grants: how many were in use); no_consent, and no grant either.
create or replace function api.revoke_oauth2_consent(
  p_user_id   uuid,
  p_client_id text,
  p_dry_run   boolean,
  out outcome text,
  out grants  bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client bigint;
  consents bigint;
begin
  -- In the order of session.sql: who ends all that a user has allowed comes before
  -- this, or after.
  perform from auth.users u where u.id = p_user_id for key share;
  select c.id into client from auth.oauth2_clients c where c.client_id = p_client_id;
  if p_dry_run is not false then
    consents := (select count(*) from auth.oauth2_consents o where o.user_id = p_user_id and o.client_id = client);
    grants := (
      select count(*) from auth.oauth2_grants g
       where g.user_id = p_user_id and g.client_id = client and g.revoked_at is null and g.expires_at > now());
  else
    -- Nobody is given a grant by a consent that goes: see api.authorize.
    consents := case when client is null then 0 else auth.remove_oauth2_consents(p_user_id, client) end;
    grants := auth.revoke_oauth2_grants(array(
      select g.id from auth.oauth2_grants g
       where g.user_id = p_user_id and g.client_id = client and g.revoked_at is null and g.expires_at > now()), 'consent revoked');
  end if;
  outcome := case when consents + grants > 0 then 'ok' else 'no_consent' end;
end
$$;

-- api.find_oauth2_consents returns what users have allowed clients: of one user
-- or client or of all, by user and client.
create or replace function api.find_oauth2_consents(
  p_user_id   uuid,  -- null: all
  p_client_id text   -- null: all
)
returns table (
  user_identifier text,
  client_id       text,
  client_name     text,
  scope           text[],
  created_at      timestamptz,
  last_used_at    timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select u.identifier, c.client_id, c.name, o.scope, o.created_at, o.last_used_at
      from auth.oauth2_consents o
      join auth.users u on u.id = o.user_id
      join auth.oauth2_clients c on c.id = o.client_id
     where (p_user_id is null or o.user_id = p_user_id)
       and (p_client_id is null or c.client_id = p_client_id)
     order by u.identifier, c.client_id;
end
$$;
