"""One half of a conversation, in a process of its own: `python restart.py start|resume FOLDER`.

Prints for each way of attaching what ran and what is pending, as JSON.
The policy of the second half allows everything: what a person was asked about must not be decided again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from guardrail.audit import Trail
from guardrail.model import Outcome
from guardrail.review import ReviewDesk, ReviewStore, TrailLedger
from tests.adapters.bench import APPROVE, KINDS, REJECT, Bench, Pause, attached
from tests.adapters.toys import Ran, ToyGuard, read, tools, turn, write

SCRIPT = [turn(read("c0"), write("c1", "/a"), write("c2", "/b"))]


async def half(kind: str, mode: str, phase: str, folder: Path) -> dict[str, Any]:
    """Start, or resume what another process has started."""
    ran: Ran = []
    trail = Trail.open(folder / "trail")
    guard = ToyGuard(reviews=ReviewStore(folder / "review.db", desk=ReviewDesk(TrailLedger(trail))))
    if phase == "resume":
        guard.policy = lambda call: Outcome.ALLOW
    checkpoints = str(folder / "checkpoints.db")
    options: dict[str, Any] = {"mode": mode, "cwd": "/srv", "thread": f"{kind}/{mode}"}
    if mode == "async":
        async with AsyncSqliteSaver.from_conn_string(checkpoints) as saver:
            with attached(kind, guard, tools(ran), SCRIPT, saver=saver, **options) as bench:
                pause = await _talk(bench, phase)
    else:
        with (
            SqliteSaver.from_conn_string(checkpoints) as saver,
            attached(kind, guard, tools(ran), SCRIPT, saver=saver, **options) as bench,
        ):
            pause = await _talk(bench, phase)
    guard.reviews.close()
    trail.close()
    return {"ran": sorted(ran), "asked": sorted(pause.asked), "statuses": pause.statuses, "records": guard.records}


async def _talk(bench: Bench, phase: str) -> Pause:
    if phase == "start":
        return await bench.start()
    config = {"configurable": bench.configurable}
    state = bench.app.get_state(config) if bench.mode == "sync" else await bench.app.aget_state(config)
    return await bench.answer(Pause({"__interrupt__": state.interrupts, "messages": []}), {"c1": APPROVE, "c2": REJECT})


async def main(phase: str, folder: Path) -> None:
    """Every way, one after the other, over the same two files."""
    answers = {f"{kind}/{mode}": await half(kind, mode, phase, folder) for kind in KINDS for mode in ("sync", "async")}
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
