-- Aliases: the addresses that mail is received at, and whose they are: a
-- user's, a mailing list's or, if nothing shall be received there, nobody's.
--
-- Functions here lock in one order: domains, users, mailing lists, aliases.

-- auth.address_of returns the address that an alias stands for.
create or replace function auth.address_of(p_alias auth.aliases)
returns text
language plpgsql stable
as $$
begin
  return (select p_alias.local_part || '@' || d.name from auth.domains d where d.id = p_alias.domain_id);
end
$$;

-- auth.mailbox_of returns the user whose mail is received at an alias, or null.
create or replace function auth.mailbox_of(p_alias_id bigint)
returns text
language plpgsql stable
as $$
begin
  return (select u.identifier from auth.users u where u.delivery_mailbox_id = p_alias_id);
end
$$;

-- auth.find_exact_alias returns the place of an address, and the alias that is
-- there. Sub-addresses mean nothing here: an operator names what is stored.
-- domain_id is null if the domain is unknown, alias_id if the place is free.
create or replace function auth.find_exact_alias(
  p_address      text,
  out local_part text,
  out domain_id  bigint,
  out alias_id   bigint
)
language plpgsql stable
as $$
begin
  select p.local_part, d.id, a.id
    into local_part, domain_id, alias_id
    from auth.parse_address(p_address) p
    left join auth.find_domain(p.domain) d on true
    left join auth.aliases a on a.domain_id = d.id and a.local_part = p.local_part;
end
$$;

-- auth.hold_users keeps the owners of aliases, and one user more, until the end
-- of the transaction. Removing a user takes the aliases along in an order of its
-- own, so it has to come first or wait.
create or replace function auth.hold_users(p_alias_ids bigint[], p_user_id uuid)
returns void
language plpgsql
as $$
begin
  perform from auth.users u
    where u.id = p_user_id
       or u.id in (select a.user_id from auth.aliases a where a.id = any (p_alias_ids))
    order by u.id for key share;
end
$$;

-- auth.hold_owner keeps who is to own an alias until the end of the
-- transaction. It returns ok, no_user, no_list.
create or replace function auth.hold_owner(p_user_id uuid, p_mailing_list_id bigint)
returns text
language plpgsql
as $$
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

-- api.create_alias makes an address of a user, of a mailing list or, blocked,
-- of nobody.
--
-- outcome: ok; exists; unknown_domain; no_user, no_list (the owner is gone);
-- ownerless (it is not blocked and nobody's); too_long. redirect_to is where all mail for
-- the domain goes, so that the alias gets none; null: nowhere else.
create or replace function api.create_alias(
  p_local_part      text,
  p_domain          text,
  p_user_id         uuid,
  p_mailing_list_id bigint,
  p_blocked         boolean,
  out outcome       text,
  out redirect_to   text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.find_aliases returns aliases by domain and local part: those of
-- p_addresses (null: all), one row for each address, with nulls if there is no
-- such alias. The other parameters leave aliases out; null ones do not.
create or replace function api.find_aliases(
  p_addresses       text[],
  p_local_part      text,
  p_domain          text,
  p_contains        text,    -- a part of the address, in A-labels or U-labels
  p_user_id         uuid,
  p_mailing_list_id bigint,
  p_blocked         boolean
)
returns table (
  selector    text,
  id          bigint,
  local_part  text,
  domain      text,
  target_type text,          -- user, mailing-list, none
  target      text,          -- identifier, or the list's name
  blocked     boolean,
  mailbox     boolean        -- the user's mail is received here
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.edit_aliases changes what is not null, for all of these aliases or for
-- none: it returns a row for each, and if one's outcome is not ok, nothing is
-- changed. A list in place of a user, or the other way round, is a change of
-- the owner.
--
-- outcome: ok; gone; two_owners (an alias has one); unknown_domain; no_user,
-- no_list (the new owner is gone);
-- ownerless (an alias of nobody cannot be unblocked); is_mailbox (mailbox_of
-- receives mail there, so it stays theirs); too_long; exists (another alias
-- has new_address, or will have it after this call).
create or replace function api.edit_aliases(
  p_alias_ids       bigint[],
  p_local_part      text,
  p_domain          text,
  p_user_id         uuid,
  p_mailing_list_id bigint,
  p_blocked         boolean
)
returns table (alias_id bigint, address text, new_address text, mailbox_of text, outcome text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
$$;

-- api.block_aliases blocks addresses: all of them or, if one row's outcome is a
-- refusal, none. With p_create an address that is no alias becomes one, of this
-- owner or of nobody. With p_dry_run it only says.
--
-- outcome: blocked (mailbox_of received mail there), created; refused: unknown,
-- unknown_domain, no_user, no_list.
create or replace function api.block_aliases(
  p_addresses       text[],
  p_create          boolean,
  p_user_id         uuid,    -- the owner of what is created
  p_mailing_list_id bigint,
  p_dry_run         boolean
)
returns table (address text, mailbox_of text, outcome text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.remove_aliases removes aliases: all of them or, if one row's outcome is
-- not ok, none; one that was gone already has no row. With p_dry_run it only
-- says.
--
-- outcome: ok; is_mailbox (mailbox_of receives mail there).
create or replace function api.remove_aliases(p_alias_ids bigint[], p_dry_run boolean)
returns table (alias_id bigint, address text, mailbox_of text, outcome text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
