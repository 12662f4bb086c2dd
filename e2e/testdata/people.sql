-- The people of the tests. Their passwords:
--
--   alice   alice sings    yescrypt           holds imap and smtp
--   bob     bob builds     sha512crypt        holds imap through the group staff
--   carol   carol cooks    bcrypt             holds nothing
--   dave    alice sings    not active
--   eve     alice sings    her address old@example.com is blocked
--
-- Names without '@', both of alice:
--
--   svc-printer   scan to mail   sha512crypt, a password of its own
--   svc-backup    an app password, apz9y8x7-7q0wzr4-m8n5t1c-v6b2h9d-e3s7y3b
--
-- Carol has an app password for imap, apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj.
set role authserver_owner;
set search_path = auth, pg_temp;

insert into domains (name, redirect_to) values
  ('example.com', null),
  ('example.org', 'example.com'),
  ('catchall.example', 'carol@example.com');

insert into login_names (name, kind) values
  ('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('dave', 'user'), ('eve', 'user'),
  ('svc-printer', 'service_user'), ('svc-backup', 'service_user');

insert into users (identifier, full_name, active, password_hash) values
  ('alice', 'Alice', true,  '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$E34UdfMMvvMX/p4XK6j9OEcnFrfQ.WtcP4YN5Dd0eu5'),
  ('bob',   'Bob',   true,  '$6$rounds=5000$abcdefgh12345678$XE747wNI3Tz4WcI2bedtm0rEgrD5msqkKvwyoNpkB201tkUTJwp3xM73GNNiYUnD/snfKKFro36MMxikVrFFb1'),
  ('carol', 'Carol', true,  '$2b$05$abcdefghijklmnopqrstuu78KZQHmT1607dVmv.NZ0PnzRDAxATN.'),
  ('dave',  'Dave',  false, '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$E34UdfMMvvMX/p4XK6j9OEcnFrfQ.WtcP4YN5Dd0eu5'),
  ('eve',   'Eve',   true,  '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$E34UdfMMvvMX/p4XK6j9OEcnFrfQ.WtcP4YN5Dd0eu5');

insert into aliases (local_part, domain_id, user_id, blocked)
select a.local_part, d.id, u.id, a.blocked
  from (values ('alice', 'alice', false), ('sales', 'alice', false),
               ('bob', 'bob', false), ('carol', 'carol', false), ('dave', 'dave', false),
               ('eve', 'eve', false), ('old', 'eve', true)) a (local_part, identifier, blocked)
  join users u on u.identifier = a.identifier
  join domains d on d.name = 'example.com';

update users u set delivery_mailbox_id = a.id
  from aliases a
 where a.user_id = u.id and a.local_part = u.identifier;

with list as (insert into mailing_lists (name) values ('Team') returning id),
     alias as (insert into aliases (local_part, domain_id, mailing_list_id)
               select 'team', d.id, list.id from domains d, list where d.name = 'example.com')
insert into mailing_list_addresses (mailing_list_id, address)
select list.id, m.address from list, (values ('alice@example.com'), ('bob@example.com')) m (address);

insert into permissions (permission_name, name) values ('imap', 'Read mail'), ('smtp', 'Send mail');
insert into user_permissions (user_id, permission_id)
select u.id, p.id from users u, permissions p where u.identifier = 'alice';
with staff as (insert into groups (name) values ('staff') returning id),
     member as (insert into group_members (group_id, user_id)
                select staff.id, u.id from staff, users u where u.identifier = 'bob')
insert into group_permissions (group_id, permission_id)
select staff.id, p.id from staff, permissions p where p.permission_name = 'imap';

insert into app_passwords (id, user_id, secret_hash, crypt_hash, services)
select p.id, u.id, sha256(convert_to(p.canonical, 'UTF8')), p.crypt_hash, p.services
  from (values
    ('k3f9x2', 'carol', 'apk3f9x27q0wzr4m8n5t1cv6b2h9de3s7yxj', array['imap'],
     '$6$rounds=1000$appsaltapp$fHf9.wtM/ZJ4cNzJ2mybeY8kjkBSrzYJiGgveZEkOzJeJmF4eEAI37H7ph5C5j2edb.32z6EBHsP/.wu1aj9E1'),
    ('z9y8x7', 'alice', 'apz9y8x77q0wzr4m8n5t1cv6b2h9de3s7y3b', null,
     '$6$rounds=1000$appsaltbpp$9LJunCfVVBfAZRUbLvhhxRgBs8xTKiDrGWgvLOb7hg4RahAJmMsoNQRO4mx1DmCPh/Mtpb4y2cW41shIeLLYI0')
  ) p (id, identifier, canonical, services, crypt_hash)
  join users u on u.identifier = p.identifier;

insert into service_users (user_id, username, password_hash, app_password_id)
select u.id, s.username, s.password_hash, s.app_password_id
  from (values
    ('svc-printer', '$6$rounds=1000$svcsaltsvc$Gokyy/BobJ4ZXMIC9QUKPPH7MgSgw1qsEdiEb3VTPQAX.FHt7e/Z.AdEGha6GY8IONDJ0ZxL/FA.Tmp/umc5Z.', null),
    ('svc-backup',  null, 'z9y8x7')
  ) s (username, password_hash, app_password_id)
  join users u on u.identifier = 'alice';
