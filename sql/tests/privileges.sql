-- The privilege model, looked at from the catalog: what grants.sql must never
-- say, and what each function must have.
select plan(11);

select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
      where p.pronamespace in ('api'::regnamespace, 'auth'::regnamespace) and has_function_privilege('public', p.oid, 'execute') $$,
  'PUBLIC executes nothing');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
      where p.pronamespace = 'api'::regnamespace
        and not (p.prosecdef and p.proconfig = '{"search_path=auth, pg_temp"}' and p.proowner = 'authserver_owner'::regrole) $$,
  'functions of schema api run as the owner, with their search_path pinned');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p where p.pronamespace = 'auth'::regnamespace and p.prosecdef $$,
  'private functions have no rights of their own');
select is_empty(
  $$ select c.oid::regclass, r.rolname, v.privilege
       from pg_class c, pg_roles r, unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) v (privilege)
      where c.relnamespace = 'auth'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
        and r.rolname in ('authserver_admin', 'authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder')
        and (has_table_privilege(r.oid, c.oid, v.privilege)
             or v.privilege in ('select', 'insert', 'update', 'references') and has_any_column_privilege(r.oid, c.oid, v.privilege)) $$,
  'no program has a right on a table or a column');
select is_empty(
  $$ select c.oid::regclass from pg_class c
      where c.relnamespace in ('auth'::regnamespace, 'api'::regnamespace) and c.relowner <> 'authserver_owner'::regrole $$,
  'everything belongs to the owner');
select is_empty(
  $$ select n.nspname, r.rolname from pg_namespace n, pg_roles r
      where n.nspname in ('auth', 'api', 'public') and r.rolname in ('authserver_admin', 'authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder')
        and has_schema_privilege(r.oid, n.oid, 'create') $$,
  'no program creates anything');
select is(array(
    select r.rolname::text from pg_roles r where r.rolname like 'authserver\_%' and not r.rolsuper and has_schema_privilege(r.oid, 'auth', 'usage') order by 1),
  array['authserver_owner', 'authserver_spapi'], 'who sees into schema auth');
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
      where p.pronamespace = 'api'::regnamespace and not has_function_privilege('authserver_admin', p.oid, 'execute') $$,
  'the command line calls all functions');
select is(array(
    select (p.proname || ': ' || string_agg(substr(r.rolname, 12), ' ' order by r.rolname))::text
      from pg_proc p, pg_roles r
     where p.pronamespace = 'api'::regnamespace
       and r.rolname in ('authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder')
       and has_function_privilege(r.oid, p.oid, 'execute')
     group by p.oid, p.proname
     order by p.proname),
  array['authorize: web', 'begin_login: web', 'check_access_token: web', 'check_login: web', 'check_refresh_token: web',
        'create_docker_refresh_token: web', 'create_password_grant: web', 'docker_registries: web', 'docker_rules: web',
        'end_login: web', 'end_session: web', 'find_login: web', 'find_oauth2_request: web', 'find_session: web',
        'forget_oauth2_request: web', 'function_digest: dkimsigner mailforwarder web', 'oauth2_claims: web', 'oauth2_clients: web',
        'purge_docker_refresh_tokens: web', 'purge_login_throttles: web', 'purge_oauth2: web', 'purge_sessions: web',
        'redeem_code: web', 'redeem_email_agent_token: web', 'rehash_oauth2_client_secret: web', 'rehash_password: web', 'report_login: web',
        'revoke_access_token: web', 'revoke_refresh_token: web', 'rotate_refresh_token: web', 'save_oauth2_request: web',
        'schema_version: dkimsigner mailforwarder web', 'signing_keys: web', 'spend_client_assertion: web', 'start_session: web',
        'use_docker_refresh_token: web', 'verify_api_client: web'],
  'the daemons call what grants.sql lists for them');

-- Whoever changes something writes who and from where; a login can lie about
-- the actor, but not about itself.
set local authserver.actor = 'cli:alice';
set local authserver.origin = 'desk';
do $$ begin perform auth.record('group.create', 'x', '{"password_hash": "a", "password_sha256": "c", "n": 1}', '{"password_hash": "b", "password_sha256": "c", "n": 2}'); end $$;
select results_eq(
  $$ select a.actor, a.login::text, a.origin, a.before::text, a.after::text from auth.audit a $$,
  $$ values ('cli:alice', session_user::text, 'desk', '{"n": 1}', '{"n": 2, "changed": ["password_hash"]}') $$,
  'an audit row tells that a hash changed, and not the hash');
-- Every column that holds a hash or a key has a name that the trail leaves out.
select is_empty(
  $$ select c.relname, a.attname
       from pg_attribute a join pg_class c on c.oid = a.attrelid
      where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
        and (a.attname like '%\_hash' or a.attname like '%\_sha256' or a.attname like 'sealed%')
        and c.relname not in ('login_throttles')
        and exists (
          select from (select auth.record('x.x', 'x', null, jsonb_build_object(a.attname, 'secret'))) r
           where (select t.after ? a.attname from auth.audit t order by t.id desc limit 1)) $$,
  'no hash gets into the trail');
select * from finish();
