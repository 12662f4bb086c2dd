-- Permissions: what users may use, given to them directly or through groups;
-- who is in which group; and what applications require.
--
-- Functions here lock in one order: users or groups whose permissions or
-- memberships change, then what they are given. Clients of OAuth 2.0 come after
-- permissions.

-- auth.match_permissions returns the permissions that an operator may mean: the
-- one with this permission_name, or else those with this name, which several
-- can have.
create or replace function auth.match_permissions(p_selector text)
returns setof bigint
language plpgsql stable
as $$
begin
  return query select p.id from auth.permissions p where p.permission_name = p_selector;
  if not found then
    return query select p.id from auth.permissions p where p.name = p_selector;
  end if;
end
$$;

-- auth.hold_permissions returns the permissions that selectors mean, and keeps
-- them until the end of the transaction.
--
-- outcome: ok; unknown (detail: the selectors that mean none); ambiguous
-- (detail: the permission_names that the first such selector may mean).
create or replace function auth.hold_permissions(
  p_selectors text[],
  out outcome text,
  out detail  text[],
  out ids     bigint[]
)
language plpgsql
as $$
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

-- auth.hold_known_permissions is the same, but passes over what means none.
--
-- outcome: ok (detail: the selectors that mean none); ambiguous (detail as above).
create or replace function auth.hold_known_permissions(
  p_selectors text[],
  out outcome text,
  out detail  text[],
  out ids     bigint[]
)
language plpgsql
as $$
declare
  strangers text[] := '{}';
begin
  loop
    select h.outcome, h.detail, h.ids into outcome, detail, ids
      from auth.hold_permissions(array(select s from unnest(p_selectors) s where s <> all (strangers))) h;
    exit when outcome <> 'unknown';
    strangers := strangers || detail;
  end loop;
  if outcome = 'ok' then
    detail := strangers;
  end if;
end
$$;

-- auth.hold_groups is auth.hold_permissions for groups, which are never ambiguous.
create or replace function auth.hold_groups(
  p_selectors text[],
  out unknown text[],
  out ids     bigint[]
)
language plpgsql
as $$
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

-- auth.permission_names returns the names by which applications know these
-- permissions.
create or replace function auth.permission_names(p_ids bigint[])
returns text[]
language plpgsql stable
as $$
begin
  return array(
    select p.permission_name from auth.permissions p where p.id = any (p_ids)
     order by p.permission_name collate "C");
end
$$;

-- api.create_permission makes a permission that nobody has.
--
-- outcome: ok, exists.
create or replace function api.create_permission(
  p_permission_name text,
  p_name            text,
  out outcome       text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.list_permissions returns permissions by permission_name: those whose
-- permission_name and name contain these texts. Null matches all.
create or replace function api.list_permissions(p_permission_name text, p_name text)
returns table (permission_name text, name text, id bigint)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select p.permission_name, p.name, p.id
      from auth.permissions p
     where (p_permission_name is null or strpos(lower(p.permission_name), lower(p_permission_name)) > 0)
       and (p_name is null or strpos(lower(p.name), lower(p_name)) > 0)
     order by p.permission_name collate "C";
end
$$;

-- api.remove_permission removes a permission; users and groups lose it. With
-- p_dry_run it only says from how many.
--
-- outcome: ok; unknown; ambiguous (detail: the permission_names that may be
-- meant); required (detail: the names of the OAuth 2.0 clients that require it);
-- global: it is what every one of them requires.
create or replace function api.remove_permission(
  p_selector          text,
  p_dry_run           boolean,
  out outcome         text,
  out detail          text[],
  out permission_name text,
  out name            text,
  out users           bigint,
  out groups          bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  ids bigint[];
  was auth.permissions;
  holders text[];
  holding_groups text[];
  clients text[];
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

  clients := array(
    select c.name
      from auth.oauth2_client_permissions r join auth.oauth2_clients c on c.id = r.client_id
     where r.permission_id = was.id
     order by c.name);
  if cardinality(clients) > 0 then
    outcome := 'required';
    detail := clients;
    return;
  end if;
  if exists (select from auth.oauth2_policy y where y.permission_id = was.id) then
    outcome := 'global';
    return;
  end if;
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

-- api.grant_user_permissions gives a user permissions, all of them or none.
--
-- outcome: ok (changed: the permission_names that they did not have); no_user;
-- unknown, ambiguous (detail as auth.hold_permissions has it).
create or replace function api.grant_user_permissions(
  p_user         text,
  p_permissions  text[],
  out outcome    text,
  out detail     text[],
  out identifier text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.revoke_user_permissions takes permissions from a user, all of them or
-- none. What the user has through a group stays. With p_dry_run it only says.
--
-- outcome: ok (changed: the permission_names that they had); no_user; unknown,
-- ambiguous (detail as auth.hold_permissions has it).
create or replace function api.revoke_user_permissions(
  p_user         text,
  p_permissions  text[],   -- null: all that the user has
  p_dry_run      boolean,
  out outcome    text,
  out detail     text[],
  out identifier text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.grant_group_permissions gives a group permissions, all of them or none.
--
-- outcome: ok (changed: the permission_names that it did not have); no_group;
-- unknown, ambiguous (detail as auth.hold_permissions has it).
create or replace function api.grant_group_permissions(
  p_group        text,
  p_permissions  text[],
  out outcome    text,
  out detail     text[],
  out name       text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.revoke_group_permissions takes permissions from a group, all of them or
-- none. With p_dry_run it only says.
--
-- outcome: ok (changed: the permission_names that it had); no_group; unknown,
-- ambiguous (detail as auth.hold_permissions has it).
create or replace function api.revoke_group_permissions(
  p_group        text,
  p_permissions  text[],   -- null: all that the group has
  p_dry_run      boolean,
  out outcome    text,
  out detail     text[],
  out name       text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.grant_memberships puts a user into groups, all of them or none.
--
-- outcome: ok (changed: the groups that the user was not in); no_user;
-- unknown_group (detail: what means none).
create or replace function api.grant_memberships(
  p_user         text,
  p_groups       text[],
  out outcome    text,
  out detail     text[],
  out identifier text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.revoke_memberships takes a user out of groups. What means no group is
-- passed over (detail). With p_dry_run it only says.
--
-- outcome: ok (changed: the groups that the user was in); no_user.
create or replace function api.revoke_memberships(
  p_user         text,
  p_groups       text[],   -- null: all that the user is in
  p_dry_run      boolean,
  out outcome    text,
  out detail     text[],
  out identifier text,
  out changed    text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.list_user_permissions returns what a user may use, and where from:
-- directly, or through these groups.
create or replace function api.list_user_permissions(p_user_id uuid)
returns table (permission_name text, name text, direct boolean, groups text[])
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.list_group_permissions returns what the members of a group may use. It
-- has no row for an unknown group.
create or replace function api.list_group_permissions(p_group text)
returns table (permission_name text, name text)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select p.permission_name, p.name
      from auth.group_permissions gp
      join auth.permissions p on p.id = gp.permission_id
     where gp.group_id = auth.find_group(p_group)
     order by p.permission_name collate "C";
end
$$;

-- api.list_memberships returns the groups that a user is in, and what each is
-- for.
create or replace function api.list_memberships(p_user_id uuid)
returns table (group_name text, permissions text[])
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.require_permissions lets an OAuth 2.0 client require permissions of its
-- users, besides those that it requires already. What means no permission is
-- passed over (detail).
--
-- outcome: ok (changed: the permission_names that it did not require); no_client;
-- ambiguous (detail as auth.hold_permissions has it).
create or replace function api.require_permissions(
  p_client      text,
  p_permissions text[],
  out outcome   text,
  out detail    text[],
  out name      text,
  out changed   text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client auth.oauth2_clients;
  ids bigint[];
begin
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_known_permissions(p_permissions) h;
  select c.* into client from auth.oauth2_clients c where c.id = auth.find_oauth2_client(p_client) for no key update;
  name := client.name;
  if client.id is null then
    outcome := 'no_client';
  end if;
  if outcome <> 'ok' then
    return;
  end if;
  with made as (
    insert into auth.oauth2_client_permissions (client_id, permission_id) select client.id, i from unnest(ids) i
    on conflict do nothing returning permission_id)
  select auth.permission_names(array_agg(made.permission_id)) into changed from made;
  if cardinality(changed) > 0 then
    perform auth.record('oauth2_client.require', client.client_id, null, jsonb_build_object('permissions', changed));
  end if;
end
$$;

-- api.drop_permissions lets an OAuth 2.0 client require permissions no more. What
-- means no permission is passed over (detail). With p_dry_run it only says.
--
-- outcome: ok (changed: the permission_names that it required; remaining: how
-- many it requires then); no_client; ambiguous (detail as auth.hold_permissions
-- has it).
create or replace function api.drop_permissions(
  p_client      text,
  p_permissions text[],
  p_dry_run     boolean,
  out outcome   text,
  out detail    text[],
  out name      text,
  out changed   text[],
  out remaining bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  client auth.oauth2_clients;
  ids bigint[];
begin
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_known_permissions(p_permissions) h;
  select c.* into client from auth.oauth2_clients c where c.id = auth.find_oauth2_client(p_client) for no key update;
  name := client.name;
  if client.id is null then
    outcome := 'no_client';
  end if;
  if outcome <> 'ok' then
    return;
  end if;
  changed := auth.permission_names(array(
    select r.permission_id from auth.oauth2_client_permissions r where r.client_id = client.id and r.permission_id = any (ids)));
  remaining := (
    select count(*) from auth.oauth2_client_permissions r where r.client_id = client.id and r.permission_id <> all (ids));
  if cardinality(changed) = 0 or p_dry_run is not false then
    return;
  end if;
  delete from auth.oauth2_client_permissions r where r.client_id = client.id and r.permission_id = any (ids);
  perform auth.record('oauth2_client.drop', client.client_id, jsonb_build_object('permissions', changed), null);
end
$$;

-- api.list_client_permissions returns what an OAuth 2.0 client requires of its
-- users. It has no row for an unknown client.
create or replace function api.list_client_permissions(p_client text)
returns table (permission_name text, name text)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select p.permission_name, p.name
      from auth.oauth2_client_permissions r
      join auth.permissions p on p.id = r.permission_id
     where r.client_id = auth.find_oauth2_client(p_client)
     order by p.permission_name collate "C";
end
$$;

-- api.oauth2_policy returns what every OAuth 2.0 client requires of its users:
-- no row for nothing.
create or replace function api.oauth2_policy()
returns table (permission_name text, name text)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select p.permission_name, p.name
      from auth.oauth2_policy y
      join auth.permissions p on p.id = y.permission_id;
end
$$;

-- api.edit_oauth2_policy lets every OAuth 2.0 client require a permission of its
-- users.
--
-- outcome: ok (permission_name: what is required then); unknown; ambiguous
-- (detail: the permission_names that may be meant).
create or replace function api.edit_oauth2_policy(
  p_permission        text,  -- null: nothing
  out outcome         text,
  out detail          text[],
  out permission_name text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  ids bigint[];
  was bigint;
begin
  select h.outcome, h.detail, h.ids into outcome, detail, ids from auth.hold_permissions(array_remove(array[p_permission], null)) h;
  if outcome <> 'ok' then
    return;
  end if;
  select y.permission_id into was from auth.oauth2_policy y for update;
  permission_name := (auth.permission_names(ids))[1];
  if was is distinct from ids[1] then
    update auth.oauth2_policy y set permission_id = ids[1];
    perform auth.record('oauth2_policy.edit', 'global',
      jsonb_build_object('permission', (auth.permission_names(array[was]))[1]),
      jsonb_build_object('permission', permission_name));
  end if;
end
$$;
