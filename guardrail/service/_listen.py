"""The address: a listening socket that is ours alone, made before anything else is opened."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from guardrail.config import Config, ServiceConfig
from guardrail.errors import GuardrailError

BACKLOG: Final = 256
"""Most connections that wait to be accepted."""

SOCKET_MODE: Final = 0o660
"""Permissions of the socket itself, beneath those of its directory."""

DIRECTORY_MODE: Final = 0o750
"""Permissions of a socket directory made here: the owner serves, the group asks, nobody else enters."""


@contextlib.contextmanager
def listening(settings: ServiceConfig) -> Generator[socket.socket]:
    """Listen where the settings say, and clean up afterwards.

    Args:
        settings: `socket`, or `host` and `port`.

    Raises:
        GuardrailError: if the address is taken or cannot be used, or others could enter the socket's directory.
    """
    if not settings.socket:
        with _listen_tcp(settings.host, settings.port) as listener:
            yield listener
        return
    path = Path(settings.socket)
    with _listen_unix(path) as listener:
        made = path.stat()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                # Only our own: a successor may have bound the same name by now.
                if path.stat().st_ino == made.st_ino:
                    path.unlink()


def for_reviewers(config: Config) -> ServiceConfig | None:
    """Where those who review are answered, in the form that `listening` takes; None if where everybody is."""
    service = config.service
    if service.review_socket:
        return msgspec.structs.replace(service, socket=str(config.path(service.review_socket)))
    if service.review_host:
        return msgspec.structs.replace(service, socket="", host=service.review_host, port=service.review_port)
    return None


def same_place(one: ServiceConfig | None, other: ServiceConfig | None) -> bool:
    """Whether two services would listen at the same place."""
    if one is None or other is None:
        return one is other
    return (one.socket or (one.host, one.port)) == (other.socket or (other.host, other.port))


def _listen_tcp(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise GuardrailError(f"cannot listen on `{host}`: {_cause(error)}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise GuardrailError(f"cannot listen on `{host}` port {port}: {_cause(error)}") from None
    return listener


def _listen_unix(path: Path) -> socket.socket:
    _prepare_directory(path.parent)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Between bind and chmod the directory alone keeps others out.
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise GuardrailError(f"cannot listen on `{path}`: {_cause(error)}") from None
    return listener


def _prepare_directory(directory: Path) -> None:
    """Make the directory, or check that it keeps others out.

    Blind spot: it is looked at once; whoever owns it, or a directory above it, can change it later.
    """
    try:
        if not directory.exists():
            directory.mkdir(parents=True, mode=DIRECTORY_MODE)
            directory.chmod(DIRECTORY_MODE)
        found = directory.stat()
    except OSError as error:
        raise GuardrailError(f"cannot use the socket directory `{directory}`: {_cause(error)}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise GuardrailError(f"the socket directory `{directory}` is not a directory")
    if found.st_uid not in (os.geteuid(), 0):
        raise GuardrailError(f"the socket directory `{directory}` belongs to somebody else: use one of your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise GuardrailError(
            f"the socket directory `{directory}` has mode {stat.S_IMODE(found.st_mode):04o}, so others could ask or "
            f"take the socket's place: `chmod 0750` it, or name one that does not exist yet"
        )


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise GuardrailError(f"`{path}` exists and is not a socket: remove it or name another")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise GuardrailError(f"cannot use the socket `{path}`: {_cause(error)}") from None
    raise GuardrailError(f"cannot listen on `{path}`: another service answers there")


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
