"""What is known of one operation of a command line, beyond what its verb says."""

from __future__ import annotations

import msgspec

from guardrail.model import Op


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that is known better than by its verb.

    Args:
        op: what is done to `object`; of a copy it is the target.
        object: template of what it is done to: `{--option|-o}` is an option's value, `{0}` an operand.
        origin: template of what is copied from.
        files: options, or numbers of operands, whose value is a local file or directory that is sent.
        outs: the same for what is written here.
        missing: the local directory that is sent if none is named.
        lands: the local directory that is written to if none is named.
    """

    op: Op
    object: str
    origin: str = ""
    files: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    missing: str = ""
    lands: str = ""


def fact(
    op: Op,
    name: str,
    origin: str = "",
    *,
    files: tuple[str, ...] = (),
    outs: tuple[str, ...] = (),
    missing: str = "",
    lands: str = "",
) -> Fact:
    """A fact, written short."""
    return Fact(op=op, object=name, origin=origin, files=files, outs=outs, missing=missing, lands=lands)
