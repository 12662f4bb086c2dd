-- Users: the people who log in and receive mail.

-- auth.find_user returns the user that an operator means by a UUID, an
-- identifier, an address (exactly an alias), or the name of a service user; or
-- null. An identifier is never mistaken for a service user: they share one
-- namespace.
create or replace function auth.find_user(p_selector text)
returns uuid
language plpgsql stable
as $$
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
$$;

-- auth.account describes a user as those do who let them log in; no row for
-- nobody. It is SQL, without rights or settings of its own, so that it becomes
-- part of the query that asks.
create or replace function auth.account(p_user_id uuid)
returns table (
  active          boolean,
  identifier      text,
  full_name       text,
  staff           boolean,
  primary_address text,
  password_hash   text,
  groups          text[],
  permissions     text[]
)
language sql stable parallel safe
begin atomic
  select u.active, u.identifier, u.full_name, u.staff, a.local_part || '@' || d.name, u.password_hash,
         array(select g.name
                 from auth.group_members gm
                 join auth.groups g on g.id = gm.group_id
                where gm.user_id = u.id
                order by g.name),
         array(select distinct n.permission_name collate "C" from auth.permission_names(u.id) n order by 1)
    from auth.users u
    left join auth.aliases a on a.id = u.delivery_mailbox_id
    left join auth.domains d on d.id = a.domain_id
   where u.id = p_user_id;
end;

-- auth.claim_login_name makes a name the caller's, who then refers to it in
-- the same transaction. Of two who claim it at once, the second waits for the
-- first.
--
-- It returns ok, exists (one of the same kind has it), taken (one of the other
-- kind).
create or replace function auth.claim_login_name(p_name text, p_kind text)
returns text
language plpgsql
as $$
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

-- api.create_user makes a user who has no mailbox yet.
--
-- outcome: ok, exists (a user has the identifier), taken (a service user has).
create or replace function api.create_user(
  p_identifier    text,
  p_full_name     text,
  p_password_hash text,     -- null: no password
  p_staff         boolean,
  out outcome     text,
  out user_id     uuid
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- api.find_users returns users by identifier: those that any of p_selectors
-- means (null: all), one row for each selector, with nulls if it means nobody.
-- p_contains is looked for in identifiers and names; it and p_active leave out
-- users, never a selector that means nobody.
create or replace function api.find_users(
  p_selectors text[],
  p_contains  text,
  p_active    boolean  -- null: both
)
returns table (selector text, id uuid, identifier text, full_name text, delivery_mailbox text, active boolean, staff boolean)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.edit_users changes what is not null, for all of these users or for none.
-- A new password, or none, ends the sessions of its user and what came of the
-- password itself, and so does deactivating.
--
-- outcome: ok; gone (one of the users, user_id, is no longer there); several (a
-- new identifier is for one user); exists or taken, as api.create_user has
-- them.
create or replace function api.edit_users(
  p_user_ids        uuid[],
  p_identifier      text,     -- for one user only
  p_full_name       text,
  p_password_hash   text,
  p_remove_password boolean,  -- true: nobody can log in with a password, whatever p_password_hash is
  p_staff           boolean,
  p_active          boolean,
  out outcome       text,
  out user_id       uuid
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.users;
  made auth.users;
  reason text;
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
    if made.password_hash is distinct from was.password_hash or (was.active and not made.active) then
      reason := case when made.active then 'password changed' else 'user deactivated' end;
      perform auth.end_sessions(array(select s.id from auth.sessions s where s.user_id = was.id), reason);
      perform auth.revoke_oauth2_grants(array(
        select g.id from auth.oauth2_grants g
         where g.user_id = was.id and g.grant_type = 'password' and g.expires_at > now()), reason);
    end if;
  end loop;
  outcome := 'ok';
end
$$;

-- api.set_delivery_mailbox makes one of a user's own aliases the mailbox that
-- receives their mail; its address is what the user is known by.
--
-- outcome: ok, gone (the user is), unknown_alias, not_own.
create or replace function api.set_delivery_mailbox(
  p_user_id   uuid,
  p_address   text,
  out outcome text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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

-- auth.record_belongings writes the audit rows of what goes with a user, each
-- under its own name. What writes them only by removing is removed.
create or replace function auth.record_belongings(p_user_id uuid)
returns void
language plpgsql
as $$
begin
  perform auth.record('alias.remove', auth.address_of(a), to_jsonb(a), null)
     from auth.aliases a where a.user_id = p_user_id;
  perform auth.record('service_user.remove', s.username, to_jsonb(s), null)
     from auth.service_users s where s.user_id = p_user_id;
  perform auth.record('app_password.remove', ap.id, to_jsonb(ap), null)
     from auth.app_passwords ap where ap.user_id = p_user_id;
  perform auth.record('email_agent_token.remove', t.token_hint, to_jsonb(t), null)
     from auth.email_agent_tokens t where t.creator_id = p_user_id;
  perform auth.end_sessions(array(select s.id from auth.sessions s where s.user_id = p_user_id), 'user removed');
  perform auth.remove_oauth2_consents(p_user_id, null);
  perform auth.revoke_oauth2_grants(array(
    select g.id from auth.oauth2_grants g where g.user_id = p_user_id and g.expires_at > now()), 'user removed');
  perform auth.remove_docker_rules(array(select n.id from auth.docker_rules n where n.user_id = p_user_id));
  perform auth.remove_docker_refresh_tokens(array(select t.id from auth.docker_refresh_tokens t where t.user_id = p_user_id));
  perform auth.record('mailing_list.edit', m.name, to_jsonb(m), to_jsonb(m) || '{"owner_id": null}')
     from auth.mailing_lists m where m.owner_id = p_user_id;
end
$$;

-- api.remove_users removes users with everything that is theirs: aliases,
-- service users, app passwords, agent tokens, memberships, permissions, sessions
-- with what they let clients do, and what Docker registries know of them. Their
-- mailing lists stay, without an owner. All of that has audit rows of its own. It
-- returns what each had; a user that was gone already has no row. With p_dry_run
-- it only says.
create or replace function api.remove_users(p_user_ids uuid[], p_dry_run boolean)
returns table (
  user_id       uuid,
  identifier    text,
  full_name     text,
  aliases       text[],
  service_users text[],
  app_passwords bigint,
  agent_tokens  bigint,
  mailing_lists text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
