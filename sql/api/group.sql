-- Groups: users who hold permissions together. Who is in one, and what it may,
-- is in permission.sql.

-- auth.find_group returns the group that an operator means by its name or id,
-- or null. The name wins: a group may be named like the id of another.
create or replace function auth.find_group(p_selector text)
returns bigint
language plpgsql stable
as $$
begin
  return coalesce(
    (select g.id from auth.groups g where g.name = p_selector),
    (select g.id from auth.groups g where g.id::text = p_selector));
end
$$;

-- api.create_group makes an empty group.
--
-- outcome: ok, exists.
create or replace function api.create_group(
  p_name       text,
  out outcome  text,
  out group_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.list_groups returns groups by name: the one that p_selector means, or
-- all if it is null.
create or replace function api.list_groups(p_selector text)
returns table (id bigint, name text, members bigint, permissions bigint)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.remove_group removes a group, and with it what its members could do
-- through it only. The audit row keeps who and what that was; rules of Docker
-- registries have audit rows of their own.
--
-- outcome: ok; unknown; required (detail: the names of the OAuth 2.0 clients that
-- only this and other groups may use: without it they could be open to all).
create or replace function api.remove_group(
  p_selector  text,
  out outcome text,
  out detail  text[],
  out name    text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
  detail := array(
    select c.name
      from auth.oauth2_client_groups l join auth.oauth2_clients c on c.id = l.client_id
     where l.group_id = was.id
     order by c.name);
  if cardinality(detail) > 0 then
    outcome := 'required';
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

  perform auth.remove_docker_rules(array(select n.id from auth.docker_rules n where n.group_id = was.id));
  delete from auth.groups g where g.id = was.id;
  perform auth.record('group.remove', was.name,
    to_jsonb(was) || jsonb_build_object('members', members, 'permissions', permissions), null);
  outcome := 'ok';
  name := was.name;
end
$$;
