"""What a trail says about itself: what was pruned and by whose order, holds, redactions, and disclosures beside it.

INVARIANT: nothing here is imported from the writer.
Source of disclosures: RFC 9901 section 4.2 (SD-JWT).
"""

from __future__ import annotations

import base64
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

Tell = Callable[..., None]
"""Takes what is wrong, and `file`, `offset` and `seq` by name."""

Disclosing = tuple[int, str, dict[str, str]]
"""A record that disclosed something: its number and id, and the digests by pointer."""

ORDER_TYPE: Final = "application/vnd.guardrail.retention.v1+json"
"""DSSE payload type of an order to prune."""

SIGNERS: Final = 2
"""How many different people have to sign an order to prune."""

_TILE_BYTES: Final = 8192

_HOLE: Final = bytes(32)
"""What stands where a hash was never written."""


def tile_name(level: int, index: int) -> str:
    """Where C2SP tlog-tiles puts a full tile."""
    name = f"{index % 1000:03d}"
    while index := index // 1000:
        name = f"x{index % 1000:03d}/{name}"
    return f"tile/{level}/{name}"


def tile_hashes(directory: Path, level: int, index: int) -> bytes | None:
    """A full tile, or None if it is not there; what a crash leaves of one counts as not there."""
    try:
        data = (directory / tile_name(level, index)).read_bytes()
    except FileNotFoundError:
        return None
    # Looking for zeros anywhere costs next to nothing; where they begin matters only if there are any.
    hole = _HOLE in data and _HOLE in {data[at : at + 32] for at in range(0, len(data), 32)}
    return data if len(data) == _TILE_BYTES and not hole else None


class Kept(ABC):
    """What the records about the trail itself say, and whether what lies beside it fits.

    Args:
        people: public keys by the name of who owns them, if they are known.
        tell: takes problems.
    """

    def __init__(self, people: Mapping[str, bytes] | None, tell: Tell) -> None:
        self._people = people
        self._tell = tell
        self._prunes: list[tuple[int, dict[str, Any]]] = []
        self._keys_of: dict[int, object] = {}
        self._pruned: dict[str, Any] | None = None
        self._digests: list[tuple[int, str, dict[str, str]]] = []
        self.minimum = self._read_minimum()
        """Number of the first record that was not pruned."""
        self.holds: dict[str, str] = {}
        """Legal holds in force, with their reasons."""
        self.redacted: dict[tuple[int, str], str] = {}
        """What was redacted, record and pointer, with the reason."""
        self.readable = self.missing = 0
        self.keys: list[int] = []
        """Numbers of the records about keys that outlived the pruning of their place."""

    @abstractmethod
    def _read_minimum(self) -> int:
        """Number of the first record that was not pruned, as the trail has it."""

    @abstractmethod
    def _held(self, wanted: Sequence[Disclosing]) -> Iterator[tuple[Disclosing, str, dict[str, object]]]:
        """What is left of what each of these disclosed, with where it lies."""

    def learn(self, seq: int, record: dict[str, Any], origin: str) -> None:
        """A record about the trail itself was read."""
        kind, event = record.get("kind"), record.get("event")
        if kind == "redaction":
            self.redacted[_number(record.get("record")), str(record.get("pointer"))] = str(record.get("reason"))
        elif kind == "retention" and event == "hold":
            self.holds[str(record.get("hold"))] = str(record.get("reason"))
        elif kind == "retention" and event == "release":
            self.holds.pop(str(record.get("hold")), None)
        elif kind == "retention" and event == "prune":
            if self.holds:
                self._tell(f"orders to prune under the legal hold `{min(self.holds)}`", seq=seq)
            names = self._signers(record.get("order"), origin, seq)
            self._prunes.append((seq, {"record": seq, "minimum": _number(record.get("minimum")), "by": names}))
            self._keys_of[seq] = record.get("keys")

    def _signers(self, order: Any, origin: str, seq: int) -> list[str]:
        """Who signed an order to prune; what is wrong with it is told."""
        try:
            return self._checked(order, origin)
        except (ValueError, KeyError, TypeError) as error:
            self._tell(f"the order to prune is not signed as it must be: {_words(error)}", seq=seq)
            return []

    def _checked(self, order: Any, origin: str) -> list[str]:
        payload = base64.b64decode(order["payload"], validate=True)
        said = json.loads(payload)
        if said["log"] != origin or said["action"] != "prune":
            raise ValueError("it is an order about something else")
        keys = {one["name"]: self._key(one) for one in order["signatures"]}
        for one in order["signatures"]:
            _check(keys[one["name"]], base64.b64decode(one["sig"], validate=True), payload)
        if len(keys) < SIGNERS or len(set(keys.values())) < SIGNERS:
            raise ValueError(f"it needs {SIGNERS} different people, each with a key of their own")
        return sorted(keys)

    def _key(self, one: dict[str, str]) -> bytes:
        brought = base64.b64decode(one["key"].removeprefix("ed25519:"), validate=True)
        if self._people is not None and self._people.get(one["name"]) != brought:
            raise ValueError(f"the key of `{one['name']}` is not that of the [[person]]")
        return brought

    def pruned(self) -> dict[str, Any] | None:
        """What was pruned: `minimum`, `record` (the order) and `by`, or None if nothing was."""
        return self._pruned

    def disclosed(self, found: Sequence[tuple[int, str, dict[str, str]]]) -> None:
        """Records with disclosures."""
        self._digests += found

    def finish(self, *, deep: bool) -> None:
        """Everything was read: compare."""
        if self.minimum:
            orders = [order for _, order in self._prunes if order["minimum"] == self.minimum]
            self._pruned = orders[-1] if orders else {"record": None, "minimum": self.minimum, "by": []}
            if not orders:
                self._tell(f"records 0 to {self.minimum - 1} were removed, and no order in the trail says so", seq=0)
            elif self._keys_of[orders[-1]["record"]] not in (None, self.keys):
                # Without the record that retires a key, that key would still be believed.
                self._tell("are not all the records about keys that were pruned", file="keys", offset=0)
        if deep:
            for (seq, _, digests), name, held in self._held(self._digests):
                self._compare(seq, name, digests, held)

    def _compare(self, seq: int, name: str, digests: dict[str, str], held: dict[str, object]) -> None:
        for pointer, digest in digests.items():
            text = held.get(pointer)
            if text is None:
                self.missing += (seq, pointer) not in self.redacted
            elif (seq, pointer) in self.redacted:
                what = f"`{pointer}` was redacted and is still there: run `guardrail audit redact` again"
                self._tell(what, file=name, seq=seq)
            elif _digest(str(text)) != digest:
                self._tell(f"`{pointer}` is not what was disclosed to the record", file=name, seq=seq)
            else:
                self.readable += 1


class KeptBeside(Kept):
    """The same of a trail in files.

    Args:
        directory: the trail.
        people: public keys by the name of who owns them, if they are known.
        tell: takes problems.
    """

    def __init__(self, directory: Path, people: Mapping[str, bytes] | None, tell: Tell) -> None:
        self._directory = directory
        super().__init__(people, tell)

    def _read_minimum(self) -> int:
        path = self._directory / "minimum"
        text = path.read_bytes().decode("ascii", "replace") if path.is_file() else "0\n"
        if not text[:-1].isdecimal() or text != f"{int(text)}\n":
            self._tell("is not the number of a record", file="minimum", offset=0)
            return 0
        return int(text)

    def _held(self, wanted: Sequence[Disclosing]) -> Iterator[tuple[Disclosing, str, dict[str, object]]]:
        """What is left of what each of these disclosed, with where it lies."""
        for one in wanted:
            name = f"disclosed/{one[1][:8]}/{one[1]}.json"
            try:
                value: Any = json.loads((self._directory / name).read_bytes())
            except FileNotFoundError:
                value = {}
            except ValueError:
                self._tell("is not JSON: what it disclosed can no longer be shown", file=name, seq=one[0])
                continue
            yield one, name, cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _digest(disclosure: str) -> str:
    """RFC 9901 section 4.2.3: the base64url of the SHA-256 of the disclosure's ASCII text."""
    hashed = hashlib.sha256(disclosure.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def _check(public: bytes, signature: bytes, payload: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kind = ORDER_TYPE.encode()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            signature, b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        )
    except InvalidSignature:
        raise ValueError("a signature is wrong") from None


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1


def _words(error: Exception) -> str:
    return f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
