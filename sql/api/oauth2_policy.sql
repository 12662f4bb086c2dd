-- Who may sign in to which client. It is asked before a user is asked for
-- consent, when a code is redeemed, at each refresh, and whenever a token is
-- shown; and the row that stores a grant asks again.

-- auth.oauth2_subject returns what a client knows a user by; null: it has no
-- name for this user.
create or replace function auth.oauth2_subject(p_user_id uuid, p_subject text)
returns text
language plpgsql stable
as $$
begin
  if p_subject = 'uuid' then
    return p_user_id::text;
  end if;
  return case p_subject
    when 'identifier' then (select u.identifier from auth.users u where u.id = p_user_id)
    when 'email'      then (select a.primary_address from auth.account(p_user_id) a)
    when 'legacy_id'  then (select a.value from auth.user_attributes a where a.user_id = p_user_id and a.name = 'legacy_id')
  end;
end
$$;

-- auth.holds_permission tells whether a user holds a permission, directly or
-- through a group.
create or replace function auth.holds_permission(p_user_id uuid, p_permission_id bigint)
returns boolean
language plpgsql stable
as $$
begin
  return exists (
      select from auth.user_permissions up
       where up.user_id = p_user_id and up.permission_id = p_permission_id)
    or exists (
      select from auth.group_members gm
        join auth.group_permissions gp on gp.group_id = gm.group_id
       where gm.user_id = p_user_id and gp.permission_id = p_permission_id);
end
$$;

-- auth.holds_required_permissions tells whether a user holds all permissions that
-- a client requires.
create or replace function auth.holds_required_permissions(p_user_id uuid, p_client_id bigint)
returns boolean
language plpgsql stable
as $$
begin
  return not exists (
    select from auth.oauth2_client_permissions cp
     where cp.client_id = p_client_id and auth.holds_permission(p_user_id, cp.permission_id) is not true);
end
$$;

-- auth.is_among_users tells whether a user is in one of the states or groups for
-- which a client is.
create or replace function auth.is_among_users(p_user_id uuid, p_client_id bigint, p_states text[])
returns boolean
language plpgsql stable
as $$
begin
  return exists (
      select from auth.user_attributes a
       where a.user_id = p_user_id and a.name = 'state' and a.value = any (p_states))
    or exists (
      select from auth.oauth2_client_groups cg
        join auth.group_members gm on gm.group_id = cg.group_id
       where cg.client_id = p_client_id and gm.user_id = p_user_id);
end
$$;

-- auth.oauth2_denial returns why a user may not use a client, or null: they may.
--
--   disabled  the client is, or there is none
--   inactive  the user is, or there is none
--   subject   the client has no name for this user
--   global    the user lacks what it takes to sign in to any client
--   client    the user lacks a permission that this one requires, or is in none
--             of its states and groups
--
-- Most clients are for everybody, and cost no more than finding that out.
create or replace function auth.oauth2_denial(p_user_id uuid, p_client auth.oauth2_clients)
returns text
language plpgsql stable
as $$
declare
  user_active boolean;
  global_permission bigint;
  required boolean;
  limited boolean;
begin
  select u.active, o.permission_id,
         exists (select from auth.oauth2_client_permissions cp where cp.client_id = p_client.id),
         exists (select from auth.oauth2_client_groups cg where cg.client_id = p_client.id)
    into user_active, global_permission, required, limited
    from auth.oauth2_policy o
    left join auth.users u on u.id = p_user_id;
  limited := limited or cardinality(p_client.allowed_states) > 0;
  -- What is not known is a reason, too.
  return case
    when p_client.enabled is not true                                                       then 'disabled'
    when user_active is not true                                                            then 'inactive'
    when auth.oauth2_subject(p_user_id, p_client.subject) is null                           then 'subject'
    when global_permission is not null
         and auth.holds_permission(p_user_id, global_permission) is not true                then 'global'
    when required
         and auth.holds_required_permissions(p_user_id, p_client.id) is not true            then 'client'
    when limited
         and auth.is_among_users(p_user_id, p_client.id, p_client.allowed_states) is not true
                                                                                            then 'client'
  end;
end
$$;

-- auth.refuse_denied_grant keeps a grant from being stored that should not be:
-- whoever gets here has not asked before.
create or replace function auth.refuse_denied_grant()
returns trigger
language plpgsql
as $$
declare
  client auth.oauth2_clients;
  reason text;
begin
  select c.* into client from auth.oauth2_clients c where c.id = new.client_id;
  reason := auth.oauth2_denial(new.user_id, client);
  if reason is not null then
    raise insufficient_privilege using message = 'user ' || new.user_id || ' may not use client ' || new.client_id || ': ' || reason;
  end if;
  return new;
end
$$;

create or replace trigger oauth2_grants_refuse_denied
  before insert or update of user_id, client_id on auth.oauth2_grants
  for each row execute function auth.refuse_denied_grant();

-- api.explain_oauth2_policy says whether a user may use a client, and what that
-- depends on.
--
-- outcome: ok, no_user, no_client.
create or replace function api.explain_oauth2_policy(
  p_user                    text,    -- as auth.find_user has it
  p_client                  text,    -- client_id or name
  out outcome               text,
  out user_identifier       text,
  out client_id             text,
  out client_name           text,
  out client_enabled        boolean,
  out user_active           boolean,
  out decision              text,    -- allowed, denied
  out deny_reason           text,    -- as auth.oauth2_denial has it
  out user_state            text,
  out user_groups           text[],
  out allowed_states        text[],
  out allowed_groups        text[],
  out required_permissions  text[],
  out missing_permissions   text[],  -- of these
  out global_permission     text,    -- null: none is asked for
  out has_global_permission boolean  -- null: none is asked for
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
declare
  account auth.users;
  client auth.oauth2_clients;
begin
  select u.* into account from auth.users u where u.id = auth.find_user(p_user);
  -- A client_id wins over a name: one may be named like the id of another.
  select c.* into client
    from auth.oauth2_clients c
   where c.client_id = p_client or c.name = p_client
   order by c.client_id = p_client desc
   limit 1;
  outcome := case
    when account.id is null then 'no_user'
    when client.id is null  then 'no_client'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  user_identifier := account.identifier;
  client_id := client.client_id;
  client_name := client.name;
  client_enabled := client.enabled;
  user_active := account.active;
  deny_reason := auth.oauth2_denial(account.id, client);
  decision := case when deny_reason is null then 'allowed' else 'denied' end;
  user_state := (select a.value from auth.user_attributes a where a.user_id = account.id and a.name = 'state');
  user_groups := (select a.groups from auth.account(account.id) a);
  allowed_states := array(select s from unnest(client.allowed_states) s order by s collate "C");
  allowed_groups := array(
    select g.name
      from auth.oauth2_client_groups cg join auth.groups g on g.id = cg.group_id
     where cg.client_id = client.id
     order by g.name);
  required_permissions := array(
    select p.permission_name
      from auth.oauth2_client_permissions cp join auth.permissions p on p.id = cp.permission_id
     where cp.client_id = client.id
     order by p.permission_name);
  missing_permissions := array(
    select p from unnest(required_permissions) p where not auth.has_permission(account.id, p) order by p collate "C");
  global_permission := (select p.permission_name from auth.oauth2_policy o join auth.permissions p on p.id = o.permission_id);
  has_global_permission := case when global_permission is not null then auth.has_permission(account.id, global_permission) end;
end
$$;
