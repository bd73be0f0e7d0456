"""What an interpreter is told before its code runs: options, and variables of the environment."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from guardrail.effects.code._drivers import note_own
from guardrail.effects.code.python._run import run_code
from guardrail.effects.domain._call import MAX_SPELLINGS, Call
from guardrail.effects.domain._environment import note_start_file
from guardrail.effects.domain._paths import spellings
from guardrail.effects.domain._values import (
    Field,
    Stream,
)
from guardrail.patterns import lazy

_HARMLESS_PYTHON = lazy(
    r"PYTHON(?:UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|IOENCODING|UTF8|WARNINGS|FAULTHANDLER|PATH|OPTIMIZE|NOUSERSITE"
    r"|ASYNCIODEBUG|TRACEMALLOC|DEVMODE|MALLOC|MALLOCSTATS|PROFILEIMPORTTIME|NODEBUGRANGES|COERCECLOCALE|SAFEPATH"
    r"|INTMAXSTRDIGITS|VERBOSE|_(?!PRESITE)[A-Z0-9_]*)?"
)
_CODE = lazy(r"[(){};\s$]")


def started(call: Call, options: str) -> None:
    """The files that an interactive shell, or one of a login, runs first."""
    for letter in "il":
        if letter in options:
            note_own(call, f"bash -{letter}")
    if "i" in options:
        note_start_file(call)


def changed_start(call: Call) -> bool:
    """What Python loads at its start may be another thing."""
    return any(name.startswith("PYTHON") and not _HARMLESS_PYTHON.fullmatch(name) for name in call.state.vars)


def analysed(call: Call, code: str, argv: Sequence[Field]) -> Stream:
    """What a text of Python does, if nothing changes what it starts with."""
    if changed_start(call):
        return inline(call, "what python loads at its start was changed")
    return run_code(call, code, argv)


def inline(call: Call, reason: str) -> Stream:
    """Code in an argument that is not looked into: say so, and mention every path in its text."""
    code = [field for field in call.args if _CODE.search(field.text)]
    out = call.opaque("inline", reason=reason, words=[field for field in call.args if field not in code])
    call.mention(Field(text="", sources=field.sources) for field in code)
    for field in code:
        for text in itertools.islice(spellings(field.text), MAX_SPELLINGS):
            if text.strip("/ \t\n"):  # a slash alone divides, or begins a pattern
                call.name_text(text)
    for field in call.args:
        call.mention_text(field.text)
    return out
