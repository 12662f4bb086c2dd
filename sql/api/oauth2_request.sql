-- Requests for authorization that wait until somebody has signed in or
-- consented. Whoever has the handle continues it; it says nothing of who that
-- is.

-- api.save_oauth2_request keeps a request. Whoever has not signed in can have one
-- kept, so there is an end to it: what a disk bears, and far more than people
-- begin in an hour.
--
-- outcome: ok; no_client; full.
create or replace function api.save_oauth2_request(
  p_handle_hash bytea,
  p_client_id   text,
  p_parameters  jsonb,
  p_lifetime    interval,
  out outcome   text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  if pg_relation_size('auth.oauth2_requests') > 1024 * 1024 * 1024 then
    outcome := 'full';
    return;
  end if;
  insert into auth.oauth2_requests (handle_hash, client_id, parameters, expires_at)
  select p_handle_hash, c.id, p_parameters, now() + p_lifetime
    from auth.oauth2_clients c
   where c.client_id = p_client_id;
  outcome := case when found then 'ok' else 'no_client' end;
end
$$;

-- api.find_oauth2_request returns a request that was kept; no row if there is
-- none, or no longer.
create or replace function api.find_oauth2_request(p_handle_hash bytea)
returns table (
  client_id       text,
  client_name     text,
  allowed_origins text[],  -- of the client
  parameters      jsonb,
  created_at      timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select c.client_id, c.name, c.allowed_origins, r.parameters, r.created_at
      from auth.oauth2_requests r
      join auth.oauth2_clients c on c.id = r.client_id
     where r.handle_hash = p_handle_hash and r.expires_at > now();
end
$$;

-- api.forget_oauth2_request forgets a request, which has its answer.
create or replace function api.forget_oauth2_request(p_handle_hash bytea)
returns void
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  delete from auth.oauth2_requests r where r.handle_hash = p_handle_hash;
end
$$;
