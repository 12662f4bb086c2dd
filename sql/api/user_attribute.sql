-- What else is known of a user: texts by name, which claims are made of.

-- api.find_user_attributes returns attributes by user and name. Null parameters
-- match all.
create or replace function api.find_user_attributes(p_user_id uuid, p_name text)
returns table (identifier text, name text, value text)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select u.identifier, a.name, a.value
      from auth.user_attributes a
      join auth.users u on u.id = a.user_id
     where (p_user_id is null or a.user_id = p_user_id)
       and (p_name is null or a.name = p_name)
     order by u.identifier, a.name;
end
$$;

-- api.set_user_attribute gives a user an attribute, or another value for it.
--
-- outcome: ok; unchanged; gone; taken: it is a legacy_id, by which clients may
-- know another user.
create or replace function api.set_user_attribute(
  p_user_id   uuid,
  p_name      text,
  p_value     text,
  out outcome text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  holder text;
  was auth.user_attributes;
begin
  select u.identifier into holder from auth.users u where u.id = p_user_id for no key update;
  if holder is null then
    outcome := 'gone';
    return;
  end if;
  select a.* into was from auth.user_attributes a where a.user_id = p_user_id and a.name = p_name;
  if was.value = p_value then
    outcome := 'unchanged';
    return;
  end if;
  if p_name = 'legacy_id' then
    -- One after the other, so that the index has nothing to refuse.
    perform pg_advisory_xact_lock(hashtext('authserver.legacy_id'));
    if exists (select from auth.user_attributes a where a.name = 'legacy_id' and a.value = p_value) then
      outcome := 'taken';
      return;
    end if;
  end if;
  insert into auth.user_attributes (user_id, name, value) values (p_user_id, p_name, p_value)
  on conflict (user_id, name) do update set value = excluded.value;
  perform auth.record('user.set_attribute', holder,
    case when was.name is not null then jsonb_build_object(was.name, was.value) end, jsonb_build_object(p_name, p_value));
  outcome := 'ok';
end
$$;

-- api.unset_user_attributes takes attributes from a user, and returns what they
-- were; one that the user has not has no row. With p_dry_run it only says.
create or replace function api.unset_user_attributes(
  p_user_id uuid,
  p_names   text[],
  p_dry_run boolean
)
returns table (identifier text, name text, value text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.user_attributes;
begin
  select u.identifier into identifier from auth.users u where u.id = p_user_id for no key update;
  for was in select a.* from auth.user_attributes a where a.user_id = p_user_id and a.name = any (p_names) order by a.name loop
    name := was.name;
    value := was.value;
    if p_dry_run is false then
      delete from auth.user_attributes a where a.user_id = p_user_id and a.name = was.name;
      perform auth.record('user.unset_attribute', identifier, jsonb_build_object(was.name, was.value), null);
    end if;
    return next;
  end loop;
end
$$;
