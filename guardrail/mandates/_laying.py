"""Laying a signed order, or its revocation, into the directory of mandates: verified first, whole, over no other file.

Not concerned with who may bring it: the signature says whose it is, and nothing else counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from guardrail.errors import ConfigError, GuardrailError
from guardrail.mandates._directory import MAX_FILES, MAX_REVOCATIONS, REVOKED, SUFFIX
from guardrail.mandates._mandate import MAX_MANDATE_BYTES
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES, REVOCATION_TYPE, open_revocation
from guardrail.mandates._signing import PAYLOAD_TYPE, open_envelope, payload_type_of, public_keys

if TYPE_CHECKING:
    from pathlib import Path

    from guardrail.config import Config
    from guardrail.mandates._book import MandateBook

Why = Literal["no_directory", "too_large", "taken", "full", "cannot_write"]
"""Why something that is signed as it should be is not laid down."""

_laying: Final = threading.Lock()
"""INVARIANT: one at a time in this process, or two could both be the last for which there is room."""


class NotLaid(GuardrailError):
    """What was signed cannot be laid down.

    Args:
        code: why, for programs.
        text: why, in a sentence.
    """

    def __init__(self, code: Why, text: str) -> None:
        super().__init__(text)
        self.code: Why = code


class Laid(NamedTuple):
    """What lies in the directory now.

    Args:
        file: its name there.
        kind: what it is.
        mandate: id of the mandate that it is, or revokes.
        new: whether it was not there before.
    """

    file: str
    kind: Literal["mandate", "revocation"]
    mandate: str
    new: bool


def lay(data: bytes, config: Config, book: MandateBook) -> Laid:
    """Verify a signed mandate or revocation as the directory would, and put it there.

    Args:
        data: the envelope.
        config: says where, who signs, and who may revoke.
        book: the mandates that are there.

    Raises:
        WrongSigner: if it is not signed by whom it names, or they may not say it.
        ConfigError: if it is malformed.
        NotLaid: if it cannot be put there, and `code` says why.
    """
    if not config.mandates.directory:
        raise NotLaid("no_directory", "`mandates.directory` is not set, so no order could be found: set it first")
    directory = config.path(config.mandates.directory)
    name, kind, mandate = _verified(data, config)
    with _laying:
        path = directory / name
        if kind == "mandate" and not path.exists() and any(one.id == mandate for one in book.mandates):
            # INVARIANT: of two files with one id neither counts: what comes in must not end what is there.
            raise NotLaid("taken", f"another file is the mandate `{mandate}`: give the new order an id of its own")
        return Laid(name, kind, mandate, _put(directory, name, data))


def _verified(data: bytes, config: Config) -> tuple[str, Literal["mandate", "revocation"], str]:
    """The name of its file, what it is, and the id of the mandate that it is about."""
    people = public_keys(config)
    kind = payload_type_of(data)
    if kind == PAYLOAD_TYPE:
        _check_size(data, MAX_MANDATE_BYTES, "mandate")
        mandate = open_envelope(data, people)
        return f"{mandate.id}{SUFFIX}", "mandate", mandate.id
    if kind == REVOCATION_TYPE:
        _check_size(data, MAX_REVOCATION_BYTES, "revocation")
        revoked = open_revocation(data, people, config.mandates.revokers).revocation.mandate
        return f"{revoked}.{hashlib.sha256(data).hexdigest()[:8]}{REVOKED}", "revocation", revoked
    raise ConfigError("not a signed mandate or revocation: make it with `guardrail mandates sign` or `revoke`")


def _check_size(data: bytes, most: int, what: str) -> None:
    if len(data) > most:
        raise NotLaid("too_large", f"a {what} may have at most {most} bytes, this one has {len(data)}")


def _put(directory: Path, name: str, data: bytes) -> bool:
    """Write a file unless it is there; whether it was not.

    INVARIANT: its name appears with all of its content behind it, and what has that name already stays as it is.
    """
    path, fresh = directory / name, ""
    try:
        if path.exists():
            return _same(path, data)
        _check_room(directory, name)
        fd, fresh = tempfile.mkstemp(dir=directory, prefix=".laid.")
        with os.fdopen(fd, "wb") as stream:
            os.fchmod(fd, 0o644)  # guards of other users may read it, as where a person lays it down
            stream.write(data)
            stream.flush()
            os.fsync(fd)
        try:
            os.link(fresh, path)
        except FileExistsError:
            return _same(path, data)
        _sync(directory)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise NotLaid("cannot_write", f"`mandates.directory` cannot be written to: {why}") from None
    finally:
        if fresh:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
    return True


def _same(path: Path, data: bytes) -> bool:
    # A named pipe would keep whoever opens it waiting.
    if not path.is_file() or path.read_bytes() != data:
        raise NotLaid("taken", f"`{path.name}` is there already and says something else: nothing is written over it")
    return False


def _check_room(directory: Path, name: str) -> None:
    ending, most = (SUFFIX, MAX_FILES) if name.endswith(SUFFIX) else (REVOKED, MAX_REVOCATIONS)
    if sum(one.endswith(ending) for one in os.listdir(directory)) >= most:
        # With one more of them no mandate would count.
        raise NotLaid("full", f"`mandates.directory` holds {most} files `*{ending}`, which is the most: remove some")


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
