"""The clock, and the times of files: date, faketime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NUM, SOMETHING, TOKEN, TOP, Stream
from guardrail.patterns import lazy

_SWITCHES: Final = ("-m", "-f", "--exclude-monotonic", "-s", "--static", "--")
_VALUED: Final = ("-p", "--date-prog")


def date(call: Call, parsed: Parsed) -> Stream:
    """`date`: tells the time; `-s`, or an operand that is no format, sets it."""
    for field in parsed.operands:
        if field.text.startswith("+") or parsed.has("--help", "--version"):
            continue
        call.emit("set_times", at("clock", field.text), may=field.text.startswith(TOP))
    out = apply_spec(call, parsed)
    call.shell.divert(out.sources)  # a line that is no date is complained of
    form = parsed.operands[0] if len(parsed.operands) == 1 else None
    if form is None or not form.known or parsed.unknown:
        return out
    if _NUMERIC.fullmatch(form.text) and not (out.sources and parsed.has("--file", "-f")):
        # Whatever date it is told to print, it is a number; of what files hold that may be all that is left.
        return Stream(text=_DIRECTIVE.sub(_digits, form.text[1:]) + "\n", sources=out.sources)
    if out.sources:
        return out
    return Stream(listed=(_DIRECTIVE.sub(_digits, form.text[1:]),)) if _WORDY.fullmatch(form.text) else out


_DIRECTIVE: Final = lazy(r"%[-_0]?([A-Za-z])")
_NUMERIC: Final = lazy(r"\+(?:%[-_0]?[YmdHMSsjNyeuwVgGCkIFTRD]|[-_T:.0-9 ]|(?<=[a-zA-Z])/)+")
_WORDY: Final = lazy(r"\+(?:%[-_0]?[YmdHMSsjNyuwVgGCIFTRbBaAhpPzZ]|[-_T:.0-9A-Za-z+])+")
"""A format without blanks and slashes, in which days and months may have their names."""

_WORDS: Final = frozenset("bBaAhpPzZ")
_SEVERAL: Final[Mapping[str, str]] = {"F": "#-#-#", "T": "#:#:#", "R": "#:#", "D": "#/#/#"}
"""Directives that stand for several numbers."""


def _digits(match: re.Match[str]) -> str:
    return TOKEN if match[1] in _WORDS else _SEVERAL.get(match[1], "#").replace("#", NUM)


def faketime(call: Call, _parsed: Parsed) -> Stream:
    """`faketime WHEN COMMAND`: the command sees another time, and dates files by it; WHEN may begin with a dash."""
    words = list(call.args)
    while words and words[0].text in (*_SWITCHES, *_VALUED):
        option = words.pop(0).text
        if option in _VALUED and words:
            value = words.pop(0)
            if option == "--date-prog":
                call.opaque("inline", reason="a program that tells faketime the time", words=(value,))
    if len(words) < 2:
        return SOMETHING
    if words[0].many or words[0].text.startswith(TOP):
        return call.opaque("dynamic", reason="where the command begins is not known")
    call.emit("set_times", at("clock", words[0].text), attrs={"verb": "fake"})
    return call.shell.again(call, tuple(words[1:]), external=True)


FAMILIES: Final[Mapping[str, Family]] = {"date": date, "faketime": faketime}
"""What `code` of a spec may say, for this module."""
