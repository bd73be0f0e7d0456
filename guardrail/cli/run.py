"""`guardrail run -- CMD …`: judge a command and, if it is allowed, start it and watch it to its end."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_DENY, EXIT_ESCALATE, EXIT_FAULT, EXIT_USAGE, find_config, working_directory
from guardrail.cli._signals import heard
from guardrail.cli._trial import CHOICES
from guardrail.cli._words import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from guardrail.config import Config, ExecuteConfig
    from guardrail.confine import Ended, Stop, Stream
    from guardrail.execution import Execution
    from guardrail.guard import Guard
    from guardrail.model import ToolCall

_DESCRIPTION: Final = """Judge a command and, if it is allowed, start it: no guard, no action.

The command is started without a shell, in a session of its own, with the variables that [execute] of the configuration
names and those given by --env, for at most `execute.seconds`, and with at most `execute.output_bytes` of each output.
Whatever it leaves running is ended. Its intent is in the trail before it starts, its end after it.
Standard input is passed on, unless it is a terminal.

With --trial it works on a copy, and what it changed there is a call of its own: judged, recorded, and then made.

One process writes a trail in files. Where a service works with the same one, `--service` has it judge, start and record
the command, as its own user and with no input; it needs `execute.over_http`, and without it nothing runs. It holds the
command as its own `execute.confine` says, or more with `--confine`.
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
        help="how much the kernel holds it to what it was judged to do; default, and with --service the least: "
        "`execute.confine`",
    )
    sub.add_argument(
        "--trial", nargs="?", const="ask", choices=CHOICES,
        help="run it on a copy of what it may change and without a network, show what it would change, and `commit`"
        " that, if policy allows it and the command succeeded, `drop` it, or `ask` at the terminal, the default",
    )  # fmt: skip
    sub.add_argument(
        "--service", nargs="?", const="", metavar="ADDRESS",
        help="have this service do it: `unix:///PATH`, `http://HOST:PORT` or the path of a socket; default: the one of"
        " the configuration; its token is in $GUARDRAIL_TOKEN",
    )  # fmt: skip
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
    from guardrail.errors import InvalidCall

    if not args.words:
        print("guardrail: nothing to run: give a command after `--`", file=sys.stderr)
        return EXIT_USAGE
    if args.service is not None and args.trial is not None:
        print("guardrail: `--trial` is for what is started here, not by a service", file=sys.stderr)
        return EXIT_USAGE
    if args.trial is not None and args.confine in {"off", "bwrap"}:
        print(f"guardrail: a trial is held by `floor`, `default` or `strict`, not `{args.confine}`", file=sys.stderr)
        return EXIT_USAGE
    try:
        return _here(args) if args.service is None else _there(args)
    except InvalidCall as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_USAGE
    except JobError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return error.code


def _here(args: argparse.Namespace) -> int:
    """Judge and start it in this process."""
    from guardrail.errors import Blocked
    from guardrail.execution import execute
    from guardrail.guard import Guard

    stdin = None if sys.stdin.closed or sys.stdin.isatty() else sys.stdin.fileno()
    with Guard.open(_config(args)) as guard, _stopped_by_signals() as stop:
        try:
            call = _call(args)
            if args.trial is not None:
                return _tried(args, guard, call, stop, stdin)
            done = execute(guard, call, _write, stop=stop, stdin=stdin)
        except Blocked as blocked:
            return _blocked(blocked.decision.to_dict(), as_json=args.json)
    return _told(args, guard, call, done)


def _told(args: argparse.Namespace, guard: Guard, call: ToolCall, done: Execution, **more: Any) -> int:
    code = _tell(done.decision.to_dict(), done.ended, guard.config.execute, as_json=args.json, more=more)
    if args.case:
        _keep_case(args.case, call, done.ended)
    return code


def _tried(args: argparse.Namespace, guard: Guard, call: ToolCall, stop: Stop, stdin: int | None) -> int:
    """Start it on a copy, and have committed of it what is wanted and allowed."""
    from guardrail.cli import _trial
    from guardrail.errors import Blocked
    from guardrail.trial import on_trial

    with on_trial(guard, call, _write, stop=stop, stdin=stdin) as trial:
        tried = trial.tried
        if not args.json:
            _trial.show(tried)
        fate = _trial.fate(args.trial, tried, trial.execution.ended.exit_code)
        facts = {"changes": _trial.told(tried.changes), "problem": tried.problem, "fate": fate}
        if fate == "drop":
            if not args.json:
                print("guardrail: dropped: nothing was changed", file=sys.stderr)
            return _told(args, guard, call, trial.execution, trial=facts)
        try:
            decision = trial.commit()
        except Blocked as blocked:
            why = blocked.decision.to_dict()
            _told(args, guard, call, trial.execution, trial=facts | {"fate": "blocked", "decision": why})
            return _exit_of(why) if args.json else _blocked(why, as_json=False)
        if not args.json:
            print("guardrail: committed", file=sys.stderr)
        return _told(args, guard, call, trial.execution, trial=facts | {"decision": decision.to_dict()})


def _there(args: argparse.Namespace) -> int:
    """Have a running service do both."""
    from guardrail.cli._run_there import Interrupted, address, run_there

    where = address(args.service, lambda: _config(args))
    call = _call(args)
    try:
        decision, ended = run_there(where, call, args.confine, _write)
    except Interrupted as signalled:
        print("guardrail: the service ends the command, and its end is on record there", file=sys.stderr)
        return 128 + signalled.number
    if ended is None:
        return _blocked(decision, as_json=args.json)
    code = _tell(decision, ended, None, as_json=args.json)
    if args.case:
        _keep_case(args.case, call, ended)
    return code


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
    try:
        with heard(lambda _: stop.set()):
            yield stop
    finally:
        stop.close()


def _write(stream: Stream, chunk: bytes) -> None:
    fd = 1 if stream == "stdout" else 2
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _blocked(decision: Mapping[str, Any], *, as_json: bool) -> int:
    from guardrail.model import NEUTRAL, Outcome
    from guardrail.printing import visible

    outcome, rules = Outcome(decision["outcome"]), [str(reason["rule"]) for reason in decision["reasons"]]
    if as_json:
        _print_json(decision)
    else:
        held = decision.get("escalation")
        waits = f" (escalation {held}: run it again once it is approved)" if held else ""
        told = f"{NEUTRAL[outcome][:-1].lower()}: {', '.join(dict.fromkeys(rules))}{waits}"
        print(visible(f"guardrail: {told}"), file=sys.stderr)
    return _exit_of(decision)


def _exit_of(blocked: Mapping[str, Any]) -> int:
    from guardrail.model import FAULT_RULE, Outcome

    if Outcome(blocked["outcome"]) is Outcome.ESCALATE:
        return EXIT_ESCALATE
    return EXIT_FAULT if any(reason["rule"] == FAULT_RULE for reason in blocked["reasons"]) else EXIT_DENY


def _keep_case(path: str, call: ToolCall, ended: Ended) -> None:
    """The tool has run and its end is on record: what cannot be kept besides changes no exit code."""
    from guardrail.cli._case import missed_of, write_case
    from guardrail.printing import printable

    missed = missed_of(ended.observed)
    try:
        if missed:
            write_case(path, call, missed)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        print(f"guardrail: the case cannot be written to `{printable(path)}`: {why}", file=sys.stderr)
        return
    if missed:
        print(f"guardrail: {counted(len(missed), 'effect')} that it was not judged to have: `{path}`", file=sys.stderr)


def _tell(
    decision: Mapping[str, Any],
    ended: Ended,
    bounds: ExecuteConfig | None,
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> int:
    """What the exit code and the output do not say; the exit code.

    Args:
        decision: what released it.
        ended: what came of it.
        bounds: those it ran in, if they are known here.
        as_json: print one object instead.
        more: what that has besides.
    """
    from msgspec import to_builtins

    code = EXIT_TIMEOUT if ended.why == "timeout" else ended.exit_code
    if as_json:
        _print_json({"decision": decision, "ended": to_builtins(ended), **(more or {})})
        return code
    most = f"{bounds.output_bytes} bytes" if bounds else "`execute.output_bytes`"
    lines = [f"{stream} was cut after {most}" for stream in ended.cut]
    if ended.why == "timeout":
        seconds = f"{bounds.seconds:g} seconds (`execute.seconds`)" if bounds else "`execute.seconds`"
        lines.append(f"it was ended because {seconds} were over")
    if ended.why == "processes":
        allowed = f"{bounds.processes} (`execute.processes`)" if bounds else "`execute.processes`"
        lines.append(f"it was ended because it had more processes and threads than {allowed}")
    if ended.strays:
        lines.append(f"{counted(ended.strays, 'process', 'processes')} that it left behind ended with it")
    if ended.survivors:
        lines.append(f"{counted(ended.survivors, 'process', 'processes')} that it left behind could not be ended")
    if "kernel_denied" in ended.seen:
        what = f" on {ended.seen['kernel_assets']}" if "kernel_assets" in ended.seen else ""
        lines.append(f"the kernel held what it was not judged to do: {ended.seen['kernel_denied']}{what}")
    for line in lines:
        print(f"guardrail: {line}", file=sys.stderr)
    return code


def _print_json(document: Mapping[str, Any]) -> None:
    import orjson

    print(orjson.dumps(document).decode(), file=sys.stderr)
