"""Two commands that run others and are neither wrappers nor shells: `systemd-cat`, and the calculator `dc`.

Not concerned with what else writes to the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._wrappers import wrapper
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_RUNS: Final = lazy(r"(?:^|[\s\]])!(?![<>=])(?P<command>[^\n]+)")
"""An exclamation mark of `dc` that is no comparison hands the rest of its line to the shell."""


def journaled(call: Call, parsed: Parsed) -> Stream:
    """`systemd-cat`: what comes in, or what the command prints, goes to the journal."""
    sources = wrapper(call, parsed).sources if parsed.operands else call.stdin.sources
    for source in sources:
        call.emit("copy", source, at("journal", "*"), flow=call.stdin.flow)
    return NOTHING


def calculator(call: Call, parsed: Parsed) -> Stream:
    """`dc`: computes, and runs shell text behind a `!`."""
    texts = [field for option, _, field in parsed.values if option == "--expression"]
    files = [*parsed.values_of("--file"), *parsed.operands]
    sources: tuple[Resource, ...] = ()
    for field in files:
        sources = merge(sources, call.read(field))
    programs: list[str | None] = [field.text if field.known else None for field in texts]
    programs += [call.text_of(field) for field in files if call.place(field).path is not None]
    if not programs or any(field.text == "-" for field in files):
        programs.append(call.stdin.text if call.stdin.connected else "")
    for program in programs:
        _calculated(call, program)
    return Stream(sources=sources)


def _calculated(call: Call, program: str | None) -> None:
    if program is None:
        call.opaque("program", reason="what dc computes is not known")
        return
    for match in _RUNS.finditer(program):
        with call.perhaps():
            call.shell.run_text(match["command"], call.state.copy())


FAMILIES: Final[Mapping[str, Family]] = {
    "calculator": calculator,
    "journaled": journaled,
}
"""What `code` of a spec may say, for this module."""
