"""The resident guard of a configuration: where it listens, how it is started when nobody answers, and what else.

One process at a time starts one, behind a lock; whoever waits for the lock finds it running.
Where the service is not installed the event is answered in this process, behind the same lock, because one process at a
time writes a trail.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import select
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardrail.audit import beside_trail
from guardrail.errors import ConfigError
from guardrail.hooks import client

if TYPE_CHECKING:
    from guardrail.config import Config

SOCKET: Final = "guard.sock"
LOCK: Final = "start.lock"
LOG: Final = "guard.log"

MAX_SOCKET_BYTES: Final = 107
"""Longest path of a Unix socket, in bytes (unix(7))."""

MAX_LOG_BYTES: Final = 1024 * 1024
"""From this size on the log of resident guards is begun anew, in bytes."""

MAX_LINE_BYTES: Final = 4096
"""Longest line of a guard that is ready, in bytes."""

WAIT_SECONDS: Final = 0.05
"""How long to wait between two looks for a lock or an ending guard, in seconds."""


def directory_of(config: Config) -> Path:
    """The directory beside the trail that resident guards of a configuration work in."""
    return beside_trail(config, "hook")


def socket_of(config: Config) -> str:
    """Where the guard that hooks ask listens: the configured service, or else the resident one.

    Raises:
        ConfigError: if the path is too long for a socket.
    """
    path = str(config.path(config.service.socket)) if config.service.socket else str(directory_of(config) / SOCKET)
    if len(os.fsencode(path)) > MAX_SOCKET_BYTES:
        raise ConfigError(
            f"`{path}` is longer than the {MAX_SOCKET_BYTES} bytes that a socket's path may have: set a shorter "
            "`trail.directory` or `service.socket`"
        )
    return path


def answer(config: Config, options: dict[str, str], event: bytes, deadline: float) -> tuple[int, bytes]:
    """Answer an event with a guard that is started for it, if none is there by now.

    Args:
        config: whose guard.
        options: of the hook, as `client.read_options` gives them.
        event: as the harness sent it.
        deadline: until when, by the monotonic clock.

    Returns:
        Exit code, and what is said with it.

    Raises:
        NoAnswer: if there is none in time.
        GuardrailError: if no guard can be opened.
    """
    directory = directory_of(config)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory / LOCK, deadline):
        while True:
            try:
                return client.ask(options, event, deadline)
            except client.NobodyThere as why:
                ending = why.ending
            if not ending:
                break
            _wait(deadline)
        if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("fastapi") is None:
            return _answer_here(config, options, event)
        _start(config, options["socket"], directory, deadline)
    try:
        return client.ask(options, event, deadline)
    except client.NobodyThere as why:
        raise client.NoAnswer(f"the guard that was started is gone again: {why}") from None


@contextlib.contextmanager
def _locked(path: Path, deadline: float) -> Generator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait(deadline)
        yield
    finally:
        os.close(fd)


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise client.NoAnswer("another hook has been starting a guard, or one has been ending, for too long")
    time.sleep(WAIT_SECONDS)


def _start(config: Config, socket: str, directory: Path, deadline: float) -> None:
    """Start a guard that goes on after this process, and wait until it says that it is ready."""
    words = [
        sys.executable,
        "-I" if sys.flags.isolated else "-P",
        *("-m", "guardrail", "serve", "--config", config.source, "--socket", socket),
        *("--own-user", "--idle-seconds", str(max(1, round(config.hooks.idle_seconds)))),
    ]
    with _log(directory / LOG) as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd="/", start_new_session=True
        )
    stdout = process.stdout
    if stdout is None:
        raise client.NoAnswer("the guard that was started cannot be heard")
    with stdout:
        line = _line(stdout.fileno(), deadline)
    # It is not this process's to wait for: it is the next call's guard.
    process.returncode = 0
    if not line.endswith(b"\n"):
        raise client.NoAnswer(f"no guard can be started: {_last_line(directory / LOG)}")


def _line(fd: int, deadline: float) -> bytes:
    """A whole line: whoever writes it must not find that nobody reads any more; less if there is none."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise client.NoAnswer("the guard that was started is not ready yet: ask again")
        chunk = os.read(fd, MAX_LINE_BYTES)
        if not chunk:
            break
        line += chunk
    return line


@contextlib.contextmanager
def _log(path: Path) -> Generator[int]:
    mode = os.O_TRUNC if path.exists() and path.stat().st_size > MAX_LOG_BYTES else 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | mode, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("guardrail: ") if lines else f"see `{path}`"


def _answer_here(config: Config, options: dict[str, str], event: bytes) -> tuple[int, bytes]:
    from guardrail.guard import Guard
    from guardrail.hooks._desk import HookDesk
    from guardrail.hooks._events import Agent

    agent = Agent(id=options.get("subject", ""), model=options.get("model") or None)
    with Guard.open(config) as guard:
        said = HookDesk(guard).answer(options["harness"], event, agent)
    return said.exit_code, said.stderr if said.exit_code else said.stdout
