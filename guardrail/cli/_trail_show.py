"""`guardrail audit show`, `tail` and `index`: the records that are asked for, and those that are still to come."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from guardrail.cli import positive
from guardrail.cli._trail_options import add_selection, selection_of
from guardrail.cli._words import counted
from guardrail.names import RECORD_KINDS

LAST: Final = 10
"""How many records `tail` begins with, unless told otherwise."""


def add(actions: Any, where: Any, kinds: tuple[str, ...]) -> None:
    """Add these actions.

    Args:
        actions: the actions of `guardrail audit`.
        where: adds the options that say which trail.
        kinds: what records there are.
    """
    show = actions.add_parser(
        "show",
        help="list the records, by number, id, call, agent, asset, rule or time",
        description="List the records of a trail; showing them proves nothing, `verify` and `prove` do.",
    )
    where(show)
    tail = actions.add_parser(
        "tail",
        help="list the last records, and with -f those that come",
        description="List the last records of a trail, and follow it with -f; `verify` is what proves them.",
    )
    where(tail)
    tail.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    for parser in (show, tail):
        listed = ", ".join(kinds)
        parser.add_argument(
            "--kind", action="append", metavar="KIND", help=f"only this kind of {listed}; may be repeated"
        )
        add_selection(parser)
        default = "all" if parser is show else str(LAST)
        parser.add_argument("--last", type=positive, metavar="N", help=f"only the last N of them; default {default}")
    show.add_argument("--open", action="store_true", help="also what the records disclosed, as far as it is left")
    from guardrail.cli import audit

    show.set_defaults(run=audit.run, act=_show)
    tail.set_defaults(run=audit.run, act=_tail)

    index = actions.add_parser(
        "index",
        help="make or refresh the index that `show` and `report` search by",
        description="Make or refresh the search index beside the trail. It is never evidence: every record found by it "
        "is compared with its hash, and the file may be deleted at any time.",
    )
    where(index)
    index.set_defaults(run=audit.run, act=_index)


def _check_kinds(args: argparse.Namespace) -> None:
    from guardrail.errors import ConfigError

    unknown = next((kind for kind in args.kind or () if kind not in RECORD_KINDS), None)
    if unknown is not None:
        known = ", ".join(f"`{kind}`" for kind in RECORD_KINDS)
        raise ConfigError(f"no record is of the kind `{unknown}`: use one of {known}")


def _show(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit.reading import search

    _check_kinds(args)
    hits: Any = search(directory, selection_of(args), index=not args.no_index, note=_note)
    if args.last:
        hits = deque(hits, maxlen=args.last)
    _print(hits, as_json=args.json, disclosed_in=directory if args.open else None)
    return 0


def _tail(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit.reading import Chooser, Place, follow, read_leaves

    _check_kinds(args)
    chooser = Chooser(selection_of(args))
    last: deque[Any] = deque(maxlen=args.last or LAST)
    place: Place | None = None
    for found in read_leaves(directory):
        place, record = found.after, found.record()
        if record is not None and chooser.wants(found.seq, record):
            last.append((found, record))
    _print(last, as_json=args.json)
    if not args.follow:
        return 0
    for following in follow(directory, place):
        if following is None:
            sys.stdout.flush()
            continue
        record = following.record()
        if record is not None and chooser.wants(following.seq, record):
            _print([(following, record)], as_json=args.json)
    return 0


def _print(hits: Iterable[Any], *, as_json: bool, disclosed_in: str | None = None) -> None:
    from guardrail.audit.disclosure import opened
    from guardrail.cli import _trail_line
    from guardrail.printing import visible

    for found, record in hits:
        left = opened(disclosed_in, record) if disclosed_in is not None else {}
        if as_json:
            shown = {**record, "opened": left} if left else record
            print(json.dumps(shown, ensure_ascii=True, sort_keys=True, separators=(",", ":")))
            continue
        print(_trail_line.line(found.seq, record))
        for pointer, value in left.items():
            print(visible(f"         {pointer} = {value}"))


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _index(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit.reading._index import IndexUnusable, build_index, index_path
    from guardrail.errors import TrailError

    shown = sys.stderr.isatty()
    try:
        size = build_index(
            directory,
            progress=(lambda n: print(f"\r{counted(n, 'record')}", end="", file=sys.stderr)) if shown else None,
        )
    except IndexUnusable as error:
        raise TrailError(f"the index of `{_named(directory)}` cannot be made: {error}") from None
    if shown:
        print(file=sys.stderr)
    path = index_path(directory)
    if args.json:
        print(json.dumps({"index": str(path), "records": size, "bytes": path.stat().st_size}))
    else:
        print(f"{path}: {counted(size, 'record')}, {counted(path.stat().st_size, 'byte')}; it proves nothing")
    return 0


def _named(directory: str) -> str:
    """A trail in a message: of an address nothing that may be a password."""
    from guardrail.audit import is_store

    if not is_store(directory):
        return directory
    from guardrail.audit.postgres import place

    return place(directory)
