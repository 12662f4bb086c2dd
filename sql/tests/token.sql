-- What authserver serve knows about keys, and what it may not know.
select plan(7);

create function auth.key(p_purpose text, p_algorithm text, p_name text)
returns jsonb language sql
as $$ select jsonb_build_object('purpose', p_purpose, 'algorithm', p_algorithm, case p_purpose when 'jwt' then 'kid' else 'selector' end, p_name,
                                'public_key', 'cHVi', 'sealed_key', 'MQ==', 'sealed_by', 'old') $$;

do $$ begin
  perform api.create_domain('example.org', null, null, false, false, 'default', '+-', null);
  perform api.create_domain('example.com', null, null, true, false, 'default', '+-', jsonb_build_array(
    auth.key('dkim', 'rsa', 'default'), auth.key('jwt', 'ed25519', 'd1'), auth.key('jwt', 'ecdsa-p256', 'e1'), auth.key('jwt', 'rsa', 'r1')));
  perform api.create_domain('mail.example.com', null, null, false, false, 'default', '+-', jsonb_build_array(auth.key('dkim', 'rsa', 'default')));
  perform api.publish_keys('domain', 'example.com', jsonb_build_array(auth.key('jwt', 'rsa', 'r2')));
  perform api.activate_key('domain', 'example.com', 'r2');
  perform api.publish_keys('domain', 'example.com', jsonb_build_array(auth.key('jwt', 'rsa', 'r3')));
end $$;

select results_eq(
  $$ select s.domain, s.jwt_subdomains, s.kid, s.state from api.signing_keys() s $$,
  $$ values ('example.com', true, 'r2', 'active'), ('example.com', true, 'e1', 'active'), ('example.com', true, 'd1', 'active'),
            ('example.com', true, 'r3', 'published'), ('example.com', true, 'r1', 'retired'),
            ('example.org', false, null, null), ('mail.example.com', false, null, null) $$,
  'keys in the order of preference, domains without keys, and no DKIM key');
select results_eq(
  $$ select s.public_key, s.sealed_key, s.created_at from api.signing_keys() s where s.kid = 'r2' $$,
  $$ select k.public_key, k.sealed_key, k.created_at from auth.keys k where k.kid = 'r2' $$,
  'with what it takes to sign');
select is_empty(
  $$ select from api.signing_keys() s where s.domain = 'example.org' and num_nonnulls(s.public_key, s.sealed_key, s.created_at) > 0 $$,
  'without a key all of it is null');

-- Docker registries.
do $$ begin
  perform api.create_docker_registry('b.test', 'B', 'example.com', null, 'registry', 'kid', '5 min', '5 min', jsonb_build_array(auth.key('jwt', 'rsa', 'b1')), null);
  perform api.create_docker_registry('a.test', 'A', 'mail.example.com', null, 'domain', 'kid', '5 min', '5 min', null, null);
  perform api.publish_keys('docker_registry', 'b.test', jsonb_build_array(auth.key('jwt', 'rsa', 'b2')));
  perform api.activate_key('docker_registry', 'b.test', 'b2');
end $$;
select results_eq(
  $$ select s.domain, s.jwt_subdomains, s.registry, s.signing_key, s.kid, s.state from api.signing_keys() s where s.kid is null or s.kid ~ '^b' or s.state = 'retired' $$,
  $$ values ('example.com', true, null::text, null::text, 'r1', 'retired'), ('example.org', false, null, null, null, null), ('mail.example.com', false, null, null, null, null),
            ('mail.example.com', false, 'a.test', 'domain', null, null),
            ('example.com', true, 'b.test', 'registry', 'b2', 'active'), ('example.com', true, 'b.test', 'registry', 'b1', 'retired') $$,
  'registries come after all domains, each with its own keys or none');

select function_privs_are('api', 'signing_keys', array[]::text[], r, array[]::text[], r || ' learns no key')
  from unnest(array['authserver_dkimsigner', 'authserver_mailforwarder']) r;
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
      where p.pronamespace = 'api'::regnamespace
        and p.proname in ('sealed_keys', 'reseal_keys', 'find_keys', 'publish_keys', 'activate_key', 'retire_key', 'remove_key', 'create_domain', 'edit_domain')
        and has_function_privilege('authserver_web', p.oid, 'execute') $$,
  'who signs tokens neither sees DKIM keys nor changes any');

select * from finish();
