"""The command line: one module a verb, and one exit code a meaning."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from guardrail.errors import ConfigError, GuardrailError

EXIT_ALLOW: Final = 0
EXIT_FAULT: Final = 1
EXIT_USAGE: Final = 2
EXIT_DENY: Final = 3
EXIT_ESCALATE: Final = 4

VERBS: Final = ("check", "explain", "demo", "serve", "audit", "mandates", "policy", "doctor")
"""Each is a module here with `add(subparsers)`; the module's `run` returns the exit code."""

CONFIG_HELP: Final = "guardrail.toml; default $GUARDRAIL_CONFIG, then ./guardrail.toml"
"""Help text of `--config` wherever it is taken."""

_EPILOG: Final = "exit codes: 0 allow or done, 1 fault, 2 usage or configuration, 3 deny, 4 escalate"


def parser() -> argparse.ArgumentParser:
    """The whole command line, for `--help` and for the tests that read it."""
    top = argparse.ArgumentParser(
        prog="guardrail",
        description="Judge what an agent's tool call would do to your model assets, before it runs.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb in VERBS:
        importlib.import_module(f"guardrail.cli.{verb}").add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; the process's own by default.

    Returns:
        The exit code.
    """
    args = parser().parse_args(argv)
    if args.version:
        from guardrail import __version__

        print(f"guardrail {__version__}")
        return EXIT_ALLOW
    if args.verb is None:
        parser().print_help()
        return EXIT_USAGE
    try:
        code: int = args.run(args)
    except ConfigError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_USAGE
    except GuardrailError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_FAULT
    except BrokenPipeError:
        # The reader went away; what is left in the buffer must not raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT
    except KeyboardInterrupt:
        return 130
    return code


def find_config(given: str | None) -> str:
    """The configuration to use.

    Args:
        given: what `--config` said, if anything.

    Returns:
        That, else `$GUARDRAIL_CONFIG`, else `guardrail.toml` here.

    Raises:
        ConfigError: if there is none.
    """
    path = given or os.environ.get("GUARDRAIL_CONFIG") or "guardrail.toml"
    if not os.path.isfile(path):
        raise ConfigError(
            f"no configuration at `{path}`: name one with --config, or write one; the smallest is one [[asset]] "
            "with id, class and paths"
        )
    return path
