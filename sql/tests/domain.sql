-- Domains: creation, redirects, parents, removal.
select plan(57);

-- What most of these calls leave as it is.
create function auth.create_domain(p_name text, p_redirect_to text default null, p_jwt_subdomains boolean default false)
returns text language sql
as $$ select concat_ws(': ', c.outcome, c.detail)
        from api.create_domain(p_name, null, p_redirect_to, p_jwt_subdomains, false, 'default', '+-', null) c $$;
create function auth.redirect(p_name text, p_redirect_to text)
returns text language sql
as $$ select concat_ws(': ', e.outcome, e.detail)
        from api.edit_domain(p_name, p_redirect_to, null, null, null, null, null, null, false) e $$;
create function auth.found(p_name text, p_contains text, p_above text, p_jwt_subdomains boolean default null)
returns text language sql
as $$ select string_agg(f.name, ' ' order by f.name) from api.find_domains(p_name, p_contains, p_above, p_jwt_subdomains) f $$;

-- create
select is(auth.create_domain('example.com', p_jwt_subdomains => true), 'ok', 'a domain is made');
select is(auth.create_domain('example.com'), 'exists', 'but once');
select is(auth.create_domain('mail.example.com'), 'ok', 'one below another is one of its own');
select is((select a.after ->> 'name' from auth.audit a where a.action = 'domain.create' and a.object = 'example.com'),
  'example.com', 'what was made is in the audit trail');
select throws_ok($$ select auth.create_domain('Example.org') $$, '23514', null, 'a name that was not normalised is refused');
select throws_ok($$ select auth.create_domain('a..example') $$, '23514', null, 'and one with an empty label');
select is((select c.outcome from api.create_domain('xn--bcher-kva.example', 'bücher.example', null, false, true, 'mail', '+', null) c),
  'ok', 'a domain has a spelling in U-labels');
select results_eq(
  $$ select f.name, f.unicode_name, f.redirect_to, f.jwt_subdomains, f.transactional, f.dkim_selector, f.subaddress_separators, f.has_jwt_key, f.has_dkim_key
       from api.find_domains('xn--bcher-kva.example', null, null, null) f $$,
  $$ values ('xn--bcher-kva.example', 'bücher.example', null::text, false, true, 'mail', '+', false, false) $$,
  'everything about it is listed');

-- redirects
select is(auth.create_domain('self.test', 'self.test'), 'loop: self.test, self.test', 'a domain is not redirected to itself');
select is(auth.create_domain('self.test', 'catchall@self.test'), 'loop: self.test, self.test', 'nor to one of its own addresses');
select is(auth.found('self.test', null, null), null, 'and was not made');
select is(auth.create_domain('a.test', 'b.test'), 'ok', 'a redirect may go to a domain that is not ours');
select is(auth.create_domain('b.test', 'a.test'), 'loop: b.test, a.test, b.test', 'which cannot become ours and go back');
select is(auth.create_domain('b.test', 'alice@c.test'), 'ok', 'it may go elsewhere');
select is(auth.create_domain('c.test', 'a.test'), 'loop: c.test, a.test, b.test, c.test', 'a longer way is seen, through addresses too');
select is(auth.create_domain('c.test'), 'ok', 'a domain without a redirect ends the way');
select is(auth.redirect('c.test', 'a.test'), 'loop: c.test, a.test, b.test, c.test', 'until it is edited');
select is(auth.redirect('c.test', 'alice@example.com'), 'ok', 'a redirect is set');
select is(auth.redirect('c.test', null), 'ok', 'an edit of something else leaves it alone');
select is((select f.redirect_to from api.find_domains('c.test', null, null, null) f), 'alice@example.com', '(it did)');
select is(auth.redirect('c.test', ''), 'ok', 'it is cleared');
select is((select f.redirect_to from api.find_domains('c.test', null, null, null) f), null, '(it is)');
select is(auth.redirect('nowhere.test', 'a.test'), 'unknown', 'what is not there is not redirected');
select is((select array_agg(a.after ->> 'redirect_to' order by a.id) from auth.audit a where a.action = 'domain.edit' and a.object = 'c.test'),
  array['alice@example.com', null], 'what changed is in the audit trail, and nothing else');
-- A loop that is older than the rule does not hang.
update auth.domains d set redirect_to = 'a.test' where d.name = 'c.test';
select is(auth.create_domain('d.test', 'a.test'), 'ok', 'a loop among others is not this domain''s');
update auth.domains d set redirect_to = null where d.name = 'c.test';

-- edit
select is((select e.outcome from api.edit_domain('mail.example.com', null, true, true, 'mail', '', null, null, false) e), 'ok', 'all is edited at once');
select results_eq(
  $$ select f.jwt_subdomains, f.transactional, f.dkim_selector, f.subaddress_separators from api.find_domains('mail.example.com', null, null, null) f $$,
  $$ values (true, true, 'mail', '') $$, '(it was)');
select is((select e.outcome from api.edit_domain('mail.example.com', null, null, null, null, null, null, null, false) e), 'ok', 'or nothing is');
select results_eq(
  $$ select f.jwt_subdomains, f.transactional, f.dkim_selector, f.subaddress_separators from api.find_domains('mail.example.com', null, null, null) f $$,
  $$ values (true, true, 'mail', '') $$, 'and then all stays');
select is((select e.outcome from api.edit_domain('mail.example.com', null, false, null, null, null, null, null, false) e), 'ok', 'false is a value');

-- find
select is(auth.found(null, null, null), 'a.test b.test c.test d.test example.com mail.example.com xn--bcher-kva.example', 'all are found');
select is(auth.found('mail.example.com', null, null), 'mail.example.com', 'one is');
select is(auth.found('mail.example.com', null, 'mail.example.com'), 'example.com mail.example.com', 'with those above it');
select is(auth.found('x.mail.example.com', null, 'x.mail.example.com'), 'example.com mail.example.com', 'even if it is not there itself');
select is(auth.found('badexample.com', null, 'badexample.com'), null, 'a name that ends alike is not below');
select is(auth.found(null, 'B', null), 'b.test xn--bcher-kva.example', 'a part of the name is enough');
select is(auth.found(null, 'ücher', null), 'xn--bcher-kva.example', 'in U-labels too');
select is(auth.found(null, '%', null), null, 'a part is no pattern');
select is(auth.found(null, 'mail.example.com', 'mail.example.com', true), 'example.com', 'those that sign for domains below');

-- parents
select is(api.find_parent_domain('mail.example.com', false), 'mail.example.com', 'a domain answers for itself, even without a key');
select is(api.find_parent_domain('a.b.example.com', false), 'example.com', 'or the nearest above that signs for those below');
select is(api.find_parent_domain('a.mail.example.com', false), 'example.com', 'which this one in between does not');
select is(api.find_parent_domain('a.b.example.com', true), null, 'without a key it cannot');
select is(api.find_parent_domain('other.test', false), null, 'and a stranger has none');

-- remove
insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user');
insert into auth.users (identifier, full_name) values ('alice', 'Alice'), ('bob', 'Bob');
insert into auth.aliases (local_part, domain_id, user_id)
select v.local_part, d.id, u.id
  from (values ('alice', 'example.com', 'alice'), ('bob', 'c.test', 'bob'), ('sales', 'c.test', 'bob')) v (local_part, domain, identifier)
  join auth.domains d on d.name = v.domain
  join auth.users u on u.identifier = v.identifier;
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id and a.local_part = 'alice';
create function auth.removed(p_names text[], p_with_aliases boolean, p_dry_run boolean)
returns text language sql
as $$ select string_agg(concat_ws(' ', r.name, r.outcome, r.aliases, array_to_string(r.mailboxes, ',')), '; ' order by r.name)
        from api.remove_domains(array(select d.id from auth.domains d where d.name = any (p_names)), p_with_aliases, p_dry_run) r $$;

select is(auth.removed(array['a.test', 'c.test'], false, false), 'a.test ok 0 ; c.test has_aliases 2 ', 'a domain with aliases stays');
select is(auth.found('a.test', null, null), 'a.test', 'and so does one named together with it');
select is(auth.removed(array['example.com'], true, false), 'example.com has_mailboxes 1 alice', 'a delivery mailbox is never taken away, and its user is named');
select is(auth.removed(array['a.test', 'c.test'], true, true), 'a.test ok 0 ; c.test ok 2 ', 'a dry run says the same');
select is(auth.found(null, 'c.test', null), 'c.test', 'and removes nothing');
select is(auth.removed(array['a.test', 'c.test'], true, false), 'a.test ok 0 ; c.test ok 2 ', 'aliases go too, if that is said');
select is((select jsonb_agg(a.before -> 'aliases' order by a.object) from auth.audit a where a.action = 'domain.remove'),
  '[null, ["bob@c.test", "sales@c.test"]]', 'the audit trail names them');
select is(array(select a.object from auth.audit a where a.action = 'alias.remove' order by a.object), array['bob@c.test', 'sales@c.test'], 'and has each under its own name');
insert into auth.docker_registries (client_id, name, domain_id) select n, n, d.id from auth.domains d, unnest(array['r2', 'r1']) n where d.name = 'b.test';
select is((select (r.outcome, r.registries)::text from api.remove_domains(array(select d.id from auth.domains d where d.name = 'b.test'), true, false) r),
  '(has_registries,"{r1,r2}")', 'a domain that registries belong to stays, and they are named');
select is(auth.found('b.test', null, null), 'b.test', '(it does)');
delete from auth.docker_registries r;
insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, domain_id)
  select n, n, 'public', 'none', '{authorization_code}', d.id from auth.domains d, unnest(array['c2', 'c1']) n where d.name = 'b.test';
select is((select (r.outcome, r.clients)::text from api.remove_domains(array(select d.id from auth.domains d where d.name = 'b.test'), true, false) r),
  '(has_clients,"{c1,c2}")', 'so does one of clients');
delete from auth.oauth2_clients c;
select is(auth.removed(array['b.test'], true, false), 'b.test ok 0 ', 'until they are gone');
select is((select r.outcome from api.remove_domains(array[0], true, false) r), 'gone', 'what is not there is said');

select * from finish();
