-- API clients: machines that may ask on behalf of others, each known by a
-- secret of its own. What is stored is its SHA-256; programs make the secret
-- and hash it.

-- api.create_api_client makes an API client.
--
-- outcome: ok, exists (another has the name).
create or replace function api.create_api_client(
  p_name            text,
  p_description     text,
  p_secret_hash     bytea,
  p_networks        cidr[],  -- null: from everywhere
  out outcome       text,
  out api_client_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  made auth.api_clients;
begin
  insert into auth.api_clients (name, description, secret_hash, networks)
  values (p_name, p_description, p_secret_hash, p_networks)
  on conflict (name) do nothing
  returning * into made;
  if made.id is null then
    outcome := 'exists';
    return;
  end if;
  perform auth.record('api_client.create', made.name, null, to_jsonb(made));
  outcome := 'ok';
  api_client_id := made.id;
end
$$;

-- api.find_api_clients returns API clients by name: those with p_names (null:
-- all), one row for each, with nulls if there is none.
create or replace function api.find_api_clients(p_names text[])
returns table (
  selector       text,
  id             bigint,
  name           text,
  description    text,
  networks       text[],
  created_at     timestamptz,
  last_used_at   timestamptz,
  last_used_from text
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select w.selector, c.id, c.name, c.description, c.networks::text[], c.created_at, c.last_used_at, host(c.last_used_from)
      from (select n as selector, lower(n collate "C") as wanted from unnest(p_names) n
            union all
            select null, every.name from auth.api_clients every where p_names is null) w
      left join auth.api_clients c on c.name = w.wanted
     order by c.name, w.selector;
end
$$;

-- api.edit_api_clients changes what is not null, for all of these API clients
-- or for none.
--
-- outcome: ok; gone (api_client_id is).
create or replace function api.edit_api_clients(
  p_api_client_ids  bigint[],
  p_description     text,
  p_networks        cidr[],  -- empty: from everywhere
  out outcome       text,
  out api_client_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.api_clients;
  made auth.api_clients;
begin
  perform from auth.api_clients c where c.id = any (p_api_client_ids) order by c.id for no key update;
  select i into api_client_id from unnest(p_api_client_ids) i
   where not exists (select from auth.api_clients c where c.id = i) limit 1;
  if api_client_id is not null then
    outcome := 'gone';
    return;
  end if;

  for was in select c.* from auth.api_clients c where c.id = any (p_api_client_ids) order by c.id loop
    update auth.api_clients c
       set description = coalesce(p_description, c.description),
           networks    = case when p_networks = '{}' then null else coalesce(p_networks, c.networks) end
     where c.id = was.id
    returning c.* into made;
    if made is distinct from was then
      perform auth.record('api_client.edit', was.name, to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
  outcome := 'ok';
end
$$;

-- api.rotate_api_client_secret gives an API client a new secret. The old one
-- ends with that.
--
-- outcome: ok, gone.
create or replace function api.rotate_api_client_secret(
  p_api_client_id bigint,
  p_secret_hash   bytea,
  out outcome     text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.api_clients;
  made auth.api_clients;
begin
  select c.* into was from auth.api_clients c where c.id = p_api_client_id for update;
  if was.id is null then
    outcome := 'gone';
    return;
  end if;
  -- The last use was that of another secret.
  update auth.api_clients c
     set secret_hash = p_secret_hash, last_used_at = null, last_used_from = null
   where c.id = was.id
  returning c.* into made;
  perform auth.record('api_client.rotate', was.name, to_jsonb(was), to_jsonb(made));
  outcome := 'ok';
end
$$;

-- api.remove_api_clients removes API clients, and returns what they were; one
-- that was gone already has no row. With p_dry_run it only says.
create or replace function api.remove_api_clients(p_api_client_ids bigint[], p_dry_run boolean)
returns table (id bigint, name text, description text, last_used_at timestamptz)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.api_clients;
begin
  perform from auth.api_clients c where c.id = any (p_api_client_ids) order by c.id for update;
  for was in
    select c.* from auth.api_clients c where c.id = any (p_api_client_ids) order by c.name
  loop
    id := was.id;
    name := was.name;
    description := was.description;
    last_used_at := was.last_used_at;
    if p_dry_run is false then
      delete from auth.api_clients c where c.id = was.id;
      perform auth.record('api_client.remove', was.name, to_jsonb(was), null);
    end if;
    return next;
  end loop;
end
$$;

-- api.verify_api_client returns the name of the API client that has this
-- secret; null if there is none, or if it is not in one of its networks. A null
-- p_client is an address that nobody knows.
--
-- The use is noted at most once an hour. It is no change that anybody made, so
-- it has no audit row.
create or replace function api.verify_api_client(
  p_secret_hash bytea,
  p_client      inet,
  out name      text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client constant inet := auth.client_address(p_client::text);
  unnoted bigint;
begin
  select c.name, case when c.last_used_at > now() - interval '1 hour' then null else c.id end
    into name, unnoted
    from auth.api_clients c
   where c.secret_hash = p_secret_hash
     and (c.networks is null or client <<= any (c.networks));
  if unnoted is null then
    return;
  end if;

  -- Of many at once one notes it, and none waits for somebody who edits the row.
  perform from auth.api_clients c
    where c.id = unnoted and (c.last_used_at > now() - interval '1 hour') is not true
      for no key update skip locked;
  if found then
    update auth.api_clients c set last_used_at = now(), last_used_from = client where c.id = unnoted;
  end if;
end
$$;
