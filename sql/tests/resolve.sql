-- What a login name or an address means, beyond the acceptance table of
-- spapi.sql.
select plan(9);

insert into auth.login_names (name, kind) values ('jean', 'user');
insert into auth.users (identifier, full_name) values ('jean', 'Jean');
insert into auth.domains (name, subaddress_separators) values ('both.test', '+-'), ('plus.test', '+'), ('none.test', '');
insert into auth.aliases (local_part, domain_id, user_id) select 'jean', d.id, u.id from auth.domains d, auth.users u;
insert into auth.aliases (local_part, domain_id, blocked) select 'jean-luc', d.id, true from auth.domains d;

create function pg_temp.found(p_address text) returns text
language sql as $$ select concat_ws(' ', a.local_part, case when f.blocked then 'blocked' end) from auth.find_alias(p_address) f left join auth.aliases a on a.id = f.alias_id $$;
select is(pg_temp.found('jean+luc@both.test'), 'jean-luc blocked', 'a blocked extension is blocked in both spellings');
select is(pg_temp.found('jean+luc@plus.test'), 'jean', 'where a hyphen is a letter like others, it is another name');
select is(pg_temp.found('jean-luc@plus.test'), 'jean-luc blocked', 'which is blocked itself');
select is(pg_temp.found('jean-x@plus.test'), '', 'and is no separator');
select is(pg_temp.found('jean+luc@none.test'), '', 'nothing is, if there are none');

select is((auth.parse_address(repeat('a', 64) || '@' || repeat('é', 240))).local_part, repeat('a', 64), 'a long address');
select is((auth.parse_address('a@' || repeat('é', 600))).local_part, null, 'one that is too long for any domain');

do $$ begin perform auth.record('user.create', 'jean', null, '{}'); end $$;
select is(array(select t.action from api.audit_trail(null, 'user', null, null, null) t), array['user.create'], 'a noun finds its actions');
select is(array(select t.action from api.audit_trail(null, '%', null, null, null) t), array[]::text[], 'an action is not a pattern');
select * from finish();
