"""Content of calls beside the trail: records commit to it, and it can be taken away while the tree still verifies.

A disclosure is that of SD-JWT: the base64url of JSON `[salt, name, value]`. The record has its SHA-256 only, under the
pointer of what it discloses; the salt keeps a short value from being guessed. All disclosures of one record lie in one
file, `disclosed/<first 8 of its id>/<id>.json`, so that one that is redacted is gone when the file is.

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
from typing import Any, Final, cast

import orjson

from guardrail.audit._files import replace, sync_directory
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
    """What is to be kept of one record, on its way to disk.

    Args:
        directory: the trail.
        timeout_seconds: longest wait for the disk, in seconds.
    """

    def __init__(self, directory: Path, timeout_seconds: float = 2.0) -> None:
        self._folder = directory / FOLDER
        self._timeout = timeout_seconds
        self._work: queue.SimpleQueue[tuple[Path, bytes, _Done]] = queue.SimpleQueue()
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
        path = self._folder / record_id[:8] / f"{record_id}.json"
        self._write(path, orjson.dumps(texts, option=orjson.OPT_SORT_KEYS))
        return {**record, "id": record_id, "disclosures": {pointer: digest(text) for pointer, text in texts.items()}}

    def _write(self, path: Path, data: bytes) -> None:
        # A thread of its own waits for the disk, so that one that hangs costs a caller its timeout and no more.
        if self._pid != os.getpid():
            self._pid, self._work = os.getpid(), queue.SimpleQueue()
            threading.Thread(target=_write_all, args=(self._work,), name="guardrail-disclosed", daemon=True).start()
        done = _Done()
        self._work.put((path, data, done))
        if not done.event.wait(self._timeout):
            raise TrailError(f"the disk did not take what is disclosed in `{path}` within {self._timeout:g} seconds")
        if done.error is not None:
            why = (done.error.strerror or str(done.error)).lower()
            raise TrailError(f"cannot write what is disclosed beside the trail: {why}: make room in `{path}`")


class _Done:
    """Whether a file was written, and what came of it."""

    __slots__ = ("error", "event")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.error: OSError | None = None


def _write_all(work: queue.SimpleQueue[tuple[Path, bytes, _Done]]) -> None:
    while True:
        path, data, done = work.get()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as stream:
                stream.write(data)
        except OSError as error:
            done.error = error
        done.event.set()


def _disclosure(name: str, value: Any) -> str:
    salt = base64.urlsafe_b64encode(os.urandom(SALT_BYTES)).rstrip(b"=").decode()
    if len(orjson.dumps(value)) > MAX_TEXT_BYTES:
        value = str(value)[: MAX_TEXT_BYTES // 8]
    return base64.urlsafe_b64encode(orjson.dumps([salt, name, value])).rstrip(b"=").decode()


def digest(disclosure: str) -> str:
    """What a record has of a disclosure (RFC 9901 section 4.2.3)."""
    return base64.urlsafe_b64encode(hashlib.sha256(disclosure.encode()).digest()).rstrip(b"=").decode()


def opened(directory: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record disclosed, as far as it is still there and fits.

    Args:
        directory: the trail.
        record: the record.

    Returns:
        The values by pointer.
    """
    committed = cast("dict[str, str]", record.get("disclosures") or {})
    held = _held(directory, str(record.get("id"))) if committed else {}
    return dict(_fitting(held, committed))


def _fitting(held: Mapping[str, str], committed: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for pointer, text in held.items():
        if committed.get(pointer) != digest(text):
            continue
        try:
            _, _, value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:
            continue
        yield pointer, value


def _held(directory: Path, record_id: str) -> dict[str, str]:
    try:
        value = orjson.loads(_path(directory, record_id).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return cast("dict[str, str]", value) if isinstance(value, dict) else {}


def _path(directory: Path, record_id: str) -> Path:
    return directory / FOLDER / record_id[:8] / f"{record_id}.json"


def take_away(directory: Path, record: Mapping[str, Any], pointer: str) -> bool:
    """Delete one disclosure of a record for good.

    Args:
        directory: the trail.
        record: the record.
        pointer: which of its disclosures.

    Returns:
        Whether it was there.

    Raises:
        OSError: if it cannot be deleted.
    """
    record_id = str(record.get("id"))
    path = _path(directory, record_id)
    held = _held(directory, record_id)
    if pointer not in held:
        return False
    del held[pointer]
    if held:
        replace(path, orjson.dumps(held, option=orjson.OPT_SORT_KEYS))
    else:
        path.unlink()
        sync_directory(path.parent)
    return True


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
