"""Recorded decisions, made again under another policy.

Each record of a decision has the document that policy saw, so a replay asks the very same question.
Not concerned with whether the trail is genuine: `guardrail audit verify` is.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from guardrail.cli._words import counted
from guardrail.errors import ConfigError

DECIDE_SECONDS: Final = 10.0
"""Longest time for one decision of a replay, in seconds."""

MAX_SHOWN: Final = 200
"""Most changes that are listed as text; JSON has all of them."""


MAX_RECORDED_RULES: Final = 16
"""A record with as many rules may have left some out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One recorded decision that would be another one.

    Args:
        seq: number of its record.
        tool: what was called.
        was: its outcome then.
        now: its outcome under the new policy, `fault` if there is none.
        gone: rules that no longer fire.
        come: rules that fire now.
        why: what the fault is, if it is one.
        other: rules that fire as before, where none comes or goes: one of them asks for something else now.
    """

    seq: int
    tool: str
    was: str
    now: str
    gone: tuple[str, ...]
    come: tuple[str, ...]
    why: str = ""
    other: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found.

    Args:
        revision: the new policy.
        compared: number of decisions that were made again.
        left_out: number of decisions whose record has no document: faults, very long ones, or `trail.documents` is off.
        changes: those that would be others.
    """

    revision: str
    compared: int
    left_out: int
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    def lines(self) -> Iterator[str]:
        """As text, a line for each change and one for the whole."""
        for change in self.changes[:MAX_SHOWN]:
            signed = (("-", change.gone), ("+", change.come), ("~", change.other))
            rules = " ".join(f"{sign}{rule}" for sign, named in signed for rule in named)
            arrow = change.was if change.was == change.now else f"{change.was} -> {change.now}"
            yield f"{change.seq:>7}  {arrow:<20}  {change.tool}  {rules}{change.why}"
        if len(self.changes) > MAX_SHOWN:
            yield f"         and {len(self.changes) - MAX_SHOWN} more"
        rest = f"; {counted(self.left_out, 'record')} without a document left out" if self.left_out else ""
        yield (
            f"{self.revision}: {len(self.changes)} of {counted(self.compared, 'decision')} would be"
            f" {'another' if len(self.changes) == 1 else 'others'}{rest}"
        )


def replay(new: str, *, config: str | None, trail: str | None, last: int | None) -> Replay:
    """Make recorded decisions again.

    Args:
        new: the other policy, a directory or a tar.gz.
        config: guardrail.toml whose trail and keys are meant, if any was named.
        trail: the trail, if not that of the configuration.
        last: only so many of the last decisions.

    Raises:
        ConfigError: if the policy or the trail cannot be used, or holds no decision that can be made again.
    """
    engine = _open(new, config, trail)
    try:
        rows: Any = _recorded(trail or _trail_of(config))
        if last is not None:
            rows = deque(rows, maxlen=last)
        changes: list[Change] = []
        compared = left_out = 0
        for record in rows:
            document = record.get("document")
            if not isinstance(document, str):
                left_out += 1
                continue
            compared += 1
            change = _compared(engine, record, document)
            if change is not None:
                changes.append(change)
        if not compared:
            raise ConfigError(
                "no record in this trail has the document that policy saw, so nothing can be replayed:"
                " set `trail.documents = true` and judge some calls"
            )
        return Replay(revision=engine.revision, compared=compared, left_out=left_out, changes=tuple(changes))
    finally:
        engine.close()


def _open(new: str, given: str | None, trail: str | None) -> Any:
    from guardrail.cli import find_config
    from guardrail.config import Config, load
    from guardrail.policy._engine import verification_keys
    from guardrail.policy._wasm import WasmEngine
    from guardrail.policy.bundles._read import receive
    from guardrail.policy.bundles._source import BundleFiles

    # Only a trail that was named by hand needs no configuration, and then nobody asks for a signature.
    config = load(find_config(given)) if given is not None or trail is None else Config()
    source = BundleFiles(Path(new).absolute())
    fetched = source.fetch("")
    if fetched is None:
        raise ConfigError(f"there is no policy bundle at `{new}`")
    keys = verification_keys(config)
    received = receive(fetched.members, keys=keys, key_id=config.policy.key_id, where=source.name)
    return WasmEngine(received.bundle, memory_bytes=config.policy.memory_bytes)


def _trail_of(given: str | None) -> str:
    from guardrail.audit import trail_place
    from guardrail.cli import find_config
    from guardrail.config import load

    return trail_place(load(find_config(given)))


def _recorded(directory: str) -> Iterator[dict[str, Any]]:
    from guardrail.audit import is_store, need_driver
    from guardrail.audit._verify import read_records

    if is_store(directory):
        need_driver()
    try:
        for _, record in read_records(directory):
            if record.get("kind") in ("intent", "decision"):
                yield record
    except OSError as error:
        raise ConfigError(f"cannot read the trail at `{directory}`: {(error.strerror or str(error)).lower()}") from None


def _compared(engine: Any, record: dict[str, Any], document: str) -> Change | None:
    from guardrail.errors import EngineFault
    from guardrail.policy._conclude import read_answer

    then = cast("dict[str, Any]", record.get("decision") or {})
    was, rules = str(then.get("outcome")), tuple(map(str, cast("list[object]", then.get("rules") or [])))
    call = cast("dict[str, Any]", record.get("call") or {})
    seq, tool = int(record.get("seq", -1)), str(call.get("tool", "?"))
    try:
        answer = read_answer(engine.decide(document.encode(), deadline=time.monotonic() + DECIDE_SECONDS).answer)
    except EngineFault as error:
        return Change(seq=seq, tool=tool, was=was, now="fault", gone=(), come=(), why=f"({error})")
    # The record lists the first rules only, and each as often as it fired; as sets, and cut alike, they compare.
    now = {hit.id for hit in answer.hits}
    gone = tuple(sorted(set(rules) - now))
    come = tuple(sorted(now - set(rules))) if len(rules) < MAX_RECORDED_RULES else ()
    if answer.outcome == was and not gone and not come:
        return None
    other = () if gone or come else tuple(sorted(now))
    return Change(seq=seq, tool=tool, was=was, now=answer.outcome, gone=gone, come=come, other=other)
