-- What has to be there before the first migration; changes nothing later.
create schema if not exists auth;
create schema if not exists api;

-- PostgreSQL lets everybody execute a new function. Not ours.
alter default privileges revoke execute on functions from public;

create table if not exists auth.installed (
  only_row   boolean primary key default true check (only_row),
  version    int     not null default 0,      -- migrations applied
  api_digest text    not null default '',     -- of the function files installed
  spapi      boolean not null default false   -- whether schema public holds our authserver_*()
);
insert into auth.installed default values on conflict do nothing;
