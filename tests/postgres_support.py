"""A PostgreSQL server of the tests' own: made, started, stopped and killed here, and gone when they end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

WAIT_SECONDS = 30
"""Longest wait for a server to start or to stop."""

HOW_TO_GET_IT = "PostgreSQL is not installed: `apt-get install postgresql`, or put `initdb` on PATH"

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "logging_collector": "off",
}


def binaries() -> Path | None:
    """The directory with `initdb` and `postgres`: on PATH, or where Debian puts the newest one."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return places[-1].parent if places else None


class Cluster:
    """One server on a Unix socket, run by somebody who is not root.

    Args:
        bin_directory: where `initdb` and `postgres` are.
    """

    def __init__(self, bin_directory: Path) -> None:
        self._bin = bin_directory
        self._as = _unprivileged()
        self.home = Path(tempfile.mkdtemp(prefix="guardrail-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        if self._as:
            os.chown(self.home, self._as["user"], self._as["group"])
        self.home.chmod(0o755)
        subprocess.run(
            [self._bin / "initdb", "-D", self.home / "data", "-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C",
             "--no-sync"],
            check=True, capture_output=True, timeout=WAIT_SECONDS, cwd="/", **self._as,
        )  # fmt: skip

    def url(self, database: str = "postgres", user: str = "owner") -> str:
        """How to reach a database."""
        return f"postgresql://{user}@/{database}?host={self.home}"

    def start(self, **settings: str) -> None:
        """Start the server, and wait until it takes connections."""
        options = [f"-c{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
        command = [str(self._bin / "postgres"), "-D", str(self.home / "data"), "-k", str(self.home), *options]
        end = time.monotonic() + WAIT_SECONDS
        while True:
            with (self.home / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                    **self._as,
                )  # fmt: skip
            while self._process.poll() is None:
                with contextlib.suppress(psycopg.OperationalError):
                    psycopg.connect(self.url(), connect_timeout=2).close()
                    return
                assert time.monotonic() < end, (self.home / "log").read_text()
                time.sleep(0.01)  # nothing tells when a server is ready; this loop is bounded
            # The one before was killed, and its shared memory is not free yet.
            assert time.monotonic() < end, (self.home / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Shut the server down, as an operator would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """Kill the server and all of its sessions at once, as a crash of the host would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WAIT_SECONDS)

    def pause(self) -> None:
        """Stop all of its processes; they keep their connections and answer nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        # Its sessions have process groups of their own.
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def database(self) -> str:
        """A new, empty database."""
        self._databases += 1
        name = f"t{self._databases}"
        self.run(f"create database {name}")
        return self.url(name)

    def run(self, text: str, url: str = "") -> list[Any]:
        """Run a statement as the owner; its rows."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Stop it and take everything away."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """For `subprocess`: somebody who is not root, if we are."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server; where there is none to run, the test is skipped, and fails in CI."""
    found = binaries()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    made = Cluster(found)
    try:
        made.start()
        yield made
    finally:
        made.remove()
