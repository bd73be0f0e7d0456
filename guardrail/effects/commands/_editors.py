"""sed, ed, ex, vim, sponge: programs that change lines of a file; what they make of it is computed where it can be.

Not concerned with structured files (`_structured`). An edit whose result is not certain is a write without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._one_liners import starts_otherwise
from guardrail.effects.code._scripts import note_start
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import named_by
from guardrail.effects.commands._text import sed_files, sed_script_is_plain
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._values import MAX_TEXT, NOTHING, NUM, TOKEN, TOP, Field, Stream, merge
from guardrail.effects.keys._lines import Foreign, run_ed, run_ex
from guardrail.effects.keys._regex import Unclear
from guardrail.effects.keys._sed import parses, run
from guardrail.model import Edit, Resource
from guardrail.patterns import lazy


def sed(call: Call, parsed: Parsed) -> Stream:
    """`sed`: reads, or edits in place; scripts that write files or run commands are code."""
    operands = list(parsed.operands)
    scripts, known, brought = _scripts(call, parsed, operands)
    extended = parsed.has("--regexp-extended")
    harmless = known and (parses(scripts, extended=extended) or all(sed_script_is_plain(script) for script in scripts))
    if not known:
        harmless = len(scripts) > 0 and all(_is_plain_around(script) for script in scripts)
    if not harmless and known and (files := [sed_files(script) for script in scripts]) and None not in files:
        return _sed_with_files(call, parsed, operands, [pair for found in files for pair in found or ()], brought)
    if not harmless:
        words = [*operands, *(field for _, _, field in parsed.values)]
        reason = "a sed script that may do more than edit" if known else "a part of the sed script is not known"
        call.opaque("inline", reason=reason, words=words)
        for script in scripts:
            call.mention_text(script)
    computed = known and harmless and not parsed.unknown and parsed.flags <= _SED_PLAIN and not parsed.injected
    quiet = parsed.has("--quiet")
    if not parsed.has("--in-place"):
        sources = merge(brought, call.stdin.sources if not operands else ())
        for field in operands:
            sources = merge(sources, call.read(field))
        text = _joined_text(call, operands) if computed else None
        return Stream(
            text=_sed_text(scripts, text, extended=extended, quiet=quiet, in_place=False),
            sources=sources,
            flow=call.stdin.flow,
        )
    suffix = next((field.text for option, _, field in parsed.values if option == "--in-place"), "")
    for field in operands:
        read = call.read(field)
        # A new file takes the place of the old one, of a link too.
        place = call.place(field, nofollow=not parsed.has("--follow-symlinks"))
        before = call.content(place) if computed and field.known else None
        if suffix:
            name = field.text.rpartition("/")[2] if "*" not in suffix else TOP
            kept = f"{field.text[: len(field.text) - len(name)]}{name}{suffix}" if name != TOP else TOP
            call.put("write", call.place(Field(text=kept)), read, edit=as_edit(before))
        after = _sed_text(scripts, as_text(before), extended=extended, quiet=quiet, in_place=True)
        call.put("write", place, brought, edit=whole(after))
        if len(operands) > 1 and not parses(scripts, extended=extended):
            brought = merge(brought, read)  # what is held is held from one file to the next
    return NOTHING


def _sed_with_files(
    call: Call, parsed: Parsed, operands: list[Field], files: list[tuple[str, str]], brought: tuple[Resource, ...]
) -> Stream:
    """A script that reads and writes files of its own, and else only edits."""
    sources = merge(brought, call.stdin.sources if not operands else ())
    for field in operands:
        sources = merge(sources, call.read(field))
    for command, name in files:
        if command in "rR":
            sources = merge(sources, call.read(Field(text=name)))
    out = Stream(sources=sources, flow=call.stdin.flow)
    for command, name in files:
        if command in "wW":
            call.put("write", call.place(Field(text=name)), sources)
    if not parsed.has("--in-place"):
        return out
    suffix = next((field.text for option, _, field in parsed.values if option == "--in-place"), "")
    for field in operands:
        place = call.place(field, nofollow=not parsed.has("--follow-symlinks"))
        if suffix:
            kept = Field(text=TOP) if "*" in suffix or "/" in suffix else named_by("{}" + suffix, field)
            call.put("write", call.place(kept), (call.place(field),))
        call.put("write", place, sources)
    return NOTHING


_SED_PLAIN: Final = frozenset(
    "--expression --file --in-place --regexp-extended --quiet --separate --unbuffered --sandbox".split()
)
"""Options that the computation knows, or that do not change the result."""


def _scripts(call: Call, parsed: Parsed, operands: list[Field]) -> tuple[list[str], bool, tuple[Resource, ...]]:
    """The scripts in the order given, whether all of them are known, and whose content is in them."""
    given = [(option, field) for option, _, field in parsed.values if option in ("--expression", "--file")]
    if not given and operands:
        given = [("--expression", operands.pop(0))]
    scripts: list[str] = []
    sources: tuple[Resource, ...] = ()
    known = True
    for option, field in given:
        text: str | None = field.text
        sources = merge(sources, field.sources)
        if option == "--file":
            call.read(field)
            text = call.text_of(field)
            text = text.removesuffix("\n") if text is not None else None
        known = known and text is not None and (option == "--file" or field.known)
        if text is None or field.many or field.glob is not None:
            return [], False, sources
        scripts.append(text)
    return scripts, known, sources


def _is_plain_around(script: str) -> bool:
    """A script that only edits, whatever stands for its parts that are not known.

    A number is of letters and digits, so that it cannot end the part of a command that it stands in; the plain form
    has none in its addresses and flags.
    """
    if _PICKING.fullmatch(script) is not None:
        return True
    if TOKEN in script and _SLASHED.fullmatch(script) is not None:
        script = script.replace(TOKEN, NUM)  # one plain word has no slash in it either, and no backslash
    return TOP not in script and f"\\{NUM}" not in script and sed_script_is_plain(script)


_LINE: Final = rf"[\d{NUM}]*"
_PICKING: Final = lazy(rf"{_LINE}(?:,\+?(?:{_LINE}|\$))?[pdq=]")
"""Lines that are picked by their numbers, none of which can end in a command; without one there may be an error."""

_SLASHED: Final = lazy(r"s/(?:[^/\\\n]|\\.)*/(?:[^/\\\n]|\\.)*/[gI]?")
"""A substitution with slashes."""


def _sed_text(scripts: Sequence[str], text: str | None, *, extended: bool, quiet: bool, in_place: bool) -> str | None:
    if text is None:
        return None
    try:
        return run(scripts, text, extended=extended, quiet=quiet, in_place=in_place)
    except (Unclear, RecursionError):
        return None


def _joined_text(call: Call, operands: Sequence[Field]) -> str | None:
    """The one input of a filter."""
    if len(operands) > 1:
        return None
    return call.text_of(operands[0]) if operands else call.stdin.text


def as_text(data: bytes | None) -> str | None:
    """Content as text; None if it is none, or is not known."""
    try:
        return data.decode("utf-8") if data is not None and b"\0" not in data else None
    except UnicodeDecodeError:
        return None


def whole(text: str | None) -> Edit | None:
    """New content of a file, if it is known."""
    return Edit(kind="whole", text=text) if text is not None else None


# -- ed, ex, vim


def ed(call: Call, parsed: Parsed) -> Stream:
    """`ed FILE` with its commands on standard input."""
    if len(parsed.operands) != 1 or call.stdin.text is None or parsed.unknown or parsed.has("--restricted"):
        return call.opaque("inline", reason="an editor whose commands are not known")
    field = parsed.operands[0]
    if field.text.startswith("!"):
        return call.opaque("inline", reason="an editor that runs a command")
    return _edited(call, field, lambda text: run_ed(call.stdin.text or "", text), call.stdin.text)


_NO_SETTINGS: Final = ("NONE", "NORC", "DEFAULTS")
"""What stands in place of a file with settings, where none is read."""


def ex(call: Call, parsed: Parsed) -> Stream:
    """`ex`, `vim -c`: commands in options, or on standard input with `-s`."""
    commands = [field for option, _, field in parsed.values if option in ("-c", "--cmd")]
    plus = [field.tail(1) for field in parsed.operands if field.text.startswith("+") and len(field.text) > 1]
    operands = [field for field in parsed.operands if not field.text.startswith("+")]
    silent = parsed.has("-s") and (call.name == "ex" or parsed.has("-e", "-E"))
    script = "\n".join(field.text for field in (*commands, *plus))
    if not silent:
        _starts(call)
    nothing = call.stdin.text == "" or (call.stdin.flow == ("redirect",) and not call.stdin.sources)  # `/dev/null`
    fed = call.stdin.connected and not nothing
    if fed and silent:
        # What comes in is carried out behind the commands, wherever these have not left for certain.
        script = f"{script}\n{call.stdin.text or ''}".strip("\n")
    known = (
        not starts_otherwise(call)
        and (not fed or (silent and call.stdin.text is not None))
        and all(field.known for field in (*commands, *plus))
        and not parsed.has("-S", "-U", "-w", "-W", "--cmd")
        and all(field.text in _NO_SETTINGS for field in parsed.values_of("-u"))
    )
    if len(operands) != 1 or not script or not known or parsed.unknown or parsed.injected:
        return call.opaque("inline", reason="an editor whose commands are not known")
    return _edited(call, operands[0], lambda text: run_ex(script, text), script)


def _starts(call: Call) -> None:
    """What an editor that is not silent runs first: whether the session wrote it is for the history to say."""
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    for name in (".vimrc", ".vim/vimrc", ".exrc") if TOP not in home else ():
        place = call.place(Field(text=f"{home}/{name}"))
        note_start(call, place)


def _edited(call: Call, field: Field, compute: Callable[[str], str], script: str) -> Stream:
    """The effects of an editor on one file."""
    place = call.place(field)
    before = call.content(place) if field.known else None
    text = as_text(before)
    try:
        after: str | None = compute(text if text is not None else "")
    except Foreign:
        out = call.opaque("inline", reason="an editor with commands that do more than edit")
        call.mention_text(script)
        return out
    except (Unclear, RecursionError):
        after, text = None, None
    call.read(field)
    if after is not None and text is not None and after == text:
        return Stream()
    call.emit("write", place, edit=whole(after) if text is not None else None)
    return Stream(sources=(place,))


def sponge(call: Call, parsed: Parsed) -> Stream:
    """`sponge FILE`: its input replaces the file, also the file that the input came from."""
    append = parsed.has("-a")
    text = call.stdin.text if not parsed.unknown else None
    if not parsed.operands:
        return call.stdin
    for field in parsed.operands[:1]:
        place = call.place(field)
        edit = None if text is None else Edit(kind="append" if append else "whole", text=text)
        if place.path is not None:
            call.shell.contents.soak(place.path)
        call.put("append" if append else "write", place, call.stdin.sources, flow=call.stdin.flow, edit=edit)
    return NOTHING


def sd(call: Call, parsed: Parsed) -> Stream:
    """`sd FIND REPLACE FILE…`: in place, unless it only previews."""
    operands = list(parsed.operands)
    if len(operands) < 3:
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    find, text = operands[0], operands[1]
    literal = parsed.has("--fixed-strings") or re.fullmatch(r"[\w \-:=\"',/]*", find.text) is not None
    plain = literal and find.known and text.known and find.text and not re.search(r"[$\\]", text.text)
    sources: tuple[Resource, ...] = ()
    for field in operands[2:]:
        sources = merge(sources, call.read(field))
        if parsed.has("--preview"):
            continue
        place = call.place(field)
        computed = plain and not parsed.unknown and parsed.flags <= {"--fixed-strings"} and field.known
        before = as_text(call.content(place)) if computed else None
        call.emit("write", place, edit=whole(before.replace(find.text, text.text)) if before is not None else None)
    return Stream(sources=sources) if parsed.has("--preview") else NOTHING


def fits(text: str | None) -> str | None:
    """A text that is short enough to be followed."""
    return text if text is not None and len(text) <= MAX_TEXT else None


FAMILIES: Final[Mapping[str, Family]] = {
    "ed": ed,
    "ex": ex,
    "sd": sd,
    "sed": sed,
    "sponge": sponge,
}
"""What `code` of a spec may say, for this module."""
