-- Wrong passwords, counted for each name, network of the client and service.
-- Unlogged: a crash forgets them, which costs less than writing them twice.
-- There is a row for names that nobody has, too, or a throttled answer would
-- tell who exists.
create unlogged table auth.login_throttles (
  login_hash bytea       not null,  -- SHA-256 of the folded name without its extension; people type passwords there
  network    cidr        not null,  -- of the client, /32 or /64; 0.0.0.0/0: unknown; ::/0: all together, which only slows answers
  service    text        collate "C" not null,  -- '': all together
  failures   real        not null,  -- wrong passwords, less those that time has forgiven
  changed_at timestamptz not null default now(),
  wrong      bytea[]     not null default '{}',  -- the last different wrong passwords, as MACs

  primary key (login_hash, network, service),
  constraint login_throttles_login_hash_is_sha256 check (octet_length(login_hash) = 32),
  constraint login_throttles_service_length check (octet_length(service) <= 64),
  constraint login_throttles_failures_not_negative check (failures >= 0)
);
create index login_throttles_changed_at on auth.login_throttles (changed_at);
