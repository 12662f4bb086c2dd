-- Claims that are made of attributes of users, beside those of OpenID Connect.

-- api.create_oauth2_claim makes a claim.
--
-- outcome: ok; exists; reserved: the name is that of a claim which is known
-- without attributes.
create or replace function api.create_oauth2_claim(
  p_name      text,
  p_attribute text,
  p_scope     text,
  p_type      text,
  out outcome text
)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  made auth.oauth2_claims;
  violated text;
begin
  insert into auth.oauth2_claims (name, attribute, scope, type)
  values (p_name, p_attribute, p_scope, p_type)
  on conflict do nothing
  returning * into made;
  if made.name is null then
    outcome := 'exists';
    return;
  end if;
  perform auth.record('oauth2_claim.create', made.name, null, to_jsonb(made));
  outcome := 'ok';
exception when check_violation then
  get stacked diagnostics violated = constraint_name;
  if violated <> 'oauth2_claims_name_is_free' then
    raise;
  end if;
  outcome := 'reserved';
end
$$;

-- api.oauth2_claims returns what tokens and userinfo say of users by their
-- attributes, by name.
-- What changes in here notifies the channel authserver_oauth2_claim: see
-- auth.record.
create or replace function api.oauth2_claims()
returns table (
  name      text,
  attribute text,
  scope     text,  -- that asks for it
  type      text   -- string, integer, boolean, list, json
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select c.name, c.attribute, c.scope, c.type
      from auth.oauth2_claims c
     order by c.name;
end
$$;

-- api.remove_oauth2_claims removes claims, and returns what they were; one that
-- is not there has no row. With p_dry_run it only says. Attributes stay.
create or replace function api.remove_oauth2_claims(p_names text[], p_dry_run boolean)
returns table (name text, attribute text, scope text, type text)
language plpgsql security definer set search_path = auth, pg_temp
as $$
declare
  was auth.oauth2_claims;
begin
  for was in select c.* from auth.oauth2_claims c where c.name = any (p_names) order by c.name for update loop
    name := was.name;
    attribute := was.attribute;
    scope := was.scope;
    type := was.type;
    if p_dry_run is false then
      delete from auth.oauth2_claims c where c.name = was.name;
      perform auth.record('oauth2_claim.remove', was.name, to_jsonb(was), null);
    end if;
    return next;
  end loop;
end
$$;
