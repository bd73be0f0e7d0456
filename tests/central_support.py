"""Guards with trails of their own that have a database in common, and the people who order things there."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Guard, ToolCall
from guardrail.audit.postgres import _server, migrate_store
from guardrail.central import _people
from guardrail.central._status import Status
from guardrail.config import load
from guardrail.mandates import Mandate, Revocation, revoke, sign
from guardrail.mandates._signing import public_text
from guardrail.model import Subject
from guardrail.service._metrics import common_metrics
from tests.postgres_support import Cluster, Wire

POLL_SECONDS = 0.3

PATIENT_SECONDS = 30.0
"""How long a guard waits for an answer of the centre where a test says nothing else, in seconds: a busy machine does
not cut it off."""

SELDOM_SECONDS = 600.0
"""A time between two looks that is longer than any test."""

AT_ONCE_SECONDS = 120.0
"""Within this time an order or a revocation is everywhere by its notification; the next look would be much later."""

TABLES = tuple(
    f"guardrail.{name}" for name in ("mandates", "revocations", "uses", "origins", "cases", "statements", "announced")
)
"""What guards have in common."""

DELETE = {"effects": ["delete"], "assets": ["model:beta"]}
"""A grant that lets the model be deleted."""


class Fleet:
    """A directory with a model, one person, and guards of it.

    Args:
        root: an empty directory.
        store: the database.
    """

    def __init__(self, root: Path, store: str) -> None:
        self.root = root
        self.store = store
        self.key = Ed25519PrivateKey.generate()
        (root / "models").mkdir()
        for number in range(6):
            (root / "models" / f"beta-{number}").write_bytes(b"w" * 100)
        self.people = self.config("people", store)

    def config(
        self, name: str, store: str, *, poll: float = POLL_SECONDS, timeout: float = PATIENT_SECONDS, more: str = "",
        central: str = "",
    ) -> Path:  # fmt: skip
        """The configuration of one guard.

        Args:
            name: of its directory and its trail.
            store: how it reaches the database.
            poll: time between two looks, in seconds.
            timeout: longest wait for an answer of the database, in seconds.
            more: more of it.
            central: more of its `[central]`.
        """
        path = self.root / f"{name}.toml"
        path.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models"]\n'
            f'[[person]]\nname = "dana"\nkey = "{public_text(self.key)}"\n'
            f'[mandates]\ndirectory = "{name}/orders"\n'
            "[trail]\ntimeout_seconds = 60\n"
            f'directory = "{name}/trail"\norigin = "guardrail.test/{name}"\ncheckpoint_seconds = 0.1\n'
            f'[central]\nstore = "{store}"\npoll_seconds = {poll}\ntimeout_seconds = {timeout}\n'
            f"{central}\n"
            f"[limits]\ndecision_ms = 60000\n{more}\n"
        )
        return path

    def guard(
        self, name: str, store: str = "", *, poll: float = POLL_SECONDS, timeout: float = PATIENT_SECONDS,
        central: str = "", more: str = "", **options: Any,
    ) -> Guard:  # fmt: skip
        """One guard, which reaches the database directly by default."""
        path = self.config(name, store or self.store, poll=poll, timeout=timeout, central=central, more=more)
        return Guard.open(path, **options)

    def signed(self, name: str = "m1", *grants: dict[str, Any]) -> bytes:
        """An order of Dana's."""
        order = {
            "id": name,
            "issuer": "dana",
            "subject": "ops-*",
            "not_before": "2020-01-01T00:00:00Z",
            "not_after": "2120-01-01T00:00:00Z",
            "grants": grants or [DELETE],
        }
        return sign(Mandate.from_json(json.dumps(order)), self.key)

    def publish(self, envelope: bytes, ending: str = "mandate") -> _people.Published:
        """Put something that is signed where every guard reads it."""
        path = self.root / f"new.{ending}.json"
        path.write_bytes(envelope)
        (done,) = _people.publish(load(self.people), [str(path)])
        return done

    def order(self, name: str = "m1", *grants: dict[str, Any]) -> None:
        """Publish an order; without grants one that lets the model be deleted."""
        assert self.publish(self.signed(name, *grants)).fresh

    def revoke(self, name: str = "m1") -> None:
        """Publish that an order is taken back; it ends what Dana has issued."""
        assert self.publish(self.revocation(name), "revocation").fresh

    def revocation(self, name: str = "m1") -> bytes:
        """Dana takes back what she has issued under a name."""
        return revoke(Revocation(mandate=name, by="dana", at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), self.key)

    def used(self, name: str) -> int:
        """How many uses of an order are counted at the centre."""
        with psycopg.connect(self.store) as connection:
            row = connection.execute("select sum(used) from guardrail.uses where mandate = %s", (name,)).fetchone()
        return int(row[0] or 0) if row else 0

    def deletion(self, number: int = 0) -> ToolCall:
        """A call that deletes a part of the model."""
        return ToolCall(
            tool="bash",
            args={"command": f"rm {self.root}/models/beta-{number}"},
            cwd=str(self.root),
            session="s",
            subject=Subject(id="ops-agent", model="acme/alpha"),
        )


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something becomes true before long."""
    waited = threading.Event()
    return any(true() or waited.wait(0.01) for _ in range(int(seconds * 100)))


# ── fixtures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tables(postgres: Cluster) -> str:
    """A database with the tables, which are emptied for each test."""
    store = postgres.database("centre")
    migrate_store(store)
    return store


@pytest.fixture
def fleet(postgres: Cluster, tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Guards to be, with an empty centre."""
    # A busy machine puts none of them out that has just begun to write, and lets none give up who waits for another.
    monkeypatch.setattr(_server, "HOLD_SECONDS", PATIENT_SECONDS)
    quietly(postgres, tables, f"truncate {', '.join(TABLES)}")
    return Fleet(tmp_path, tables)


@pytest.fixture
def wire(postgres: Cluster, tmp_path: Path) -> Iterator[Wire]:
    """A way to the server that can be cut."""
    (tmp_path / "wire").mkdir()
    made = Wire(postgres, tmp_path / "wire")
    yield made
    made.close()


def quietly(postgres: Cluster, store: str, text: str) -> None:
    """What somebody does who owns the database and has switched its triggers off."""
    postgres.run(f"set session_replication_role = replica; {text}", store)


def allows(guard: Guard, fleet: Fleet) -> bool:
    """Whether a deletion would be released."""
    return bool(guard.preview(fleet.deletion()))


def stands(guard: Guard) -> Status:
    """How a guard stands with the centre."""
    assert guard.central is not None
    return guard.central.status


def metrics(guard: Guard) -> dict[str, float]:
    """What Prometheus would read of the centre."""
    return {sample.name: sample.value for family in common_metrics(guard.central.status) for sample in family.samples}


def directory_of(guard: Guard) -> Path:
    """Where its trail lies."""
    return guard.config.path(guard.config.trail.directory)
