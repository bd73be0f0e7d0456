"""`guardrail observe`: watch, on a whole node, who opens the files of assets."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_FAULT, EXIT_USAGE

_DESCRIPTION: Final = """Watch who opens the files of assets, on a whole node and by whatever name (fanotify).

Each open by a program that is not among the readers is one line of JSON; with --enforce it is refused.
It needs CAP_SYS_ADMIN, and for other containers the host's process numbers. The kernel lets every open pass once this
ends, so something has to start it again, and to say that it was gone.
"""

_EXITS: Final = "exit codes: 0 ended by a signal, 1 a fault, or this host does not let it, 2 usage or configuration"


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "observe", help="watch who opens the files of assets, on a whole node", description=_DESCRIPTION, epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verb.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    verb.add_argument(
        "--reader", action="append", default=[], metavar="FILE",
        help="a program that may open them, known by its content as it is now; an interpreter stands for every script",
    )  # fmt: skip
    verb.add_argument("--enforce", action="store_true", help="refuse all others; without it they are only told of")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Watch until a signal comes."""
    from guardrail.assets import Inventory
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.confine.kernel import ConfineError
    from guardrail.confine.kernel._profiles import digest_of
    from guardrail.confine.observer import Observer

    inventory = Inventory(load(find_config(args.config)))
    try:
        readers = [digest_of(path) for path in args.reader]
    except ConfineError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_USAGE
    stop, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    lost = 0

    def tell(event: object) -> None:
        nonlocal lost
        try:
            os.write(1, json.dumps(event).encode() + b"\n")
        except OSError:
            lost += 1  # who ended here because nobody reads would let every open pass

    try:
        with Observer(inventory, readers, enforce=args.enforce, told=tell) as observer:
            tell({"source": "fanotify", "marked": observer.mark(), "readers": readers, "enforce": args.enforce})
            observer.serve(stop)
    except ConfineError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_FAULT
    return EXIT_FAULT if lost else 0
