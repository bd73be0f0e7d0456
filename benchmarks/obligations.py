"""What it costs to follow what is owed: on a call, in a search of many files, and when all of it is read again.

    python -m benchmarks.obligations [--files N] [--records N] [--json]

Files are made below /var/tmp and removed. Machines differ, and busy ones do nothing else: compare rows with each other.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Guard, Subject, ToolCall
from guardrail.audit._verify import read_records
from guardrail.mandates import Mandate, MandateGrant, Obligation, public_text, sign
from guardrail.obligations._replay import Folded

AGENT = Subject(id="ops")
CALLS = 200
"""Calls that are judged for one row."""


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=100_000, help="files in the directory that is searched")
    options.add_argument("--records", type=int, default=50_000, help="records in the trail that is read again")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        rows = measure(Path(folder), args.files, args.records)
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        for name, value in rows.items():
            print(f"{name:<64} {value:>14,.1f}")
    return 0


def measure(root: Path, files: int, records: int, model_bytes: int = 20_000_000) -> dict[str, float]:
    """Each row with its unit in its name."""
    toml, key = _place(root, files, model_bytes)
    call = ToolCall(tool="bash", args={"command": "ls -la docs"}, cwd=str(root), session="s", subject=AGENT)
    rows: dict[str, float] = {}
    with Guard.open(toml) as guard:
        rows["a call, nothing is owed (p50 us)"] = _p50(lambda: guard.check(call))
        rows["notes() of a guard to which nothing is owed (p50 us)"] = _p50(guard.obligations.notes)
        _order(root, key)
        started = time.perf_counter()
        guard.begin(AGENT)
        rows[f"an order is taken up: 3 files of {model_bytes // 10**6} MB, read and pinned (ms)"] = 1000 * (
            time.perf_counter() - started
        )
        rows["a call, a deletion is owed (p50 us)"] = _p50(lambda: guard.check(call))
        for path in (root / "models").iterdir():
            path.unlink()
        (root / "models").rmdir()
        for number in (1, 2):
            started = time.perf_counter()
            (status,) = guard.settle()
            seconds = time.perf_counter() - started
            rows[f"search {number} (ms)"] = 1000 * seconds
            rows[f"search {number} (files/s)"] = files / seconds
        if status.stage != "discharged":
            raise SystemExit(f"not proven: {status.evidence}")
        if guard.trail is not None:
            for _ in range(records):
                guard.trail.append({"kind": "note", "text": "x" * 200}, durable=False)
    started = time.perf_counter()
    folded = Folded().take_all(read_records(root / "trail"))
    rows["the whole trail is read again (records/s)"] = records / (time.perf_counter() - started)
    if set(folded.duties) != {"m/gone"}:
        raise SystemExit("the trail does not have the duty")
    started = time.perf_counter()
    with Guard.open(toml):
        rows["a guard starts, closed before (ms)"] = 1000 * (time.perf_counter() - started)
    return rows


def _place(root: Path, files: int, model_bytes: int) -> tuple[Path, Ed25519PrivateKey]:
    key = Ed25519PrivateKey.generate()
    for folder in ("models", "orders", "data"):
        (root / folder).mkdir()
    for number in range(3):
        (root / "models" / f"{number}.safetensors").write_bytes(bytes([number]) * model_bytes)
    for number in range(files):
        folder = root / "data" / str(number // 1000)
        folder.mkdir(exist_ok=True)
        (folder / str(number)).touch()
    toml = root / "guardrail.toml"
    toml.write_text(
        '[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["models"]\n'
        f'[[person]]\nname = "dana"\nkey = "{public_text(key)}"\n[mandates]\ndirectory = "orders"\n'
        '[trail]\ndirectory = "trail"\n[obligations]\nroots = ["."]\n'
    )
    return toml, key


def _order(root: Path, key: Ed25519PrivateKey) -> None:
    now = dt.datetime.now(dt.UTC)
    order = Mandate(
        id="m",
        issuer="dana",
        subject="ops",
        not_before=now - dt.timedelta(days=1),
        not_after=now + dt.timedelta(days=9),
        grants=(MandateGrant(effects=("delete",), assets=("model:b",)),),
        obligations=(Obligation(id="gone", effect="delete", asset="model:b", quiet_seconds=0),),
    )
    (root / "orders/m.mandate.json").write_bytes(sign(order, key))


def _p50(step: Callable[[], Any]) -> float:
    times: list[int] = []
    for _ in range(CALLS):
        started = time.perf_counter_ns()
        step()
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times) / 1000


if __name__ == "__main__":
    sys.exit(main())
