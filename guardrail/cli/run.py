"""`guardrail run -- CMD …`: judge a command and, if it is allowed, start it and watch it to its end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_DENY, EXIT_ESCALATE, EXIT_FAULT, EXIT_USAGE, find_config, working_directory
from guardrail.cli._words import counted

if TYPE_CHECKING:
    from collections.abc import Generator

    from guardrail.config import Config, ExecuteConfig
    from guardrail.confine import Stop, Stream
    from guardrail.execution import Execution
    from guardrail.model import Decision, ToolCall

_DESCRIPTION: Final = """Judge a command and, if it is allowed, start it: no guard, no action.

The command is started without a shell, in a session of its own, with the variables that [execute] of the configuration
names and those given by --env, for at most `execute.seconds`, and with at most `execute.output_bytes` of each output.
Whatever it leaves running is ended. Its intent is in the trail before it starts, its end after it.
Standard input is passed on, unless it is a terminal.
"""

_EPILOG: Final = """exit codes: the command's own; 128 and a signal's number if one ended it; 124 if its time was over;
126 or 127 if it could not be started; 3 if it was denied, 4 if it waits for a person, 1 for a fault, and then standard
error has one line that begins with `guardrail: `"""

EXIT_TIMEOUT: Final = 124
"""Exit code of a command whose time was over, as timeout(1) has it."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "run",
        help="judge a command, start it, and watch it to its end",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("words", nargs="*", metavar="CMD", help="the program and its arguments, after `--`")
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--cwd", metavar="DIR", help="directory to start it in; default: here")
    sub.add_argument("--subject", metavar="ID", default="unknown", help="the agent, as mandates name it")
    sub.add_argument("--model", metavar="NAME", help="the agent's model")
    sub.add_argument("--session", metavar="NAME", default="default", help="name of the conversation or run")
    sub.add_argument("--id", metavar="ID", default="", help="your own id for this call, for the trail")
    sub.add_argument(
        "--env", metavar="NAME=VALUE", action="append", default=[], help="a variable for it; judged with the command"
    )
    sub.add_argument(
        "--confine",
        choices=("off", "floor", "default", "strict", "bwrap"),
        help="how much the kernel holds it to what it was judged to do; default: `execute.confine`",
    )
    sub.add_argument(
        "--case",
        metavar="FILE",
        help="write what the kernel held and the call was not judged to do, for `check --case`",
    )
    sub.add_argument("--json", action="store_true", help="print decision and end as one JSON object on standard error")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, start, and pass on the exit code; see the module."""
    from guardrail.confine import JobError
    from guardrail.errors import Blocked, InvalidCall
    from guardrail.execution import execute
    from guardrail.guard import Guard

    if not args.words:
        print("guardrail: nothing to run: give a command after `--`", file=sys.stderr)
        return EXIT_USAGE
    stdin = None if sys.stdin.closed or sys.stdin.isatty() else sys.stdin.fileno()
    with Guard.open(_config(args)) as guard, _stopped_by_signals() as stop:
        try:
            call = _call(args)
            done = execute(guard, call, _write, stop=stop, stdin=stdin)
        except InvalidCall as error:
            print(f"guardrail: {error}", file=sys.stderr)
            return EXIT_USAGE
        except Blocked as blocked:
            return _blocked(blocked.decision, as_json=args.json)
        except JobError as error:
            print(f"guardrail: {error}", file=sys.stderr)
            return error.code
    _tell(done, guard.config.execute, as_json=args.json)
    if args.case:
        _keep_case(args.case, call, done)
    return EXIT_TIMEOUT if done.ended.why == "timeout" else done.ended.exit_code


def _config(args: argparse.Namespace) -> Config:
    """The configuration, with what the command line says instead."""
    from msgspec.structs import replace

    from guardrail import config as _config

    config = _config.load(find_config(args.config))
    return config if args.confine is None else replace(config, execute=replace(config.execute, confine=args.confine))


def _call(args: argparse.Namespace) -> ToolCall:
    from guardrail.confine import EXECUTABLE_TOOL
    from guardrail.errors import InvalidCall
    from guardrail.model import ToolCall

    given: dict[str, str] = {}
    for text in args.env:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidCall(f"`--env {text}` is no variable: write `--env NAME=VALUE`")
        given[name] = value
    subject = {"id": args.subject, **({"model": args.model} if args.model else {})}
    return ToolCall.from_mapping(
        {
            "tool": EXECUTABLE_TOOL,
            "args": {"command": args.words, **({"env": given} if given else {})},
            "id": args.id,
            "cwd": working_directory(args.cwd),
            "subject": subject,
            "session": args.session,
        }
    )


@contextmanager
def _stopped_by_signals() -> Generator[Stop]:
    """What is sent to end this process ends the tool, and this process after it."""
    from guardrail.confine import Stop

    stop = Stop()

    def noticed(_number: int, _frame: object) -> None:
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, noticed) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        stop.close()


def _write(stream: Stream, chunk: bytes) -> None:
    fd = 1 if stream == "stdout" else 2
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _blocked(decision: Decision, *, as_json: bool) -> int:
    from guardrail.model import FAULT_RULE, Outcome
    from guardrail.printing import visible

    if as_json:
        print(decision.to_json().decode(), file=sys.stderr)
    else:
        waits = f" (escalation {decision.escalation}: run it again once it is approved)" if decision.escalation else ""
        rules = ", ".join(dict.fromkeys(reason.rule for reason in decision.reasons))
        print(visible(f"guardrail: {decision.neutral[:-1].lower()}: {rules}{waits}"), file=sys.stderr)
    if decision.outcome is Outcome.ESCALATE:
        return EXIT_ESCALATE
    return EXIT_FAULT if any(reason.rule == FAULT_RULE for reason in decision.reasons) else EXIT_DENY


def _keep_case(path: str, call: ToolCall, done: Execution) -> None:
    """The tool has run and its end is on record: what cannot be kept besides changes no exit code."""
    from guardrail.cli._case import write_case
    from guardrail.printing import printable

    try:
        missed = write_case(path, call, done.ended.observed)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        print(f"guardrail: the case cannot be written to `{printable(path)}`: {why}", file=sys.stderr)
        return
    if missed:
        print(f"guardrail: {counted(missed, 'effect')} that it was not judged to have: `{path}`", file=sys.stderr)


def _tell(done: Execution, bounds: ExecuteConfig, *, as_json: bool) -> None:
    """What the exit code and the output do not say."""
    import orjson
    from msgspec import to_builtins

    ended = done.ended
    if as_json:
        document = {"decision": done.decision.to_dict(), "ended": to_builtins(ended)}
        print(orjson.dumps(document).decode(), file=sys.stderr)
        return
    lines = [f"{stream} was cut after {bounds.output_bytes} bytes" for stream in ended.cut]
    if ended.why == "timeout":
        lines.append(f"it was ended because {bounds.seconds:g} seconds (`execute.seconds`) were over")
    if ended.strays:
        lines.append(f"{counted(ended.strays, 'process', 'processes')} that it left behind ended with it")
    if ended.survivors:
        lines.append(f"{counted(ended.survivors, 'process', 'processes')} that it left behind could not be ended")
    if "kernel_denied" in ended.seen:
        what = f" on {ended.seen['kernel_assets']}" if "kernel_assets" in ended.seen else ""
        lines.append(f"the kernel held what it was not judged to do: {ended.seen['kernel_denied']}{what}")
    for line in lines:
        print(f"guardrail: {line}", file=sys.stderr)
