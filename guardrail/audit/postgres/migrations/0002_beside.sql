-- What a trail in files has beside its records: who writes, tiles, cosignatures, disclosures, later keys.

-- One row for each time that a replica was opened. Its lease says until when nobody else answers for it.
-- `open` are the intents without a result among its records below `mark`; what came after `mark` is read again.
create table guardrail.runs (
  run     bigint generated always as identity primary key,
  replica text        not null,
  keys    text[]      not null default '{}',
  lease   timestamptz not null,
  mark    bigint      not null default 0,
  open    bigint[]    not null default '{}',
  ended   boolean     not null default false
);

create index runs_left on guardrail.runs (run) where not ended;

-- Which run released a call. No evidence: it says who answers for an intent, and nothing about what was decided.
alter table guardrail.ledger add column run bigint;

create index ledger_runs on guardrail.ledger (run, seq) where run is not null and kind in ('intent', 'result');

create index ledger_kept on guardrail.ledger (seq) where kind in ('key', 'redaction', 'retention');

-- Full tiles of C2SP tlog-tiles: worked out of the records, and the stand-in of those that were pruned.
create table guardrail.tiles (
  level  integer not null check (level >= 0),
  tile   bigint  not null check (tile >= 0),
  hashes bytea   not null check (octet_length(hashes) = 8192),
  primary key (level, tile)
);

-- Checkpoints with the cosignatures that they got.
create table guardrail.cosigned (
  number bigint generated always as identity primary key,
  size   bigint not null,
  note   text   not null
);

create index cosigned_size on guardrail.cosigned (size);

-- What records disclosed: the record has the digest only.
create table guardrail.disclosures (
  record  text not null,
  pointer text not null,
  text    text not null,
  primary key (record, pointer)
);

-- The keys that followed the first one, each with the number of the record that says so.
create table guardrail.keys (
  seq   bigint primary key,
  event text not null check (event in ('added', 'retired')),
  key   text not null,
  next  text not null
);

-- Rows leave only by an order to prune, in a transaction that names the table.
create or replace function guardrail.refuse() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('guardrail.prune', true) = tg_table_name then
    return null;
  end if;
  raise exception '`guardrail.%` only takes new rows: what is written stays as it is', tg_table_name
    using errcode = 'insufficient_privilege';
end $$;

create function guardrail.no_other_text() returns trigger language plpgsql as $$
begin
  raise exception '`guardrail.%` only takes new rows: what is disclosed is deleted or stays as it is', tg_table_name
    using errcode = 'insufficient_privilege';
end $$;

create trigger no_other_text before update or truncate on guardrail.disclosures
  for each statement execute function guardrail.no_other_text();
create trigger append_only before update or delete or truncate on guardrail.tiles
  for each statement execute function guardrail.refuse();
create trigger append_only before update or delete or truncate on guardrail.cosigned
  for each statement execute function guardrail.refuse();
create trigger append_only before update or delete or truncate on guardrail.keys
  for each statement execute function guardrail.refuse();
