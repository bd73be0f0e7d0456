"""`guardrail explain`: what each stage made of one call, for people and as JSON."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from guardrail.cli import EXIT_USAGE, add_call_options, find_config, working_directory
from guardrail.cli.check import effect_line, exit_code

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.model import Decision, ToolCall


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser("explain", help="show what each stage made of one call; run nothing")
    sub.add_argument("command", nargs="?", help="a shell command; without it one ToolCall is read from standard input")
    add_call_options(sub)
    sub.add_argument("--json", action="store_true", help="print the stages as JSON")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge one call and show how; the exit code is the outcome."""
    import msgspec

    from guardrail.guard import Guard
    from guardrail.model import MAX_CALL_BYTES, Subject, ToolCall

    cwd = working_directory(args.cwd)
    if args.command is not None:
        subject = Subject(id=args.subject, model=args.model)
        command = {"command": args.command}
        call = ToolCall(tool="bash", args=command, cwd=cwd, subject=subject, session=args.session)
    elif sys.stdin.isatty():
        print("guardrail: nothing to explain: give a command, or a ToolCall on standard input", file=sys.stderr)
        return EXIT_USAGE
    else:
        call = ToolCall.from_json(sys.stdin.buffer.read(MAX_CALL_BYTES + 1))
        call = call if call.cwd is not None else msgspec.structs.replace(call, cwd=cwd)
    with Guard.open(find_config(args.config), record=False) as guard:
        decision = guard.check(call)
        if args.json:
            _print_json(guard, call, decision)
        else:
            _print_text(guard, call, decision)
    return exit_code(decision)


def _print_json(guard: Guard, call: ToolCall, decision: Decision) -> None:
    import msgspec
    import orjson

    from guardrail.parse import parse

    stages = {
        "call": msgspec.to_builtins(call),
        "operations": [{"type": type(o).__name__, **msgspec.to_builtins(o)} for o in parse(call, guard.tools)],
        "assets": [guard.inventory.facts(asset) for asset in decision.assets],
        "mandates": [m.id for m in _mandates(guard, call)],
        "decision": decision.to_dict(),
    }
    print(orjson.dumps(stages, default=str, option=orjson.OPT_INDENT_2).decode())


def _print_text(guard: Guard, call: ToolCall, decision: Decision) -> None:
    from guardrail.model import visible
    from guardrail.parse import ShellText, parse

    operations = parse(call, guard.tools)
    where = visible(call.cwd or "an unknown directory")
    print(f"asked     {visible(call.tool)} by {visible(call.subject.id)} in {where}")
    for operation in operations:
        text = operation.text if isinstance(operation, ShellText) else str(operation)
        for line in text.splitlines():
            print(f"          {visible(line)}")
    print("would do")
    if not decision.effects:
        print("          nothing that the model of effects knows of")
    source = next((o.text for o in operations if isinstance(o, ShellText)), "")
    for number, effect in enumerate(decision.effects):
        sure = (effect.precision, effect.modality) == ("exact", "must")
        doubt = "" if sure else f"  ({effect.modality}, {effect.precision})"
        print(f"      {number:>3}   {effect_line(effect)}{doubt}")
        if effect.origin is not None and 0 <= effect.origin.start < effect.origin.end <= len(source):
            span = visible(source[effect.origin.start : effect.origin.end])
            print(f"            from `{span}` by {visible(effect.origin.spec)}")
    print("under")
    for line in _orders(guard, call):
        print(f"          {line}")
    outcome = decision.outcome.value.upper()
    print(f"decided   {outcome} in {decision.elapsed_us} us by {decision.engine}, {decision.policy}")
    for reason in decision.reasons:
        which = f" (effect {reason.effect})" if reason.effect is not None else ""
        print(f"          {reason.rule}{which}: {visible(reason.message)}")
    print(f"agent     would read: {decision.neutral}")


def _orders(guard: Guard, call: ToolCall) -> list[str]:
    """The mandates that count for this call, and why the others do not."""
    import time

    from guardrail.model import visible

    lines = [f"mandate {m.id} of {m.issuer}: {visible(m.text)}" for m in _mandates(guard, call)]
    if not lines:
        lines.append("no mandate for this subject: nothing on an asset is sanctioned")
    problems = guard.mandates.why_not(call.subject, call.session, time.time_ns() // 1000)
    return lines + [f"{visible(problem.file)} does not count: {visible(problem.reason)}" for problem in problems]


def _mandates(guard: Guard, call: ToolCall) -> Any:
    import time

    return guard.mandates.current(call.subject, call.session, time.time_ns() // 1000)
