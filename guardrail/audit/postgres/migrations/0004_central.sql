-- What guards have in common that each keep a trail of their own: orders, how often they were used, how far trails are.
-- The rows are transport. An order counts by its signature, which each guard verifies; so does the note of a checkpoint.

create table guardrail.mandates (
  digest   text generated always as (encode(sha256(envelope), 'hex')) stored primary key,
  envelope bytea       not null check (octet_length(envelope) between 1 and 65536),
  noted    timestamptz not null default now()
);

create table guardrail.revocations (
  digest   text generated always as (encode(sha256(envelope), 'hex')) stored primary key,
  envelope bytea       not null check (octet_length(envelope) between 1 and 147456),
  noted    timestamptz not null default now()
);

-- How often a grant was used, by all guards together.
create table guardrail.uses (
  mandate text   not null check (octet_length(mandate) <= 128),
  reach   text   not null check (octet_length(reach) <= 64),
  used    bigint not null,
  primary key (mandate, reach)
);

-- The newest checkpoint of each trail, how it follows from the one before, and what its guard says of itself.
create table guardrail.origins (
  origin text primary key check (octet_length(origin) between 1 and 1020),
  vkey   text        not null check (octet_length(vkey) <= 2048),
  size   bigint      not null check (size >= 0),
  root   bytea       not null check (octet_length(root) = 32),
  note   text        not null check (octet_length(note) <= 8192),
  proof  bytea       not null check (octet_length(proof) <= 32 * 63),
  facts  jsonb       not null check (octet_length(facts::text) <= 8192),
  noted  timestamptz not null default now()
);

create function guardrail.tell() returns trigger language plpgsql as $$
begin
  perform pg_notify('guardrail', tg_table_name);
  return null;
end $$;

create trigger tell after insert or delete on guardrail.mandates for each statement execute function guardrail.tell();
create trigger tell after insert on guardrail.revocations for each statement execute function guardrail.tell();

create trigger append_only before update or truncate on guardrail.mandates
  for each statement execute function guardrail.refuse();
create trigger append_only before update or delete or truncate on guardrail.revocations
  for each statement execute function guardrail.refuse();
create trigger append_only before delete or truncate on guardrail.uses
  for each statement execute function guardrail.refuse();

create function guardrail.one_more() returns trigger language plpgsql as $$
begin
  if new.used <> (case tg_op when 'INSERT' then 1 else old.used + 1 end)
    or (tg_op = 'UPDATE' and (new.mandate, new.reach) <> (old.mandate, old.reach))
  then
    raise exception 'uses of an order are counted one by one, and none is given back'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger one_more before insert or update on guardrail.uses
  for each row execute function guardrail.one_more();

-- RFC 9162 section 2.1.4.2: whether a tree begins with exactly the records of an earlier one.
create function guardrail.is_consistent(old_size bigint, new_size bigint, old_root bytea, new_root bytea, proof bytea)
returns boolean language plpgsql immutable as $$
declare
  here    bigint  := old_size - 1;
  last    bigint  := new_size - 1;
  at      integer := 1;
  path    bytea   := proof;
  first   bytea;
  second  bytea;
  sibling bytea;
begin
  if old_size = 0 or old_size = new_size then
    return octet_length(proof) = 0 and old_size <= new_size
      and old_root = (case old_size when new_size then new_root else sha256('') end);
  end if;
  if old_size > new_size or octet_length(proof) = 0 or octet_length(proof) % 32 <> 0 then
    return false;
  end if;
  if old_size & (old_size - 1) = 0 then
    path := old_root || proof;
  end if;
  while here & 1 = 1 loop
    here := here >> 1;
    last := last >> 1;
  end loop;
  first := substr(path, 1, 32);
  second := first;
  at := 33;
  while at < octet_length(path) loop
    if last = 0 then
      return false;
    end if;
    sibling := substr(path, at, 32);
    if here & 1 = 1 or here = last then
      first := sha256('\x01'::bytea || sibling || first);
      second := sha256('\x01'::bytea || sibling || second);
      while here <> 0 and here & 1 = 0 loop
        here := here >> 1;
        last := last >> 1;
      end loop;
    else
      second := sha256('\x01'::bytea || second || sibling);
    end if;
    here := here >> 1;
    last := last >> 1;
    at := at + 32;
  end loop;
  return last = 0 and first = old_root and second = new_root;
end $$;

-- Compare and set: the row of a trail is held while its next checkpoint is compared with the one before.
create function guardrail.only_extends() returns trigger language plpgsql as $$
begin
  new.size := split_part(new.note, E'\n', 2)::bigint;
  new.root := decode(split_part(new.note, E'\n', 3), 'base64');
  new.noted := now();
  if split_part(new.note, E'\n', 1) <> new.origin then
    raise exception 'the note is about another trail' using errcode = 'integrity_constraint_violation';
  end if;
  if tg_op = 'INSERT' then
    return new;
  end if;
  if new.origin <> old.origin or new.vkey <> old.vkey then
    raise exception 'the trail has another key' using errcode = 'integrity_constraint_violation';
  end if;
  if new.size < old.size then
    raise exception 'it has % records, and % were seen: it was put back to an older state', new.size, old.size
      using errcode = 'integrity_constraint_violation';
  end if;
  if not guardrail.is_consistent(old.size, new.size, old.root, new.root, new.proof) then
    raise exception 'its first % records are not those that were seen: it was rewritten, or two trails have this name',
      old.size using errcode = 'integrity_constraint_violation';
  end if;
  return new;
end $$;

create trigger only_extends before insert or update on guardrail.origins
  for each row execute function guardrail.only_extends();
