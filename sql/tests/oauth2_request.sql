-- Saved requests.
select no_plan();

insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types)
values ('wiki', 'Wiki', 'confidential', 'client_secret_basic', '{authorization_code}');

select is((select s.outcome from api.save_oauth2_request(sha256('a'), 'wiki', '{"scope": ["openid"]}', '1 hour') s), 'ok', 'kept');
select is((select s.outcome from api.save_oauth2_request(sha256('b'), n, '{}', '1 hour') s), 'no_client', 'of nobody') from unnest(array['nothing', null]) n;
select results_eq($$ select f.* from api.find_oauth2_request(sha256('a')) f $$, $$ values ('wiki', 'Wiki', '{}'::text[], '{"scope": ["openid"]}'::jsonb, now()) $$, 'found');
select results_eq($$ select f.client_id from api.find_oauth2_request(sha256('a')) f $$, $$ values ('wiki') $$, 'as often as it takes');
select is_empty($$ select from api.find_oauth2_request(sha256('b')) f $$, 'one that was not kept');
select is_empty($$ select from api.find_oauth2_request(null) f $$, 'null is none');
select throws_ok($$ select api.save_oauth2_request(sha256('a'), 'wiki', '{}', '1 hour') $$, '23505', null, 'a handle is made once');
select throws_ok($$ select api.save_oauth2_request('a', 'wiki', '{}', '1 hour') $$, '23514', null, 'the handle itself instead of its hash');
do $$ begin perform api.forget_oauth2_request(sha256('b')), api.forget_oauth2_request(null); end $$;
select isnt_empty($$ select from api.find_oauth2_request(sha256('a')) f $$, 'another is forgotten');
update auth.oauth2_requests r set expires_at = now();
select is_empty($$ select from api.find_oauth2_request(sha256('a')) f $$, 'an expired one is not found');
update auth.oauth2_requests r set expires_at = now() + interval '1 s';
select isnt_empty($$ select from api.find_oauth2_request(sha256('a')) f $$, 'a moment before it is');
do $$ begin perform api.forget_oauth2_request(sha256('a')); end $$;
select is_empty($$ select from api.find_oauth2_request(sha256('a')) f $$, 'forgotten');
select is_empty($$ select from auth.audit a where a.action like 'oauth2_request%' $$, 'nobody has changed anything');
select * from finish();
