-- What other servers see: the answers of the stored-procedure API.
select no_plan();

insert into auth.domains (name, redirect_to) values
  ('example.com', null),
  ('plain.example', null),
  ('redir.example', 'example.com'),
  ('catch.example', 'alice@example.com');
insert into auth.domains (name, unicode_name) values ('xn--mnchen-3ya.example', 'münchen.example');
insert into auth.domains (name, subaddress_separators) values ('plus.example', '+');

insert into auth.login_names (name, kind) values
  ('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('nobox', 'user'), ('nopw', 'user'), ('argon', 'user'), ('django', 'user'),
  ('svc-alice', 'service_user'), ('svc-bob', 'service_user'), ('svc-app', 'service_user'), ('svc-imap', 'service_user'),
  ('svc-net', 'service_user'), ('svc-old', 'service_user'), ('svc-revoked', 'service_user');
insert into auth.users (identifier, full_name, password_hash, active) values
  ('alice',  'Alice',  '$6$rounds=1000$abcdefgh$alice', true),
  ('bob',    'Bob',    '$6$rounds=1000$abcdefgh$bob',   false),
  ('carol',  'Carol',  '$5$abcdefgh$carol',             true),
  ('nobox',  'Nobox',  '$y$j9T$abcdefgh$nobox',         true),
  ('nopw',   'Nopw',   null,                            true),
  ('argon',  'Argon',  '$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA', true),
  ('django', 'Django', 'pbkdf2_sha256$260000$salt$aGFzaA==', true);

insert into auth.aliases (local_part, domain_id, user_id, blocked)
select v.local_part, d.id, u.id, v.blocked
  from (values
    ('alice', 'example.com', 'alice', false), ('ali', 'example.com', 'alice', false),
    ('jean-luc', 'example.com', 'alice', false), ('jean', 'example.com', 'carol', false),
    ('a-b', 'example.com', 'carol', false),
    ('a', 'example.com', 'alice', false), ('dot.ted', 'example.com', 'alice', false), ('müller', 'example.com', 'alice', false),
    ('alice', 'plain.example', 'alice', false),
    ('blocked', 'example.com', 'alice', true), ('alice+spam', 'example.com', 'alice', true), ('ali-shop', 'example.com', 'alice', true),
    ('bob', 'example.com', 'bob', false),
    ('carol', 'example.com', 'carol', true), ('carol2', 'example.com', 'carol', false),
    ('nobox', 'example.com', 'nobox', false), ('nopw', 'example.com', 'nopw', false),
    ('argon', 'example.com', 'argon', false), ('django', 'example.com', 'django', false),
    ('bl', 'redir.example', 'alice', true), ('x', 'redir.example', 'alice', false),
    ('alice', 'xn--mnchen-3ya.example', 'alice', false),
    ('alice', 'plus.example', 'alice', false)) v (local_part, domain, identifier, blocked)
  join auth.domains d on d.name = v.domain
  join auth.users u on u.identifier = v.identifier;
insert into auth.aliases (local_part, domain_id, blocked)
select 'reserved', d.id, true from auth.domains d where d.name = 'example.com';
update auth.users u set delivery_mailbox_id = a.id
  from auth.aliases a join auth.domains d on d.id = a.domain_id
 where a.user_id = u.id and a.local_part = u.identifier and d.name = 'example.com' and u.identifier <> 'nobox';

insert into auth.mailing_lists (name) values ('team'), ('empty');
insert into auth.mailing_list_addresses (mailing_list_id, address)
select m.id, x.address
  from auth.mailing_lists m, unnest(array['ops@remote.example', 'alice@example.com']) with ordinality x (address, n)
 where m.name = 'team' order by x.n;
insert into auth.aliases (local_part, domain_id, mailing_list_id)
select m.name, d.id, m.id from auth.mailing_lists m, auth.domains d where d.name = 'example.com';

insert into auth.service_users (user_id, username, password_hash)
select u.id, v.username, '$6$rounds=1000$abcdefgh$' || replace(v.username, '-', '')
  from (values ('alice', 'svc-alice'), ('bob', 'svc-bob')) v (identifier, username)
  join auth.users u on u.identifier = v.identifier;
-- The canonical text is 'ap' || id || rest, of which only the hash is stored.
insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, networks, expires_at, revoked_at)
select v.id, u.id, sha256(convert_to('ap' || v.id || '0123456789abcdefghjkmnpqrs', 'UTF8')), '$6$rounds=1000$abcdefgh$' || v.id,
       v.services, v.networks, v.expires_at, v.revoked_at
  from (values
    ('app000', null::text[], null::cidr[], null::timestamptz, null::timestamptz),
    ('1map00', array['imap'], null, null, null),
    ('net000', null, array['192.0.2.0/24', '2001:db8::/32']::cidr[], null, null),
    ('ext000', null, null, now() - interval '1 s', null),
    ('revk00', null, null, null, now())) v (id, services, networks, expires_at, revoked_at)
  join auth.users u on u.identifier = 'alice';
insert into auth.service_users (user_id, username, app_password_id)
select u.id, v.username, v.id
  from (values ('svc-app', 'app000'), ('svc-imap', '1map00'), ('svc-net', 'net000'), ('svc-old', 'ext000'), ('svc-revoked', 'revk00')) v (username, id)
  join auth.users u on u.identifier = 'alice';

insert into auth.permissions (permission_name, name) values ('imap', 'IMAP'), ('smtp', 'SMTP'), ('unheld', 'Nobody has it');
insert into auth.groups (name) values ('mail');
insert into auth.user_permissions (user_id, permission_id)
select u.id, p.id from auth.users u, auth.permissions p where u.identifier in ('alice', 'bob') and p.permission_name = 'imap';
insert into auth.group_members (group_id, user_id)
select g.id, u.id from auth.groups g, auth.users u where u.identifier in ('alice', 'bob');
insert into auth.group_permissions (group_id, permission_id)
select g.id, p.id from auth.groups g, auth.permissions p where p.permission_name = 'smtp';

-- One row for each question: where mail goes, what is 'virtmail', which hash.
create temporary table expected (asked text, resolved text[], virtmail text[], hash text);
insert into expected values
  ('alice@example.com',          '{alice@example.com}', '{virtmail}',          'alice'),
  ('Alice@EXAMPLE.com',          '{alice@example.com}', '{virtmail}',          'alice'),
  ('ali@example.com',            '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('dot.ted@example.com',        '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice@plain.example',        '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('müller@example.com',         '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('mÜller@example.com',         '{}',                  '{}',                  null),  -- only ASCII is folded
  -- exact match before sub-address
  ('jean-luc@example.com',       '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('jean-paul@example.com',      '{carol@example.com}', '{carol@example.com}', 'carol'),
  ('jean@example.com',           '{carol@example.com}', '{carol@example.com}', 'carol'),
  ('a-b+c@example.com',          '{carol@example.com}', '{carol@example.com}', 'carol'),
  ('a-c+b@example.com',          '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice+foo@example.com',      '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice-foo-bar@example.com',  '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice+foo@plus.example',     '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice-foo@plus.example',     '{}',                  '{}',                  null),
  -- blocked, in either spelling and with anything after it
  ('blocked@example.com',        '{}', '{}', null),
  ('blocked+x@example.com',      '{}', '{}', null),
  ('alice+spam@example.com',     '{}', '{}', null),
  ('alice-spam@example.com',     '{}', '{}', null),
  ('alice-spam+x@example.com',   '{}', '{}', null),
  ('ali+shop@example.com',       '{}', '{}', null),
  ('ali-shop@example.com',       '{}', '{}', null),
  ('reserved@example.com',       '{}', '{}', null),
  ('bl@redir.example',           '{}', '{}', null),
  ('bl+y@redir.example',         '{}', '{}', null),
  -- a blocked mailbox still receives through the user's other addresses
  ('carol@example.com',          '{}', '{}', null),
  ('carol2@example.com',         '{carol@example.com}', '{carol@example.com}', 'carol'),
  -- inactive, no mailbox, no password, hashes that crypt(3) does not verify
  ('bob@example.com',            '{}', '{}', null),
  ('nobox@example.com',          '{}', '{}', null),
  ('nopw@example.com',           '{nopw@example.com}',   '{virtmail}', null),
  ('argon@example.com',          '{argon@example.com}',  '{virtmail}', null),
  ('django@example.com',         '{django@example.com}', '{virtmail}', null),
  -- lists and redirects receive, and are no login names
  ('team@example.com',           '{ops@remote.example,alice@example.com}', '{virtmail}', null),
  ('team+x@example.com',         '{ops@remote.example,alice@example.com}', '{virtmail}', null),
  ('empty@example.com',          '{}',                  '{virtmail}', null),
  ('any@redir.example',          '{@redir.example}',    '{virtmail}', null),
  ('x@redir.example',            '{@redir.example}',    '{virtmail}', null),
  ('any@catch.example',          '{alice@example.com}', '{virtmail}', null),
  -- names of service users
  ('svc-alice',                  '{svc-alice}',   '{}', 'svcalice'),
  ('SVC-ALICE',                  '{svc-alice}',   '{}', 'svcalice'),
  ('svc-app',                    '{svc-app}',     '{}', 'app000'),
  ('svc-imap',                   '{svc-imap}',    '{}', null),
  ('svc-net',                    '{svc-net}',     '{}', null),
  ('svc-old',                    '{svc-old}',     '{}', null),
  ('svc-revoked',                '{svc-revoked}', '{}', null),
  ('svc-bob',                    '{}', '{}', null),
  ('alice',                      '{}', '{}', null),
  ('nobody',                     '{}', '{}', null),
  -- an internationalised domain, in A-labels and as stored in U-labels
  ('alice@xn--mnchen-3ya.example', '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice@münchen.example',        '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice@mÜnchen.example',        '{}', '{}', null),
  -- no addresses
  ('',                           '{}', '{}', null),
  ('@',                          '{}', '{}', null),
  ('@example.com',               '{}', '{}', null),
  ('alice@',                     '{}', '{}', null),
  ('a@b@example.com',            '{}', '{}', null),
  ('alice@example.com@x',        '{}', '{}', null),
  ('alice@example.com@example.com', '{}', '{}', null),
  (' alice@example.com',         '{}', '{}', null),
  ('alice@example.com ',         '{}', '{}', null),
  (E'alice+\n@example.com',      '{}', '{}', null),
  (E'alice@example.com\n',       '{}', '{}', null),
  ('alice+|@example.com',        '{}', '{}', null),
  ('+foo@example.com',           '{}', '{}', null),
  ('-foo@example.com',           '{}', '{}', null),
  ('alice+' || repeat('x', 58) || '@example.com', '{alice@example.com}', '{alice@example.com}', 'alice'),
  ('alice+' || repeat('x', 59) || '@example.com', '{}', '{}', null),
  ('alice@' || repeat('x', 300), '{}', '{}', null);

select is(array(select authserver_resolve_alias(e.asked))::text[], e.resolved, 'mail to ' || e.asked) from expected e;
select is(array(select authserver_resolve_alias(e.asked, true))::text[], e.virtmail, 'virtmail for ' || e.asked) from expected e;
select is(
  array(select c::text from authserver_get_credentials(e.asked) c),
  array(select row(e.asked,
                   case e.hash when 'carol' then '$5$abcdefgh$carol' else '$6$rounds=1000$abcdefgh$' || e.hash end,
                   case e.hash when 'carol' then 'carol@example.com' else 'alice@example.com' end)::text
         where e.hash is not null),
  'credentials of ' || e.asked)
  from expected e;

-- A permission is held directly or through a group, by users and by their
-- service users; a permission that does not exist is held by nobody.
select is(
  (select count(*)::int from authserver_get_credentials(v.login, v.permission)), v.rows,
  v.login || ' with permission ' || coalesce(quote_literal(v.permission), 'null'))
  from (values
    ('alice@example.com', 'imap', 1), ('alice@example.com', 'smtp', 1), ('svc-alice', 'smtp', 1), ('ali@example.com', 'imap', 1),
    ('alice@example.com', 'unheld', 0), ('alice@example.com', 'nosuch', 0), ('alice@example.com', '', 0),
    ('alice@example.com', null, 0), ('alice@example.com', 'IMAP', 0), ('alice@example.com', 'imap ', 0),
    ('bob@example.com', 'imap', 0), ('svc-bob', 'imap', 0), ('carol2@example.com', 'imap', 0),
    -- an app password for IMAP alone, asked for as what it is and as another
    ('svc-imap', 'imap', 1), ('svc-imap', 'smtp', 0),
    -- the address of the client is not known here
    ('svc-net', 'imap', 0), ('svc-old', 'imap', 0), ('svc-revoked', 'imap', 0)) v (login, permission, rows);

-- The query of deployed configurations.
select results_eq(
  format($$ select creds.primary_alias as user, creds.password as password
       from authserver_resolve_alias(%L, false) as res, authserver_get_credentials(res.alias, 'imap') as creds $$, v.login),
  format($$ values ('alice@example.com'::varchar, '$6$rounds=1000$abcdefgh$%s'::varchar) $$, v.hash),
  'the joined query for ' || v.login)
  from (values ('ali@example.com', 'alice'), ('alice+x@example.com', 'alice'), ('svc-alice', 'svcalice')) v (login, hash);

select results_eq('select * from authserver_check_domain(''EXAMPLE.com'')', 'values (''example.com''::varchar)', 'a domain, in any case');
select results_eq('select authserver_check_domain(''münchen.example'')', 'values (''xn--mnchen-3ya.example''::varchar)', 'a domain in U-labels');
select is_empty('select * from authserver_check_domain(' || coalesce(quote_literal(d), 'null') || ')', 'no row for domain ' || coalesce(quote_literal(d), 'null'))
  from unnest(array['nosuch.example', '', null, 'example.com.', 'sub.example.com', 'alice@example.com']) d;
select is_empty('select * from authserver_resolve_alias(null)', 'no alias for null');
select is_empty('select * from authserver_resolve_alias(''alice@example.com'', null)', 'no alias if virtmail is null');
select is_empty('select * from authserver_get_credentials(null)', 'no credentials for null');

select results_eq('select * from authserver_iterate_users()',
  $$ values ('alice@example.com'::varchar), ('argon@example.com'), ('carol@example.com'), ('django@example.com'), ('nopw@example.com'),
            ('@catch.example'), ('@redir.example') $$,
  'all mailboxes of active users, then the redirected domains');

select results_eq('select * from authserver_get_senders(''ALI@example.com'')',
  $$ values ('alice@example.com'::varchar), ('a@example.com'), ('ali@example.com'), ('dot.ted@example.com'), ('jean-luc@example.com'),
            ('müller@example.com'), ('alice@plain.example'), ('alice@plus.example'), ('alice@xn--mnchen-3ya.example') $$,
  'senders of a user: the mailbox, then the other addresses, none that is blocked or redirected');
select is((select count(*)::int from authserver_get_senders('svc-alice')), 9, 'senders of a service user are those of its user');
select is_empty(format('select * from authserver_get_senders(%L)', v), 'no senders for ' || v)
  from unnest(array['bob@example.com', 'svc-bob', 'team@example.com', 'any@catch.example', 'x@redir.example', 'blocked@example.com', 'nobody', '']) v;

-- App passwords: row or no row.
create temporary table verified (login text, id text, service text, client text, ok boolean, why text);
insert into verified values
  ('alice@example.com',   'app000', 'imap', '192.0.2.1',       true,  'by address'),
  ('ALI+x@example.com',   'app000', 'imap', '192.0.2.1',       true,  'by sub-address of an alias'),
  ('svc-app',             'app000', 'imap', '192.0.2.1',       true,  'by its service user'),
  ('svc-alice',           'app000', 'imap', '192.0.2.1',       false, 'by another service user'),
  ('carol2@example.com',  'app000', 'imap', '192.0.2.1',       false, 'by somebody else'),
  ('alice',               'app000', 'imap', '192.0.2.1',       false, 'by identifier'),
  ('blocked@example.com', 'app000', 'imap', '192.0.2.1',       false, 'by a blocked address'),
  ('any@catch.example',   'app000', 'imap', '192.0.2.1',       false, 'by an address that is redirected to the user'),
  ('alice@example.com',   '1map00', 'imap', '192.0.2.1',       true,  'for its service'),
  ('alice@example.com',   '1map00', 'smtp', '192.0.2.1',       false, 'for another service'),
  ('alice@example.com',   '1map00', '',     '192.0.2.1',       false, 'for no service'),
  ('alice@example.com',   'net000', 'imap', '192.0.2.77',      true,  'from its network'),
  ('alice@example.com',   'net000', 'imap', '2001:db8::1',     true,  'from its other network'),
  ('alice@example.com',   'net000', 'imap', '::ffff:192.0.2.77', true, 'from its network, as a server that listens on IPv6 sees it'),
  ('alice@example.com',   'net000', 'imap', '::ffff:198.51.100.1', false, 'from elsewhere, as such a server sees it'),
  ('alice@example.com',   'net000', 'imap', '198.51.100.1',    false, 'from elsewhere'),
  ('alice@example.com',   'net000', 'imap', '0.0.0.0/0',       false, 'from everywhere at once'),
  ('alice@example.com',   'net000', 'imap', '',                false, 'from an unknown address'),
  ('alice@example.com',   'net000', 'imap', 'localhost',       false, 'from what is no address'),
  ('alice@example.com',   'app000', 'imap', 'localhost',       true,  'with no limit, from what is no address'),
  ('alice@example.com',   'ext000', 'imap', '192.0.2.1',       false, 'after it expired'),
  ('alice@example.com',   'revk00', 'imap', '192.0.2.1',       false, 'after it was revoked'),
  ('alice@example.com',   'n0such', 'imap', '192.0.2.1',       false, 'that does not exist'),
  ('bob@example.com',     'app000', 'imap', '192.0.2.1',       false, 'by an inactive user');
select is(
  (select r::text from authserver_verify(v.login, 'ap' || v.id || '0123456789abcdefghjkmnpqrs', v.service, v.client) r),
  case when v.ok then row(v.login, 'alice@example.com', v.id)::text end, 'app password ' || v.why)
  from verified v;
select is((select r.cred_id from authserver_verify('alice@example.com', p, 'imap', '') r), 'app000', 'app password spelled ' || p)
  from unnest(array['APAPP000-0123456-789ABCD-EFGHJKM-NPQRS', 'ap app000 o1234 56789 abcde fghjk mnpqrs', 'apapp000-oi23456-789abcd-efghjkm-npqrs']) p;
select is_empty(format('select * from authserver_verify(''alice@example.com'', %L, ''imap'', '''')', p), 'not an app password: ' || p)
  from unnest(array['', 'apapp000', 'apapp0000123456789abcdefghjkmnpqr', 'apapp0000123456789abcdefghjkmnpqrss', '$6$rounds=1000$abcdefgh$app000', E'ap\napp0000123456789abcdefghjkmnpqrs']) p;
select is(
  (select count(*)::int from authserver_verify('alice@example.com', 'apapp0000123456789abcdefghjkmnpqrs', 'imap', '', v.permission)), v.rows,
  'app password with permission ' || coalesce(quote_literal(v.permission), 'null'))
  from (values ('imap', 1), ('smtp', 1), ('unheld', 0), ('nosuch', 0), ('', 0), (null, 1)) v (permission, rows);
select is_empty($$ select * from authserver_verify(null, 'apapp0000123456789abcdefghjkmnpqrs', 'imap', '') $$, 'nobody has no app password');
select is_empty($$ select * from authserver_verify('alice@example.com', null, 'imap', '') $$, 'nothing is no app password');
select is_empty($$ select * from authserver_verify('alice@example.com', 'ap1map000123456789abcdefghjkmnpqrs', null, '') $$, 'no service is not its service');
select is_empty($$ select * from authserver_verify('alice@example.com', 'apnet0000123456789abcdefghjkmnpqrs', 'imap', null) $$, 'no client address is in no network');
update auth.users u set active = false where u.identifier = 'alice';
select is_empty($$ select * from authserver_verify('alice@example.com', 'apapp0000123456789abcdefghjkmnpqrs', 'imap', '') $$, 'app password of an inactive user');
update auth.users u set active = true where u.identifier = 'alice';

select authserver_touch('app000', 'imap', '192.0.2.9');
select results_eq($$ select last_used_at = now(), last_used_service, last_used_from from auth.app_passwords where id = 'app000' $$,
  $$ values (true, 'imap', '192.0.2.9'::inet) $$, 'the last use is noted');
update auth.app_passwords set last_used_at = now() - interval '59 min' where id = 'app000';
select authserver_touch('app000', 'smtp', '192.0.2.10');
select is((select last_used_service from auth.app_passwords where id = 'app000'), 'imap', 'not again within the hour');
update auth.app_passwords set last_used_at = now() - interval '61 min' where id = 'app000';
select authserver_touch('app000', 'imap', '::ffff:192.0.2.9');
select is((select last_used_from from auth.app_passwords where id = 'app000'), '192.0.2.9', 'an IPv4 address in IPv6 clothes');
update auth.app_passwords set last_used_at = null where id = 'app000';
select authserver_touch('app000', 'smtp', 'nowhere');
select results_eq($$ select last_used_service, last_used_from from auth.app_passwords where id = 'app000' $$,
  $$ values ('smtp', null::inet) $$, 'but after it, from wherever');
select lives_ok('select authserver_touch(null, null, null)', 'nothing to note');

select is(authserver_api_version(), 1, 'version of the contract');

-- The contract: types, column names and order, and what protects it. A change
-- here breaks queries that consumers have prepared.
select is(pg_get_function_result(v.f::regprocedure), v.result, v.f || ' returns ' || v.result)
  from (values
    ('public.authserver_check_domain(varchar)',                 'SETOF character varying'),
    ('public.authserver_resolve_alias(varchar, boolean)',       'TABLE(alias character varying)'),
    ('public.authserver_get_credentials(varchar)',              'TABLE(username character varying, password character varying, primary_alias character varying)'),
    ('public.authserver_get_credentials(varchar, varchar)',     'TABLE(username character varying, password character varying, primary_alias character varying)'),
    ('public.authserver_iterate_users()',                       'TABLE(userid character varying)'),
    ('public.authserver_get_senders(varchar)',                  'TABLE(sender character varying)'),
    ('public.authserver_verify(varchar, varchar, varchar, varchar, varchar)', 'TABLE(username character varying, primary_alias character varying, cred_id character varying)'),
    ('public.authserver_touch(varchar, varchar, varchar)',      'void'),
    ('public.authserver_api_version()',                         'integer')) v (f, result);
select is(pg_get_function_arguments(v.f::regprocedure), v.arguments, v.f || ' keeps its parameter names')
  from (values
    ('public.authserver_check_domain(varchar)',             'domain character varying'),
    ('public.authserver_resolve_alias(varchar, boolean)',   'email character varying, resolve_to_virtmail boolean DEFAULT false'),
    ('public.authserver_get_credentials(varchar)',          'email character varying'),
    ('public.authserver_get_credentials(varchar, varchar)', 'email character varying, required_permission character varying')) v (f, arguments);
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
      where p.proname like 'authserver\_%' and p.pronamespace = 'public'::regnamespace
        and not (p.prosecdef and p.proowner = 'authserver_spapi'::regrole and l.lanname = 'plpgsql'
                 and p.proconfig = '{"search_path=pg_catalog, pg_temp"}' and not has_function_privilege('public', p.oid, 'execute')) $$,
  'every function is a pinned definer function of authserver_spapi, with nothing for PUBLIC');
select is(count(*)::int, 9, 'and there are nine of them') from pg_proc p where p.proname like 'authserver\_%' and p.pronamespace = 'public'::regnamespace;
select is_empty(
  $$ select c.relname, priv from pg_class c, unnest(array['insert', 'delete', 'truncate', 'references', 'trigger', 'select', 'update']) priv
      where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r' and has_table_privilege('authserver_spapi', c.oid, priv) $$,
  'authserver_spapi has no right on a whole table');
select is_empty(
  $$ select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'
        and has_column_privilege('authserver_spapi', c.oid, a.attnum, 'update')
        and (c.relname, a.attname::text) not in (('app_passwords', 'last_used_at'), ('app_passwords', 'last_used_service'), ('app_passwords', 'last_used_from')) $$,
  'authserver_spapi writes the last use of an app password and nothing else');

select * from finish();
