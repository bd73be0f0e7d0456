"""`guardrail explain`: what each stage made of one call, for people and as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import EXIT_USAGE, add_call_options, find_config, working_directory
from guardrail.cli.check import effect_line, exit_code

_DESCRIPTION: Final = """Show what each stage made of one call, and run nothing.

  guardrail explain 'cp /srv/models/beta/w /tmp/'   what was asked, what it would do, under which order, the decision
  guardrail explain --specs                         every command that the catalogue knows
  guardrail explain --specs cp 'aws s3 cp'          what the words of these commands are, and examples
"""

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.model import Decision, Effect, ToolCall


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "explain",
        help="show what each stage made of one call, or what is known of a command; run nothing",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("command", nargs="?", help="a shell command; without it one ToolCall is read from standard input")
    add_call_options(sub)
    sub.add_argument("--json", action="store_true", help="print the stages, or the specs, as JSON")
    sub.add_argument(
        "--specs",
        nargs="*",
        metavar="NAME",
        help="print what is known of these commands; without a name, list them all",
    )
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge one call and show how; the exit code is the outcome."""
    import msgspec

    if args.specs is not None:
        from guardrail.cli._specs import show

        # A name behind another option, as in `--specs --json cp`, is taken for the command.
        names = args.specs if args.command is None else [*args.specs, args.command]
        return show(names, as_json=args.json)
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

    from guardrail.parse import ShellText, parse, parse_shell

    operations = parse(call, guard.tools)
    stages = {
        "call": msgspec.to_builtins(call),
        "operations": [{"type": type(o).__name__, **msgspec.to_builtins(o)} for o in operations],
        "parsed": [_tree(parse_shell(o.text).body) for o in operations if isinstance(o, ShellText)],
        "assets": [guard.inventory.facts(asset) for asset in decision.assets],
        "mandates": [m.id for m in _mandates(guard, call)],
        "decision": decision.to_dict(),
    }
    print(orjson.dumps(stages, default=str, option=orjson.OPT_INDENT_2).decode())


def _tree(node: Any) -> Any:
    """A shell text's tree as plain values: the kind of each node, and what is in it."""
    if isinstance(node, tuple):
        return [_tree(item) for item in node]  # pyright: ignore[reportUnknownVariableType]
    names = getattr(node, "__struct_fields__", None)
    if names is None:
        return node
    fields = {name: _tree(getattr(node, name)) for name in names}
    return {
        "type": type(node).__name__,
        **{name: value for name, value in fields.items() if value not in (None, [], "")},
    }


def _print_text(guard: Guard, call: ToolCall, decision: Decision) -> None:
    from guardrail.parse import ShellText, parse
    from guardrail.printing import visible

    operations = parse(call, guard.tools)
    where = visible(call.cwd or "an unknown directory")
    print(f"asked     {visible(call.tool)} by {visible(call.subject.id)} in {where}")
    for operation in operations:
        if isinstance(operation, ShellText):
            for line in underlined(operation.text, decision.effects):
                print(f"          {line}".rstrip())
        else:
            print(f"          {visible(str(operation))}")
    print("would do")
    if not decision.effects:
        print("          nothing that the model of effects knows of")
    for number, effect in enumerate(decision.effects):
        sure = (effect.precision, effect.modality) == ("exact", "must")
        doubt = "" if sure else f"  ({effect.modality}, {effect.precision})"
        by = f"  by {visible(effect.origin.spec)}" if effect.origin is not None else ""
        through = f" through {visible(', '.join(effect.flow))}" if effect.flow else ""
        print(f"      {number:>3}   {effect_line(effect)}{doubt}{by}{through}")
    print("under")
    for line in _orders(guard, call):
        print(f"          {line}")
    outcome = decision.outcome.value.upper()
    if decision.observed is not None:
        print(f"observed  {decision.observed.value.upper()}, had every rule been rolled out")
    print(f"decided   {outcome} in {decision.elapsed_us} us by {decision.engine}, {decision.policy}")
    for reason in decision.reasons:
        which = f" (effect {reason.effect})" if reason.effect is not None else ""
        print(f"          {reason.rule}{which}: {visible(reason.message)}")
    print(f"agent     would read: {decision.neutral}")


def underlined(text: str, effects: Sequence[Effect]) -> Iterator[str]:
    """The lines of a shell text, each followed by a line that marks where effects come from, with their numbers.

    Args:
        text: the shell text.
        effects: the effects; spans are bytes of the text.
    """
    from guardrail.printing import visible

    spans: dict[tuple[int, int], list[int]] = {}
    for number, effect in enumerate(effects):
        if effect.origin is not None and effect.origin.start < effect.origin.end:
            spans.setdefault((effect.origin.start, effect.origin.end), []).append(number)
    position = 0
    for line in text.split("\n"):
        yield visible(line)
        size = len(line.encode("utf-8", "surrogateescape"))
        for (start, end), numbers in sorted(spans.items()):
            if position <= start < position + size:
                data = line.encode("utf-8", "surrogateescape")
                left = len(visible(data[: start - position].decode("utf-8", "surrogateescape")))
                width = len(visible(data[start - position : end - position].decode("utf-8", "surrogateescape")))
                yield f"{' ' * left}{'^' * max(width, 1)} {_ranges(numbers)}"
        position += size + 1


def _ranges(numbers: Sequence[int]) -> str:
    """`0-2 5` for 0, 1, 2 and 5."""
    out: list[str] = []
    first = last = numbers[0]
    for number in (*numbers[1:], -1):
        if number == last + 1:
            last = number
            continue
        out.append(f"{first}-{last}" if last > first else str(first))
        first = last = number
    return " ".join(out)


def _orders(guard: Guard, call: ToolCall) -> list[str]:
    """The mandates that count for this call, and why the others do not."""
    import time

    from guardrail.mandates._listing import summary
    from guardrail.printing import visible

    lines = [visible(f"mandate {m.id} of {m.issuer}: {m.text or summary(m)}") for m in _mandates(guard, call)]
    if not lines:
        lines.append("no mandate for this subject: nothing on an asset is sanctioned")
    problems = guard.mandates.why_not(call.subject, call.session, time.time_ns() // 1000)
    return lines + [f"{visible(problem.file)} does not count: {visible(problem.reason)}" for problem in problems]


def _mandates(guard: Guard, call: ToolCall) -> Any:
    import time

    return guard.mandates.current(call.subject, call.session, time.time_ns() // 1000)
