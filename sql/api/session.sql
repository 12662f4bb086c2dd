-- Sessions: browsers that have signed in. A session that ends is removed; one
-- that has expired, or was idle for too long, is as good as that, and only waits
-- for somebody to tidy up.
--
-- A session that is ended, by signing out or because it should not have gone on,
-- takes along what it let clients do, except where a user has allowed that to go
-- on without them (scope offline_access). One that expires does not: grants have
-- lifetimes of their own. But its row stays as long as they do, so that a new
-- password, or an app password that is revoked, still ends them.
--
-- Functions here and in oauth2_*.sql lock in one order: users, service users,
-- app passwords, clients, sessions, consents, grants.

-- auth.session_is_live tells whether a session has neither expired nor been
-- idle. It is SQL, so that it becomes part of the query that asks.
create or replace function auth.session_is_live(p_session auth.sessions)
returns boolean
language sql stable parallel safe
return p_session.expires_at > now() and p_session.last_seen_at + p_session.idle_timeout > now();

-- auth.touch_session notes that a session was used, at most once a minute. Of
-- many uses at once one notes it, and none waits for somebody who holds the row.
create or replace function auth.touch_session(p_session auth.sessions)
returns void
language plpgsql
as $$
begin
  if (p_session.last_seen_at <= now() - interval '1 minute') is not true then
    return;
  end if;
  perform from auth.sessions s
    where s.id = p_session.id and s.last_seen_at <= now() - interval '1 minute'
      for no key update skip locked;
  if found then
    update auth.sessions s set last_seen_at = now() where s.id = p_session.id;
  end if;
end
$$;

-- auth.end_sessions ends sessions, and what they let clients do; p_reason is why
-- that is.
create or replace function auth.end_sessions(p_ids uuid[], p_reason text)
returns void
language plpgsql
as $$
declare
  was auth.sessions;
begin
  perform from auth.sessions s where s.id = any (p_ids) order by s.id for update;
  -- Those that go on lose their session, so all of them are locked in one order.
  perform from auth.oauth2_grants g where g.session_id = any (p_ids) order by g.id for no key update;
  perform auth.revoke_oauth2_grants(array(
    select g.id from auth.oauth2_grants g
     where g.session_id = any (p_ids) and 'offline_access' <> all (g.scope)), p_reason);
  for was in delete from auth.sessions s where s.id = any (p_ids) returning s.* loop
    perform auth.record('session.end', u.identifier, to_jsonb(was), null) from auth.users u where u.id = was.user_id;
  end loop;
end
$$;

-- auth.hold_credential tells whether a credential that was verified a moment ago
-- is still good for a service, and keeps it so until the transaction ends: no
-- password changes until there is something to end with it. What it was is null
-- where it was not that.
create or replace function auth.hold_credential(
  p_user_id           uuid,
  p_service_user      text,   -- null: the user as such
  p_credential_sha256 bytea,  -- of the stored hash or of the app password, as begin_login has it
  p_service           text,
  out good            boolean,
  out account         auth.users,
  out service_user    auth.service_users,
  out app             auth.app_passwords
)
language plpgsql
as $$
begin
  select u.* into account from auth.users u where u.id = p_user_id for share;
  select s.* into service_user from auth.service_users s where s.username = p_service_user and s.user_id = account.id for share;
  select ap.* into app
    from auth.app_passwords ap
   where ap.user_id = account.id and ap.secret_hash = p_credential_sha256
     for share;
  good := case
    when account.active is not true                             then false
    when p_service_user is not null and service_user.id is null then false
    when sha256(convert_to(case when p_service_user is null then account.password_hash else service_user.password_hash end, 'UTF8'))
         = p_credential_sha256                                  then true
    else auth.app_password_reason(app, account.id, service_user.username, service_user.app_password_id, p_service, null) is null
  end;
end
$$;

-- api.start_session makes a session for somebody who has just proved who they
-- are. The browser's previous one becomes it if that was the same user's, and
-- keeps its id; else it ends.
--
-- outcome: ok; gone: the user or service user is, or is inactive, or the
-- credential is no longer what it was.
create or replace function api.start_session(
  p_secret_hash       bytea,
  p_replaces          bytea,     -- secret_hash of what the browser had; null: nothing
  p_user_id           uuid,
  p_service_user      text,      -- null: the user signed in as such
  p_credential_sha256 bytea,     -- of the stored hash or of the app password, as begin_login has it
  p_amr               text[],
  p_acr               text,
  p_idle              interval,
  p_lifetime          interval,
  p_client            inet,      -- null: unknown
  p_user_agent        text,
  out outcome         text,
  out session_id      uuid
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  held record;
  was auth.sessions;
  made auth.sessions;
begin
  select s.* into was from auth.sessions s where s.secret_hash = p_replaces;
  perform from auth.users u where u.id in (p_user_id, was.user_id) order by u.id for share;
  held := auth.hold_credential(p_user_id, p_service_user, p_credential_sha256, 'web');
  outcome := case when held.good then 'ok' else 'gone' end;
  if outcome <> 'ok' then
    return;
  end if;

  select s.* into was from auth.sessions s where s.secret_hash = p_replaces and s.user_id = was.user_id for update;
  if was.user_id <> p_user_id then
    perform auth.end_sessions(array[was.id], 'another user signed in');
    was := null;
  end if;
  if was.id is null then
    insert into auth.sessions
      (secret_hash, user_id, service_user_id, app_password_id, auth_time, amr, acr, idle_timeout, expires_at, client, user_agent)
    values
      (p_secret_hash, p_user_id, (held.service_user).id, (held.app).id, now(), p_amr, p_acr,
       p_idle, least(now() + p_lifetime, (held.app).expires_at), p_client, p_user_agent)
    returning * into made;
  else
    update auth.sessions s
       set secret_hash = p_secret_hash, service_user_id = (held.service_user).id, app_password_id = (held.app).id,
           auth_time = now(), amr = p_amr, acr = p_acr,
           idle_timeout = p_idle, last_seen_at = now(), expires_at = least(now() + p_lifetime, (held.app).expires_at),
           client = p_client, user_agent = p_user_agent
     where s.id = was.id
    returning s.* into made;
  end if;
  perform auth.record('session.start', (held.account).identifier, case when was.id is not null then to_jsonb(was) end, to_jsonb(made));
  session_id := made.id;
end
$$;

-- api.find_session returns who has signed in with a browser; no row if nobody
-- has, or no longer.
create or replace function api.find_session(p_secret_hash bytea)
returns table (
  session_id      uuid,
  user_id         uuid,
  identifier      text,
  full_name       text,
  primary_address text,
  service_user    text,
  auth_time       timestamptz,
  amr             text[],
  acr             text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  session auth.sessions;
begin
  select s.* into session from auth.sessions s where s.secret_hash = p_secret_hash and auth.session_is_live(s);
  return query
    select session.id, session.user_id, a.identifier, a.full_name, a.primary_address,
           (select s.username from auth.service_users s where s.id = session.service_user_id),
           session.auth_time, session.amr, session.acr
      from auth.account(session.user_id) a
     where a.active;
  if found then
    perform auth.touch_session(session);
  end if;
end
$$;

-- api.end_session signs a browser out.
--
-- outcome: ok, unknown.
create or replace function api.end_session(
  p_secret_hash  bytea,
  out outcome    text,
  out session_id uuid
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  holder uuid;
begin
  -- What is revoked asks for its user once more when the session goes.
  select s.user_id into holder from auth.sessions s where s.secret_hash = p_secret_hash;
  perform from auth.users u where u.id = holder for key share;
  select s.id into session_id from auth.sessions s where s.secret_hash = p_secret_hash and s.user_id = holder for update;
  if session_id is null then
    outcome := 'unknown';
    return;
  end if;
  perform auth.end_sessions(array[session_id], 'signed out');
  outcome := 'ok';
end
$$;

-- api.purge_sessions forgets up to p_limit sessions that have expired or were
-- idle for too long and have nothing left to end with them, and returns how many
-- that were. They had ended before, so there is no audit row.
create or replace function api.purge_sessions(p_limit int)
returns bigint
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  ended uuid[];
  forgotten bigint;
begin
  ended := array(
    select s.id from auth.sessions s
     where not auth.session_is_live(s)
       and not exists (
         select from auth.oauth2_grants g
          where g.session_id = s.id and g.revoked_at is null and g.expires_at > now() and 'offline_access' <> all (g.scope))
     limit p_limit
       for update skip locked);
  perform from auth.oauth2_grants g where g.session_id = any (ended) order by g.id for no key update;
  delete from auth.sessions s where s.id = any (ended);
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
