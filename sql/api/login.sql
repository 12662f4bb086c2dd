-- Who may log in: the one core that every face asks which has a password in
-- its hands. Go computes the hashes; what is decided is decided here.
--
-- A login begins and ends:
--
--   begin_login   ok         an app password, or the hash that was right a
--                            moment ago and is still the user's
--                 denied     nobody may log in with this, whatever the hash
--                 throttled  not looked at; retry_after says for how long
--                 verify     compute the hash, then say to end_login
--   end_login     ok, wrong, or abandoned: the hash could not be computed
--
-- begin_login counts a failure before there is one and end_login takes it
-- back: many guesses at once count like one after the other. The same wrong
-- password again is answered without counting or computing: phones keep
-- trying an old one for hours.
--
-- Nobody can lock an owner out: what is counted is a name from one network for
-- one service; app passwords are never throttled, having 130 random bits, nor
-- is the password that was right a moment ago; and all networks together only
-- make wrong answers slower.

-- auth.login_hash is what failures of a login are counted by. Extensions of an
-- address do not make new names, be there such a user or not.
create or replace function auth.login_hash(p_login text)
returns bytea
language plpgsql immutable parallel safe
as $$
begin
  return sha256(convert_to(regexp_replace(lower(p_login collate "C"), '^([^@]+?)[+-][^@]*@', E'\\1@'), 'UTF8'));
end
$$;

-- auth.login_network is the network that failures from a client are counted
-- by: an IPv6 host has a /64 to choose addresses from.
create or replace function auth.login_network(p_client inet)
returns cidr
language plpgsql immutable parallel safe
as $$
begin
  return case
    when p_client is null      then cidr '0.0.0.0/0'
    when family(p_client) = 4  then network(set_masklen(p_client, 32))
    else network(set_masklen(p_client, 64))
  end;
end
$$;

-- auth.login_burst is how many wrong passwords are free; then one is forgiven
-- each minute.
create or replace function auth.login_burst()
returns real
language plpgsql immutable parallel safe
as $$
begin
  return 10;
end
$$;

-- auth.login_failures is what a count has become by now.
create or replace function auth.login_failures(p_failures real, p_changed_at timestamptz)
returns real
language plpgsql stable parallel safe
as $$
begin
  return greatest(0, p_failures - extract(epoch from now() - p_changed_at) / 60);
end
$$;

-- auth.login_wait is for how many seconds a count is too high, at least one;
-- null if it is not.
create or replace function auth.login_wait(p_failures real, p_changed_at timestamptz)
returns int
language plpgsql stable parallel safe
as $$
declare
  over real := auth.login_failures(p_failures, p_changed_at) - auth.login_burst() + 1;
begin
  return case when over > 0 then greatest(1, ceil(over * 60)) end;
end
$$;

-- auth.find_owner returns the user that a login name is for, and the service
-- user if it names one; user_id is null if there is none. An address has to be
-- one that may log in: not blocked, not of a redirected domain or a list. A
-- user's identifier is a login name for staff.
create or replace function auth.find_owner(
  p_login              text,
  out user_id          uuid,
  out service_user     text,
  out service_hash     text,
  out service_password text   -- the id of its app password
)
language plpgsql stable parallel safe
as $$
declare
  alias record;
  folded text;
begin
  if strpos(p_login, '@') > 0 then
    alias := auth.find_alias(p_login);
    if not alias.blocked and alias.redirect_to is null then
      user_id := alias.user_id;
    end if;
    return;
  end if;
  if octet_length(p_login) > 64 then
    return;
  end if;
  folded := lower(p_login collate "C");
  select s.user_id, s.username, s.password_hash, s.app_password_id
    into user_id, service_user, service_hash, service_password
    from auth.service_users s
   where s.username = folded;
  if user_id is null then
    select u.id into user_id from auth.users u where u.identifier = folded and u.staff;
  end if;
end
$$;

-- auth.touch_app_password notes that an app password was used, at most once an
-- hour.
create or replace function auth.touch_app_password(p_id text, p_service text, p_client inet)
returns void
language plpgsql
as $$
begin
  update auth.app_passwords ap
     set last_used_at = now(), last_used_service = left(p_service, 64), last_used_from = p_client
   where ap.id = p_id
     and ap.revoked_at is null
     and (ap.last_used_at is null or ap.last_used_at <= now() - interval '1 hour');
end
$$;

-- api.begin_login: see above. An account is described with ok and verify only.
--
-- A program that got a text of the form of an app password gives its id and
-- SHA-256; it is then nothing else. known_hash is the SHA-256 of a stored hash
-- that this password was right for a moment ago, or null.
create or replace function api.begin_login(
  p_login               text,
  p_service             text,
  p_client              inet,   -- null: unknown
  p_app_password_id     text,   -- null: not an app password
  p_app_password_sha256 bytea,
  p_password_mac        bytea,  -- tells one password from the next
  p_known_hash          bytea,
  out outcome           text,
  out reason            text,   -- for the operator: why it is denied
  out retry_after       int,    -- seconds
  out password_hash     text,   -- with verify; null: there is none to be right for, take as long as if there were
  out user_id           uuid,
  out identifier        text,
  out full_name         text,
  out staff             boolean,
  out primary_address   text,
  out service_user      text,
  out groups            text[],
  out permissions       text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  owner record := auth.find_owner(p_login);
  found_user record;
  app auth.app_passwords;
  stored text;
  name_hash bytea;
  client_network cidr;
  wrong_mac bytea;
begin
  select u.id, u.active, u.password_hash, u.identifier, u.full_name, u.staff,
         a.local_part || '@' || d.name as primary_address
    into found_user
    from auth.users u
    left join auth.aliases a on a.id = u.delivery_mailbox_id
    left join auth.domains d on d.id = a.domain_id
   where u.id = owner.user_id;

  if p_app_password_id is not null then
    select ap.* into app from auth.app_passwords ap where ap.id = p_app_password_id;
    outcome := 'denied';
    reason := case
      when app.id is null                                          then 'unknown app password'
      when app.secret_hash is distinct from p_app_password_sha256  then 'wrong app password'
      when app.revoked_at is not null                              then 'revoked app password ' || app.id
      when app.expires_at <= now()                                 then 'expired app password ' || app.id
      when app.user_id is distinct from owner.user_id              then 'another user''s app password ' || app.id
      when owner.service_user is not null
           and owner.service_password is distinct from app.id      then 'another login''s app password ' || app.id
      when not found_user.active                                   then 'inactive user'
      when p_service <> all (app.services)                         then 'app password ' || app.id || ' is not for this service'
      when app.networks is not null
           and (p_client <<= any (app.networks)) is not true       then 'app password ' || app.id || ' is not for this network'
    end;
    if reason is not null then
      return;
    end if;
    outcome := 'ok';
    if app.last_used_at is null or app.last_used_at <= now() - interval '1 hour' then
      perform auth.touch_app_password(app.id, p_service, p_client);
    end if;
  else
    stored := case
      when found_user.active is not true   then null
      when owner.service_user is not null  then owner.service_hash
      else found_user.password_hash
    end;
    if sha256(convert_to(stored, 'UTF8')) = p_known_hash then
      outcome := 'ok';
    else
      name_hash := auth.login_hash(p_login);
      client_network := auth.login_network(p_client);
      wrong_mac := auth.wrong_mac(p_password_mac, stored);
      insert into auth.login_throttles as t (login_hash, network, service, failures)
      values (name_hash, client_network, p_service, 1)
      on conflict (login_hash, network, service) do update
         set failures = auth.login_failures(t.failures, t.changed_at) + 1, changed_at = now()
       where wrong_mac <> all (t.wrong) and auth.login_wait(t.failures, t.changed_at) is null;
      if not found then
        select case when wrong_mac = any (t.wrong) then 'denied' else 'throttled' end, auth.login_wait(t.failures, t.changed_at)
          into outcome, retry_after
          from auth.login_throttles t
         where t.login_hash = name_hash and t.network = client_network and t.service = p_service;
        outcome := coalesce(outcome, 'throttled');  -- forgotten this moment
        if outcome = 'denied' then
          reason := 'the same wrong password again';
          retry_after := null;
        else
          retry_after := coalesce(retry_after, 1);
        end if;
        return;
      end if;
      outcome := 'verify';
      password_hash := stored;
      reason := case
        when owner.user_id is null     then 'unknown login'
        when not found_user.active     then 'inactive user'
        when stored is null            then 'login without a password'
        else 'wrong password'
      end;
    end if;
  end if;

  if found_user.active then
    user_id := found_user.id;
    identifier := found_user.identifier;
    full_name := found_user.full_name;
    staff := found_user.staff;
    primary_address := found_user.primary_address;
    service_user := owner.service_user;
    groups := auth.group_names(user_id);
    permissions := array(select distinct n.permission_name from auth.permission_names(found_user.id) n order by 1);
  end if;
end
$$;

-- auth.wrong_mac is how a wrong password is remembered: for this stored hash
-- only, so that it may become the right one.
create or replace function auth.wrong_mac(p_password_mac bytea, p_password_hash text)
returns bytea
language plpgsql immutable parallel safe
as $$
begin
  return substr(sha256(p_password_mac || convert_to(coalesce(p_password_hash, ''), 'UTF8')), 1, 16);
end
$$;

-- auth.group_names returns the groups of a user, sorted.
create or replace function auth.group_names(p_user_id uuid)
returns text[]
language plpgsql stable parallel safe
as $$
begin
  return array(
    select g.name from auth.group_members gm join auth.groups g on g.id = gm.group_id
     where gm.user_id = p_user_id order by g.name);
end
$$;

-- auth.count_failure counts a wrong password that auth.wrong_mac names, unless
-- it was counted before, and returns for how many seconds the answer should
-- wait: none, unless this name is being guessed from everywhere. p_counted: by
-- begin_login already.
create or replace function auth.count_failure(p_login text, p_service text, p_client inet, p_wrong_mac bytea, p_counted boolean)
returns int
language plpgsql
as $$
declare
  name_hash bytea := auth.login_hash(p_login);
  failed record;
begin
  insert into auth.login_throttles as t (login_hash, network, service, failures, wrong)
  values (name_hash, auth.login_network(p_client), p_service, 1, array[p_wrong_mac])
  on conflict (login_hash, network, service) do update
     set failures = greatest(0, case
           when p_wrong_mac = any (t.wrong)
             -- Counted by one that ran at the same time.
             then auth.login_failures(t.failures, t.changed_at) - case when p_counted then 1 else 0 end
           else auth.login_failures(t.failures, t.changed_at) + case when p_counted then 0 else 1 end
         end),
         changed_at = now(),
         wrong = case when p_wrong_mac = any (t.wrong) then t.wrong else (p_wrong_mac || t.wrong)[1:10] end
  returning t.wrong[1] = p_wrong_mac as new into failed;
  if not failed.new then
    return 0;
  end if;
  insert into auth.login_throttles as t (login_hash, network, service, failures)
  values (name_hash, '0.0.0.0/0', '', 1)
  on conflict (login_hash, network, service) do update
     set failures = least(1000, auth.login_failures(t.failures, t.changed_at) + 1), changed_at = now()
  returning t.failures into failed;
  return least(5, floor(failed.failures / 50));
end
$$;

-- api.end_login says how a login went that begin_login had to have verified.
-- delay is for how many seconds the answer to a wrong password should wait.
create or replace function api.end_login(
  p_login         text,
  p_service       text,
  p_client        inet,
  p_password_mac  bytea,
  p_password_hash text,  -- what begin_login returned
  p_result        text,  -- ok, wrong, abandoned
  out delay       int
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  delay := 0;
  case p_result
    when 'ok' then
      delete from auth.login_throttles t
       where t.login_hash = auth.login_hash(p_login)
         and t.network = auth.login_network(p_client)
         and t.service = p_service;
    when 'abandoned' then
      update auth.login_throttles t
         set failures = greatest(0, t.failures - 1)
       where t.login_hash = auth.login_hash(p_login)
         and t.network = auth.login_network(p_client)
         and t.service = p_service;
    when 'wrong' then
      delay := auth.count_failure(p_login, p_service, p_client, auth.wrong_mac(p_password_mac, p_password_hash), true);
  end case;
end
$$;

-- api.find_login describes the active account that a login name is for; no row
-- if there is none. Only for callers that may know who exists.
create or replace function api.find_login(p_login text)
returns table (
  user_id         uuid,
  identifier      text,
  full_name       text,
  staff           boolean,
  primary_address text,
  service_user    text,
  groups          text[],
  permissions     text[]
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
declare
  owner record := auth.find_owner(p_login);
begin
  return query
    select u.id, u.identifier, u.full_name, u.staff, a.local_part || '@' || d.name, owner.service_user,
           auth.group_names(u.id),
           array(select distinct n.permission_name from auth.permission_names(u.id) n order by 1)
      from auth.users u
      left join auth.aliases a on a.id = u.delivery_mailbox_id
      left join auth.domains d on d.id = a.domain_id
     where u.id = owner.user_id and u.active;
end
$$;

-- api.check_login returns for how many seconds begin_login would throttle a
-- login, or null: for servers that verify passwords themselves.
create or replace function api.check_login(p_login text, p_service text, p_client inet)
returns int
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return (
    select auth.login_wait(t.failures, t.changed_at)
      from auth.login_throttles t
     where t.login_hash = auth.login_hash(p_login)
       and t.network = auth.login_network(p_client)
       and t.service = p_service);
end
$$;

-- api.report_login counts what such a server has found out.
create or replace function api.report_login(
  p_login           text,
  p_service         text,
  p_client          inet,
  p_ok              boolean,
  p_password_mac    bytea,
  p_app_password_id text  -- what it verified with; null: something else
)
returns void
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  if not p_ok then
    perform auth.count_failure(p_login, p_service, p_client, auth.wrong_mac(p_password_mac, null), false);
    return;
  end if;
  delete from auth.login_throttles t
   where t.login_hash = auth.login_hash(p_login)
     and t.network = auth.login_network(p_client)
     and t.service = p_service;
  if p_app_password_id is not null then
    perform auth.touch_app_password(p_app_password_id, p_service, p_client);
  end if;
end
$$;

-- api.rehash_password puts a hash of today's kind in the place of an older one
-- of the same password, for a user or, if there is a name, a service user.
-- Nothing happens if the password was changed meanwhile.
create or replace function api.rehash_password(p_user_id uuid, p_service_user text, p_was text, p_hash text)
returns void
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  name text;
begin
  if p_service_user is null then
    update auth.users u set password_hash = p_hash
     where u.id = p_user_id and u.password_hash = p_was
    returning u.identifier into name;
    if name is not null then
      perform auth.record('user.rehash', name, '{"password_hash": "old"}', '{"password_hash": "new"}');
    end if;
  else
    update auth.service_users s set password_hash = p_hash
     where s.user_id = p_user_id and s.username = p_service_user and s.password_hash = p_was
    returning s.username into name;
    if name is not null then
      perform auth.record('service_user.rehash', name, '{"password_hash": "old"}', '{"password_hash": "new"}');
    end if;
  end if;
end
$$;

-- api.purge_login_throttles forgets what time has forgiven, and returns how
-- many that were.
create or replace function api.purge_login_throttles()
returns bigint
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  forgotten bigint;
begin
  delete from auth.login_throttles t
   where t.changed_at < now() - interval '1 hour'
     and auth.login_failures(t.failures, t.changed_at) = 0;
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
