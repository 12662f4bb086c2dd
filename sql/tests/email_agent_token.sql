-- Email agent tokens: good once, while their creator is active.
select plan(26);

insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('gone', 'user');
insert into auth.users (identifier, full_name, active) values ('alice', 'Alice', true), ('bob', 'Bob', true), ('gone', 'Gone', false);
insert into auth.domains (name) values ('example.com');
insert into auth.aliases (local_part, domain_id, user_id) select 'alice', d.id, u.id from auth.users u, auth.domains d where u.identifier = 'alice';
update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;

create function pg_temp.user_id(p_identifier text) returns uuid
language sql as $$ select u.id from auth.users u where u.identifier = p_identifier $$;
create function pg_temp.make(p_identifier text, p_token text) returns text
language sql as $$
  select (api.create_email_agent_token(pg_temp.user_id(p_identifier), sha256(p_token::bytea), 'hint-' || p_token)).outcome
$$;
create function pg_temp.check(p_token text) returns text
language sql as $$ select (api.check_email_agent_token(sha256(p_token::bytea))).outcome $$;
create function pg_temp.redeem(p_token text) returns text
language sql as $$ select (api.redeem_email_agent_token(sha256(p_token::bytea))).outcome $$;

select is(pg_temp.make('alice', 'one'), 'ok', 'made');
select is(pg_temp.make('alice', 'two'), 'ok', 'a second');
select is(pg_temp.make('bob', 'three'), 'ok', 'by another user');
select is(pg_temp.make('gone', 'four'), 'inactive', 'by an inactive user');
select is(pg_temp.make('nobody', 'four'), 'gone', 'by nobody');
select throws_ok($$ select api.create_email_agent_token(pg_temp.user_id('alice'), 'one', 'x') $$, '23514', null, 'a token that is not hashed');
select is((select a.after ? 'token_hash' from auth.audit a where a.object = 'hint-one'), false, 'the hash is not recorded');

select is(pg_temp.check('one'), 'valid', 'good');
select is(pg_temp.check('one'), 'valid', 'still good');
select is(pg_temp.check('none'), 'unknown', 'never made');
select is((api.check_email_agent_token(null)).outcome, 'unknown', 'null is no token');
select is((select (c.creator, c.creator_id = pg_temp.user_id('alice'), c.primary_address, c.token_hint, c.burned_at)::text
             from api.check_email_agent_token(sha256('one')) c), '(alice,t,alice@example.com,hint-one,)', 'whose it is');

select is((select (r.outcome, r.creator, r.primary_address, r.burned_at = now())::text
             from api.redeem_email_agent_token(sha256('one')) r), '(valid,alice,alice@example.com,t)', 'redeemed');
select is(pg_temp.redeem('one'), 'burned', 'but not twice');
select is(pg_temp.check('one'), 'burned', 'and no longer good');
select is(pg_temp.redeem('none'), 'unknown', 'never made');
update auth.users u set active = false where u.identifier = 'bob';
select is(pg_temp.check('three'), 'inactive', 'the creator is no longer active');
select is(pg_temp.redeem('three'), 'inactive', 'nor can it be redeemed');
update auth.users u set active = true where u.identifier = 'bob';
select is(pg_temp.redeem('three'), 'valid', 'until the creator is active again: it was not used up');

select is((api.burn_email_agent_token(sha256('two')))::text, '(ok,hint-two)', 'burned');
select is((api.burn_email_agent_token(sha256('two')))::text, '(burned,hint-two)', 'again');
select is((api.burn_email_agent_token(sha256('none'))).outcome, 'unknown', 'never made');
select is((select array_agg(a.object order by a.id) from auth.audit a where a.action = 'email_agent_token.burn'), array['hint-one', 'hint-three', 'hint-two'], 'each is recorded once');

select is(pg_temp.make('alice', 'five'), 'ok', 'one that stays');
select results_eq($$ select r.token_hint, r.creator from api.remove_burned_email_agent_tokens(pg_temp.user_id('alice'), true) r
                     union all
                     select r.token_hint, r.creator from api.remove_burned_email_agent_tokens(pg_temp.user_id('alice'), false) r $$,
  $$ values ('hint-one', 'alice'), ('hint-two', 'alice'), ('hint-one', 'alice'), ('hint-two', 'alice') $$, 'burned tokens of one user go');
select set_eq($$ select l.token_hint, l.creator, l.burned_at is null from api.list_email_agent_tokens(null) l $$,
  $$ values ('hint-five', 'alice', true), ('hint-three', 'bob', false) $$, 'the others stay');

select * from finish();
