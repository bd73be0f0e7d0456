"""Three sidecars, each a process of its own with its own trail, one database in common, and ways to it that are cut."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from guardrail.audit import verify
from guardrail.audit.postgres import migrate_store
from guardrail.central import _people
from guardrail.cli import main
from guardrail.client import Client
from guardrail.config import load
from tests.central_support import AT_ONCE_SECONDS, DELETE, SELDOM_SECONDS, Fleet, until
from tests.postgres_support import PATIENTLY, Cluster, Wire

START_SECONDS = 180
"""Longest wait for a process to be ready, or to end."""


_MAIN = """
import sys
from guardrail.cli import main
sys.exit(main())
"""


class Sidecar:
    """One process.

    Args:
        fleet: whose configuration it has.
        name: of its trail.
        wire: its way to the database.
    """

    central = ""
    """More of its `[central]`."""
    service = ""
    """More of its `[service]`."""

    def __init__(self, fleet: Fleet, name: str, wire: Wire) -> None:
        self.fleet = fleet
        self.name = name
        self.wire = wire
        self.trail = fleet.root / name / "trail"
        self.socket = fleet.root / f"{name}.sock"
        more = f'[service]\nsocket = "{self.socket}"\n{self.service}'
        self.config = fleet.config(name, wire.url(fleet.store), poll=SELDOM_SECONDS, more=more, central=self.central)
        self.start()

    def start(self) -> None:
        """Start it; `ready` waits for it."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{PATIENTLY}{_MAIN}", "serve", "--config", str(self.config)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent.parent, env=os.environ,
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until it answers."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], START_SECONDS)[0]
        assert self.process.stdout.readline()

    def ask(self, number: int = 0) -> dict[str, Any]:
        """Ask whether a part of the model may be deleted."""
        call = self.fleet.deletion(number)
        with contextlib.closing(Client(str(self.socket), timeout_seconds=START_SECONDS)) as client:
            return client.decide(msgspec.to_builtins(call))

    def outcome(self, number: int = 0) -> str:
        """What it says to that."""
        return str(self.ask(number)["outcome"])


def stop(sidecars: list[Sidecar]) -> None:
    """End them as an operator would, those that are left."""
    for one in sidecars:
        one.process.terminate()
    for one in sidecars:
        one.process.wait(START_SECONDS)
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.fixture(scope="module")
def fleet(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A centre of this module's own, and the person's key in a file."""
    store = postgres.database("sidecars")
    migrate_store(store)
    made = Fleet(tmp_path_factory.mktemp("fleet"), store)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (made.root / "dana.key").write_bytes(made.key.private_bytes(*form))
    (made.root / "dana.key").chmod(0o600)
    return made


@pytest.fixture(scope="module")
def sidecars(postgres: Cluster, fleet: Fleet) -> Iterator[list[Sidecar]]:
    """Three that are ready."""
    made: list[Sidecar] = []
    try:
        for name in "abc":
            home = fleet.root / f"{name}.wire"
            home.mkdir()
            made.append(Sidecar(fleet, name, Wire(postgres, home)))
        [one.ready() for one in made]
        yield made
    finally:
        stop(made)
        [one.wire.close() for one in made]


def test_an_order_and_its_revocation_reach_every_sidecar_at_once(fleet: Fleet, sidecars: list[Sidecar]) -> None:
    """Published once; nothing is started again and no file is copied."""
    for publish, wanted in ((lambda: fleet.order("o1"), "allow"), (lambda: fleet.revoke("o1"), "deny")):
        begun = time.monotonic()
        publish()
        assert all(until(lambda one=one, wanted=wanted: one.outcome() == wanted) for one in sidecars)
        assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_no_use_is_given_twice_by_three_sidecars_one_of_which_is_killed(fleet: Fleet, sidecars: list[Sidecar]) -> None:
    """Who dies with a use in hand has used it; the others give what is left, and not one more."""
    fleet.order("o2", {**DELETE, "uses": 9})
    assert all(until(lambda one=one: one.outcome() == "allow") for one in sidecars)
    uses: list[int] = []

    def ask(one: Sidecar) -> None:
        for number in range(5):
            uses.extend(use["use"] for use in one.ask(number).get("mandates", ()))

    threads = [threading.Thread(target=ask, args=(one,)) for one in sidecars]
    [thread.start() for thread in threads]
    sidecars[2].process.kill()
    [thread.join(START_SECONDS) for thread in threads]
    sidecars[2].process.communicate(timeout=START_SECONDS)
    assert len(set(uses)) == len(uses) <= 6
    assert not set(uses) & {1, 2, 3}
    assert [one.outcome() for one in sidecars[:2]] == ["deny", "deny"]
    sidecars[2].start()
    sidecars[2].ready()
    assert sidecars[2].outcome() == "deny"


def test_a_way_that_is_cut_in_the_middle_of_an_escalation_lets_the_call_wait(
    fleet: Fleet, sidecars: list[Sidecar], capsys: pytest.CaptureFixture[str]
) -> None:
    """A yes that was given is worth nothing until its use can be counted; then it is worth one call."""
    one, other = sidecars[:2]
    fleet.order("o3", {**DELETE, "approval": True, "uses": 1})
    assert until(lambda: one.outcome(3) == "escalate")
    escalation = str(one.ask(3)["escalation"])
    one.wire.cut()
    approve = ["escalations", "approve", escalation, "--key", str(fleet.root / "dana.key"), "--config", str(one.config)]
    assert main([*approve, "--wait", str(START_SECONDS)]) == 0
    refused = one.ask(3)
    assert refused["outcome"] == "deny"
    assert "the uses of `o3` are counted in common, and the centre cannot be asked" in refused["reasons"][0]["message"]
    one.wire.mend()
    assert until(lambda: one.outcome(3) == "allow")
    assert one.outcome(3) == "deny"
    assert other.outcome(4) != "allow"
    capsys.readouterr()


def test_every_trail_is_whole_and_recorded_to_its_end(fleet: Fleet, sidecars: list[Sidecar]) -> None:
    """What was decided while the way was cut, and by the one that was killed, is there too."""
    stop(sidecars)
    seen = {origin.origin: (origin.size, origin.wrong) for origin in _people.origins(load(fleet.people))}
    for one in sidecars:
        report = verify(one.trail, deep=True)
        assert report.ok
        assert seen[f"guardrail.test/{one.name}"] == (report.records, "")
