"""A place with a model, people who sign, and a guard that heeds them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Decision, Guard, ToolCall
from guardrail.mandates import Mandate, Revocation, revoke, sign
from guardrail.mandates._signing import public_text
from guardrail.model import Subject

AGENT = Subject(id="ops-agent", model="acme/alpha")


class Place:
    """A directory with models, mandates, a configuration, and the keys of its people.

    Args:
        root: an empty directory.
        people: whose signature counts.
        more: more of guardrail.toml: top-level tables.
        asset: more of the `[[asset]]` table of `model:beta`.
        mandates: more of `[mandates]`.
    """

    def __init__(
        self,
        root: Path,
        *,
        people: tuple[str, ...] = ("dana", "eve"),
        more: str = "",
        asset: str = "",
        mandates: str = "",
    ) -> None:
        self.root = root
        self.orders = root / "orders"
        self.keys = {name: Ed25519PrivateKey.generate() for name in people}
        for name in ("models", "orders", "backup", "elsewhere"):
            (root / name).mkdir()
        for name in ("beta.safetensors", "beta-2.safetensors"):
            (root / "models" / name).write_bytes(b"w" * 100)
        tables = "".join(f'[[person]]\nname = "{n}"\nkey = "{public_text(k)}"\n' for n, k in self.keys.items())
        self.toml = root / "guardrail.toml"
        self.toml.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models"]\nuris = ["server://a/beta.bin"]\n'
            f'model = "acme/beta"\nregistered = 2025-03-01\n{asset}\n'
            f'{tables}[mandates]\ndirectory = "orders"\n{mandates}\n[trail]\ntimeout_seconds = 60\n'
            f'directory = "trail"\n'
            f"[limits]\ndecision_ms = 60000\n{more}\n"
        )

    def guard(self, **options: Any) -> Guard:
        """A guard of this place."""
        return Guard.open(self.toml, **options)

    def signed(self, order_id: str = "m1", *, by: str = "dana", **order: Any) -> bytes:
        """An order, signed."""
        base = {
            "id": order_id,
            "issuer": by,
            "subject": "ops-*",
            "not_before": "2020-01-01T00:00:00Z",
            "not_after": "2120-01-01T00:00:00Z",
        }
        return sign(Mandate.from_json(json.dumps(base | order)), self.keys[by])

    def order(self, order_id: str = "m1", *, by: str = "dana", **order: Any) -> Path:
        """An order that lies where the guard looks; without grants one that lets the model be deleted."""
        if not order:
            order = {"grants": [{"effects": ["delete"], "assets": ["model:beta"]}]}
        path = self.orders / f"{order_id}.mandate.json"
        path.write_bytes(self.signed(order_id, by=by, **order))
        return path

    def revocation(self, order_id: str = "m1", *, by: str = "dana", order: bytes | None = None) -> Path:
        """A revocation that lies where the guard looks."""
        shown = "" if order is None else base64.b64encode(order).decode()
        taken = Revocation(mandate=order_id, by=by, at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), order=shown)
        path = self.orders / f"{order_id}-{by}.revocation.json"
        path.write_bytes(revoke(taken, self.keys[by]))
        return path

    def bash(self, command: str, *, session: str = "s", subject: Subject = AGENT) -> ToolCall:
        """A shell command of the agent."""
        return ToolCall(tool="bash", args={"command": command}, cwd=str(self.root), session=session, subject=subject)

    def tool(self, name: str, *, session: str = "s", subject: Subject = AGENT, **args: Any) -> ToolCall:
        """Another tool of the agent."""
        return ToolCall(tool=name, args=args, cwd=str(self.root), session=session, subject=subject)


def rules(decision: Decision) -> list[str]:
    """The rules that fired."""
    return sorted({reason.rule for reason in decision.reasons})


def mandated(base: Path, text: str, *grants: dict[str, Any]) -> None:
    """A configuration under which every agent may do some things, without being asked again."""
    key = Ed25519PrivateKey.generate()
    order = {
        "id": "m1",
        "issuer": "dana",
        "subject": "*",
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2999-01-01T00:00:00Z",
        "text": "as ordered",
        "grants": [{"targets": [], "approval": False} | grant for grant in grants],
        "obligations": [],
    }
    (base / "orders").mkdir(exist_ok=True)
    (base / "orders/m1.mandate.json").write_bytes(sign(Mandate.from_json(json.dumps(order)), key))
    person = f'[[person]]\nname = "dana"\nkey = "{public_text(key)}"\n[mandates]\ndirectory = "orders"\n'
    (base / "guardrail.toml").write_text(text + person)
