-- The roles, and what they may do in this database. `authserver db init`
-- runs this file, or prints it for a database administrator to run in the
-- database that authserver is to use, as superuser, or as the owner of the
-- database with CREATEROLE. Running it again changes nothing.
--
--   authserver_owner          owns the tables and functions; nobody logs in as it
--   authserver_spapi          owns the functions that other servers call; reads single columns
--   authserver_admin          the command line
--   authserver_web            authserver serve
--   authserver_dkimsigner     dkimsigner
--   authserver_mailforwarder  mailforwarder
--
-- The last four log in, by whatever pg_hba.conf and a password of your own
-- allow, own nothing, and execute functions. None is a member of another.
do $$
declare
  role text;
begin
  -- Without this, some of what follows would be warnings, and not done.
  if not exists (
       select from pg_roles r, pg_database d
        where r.rolname = current_user and d.datname = current_database()
          and (r.rolsuper or (r.rolcreaterole and pg_has_role(current_user, d.datdba, 'member')))) then
    raise insufficient_privilege using message =
      format('login %s is neither a superuser nor the owner of database %s with CREATEROLE', current_user, current_database());
  end if;

  foreach role in array array['authserver_owner', 'authserver_spapi'] loop
    if not exists (select from pg_roles r where r.rolname = role) then
      execute format('create role %I nologin', role);
    end if;
  end loop;
  foreach role in array array['authserver_admin', 'authserver_web', 'authserver_dkimsigner', 'authserver_mailforwarder'] loop
    if not exists (select from pg_roles r where r.rolname = role) then
      execute format('create role %I login noinherit', role);
    end if;
    execute format('grant connect on database %I to %I', current_database(), role);
  end loop;

  -- The owner replaces the functions that authserver_spapi owns.
  if not pg_has_role('authserver_owner', 'authserver_spapi', 'member') then
    grant authserver_spapi to authserver_owner;
  end if;

  execute format('grant create on database %I to authserver_owner', current_database());
  grant usage, create on schema public to authserver_spapi;

  -- Temporary objects and objects in public are how a login that may do
  -- nothing else sets traps for those that may.
  execute format('revoke temporary on database %I from public', current_database());
  revoke create on schema public from public;
end
$$;
