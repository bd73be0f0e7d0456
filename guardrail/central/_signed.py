"""What a guard says at the centre of its escalations, signed with the key of its trail, and how others read it.

INVARIANT: the centre can keep something back, and can say nothing in a guard's name: what is read was signed by the key
that signs the guard's checkpoints. A key that the centre made up shows escalations that no guard has, and a vote on one
of those is worth nothing anywhere (`shown_of`).
"""

from __future__ import annotations

import base64
from collections import deque
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import orjson

from guardrail.audit._note import read_keys
from guardrail.audit._verify_note import read_key
from guardrail.errors import ConfigError
from guardrail.mandates import seal, unseal
from guardrail.review import Case
from guardrail.review._commands import Refusal
from guardrail.review._view import lines

CASE_TYPE: Final = "application/vnd.guardrail.case.v1+json"
ANSWER_TYPE: Final = "application/vnd.guardrail.answer.v1+json"

MAX_NOTE_BYTES: Final = 4 * 1024 * 1024
"""Largest case with everything that was said of it, in bytes."""

MAX_ANSWER_BYTES: Final = 16 * 1024
"""Largest answer to a statement, in bytes."""

MAX_WHY_CHARS: Final = 1_000
"""Longest reason that is given for an answer, in characters."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """A case, as its guard has it.

    Args:
        origin: name of the trail that it is in.
        case: the escalation and what came of it.
        v: version of this form.
    """

    origin: str
    case: Case
    v: Literal[1] = 1


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a statement.

    Args:
        origin: name of the trail of whoever says so.
        statement: SHA-256 of the envelope, in hexadecimal.
        code: why it came to nothing, in one word; empty if it was recorded.
        why: the same in a sentence.
        v: version of this form.
    """

    origin: str
    statement: str
    code: Refusal | Literal[""] = ""
    why: str = ""
    v: Literal[1] = 1


class Away(NamedTuple):
    """A case of another guard, as it was found at the centre.

    Args:
        origin: name of the trail that it is in.
        escalation: its id.
        case: the case; None if what was found is not what that guard has signed.
        why: what is wrong with it.
    """

    origin: str
    escalation: str
    case: Case | None
    why: str = ""


_shared: Final = msgspec.json.Decoder(Shared)
_said: Final = msgspec.json.Decoder(Said)


class Pen:
    """Signs for one trail.

    Args:
        key: file with the trail's private key.
        origin: its name.

    Raises:
        TrailError: if the file is none.
        OSError: if it cannot be read.
    """

    def __init__(self, key: Path, origin: str) -> None:
        self.origin: Final = origin
        # The last of them signs from now on, if one is being replaced.
        self._key = read_keys(key)[-1]

    def case(self, case: Case) -> bytes:
        """A case as others may read it; of sign-ins the claims stay in the trail."""
        votes = tuple(
            vote if vote.proof.startswith("ed25519:") else msgspec.structs.replace(vote, envelope="")
            for vote in case.votes
        )
        return self._sealed(
            CASE_TYPE, Shared(origin=self.origin, case=msgspec.structs.replace(case, votes=votes, notices=()))
        )

    def said(self, statement: str, code: Refusal | Literal[""], why: str) -> bytes:
        """What came of a statement."""
        return self._sealed(
            ANSWER_TYPE, Said(origin=self.origin, statement=statement, code=code, why=why[:MAX_WHY_CHARS])
        )

    def _sealed(self, kind: str, value: Any) -> bytes:
        return seal(kind, orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_SORT_KEYS), self._key)


def read_case(note: bytes, origin: str, escalation: str, vkey: str) -> Away:
    """The case that was found under a name.

    Args:
        note: what was found.
        origin: the trail that it is said to be of.
        escalation: the id that it is said to have.
        vkey: the key of that trail; empty if the centre has seen none.
    """
    try:
        shared = _opened(note, CASE_TYPE, MAX_NOTE_BYTES, origin, vkey, _shared)
    except ConfigError as error:
        return Away(origin, escalation, None, str(error))
    case: Case = shared.case
    if case.held.id != escalation:
        return Away(origin, escalation, None, "it is another one")
    try:
        # What people are shown is looked at once here: no page has to reckon with a call that no guard could hold.
        deque(lines(case, 0), maxlen=0)
    except Exception as error:  # noqa: BLE001 - the centre may have made up the key as well
        return Away(origin, escalation, None, f"it cannot be shown: {type(error).__name__}")
    return Away(origin, escalation, case)


def read_said(answer: bytes, origin: str, statement: str, vkey: str) -> Said | None:
    """What came of a statement; None if it is not known, whatever the centre says.

    Args:
        answer: what was found.
        origin: the trail of whoever was told.
        statement: SHA-256 of the envelope, in hexadecimal.
        vkey: the key of that trail; empty if the centre has seen none.
    """
    try:
        said = _opened(answer, ANSWER_TYPE, MAX_ANSWER_BYTES, origin, vkey, _said)
    except ConfigError:
        return None
    return said if said.statement == statement else None


def _opened(data: bytes, kind: str, most: int, origin: str, vkey: str, decoder: msgspec.json.Decoder[Any]) -> Any:
    sealed = unseal(data, kind, most=most, what="note")
    sealed.check(origin, "trail", {origin: _public(vkey, origin)})
    found = sealed.read(decoder, "note")
    if found.origin != origin:
        raise ConfigError("it is of another trail")
    return found


def _public(vkey: str, origin: str) -> bytes:
    """The public key of a trail.

    Raises:
        ConfigError: if it is none of that trail.
    """
    if not vkey:
        raise ConfigError("the centre has no checkpoint of its trail yet")
    try:
        key = read_key(vkey)
    except ValueError as error:
        raise ConfigError(f"the key of its trail {error}") from None
    if key.name != origin:
        raise ConfigError("the key is of another trail")
    return base64.b64decode(vkey.split("+", 2)[2])[1:]
