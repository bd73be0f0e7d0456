"""What `guardrail explain --specs` prints: the catalogue of commands, for people and as JSON."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from guardrail.cli import EXIT_ALLOW, EXIT_USAGE

_ROLES: Final[Mapping[str, str]] = {
    "text": "text",
    "read": "a file that is read",
    "uses": "a file that is read, of which nothing comes out again",
    "spent": "a file that is read and then removed",
    "config": "a file that is read, and says what else to work on",
    "names": "a file of further operands, one a line",
    "names0": "a file of further operands with NULs between them",
    "stem": "the beginning of the names of files that are written",
    "below": "a directory below which anything may be written",
    "list": "a file that is looked at",
    "write": "a file that is written",
    "append": "a file that is added to",
    "create": "a name that is made",
    "mkdir": "a directory that is made",
    "delete": "a name that is removed",
    "truncate": "a file that is cut",
    "times": "a file whose times are set",
    "security": "a file whose mode, owner or attributes are set",
    "mount": "a place that is mounted on",
    "run": "a program that is run",
    "shell": "shell text that is run",
    "dir": "a directory that names are relative to",
    "into": "where files are put",
    "opaque": "not looked into",
    "mention": "named to the command, which may do anything with it",
    "told": "a parameter for what runs elsewhere or later; a path in it is named",
    "from": "a source, here or at an address",
    "to": "a destination, here or at an address",
    "url": "an address that is fetched",
    "post": "an address that is sent to",
}


def show(names: Sequence[str], *, as_json: bool) -> int:
    """Print some specs, or the list of all.

    Args:
        names: commands; none for the list.
        as_json: print plain values.
    """
    import orjson

    from guardrail.effects import describe, families

    if not names:
        table = families()
        if as_json:
            print(orjson.dumps(table, option=orjson.OPT_INDENT_2).decode())
            return EXIT_ALLOW
        for family, commands in table.items():
            print(f"{family} ({len(commands)})\n  {' '.join(commands)}")
        return EXIT_ALLOW
    found = {name: describe(name) for name in names}
    for name, entry in found.items():
        if entry is None:
            near = difflib.get_close_matches(name, [n for names in families().values() for n in names], 5, 0.5)
            hint = f"; near it are {', '.join(f'`{other}`' for other in near)}" if near else ""
            print(
                f"guardrail: the catalogue has no `{name}`, so it is opaque: held when it names an asset{hint}",
                file=sys.stderr,
            )
            return EXIT_USAGE
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return EXIT_ALLOW
    for name, entry in found.items():
        if entry is not None:
            _print(name, entry)
    return EXIT_ALLOW


def _print(name: str, entry: Mapping[str, Any]) -> None:
    print(f"{name}  ({', '.join(entry['names'])})")
    for line in (*_grammar(entry), *_option_lines(entry)):
        print(f"  {line}")
    for title, key in (("e.g.", "match"), ("not ", "not_match")):
        for command, *effects in entry.get(key, ()):
            print(f"  {title} {command}")
            for effect in effects:
                print(f"         {effect}")


def _grammar(entry: Mapping[str, Any]) -> Iterator[str]:
    """What the operands are, and what happens whatever they are."""
    for operand in entry.get("operands", ()):
        many = "each operand" if operand.endswith("*") else "an operand"
        yield f"{many:<14} {_role(operand.rstrip('*'))}"
    for mode in entry.get("modes", ()):
        operands = ", ".join(_role(operand.rstrip("*")) for operand in mode.get("operands") or ())
        more = ", ".join(mode.get("emits", ()))
        yield f"with {' or '.join(mode['when'])}: {'; '.join(part for part in (operands, more) if part)}"
    for effect in entry.get("emits", ()):
        yield f"always         {effect}"
    if "makes" in entry:
        yield f"makes          {' '.join(entry['makes'])}"
    if "code" in entry:
        yield f"grammar        in code: {_family(entry['code'])}"
    yield f"output tells   {entry.get('reveals', 'content')} of what it reads"


def _option_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    options: Mapping[str, str] = entry.get("options", {})
    for option, roles in options.items():
        if roles:
            yield f"{option}  {', then '.join(_role(role) for role in roles.rstrip('?').split())}"
    flags = [option for option, roles in options.items() if not roles]
    if flags:
        yield f"flags          {' '.join(flags)}"
    if entry["subcommands"]:
        yield f"subcommands    {' '.join(entry['subcommands'])}"


def _role(role: str) -> str:
    op, at, scheme = role.partition("@")
    if not at:
        return _ROLES[role]
    if op in ("from", "to"):
        return f"{_ROLES[op].partition(',')[0]}, by its name in {scheme}"
    return f"{op} of {scheme}:…"


def _family(code: str) -> str:
    from guardrail.effects.commands._families import FAMILIES

    text = (FAMILIES[code].__doc__ or code).strip().partition("\n")[0]
    return f"{code}, {text.replace('`', '').rstrip('.')}"
