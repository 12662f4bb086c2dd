-- Domains: whose mail is received, what becomes of it, and who signs for whom.
-- Their keys are in key.sql.

-- auth.domains_above returns the names above a domain, nearest first:
-- 'a.example.com' is below 'example.com' and 'com'.
create or replace function auth.domains_above(p_name text)
returns text[]
language plpgsql immutable strict parallel safe
as $$
declare
  labels text[] := string_to_array(p_name, '.');
begin
  return array(
    select array_to_string(labels[n:], '.')
      from generate_series(2, cardinality(labels)) n
     order by n);
end
$$;

-- auth.redirect_loop returns the way that mail would take from a domain back to
-- itself ('a.test, b.test, a.test') if it were redirected to an address or
-- domain; or null, because it ends somewhere.
create or replace function auth.redirect_loop(p_name text, p_redirect_to text)
returns text
language plpgsql stable
as $$
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
$$;

-- auth.lock_redirects lets one transaction at a time change redirects: two
-- that are harmless each can be a loop together. It comes before the lock of a
-- domain.
create or replace function auth.lock_redirects()
returns void
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(hashtext('authserver.redirects'));
end
$$;

-- api.create_domain makes a domain with its first keys.
--
-- outcome: ok; exists; loop (detail: the way that mail would take).
create or replace function api.create_domain(
  p_name                  text,
  p_unicode_name          text,     -- null: it has no other spelling
  p_redirect_to           text,     -- null: no redirect
  p_jwt_subdomains        boolean,
  p_transactional         boolean,
  p_dkim_selector         text,
  p_subaddress_separators text,
  p_keys                  jsonb,    -- as auth.add_keys has them
  out outcome             text,
  out detail              text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
  select k.outcome, k.detail into outcome, detail from auth.add_keys(auth.lock_key_owner('domain', made.name), p_keys, false) k;
end
$$;

-- api.edit_domain changes what is not null.
--
-- A new DKIM selector goes to the keys that are named after the old one, as
-- long as they sign or wait to; unless the call also brings new DKIM keys,
-- which are then the only ones to have it.
--
-- outcome: ok; unknown; loop (detail: the way that mail would take); key_exists
-- (detail: which) if a new key has a place that is taken and p_replace is
-- false; selector_taken (detail: the selector).
create or replace function api.edit_domain(
  p_name                  text,
  p_redirect_to           text,     -- '': no redirect any more
  p_jwt_subdomains        boolean,
  p_transactional         boolean,
  p_dkim_selector         text,
  p_subaddress_separators text,
  p_remove_keys           text[],   -- purposes, all keys of which go; not together with p_keys
  p_keys                  jsonb,    -- new ones, as auth.add_keys has them
  p_replace               boolean,  -- new keys take the place of old ones
  out outcome             text,
  out detail              text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.domains;
  made auth.domains;
  owner auth.key_owner;
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
  owner := auth.lock_key_owner('domain', was.name);
  select k.outcome, k.detail into outcome, detail from auth.add_keys(owner, p_keys, p_replace) k;
  if outcome <> 'ok' then
    return;
  end if;
  if not coalesce(p_keys @> '[{"purpose": "dkim"}]', false) then
    perform auth.rename_selectors(was, p_dkim_selector);
  end if;
  perform auth.remove_keys(owner, p_remove_keys);

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

-- api.find_domains returns domains by name. Null parameters match all.
create or replace function api.find_domains(
  p_name           text,     -- exactly this one
  p_contains       text,     -- a part of the name, in A-labels or U-labels
  p_above          text,     -- besides those: the domains above this name
  p_jwt_subdomains boolean
)
returns table (
  id                    bigint,
  name                  text,
  unicode_name          text,
  redirect_to           text,
  jwt_subdomains        boolean,
  transactional         boolean,
  dkim_selector         text,
  subaddress_separators text,
  has_jwt_key           boolean,  -- one that signs
  has_dkim_key          boolean
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.find_parent_domain returns the domain that answers for a name: that
-- domain itself or the nearest above it that may sign for those below; null if
-- there is none.
--
-- A domain of exactly this name is the answer even if it has no key, unless
-- p_with_key asks for one that has.
create or replace function api.find_parent_domain(p_name text, p_with_key boolean)
returns text
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.remove_domains removes domains with their keys, and with p_with_aliases
-- their aliases: all of them or, if one row's outcome is not ok, none. Keys and
-- aliases have audit rows of their own. With p_dry_run it only says.
--
-- outcome: ok; gone; has_aliases; has_mailboxes: aliases of it are the delivery
-- mailboxes of the users named, who would receive no mail any more;
-- has_registries: the Docker registries named, by client_id, belong to it;
-- has_clients: so do the OAuth 2.0 clients named, by client_id.
create or replace function api.remove_domains(p_domain_ids bigint[], p_with_aliases boolean, p_dry_run boolean)
returns table (domain_id bigint, name text, outcome text, aliases bigint, keys bigint, mailboxes text[], registries text[], clients text[])
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.domains;
  refused boolean := false;
begin
  -- A new alias, registry or client waits for the domain's lock, a new mailbox for the
  -- alias's.
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
    registries := array(select r.client_id from auth.docker_registries r where r.domain_id = was.id order by r.client_id);
    clients := array(select c.client_id from auth.oauth2_clients c where c.domain_id = was.id order by c.client_id);
    outcome := case
      when was.id is null                     then 'gone'
      when cardinality(mailboxes) > 0         then 'has_mailboxes'
      when cardinality(registries) > 0        then 'has_registries'
      when cardinality(clients) > 0           then 'has_clients'
      when aliases > 0 and not p_with_aliases then 'has_aliases'
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
    perform auth.remove_keys(auth.lock_key_owner('domain', was.name), array['dkim', 'jwt']);
    delete from auth.domains d where d.id = was.id;
  end loop;
end
$$;
