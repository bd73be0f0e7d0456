"""Orders to prune, legal holds, and taking whole old segments away.

1. An order to prune is a file: what it says, and the signatures of at least two different people.
2. No hold is in force, and nothing goes that is younger than `trail.keep_days`.
3. The tiles that stand for what goes are complete and synced, and records about keys are kept beside.
4. The order, and the first record that stays, are a record of the trail, covered by a checkpoint.
5. Then `minimum` says so on disk, and only then do segments go; a crash leaves what the next opening removes.

Source of the two signatures: NIST SP 800-53 AU-9(5), dual authorisation.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.audit._files import replace, sync_directory
from guardrail.audit._minimum import MINIMUM_FILE, read_minimum, remove_below
from guardrail.audit._place import is_store
from guardrail.audit._record import MAX_LEAF_BYTES
from guardrail.audit._segment import FRAME_BYTES, read_frame
from guardrail.audit._stored import StoredTree
from guardrail.audit._tiles import TILE_WIDTH, read_tile, tile_name
from guardrail.audit._trail import Trail
from guardrail.audit._verify_kept import ORDER_TYPE, SIGNERS
from guardrail.canonical import canonical
from guardrail.errors import ConfigError, TrailError
from guardrail.mandates import load_key, pae, public_text
from guardrail.model import new_id

if TYPE_CHECKING:
    from guardrail.audit._store import AnyTrail
    from guardrail.audit.postgres import PostgresTrail

MAX_ORDER_BYTES: Final = 16 * 1024
"""Largest order to prune, in bytes."""

MAX_LISTED: Final = 100
"""Most removed segments that a record lists by name."""

KEYS_FILE: Final = "keys"
"""The records about keys that were pruned, one leaf a line."""

_RETENTION: Final = b'"kind":"retention"'
_KEY: Final = b'"kind":"key"'
_DAY_US: Final = 86_400_000_000


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's signature under an order.

    Args:
        name: who.
        key: their public key, as in `[[person]]`.
        sig: base64 of the Ed25519 signature over DSSE's encoding of type and payload.
    """

    name: str
    key: str
    sig: str


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to prune, as it lies in its file.

    Args:
        payload: base64 of what is ordered, canonical JSON.
        signatures: who signed it.
    """

    payload: str
    signatures: tuple[Signature, ...] = ()


class What(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an order says.

    Args:
        id: its own id, unique.
        log: name of the trail.
        before_us: records before that time may go, in microseconds since the epoch.
        reason: why.
        action: always `prune`.
        v: version of this format.
    """

    id: str
    log: str
    before_us: int
    reason: str
    action: str = "prune"
    v: int = 1


def draft(origin: str, before_us: int, reason: str) -> Order:
    """An order that nobody has signed yet."""
    what = What(id=new_id(), log=origin, before_us=before_us, reason=reason)
    return Order(payload=base64.b64encode(canonical(msgspec.to_builtins(what))).decode())


def read_order(data: bytes) -> Order:
    """An order from its file.

    Raises:
        ConfigError: if it is none.
    """
    if len(data) > MAX_ORDER_BYTES:
        raise ConfigError(f"not an order to prune: it has more than {MAX_ORDER_BYTES} bytes")
    try:
        order = msgspec.json.decode(data, type=Order)
        said(order)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"not an order to prune: {str(error).lower()}") from None
    return order


def write_order(order: Order) -> bytes:
    """An order as the content of its file."""
    return orjson.dumps(msgspec.to_builtins(order), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def said(order: Order) -> What:
    """What an order says, whoever signed it.

    Raises:
        ValueError: if its payload is not canonical, or not that of an order to prune.
    """
    payload = base64.b64decode(order.payload, validate=True)
    what = msgspec.json.decode(payload, type=What)
    if canonical(msgspec.to_builtins(what)) != payload or what.action != "prune" or what.v != 1:
        raise ValueError("its payload is not as `guardrail audit prune --draft` writes it")
    return what


def sign_order(order: Order, name: str, key_file: Path | str) -> Order:
    """Put one person's signature under an order; an earlier one of theirs goes.

    Raises:
        ConfigError: if the key cannot be used.
    """
    key = load_key(key_file)
    payload = base64.b64decode(order.payload)
    signature = Signature(
        name=name,
        key=public_text(key),
        sig=base64.b64encode(key.sign(pae(ORDER_TYPE, payload))).decode(),
    )
    others = tuple(one for one in order.signatures if one.name != name)
    return msgspec.structs.replace(order, signatures=(*others, signature))


def check_order(order: Order, origin: str, people: Mapping[str, bytes]) -> What:
    """Refuse an order that does not count.

    Args:
        order: the order.
        origin: name of the trail.
        people: public keys by the name of who owns them.

    Returns:
        What it says.

    Raises:
        TrailError: if it is for another trail, or not signed by two different people of the configuration.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    what = said(order)
    if what.log != origin:
        raise TrailError(f"the order is for the trail `{what.log}`, and this is `{origin}`")
    keys: dict[str, bytes] = {}
    for one in order.signatures:
        public = people.get(one.name)
        if public is None:
            raise TrailError(f"the order is signed by `{one.name}`, who is no [[person]] of the configuration")
        try:
            message = pae(ORDER_TYPE, base64.b64decode(order.payload))
            Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(one.sig), message)
        except (InvalidSignature, ValueError):
            raise TrailError(f"the signature of `{one.name}` under the order is wrong") from None
        keys[one.name] = public
    if len(keys) < SIGNERS or len(set(keys.values())) < SIGNERS:
        raise TrailError(
            f"the order is signed by {len(keys)}, and {SIGNERS} different people have to: "
            "`guardrail audit prune --sign ORDER --key KEY --by NAME`"
        )
    return what


# ── holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def holds(place: Path | str) -> dict[str, str]:
    """The legal holds in force, with their reasons.

    Args:
        place: the trail: a directory, or the address of a shared one.

    Raises:
        OSError: if the trail cannot be read.
        TrailError: if the database cannot be read.
    """
    return _holds_in(_about_retention(place))


def _holds_in(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for record in records:
        if record.get("event") == "hold":
            found[str(record.get("hold"))] = str(record.get("reason"))
        elif record.get("event") == "release":
            found.pop(str(record.get("hold")), None)
    return found


def hold(trail: AnyTrail, name: str, *, release: bool, reason: str, by: str) -> None:
    """Put a trail under a hold, or release one.

    Args:
        trail: the trail, open.
        name: name of the hold.
        release: release it.
        reason: why.
        by: who decided it.

    Raises:
        TrailError: if there is no such hold to release, or one of that name to add, or it cannot be recorded.
        OSError: if the trail cannot be read.
    """
    known = holds(trail.place)
    if release and name not in known:
        raise TrailError(f"no hold `{name}` is in force: `guardrail audit hold list` names those that are")
    if not release and name in known:
        raise TrailError(f"the hold `{name}` is in force already: give another one another name")
    event = "release" if release else "hold"
    trail.append({"kind": "retention", "event": event, "hold": name, "reason": reason, "by": by})


def _about_retention(place: Path | str) -> Iterator[dict[str, Any]]:
    if is_store(place):
        from guardrail.audit.postgres import read_rows

        yield from (record for _, record in read_rows(str(place), ("retention",), strict=True))
        return
    for leaf in _leaves_with(_RETENTION, sorted(Path(place).glob("*.seg"))):
        record: dict[str, Any] = orjson.loads(leaf)
        if record.get("kind") == "retention":
            yield record


# ── pruning ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def prune(
    trail: Trail | PostgresTrail, order: Order, origin: str, people: Mapping[str, bytes], *, keep_days: int, now_us: int
) -> int:
    """Take away what an order is about: whole sealed segments, or, of a shared trail, records under whole tiles.

    Args:
        trail: the trail, open.
        order: who wants it.
        origin: name of the trail.
        people: public keys by the name of who owns them.
        keep_days: what is younger stays, in days.
        now_us: now, in microseconds since the epoch.

    Returns:
        Number of the first record that is left.

    Raises:
        TrailError: if the order does not count, a hold is in force, or there is nothing to take away.
        OSError: if a file cannot be read, written or removed.
    """
    what = check_order(order, origin, people)
    _check_holds(_about_retention(trail.place))
    if what.before_us > now_us - keep_days * _DAY_US:
        raise TrailError(f"the order reaches into the last {keep_days} days, which `trail.keep_days` keeps")
    said_so = {"kind": "retention", "event": "prune", "reason": what.reason, "order": msgspec.to_builtins(order)}
    if not isinstance(trail, Trail):
        from guardrail.audit.postgres import prune_rows

        return prune_rows(trail, what.before_us, said_so, _check_holds)
    return _prune_files(trail, what.before_us, said_so)


def _check_holds(records: Iterable[Mapping[str, Any]]) -> None:
    held = _holds_in(records)
    if held:
        raise TrailError(f"the trail is under the legal hold `{min(held)}`: release it first")


def _prune_files(trail: Trail, before_us: int, said_so: dict[str, Any]) -> int:
    minimum = _minimum_before(trail.directory, before_us, trail.size)
    if minimum <= read_minimum(trail.directory):
        raise TrailError("no sealed segment holds only records from before that time: nothing was taken away")
    _complete_tiles(trail.directory, minimum)
    gone = [path for path in sorted(trail.directory.glob("*.seg")) if int(path.stem) < minimum]
    listed = [path.name for path in gone[:MAX_LISTED]]
    keys = _keep_keys(trail.directory, gone)
    trail.append({**said_so, "minimum": minimum, "segments": len(gone), "removed": listed, "keys": keys})
    trail.checkpoint()
    replace(trail.directory / MINIMUM_FILE, f"{minimum}\n".encode(), 0o644)
    remove_below(trail.directory, minimum)
    return minimum


def _keep_keys(directory: Path, gone: Iterable[Path]) -> list[int]:
    """Put the records about keys beside those that stay: whoever trusts the first key follows them to the last.

    Each is a leaf, so that its tile shows that it is the one that was pruned. What was kept by an attempt that a crash
    cut off is kept again, in the same words.

    Returns:
        Their numbers, with those of earlier prunes.
    """
    path = directory / KEYS_FILE
    kept = dict.fromkeys(path.read_bytes().splitlines() if path.is_file() else ())
    kept |= dict.fromkeys(leaf for leaf in _leaves_with(_KEY, gone) if orjson.loads(leaf).get("kind") == "key")
    if kept:
        replace(path, b"\n".join(kept) + b"\n", 0o644)
    return [orjson.loads(leaf)["seq"] for leaf in kept]


def _leaves_with(mark: bytes, segments: Iterable[Path]) -> Iterator[bytes]:
    """The leaves that hold a mark, as far as the segments can be read."""
    for path in segments:
        data, at = path.read_bytes(), 0
        if mark not in data:
            continue
        while frame := read_frame(data, at):
            at = frame.end
            if mark in frame.leaf:
                yield frame.leaf


def _minimum_before(directory: Path, before_us: int, size: int) -> int:
    """The first record of the last segment before which everything is older, and covered by full tiles."""
    found = 0
    for path in sorted(directory.glob("*.seg")):
        with path.open("rb") as stream:
            frame = read_frame(stream.read(FRAME_BYTES + MAX_LEAF_BYTES), 0)
        first = int(path.stem)
        if frame is None or orjson.loads(frame.leaf)["t_us"] > before_us or -(-first // TILE_WIDTH) * TILE_WIDTH > size:
            break
        found = first
    return found


def _complete_tiles(directory: Path, minimum: int) -> None:
    """Every tile that stands for a pruned record is whole and on disk."""
    tree = StoredTree(directory)
    folders: set[Path] = set()
    for index in range(-(-minimum // TILE_WIDTH)):
        path = directory / tile_name(0, index)
        if read_tile(directory, 0, index) is None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace(path, b"".join(tree.row(0, index * TILE_WIDTH, (index + 1) * TILE_WIDTH)))
        else:
            _sync(path)
        folders.update(parent for parent in path.parents if directory in (parent, *parent.parents))
    for folder in folders:
        sync_directory(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
