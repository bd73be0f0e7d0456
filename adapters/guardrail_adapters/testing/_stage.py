"""The stage on which a case is acted out: the conversation, and what may be demanded of it.

A case looks at three things only: what ran, what the model read, and what the trail has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from guardrail.telemetry import Telemetry
from guardrail_adapters.testing._protocol import Adapter, Call, Conversation, Reply, Turn
from guardrail_adapters.testing._setting import ASSET, HASTY_MS, Setting

TELLING: Final = (ASSET, "weights are", "guardrail", "policy", "rule", "monitor", "audit", "mandate")
"""What the answer to a denied call must not say, in lower case: behaviour could be fitted to it."""


class NotConforming(AssertionError):
    """An adapter does not do what a case demands; the text says what was seen instead."""


class Unable(Exception):
    """A case that the adapter says it cannot meet."""


class NotInstalled(Exception):
    """A case that cannot be run here, because something is not installed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that an adapter owes.

    Args:
        name: short, as the table and `Adapter.cannot` have it.
        demand: what has to hold, in one sentence.
        talk: the conversation.
        hasty: whether the guard has little time for a decision.
        traced: whether spans are collected, for which OpenTelemetry's SDK is needed.
    """

    name: str
    demand: str
    talk: Callable[[Stage], None]
    hasty: bool = False
    traced: bool = False

    def __str__(self) -> str:
        return self.name


class Stage:
    """One case being acted out by one adapter.

    Args:
        adapter: the adapter.
        setting: the case's own world.
    """

    def __init__(self, adapter: Adapter, setting: Setting) -> None:
        self.setting = setting
        self.spans: Any = None
        """Finished spans, in a traced case."""
        self._adapter = adapter
        self._talk: Conversation = adapter.open(setting)

    def start(self, *commands: str) -> Turn:
        """One turn with these commands, with ids c1, c2 and so on."""
        return self._talk.start([Call(id=f"c{at}", command=text) for at, text in enumerate(commands, 1)])

    def resume(self, **replies: Reply) -> Turn:
        """Answers by call id."""
        return self._talk.resume(replies)

    def restart(self) -> None:
        """Forget everything in memory, of the guard and of the adapter."""
        self._talk.close()
        self.setting.restart()
        self._talk = self._adapter.open(self.setting)

    def close(self) -> None:
        """End the conversation."""
        self._talk.close()

    # -- demands --------------------------------------------------------------------------------------------------

    def ran(self, command: str, times: int) -> None:
        """A command has run so often."""
        seen = self.setting.ran(command)
        demand(seen == times, f"`{_short(command)}` ran {seen} times, not {times}")

    def nothing_ran(self) -> None:
        """No command at all has run."""
        demand(self.setting.runs == 0, f"something ran although nothing may: {self.setting.tool.ran}")

    def waits(self, turn: Turn, *calls: str) -> None:
        """Just these calls wait for a person."""
        demand(sorted(turn.waiting) == sorted(calls), f"{list(turn.waiting)} wait for a person, not {list(calls)}")

    def read(self, turn: Turn, call: str, *, ok: bool) -> str:
        """The model has read an answer to a call, a success or not."""
        demand(call in turn.seen, f"the model has no answer to {call}")
        seen = turn.seen[call]
        demand(seen.ok == ok, f"the answer to {call} is {'a success' if seen.ok else 'an error'}: `{seen.text}`")
        return seen.text

    def refused(self, turn: Turn, call: str) -> None:
        """The model has read that a call was not carried out, and nothing about why."""
        text = self.read(turn, call, ok=False)
        told = [word for word in TELLING if word in text.lower()]
        demand(bool(text.strip()), f"the answer to {call} is empty")
        demand(not told, f"the answer to {call} says `{told[0] if told else ''}`: `{text}`")

    def recorded(self, *kinds: str) -> None:
        """The trail has just these records on calls, in this order."""
        found = [str(record["kind"]) for record in self.setting.records()]
        demand(found == list(kinds), f"the trail has {found}, not {list(kinds)}")


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotConforming(otherwise)


def _short(command: str) -> str:
    return command if len(command) <= 80 else f"{command[:40]}… ({len(command)} characters)"


def conforms(adapter: Adapter, case: Case, folder: Path) -> None:
    """Act out one case with one adapter.

    Args:
        adapter: the adapter.
        case: one of `CASES`.
        folder: an empty directory.

    Raises:
        NotConforming: if the adapter does not do what the case demands.
        Unable: if the adapter says that it cannot meet the case.
        NotInstalled: if something is missing here.
    """
    if case.name in adapter.cannot:
        raise Unable(adapter.cannot[case.name])
    if missing := adapter.missing():
        raise NotInstalled(missing)
    with _spans(case) as (telemetry, spans):
        setting = Setting(folder, telemetry=telemetry, **({"decision_ms": HASTY_MS} if case.hasty else {}))
        try:
            stage = Stage(adapter, setting)
            stage.spans = spans
            try:
                case.talk(stage)
            finally:
                stage.close()
        finally:
            setting.close()


@contextmanager
def _spans(case: Case) -> Generator[tuple[Telemetry | None, Any]]:
    if not case.traced:
        yield None, None
        return
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        raise NotInstalled("guardrail-runtime[otel]") from None
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    try:
        yield Telemetry(tracer_provider=provider), (provider, exporter)
    finally:
        provider.shutdown()
