-- Email agent tokens: a user makes one, and an external mail filter asks once
-- whether it is good. What is stored is its SHA-256; programs make the token
-- and hash it.
--
-- A token is valid while it is not burned and its creator is active.

-- api.create_email_agent_token stores a token that the program has generated.
--
-- outcome: ok, gone or inactive (the creator is).
create or replace function api.create_email_agent_token(
  p_creator_id uuid,
  p_token_hash bytea,
  p_token_hint text,
  out outcome  text,
  out id       bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  creator_active boolean;
  made auth.email_agent_tokens;
begin
  select u.active into creator_active from auth.users u where u.id = p_creator_id for key share;
  outcome := case
    when not found          then 'gone'
    when not creator_active then 'inactive'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;
  insert into auth.email_agent_tokens (creator_id, token_hash, token_hint)
  values (p_creator_id, p_token_hash, p_token_hint)
  returning * into made;
  perform auth.record('email_agent_token.create', made.token_hint, null, to_jsonb(made));
  id := made.id;
end
$$;

-- api.list_email_agent_tokens returns tokens, newest first: of one user or of
-- all.
create or replace function api.list_email_agent_tokens(p_creator_id uuid)
returns table (id bigint, creator text, creator_id uuid, token_hint text, created_at timestamptz, burned_at timestamptz)
language sql stable security definer set search_path = auth, pg_temp
begin atomic
  select t.id, u.identifier, t.creator_id, t.token_hint, t.created_at, t.burned_at
    from auth.email_agent_tokens t
    join auth.users u on u.id = t.creator_id
   where p_creator_id is null or t.creator_id = p_creator_id
   order by t.created_at desc, t.id desc;
end;

-- auth.judge_email_agent_token tells what a token is worth, and of whom it is:
-- valid, burned, inactive (its creator is), unknown.
create or replace function auth.judge_email_agent_token(
  p_token_hash        bytea,
  out outcome         text,
  out creator         text,
  out creator_id      uuid,
  out primary_address text,
  out token_hint      text,
  out burned_at       timestamptz
)
language plpgsql stable
as $$
declare
  creator_active boolean;
begin
  select u.identifier, u.id, u.active, auth.primary_address(u.id), t.token_hint, t.burned_at
    into creator, creator_id, creator_active, primary_address, token_hint, burned_at
    from auth.email_agent_tokens t
    join auth.users u on u.id = t.creator_id
   where t.token_hash = p_token_hash;
  outcome := case
    when not found             then 'unknown'
    when burned_at is not null then 'burned'
    when not creator_active    then 'inactive'
    else 'valid'
  end;
end
$$;

-- api.check_email_agent_token tells whether a token is good, and leaves it so.
--
-- outcome: valid, burned, inactive, unknown.
create or replace function api.check_email_agent_token(
  p_token_hash        bytea,
  out outcome         text,
  out creator         text,
  out creator_id      uuid,
  out primary_address text,
  out token_hint      text,
  out burned_at       timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  select j.* into outcome, creator, creator_id, primary_address, token_hint, burned_at
    from auth.judge_email_agent_token(p_token_hash) j;
end
$$;

-- api.redeem_email_agent_token tells whether a token is good, and burns it if it
-- is: of many who ask at once, one is told 'valid'. burned_at is then now.
--
-- outcome: valid, burned, inactive, unknown.
create or replace function api.redeem_email_agent_token(
  p_token_hash        bytea,
  out outcome         text,
  out creator         text,
  out creator_id      uuid,
  out primary_address text,
  out token_hint      text,
  out burned_at       timestamptz
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
begin
  perform from auth.email_agent_tokens t where t.token_hash = p_token_hash for update;
  select j.* into outcome, creator, creator_id, primary_address, token_hint, burned_at
    from auth.judge_email_agent_token(p_token_hash) j;
  if outcome = 'valid' then
    burned_at := auth.burn_email_agent_token(p_token_hash);
  end if;
end
$$;

-- auth.burn_email_agent_token burns a token that the caller has locked and
-- found good.
create or replace function auth.burn_email_agent_token(p_token_hash bytea)
returns timestamptz
language plpgsql
as $$
declare
  was auth.email_agent_tokens;
  made auth.email_agent_tokens;
begin
  select t.* into was from auth.email_agent_tokens t where t.token_hash = p_token_hash;
  update auth.email_agent_tokens t set burned_at = now() where t.id = was.id returning t.* into made;
  perform auth.record('email_agent_token.burn', made.token_hint, to_jsonb(was), to_jsonb(made));
  return made.burned_at;
end
$$;

-- api.burn_email_agent_token makes a token useless, whoever's it is.
--
-- outcome: ok, burned (already), unknown.
create or replace function api.burn_email_agent_token(
  p_token_hash   bytea,
  out outcome    text,
  out token_hint text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.email_agent_tokens;
begin
  select t.* into was from auth.email_agent_tokens t where t.token_hash = p_token_hash for update;
  token_hint := was.token_hint;
  outcome := case
    when was.id is null            then 'unknown'
    when was.burned_at is not null then 'burned'
    else 'ok'
  end;
  if outcome = 'ok' then
    perform auth.burn_email_agent_token(p_token_hash);
  end if;
end
$$;

-- api.remove_burned_email_agent_tokens forgets the burned tokens of one user or
-- of all, and returns them. With p_dry_run it only says.
create or replace function api.remove_burned_email_agent_tokens(p_creator_id uuid, p_dry_run boolean)
returns table (id bigint, creator text, creator_id uuid, token_hint text, created_at timestamptz, burned_at timestamptz)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.email_agent_tokens;
begin
  -- Removing a user takes tokens along in an order of its own.
  perform from auth.users u
    where u.id in (select t.creator_id from auth.email_agent_tokens t
                    where t.burned_at is not null and (p_creator_id is null or t.creator_id = p_creator_id))
    order by u.id for key share;
  for was in
    select t.* from auth.email_agent_tokens t
     where t.burned_at is not null and (p_creator_id is null or t.creator_id = p_creator_id)
     order by t.id
       for update
  loop
    id := was.id;
    creator := (select u.identifier from auth.users u where u.id = was.creator_id);
    creator_id := was.creator_id;
    token_hint := was.token_hint;
    created_at := was.created_at;
    burned_at := was.burned_at;
    if not p_dry_run then
      delete from auth.email_agent_tokens t where t.id = was.id;
      perform auth.record('email_agent_token.remove', was.token_hint, to_jsonb(was), null);
    end if;
    return next;
  end loop;
end
$$;
