"""A PostgreSQL server of the tests' own: made, started, stopped and killed here, and gone when they end.

With replicas that write to it, in this process and in others.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from guardrail.audit.postgres import PostgresTrail
from tests.audit_support import child

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
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.01)  # nothing tells when a server is ready; this loop is bounded
            # The one before was killed, and its shared memory is not free yet.
            assert time.monotonic() < end, (self.home / "log").read_text()

    def stop(self) -> None:
        """Shut the server down, as an operator would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """Kill the server and all of its sessions at once, as a crash of the host would."""
        assert self._process is not None
        self._signal_all(signal.SIGKILL)
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

    def database(self, name: str = "ledger") -> str:
        """An empty database; one that was used before is emptied, which takes a tenth of making another."""
        if self.run(f"select datname from pg_database where datname = '{name}'"):
            self.run(
                f"alter database {name} reset all;"
                f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            )
            self.run("drop schema if exists guardrail cascade", self.url(name))
        else:
            self.run(f"create database {name}")
        return self.url(name)

    def run(self, text: str, url: str = "") -> list[Any]:
        """Run a statement as the owner; its rows."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(text.encode(), prepare=False)
            while cursor.nextset():
                pass
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


# ── replicas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_shared(store: str, home: Path, **settings: Any) -> PostgresTrail:
    """One replica: a directory of its own, and the key that all of them share."""
    return PostgresTrail.open(
        store, directory=home, **{"key": home.parent / "trail.key", "checkpoint_seconds": 1e6, **settings}
    )


def named(store: str) -> str:
    """Name of the database."""
    return urlsplit(store).path.strip("/")


def rows(store: str) -> list[tuple[int, bytes, bytes]]:
    """Number, leaf and hash of every record, as the database has them."""
    with psycopg.connect(store) as connection:
        found = connection.execute("select seq, leaf, hash from guardrail.ledger order by seq").fetchall()
    return [(seq, bytes(leaf), bytes(digest)) for seq, leaf, digest in found]


_WRITE = """
import os, struct, sys, threading
from guardrail.audit.postgres import PostgresTrail
store, home, writers, records = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
trail = PostgresTrail.open(store, directory=home, key=home + "/../trail.key", timeout_seconds=30)
os.write(1, b"r" * 16)
os.read(0, 1)
def work(lane):
    for number in range(records):
        seq = trail.append({"kind": "decision", "home": home, "lane": lane, "number": number})
        os.write(1, struct.pack(">QQ", seq, lane * records + number))
lanes = [threading.Thread(target=work, args=(lane,)) for lane in range(writers)]
[lane.start() for lane in lanes]
[lane.join() for lane in lanes]
trail.close()
"""


def start_replica(store: str, home: Path, writers: int, records: int) -> subprocess.Popen[bytes]:
    """A process that opens the ledger and waits for a byte before it writes; each number is told when it is known."""
    return child(_WRITE, store, home, writers, records, stdin=subprocess.PIPE)


def heard(process: subprocess.Popen[bytes]) -> dict[int, int]:
    """What a replica was told: the number of each of its records."""
    out, err = process.communicate(timeout=120)
    assert not err or process.returncode < 0, err.decode()
    return dict(struct.unpack_from(">QQ", out, at) for at in range(0, len(out) // 16 * 16, 16))


def let_go(*processes: subprocess.Popen[bytes], word: bytes = b"g") -> None:
    """Wait until all are ready, and let them write at once."""
    for process in processes:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 16) == b"r" * 16, process.communicate()[1].decode()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(word)
        process.stdin.flush()


class Wire:
    """What lies between a replica and the server: it can lose an answer, or a question.

    Args:
        server: the real one.
        home: directory for the socket that replicas are given instead.
    """

    def __init__(self, server: Cluster, home: Path) -> None:
        self._there = server.home / ".s.PGSQL.5432"
        self._home = home
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / ".s.PGSQL.5432"))
        self._listener.listen()
        self.lose: str | None = None
        """What becomes of the next message with `marked` in it: `question`, `answer`, or nothing."""
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, store: str) -> str:
        """The same database, through here."""
        return f"postgresql://owner@/{named(store)}?host={self._home}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._there))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        silent = False
        with near, far:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is near and b"marked" in data and self.lose:
                        lost, self.lose = self.lose, None
                        if lost == "question":
                            return
                        silent = True
                    if not silent or ready is near:
                        (far if ready is near else near).sendall(data)
                    elif data.endswith(b"Z\0\0\0\5I"):
                        return  # the server is ready for the next question: it has committed
