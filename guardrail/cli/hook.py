"""`guardrail hook`: answer a harness's event, and put the hook into the harness's settings or take it out again."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, find_config

if TYPE_CHECKING:
    from guardrail.config import Config

HARNESSES: Final = ("claude-code", "codex", "gemini-cli", "opencode")
"""What the verb knows; `guardrail.hooks` has the contracts."""

EXIT_BLOCK: Final = 2
"""Exit code with which a harness stops the call."""

_DESCRIPTION: Final = """Judge the tool calls of a coding agent's harness.

`guardrail hook HARNESS` reads one event on standard input. It exits with 0 and says nothing if the call may run, and
with 2 and a reason on standard error if not; whatever goes wrong is the latter.
It asks a guard that stays, and starts one if none answers.
`guardrail hook install HARNESS` puts that into the harness's settings.
"""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "hook",
        help="answer a coding agent's harness, or install the hook into it",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = sub.add_subparsers(dest="harness", metavar="HARNESS", required=True)
    for harness in HARNESSES:
        _add_harness(inner.add_parser(harness, help=f"answer one event of {harness}"), harness)
    _add_install(inner.add_parser("install", help="put the hook into a harness's settings, or take it out"))


def _add_harness(sub: argparse.ArgumentParser, harness: str) -> None:
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--socket", metavar="PATH", help="where the guard listens; default: as the configuration says")
    sub.add_argument("--subject", metavar="ID", default="", help="the agent, as mandates name it; default: HARNESS")
    sub.add_argument("--model", metavar="NAME", default="", help="its model, where the harness does not say it")
    sub.add_argument("--deadline", metavar="SECONDS", help="longest time for one answer; default: as configured")
    sub.add_argument("--peer", metavar="UID", help="user that the guard runs as, if it is another than this one")
    sub.add_argument("--no-start", action="store_true", help="start no guard: if none answers, the call is stopped")
    sub.add_argument("--start", action="store_true", help=argparse.SUPPRESS)
    sub.add_argument("--left", type=float, help=argparse.SUPPRESS)
    sub.set_defaults(run=run, harness=harness)


def _add_install(sub: argparse.ArgumentParser) -> None:
    sub.description = (
        "Put the hook into a harness's settings: shows the difference, asks, and writes. What is there is kept, doing "
        "it twice changes nothing, and --undo takes out what was put in."
    )
    sub.add_argument("name", choices=HARNESSES, help="the harness")
    where = sub.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for all projects of this user (default)")
    where.add_argument("--project", metavar="DIR", nargs="?", const=".", help="for one project; default: here")
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--subject", metavar="ID", default="", help="the agent, as mandates name it; default: NAME")
    sub.add_argument("--model", metavar="NAME", default="", help="its model, where the harness does not say it")
    sub.add_argument("--undo", action="store_true", help="take the hook out")
    sub.add_argument("--yes", action="store_true", help="write without asking")
    sub.add_argument("--dry-run", action="store_true", help="show the difference and write nothing")
    sub.set_defaults(run=install)


def run(args: argparse.Namespace) -> int:
    """Answer one event; see the module."""
    from guardrail.hooks import client

    try:
        return _answered(args)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the call must not run for want of an answer
        why = str(error) or type(error).__name__
        return client.say(EXIT_BLOCK, f"{client.REFUSED}{why}\n".encode("utf-8", "replace"))


def _answered(args: argparse.Namespace) -> int:
    from guardrail import config as _config
    from guardrail.hooks import client
    from guardrail.hooks._resident import answer, socket_of

    config = _config.load(find_config(args.config))
    socket = args.socket or socket_of(config)
    if not args.start:
        return client.main(_words(args, config, socket))
    deadline = time.monotonic() + (args.left or config.hooks.deadline_seconds)
    options = client.read_options(_words(args, config, socket))
    return client.say(*answer(config, options, client.read_all(0, deadline), deadline))


def _words(args: argparse.Namespace, config: Config, socket: str) -> list[str]:
    """The client's own command line."""
    words = [args.harness, "--config", config.source, "--socket", socket]
    words += ["--deadline", args.deadline or str(config.hooks.deadline_seconds)]
    for name in ("subject", "model", "peer"):
        if value := getattr(args, name):
            words += [f"--{name}", value]
    if args.no_start or config.service.socket:
        # What an operator runs is not replaced by one of this user's.
        words.append("--no-start")
    return words


def install(args: argparse.Namespace) -> int:
    """Change a harness's settings; see the module."""
    from guardrail import config as _config
    from guardrail.hooks._install import Wish, change

    config = _config.load(find_config(args.config))
    wish = Wish(harness=args.name, project=args.project, subject=args.subject, model=args.model, undo=args.undo)
    planned = change(config, wish)
    print(planned.difference or f"{planned.path}: nothing to change")
    for line in planned.notes:
        print(line)
    if not planned.difference or args.dry_run:
        return EXIT_ALLOW
    if not args.yes and not _agreed():
        print("guardrail: nothing was written", file=sys.stderr)
        return EXIT_ALLOW
    planned.write()
    print(f"{'removed' if planned.after is None else 'written'}: {planned.path}")
    return EXIT_ALLOW


def _agreed() -> bool:
    print("Write this? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
