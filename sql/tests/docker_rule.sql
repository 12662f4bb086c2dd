-- Rules of Docker registries: allowed, added to, taken from, and gone with whom
-- they are for.
select plan(104);

insert into auth.domains (name) values ('example.com');
insert into auth.docker_registries (client_id, name, domain_id) select n, n, d.id from auth.domains d, unnest(array['one', 'two']) n;
insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('svc', 'service_user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.aliases (local_part, domain_id, user_id) select 'al', d.id, u.id from auth.domains d, auth.users u where u.identifier = 'alice';
insert into auth.service_users (user_id, username, password_hash) select u.id, 'svc', '$y$svc' from auth.users u where u.identifier = 'alice';
insert into auth.groups (name) values ('staff'), ('guests');

create function pg_temp.id(p_client_id text) returns bigint
language sql as $$ select coalesce((select r.id from auth.docker_registries r where r.client_id = p_client_id), -1) $$;
create function pg_temp.allow(p_actions text, p_subject text default 'anyone', p_who text default null, p_pattern text default '**', p_registry text default 'one') returns text
language sql as $$
  select concat_ws(' ', a.outcome, array_to_string(a.actions, ','), a.changed)
    from api.allow_docker_rule(pg_temp.id(p_registry), p_pattern, p_subject, p_who, p_who, string_to_array(p_actions, ',')) a
$$;
create function pg_temp.deny(p_actions text, p_subject text default 'anyone', p_who text default null, p_pattern text default '**', p_registry text default 'one') returns text
language sql as $$
  select concat_ws(' ', d.outcome, '-' || array_to_string(d.changed, ','), '=' || array_to_string(d.actions, ','))
    from api.deny_docker_rule(pg_temp.id(p_registry), p_pattern, p_subject, p_who, p_who, string_to_array(p_actions, ',')) d
$$;
create function pg_temp.rules() returns text
language sql as $$
  select string_agg(concat_ws(' ', l.registry, l.pattern, l.subject, l.user_identifier, l.group_name, array_to_string(l.actions, ',')), '; ' order by l.registry, l.id)
    from api.list_docker_rules(null, null, null) l
$$;
create function pg_temp.last_audit() returns text
language sql as $$ select concat_ws(' ', a.action, a.object, a.before -> 'actions', '>', a.after -> 'actions') from auth.audit a order by a.id desc limit 1 $$;

-- Allowing.
select is(pg_temp.allow('pull'), 'ok pull t', 'a rule');
select is(pg_temp.last_audit(), 'docker_rule.allow one > ["pull"]', 'is recorded under its registry');
select is(pg_temp.allow('pull'), 'ok pull f', 'the same again is no change');
select is(pg_temp.allow('delete,push,pull,push'), 'ok pull,push,delete t', 'more is added, in the order in which it is stored, each once');
select is(pg_temp.last_audit(), 'docker_rule.allow one ["pull"] > ["pull", "push", "delete"]', 'and recorded');
select is(pg_temp.allow('catalog'), 'ok pull,push,delete,catalog t', 'the catalog, too');
select is(pg_temp.rules(), 'one ** anyone pull,push,delete,catalog', 'it is one rule');
select is(pg_temp.allow('pull', p_registry => 'two'), 'ok pull t', 'another registry has its own');
select is(pg_temp.allow('pull', p_registry => 'three'), 'gone', 'one that is not there has none');
select is(pg_temp.allow('pull', 'users'), 'ok pull t', 'whoever has logged in');
select is(pg_temp.allow('pull', 'users', p_pattern => 'a/*'), 'ok pull t', 'another pattern is another rule');
select is(pg_temp.allow('push', 'user', who, 'team/app'), 'ok push ' || changed, 'a user by ' || who)
  from (values (1, 'alice', 't'), (2, 'AL@example.com', 'f'), (3, 'svc', 'f'), (4, (select u.id::text from auth.users u where u.identifier = 'alice'), 'f')) v (nr, who, changed);
select is(pg_temp.allow('push', 'user', 'nobody'), 'no_user', 'nobody');
select is(pg_temp.allow('push', 'user', null), 'no_user', 'null is nobody');
select is(pg_temp.allow('push', 'user', 'staff'), 'no_user', 'a group is no user');
select is(pg_temp.allow('pull', 'group', (select g.id::text from auth.groups g where g.name = 'staff'), 'team/**'), 'ok pull t', 'a group by id');
select is(pg_temp.allow('push', 'group', 'staff', 'team/**'), 'ok pull,push t', 'or name');
select is(pg_temp.allow('push', 'group', 'Staff'), 'no_group', 'no group');
select is(pg_temp.allow('push', 'group', null), 'no_group', 'null is none');
select is((select (a.after ->> 'group', a.after ->> 'user', a.after ? 'group')::text from auth.audit a order by a.id desc limit 1), '(staff,,t)', 'whom it is for is recorded by name');
select is(pg_temp.allow('pull', 'users', 'alice', '${user}/**'), 'ok pull t', 'a name does not make everybody somebody');
select is((select (l.user_identifier, l.group_name)::text from api.list_docker_rules(null, null, null) l where l.pattern = '${user}/**'), '(,)', '(it does not)');

-- What is refused.
select throws_ok(format($$ select pg_temp.allow(%L, p_pattern => 'new') $$, n), '23514', null, 'actions ' || n)
  from unnest(array['', '*', 'pull,other', 'PULL']) n;
select throws_ok($$ select api.allow_docker_rule(pg_temp.id('one'), 'x', 'anyone', null, null, null) $$, '23502', null, 'actions null');
select throws_ok($$ select api.allow_docker_rule(pg_temp.id('one'), 'x', 'anyone', null, null, array['pull', null]) $$, '23514', null, 'an action that is null');
select throws_ok($$ select pg_temp.allow('pull,catalog', p_pattern => 'a/**') $$, '23514', null, 'the catalog of a part');
select throws_ok(format('select pg_temp.allow(%L, %L)', 'pull', n), '23514', null, 'subject ' || n) from unnest(array['', 'everybody', 'User']) n;
select throws_ok($$ select pg_temp.allow('pull', null) $$, '23502', null, 'subject null');
select throws_ok(format('select pg_temp.allow(%L, p_pattern => %L)', 'pull', n), '23514', null, 'pattern ' || n)
  from unnest(array['', '/', 'a/', '/a', 'a//b', 'A', 'a b', 'a**', '**a', 'a/b**', '***', '**/***', '${user}x', 'x${user}', '${group}', '$', 'a,b', 'é', E'a\nb', repeat('a', 256)]) n;
select throws_ok($$ select pg_temp.allow('pull', p_pattern => null) $$, '23502', null, 'pattern null');
select is(pg_temp.allow('pull', p_pattern => n, p_registry => 'two'), 'ok pull t', 'pattern ' || n)
  from unnest(array['a', '*', '*/*', 'a*b*c', '**/a', 'a/**/b', '**/**', '${user}', 'a/${user}/b', 'r.example:5000/a-b_c', repeat('a', 255)]) n;
select throws_ok(format($$
    insert into auth.docker_rules (registry_id, pattern, subject, user_id, group_id, actions)
    select pg_temp.id('one'), 'x', %L, case when %L then u.id end, case when %L then g.id end, '{pull}'
      from auth.users u, auth.groups g where u.identifier = 'alice' and g.name = 'staff' $$, subject, has_user, has_group), '23514', null,
  format('subject %s with user %s, group %s', subject, has_user, has_group))
  from (values ('user', false, false), ('user', true, true), ('user', false, true), ('group', false, false), ('group', true, false), ('group', true, true),
               ('users', true, false), ('users', false, true), ('anyone', true, false), ('anyone', false, true)) v (subject, has_user, has_group);
select throws_ok($$ insert into auth.docker_rules (registry_id, pattern, subject, actions) values (pg_temp.id('one'), '**', 'users', '{pull}') $$, '23505', null, 'two rules for the same');
select throws_ok($$ insert into auth.docker_rules (registry_id, pattern, subject, actions) values (pg_temp.id('one'), 'x', 'users', '{}') $$, '23514', null, 'a rule that allows nothing');

-- What the token endpoint sees, and what an operator does.
do $$ begin perform api.remove_docker_registries(array[pg_temp.id('two')], false); end $$;
select results_eq(
  $$ select d.registry, d.pattern, d.subject, d.user_id = auth.find_user('alice'), d.group_name, d.actions from api.docker_rules() d $$,
  $$ values ('one', '**', 'anyone', null, null, array['pull', 'push', 'delete', 'catalog']), ('one', '**', 'users', null, null, '{pull}'),
            ('one', 'a/*', 'users', null, null, '{pull}'), ('one', 'team/app', 'user', true, null, '{push}'),
            ('one', 'team/**', 'group', null, 'staff', '{pull,push}'), ('one', '${user}/**', 'users', null, null, '{pull}') $$, 'all rules');
select is(array(select l.pattern || ' ' || l.subject from api.list_docker_rules(pg_temp.id('one'), null, null) l),
  array['${user}/** users', '** anyone', '** users', 'a/* users', 'team/** group', 'team/app user'], 'by pattern, the widest first');
select is(array(select l.pattern from api.list_docker_rules(null, auth.find_user('alice'), null) l), array['team/app'], 'those for a user');
select is(array(select l.pattern from api.list_docker_rules(null, null, 'staff') l), array['team/**'], 'those for a group');
select is((select count(*) from api.list_docker_rules(null, null, 'nothing')) + (select count(*) from api.list_docker_rules(-1, null, null)), 0::bigint, 'none of what is not there');

-- Denying.
select is(pg_temp.deny('push,catalog,push'), 'ok -push,catalog =pull,delete', 'some actions');
select is(pg_temp.last_audit(), 'docker_rule.deny one ["pull", "push", "delete", "catalog"] > ["pull", "delete"]', 'are recorded');
select is(pg_temp.deny('push'), 'ok - =pull,delete', 'what was not allowed stays so');
select is(pg_temp.last_audit(), 'docker_rule.deny one ["pull", "push", "delete", "catalog"] > ["pull", "delete"]', 'which is no change');
select is(pg_temp.deny(null), 'ok -pull,delete =', 'all of it');
select is(pg_temp.last_audit(), 'docker_rule.deny one ["pull", "delete"] >', 'and the rule is gone');
select is(pg_temp.deny(null), 'no_rule', 'once');
select is(pg_temp.deny('pull', p_pattern => 'a/**'), 'no_rule', 'a pattern that is not a rule''s, though it would match');
select is(pg_temp.deny('pull', p_registry => 'two'), 'gone', 'no registry');
select is(pg_temp.deny('pull', 'user', 'nobody'), 'no_user', 'no user');
select is(pg_temp.deny('pull', 'user', 'bob', 'team/app'), 'no_rule', 'another user''s rule is another');
select is(pg_temp.deny('pull', 'group', 'nothing'), 'no_group', 'no group');
select is(pg_temp.deny('pull', 'group', 'guests', 'team/**'), 'no_rule', 'another group''s rule is another');
select is(pg_temp.deny('push', 'user', 'al@example.com', 'team/app'), 'ok -push =', 'the last action of a user');
select is(pg_temp.rules(), 'one ** users pull; one a/* users pull; one team/** group staff pull,push; one ${user}/** users pull', 'the others stay');

-- Rules go with whom they are for, and the token endpoint is told.
do $$ begin perform api.allow_docker_rule(pg_temp.id('one'), 'x', 'user', 'bob', null, '{pull}'); end $$;
do $$ begin perform api.remove_group('staff'); end $$;
select is((select (a.action, a.object, a.before ->> 'group')::text from auth.audit a where a.action ~ 'docker' order by a.id desc limit 1), '(docker_rule.deny,one,staff)', 'those of a group');
do $$ begin perform api.remove_users(array[auth.find_user('bob')], true); end $$;
select is(array(select l.user_identifier from api.list_docker_rules(null, null, null) l where l.subject = 'user'), array['bob'], 'a user who would go has them still');
do $$ begin perform api.remove_users(array[auth.find_user('bob')], false); end $$;
select is((select (a.action, a.object, a.before ->> 'user')::text from auth.audit a where a.action ~ 'docker' order by a.id desc limit 1), '(docker_rule.deny,one,bob)', 'those of one who goes');
select is(pg_temp.rules(), 'one ** users pull; one a/* users pull; one ${user}/** users pull', 'and no other');

select * from finish();
