-- Who may do what with which repositories of a Docker registry. What a pattern
-- means, and what rules make of a request, is decided in Go (authserver/docker),
-- which has all of them in memory.
--
-- Rules of one registry change one after the other: its row is locked first,
-- then whom a rule is for.

-- auth.docker_actions returns actions in the order in which they are stored,
-- each once. What is no action stays, for a constraint to refuse.
create or replace function auth.docker_actions(p_actions text[])
returns text[]
language sql immutable parallel safe
return case when p_actions is not null then array(
  select a from unnest(p_actions) a
   group by a
   order by array_position(array['pull', 'push', 'delete', 'catalog'], a), a) end;

-- auth.describe_docker_rule returns a rule as the audit trail has it: whom it is
-- for by name, too.
create or replace function auth.describe_docker_rule(p_rule auth.docker_rules)
returns jsonb
language plpgsql stable
as $$
begin
  return to_jsonb(p_rule) || jsonb_strip_nulls(jsonb_build_object(
    'user', (select u.identifier from auth.users u where u.id = p_rule.user_id),
    'group', (select g.name from auth.groups g where g.id = p_rule.group_id)));
end
$$;

-- auth.remove_docker_rules removes rules, also of several registries.
create or replace function auth.remove_docker_rules(p_ids bigint[])
returns void
language plpgsql
as $$
declare
  was auth.docker_rules;
begin
  for was in select n.* from auth.docker_rules n where n.id = any (p_ids) order by n.id for update loop
    perform auth.record('docker_rule.deny', r.client_id, auth.describe_docker_rule(was), null)
       from auth.docker_registries r where r.id = was.registry_id;
    delete from auth.docker_rules n where n.id = was.id;
  end loop;
end
$$;

-- auth.lock_docker_rule locks the rules of a registry and whom one is for, and
-- returns the rule for exactly this pattern and subject; with a null id, and
-- otherwise complete, if there is none.
--
-- outcome: ok; gone (the registry is); no_user; no_group.
create or replace function auth.lock_docker_rule(
  p_registry_id bigint,
  p_pattern     text,
  p_subject     text,
  p_user        text,
  p_group       text,
  out outcome   text,
  out registry  text,  -- client_id
  out rule      auth.docker_rules
)
language plpgsql
as $$
declare
  holder uuid;
  holding_group bigint;
begin
  select r.client_id into registry from auth.docker_registries r where r.id = p_registry_id for no key update;
  if p_subject = 'user' then
    select u.id into holder from auth.users u where u.id = auth.find_user(p_user) for key share;
  elsif p_subject = 'group' then
    select g.id into holding_group from auth.groups g where g.id = auth.find_group(p_group) for key share;
  end if;
  outcome := case
    when registry is null                              then 'gone'
    when p_subject = 'user' and holder is null         then 'no_user'
    when p_subject = 'group' and holding_group is null then 'no_group'
    else 'ok'
  end;
  select n.* into rule
    from auth.docker_rules n
   where n.registry_id = p_registry_id and n.pattern = p_pattern and n.subject = p_subject
     and n.user_id is not distinct from holder and n.group_id is not distinct from holding_group;
  rule.registry_id := p_registry_id;
  rule.pattern     := p_pattern;
  rule.subject     := p_subject;
  rule.user_id     := holder;
  rule.group_id    := holding_group;
end
$$;

-- api.allow_docker_rule allows actions, besides those that the same rule allows
-- already.
--
-- outcome: ok (actions: what the rule allows; changed: whether that is more than
-- before); gone; no_user; no_group.
create or replace function api.allow_docker_rule(
  p_registry_id bigint,
  p_pattern     text,
  p_subject     text,    -- user, group, users, anyone
  p_user        text,    -- as auth.find_user has it; null unless that is the subject
  p_group       text,    -- as auth.find_group has it
  p_actions     text[],
  out outcome   text,
  out rule_id   bigint,
  out actions   text[],
  out changed   boolean
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  locked constant record := auth.lock_docker_rule(p_registry_id, p_pattern, p_subject, p_user, p_group);
  was constant auth.docker_rules := locked.rule;
  made auth.docker_rules;
begin
  outcome := locked.outcome;
  if outcome <> 'ok' then
    return;
  end if;
  actions := auth.docker_actions(was.actions || p_actions);
  if was.id is null then
    insert into auth.docker_rules (registry_id, pattern, subject, user_id, group_id, actions)
    values (was.registry_id, was.pattern, was.subject, was.user_id, was.group_id, allow_docker_rule.actions)
    returning * into made;
  else
    update auth.docker_rules n set actions = allow_docker_rule.actions where n.id = was.id returning * into made;
  end if;
  rule_id := made.id;
  changed := made.actions is distinct from was.actions;
  if changed then
    perform auth.record('docker_rule.allow', locked.registry,
      case when was.id is not null then auth.describe_docker_rule(was) end, auth.describe_docker_rule(made));
  end if;
end
$$;

-- api.deny_docker_rule takes actions out of a rule; one that allows nothing any
-- more goes. What other rules allow stays allowed.
--
-- outcome: ok (changed: the actions that it allowed; actions: what it still
-- does); gone; no_user; no_group; no_rule.
create or replace function api.deny_docker_rule(
  p_registry_id bigint,
  p_pattern     text,
  p_subject     text,    -- and so on: as api.allow_docker_rule has them
  p_user        text,
  p_group       text,
  p_actions     text[],  -- null: all
  out outcome   text,
  out changed   text[],
  out actions   text[]
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  locked constant record := auth.lock_docker_rule(p_registry_id, p_pattern, p_subject, p_user, p_group);
  was constant auth.docker_rules := locked.rule;
  made auth.docker_rules;
begin
  outcome := locked.outcome;
  if outcome = 'ok' and was.id is null then
    outcome := 'no_rule';
  end if;
  if outcome <> 'ok' then
    return;
  end if;
  changed := array(select a from unnest(was.actions) with ordinality n (a, nr) where p_actions is null or a = any (p_actions) order by nr);
  actions := array(select a from unnest(was.actions) with ordinality n (a, nr) where a <> all (deny_docker_rule.changed) order by nr);
  if cardinality(changed) = 0 then
    return;
  end if;
  if cardinality(actions) = 0 then
    perform auth.remove_docker_rules(array[was.id]);
    return;
  end if;
  update auth.docker_rules n set actions = deny_docker_rule.actions where n.id = was.id returning * into made;
  perform auth.record('docker_rule.deny', locked.registry, auth.describe_docker_rule(was), auth.describe_docker_rule(made));
end
$$;

-- api.list_docker_rules returns the rules of a registry, and those for a user or
-- a group. Nulls match all.
create or replace function api.list_docker_rules(
  p_registry_id bigint,
  p_user_id     uuid,
  p_group       text  -- as auth.find_group has it
)
returns table (
  id              bigint,
  registry        text,  -- client_id
  pattern         text,
  subject         text,
  user_identifier text,
  group_name      text,
  actions         text[],
  created_at      timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select n.id, r.client_id, n.pattern, n.subject, u.identifier, g.name, n.actions, n.created_at
      from auth.docker_rules n
      join auth.docker_registries r on r.id = n.registry_id
      left join auth.users u on u.id = n.user_id
      left join auth.groups g on g.id = n.group_id
     where (p_registry_id is null or n.registry_id = p_registry_id)
       and (p_user_id is null or n.user_id = p_user_id)
       and (p_group is null or n.group_id = auth.find_group(p_group))
     order by r.client_id, n.pattern,
              array_position(array['anyone', 'users', 'group', 'user'], n.subject), g.name, u.identifier;
end
$$;

-- api.docker_rules returns all rules. What changes in here notifies the channel
-- authserver_docker_rule: see auth.record.
create or replace function api.docker_rules()
returns table (
  registry   text,  -- client_id
  id         bigint,
  pattern    text,
  subject    text,
  user_id    uuid,
  group_name text,
  actions    text[]
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select r.client_id, n.id, n.pattern, n.subject, n.user_id, g.name, n.actions
      from auth.docker_rules n
      join auth.docker_registries r on r.id = n.registry_id
      left join auth.groups g on g.id = n.group_id
     order by r.client_id, n.id;
end
$$;
