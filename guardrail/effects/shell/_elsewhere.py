"""Commands that run on another host or in a container: the same interpreter, whose paths are addresses of that place.

Not concerned with what is named there being a file here as well: whoever calls mentions that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import Field, Stream, starred
from guardrail.effects.domain._view import Listing
from guardrail.effects.shell._commands import run_command
from guardrail.model import Effect, Resource

if TYPE_CHECKING:
    from guardrail.effects.domain._call import Call
    from guardrail.effects.shell._interpreter import Interpreter

_SILENT: Final = frozenset(("mention", "env"))
"""What is said about another place only where it is done; there is nothing to be mentioned there."""


class Nowhere:
    """Files that cannot be looked at from here."""

    def glob(self, pattern: str) -> tuple[str, ...] | None:  # noqa: ARG002 - the signature is that of `FileView`
        """None are known."""
        return ()

    def listing(self, folder: str) -> Listing | None:  # noqa: ARG002 - as above
        """Nothing is known of it."""
        return Listing((), ())

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:  # noqa: ARG002 - as above
        """Not known."""
        return None

    def missing(self, path: str) -> bool:  # noqa: ARG002 - as above
        """Not known."""
        return False

    def enterable(self, path: str) -> bool:  # noqa: ARG002
        """Nothing is known of who may go where."""
        return False

    def identity(self, path: str) -> str:
        """No links are known."""
        return path

    def real(self, path: str) -> str:
        """No links are known."""
        return path

    def single(self, path: str) -> bool:  # noqa: ARG002 - as above
        """Not known."""
        return False

    def plain(self, path: str) -> bool:  # noqa: ARG002 - as above
        """Not known."""
        return False

    def inert(self, path: str) -> bool:  # noqa: ARG002 - as above
        """As for `plain`."""
        return False

    def writable(self, path: str) -> bool:  # noqa: ARG002 - as above
        """Not known."""
        return False

    def stale(self, path: str) -> bool:  # noqa: ARG002 - as above
        """Not known."""
        return True

    def read(self, path: str, limit: int) -> bytes | None:  # noqa: ARG002 - as above
        """Not known."""
        return None


def elsewhere(call: Call, inner: Interpreter, place: Resource, command: str | Sequence[Field]) -> Stream:
    """Say what a command does at another place.

    Args:
        call: the command that reaches it.
        inner: an interpreter that knows nothing of that place.
        place: where it runs.
        command: shell text, or the words of one command.

    Returns:
        What comes back: content of that place, and of what was sent there.
    """
    outer = call.shell
    inner.depth, inner.emit.steps, inner.emit.expansions = outer.depth, outer.emit.steps, outer.emit.expansions
    stdin = Stream(text=call.stdin.text, sources=call.stdin.sources, flow=call.stdin.flow, connected=True)
    state = State((None,))
    if isinstance(command, str):
        out = inner.run_text(command, state, stdin)[2]
    else:
        there = inner.call(command[0].text, tuple(command[1:]), state, None, stdin, call.span)
        inner.depth += 1
        out = run_command(there, command, functions=False, builtins=False)
    outer.emit.steps, outer.emit.expansions = inner.emit.steps, inner.emit.expansions
    local = frozenset(source for source in stdin.sources)
    for effect in inner.emit.effects:
        if effect.op not in _SILENT:
            _say(call, effect, lambda resource: _there(resource, place, local))
    return Stream(sources=tuple(_there(source, place, local) for source in out.sources), flow=out.flow)


def _say(call: Call, effect: Effect, there: Callable[[Resource], Resource]) -> None:
    attrs = dict(effect.attrs)
    if effect.op == "exec_opaque":
        attrs["code"] = "program"  # that something runs there which is not known is what `remote_exec` says
    call.shell.emit.add(
        effect.op,
        there(effect.resource),
        there(effect.target) if effect.target is not None else None,
        spec=call.name,
        span=call.span,
        attrs=attrs,
        flow=effect.flow,
        precision="opaque" if effect.op == "exec_opaque" else None,
        may=effect.modality == "may",
    )


def _there(resource: Resource, place: Resource, local: Collection[Resource]) -> Resource:
    """An address of that place."""
    if resource in local or resource.kind == "net":
        return resource
    base = place.uri or "net:*"
    if not base.startswith(("ssh:", "sftp:")):
        base += ":"
    name = resource.path or resource.pattern or resource.uri or "*"
    name = starred(name)
    return msgspec.structs.replace(
        resource, kind=place.kind, path=None, pattern=None, uri=f"{base.rstrip('/')}/{name.lstrip('/')}"
    )
