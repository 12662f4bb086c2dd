-- Who changed what. Every function that changes a row writes one of these in
-- the same transaction, through auth.record; a change without its audit row
-- cannot be committed.
create table auth.audit (
  id     bigint      generated always as identity primary key,
  at     timestamptz not null default clock_timestamp(),
  actor  text        not null,  -- who asked, as the program says: 'cli:root', later a user
  login  name        not null default session_user,  -- who asked, as PostgreSQL knows
  origin text        not null,  -- from where: host or client address
  action text        not null,  -- 'user.create': the noun of the command line and a verb
  object text        not null,  -- what was changed, by the name people use
  before jsonb,                 -- null: it did not exist
  after  jsonb,                 -- null: it no longer does

  constraint audit_action_form check (action ~ '^[a-z_]+\.[a-z_]+$')
);

-- The trail is read by object, newest first, and by time.
create index audit_object on auth.audit (object, id);
create index audit_at on auth.audit (at);
