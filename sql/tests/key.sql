-- Keys of domains and Docker registries. What is sealed in them is opaque here.
select plan(85);

create function auth.dkim(p_algorithm text, p_selector text, p_sealed text default '1')
returns jsonb language sql
as $$ select jsonb_build_object('purpose', 'dkim', 'algorithm', p_algorithm, 'selector', p_selector,
                                'public_key', 'cHVi', 'sealed_key', encode(p_sealed::bytea, 'base64'), 'sealed_by', 'old') $$;
create function auth.jwt(p_algorithm text, p_kid text)
returns jsonb language sql
as $$ select jsonb_build_object('purpose', 'jwt', 'algorithm', p_algorithm, 'kid', p_kid,
                                'public_key', 'cHVi', 'sealed_key', 'MQ==', 'sealed_by', 'old') $$;
create function auth.edited(p_name text, p_keys jsonb, p_replace boolean default false, p_selector text default null, p_remove_keys text[] default null)
returns text language sql
as $$ select concat_ws(': ', e.outcome, e.detail)
        from api.edit_domain(p_name, null, null, null, p_selector, null, p_remove_keys, p_keys, p_replace) e $$;
create function auth.keys_of(p_domain text)
returns text language sql
as $$ select string_agg(concat_ws(' ', k.purpose, k.algorithm, k.state, coalesce(k.selector, k.kid)), ', ') from api.find_keys('domain', p_domain) k $$;

-- create
select is((select c.outcome from api.create_domain('example.com', null, null, true, false, 'default', '+-',
    jsonb_build_array(auth.dkim('rsa', 'default'), auth.dkim('ed25519', 'default-ed25519'), auth.jwt('rsa', 'k1'))) c),
  'ok', 'a domain is made with its keys');
select is(auth.keys_of('example.com'),
  'dkim rsa active default, dkim ed25519 active default-ed25519, jwt rsa active k1', 'which sign at once');
select results_eq(
  $$ select f.has_jwt_key, f.has_dkim_key from api.find_domains('example.com', null, null, null) f $$,
  $$ values (true, true) $$, 'the list of domains says so');
select results_eq(
  $$ select s.public_key, s.sealed_key, s.sealed_by from api.sealed_keys() s where s.kid = 'k1' $$,
  $$ values ('pub'::bytea, '1'::bytea, 'old') $$, 'base64 is decoded');
select is((select count(*) from auth.audit a where a.action = 'domain.create_key' and a.after ? 'kid' and not a.after ? 'sealed_key'),
  3::bigint, 'the audit trail has all of them, and nothing sealed');
select is(api.find_parent_domain('a.example.com', true), 'example.com', 'it signs for those below');

-- a second key
select is(auth.edited('example.com', jsonb_build_array(auth.jwt('rsa', 'k2'))), 'key_exists: jwt k1 (rsa, active)', 'a key in use is not replaced');
select is(auth.edited('example.com', jsonb_build_array(auth.jwt('ecdsa-p256', 'e1'), auth.jwt('rsa', 'k2'))),
  'key_exists: jwt k1 (rsa, active)', 'one of two is enough to refuse');
select is(auth.keys_of('example.com'),
  'dkim rsa active default, dkim ed25519 active default-ed25519, jwt rsa active k1', 'and nothing is made');
select is(auth.edited('example.com', jsonb_build_array(auth.jwt('ecdsa-p256', 'e1'))), 'ok', 'another algorithm is another place');
select is(auth.edited('example.com', jsonb_build_array(auth.jwt('rsa', 'k2')), true), 'ok', 'a key is replaced if that is said');
select is(auth.keys_of('example.com'),
  'dkim rsa active default, dkim ed25519 active default-ed25519, jwt rsa active k2, jwt ecdsa-p256 active e1, jwt rsa retired k1',
  'what it signed is still verified');
select is(auth.edited('example.com', jsonb_build_array(auth.jwt('rsa', 'k1'))), 'key_exists: jwt k1 (rsa, retired)', 'the old one does not come back by itself');
select is(auth.edited('example.com', jsonb_build_array(auth.dkim('rsa', 'default', '2')), true), 'ok', 'a DKIM key of the same selector');
select is(auth.keys_of('example.com'),
  'dkim rsa active default, dkim ed25519 active default-ed25519, jwt rsa active k2, jwt ecdsa-p256 active e1, jwt rsa retired k1',
  'takes the place of the old one');
select is((select s.sealed_key from api.sealed_keys() s where s.selector = 'default'), '2'::bytea, '(it does)');
select is(auth.edited('example.com', jsonb_build_array(auth.dkim('rsa', 'x'), auth.dkim('ed25519', 'x-ed25519')), true, 'x'), 'ok', 'with another selector');
select is(auth.keys_of('example.com'),
  'dkim rsa active x, dkim ed25519 active x-ed25519, dkim rsa retired default, dkim ed25519 retired default-ed25519, '
  'jwt rsa active k2, jwt ecdsa-p256 active e1, jwt rsa retired k1',
  'the old ones are retired under theirs');
select is((select f.dkim_selector from api.find_domains('example.com', null, null, null) f), 'x', 'and the domain has the new one');
select is((select array_agg(distinct a.action order by a.action) from auth.audit a where a.action like 'domain.%_key'),
  array['domain.create_key', 'domain.remove_key', 'domain.retire_key'], 'each with its audit row');

-- rotation: a key is published, then signs, then only verifies, then goes
create function auth.published(p_name text, p_keys jsonb)
returns text language sql
as $$ select concat_ws(': ', p.outcome, p.detail) from api.publish_keys('domain', p_name, p_keys) p $$;
create function auth.activated(p_domain text, p_name text)
returns text language sql
as $$ select concat_ws(': ', a.outcome, a.key, a.retired) from api.activate_key('domain', p_domain, p_name) a $$;
create function auth.retired(p_domain text, p_name text)
returns text language sql
as $$ select concat_ws(': ', r.outcome, r.key, r.active) from api.retire_key('domain', p_domain, p_name) r $$;
create function auth.removed(p_domain text, p_name text, p_dry_run boolean)
returns text language sql
as $$ select concat_ws(': ', r.outcome, r.key) from api.remove_key('domain', p_domain, p_name, p_dry_run) r $$;
create function auth.recorded()
returns bigint language sql
as $$ select count(*) from auth.audit a where a.object = 'rotation.test' $$;

do $$ begin perform api.create_domain('rotation.test', null, null, false, false, 'default', '+-',
    jsonb_build_array(auth.dkim('rsa', 'default'), auth.dkim('ed25519', 'default-ed25519'), auth.jwt('rsa', 'j1'))); end $$;
select is(auth.published('nowhere.test', jsonb_build_array(auth.jwt('rsa', 'j2'))), 'unknown', 'only a domain has keys');
select is(auth.published('rotation.test', jsonb_build_array(auth.jwt('rsa', 'j2'))), 'ok', 'a key beside the one that signs');
select is(auth.published('rotation.test', jsonb_build_array(auth.jwt('rsa', 'j2'))), 'key_exists: jwt j2 (rsa, published)', 'not twice');
select is(auth.published('rotation.test', jsonb_build_array(auth.dkim('ed25519', 'new'), auth.dkim('rsa', 'default'))),
  'key_exists: dkim default (rsa, active)', 'the selector of another key is its own, and then no key is made');
select is(auth.published('rotation.test', jsonb_build_array(auth.dkim('rsa', 'new'))), 'ok', 'a DKIM key under a new one');
select is(auth.keys_of('rotation.test'),
  'dkim rsa active default, dkim ed25519 active default-ed25519, dkim rsa published new, jwt rsa active j1, jwt rsa published j2',
  'what is published does not sign');
select is((select a.after ->> 'kid' from auth.audit a where a.action = 'domain.publish_key' and not a.after ? 'sealed_key' order by a.id limit 1),
  'j2', 'the audit trail says who published it');

select is(auth.retired('rotation.test', 'j2'), 'published: jwt j2 (rsa, published): jwt j1 (rsa, active)', 'what has never signed is not retired');
select is(auth.activated('rotation.test', 'j2'), 'ok: jwt j2 (rsa, active): jwt j1 (rsa, retired)', 'a new key signs in the place of the old one');
select is((select count(*) from auth.keys k where k.kid in ('j1', 'j2') and k.activated_at is not null), 2::bigint, 'since when is kept of both');
create temporary table before as select auth.recorded() as rows;
select is(auth.activated('rotation.test', 'j2'), 'ok: jwt j2 (rsa, active)', 'activating it again changes nothing');
select is(auth.recorded(), (select b.rows from before b), 'and is not recorded');
select is(auth.activated('rotation.test', 'NEW'), 'ok: dkim new (rsa, active): dkim default (rsa, retired)', 'a selector has no case');
select is(auth.keys_of('rotation.test'),
  'dkim rsa active new, dkim ed25519 active default-ed25519, dkim rsa retired default, jwt rsa active j2, jwt rsa retired j1',
  'other algorithms and purposes go on');
select is(auth.activated('rotation.test', 'j1'), 'ok: jwt j1 (rsa, active): jwt j2 (rsa, retired)', 'the old key signs again if it must');
select is((select k.retired_at is null from auth.keys k where k.kid = 'j1' and k.state = 'active'), true, '(it is not retired any more)');
select is(auth.activated('rotation.test', 'J1'), 'no_key', 'a kid has case');
select is(auth.activated('rotation.test', null), 'no_key', 'null names none');
select is(auth.activated('nowhere.test', 'j1'), 'unknown', 'nor is there one elsewhere');

select is(auth.retired('rotation.test', 'new'), 'ok: dkim new (rsa, retired): dkim default-ed25519 (ed25519, active)', 'a key is retired without another in its place');
select is(auth.retired('rotation.test', 'j1'), 'ok: jwt j1 (rsa, retired)', 'even the last');
select is(auth.retired('rotation.test', 'j1'), 'ok: jwt j1 (rsa, retired)', 'twice is not too often');
select is(auth.retired('rotation.test', 'j9') || auth.retired('nowhere.test', 'j1'), 'no_keyunknown', 'if there is one');

select is(auth.removed('rotation.test', 'default-ed25519', false), 'active: dkim default-ed25519 (ed25519, active)', 'a key that signs is not removed');
select is(auth.removed('rotation.test', 'j1', true) || auth.removed('rotation.test', 'j1', null),
  'ok: jwt j1 (rsa, retired)ok: jwt j1 (rsa, retired)', 'what would be removed is said');
select is((select count(*) from auth.keys k where k.kid = 'j1'), 1::bigint, '(and not done)');
select is(auth.removed('rotation.test', 'j1', false), 'ok: jwt j1 (rsa, retired)', 'a retired key is removed');
select is(auth.removed('rotation.test', 'j1', false) || auth.removed('nowhere.test', 'j1', false), 'no_keyunknown', 'once');
select is((select array_agg(distinct a.action order by a.action) from auth.audit a where a.object = 'rotation.test' and a.action like 'domain.%_key'),
  array['domain.activate_key', 'domain.create_key', 'domain.publish_key', 'domain.remove_key', 'domain.retire_key'], 'each step is recorded');
do $$ begin perform api.remove_domains(array(select d.id from auth.domains d where d.name = 'rotation.test'), true, false); end $$;

-- another selector for the keys there are
select is(auth.edited('example.com', null, p_selector => 'default'), 'selector_taken: default', 'a selector that a retired key has stays its own');
select is(auth.edited('example.com', null, p_selector => 'y'), 'ok', 'another is given to the keys that sign');
select is((select array_agg(k.selector order by k.selector) from api.find_keys('domain', 'example.com') k where k.purpose = 'dkim' and k.state = 'active'),
  array['y', 'y-ed25519'], '(it is)');
select is(auth.edited('example.com', null, p_selector => 'y-ed25519'), 'selector_taken: y-ed25519', 'unless one of them has it');

-- remove
select is(auth.edited('example.com', null, p_remove_keys => array['jwt']), 'ok', 'keys are removed');
select is((select count(*) from api.find_keys('domain', 'example.com') k where k.purpose = 'jwt'), 0::bigint, 'all of a purpose');
select is(auth.edited('example.com', null, p_remove_keys => array['jwt']), 'ok', 'twice is not too often');
select is((select count(*) from api.find_keys('domain', 'example.com') k where k.purpose = 'dkim'), 4::bigint, 'the others stay');
select is(api.find_parent_domain('a.example.com', true), null, 'a domain without keys does not sign for those below');

-- reseal
create function auth.resealed(p_shift text, p_drop int default 0)
returns text language sql
as $$ select concat_ws(' ', r.outcome, r.resealed)
        from (select array_agg(s.id) ids, array_agg(s.sealed_key || p_shift::bytea) was,
                     array_agg(case s.algorithm when 'rsa' then s.sealed_key || 'new'::bytea else s.sealed_key end) made,
                     array_agg(case s.algorithm when 'rsa' then 'new' else s.sealed_by end) by
                from (select k.*, row_number() over (order by k.id) from auth.keys k) s where s.row_number > p_drop) k,
             lateral api.reseal_keys(k.ids, k.was, k.made, k.by) r $$;
select is(auth.resealed('', 1), 'changed 0', 'a key that was not read would be left behind, so nothing is resealed');
select is(auth.resealed('x'), 'changed 0', 'nor if a key is not what was read');
select is((select count(*) from auth.keys k where k.sealed_by = 'new'), 0::bigint, '(nothing was)');
select is((select concat_ws(' ', r.outcome, r.resealed) from api.reseal_keys(array[0], array['1'::bytea], array['2'::bytea], array['new']) r),
  'changed 0', 'nor if one of them is gone');
select is(auth.resealed(''), 'ok 2', 'what is sealed anew is put in place');
select is((select count(*) from auth.keys k where k.sealed_by = 'new' and k.sealed_key = '1new' or k.sealed_key = '2new'), 2::bigint, '(it is)');
select is((select a.after -> 'changed' from auth.audit a where a.action = 'domain.reseal_key' order by a.id limit 1),
  '["sealed_key"]', 'the audit trail says that it changed, not to what');

-- who may
select function_privs_are('api', 'sealed_keys', array[]::text[], 'authserver_web', array[]::text[], 'only the command line sees sealed keys');
select function_privs_are('api', 'reseal_keys', array['bigint[]', 'bytea[]', 'bytea[]', 'text[]'], 'authserver_dkimsigner', array[]::text[], 'and reseals');

-- Keys of a registry come and go like those of a domain, apart from them.
create function auth.of_registry(p_what text, p_name text default null, p_keys jsonb default null)
returns text language plpgsql
as $$ begin
  return case p_what
    when 'publish'  then (select concat_ws(': ', p.outcome, p.detail) from api.publish_keys('docker_registry', 'r.test', p_keys) p)
    when 'activate' then (select concat_ws(': ', a.outcome, a.key, a.retired) from api.activate_key('docker_registry', 'r.test', p_name) a)
    when 'retire'   then (select concat_ws(': ', r.outcome, r.key, r.active) from api.retire_key('docker_registry', 'r.test', p_name) r)
    when 'remove'   then (select concat_ws(': ', r.outcome, r.key) from api.remove_key('docker_registry', 'r.test', p_name, false) r)
    when 'find'     then (select string_agg(concat_ws(' ', k.purpose, k.algorithm, k.state, k.kid), ', ') from api.find_keys('docker_registry', 'r.test') k)
  end;
end $$;
do $$ begin
  perform auth.edited('example.com', jsonb_build_array(auth.jwt('rsa', 'k7')));
  perform api.create_docker_registry('r.test', 'R', 'example.com', null, 'registry', 'kid', '5 min', '5 min', jsonb_build_array(auth.jwt('rsa', 'k8')), null);
  perform api.create_domain('r.test', null, null, false, false, 'default', '+-', null);
end $$;
select is(auth.of_registry('find'), 'jwt rsa active k8', 'a registry is made with a key that signs beside its domain''s');
select is(auth.of_registry('activate', 'k7'), 'no_key', 'the domain''s is not its own');
select is(auth.activated('example.com', 'k8') || auth.activated('r.test', 'k8'), 'no_keyno_key', 'nor the other way round, whatever a domain is called');
select is(auth.of_registry('publish', p_keys => jsonb_build_array(auth.jwt('rsa', 'k9'))), 'ok', 'a key is published');
select is(auth.of_registry('publish', p_keys => jsonb_build_array(auth.jwt('rsa', 'k9'))), 'key_exists: jwt k9 (rsa, published)', 'not twice');
select is(auth.of_registry('activate', 'k9'), 'ok: jwt k9 (rsa, active): jwt k8 (rsa, retired)', 'it signs in the place of the old one');
select is(auth.of_registry('retire', 'k9'), 'ok: jwt k9 (rsa, retired)', 'the domain''s does not sign instead');
select is(auth.of_registry('remove', 'k8'), 'ok: jwt k8 (rsa, retired)', 'a retired key goes');
select throws_ok($$ select api.publish_keys('docker_registry', 'r.test', jsonb_build_array(auth.dkim('rsa', 'x'))) $$, '23514', null, 'a registry signs no mail');
select throws_ok($$ update auth.keys k set registry_id = r.id from auth.docker_registries r where k.kid = 'k7' $$, '23514', null, 'a key has one owner');
select throws_ok($$ update auth.keys k set registry_id = null where k.kid = 'k9' $$, '23514', null, 'and never none');
select throws_ok($$ do $x$ begin
    perform auth.of_registry('activate', 'k9');
    perform auth.of_registry('publish', p_keys => jsonb_build_array(auth.jwt('rsa', 'k8')));
    update auth.keys k set state = 'active', activated_at = now() where k.kid = 'k8';
  end $x$ $$, '23505', null, 'two keys of one algorithm do not sign at once');
select throws_ok($$ insert into auth.keys (registry_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by)
  select k.registry_id, 'jwt', 'ed25519', 'published', k.kid, k.public_key, k.sealed_key, k.sealed_by from auth.keys k where k.kid = 'k9' $$, '23505', null, 'nor do two have one kid');
select throws_ok($$ select api.find_keys('nothing', 'r.test') from api.activate_key('group', 'r.test', 'k9') $$, '20000', null, 'nothing else has keys');
select results_eq($$ select s.domain, s.registry, s.kid from api.sealed_keys() s where s.kid in ('k7', 'k9') $$,
  $$ values ('example.com', null::text, 'k7'), (null, 'r.test', 'k9') $$, 'whose keys are to be sealed anew');
do $$ begin perform auth.resealed('', 0); end $$;
select is((select array_agg(distinct a.action order by a.action) from auth.audit a where a.object = 'r.test' and a.action ~ '_key'),
  array['docker_registry.activate_key', 'docker_registry.create_key', 'docker_registry.publish_key', 'docker_registry.remove_key', 'docker_registry.reseal_key', 'docker_registry.retire_key'],
  'each step is recorded');
do $$ begin perform api.remove_docker_registries(array(select r.id from auth.docker_registries r), false); end $$;

-- Removing a domain.
select is((select r.outcome from api.remove_domains(array(select d.id from auth.domains d where exists (select from auth.keys k where k.domain_id = d.id) limit 1), true, false) r),
  'ok', 'a domain goes with its keys');
select isnt((select a.before ->> 'algorithm' from auth.audit a where a.action = 'domain.remove_key' order by a.id desc limit 1), null, 'each of which is recorded');

select * from finish();
