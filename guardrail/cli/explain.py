"""`guardrail explain`: what each stage made of one call, for people and as JSON."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from guardrail.cli import CONFIG_HELP, EXIT_USAGE, find_config
from guardrail.cli.check import exit_code

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.model import Decision, Effect, ToolCall


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser("explain", help="show what each stage made of one call; run nothing")
    sub.add_argument("command", nargs="?", help="a shell command; without it one ToolCall is read from standard input")
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--cwd", metavar="DIR", help="working directory of the call; default: here")
    sub.add_argument("--json", action="store_true", help="print the stages as JSON")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge one call and show how; the exit code is the outcome."""
    import msgspec

    from guardrail.guard import Guard
    from guardrail.model import MAX_CALL_BYTES, ToolCall

    cwd = os.path.abspath(args.cwd) if args.cwd else os.getcwd()
    if args.command is not None:
        call = ToolCall(tool="bash", args={"command": args.command}, cwd=cwd)
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
        "operations": [{"type": type(o).__name__, **msgspec.to_builtins(o)} for o in parse(call)],
        "assets": [guard.inventory.facts(asset) for asset in decision.assets],
        "mandates": [m.id for m in _mandates(guard, call)],
        "decision": decision.to_dict(),
    }
    print(orjson.dumps(stages, default=str, option=orjson.OPT_INDENT_2).decode())


def _print_text(guard: Guard, call: ToolCall, decision: Decision) -> None:
    from guardrail.model import printable
    from guardrail.parse import ShellText, parse

    operations = parse(call)
    print(f"asked     {printable(call.tool)} in {printable(call.cwd or 'an unknown directory')}")
    for operation in operations:
        text = printable(operation.text) if isinstance(operation, ShellText) else printable(str(operation))
        for line in text.splitlines():
            print(f"          {line}")
    print("would do")
    if not decision.effects:
        print("          nothing that the model of effects knows of")
    source = next((o.text for o in operations if isinstance(o, ShellText)), "")
    for number, effect in enumerate(decision.effects):
        print(_effect_line(number, effect))
        if effect.origin is not None and 0 <= effect.origin.start < effect.origin.end <= len(source):
            span = printable(source[effect.origin.start : effect.origin.end])
            print(f"            from `{span}` by {effect.origin.spec}")
    print("under")
    mandates = _mandates(guard, call)
    for mandate in mandates:
        print(f"          mandate {mandate.id} of {mandate.issuer}: {printable(mandate.text)}")
    if not mandates:
        print("          no mandate for this subject: nothing on an asset is sanctioned")
    outcome = decision.outcome.value.upper()
    print(f"decided   {outcome} in {decision.elapsed_us} us by {decision.engine}, {decision.policy}")
    for reason in decision.reasons:
        where = f" (effect {reason.effect})" if reason.effect is not None else ""
        print(f"          {reason.rule}{where}: {reason.message}")
    print(f"agent     would read: {decision.neutral}")


def _effect_line(number: int, effect: Effect) -> str:
    arrow = f" -> {effect.target.address}" if effect.target else ""
    asset = f"  asset {effect.asset}" if effect.asset else ""
    doubt = (
        "" if (effect.precision, effect.modality) == ("exact", "must") else f"  ({effect.modality}, {effect.precision})"
    )
    return f"      {number:>3}   {effect.op} {effect.resource.address}{arrow}{asset}{doubt}"


def _mandates(guard: Guard, call: ToolCall) -> Any:
    import time

    return guard.mandates.current(call.subject, call.session, time.time_ns() // 1000)
