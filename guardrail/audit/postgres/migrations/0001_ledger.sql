-- The shared ledger. One database holds one ledger; every name is qualified, so that no search path changes what is meant.

-- The name and the verifier key of the ledger: one row, written once.
create table guardrail.log (
  one    boolean primary key default true check (one),
  origin text not null,
  vkey   text not null
);

-- The records. `leaf` is the evidence; `hash` is computed here, so that no writer can say another one.
-- `kind` repeats what the leaf says, for finding records quickly; the verifier compares it.
create table guardrail.ledger (
  seq  bigint primary key check (seq >= 0),
  kind text   not null,
  leaf bytea  not null check (octet_length(leaf) between 1 and 61440),
  hash bytea  not null generated always as (sha256('\x00'::bytea || leaf)) stored
);

-- What review folds is rare among decisions.
create index ledger_review on guardrail.ledger (seq) where kind in ('escalation', 'grant', 'redemption', 'vote');

-- The right edge of the Merkle tree: whoever holds this row writes. The roots of its perfect subtrees, largest first.
create table guardrail.frontier (
  one   boolean primary key default true check (one),
  size  bigint  not null check (size >= 0),
  roots bytea   not null check (octet_length(roots) = 32 * bit_count(size::bit(64)))
) with (fillfactor = 10);

insert into guardrail.frontier (size, roots) values (0, '');

-- Signed notes, with the right edge of the tree that each is about.
create table guardrail.checkpoints (
  size  bigint primary key check (size >= 0),
  note  text  not null,
  roots bytea not null check (octet_length(roots) = 32 * bit_count(size::bit(64)))
);

-- The rights of the writers are the first lock on all this; these triggers also hold the owner back from a slip.
create function guardrail.refuse() returns trigger language plpgsql as $$
begin
  raise exception '`guardrail.%` only takes new rows: what is written stays as it is', tg_table_name
    using errcode = 'insufficient_privilege';
end $$;

create function guardrail.only_grow() returns trigger language plpgsql as $$
begin
  if new.size <= old.size then
    raise exception 'the ledger only grows: it has % records, not %', old.size, new.size
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger append_only before update or delete or truncate on guardrail.ledger
  for each statement execute function guardrail.refuse();
create trigger append_only before update or delete or truncate on guardrail.checkpoints
  for each statement execute function guardrail.refuse();
create trigger append_only before update or delete or truncate on guardrail.log
  for each statement execute function guardrail.refuse();
create trigger append_only before delete or truncate on guardrail.frontier
  for each statement execute function guardrail.refuse();
create trigger only_grow before update on guardrail.frontier
  for each row execute function guardrail.only_grow();
