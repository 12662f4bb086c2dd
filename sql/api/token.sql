-- What signs and verifies tokens. How keys come and go is in key.sql.

-- api.signing_keys returns all domains with the keys of their tokens, for each
-- in the order of preference. A domain without keys has one row, in which they
-- are null: it answers for its own name all the same, in the place of those
-- above it.
--
-- Whatever changes in here notifies the channel authserver_domain: see
-- auth.record.
create or replace function api.signing_keys()
returns table (
  domain         text,
  jwt_subdomains boolean,
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
    select d.name, d.jwt_subdomains, k.kid, k.state, k.public_key, k.sealed_key, k.created_at
      from auth.domains d
      left join auth.keys k on k.domain_id = d.id and k.purpose = 'jwt'
     order by d.name collate "C",
              array_position(array['active', 'published', 'retired'], k.state),
              array_position(array['rsa', 'ecdsa-p256', 'ed25519'], k.algorithm), k.id;
end
$$;
