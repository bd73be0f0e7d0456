"""The catalogue's own examples, run through the whole analysis: what a spec says of its command has to hold.

Not concerned with whether a spec is true of the command it describes: only running the command tells that.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from guardrail.config import LimitConfig
from guardrail.effects._work import work_out
from guardrail.effects.catalogue._spec import Entry, specs
from guardrail.effects.domain._view import Listing
from guardrail.errors import AnalysisFault
from guardrail.model import Effect, Resource
from guardrail.parse import ShellText

_PROVING: Final = threading.RLock()


class _NoFiles:
    """A filesystem in which nothing exists, so that an example means the same on every host."""

    def glob(self, pattern: str) -> tuple[str, ...] | None:  # noqa: ARG002 - the interface's name
        return ()

    def listing(self, folder: str) -> Listing | None:  # noqa: ARG002
        return Listing((), ())

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:  # noqa: ARG002
        return None

    def missing(self, path: str) -> bool:  # noqa: ARG002
        return True

    def identity(self, path: str) -> str:
        return posixpath.normpath(path)

    def real(self, path: str) -> str:
        return posixpath.normpath(path)

    def single(self, path: str) -> bool:  # noqa: ARG002
        return False

    def enterable(self, path: str) -> bool:  # noqa: ARG002
        return False

    def plain(self, path: str) -> bool:  # noqa: ARG002
        return True

    def inert(self, path: str) -> bool:  # noqa: ARG002
        return True

    def writable(self, path: str) -> bool:  # noqa: ARG002
        return False

    def stale(self, path: str) -> bool:  # noqa: ARG002
        return False

    def read(self, path: str, limit: int) -> bytes | None:  # noqa: ARG002
        return None


def said(command: str) -> list[str]:
    """The effects of a command as an example writes them: `op address` or `op address -> target`.

    Args:
        command: shell text; it runs in `/w`, with `/home/a` for its home, and no file exists.
    """
    effects = work_out(
        (ShellText(text=command),),
        cwd="/w",
        view=_NoFiles(),
        limits=LimitConfig(),
        variables={"HOME": "/home/a"},
    )
    return [_text(effect) for effect in effects]


def broken_examples(names: Sequence[str] = ()) -> Iterator[str]:
    """Every example that does not hold, in a sentence.

    Args:
        names: only of these commands; of all by default.

    Raises:
        ValueError: if a spec cannot be used at all.
    """
    known = specs()
    entries = {id(known[name].entry): known[name].entry for name in names or known}
    for entry in entries.values():
        yield from _broken(entry)


def prove() -> None:
    """Run the examples of every spec that was read since the last time, and condemn those that do not hold."""
    known = specs()
    with _PROVING:
        while known.unproven:
            entry = known.unproven[0]
            try:
                wrong = next(_broken(entry), "")
            except (ValueError, AnalysisFault) as error:
                wrong = str(error)
            if wrong:
                known.condemn(entry, wrong)
            known.unproven.pop(0)


def _broken(entry: Entry) -> Iterator[str]:
    for command, *wanted in entry.match:
        found = said(command)
        yield from (f"`{command}` lacks `{want}`" for want in wanted if not _holds(found, want))
    for command, *unwanted in entry.not_match:
        found = said(command)
        yield from (f"`{command}` has `{want}`" for want in unwanted if _holds(found, want))


def _holds(found: Sequence[str], want: str) -> bool:
    """An example names an effect, or only its operation."""
    return want in found or (" " not in want and any(line.partition(" ")[0] == want for line in found))


def _text(effect: Effect) -> str:
    target = f" -> {_address(effect.target)}" if effect.target is not None else ""
    return f"{effect.op} {_address(effect.resource)}{target}"


def _address(resource: Resource) -> str:
    return resource.path or resource.pattern or resource.uri or resource.kind
