-- Throttles as an operator sees and ends them. The time of a transaction stands
-- still, so what time forgives is arranged by moving changed_at.
select plan(34);

create function pg_temp.count(p_login text, p_network cidr, p_service text, p_failures real, p_ago interval default '0') returns void
language sql as $$
  insert into auth.login_throttles (login_hash, network, service, failures, changed_at, wrong)
  values (auth.login_hash(p_login), p_network, p_service, p_failures, now() - p_ago, array['\x5ec4e7'::bytea]) $$;
create function pg_temp.until(p_login text, p_network cidr, p_service text default 'imap') returns interval
language sql as $$ select f.throttled_until - now() from api.find_login_throttles(p_login) f where f.network = p_network and f.service = p_service $$;
create function pg_temp.found(p_login text) returns bigint
language sql as $$ select count(*) from api.find_login_throttles(p_login) f $$;
-- A cleared login: the name that it is counted by, and how many rows.
create function pg_temp.clear(p_login text, p_dry_run boolean default false) returns text
language sql as $$ select c.login || ' ' || c.removed from api.clear_login_throttles(p_login, p_dry_run) c $$;
create function pg_temp.audited() returns bigint
language sql as $$ select count(*) from auth.audit a $$;
create function pg_temp.guess(p_login text, p_password text, p_client inet) returns text
language sql as $$ select b.outcome from api.begin_login(p_login, 'imap', p_client, null, null, sha256(p_password::bytea), null) b $$;

-- Finding.
select is_empty($$ select f.* from api.find_login_throttles('alice@example.com') f $$, 'nothing is counted');
do $$ begin
  perform pg_temp.count('alice@example.com', '192.0.2.7/32', 'imap', 10),
          pg_temp.count('alice@example.com', '192.0.2.7/32', 'smtp', 3, '2 min'),
          pg_temp.count('alice@example.com', '198.51.100.7/32', 'imap', 10, '1 hour'),
          pg_temp.count('alice@example.com', '2001:db8::/64', 'imap', 9.5, '15 s'),
          pg_temp.count('alice@example.com', '0.0.0.0/0', 'imap', 40),
          pg_temp.count('alice@example.com', '::/0', '', 200),
          pg_temp.count('bob@example.com', '192.0.2.7/32', 'imap', 10);
end $$;
select results_eq(
  $$ select f.network, f.service, f.failures, extract(epoch from f.throttled_until - now())::int, extract(epoch from now() - f.changed_at)::int
       from api.find_login_throttles('alice@example.com') f $$,
  $$ values (cidr '0.0.0.0/0', 'imap', 40::real, null::int, 0),
            ('192.0.2.7/32', 'imap', 10, 60, 0),
            ('192.0.2.7/32', 'smtp', 1, null, 120),
            ('198.51.100.7/32', 'imap', 0, null, 3600),
            ('::/0', '', 200, null, 0),
            ('2001:db8::/64', 'imap', 9.25, 15, 15) $$,
  'by network and service; what does not refuse anybody has no end');
select is(pg_temp.found(n.login), n.want, coalesce(n.login, 'null') || ': ' || n.why)
  from (values
    ('ALICE@Example.com',         6::bigint, 'in capitals'),
    ('alice+shop@example.com',    6,         'an extension'),
    ('alice-shop+x@example.com',  6,         'of either kind, and two'),
    ('alice@example.org',         0,         'another domain'),
    ('alice',                     0,         'another login'),
    ('',                          0,         'no name'),
    (null,                        0,         'null')) n (login, want, why);
select is(pg_temp.until('alice@example.com', '192.0.2.7/32'), interval '1 min', 'throttled until');
select is(extract(epoch from pg_temp.until('alice@example.com', '192.0.2.7/32'))::int, api.check_login('alice@example.com', 'imap', '192.0.2.7'), 'is what a login is told');
select is(api.check_login('alice@example.com', 'imap', null), null, 'clients of unknown address are not refused,');
select is(pg_temp.until('alice@example.com', '0.0.0.0/0'), null, 'and so not throttled');

-- Clearing. A dry run says what would be.
select is(pg_temp.clear('alice@example.com', true), 'alice@example.com 6', 'a dry run');
select is(pg_temp.clear('alice@example.com', null), 'alice@example.com 6', 'one who did not say');
select is(pg_temp.found('alice@example.com'), 6::bigint, 'nothing was done');
select is(pg_temp.audited(), 0::bigint, 'nor recorded');

select is(pg_temp.guess('alice@example.com', 'right', '192.0.2.7'), 'throttled', 'the right password is not looked at');
select is(pg_temp.clear('Alice+Shop@Example.com'), 'alice@example.com 6', 'cleared, by the name that is counted');
select is(pg_temp.found('alice@example.com'), 0::bigint, 'nothing is left, not of all networks together either');
select is(pg_temp.guess('alice@example.com', 'right', '192.0.2.7'), 'verify', 'the right password is looked at');
select is(pg_temp.until('bob@example.com', '192.0.2.7/32'), interval '1 min', 'others are throttled as before');

-- The trail.
select is(pg_temp.audited(), 1::bigint, 'one row');
select is((select a.action || ' ' || a.object from auth.audit a), 'login_throttle.clear alice@example.com', 'by the name that is counted');
select is((select a.before -> 'throttles' -> 1 from auth.audit a), '{"network": "192.0.2.7/32", "service": "imap", "failures": 10}'::jsonb, 'with what was counted');
select is((select jsonb_array_length(a.before -> 'throttles') from auth.audit a), 6, 'all of it');
select is((select a.after from auth.audit a), null, 'and nothing after');
select ok(a::text !~* '5ec4e7' and strpos(a::text, encode(auth.login_hash('alice@example.com'), 'hex')) = 0, 'and no wrong password') from auth.audit a;

-- Nothing to clear.
select is(pg_temp.clear('carol@example.com'), 'carol@example.com 0', 'a login of which nothing is counted');
select is(pg_temp.clear('carol'), 'carol 0', 'a name that is no address');
select is((select c.removed from api.clear_login_throttles(null, false) c), 0, 'null');
select is(pg_temp.audited(), 1::bigint, 'is not recorded');

-- Who may: no server, not even the one that counts.
select function_privs_are('api', 'find_login_throttles', array['text'], 'authserver_web', array[]::text[], 'a server does not see them');
select function_privs_are('api', 'clear_login_throttles', array['text', 'boolean'], 'authserver_web', array[]::text[], 'nor clears them');
select * from finish();
