-- Private keys of domains and Docker registries, sealed outside of the
-- database.
--
-- A sealed key opens for its own row only: its seal names the purpose and
-- 'auth.keys:<owner>:<SHA-256 of public_key, in hex>', where owner is a domain,
-- or 'registry:' and a client_id. All of that is known before the row is, and
-- none of it changes afterwards; id and selector do.

-- auth.lock_key_owner returns who has keys by this name, and locks that row:
-- the keys of one owner change one after the other. Null: there is none.
create or replace function auth.lock_key_owner(
  p_noun text,  -- domain or docker_registry
  p_name text   -- of the domain, or the client_id
)
returns auth.key_owner
language plpgsql
as $$
declare
  owner auth.key_owner;
begin
  case p_noun
    when 'domain' then
      select 'domain', d.name, d.id into owner.noun, owner.name, owner.domain_id
        from auth.domains d where d.name = p_name for update;
    when 'docker_registry' then
      select 'docker_registry', r.client_id, r.id into owner.noun, owner.name, owner.registry_id
        from auth.docker_registries r where r.client_id = p_name for no key update;
  end case;
  return owner;
end
$$;

-- auth.keys_of returns the keys that somebody has.
create or replace function auth.keys_of(p_owner auth.key_owner)
returns setof auth.keys
language plpgsql stable
as $$
begin
  return query select k.* from auth.keys k where k.domain_id = p_owner.domain_id or k.registry_id = p_owner.registry_id;
end
$$;

-- auth.key_name returns what a key is called in messages.
create or replace function auth.key_name(p_key auth.keys)
returns text
language plpgsql immutable
as $$
begin
  return p_key.purpose || ' ' || coalesce(p_key.selector, p_key.kid) || ' (' || p_key.algorithm || ', ' || p_key.state || ')';
end
$$;

-- auth.insert_keys gives a locked owner new keys: active, or published if they
-- are to sign later. p_keys is an array of objects:
-- purpose, algorithm, selector (dkim) or kid (jwt), sealed_by, and in base64
-- public_key and sealed_key. Null adds none.
create or replace function auth.insert_keys(p_owner auth.key_owner, p_keys jsonb, p_state text)
returns void
language plpgsql
as $$
declare
  made auth.keys;
begin
  for made in
    insert into auth.keys (domain_id, registry_id, purpose, algorithm, state, selector, kid, public_key, sealed_key, sealed_by, activated_at)
    select p_owner.domain_id, p_owner.registry_id, n.purpose, n.algorithm, p_state, n.selector, n.kid,
           decode(n.public_key, 'base64'), decode(n.sealed_key, 'base64'), n.sealed_by,
           case p_state when 'active' then now() end
      from jsonb_to_recordset(coalesce(p_keys, '[]'))
           as n (purpose text, algorithm text, selector text, kid text, public_key text, sealed_key text, sealed_by text)
    returning *
  loop
    perform auth.record(p_owner.noun || case p_state when 'active' then '.create_key' else '.publish_key' end,
      p_owner.name, null, to_jsonb(made));
  end loop;
end
$$;

-- auth.set_key_state lets a key of a locked owner sign ('active') or only verify
-- ('retired'), and returns what it then is.
create or replace function auth.set_key_state(p_owner auth.key_owner, p_key auth.keys, p_state text)
returns auth.keys
language plpgsql
as $$
declare
  made auth.keys;
begin
  update auth.keys k
     set state        = p_state,
         activated_at = case p_state when 'active' then now() else k.activated_at end,
         retired_at   = case p_state when 'retired' then now() end
   where k.id = p_key.id
  returning * into made;
  perform auth.record(p_owner.noun || case p_state when 'active' then '.activate_key' else '.retire_key' end,
    p_owner.name, to_jsonb(p_key), to_jsonb(made));
  return made;
end
$$;

-- auth.add_keys gives a locked owner new keys that sign from now on. p_keys is as
-- auth.insert_keys has it.
--
-- Two keys of one purpose and algorithm cannot both sign, and two cannot have
-- one selector or kid. With p_replace the old one is retired, or removed if
-- the new one has its selector; otherwise the outcome is key_exists and detail
-- says which.
create or replace function auth.add_keys(
  p_owner     auth.key_owner,
  p_keys      jsonb,
  p_replace   boolean,
  out outcome text,
  out detail  text
)
language plpgsql
as $$
declare
  old auth.keys;
begin
  outcome := 'ok';
  for old in
    select k.*
      from auth.keys_of(p_owner) k
     where exists (
       select from jsonb_to_recordset(coalesce(p_keys, '[]')) as n (purpose text, algorithm text, selector text, kid text)
        where (n.purpose = k.purpose and n.algorithm = k.algorithm and k.state = 'active')
           or n.selector = k.selector
           or n.kid = k.kid)
     order by k.id
  loop
    if not p_replace then
      outcome := 'key_exists';
      detail := auth.key_name(old);
      return;
    end if;
    if p_keys @> jsonb_build_array(jsonb_build_object('selector', old.selector))
       or p_keys @> jsonb_build_array(jsonb_build_object('kid', old.kid)) then
      delete from auth.keys k where k.id = old.id;
      perform auth.record(p_owner.noun || '.remove_key', p_owner.name, to_jsonb(old), null);
    else
      perform auth.set_key_state(p_owner, old, 'retired');
    end if;
  end loop;
  perform auth.insert_keys(p_owner, p_keys, 'active');
end
$$;

-- auth.keys_by_selector returns the DKIM keys of a domain that sign or wait to
-- under the selector that it names its keys after.
create or replace function auth.keys_by_selector(p_domain auth.domains)
returns setof auth.keys
language plpgsql stable
as $$
begin
  return query
    select k.*
      from auth.keys k
     where k.domain_id = p_domain.id and k.purpose = 'dkim' and k.state <> 'retired'
       and k.selector in (p_domain.dkim_selector, p_domain.dkim_selector || '-ed25519')
     order by k.id;
end
$$;

-- auth.taken_selector returns the selector that auth.rename_selectors would
-- give to a key although another has it, or null.
create or replace function auth.taken_selector(p_domain auth.domains, p_selector text)
returns text
language plpgsql stable
as $$
begin
  return (
    select taken.selector
      from auth.keys_by_selector(p_domain) k
      join auth.keys taken
        on taken.domain_id = p_domain.id
       and taken.selector = p_selector || substr(k.selector, length(p_domain.dkim_selector) + 1)
     where p_selector <> p_domain.dkim_selector
     limit 1);
end
$$;

-- auth.rename_selectors names the keys of a domain, whose row the caller has
-- locked, after another selector; null changes nothing.
create or replace function auth.rename_selectors(p_domain auth.domains, p_selector text)
returns void
language plpgsql
as $$
declare
  was auth.keys;
  made auth.keys;
begin
  for was in select k.* from auth.keys_by_selector(p_domain) k where p_selector <> p_domain.dkim_selector loop
    update auth.keys k
       set selector = p_selector || substr(was.selector, length(p_domain.dkim_selector) + 1)
     where k.id = was.id
    returning * into made;
    perform auth.record('domain.rename_key', p_domain.name, to_jsonb(was), to_jsonb(made));
  end loop;
end
$$;

-- auth.remove_keys removes all keys of these purposes from a locked owner.
create or replace function auth.remove_keys(p_owner auth.key_owner, p_purposes text[])
returns void
language plpgsql
as $$
declare
  was auth.keys;
begin
  for was in
    delete from auth.keys k
     where (k.domain_id = p_owner.domain_id or k.registry_id = p_owner.registry_id) and k.purpose = any (p_purposes)
    returning *
  loop
    perform auth.record(p_owner.noun || '.remove_key', p_owner.name, to_jsonb(was), null);
  end loop;
end
$$;

-- auth.find_key returns the key of an owner that has this kid or selector, or
-- null.
create or replace function auth.find_key(p_owner auth.key_owner, p_name text)
returns auth.keys
language plpgsql stable
as $$
declare
  found auth.keys;
begin
  select k.* into found
    from auth.keys_of(p_owner) k
   where k.kid = p_name or k.selector = lower(p_name)
   order by k.purpose desc  -- a selector that looks like a kid
   limit 1;
  return found;
end
$$;

-- auth.active_key returns the key that signs for the purpose of p_key, of the
-- same algorithm if there is one, or null.
create or replace function auth.active_key(p_key auth.keys)
returns auth.keys
language plpgsql stable
as $$
declare
  found auth.keys;
begin
  select k.* into found
    from auth.keys k
   where (k.domain_id = p_key.domain_id or k.registry_id = p_key.registry_id) and k.purpose = p_key.purpose and k.state = 'active'
   order by k.algorithm = p_key.algorithm desc,
            array_position(array['rsa', 'ecdsa-p256', 'ed25519'], k.algorithm)
   limit 1;
  return found;
end
$$;

-- A key is replaced without a gap in three steps: it is published, and verifiers
-- learn it; it is activated, and the old one of its place is retired; when all
-- that the old one has signed is void, that is removed.

-- api.publish_keys gives a domain or registry new keys that others can learn, and that do
-- not sign yet.
--
-- outcome: ok; unknown; key_exists (detail: the key that has this selector or
-- kid).
create or replace function api.publish_keys(
  p_noun      text,   -- as auth.lock_key_owner has it
  p_owner     text,
  p_keys      jsonb,  -- as auth.insert_keys has them
  out outcome text,
  out detail  text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  owner constant auth.key_owner := auth.lock_key_owner(p_noun, p_owner);
begin
  select auth.key_name(k) into detail
    from auth.keys_of(owner) k
    join jsonb_to_recordset(p_keys) as n (selector text, kid text) on n.selector = k.selector or n.kid = k.kid
   order by k.id
   limit 1;
  outcome := case
    when owner.name is null then 'unknown'
    when detail is not null then 'key_exists'
    else 'ok'
  end;
  if outcome = 'ok' then
    perform auth.insert_keys(owner, p_keys, 'published');
  end if;
end
$$;

-- api.activate_key lets a key sign, be it published or retired. The one that
-- signed with this purpose and algorithm is retired. A key that signs already
-- stays as it is.
--
-- outcome: ok; unknown; no_key.
create or replace function api.activate_key(
  p_noun      text,  -- as auth.lock_key_owner has it
  p_owner     text,
  p_name      text,  -- kid or selector
  out outcome text,
  out key     text,  -- the key, as auth.key_name has it
  out retired text   -- the one that was retired; null: none
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  owner constant auth.key_owner := auth.lock_key_owner(p_noun, p_owner);
  wanted auth.keys;
  was auth.keys;
begin
  wanted := auth.find_key(owner, p_name);
  outcome := case
    when owner.name is null then 'unknown'
    when wanted.id is null  then 'no_key'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  if wanted.state <> 'active' then
    was := auth.active_key(wanted);
    if was.algorithm = wanted.algorithm then
      retired := auth.key_name(auth.set_key_state(owner, was, 'retired'));
    end if;
    wanted := auth.set_key_state(owner, wanted, 'active');
  end if;
  key := auth.key_name(wanted);
end
$$;

-- api.retire_key lets a key that signs only verify. One that does so already
-- stays as it is.
--
-- outcome: ok; unknown; no_key; published: it has never signed.
create or replace function api.retire_key(
  p_noun      text,  -- as auth.lock_key_owner has it
  p_owner     text,
  p_name      text,  -- kid or selector
  out outcome text,
  out key     text,  -- the key, as auth.key_name has it
  out active  text   -- the one that signs for its purpose now; null: none
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  owner constant auth.key_owner := auth.lock_key_owner(p_noun, p_owner);
  wanted auth.keys;
begin
  wanted := auth.find_key(owner, p_name);
  outcome := case
    when owner.name is null         then 'unknown'
    when wanted.id is null          then 'no_key'
    when wanted.state = 'published' then 'published'
    else 'ok'
  end;
  if wanted.state = 'active' then
    wanted := auth.set_key_state(owner, wanted, 'retired');
  end if;
  key := auth.key_name(wanted);
  active := auth.key_name(auth.active_key(wanted));
end
$$;

-- api.remove_key removes a key that does not sign, for good. With p_dry_run it
-- only says.
--
-- outcome: ok; unknown; no_key; active: it signs.
create or replace function api.remove_key(
  p_noun      text,  -- as auth.lock_key_owner has it
  p_owner     text,
  p_name      text,  -- kid or selector
  p_dry_run   boolean,
  out outcome text,
  out key     text   -- the key, as auth.key_name has it
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  owner constant auth.key_owner := auth.lock_key_owner(p_noun, p_owner);
  was auth.keys;
begin
  was := auth.find_key(owner, p_name);
  outcome := case
    when owner.name is null   then 'unknown'
    when was.id is null       then 'no_key'
    when was.state = 'active' then 'active'
    else 'ok'
  end;
  key := auth.key_name(was);
  if outcome = 'ok' and p_dry_run is false then
    delete from auth.keys k where k.id = was.id;
    perform auth.record(owner.noun || '.remove_key', owner.name, to_jsonb(was), null);
  end if;
end
$$;

-- api.find_keys returns the keys of a domain or registry without what is secret
-- in them, those that sign first.
create or replace function api.find_keys(
  p_noun  text,  -- as auth.lock_key_owner has it
  p_owner text
)
returns table (
  id           bigint,
  purpose      text,
  algorithm    text,
  state        text,
  selector     text,
  kid          text,
  public_key   bytea,
  created_at   timestamptz,
  activated_at timestamptz,
  retired_at   timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select k.id, k.purpose, k.algorithm, k.state, k.selector, k.kid, k.public_key,
           k.created_at, k.activated_at, k.retired_at
      from auth.keys k
     where k.domain_id = (select d.id from auth.domains d where p_noun = 'domain' and d.name = p_owner)
        or k.registry_id = (select r.id from auth.docker_registries r where p_noun = 'docker_registry' and r.client_id = p_owner)
     order by k.purpose, array_position(array['active', 'published', 'retired'], k.state),
              array_position(array['rsa', 'ecdsa-p256', 'ed25519'], k.algorithm), k.id;
end
$$;

-- api.sealed_keys returns every sealed key with what its seal is bound to.
create or replace function api.sealed_keys()
returns table (
  id         bigint,
  domain     text,  -- whose it is: this one's, or this registry's, by client_id
  registry   text,
  purpose    text,
  selector   text,
  kid        text,
  public_key bytea,
  sealed_key bytea,
  sealed_by  text
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select k.id, d.name, r.client_id, k.purpose, k.selector, k.kid, k.public_key, k.sealed_key, k.sealed_by
      from auth.keys k
      left join auth.domains d on d.id = k.domain_id
      left join auth.docker_registries r on r.id = k.registry_id
     order by d.name, r.client_id, k.id;
end
$$;

-- api.reseal_keys puts keys that were sealed anew in the place of what they
-- were: all of them or none. The four arrays belong together, one element for
-- each key of the database.
--
-- outcome: ok; changed: the keys are not those that the caller has read, so
-- that some would stay under the old seal, or be lost.
create or replace function api.reseal_keys(
  p_key_ids     bigint[],
  p_was         bytea[],  -- the seal that the caller has read
  p_sealed_keys bytea[],
  p_sealed_by   text[],
  out outcome   text,
  out resealed  bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.keys;
  made auth.keys;
  new record;
begin
  -- Nobody adds, removes or reseals a key until this is decided.
  lock table auth.keys in share row exclusive mode;
  resealed := 0;
  outcome := case
    when exists (
      select from auth.keys k
        full join unnest(p_key_ids, p_was) as n (id, was) on n.id = k.id
       where k.sealed_key is distinct from n.was) then 'changed'
    else 'ok'
  end;
  if outcome <> 'ok' then
    return;
  end if;

  for new in
    select n.id, n.sealed_key, n.sealed_by,
           case when r.id is null then 'domain' else 'docker_registry' end as noun,
           coalesce(d.name, r.client_id) as owner
      from unnest(p_key_ids, p_sealed_keys, p_sealed_by) as n (id, sealed_key, sealed_by)
      join auth.keys k on k.id = n.id
      left join auth.domains d on d.id = k.domain_id
      left join auth.docker_registries r on r.id = k.registry_id
     where k.sealed_key <> n.sealed_key or k.sealed_by <> n.sealed_by
     order by n.id
  loop
    select k.* into was from auth.keys k where k.id = new.id;
    update auth.keys k
       set sealed_key = new.sealed_key, sealed_by = new.sealed_by
     where k.id = new.id
    returning * into made;
    perform auth.record(new.noun || '.reseal_key', new.owner, to_jsonb(was), to_jsonb(made));
    resealed := resealed + 1;
  end loop;
end
$$;
