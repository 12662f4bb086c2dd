-- Docker registries: what each is called, how its tokens are signed and how long
-- they last. Its own keys are in key.sql, who may do what in docker_rule.sql.
--
-- Functions here lock in one order: domains, registries, then what a registry
-- has.

-- auth.find_docker_registry returns the registry that an operator means by its
-- client_id or name, or null. The client_id wins: a registry may be named like
-- that of another.
create or replace function auth.find_docker_registry(p_selector text)
returns bigint
language plpgsql stable
as $$
begin
  return coalesce(
    (select r.id from auth.docker_registries r where r.client_id = p_selector),
    (select r.id from auth.docker_registries r where r.name = p_selector));
end
$$;

-- auth.may_sign tells whether there is a key that signs for a registry.
create or replace function auth.may_sign(p_registry auth.docker_registries)
returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select from auth.keys k
     where k.purpose = 'jwt' and k.state = 'active'
       and case p_registry.signing_key
             when 'registry' then k.registry_id = p_registry.id
             when 'domain'   then k.domain_id = p_registry.domain_id
           end);
end
$$;

-- api.create_docker_registry makes a registry with its first keys.
--
-- outcome: ok; exists (another has the client_id); name_exists; no_domain.
create or replace function api.create_docker_registry(
  p_client_id     text,
  p_name          text,
  p_domain        text,
  p_issuer        text,      -- null: that of the server
  p_signing_key   text,
  p_key_hint      text,
  p_pull_lifetime interval,
  p_push_lifetime interval,
  p_keys          jsonb,     -- of its own, as auth.add_keys has them; null: none
  p_anyone        text[],    -- what everybody may do everywhere, without a login; null: nothing
  out outcome     text,
  out registry_id bigint
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  domain bigint;
  made auth.docker_registries;
begin
  select d.id into domain from auth.domains d where d.name = p_domain for key share;
  if domain is null then
    outcome := 'no_domain';
    return;
  end if;
  insert into auth.docker_registries (client_id, name, domain_id, issuer, signing_key, key_hint, pull_lifetime, push_lifetime)
  values (p_client_id, p_name, domain, nullif(p_issuer, ''), p_signing_key, p_key_hint, p_pull_lifetime, p_push_lifetime)
  on conflict do nothing
  returning * into made;
  if made.id is null then
    outcome := case when exists (select from auth.docker_registries r where r.client_id = p_client_id) then 'exists' else 'name_exists' end;
    return;
  end if;

  perform auth.record('docker_registry.create', made.client_id, null, to_jsonb(made));
  perform auth.add_keys(auth.lock_key_owner('docker_registry', made.client_id), p_keys, false);
  if p_anyone is not null then
    perform api.allow_docker_rule(made.id, '**', 'anyone', null, null, p_anyone);
  end if;
  outcome := 'ok';
  registry_id := made.id;
end
$$;

-- api.find_docker_registries returns registries by name: those that any of
-- p_selectors means (null: all), one row for each selector, with nulls if it
-- means none.
create or replace function api.find_docker_registries(p_selectors text[])
returns table (
  selector      text,
  id            bigint,
  client_id     text,
  name          text,
  domain        text,
  issuer        text,
  signing_key   text,
  key_hint      text,
  pull_lifetime interval,
  push_lifetime interval,
  created_at    timestamptz,
  rules         bigint,
  keys          bigint  -- of its own
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select w.selector, r.id, r.client_id, r.name, d.name, r.issuer, r.signing_key, r.key_hint, r.pull_lifetime, r.push_lifetime, r.created_at,
           case when r.id is not null then (select count(*) from auth.docker_rules n where n.registry_id = r.id) end,
           case when r.id is not null then (select count(*) from auth.keys k where k.registry_id = r.id) end
      from (select s as selector, auth.find_docker_registry(s) as wanted from unnest(p_selectors) s
            union all
            select null, every.id from auth.docker_registries every where p_selectors is null) w
      left join auth.docker_registries r on r.id = w.wanted
      left join auth.domains d on d.id = r.domain_id
     order by r.name, w.selector;
end
$$;

-- api.edit_docker_registry changes what is not null.
--
-- outcome: ok; gone; name_exists; no_domain; no_key: nothing would sign, because
-- the registry, or the domain whose keys are asked for, has no key that does.
create or replace function api.edit_docker_registry(
  p_registry_id   bigint,
  p_name          text,
  p_domain        text,
  p_issuer        text,      -- '': that of the server
  p_signing_key   text,
  p_key_hint      text,
  p_pull_lifetime interval,
  p_push_lifetime interval,
  out outcome     text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.docker_registries;
  made auth.docker_registries;
begin
  perform from auth.domains d where d.name = p_domain for key share;
  select r.* into was from auth.docker_registries r where r.id = p_registry_id for no key update;
  made := was;
  made.name          := coalesce(p_name, was.name);
  made.domain_id     := case when p_domain is null then was.domain_id else (select d.id from auth.domains d where d.name = p_domain) end;
  made.issuer        := case when p_issuer is null then was.issuer else nullif(p_issuer, '') end;
  made.signing_key   := coalesce(p_signing_key, was.signing_key);
  made.key_hint      := coalesce(p_key_hint, was.key_hint);
  made.pull_lifetime := coalesce(p_pull_lifetime, was.pull_lifetime);
  made.push_lifetime := coalesce(p_push_lifetime, was.push_lifetime);
  outcome := case
    when was.id is null         then 'gone'
    when made.domain_id is null then 'no_domain'
    when exists (select from auth.docker_registries r where r.name = p_name and r.id <> was.id) then 'name_exists'
    when (made.signing_key, made.domain_id) is distinct from (was.signing_key, was.domain_id)
         and not auth.may_sign(made) then 'no_key'
    else 'ok'
  end;
  if outcome <> 'ok' or made is not distinct from was then
    return;
  end if;

  begin
    update auth.docker_registries r
       set name = made.name, domain_id = made.domain_id, issuer = made.issuer, signing_key = made.signing_key,
           key_hint = made.key_hint, pull_lifetime = made.pull_lifetime, push_lifetime = made.push_lifetime
     where r.id = was.id;
  exception when unique_violation then  -- another has got the name just now
    outcome := 'name_exists';
    return;
  end;
  perform auth.record('docker_registry.edit', was.client_id, to_jsonb(was), to_jsonb(made));
end
$$;

-- api.remove_docker_registries removes registries with their rules, keys and
-- refresh tokens, each of which has an audit row of its own. It returns what each
-- had; one that was gone already has no row. With p_dry_run it only says.
create or replace function api.remove_docker_registries(p_registry_ids bigint[], p_dry_run boolean)
returns table (id bigint, client_id text, name text, domain text, rules bigint, keys bigint, refresh_tokens bigint)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.docker_registries;
  rule_ids bigint[];
  token_ids bigint[];
begin
  perform from auth.docker_registries r where r.id = any (p_registry_ids) order by r.id for update;
  for was in select r.* from auth.docker_registries r where r.id = any (p_registry_ids) order by r.name loop
    rule_ids := array(select n.id from auth.docker_rules n where n.registry_id = was.id);
    token_ids := array(select t.id from auth.docker_refresh_tokens t where t.registry_id = was.id);
    id := was.id;
    client_id := was.client_id;
    name := was.name;
    domain := (select d.name from auth.domains d where d.id = was.domain_id);
    rules := cardinality(rule_ids);
    keys := (select count(*) from auth.keys k where k.registry_id = was.id);
    refresh_tokens := cardinality(token_ids);
    if p_dry_run is false then
      perform auth.remove_docker_rules(rule_ids);
      perform auth.remove_docker_refresh_tokens(token_ids);
      perform auth.remove_keys(auth.lock_key_owner('docker_registry', was.client_id), array['jwt']);
      delete from auth.docker_registries r where r.id = was.id;
      perform auth.record('docker_registry.remove', was.client_id, to_jsonb(was) || jsonb_build_object('domain', domain), null);
    end if;
    return next;
  end loop;
end
$$;

-- api.docker_registries returns what the token endpoint knows about registries,
-- besides what api.signing_keys tells.
-- What changes in here notifies the channel authserver_docker_registry: see
-- auth.record.
create or replace function api.docker_registries()
returns table (
  client_id     text,
  issuer        text,  -- null: that of the server
  pull_lifetime interval,
  push_lifetime interval
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select r.client_id, r.issuer, r.pull_lifetime, r.push_lifetime
      from auth.docker_registries r
     order by r.client_id;
end
$$;
