"""find and xargs: commands that run others on names that are not in the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._interpreters import interpreter_of
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._text import split_words
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.model import Resource

_ALONE: Final = frozenset(
    "-print -print0 -ls -prune -quit -depth -d -mount -xdev -daystart -follow -noleaf -true -false -empty -readable "
    "-writable -executable -nouser -nogroup -o -or -a -and -not ! ( ) , -ignore_readdir_race -nowarn -warn".split()
)
_WITH_TEXT: Final = frozenset(
    "-name -iname -path -ipath -wholename -iwholename -regex -iregex -regextype -type -xtype -size -mtime -atime "
    "-ctime -mmin -amin -cmin -newermt -newerat -newerct -maxdepth -mindepth -user -group -uid -gid -perm -links -inum "
    "-fstype -lname -ilname -printf -used -context".split()
)
_WITH_FILE: Final = frozenset("-newer -anewer -cnewer -samefile -files0-from".split())
_WRITING: Final = {"-fprint": 1, "-fprint0": 1, "-fls": 1, "-fprintf": 2}
_CODE: Final = frozenset("wrapper env runner xargs watch time find make awk sed git".split())
_RUNNING: Final = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def find(call: Call, _parsed: Parsed) -> Stream:
    """`find`: lists below its roots; `-delete` deletes, `-exec` is opaque and names the roots."""
    args = list(call.args)
    while (args and args[0].text in ("-H", "-L", "-P")) or (args and args[0].text.startswith(("-O", "-D"))):
        option = args.pop(0)
        if option.text == "-D" and args:
            args.pop(0)
    roots: list[Field] = []
    while args and not args[0].text.startswith("-") and args[0].text not in ("(", "!", ")", ","):
        roots.append(args.pop(0))
    roots = roots or [Field(text=".")]
    for root in roots:
        call.emit("list", call.place(root, kind="dir", recursive=True))
    if any(root.many or root.text.startswith(TOP) for root in roots):
        call.opaque("dynamic", resource=call.place(roots[0]), reason="a root may be an action")
    _expression(call, args, roots)
    sources = tuple(source for field in call.args for source in field.sources)
    return Stream(names=tuple(call.place(root, kind="dir", recursive=True) for root in roots), sources=sources)


def _expression(call: Call, args: list[Field], roots: list[Field]) -> None:
    filtered = False
    while args:
        text = args.pop(0).text
        if text in _ALONE:
            continue
        if text in _WITH_TEXT and args:
            filtered = filtered or text not in ("-printf", "-maxdepth", "-mindepth")
            args.pop(0)
        elif text in _WITH_FILE and args:
            named = args.pop(0)
            other = call.place(named)
            call.emit("list", other)
            if text == "-files0-from":
                call.read(named, reveals="some")
                roots.extend(call.listed(named, "\0"))
            if text == "-samefile":
                call.emit("mention", other, precision="opaque", may=True)  # every name of it is meant
        elif text in _WRITING and len(args) >= _WRITING[text]:
            call.put("write", call.place(args.pop(0)), ())
            args = args[_WRITING[text] - 1 :]
        elif text == "-delete":
            for root in roots:
                place = call.place(root, kind="dir", recursive=True, nofollow=True)
                call.emit("delete", place, may=True, precision="opaque" if filtered else None)
        elif text in _RUNNING:
            call.opaque("program", reason=f"{text} runs a command on each name")
            _mention_roots(call, roots)
            end = next((i for i, f in enumerate(args) if f.text == ";" or f.text == "+"), len(args))
            _run_on_names(call, args[:end], roots, inside=text.endswith("dir"))
            args = args[end + 1 :]
        else:
            call.opaque("program", reason="an expression of find that is not known")
            _mention_roots(call, roots)
            return


def _run_on_names(call: Call, command: list[Field], roots: list[Field], *, inside: bool) -> None:
    """What `-exec` runs, where that runs code of its own; other commands are covered by what is mentioned."""
    name = command[0].text.rpartition("/")[2] if command else ""
    spec = specs().get(name)
    if not command or (spec is not None and spec.entry.code not in _CODE and not interpreter_of(name)):
        return
    # Every name begins with its root, so none is taken for an option.
    name = f"{roots[0].text.rstrip('/')}/{TOP}" if len(roots) == 1 and roots[0].known else TOP
    vector = tuple(
        Field(text=field.text.replace("{}", name), sources=field.sources, span=field.span) for field in command
    )
    call.shell.emit.maybe += 1
    try:
        call.shell.again(call, vector, external=True, cwd=None if inside else call.cwd, stdin=NOTHING)
    finally:
        call.shell.emit.maybe -= 1


def _mention_roots(call: Call, roots: list[Field]) -> None:
    for root in roots:
        place = call.place(root, kind="dir", recursive=True)
        call.emit("mention", place, precision="opaque", may=True)


def xargs(call: Call, parsed: Parsed) -> Stream:
    """`xargs COMMAND`: the command with words from its input, which are unknown unless the input is literal."""
    command = tuple(parsed.operands)
    listed = parsed.value("--arg-file")
    taken: tuple[Resource, ...] = ()
    if listed is not None:
        taken = call.read(listed, reveals="some")
    words = None
    if call.stdin.text is not None and listed is None and not parsed.has("--null", "--delimiter", "--eof"):
        words = split_words(call.stdin.text)
    if not command:
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    sources = merge(call.stdin.sources, taken)
    extra = [Field(text=TOP, many=True, sources=sources)] if words is None else words
    marker = parsed.value("--replace")
    mark = marker.text if marker is not None else "{}" if parsed.has("--replace") else None
    call.shell.emit.maybe += 1
    try:
        if mark is None:
            vector = (*command, *extra)
        else:
            one = extra[0] if len(extra) == 1 and not extra[0].many else Field(text=TOP, sources=sources)
            vector = tuple(_replaced(field, mark, one) for field in command)
        return call.shell.again(call, vector, external=True, stdin=NOTHING)
    finally:
        call.shell.emit.maybe -= 1


def _replaced(field: Field, mark: str, one: Field) -> Field:
    if mark not in field.text:
        return field
    return Field(text=field.text.replace(mark, one.text), sources=one.sources, span=field.span)


FAMILIES: Final[Mapping[str, Family]] = {
    "find": find,
    "xargs": xargs,
}
"""What `code` of a spec may say, for this module."""
