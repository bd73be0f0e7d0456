-- A checkpoint is kept only while what it says is so, and the records about keys outlive the pruning of the ledger.

-- The records themselves: whoever trusts the first key follows them, also when their rows are gone.
alter table guardrail.keys add column leaf bytea;
alter table guardrail.keys disable trigger append_only;
update guardrail.keys k set leaf = l.leaf from guardrail.ledger l where l.seq = k.seq;
alter table guardrail.keys enable trigger append_only;

-- Compare and set: signer and writers meet at the frontier. Whoever signs waits for the turn of a writer that retires
-- a key, and sees what it has done; a replica that stood still meanwhile, with whatever lease, keeps nothing more.
create function guardrail.keep_what_is_so() returns trigger language plpgsql as $$
declare
  edge guardrail.frontier;
begin
  -- A statement of its own: the questions below have to see what was committed while this one waited.
  select * into edge from guardrail.frontier for share;
  if new.size > edge.size or (new.size = edge.size and new.roots <> edge.roots)
    or exists (select from guardrail.checkpoints c where c.size = new.size and c.roots <> new.roots)
  then
    raise exception 'no checkpoint is kept over % records that are not those of the ledger', new.size
      using errcode = 'integrity_constraint_violation';
  end if;
  if not exists (
    select from regexp_matches(new.note, '^— \S+ (\S+)$', 'gn') as line (parts)
    join (select vkey from guardrail.log union select next from guardrail.keys) as known
      on split_part(known.vkey, '+', 2) = encode(substr(decode(line.parts[1], 'base64'), 1, 4), 'hex')
    where not exists (select from guardrail.keys k where k.event = 'retired' and k.key = known.vkey)
  ) then
    raise exception 'the key of this checkpoint was retired: give this replica the `trail.key` of the others'
      using errcode = 'integrity_constraint_violation';
  end if;
  return new;
end $$;

create trigger keep_what_is_so before insert on guardrail.checkpoints
  for each row execute function guardrail.keep_what_is_so();
