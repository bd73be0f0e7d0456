"""What the kernel saw and the analysis did not, as a file: the call, and what it should have been known to do.

A case is for whoever mends the analysis: `guardrail check --case FILE` says whether it knows by now.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardrail.enforcement import Observed
    from guardrail.model import Effect, ToolCall

MODE: Final = 0o600
"""Permissions of a case: a call may hold what is nobody else's business."""

MAX_CASE_BYTES: Final = 8 * 1024 * 1024
"""Largest case that is read, in bytes."""


class Missed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An effect on an asset that the call was not judged to have.

    Args:
        op: in the kernel's words.
        asset: id of the asset.
        resource: where it was.
        syscall: the call that tried it.
    """

    op: str
    asset: str
    resource: str
    syscall: str


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call, and what was missed of it.

    Args:
        call: the call, as `guardrail check --once` takes it.
        missed: what the kernel saw besides.
    """

    call: msgspec.Raw
    missed: tuple[Missed, ...]


def missed_of(observed: Iterable[Observed]) -> tuple[Missed, ...]:
    """What the kernel saw of a call that it was not judged to do, each once."""
    found = (
        Missed(op=one.op, asset=one.asset, resource=one.resources[0].address, syscall=one.syscall)
        for one in observed
        if one.is_surprise and one.asset is not None
    )
    return tuple(dict.fromkeys(found))


def write_case(path: str, call: ToolCall, missed: Sequence[Missed]) -> None:
    """Write a call and what was missed of it.

    Args:
        path: a file that is not there yet.
        call: the call.
        missed: at least one effect.

    Raises:
        OSError: if the file is there, or cannot be written.
    """
    text = msgspec.json.encode(Case(call=msgspec.Raw(msgspec.json.encode(call)), missed=tuple(missed)))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb") as file:
        file.write(msgspec.json.format(text, indent=2) + b"\n")


def read_case(path: str) -> tuple[ToolCall, tuple[Missed, ...]]:
    """The call of a case, and what was missed of it.

    Raises:
        ConfigError: if it cannot be read, or is no case.
    """
    from guardrail.errors import ConfigError, InvalidCall
    from guardrail.model import ToolCall

    try:
        with open(path, "rb") as file:
            case = msgspec.json.decode(file.read(MAX_CASE_BYTES), type=Case)
        return ToolCall.from_json(bytes(case.call)), case.missed
    except OSError as error:
        raise ConfigError(f"the case `{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, InvalidCall) as error:
        raise ConfigError(
            f"`{path}` is no case, as `guardrail run --case` and `guardrail audit case` write it: {error}"
        ) from None


def still_missed(effects: Sequence[Effect], missed: Sequence[Missed]) -> tuple[Missed, ...]:
    """What the analysis does not know to this day."""
    from guardrail.confine.kernel import predictions

    known = predictions(effects)
    return tuple(one for one in missed if (one.op, one.asset) not in known)
