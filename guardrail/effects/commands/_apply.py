"""The transfer function of a command whose spec is data alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import Entry
from guardrail.effects.commands._makes import below, by_mode, configured, make, modes_of, starting
from guardrail.effects.commands._places import transfer
from guardrail.effects.commands._searches import SEARCHES, is_sought
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import STREAMS
from guardrail.effects.domain._values import NOTHING, NUM, SOMETHING, Field, Stream, merge
from guardrail.model import Op, Resource

MAX_PATTERNS: Final = 1024
"""Most patterns of operands of which it is kept which role is repeated; there are fewer than 300."""

_OPS: Final[Mapping[str, Op]] = {
    "list": "list",
    "dir": "list",
    "create": "create",
    "mkdir": "create",
    "truncate": "truncate",
    "times": "set_times",
    "security": "set_security",
    "mount": "mount",
}
"""Roles that are one operation on the place they name."""

_TAKEN: Final = frozenset(("read", "text", "uses", "config", "names", "names0"))
"""Roles that are done with once the word was read."""

_FLOWING: Final = frozenset(("read", "spent", "config"))
"""Roles of files whose content goes on."""

_KEPT: Final = frozenset(("write", "append", "into", "below", "stem", "to"))
"""Roles of places that content goes to instead of standard output, for commands that do one or the other."""


def _is_kept(roles: Sequence[tuple[str, Field]]) -> bool:
    """Some word names such a place."""
    return any(role in _KEPT and field.text != "-" and field.text not in STREAMS for role, field in roles)


def apply_spec(call: Call, parsed: Parsed) -> Stream:
    """Effects of a command's operands and option values by their roles.

    Args:
        call: the command.
        parsed: its words, told apart.

    Returns:
        Its output.
    """
    spec, entry = parsed.spec, parsed.spec.entry
    roles = operand_roles(entry, parsed) if not parsed.values else _every_role(call, parsed)
    reveals = "digest" if spec.digest and parsed.flags & spec.digest else entry.reveals
    reveals = by_mode(parsed, "reveals", reveals) if spec.modes else reveals
    recursive = spec.always or not parsed.flags.isdisjoint(spec.recursive)
    sought = reveals == "some" and call.name in SEARCHES and is_sought(parsed)
    sources, named = _reads(call, roles, reveals, recursive, sought=sought)
    if call.stdin.sources and entry.stdin != "none":
        dashed = not named or any(field.text == "-" for _, field in roles)
        sources = merge(sources, call.stdin.sources if dashed or entry.stdin == "always" else ())
    carried = sources if reveals in ("content", "some") else ()
    if entry.emits or spec.modes:
        _emitted(call, parsed, carried)
    for role, field in roles:
        if role in _TAKEN:
            continue
        if "@" in role or role in ("url", "post"):
            _addressed(call, role, field, carried)
        elif role not in ("from", "to"):
            apply_role(call, role, field, carried, recursive)
    made = bool(entry.makes or spec.modes) and make(call, parsed, roles, carried, recursive=recursive)
    if spec.transfers:
        return transfer(call, entry, roles, recursive=recursive, given=carried)
    form = by_mode(parsed, "prints", entry.prints) if spec.modes else entry.prints
    if form and not parsed.unknown:
        return Stream(text=form.replace("#", NUM) + "\n", sources=_tainted(roles))
    if entry.output == "text":
        listed = tuple(call.place(field, recursive=recursive) for role, field in roles if role in ("list", "dir"))
        return Stream(sources=_tainted(roles), names=listed)
    if entry.output == "none" or (entry.output == "else" and (made or _is_kept(roles))):
        return Stream(sources=_tainted(roles))
    if reveals in ("none", "digest"):
        return NOTHING if reveals == "none" and entry.stdin == "none" else SOMETHING
    return Stream(sources=carried, flow=call.stdin.flow, text=None)


def _every_role(call: Call, parsed: Parsed) -> list[tuple[str, Field]]:
    """Each value of an option with its role, and each operand; further operands may stand in files."""
    _listed(call, parsed)
    return [*((role, field) for _, role, field in parsed.values), *operand_roles(parsed.spec.entry, parsed)]


def _listed(call: Call, parsed: Parsed) -> None:
    """Further operands stand in files."""
    for _, role, field in parsed.values:
        if role in ("names", "names0"):
            if field.text != "-":
                listed = call.read(field, reveals="some")
                # What is said of a name has the name in it, and of a file that is no list every line is one.
                call.printed = merge(call.printed, listed if parsed.spec.entry.output == "" else ())
            parsed.operands.extend(call.listed(field, "\0" if role == "names0" else "\n"))


def _emitted(call: Call, parsed: Parsed, carried: tuple[Resource, ...]) -> None:
    """Effects that the command has whatever its operands are."""
    entry = parsed.spec.entry
    if parsed.spec.look and parsed.flags & parsed.spec.look:
        return
    emits = entry.emits
    if parsed.spec.modes:
        emits = (*emits, *(e for mode in modes_of(parsed) for e in mode.emits))
    for text in emits:
        op, _, rest = text.partition("@")
        scheme, _, name = rest.partition(":")
        for source in carried if op in ("write", "net_send") else ():
            call.emit("copy", source, at(scheme, name), flow=("argument",))
        call.emit(_op(op), at(scheme, name), attrs=verb(call))


def verb(call: Call) -> dict[str, Any] | None:
    """The subcommand, for what is behind an address: a service is stopped as well as started."""
    return {"verb": call.name.rpartition(" ")[2]} if " " in call.name else None


def _addressed(call: Call, role: str, field: Field, sources: tuple[Resource, ...]) -> None:
    """A word that names something at an address."""
    if role in ("url", "post"):
        place = remote(field.text) if URL.fullmatch(field.text) else at("http", f"//{field.text}")
        op: Op = "net_send" if role == "post" else "net_recv"
    else:
        name, _, scheme = role.partition("@")
        if name in ("from", "to") or field.text == "":
            return
        place, op = at(scheme, field.text), _op(name)
    if op in ("net_send", "write"):
        for source in sources:
            call.emit("copy", source, place, flow=("argument",))
    call.emit(op, place, attrs=verb(call))
    for source in field.sources:
        call.emit("copy", source, place, flow=("argument",))


def _op(name: str) -> Op:
    # INVARIANT: Spec has checked every operation that a spec names.
    return cast("Op", name)


def _tainted(roles: Sequence[tuple[str, Field]]) -> tuple[Resource, ...]:
    found: tuple[Resource, ...] = ()
    for _, field in roles:
        found += field.sources
    return found


@functools.lru_cache(maxsize=MAX_PATTERNS)
def _star(pattern: tuple[str, ...]) -> int | None:
    """Which role of a pattern any number of operands may have."""
    return next((i for i, role in enumerate(pattern) if role.endswith("*")), None)


def operand_roles(entry: Entry, parsed: Parsed) -> list[tuple[str, Field]]:
    """Each operand with the role that the pattern of the entry, or of a mode of it, gives it."""
    operands = parsed.operands
    if not operands:
        if not entry.defaults:
            return []
        operands = [Field(text=text) for text in entry.defaults]
    pattern = by_mode(parsed, "operands", entry.operands) if parsed.spec.modes else entry.operands
    star = _star(pattern)
    if star == 0 and len(pattern) == 1:
        role = pattern[0].rstrip("*")
        return [(role, field) for field in operands]
    found: list[tuple[str, Field]] = []
    for index, field in enumerate(operands):
        from_end = len(operands) - index
        if star is None:
            role = pattern[index] if index < len(pattern) else "opaque"
        elif index < star:
            role = pattern[index]
        elif from_end < len(pattern) - star:
            role = pattern[len(pattern) - from_end]
        else:
            role = pattern[star].rstrip("*")
        if field.many and len(set(pattern)) > 1 and role == "text":
            role = next(r.rstrip("*") for r in pattern if r != "text")  # it may be more words than one
        found.append((role, field))
    return found


def _reads(
    call: Call, roles: Sequence[tuple[str, Field]], reveals: str, recursive: bool, *, sought: bool
) -> tuple[tuple[Resource, ...], bool]:
    sources: tuple[Resource, ...] = ()
    named = False
    for role, field in roles:
        if role == "uses":
            call.read(field, reveals="none", recursive=recursive)
        elif role in _FLOWING:
            named = True
            sources = merge(sources, call.read(field, reveals=reveals, recursive=recursive, sought=sought))
            if field.text[:1] == "@" and len(field.text) > 1:
                # For some it is a file of further words, which are complained of if they are none.
                words = call.read(field.tail(1), reveals=reveals)
                call.shell.divert(words)
                sources = merge(sources, words)
            if role == "config":
                configured(call, field)
        elif field.sources:
            sources = merge(sources, field.sources)
    return sources, named


def apply_role(call: Call, role: str, field: Field, sources: tuple[Resource, ...], recursive: bool) -> None:
    """One word that does more than being read.

    Args:
        call: the command.
        role: what the word is.
        field: the word.
        sources: what is written, if anything is.
        recursive: all that is below it is meant.
    """
    if field.text == "" and not field.many:
        return
    if role in ("run", "shell"):
        _run(call, field, shell=role == "shell")
        return
    if role in ("mention", "opaque", "told"):
        if role == "opaque":
            call.shell.emit.opaque("program", call.place(field), spec=call.name, span=call.span)
        call.told((field,)) if role == "told" else call.mention((field,))
        return
    if role in ("below", "stem"):
        below(call, field, sources) if role == "below" else call.put("write", call.place(starting(field)), sources)
        return
    place = call.place(field, kind="dir" if role in ("mkdir", "dir", "into") else "file", recursive=recursive)
    op = _OPS.get(role)
    if place.path in STREAMS and role not in ("write", "append"):
        call.shell.emit.reopened(op or "list", place, spec=call.name, span=call.span)
        return
    if op is not None:
        call.emit(op, place)
    elif role in ("write", "append", "into"):
        if field.text == "-":
            call.printed = merge(call.printed, sources)
        else:
            call.put("append" if role == "append" else "write", place, sources, flow=call.stdin.flow)
    elif role in ("delete", "spent"):
        call.emit("delete", call.place(field, recursive=recursive, nofollow=True))
    if role == "mkdir" and place.path is not None:
        call.shell.directories |= {place.path.rstrip("/")}


def _run(call: Call, field: Field, *, shell: bool) -> None:
    """A word that is a program or a piece of shell text."""
    if not field.known:
        call.shell.emit.opaque(
            "dynamic", call.place(field), spec=call.name, reason="the program is not known", span=call.span
        )
        return
    with call.perhaps():
        call.shell.run_text(field.text, call.state.copy(), Stream(sources=call.stdin.sources))
    if not shell:
        call.shell.emit.opaque("program", call.place(field), spec=call.name, span=call.span)
        call.mention([word for word in call.args if word is not field])  # it is handed what the command is
