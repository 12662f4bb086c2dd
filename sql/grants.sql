-- Who may do what. Tables belong to authserver_owner and nobody else reads or
-- writes them; everybody works through functions.
--
-- The servers that call the functions of spapi.sql get EXECUTE on each of them
-- from `authserver spapi grant LOGIN`, directly: a login that does not inherit
-- would get nothing through a group role.

-- schema auth: authserver_spapi reads these columns, writes the last use of an
-- app password, and calls these private functions.
grant usage on schema auth to authserver_spapi;
grant select (id, name, unicode_name, redirect_to, subaddress_separators)
                                                                on auth.domains                to authserver_spapi;
grant select (id, local_part, domain_id, user_id, mailing_list_id, blocked)
                                                                on auth.aliases                to authserver_spapi;
grant select (mailing_list_id, address, position)               on auth.mailing_list_addresses to authserver_spapi;
grant select (id, password_hash, delivery_mailbox_id, active)   on auth.users                  to authserver_spapi;
grant select (user_id, username, password_hash, app_password_id) on auth.service_users         to authserver_spapi;
grant select (id, user_id, secret_hash, crypt_hash, services, networks, expires_at, revoked_at, last_used_at,
              registries, registry_actions)
                                                                on auth.app_passwords          to authserver_spapi;
grant update (last_used_at, last_used_service, last_used_from)  on auth.app_passwords          to authserver_spapi;
grant select (id, permission_name)                              on auth.permissions            to authserver_spapi;
grant select (user_id, permission_id)                           on auth.user_permissions       to authserver_spapi;
grant select (user_id, group_id)                                on auth.group_members          to authserver_spapi;
grant select (group_id, permission_id)                          on auth.group_permissions      to authserver_spapi;
grant execute on function
  auth.parse_address(text),
  auth.find_domain(text),
  auth.find_alias(text),
  auth.primary_address(uuid),
  auth.permission_names(uuid),
  auth.has_permission(uuid, text),
  auth.crypt_verifies(text),
  auth.credentials(text, text),
  auth.client_address(text)
  to authserver_spapi;

-- schema api: the command line calls all of it, each daemon its own part.
grant usage on schema api to authserver_admin, authserver_web, authserver_dkimsigner, authserver_mailforwarder;
grant execute on all functions in schema api to authserver_admin;
grant execute on function api.schema_version(), api.function_digest() to authserver_web, authserver_dkimsigner, authserver_mailforwarder;

-- authserver serve: logins, on behalf of whom, and what is asked beside them.
grant execute on function
  api.begin_login(text, text, inet, text, bytea, bytea, bytea, text),
  api.end_login(text, text, inet, bytea, text, text),
  api.find_login(text),
  api.check_login(text, text, inet),
  api.report_login(text, text, inet, boolean, bytea, text),
  api.rehash_password(uuid, text, text, text),
  api.purge_login_throttles(),
  api.verify_api_client(bytea, inet),
  api.signing_keys(),
  api.redeem_email_agent_token(bytea),
  api.docker_registries(),
  api.docker_rules(),
  api.create_docker_refresh_token(bytea, text, uuid, text, text, text, bytea, text, inet),
  api.use_docker_refresh_token(bytea, text, inet),
  api.purge_docker_refresh_tokens()
  to authserver_web;

-- The same, of browsers that have signed in and of OAuth 2.0: sessions, saved
-- requests, grants.
grant execute on function
  api.start_session(bytea, bytea, uuid, text, bytea, text[], text, interval, interval, inet, text),
  api.find_session(bytea),
  api.end_session(bytea),
  api.purge_sessions(int),
  api.save_oauth2_request(bytea, text, jsonb, interval),
  api.find_oauth2_request(bytea),
  api.forget_oauth2_request(bytea),
  api.authorize(bytea, text, text[], text[], text, text, text, jsonb, timestamptz, text, text[], text, bytea, inet),
  api.redeem_code(bytea, text, text, text, uuid, bytea, bytea, timestamptz),
  api.rotate_refresh_token(uuid, int, bytea, bytea, text, text[], text[], interval, bytea, timestamptz),
  api.create_password_grant(text, uuid, text, bytea, text[], text[], text[], text, uuid, bytea, bytea, timestamptz),
  api.spend_client_assertion(text, bytea, timestamptz),
  api.check_access_token(uuid, text, text, text[], boolean),
  api.check_refresh_token(uuid, int, bytea),
  api.revoke_refresh_token(uuid, int, bytea, text, bytea, timestamptz),
  api.revoke_access_token(text, timestamptz, text, bytea, timestamptz),
  api.purge_oauth2(int)
  to authserver_web;

-- The same, of OAuth 2.0 clients and claims.
grant execute on function
  api.oauth2_clients(),
  api.oauth2_claims(),
  api.rehash_oauth2_client_secret(bigint, text, bytea, text)
  to authserver_web;
