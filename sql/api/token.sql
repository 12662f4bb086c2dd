-- What signs and verifies tokens. How keys come and go is in key.sql.

-- api.signing_keys returns all domains, and then all Docker registries, with the
-- keys of their tokens, for each in the order of preference. One without keys
-- has one row, in which they are null: a domain answers for its own name all the
-- same, in the place of those above it.
--
-- Whatever changes in here notifies the channels authserver_domain and
-- authserver_docker_registry: see auth.record.
create or replace function api.signing_keys()
returns table (
  domain         text,     -- or that of the registry
  jwt_subdomains boolean,
  registry       text,     -- client_id; null: the keys are the domain's
  signing_key    text,     -- whose keys the registry's tokens are signed with: registry, domain
  key_hint       text,     -- how these say which it was
  kid            text,
  state          text,
  public_key     bytea,
  sealed_key     bytea,
  created_at     timestamptz
)
language plpgsql stable security definer set search_path = auth, pg_temp
as $$
begin
  return query
    select o.domain, o.jwt_subdomains, o.registry, o.signing_key, o.key_hint, (o.key).kid, (o.key).state, (o.key).public_key, (o.key).sealed_key, (o.key).created_at
      from (select d.name as domain, d.jwt_subdomains, null as registry, null as signing_key, null as key_hint, k as key
              from auth.domains d
              left join auth.keys k on k.domain_id = d.id and k.purpose = 'jwt'
            union all
            select d.name, d.jwt_subdomains, r.client_id, r.signing_key, r.key_hint, k
              from auth.docker_registries r
              join auth.domains d on d.id = r.domain_id
              left join auth.keys k on k.registry_id = r.id) o
     order by o.registry collate "C" nulls first, o.domain collate "C",
              array_position(array['active', 'published', 'retired'], (o.key).state),
              array_position(array['rsa', 'ecdsa-p256', 'ed25519'], (o.key).algorithm), (o.key).id;
end
$$;
