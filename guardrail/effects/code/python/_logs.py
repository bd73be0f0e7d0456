"""Logs: where their lines go, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._core import remote
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import NONE, Args, Seq, Text, Thing, Value
from guardrail.effects.domain._values import merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


_LEVELS = "debug info warning warn error critical log fatal"


@handles(*(f"logging.{name}" for name in _LEVELS.split()), *(f"any.{name}" for name in _LEVELS.split()))
def log(machine: Machine, args: Args) -> Value:
    """A line goes to standard error, and to the files that logs go to."""
    sources = content(Args([value for value in args.all() if not isinstance(value, Thing)]))
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if "exc_info" in args.named:
        sources = merge(sources, carried(Seq(machine.thrown)))
    _logged(machine, sources)
    return NONE


handles(*(f"loguru.logger.{name}" for name in (*_LEVELS.split(), "trace", "success")))(log)


@handles("loguru.logger.add")
def log_into(machine: Machine, args: Args) -> Value:
    """Logs go to a file, or to what is open."""
    target = argument_of(args, 0, "sink")
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if isinstance(target, Text):
        _log_to(machine, target)
    else:
        machine.log_streams.append(target)
    return NONE


@handles("structlog.get_logger", "structlog.getLogger")
def printing_logger(_machine: Machine, _args: Args) -> Value:
    """A logger that prints."""
    return Thing("structlog")


@handles(*(f"structlog.{name}" for name in (*_LEVELS.split(), "msg", "exception")))
def print_log(machine: Machine, args: Args) -> Value:
    """A line goes to standard output."""
    for value in args.after(1).all():
        machine.account(value)
    machine.write_out(content(args.after(1)), None)
    return NONE


@handles("logging.exception", "any.exception", "loguru.logger.exception")
def log_error(machine: Machine, args: Args) -> Value:
    """A line, and what the error says that was caught."""
    log(machine, args)
    _logged(machine, carried(Seq(machine.thrown)))
    return NONE


def _logged(machine: Machine, sources: tuple[Resource, ...]) -> None:
    if sources:
        machine.write_out(sources, None, errors=True)
        for place in machine.logs:
            for source in sources:
                machine.emit("copy", source, place)
    for stream in machine.log_streams:
        machine.sink(stream, sources, None)


@handles("logging.basicConfig")
def configure_logs(machine: Machine, args: Args) -> Value:
    """Where logs go."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    name = args.named.get("filename")
    if name is not None:
        _log_to(machine, name)
    stream = args.named.get("stream")
    if stream is not None:
        machine.log_streams.append(stream)
    return NONE


@handles("logging.StreamHandler")
def log_stream(machine: Machine, args: Args) -> Value:
    """Something open that logs go to."""
    stream = args.get(0, "stream")
    if stream is not None:
        machine.escape(stream)
        machine.log_streams.append(stream)
    return Thing("logging.FileHandler")


@handles("logging.FileHandler", "logging.handlers.RotatingFileHandler", "logging.handlers.TimedRotatingFileHandler",
         "logging.handlers.WatchedFileHandler")  # fmt: skip
def log_file(machine: Machine, args: Args) -> Value:
    """A file that logs go to."""
    _log_to(machine, argument_of(args, 0, "filename"))
    machine.account(args.get(1, "mode"))
    return Thing("logging.FileHandler")


@handles(*(f"logging.handlers.{name}Handler" for name in "SysLog Socket HTTP Datagram SMTP NTEventLog".split()))
def log_elsewhere(machine: Machine, args: Args) -> Value:
    """Logs go to another machine."""
    for value in args.all():
        machine.account(value)
    machine.logs.append(remote("net:logs"))
    return Thing("logging.FileHandler")


def _log_to(machine: Machine, name: Value) -> None:
    places = machine.places(name)
    machine.put("append", places, ())
    machine.logs.extend(places)
