-- The audit trail, and the version that programs ask for. Functions in schema
-- auth are the private parts of those in schema api: they run with the rights
-- of the function that calls them, and nobody else may.

-- auth.record writes the audit row of a change. Hashes and keys stay out of
-- it; that one of them changed is said.
--
-- Every change is recorded, so every change notifies, too, once it is committed:
-- 'domain.edit' the channel authserver_domain, and so on. Any login can send
-- that, so it has no content, and whoever listens reads anew.
--
-- The program says who asks and from where by the settings authserver.actor
-- and authserver.origin of its connection or transaction. A login can lie
-- there, but not about the column login.
create or replace function auth.record(p_action text, p_object text, p_before jsonb, p_after jsonb)
returns void
language plpgsql set search_path = auth, pg_temp
as $$
declare
  secrets constant text[] := array[
    'password_hash', 'crypt_hash', 'secret_hash', 'previous_hash', 'code_hash', 'handle_hash', 'token_hash', 'jti_hash',
    'password_sha256', 'secret_sha256', 'sealed_key'];
  changed text[];
begin
  changed := array(
    select s from unnest(secrets) s
     where p_before ? s and p_after ? s and p_before -> s is distinct from p_after -> s);
  insert into auth.audit (actor, login, origin, action, object, before, after)
  values (
    coalesce(nullif(current_setting('authserver.actor', true), ''), session_user),
    session_user,
    coalesce(nullif(current_setting('authserver.origin', true), ''), host(inet_client_addr()), 'local'),
    p_action,
    p_object,
    p_before - secrets,
    (p_after - secrets) || case when cardinality(changed) > 0 then jsonb_build_object('changed', changed) else '{}'::jsonb end);
  perform pg_notify('authserver_' || split_part(p_action, '.', 1), '');
end
$$;

-- api.schema_version tells a program whether the database fits it.
create or replace function api.schema_version()
returns int
language sql stable security definer set search_path = auth, pg_temp
begin atomic
  select i.version from auth.installed i;
end;

-- api.function_digest tells it whether the stored functions are those that it
-- was built with.
create or replace function api.function_digest()
returns text
language sql stable security definer set search_path = auth, pg_temp
begin atomic
  select i.api_digest from auth.installed i;
end;

-- api.audit_trail returns audit rows, newest first. Null parameters match all.
create or replace function api.audit_trail(
  p_object text,
  p_action text,         -- an action, or a noun: 'user' means every 'user.…'
  p_actor  text,
  p_since  timestamptz,
  p_limit  int
)
returns table (id bigint, at timestamptz, actor text, login text, origin text, action text, object text, before jsonb, after jsonb)
language sql stable security definer set search_path = auth, pg_temp
begin atomic
  select a.id, a.at, a.actor, a.login::text, a.origin, a.action, a.object, a.before, a.after
    from auth.audit a
   where (p_object is null or a.object = p_object)
     and (p_action is null or a.action = p_action or starts_with(a.action, p_action || '.'))
     and (p_actor is null or a.actor = p_actor)
     and (p_since is null or a.at >= p_since)
   order by a.id desc
   limit p_limit;
end;
