-- Wrong passwords as an operator sees them: what login.sql has counted for a
-- login, and the end of that. Logins are stored as hashes, so whoever asks has
-- to know the name; extensions of an address are the same login.

-- api.find_login_throttles returns what is counted for a login. Two rows have
-- no time until which they throttle, because they only make wrong answers
-- slower: 0.0.0.0/0, which is clients of whom nobody tells the address, and
-- ::/0 with the service '', which is all networks together.
create or replace function api.find_login_throttles(p_login text)
returns table (
  network         cidr,
  service         text,
  failures        real,         -- less those that time has forgiven
  throttled_until timestamptz,  -- null: not throttled
  changed_at      timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select t.network, t.service, auth.login_failures(t.failures, t.changed_at),
           case when t.network not in (auth.login_network(null), '::/0')
             then now() + auth.login_wait(t.failures, t.changed_at) * interval '1 s' end,
           t.changed_at
      from auth.login_throttles t
     where t.login_hash = auth.login_hash(p_login)
     order by t.network, t.service;
end
$$;

-- api.clear_login_throttles forgets what is counted for a login, from
-- everywhere and for every service, and returns how many rows that were and by
-- which name they are counted. With p_dry_run it only says.
create or replace function api.clear_login_throttles(
  p_login     text,
  p_dry_run   boolean,
  out login   text,
  out removed int
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was jsonb;
begin
  login := auth.login_base(p_login);
  if p_dry_run is not false then
    removed := (select count(*) from auth.login_throttles t where t.login_hash = auth.login_hash(p_login));
    return;
  end if;

  -- A wrong password changes the row of its network and then that of all
  -- together: locked in the same order, neither waits for the other for ever.
  -- The wrong passwords that a row remembers stay out of the trail.
  with held as (
    select t.login_hash, t.network, t.service
      from auth.login_throttles t
     where t.login_hash = auth.login_hash(p_login)
     order by t.network = '::/0', t.network, t.service
       for update),
  gone as (
    delete from auth.login_throttles t
     using held h
     where t.login_hash = h.login_hash and t.network = h.network and t.service = h.service
    returning t.network, t.service, auth.login_failures(t.failures, t.changed_at) as failures)
  select count(*), jsonb_agg(to_jsonb(g) order by g.network, g.service)
    into removed, was
    from gone g;
  if removed > 0 then
    perform auth.record('login_throttle.clear', login, jsonb_build_object('throttles', was), null);
  end if;
end
$$;
