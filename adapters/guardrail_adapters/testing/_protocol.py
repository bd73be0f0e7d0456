"""What an adapter implements so that the suite can drive it: a conversation with scripted tool calls.

Not concerned with what the cases demand (`_cases`) nor with the guard they run under (`_setting`).

Every call is one shell command for one tool. An adapter wraps it in whatever its framework calls a tool call, sends it
through the framework, and reports what the model reads. Whether the tool ran is not for the adapter to say: the suite
looks at its own tool, and at the marks that the commands leave when a shell really runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from guardrail_adapters.testing._setting import Setting


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One scripted tool call.

    Args:
        id: the model's id for it, unique within a turn.
        command: what the shell tool is given.
    """

    id: str
    command: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says about a held call.

    Args:
        kind: approve it, approve another command in its place, or reject it.
        command: for `edit`, what is to run instead.
    """

    kind: Literal["approve", "edit", "reject"]
    command: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the model reads of one call.

    Args:
        text: the content of the answer, as a text.
        ok: whether the framework calls it a success.
    """

    text: str
    ok: bool


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """How far a conversation has come.

    Args:
        seen: what the model has read, by call id; a call that waits is not there.
        waiting: ids of the calls that a person has to decide, in the order shown.
    """

    seen: Mapping[str, Seen]
    waiting: tuple[str, ...] = ()


class Conversation(Protocol):
    """One agent under the guard; used by one thread, and closed."""

    def start(self, calls: Sequence[Call]) -> Turn:
        """Let the model make these calls in one turn, and go on until all are answered or the run waits for people.

        Where a framework has no turns, make them one after the other. A second `start` is a new turn of the same
        session, whatever the one before left open.
        """
        ...

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Give people's answers, by call id, and go on; calls without one keep waiting.

        It must also work on a conversation that was opened anew in the same folder, after a restart. Where a framework
        cannot pause, record the answers with `Setting.decide` and make the calls again.
        """
        ...

    def close(self) -> None:
        """Let everything go; what is needed to resume is in files by then."""
        ...


class Adapter(Protocol):
    """One way of attaching the guard."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        ...

    @property
    def cannot(self) -> Mapping[str, str]:
        """Names of the cases that it cannot meet, each with the reason, which the table shows."""
        ...

    def missing(self) -> str:
        """What has to be installed before it can run here, or an empty text."""
        ...

    def open(self, setting: Setting) -> Conversation:
        """Begin, or after a restart go on with, the one conversation of a setting.

        INVARIANT: whatever surrounds the guard calls `setting.layer`: `rewritten` on each command before the guard
        sees it, and as many further attempts as `attempts` says when the tool raises.
        """
        ...
