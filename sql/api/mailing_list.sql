-- Mailing lists: names that stand for many addresses. Mail reaches one through
-- the aliases that belong to it (alias.sql).
--
-- Functions here lock in one order: users, mailing lists, aliases.

-- auth.match_mailing_lists returns the lists that an operator may mean: the one
-- with this id, or else those with this name, which several can have. The id
-- wins, because it is what tells lists of one name apart.
create or replace function auth.match_mailing_lists(p_selector text)
returns setof bigint
language plpgsql stable
as $$
begin
  if p_selector ~ '^[0-9]{1,18}$' then
    return query select m.id from auth.mailing_lists m where m.id = p_selector::bigint;
    if found then
      return;
    end if;
  end if;
  return query select m.id from auth.mailing_lists m where lower(m.name) = lower(p_selector);
end
$$;

-- auth.addresses_of_list returns the addresses of a list, in their order.
create or replace function auth.addresses_of_list(p_mailing_list_id bigint)
returns text[]
language plpgsql stable
as $$
begin
  return array(
    select la.address from auth.mailing_list_addresses la
     where la.mailing_list_id = p_mailing_list_id
     order by la.position);
end
$$;

-- auth.append_to_list puts addresses at the end of a list, in this order, and
-- returns those that were not on it.
create or replace function auth.append_to_list(p_mailing_list_id bigint, p_addresses text[])
returns text[]
language plpgsql
as $$
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

-- api.create_mailing_list makes a list.
--
-- outcome: ok; no_user (the owner is gone); empty (no address is given).
create or replace function api.create_mailing_list(
  p_name              text,
  p_new_mailfrom      text,    -- null: senders are rewritten
  p_owner_id          uuid,    -- null: nobody
  p_addresses         text[],
  out outcome         text,
  out mailing_list_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.find_mailing_lists returns lists by name: those that any of p_selectors
-- may mean (null: all), a row for each list and selector, with nulls for a
-- selector that means none. p_contains is looked for in names.
create or replace function api.find_mailing_lists(p_selectors text[], p_contains text)
returns table (selector text, id bigint, name text, new_mailfrom text, addresses text[], owner text, aliases text[])
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.edit_mailing_lists changes what is not null, for all of these lists or
-- for none.
--
-- outcome: ok; gone (one of the lists); no_user (the new owner is gone).
create or replace function api.edit_mailing_lists(
  p_mailing_list_ids bigint[],
  p_name             text,
  p_new_mailfrom     text,     -- '': senders are rewritten again
  p_owner_id         uuid,
  p_ownerless        boolean,  -- the owner goes
  out outcome        text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.add_mailing_list_addresses puts addresses at the end of a list. Those
-- that are on it stay where they are; added are the others.
--
-- outcome: ok, gone.
create or replace function api.add_mailing_list_addresses(
  p_mailing_list_id bigint,
  p_addresses       text[],
  out outcome       text,
  out added         text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.remove_mailing_list_addresses takes addresses off a list: all of them or
-- none.
--
-- outcome: ok; gone; missing (those that are not on the list); empty (no other
-- address is).
create or replace function api.remove_mailing_list_addresses(
  p_mailing_list_id bigint,
  p_addresses       text[],
  p_dry_run         boolean,
  out outcome       text,
  out missing       text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.set_mailing_list_addresses gives a list these addresses, in this order,
-- instead of those it has.
--
-- outcome: ok; gone; empty (no address is given).
create or replace function api.set_mailing_list_addresses(
  p_mailing_list_id bigint,
  p_addresses       text[],
  p_dry_run         boolean,
  out outcome       text,
  out added         text[],
  out removed       text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.remove_mailing_lists removes lists and the aliases that lead to them. It
-- returns what each had; a list that was gone already has no row. With
-- p_dry_run it only says.
create or replace function api.remove_mailing_lists(p_mailing_list_ids bigint[], p_dry_run boolean)
returns table (mailing_list_id bigint, name text, addresses bigint, aliases text[])
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
