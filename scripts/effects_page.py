"""docs/effects.md, written from the catalogue itself; with `--check` it is compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from guardrail.effects import describe, families

PAGE = Path(__file__).resolve().parent.parent / "docs" / "effects.md"

HEAD = """# What is modelled

This page is written from the catalogue by `make docs`; a test compares the two.
`guardrail explain --specs NAME` prints what is known of one command: what each word is, what it does, and examples.
`guardrail explain 'COMMAND'` shows what all of it makes of one line.

What is not listed here is opaque.
An opaque command that names no asset is allowed, unless the session has read an asset or owes something.
One that names an asset waits for a person.
Code that is made at run time, and code in an argument that is not analysed, always waits for a person.

"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    """The tables: one row a family of specs."""
    table = families()
    count = sum(len(names) for names in table.values())
    yield f"## Commands\n\n{count} commands in {len(table)} families; each family is one file of specs.\n"
    yield "| family | commands |"
    yield "| --- | --- |"
    for family, names in table.items():
        yield f"| `{family}` | {' '.join(_named(name) for name in names)} |"
    yield "\n## Subcommands\n\nA subcommand that is not listed is opaque, like a command that is not.\n"
    yield "| command | subcommands |"
    yield "| --- | --- |"
    for names in table.values():
        for name in names:
            yield from _subcommands(name)


def _named(name: str) -> str:
    return f"`{name}`"


def _subcommands(name: str) -> Iterator[str]:
    entry = describe(name)
    children: list[str] = entry["subcommands"] if entry else []
    if not children:
        return
    yield f"| `{name}` | {' '.join(_named(child) for child in children)} |"
    for child in children:
        yield from _subcommands(f"{name} {child}")


if __name__ == "__main__":
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit("docs/effects.md is not what the catalogue says: run `make docs`")
    else:
        PAGE.write_text(page(), encoding="utf-8")
