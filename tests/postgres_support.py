"""A PostgreSQL server of the tests' own: made, started, stopped and killed here, and gone when they end.

With replicas that write to it, in this process and in others.
"""

from __future__ import annotations

import contextlib
import datetime as dt
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from guardrail.audit.postgres import PostgresTrail
from tests.audit_support import child

WAIT_SECONDS = 120
"""Longest wait for a server to be made, to start or to stop, in seconds: making one takes half a minute where others
use every core."""

PATIENT_SECONDS = 30.0
"""How long a replica waits for the server where a test says nothing else, in seconds: a busy machine is no fault."""

WRITING_SECONDS = 240
"""Longest that a process which writes may take, in seconds; its server may be killed and started meanwhile."""

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
        self._port = "5432"
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
        return f"postgresql://{user}@/{database}?host={self.home}&port={self._port}"

    def start(self, **settings: str) -> None:
        """Start the server, and wait until it takes connections."""
        self._port = settings.get("port", "5432")
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
        if self._pid():
            os.kill(self._pid(), signal.SIGINT)
            self._gone()

    def kill(self) -> None:
        """Kill the server and all of its sessions at once, as a crash of the host would."""
        self._signal_all(signal.SIGKILL)
        self._gone()

    def restart(self) -> None:
        """Cut all sessions off and start again, which recovers from the log: `pg_ctl restart -m immediate`."""
        data = self.home / "data"
        subprocess.run(
            [self._bin / "pg_ctl", "restart", "-m", "immediate", "-w", "-D", data, "-l", data / "restarted.log"],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=WAIT_SECONDS, cwd="/", **self._as,
        )  # fmt: skip

    def _pid(self) -> int:
        """The server's own process, whoever started it; 0 if there is none."""
        if self._process is not None:
            self._process.poll()  # one of ours that has ended is gone only when somebody has asked
        try:
            pid = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return 0
        return pid

    def _gone(self) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while self._pid():
            assert time.monotonic() < end, (self.home / "log").read_text()
            threading.Event().wait(0.01)  # it may be no child of ours; this loop is bounded
        if self._process is not None:
            self._process.wait(WAIT_SECONDS)

    def pause(self) -> None:
        """Stop all of its processes; they keep their connections and answer nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        pid = self._pid()
        assert pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Its sessions have process groups of their own.
        for one in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

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
        if self._pid():
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


def certify(place: Path, data: Path) -> None:
    """Give a server a certificate for `localhost` by an authority made for it; another one has nothing to do with it.

    Args:
        place: gets the certificates of both, `ca.pem` and `other.pem`.
        data: where the server keeps its data; gets `server.crt` and `server.key`.
    """
    authorities = {name: (ec.generate_private_key(ec.SECP256R1()), _named(name)) for name in ("ca", "other")}
    for name, (key, subject) in authorities.items():
        made = _certificate(subject, subject, key.public_key(), authority=True).sign(key, hashes.SHA256())
        (place / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    own, (key, issuer) = ec.generate_private_key(ec.SECP256R1()), authorities["ca"]
    made = _certificate(_named("localhost"), issuer, own.public_key(), authority=False).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    for path, content in (
        (data / "server.crt", made.public_bytes(serialization.Encoding.PEM)),
        (data / "server.key", own.private_bytes(serialization.Encoding.PEM, *form)),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, data.stat().st_uid, data.stat().st_gid)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )


# ── replicas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_shared(store: str, home: Path, **settings: Any) -> PostgresTrail:
    """One replica: a directory of its own, and the key that all of them share."""
    usual = {"key": home.parent / "trail.key", "checkpoint_seconds": 1e6, "timeout_seconds": PATIENT_SECONDS}
    return PostgresTrail.open(store, directory=home, **usual | settings)


def named(store: str) -> str:
    """Name of the database."""
    return urlsplit(store).path.strip("/")


def rows(store: str) -> list[tuple[int, bytes, bytes]]:
    """Number, leaf and hash of every record, as the database has them."""
    with psycopg.connect(store) as connection:
        found = connection.execute("select seq, leaf, hash from guardrail.ledger order by seq").fetchall()
    return [(seq, bytes(leaf), bytes(digest)) for seq, leaf, digest in found]


PATIENTLY = f"""
from guardrail.audit.postgres import _server
_server.HOLD_SECONDS = {PATIENT_SECONDS}
"""
"""What a child runs first whom the server is not to put out, however long a busy machine makes it stand still."""

_WRITE = """
import os, struct, sys, threading
from guardrail.audit.postgres import PostgresTrail
from guardrail.errors import TrailError
store, home, writers, records = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for left in range(9, -1, -1):
    try:
        trail = PostgresTrail.open(store, directory=home, key=home + "/../trail.key", timeout_seconds=120)
        break
    except TrailError:
        # The server puts out whoever stands still while it opens, as a machine that is busy makes a process do.
        if not left:
            raise
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
    out, err = process.communicate(timeout=WRITING_SECONDS)
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
        self.swallows = False
        """Whether nothing goes through, in either direction, and nobody is told."""
        self._cut = False
        self._lock = threading.Lock()
        self._carried: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and take none until it is mended."""
        with self._lock:  # none may slip through that is just being taken
            self._cut = True
            for near in self._carried:
                with contextlib.suppress(OSError):
                    near.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let everything through again; connections that were swallowed are ended."""
        self.cut()
        self._cut = self.swallows = False

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
            with self._lock:
                if self._cut:
                    near.close()
                    continue
                self._carried.append(near)
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._there))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        silent = False
        with near, far, contextlib.suppress(OSError):  # the other end of one that was cut
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if self.swallows:
                        continue
                    if ready is near and b"marked" in data and self.lose:
                        lost, self.lose = self.lose, None
                        if lost == "question":
                            return
                        silent = True
                    if not silent or ready is near:
                        (far if ready is near else near).sendall(data)
                    elif data.endswith(b"Z\0\0\0\5I"):
                        return  # the server is ready for the next question: it has committed
