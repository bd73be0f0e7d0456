"""echo, printf, seq and their like: commands whose words are text, or small programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NAME, NUM, SOMETHING, TOP, Field, Stream, merge
from guardrail.patterns import lazy

MAX_PROGRAM: Final = 4096
"""Longest sed program that is looked at, in characters."""

MAX_SEQUENCE: Final = 1000
"""Most numbers of `seq` that are written out."""

_SED_LINE = r"(?:[0-9]+|\$|/(?:[^/\\\n]|\\[^\n])*/I?)"
_SED_ADDRESS = rf"(?:{_SED_LINE}(?:,[+~]?{_SED_LINE})?)?[ \t]*+!?[ \t]*+"
_SED_COMMAND = lazy(
    _SED_ADDRESS
    + r"(?:s([/|#,:@!%~])(?:(?!\1)[^\\\n]|\\[^\n])*\1(?:(?!\1)[^\\\n]|\\.)*\1[gpiIM0-9]*"
    + r"|y([/|#,:@!%])(?:(?!\2)[^\\\n])*\2(?:(?!\2)[^\\\n])*\2|[dDpPhHgGxnN=]|[qQ][0-9]*|[aic]\\?[^\n;{}]*|\{|\})"
    + r"[ \t]*+[;\n]*+[ \t]*+",
    re.DOTALL,
)


def sed_script_is_plain(text: str) -> bool:
    """A sed script only edits: no `w`, `r`, `e`, and nothing that is not on the list."""
    text = text.strip()
    if len(text) > MAX_PROGRAM or re.search(r"\\\n", text):
        return False
    position = 0
    while position < len(text):
        match = _SED_COMMAND.match(text, position)
        if match is None or match.end() == position:
            return False
        # After `s///` a `w` or `e` flag would follow directly.
        position = match.end()
        if match[1] and position < len(text) and text[position] not in ";\n{}" and text[position - 1] not in ";\n \t":
            return False
    return True


def sed_files(text: str) -> tuple[tuple[str, str], ...] | None:
    """The files that a sed script reads and writes, each with its command; None if it does anything else besides."""
    plain: list[str] = []
    found: list[tuple[str, str]] = []
    for line in text.split("\n"):
        # A name goes on to the end of its line.
        match = _SED_FILE.fullmatch(line)
        if match is None:
            plain.append(line)
        elif match["name"].startswith("/dev/std"):
            return None
        else:
            found.append((match["command"], match["name"]))
            plain.append(match["address"] + (match["change"] or "="))
    return tuple(found) if sed_script_is_plain("\n".join(plain)) else None


_SED_FILE: Final = lazy(
    rf"(?P<address>{_SED_ADDRESS})"
    r"(?P<change>s(?P<sign>[/|#,:@!%~])(?:(?!(?P=sign))[^\\\n]|\\[^\n])*(?P=sign)(?:(?!(?P=sign))[^\\\n]|\\.)*(?P=sign)"
    r"[gpI0-9]*)?(?P<command>[rRwW])[ \t]*(?P<name>[^\s;{}][^\n;{}]*)"
)
"""A line of a sed script that ends with the name of a file."""


def words(call: Call, _parsed: Parsed) -> Stream:
    """`echo`, `printf`, `basename`, `dirname`: their words are text, whatever they name; `_filters` works it out."""
    return Stream(sources=merge((), tuple(source for field in call.args for source in field.sources)))


def seq(call: Call, _parsed: Parsed) -> Stream:
    """`seq`: numbers."""
    args = [field.text for field in call.args]
    if not 1 <= len(args) <= 3 or not all(re.fullmatch(r"-?\d{1,9}", text) for text in args):
        return Stream(text=None)
    numbers = [int(text) for text in args]
    first, step, last = {1: (1, 1, numbers[0]), 2: (numbers[0], 1, numbers[-1])}.get(
        len(numbers), (numbers[0], numbers[1] if len(numbers) > 1 else 1, numbers[-1])
    )
    if step == 0 or abs(last - first) // abs(step) > MAX_SEQUENCE:
        return SOMETHING
    return Stream(text="".join(f"{n}\n" for n in range(first, last + (1 if step > 0 else -1), step)))


def pwd(call: Call, _parsed: Parsed) -> Stream:
    """`pwd`: the directory, where it is known."""
    known = call.cwd is not None and TOP not in call.cwd and NUM not in call.cwd
    return Stream(text=f"{call.cwd}\n" if known else None)


def mktemp(call: Call, parsed: Parsed) -> Stream:
    """`mktemp`: a new name in the directory for temporary files, or made of a template."""
    if parsed.has("--help", "--version"):
        return SOMETHING
    sources = merge((), tuple(s for field in parsed.operands for s in field.sources))
    name = _temporary(call, parsed)
    if not parsed.has("--dry-run"):
        call.emit("create", call.place(Field(text=name), kind="dir" if parsed.has("--directory") else "file"))
        for source in sources:
            call.emit("copy", source, call.place(Field(text=name)), flow=("argument",))
        if parsed.has("--directory") and name.startswith("/") and TOP not in name and ".." not in name:
            call.shell.emit.fresh.add(name)
    return Stream(text=None if TOP in name else f"{name}\n", sources=sources)


def _temporary(call: Call, parsed: Parsed) -> str:
    """The name that `mktemp` makes up; TOP if nothing is known of it."""
    if len(parsed.operands) > 1 or parsed.unknown or not all(field.known for field in parsed.operands):
        return TOP
    template = parsed.operands[0].text if parsed.operands else "tmp.XXX"
    head, slash, last = template.rpartition("/")
    suffix = parsed.value("--suffix")
    name = re.sub(r"X{3,}(?!.*X{3})", NUM, last) + (suffix.text if suffix is not None else "")
    if NUM not in name:
        return TOP
    if parsed.operands and not parsed.has("--tmpdir", "-p", "-t"):
        return f"{head}{slash}{name}"
    given = parsed.value("-p") or parsed.value("--tmpdir")
    if given is not None and given.text:
        return f"{given.text.rstrip('/')}/{head}{slash}{name}"
    folder = "/tmp"  # noqa: S108 - where mktemp makes it
    if "TMPDIR" in call.state.vars:
        folder = call.shell.expand.lookup("TMPDIR", call.state, {})[0]
    return f"{folder.rstrip('/')}/{head}{slash}{name}" if folder and TOP not in folder else TOP


_UNSURE: Final = lazy(f"[{TOP}{NUM}]")


def dirname_(call: Call, parsed: Parsed) -> Stream:
    """`dirname NAME`: of a name that was listed the directory is what stands before it."""
    out = words(call, parsed)
    if parsed.flags or len(parsed.operands) != 1 or parsed.operands[0].known:
        return out
    field = parsed.operands[0]
    head, slash, last = field.text.rstrip("/").rpartition("/")
    if field.many or field.glob is not None or not last.startswith(NAME) or _UNSURE.search(head):
        return out
    return Stream(text=(head.rstrip("/") or "/" if slash else ".") + "\n", sources=out.sources)


def count(call: Call, parsed: Parsed) -> Stream:
    """`wc`: of its input alone, a number."""
    apply_spec(call, parsed)
    alone = not parsed.operands and len(parsed.flags) == 1
    return Stream(text=NUM) if alone else SOMETHING


def cmp(call: Call, parsed: Parsed) -> Stream:
    """`cmp`: a digest, but `-l` and `-b` print every byte that differs."""
    out = apply_spec(call, parsed)
    if not parsed.has("--verbose", "--print-bytes"):
        return out
    sources = call.stdin.sources
    for field in parsed.operands[:2]:
        sources = merge(sources, call.origins(field))
    return Stream(sources=sources, flow=call.stdin.flow)


def quiet(call: Call, _parsed: Parsed) -> Stream:
    """Commands that touch nothing; `test -v` may evaluate a subscript."""
    if call.name in ("test", "["):
        for index, field in enumerate(call.args):
            following = call.args[index + 1].text if index + 1 < len(call.args) else ""
            if field.text == "-v" and ("[" in following or TOP in following):
                call.shell.dynamic("a subscript in a test", call.span)
    sources = merge((), tuple(s for field in call.args for s in field.sources))
    if call.name == "printenv":
        sources = merge(sources, call.state.contents())
    silent = call.name in ("true", "false", ":", "test", "[", "sleep")
    return Stream(text="") if silent else Stream(sources=sources)


def pager(call: Call, parsed: Parsed) -> Stream:
    """`less`, `more`: readers, but a word `+…` is a command of theirs, which need not only move about."""
    if any(field.text.startswith("+") and not _MOVING.fullmatch(field.text) for field in call.args):
        call.opaque("inline", reason=f"a command for {call.name}")
    return apply_spec(call, parsed)


_MOVING: Final = lazy(r"\+(?:\d*[GFgp%]?|[/?][\w .:=-]+)")


def split_words(text: str) -> list[Field] | None:
    """The words `xargs` makes of plain text; None where quoting matters."""
    if any(c in text for c in "'\"\\"):
        return None
    return [Field(text=word) for word in text.split()]


FAMILIES: Final[Mapping[str, Family]] = {
    "basename": words,
    "cmp": cmp,
    "count": count,
    "dirname": dirname_,
    "echo": words,
    "mktemp": mktemp,
    "pager": pager,
    "printf": words,
    "pwd": pwd,
    "quiet": quiet,
    "seq": seq,
}
"""What `code` of a spec may say, for this module."""
