-- Who may log in: the one core that every face asks which has a password in
-- its hands. Go computes the hashes; what is decided is decided here.
--
-- A login begins and ends:
--
--   begin_login   ok         an app password, or the hash that was right a
--                            moment ago and is still the user's
--                 denied     nobody may log in with this, whatever the hash
--                 repeated   denied, and no guess: the same wrong password
--                            again, or an app password that is not for this
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
-- is the password that was right a moment ago; and all networks together, or
-- clients of whom nobody tells the address, only make wrong answers slower.

-- auth.login_base is the name that a login is counted by: extensions of an
-- address do not make new names, be there such a user or not.
create or replace function auth.login_base(p_login text)
returns text
language sql immutable parallel safe
return regexp_replace(lower(p_login collate "C"), '^([^@]+?)[+-][^@]*@', E'\\1@');

-- auth.login_hash is how that name is stored.
create or replace function auth.login_hash(p_login text)
returns bytea
language sql stable parallel safe
return sha256(convert_to(auth.login_base(p_login), 'UTF8'));

-- auth.login_network is the network that failures from a client are counted
-- by: an IPv6 host has a /64 to choose addresses from.
create or replace function auth.login_network(p_client inet)
returns cidr
language sql immutable parallel safe
return case
  when p_client is null     then cidr '0.0.0.0/0'
  when family(p_client) = 4 then network(set_masklen(p_client, 32))
  else network(set_masklen(p_client, 64))
end;

-- auth.login_burst is how many wrong passwords are free; then one is forgiven
-- each minute.
create or replace function auth.login_burst()
returns real
language sql immutable parallel safe
return 10;

-- auth.login_failures is what a count has become by now. It may have changed
-- after this transaction began.
create or replace function auth.login_failures(p_failures real, p_changed_at timestamptz)
returns real
language sql stable parallel safe
return greatest(0, p_failures - greatest(0, extract(epoch from now() - p_changed_at)) / 60);

-- auth.login_wait is for how many seconds a count is too high, at least one;
-- null if it is not.
create or replace function auth.login_wait(p_failures real, p_changed_at timestamptz)
returns int
language sql stable parallel safe
return case when auth.login_failures(p_failures, p_changed_at) > auth.login_burst() - 1
  then greatest(1, ceil((auth.login_failures(p_failures, p_changed_at) - auth.login_burst() + 1) * 60)) end;

-- auth.find_login returns the user that a login name is for, and the service
-- user if it names one; user_id is null if there is none. An address has to be
-- one that may log in: not blocked, not of a redirected domain or a list. A
-- user's identifier is a login name for staff.
create or replace function auth.find_login(
  p_login              text,
  out user_id          uuid,
  out active           boolean,
  out identifier       text,
  out full_name        text,
  out staff            boolean,
  out primary_address  text,
  out password_hash    text,
  out app_password_id  text,     -- the only one that this login may have; null: any of the user
  out service_user     text,
  out groups           text[],
  out permissions      text[]
)
language plpgsql stable parallel safe
as $$
declare
  alias record;
  folded text;
  service_hash text;
begin
  if strpos(p_login, '@') > 0 then
    alias := auth.find_alias(p_login);
    if not alias.blocked and alias.redirect_to is null then
      user_id := alias.user_id;
    end if;
  else
    folded := lower(p_login collate "C");
    select s.user_id, s.username, s.password_hash, s.app_password_id
      into user_id, service_user, service_hash, app_password_id
      from auth.service_users s
     where s.username = folded;
    if user_id is null then
      select u.id into user_id from auth.users u where u.identifier = folded and u.staff;
    end if;
  end if;

  -- Asked for nobody, too, who then takes as long. Not for null: a plan for
  -- that costs nothing, and those for others would be made anew each time.
  select a.active, a.identifier, a.full_name, a.staff, a.primary_address,
         case when service_user is null then a.password_hash else service_hash end,
         a.groups, a.permissions
    into active, identifier, full_name, staff, primary_address, password_hash, groups, permissions
    from auth.account(coalesce(find_login.user_id, '00000000-0000-0000-0000-000000000000')) a;
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
  p_registry            text default null,  -- the Docker registry that it is for, by client_id; null: none
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
  out permissions       text[],
  out registry_actions  text[], -- what the app password is limited to at Docker registries; null: nothing
  out credential_sha256 bytea   -- with ok and verify: of the stored hash or of the app password, by which something can be bound to it
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  login record := auth.find_login(p_login);
  app auth.app_passwords;
  stored text;
  stored_sha256 bytea;
  name_hash bytea;
  client_network cidr;
  wrong_mac bytea;
begin
  if p_app_password_id is not null then
    select ap.* into app from auth.app_passwords ap where ap.id = p_app_password_id;
    reason := case
      when app.id is not null
           and app.secret_hash is distinct from p_app_password_sha256 then 'wrong app password'
      else coalesce(
        auth.app_password_reason(app, login.user_id, login.service_user, login.app_password_id, p_service, p_registry),
        case
          when login.active is not true                          then 'inactive user'
          when app.networks is not null
               and (p_client <<= any (app.networks)) is not true then 'app password ' || app.id || ' is not for this network'
        end)
    end;
    if reason is not null then
      -- Whoever has the secret does not guess.
      outcome := case when app.secret_hash = p_app_password_sha256 then 'repeated' else 'denied' end;
      return;
    end if;
    outcome := 'ok';
    credential_sha256 := app.secret_hash;
    if app.last_used_at is null or app.last_used_at <= now() - interval '1 hour' then
      perform auth.touch_app_password(app.id, p_service, p_client);
    end if;
    registry_actions := app.registry_actions;
  else
    if login.active then
      stored := login.password_hash;
      stored_sha256 := sha256(convert_to(stored, 'UTF8'));
    end if;
    if stored_sha256 = p_known_hash then
      outcome := 'ok';
    else
      name_hash := auth.login_hash(p_login);
      client_network := auth.login_network(p_client);
      wrong_mac := auth.wrong_mac(p_password_mac, stored);
      -- Until what was seen is what is changed. A guess that is refused writes
      -- nothing.
      loop
        select case when wrong_mac = any (t.wrong) then 'repeated' else 'throttled' end, auth.login_wait(t.failures, t.changed_at)
          into outcome, retry_after
          from auth.login_throttles t
         where t.login_hash = name_hash and t.network = client_network and t.service = p_service
           and (wrong_mac = any (t.wrong)
                or (p_client is not null and auth.login_wait(t.failures, t.changed_at) is not null));
        if found then
          if outcome = 'repeated' then
            reason := 'the same wrong password again';
            retry_after := null;
          end if;
          return;
        end if;
        insert into auth.login_throttles as t (login_hash, network, service, failures)
        values (name_hash, client_network, p_service, 1)
        on conflict (login_hash, network, service) do update
           set failures = auth.login_failures(t.failures, t.changed_at) + 1, changed_at = greatest(t.changed_at, now())
         where wrong_mac <> all (t.wrong)
           and (p_client is null or auth.login_wait(t.failures, t.changed_at) is null);
        exit when found;
      end loop;
      outcome := 'verify';
      password_hash := stored;
      reason := case
        when login.user_id is null  then
          case when exists (select from auth.users u where u.identifier = lower(p_login collate "C"))
            then 'the identifier of a user who is not staff: an address logs in' else 'unknown login' end
        when not login.active       then 'inactive user'
        when stored is null         then 'login without a password'
        else 'wrong password'
      end;
    end if;
    credential_sha256 := stored_sha256; -- whoever is refused does not get this far
  end if;

  if login.active then
    user_id := login.user_id;
    identifier := login.identifier;
    full_name := login.full_name;
    staff := login.staff;
    primary_address := login.primary_address;
    service_user := login.service_user;
    groups := login.groups;
    permissions := login.permissions;
  end if;
end
$$;

-- auth.wrong_mac is how a wrong password is remembered: for this stored hash
-- only, so that it may become the right one.
create or replace function auth.wrong_mac(p_password_mac bytea, p_password_hash text)
returns bytea
language sql stable parallel safe
return substr(sha256(p_password_mac || convert_to(coalesce(p_password_hash, ''), 'UTF8')), 1, 16);

-- auth.take_back_failure takes back what begin_login has counted.
create or replace function auth.take_back_failure(p_login text, p_service text, p_client inet)
returns void
language plpgsql
as $$
begin
  update auth.login_throttles t
     set failures = greatest(0, t.failures - 1)
   where t.login_hash = auth.login_hash(p_login)
     and t.network = auth.login_network(p_client)
     and t.service = p_service;
end
$$;

-- auth.count_failure counts a wrong password that auth.wrong_mac names, unless
-- it was counted before, and returns for how many seconds the answer should
-- wait: none, unless this name is being guessed from everywhere, or nobody
-- knows from where and so nobody can be refused. p_counted: by
-- begin_login already.
create or replace function auth.count_failure(p_login text, p_service text, p_client inet, p_wrong_mac bytea, p_counted boolean)
returns int
language plpgsql
as $$
declare
  name_hash bytea := auth.login_hash(p_login);
  everywhere real;
begin
  insert into auth.login_throttles as t (login_hash, network, service, failures, wrong)
  values (name_hash, auth.login_network(p_client), p_service, 1, array[p_wrong_mac])
  on conflict (login_hash, network, service) do update
     set failures = least(auth.login_burst(), auth.login_failures(t.failures, t.changed_at) + case when p_counted then 0 else 1 end),
         changed_at = greatest(t.changed_at, now()),
         wrong = (p_wrong_mac || t.wrong)[1:10]
   where p_wrong_mac <> all (t.wrong);
  if not found then
    if p_counted then  -- and by one that ran at the same time
      perform auth.take_back_failure(p_login, p_service, p_client);
    end if;
    return 0;
  end if;
  if p_client is null then
    return (
      select least(5, floor(t.failures / 2))
        from auth.login_throttles t
       where t.login_hash = name_hash and t.network = auth.login_network(null) and t.service = p_service);
  end if;
  insert into auth.login_throttles as t (login_hash, network, service, failures)
  values (name_hash, '::/0', '', 1)
  on conflict (login_hash, network, service) do update
     set failures = least(1000, auth.login_failures(t.failures, t.changed_at) + 1), changed_at = greatest(t.changed_at, now())
  returning t.failures into everywhere;
  return least(5, floor(everywhere / 50));
end
$$;

-- auth.forget_failures forgets the failures of a login that has succeeded, and
-- tells whether it did. It does not if another user has an address that is
-- counted by the same name: whoever logs in as a-b must not guess the password
-- of a for ever.
create or replace function auth.forget_failures(p_login text, p_service text, p_client inet)
returns boolean
language plpgsql
as $$
declare
  base text := split_part(auth.login_base(p_login), '@', 1);
begin
  if strpos(p_login, '@') > 0 and exists (
    select from auth.find_alias(p_login) f
      join auth.aliases a on a.domain_id = f.domain_id
     where (a.local_part = base or (a.local_part > base || '+' and a.local_part < base || '.'))  -- '+' < '-' < '.'
       and a.user_id <> f.user_id) then
    return false;
  end if;
  delete from auth.login_throttles t
   where t.login_hash = auth.login_hash(p_login)
     and t.network = auth.login_network(p_client)
     and t.service = p_service;
  return true;
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
      if not auth.forget_failures(p_login, p_service, p_client) then
        perform auth.take_back_failure(p_login, p_service, p_client);
      end if;
    when 'wrong' then
      delay := auth.count_failure(p_login, p_service, p_client, auth.wrong_mac(p_password_mac, p_password_hash), true);
    when 'abandoned' then
      perform auth.take_back_failure(p_login, p_service, p_client);
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
begin
  return query
    select f.user_id, f.identifier, f.full_name, f.staff, f.primary_address, f.service_user, f.groups, f.permissions
      from auth.find_login(p_login) f
     where f.active;
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
       and t.service = p_service
       and p_client is not null);
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
  perform auth.forget_failures(p_login, p_service, p_client);
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
  service_user_id bigint;
begin
  if p_service_user is null then
    update auth.users u set password_hash = p_hash
     where u.id = p_user_id and u.password_hash = p_was
    returning u.identifier into name;
    if name is not null then
      perform auth.rebind_docker_refresh_tokens(p_user_id, null, p_was, p_hash);
      perform auth.record('user.rehash', name, '{"password_hash": "old"}', '{"password_hash": "new"}');
    end if;
  else
    update auth.service_users s set password_hash = p_hash
     where s.user_id = p_user_id and s.username = p_service_user and s.password_hash = p_was
    returning s.username, s.id into name, service_user_id;
    if name is not null then
      perform auth.rebind_docker_refresh_tokens(p_user_id, service_user_id, p_was, p_hash);
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
  -- Rows that a login holds are left: they change just now, and a login may
  -- wait for a row that is held here.
  with forgiven as (
    select t.login_hash, t.network, t.service
      from auth.login_throttles t
     where t.changed_at < now() - interval '1 hour'
       and auth.login_failures(t.failures, t.changed_at) = 0
       for update skip locked)
  delete from auth.login_throttles t
   using forgiven f
   where t.login_hash = f.login_hash and t.network = f.network and t.service = f.service;
  get diagnostics forgotten = row_count;
  return forgotten;
end
$$;
