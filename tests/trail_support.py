"""Trails that hold one of every kind of record, and many of the common ones, for those who read trails."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.audit import Trail
from guardrail.review._statements import VoteStatement, sign_statement

KIM = Ed25519PrivateKey.from_private_bytes(bytes(32))
"""Whoever answers in the trails here."""

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\u202egnp.exe\x1b[2J\x00=cmd|1"
"""What an agent may call itself: markup, quotes, bidirectional and control characters, a formula."""

OPS = (
    ("read", "/srv/models/beta/w.safetensors", ""), ("copy", "/srv/models/beta/w.safetensors", "/tmp/w"),
    ("delete", "/srv/models/beta/", ""), ("set_times", "/tmp/w", ""), ("exec", "python3", ""), ("list", "/srv", ""),
    ("net_send", "/srv/models/beta/w.safetensors", "ssh://host/x"), ("api_delete", "mlflow:beta/1", ""),
    ("set_key", "/etc/acme/shutdown.yaml", ""), ("exec_opaque", "any", ""), ("rename", "/tmp/w", "/tmp/v"),
    ("service", "systemd:beta", ""), ("signal", "process:17", ""), ("mount", "/mnt", ""),
    ("copy", "s3://b/w", "/tmp/w"),
)  # fmt: skip


def decision(number: int, outcome: str = "deny", *, agent: str = "ops-agent", **more: Any) -> dict[str, Any]:
    """A record as the guard writes it for one call."""
    op, resource, target = OPS[number % len(OPS)]
    effect = {"op": op, "resource": resource, "precision": "exact", **({"target": target} if target else {})}
    asset = ["model:beta"] if number % 3 else []
    rules = {"allow": [], "escalate": ["review.needed"], "deny": ["copy.unsanctioned", "times.forged"]}[outcome]
    return {
        "kind": "intent" if outcome == "allow" else "decision",
        "decision_id": f"d-{number}",
        "call": {"id": f"call_{number}", "tool": "bash", "digest": f"sha256:{number:064x}"},
        "session": f"s{number % 7}",
        "subject": {"id": agent, "model": "acme/alpha", "principal": "user:dana@example.com"},
        "effects": [effect],
        "assets": asset,
        "decision": {"outcome": outcome, "rules": rules, "policy": "r1 sha256:ab", "engine": "wasm", "elapsed_us": 300},
        **more,
    }


def everything() -> Iterator[dict[str, Any]]:
    """One record of every kind, and of every outcome; number 3 is an intent whose result is number 4."""
    yield {"kind": "config", "event": "opened", "policy": "r1", "engine": "wasm", "inventory": 2, "mode": "enforce",
           "unsafe_fail_open": False}  # fmt: skip
    yield decision(1)
    yield decision(2, "escalate")
    yield decision(3, "allow", mandates=[{"mandate": "m-1", "grant": 1}], grant="g-1")
    yield {"kind": "result", "intent": 3, "decision_id": "d-3", "call": "call_3", "result": "completed"}
    yield {"kind": "escalation", "escalation": "d-2", "state": "pending", "subject": {"id": "ops-agent"},
           "rule": "review.needed", "assets": ["model:beta"], "risk": "high"}  # fmt: skip
    yield {"kind": "vote", "escalation": "d-2", "verdict": "approve", "voter": "dana@example.com"}
    yield {"kind": "grant", "grant": "g-1", "escalation": "d-2", "state": "active", "approver": "dana@example.com"}
    yield {"kind": "redemption", "grant": "g-1", "result": "completed", "seq_intent": 3}
    yield {"kind": "order", "event": "issued", "mandate": "m-1", "digest": "ab", "issuer": "dana@example.com",
           "subject": "ops-*", "obligations": ["delete model:beta"]}  # fmt: skip
    yield {"kind": "obligation", "obligation": "m-1/gone", "mandate": "m-1", "subject": "ops-agent", "effect": "delete",
           "asset": "model:beta", "state": "open", "attempts": {}, "evidence": []}  # fmt: skip
    yield {"kind": "obligation", "obligation": "m-1/gone", "mandate": "m-1", "subject": "ops-agent", "effect": "delete",
           "asset": "model:beta", "state": "met", "attempts": {"allow": 1}, "evidence": ["gone"]}  # fmt: skip
    yield {"kind": "obligation", "obligation": "m-2/gone", "mandate": "m-2", "subject": "ops-agent", "effect": "delete",
           "asset": "model:beta", "state": "unmet", "attempts": {}, "evidence": ["`/w` is there"]}  # fmt: skip
    yield {"kind": "config", "event": "policy_loaded", "policy": "r2", "source": "server"}
    yield {"kind": "config", "event": "policy_refused", "policy": "r0", "source": "server", "why": "it is older"}
    yield decision(4, "deny", fault="the engine trapped") | {"effects": [], "assets": []}
    yield decision(5, "allow", mode="observe", observed={"outcome": "deny", "rules": ["copy.unsanctioned"]})
    yield decision(6, "allow", unsafe_fail_open=True, fault="the engine trapped")
    yield decision(7, agent=HOSTILE) | {"call": {"id": HOSTILE, "tool": HOSTILE, "digest": "x"}}
    yield from reviewed()
    yield {"kind": "obligation", "obligation": "m-3/gone", "n": 2, "mandate": "m-3", "subject": "ops-*",
           "effect": "delete", "asset": "model:beta", "state": "unmet", "stage": "attempted",
           "attempts": {"allow": 1, "deny": 2}, "evidence": ["`/w` is there"], "alarms": ["moved"],
           "what": {"event": "looked", "result": "present", "findings": [{"kind": "moved", "says": "at"}]}}  # fmt: skip
    yield {"kind": "obligation", "obligation": "m-1/gone", "n": 4, "mandate": "m-1", "subject": "ops-agent",
           "effect": "delete", "asset": "model:beta", "state": "met", "stage": "absent_1", "attempts": {"allow": 1},
           "evidence": ["gone"], "what": {"event": "worded", "by": "dana@example.com", "digest": "cd"}}  # fmt: skip
    yield {"kind": "obligation", "obligation": "m-1/gone", "n": 5, "mandate": "m-1", "subject": "ops-agent",
           "effect": "delete", "asset": "model:beta", "state": "met", "stage": "discharged", "attempts": {"allow": 1},
           "evidence": ["gone twice"], "what": {"event": "discharged", "certificate": "ab"}}  # fmt: skip
    yield {"kind": "result", "intents": [16, 17], "result": "unknown"}
    yield {"kind": "gap", "lost": 3, "reason": "disk full"}
    yield {"kind": "key", "key": "k2", "event": "rotated"}
    yield {
        "kind": "redaction",
        "target": 3,
        "pointer": "/args",
        "reason": "personal data",
        "authority": "dpo@example.com",
    }
    yield {"kind": "checkpoint", "size": 20, "witness": "w.example", "event": "cosigned"}
    yield {"kind": "asset", "asset": "model:beta", "state": "retiring"}
    yield {"kind": "odd", "decision": 3, "effects": 4, "call": 5, "assets": None, "subject": [], "t": {"a": [None]}}
    yield {"kind": "result", "intent": "x", "result": 3}
    yield {"kind": "intent", "effects": [1, {"op": 2, "resource": None}], "decision": {"outcome": 7, "rules": 8}}


def reviewed() -> Iterator[dict[str, Any]]:
    """An escalation as review records it: opened, approved, used; and another one that nobody answered."""
    held = {"id": "e-1", "digest": "sha256:e", "agent": "ops-agent", "session": "s1", "created_us": 1, "expires_us": 9,
            "leave_seconds": 900, "shown": [["copy.unsanctioned", "model:beta"]], "assets": ["model:beta"]}  # fmt: skip
    yield {"kind": "escalation", "event": "opened", "escalation": "e-1", "at_us": 1, "held": held}
    said = VoteStatement(voter="kim@example.com", t_us=2, nonce="n", escalation="e-1", subject="sha256:e",
                         verdict="approve")  # fmt: skip
    envelope = sign_statement(said, KIM).decode()
    proof = "ed25519:" + json.loads(envelope)["signatures"][0]["keyid"]
    yield {"kind": "vote", "event": "voted", "escalation": "e-1", "at_us": 2,
           "vote": {"voter": "kim@example.com", "verdict": "approve", "at_us": 2, "proof": proof,
                    "envelope": envelope}}  # fmt: skip
    yield {"kind": "grant", "event": "issued", "escalation": "e-1", "at_us": 3,
           "grant": {"id": "g-9", "digest": "sha256:e", "approver": "kim@example.com", "expires_us": 9}}  # fmt: skip
    yield {"kind": "redemption", "event": "reserved", "escalation": "e-1", "at_us": 4, "grant": "g-9", "use": 1,
           "holder": "p1"}  # fmt: skip
    yield {"kind": "redemption", "event": "finished", "escalation": "e-1", "at_us": 5, "grant": "g-9", "use": 1,
           "ending": "completed"}  # fmt: skip
    yield {"kind": "grant", "event": "withdrawn", "escalation": "e-1", "at_us": 6, "grant": "g-9", "why": "revoked",
           "by": "kim@example.com"}  # fmt: skip
    yield {"kind": "escalation", "event": "opened", "escalation": "e-2", "at_us": 7, "held": held | {"id": "e-2"}}
    yield {"kind": "escalation", "event": "closed", "escalation": "e-2", "at_us": 8, "state": "expired"}


def hostile_records(text: str = HOSTILE) -> Iterator[dict[str, Any]]:
    """Every text in every record is what an agent would like it to be."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            keep = ("kind", "event", "outcome", "state")
            return {key: item if key in keep else replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return text if isinstance(value, str) else value

    for record in everything():
        yield replaced(record)


def make_everything(directory: Path) -> Path:
    """A closed trail of `everything`."""
    with Trail.open(directory, segment_bytes=4096, checkpoint_seconds=1e6) as trail:
        for record in everything():
            trail.append(record)
    return directory


def many(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Decisions and results of a busy fleet, in a fixed mixture."""
    chance = random.Random(seed)
    seq = 0
    while seq < count:
        outcome = chance.choices(("allow", "escalate", "deny"), (90, 4, 6))[0]
        record = decision(seq, outcome, agent=f"agent-{chance.randrange(40)}")
        yield record
        seq += 1
        if outcome == "allow" and seq < count:
            yield {"kind": "result", "intent": seq - 1, "decision_id": record["decision_id"],
                   "call": record["call"]["id"], "result": "completed"}  # fmt: skip
            seq += 1


def cosigned_by(
    note: str, key: Ed25519PrivateKey, name: str = "w.example", at_s: int = 1_700_000_000
) -> tuple[str, str]:
    """A checkpoint with a witness's cosignature/v1, and the witness's key."""
    public = b"\x04" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    body = note.partition("\n\n")[0] + "\n"
    signature = key.sign(f"cosignature/v1\ntime {at_s}\n{body}".encode())
    blob = key_id + at_s.to_bytes(8, "big") + signature
    line = f"— {name} {base64.b64encode(blob).decode()}\n"
    return note + line, f"{name}+{key_id.hex()}+{base64.b64encode(public).decode()}"
