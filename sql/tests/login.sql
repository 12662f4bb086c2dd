-- Who may log in, and how guessing is slowed. The time of a transaction stands
-- still, so what time forgives is arranged by moving changed_at.
select no_plan();

insert into auth.login_names (name, kind)
select n, 'user' from unnest(array['alice', 'bob', 'carol', 'gone', 'nobox', 'nohash']) n
 union all
select n, 'service_user' from unnest(array['svc-hash', 'svc-app', 'svc-gone']) n;
insert into auth.users (identifier, full_name, password_hash, active, staff) values
  ('alice',  'Alice',  '$y$alice', true,  true),
  ('bob',    'Bob',    '$y$bob',   true,  false),
  ('carol',  'Carol',  '$y$carol', true,  false),
  ('gone',   'Gone',   '$y$gone',  false, true),
  ('nobox',  'Nobox',  '$y$nobox', true,  true),
  ('nohash', 'Nohash', null,       true,  false);
insert into auth.domains (name, subaddress_separators, redirect_to) values
  ('example.com', '+-', null), ('example.org', '+', null), ('moved.test', '+-', 'example.com');
insert into auth.mailing_lists (name) values ('friends');
insert into auth.aliases (local_part, domain_id, user_id, blocked)
select n.local_part, d.id, u.id, n.blocked
  from (values
    ('alice', 'alice', 'example.com', false), ('al', 'alice', 'example.com', false), ('old', 'alice', 'example.com', true),
    ('alice', 'alice', 'moved.test', false),
    ('alice+blocked', 'alice', 'example.com', true),
    ('bob', 'bob', 'example.com', false), ('alice-b', 'bob', 'example.com', false), ('bob', 'bob', 'example.org', false),
    ('bob+x', 'bob', 'example.com', false), ('bob2', 'carol', 'example.com', false), ('bob.x', 'carol', 'example.com', false),
    ('gone', 'gone', 'example.com', false), ('nohash', 'nohash', 'example.com', false)) n (local_part, identifier, domain, blocked)
  join auth.users u on u.identifier = n.identifier
  join auth.domains d on d.name = n.domain;
insert into auth.aliases (local_part, domain_id, mailing_list_id)
select 'friends', d.id, m.id from auth.domains d, auth.mailing_lists m where d.name = 'example.com';
update auth.users u set delivery_mailbox_id = a.id
  from auth.aliases a where a.user_id = u.id and a.local_part = u.identifier and a.domain_id = (select d.id from auth.domains d where d.name = 'example.com');

insert into auth.groups (name) values ('b'), ('A'), ('c');
insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice' and g.name <> 'c';
insert into auth.permissions (permission_name, name) values ('imap', ''), ('smtp', ''), ('Web', ''), ('none', '');
insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p where g.name <> 'c' and p.permission_name in ('imap', 'Web');
insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.users u, auth.permissions p where u.identifier = 'alice' and p.permission_name in ('imap', 'smtp');

insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, networks, expires_at, revoked_at)
select n.id, u.id, sha256(n.id::bytea), '$6$' || n.id, n.services, n.networks, n.expires_at, n.revoked_at
  from (values
    ('alice',  'a00000', null, null, null, null),
    ('alice',  'a0svc0', null, null, null, null),
    ('alice',  'a0svc1', null, null, null, null),
    ('alice',  'a0mapn', array['imap', 'smtp'], null, null, null),
    ('alice',  'a0net0', null, array['192.0.2.0/24', '2001:db8::/32']::cidr[], null, null),
    ('alice',  'a0exp0', null, null, now(), null),
    ('alice',  'a0exp1', null, null, now() + interval '1 s', null),
    ('alice',  'a0rev0', null, null, null, now()),
    ('bob',    'b00000', null, null, null, null),
    ('gone',   'g00000', null, null, null, null),
    ('nobox',  'n00000', null, null, null, null),
    ('nohash', 'h00000', null, null, null, null)) n (identifier, id, services, networks, expires_at, revoked_at)
  join auth.users u on u.identifier = n.identifier;
insert into auth.service_users (user_id, username, password_hash, app_password_id)
select u.id, n.username, n.hash, n.app
  from (values ('alice', 'svc-hash', '$y$svc', null), ('alice', 'svc-app', null, 'a0svc0'), ('gone', 'svc-gone', '$y$svcgone', null)) n (identifier, username, hash, app)
  join auth.users u on u.identifier = n.identifier;

create function pg_temp.mac(p_password text) returns bytea
language sql as $$ select sha256(p_password::bytea) $$;
-- What begins: outcome, and the hash or the time to wait.
create function pg_temp.guess(p_login text, p_password text, p_client inet default '192.0.2.7', p_service text default 'imap') returns text
language sql as $$ select concat_ws(' ', b.outcome, b.password_hash, b.retry_after) from api.begin_login(p_login, p_service, p_client, null, null, pg_temp.mac(p_password), null) b $$;
create function pg_temp.finish(p_login text, p_password text, p_hash text, p_result text, p_client inet default '192.0.2.7', p_service text default 'imap') returns int
language sql as $$ select api.end_login(p_login, p_service, p_client, pg_temp.mac(p_password), p_hash, p_result) $$;
-- One wrong password, from beginning to end.
create function pg_temp.wrong(p_login text, p_password text, p_client inet default '192.0.2.7', p_service text default 'imap') returns text
language plpgsql as $$
declare
  begun record := api.begin_login(p_login, p_service, p_client, null, null, pg_temp.mac(p_password), null);
begin
  if begun.outcome = 'verify' then
    perform pg_temp.finish(p_login, p_password, begun.password_hash, 'wrong', p_client, p_service);
  end if;
  return concat_ws(' ', begun.outcome, begun.retry_after);
end $$;
create function pg_temp.app(p_login text, p_id text, p_service text default 'imap', p_client inet default '192.0.2.7', p_secret text default null) returns text
language sql as $$ select coalesce(b.reason, b.outcome) from api.begin_login(p_login, p_service, p_client, p_id, sha256(coalesce(p_secret, p_id)::bytea), null, null) b $$;
create function pg_temp.clear() returns void
language sql as $$ delete from auth.login_throttles $$;
create function pg_temp.count(p_login text, p_client inet default '192.0.2.7', p_service text default 'imap') returns real
language sql as $$ select t.failures from auth.login_throttles t where t.login_hash = auth.login_hash(p_login) and t.network = auth.login_network(p_client) and t.service = p_service $$;

-- Who is asked for the password of whom.
select is(pg_temp.guess(n.login, 'x'), n.want, n.login || ': ' || n.why)
  from (values
    ('alice@example.com',           'verify $y$alice', 'an address'),
    ('AL@Example.COM',              'verify $y$alice', 'another alias, in capitals'),
    ('alice+shop@example.com',      'verify $y$alice', 'a sub-address'),
    ('alice-shop@example.com',      'verify $y$alice', 'the other separator'),
    ('alice-b@example.com',         'verify $y$bob',   'an alias comes before a sub-address'),
    ('alice-b+x@example.com',       'verify $y$bob',   'and has sub-addresses of its own'),
    ('bob-x@example.org',           'verify',          'not a separator of this domain'),
    ('old@example.com',             'verify',          'a blocked alias'),
    ('alice+blocked@example.com',   'verify',          'a blocked extension'),
    ('alice-blocked@example.com',   'verify',          'in its other spelling'),
    ('friends@example.com',         'verify',          'a list'),
    ('alice@moved.test',            'verify',          'a redirected domain'),
    ('nobody@example.com',          'verify',          'nobody'),
    ('alice@nowhere.test',          'verify',          'no domain of ours'),
    ('alice@example.com@nowhere',   'verify',          'no address'),
    ('gone@example.com',            'verify',          'an inactive user'),
    ('nohash@example.com',          'verify',          'a user without a password'),
    ('Alice',                       'verify $y$alice', 'the identifier of staff'),
    ('bob',                         'verify',          'the identifier of others'),
    ('gone',                        'verify',          'inactive staff'),
    ('nobox',                       'verify $y$nobox', 'without a mailbox'),
    ('SVC-hash',                    'verify $y$svc',   'a service user'),
    ('svc-app',                     'verify',          'one that has an app password'),
    ('svc-gone',                    'verify',          'one of an inactive user'),
    ('svc-hash@example.com',        'verify',          'a service user is no address'),
    ('',                            'verify',          'no name'),
    (repeat('a', 1000000),          'verify',          'a long name')) n (login, want, why);
select is(b.reason, n.want, n.login || ' in the log')
  from (values ('nobody@example.com', 'unknown login'), ('gone@example.com', 'inactive user'), ('nohash@example.com', 'login without a password'), ('alice@example.com', 'wrong password'),
    ('Bob', 'the identifier of a user who is not staff: an address logs in'), ('nobody', 'unknown login')) n (login, want),
       lateral api.begin_login(n.login, 'http', '192.0.2.8', null, null, pg_temp.mac('x'), null) b;

-- As whom.
select results_eq(
  $$ select b.identifier, b.full_name, b.staff, b.primary_address, b.service_user, b.groups, b.permissions from unnest(array['al@example.com', 'svc-hash']) n, lateral api.begin_login(n, 'http', '192.0.2.9', null, null, pg_temp.mac('x'), null) b $$,
  $$ values ('alice', 'Alice', true, 'alice@example.com', null::text, '{A,b}'::text[], '{Web,imap,smtp}'::text[]),
            ('alice', 'Alice', true, 'alice@example.com', 'svc-hash', '{A,b}', '{Web,imap,smtp}') $$,
  'who logs in, with groups and permissions in the order of bytes, each once');
select results_eq(
  $$ select b.identifier, b.primary_address, b.groups, b.permissions from api.begin_login('nobox', 'http', '192.0.2.9', null, null, pg_temp.mac('x'), null) b $$,
  $$ values ('nobox', null::text, '{}'::text[], '{}'::text[]) $$, 'without a mailbox there is no primary address');
select is_empty(
  $$ select from unnest(array['gone@example.com', 'nobody@example.com', 'old@example.com', 'friends@example.com', 'alice@moved.test', 'bob']) n,
                 lateral api.begin_login(n, 'http', '192.0.2.9', null, null, pg_temp.mac('x'), null) b
      where num_nonnulls(b.user_id, b.identifier, b.full_name, b.staff, b.primary_address, b.service_user, b.groups, b.permissions) > 0 $$,
  'nothing is said of those who may not');
select results_eq(
  $$ select f.identifier, f.primary_address, f.groups, f.permissions, f.service_user
       from unnest(array['al@example.com', 'svc-app', 'alice-b@example.com', 'gone@example.com', 'gone', 'svc-gone', 'bob', 'old@example.com', 'friends@example.com', 'alice@moved.test', 'nobody', '']) n, lateral api.find_login(n) f $$,
  $$ values ('alice', 'alice@example.com', '{A,b}'::text[], '{Web,imap,smtp}'::text[], null::text), ('alice', 'alice@example.com', '{A,b}', '{Web,imap,smtp}', 'svc-app'), ('bob', 'bob@example.com', '{}', '{}', null) $$,
  'a lookup finds the same');

-- App passwords.
select is(pg_temp.app(n.login, n.id, n.service, n.client), n.want, concat_ws(' ', n.login, n.id, n.service, n.client, n.want))
  from (values
    ('alice@example.com',      'a00000', 'imap', inet '192.0.2.7', 'ok'),
    ('AL+shop@example.com',    'a00000', 'imap', null, 'ok'),
    ('alice',                  'a00000', 'imap', null, 'ok'),
    ('alice@example.com',      'a0svc0', 'imap', null, 'ok'),
    ('svc-app',                'a0svc0', 'imap', null, 'ok'),
    ('svc-app',                'a0svc1', 'imap', null, 'another login''s app password a0svc1'),
    ('svc-hash',               'a00000', 'imap', null, 'another login''s app password a00000'),
    ('alice@example.com',      'b00000', 'imap', null, 'another user''s app password b00000'),
    ('alice-b@example.com',    'a00000', 'imap', null, 'another user''s app password a00000'),
    ('nobody@example.com',     'a00000', 'imap', null, 'another user''s app password a00000'),
    ('old@example.com',        'a00000', 'imap', null, 'another user''s app password a00000'),
    ('friends@example.com',    'a00000', 'imap', null, 'another user''s app password a00000'),
    ('alice@moved.test',       'a00000', 'imap', null, 'another user''s app password a00000'),
    ('bob',                    'b00000', 'imap', null, 'another user''s app password b00000'),
    ('gone@example.com',       'g00000', 'imap', null, 'inactive user'),
    ('gone',                   'g00000', 'imap', null, 'inactive user'),
    ('nohash@example.com',     'h00000', 'imap', null, 'ok'),
    ('nobox',                  'n00000', 'imap', null, 'ok'),
    ('alice@example.com',      'a0mapn', 'smtp', null, 'ok'),
    ('alice@example.com',      'a0mapn', 'http', null, 'app password a0mapn is not for this service'),
    ('alice@example.com',      'a0net0', 'imap', inet '192.0.2.255', 'ok'),
    ('alice@example.com',      'a0net0', 'imap', inet '2001:db8:1::1', 'ok'),
    ('alice@example.com',      'a0net0', 'imap', inet '198.51.100.1', 'app password a0net0 is not for this network'),
    ('alice@example.com',      'a0net0', 'imap', null, 'app password a0net0 is not for this network'),
    ('alice@example.com',      'a0exp0', 'imap', null, 'expired app password a0exp0'),
    ('alice@example.com',      'a0exp1', 'imap', null, 'ok'),
    ('alice@example.com',      'a0rev0', 'imap', null, 'revoked app password a0rev0'),
    ('alice@example.com',      'zzzzzz', 'imap', null, 'unknown app password')) n (login, id, service, client, want);
select is(pg_temp.app('alice@example.com', 'a00000', p_secret => 'x'), 'wrong app password', 'an id is not enough');
select is(pg_temp.app('alice@example.com', 'a0rev0', p_secret => 'x'), 'wrong app password', 'what is revoked is said of the right one only');
select results_eq(
  $$ select b.outcome, b.user_id is null from api.begin_login('alice@example.com', 'imap', null, 'a00000', null, pg_temp.mac('x'), sha256('$y$alice')) b $$,
  $$ values ('denied', true) $$, 'nor is a password that was right');

-- What a login is limited to, and by what something can be bound to it.
update auth.app_passwords ap set services = '{docker}', registries = '{r.example.com}', registry_actions = '{pull}' where ap.id = 'a0svc1';
select results_eq(
  $$ select b.outcome, b.registry_actions, b.credential_sha256
       from (values (1, 'alice', 'a0svc1'), (2, 'alice', 'a00000'), (3, 'alice-b@example.com', 'a0svc1'), (4, 'svc-hash', null), (5, 'alice', null), (6, 'nobody', null), (7, 'gone', null)) n (nr, login, app),
            lateral api.begin_login(n.login, 'docker', '192.0.2.9', n.app, sha256(n.app::bytea), pg_temp.mac('limits'), null, 'r.example.com') b order by n.nr $$,
  $$ values ('ok', array['pull'], sha256('a0svc1')), ('ok', null, sha256('a00000')), ('repeated', null, null),
            ('verify', null, sha256('$y$svc')), ('verify', null, sha256('$y$alice')), ('verify', null, null), ('verify', null, null) $$,
  'limits of the app password that was right, or the hash of the hash of the password');
select results_eq($$ select b.outcome, b.registry_actions, b.credential_sha256 from api.begin_login('alice', 'docker', null, null, null, null, sha256('$y$alice')) b $$,
  $$ values ('ok', null::text[], sha256('$y$alice')) $$, 'of one that was right a moment ago, too');
select is(b.outcome || ': ' || b.reason, 'repeated: app password a0svc1 ' || n.want, n.want)
  from (values ('other.example.com', 'is not for this registry'), ('', 'is not for this registry'), (null, 'is for Docker registries only')) n (registry, want),
       lateral api.begin_login('alice', 'docker', '192.0.2.9', 'a0svc1', sha256('a0svc1'), pg_temp.mac('limits'), null, n.registry) b;
update auth.app_passwords ap set services = null, registries = null, registry_actions = null, last_used_at = null where ap.id = 'a0svc1';

-- When they were used.
select is(array(select ap.id from auth.app_passwords ap where ap.last_used_at is null order by 1), array['a0exp0', 'a0rev0', 'a0svc1', 'b00000', 'g00000'], 'what was refused was not used');
update auth.app_passwords ap set last_used_at = now() - interval '59 minutes', last_used_service = 'x';
select pg_temp.app('alice@example.com', 'a00000', repeat('s', 100), '2001:db8::1') = '';
select is((select ap.last_used_service from auth.app_passwords ap where ap.id = 'a00000'), 'x', 'used again within an hour');
update auth.app_passwords ap set last_used_at = now() - interval '1 hour';
select pg_temp.app('alice@example.com', 'a00000', repeat('s', 100), '2001:db8::1') = '';
select is((select (ap.last_used_at = now(), octet_length(ap.last_used_service), ap.last_used_from)::text from auth.app_passwords ap where ap.id = 'a00000'), '(t,64,2001:db8::1)', 'and after it');
select is((select count(*) from auth.app_passwords ap where ap.last_used_at = now()), 1::bigint, 'that one and no other');

-- Counting.
select pg_temp.clear();
select is(array(select pg_temp.wrong('alice@example.com', 'wrong ' || i) from generate_series(1, 11) i),
  array_fill('verify'::text, array[10]) || 'throttled 60'::text, 'ten wrong passwords, then none');
select is(pg_temp.guess('alice@example.com', 'right'), 'throttled 60', 'nor the right one');
select is(pg_temp.guess('alice@example.com', 'wrong 10'), 'repeated', 'one that was wrong is wrong, throttled or not');
select is((b.outcome, num_nonnulls(b.credential_sha256, b.password_hash, b.user_id))::text, '(' || n.want || ',0)', 'whoever is ' || n.want || ' learns no hash')
  from (values ('right', 'throttled'), ('wrong 10', 'repeated')) n (password, want),
       lateral api.begin_login('alice@example.com', 'imap', '192.0.2.7', null, null, pg_temp.mac(n.password), null) b;
select is((select b.reason from api.begin_login('alice@example.com', 'imap', '192.0.2.7', null, null, pg_temp.mac('wrong 10'), null) b), 'the same wrong password again', 'which the log says');
select is(pg_temp.guess(n, 'right'), 'throttled 60', n || ' is the same name')
  from unnest(array['alice+x@example.com', 'alice-x@example.com', 'ALICE+y-z@EXAMPLE.com', 'alice-b@example.com', 'alice+blocked@example.com']) n;
select is(pg_temp.guess('alice@example.com', 'right', c), w, 'from ' || coalesce(host(c), 'somewhere'))
  from (values (inet '192.0.2.8', 'verify $y$alice'), ('192.0.2.7/24', 'throttled 60'), ('2001:db8::1', 'verify $y$alice'), (null, 'verify $y$alice')) n (c, w);
select is(pg_temp.guess('alice@example.com', 'right', p_service => 'smtp'), 'verify $y$alice', 'for another service');
select is(pg_temp.guess('al@example.com', 'right'), 'verify $y$alice', 'by another name');
select is(pg_temp.app('alice@example.com', 'a00000'), 'ok', 'an app password is not throttled');
select results_eq(
  $$ select b.outcome, b.identifier from api.begin_login('alice@example.com', 'imap', '192.0.2.7', null, null, pg_temp.mac('right'), sha256('$y$alice')) b $$,
  $$ values ('ok', 'alice') $$, 'nor is a password that was right for the hash that is stored');
select is((select b.outcome from api.begin_login('alice@example.com', 'imap', '192.0.2.7', null, null, pg_temp.mac('right'), sha256('$y$old')) b), 'throttled', 'one that was right for another hash is');
select is((select b.outcome from api.begin_login(n, 'http', '192.0.2.10', null, null, pg_temp.mac('right'), sha256(h::bytea)) b), 'verify', n || ': nobody''s hash was right')
  from (values ('gone@example.com', '$y$gone'), ('gone', '$y$gone'), ('svc-gone', '$y$svcgone'), ('nobody@example.com', ''), ('nohash@example.com', ''), ('svc-hash', '$y$alice'), ('old@example.com', '$y$alice')) n (n, h);

select pg_temp.clear();
select pg_temp.wrong('alice@example.com', 'old ' || i, ('2001:db8:0:1::' || i)::inet) = '' from generate_series(1, 10) i;
select is(pg_temp.guess('alice@example.com', 'x', '2001:db8:0:1:ffff::'), 'throttled 60', 'a /64 is one client');
select is(pg_temp.guess('alice@example.com', 'x', '2001:db8:0:2::'), 'verify $y$alice', 'the next is another');
update auth.users u set password_hash = '$y$new' where u.identifier = 'alice';
update auth.login_throttles t set changed_at = now() - interval '60 s';
select is(pg_temp.guess('alice@example.com', 'old 3', '2001:db8:0:1::1'), 'verify $y$new', 'a wrong password becomes the right one');

-- The same one again.
select pg_temp.clear();
select is(array(select distinct pg_temp.wrong('bob@example.com', 'old') from generate_series(1, 100) order by 1), array['repeated', 'verify'], 'the same wrong password a hundred times');
select is(pg_temp.count('bob@example.com'), 1::real, 'counts once');
select pg_temp.wrong('bob@example.com', 'other ' || i) = '' from generate_series(1, 9) i;
update auth.login_throttles t set failures = 0;
select is(pg_temp.wrong('bob@example.com', 'other 9'), 'repeated', 'ten are remembered');
select is(pg_temp.wrong('bob@example.com', 'other 10'), 'verify', 'the eleventh is new');
select is(pg_temp.wrong('bob@example.com', 'old'), 'verify', 'and the first is forgotten');
select pg_temp.clear();
select pg_temp.guess('bob@example.com', 'same') = '' from generate_series(1, 5);
select pg_temp.finish('bob@example.com', 'same', '$y$bob', 'wrong') = 0 from generate_series(1, 5);
select is(pg_temp.count('bob@example.com'), 1::real, 'the same one at the same time counts once');
select is(pg_temp.count('bob@example.com', '::', ''), null, 'the rows of all networks have no client');
select is((select t.failures from auth.login_throttles t where t.network = '::/0'), 1::real, 'where it counts once, too');

-- Nobody and somebody get the same answers.
create function pg_temp.answers(p_login text) returns text[]
language sql as $$ select array(select pg_temp.wrong(p_login, (array['a', 'b', 'a', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'a', 'l'])[i]) from generate_series(1, 14) i) $$;
select is(pg_temp.answers('carol'), array['verify', 'verify', 'repeated', 'verify', 'verify', 'verify', 'verify', 'verify', 'verify', 'verify', 'verify', 'throttled 60', 'repeated', 'throttled 60'], 'the answers to somebody who is no staff');
select is(pg_temp.answers(n), pg_temp.answers('x' || i || '@example.com'), n || ' like nobody')
  from unnest(array['alice@example.com', 'gone@example.com', 'nohash@example.com', 'friends@example.com', 'svc-app', 'nowhere', 'nobox']) with ordinality n (n, i);

-- What time forgives.
select pg_temp.clear();
select pg_temp.wrong('bob@example.com', 'wrong ' || i) = '' from generate_series(1, 10) i;
update auth.login_throttles t set changed_at = now() - interval '59 s';
select is(pg_temp.guess('bob@example.com', 'x'), 'throttled 1', 'the last second of a minute');
update auth.login_throttles t set changed_at = now() - interval '60 s';
select is(array(select pg_temp.wrong('bob@example.com', 'then ' || i) from generate_series(1, 2) i), array['verify', 'throttled 60'], 'one more each minute');
update auth.login_throttles t set changed_at = now() - interval '1 day';
select is(array(select pg_temp.wrong('bob@example.com', 'later ' || i) from generate_series(1, 11) i), array_fill('verify'::text, array[10]) || 'throttled 60'::text, 'never more than ten');
update auth.login_throttles t set changed_at = now() + interval '1 hour';
select is(pg_temp.guess('bob@example.com', 'x'), 'throttled 60', 'what another transaction has just counted does not count more');

-- How a login ends.
select pg_temp.clear();
select pg_temp.wrong('bob@example.org', 'wrong ' || i) = '' from generate_series(1, 9) i;
select is(pg_temp.guess('bob@example.org', 'right'), 'verify $y$bob', 'the tenth');
select is(pg_temp.finish('bob@example.org', 'right', '$y$bob', 'ok'), 0, 'is right');
select is(pg_temp.count('bob@example.org'), null, 'and all is forgotten');
select is(array(select distinct pg_temp.guess('bob@example.org', 'busy ' || i) || pg_temp.finish('bob@example.org', 'busy ' || i, '$y$bob', 'abandoned') from generate_series(1, 100) i), array['verify $y$bob0'], 'what could not be computed is given back');
select is(pg_temp.count('bob@example.org'), 0::real, 'all of it');
select throws_ok($$ select pg_temp.finish('bob@example.org', 'x', 'y', 'maybe') $$, '20000', null, 'there is no other end');

-- Whoever has an address that is counted with another's gains no guesses.
select pg_temp.wrong('alice@example.com', 'wrong ' || i) = '' from generate_series(1, 9) i;
select pg_temp.guess('alice-b@example.com', 'bob''s') = '';
select pg_temp.finish('alice-b@example.com', 'bob''s', '$y$bob', 'ok') = 0;
select is(pg_temp.count('alice@example.com'), 9::real, 'logging in as alice-b does not give guesses at alice');
select is(array(select pg_temp.wrong('alice@example.com', 'then ' || i) from generate_series(1, 2) i), array['verify', 'throttled 60'], 'nor does it take any');
select pg_temp.finish('alice@example.com', 'alice''s', '$y$new', 'ok') = 0;
select is(pg_temp.count('alice-b@example.com'), 9::real, 'nor the other way round');
select api.report_login('alice-b@example.com', 'imap', '192.0.2.7', true, null, null) is null;
select is(pg_temp.count('alice@example.com'), 9::real, 'nor by way of another server');
select pg_temp.wrong('bob+x@example.com', 'wrong') = '';
select pg_temp.guess('bob@example.com', 'right') = '';
select pg_temp.finish('bob@example.com', 'right', '$y$bob', 'ok') = 0;
select is(pg_temp.count('bob@example.com'), null, 'addresses of one user are no harm, nor names that look alike');

-- From everywhere.
select pg_temp.clear();
create function pg_temp.delays(p_login text) returns int[]
language sql as $$
  select array(
    select pg_temp.finish(p_login, 'wrong ' || i, '$y$bob', 'wrong', '10.0.0.0'::inet + i)
      from generate_series(1, 300) i
     where pg_temp.guess(p_login, 'wrong ' || i, '10.0.0.0'::inet + i) is not null)
$$;
select is((select array_agg(delay || ' from ' || first order by first) from (select d.delay, min(d.nr) as first from unnest(pg_temp.delays('bob@example.com')) with ordinality d (delay, nr) group by 1) s),
  array['0 from 1', '1 from 50', '2 from 100', '3 from 150', '4 from 200', '5 from 250'], 'wrong answers become slow');
select is((pg_temp.delays('nobody@example.com'))[300], 5, 'those to nobody, too');
select pg_temp.guess('bob@example.com', 'right') = '';
select is(pg_temp.finish('bob@example.com', 'right', '$y$bob', 'ok'), 0, 'the right one does not');
update auth.login_throttles t set failures = 1e6 where t.network = '::/0';
select pg_temp.guess('bob@example.com', 'x', '10.1.1.1') = '';
select is(pg_temp.finish('bob@example.com', 'x', '$y$bob', 'wrong', '10.1.1.1'), 5, 'and never slower than that');
select is((select t.failures from auth.login_throttles t where t.network = '::/0' and t.login_hash = auth.login_hash('bob@example.com')), 1000::real, 'nor for days');

-- Servers that verify themselves.
select pg_temp.clear();
select is(api.check_login('bob@example.com', 'imap', '192.0.2.7'), null, 'nothing is known');
select api.report_login('bob@example.com', 'imap', '192.0.2.7', false, pg_temp.mac('same'), null) is null from generate_series(1, 100);
select is((select array_agg(t.failures) from auth.login_throttles t), '{1,1}'::real[], 'the same wrong password, reported a hundred times');
select api.report_login('bob@example.com', 'imap', '192.0.2.7', false, pg_temp.mac('wrong ' || i), null) is null from generate_series(1, 100) i;
select is(api.check_login('bob+y@example.com', 'imap', '192.0.2.7'), 60, 'many: no longer than after ten');
select is(pg_temp.guess('bob@example.com', 'x'), 'throttled 60', 'here as there');
select is(api.check_login('bob@example.com', 'smtp', '192.0.2.7'), null, 'for another service');
update auth.app_passwords ap set last_used_at = null;
select api.report_login('bob@example.com', 'imap', '192.0.2.7', true, null, 'b00000') is null;
select is(api.check_login('bob@example.com', 'imap', '192.0.2.7'), null, 'a right one');
select is(array(select ap.id from auth.app_passwords ap where ap.last_used_at = now() and ap.last_used_service = 'imap'), array['b00000'], 'was used');
select api.report_login('bob@example.com', 'smtp', '192.0.2.7', true, null, 'b00000') is null;
select is((select ap.last_used_service from auth.app_passwords ap where ap.id = 'b00000'), 'imap', 'once an hour');
select api.report_login('bob@example.com', 'imap', '192.0.2.7', true, null, 'a0rev0') is null;
select is((select ap.last_used_at from auth.app_passwords ap where ap.id = 'a0rev0'), null, 'a revoked one was not');

-- Forgetting for good.
select pg_temp.clear();
insert into auth.login_throttles (login_hash, network, service, failures, changed_at)
select sha256(n.who::bytea), '0.0.0.0/0', 'imap', n.failures, now() - n.age
  from (values ('forgiven', 10, interval '61 min'), ('recent', 0, '59 min'), ('not yet', 62, '61 min'), ('long ago', 1000, '1 day')) n (who, failures, age);
select is(api.purge_login_throttles(), 2::bigint, 'what time has forgiven goes');
select is(array(select n from unnest(array['forgiven', 'recent', 'not yet', 'long ago']) n where sha256(n::bytea) in (select t.login_hash from auth.login_throttles t)), array['recent', 'not yet'], 'and nothing else');

-- New hashes of the same password.
create function pg_temp.rehash(p_identifier text, p_service_user text, p_was text) returns text
language plpgsql as $$
begin
  perform api.rehash_password(u.id, p_service_user, p_was, '$y$made') from auth.users u where u.identifier = p_identifier;
  return (select concat_ws(' ', (select u.password_hash from auth.users u where u.identifier = p_identifier), (select s.password_hash from auth.service_users s where s.username = 'svc-hash')));
end $$;
delete from auth.audit;
select is(pg_temp.rehash('bob', null, '$y$other'), '$y$bob $y$svc', 'a password that was changed meanwhile stays');
select is(pg_temp.rehash('alice', 'svc-hash', '$y$other'), '$y$new $y$svc', 'that of a service user, too');
select is(pg_temp.rehash('bob', 'svc-hash', '$y$svc'), '$y$bob $y$svc', 'a service user is not another user''s');
select is((select count(*) from auth.audit), 0::bigint, 'nothing was done');
select is(pg_temp.rehash('bob', null, '$y$bob'), '$y$made $y$svc', 'a user''s');
select is(pg_temp.rehash('alice', 'svc-hash', '$y$svc'), '$y$new $y$made', 'a service user''s');
select results_eq($$ select a.action, a.object, a.before::text, a.after::text from auth.audit a order by a.id $$,
  $$ values ('user.rehash', 'bob', '{}', '{"changed": ["password_hash"]}'), ('service_user.rehash', 'svc-hash', '{}', '{"changed": ["password_hash"]}') $$, 'the audit trail says it, and no hash');

-- Who may call this.
select is(array(
    select p.oid::regprocedure::text from pg_proc p
     where p.pronamespace = 'api'::regnamespace
       and p.proname in ('begin_login', 'end_login', 'find_login', 'check_login', 'report_login', 'rehash_password', 'purge_login_throttles')
       and has_function_privilege('authserver_web', p.oid, 'execute')
       and not has_function_privilege('authserver_dkimsigner', p.oid, 'execute')
       and not has_function_privilege('authserver_mailforwarder', p.oid, 'execute')
       and not has_function_privilege('authserver_spapi', p.oid, 'execute')
     order by 1),
  array[
    'api.begin_login(text,text,inet,text,bytea,bytea,bytea,text)',
    'api.check_login(text,text,inet)',
    'api.end_login(text,text,inet,bytea,text,text)',
    'api.find_login(text)',
    'api.purge_login_throttles()',
    'api.rehash_password(uuid,text,text,text)',
    'api.report_login(text,text,inet,boolean,bytea,text)'], 'the web server, and no other daemon');
select * from finish();
