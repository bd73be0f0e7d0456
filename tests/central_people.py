"""Escalations that guards have in common: what a person does at one place about a call that is held at another."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Decision, Guard
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.config import load
from guardrail.mandates._signing import public_text
from guardrail.review import Case
from guardrail.review._machine import subject_of
from guardrail.review._statements import AnyStatement, VoteStatement, shown_of, sign_statement
from tests.central_support import DELETE, Fleet, directory_of, until

SHARED = "escalations = true"
"""Of `[central]`: escalations of this guard are seen elsewhere."""


class Town:
    """A fleet whose escalations are in common, with Dana's key in a file and Eve beside her.

    Args:
        fleet: its configurations.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.eve = Ed25519PrivateKey.generate()
        self.more = f'[[person]]\nname = "eve"\nkey = "{public_text(self.eve)}"'
        self.keys = {"dana": self._file("dana", fleet.key), "eve": self._file("eve", self.eve)}
        self.desk = fleet.config("desk", fleet.store, central=SHARED, more=self.more)
        """The configuration of somebody who has no guard at all."""
        fleet.order("m1", {**DELETE, "approval": True})

    def _file(self, name: str, key: Ed25519PrivateKey) -> Path:
        path = self.fleet.root / f"{name}.key"
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(*form))
        path.chmod(0o600)
        return path

    def guard(self, name: str, store: str = "", **options: Any) -> Guard:
        """A guard that knows the order."""
        opened = self.fleet.guard(name, store, central=SHARED, more=options.pop("more", self.more), **options)
        assert until(lambda: bool(opened.mandates.mandates))
        return opened

    def held(self, guard: Guard, number: int = 0) -> str:
        """A call is held there; the id of its escalation, once it is at the centre."""
        decision = guard.check(self.fleet.deletion(number))
        assert decision.escalation is not None, decision
        assert until(lambda: self.row(str(decision.escalation)) is not None)
        return decision.escalation

    def asked(self, guard: Guard, number: int = 0) -> Decision:
        """What the guard says to a call now."""
        return guard.check(self.fleet.deletion(number))

    def row(self, escalation: str) -> tuple[str, bytes] | None:
        """Origin and note of a case at the centre."""
        with psycopg.connect(self.fleet.store) as connection:
            row = connection.execute(
                "select origin, note from guardrail.cases where escalation = %s", (escalation,)
            ).fetchone()
        return None if row is None else (str(row[0]), bytes(row[1]))

    def say(self, *words: str, by: str = "dana", wait: float = 10.0) -> int:
        """What the command line answers to somebody at the desk."""
        return main([*words, "--key", str(self.keys[by]), "--config", str(self.desk), "--wait", str(wait)])

    def vote(self, case: Case, origin: str, verdict: Any = "approve", **other: Any) -> bytes:
        """A vote of Dana's, signed, about what she was shown."""
        said: dict[str, Any] = {"shown": shown_of(case.held, f"guardrail.test/{origin}")} | other
        return self.signed(
            VoteStatement(
                voter="dana",
                t_us=time.time_ns() // 1000,
                escalation=case.held.id,
                subject=subject_of(case.held),
                verdict=verdict,
                **said,
            )
        )

    def signed(self, statement: AnyStatement) -> bytes:
        """Anything that Dana says."""
        return sign_statement(statement, self.fleet.key)

    def bring(self, envelope: bytes, origin: str) -> str:
        """What a centre that does as it likes brings to a guard; the digest."""
        with psycopg.connect(self.fleet.store) as connection:
            row = connection.execute(
                "insert into guardrail.statements (digest, origin, envelope)"
                " values (encode(sha256(%(e)s), 'hex'), %(o)s, %(e)s) returning digest",
                {"e": envelope, "o": f"guardrail.test/{origin}"},
            ).fetchone()
        assert row is not None
        return str(row[0])

    def answer(self, digest: str) -> dict[str, Any] | None:
        """What the guard has said of it, whoever signed that."""
        import base64

        with psycopg.connect(self.fleet.store) as connection:
            row = connection.execute("select answer from guardrail.statements where digest = %s", (digest,)).fetchone()
        if row is None or row[0] is None:
            return None
        said: dict[str, Any] = json.loads(base64.b64decode(json.loads(bytes(row[0]))["payload"]))
        return said

    def answered(self, digest: str) -> dict[str, Any]:
        """The same, as soon as it is there."""
        assert until(lambda: self.answer(digest) is not None)
        return self.answer(digest) or {}


def case_of(guard: Guard, escalation: str) -> Case:
    """A case as its guard has it."""
    case = guard.desk.find(escalation)
    assert case is not None
    return case


def votes_of(guard: Guard) -> list[dict[str, Any]]:
    """The votes in a guard's own trail, as its files have them."""
    return [record for _, record in read_records(directory_of(guard)) if record["kind"] == "vote"]


def config_of(town: Town) -> Any:
    """The configuration at the desk, read."""
    return load(town.desk)
