"""Content of calls beside the trail: records commit to it, and it can be taken away while the tree still verifies.

A disclosure is that of SD-JWT: the base64url of JSON `[salt, name, value]`. The record has its SHA-256 only, under the
pointer of what it discloses; the salt keeps a short value from being guessed. All disclosures of one record lie in one
file, `disclosed/<first 8 of its id>/<id>.json`, so that one that is redacted is gone when the file is; those of a
shared trail are rows of a table.

Secrets are masked before anything of it is written. Not synced: a power cut may take what was written last, and with it
nothing that the trail promises.

Source: RFC 9901 section 4.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

import orjson

from guardrail.audit._files import replace, sync_directory
from guardrail.audit._place import is_store
from guardrail.errors import TrailError
from guardrail.masking import masked, masked_value
from guardrail.model import ToolCall, new_id
from guardrail.printing import printable

FOLDER: Final = "disclosed"
"""Where disclosures lie, below the trail."""

SALT_BYTES: Final = 16
"""Length of a salt, in bytes (RFC 9901 section 9.3: 128 bits)."""

MAX_ARGS: Final = 64
"""Most arguments of a call that are disclosed one by one; a call with more is disclosed as one."""

MAX_NAME_CHARS: Final = 64
"""Longest name of an argument in a pointer, in characters; a call with a longer one is disclosed as one."""

MAX_TEXT_BYTES: Final = 256 * 1024
"""Longest value that is kept, in bytes of JSON; of a longer text the beginning is."""


class Disclosures:
    """What is to be kept of one record, on its way to where it is kept.

    Args:
        place: the trail: a directory, or the address of a shared one.
        timeout_seconds: longest wait for the disk or the server, in seconds.
    """

    def __init__(self, place: Path | str, timeout_seconds: float = 2.0) -> None:
        self._shelf = _shelf(place, timeout_seconds)
        self._timeout = timeout_seconds
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._pid = 0

    def call(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of a call, without secrets, by pointer."""
        args: dict[str, Any] = masked_value(_printable(call.args))
        single = len(args) <= MAX_ARGS and all(
            len(name) <= MAX_NAME_CHARS and name.isascii() and name.isprintable() for name in args
        )
        if not single:
            return {"/call/args": args}
        return {f"/call/args/{name.replace('~', '~0').replace('/', '~1')}": value for name, value in args.items()}

    def text(self, pointer: str, value: object) -> dict[str, Any]:
        """What a tool returned or raised, without secrets, as far as it has a text."""
        return {pointer: masked(printable(value if isinstance(value, str) else repr(value)))}

    def keep(self, record: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Write what is disclosed, and commit the record to it.

        Args:
            record: the record; it gets an `id` if it has none.
            values: what is disclosed, by pointer.

        Returns:
            The record with `disclosures`, each with its digest.

        Raises:
            TrailError: if it cannot be written.
        """
        if not values:
            return record
        record_id = str(record.get("id") or new_id())
        texts = {pointer: _disclosure(pointer.rsplit("/", 1)[1], value) for pointer, value in values.items()}
        self._write(record_id, texts)
        return {**record, "id": record_id, "disclosures": {pointer: digest(text) for pointer, text in texts.items()}}

    def _write(self, record_id: str, texts: Mapping[str, str]) -> None:
        # A thread of its own waits for it, so that a disk or server that hangs costs a caller its timeout and no more.
        if self._pid != os.getpid():
            self._pid, self._work = os.getpid(), queue.SimpleQueue()
            name = "guardrail-disclosed"
            threading.Thread(target=_write_all, args=(self._work, self._shelf), name=name, daemon=True).start()
        work = _Work(record_id, texts)
        self._work.put(work)
        where = self._shelf.name(record_id)
        if not work.done.wait(self._timeout):
            raise TrailError(f"what is disclosed was not taken by `{where}` within {self._timeout:g} seconds")
        if work.error is not None:
            why = (getattr(work.error, "strerror", None) or str(work.error)).lower()
            raise TrailError(f"cannot write what is disclosed beside the trail: {why}: make room in `{where}`")


class _Work:
    """What one record discloses, and what came of it."""

    __slots__ = ("done", "error", "record_id", "texts")

    def __init__(self, record_id: str, texts: Mapping[str, str]) -> None:
        self.record_id = record_id
        self.texts = texts
        self.done = threading.Event()
        self.error: Exception | None = None


def _write_all(work: queue.SimpleQueue[_Work], shelf: Shelf) -> None:
    while True:
        one = work.get()
        try:
            shelf.put(one.record_id, one.texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told, and the next one is tried
            one.error = error
        one.done.set()


class Shelf(Protocol):
    """Where disclosures are kept, by the id of their record and by pointer."""

    def name(self, record_id: str) -> str:
        """Where those of a record are, for messages."""
        ...

    def put(self, record_id: str, texts: Mapping[str, str]) -> None:
        """Keep what a record is to disclose."""
        ...

    def held(self, record_id: str) -> Mapping[str, str]:
        """What is left of it."""
        ...

    def take_away(self, record_id: str, pointer: str) -> bool:
        """Delete one of them for good; whether it was there."""
        ...


class _Folder:
    """Files below the trail, one for each record."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _path(self, record_id: str) -> Path:
        return self._directory / FOLDER / record_id[:8] / f"{record_id}.json"

    def name(self, record_id: str) -> str:
        return str(self._path(record_id))

    def put(self, record_id: str, texts: Mapping[str, str]) -> None:
        path = self._path(record_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(orjson.dumps(texts, option=orjson.OPT_SORT_KEYS))

    def held(self, record_id: str) -> dict[str, str]:
        try:
            value = orjson.loads(self._path(record_id).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return cast("dict[str, str]", value) if isinstance(value, dict) else {}

    def take_away(self, record_id: str, pointer: str) -> bool:
        held, path = self.held(record_id), self._path(record_id)
        if pointer not in held:
            return False
        del held[pointer]
        if held:
            replace(path, orjson.dumps(held, option=orjson.OPT_SORT_KEYS))
        else:
            path.unlink()
            sync_directory(path.parent)
        return True


def _shelf(place: Path | str, timeout_seconds: float = 10.0) -> Shelf:
    if not is_store(place):
        return _Folder(Path(place))
    from guardrail.audit.postgres import Disclosed

    return Disclosed(str(place), timeout_seconds)


def _disclosure(name: str, value: Any) -> str:
    salt = base64.urlsafe_b64encode(os.urandom(SALT_BYTES)).rstrip(b"=").decode()
    if len(orjson.dumps(value)) > MAX_TEXT_BYTES:
        value = str(value)[: MAX_TEXT_BYTES // 8]
    return base64.urlsafe_b64encode(orjson.dumps([salt, name, value])).rstrip(b"=").decode()


def digest(disclosure: str) -> str:
    """What a record has of a disclosure (RFC 9901 section 4.2.3)."""
    return base64.urlsafe_b64encode(hashlib.sha256(disclosure.encode()).digest()).rstrip(b"=").decode()


def opened(place: Path | str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record disclosed, as far as it is still there and fits.

    Args:
        place: the trail: a directory, or the address of a shared one.
        record: the record.

    Returns:
        The values by pointer.
    """
    committed = cast("dict[str, str]", record.get("disclosures") or {})
    if not committed:
        return {}
    return dict(_fitting(_shelf(place).held(str(record.get("id"))), committed))


def _fitting(held: Mapping[str, str], committed: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for pointer, text in held.items():
        if committed.get(pointer) != digest(text):
            continue
        try:
            _, _, value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:
            continue
        yield pointer, value


def take_away(place: Path | str, record: Mapping[str, Any], pointer: str) -> bool:
    """Delete one disclosure of a record for good.

    Args:
        place: the trail: a directory, or the address of a shared one.
        record: the record.
        pointer: which of its disclosures.

    Returns:
        Whether it was there.

    Raises:
        OSError: if it cannot be deleted.
        TrailError: if it cannot be deleted from a shared one.
    """
    return _shelf(place).take_away(str(record.get("id")), pointer)


def _printable(value: Any) -> Any:
    """Arguments that JSON can carry: bytes that are no text are escaped, and large integers become text."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 53:
        return str(value)
    return value if isinstance(value, int | float | bool) or value is None else repr(value)
