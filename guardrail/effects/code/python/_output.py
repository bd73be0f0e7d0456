"""Functions that print, tell of errors or ask for a line: what they are given goes to a stream.

Not concerned with open files, whose methods write (`_files`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import can_act, carried, content
from guardrail.effects.code.python._concrete import printed
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Const,
    Handle,
    Seq,
    Thing,
    Unknown,
    Value,
    anything,
    options,
)
from guardrail.effects.domain._values import NUM, TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


@handles("pprint.pprint", "pprint.pp")
def print_pretty(machine: Machine, args: Args) -> Value:
    """`pprint(x, stream)`: the text is laid out in its own way."""
    machine.account(args.get(0))
    sources = carried(args.get(0, "object"))
    stream = args.get(1, "stream")
    _to_stream(machine, stream, sources, None)
    return NONE


@handles("builtins.print")
def print_out(machine: Machine, args: Args) -> Value:
    """`print`: to standard output or to what is open."""
    file = args.named.get("file")
    end, between = args.named.get("end"), args.named.get("sep")
    sources: tuple[Resource, ...] = ()
    parts: list[str] = []
    exact = args.vague is None
    for given in args.pos:
        machine.account(given)
        value = machine.spoken(given, "__str__", "__repr__")
        sources = merge(sources, value.sources if isinstance(value, Thing) else carried(value))
        shown = printed(value) if not isinstance(value, Handle) else (TOP,)
        one = shown[0] if len(shown) == 1 else TOP
        exact = exact and not any(mark in one for mark in (TOP, NUM, NAME))
        parts.append(one)
    for extra in (end, between, args.vague):
        machine.account(extra)
        sources = merge(sources, carried(extra))
    separator = " " if between is None else single(between)
    last = "\n" if end is None else single(end)
    words = separator.join(parts) + last if exact and separator is not None and last is not None else None
    _to_stream(machine, file, sources, words)
    return NONE


def _to_stream(machine: Machine, stream: Value | None, sources: tuple[Resource, ...], words: str | None) -> None:
    """To what is open, if that is given, else to standard output."""
    if stream is None or (isinstance(stream, Const) and stream.value is None):
        machine.write_out(sources, words)
    else:
        machine.sink(stream, sources, words)


@handles("rich.print", "rich.print_json", "rich.pretty.pprint", "dis.dis", "click.echo", "click.secho", "typer.echo",
         "typer.secho", "tqdm.tqdm.write", "tqdm.write", "tqdm.auto.tqdm.write", "termcolor.cprint",
         "IPython.display.display", "click.echo_via_pager")  # fmt: skip
def print_shown(machine: Machine, args: Args) -> Value:
    """As `print`, laid out in its own way."""
    for value in args.all():
        machine.account(value)
    files = [value for value in args.all() if isinstance(value, Handle)]
    sources = content(Args([value for value in args.all() if not isinstance(value, Handle | Thing)]))
    for file in files:
        machine.sink(file, sources, None)
    if not files:
        machine.write_out(sources, None, errors="err" in args.named)
    return NONE


@handles("traceback.format_exc", "traceback.format_exception", "traceback.format_exception_only", "sys.exc_info",
         "sys.exception", "sys.last_exc", "sys.last_value")  # fmt: skip
def tell_error(machine: Machine, args: Args) -> Value:
    """What an error says: any that the code raised."""
    sources = merge(carried(Seq(machine.thrown)), content(args))
    acting = [value for value in machine.thrown if can_act(value)]
    return Unknown(sources, hidden=bool(acting))


@handles("traceback.print_exc", "traceback.print_exception", "traceback.print_last", "traceback.print_stack",
         "traceback.print_tb", "traceback.print_list", "sys.excepthook", "sys.__excepthook__",
         "sys.unraisablehook")  # fmt: skip
def print_error(machine: Machine, args: Args) -> Value:
    """What an error says goes to standard error, or to what is open."""
    said = tell_error(machine, Args([value for value in args.all() if not isinstance(value, Handle)]))
    _to_errors(machine, said.sources, args)
    return NONE


@handles("warnings.warn", "warnings.warn_explicit", "warnings.showwarning")
def warn(machine: Machine, args: Args) -> Value:
    """A warning goes to standard error."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    machine.complain(*(value for value in args.all() if not isinstance(value, Handle)))
    _to_errors(machine, content(Args([value for value in args.pos if not isinstance(value, Handle)])), args)
    return NONE


def _to_errors(machine: Machine, sources: tuple[Resource, ...], args: Args) -> None:
    """To whatever open file is given, else to standard error."""
    files = [value for value in args.all() if any(isinstance(option, Handle) for option in options(value))]
    for file in files:
        machine.sink(file, sources, None)
    if not files:
        machine.write_out(sources, None, errors=True)


@handles("builtins.input")
def read_line(machine: Machine, args: Args) -> Value:
    """A line of standard input."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None)
    return anything(machine.call.stdin.sources)
