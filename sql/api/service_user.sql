-- Service users: further login names of a user, each with a password of its
-- own, for servers that keep one password hash per name.
--
-- Functions here lock in one order: users, service users, app passwords, login
-- names. api.remove_users has the same.

-- auth.find_service_user returns the service user that an operator means by
-- its name or id, or null. The name wins: one may be named like the id of
-- another.
create or replace function auth.find_service_user(p_selector text)
returns bigint
language plpgsql stable
as $$
declare
  answer bigint;
begin
  select s.id into answer from auth.service_users s where s.username = lower(p_selector collate "C");
  if answer is null and p_selector ~ '^[0-9]{1,18}$' then
    select s.id into answer from auth.service_users s where s.id = p_selector::bigint;
  end if;
  return answer;
end
$$;

-- auth.may_have_service_users returns ok, gone, or no_mailbox: logging in as a
-- service user means being the user's primary address, so there has to be one.
-- The user stays until the end of the transaction.
create or replace function auth.may_have_service_users(p_user_id uuid)
returns text
language plpgsql
as $$
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

-- api.create_service_user makes a service user whose password is either a hash
-- or an app password that the program has generated for it.
--
-- outcome: ok; gone or no_mailbox (the user is, has none); exists (another
-- service user has the name), taken (a user has); id_taken (make another app
-- password).
create or replace function api.create_service_user(
  p_user_id           uuid,
  p_username          text,         -- null: a random UUID
  p_description       text,
  p_password_hash     text,         -- null: the app password
  p_app_password_id   text,         -- null: the hash
  p_secret_hash       bytea,
  p_crypt_hash        text,
  p_services          text[],
  p_networks          cidr[],
  p_expires_at        timestamptz,
  out outcome         text,
  out service_user_id bigint,
  out username        text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
     and not auth.add_app_password(p_app_password_id, p_user_id, p_description, p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at, null, null) then
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

-- api.find_service_users returns service users by name: those that any of
-- p_selectors means (null: all), one row for each selector, with nulls if it
-- means none; of one user or of all. p_contains is looked for in names and
-- descriptions.
create or replace function api.find_service_users(
  p_selectors text[],
  p_contains  text,
  p_user_id   uuid  -- null: all
)
returns table (selector text, id bigint, username text, description text, user_identifier text, user_id uuid, app_password_id text)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
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

-- api.edit_service_users changes what is not null, for all of these service
-- users or for none. A new password replaces the old one, be they hash or app
-- password; an app password that is replaced is revoked. One that moves to
-- another user goes along. Either ends the sessions of the service user.
--
-- outcome: ok; gone (service_user_id is); several (a name and a password are
-- for one); no_user or no_mailbox (the new user is gone, has none); exists,
-- taken and id_taken, as api.create_service_user has them.
create or replace function api.edit_service_users(
  p_service_user_ids  bigint[],
  p_username          text,         -- for one only
  p_description       text,
  p_user_id           uuid,
  p_password_hash     text,         -- for one only
  p_app_password_id   text,         -- for one only
  p_secret_hash       bytea,
  p_crypt_hash        text,
  p_services          text[],
  p_networks          cidr[],
  p_expires_at        timestamptz,
  out outcome         text,
  out service_user_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
             p_secret_hash, p_crypt_hash, p_services, p_networks, p_expires_at, null, null) then
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
    if new_password or made.user_id <> was.user_id then
      perform auth.end_sessions(array(select s.id from auth.sessions s where s.service_user_id = was.id),
        case when new_password then 'password changed' else 'service user moved' end);
    end if;
  end loop;
  outcome := 'ok';
end
$$;

-- api.remove_service_users removes service users with the app passwords that
-- are theirs. It returns what each had; one that was gone already has no row.
-- With p_dry_run it only says.
create or replace function api.remove_service_users(p_service_user_ids bigint[], p_dry_run boolean)
returns table (id bigint, username text, user_identifier text, app_password_id text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
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
      perform auth.remove_docker_refresh_tokens(array(
        select t.id from auth.docker_refresh_tokens t where t.service_user_id = was.id or t.app_password_id = was.app_password_id));
      perform auth.end_sessions(array(
        select s.id from auth.sessions s where s.service_user_id = was.id or s.app_password_id = was.app_password_id), 'service user removed');
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
