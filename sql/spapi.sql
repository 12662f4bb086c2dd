-- What OpenSMTPD, Dovecot and Postfix call over SQL: a frozen contract.
--
-- Names, parameters, result columns and their order never change: consumers
-- prepare these queries once and keep them across our upgrades, and a changed
-- result type would fail every lookup until they reconnect.
--
-- A lookup that finds nothing returns no row, never a null or an empty string:
-- OpenSMTPD takes any row for a match and an empty answer for a broken table.
--
-- The functions belong to authserver_spapi, which may read the columns they
-- need and no others (grants.sql). They are plpgsql, so that no column they
-- read is tied to them, and everything is qualified, because the caller may be
-- a hostile login with objects of its own.
alter default privileges revoke execute on functions from public;

-- authserver_check_domain returns the domain, as stored, if mail for it is
-- ours: OpenSMTPD's query_domain, Postfix's virtual_mailbox_domains.
create or replace function public.authserver_check_domain(domain varchar)
returns setof varchar
language plpgsql stable strict parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select d.name::varchar from auth.find_domain(authserver_check_domain.domain) d where d.id is not null;
end
$$;

-- authserver_resolve_alias returns where mail for an address goes, one row for
-- each destination.
--
--   a user's alias        the user's primary address
--   a mailing list        its addresses, in their order
--   a redirected domain   the one address, or '@domain' with the domain's name
--   a service user        itself, so that a join with authserver_get_credentials
--                         finds it
--
-- With resolve_to_virtmail, what ends here is 'virtmail' instead: a primary
-- address, a list, a redirected domain. Another alias of a user still gives the
-- primary address, which the mail server then asks for.
create or replace function public.authserver_resolve_alias(email varchar, resolve_to_virtmail boolean default false)
returns table (alias varchar)
language plpgsql stable strict parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
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

-- authserver_get_credentials returns the password hash that a login is verified
-- with by crypt(3), and the primary address that it means. No row means:
-- refuse. username is the login as it was asked for.
create or replace function public.authserver_get_credentials(email varchar)
returns table (username varchar, password varchar, primary_alias varchar)
language plpgsql stable strict parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
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

-- The same for users who hold a permission, directly or through a group.
create or replace function public.authserver_get_credentials(email varchar, required_permission varchar)
returns table (username varchar, password varchar, primary_alias varchar)
language plpgsql stable strict parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
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

-- authserver_iterate_users returns the mailboxes of all active users, then
-- '@domain' for every redirected domain: Dovecot's iterate_query.
create or replace function public.authserver_iterate_users()
returns table (userid varchar)
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
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

-- authserver_get_senders returns the addresses that a login may use as MAIL
-- FROM: the aliases of its user that receive mail. OpenSMTPD's
-- query_mailaddrmap.
create or replace function public.authserver_get_senders(email varchar)
returns table (sender varchar)
language plpgsql stable strict parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
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

-- authserver_verify checks an app password, which needs no hash that leaves the
-- database: a row means that this login may come in, from this address, to this
-- service. cred_id names the app password, for authserver_touch.
--
-- A login is an address of its user, or the service user that it belongs to.
-- The password is taken as it is printed or typed: with or without hyphens and
-- blanks, in either case, with i and l for 1 and o for 0. With a permission,
-- the user must hold it, as for authserver_get_credentials.
create or replace function public.authserver_verify(
  login               varchar,
  password            varchar,
  service             varchar,
  remote_ip           varchar,
  required_permission varchar default null
)
returns table (username varchar, primary_alias varchar, cred_id varchar)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
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
       and num_nonnulls(ap.registries, ap.registry_actions) = 0  -- such are for Docker registries only
       and (ap.networks is null or client <<= any (ap.networks))
       and auth.primary_address(owner) is not null;
end
$$;

-- authserver_touch notes that an app password was used: when, for what, from
-- where. It writes at most once an hour for each.
create or replace function public.authserver_touch(cred_id varchar, service varchar, ip varchar)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.app_passwords ap
     set last_used_at = now(), last_used_service = left(service, 64), last_used_from = auth.client_address(ip)
   where ap.id = cred_id
     and ap.revoked_at is null
     and (ap.last_used_at is null or ap.last_used_at <= now() - interval '1 hour');
end
$$;

-- authserver_api_version is the version of this contract.
create or replace function public.authserver_api_version()
returns int
language plpgsql immutable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return 1;
end
$$;
