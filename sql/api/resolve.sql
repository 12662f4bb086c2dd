-- What a login name or a mail address means: the one place that resolves.
-- The functions for other servers (spapi.sql) and those of our own daemons
-- call these, with their own rights and their own search_path.
--
-- Backslashes are in E'' strings only: what they mean in others is a setting of
-- the session, and the session may be a hostile login's.

-- auth.parse_address splits an address at its '@' and folds ASCII letters.
-- Both parts are null if it is no address. The grammar is that of Go's
-- address.ParseAddress; a domain that is not ASCII is taken as it is, to be
-- compared with the U-labels that Go has stored.
create or replace function auth.parse_address(p_address text, out local_part text, out domain text)
language plpgsql immutable strict parallel safe
as $$
declare
  folded text := case when octet_length(p_address) <= 1024 then lower(p_address collate "C") end;
begin
  -- One expression, because PostgreSQL prepares each of them anew in every
  -- transaction. No address is longer than that, be its domain in U-labels. The
  -- atoms are those of RFC 5321 section 4.1.2 without '|', and of RFC 6531
  -- section 3.3.
  if folded ~ E'^[^\u0001-\u0020"(),.:;<>@[\\\\\\]|\u007f-\u009f]+([.][^\u0001-\u0020"(),.:;<>@[\\\\\\]|\u007f-\u009f]+)*@[^\u0001-\u0020@\u007f-\u009f]+$'
     and folded is nfc normalized
     and strpos(folded, '@') <= 65 and octet_length(split_part(folded, '@', 1)) <= 64
     and (folded ~ E'@.*[^\u0001-\u007f]'
          or (folded ~ '@[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'
              and folded !~ '@.*[^.]{64}'
              and octet_length(split_part(folded, '@', 2)) <= 253
              and octet_length(folded) <= 254)) then
    local_part := split_part(folded, '@', 1);
    domain := split_part(folded, '@', 2);
  end if;
end
$$;

-- auth.find_domain returns the domain of this name, be it in A-labels or in
-- the U-labels that are stored; its id is null if there is none.
create or replace function auth.find_domain(
  p_name                    text,
  out id                    bigint,
  out name                  text,
  out redirect_to           text,
  out subaddress_separators text
)
language plpgsql stable parallel safe
as $$
declare
  folded text := lower(p_name collate "C");
begin
  select d.id, d.name, d.redirect_to, d.subaddress_separators
    into id, name, redirect_to, subaddress_separators
    from auth.domains d
   where d.name = folded;
  if id is null and folded ~ E'[^\u0001-\u007f]' then
    select d.id, d.name, d.redirect_to, d.subaddress_separators
      into id, name, redirect_to, subaddress_separators
      from auth.domains d
     where d.unicode_name = folded;
  end if;
end
$$;

-- auth.find_alias returns what an address means: its domain, and the alias that
-- matches exactly or else, cut at a separator of sub-addresses, most of it. So
-- 'a-b+c' is looked for as 'a-b+c', 'a-b', 'a'.
--
-- domain_id is null if the domain is unknown, alias_id if nothing matches. An
-- extension that is blocked in one spelling ('a+b') is blocked in the other
-- ('a-b'), unless that is an alias of its own or the domain has one separator
-- only.
create or replace function auth.find_alias(
  p_address           text,
  out domain_id       bigint,
  out domain_name     text,
  out redirect_to     text,
  out alias_id        bigint,
  out user_id         uuid,
  out mailing_list_id bigint,
  out blocked         boolean
)
language plpgsql stable parallel safe
as $$
declare
  asked record;
  folded text := case when octet_length(p_address) <= 1024 then lower(p_address collate "C") end;
  wanted text := split_part(folded, '@', 1);
  separators text;
begin
  -- Most addresses are aliases of a domain in A-labels. What is stored is an
  -- address, and so is what equals it.
  select d.id, d.name, d.redirect_to, d.subaddress_separators, a.id, a.user_id, a.mailing_list_id, a.blocked
    into domain_id, domain_name, redirect_to, separators, alias_id, user_id, mailing_list_id, blocked
    from auth.domains d
    left join auth.aliases a on a.domain_id = d.id and a.local_part = wanted
   where d.name = substr(folded, length(wanted) + 2);
  if alias_id is not null then
    return;
  end if;

  asked := auth.parse_address(p_address);
  if asked.domain is null then
    domain_id := null;
    domain_name := null;
    redirect_to := null;
    return;
  end if;
  if domain_id is null then
    select d.id, d.name, d.redirect_to, d.subaddress_separators, a.id, a.user_id, a.mailing_list_id, a.blocked
      into domain_id, domain_name, redirect_to, separators, alias_id, user_id, mailing_list_id, blocked
      from auth.find_domain(asked.domain) d
      left join auth.aliases a on a.domain_id = d.id and a.local_part = wanted;
  end if;
  if domain_id is null or separators = '' then
    return;
  end if;

  -- From the whole to what is left of the first separator. Each step asks for
  -- one value, so that its plan is made once for a session.
  while alias_id is null loop
    if separators = '+-' and wanted <> translate(wanted, '+-', '') then
      select a.id, a.user_id, a.mailing_list_id, a.blocked
        into alias_id, user_id, mailing_list_id, blocked
        from auth.aliases a
       where a.domain_id = find_alias.domain_id and a.blocked
         and translate(a.local_part, '-', '+') = translate(wanted, '-', '+')
       limit 1;
      exit when alias_id is not null;
    end if;
    wanted := substring(wanted from '^(.+)[' || separators || ']');
    exit when wanted is null;
    select a.id, a.user_id, a.mailing_list_id, a.blocked
      into alias_id, user_id, mailing_list_id, blocked
      from auth.aliases a
     where a.domain_id = find_alias.domain_id and a.local_part = wanted;
  end loop;
end
$$;

-- auth.primary_address returns the address of the mailbox that receives a
-- user's mail, or null if the user is not active or has none.
create or replace function auth.primary_address(p_user_id uuid)
returns text
language plpgsql stable parallel safe
as $$
begin
  return (
    select a.local_part || '@' || d.name
      from auth.users u
      join auth.aliases a on a.id = u.delivery_mailbox_id
      join auth.domains d on d.id = a.domain_id
     where u.id = p_user_id and u.active);
end
$$;

-- auth.permission_names returns the permissions that a user holds, directly or
-- through a group, some of them twice. It is SQL, without rights or settings of
-- its own, so that it becomes part of the query that asks.
create or replace function auth.permission_names(p_user_id uuid)
returns table (permission_name text)
language sql stable parallel safe
begin atomic
  select p.permission_name
    from auth.user_permissions up
    join auth.permissions p on p.id = up.permission_id
   where up.user_id = p_user_id
   union all
  select p.permission_name
    from auth.group_members gm
    join auth.group_permissions gp on gp.group_id = gm.group_id
    join auth.permissions p on p.id = gp.permission_id
   where gm.user_id = p_user_id;
end;

-- auth.has_permission tells whether a user holds a permission.
create or replace function auth.has_permission(p_user_id uuid, p_permission_name text)
returns boolean
language plpgsql stable parallel safe
as $$
begin
  return exists (
    select from auth.permission_names(p_user_id) n where n.permission_name = p_permission_name);
end
$$;

-- auth.crypt_verifies tells whether crypt(3) of Debian verifies this hash, at a
-- cost that a login may have. Only such a hash may leave through SQL: an unusable
-- password must not be one that a server compares in a way of its own, and one
-- login must not keep a mail server busy for hours.
--
-- The limits are those of Go's account.CryptVerifiable: 2 million rounds, bcrypt
-- cost 14, 128 MiB for yescrypt.
create or replace function auth.crypt_verifies(p_hash text)
returns boolean
language plpgsql immutable parallel safe
as $$
begin
  return coalesce(
    p_hash ~ '^[$][56][$](rounds=([1-9][0-9]{3,5}|1[0-9]{6}|2000000)[$])?[./0-9A-Za-z]{0,16}[$][./0-9A-Za-z]+$'
    or p_hash ~ '^[$]2[aby][$](0[4-9]|1[0-4])[$][./0-9A-Za-z]{53}$'
    or p_hash ~ '^[$]y[$]j([7-9A-C][./0-9A-T]|D[./0-9A-D]|E[./0-5]|F[./01])[$][./0-9A-Za-z]{0,86}[$][./0-9A-Za-z]+$',
    false);
end
$$;

-- auth.credentials returns the one password hash that a server may verify a
-- login with, and the primary address of its user. Null means: refuse.
--
-- A login is an address of an active user, by alias or sub-address, or the name
-- of a service user. p_permission null asks for none. A server that asks here
-- knows neither client address nor, without a permission, the service: an app
-- password that is limited to some is then refused, not trusted.
create or replace function auth.credentials(
  p_login             text,
  p_permission        text,
  out password        text,
  out primary_address text
)
language plpgsql stable parallel safe
as $$
declare
  hash text;
  owner uuid;
  alias record;
begin
  if strpos(p_login, '@') > 0 then
    alias := auth.find_alias(p_login);
    if alias.user_id is null or alias.blocked or alias.redirect_to is not null then
      return;
    end if;
    owner := alias.user_id;
  else
    select s.user_id, coalesce(s.password_hash, ap.crypt_hash)
      into owner, hash
      from auth.service_users s
      left join auth.app_passwords ap on ap.id = s.app_password_id
     where s.username = lower(p_login collate "C")
       and (s.app_password_id is null
            or (ap.revoked_at is null
                and (ap.expires_at is null or ap.expires_at > now())
                and ap.networks is null
                and (ap.services is null or p_permission = any (ap.services))));
  end if;
  -- The hash of an address is its user's; the rest is what auth.primary_address
  -- says, asked for in the same step.
  select coalesce(hash, u.password_hash), a.local_part || '@' || d.name
    into password, primary_address
    from auth.users u
    join auth.aliases a on a.id = u.delivery_mailbox_id
    join auth.domains d on d.id = a.domain_id
   where u.id = owner and u.active
     and (p_permission is null
          or exists (select from auth.permission_names(u.id) n where n.permission_name = p_permission));
  if not auth.crypt_verifies(password) then
    password := null;
    primary_address := null;
  end if;
end
$$;

-- auth.client_address reads the address of a client as a server reports it. It
-- is null if it is none: that is in no network, and no reason to fail. IPv4 by
-- way of IPv6 (::ffff:192.0.2.1) is IPv4.
create or replace function auth.client_address(p_address text)
returns inet
language plpgsql immutable
as $$
declare
  address inet;
begin
  address := p_address;
  if address << inet '::ffff:0:0/96' and masklen(address) = 128 then
    return inet '0.0.0.0' + (address - inet '::ffff:0:0');
  end if;
  return address;
exception when invalid_text_representation then
  return null;
end
$$;
