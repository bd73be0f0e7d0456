-- Escalations of guards that each keep a trail of their own, and what people say to them by way of the centre.
-- The rows are transport. A case and an answer count by the key of the trail that they are of, a statement by the
-- signature of the person, and what comes of it is decided by the guard that asked, in its own trail.

create table guardrail.cases (
  origin     text        not null check (octet_length(origin) between 1 and 1020),
  escalation text        not null check (octet_length(escalation) between 1 and 128),
  digest     text        generated always as (encode(sha256(note), 'hex')) stored,
  waits      boolean     not null,
  grants     text[]      not null,
  note       bytea       not null check (octet_length(note) between 1 and 4194304),
  noted      timestamptz not null default now(),
  primary key (origin, escalation)
);

create index cases_waiting on guardrail.cases (noted) where waits;
create index cases_named on guardrail.cases (escalation text_pattern_ops);

create table guardrail.statements (
  digest   text        primary key check (octet_length(digest) = 64),
  origin   text        not null check (octet_length(origin) between 1 and 1020),
  -- Taken out with the answer: a sign-in is in it, which nobody needs any more.
  envelope bytea       check (octet_length(envelope) between 1 and 16384 and digest = encode(sha256(envelope), 'hex')),
  answer   bytea       check (octet_length(answer) between 1 and 16384),
  noted    timestamptz not null default now(),
  check ((envelope is null) = (answer is not null))
);

create index statements_waiting on guardrail.statements (origin, noted) where answer is null;

-- Each guard hears of what is said to it, and of nothing that is said to others.
create function guardrail.tell_one() returns trigger language plpgsql as $$
begin
  perform pg_notify('guardrail_' || left(encode(sha256(convert_to(new.origin, 'UTF8')), 'hex'), 32), tg_table_name);
  return null;
end $$;

create trigger tell_one after insert on guardrail.statements for each row execute function guardrail.tell_one();

create function guardrail.answered_once() returns trigger language plpgsql as $$
begin
  if old.answer is not null or (new.digest, new.origin, new.noted) <> (old.digest, old.origin, old.noted) then
    raise exception 'what was said stays as it is, and is answered once' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger answered_once before update on guardrail.statements
  for each row execute function guardrail.answered_once();

-- What people announce to all guards: which assets there are, and which policy bundle is to be served.
create table guardrail.announced (
  kind     text        not null check (kind in ('inventory', 'bundle')),
  digest   text        generated always as (encode(sha256(envelope), 'hex')) stored,
  envelope bytea       not null check (octet_length(envelope) between 1 and 33554432),
  noted    timestamptz not null default now(),
  primary key (kind, digest)
);

create trigger tell after insert or delete on guardrail.announced for each statement execute function guardrail.tell();
create trigger append_only before update or truncate on guardrail.announced
  for each statement execute function guardrail.refuse();
