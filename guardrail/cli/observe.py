"""`guardrail observe`: watch, on a whole node, who opens the files of assets."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_FAULT, EXIT_USAGE

if TYPE_CHECKING:
    from guardrail.config import Config

_DESCRIPTION: Final = """Watch who opens the files of assets, on a whole node and by whatever name (fanotify).

Each open by a program that is not among the readers is one line of JSON; with --enforce it is refused.
It needs CAP_SYS_ADMIN, and for other containers the host's process numbers. The kernel lets every open pass once this
ends, so something has to start it again, and to say that it was gone.

With --policy it watches nothing, and prints a policy for a node agent that is there already: a TracingPolicy for
Tetragon, or a KubeArmorPolicy. Both know files by path alone; readers are those given and the serving programs of the
configuration.
"""

_DIGEST: Final = re.compile("sha256:([0-9a-f]{64})")

_EXITS: Final = (
    "exit codes: 0 ended by a signal, or printed, 1 a fault, or this host does not let it, 2 usage or configuration"
)


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "observe", help="watch who opens the files of assets, on a whole node", description=_DESCRIPTION, epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verb.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    verb.add_argument(
        "--reader", action="append", default=[], metavar="FILE",
        help="a program that may open them, known by its content as it is now, or that as `sha256:HEX`; an interpreter"
        " stands for every script",
    )  # fmt: skip
    verb.add_argument("--enforce", action="store_true", help="refuse all others; without it they are only told of")
    verb.add_argument("--policy", choices=("tetragon", "kubearmor"), help="print a policy for a node agent, as YAML")
    verb.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label of the pods that it is for (KubeArmor)",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Watch until a signal comes, or print a policy."""
    from guardrail.cli import find_config
    from guardrail.config import load

    config = load(find_config(args.config))
    return _watch(args, config) if args.policy is None else _print_policy(args, config)


def _print_policy(args: argparse.Namespace, config: Config) -> int:
    import yaml

    from guardrail.assets import Inventory
    from guardrail.confine import node_policy
    from guardrail.confine.kernel import ConfineError

    labels = dict(text.partition("=")[::2] for text in args.label)
    if (args.policy == "kubearmor") != bool(labels) or not all(labels.values()):
        print(
            "guardrail: `--policy kubearmor` needs `--label NAME=VALUE` of its pods, and nothing else does",
            file=sys.stderr,
        )
        return EXIT_USAGE
    if any(map(_digest_given, args.reader)):
        print("guardrail: a node agent knows readers by their path: give `--reader FILE`", file=sys.stderr)
        return EXIT_USAGE
    readers = [os.path.realpath(path) for path in (*args.reader, *(one.program for one in config.execute.serving))]
    try:
        found = node_policy.places(Inventory(config))
        if args.policy == "tetragon":
            made = node_policy.tetragon(found, readers, enforce=args.enforce)
        else:
            made = node_policy.kubearmor(found, readers, labels, enforce=args.enforce)
    except ConfineError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_FAULT
    sys.stdout.write(yaml.safe_dump(made, sort_keys=False, width=1000))
    return 0


def _digest_given(text: str) -> str:
    """The digest that a reader is given by, such as one in another image; empty for a path."""
    found = _DIGEST.fullmatch(text)
    return found[1] if found else ""


def _watch(args: argparse.Namespace, config: Config) -> int:
    from guardrail.assets import Inventory
    from guardrail.confine.kernel import ConfineError
    from guardrail.confine.kernel._profiles import digest_of
    from guardrail.confine.observer import Observer

    inventory = Inventory(config)
    try:
        readers = [_digest_given(text) or digest_of(text) for text in args.reader]
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
