"""The command line: one module a verb, and one exit code a meaning."""

from __future__ import annotations

import argparse
import importlib
import io
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

VERBS: Final = (
    "check", "explain", "run", "hook", "proxy", "demo", "serve", "audit", "report", "escalations", "grants", "mandates",
    "central", "obligations", "token", "assets", "policy", "observe", "doctor", "admission",
)  # fmt: skip
"""Each is a module here with `add(subparsers)`; the module's `run` returns the exit code."""

CONFIG_HELP: Final = "guardrail.toml; default $GUARDRAIL_CONFIG, then ./guardrail.toml"
"""Help text of `--config` wherever it is taken."""

_EPILOG: Final = "exit codes: 0 allow or done, 1 fault, 2 usage or configuration, 3 deny, 4 escalate"


def positive(text: str) -> int:
    """The number that an option is given, as a `type` of argparse.

    Args:
        text: what was typed.

    Returns:
        The number, 1 or more.

    Raises:
        ArgumentTypeError: if it is no such number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of 1 or more")
    return int(text)


def parser(only: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """The command line, for `--help` and for the tests that read it.

    Args:
        only: the verbs in it; all of them cost more to load than one call takes to judge.
    """
    top = argparse.ArgumentParser(
        prog="guardrail",
        description="Judge what an agent's tool call would do to your model assets, before it runs.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb in only:
        importlib.import_module(f"guardrail.cli.{verb}").add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; the process's own by default.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no umlauts gets escapes, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - it stands in for the rest of the process
    given = sys.argv[1:] if argv is None else argv
    args, left = parser(given[:1] if given and given[0] in VERBS else VERBS).parse_known_args(argv)
    if left:
        hint = {"check": ": put the command in quotes", "explain": ": put the command in quotes"}.get(args.verb, "")
        hint = ": put `--` before the command" if args.verb == "run" else hint
        print(
            f"guardrail: `{left[0]}` is not understood{hint}; see `guardrail {args.verb or '--help'}`", file=sys.stderr
        )
        return EXIT_USAGE
    if args.version:
        from guardrail import __version__

        print(f"guardrail {__version__}")
        return EXIT_ALLOW
    if args.verb is None:
        parser().print_help()
        return EXIT_USAGE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_USAGE
    except GuardrailError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_FAULT
    except BrokenPipeError:
        _drop_output()  # the reader went away
        return EXIT_FAULT
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(
            f"guardrail: {error.strerror or error}{f': `{error.filename}`' if error.filename else ''}", file=sys.stderr
        )
        _drop_output()
        return EXIT_FAULT
    return code


def _drop_output() -> None:
    """What is left in the buffer must not raise again when the interpreter ends: its exit code would be another."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def add_call_options(sub: argparse.ArgumentParser) -> None:
    """What `check` and `explain` may be told about a shell command: where, who and in which session."""
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--cwd", metavar="DIR", help="working directory of the call; default: here")
    sub.add_argument("--subject", metavar="ID", default="unknown", help="the agent, as mandates name it")
    sub.add_argument("--model", metavar="NAME", help="the agent's model")
    sub.add_argument("--session", metavar="NAME", default="default", help="name of the conversation or run")


def working_directory(given: str | None) -> str:
    """The directory that a call starts in.

    Raises:
        ConfigError: if the one given is none, or the process's own is gone.
    """
    if given is not None and not os.path.isdir(given):
        raise ConfigError(f"`--cwd {given}` is no directory")
    try:
        return os.path.abspath(given) if given else os.getcwd()
    except OSError:
        raise ConfigError("the working directory is gone: name one with --cwd") from None


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
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"the configuration `{path}` is not a file: name a guardrail.toml")
    if not os.path.isfile(path):
        raise ConfigError(
            f"no configuration at `{path}`: name one with --config, or write one; the smallest is one [[asset]] "
            "with id, class and paths"
        )
    return path
