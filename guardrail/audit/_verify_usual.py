"""Records as a guard writes most of them, read at a fraction of what it costs to read just any.

A leaf is taken here only if its shape is written down below, and only if writing it again gives the same bytes; any
other is for `read_leaf`, which says what is wrong with it. So these shapes decide how fast, and never what is right.
INVARIANT: nothing here is imported from the writer, and the fields of each shape stand in the order of RFC 8785: what
is written from a shape is canonical, and so is a leaf that is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

_LARGEST_INT: Final = 2**53 - 1

_LINES: Final = msgspec.json.Encoder()

_Text = str | UnsetType
_Number = Annotated[int, msgspec.Meta(ge=-_LARGEST_INT, le=_LARGEST_INT)]


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What was asked."""

    digest: _Text = UNSET
    id: _Text = UNSET
    tool: _Text = UNSET


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What was decided."""

    elapsed_us: _Number | UnsetType = UNSET
    engine: _Text = UNSET
    outcome: _Text = UNSET
    policy: _Text = UNSET
    rules: list[str] | UnsetType = UNSET


class Deed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One effect."""

    asset: _Text = UNSET
    inode: list[_Number] | UnsetType = UNSET
    key: _Text = UNSET
    op: _Text = UNSET
    precision: _Text = UNSET
    resource: _Text = UNSET
    target: _Text = UNSET


class Agent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Who asked."""

    id: _Text = UNSET
    model: _Text = UNSET
    principal: _Text = UNSET


class Usual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One record about a call; most fields may be missing, as what a record has to have is no matter of its form."""

    assets: list[str] | UnsetType = UNSET
    boot: _Text = UNSET
    call: Call | str | UnsetType = UNSET
    decision: Verdict | UnsetType = UNSET
    decision_id: _Text = UNSET
    document: _Text = UNSET
    duties: list[str] | UnsetType = UNSET
    effects: list[Deed] | UnsetType = UNSET
    error: _Text = UNSET
    escalation: _Text = UNSET
    grant: _Text = UNSET
    id: _Text = UNSET
    intent: _Number | UnsetType = UNSET
    kind: Literal["decision", "intent", "result"]
    log: str
    mode: _Text = UNSET
    mono_us: _Number | UnsetType = UNSET
    result: _Text = UNSET
    seq: _Number
    session: _Text = UNSET
    subject: Agent | UnsetType = UNSET
    t_us: _Number | UnsetType = UNSET
    use: _Number | UnsetType = UNSET
    v: _Number | UnsetType = UNSET


def usual_reader() -> Callable[[Sequence[bytes]], list[Usual | None]]:
    """What reads leaves, or says with None of each that is not usual that it is for `read_leaf`."""
    decode, encode, encode_lines = msgspec.json.Decoder(Usual).decode, msgspec.json.encode, _LINES.encode_lines

    def read(leaves: Sequence[bytes]) -> list[Usual | None]:
        records: list[Usual | None] = []
        for leaf in leaves:
            try:
                records.append(decode(leaf))
            except ValueError:
                records.append(None)
        known = [record for record in records if record is not None]
        some = (
            leaves
            if len(known) == len(leaves)
            else [leaf for leaf, record in zip(leaves, records, strict=True) if record is not None]
        )
        # One line for each record is written, and no line break inside of one: where all of it is the same as all
        # leaves, each leaf is the same as what is written of its record.
        if encode_lines(known) == b"\n".join((*some, b"")):
            return records
        return [
            record if record is not None and encode(record) == leaf else None
            for leaf, record in zip(leaves, records, strict=True)
        ]

    return read
