"""`python -m guardrail_adapters.testing`: put adapters through the suite and print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from guardrail import ConfigError
from guardrail_adapters.testing._cases import CASES
from guardrail_adapters.testing._ours import OURS, adapters_of, ours
from guardrail_adapters.testing._protocol import Adapter
from guardrail_adapters.testing._stage import Case
from guardrail_adapters.testing._table import Line, as_text, page, put_through, replaced, stale

OK: Final = 0
NOT_CONFORMING: Final = 1
USAGE: Final = 2


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m guardrail_adapters.testing",
        description="Put adapters through the conformance suite, and print what holds.",
        epilog="Exit code: 0 if all conform, 1 if one does not, 2 for wrong usage.",
    )
    parser.add_argument(
        "adapters", nargs="*", help=f"families of ours ({', '.join(OURS)}) or MODULE:NAME; all of ours by default"
    )
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case; may be given again")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each case")
    parser.add_argument("--page", metavar="FILE", help="write the made part of this page, and run nothing")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code.
    """
    given = _options().parse_args(arguments)
    try:
        chosen = [adapter for name in given.adapters for adapter in adapters_of(name)] or list(ours())
        cases = _cases(given.case)
        _check(chosen)
    except ConfigError as error:
        sys.stderr.write(f"guardrail: {error}\n")
        return USAGE
    if given.page:
        file = Path(given.page)
        file.write_text(replaced(file.read_text(encoding="utf-8"), page(chosen)), encoding="utf-8")
        return OK
    lines: list[Line] = []
    for adapter in chosen:
        found = put_through(adapter, cases)
        lines += found
        if given.json:
            sys.stdout.write("".join(msgspec.json.encode(line).decode() + "\n" for line in found))
    if not given.json:
        sys.stdout.write(as_text(lines) + "\n")
    return NOT_CONFORMING if any(line.result == "no" for line in lines) else OK


def _cases(names: Sequence[str] | None) -> tuple[Case, ...]:
    known = {case.name: case for case in CASES}
    for name in names or ():
        if name not in known:
            raise ConfigError(f"there is no case `{name}`: name one of {', '.join(known)}")
    return tuple(case for case in CASES if not names or case.name in names)


def _check(adapters: Sequence[Adapter]) -> None:
    for adapter in adapters:
        if gone := stale(adapter):
            raise ConfigError(f"`{adapter.name}` says that it cannot meet `{gone[0]}`, which is no case")


if __name__ == "__main__":
    sys.exit(main())
