"""A configuration with one signed order in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.mandates import Mandate, sign
from guardrail.mandates._signing import public_text


def mandated(base: Path, text: str, grant: dict[str, Any]) -> None:
    """A configuration under which every agent may do one thing, without being asked again."""
    key = Ed25519PrivateKey.generate()
    order = {
        "id": "m1",
        "issuer": "dana",
        "subject": "*",
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2999-01-01T00:00:00Z",
        "text": "as ordered",
        "grants": [{"targets": [], "approval": False} | grant],
        "obligations": [],
    }
    (base / "orders").mkdir()
    (base / "orders/m1.mandate.json").write_bytes(sign(Mandate.from_json(json.dumps(order)), key))
    person = f'[[person]]\nname = "dana"\nkey = "{public_text(key)}"\n[mandates]\ndirectory = "orders"\n'
    (base / "guardrail.toml").write_text(text + person)
