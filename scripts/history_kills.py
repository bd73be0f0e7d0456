"""Kill a guard with SIGKILL in the middle of its calls, and look whether the next one knows all that was done.

    python scripts/history_kills.py [--kills 20] [--calls 1000]

Each life of the guard judges up to `--calls` calls of a session of its own, of one agent in all of them: each call
writes a file, contacts a host, reads from a model, or is denied. What was answered before the kill must be history.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from guardrail import Guard, Subject, ToolCall  # noqa: E402 - the checkout comes first on the path
from guardrail import config as config_module  # noqa: E402
from guardrail.audit import beside_trail  # noqa: E402
from guardrail.history import HistoryStore  # noqa: E402
from guardrail.history._deeds import MAX_REFUSALS  # noqa: E402
from guardrail.history._sessions import MAX_UNSAVED_CALLS  # noqa: E402
from guardrail.history._store import Fact  # noqa: E402

AGENT = "fleet-agent"
MODELS = 60
"""Models that are read from; fewer than a session is remembered to have seen."""


class Told(NamedTuple):
    """What came of some lives.

    Args:
        answered: calls that were answered before a kill.
        lost: facts of those that the next guard does not know.
        uncounted: most calls of one session that are missing from its count.
    """

    answered: int
    lost: tuple[str, ...]
    uncounted: int


def main() -> int:
    """Kill, look, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20, help="how many guards are killed")
    options.add_argument("--calls", type=int, default=1000, help="calls of each, unless it is killed before")
    options.add_argument("--victim", nargs=2, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.victim:
        return victim(Path(args.victim[0]), args.victim[1], args.calls)
    with tempfile.TemporaryDirectory(prefix="guardrail-kills-") as scratch:
        told = kills(Path(scratch).resolve(), args.kills, args.calls)
    print(
        f"{args.kills} kills: {told.answered} calls answered, {len(told.lost)} facts lost; "
        f"at most {told.uncounted} calls missing from a count (bound {MAX_UNSAVED_CALLS - 1})"
    )
    for fact in told.lost[:10]:
        print(f"lost: {fact}")
    return 0 if not told.lost and told.uncounted < MAX_UNSAVED_CALLS else 1


def call(root: Path, session: str, number: int) -> tuple[ToolCall, str]:
    """A call, and the fact that has to be known once it was answered: its kind and value."""
    host, model = f"{session}-{number}", f"m{number % MODELS}"
    command, fact = (
        (f"cp data.txt {session}-{number}.txt", f"authored {root}/{session}-{number}.txt"),
        (f"curl -s https://{host}/x -o x", f"contact {host}"),
        (f"head -c 64 models/{model}.safetensors", f"label model:{model}"),
        (f"rm models/{model}.safetensors", f"refused model:{model}"),
    )[number % 4]
    subject = Subject(id=AGENT, model="acme/alpha")
    return ToolCall(tool="bash", args={"command": command}, cwd=str(root), session=session, subject=subject), fact


def victim(root: Path, session: str, calls: int) -> int:
    """Judge one call after the other and say what has to be known of each, until somebody ends it."""
    with Guard.open(root / "guardrail.toml") as guard:
        for number in range(calls):
            made, fact = call(root, session, number)
            outcome = guard.check(made).outcome.value
            if outcome != ("deny" if fact.startswith("refused") else "allow"):
                raise SystemExit(f"`{made.args['command']}` gave {outcome}")
            sys.stdout.write(f"{fact}\n")
            sys.stdout.flush()
        sys.stdin.read()  # the kill comes now at the latest
    return 0


def kills(root: Path, number: int, calls: int, *, seed: int = 1) -> Told:
    """Kill guards, and ask each next one what it knows."""
    _world(root)
    store = beside_trail(config_module.load(root / "guardrail.toml"), "history.db")
    chance, lost, answered, uncounted = random.Random(seed), list[str](), 0, 0
    done: Counter[str] = Counter()  # by the agent in all lives
    for life in range(number):
        session = f"life-{life}"
        lines = _killed_after(root, session, calls, chance.randint(1, calls))
        answered += len(lines)
        history = HistoryStore(store)
        mine, whole = history.load(session), history.load_agent(AGENT)
        history.close()
        if mine is None or whole is None:
            lost.append(f"all of {session}")
            continue
        done.update(lines)
        lost += [f"{session}: {fact}" for fact in _missing(mine.facts, Counter(lines))]
        shared = Counter({fact: times for fact, times in done.items() if fact.startswith(("label", "refused"))})
        lost += [f"{AGENT}: {fact}" for fact in _missing(whole.facts, shared)]
        released = sum(not fact.startswith("refused") for fact in lines)
        uncounted = max(uncounted, released - mine.calls)
    return Told(answered, tuple(lost), uncounted)


def _missing(facts: Iterable[Fact], done: Counter[str]) -> list[str]:
    """What was done and is not known, or not so often; how often is known of refusals only, up to a bound."""
    known: dict[str, int] = {}
    for fact in facts:
        counted = int(fact.more.rpartition(" ")[2]) if fact.kind == "refused" else MAX_REFUSALS
        name = f"{fact.kind} {fact.value}"
        known[name] = max(counted, known.get(name, 0))
    short = {fact: times for fact, times in done.items() if known.get(fact, 0) < min(times, MAX_REFUSALS)}
    return [f"{fact}: {known.get(fact, 0)} of {times}" for fact, times in short.items()]


def _killed_after(root: Path, session: str, calls: int, at: int) -> list[str]:
    """What a guard said of its calls before it was killed, which is about when it had answered so many."""
    command = [sys.executable, __file__, "--calls", str(calls), "--victim", str(root), session]
    lines: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise SystemExit("a guard cannot be heard")
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # the kill came in the middle of it
            lines.append(line.rstrip("\n"))
            if len(lines) == at:
                process.kill()
        if process.wait() != -9:
            raise SystemExit("a guard ended before it was killed")
    return lines


def _world(root: Path) -> None:
    (root / "models").mkdir()
    (root / "data.txt").write_text("x\n")
    toml = [f'[trail]\ndirectory = "{root}/trail"\n']
    for number in range(MODELS):
        path = root / f"models/m{number}.safetensors"
        path.write_bytes(bytes([number]) * 4096)
        toml.append(f'[[asset]]\nid = "model:m{number}"\nclass = "weights"\npaths = ["{path}"]\n')
    (root / "guardrail.toml").write_text("".join(toml))


if __name__ == "__main__":
    sys.exit(main())
