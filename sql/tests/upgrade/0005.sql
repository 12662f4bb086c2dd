-- DO NOT EDIT. The database at version 5, with data, as pg_dump --inserts
-- writes it (without the lines for psql that begin with a backslash).
-- TestUpgrade brings it to today's version.
--
-- PostgreSQL database dump
--





SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: api; Type: SCHEMA; Schema: -; Owner: authserver_owner
--

CREATE SCHEMA api;


ALTER SCHEMA api OWNER TO authserver_owner;

--
-- Name: auth; Type: SCHEMA; Schema: -; Owner: authserver_owner
--

CREATE SCHEMA auth;


ALTER SCHEMA auth OWNER TO authserver_owner;

--
-- Name: add_mailing_list_addresses(bigint, text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.add_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], OUT outcome text, OUT added text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  list auth.mailing_lists;
begin
  select m.* into list from auth.mailing_lists m where m.id = p_mailing_list_id for no key update;
  if list.id is null then
    outcome := 'gone';
    return;
  end if;
  added := auth.append_to_list(list.id, p_addresses);
  if cardinality(added) > 0 then
    perform auth.record('mailing_list.add_address', list.name, null,
      jsonb_build_object('id', list.id, 'addresses', added));
  end if;
  outcome := 'ok';
end
$$;


ALTER FUNCTION api.add_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], OUT outcome text, OUT added text[]) OWNER TO authserver_owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: audit; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    login name DEFAULT SESSION_USER NOT NULL,
    origin text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    before jsonb,
    after jsonb,
    CONSTRAINT audit_action_form CHECK ((action ~ '^[a-z_]+\.[a-z_]+$'::text))
);


ALTER TABLE auth.audit OWNER TO authserver_owner;

--
-- Name: audit_trail(text, text, text, timestamp with time zone, integer); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.audit_trail(p_object text, p_action text, p_actor text, p_since timestamp with time zone, p_limit integer) RETURNS TABLE(id bigint, at timestamp with time zone, actor text, login text, origin text, action text, object text, before jsonb, after jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    BEGIN ATOMIC
 SELECT a.id,
     a.at,
     a.actor,
     (a.login)::text AS login,
     a.origin,
     a.action,
     a.object,
     a.before,
     a.after
    FROM auth.audit a
   WHERE (((audit_trail.p_object IS NULL) OR (a.object = audit_trail.p_object)) AND ((audit_trail.p_action IS NULL) OR (a.action = audit_trail.p_action) OR starts_with(a.action, (audit_trail.p_action || '.'::text))) AND ((audit_trail.p_actor IS NULL) OR (a.actor = audit_trail.p_actor)) AND ((audit_trail.p_since IS NULL) OR (a.at >= audit_trail.p_since)))
   ORDER BY a.id DESC
  LIMIT audit_trail.p_limit;
END;


ALTER FUNCTION api.audit_trail(p_object text, p_action text, p_actor text, p_since timestamp with time zone, p_limit integer) OWNER TO authserver_owner;

--
-- Name: block_aliases(text[], boolean, uuid, bigint, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.block_aliases(p_addresses text[], p_create boolean, p_user_id uuid, p_mailing_list_id bigint, p_dry_run boolean) RETURNS TABLE(address text, mailbox_of text, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  alias_ids bigint[];
  owner text;
  place record;
  was auth.aliases;
  made auth.aliases;
  refused boolean := false;
begin
  perform from auth.domains d
    where d.id in (select f.domain_id from unnest(p_addresses) s cross join lateral auth.find_exact_alias(s) f)
    order by d.id for key share;
  alias_ids := array(select f.alias_id from unnest(p_addresses) s cross join lateral auth.find_exact_alias(s) f);
  perform auth.hold_users(alias_ids, p_user_id);
  owner := auth.hold_owner(p_user_id, p_mailing_list_id);
  perform from auth.aliases a where a.id = any (alias_ids) order by a.id for update;

  for address in select distinct s from unnest(p_addresses) s order by s loop
    select f.* into place from auth.find_exact_alias(address) f;
    mailbox_of := auth.mailbox_of(place.alias_id);
    outcome := case
      when place.alias_id is not null then 'blocked'
      when place.domain_id is null    then 'unknown_domain'
      when not p_create               then 'unknown'
      when owner <> 'ok'              then owner
      else 'created'
    end;
    refused := refused or outcome not in ('blocked', 'created');
    return next;
  end loop;
  if refused or p_dry_run is not false then
    return;
  end if;

  -- Addresses that are new are claimed in one order.
  for place in
    select distinct f.domain_id, f.local_part
      from unnest(p_addresses) s cross join lateral auth.find_exact_alias(s) f
     order by f.domain_id, f.local_part
  loop
    insert into auth.aliases (local_part, domain_id, user_id, mailing_list_id, blocked)
    values (place.local_part, place.domain_id, p_user_id, p_mailing_list_id, true)
    on conflict (domain_id, local_part) do nothing
    returning * into made;
    if made.id is not null then
      perform auth.record('alias.create', auth.address_of(made), null, to_jsonb(made));
      continue;
    end if;
    select a.* into was from auth.aliases a
     where a.domain_id = place.domain_id and a.local_part = place.local_part and not a.blocked
       for update;
    if was.id is not null then
      update auth.aliases a set blocked = true where a.id = was.id returning * into made;
      perform auth.record('alias.edit', auth.address_of(made), to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
end
$$;


ALTER FUNCTION api.block_aliases(p_addresses text[], p_create boolean, p_user_id uuid, p_mailing_list_id bigint, p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: burn_email_agent_token(bytea); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.burn_email_agent_token(p_token_hash bytea, OUT outcome text, OUT token_hint text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.email_agent_tokens;
begin
  select t.* into was from auth.email_agent_tokens t where t.token_hash = p_token_hash for update;
  token_hint := was.token_hint;
  outcome := case
    when was.id is null            then 'unknown'
    when was.burned_at is not null then 'burned'
    else 'ok'
  end;
  if outcome = 'ok' then
    perform auth.burn_email_agent_token(p_token_hash);
  end if;
end
$$;


ALTER FUNCTION api.burn_email_agent_token(p_token_hash bytea, OUT outcome text, OUT token_hint text) OWNER TO authserver_owner;

--
-- Name: check_email_agent_token(bytea); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.check_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  select j.* into outcome, creator, creator_id, primary_address, token_hint, burned_at
    from auth.judge_email_agent_token(p_token_hash) j;
end
$$;


ALTER FUNCTION api.check_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) OWNER TO authserver_owner;

--
-- Name: create_alias(text, text, uuid, bigint, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_alias(p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean, OUT outcome text, OUT redirect_to text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  place auth.domains;
  made auth.aliases;
begin
  select d.* into place from auth.domains d where d.name = p_domain for key share;
  outcome := case
    when place.id is null                                                    then 'unknown_domain'
    when num_nonnulls(p_user_id, p_mailing_list_id) = 0 and not p_blocked    then 'ownerless'
    when octet_length(p_local_part || '@' || p_domain) > 254                 then 'too_long'
    else auth.hold_owner(p_user_id, p_mailing_list_id)
  end;
  if outcome <> 'ok' then
    return;
  end if;

  insert into auth.aliases (local_part, domain_id, user_id, mailing_list_id, blocked)
  values (p_local_part, place.id, p_user_id, p_mailing_list_id, p_blocked)
  on conflict (domain_id, local_part) do nothing
  returning * into made;
  if made.id is null then
    outcome := 'exists';
    return;
  end if;
  perform auth.record('alias.create', auth.address_of(made), null, to_jsonb(made));
  redirect_to := place.redirect_to;
end
$$;


ALTER FUNCTION api.create_alias(p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean, OUT outcome text, OUT redirect_to text) OWNER TO authserver_owner;

--
-- Name: create_app_password(uuid, text, text, bytea, text, text[], cidr[], timestamp with time zone); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_app_password(p_user_id uuid, p_id text, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  perform from auth.users u where u.id = p_user_id for key share;
  if not found then
    outcome := 'gone';
    return;
  end if;
  outcome := case
    when auth.add_app_password(p_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at)
    then 'ok' else 'id_taken' end;
end
$$;


ALTER FUNCTION api.create_app_password(p_user_id uuid, p_id text, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text) OWNER TO authserver_owner;

--
-- Name: create_domain(text, text, text, boolean, boolean, text, text, jsonb); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_domain(p_name text, p_unicode_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_keys jsonb, OUT outcome text, OUT detail text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.domains;
begin
  perform auth.lock_redirects();
  if exists (select from auth.domains d where d.name = p_name) then
    outcome := 'exists';
    return;
  end if;
  detail := auth.redirect_loop(p_name, p_redirect_to);
  if detail is not null then
    outcome := 'loop';
    return;
  end if;

  insert into auth.domains (name, unicode_name, redirect_to, jwt_subdomains, transactional, dkim_selector, subaddress_separators)
  values (p_name, p_unicode_name, p_redirect_to, p_jwt_subdomains, p_transactional, p_dkim_selector, p_subaddress_separators)
  returning * into made;
  perform auth.record('domain.create', made.name, null, to_jsonb(made));
  select k.outcome, k.detail into outcome, detail from auth.add_keys(made, p_keys, false) k;
end
$$;


ALTER FUNCTION api.create_domain(p_name text, p_unicode_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_keys jsonb, OUT outcome text, OUT detail text) OWNER TO authserver_owner;

--
-- Name: create_email_agent_token(uuid, bytea, text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_email_agent_token(p_creator_id uuid, p_token_hash bytea, p_token_hint text, OUT outcome text, OUT id bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  creator_active boolean;
  made auth.email_agent_tokens;
begin
  select u.active into creator_active from auth.users u where u.id = p_creator_id for key share;
  outcome := case
    when not found          then 'gone'
    when not creator_active then 'inactive'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;
  insert into auth.email_agent_tokens (creator_id, token_hash, token_hint)
  values (p_creator_id, p_token_hash, p_token_hint)
  returning * into made;
  perform auth.record('email_agent_token.create', made.token_hint, null, to_jsonb(made));
  id := made.id;
end
$$;


ALTER FUNCTION api.create_email_agent_token(p_creator_id uuid, p_token_hash bytea, p_token_hint text, OUT outcome text, OUT id bigint) OWNER TO authserver_owner;

--
-- Name: create_group(text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_group(p_name text, OUT outcome text, OUT group_id bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.groups;
begin
  insert into auth.groups (name) values (p_name) on conflict (name) do nothing returning * into made;
  if made.id is null then
    outcome := 'exists';
    return;
  end if;
  perform auth.record('group.create', made.name, null, to_jsonb(made));
  outcome := 'ok';
  group_id := made.id;
end
$$;


ALTER FUNCTION api.create_group(p_name text, OUT outcome text, OUT group_id bigint) OWNER TO authserver_owner;

--
-- Name: create_mailing_list(text, text, uuid, text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_mailing_list(p_name text, p_new_mailfrom text, p_owner_id uuid, p_addresses text[], OUT outcome text, OUT mailing_list_id bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.mailing_lists;
begin
  outcome := case
    when coalesce(cardinality(p_addresses), 0) = 0 then 'empty'
    else auth.hold_owner(p_owner_id, null)
  end;
  if outcome <> 'ok' then
    return;
  end if;
  insert into auth.mailing_lists (name, new_mailfrom, owner_id)
  values (p_name, p_new_mailfrom, p_owner_id)
  returning * into made;
  mailing_list_id := made.id;
  perform auth.record('mailing_list.create', made.name, null,
    to_jsonb(made) || jsonb_build_object('addresses', auth.append_to_list(made.id, p_addresses)));
end
$$;


ALTER FUNCTION api.create_mailing_list(p_name text, p_new_mailfrom text, p_owner_id uuid, p_addresses text[], OUT outcome text, OUT mailing_list_id bigint) OWNER TO authserver_owner;

--
-- Name: create_permission(text, text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_permission(p_permission_name text, p_name text, OUT outcome text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.permissions;
begin
  insert into auth.permissions (permission_name, name) values (p_permission_name, p_name)
  on conflict (permission_name) do nothing
  returning * into made;
  if made.id is null then
    outcome := 'exists';
    return;
  end if;
  perform auth.record('permission.create', made.permission_name, null, to_jsonb(made));
  outcome := 'ok';
end
$$;


ALTER FUNCTION api.create_permission(p_permission_name text, p_name text, OUT outcome text) OWNER TO authserver_owner;

--
-- Name: create_service_user(uuid, text, text, text, text, bytea, text, text[], cidr[], timestamp with time zone); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_service_user(p_user_id uuid, p_username text, p_description text, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint, OUT username text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.service_users;
begin
  username := coalesce(p_username, gen_random_uuid()::text);
  outcome := auth.may_have_service_users(p_user_id);
  if outcome <> 'ok' then
    return;
  end if;
  outcome := auth.claim_login_name(username, 'service_user');
  if outcome <> 'ok' then
    return;
  end if;
  if p_app_password_id is not null
     and not auth.add_app_password(p_app_password_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at) then
    delete from auth.login_names n where n.name = username;
    outcome := 'id_taken';
    return;
  end if;

  insert into auth.service_users (user_id, username, description, password_hash, app_password_id)
  values (p_user_id, create_service_user.username, p_description, p_password_hash, p_app_password_id)
  returning * into made;
  perform auth.record('service_user.create', made.username, null, to_jsonb(made));
  service_user_id := made.id;
end
$$;


ALTER FUNCTION api.create_service_user(p_user_id uuid, p_username text, p_description text, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint, OUT username text) OWNER TO authserver_owner;

--
-- Name: create_user(text, text, text, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.create_user(p_identifier text, p_full_name text, p_password_hash text, p_staff boolean, OUT outcome text, OUT user_id uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  made auth.users;
begin
  outcome := auth.claim_login_name(p_identifier, 'user');
  if outcome <> 'ok' then
    return;
  end if;
  insert into auth.users (identifier, full_name, password_hash, staff)
  values (p_identifier, p_full_name, p_password_hash, p_staff)
  returning * into made;

  perform auth.record('user.create', made.identifier, null, to_jsonb(made));
  user_id := made.id;
end
$$;


ALTER FUNCTION api.create_user(p_identifier text, p_full_name text, p_password_hash text, p_staff boolean, OUT outcome text, OUT user_id uuid) OWNER TO authserver_owner;

--
-- Name: edit_aliases(bigint[], text, text, uuid, bigint, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.edit_aliases(p_alias_ids bigint[], p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) RETURNS TABLE(alias_id bigint, address text, new_address text, mailbox_of text, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $_$
declare
  place auth.domains;  -- where they are to go
  owner text;
  was auth.aliases;
  made auth.aliases;
  new_addresses text[] := '{}';
  refused boolean := false;
begin
  select d.* into place from auth.domains d where d.name = p_domain for key share;
  perform auth.hold_users(p_alias_ids, p_user_id);
  owner := auth.hold_owner(p_user_id, p_mailing_list_id);
  perform from auth.aliases a where a.id = any (p_alias_ids) order by a.id for update;

  for alias_id in select distinct i from unnest(p_alias_ids) i order by i loop
    select a.* into was from auth.aliases a where a.id = edit_aliases.alias_id;
    address := auth.address_of(was);
    new_address := coalesce(p_local_part, was.local_part) || '@' || coalesce(place.name, substring(address from '[^@]*$'));
    mailbox_of := auth.mailbox_of(was.id);
    outcome := case
      when was.id is null                                 then 'gone'
      when num_nonnulls(p_user_id, p_mailing_list_id) = 2 then 'two_owners'
      when p_domain is not null and place.id is null      then 'unknown_domain'
      when owner <> 'ok'                                  then owner
      when not p_blocked
       and num_nonnulls(was.user_id, was.mailing_list_id, p_user_id, p_mailing_list_id) = 0
                                                          then 'ownerless'
      when mailbox_of is not null
       and (p_mailing_list_id is not null or p_user_id <> was.user_id)
                                                          then 'is_mailbox'
      when octet_length(new_address) > 254                then 'too_long'
      when new_address = any (new_addresses)
        or (new_address <> address and (auth.find_exact_alias(new_address)).alias_id is not null)
                                                          then 'exists'
      else 'ok'
    end;
    new_addresses := new_addresses || new_address;
    refused := refused or outcome <> 'ok';
    return next;
  end loop;
  if refused then
    return;
  end if;

  for was in select a.* from auth.aliases a where a.id = any (p_alias_ids) order by a.id loop
    update auth.aliases a
       set local_part      = coalesce(p_local_part, a.local_part),
           domain_id       = coalesce(place.id, a.domain_id),
           user_id         = case when p_mailing_list_id is null then coalesce(p_user_id, a.user_id) end,
           mailing_list_id = case when p_user_id is null then coalesce(p_mailing_list_id, a.mailing_list_id) end,
           blocked         = coalesce(p_blocked, a.blocked)
     where a.id = was.id
    returning * into made;
    if made is distinct from was then
      perform auth.record('alias.edit', auth.address_of(was), to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
exception when unique_violation then
  -- Somebody has made the address since it was looked for.
  alias_id := was.id;
  address := auth.address_of(was);
  new_address := coalesce(p_local_part, was.local_part) || '@' || coalesce(place.name, substring(address from '[^@]*$'));
  outcome := 'exists';
  return next;
end
$_$;


ALTER FUNCTION api.edit_aliases(p_alias_ids bigint[], p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) OWNER TO authserver_owner;

--
-- Name: edit_domain(text, text, boolean, boolean, text, text, text[], jsonb, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.edit_domain(p_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_remove_keys text[], p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.domains;
  made auth.domains;
begin
  if p_redirect_to is not null then
    perform auth.lock_redirects();
  end if;
  select d.* into was from auth.domains d where d.name = p_name for update;
  if was.id is null then
    outcome := 'unknown';
    return;
  end if;
  detail := auth.redirect_loop(was.name, nullif(p_redirect_to, ''));
  if detail is not null then
    outcome := 'loop';
    return;
  end if;

  -- Whatever may refuse comes before the first change.
  if not coalesce(p_keys @> '[{"purpose": "dkim"}]', false) then
    detail := auth.taken_selector(was, p_dkim_selector);
    if detail is not null then
      outcome := 'selector_taken';
      return;
    end if;
  end if;
  select k.outcome, k.detail into outcome, detail from auth.add_keys(was, p_keys, p_replace) k;
  if outcome <> 'ok' then
    return;
  end if;
  if not coalesce(p_keys @> '[{"purpose": "dkim"}]', false) then
    perform auth.rename_selectors(was, p_dkim_selector);
  end if;
  perform auth.remove_keys(was, p_remove_keys);

  update auth.domains d
     set redirect_to           = case when p_redirect_to is null then d.redirect_to else nullif(p_redirect_to, '') end,
         jwt_subdomains        = coalesce(p_jwt_subdomains, d.jwt_subdomains),
         transactional         = coalesce(p_transactional, d.transactional),
         dkim_selector         = coalesce(p_dkim_selector, d.dkim_selector),
         subaddress_separators = coalesce(p_subaddress_separators, d.subaddress_separators)
   where d.id = was.id
  returning * into made;
  if made is distinct from was then
    perform auth.record('domain.edit', was.name, to_jsonb(was), to_jsonb(made));
  end if;
end
$$;


ALTER FUNCTION api.edit_domain(p_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_remove_keys text[], p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) OWNER TO authserver_owner;

--
-- Name: edit_mailing_lists(bigint[], text, text, uuid, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.edit_mailing_lists(p_mailing_list_ids bigint[], p_name text, p_new_mailfrom text, p_owner_id uuid, p_ownerless boolean, OUT outcome text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.mailing_lists;
  made auth.mailing_lists;
begin
  outcome := auth.hold_owner(p_owner_id, null);
  if outcome <> 'ok' then
    return;
  end if;
  perform from auth.mailing_lists m where m.id = any (p_mailing_list_ids) order by m.id for update;
  if exists (select from unnest(p_mailing_list_ids) i where not exists (select from auth.mailing_lists m where m.id = i)) then
    outcome := 'gone';
    return;
  end if;

  for was in select m.* from auth.mailing_lists m where m.id = any (p_mailing_list_ids) order by m.id loop
    update auth.mailing_lists m
       set name         = coalesce(p_name, m.name),
           new_mailfrom = case when p_new_mailfrom is null then m.new_mailfrom else nullif(p_new_mailfrom, '') end,
           owner_id     = case when p_ownerless is not true then coalesce(p_owner_id, m.owner_id) end
     where m.id = was.id
    returning * into made;
    if made is distinct from was then
      perform auth.record('mailing_list.edit', was.name, to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
end
$$;


ALTER FUNCTION api.edit_mailing_lists(p_mailing_list_ids bigint[], p_name text, p_new_mailfrom text, p_owner_id uuid, p_ownerless boolean, OUT outcome text) OWNER TO authserver_owner;

--
-- Name: edit_service_users(bigint[], text, text, uuid, text, text, bytea, text, text[], cidr[], timestamp with time zone); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.edit_service_users(p_service_user_ids bigint[], p_username text, p_description text, p_user_id uuid, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  new_password constant boolean := num_nonnulls(p_password_hash, p_app_password_id) > 0;
  was auth.service_users;
  made auth.service_users;
  moves auth.app_passwords;
begin
  perform from auth.users u
    where u.id = p_user_id
       or u.id in (select s.user_id from auth.service_users s where s.id = any (p_service_user_ids))
    order by u.id for key share;
  perform from auth.service_users s where s.id = any (p_service_user_ids) order by s.id for update;
  select i into service_user_id from unnest(p_service_user_ids) i
   where not exists (select from auth.service_users s where s.id = i) limit 1;
  if service_user_id is not null then
    outcome := 'gone';
    return;
  end if;
  if (p_username is not null or new_password)
     and (select count(distinct i) from unnest(p_service_user_ids) i) > 1 then
    outcome := 'several';
    return;
  end if;
  if p_user_id is not null then
    outcome := auth.may_have_service_users(p_user_id);
    if outcome <> 'ok' then
      outcome := case outcome when 'gone' then 'no_user' else outcome end;
      return;
    end if;
  end if;

  for was in select s.* from auth.service_users s where s.id = any (p_service_user_ids) order by s.id loop
    -- Only in the first and only round can these refuse.
    if p_username <> was.username then
      outcome := auth.claim_login_name(p_username, 'service_user');
      if outcome <> 'ok' then
        return;
      end if;
    end if;
    if p_app_password_id is not null
       and not auth.add_app_password(p_app_password_id, coalesce(p_user_id, was.user_id), coalesce(p_description, was.description),
             p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at) then
      delete from auth.login_names n where n.name = p_username and n.name <> was.username;
      outcome := 'id_taken';
      return;
    end if;

    select ap.* into moves from auth.app_passwords ap
     where ap.id = was.app_password_id and ap.user_id <> p_user_id and not new_password
       for update;
    -- In one statement, because the two rows name the same user.
    with moved as (
      update auth.app_passwords ap set user_id = p_user_id
       where ap.id = moves.id
    )
    update auth.service_users s
       set user_id         = coalesce(p_user_id, s.user_id),
           username        = coalesce(p_username, s.username),
           description     = coalesce(p_description, s.description),
           password_hash   = case when new_password then p_password_hash else s.password_hash end,
           app_password_id = case when new_password then p_app_password_id else s.app_password_id end
     where s.id = was.id
    returning s.* into made;
    if made.username <> was.username then
      delete from auth.login_names n where n.name = was.username;
    end if;
    if moves.id is not null then
      perform auth.record('app_password.edit', ap.id, to_jsonb(moves), to_jsonb(ap)) from auth.app_passwords ap where ap.id = moves.id;
    end if;
    if made.app_password_id is distinct from was.app_password_id then
      perform auth.revoke_app_password(was.app_password_id);
    end if;
    if made is distinct from was then
      perform auth.record('service_user.edit', was.username, to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
  outcome := 'ok';
end
$$;


ALTER FUNCTION api.edit_service_users(p_service_user_ids bigint[], p_username text, p_description text, p_user_id uuid, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint) OWNER TO authserver_owner;

--
-- Name: edit_users(uuid[], text, text, text, boolean, boolean, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.edit_users(p_user_ids uuid[], p_identifier text, p_full_name text, p_password_hash text, p_remove_password boolean, p_staff boolean, p_active boolean, OUT outcome text, OUT user_id uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.users;
  made auth.users;
begin
  -- Who edits several locks them in one order; users come before their names.
  perform from auth.users u where u.id = any (p_user_ids) order by u.id for update;
  select i into user_id from unnest(p_user_ids) i
   where not exists (select from auth.users u where u.id = i) limit 1;
  if user_id is not null then
    outcome := 'gone';
    return;
  end if;

  if p_identifier is not null then
    if (select count(distinct i) from unnest(p_user_ids) i) > 1 then
      outcome := 'several';
      return;
    end if;
    if not exists (select from auth.users u where u.id = any (p_user_ids) and u.identifier = p_identifier) then
      outcome := auth.claim_login_name(p_identifier, 'user');
      if outcome <> 'ok' then
        return;
      end if;
    end if;
  end if;

  for was in select u.* from auth.users u where u.id = any (p_user_ids) order by u.id loop
    update auth.users u
       set identifier    = coalesce(p_identifier, u.identifier),
           full_name     = coalesce(p_full_name, u.full_name),
           password_hash = case when p_remove_password then null else coalesce(p_password_hash, u.password_hash) end,
           staff         = coalesce(p_staff, u.staff),
           active        = coalesce(p_active, u.active)
     where u.id = was.id
    returning * into made;
    if made.identifier <> was.identifier then
      delete from auth.login_names n where n.name = was.identifier;
    end if;
    if made is distinct from was then
      perform auth.record('user.edit', was.identifier, to_jsonb(was), to_jsonb(made));
    end if;
  end loop;
  outcome := 'ok';
end
$$;


ALTER FUNCTION api.edit_users(p_user_ids uuid[], p_identifier text, p_full_name text, p_password_hash text, p_remove_password boolean, p_staff boolean, p_active boolean, OUT outcome text, OUT user_id uuid) OWNER TO authserver_owner;

--
-- Name: find_aliases(text[], text, text, text, uuid, bigint, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_aliases(p_addresses text[], p_local_part text, p_domain text, p_contains text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) RETURNS TABLE(selector text, id bigint, local_part text, domain text, target_type text, target text, blocked boolean, mailbox boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  part constant text := lower(p_contains collate "C");
begin
  return query
    select w.selector, a.id, a.local_part, d.name,
           case when a.user_id is not null         then 'user'
                when a.mailing_list_id is not null then 'mailing-list'
                when a.id is not null              then 'none' end,
           coalesce(u.identifier, m.name),
           a.blocked,
           u.delivery_mailbox_id is not distinct from a.id
      from (select s as selector, f.alias_id
              from unnest(p_addresses) s cross join lateral auth.find_exact_alias(s) f
            union all
            select null, every.id from auth.aliases every where p_addresses is null) w
      left join auth.aliases a on a.id = w.alias_id
      left join auth.domains d on d.id = a.domain_id
      left join auth.users u on u.id = a.user_id
      left join auth.mailing_lists m on m.id = a.mailing_list_id
     where a.id is null
        or ((p_local_part is null or a.local_part = p_local_part)
        and (p_domain is null or d.name = p_domain)
        and (part is null
             or strpos(a.local_part || '@' || d.name, part) > 0
             or strpos(a.local_part || '@' || d.unicode_name, part) > 0)
        and (p_user_id is null or a.user_id = p_user_id)
        and (p_mailing_list_id is null or a.mailing_list_id = p_mailing_list_id)
        and (p_blocked is null or a.blocked = p_blocked))
     order by d.name collate "C", a.local_part collate "C", w.selector;
end
$$;


ALTER FUNCTION api.find_aliases(p_addresses text[], p_local_part text, p_domain text, p_contains text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) OWNER TO authserver_owner;

--
-- Name: find_app_passwords(text[], text, uuid); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_app_passwords(p_ids text[], p_contains text, p_user_id uuid) RETURNS TABLE(selector text, id text, user_identifier text, user_id uuid, service_user text, description text, services text[], networks text[], status text, created_at timestamp with time zone, expires_at timestamp with time zone, revoked_at timestamp with time zone, last_used_at timestamp with time zone, last_used_service text, last_used_from text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select w.selector, ap.id, u.identifier, ap.user_id, s.username, ap.description, ap.services, ap.networks::text[],
           case
             when ap.id is null           then null
             when ap.revoked_at is not null then 'revoked'
             when ap.expires_at <= now()  then 'expired'
             else 'active'
           end,
           ap.created_at, ap.expires_at, ap.revoked_at, ap.last_used_at, ap.last_used_service, host(ap.last_used_from)
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


ALTER FUNCTION api.find_app_passwords(p_ids text[], p_contains text, p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: find_domains(text, text, text, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_domains(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean) RETURNS TABLE(id bigint, name text, unicode_name text, redirect_to text, jwt_subdomains boolean, transactional boolean, dkim_selector text, subaddress_separators text, has_jwt_key boolean, has_dkim_key boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select d.id, d.name, d.unicode_name, d.redirect_to, d.jwt_subdomains, d.transactional,
           d.dkim_selector, d.subaddress_separators,
           exists (select from auth.keys k where k.domain_id = d.id and k.purpose = 'jwt' and k.state = 'active'),
           exists (select from auth.keys k where k.domain_id = d.id and k.purpose = 'dkim' and k.state = 'active')
      from auth.domains d
     where ((p_name is null or d.name = p_name)
            and (p_contains is null
                 or strpos(d.name, lower(p_contains)) > 0
                 or strpos(d.unicode_name, lower(p_contains)) > 0)
            or d.name = any (auth.domains_above(p_above)))
       and (p_jwt_subdomains is null or d.jwt_subdomains = p_jwt_subdomains)
     order by d.name collate "C";
end
$$;


ALTER FUNCTION api.find_domains(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean) OWNER TO authserver_owner;

--
-- Name: find_keys(text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_keys(p_domain text) RETURNS TABLE(id bigint, purpose text, algorithm text, state text, selector text, kid text, public_key bytea, created_at timestamp with time zone, activated_at timestamp with time zone, retired_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select k.id, k.purpose, k.algorithm, k.state, k.selector, k.kid, k.public_key,
           k.created_at, k.activated_at, k.retired_at
      from auth.keys k
      join auth.domains d on d.id = k.domain_id
     where d.name = p_domain
     order by k.purpose, array_position(array['active', 'published', 'retired'], k.state),
              array_position(array['rsa', 'ecdsa-p256', 'ed25519'], k.algorithm), k.id;
end
$$;


ALTER FUNCTION api.find_keys(p_domain text) OWNER TO authserver_owner;

--
-- Name: find_mailing_lists(text[], text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_mailing_lists(p_selectors text[], p_contains text) RETURNS TABLE(selector text, id bigint, name text, new_mailfrom text, addresses text[], owner text, aliases text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select w.selector, m.id, m.name, m.new_mailfrom,
           auth.addresses_of_list(m.id),
           u.identifier,
           array(select a.local_part || '@' || d.name
                   from auth.aliases a join auth.domains d on d.id = a.domain_id
                  where a.mailing_list_id = m.id
                  order by 1)
      from (select s as selector, wanted
              from unnest(p_selectors) s left join lateral auth.match_mailing_lists(s) wanted on true
            union all
            select null, every.id from auth.mailing_lists every where p_selectors is null) w
      left join auth.mailing_lists m on m.id = w.wanted
      left join auth.users u on u.id = m.owner_id
     where p_contains is null or m.id is null or strpos(lower(m.name), lower(p_contains)) > 0
     order by lower(m.name) collate "C", m.id, w.selector;
end
$$;


ALTER FUNCTION api.find_mailing_lists(p_selectors text[], p_contains text) OWNER TO authserver_owner;

--
-- Name: find_parent_domain(text, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_parent_domain(p_name text, p_with_key boolean) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return (
    select d.name
      from auth.domains d
     where (d.name = p_name or (d.name = any (auth.domains_above(p_name)) and d.jwt_subdomains))
       and (not p_with_key
            or exists (select from auth.keys k where k.domain_id = d.id and k.purpose = 'jwt' and k.state = 'active'))
     order by length(d.name) desc
     limit 1);
end
$$;


ALTER FUNCTION api.find_parent_domain(p_name text, p_with_key boolean) OWNER TO authserver_owner;

--
-- Name: find_service_users(text[], text, uuid); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_service_users(p_selectors text[], p_contains text, p_user_id uuid) RETURNS TABLE(selector text, id bigint, username text, description text, user_identifier text, user_id uuid, app_password_id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select w.selector, s.id, s.username, s.description, u.identifier, s.user_id, s.app_password_id
      from (select i as selector, auth.find_service_user(i) as wanted from unnest(p_selectors) i
            union all
            select null, every.id from auth.service_users every where p_selectors is null) w
      left join auth.service_users s on s.id = w.wanted
      left join auth.users u on u.id = s.user_id
     where (p_contains is null or s.id is null
            or strpos(lower(s.username), lower(p_contains)) > 0
            or strpos(lower(s.description), lower(p_contains)) > 0)
       and (p_user_id is null or s.id is null or s.user_id = p_user_id)
     order by s.username collate "C", w.selector;
end
$$;


ALTER FUNCTION api.find_service_users(p_selectors text[], p_contains text, p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: find_users(text[], text, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.find_users(p_selectors text[], p_contains text, p_active boolean) RETURNS TABLE(selector text, id uuid, identifier text, full_name text, delivery_mailbox text, active boolean, staff boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select w.selector, u.id, u.identifier, u.full_name,
           a.local_part || '@' || d.name, u.active, u.staff
      from (select s as selector, auth.find_user(s) as user_id from unnest(p_selectors) s
            union all
            select null, all_users.id from auth.users all_users where p_selectors is null) w
      left join auth.users u on u.id = w.user_id
      left join auth.aliases a on a.id = u.delivery_mailbox_id
      left join auth.domains d on d.id = a.domain_id
     where (p_contains is null or u.id is null
            or strpos(lower(u.identifier), lower(p_contains)) > 0
            or strpos(lower(u.full_name), lower(p_contains)) > 0)
       and (p_active is null or u.id is null or u.active = p_active)
     order by u.identifier collate "C", w.selector;
end
$$;


ALTER FUNCTION api.find_users(p_selectors text[], p_contains text, p_active boolean) OWNER TO authserver_owner;

--
-- Name: installed; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.installed (
    only_row boolean DEFAULT true NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    api_digest text DEFAULT ''::text NOT NULL,
    spapi boolean DEFAULT false NOT NULL,
    CONSTRAINT installed_only_row_check CHECK (only_row)
);


ALTER TABLE auth.installed OWNER TO authserver_owner;

--
-- Name: function_digest(); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.function_digest() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    BEGIN ATOMIC
 SELECT i.api_digest
    FROM auth.installed i;
END;


ALTER FUNCTION api.function_digest() OWNER TO authserver_owner;

--
-- Name: grant_group_permissions(text, text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.grant_group_permissions(p_group text, p_permissions text[], OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  holder bigint;
  ids bigint[];
begin
  select g.id, g.name into holder, name from auth.groups g where g.id = auth.find_group(p_group) for no key update;
  if holder is null then
    outcome := 'no_group';
    return;
  end if;
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_permissions(p_permissions) h;
  if outcome <> 'ok' then
    return;
  end if;
  with made as (
    insert into auth.group_permissions (group_id, permission_id) select holder, i from unnest(ids) i
    on conflict do nothing returning permission_id)
  select auth.permission_names(array_agg(made.permission_id)) into changed from made;
  if cardinality(changed) > 0 then
    perform auth.record('permission.grant_group', name, null, jsonb_build_object('permissions', changed));
  end if;
end
$$;


ALTER FUNCTION api.grant_group_permissions(p_group text, p_permissions text[], OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: grant_memberships(text, text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.grant_memberships(p_user text, p_groups text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  member uuid;
  ids bigint[];
begin
  select u.id, u.identifier into member, identifier from auth.users u where u.id = auth.find_user(p_user) for no key update;
  if member is null then
    outcome := 'no_user';
    return;
  end if;
  select h.unknown, h.ids into detail, ids from auth.hold_groups(p_groups) h;
  if cardinality(detail) > 0 then
    outcome := 'unknown_group';
    return;
  end if;
  with made as (
    insert into auth.group_members (user_id, group_id) select member, i from unnest(ids) i
    on conflict do nothing returning group_id)
  select coalesce(array_agg(g.name order by g.name collate "C"), '{}') into changed
    from made join auth.groups g on g.id = made.group_id;
  if cardinality(changed) > 0 then
    perform auth.record('permission.grant_membership', identifier, null, jsonb_build_object('groups', changed));
  end if;
  outcome := 'ok';
end
$$;


ALTER FUNCTION api.grant_memberships(p_user text, p_groups text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: grant_user_permissions(text, text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.grant_user_permissions(p_user text, p_permissions text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  holder uuid;
  ids bigint[];
begin
  select u.id, u.identifier into holder, identifier from auth.users u where u.id = auth.find_user(p_user) for no key update;
  if holder is null then
    outcome := 'no_user';
    return;
  end if;
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_permissions(p_permissions) h;
  if outcome <> 'ok' then
    return;
  end if;
  with made as (
    insert into auth.user_permissions (user_id, permission_id) select holder, i from unnest(ids) i
    on conflict do nothing returning permission_id)
  select auth.permission_names(array_agg(made.permission_id)) into changed from made;
  if cardinality(changed) > 0 then
    perform auth.record('permission.grant_user', identifier, null, jsonb_build_object('permissions', changed));
  end if;
end
$$;


ALTER FUNCTION api.grant_user_permissions(p_user text, p_permissions text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: email_agent_tokens; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.email_agent_tokens (
    id bigint NOT NULL,
    creator_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    token_hint text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    burned_at timestamp with time zone,
    CONSTRAINT email_agent_tokens_hash_is_sha256 CHECK ((octet_length(token_hash) = 32))
);


ALTER TABLE auth.email_agent_tokens OWNER TO authserver_owner;

--
-- Name: users; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    identifier text NOT NULL COLLATE pg_catalog."C",
    identifier_kind text DEFAULT 'user'::text NOT NULL,
    full_name text NOT NULL,
    password_hash text,
    delivery_mailbox_id bigint,
    active boolean DEFAULT true NOT NULL,
    staff boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_full_name_form CHECK (((octet_length(full_name) <= 255) AND (full_name !~ '[\u0001-\u001f\u007f-\u009f]'::text))),
    CONSTRAINT users_identifier_kind CHECK ((identifier_kind = 'user'::text)),
    CONSTRAINT users_password_hash_not_empty CHECK ((password_hash <> ''::text))
);


ALTER TABLE auth.users OWNER TO authserver_owner;

--
-- Name: list_email_agent_tokens(uuid); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_email_agent_tokens(p_creator_id uuid) RETURNS TABLE(id bigint, creator text, creator_id uuid, token_hint text, created_at timestamp with time zone, burned_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    BEGIN ATOMIC
 SELECT t.id,
     u.identifier,
     t.creator_id,
     t.token_hint,
     t.created_at,
     t.burned_at
    FROM (auth.email_agent_tokens t
      JOIN auth.users u ON ((u.id = t.creator_id)))
   WHERE ((list_email_agent_tokens.p_creator_id IS NULL) OR (t.creator_id = list_email_agent_tokens.p_creator_id))
   ORDER BY t.created_at DESC, t.id DESC;
END;


ALTER FUNCTION api.list_email_agent_tokens(p_creator_id uuid) OWNER TO authserver_owner;

--
-- Name: list_group_permissions(text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_group_permissions(p_group text) RETURNS TABLE(permission_name text, name text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select p.permission_name, p.name
      from auth.group_permissions gp
      join auth.permissions p on p.id = gp.permission_id
     where gp.group_id = auth.find_group(p_group)
     order by p.permission_name collate "C";
end
$$;


ALTER FUNCTION api.list_group_permissions(p_group text) OWNER TO authserver_owner;

--
-- Name: list_groups(text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_groups(p_selector text) RETURNS TABLE(id bigint, name text, members bigint, permissions bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select g.id, g.name,
           (select count(*) from auth.group_members gm where gm.group_id = g.id),
           (select count(*) from auth.group_permissions gp where gp.group_id = g.id)
      from auth.groups g
     where p_selector is null or g.id = auth.find_group(p_selector)
     order by g.name collate "C";
end
$$;


ALTER FUNCTION api.list_groups(p_selector text) OWNER TO authserver_owner;

--
-- Name: list_memberships(uuid); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_memberships(p_user_id uuid) RETURNS TABLE(group_name text, permissions text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select g.name,
           array(select p.permission_name
                   from auth.group_permissions gp
                   join auth.permissions p on p.id = gp.permission_id
                  where gp.group_id = g.id
                  order by p.permission_name collate "C")
      from auth.group_members gm
      join auth.groups g on g.id = gm.group_id
     where gm.user_id = p_user_id
     order by g.name collate "C";
end
$$;


ALTER FUNCTION api.list_memberships(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: list_permissions(text, text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_permissions(p_permission_name text, p_name text) RETURNS TABLE(permission_name text, name text, id bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select p.permission_name, p.name, p.id
      from auth.permissions p
     where (p_permission_name is null or strpos(lower(p.permission_name), lower(p_permission_name)) > 0)
       and (p_name is null or strpos(lower(p.name), lower(p_name)) > 0)
     order by p.permission_name collate "C";
end
$$;


ALTER FUNCTION api.list_permissions(p_permission_name text, p_name text) OWNER TO authserver_owner;

--
-- Name: list_user_permissions(uuid); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.list_user_permissions(p_user_id uuid) RETURNS TABLE(permission_name text, name text, direct boolean, groups text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select p.permission_name, p.name,
           bool_or(held.group_id is null),
           coalesce(array_agg(g.name order by g.name collate "C") filter (where g.id is not null), '{}')
      from (select up.permission_id, null::bigint as group_id
              from auth.user_permissions up
             where up.user_id = p_user_id
            union all
            select gp.permission_id, gp.group_id
              from auth.group_members gm
              join auth.group_permissions gp on gp.group_id = gm.group_id
             where gm.user_id = p_user_id) held
      join auth.permissions p on p.id = held.permission_id
      left join auth.groups g on g.id = held.group_id
     group by p.permission_name, p.name
     order by p.permission_name collate "C";
end
$$;


ALTER FUNCTION api.list_user_permissions(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: redeem_email_agent_token(bytea); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.redeem_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  perform from auth.email_agent_tokens t where t.token_hash = p_token_hash for update;
  select j.* into outcome, creator, creator_id, primary_address, token_hint, burned_at
    from auth.judge_email_agent_token(p_token_hash) j;
  if outcome = 'valid' then
    burned_at := auth.burn_email_agent_token(p_token_hash);
  end if;
end
$$;


ALTER FUNCTION api.redeem_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) OWNER TO authserver_owner;

--
-- Name: remove_aliases(bigint[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_aliases(p_alias_ids bigint[], p_dry_run boolean) RETURNS TABLE(alias_id bigint, address text, mailbox_of text, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.aliases;
  refused boolean := false;
begin
  perform auth.hold_users(p_alias_ids, null);
  -- Who gives a user a delivery mailbox waits for the alias's lock.
  perform from auth.aliases a where a.id = any (p_alias_ids) order by a.id for update;
  for was in select a.* from auth.aliases a where a.id = any (p_alias_ids) order by a.id loop
    alias_id := was.id;
    address := auth.address_of(was);
    mailbox_of := auth.mailbox_of(was.id);
    outcome := case when mailbox_of is null then 'ok' else 'is_mailbox' end;
    refused := refused or outcome <> 'ok';
    return next;
  end loop;
  if refused or p_dry_run is not false then
    return;
  end if;

  for was in select a.* from auth.aliases a where a.id = any (p_alias_ids) order by a.id loop
    perform auth.record('alias.remove', auth.address_of(was), to_jsonb(was), null);
    delete from auth.aliases a where a.id = was.id;
  end loop;
end
$$;


ALTER FUNCTION api.remove_aliases(p_alias_ids bigint[], p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: remove_app_passwords(text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_app_passwords(p_ids text[], p_dry_run boolean, OUT outcome text, OUT app_password_id text, OUT service_user text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
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
  for was in delete from auth.app_passwords ap where ap.id = any (p_ids) returning ap.* loop
    perform auth.record('app_password.remove', was.id, to_jsonb(was), null);
  end loop;
end
$$;


ALTER FUNCTION api.remove_app_passwords(p_ids text[], p_dry_run boolean, OUT outcome text, OUT app_password_id text, OUT service_user text) OWNER TO authserver_owner;

--
-- Name: remove_burned_email_agent_tokens(uuid, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean) RETURNS TABLE(id bigint, creator text, creator_id uuid, token_hint text, created_at timestamp with time zone, burned_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.email_agent_tokens;
begin
  -- Removing a user takes tokens along in an order of its own.
  perform from auth.users u
    where u.id in (select t.creator_id from auth.email_agent_tokens t
                    where t.burned_at is not null and (p_creator_id is null or t.creator_id = p_creator_id))
    order by u.id for key share;
  for was in
    select t.* from auth.email_agent_tokens t
     where t.burned_at is not null and (p_creator_id is null or t.creator_id = p_creator_id)
     order by t.id
       for update
  loop
    id := was.id;
    creator := (select u.identifier from auth.users u where u.id = was.creator_id);
    creator_id := was.creator_id;
    token_hint := was.token_hint;
    created_at := was.created_at;
    burned_at := was.burned_at;
    if not p_dry_run then
      delete from auth.email_agent_tokens t where t.id = was.id;
      perform auth.record('email_agent_token.remove', was.token_hint, to_jsonb(was), null);
    end if;
    return next;
  end loop;
end
$$;


ALTER FUNCTION api.remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: remove_domains(bigint[], boolean, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean) RETURNS TABLE(domain_id bigint, name text, outcome text, aliases bigint, keys bigint, mailboxes text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.domains;
  refused boolean := false;
begin
  -- A new alias waits for the domain's lock, a new mailbox for the alias's.
  perform from auth.domains d where d.id = any (p_domain_ids) order by d.id for update;
  perform from auth.aliases a where a.domain_id = any (p_domain_ids) order by a.id for update;

  for domain_id in select i from unnest(p_domain_ids) i order by i loop
    select d.* into was from auth.domains d where d.id = remove_domains.domain_id;
    name := was.name;
    aliases := (select count(*) from auth.aliases a where a.domain_id = was.id);
    keys := (select count(*) from auth.keys k where k.domain_id = was.id);
    mailboxes := array(
      select u.identifier
        from auth.aliases a
        join auth.users u on u.delivery_mailbox_id = a.id
       where a.domain_id = was.id
       order by u.identifier collate "C");
    outcome := case
      when was.id is null                         then 'gone'
      when cardinality(mailboxes) > 0             then 'has_mailboxes'
      when aliases > 0 and not p_with_aliases     then 'has_aliases'
      else 'ok'
    end;
    refused := refused or outcome <> 'ok';
    return next;
  end loop;
  if refused or p_dry_run is not false then
    return;
  end if;

  for was in select d.* from auth.domains d where d.id = any (p_domain_ids) order by d.id loop
    perform auth.record('domain.remove', was.name,
      to_jsonb(was) || jsonb_build_object(
        'aliases', (select jsonb_agg(a.local_part || '@' || was.name order by a.local_part) from auth.aliases a where a.domain_id = was.id),
        'keys', (select jsonb_agg(to_jsonb(k) - 'sealed_key' order by k.id) from auth.keys k where k.domain_id = was.id)),
      null);
    perform auth.record('alias.remove', auth.address_of(a), to_jsonb(a), null)
       from auth.aliases a where a.domain_id = was.id;
    delete from auth.aliases a where a.domain_id = was.id;
    perform auth.remove_keys(was, array['dkim', 'jwt']);
    delete from auth.domains d where d.id = was.id;
  end loop;
end
$$;


ALTER FUNCTION api.remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: remove_group(text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_group(p_selector text, OUT outcome text, OUT name text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.groups;
  members text[];
  permissions text[];
begin
  select g.* into was from auth.groups g where g.id = auth.find_group(p_selector) for update;
  if was.id is null then
    outcome := 'unknown';
    return;
  end if;
  members := array(
    select u.identifier
      from auth.group_members gm join auth.users u on u.id = gm.user_id
     where gm.group_id = was.id
     order by u.identifier collate "C");
  permissions := array(
    select p.permission_name
      from auth.group_permissions gp join auth.permissions p on p.id = gp.permission_id
     where gp.group_id = was.id
     order by p.permission_name collate "C");

  delete from auth.groups g where g.id = was.id;
  perform auth.record('group.remove', was.name,
    to_jsonb(was) || jsonb_build_object('members', members, 'permissions', permissions), null);
  outcome := 'ok';
  name := was.name;
end
$$;


ALTER FUNCTION api.remove_group(p_selector text, OUT outcome text, OUT name text) OWNER TO authserver_owner;

--
-- Name: remove_mailing_list_addresses(bigint, text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT missing text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  list auth.mailing_lists;
  addresses text[];
begin
  select m.* into list from auth.mailing_lists m where m.id = p_mailing_list_id for no key update;
  addresses := auth.addresses_of_list(list.id);
  missing := array(
    select given.address
      from unnest(p_addresses) with ordinality given (address, nr)
     where given.address <> all (addresses)
     order by given.nr);
  outcome := case
    when list.id is null             then 'gone'
    when cardinality(missing) > 0    then 'missing'
    when addresses <@ p_addresses    then 'empty'
    else 'ok'
  end;
  if outcome <> 'ok' or p_dry_run is not false then
    return;
  end if;
  delete from auth.mailing_list_addresses la where la.mailing_list_id = list.id and la.address = any (p_addresses);
  perform auth.record('mailing_list.remove_address', list.name,
    jsonb_build_object('id', list.id, 'addresses', p_addresses), null);
end
$$;


ALTER FUNCTION api.remove_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT missing text[]) OWNER TO authserver_owner;

--
-- Name: remove_mailing_lists(bigint[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean) RETURNS TABLE(mailing_list_id bigint, name text, addresses bigint, aliases text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.mailing_lists;
  one auth.aliases;
begin
  perform from auth.mailing_lists m where m.id = any (p_mailing_list_ids) order by m.id for update;
  perform from auth.aliases a where a.mailing_list_id = any (p_mailing_list_ids) order by a.id for update;
  for was in select m.* from auth.mailing_lists m where m.id = any (p_mailing_list_ids) order by m.id loop
    mailing_list_id := was.id;
    name := was.name;
    addresses := cardinality(auth.addresses_of_list(was.id));
    aliases := array(select auth.address_of(a) from auth.aliases a where a.mailing_list_id = was.id order by 1);
    return next;
    continue when p_dry_run is not false;

    for one in select a.* from auth.aliases a where a.mailing_list_id = was.id order by a.id loop
      perform auth.record('alias.remove', auth.address_of(one), to_jsonb(one), null);
    end loop;
    perform auth.record('mailing_list.remove', was.name,
      to_jsonb(was) || jsonb_build_object('addresses', auth.addresses_of_list(was.id), 'aliases', aliases), null);
    delete from auth.mailing_lists m where m.id = was.id;  -- with addresses and aliases (on delete cascade)
  end loop;
end
$$;


ALTER FUNCTION api.remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: remove_permission(text, boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_permission(p_selector text, p_dry_run boolean, OUT outcome text, OUT detail text[], OUT permission_name text, OUT name text, OUT users bigint, OUT groups bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  ids bigint[];
  was auth.permissions;
  holders text[];
  holding_groups text[];
begin
  ids := array(select m from auth.match_permissions(p_selector) m);
  if cardinality(ids) > 1 then
    outcome := 'ambiguous';
    detail := auth.permission_names(ids);
    return;
  end if;
  select p.* into was from auth.permissions p where p.id = ids[1] for update;
  if was.id is null then
    outcome := 'unknown';
    return;
  end if;
  holders := array(
    select u.identifier
      from auth.user_permissions up join auth.users u on u.id = up.user_id
     where up.permission_id = was.id
     order by u.identifier collate "C");
  holding_groups := array(
    select g.name
      from auth.group_permissions gp join auth.groups g on g.id = gp.group_id
     where gp.permission_id = was.id
     order by g.name collate "C");

  if not p_dry_run then
    delete from auth.permissions p where p.id = was.id;
    perform auth.record('permission.remove', was.permission_name,
      to_jsonb(was) || jsonb_build_object('users', holders, 'groups', holding_groups), null);
  end if;
  outcome := 'ok';
  permission_name := was.permission_name;
  name := was.name;
  users := cardinality(holders);
  groups := cardinality(holding_groups);
end
$$;


ALTER FUNCTION api.remove_permission(p_selector text, p_dry_run boolean, OUT outcome text, OUT detail text[], OUT permission_name text, OUT name text, OUT users bigint, OUT groups bigint) OWNER TO authserver_owner;

--
-- Name: remove_service_users(bigint[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_service_users(p_service_user_ids bigint[], p_dry_run boolean) RETURNS TABLE(id bigint, username text, user_identifier text, app_password_id text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.service_users;
  unbound auth.app_passwords;
begin
  perform from auth.users u
    where u.id in (select s.user_id from auth.service_users s where s.id = any (p_service_user_ids))
    order by u.id for key share;
  perform from auth.service_users s where s.id = any (p_service_user_ids) order by s.id for update;
  for was in
    select s.* from auth.service_users s where s.id = any (p_service_user_ids) order by s.username collate "C"
  loop
    id := was.id;
    username := was.username;
    user_identifier := (select u.identifier from auth.users u where u.id = was.user_id);
    app_password_id := was.app_password_id;
    if not p_dry_run then
      perform auth.record('service_user.remove', was.username, to_jsonb(was), null);
      -- The name takes the service user along (on delete cascade).
      delete from auth.login_names n where n.name = was.username;
      delete from auth.app_passwords ap where ap.id = was.app_password_id returning ap.* into unbound;
      if found then
        perform auth.record('app_password.remove', unbound.id, to_jsonb(unbound), null);
      end if;
    end if;
    return next;
  end loop;
end
$$;


ALTER FUNCTION api.remove_service_users(p_service_user_ids bigint[], p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: remove_users(uuid[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.remove_users(p_user_ids uuid[], p_dry_run boolean) RETURNS TABLE(user_id uuid, identifier text, full_name text, aliases text[], service_users text[], app_passwords bigint, agent_tokens bigint, mailing_lists text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.users;
begin
  perform from auth.users u where u.id = any (p_user_ids) order by u.id for update;
  for was in select u.* from auth.users u where u.id = any (p_user_ids) order by u.identifier collate "C" loop
    user_id := was.id;
    identifier := was.identifier;
    full_name := was.full_name;
    aliases := array(
      select a.local_part || '@' || d.name
        from auth.aliases a join auth.domains d on d.id = a.domain_id
       where a.user_id = was.id
       order by a.id is not distinct from was.delivery_mailbox_id desc, d.name collate "C", a.local_part collate "C");
    service_users := array(
      select s.username from auth.service_users s where s.user_id = was.id order by s.username collate "C");
    app_passwords := (select count(*) from auth.app_passwords ap where ap.user_id = was.id);
    agent_tokens := (select count(*) from auth.email_agent_tokens t where t.creator_id = was.id);
    mailing_lists := array(
      select m.name from auth.mailing_lists m where m.owner_id = was.id order by m.name collate "C", m.id);
    if not p_dry_run then
      perform auth.record_belongings(was.id);
      perform auth.record('user.remove', was.identifier,
        to_jsonb(was) || jsonb_build_object(
          'aliases', aliases, 'service_users', service_users, 'mailing_lists', mailing_lists,
          'app_passwords', array(select ap.id from auth.app_passwords ap where ap.user_id = was.id order by ap.id),
          'agent_tokens', agent_tokens,
          'groups', array(select g.name
                            from auth.group_members gm join auth.groups g on g.id = gm.group_id
                           where gm.user_id = was.id order by g.name collate "C"),
          'permissions', array(select p.permission_name
                                 from auth.user_permissions up join auth.permissions p on p.id = up.permission_id
                                where up.user_id = was.id order by p.permission_name collate "C")),
        null);
      -- Names take their users and service users along (on delete cascade).
      delete from auth.login_names n using auth.service_users s where s.user_id = was.id and n.name = s.username;
      delete from auth.login_names n where n.name = was.identifier;
    end if;
    return next;
  end loop;
end
$$;


ALTER FUNCTION api.remove_users(p_user_ids uuid[], p_dry_run boolean) OWNER TO authserver_owner;

--
-- Name: reseal_keys(bigint[], bytea[], bytea[], text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.reseal_keys(p_key_ids bigint[], p_was bytea[], p_sealed_keys bytea[], p_sealed_by text[], OUT outcome text, OUT resealed bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.keys;
  made auth.keys;
  new record;
begin
  -- Nobody adds, removes or reseals a key until this is decided.
  lock table auth.keys in share row exclusive mode;
  resealed := 0;
  outcome := case
    when exists (
      select from auth.keys k
        full join unnest(p_key_ids, p_was) as n (id, was) on n.id = k.id
       where k.sealed_key is distinct from n.was) then 'changed'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  for new in
    select n.id, n.sealed_key, n.sealed_by, d.name as domain
      from unnest(p_key_ids, p_sealed_keys, p_sealed_by) as n (id, sealed_key, sealed_by)
      join auth.keys k on k.id = n.id
      join auth.domains d on d.id = k.domain_id
     where k.sealed_key <> n.sealed_key or k.sealed_by <> n.sealed_by
     order by n.id
  loop
    select k.* into was from auth.keys k where k.id = new.id;
    update auth.keys k
       set sealed_key = new.sealed_key, sealed_by = new.sealed_by
     where k.id = new.id
    returning * into made;
    perform auth.record('domain.reseal_key', new.domain, to_jsonb(was), to_jsonb(made));
    resealed := resealed + 1;
  end loop;
end
$$;


ALTER FUNCTION api.reseal_keys(p_key_ids bigint[], p_was bytea[], p_sealed_keys bytea[], p_sealed_by text[], OUT outcome text, OUT resealed bigint) OWNER TO authserver_owner;

--
-- Name: revoke_app_passwords(text[]); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.revoke_app_passwords(p_ids text[], OUT outcome text, OUT app_password_id text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
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


ALTER FUNCTION api.revoke_app_passwords(p_ids text[], OUT outcome text, OUT app_password_id text) OWNER TO authserver_owner;

--
-- Name: revoke_group_permissions(text, text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.revoke_group_permissions(p_group text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  holder bigint;
  ids bigint[];
begin
  select g.id, g.name into holder, name from auth.groups g where g.id = auth.find_group(p_group) for no key update;
  if holder is null then
    outcome := 'no_group';
    return;
  end if;
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_permissions(p_permissions) h;
  if outcome <> 'ok' then
    return;
  end if;
  changed := auth.permission_names(array(
    select gp.permission_id from auth.group_permissions gp
     where gp.group_id = holder and (p_permissions is null or gp.permission_id = any (ids))));
  if cardinality(changed) = 0 or p_dry_run is not false then
    return;
  end if;
  delete from auth.group_permissions gp
   where gp.group_id = holder and (p_permissions is null or gp.permission_id = any (ids));
  perform auth.record('permission.revoke_group', name, jsonb_build_object('permissions', changed), null);
end
$$;


ALTER FUNCTION api.revoke_group_permissions(p_group text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: revoke_memberships(text, text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.revoke_memberships(p_user text, p_groups text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  member uuid;
  ids bigint[];
begin
  select u.id, u.identifier into member, identifier from auth.users u where u.id = auth.find_user(p_user) for no key update;
  if member is null then
    outcome := 'no_user';
    return;
  end if;
  outcome := 'ok';
  select h.unknown, h.ids into detail, ids from auth.hold_groups(p_groups) h;
  changed := array(
    select g.name
      from auth.group_members gm join auth.groups g on g.id = gm.group_id
     where gm.user_id = member and (p_groups is null or g.id = any (ids))
     order by g.name collate "C");
  if cardinality(changed) = 0 or p_dry_run is not false then
    return;
  end if;
  delete from auth.group_members gm
   where gm.user_id = member and (p_groups is null or gm.group_id = any (ids));
  perform auth.record('permission.revoke_membership', identifier, jsonb_build_object('groups', changed), null);
end
$$;


ALTER FUNCTION api.revoke_memberships(p_user text, p_groups text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: revoke_user_permissions(text, text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.revoke_user_permissions(p_user text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  holder uuid;
  ids bigint[];
begin
  select u.id, u.identifier into holder, identifier from auth.users u where u.id = auth.find_user(p_user) for no key update;
  if holder is null then
    outcome := 'no_user';
    return;
  end if;
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_permissions(p_permissions) h;
  if outcome <> 'ok' then
    return;
  end if;
  changed := auth.permission_names(array(
    select up.permission_id from auth.user_permissions up
     where up.user_id = holder and (p_permissions is null or up.permission_id = any (ids))));
  if cardinality(changed) = 0 or p_dry_run is not false then
    return;
  end if;
  delete from auth.user_permissions up
   where up.user_id = holder and (p_permissions is null or up.permission_id = any (ids));
  perform auth.record('permission.revoke_user', identifier, jsonb_build_object('permissions', changed), null);
end
$$;


ALTER FUNCTION api.revoke_user_permissions(p_user text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) OWNER TO authserver_owner;

--
-- Name: schema_version(); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.schema_version() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    BEGIN ATOMIC
 SELECT i.version
    FROM auth.installed i;
END;


ALTER FUNCTION api.schema_version() OWNER TO authserver_owner;

--
-- Name: sealed_keys(); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.sealed_keys() RETURNS TABLE(id bigint, domain text, purpose text, selector text, kid text, public_key bytea, sealed_key bytea, sealed_by text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
begin
  return query
    select k.id, d.name, k.purpose, k.selector, k.kid, k.public_key, k.sealed_key, k.sealed_by
      from auth.keys k
      join auth.domains d on d.id = k.domain_id
     order by d.name collate "C", k.id;
end
$$;


ALTER FUNCTION api.sealed_keys() OWNER TO authserver_owner;

--
-- Name: set_delivery_mailbox(uuid, text); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.set_delivery_mailbox(p_user_id uuid, p_address text, OUT outcome text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  was auth.users;
  made auth.users;
  mailbox auth.aliases;
begin
  select u.* into was from auth.users u where u.id = p_user_id for update;
  select a.* into mailbox
    from auth.parse_address(p_address) p
    join auth.find_domain(p.domain) d on d.id is not null
    join auth.aliases a on a.domain_id = d.id and a.local_part = p.local_part
     for share of a;

  outcome := case
    when was.id is null                         then 'gone'
    when mailbox.id is null                     then 'unknown_alias'
    when mailbox.user_id is distinct from was.id then 'not_own'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  update auth.users u set delivery_mailbox_id = mailbox.id where u.id = was.id returning * into made;
  if made is distinct from was then
    perform auth.record('user.set_delivery_mailbox', was.identifier, to_jsonb(was), to_jsonb(made));
  end if;
end
$$;


ALTER FUNCTION api.set_delivery_mailbox(p_user_id uuid, p_address text, OUT outcome text) OWNER TO authserver_owner;

--
-- Name: set_mailing_list_addresses(bigint, text[], boolean); Type: FUNCTION; Schema: api; Owner: authserver_owner
--

CREATE FUNCTION api.set_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT added text[], OUT removed text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  list auth.mailing_lists;
  were text[];
begin
  select m.* into list from auth.mailing_lists m where m.id = p_mailing_list_id for no key update;
  outcome := case
    when list.id is null                           then 'gone'
    when coalesce(cardinality(p_addresses), 0) = 0 then 'empty'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;
  were := auth.addresses_of_list(list.id);
  added := array(select given.address from unnest(p_addresses) with ordinality given (address, nr)
                  where given.address <> all (were) order by given.nr);
  removed := array(select old.address from unnest(were) with ordinality old (address, nr)
                    where old.address <> all (p_addresses) order by old.nr);
  if p_addresses = were or p_dry_run is not false then
    return;
  end if;
  delete from auth.mailing_list_addresses la where la.mailing_list_id = list.id;
  perform auth.append_to_list(list.id, p_addresses);
  perform auth.record('mailing_list.set_addresses', list.name,
    jsonb_build_object('id', list.id, 'addresses', were),
    jsonb_build_object('id', list.id, 'addresses', auth.addresses_of_list(list.id)));
end
$$;


ALTER FUNCTION api.set_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT added text[], OUT removed text[]) OWNER TO authserver_owner;

--
-- Name: add_app_password(text, uuid, text, bytea, text, text[], cidr[], timestamp with time zone); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.add_app_password(p_id text, p_user_id uuid, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
declare
  made auth.app_passwords;
begin
  insert into auth.app_passwords (id, user_id, description, secret_hash, crypt_hash, services, networks, expires_at)
  values (p_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at)
  on conflict do nothing
  returning * into made;
  if made.id is null then
    return false;
  end if;
  perform auth.record('app_password.create', made.id, null, to_jsonb(made));
  return true;
end
$$;


ALTER FUNCTION auth.add_app_password(p_id text, p_user_id uuid, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone) OWNER TO authserver_owner;

--
-- Name: domains; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.domains (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    unicode_name text COLLATE pg_catalog."C",
    redirect_to text,
    jwt_subdomains boolean DEFAULT false NOT NULL,
    transactional boolean DEFAULT false NOT NULL,
    dkim_selector text DEFAULT 'default'::text NOT NULL,
    subaddress_separators text DEFAULT '+-'::text NOT NULL,
    CONSTRAINT domains_dkim_selector_form CHECK (((dkim_selector ~ '^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$'::text) AND (octet_length(dkim_selector) <= 63))),
    CONSTRAINT domains_name_form CHECK (((name ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'::text) AND (name !~ '[^.]{64}'::text) AND (octet_length(name) <= 253))),
    CONSTRAINT domains_redirect_not_to_itself CHECK ((redirect_to IS DISTINCT FROM name)),
    CONSTRAINT domains_redirect_to_form CHECK (((redirect_to = lower((redirect_to COLLATE "C"))) AND (redirect_to IS NFC NORMALIZED) AND (octet_length(redirect_to) <= 254) AND (redirect_to ~ '^([^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+(\.[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+)*@)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'::text))),
    CONSTRAINT domains_subaddress_separators_known CHECK ((subaddress_separators = ANY (ARRAY[''::text, '+'::text, '-'::text, '+-'::text]))),
    CONSTRAINT domains_unicode_name_form CHECK (((unicode_name ~ '[^\u0001-\u007f]'::text) AND (unicode_name = lower((unicode_name COLLATE "C"))) AND (unicode_name IS NFC NORMALIZED) AND (unicode_name !~ '[\u0001-\u0020@|\u007f-\u00a0]'::text)))
);


ALTER TABLE auth.domains OWNER TO authserver_owner;

--
-- Name: add_keys(auth.domains, jsonb, boolean); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.add_keys(p_domain auth.domains, p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
  made auth.keys;
  old auth.keys;
  now_retired auth.keys;
begin
  outcome := 'ok';
  for old in
    select k.*
      from auth.keys k
      join jsonb_to_recordset(coalesce(p_keys, '[]')) as n (purpose text, algorithm text, selector text, kid text)
        on (n.purpose = k.purpose and n.algorithm = k.algorithm and k.state = 'active')
        or n.selector = k.selector
        or n.kid = k.kid
     where k.domain_id = p_domain.id
     group by k.id
     order by k.id
  loop
    if not p_replace then
      outcome := 'key_exists';
      detail := auth.key_name(old);
      return;
    end if;
    if p_keys @> jsonb_build_array(jsonb_build_object('selector', old.selector))
       or p_keys @> jsonb_build_array(jsonb_build_object('kid', old.kid)) then
      delete from auth.keys k where k.id = old.id;
      perform auth.record('domain.remove_key', p_domain.name, to_jsonb(old), null);
    else
      update auth.keys k set state = 'retired', retired_at = now() where k.id = old.id returning * into now_retired;
      perform auth.record('domain.retire_key', p_domain.name, to_jsonb(old), to_jsonb(now_retired));
    end if;
  end loop;

  for made in
    insert into auth.keys (domain_id, purpose, algorithm, state, selector, kid, public_key, sealed_key, sealed_by, activated_at)
    select p_domain.id, n.purpose, n.algorithm, 'active', n.selector, n.kid,
           decode(n.public_key, 'base64'), decode(n.sealed_key, 'base64'), n.sealed_by, now()
      from jsonb_to_recordset(coalesce(p_keys, '[]'))
           as n (purpose text, algorithm text, selector text, kid text, public_key text, sealed_key text, sealed_by text)
    returning *
  loop
    perform auth.record('domain.create_key', p_domain.name, null, to_jsonb(made));
  end loop;
end
$$;


ALTER FUNCTION auth.add_keys(p_domain auth.domains, p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) OWNER TO authserver_owner;

--
-- Name: aliases; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.aliases (
    id bigint NOT NULL,
    local_part text NOT NULL COLLATE pg_catalog."C",
    domain_id bigint NOT NULL,
    user_id uuid,
    mailing_list_id bigint,
    blocked boolean DEFAULT false NOT NULL,
    CONSTRAINT aliases_local_part_form CHECK (((local_part = lower((local_part COLLATE "C"))) AND (local_part IS NFC NORMALIZED) AND ((octet_length(local_part) >= 1) AND (octet_length(local_part) <= 64)) AND (local_part ~ '^[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+(\.[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+)*$'::text))),
    CONSTRAINT aliases_one_target CHECK (((num_nonnulls(user_id, mailing_list_id) = 1) OR (blocked AND (num_nonnulls(user_id, mailing_list_id) = 0))))
);


ALTER TABLE auth.aliases OWNER TO authserver_owner;

--
-- Name: address_of(auth.aliases); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.address_of(p_alias auth.aliases) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return (select p_alias.local_part || '@' || d.name from auth.domains d where d.id = p_alias.domain_id);
end
$$;


ALTER FUNCTION auth.address_of(p_alias auth.aliases) OWNER TO authserver_owner;

--
-- Name: addresses_of_list(bigint); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.addresses_of_list(p_mailing_list_id bigint) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return array(
    select la.address from auth.mailing_list_addresses la
     where la.mailing_list_id = p_mailing_list_id
     order by la.position);
end
$$;


ALTER FUNCTION auth.addresses_of_list(p_mailing_list_id bigint) OWNER TO authserver_owner;

--
-- Name: append_to_list(bigint, text[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.append_to_list(p_mailing_list_id bigint, p_addresses text[]) RETURNS text[]
    LANGUAGE plpgsql
    AS $$
declare
  added text[];
begin
  with made as (
    insert into auth.mailing_list_addresses (mailing_list_id, address)
    select p_mailing_list_id, given.address
      from unnest(p_addresses) with ordinality given (address, nr)
     order by given.nr
    on conflict (mailing_list_id, address) do nothing
    returning address, position
  )
  select array_agg(made.address order by made.position) into added from made;
  return coalesce(added, '{}');
end
$$;


ALTER FUNCTION auth.append_to_list(p_mailing_list_id bigint, p_addresses text[]) OWNER TO authserver_owner;

--
-- Name: burn_email_agent_token(bytea); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.burn_email_agent_token(p_token_hash bytea) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
declare
  was auth.email_agent_tokens;
  made auth.email_agent_tokens;
begin
  select t.* into was from auth.email_agent_tokens t where t.token_hash = p_token_hash;
  update auth.email_agent_tokens t set burned_at = now() where t.id = was.id returning t.* into made;
  perform auth.record('email_agent_token.burn', made.token_hint, to_jsonb(was), to_jsonb(made));
  return made.burned_at;
end
$$;


ALTER FUNCTION auth.burn_email_agent_token(p_token_hash bytea) OWNER TO authserver_owner;

--
-- Name: claim_login_name(text, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.claim_login_name(p_name text, p_kind text) RETURNS text
    LANGUAGE plpgsql
    AS $$
declare
  holder text;
begin
  loop
    insert into auth.login_names (name, kind) values (p_name, p_kind) on conflict do nothing;
    if found then
      return 'ok';
    end if;
    select n.kind into holder from auth.login_names n where n.name = p_name;
    if found then
      return case holder when p_kind then 'exists' else 'taken' end;
    end if;
    -- Whoever had it let it go in between.
  end loop;
end
$$;


ALTER FUNCTION auth.claim_login_name(p_name text, p_kind text) OWNER TO authserver_owner;

--
-- Name: client_address(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.client_address(p_address text) RETURNS inet
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
  address inet;
begin
  address := p_address;
  if address << inet '::ffff:0:0/96' and masklen(address) = 128 then
    return inet '0.0.0.0' + (address - inet '::ffff:0:0');
  end if;
  return address;
exception when invalid_text_representation then
  return null;
end
$$;


ALTER FUNCTION auth.client_address(p_address text) OWNER TO authserver_owner;

--
-- Name: credentials(text, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.credentials(p_login text, p_permission text, OUT password text, OUT primary_address text) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
declare
  hash text;
  owner uuid;
  alias record;
begin
  if strpos(p_login, '@') > 0 then
    alias := auth.find_alias(p_login);
    if alias.user_id is null or alias.blocked or alias.redirect_to is not null then
      return;
    end if;
    owner := alias.user_id;
  else
    select s.user_id, coalesce(s.password_hash, ap.crypt_hash)
      into owner, hash
      from auth.service_users s
      left join auth.app_passwords ap on ap.id = s.app_password_id
     where s.username = lower(p_login collate "C")
       and (s.app_password_id is null
            or (ap.revoked_at is null
                and (ap.expires_at is null or ap.expires_at > now())
                and ap.networks is null
                and (ap.services is null or p_permission = any (ap.services))));
  end if;
  -- The hash of an address is its user's; the rest is what auth.primary_address
  -- says, asked for in the same step.
  select coalesce(hash, u.password_hash), a.local_part || '@' || d.name
    into password, primary_address
    from auth.users u
    join auth.aliases a on a.id = u.delivery_mailbox_id
    join auth.domains d on d.id = a.domain_id
   where u.id = owner and u.active
     and (p_permission is null
          or exists (select from auth.permission_names(u.id) n where n.permission_name = p_permission));
  if not auth.crypt_verifies(password) then
    password := null;
    primary_address := null;
  end if;
end
$$;


ALTER FUNCTION auth.credentials(p_login text, p_permission text, OUT password text, OUT primary_address text) OWNER TO authserver_owner;

--
-- Name: crypt_verifies(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.crypt_verifies(p_hash text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
begin
  return coalesce(
    p_hash ~ '^[$][56][$](rounds=([1-9][0-9]{3,5}|1[0-9]{6}|2000000)[$])?[./0-9A-Za-z]{0,16}[$][./0-9A-Za-z]+$'
    or p_hash ~ '^[$]2[aby][$](0[4-9]|1[0-4])[$][./0-9A-Za-z]{53}$'
    or p_hash ~ '^[$]y[$]j([7-9A-C][./0-9A-T]|D[./0-9A-D]|E[./0-5]|F[./01])[$][./0-9A-Za-z]{0,86}[$][./0-9A-Za-z]+$',
    false);
end
$_$;


ALTER FUNCTION auth.crypt_verifies(p_hash text) OWNER TO authserver_owner;

--
-- Name: domains_above(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.domains_above(p_name text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
declare
  labels text[] := string_to_array(p_name, '.');
begin
  return array(
    select array_to_string(labels[n:], '.')
      from generate_series(2, cardinality(labels)) n
     order by n);
end
$$;


ALTER FUNCTION auth.domains_above(p_name text) OWNER TO authserver_owner;

--
-- Name: find_alias(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_alias(p_address text, OUT domain_id bigint, OUT domain_name text, OUT redirect_to text, OUT alias_id bigint, OUT user_id uuid, OUT mailing_list_id bigint, OUT blocked boolean) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
declare
  asked record;
  wanted text;
  separators text;
begin
  asked := auth.parse_address(p_address);
  if asked.domain is null then
    return;
  end if;
  wanted := asked.local_part;

  -- Most addresses are aliases of a domain in A-labels.
  select d.id, d.name, d.redirect_to, d.subaddress_separators, a.id, a.user_id, a.mailing_list_id, a.blocked
    into domain_id, domain_name, redirect_to, separators, alias_id, user_id, mailing_list_id, blocked
    from auth.domains d
    left join auth.aliases a on a.domain_id = d.id and a.local_part = wanted
   where d.name = asked.domain;
  if domain_id is null then
    select d.id, d.name, d.redirect_to, d.subaddress_separators, a.id, a.user_id, a.mailing_list_id, a.blocked
      into domain_id, domain_name, redirect_to, separators, alias_id, user_id, mailing_list_id, blocked
      from auth.find_domain(asked.domain) d
      left join auth.aliases a on a.domain_id = d.id and a.local_part = wanted;
  end if;
  if domain_id is null or separators = '' then
    return;
  end if;

  -- From the whole to what is left of the first separator. Each step asks for
  -- one value, so that its plan is made once for a session.
  while alias_id is null loop
    if separators = '+-' and wanted <> translate(wanted, '+-', '') then
      select a.id, a.user_id, a.mailing_list_id, a.blocked
        into alias_id, user_id, mailing_list_id, blocked
        from auth.aliases a
       where a.domain_id = find_alias.domain_id and a.blocked
         and translate(a.local_part, '-', '+') = translate(wanted, '-', '+')
       limit 1;
      exit when alias_id is not null;
    end if;
    wanted := substring(wanted from '^(.+)[' || separators || ']');
    exit when wanted is null;
    select a.id, a.user_id, a.mailing_list_id, a.blocked
      into alias_id, user_id, mailing_list_id, blocked
      from auth.aliases a
     where a.domain_id = find_alias.domain_id and a.local_part = wanted;
  end loop;
end
$$;


ALTER FUNCTION auth.find_alias(p_address text, OUT domain_id bigint, OUT domain_name text, OUT redirect_to text, OUT alias_id bigint, OUT user_id uuid, OUT mailing_list_id bigint, OUT blocked boolean) OWNER TO authserver_owner;

--
-- Name: find_domain(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_domain(p_name text, OUT id bigint, OUT name text, OUT redirect_to text, OUT subaddress_separators text) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
declare
  folded text := lower(p_name collate "C");
begin
  select d.id, d.name, d.redirect_to, d.subaddress_separators
    into id, name, redirect_to, subaddress_separators
    from auth.domains d
   where d.name = folded;
  if id is null and folded ~ E'[^\u0001-\u007f]' then
    select d.id, d.name, d.redirect_to, d.subaddress_separators
      into id, name, redirect_to, subaddress_separators
      from auth.domains d
     where d.unicode_name = folded;
  end if;
end
$$;


ALTER FUNCTION auth.find_domain(p_name text, OUT id bigint, OUT name text, OUT redirect_to text, OUT subaddress_separators text) OWNER TO authserver_owner;

--
-- Name: find_exact_alias(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_exact_alias(p_address text, OUT local_part text, OUT domain_id bigint, OUT alias_id bigint) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
begin
  select p.local_part, d.id, a.id
    into local_part, domain_id, alias_id
    from auth.parse_address(p_address) p
    left join auth.find_domain(p.domain) d on true
    left join auth.aliases a on a.domain_id = d.id and a.local_part = p.local_part;
end
$$;


ALTER FUNCTION auth.find_exact_alias(p_address text, OUT local_part text, OUT domain_id bigint, OUT alias_id bigint) OWNER TO authserver_owner;

--
-- Name: find_group(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_group(p_selector text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return coalesce(
    (select g.id from auth.groups g where g.name = p_selector),
    (select g.id from auth.groups g where g.id::text = p_selector));
end
$$;


ALTER FUNCTION auth.find_group(p_selector text) OWNER TO authserver_owner;

--
-- Name: find_service_user(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_service_user(p_selector text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $_$
declare
  answer bigint;
begin
  select s.id into answer from auth.service_users s where s.username = lower(p_selector collate "C");
  if answer is null and p_selector ~ '^[0-9]{1,18}$' then
    select s.id into answer from auth.service_users s where s.id = p_selector::bigint;
  end if;
  return answer;
end
$_$;


ALTER FUNCTION auth.find_service_user(p_selector text) OWNER TO authserver_owner;

--
-- Name: find_user(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.find_user(p_selector text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    AS $_$
declare
  folded text := lower(p_selector collate "C");
  answer uuid;
begin
  if folded ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    select u.id into answer from auth.users u where u.id = folded::uuid;
  end if;
  if answer is null then
    select u.id into answer from auth.users u where u.identifier = folded;
  end if;
  if answer is null then
    select a.user_id into answer
      from auth.parse_address(folded) p
      join auth.find_domain(p.domain) d on d.id is not null
      join auth.aliases a on a.domain_id = d.id and a.local_part = p.local_part;
  end if;
  if answer is null then
    select s.user_id into answer from auth.service_users s where s.username = folded;
  end if;
  return answer;
end
$_$;


ALTER FUNCTION auth.find_user(p_selector text) OWNER TO authserver_owner;

--
-- Name: has_permission(uuid, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.has_permission(p_user_id uuid, p_permission_name text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
begin
  return exists (
    select from auth.permission_names(p_user_id) n where n.permission_name = p_permission_name);
end
$$;


ALTER FUNCTION auth.has_permission(p_user_id uuid, p_permission_name text) OWNER TO authserver_owner;

--
-- Name: hold_app_passwords(text[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.hold_app_passwords(p_ids text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform from auth.users u
    where u.id in (select ap.user_id from auth.app_passwords ap where ap.id = any (p_ids))
    order by u.id for key share;
  perform from auth.app_passwords ap where ap.id = any (p_ids) order by ap.id for update;
end
$$;


ALTER FUNCTION auth.hold_app_passwords(p_ids text[]) OWNER TO authserver_owner;

--
-- Name: hold_groups(text[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.hold_groups(p_selectors text[], OUT unknown text[], OUT ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
begin
  loop
    ids := array(
      select g.id from auth.groups g
       where g.id in (select auth.find_group(s) from unnest(p_selectors) s)
       order by g.id for key share);
    exit when not exists (
      select from unnest(p_selectors) s join auth.groups g on g.id = auth.find_group(s) where g.id <> all (ids));
  end loop;
  unknown := array(
    select s from unnest(p_selectors) with ordinality given (s, nr)
     where auth.find_group(s) is null or auth.find_group(s) <> all (ids)
     order by nr);
end
$$;


ALTER FUNCTION auth.hold_groups(p_selectors text[], OUT unknown text[], OUT ids bigint[]) OWNER TO authserver_owner;

--
-- Name: hold_owner(uuid, bigint); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.hold_owner(p_user_id uuid, p_mailing_list_id bigint) RETURNS text
    LANGUAGE plpgsql
    AS $$
begin
  if p_user_id is not null then
    perform from auth.users u where u.id = p_user_id for key share;
    if not found then
      return 'no_user';
    end if;
  end if;
  if p_mailing_list_id is not null then
    perform from auth.mailing_lists m where m.id = p_mailing_list_id for key share;
    if not found then
      return 'no_list';
    end if;
  end if;
  return 'ok';
end
$$;


ALTER FUNCTION auth.hold_owner(p_user_id uuid, p_mailing_list_id bigint) OWNER TO authserver_owner;

--
-- Name: hold_permissions(text[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.hold_permissions(p_selectors text[], OUT outcome text, OUT detail text[], OUT ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
  several text;
begin
  -- Until what is meant is what is held: one that is removed meanwhile may be
  -- followed by another of its name.
  loop
    ids := array(
      select p.id from auth.permissions p
       where p.id in (select m from unnest(p_selectors) s cross join lateral auth.match_permissions(s) m)
       order by p.id for key share);
    exit when not exists (
      select from unnest(p_selectors) s cross join lateral auth.match_permissions(s) m where m <> all (ids));
  end loop;

  detail := array(
    select s from unnest(p_selectors) with ordinality given (s, nr)
     where not exists (select from auth.match_permissions(s) m where m = any (ids))
     order by nr);
  if cardinality(detail) > 0 then
    outcome := 'unknown';
    return;
  end if;
  select s into several from unnest(p_selectors) with ordinality given (s, nr)
   where (select count(*) from auth.match_permissions(s)) > 1
   order by nr limit 1;
  if several is not null then
    outcome := 'ambiguous';
    detail := array(
      select p.permission_name
        from auth.match_permissions(several) m join auth.permissions p on p.id = m
       order by p.permission_name collate "C");
    return;
  end if;
  outcome := 'ok';
end
$$;


ALTER FUNCTION auth.hold_permissions(p_selectors text[], OUT outcome text, OUT detail text[], OUT ids bigint[]) OWNER TO authserver_owner;

--
-- Name: hold_users(bigint[], uuid); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.hold_users(p_alias_ids bigint[], p_user_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform from auth.users u
    where u.id = p_user_id
       or u.id in (select a.user_id from auth.aliases a where a.id = any (p_alias_ids))
    order by u.id for key share;
end
$$;


ALTER FUNCTION auth.hold_users(p_alias_ids bigint[], p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: judge_email_agent_token(bytea); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.judge_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
declare
  creator_active boolean;
begin
  select u.identifier, u.id, u.active, auth.primary_address(u.id), t.token_hint, t.burned_at
    into creator, creator_id, creator_active, primary_address, token_hint, burned_at
    from auth.email_agent_tokens t
    join auth.users u on u.id = t.creator_id
   where t.token_hash = p_token_hash;
  outcome := case
    when not found             then 'unknown'
    when burned_at is not null then 'burned'
    when not creator_active    then 'inactive'
    else 'valid'
  end;
end
$$;


ALTER FUNCTION auth.judge_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) OWNER TO authserver_owner;

--
-- Name: keys; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.keys (
    id bigint NOT NULL,
    domain_id bigint NOT NULL,
    purpose text NOT NULL,
    algorithm text NOT NULL,
    state text NOT NULL,
    selector text,
    kid text,
    public_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    sealed_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    activated_at timestamp with time zone,
    retired_at timestamp with time zone,
    CONSTRAINT keys_algorithm CHECK ((algorithm = ANY (ARRAY['rsa'::text, 'ed25519'::text, 'ecdsa-p256'::text]))),
    CONSTRAINT keys_dkim_algorithm CHECK (((purpose <> 'dkim'::text) OR (algorithm = ANY (ARRAY['rsa'::text, 'ed25519'::text])))),
    CONSTRAINT keys_kid_of_jwt CHECK (((purpose = 'jwt'::text) = (kid IS NOT NULL))),
    CONSTRAINT keys_purpose CHECK ((purpose = ANY (ARRAY['dkim'::text, 'jwt'::text]))),
    CONSTRAINT keys_selector_form CHECK (((selector ~ '^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$'::text) AND (octet_length(selector) <= 63))),
    CONSTRAINT keys_selector_of_dkim CHECK (((purpose = 'dkim'::text) = (selector IS NOT NULL))),
    CONSTRAINT keys_state CHECK ((state = ANY (ARRAY['published'::text, 'active'::text, 'retired'::text]))),
    CONSTRAINT keys_state_times CHECK ((((state = 'active'::text) <= (activated_at IS NOT NULL)) AND ((state = 'retired'::text) = (retired_at IS NOT NULL))))
);


ALTER TABLE auth.keys OWNER TO authserver_owner;

--
-- Name: key_name(auth.keys); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.key_name(p_key auth.keys) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
  return p_key.purpose || ' ' || coalesce(p_key.selector, p_key.kid) || ' (' || p_key.algorithm || ', ' || p_key.state || ')';
end
$$;


ALTER FUNCTION auth.key_name(p_key auth.keys) OWNER TO authserver_owner;

--
-- Name: keys_by_selector(auth.domains); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.keys_by_selector(p_domain auth.domains) RETURNS SETOF auth.keys
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return query
    select k.*
      from auth.keys k
     where k.domain_id = p_domain.id and k.purpose = 'dkim' and k.state <> 'retired'
       and k.selector in (p_domain.dkim_selector, p_domain.dkim_selector || '-ed25519')
     order by k.id;
end
$$;


ALTER FUNCTION auth.keys_by_selector(p_domain auth.domains) OWNER TO authserver_owner;

--
-- Name: lock_redirects(); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.lock_redirects() RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_advisory_xact_lock(hashtext('authserver.redirects'));
end
$$;


ALTER FUNCTION auth.lock_redirects() OWNER TO authserver_owner;

--
-- Name: mailbox_of(bigint); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.mailbox_of(p_alias_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return (select u.identifier from auth.users u where u.delivery_mailbox_id = p_alias_id);
end
$$;


ALTER FUNCTION auth.mailbox_of(p_alias_id bigint) OWNER TO authserver_owner;

--
-- Name: match_mailing_lists(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.match_mailing_lists(p_selector text) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE
    AS $_$
begin
  if p_selector ~ '^[0-9]{1,18}$' then
    return query select m.id from auth.mailing_lists m where m.id = p_selector::bigint;
    if found then
      return;
    end if;
  end if;
  return query select m.id from auth.mailing_lists m where lower(m.name) = lower(p_selector);
end
$_$;


ALTER FUNCTION auth.match_mailing_lists(p_selector text) OWNER TO authserver_owner;

--
-- Name: match_permissions(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.match_permissions(p_selector text) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return query select p.id from auth.permissions p where p.permission_name = p_selector;
  if not found then
    return query select p.id from auth.permissions p where p.name = p_selector;
  end if;
end
$$;


ALTER FUNCTION auth.match_permissions(p_selector text) OWNER TO authserver_owner;

--
-- Name: may_have_service_users(uuid); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.may_have_service_users(p_user_id uuid) RETURNS text
    LANGUAGE plpgsql
    AS $$
declare
  mailbox bigint;
begin
  select u.delivery_mailbox_id into mailbox from auth.users u where u.id = p_user_id for key share;
  return case
    when not found       then 'gone'
    when mailbox is null then 'no_mailbox'
    else 'ok'
  end;
end
$$;


ALTER FUNCTION auth.may_have_service_users(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: parse_address(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.parse_address(p_address text, OUT local_part text, OUT domain text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$
declare
  folded text := case when octet_length(p_address) <= 1024 then lower(p_address collate "C") end;
begin
  -- One expression, because PostgreSQL prepares each of them anew in every
  -- transaction. No address is longer than that, be its domain in U-labels. The
  -- atoms are those of RFC 5321 section 4.1.2 without '|', and of RFC 6531
  -- section 3.3.
  if folded ~ E'^[^\u0001-\u0020"(),.:;<>@[\\\\\\]|\u007f-\u009f]+([.][^\u0001-\u0020"(),.:;<>@[\\\\\\]|\u007f-\u009f]+)*@[^\u0001-\u0020@\u007f-\u009f]+$'
     and folded is nfc normalized
     and strpos(folded, '@') <= 65 and octet_length(split_part(folded, '@', 1)) <= 64
     and (folded ~ E'@.*[^\u0001-\u007f]'
          or (folded ~ '@[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'
              and folded !~ '@.*[^.]{64}'
              and octet_length(split_part(folded, '@', 2)) <= 253
              and octet_length(folded) <= 254)) then
    local_part := split_part(folded, '@', 1);
    domain := split_part(folded, '@', 2);
  end if;
end
$_$;


ALTER FUNCTION auth.parse_address(p_address text, OUT local_part text, OUT domain text) OWNER TO authserver_owner;

--
-- Name: permission_names(bigint[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.permission_names(p_ids bigint[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return array(
    select p.permission_name from auth.permissions p where p.id = any (p_ids)
     order by p.permission_name collate "C");
end
$$;


ALTER FUNCTION auth.permission_names(p_ids bigint[]) OWNER TO authserver_owner;

--
-- Name: group_members; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.group_members (
    group_id bigint NOT NULL,
    user_id uuid NOT NULL
);


ALTER TABLE auth.group_members OWNER TO authserver_owner;

--
-- Name: group_permissions; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.group_permissions (
    group_id bigint NOT NULL,
    permission_id bigint NOT NULL
);


ALTER TABLE auth.group_permissions OWNER TO authserver_owner;

--
-- Name: permissions; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.permissions (
    id bigint NOT NULL,
    permission_name text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    CONSTRAINT permissions_name_form CHECK (((octet_length(name) <= 255) AND (name !~ '[\u0001-\u001f\u007f-\u009f]'::text))),
    CONSTRAINT permissions_permission_name_form CHECK (((octet_length(permission_name) >= 1) AND (octet_length(permission_name) <= 255) AND (permission_name IS NFC NORMALIZED) AND (permission_name !~ '[\u0001-\u0020\u007f-\u00a0,]'::text)))
);


ALTER TABLE auth.permissions OWNER TO authserver_owner;

--
-- Name: user_permissions; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.user_permissions (
    user_id uuid NOT NULL,
    permission_id bigint NOT NULL
);


ALTER TABLE auth.user_permissions OWNER TO authserver_owner;

--
-- Name: permission_names(uuid); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.permission_names(p_user_id uuid) RETURNS TABLE(permission_name text)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT p.permission_name
    FROM (auth.user_permissions up
      JOIN auth.permissions p ON ((p.id = up.permission_id)))
   WHERE (up.user_id = permission_names.p_user_id)
 UNION ALL
  SELECT p.permission_name
    FROM ((auth.group_members gm
      JOIN auth.group_permissions gp ON ((gp.group_id = gm.group_id)))
      JOIN auth.permissions p ON ((p.id = gp.permission_id)))
   WHERE (gm.user_id = permission_names.p_user_id);
END;


ALTER FUNCTION auth.permission_names(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: primary_address(uuid); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.primary_address(p_user_id uuid) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
begin
  return (
    select a.local_part || '@' || d.name
      from auth.users u
      join auth.aliases a on a.id = u.delivery_mailbox_id
      join auth.domains d on d.id = a.domain_id
     where u.id = p_user_id and u.active);
end
$$;


ALTER FUNCTION auth.primary_address(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: record(text, text, jsonb, jsonb); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.record(p_action text, p_object text, p_before jsonb, p_after jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'auth', 'pg_temp'
    AS $$
declare
  secrets constant text[] := array['password_hash', 'crypt_hash', 'secret_hash', 'token_hash', 'sealed_key'];
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
end
$$;


ALTER FUNCTION auth.record(p_action text, p_object text, p_before jsonb, p_after jsonb) OWNER TO authserver_owner;

--
-- Name: record_belongings(uuid); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.record_belongings(p_user_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform auth.record('alias.remove', auth.address_of(a), to_jsonb(a), null)
     from auth.aliases a where a.user_id = p_user_id;
  perform auth.record('service_user.remove', s.username, to_jsonb(s), null)
     from auth.service_users s where s.user_id = p_user_id;
  perform auth.record('app_password.remove', ap.id, to_jsonb(ap), null)
     from auth.app_passwords ap where ap.user_id = p_user_id;
  perform auth.record('email_agent_token.remove', t.token_hint, to_jsonb(t), null)
     from auth.email_agent_tokens t where t.creator_id = p_user_id;
  perform auth.record('mailing_list.edit', m.name, to_jsonb(m), to_jsonb(m) || '{"owner_id": null}')
     from auth.mailing_lists m where m.owner_id = p_user_id;
end
$$;


ALTER FUNCTION auth.record_belongings(p_user_id uuid) OWNER TO authserver_owner;

--
-- Name: redirect_loop(text, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.redirect_loop(p_name text, p_redirect_to text) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $_$
declare
  way text[] := array[p_name];
  hop text := p_redirect_to;
begin
  while hop is not null loop
    hop := substring(hop from '[^@]*$');
    if hop = p_name then
      return array_to_string(way || hop, ', ');
    end if;
    if hop = any (way) then
      return null;  -- a loop, but not through this domain
    end if;
    way := way || hop;
    select d.redirect_to into hop from auth.domains d where d.name = hop;
  end loop;
  return null;
end
$_$;


ALTER FUNCTION auth.redirect_loop(p_name text, p_redirect_to text) OWNER TO authserver_owner;

--
-- Name: remove_keys(auth.domains, text[]); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.remove_keys(p_domain auth.domains, p_purposes text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  was auth.keys;
begin
  for was in
    delete from auth.keys k where k.domain_id = p_domain.id and k.purpose = any (p_purposes) returning *
  loop
    perform auth.record('domain.remove_key', p_domain.name, to_jsonb(was), null);
  end loop;
end
$$;


ALTER FUNCTION auth.remove_keys(p_domain auth.domains, p_purposes text[]) OWNER TO authserver_owner;

--
-- Name: rename_selectors(auth.domains, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.rename_selectors(p_domain auth.domains, p_selector text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  was auth.keys;
  made auth.keys;
begin
  for was in select k.* from auth.keys_by_selector(p_domain) k where p_selector <> p_domain.dkim_selector loop
    update auth.keys k
       set selector = p_selector || substr(was.selector, length(p_domain.dkim_selector) + 1)
     where k.id = was.id
    returning * into made;
    perform auth.record('domain.rename_key', p_domain.name, to_jsonb(was), to_jsonb(made));
  end loop;
end
$$;


ALTER FUNCTION auth.rename_selectors(p_domain auth.domains, p_selector text) OWNER TO authserver_owner;

--
-- Name: revoke_app_password(text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.revoke_app_password(p_id text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  was auth.app_passwords;
  made auth.app_passwords;
begin
  select ap.* into was from auth.app_passwords ap where ap.id = p_id and ap.revoked_at is null for update;
  if was.id is null then
    return;
  end if;
  update auth.app_passwords ap set revoked_at = now() where ap.id = was.id returning * into made;
  perform auth.record('app_password.revoke', was.id, to_jsonb(was), to_jsonb(made));
end
$$;


ALTER FUNCTION auth.revoke_app_password(p_id text) OWNER TO authserver_owner;

--
-- Name: taken_selector(auth.domains, text); Type: FUNCTION; Schema: auth; Owner: authserver_owner
--

CREATE FUNCTION auth.taken_selector(p_domain auth.domains, p_selector text) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return (
    select taken.selector
      from auth.keys_by_selector(p_domain) k
      join auth.keys taken
        on taken.domain_id = p_domain.id
       and taken.selector = p_selector || substr(k.selector, length(p_domain.dkim_selector) + 1)
     where p_selector <> p_domain.dkim_selector
     limit 1);
end
$$;


ALTER FUNCTION auth.taken_selector(p_domain auth.domains, p_selector text) OWNER TO authserver_owner;

--
-- Name: authserver_api_version(); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_api_version() RETURNS integer
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return 1;
end
$$;


ALTER FUNCTION public.authserver_api_version() OWNER TO authserver_spapi;

--
-- Name: authserver_check_domain(character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_check_domain(domain character varying) RETURNS SETOF character varying
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    select d.name::varchar from auth.find_domain(authserver_check_domain.domain) d where d.id is not null;
end
$$;


ALTER FUNCTION public.authserver_check_domain(domain character varying) OWNER TO authserver_spapi;

--
-- Name: authserver_get_credentials(character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_get_credentials(email character varying) RETURNS TABLE(username character varying, password character varying, primary_alias character varying)
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_credentials record := auth.credentials(email, null);
begin
  if found_credentials.password is not null then
    username := email;
    password := found_credentials.password;
    primary_alias := found_credentials.primary_address;
    return next;
  end if;
end
$$;


ALTER FUNCTION public.authserver_get_credentials(email character varying) OWNER TO authserver_spapi;

--
-- Name: authserver_get_credentials(character varying, character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_get_credentials(email character varying, required_permission character varying) RETURNS TABLE(username character varying, password character varying, primary_alias character varying)
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_credentials record := auth.credentials(email, required_permission);
begin
  if found_credentials.password is not null then
    username := email;
    password := found_credentials.password;
    primary_alias := found_credentials.primary_address;
    return next;
  end if;
end
$$;


ALTER FUNCTION public.authserver_get_credentials(email character varying, required_permission character varying) OWNER TO authserver_spapi;

--
-- Name: authserver_get_senders(character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_get_senders(email character varying) RETURNS TABLE(sender character varying)
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  owner uuid;
begin
  if strpos(email, '@') > 0 then
    select f.user_id into owner from auth.find_alias(email) f where not f.blocked and f.redirect_to is null;
  else
    select s.user_id into owner from auth.service_users s where s.username = lower(email collate "C");
  end if;
  return query
    select (a.local_part || '@' || d.name)::varchar
      from auth.users u
      join auth.aliases a on a.user_id = u.id
      join auth.domains d on d.id = a.domain_id
     where u.id = owner and u.active and not a.blocked and d.redirect_to is null
     order by a.id = u.delivery_mailbox_id desc, d.name collate "C", a.local_part collate "C";
end
$$;


ALTER FUNCTION public.authserver_get_senders(email character varying) OWNER TO authserver_spapi;

--
-- Name: authserver_iterate_users(); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_iterate_users() RETURNS TABLE(userid character varying)
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    select (a.local_part || '@' || d.name)::varchar
      from auth.users u
      join auth.aliases a on a.id = u.delivery_mailbox_id
      join auth.domains d on d.id = a.domain_id
     where u.active
     order by d.name collate "C", a.local_part collate "C";
  return query
    select ('@' || d.name)::varchar
      from auth.domains d
     where d.redirect_to is not null
     order by d.name collate "C";
end
$$;


ALTER FUNCTION public.authserver_iterate_users() OWNER TO authserver_spapi;

--
-- Name: authserver_resolve_alias(character varying, boolean); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_resolve_alias(email character varying, resolve_to_virtmail boolean DEFAULT false) RETURNS TABLE(alias character varying)
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_alias record;
  primary_address text;
begin
  if strpos(email, '@') = 0 then
    if not resolve_to_virtmail then
      return query
        select s.username::varchar
          from auth.service_users s
         where s.username = lower(email collate "C")
           and auth.primary_address(s.user_id) is not null;
    end if;
    return;
  end if;

  found_alias := auth.find_alias(email);
  if found_alias.domain_id is null or found_alias.blocked then
    return;
  end if;

  if found_alias.redirect_to is not null then
    alias := case
      when resolve_to_virtmail                     then 'virtmail'
      when strpos(found_alias.redirect_to, '@') > 0 then found_alias.redirect_to
      else '@' || found_alias.domain_name
    end;
    return next;
  elsif found_alias.mailing_list_id is not null then
    if resolve_to_virtmail then
      alias := 'virtmail';
      return next;
    else
      return query
        select m.address::varchar
          from auth.mailing_list_addresses m
         where m.mailing_list_id = found_alias.mailing_list_id
         order by m.position;
    end if;
  else
    primary_address := auth.primary_address(found_alias.user_id);
    if primary_address is not null then
      alias := case
        when resolve_to_virtmail and primary_address = lower(email collate "C") then 'virtmail'
        else primary_address
      end;
      return next;
    end if;
  end if;
end
$$;


ALTER FUNCTION public.authserver_resolve_alias(email character varying, resolve_to_virtmail boolean) OWNER TO authserver_spapi;

--
-- Name: authserver_touch(character varying, character varying, character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_touch(cred_id character varying, service character varying, ip character varying) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update auth.app_passwords ap
     set last_used_at = now(), last_used_service = left(service, 64), last_used_from = auth.client_address(ip)
   where ap.id = cred_id
     and ap.revoked_at is null
     and (ap.last_used_at is null or ap.last_used_at <= now() - interval '1 hour');
end
$$;


ALTER FUNCTION public.authserver_touch(cred_id character varying, service character varying, ip character varying) OWNER TO authserver_spapi;

--
-- Name: authserver_verify(character varying, character varying, character varying, character varying, character varying); Type: FUNCTION; Schema: public; Owner: authserver_spapi
--

CREATE FUNCTION public.authserver_verify(login character varying, password character varying, service character varying, remote_ip character varying, required_permission character varying DEFAULT NULL::character varying) RETURNS TABLE(username character varying, primary_alias character varying, cred_id character varying)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  -- Null, which matches nothing, if it is longer than anybody types.
  canonical text := case when octet_length(authserver_verify.password) <= 512 then
                      translate(lower(authserver_verify.password collate "C"), 'ilo- ', '110') end;
  owner uuid;
  client inet := auth.client_address(remote_ip);
begin
  if strpos(login, '@') > 0 then
    select f.user_id into owner from auth.find_alias(login) f where not f.blocked and f.redirect_to is null;
  else
    select s.user_id into owner
      from auth.service_users s
     where s.username = lower(login collate "C")
       and s.app_password_id = substr(canonical, 3, 6);
  end if;
  if owner is null
     or (required_permission is not null and not auth.has_permission(owner, required_permission)) then
    return;
  end if;

  return query
    select login, auth.primary_address(owner)::varchar, ap.id::varchar
      from auth.app_passwords ap
     where ap.id = substr(canonical, 3, 6)
       and ap.user_id = owner
       and ap.secret_hash = sha256(convert_to(canonical, 'UTF8'))
       and ap.revoked_at is null
       and (ap.expires_at is null or ap.expires_at > now())
       and (ap.services is null or service = any (ap.services))
       and (ap.networks is null or client <<= any (ap.networks))
       and auth.primary_address(owner) is not null;
end
$$;


ALTER FUNCTION public.authserver_verify(login character varying, password character varying, service character varying, remote_ip character varying, required_permission character varying) OWNER TO authserver_spapi;

--
-- Name: aliases_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.aliases ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.aliases_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: app_passwords; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.app_passwords (
    id text NOT NULL,
    user_id uuid NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    secret_hash bytea NOT NULL,
    crypt_hash text NOT NULL,
    services text[],
    networks cidr[],
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    last_used_service text,
    last_used_from inet,
    CONSTRAINT app_passwords_crypt_hash_form CHECK ((crypt_hash ~ '^\$(6|2[aby]|y)\$'::text)),
    CONSTRAINT app_passwords_description_form CHECK (((octet_length(description) <= 255) AND (description !~ '[\u0001-\u001f\u007f-\u009f]'::text))),
    CONSTRAINT app_passwords_id_form CHECK ((id ~ '^[0-9a-hjkmnp-tv-z]{6}$'::text)),
    CONSTRAINT app_passwords_networks_not_empty CHECK (((cardinality(networks) > 0) AND (array_position(networks, NULL::cidr) IS NULL))),
    CONSTRAINT app_passwords_secret_hash_is_sha256 CHECK ((octet_length(secret_hash) = 32)),
    CONSTRAINT app_passwords_services_not_empty CHECK (((cardinality(services) > 0) AND (array_position(services, NULL::text) IS NULL)))
);


ALTER TABLE auth.app_passwords OWNER TO authserver_owner;

--
-- Name: audit_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME auth.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: domains_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.domains ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.domains_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: email_agent_tokens_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.email_agent_tokens ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.email_agent_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: groups; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.groups (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT groups_name_form CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 255) AND (name IS NFC NORMALIZED) AND (name !~ '^ | $|[\u0001-\u001f\u007f-\u009f]'::text)))
);


ALTER TABLE auth.groups OWNER TO authserver_owner;

--
-- Name: groups_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.groups ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: keys_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.keys ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: login_names; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.login_names (
    name text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    CONSTRAINT login_names_form CHECK (((name = lower((name COLLATE "C"))) AND (name IS NFC NORMALIZED) AND ((octet_length(name) >= 1) AND (octet_length(name) <= 64)) AND (name !~ '^-|[\u0001-\u0020\u007f-\u00a0"''@|:,;/\\`]'::text))),
    CONSTRAINT login_names_kind CHECK ((kind = ANY (ARRAY['user'::text, 'service_user'::text])))
);


ALTER TABLE auth.login_names OWNER TO authserver_owner;

--
-- Name: mailing_list_addresses; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.mailing_list_addresses (
    mailing_list_id bigint NOT NULL,
    address text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    CONSTRAINT mailing_list_addresses_address_form CHECK (((address = lower((address COLLATE "C"))) AND (address IS NFC NORMALIZED) AND (octet_length(address) <= 254) AND (address ~ '^[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+(\.[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+)*@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'::text)))
);


ALTER TABLE auth.mailing_list_addresses OWNER TO authserver_owner;

--
-- Name: mailing_list_addresses_position_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.mailing_list_addresses ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME auth.mailing_list_addresses_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: mailing_lists; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.mailing_lists (
    id bigint NOT NULL,
    name text NOT NULL,
    owner_id uuid,
    new_mailfrom text,
    CONSTRAINT mailing_lists_name_form CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 255) AND (name !~ '[\u0001-\u001f\u007f-\u009f]'::text))),
    CONSTRAINT mailing_lists_new_mailfrom_form CHECK (((new_mailfrom = lower((new_mailfrom COLLATE "C"))) AND (new_mailfrom IS NFC NORMALIZED) AND (octet_length(new_mailfrom) <= 254) AND (new_mailfrom ~ '^[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+(\.[^\u0001-\u0020"(),.:;<>@[\\\]|\u007f-\u009f]+)*@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'::text)))
);


ALTER TABLE auth.mailing_lists OWNER TO authserver_owner;

--
-- Name: mailing_lists_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.mailing_lists ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.mailing_lists_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: permissions_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: service_users; Type: TABLE; Schema: auth; Owner: authserver_owner
--

CREATE TABLE auth.service_users (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    username_kind text DEFAULT 'service_user'::text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    password_hash text,
    app_password_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT service_users_description_form CHECK (((octet_length(description) <= 255) AND (description !~ '[\u0001-\u001f\u007f-\u009f]'::text))),
    CONSTRAINT service_users_one_password CHECK ((num_nonnulls(password_hash, app_password_id) = 1)),
    CONSTRAINT service_users_password_hash_not_empty CHECK ((password_hash <> ''::text)),
    CONSTRAINT service_users_username_kind CHECK ((username_kind = 'service_user'::text))
);


ALTER TABLE auth.service_users OWNER TO authserver_owner;

--
-- Name: service_users_id_seq; Type: SEQUENCE; Schema: auth; Owner: authserver_owner
--

ALTER TABLE auth.service_users ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME auth.service_users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: aliases; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.aliases VALUES (1, 'alice', 1, '2655bcb8-3523-4e25-84e5-96b1758b41f5', NULL, false);
INSERT INTO auth.aliases VALUES (2, 'sales', 1, '2655bcb8-3523-4e25-84e5-96b1758b41f5', NULL, false);
INSERT INTO auth.aliases VALUES (3, 'team', 1, NULL, 1, false);
INSERT INTO auth.aliases VALUES (4, 'abuse-me', 1, NULL, NULL, true);
INSERT INTO auth.aliases VALUES (5, 'bob', 2, '5d388116-7a9b-4707-a5c3-2fad7631738d', NULL, false);


--
-- Data for Name: app_passwords; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.app_passwords VALUES ('rwfhn1', '2655bcb8-3523-4e25-84e5-96b1758b41f5', 'phone', '\x4ff2071f17ac5ed2f9c71fd3d833c3dfd4acec2d6ac7d642dc5bd13226d8f040', '$6$rounds=1000$S82U3MIJ0OV/9bgH$3dFaUGj1Zs7iB95Z5Koixua3vJSknXP7XoDMNCvK8XP7lBp/KLKTfSwKNmu3jAtaJ40vxgZXajOXmXeR4ao50/', NULL, NULL, '2026-11-23 07:20:13.862392+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO auth.app_passwords VALUES ('wzds9h', '2655bcb8-3523-4e25-84e5-96b1758b41f5', 'printer', '\x23b90b88581f84e60840e8309724982ac53149c2c94a92afa5c5711dc9c0db73', '$6$rounds=1000$8b.FvJ2JiIy4dYKG$aHZIdrbDmZchqSD89/Qq8p/cTuqsUheQOfON1xGJr0jYbaF45k9byTOKEKo8JlwBwWmZYNsO4hze9HQorPtkj1', NULL, NULL, '2026-11-23 07:20:13.908848+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO auth.app_passwords VALUES ('te3n2s', '5d388116-7a9b-4707-a5c3-2fad7631738d', '', '\x8196f32d920060648933af16bc4ac69d964dbe7d9377e66713059a7557a95fde', '$6$rounds=1000$jzA2Q1YLZcYTeymR$re1Qp9M8ydUorJyjOqKoEJReZtf52TAaVj0Nsnkt1YZzSCo9fSTIhPuhD/bv137gNehzPuInJljj0MuvAbDY20', '{imap}', '{192.0.2.0/24}', '2026-11-23 07:20:35.799878+00', '2036-11-20 07:20:35.762206+00', NULL, NULL, NULL, NULL);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-23 07:20:12.960435+00', 'postgres', 'postgres', 'local', 'db.migrate', 'authserver', '{"version": 0, "functions": null}', '{"version": 5, "functions": "dd910daf5265dffdd8dea03cf7d36816d70160706131346a768b7fe1e16eaa2b"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (2, '2026-11-23 07:20:12.972015+00', 'postgres', 'postgres', 'local', 'spapi.install', 'authserver', '{"installed": false}', '{"installed": true}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (3, '2026-11-23 07:20:12.982703+00', 'postgres', 'postgres', 'local', 'spapi.grant', 'dovecot-authserver', '{"functions": []}', '{"functions": ["authserver_api_version()", "authserver_check_domain(character varying)", "authserver_get_credentials(character varying)", "authserver_get_credentials(character varying,character varying)", "authserver_get_senders(character varying)", "authserver_iterate_users()", "authserver_resolve_alias(character varying,boolean)", "authserver_touch(character varying,character varying,character varying)", "authserver_verify(character varying,character varying,character varying,character varying,character varying)"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (4, '2026-11-23 07:20:12.988937+00', 'postgres', 'postgres', 'local', 'spapi.grant', 'opensmtpd-authserver', '{"functions": []}', '{"functions": ["authserver_api_version()", "authserver_check_domain(character varying)", "authserver_get_credentials(character varying)", "authserver_get_credentials(character varying,character varying)", "authserver_get_senders(character varying)", "authserver_iterate_users()", "authserver_resolve_alias(character varying,boolean)", "authserver_touch(character varying,character varying,character varying)", "authserver_verify(character varying,character varying,character varying,character varying,character varying)"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (5, '2026-11-23 07:20:12.991755+00', 'postgres', 'postgres', 'local', 'spapi.grant', 'postfix-authserver', '{"functions": []}', '{"functions": ["authserver_api_version()", "authserver_check_domain(character varying)", "authserver_get_credentials(character varying)", "authserver_get_credentials(character varying,character varying)", "authserver_get_senders(character varying)", "authserver_iterate_users()", "authserver_resolve_alias(character varying,boolean)", "authserver_touch(character varying,character varying,character varying)", "authserver_verify(character varying,character varying,character varying,character varying,character varying)"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (6, '2026-11-23 07:20:13.354496+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create', 'example.test', NULL, '{"id": 1, "name": "example.test", "redirect_to": null, "unicode_name": null, "dkim_selector": "default", "transactional": false, "jwt_subdomains": false, "subaddress_separators": "+-"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (7, '2026-11-23 07:20:13.358812+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'example.test', NULL, '{"id": 1, "kid": null, "state": "active", "purpose": "dkim", "selector": "default", "algorithm": "rsa", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:13.349294+00:00", "public_key": "\\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100d134b799507c866e94eac1f8ce4a486802b429f2f4a2cea380aebb5bd690ee7e641d025217bc421adaeec79c63418d78f321ce899cda7eebc0412623b3cb66809eb32dbcc729c6b4520e074409d3671bb17a43e1276b28b072416e6dd71b7a8ff7c6e61c257317f088521964ca45ad463ab2f025522d4016fa1c32560ba3cfbf5d56e50308ba5818f2c232507fe1b9860fc93b788ef761c06ebe16175cb4749a5c2b17f63a51d126956d28874d7d11ab50f601c18f3cfdaa2c0f9ef5e123a94543c8eee0cf26b4ca2ba68deb65b80ecf3ee2600bc12e256b324614b9fedd793fd0230c5295495c1d5794ac7089e24013254da993e7b7d0105a7fac5522573ef70203010001", "retired_at": null, "activated_at": "2026-11-23T07:20:13.349294+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (8, '2026-11-23 07:20:13.359034+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'example.test', NULL, '{"id": 2, "kid": null, "state": "active", "purpose": "dkim", "selector": "default-ed25519", "algorithm": "ed25519", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:13.349294+00:00", "public_key": "\\x302a300506032b65700321005f65ac889cc927c6604fcd18f00b4ccff4c9838cb67cc320f441d81726bdc3c8", "retired_at": null, "activated_at": "2026-11-23T07:20:13.349294+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (9, '2026-11-23 07:20:13.3592+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'example.test', NULL, '{"id": 3, "kid": "AEEa4faoSmUmrtmFqz1AxAg1qVJRJ7gesmt7BDOOThY", "state": "active", "purpose": "jwt", "selector": null, "algorithm": "rsa", "domain_id": 1, "sealed_by": "1f5c00e60b55f760", "created_at": "2026-11-23T07:20:13.349294+00:00", "public_key": "\\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100bb4007434ea06ff8b8ec452bc76c4224ac7c529caa9e38a1c2dbd82cf6ff38b4b93029854f56b18fff3bccbec48ddb1b8bf394dd52847d96adb7e49dca929655ba5c27441363abadc349b97006a5ee8fc35fbde764c62840c6d6716176dc5cd408ea890f022a3764a862ccdae96e85b926db327a034eedb37072b66b802fb11dc6e2bd395e898b653a16c90d2ef36c505ee0e95186c694c6f920cf2fc2dc5aa81382804c1875bae585b2936356d6d74c93dbb21740dedb55691bc59a4330de4e4e4b643b6f4f8eca07448acea3560825c63999f7504aaf34c8cba96d9f81f669664cb091553748c26e16f88de10207c2b0642462c23df563750c2a65c2b0b77d0203010001", "retired_at": null, "activated_at": "2026-11-23T07:20:13.349294+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (10, '2026-11-23 07:20:13.381823+00', 'cli:root', 'authserver_admin', 'desk', 'permission.create', 'imap', NULL, '{"id": 1, "name": "Read mail", "permission_name": "imap"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (11, '2026-11-23 07:20:13.398533+00', 'cli:root', 'authserver_admin', 'desk', 'permission.create', 'smtp', NULL, '{"id": 2, "name": "Send mail", "permission_name": "smtp"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (12, '2026-11-23 07:20:13.434843+00', 'cli:root', 'authserver_admin', 'desk', 'group.create', 'mail', NULL, '{"id": 1, "name": "mail"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (13, '2026-11-23 07:20:13.455065+00', 'cli:root', 'authserver_admin', 'desk', 'permission.grant_group', 'mail', NULL, '{"permissions": ["imap", "smtp"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (14, '2026-11-23 07:20:13.573912+00', 'cli:root', 'authserver_admin', 'desk', 'user.create', 'alice', NULL, '{"id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "staff": false, "active": true, "full_name": "Alice Example", "created_at": "2026-11-23T07:20:13.569552+00:00", "identifier": "alice", "identifier_kind": "user", "delivery_mailbox_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (15, '2026-11-23 07:20:13.600808+00', 'cli:root', 'authserver_admin', 'desk', 'alias.create', 'alice@example.test', NULL, '{"id": 1, "blocked": false, "user_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "domain_id": 1, "local_part": "alice", "mailing_list_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (16, '2026-11-23 07:20:13.638517+00', 'cli:root', 'authserver_admin', 'desk', 'user.set_delivery_mailbox', 'alice', '{"id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "staff": false, "active": true, "full_name": "Alice Example", "created_at": "2026-11-23T07:20:13.569552+00:00", "identifier": "alice", "identifier_kind": "user", "delivery_mailbox_id": null}', '{"id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "staff": false, "active": true, "full_name": "Alice Example", "created_at": "2026-11-23T07:20:13.569552+00:00", "identifier": "alice", "identifier_kind": "user", "delivery_mailbox_id": 1}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (17, '2026-11-23 07:20:13.666745+00', 'cli:root', 'authserver_admin', 'desk', 'permission.grant_membership', 'alice', NULL, '{"groups": ["mail"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (18, '2026-11-23 07:20:13.713707+00', 'cli:root', 'authserver_admin', 'desk', 'alias.create', 'sales@example.test', NULL, '{"id": 2, "blocked": false, "user_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "domain_id": 1, "local_part": "sales", "mailing_list_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (19, '2026-11-23 07:20:13.761661+00', 'cli:root', 'authserver_admin', 'desk', 'mailing_list.create', 'team', NULL, '{"id": 1, "name": "team", "owner_id": null, "addresses": ["alice@example.test", "team@example.org"], "new_mailfrom": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (20, '2026-11-23 07:20:13.794971+00', 'cli:root', 'authserver_admin', 'desk', 'alias.create', 'team@example.test', NULL, '{"id": 3, "blocked": false, "user_id": null, "domain_id": 1, "local_part": "team", "mailing_list_id": 1}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (21, '2026-11-23 07:20:13.827832+00', 'cli:root', 'authserver_admin', 'desk', 'alias.create', 'abuse-me@example.test', NULL, '{"id": 4, "blocked": true, "user_id": null, "domain_id": 1, "local_part": "abuse-me", "mailing_list_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (22, '2026-11-23 07:20:13.865415+00', 'cli:root', 'authserver_admin', 'desk', 'app_password.create', 'rwfhn1', NULL, '{"id": "rwfhn1", "user_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "networks": null, "services": null, "created_at": "2026-11-23T07:20:13.862392+00:00", "expires_at": null, "revoked_at": null, "description": "phone", "last_used_at": null, "last_used_from": null, "last_used_service": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (23, '2026-11-23 07:20:13.919788+00', 'cli:root', 'authserver_admin', 'desk', 'app_password.create', 'wzds9h', NULL, '{"id": "wzds9h", "user_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "networks": null, "services": null, "created_at": "2026-11-23T07:20:13.908848+00:00", "expires_at": null, "revoked_at": null, "description": "printer", "last_used_at": null, "last_used_from": null, "last_used_service": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (24, '2026-11-23 07:20:13.921986+00', 'cli:root', 'authserver_admin', 'desk', 'service_user.create', 'svc-printer', NULL, '{"id": 1, "user_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "username": "svc-printer", "created_at": "2026-11-23T07:20:13.908848+00:00", "description": "printer", "username_kind": "service_user", "app_password_id": "wzds9h"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (25, '2026-11-23 07:20:35.343093+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create', 'xn--mnchen-3ya.test', NULL, '{"id": 2, "name": "xn--mnchen-3ya.test", "redirect_to": null, "unicode_name": "münchen.test", "dkim_selector": "default", "transactional": false, "jwt_subdomains": false, "subaddress_separators": "+-"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (26, '2026-11-23 07:20:35.351455+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'xn--mnchen-3ya.test', NULL, '{"id": 4, "kid": "CncR-tS4nV3YQQLdi1EfZ02gtneyxak1pbpDnazFxzc", "state": "active", "purpose": "jwt", "selector": null, "algorithm": "ecdsa-p256", "domain_id": 2, "sealed_by": "1f5c00e60b55f760", "created_at": "2026-11-23T07:20:35.334357+00:00", "public_key": "\\x3059301306072a8648ce3d020106082a8648ce3d030107034200045bc1e4a4856028f43fd55417ea8fbf2f8d420a43f6ea5ecd38982dacdfea8828e3731c40ca6594c516b64cd73141c5a600af5d7ebfb4c334f9f0cd382402c71a", "retired_at": null, "activated_at": "2026-11-23T07:20:35.334357+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (27, '2026-11-23 07:20:35.440801+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create', 'old.test', NULL, '{"id": 3, "name": "old.test", "redirect_to": "example.test", "unicode_name": null, "dkim_selector": "default", "transactional": false, "jwt_subdomains": false, "subaddress_separators": "+-"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (28, '2026-11-23 07:20:35.487488+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create', 'catch.test', NULL, '{"id": 4, "name": "catch.test", "redirect_to": "alice@example.test", "unicode_name": null, "dkim_selector": "default", "transactional": true, "jwt_subdomains": false, "subaddress_separators": "+-"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (29, '2026-11-23 07:20:35.521007+00', 'cli:root', 'authserver_admin', 'desk', 'user.create', 'bob', NULL, '{"id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "staff": false, "active": true, "full_name": "Bob Bauer", "created_at": "2026-11-23T07:20:35.513732+00:00", "identifier": "bob", "identifier_kind": "user", "delivery_mailbox_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (30, '2026-11-23 07:20:35.558019+00', 'cli:root', 'authserver_admin', 'desk', 'user.edit', 'bob', '{"id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "staff": false, "active": true, "full_name": "Bob Bauer", "created_at": "2026-11-23T07:20:35.513732+00:00", "identifier": "bob", "identifier_kind": "user", "delivery_mailbox_id": null}', '{"id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "staff": false, "active": false, "full_name": "Bob Bauer", "created_at": "2026-11-23T07:20:35.513732+00:00", "identifier": "bob", "identifier_kind": "user", "delivery_mailbox_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (31, '2026-11-23 07:20:35.596852+00', 'cli:root', 'authserver_admin', 'desk', 'alias.create', 'bob@xn--mnchen-3ya.test', NULL, '{"id": 5, "blocked": false, "user_id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "domain_id": 2, "local_part": "bob", "mailing_list_id": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (32, '2026-11-23 07:20:35.643841+00', 'cli:root', 'authserver_admin', 'desk', 'user.set_delivery_mailbox', 'bob', '{"id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "staff": false, "active": false, "full_name": "Bob Bauer", "created_at": "2026-11-23T07:20:35.513732+00:00", "identifier": "bob", "identifier_kind": "user", "delivery_mailbox_id": null}', '{"id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "staff": false, "active": false, "full_name": "Bob Bauer", "created_at": "2026-11-23T07:20:35.513732+00:00", "identifier": "bob", "identifier_kind": "user", "delivery_mailbox_id": 5}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (33, '2026-11-23 07:20:35.682972+00', 'cli:root', 'authserver_admin', 'desk', 'permission.grant_user', 'bob', NULL, '{"permissions": ["imap"]}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (34, '2026-11-23 07:20:35.73976+00', 'cli:root', 'authserver_admin', 'desk', 'mailing_list.create', 'ops', NULL, '{"id": 2, "name": "ops", "owner_id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "addresses": ["ops@remote.example"], "new_mailfrom": "bounces@example.test"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (35, '2026-11-23 07:20:35.801721+00', 'cli:root', 'authserver_admin', 'desk', 'app_password.create', 'te3n2s', NULL, '{"id": "te3n2s", "user_id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "networks": ["192.0.2.0/24"], "services": ["imap"], "created_at": "2026-11-23T07:20:35.799878+00:00", "expires_at": "2036-11-20T07:20:35.762206+00:00", "revoked_at": null, "description": "", "last_used_at": null, "last_used_from": null, "last_used_service": null}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (36, '2026-11-23 07:20:35.94474+00', 'cli:root', 'authserver_admin', 'desk', 'email_agent_token.create', '4bcae567fd79', NULL, '{"id": 1, "burned_at": null, "created_at": "2026-11-23T07:20:35.937161+00:00", "creator_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "token_hint": "4bcae567fd79"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (37, '2026-11-23 07:20:35.989004+00', 'cli:root', 'authserver_admin', 'desk', 'email_agent_token.create', '2ee19af6edb6', NULL, '{"id": 2, "burned_at": null, "created_at": "2026-11-23T07:20:35.986948+00:00", "creator_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "token_hint": "2ee19af6edb6"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (38, '2026-11-23 07:20:36.035764+00', 'cli:root', 'authserver_admin', 'desk', 'email_agent_token.burn', '2ee19af6edb6', '{"id": 2, "burned_at": null, "created_at": "2026-11-23T07:20:35.986948+00:00", "creator_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "token_hint": "2ee19af6edb6"}', '{"id": 2, "burned_at": "2026-11-23T07:20:36.01372+00:00", "created_at": "2026-11-23T07:20:35.986948+00:00", "creator_id": "2655bcb8-3523-4e25-84e5-96b1758b41f5", "token_hint": "2ee19af6edb6"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (39, '2026-11-23 07:20:36.411763+00', 'cli:root', 'authserver_admin', 'desk', 'domain.remove_key', 'example.test', '{"id": 1, "kid": null, "state": "active", "purpose": "dkim", "selector": "default", "algorithm": "rsa", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:13.349294+00:00", "public_key": "\\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100d134b799507c866e94eac1f8ce4a486802b429f2f4a2cea380aebb5bd690ee7e641d025217bc421adaeec79c63418d78f321ce899cda7eebc0412623b3cb66809eb32dbcc729c6b4520e074409d3671bb17a43e1276b28b072416e6dd71b7a8ff7c6e61c257317f088521964ca45ad463ab2f025522d4016fa1c32560ba3cfbf5d56e50308ba5818f2c232507fe1b9860fc93b788ef761c06ebe16175cb4749a5c2b17f63a51d126956d28874d7d11ab50f601c18f3cfdaa2c0f9ef5e123a94543c8eee0cf26b4ca2ba68deb65b80ecf3ee2600bc12e256b324614b9fedd793fd0230c5295495c1d5794ac7089e24013254da993e7b7d0105a7fac5522573ef70203010001", "retired_at": null, "activated_at": "2026-11-23T07:20:13.349294+00:00"}', NULL);
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (40, '2026-11-23 07:20:36.412295+00', 'cli:root', 'authserver_admin', 'desk', 'domain.remove_key', 'example.test', '{"id": 2, "kid": null, "state": "active", "purpose": "dkim", "selector": "default-ed25519", "algorithm": "ed25519", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:13.349294+00:00", "public_key": "\\x302a300506032b65700321005f65ac889cc927c6604fcd18f00b4ccff4c9838cb67cc320f441d81726bdc3c8", "retired_at": null, "activated_at": "2026-11-23T07:20:13.349294+00:00"}', NULL);
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (41, '2026-11-23 07:20:36.413374+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'example.test', NULL, '{"id": 5, "kid": null, "state": "active", "purpose": "dkim", "selector": "default", "algorithm": "rsa", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:36.407055+00:00", "public_key": "\\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100c53dc45ab35641c292b4e7adea4cfa36f5a95e4794501440f045ab70895e848838231ff99ac86011043e386b5cf5fc43ba5ef4eaaf1e8a40173752d824dcde400eabb463a81f0f9490a325f5f6b846b2860aa98ab1e16d173952e8466f5dbb3fe6ff7cea3942447c00f0e3ca4284808d3077d0eba1083f0c324b8663fc359933d581947d8ce7be8b0265f6b2986c29ff1712898bc38205cf7aa1b65641e41f8c67bb7103b57972d35cc7b0f3462a215264af486f7d42ada9d34cce2ce029cce3e8cf317264c5e208de05ecc6734f2ed5e90630f2503e9dd0b4fb93f756451921339cc23ee4ba210608ed344e8b31a10e67ae493a4be534ce26cb64a755a8e3230203010001", "retired_at": null, "activated_at": "2026-11-23T07:20:36.407055+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (42, '2026-11-23 07:20:36.413536+00', 'cli:root', 'authserver_admin', 'desk', 'domain.create_key', 'example.test', NULL, '{"id": 6, "kid": null, "state": "active", "purpose": "dkim", "selector": "default-ed25519", "algorithm": "ed25519", "domain_id": 1, "sealed_by": "9df99350cde331d9", "created_at": "2026-11-23T07:20:36.407055+00:00", "public_key": "\\x302a300506032b65700321004d653deee7ff8a2f1a78cad14287db7b835002a7a12926d7db046f084c9cf1d1", "retired_at": null, "activated_at": "2026-11-23T07:20:36.407055+00:00"}');
INSERT INTO auth.audit OVERRIDING SYSTEM VALUE VALUES (43, '2026-11-23 07:20:36.654825+00', 'cli:root', 'authserver_admin', 'desk', 'service_user.create', 'svc-bob', NULL, '{"id": 2, "user_id": "5d388116-7a9b-4707-a5c3-2fad7631738d", "username": "svc-bob", "created_at": "2026-11-23T07:20:36.651989+00:00", "description": "", "username_kind": "service_user", "app_password_id": null}');


--
-- Data for Name: domains; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.domains VALUES (2, 'xn--mnchen-3ya.test', 'münchen.test', NULL, false, false, 'default', '+-');
INSERT INTO auth.domains VALUES (3, 'old.test', NULL, 'example.test', false, false, 'default', '+-');
INSERT INTO auth.domains VALUES (4, 'catch.test', NULL, 'alice@example.test', false, true, 'default', '+-');
INSERT INTO auth.domains VALUES (1, 'example.test', NULL, NULL, false, false, 'default', '+-');


--
-- Data for Name: email_agent_tokens; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.email_agent_tokens VALUES (1, '2655bcb8-3523-4e25-84e5-96b1758b41f5', '\xb02d2339a6af15d71a0a01e46cc578c42ec52f547f84b48f386cec61f3afce63', '4bcae567fd79', '2026-11-23 07:20:35.937161+00', NULL);
INSERT INTO auth.email_agent_tokens VALUES (2, '2655bcb8-3523-4e25-84e5-96b1758b41f5', '\x52ea8d0aa1929fbd96ff638c73e0cf4d7e898dd09999c5595153b2e38dcb9959', '2ee19af6edb6', '2026-11-23 07:20:35.986948+00', '2026-11-23 07:20:36.01372+00');


--
-- Data for Name: group_members; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.group_members VALUES (1, '2655bcb8-3523-4e25-84e5-96b1758b41f5');


--
-- Data for Name: group_permissions; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.group_permissions VALUES (1, 1);
INSERT INTO auth.group_permissions VALUES (1, 2);


--
-- Data for Name: groups; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.groups VALUES (1, 'mail');


--
-- Data for Name: installed; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.installed VALUES (true, 5, 'dd910daf5265dffdd8dea03cf7d36816d70160706131346a768b7fe1e16eaa2b', true);


--
-- Data for Name: keys; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.keys VALUES (3, 1, 'jwt', 'rsa', 'active', NULL, 'AEEa4faoSmUmrtmFqz1AxAg1qVJRJ7gesmt7BDOOThY', '\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100bb4007434ea06ff8b8ec452bc76c4224ac7c529caa9e38a1c2dbd82cf6ff38b4b93029854f56b18fff3bccbec48ddb1b8bf394dd52847d96adb7e49dca929655ba5c27441363abadc349b97006a5ee8fc35fbde764c62840c6d6716176dc5cd408ea890f022a3764a862ccdae96e85b926db327a034eedb37072b66b802fb11dc6e2bd395e898b653a16c90d2ef36c505ee0e95186c694c6f920cf2fc2dc5aa81382804c1875bae585b2936356d6d74c93dbb21740dedb55691bc59a4330de4e4e4b643b6f4f8eca07448acea3560825c63999f7504aaf34c8cba96d9f81f669664cb091553748c26e16f88de10207c2b0642462c23df563750c2a65c2b0b77d0203010001', '\x011f5c00e60b55f760d4725a7baa531889514a850db5f2f43c1d33a87656ad9439e408b99980838575e9895a7ee80f78a6ce2180982fc36c0f6f2c15231fcb7155f0b1189b4e2a6023d7209711ece744b5e9f5310fe06a3cb671a335d8d11bc20c096e18c7611aec3744f4ea14bcf8e4fa2fb347d7c996e8328f165bc0bb7f82de76f539bb892f59c710e236f46bfcaa4f066bea98c7c03acddac6201f1939f7f14e5aed22afe737c385917a662ec9de914311b680f1e6c2ab411d44facec726c7562067f0fc52063e2930bdde1d9778be8efecae5d7ffb385785f8b4ca09e33a6714b20d34b76e4b679e8c83407f0afb47db4efb1422d492aad1ff2912347908b26a18673cbc5711748e0d50a9b8faef6cace6345f703cd66b14d89878398aa085a3ff06879cf780610e09b262cb41a426b72cf57cc4bb2e2941c02c1886627c25a0bad1df31784fe2986a1d13a0a142caf3943494a08fba153abab0fde3b168c4f9176ff9031c9496ba657d22565b6070ee31be3f307109f52deff49d1184b25c47f38e3e894db83af943826ce45d7e2c10a45463b193e958309b53490c14ef3f3315b746375eeef12ba23693ee9a95601059c6f691e418b73ba85ae98f518fbf0bfe362837133f46991bf7aa5a698c6f4508c531ab57460d633bfe8be22ff8eb4b2c342683e6ddb555aca98dccc6c17b9f2266e3b226a68178b5e77ad18dd6454f87e1874be882edf0e96ba37919d9192dfbed9d73aadb42689834d6e1154a6812cfe6054e7cfba1dc84665ee0ed6713078177b83214f6605e04cf720a476190852e66474a2abc38075797716e47af703d1975ed7e66cc58b579db1ed31460ccfa1b8e50a0fb062315de3ad091e24fbf19487c932f4c0e2970438b1b45c93e3f6e44ba7791d3137113b79b49117776712fe7fe6be236098a9e62c452a83de60cbd6f2e83f4cf7ba9eb687a7c09c83f2284dd8fb2c74a4364756eec806ab8a672077d76c4bb067b4f5f1f9e6b58f9503434e8a542123fde20efeb6f582d01c60675f035bdeaa287f56b3ee6e3c4354cd339798d2561e117ce1c868c459ccd89c71ecd5f912fef2e55d856c07539274246153b2b54901bfda7cead7425b57cd644bd43a3f59f2a4af36e3cba9cfd538a9c8029cbbb7498bbc8537d27947cb982665e69146232c551ae0c567eb722e2f45961dd4dcec73340c368cf90d9b2211b4793235af72367d1fe020878364e97b8dba521d1e4d39072c99de45e5aae16d5addf69cf9032de3e23b86e838e8b400894cbd45d2ab83657125b1c026387ce7052f39b8c29abba669ddc428325da699398dafff6e7973aa7db915221041f271a96c9de3e50336c5dc640ee9d80dcf1b5beb2a07d995e5d3ab1604df2ca67b68901dbc0b7dbb5d46f61cc08fb339b715b27447d56b4b7566659ad5c70ca4889a169771f6a0d579ed8cb25dec11a16524f86b44b07511e9970bc3e9810122befd4ccebdb77da41ab8ea77d8081fc0fd3ff5dc3035e7361514de1b5aea85c2ab23c0b60b24ae944c8843d53899a93a9557490792775a9fec341801e07b5350720f770084fcde961b5451e6d157f3fda82081c27e8cc4567cfb2f312a9a4916ed7335dfcff33981afc15c286af4f66731798388cf86e9008e9bd2153002c563f6b771ac75f711c9e39cf5b86eebbd76857811ddf68e5a0e3c6e276f05bdbee9b3b87157dd415ee0d3b475898741af4c64b7018798e0aa4a14beafcfc9ec95665474c66fc6947aa7', '1f5c00e60b55f760', '2026-11-23 07:20:13.349294+00', '2026-11-23 07:20:13.349294+00', NULL);
INSERT INTO auth.keys VALUES (4, 2, 'jwt', 'ecdsa-p256', 'active', NULL, 'CncR-tS4nV3YQQLdi1EfZ02gtneyxak1pbpDnazFxzc', '\x3059301306072a8648ce3d020106082a8648ce3d030107034200045bc1e4a4856028f43fd55417ea8fbf2f8d420a43f6ea5ecd38982dacdfea8828e3731c40ca6594c516b64cd73141c5a600af5d7ebfb4c334f9f0cd382402c71a', '\x011f5c00e60b55f760541be6161d477397ad3519b65a504a78801a1e4e4db7bd4cdff06d8b41e762c41bdcf1ebcfd50c74c55c2faff4c466ebb6c672cd5064d0c2af94349d0ae448b6850a3200b90cc01cd1477ce875fb2631686e12e3f975d1cff3a8793b0c3756287483853bc1aebae040a308abd01edd7b415f1e8c8e22abc2e59f9d0b2b80b63f5b49329008974c75bfbf09ebd4c96a330ce46b918bd550a95297d801a159b41a4be79b205a05', '1f5c00e60b55f760', '2026-11-23 07:20:35.334357+00', '2026-11-23 07:20:35.334357+00', NULL);
INSERT INTO auth.keys VALUES (5, 1, 'dkim', 'rsa', 'active', 'default', NULL, '\x30820122300d06092a864886f70d01010105000382010f003082010a0282010100c53dc45ab35641c292b4e7adea4cfa36f5a95e4794501440f045ab70895e848838231ff99ac86011043e386b5cf5fc43ba5ef4eaaf1e8a40173752d824dcde400eabb463a81f0f9490a325f5f6b846b2860aa98ab1e16d173952e8466f5dbb3fe6ff7cea3942447c00f0e3ca4284808d3077d0eba1083f0c324b8663fc359933d581947d8ce7be8b0265f6b2986c29ff1712898bc38205cf7aa1b65641e41f8c67bb7103b57972d35cc7b0f3462a215264af486f7d42ada9d34cce2ce029cce3e8cf317264c5e208de05ecc6734f2ed5e90630f2503e9dd0b4fb93f756451921339cc23ee4ba210608ed344e8b31a10e67ae493a4be534ce26cb64a755a8e3230203010001', '\x019df99350cde331d9d917c4f082f0c1683b4098dd00f3e57be194701f59c6e6059f932e8ac74d0f2cd68b14a3b2bc902228cd0acfda3c9aa3e2c2868eac5ff9050b7f3d7218d594000d384deb19ed4e920774d0998b5ff002ba94c37c8d1df59143c01d3d92162187712ba212a2295b04f977d73c7e4eb3c78e2f48a268e26453cae266be6c74eeb5cadbf36dc62b8003c60ed009bce380db5f70b5ebf96e1d7dfe522bf1eae5c3624a2360d5d3d1087cdf2d0d0a755ca6f721b31d8c74e25f27d82d3c6ae8d8f9fe5d80a97294583566209b78bed6ed0764e5ab07def1eec103e8f0337a1fa3f69935cd0c2b2d8e5cad66a58140ebe7ed32a153b0eb5b975a388b47c03617c1e13bd49c7b76e58c26fe46588ecc50b4fc02ccbbce5bb85ce025c3188ae774f5af9df4cc0348f0071b592375378d6ee2a9186d0e09e6571320a7dfa532d86da3ed9f5f77f286507afea869bfd212745038d0b031cb4e16193744a3570833d3c66405ccda01906574364604196bf248b597dc6063806636de78650a957cf22dc1cc8571fb7d4ebfa6465a078408e734f4d334b408291980dfc5a6a672c59979fb5262f95d0fd2041ce132ecb2d11cf889a48633100ae2b95623dd246cddafdcd40c0eb40ab8055c3d4b01716a253b4d4e1f79addc82d880bdb607744819354bc615dc0047202f4fdbcd02f68da18fb8484f4f26960023a698942a6669e067523b7ab7b77af017dbb0c6779f32b650ca245507f44c74b2a9315e58c3f8f1f59fea5e2df8324e6f34e3c37334b3f679ab31d7cea14ce1c042df093392356c9b41ab6e615e0709cfc3300f004a396c1d09942015b0ddd1795e9af31f33a8124c0bbbe533fcc65d549c876b517e71768e150ed5cf5c4921d506c1c8bbfe371c076325f18bd19bb9b2aff26272c043531bd9f9d8d9f4b2869e48bad8f03cec3e8595ff18bc1489314306a3d5d1bd0b4d8ed620ff5332738aa24c214981b01fa166b9e9d4230d62cb55ee1d5e290b2c7384f9b863b59b61e1892ec35fb504d593f2c22b72480d788d29f984f1a38fbe8c34cf9590ef2b27d2b1305c450d2736e29a428600cd1793ad1c80290c3e1a1aca70693e498a899f5c194365259cd0fc2390b0ef7ffc761da0745d556197693b1e4ea230c2cd36eed374f42ad044de3facf68f618701184e1b91cf18f7f7e654ae18a04878414d9cffb7d281157ad298df956bba17bfbaa04c13b247178cfdec23080bf90475784e69949fdc51f93351238280e956e0c3867d3802631c76bc3fa6eda4b3492bf7efed2b6e3268b13bdcbd794341d9ba96b12469ccc21c6717b0c07944ee30773ca31db2b8b41934a1fb7cf942cecd3ed6ba2dcaf9090b55d30cd9957d017298ac62cff450e81e2be513cc3a0e25aa9e5e8613f1386f65ee8e394876b1de36a7b4ff8db0cd941adc9d554dabfd5909df2520dea94f58fb43ec03edeb90f0d49429ecbce07315221a1f1eec15ce070020d0087c7c75c519fae2df18d90f0191c8eeb49f3ec0cb85dc53d98947e9bebc8163998493c3327f19a657f2e6b85fae77c07c5c3ef85e99e96a2154b492f886c937dbbde2960950f64dfe18683e878f356a235c7703911f5d43a27063beed5cf1437e86ff4dc0f1d9e14d42d7cd83fa55b72cfef24bcddb29bafa2df95c71ff9e272b249a78ef36766e5b761bb86cd58734430aa6639e4b5c0e23a388fde5b0c7a7a0d68da19d9cafbfe422c7ab2f32e80839fad748f0870a4e8ebf0bb9', '9df99350cde331d9', '2026-11-23 07:20:36.407055+00', '2026-11-23 07:20:36.407055+00', NULL);
INSERT INTO auth.keys VALUES (6, 1, 'dkim', 'ed25519', 'active', 'default-ed25519', NULL, '\x302a300506032b65700321004d653deee7ff8a2f1a78cad14287db7b835002a7a12926d7db046f084c9cf1d1', '\x019df99350cde331d9c9c8cee1d0a5ecfa1bd5abcb1c5969e58a9fa7af62089e5511c62a0c33a6a7bbe853b9b819a0e83804137a42ef0407224bbb34369cad96c86f51d95fb03b0df8196ea1324f85cbb9dec56faa', '9df99350cde331d9', '2026-11-23 07:20:36.407055+00', '2026-11-23 07:20:36.407055+00', NULL);


--
-- Data for Name: login_names; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.login_names VALUES ('alice', 'user');
INSERT INTO auth.login_names VALUES ('svc-printer', 'service_user');
INSERT INTO auth.login_names VALUES ('bob', 'user');
INSERT INTO auth.login_names VALUES ('svc-bob', 'service_user');


--
-- Data for Name: mailing_list_addresses; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.mailing_list_addresses OVERRIDING SYSTEM VALUE VALUES (1, 'alice@example.test', 1);
INSERT INTO auth.mailing_list_addresses OVERRIDING SYSTEM VALUE VALUES (1, 'team@example.org', 2);
INSERT INTO auth.mailing_list_addresses OVERRIDING SYSTEM VALUE VALUES (2, 'ops@remote.example', 3);


--
-- Data for Name: mailing_lists; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.mailing_lists VALUES (1, 'team', NULL, NULL);
INSERT INTO auth.mailing_lists VALUES (2, 'ops', '5d388116-7a9b-4707-a5c3-2fad7631738d', 'bounces@example.test');


--
-- Data for Name: permissions; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.permissions VALUES (1, 'imap', 'Read mail');
INSERT INTO auth.permissions VALUES (2, 'smtp', 'Send mail');


--
-- Data for Name: service_users; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.service_users VALUES (1, '2655bcb8-3523-4e25-84e5-96b1758b41f5', 'svc-printer', 'service_user', 'printer', NULL, 'wzds9h', '2026-11-23 07:20:13.908848+00');
INSERT INTO auth.service_users VALUES (2, '5d388116-7a9b-4707-a5c3-2fad7631738d', 'svc-bob', 'service_user', '', '$y$j9T$Gv7JYbaAT3QvahXAT8.gl0$qGLd2J75wgSluDXy9YcxuLn0hhwtvYA5Gx4QsW5J2.9', NULL, '2026-11-23 07:20:36.651989+00');


--
-- Data for Name: user_permissions; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.user_permissions VALUES ('5d388116-7a9b-4707-a5c3-2fad7631738d', 1);


--
-- Data for Name: users; Type: TABLE DATA; Schema: auth; Owner: authserver_owner
--

INSERT INTO auth.users VALUES ('2655bcb8-3523-4e25-84e5-96b1758b41f5', 'alice', 'user', 'Alice Example', '$y$j9T$73ty41IMbzo2.ddlCM0nN1$WEtmhhiaSkGiaDY0u7JdXGmLbk2SRaAhkstdD2vT5X5', 1, true, false, '2026-11-23 07:20:13.569552+00');
INSERT INTO auth.users VALUES ('5d388116-7a9b-4707-a5c3-2fad7631738d', 'bob', 'user', 'Bob Bauer', NULL, 5, false, false, '2026-11-23 07:20:35.513732+00');


--
-- Name: aliases_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.aliases_id_seq', 5, true);


--
-- Name: audit_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.audit_id_seq', 43, true);


--
-- Name: domains_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.domains_id_seq', 4, true);


--
-- Name: email_agent_tokens_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.email_agent_tokens_id_seq', 2, true);


--
-- Name: groups_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.groups_id_seq', 1, true);


--
-- Name: keys_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.keys_id_seq', 6, true);


--
-- Name: mailing_list_addresses_position_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.mailing_list_addresses_position_seq', 3, true);


--
-- Name: mailing_lists_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.mailing_lists_id_seq', 2, true);


--
-- Name: permissions_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.permissions_id_seq', 2, true);


--
-- Name: service_users_id_seq; Type: SEQUENCE SET; Schema: auth; Owner: authserver_owner
--

SELECT pg_catalog.setval('auth.service_users_id_seq', 2, true);


--
-- Name: aliases aliases_domain_id_local_part_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_domain_id_local_part_key UNIQUE (domain_id, local_part);


--
-- Name: aliases aliases_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_pkey PRIMARY KEY (id);


--
-- Name: aliases aliases_user_id_id_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_user_id_id_key UNIQUE (user_id, id);


--
-- Name: app_passwords app_passwords_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.app_passwords
    ADD CONSTRAINT app_passwords_pkey PRIMARY KEY (id);


--
-- Name: app_passwords app_passwords_user_id_id_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.app_passwords
    ADD CONSTRAINT app_passwords_user_id_id_key UNIQUE (user_id, id);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);


--
-- Name: domains domains_name_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.domains
    ADD CONSTRAINT domains_name_key UNIQUE (name);


--
-- Name: domains domains_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.domains
    ADD CONSTRAINT domains_pkey PRIMARY KEY (id);


--
-- Name: domains domains_unicode_name_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.domains
    ADD CONSTRAINT domains_unicode_name_key UNIQUE (unicode_name);


--
-- Name: email_agent_tokens email_agent_tokens_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.email_agent_tokens
    ADD CONSTRAINT email_agent_tokens_pkey PRIMARY KEY (id);


--
-- Name: email_agent_tokens email_agent_tokens_token_hash_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.email_agent_tokens
    ADD CONSTRAINT email_agent_tokens_token_hash_key UNIQUE (token_hash);


--
-- Name: group_members group_members_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_members
    ADD CONSTRAINT group_members_pkey PRIMARY KEY (user_id, group_id);


--
-- Name: group_permissions group_permissions_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_permissions
    ADD CONSTRAINT group_permissions_pkey PRIMARY KEY (group_id, permission_id);


--
-- Name: groups groups_name_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.groups
    ADD CONSTRAINT groups_name_key UNIQUE (name);


--
-- Name: groups groups_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY (id);


--
-- Name: installed installed_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.installed
    ADD CONSTRAINT installed_pkey PRIMARY KEY (only_row);


--
-- Name: keys keys_domain_id_kid_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.keys
    ADD CONSTRAINT keys_domain_id_kid_key UNIQUE (domain_id, kid);


--
-- Name: keys keys_domain_id_selector_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.keys
    ADD CONSTRAINT keys_domain_id_selector_key UNIQUE (domain_id, selector);


--
-- Name: keys keys_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);


--
-- Name: login_names login_names_name_kind_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.login_names
    ADD CONSTRAINT login_names_name_kind_key UNIQUE (name, kind);


--
-- Name: login_names login_names_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.login_names
    ADD CONSTRAINT login_names_pkey PRIMARY KEY (name);


--
-- Name: mailing_list_addresses mailing_list_addresses_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.mailing_list_addresses
    ADD CONSTRAINT mailing_list_addresses_pkey PRIMARY KEY (mailing_list_id, address);


--
-- Name: mailing_lists mailing_lists_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.mailing_lists
    ADD CONSTRAINT mailing_lists_pkey PRIMARY KEY (id);


--
-- Name: permissions permissions_permission_name_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.permissions
    ADD CONSTRAINT permissions_permission_name_key UNIQUE (permission_name);


--
-- Name: permissions permissions_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.permissions
    ADD CONSTRAINT permissions_pkey PRIMARY KEY (id);


--
-- Name: service_users service_users_app_password_id_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_app_password_id_key UNIQUE (app_password_id);


--
-- Name: service_users service_users_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_pkey PRIMARY KEY (id);


--
-- Name: service_users service_users_username_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_username_key UNIQUE (username);


--
-- Name: user_permissions user_permissions_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.user_permissions
    ADD CONSTRAINT user_permissions_pkey PRIMARY KEY (user_id, permission_id);


--
-- Name: users users_delivery_mailbox_id_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_delivery_mailbox_id_key UNIQUE (delivery_mailbox_id);


--
-- Name: users users_identifier_key; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_identifier_key UNIQUE (identifier);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: aliases_blocked; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX aliases_blocked ON auth.aliases USING btree (domain_id, translate(local_part, '-'::text, '+'::text)) WHERE blocked;


--
-- Name: aliases_mailing_list; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX aliases_mailing_list ON auth.aliases USING btree (mailing_list_id);


--
-- Name: app_passwords_user; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX app_passwords_user ON auth.app_passwords USING btree (user_id);


--
-- Name: audit_at; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX audit_at ON auth.audit USING btree (at);


--
-- Name: audit_object; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX audit_object ON auth.audit USING btree (object, id);


--
-- Name: email_agent_tokens_creator; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX email_agent_tokens_creator ON auth.email_agent_tokens USING btree (creator_id);


--
-- Name: group_members_group; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX group_members_group ON auth.group_members USING btree (group_id);


--
-- Name: group_permissions_permission; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX group_permissions_permission ON auth.group_permissions USING btree (permission_id);


--
-- Name: keys_one_active; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE UNIQUE INDEX keys_one_active ON auth.keys USING btree (domain_id, purpose, algorithm) WHERE (state = 'active'::text);


--
-- Name: mailing_lists_owner; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX mailing_lists_owner ON auth.mailing_lists USING btree (owner_id);


--
-- Name: service_users_user; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX service_users_user ON auth.service_users USING btree (user_id);


--
-- Name: user_permissions_permission; Type: INDEX; Schema: auth; Owner: authserver_owner
--

CREATE INDEX user_permissions_permission ON auth.user_permissions USING btree (permission_id);


--
-- Name: aliases aliases_domain_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES auth.domains(id);


--
-- Name: aliases aliases_mailing_list_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_mailing_list_id_fkey FOREIGN KEY (mailing_list_id) REFERENCES auth.mailing_lists(id) ON DELETE CASCADE;


--
-- Name: aliases aliases_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.aliases
    ADD CONSTRAINT aliases_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: app_passwords app_passwords_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.app_passwords
    ADD CONSTRAINT app_passwords_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: email_agent_tokens email_agent_tokens_creator_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.email_agent_tokens
    ADD CONSTRAINT email_agent_tokens_creator_id_fkey FOREIGN KEY (creator_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: group_members group_members_group_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_members
    ADD CONSTRAINT group_members_group_id_fkey FOREIGN KEY (group_id) REFERENCES auth.groups(id) ON DELETE CASCADE;


--
-- Name: group_members group_members_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_members
    ADD CONSTRAINT group_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: group_permissions group_permissions_group_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_permissions
    ADD CONSTRAINT group_permissions_group_id_fkey FOREIGN KEY (group_id) REFERENCES auth.groups(id) ON DELETE CASCADE;


--
-- Name: group_permissions group_permissions_permission_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.group_permissions
    ADD CONSTRAINT group_permissions_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES auth.permissions(id) ON DELETE CASCADE;


--
-- Name: keys keys_domain_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.keys
    ADD CONSTRAINT keys_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES auth.domains(id) ON DELETE CASCADE;


--
-- Name: mailing_list_addresses mailing_list_addresses_mailing_list_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.mailing_list_addresses
    ADD CONSTRAINT mailing_list_addresses_mailing_list_id_fkey FOREIGN KEY (mailing_list_id) REFERENCES auth.mailing_lists(id) ON DELETE CASCADE;


--
-- Name: mailing_lists mailing_lists_owner_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.mailing_lists
    ADD CONSTRAINT mailing_lists_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES auth.users(id) ON DELETE SET NULL;


--
-- Name: service_users service_users_app_password_is_own; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_app_password_is_own FOREIGN KEY (user_id, app_password_id) REFERENCES auth.app_passwords(user_id, id);


--
-- Name: service_users service_users_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: service_users service_users_username_username_kind_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.service_users
    ADD CONSTRAINT service_users_username_username_kind_fkey FOREIGN KEY (username, username_kind) REFERENCES auth.login_names(name, kind) ON UPDATE CASCADE ON DELETE CASCADE;


--
-- Name: user_permissions user_permissions_permission_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.user_permissions
    ADD CONSTRAINT user_permissions_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES auth.permissions(id) ON DELETE CASCADE;


--
-- Name: user_permissions user_permissions_user_id_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.user_permissions
    ADD CONSTRAINT user_permissions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;


--
-- Name: users users_delivery_mailbox_is_own; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_delivery_mailbox_is_own FOREIGN KEY (id, delivery_mailbox_id) REFERENCES auth.aliases(user_id, id);


--
-- Name: users users_identifier_identifier_kind_fkey; Type: FK CONSTRAINT; Schema: auth; Owner: authserver_owner
--

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_identifier_identifier_kind_fkey FOREIGN KEY (identifier, identifier_kind) REFERENCES auth.login_names(name, kind) ON UPDATE CASCADE ON DELETE CASCADE;


--
-- Name: SCHEMA api; Type: ACL; Schema: -; Owner: authserver_owner
--

GRANT USAGE ON SCHEMA api TO authserver_admin;
GRANT USAGE ON SCHEMA api TO authserver_web;
GRANT USAGE ON SCHEMA api TO authserver_dkimsigner;
GRANT USAGE ON SCHEMA api TO authserver_mailforwarder;


--
-- Name: SCHEMA auth; Type: ACL; Schema: -; Owner: authserver_owner
--

GRANT USAGE ON SCHEMA auth TO authserver_spapi;


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: pg_database_owner
--

GRANT ALL ON SCHEMA public TO authserver_spapi;


--
-- Name: FUNCTION add_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], OUT outcome text, OUT added text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.add_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], OUT outcome text, OUT added text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.add_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], OUT outcome text, OUT added text[]) TO authserver_admin;


--
-- Name: FUNCTION audit_trail(p_object text, p_action text, p_actor text, p_since timestamp with time zone, p_limit integer); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.audit_trail(p_object text, p_action text, p_actor text, p_since timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION api.audit_trail(p_object text, p_action text, p_actor text, p_since timestamp with time zone, p_limit integer) TO authserver_admin;


--
-- Name: FUNCTION block_aliases(p_addresses text[], p_create boolean, p_user_id uuid, p_mailing_list_id bigint, p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.block_aliases(p_addresses text[], p_create boolean, p_user_id uuid, p_mailing_list_id bigint, p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.block_aliases(p_addresses text[], p_create boolean, p_user_id uuid, p_mailing_list_id bigint, p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION burn_email_agent_token(p_token_hash bytea, OUT outcome text, OUT token_hint text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.burn_email_agent_token(p_token_hash bytea, OUT outcome text, OUT token_hint text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.burn_email_agent_token(p_token_hash bytea, OUT outcome text, OUT token_hint text) TO authserver_admin;


--
-- Name: FUNCTION check_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.check_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION api.check_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) TO authserver_admin;


--
-- Name: FUNCTION create_alias(p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean, OUT outcome text, OUT redirect_to text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_alias(p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean, OUT outcome text, OUT redirect_to text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_alias(p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean, OUT outcome text, OUT redirect_to text) TO authserver_admin;


--
-- Name: FUNCTION create_app_password(p_user_id uuid, p_id text, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_app_password(p_user_id uuid, p_id text, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_app_password(p_user_id uuid, p_id text, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text) TO authserver_admin;


--
-- Name: FUNCTION create_domain(p_name text, p_unicode_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_keys jsonb, OUT outcome text, OUT detail text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_domain(p_name text, p_unicode_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_keys jsonb, OUT outcome text, OUT detail text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_domain(p_name text, p_unicode_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_keys jsonb, OUT outcome text, OUT detail text) TO authserver_admin;


--
-- Name: FUNCTION create_email_agent_token(p_creator_id uuid, p_token_hash bytea, p_token_hint text, OUT outcome text, OUT id bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_email_agent_token(p_creator_id uuid, p_token_hash bytea, p_token_hint text, OUT outcome text, OUT id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_email_agent_token(p_creator_id uuid, p_token_hash bytea, p_token_hint text, OUT outcome text, OUT id bigint) TO authserver_admin;


--
-- Name: FUNCTION create_group(p_name text, OUT outcome text, OUT group_id bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_group(p_name text, OUT outcome text, OUT group_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_group(p_name text, OUT outcome text, OUT group_id bigint) TO authserver_admin;


--
-- Name: FUNCTION create_mailing_list(p_name text, p_new_mailfrom text, p_owner_id uuid, p_addresses text[], OUT outcome text, OUT mailing_list_id bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_mailing_list(p_name text, p_new_mailfrom text, p_owner_id uuid, p_addresses text[], OUT outcome text, OUT mailing_list_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_mailing_list(p_name text, p_new_mailfrom text, p_owner_id uuid, p_addresses text[], OUT outcome text, OUT mailing_list_id bigint) TO authserver_admin;


--
-- Name: FUNCTION create_permission(p_permission_name text, p_name text, OUT outcome text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_permission(p_permission_name text, p_name text, OUT outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_permission(p_permission_name text, p_name text, OUT outcome text) TO authserver_admin;


--
-- Name: FUNCTION create_service_user(p_user_id uuid, p_username text, p_description text, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint, OUT username text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_service_user(p_user_id uuid, p_username text, p_description text, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint, OUT username text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_service_user(p_user_id uuid, p_username text, p_description text, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint, OUT username text) TO authserver_admin;


--
-- Name: FUNCTION create_user(p_identifier text, p_full_name text, p_password_hash text, p_staff boolean, OUT outcome text, OUT user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.create_user(p_identifier text, p_full_name text, p_password_hash text, p_staff boolean, OUT outcome text, OUT user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.create_user(p_identifier text, p_full_name text, p_password_hash text, p_staff boolean, OUT outcome text, OUT user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION edit_aliases(p_alias_ids bigint[], p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.edit_aliases(p_alias_ids bigint[], p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.edit_aliases(p_alias_ids bigint[], p_local_part text, p_domain text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) TO authserver_admin;


--
-- Name: FUNCTION edit_domain(p_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_remove_keys text[], p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.edit_domain(p_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_remove_keys text[], p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.edit_domain(p_name text, p_redirect_to text, p_jwt_subdomains boolean, p_transactional boolean, p_dkim_selector text, p_subaddress_separators text, p_remove_keys text[], p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) TO authserver_admin;


--
-- Name: FUNCTION edit_mailing_lists(p_mailing_list_ids bigint[], p_name text, p_new_mailfrom text, p_owner_id uuid, p_ownerless boolean, OUT outcome text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.edit_mailing_lists(p_mailing_list_ids bigint[], p_name text, p_new_mailfrom text, p_owner_id uuid, p_ownerless boolean, OUT outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.edit_mailing_lists(p_mailing_list_ids bigint[], p_name text, p_new_mailfrom text, p_owner_id uuid, p_ownerless boolean, OUT outcome text) TO authserver_admin;


--
-- Name: FUNCTION edit_service_users(p_service_user_ids bigint[], p_username text, p_description text, p_user_id uuid, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.edit_service_users(p_service_user_ids bigint[], p_username text, p_description text, p_user_id uuid, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.edit_service_users(p_service_user_ids bigint[], p_username text, p_description text, p_user_id uuid, p_password_hash text, p_app_password_id text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone, OUT outcome text, OUT service_user_id bigint) TO authserver_admin;


--
-- Name: FUNCTION edit_users(p_user_ids uuid[], p_identifier text, p_full_name text, p_password_hash text, p_remove_password boolean, p_staff boolean, p_active boolean, OUT outcome text, OUT user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.edit_users(p_user_ids uuid[], p_identifier text, p_full_name text, p_password_hash text, p_remove_password boolean, p_staff boolean, p_active boolean, OUT outcome text, OUT user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.edit_users(p_user_ids uuid[], p_identifier text, p_full_name text, p_password_hash text, p_remove_password boolean, p_staff boolean, p_active boolean, OUT outcome text, OUT user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION find_aliases(p_addresses text[], p_local_part text, p_domain text, p_contains text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_aliases(p_addresses text[], p_local_part text, p_domain text, p_contains text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_aliases(p_addresses text[], p_local_part text, p_domain text, p_contains text, p_user_id uuid, p_mailing_list_id bigint, p_blocked boolean) TO authserver_admin;


--
-- Name: FUNCTION find_app_passwords(p_ids text[], p_contains text, p_user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_app_passwords(p_ids text[], p_contains text, p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_app_passwords(p_ids text[], p_contains text, p_user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION find_domains(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_domains(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_domains(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean) TO authserver_admin;


--
-- Name: FUNCTION find_keys(p_domain text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_keys(p_domain text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_keys(p_domain text) TO authserver_admin;


--
-- Name: FUNCTION find_mailing_lists(p_selectors text[], p_contains text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_mailing_lists(p_selectors text[], p_contains text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_mailing_lists(p_selectors text[], p_contains text) TO authserver_admin;


--
-- Name: FUNCTION find_parent_domain(p_name text, p_with_key boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_parent_domain(p_name text, p_with_key boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_parent_domain(p_name text, p_with_key boolean) TO authserver_admin;


--
-- Name: FUNCTION find_service_users(p_selectors text[], p_contains text, p_user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_service_users(p_selectors text[], p_contains text, p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_service_users(p_selectors text[], p_contains text, p_user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION find_users(p_selectors text[], p_contains text, p_active boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.find_users(p_selectors text[], p_contains text, p_active boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.find_users(p_selectors text[], p_contains text, p_active boolean) TO authserver_admin;


--
-- Name: FUNCTION function_digest(); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.function_digest() FROM PUBLIC;
GRANT ALL ON FUNCTION api.function_digest() TO authserver_admin;
GRANT ALL ON FUNCTION api.function_digest() TO authserver_web;
GRANT ALL ON FUNCTION api.function_digest() TO authserver_dkimsigner;
GRANT ALL ON FUNCTION api.function_digest() TO authserver_mailforwarder;


--
-- Name: FUNCTION grant_group_permissions(p_group text, p_permissions text[], OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.grant_group_permissions(p_group text, p_permissions text[], OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.grant_group_permissions(p_group text, p_permissions text[], OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) TO authserver_admin;


--
-- Name: FUNCTION grant_memberships(p_user text, p_groups text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.grant_memberships(p_user text, p_groups text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.grant_memberships(p_user text, p_groups text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) TO authserver_admin;


--
-- Name: FUNCTION grant_user_permissions(p_user text, p_permissions text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.grant_user_permissions(p_user text, p_permissions text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.grant_user_permissions(p_user text, p_permissions text[], OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) TO authserver_admin;


--
-- Name: COLUMN users.id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(id) ON TABLE auth.users TO authserver_spapi;


--
-- Name: COLUMN users.password_hash; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(password_hash) ON TABLE auth.users TO authserver_spapi;


--
-- Name: COLUMN users.delivery_mailbox_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(delivery_mailbox_id) ON TABLE auth.users TO authserver_spapi;


--
-- Name: COLUMN users.active; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(active) ON TABLE auth.users TO authserver_spapi;


--
-- Name: FUNCTION list_email_agent_tokens(p_creator_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_email_agent_tokens(p_creator_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_email_agent_tokens(p_creator_id uuid) TO authserver_admin;


--
-- Name: FUNCTION list_group_permissions(p_group text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_group_permissions(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_group_permissions(p_group text) TO authserver_admin;


--
-- Name: FUNCTION list_groups(p_selector text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_groups(p_selector text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_groups(p_selector text) TO authserver_admin;


--
-- Name: FUNCTION list_memberships(p_user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_memberships(p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_memberships(p_user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION list_permissions(p_permission_name text, p_name text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_permissions(p_permission_name text, p_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_permissions(p_permission_name text, p_name text) TO authserver_admin;


--
-- Name: FUNCTION list_user_permissions(p_user_id uuid); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.list_user_permissions(p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION api.list_user_permissions(p_user_id uuid) TO authserver_admin;


--
-- Name: FUNCTION redeem_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.redeem_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION api.redeem_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) TO authserver_admin;


--
-- Name: FUNCTION remove_aliases(p_alias_ids bigint[], p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_aliases(p_alias_ids bigint[], p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_aliases(p_alias_ids bigint[], p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION remove_app_passwords(p_ids text[], p_dry_run boolean, OUT outcome text, OUT app_password_id text, OUT service_user text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_app_passwords(p_ids text[], p_dry_run boolean, OUT outcome text, OUT app_password_id text, OUT service_user text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_app_passwords(p_ids text[], p_dry_run boolean, OUT outcome text, OUT app_password_id text, OUT service_user text) TO authserver_admin;


--
-- Name: FUNCTION remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION remove_group(p_selector text, OUT outcome text, OUT name text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_group(p_selector text, OUT outcome text, OUT name text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_group(p_selector text, OUT outcome text, OUT name text) TO authserver_admin;


--
-- Name: FUNCTION remove_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT missing text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT missing text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT missing text[]) TO authserver_admin;


--
-- Name: FUNCTION remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION remove_permission(p_selector text, p_dry_run boolean, OUT outcome text, OUT detail text[], OUT permission_name text, OUT name text, OUT users bigint, OUT groups bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_permission(p_selector text, p_dry_run boolean, OUT outcome text, OUT detail text[], OUT permission_name text, OUT name text, OUT users bigint, OUT groups bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_permission(p_selector text, p_dry_run boolean, OUT outcome text, OUT detail text[], OUT permission_name text, OUT name text, OUT users bigint, OUT groups bigint) TO authserver_admin;


--
-- Name: FUNCTION remove_service_users(p_service_user_ids bigint[], p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_service_users(p_service_user_ids bigint[], p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_service_users(p_service_user_ids bigint[], p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION remove_users(p_user_ids uuid[], p_dry_run boolean); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.remove_users(p_user_ids uuid[], p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION api.remove_users(p_user_ids uuid[], p_dry_run boolean) TO authserver_admin;


--
-- Name: FUNCTION reseal_keys(p_key_ids bigint[], p_was bytea[], p_sealed_keys bytea[], p_sealed_by text[], OUT outcome text, OUT resealed bigint); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.reseal_keys(p_key_ids bigint[], p_was bytea[], p_sealed_keys bytea[], p_sealed_by text[], OUT outcome text, OUT resealed bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION api.reseal_keys(p_key_ids bigint[], p_was bytea[], p_sealed_keys bytea[], p_sealed_by text[], OUT outcome text, OUT resealed bigint) TO authserver_admin;


--
-- Name: FUNCTION revoke_app_passwords(p_ids text[], OUT outcome text, OUT app_password_id text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.revoke_app_passwords(p_ids text[], OUT outcome text, OUT app_password_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.revoke_app_passwords(p_ids text[], OUT outcome text, OUT app_password_id text) TO authserver_admin;


--
-- Name: FUNCTION revoke_group_permissions(p_group text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.revoke_group_permissions(p_group text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.revoke_group_permissions(p_group text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT name text, OUT changed text[]) TO authserver_admin;


--
-- Name: FUNCTION revoke_memberships(p_user text, p_groups text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.revoke_memberships(p_user text, p_groups text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.revoke_memberships(p_user text, p_groups text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) TO authserver_admin;


--
-- Name: FUNCTION revoke_user_permissions(p_user text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.revoke_user_permissions(p_user text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.revoke_user_permissions(p_user text, p_permissions text[], p_dry_run boolean, OUT outcome text, OUT detail text[], OUT identifier text, OUT changed text[]) TO authserver_admin;


--
-- Name: FUNCTION schema_version(); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.schema_version() FROM PUBLIC;
GRANT ALL ON FUNCTION api.schema_version() TO authserver_admin;
GRANT ALL ON FUNCTION api.schema_version() TO authserver_web;
GRANT ALL ON FUNCTION api.schema_version() TO authserver_dkimsigner;
GRANT ALL ON FUNCTION api.schema_version() TO authserver_mailforwarder;


--
-- Name: FUNCTION sealed_keys(); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.sealed_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION api.sealed_keys() TO authserver_admin;


--
-- Name: FUNCTION set_delivery_mailbox(p_user_id uuid, p_address text, OUT outcome text); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.set_delivery_mailbox(p_user_id uuid, p_address text, OUT outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION api.set_delivery_mailbox(p_user_id uuid, p_address text, OUT outcome text) TO authserver_admin;


--
-- Name: FUNCTION set_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT added text[], OUT removed text[]); Type: ACL; Schema: api; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION api.set_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT added text[], OUT removed text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION api.set_mailing_list_addresses(p_mailing_list_id bigint, p_addresses text[], p_dry_run boolean, OUT outcome text, OUT added text[], OUT removed text[]) TO authserver_admin;


--
-- Name: FUNCTION add_app_password(p_id text, p_user_id uuid, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.add_app_password(p_id text, p_user_id uuid, p_description text, p_secret_hash bytea, p_crypt_hash text, p_services text[], p_networks cidr[], p_expires_at timestamp with time zone) FROM PUBLIC;


--
-- Name: COLUMN domains.id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(id) ON TABLE auth.domains TO authserver_spapi;


--
-- Name: COLUMN domains.name; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(name) ON TABLE auth.domains TO authserver_spapi;


--
-- Name: COLUMN domains.unicode_name; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(unicode_name) ON TABLE auth.domains TO authserver_spapi;


--
-- Name: COLUMN domains.redirect_to; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(redirect_to) ON TABLE auth.domains TO authserver_spapi;


--
-- Name: COLUMN domains.subaddress_separators; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(subaddress_separators) ON TABLE auth.domains TO authserver_spapi;


--
-- Name: FUNCTION add_keys(p_domain auth.domains, p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.add_keys(p_domain auth.domains, p_keys jsonb, p_replace boolean, OUT outcome text, OUT detail text) FROM PUBLIC;


--
-- Name: COLUMN aliases.id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(id) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: COLUMN aliases.local_part; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(local_part) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: COLUMN aliases.domain_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(domain_id) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: COLUMN aliases.user_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(user_id) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: COLUMN aliases.mailing_list_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(mailing_list_id) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: COLUMN aliases.blocked; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(blocked) ON TABLE auth.aliases TO authserver_spapi;


--
-- Name: FUNCTION address_of(p_alias auth.aliases); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.address_of(p_alias auth.aliases) FROM PUBLIC;


--
-- Name: FUNCTION addresses_of_list(p_mailing_list_id bigint); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.addresses_of_list(p_mailing_list_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION append_to_list(p_mailing_list_id bigint, p_addresses text[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.append_to_list(p_mailing_list_id bigint, p_addresses text[]) FROM PUBLIC;


--
-- Name: FUNCTION burn_email_agent_token(p_token_hash bytea); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.burn_email_agent_token(p_token_hash bytea) FROM PUBLIC;


--
-- Name: FUNCTION claim_login_name(p_name text, p_kind text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.claim_login_name(p_name text, p_kind text) FROM PUBLIC;


--
-- Name: FUNCTION client_address(p_address text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.client_address(p_address text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.client_address(p_address text) TO authserver_spapi;


--
-- Name: FUNCTION credentials(p_login text, p_permission text, OUT password text, OUT primary_address text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.credentials(p_login text, p_permission text, OUT password text, OUT primary_address text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.credentials(p_login text, p_permission text, OUT password text, OUT primary_address text) TO authserver_spapi;


--
-- Name: FUNCTION crypt_verifies(p_hash text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.crypt_verifies(p_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.crypt_verifies(p_hash text) TO authserver_spapi;


--
-- Name: FUNCTION domains_above(p_name text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.domains_above(p_name text) FROM PUBLIC;


--
-- Name: FUNCTION find_alias(p_address text, OUT domain_id bigint, OUT domain_name text, OUT redirect_to text, OUT alias_id bigint, OUT user_id uuid, OUT mailing_list_id bigint, OUT blocked boolean); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_alias(p_address text, OUT domain_id bigint, OUT domain_name text, OUT redirect_to text, OUT alias_id bigint, OUT user_id uuid, OUT mailing_list_id bigint, OUT blocked boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.find_alias(p_address text, OUT domain_id bigint, OUT domain_name text, OUT redirect_to text, OUT alias_id bigint, OUT user_id uuid, OUT mailing_list_id bigint, OUT blocked boolean) TO authserver_spapi;


--
-- Name: FUNCTION find_domain(p_name text, OUT id bigint, OUT name text, OUT redirect_to text, OUT subaddress_separators text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_domain(p_name text, OUT id bigint, OUT name text, OUT redirect_to text, OUT subaddress_separators text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.find_domain(p_name text, OUT id bigint, OUT name text, OUT redirect_to text, OUT subaddress_separators text) TO authserver_spapi;


--
-- Name: FUNCTION find_exact_alias(p_address text, OUT local_part text, OUT domain_id bigint, OUT alias_id bigint); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_exact_alias(p_address text, OUT local_part text, OUT domain_id bigint, OUT alias_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION find_group(p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_group(p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION find_service_user(p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_service_user(p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION find_user(p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.find_user(p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION has_permission(p_user_id uuid, p_permission_name text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.has_permission(p_user_id uuid, p_permission_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.has_permission(p_user_id uuid, p_permission_name text) TO authserver_spapi;


--
-- Name: FUNCTION hold_app_passwords(p_ids text[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.hold_app_passwords(p_ids text[]) FROM PUBLIC;


--
-- Name: FUNCTION hold_groups(p_selectors text[], OUT unknown text[], OUT ids bigint[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.hold_groups(p_selectors text[], OUT unknown text[], OUT ids bigint[]) FROM PUBLIC;


--
-- Name: FUNCTION hold_owner(p_user_id uuid, p_mailing_list_id bigint); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.hold_owner(p_user_id uuid, p_mailing_list_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION hold_permissions(p_selectors text[], OUT outcome text, OUT detail text[], OUT ids bigint[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.hold_permissions(p_selectors text[], OUT outcome text, OUT detail text[], OUT ids bigint[]) FROM PUBLIC;


--
-- Name: FUNCTION hold_users(p_alias_ids bigint[], p_user_id uuid); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.hold_users(p_alias_ids bigint[], p_user_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION judge_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.judge_email_agent_token(p_token_hash bytea, OUT outcome text, OUT creator text, OUT creator_id uuid, OUT primary_address text, OUT token_hint text, OUT burned_at timestamp with time zone) FROM PUBLIC;


--
-- Name: FUNCTION key_name(p_key auth.keys); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.key_name(p_key auth.keys) FROM PUBLIC;


--
-- Name: FUNCTION keys_by_selector(p_domain auth.domains); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.keys_by_selector(p_domain auth.domains) FROM PUBLIC;


--
-- Name: FUNCTION lock_redirects(); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.lock_redirects() FROM PUBLIC;


--
-- Name: FUNCTION mailbox_of(p_alias_id bigint); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.mailbox_of(p_alias_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION match_mailing_lists(p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.match_mailing_lists(p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION match_permissions(p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.match_permissions(p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION may_have_service_users(p_user_id uuid); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.may_have_service_users(p_user_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION parse_address(p_address text, OUT local_part text, OUT domain text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.parse_address(p_address text, OUT local_part text, OUT domain text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.parse_address(p_address text, OUT local_part text, OUT domain text) TO authserver_spapi;


--
-- Name: FUNCTION permission_names(p_ids bigint[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.permission_names(p_ids bigint[]) FROM PUBLIC;


--
-- Name: COLUMN group_members.group_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(group_id) ON TABLE auth.group_members TO authserver_spapi;


--
-- Name: COLUMN group_members.user_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(user_id) ON TABLE auth.group_members TO authserver_spapi;


--
-- Name: COLUMN group_permissions.group_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(group_id) ON TABLE auth.group_permissions TO authserver_spapi;


--
-- Name: COLUMN group_permissions.permission_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(permission_id) ON TABLE auth.group_permissions TO authserver_spapi;


--
-- Name: COLUMN permissions.id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(id) ON TABLE auth.permissions TO authserver_spapi;


--
-- Name: COLUMN permissions.permission_name; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(permission_name) ON TABLE auth.permissions TO authserver_spapi;


--
-- Name: COLUMN user_permissions.user_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(user_id) ON TABLE auth.user_permissions TO authserver_spapi;


--
-- Name: COLUMN user_permissions.permission_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(permission_id) ON TABLE auth.user_permissions TO authserver_spapi;


--
-- Name: FUNCTION permission_names(p_user_id uuid); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.permission_names(p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.permission_names(p_user_id uuid) TO authserver_spapi;


--
-- Name: FUNCTION primary_address(p_user_id uuid); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.primary_address(p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.primary_address(p_user_id uuid) TO authserver_spapi;


--
-- Name: FUNCTION record(p_action text, p_object text, p_before jsonb, p_after jsonb); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.record(p_action text, p_object text, p_before jsonb, p_after jsonb) FROM PUBLIC;


--
-- Name: FUNCTION record_belongings(p_user_id uuid); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.record_belongings(p_user_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION redirect_loop(p_name text, p_redirect_to text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.redirect_loop(p_name text, p_redirect_to text) FROM PUBLIC;


--
-- Name: FUNCTION remove_keys(p_domain auth.domains, p_purposes text[]); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.remove_keys(p_domain auth.domains, p_purposes text[]) FROM PUBLIC;


--
-- Name: FUNCTION rename_selectors(p_domain auth.domains, p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.rename_selectors(p_domain auth.domains, p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION revoke_app_password(p_id text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.revoke_app_password(p_id text) FROM PUBLIC;


--
-- Name: FUNCTION taken_selector(p_domain auth.domains, p_selector text); Type: ACL; Schema: auth; Owner: authserver_owner
--

REVOKE ALL ON FUNCTION auth.taken_selector(p_domain auth.domains, p_selector text) FROM PUBLIC;


--
-- Name: FUNCTION authserver_api_version(); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_api_version() FROM PUBLIC;


--
-- Name: FUNCTION authserver_check_domain(domain character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_check_domain(domain character varying) FROM PUBLIC;


--
-- Name: FUNCTION authserver_get_credentials(email character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_get_credentials(email character varying) FROM PUBLIC;


--
-- Name: FUNCTION authserver_get_credentials(email character varying, required_permission character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_get_credentials(email character varying, required_permission character varying) FROM PUBLIC;


--
-- Name: FUNCTION authserver_get_senders(email character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_get_senders(email character varying) FROM PUBLIC;


--
-- Name: FUNCTION authserver_iterate_users(); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_iterate_users() FROM PUBLIC;


--
-- Name: FUNCTION authserver_resolve_alias(email character varying, resolve_to_virtmail boolean); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_resolve_alias(email character varying, resolve_to_virtmail boolean) FROM PUBLIC;


--
-- Name: FUNCTION authserver_touch(cred_id character varying, service character varying, ip character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_touch(cred_id character varying, service character varying, ip character varying) FROM PUBLIC;


--
-- Name: FUNCTION authserver_verify(login character varying, password character varying, service character varying, remote_ip character varying, required_permission character varying); Type: ACL; Schema: public; Owner: authserver_spapi
--

REVOKE ALL ON FUNCTION public.authserver_verify(login character varying, password character varying, service character varying, remote_ip character varying, required_permission character varying) FROM PUBLIC;


--
-- Name: COLUMN app_passwords.id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(id) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.user_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(user_id) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.secret_hash; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(secret_hash) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.crypt_hash; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(crypt_hash) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.services; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(services) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.networks; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(networks) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.expires_at; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(expires_at) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.revoked_at; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(revoked_at) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.last_used_at; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(last_used_at),UPDATE(last_used_at) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.last_used_service; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT UPDATE(last_used_service) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN app_passwords.last_used_from; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT UPDATE(last_used_from) ON TABLE auth.app_passwords TO authserver_spapi;


--
-- Name: COLUMN mailing_list_addresses.mailing_list_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(mailing_list_id) ON TABLE auth.mailing_list_addresses TO authserver_spapi;


--
-- Name: COLUMN mailing_list_addresses.address; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(address) ON TABLE auth.mailing_list_addresses TO authserver_spapi;


--
-- Name: COLUMN mailing_list_addresses."position"; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT("position") ON TABLE auth.mailing_list_addresses TO authserver_spapi;


--
-- Name: COLUMN service_users.user_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(user_id) ON TABLE auth.service_users TO authserver_spapi;


--
-- Name: COLUMN service_users.username; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(username) ON TABLE auth.service_users TO authserver_spapi;


--
-- Name: COLUMN service_users.password_hash; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(password_hash) ON TABLE auth.service_users TO authserver_spapi;


--
-- Name: COLUMN service_users.app_password_id; Type: ACL; Schema: auth; Owner: authserver_owner
--

GRANT SELECT(app_password_id) ON TABLE auth.service_users TO authserver_spapi;


--
-- Name: DEFAULT PRIVILEGES FOR FUNCTIONS; Type: DEFAULT ACL; Schema: -; Owner: authserver_owner
--

ALTER DEFAULT PRIVILEGES FOR ROLE authserver_owner REVOKE ALL ON FUNCTIONS  FROM PUBLIC;


--
-- Name: DEFAULT PRIVILEGES FOR FUNCTIONS; Type: DEFAULT ACL; Schema: -; Owner: authserver_spapi
--

ALTER DEFAULT PRIVILEGES FOR ROLE authserver_spapi REVOKE ALL ON FUNCTIONS  FROM PUBLIC;


--
-- PostgreSQL database dump complete
--


