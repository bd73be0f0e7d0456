"""`guardrail check`: judge tool calls, run nothing."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from guardrail.cli import (
    EXIT_ALLOW,
    EXIT_DENY,
    EXIT_ESCALATE,
    EXIT_FAULT,
    EXIT_USAGE,
    add_call_options,
    find_config,
    working_directory,
)

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.model import Decision, Effect, Resource, ToolCall

_DESCRIPTION: Final = """Judge tool calls and run nothing.

With --jsonl, each line of standard input is a ToolCall and each line of standard output its Decision, in order:
  in   {"id": "1", "tool": "bash", "args": {"command": "ls"}, "cwd": "/", "subject": {"id": "a"}, "session": "s"}
  out  {"id": "1", "decision_id": "...", "outcome": "allow", "reasons": [], "effects": [], "elapsed_us": 90}
A line that is not a ToolCall is denied with the rule `guardrail.fault`, and the run goes on.
"""


class _Named(msgspec.Struct):
    """The one field that is read of a line that is no ToolCall; the others may be anything."""

    id: str = ""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "check",
        help="judge tool calls, run nothing",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("command", nargs="?", help="a shell command to judge; without it calls come from standard input")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--jsonl", action="store_true", help="one ToolCall a line in, one Decision a line out")
    how.add_argument("--once", action="store_true", help="one ToolCall on standard input; the exit code is the outcome")
    how.add_argument(
        "--case", metavar="FILE", help="a case of `guardrail run --case`: is by now known what was missed? else 1"
    )
    add_call_options(sub)
    sub.add_argument("--json", action="store_true", help="print the Decision as JSON")
    sub.add_argument("--record", action="store_true", help="write each decision into the trail; check alone does not")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge what is given; see the module."""
    from guardrail.guard import Guard
    from guardrail.model import Subject, ToolCall

    cwd = working_directory(args.cwd)
    if args.command is not None and (args.jsonl or args.once or args.case):
        print("guardrail: give either a command or --jsonl, --once or --case, not both", file=sys.stderr)
        return EXIT_USAGE
    if args.command is None and not (args.jsonl or args.once or args.case):
        print("guardrail: nothing to judge: give a command, or --jsonl or --once and standard input", file=sys.stderr)
        return EXIT_USAGE
    with Guard.open(find_config(args.config), record=args.record) as guard:
        if args.case:
            return _case(guard, args.case)
        if args.jsonl:
            return _lines(guard, sys.stdin.buffer, sys.stdout.buffer, cwd)
        if args.once:
            decision = _judge(guard, sys.stdin.buffer.read(_line_limit()), cwd)
            print(decision.to_json().decode())
            return exit_code(decision)
        decision = guard.check(
            ToolCall(
                tool="bash",
                args={"command": args.command},
                cwd=cwd,
                subject=Subject(id=args.subject, model=args.model),
                session=args.session,
            )
        )
    print(decision.to_json().decode() if args.json else _readable(decision))
    return exit_code(decision)


def exit_code(decision: Decision) -> int:
    """0 allow, 3 deny, 4 escalate, 1 for a denial that comes from a fault."""
    from guardrail.model import FAULT_RULE, Outcome

    if any(reason.rule == FAULT_RULE for reason in decision.reasons):
        return EXIT_FAULT
    return {Outcome.ALLOW: EXIT_ALLOW, Outcome.DENY: EXIT_DENY, Outcome.ESCALATE: EXIT_ESCALATE}[decision.outcome]


def _lines(guard: Guard, source: BinaryIO, sink: BinaryIO, cwd: str) -> int:
    while line := source.readline(_line_limit()):
        if not line.endswith(b"\n") and len(line) >= _line_limit():
            # INVARIANT: one line in, one line out: the rest of an oversize line is not taken for another call.
            while (rest := source.readline(_line_limit())) and not rest.endswith(b"\n"):
                pass
        sink.write(_judge(guard, line, cwd).to_json() + b"\n")
        sink.flush()
    return EXIT_ALLOW


def _case(guard: Guard, path: str) -> int:
    """Whether the analysis knows by now what the kernel had to see."""
    from guardrail.cli._case import read_case, still_missed
    from guardrail.printing import visible

    call, missed = read_case(path)
    unknown = still_missed(guard.check(call).effects, missed)
    for one in missed:
        print(visible(f"{'missed' if one in unknown else 'known '}  {one.op} {one.asset}  {one.resource}"))
    return EXIT_FAULT if unknown else EXIT_ALLOW


def _line_limit() -> int:
    from guardrail.model import MAX_CALL_BYTES

    return MAX_CALL_BYTES + 2


def _judge(guard: Guard, line: bytes, cwd: str) -> Decision:
    from guardrail.errors import InvalidCall
    from guardrail.model import ToolCall

    started = time.perf_counter_ns()
    try:
        call: ToolCall = ToolCall.from_json(line.strip())
    except InvalidCall as error:
        return _invalid(line, error, started)
    return guard.check(call if call.cwd is not None else msgspec.structs.replace(call, cwd=cwd))


def _invalid(line: bytes, error: Exception, started: int) -> Decision:
    from guardrail.model import FAULT_RULE, Decision, Outcome, Reason, new_id

    return Decision(
        decision_id=new_id(),
        outcome=Outcome.DENY,
        reasons=(Reason(rule=FAULT_RULE, outcome=Outcome.DENY, message=str(error)),),
        id=_id_of(line),
        elapsed_us=(time.perf_counter_ns() - started) // 1000,
    )


def _id_of(line: bytes) -> str:
    """The id of a line that is no ToolCall, if it has one, so that the caller can still match answer and question."""
    try:
        return msgspec.json.decode(line, type=_Named).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _readable(decision: Decision) -> str:
    from guardrail.printing import visible

    lines = [decision.outcome.value.upper()]
    for reason in decision.reasons:
        # A rule that is being rolled out does not look like one that agrees.
        asked = f" [observed: {reason.asked.value}]" if reason.asked is not None else ""
        lines.append(f"  {reason.outcome.value:<9} {reason.rule}: {visible(reason.message)}{asked}")
    lines += [f"  effect    {effect_line(effect)}" for effect in decision.effects]
    return "\n".join(lines)


def effect_line(effect: Effect) -> str:
    """One effect for people: what is done, to what it really is, on which asset, and what is not known about it."""
    from guardrail.printing import visible

    def place(resource: Resource) -> str:
        return visible(resource.real or resource.address)

    arrow = f" -> {place(effect.target)}" if effect.target else ""
    asset = f"  [{effect.asset}]" if effect.asset else ""
    key = f" {visible(str(effect.attrs['key']))}" if effect.op == "set_key" else ""
    why = f"  ({visible(str(effect.attrs['reason']))})" if effect.attrs.get("reason") else ""
    return f"{effect.op}{key} {place(effect.resource)}{arrow}{asset}{why}"
