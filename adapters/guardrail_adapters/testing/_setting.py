"""Where the cases take place: a real guard with the shipped policy over files of its own, which a case may disturb.

Nothing here is a stand-in for the guard: its trail, its review store and its policy are those that users have. Only the
engine has a switch in front of it, because a case has to make it change its mind, fail or be late.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from guardrail import Config, Guard, Subject
from guardrail.audit import trail_directory
from guardrail.audit.reading import read_leaves
from guardrail.config import parse
from guardrail.policy import PolicyEngine, RuleBook, Ruling, open_engine
from guardrail.review import Vote
from guardrail.telemetry import Telemetry
from guardrail_adapters.testing._protocol import Reply

ASSET: Final = "model:conformance"
"""Id of the one asset that there is."""

AGENT: Final = "conformance-agent"
"""Name of the agent."""

SESSION: Final = "conformance-session"
"""Name of the session; a framework with threads uses it as the thread id."""

PERSON: Final = "conformance-reviewer"
"""Who answers where an adapter leaves that to the suite."""

VARIABLE: Final = "CONFORMANCE_UNSET"
"""An environment variable that nobody sets."""

PATIENT_MS: Final = 60_000
"""Time for a decision in every case but that of the slow guard, in milliseconds: hosts that test are busy."""

HASTY_MS: Final = 150
"""Time for a decision in the case of the slow guard, in milliseconds."""

LATE_SECONDS: Final = 0.3
"""How long the slow engine takes, in seconds."""

_CONFIG: Final = """
[[asset]]
id = "{asset}"
class = "weights"
paths = ["weights"]

[trail]
directory = "trail"
timeout_seconds = 60.0

[limits]
decision_ms = {decision_ms}
"""

_MARK: Final = re.compile(r"marks/(\w+)")

Mood = Literal["as it is", "allows", "denies", "crashes", "is late"]
"""What the engine does now."""


class Switch:
    """The shipped policy with a switch in front of it.

    Args:
        engine: the policy.
    """

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine
        self.name = engine.name
        self.revision = engine.revision
        self.rules: RuleBook = engine.rules
        self.mood: Mood = "as it is"

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the policy, and answer as the mood is."""
        return self._changed(self._engine.decide(document, deadline=deadline))

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the policy, and answer as the mood is."""
        return self._changed(await self._engine.adecide(document, deadline=deadline))

    def close(self) -> None:
        """Close the engine behind it."""
        self._engine.close()

    def _changed(self, ruling: Ruling) -> Ruling:
        said: dict[str, Any] = orjson.loads(ruling.answer)
        match self.mood:
            case "as it is":
                return ruling
            case "crashes":
                raise RuntimeError("the engine is switched off")
            case "is late":
                threading.Event().wait(LATE_SECONDS)
                return ruling
            case "allows":
                said |= {"outcome": "allow", "hits": []}
            case "denies":
                hits = [{**hit, "outcome": "deny"} for hit in said["hits"]]
                # Without a hit there is nothing to be stricter about: these cases are about calls that are held.
                said |= {"outcome": "deny", "hits": hits} if hits else {}
        return Ruling(orjson.dumps(said), ruling.rules, ruling.revision)


@dataclasses.dataclass
class Layer:
    """What stands around the guard, such as a middleware: it rewrites commands, and repeats what raised.

    Args:
        rewrite: what it makes of a command.
        attempts: how often a call is made in all when the tool raises.
    """

    rewrite: Callable[[str], str] | None = None
    attempts: int = 1

    def rewritten(self, command: str) -> str:
        """The command as it leaves the layer."""
        return command if self.rewrite is None else self.rewrite(command)


class Tool:
    """The shell tool of the suite: it notes what it was given, and runs nothing.

    Args:
        failures: how many times it raises before it works.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failures = 0
        self._lock = threading.Lock()

    def __call__(self, command: str) -> str:
        """Note a command.

        Raises:
            OSError: as often as `failures` says.
        """
        with self._lock:
            self.ran.append(command)
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is on fire")
        return f"done: {command}"


class Setting:
    """One case's own world.

    Args:
        folder: an empty directory.
        decision_ms: time for a decision, in milliseconds.
        telemetry: where spans go.
    """

    def __init__(self, folder: Path, *, decision_ms: int = PATIENT_MS, telemetry: Telemetry | None = None) -> None:
        self.cwd = folder / "work"
        """Working directory of the tool."""
        self.own = folder / "own"
        """Where an adapter may keep what it needs after a restart."""
        for path in (self.cwd / "weights", self.cwd / "marks", self.own):
            path.mkdir(parents=True)
        (self.cwd / "weights" / "w.safetensors").write_bytes(b"W\n")
        self.config_file = folder / "guardrail.toml"
        """The configuration, for an adapter that has to hand it to another process."""
        text = _CONFIG.format(asset=ASSET, decision_ms=decision_ms).replace('"weights"]', '"work/weights"]')
        self.config_file.write_text(text, encoding="utf-8")
        self.config: Config = parse(text, base=str(folder))
        self.tool = Tool()
        """The tool, for an adapter that can call a Python function."""
        self.layer = Layer()
        self.subject = Subject(id=AGENT)
        self.session = SESSION
        self._telemetry = telemetry
        self.engine, self.guard = self._opened()

    def _opened(self) -> tuple[Switch, Guard]:
        engine = Switch(open_engine(self.config))
        return engine, Guard.open(self.config, engine=engine, telemetry=self._telemetry)

    def restart(self) -> None:
        """Forget everything that is in memory: the guard is closed, and another is opened on the same files."""
        self.guard.close()
        self.engine, self.guard = self._opened()

    def lose_trail(self) -> None:
        """Make the trail refuse every further record."""
        if self.guard.trail is not None:
            self.guard.trail.close()

    def close(self) -> None:
        """Close the guard."""
        self.guard.close()

    # -- commands -------------------------------------------------------------------------------------------------

    def allowed(self, mark: str) -> str:
        """A command that nobody minds; run by a shell in `cwd`, it leaves a line in `marks/MARK`."""
        return f"echo ran >> marks/{mark}"

    def denied(self, mark: str) -> str:
        """A copy of weights that nobody ordered; run by a shell, it leaves a line in `marks/MARK`."""
        return f"cp weights/w.safetensors marks/{mark}"

    def held(self, mark: str) -> str:
        """Code that nobody can read before it runs; run by a shell, it leaves a line in `marks/MARK`."""
        # The fallback is what a shell runs here; what stands in the variable nobody can know beforehand.
        runs = f'print("ran", file=open("marks/{mark}", "a"))'
        return f"python3 -c 'import os; exec(os.getenv(\"{VARIABLE}\", {orjson.dumps(runs).decode()}))'"

    def ran(self, command: str) -> int:
        """How often a command of this setting has run: by the suite's own tool, or in a shell."""
        mark = self.cwd / "marks" / _mark(command)
        lines = mark.read_text(encoding="utf-8").count("\n") if mark.is_file() else 0
        return self.tool.ran.count(command) + lines

    @property
    def runs(self) -> int:
        """How often anything has run."""
        marks = [path.read_text(encoding="utf-8") for path in (self.cwd / "marks").iterdir()]
        return len(self.tool.ran) + sum(text.count("\n") for text in marks)

    # -- people and evidence --------------------------------------------------------------------------------------

    def decide(self, command: str, reply: Reply) -> None:
        """Record what a person says about a held command, for a framework that cannot carry the answer itself.

        Args:
            command: the command as it was shown.
            reply: approve or reject.

        Raises:
            LookupError: if nobody is asked about it.
        """
        desk, mark = self.guard.desk, re.compile(rf"marks/{_mark(command)}\b")
        desk.look()
        for case in reversed(desk.cases()):
            if case.state_at(desk.clock()) == "pending" and mark.search(str(case.held.view)):
                verdict: Literal["approve", "deny"] = "deny" if reply.kind == "reject" else "approve"
                desk.cast(case.held.id, Vote(voter=PERSON, verdict=verdict, at_us=0))
                return
        raise LookupError(f"nobody is asked about `{command}`")

    def records(self) -> Sequence[Mapping[str, Any]]:
        """What the trail has on calls: decisions, intents and results, in order."""
        if self.guard.trail is not None:
            self.guard.trail.checkpoint()  # what is not durable yet is written with it
        found = (leaf.record() for leaf in read_leaves(trail_directory(self.config)))
        return [record for record in found if record and record["kind"] in ("decision", "intent", "result")]


def _mark(command: str) -> str:
    """Name of the mark that a command leaves."""
    found = _MARK.search(command)
    return found[1] if found is not None else ""
