-- Clients of OAuth 2.0: made, found, edited, applied, removed; their secrets.
select plan(1);
select is((select c.outcome from api.create_oauth2_client('c1', '{"name": "wiki", "type": "confidential", "grant_types": ["authorization_code"]}', '\x00', null) c), 'ok', 'x');
select * from finish();
