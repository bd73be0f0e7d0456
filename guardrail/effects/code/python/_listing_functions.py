"""Functions that list directories and walk trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._path_functions import put_together
from guardrail.effects.code.python._path_methods import listed, paths
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    DEEP,
    NAME,
    Args,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    path_texts,
    text,
)
from guardrail.effects.domain._values import TOP

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


@handles("os.listdir")
def list_directory(machine: Machine, args: Args) -> Value:
    """Names in a directory."""
    value = args.get(0, "path") or text(".")
    machine.each("list", machine.places(value, kind="dir"))
    return Seq([], "list", Text((NAME,)), machine.branch)


@handles("os.scandir")
def scan_directory(machine: Machine, args: Args) -> Value:
    """Entries of a directory."""
    value = args.get(0, "path") or text(".")
    machine.each("list", machine.places(value, kind="dir"))
    full = paths(tuple(put_together(item, NAME) for item in path_texts(value)))
    entry = Thing("os.DirEntry", {"name": Text((NAME,)), "path": Text(full.alternatives)})
    return Seq([], "list", entry, machine.branch)


@handles("os.fwalk")
def walk(machine: Machine, args: Args) -> Value:
    """Directories of a tree."""
    value = args.get(0, "top") or text(".")
    machine.each("list", machine.places(value, kind="dir", recursive=True))
    roots = Text(tuple(put_together(item, DEEP) for item in path_texts(value)))
    names = Seq([], "list", Text((NAME,)), machine.branch)
    return Seq([], "list", Seq([roots, names, names, *([Unknown()])], "tuple"), machine.branch)


@handles("os.walk")
def walk_three(machine: Machine, args: Args) -> Value:
    """`os.walk`: directory, directories, files."""
    found = walk(machine, args)
    if isinstance(found, Seq) and isinstance(found.rest, Seq):
        found.rest.items.pop()
    return found


@handles("glob.glob", "glob.iglob")
def glob_paths(machine: Machine, args: Args) -> Value:
    """Paths that a pattern names."""
    value = argument_of(args, 0, "pathname")
    base = args.named.get("root_dir")
    found: Value | None = None
    for pattern in path_texts(value):
        machine.accounted.add(pattern)
        cut = min((pattern.find(c) for c in "*?[" if c in pattern), default=-1)
        if cut < 0:
            found = join(found, text(pattern))
            continue
        folder, tail = pattern[:cut].rpartition("/")[0], pattern[pattern[:cut].rfind("/") + 1 :]
        folder = folder or ("/" if pattern.startswith("/") else "")
        _, rest = listed(machine, folder, tail, deep="**" in tail)
        found = join(found, Text((rest if rest is not None else TOP,)))
    if base is not None:
        machine.account(base)
        return Seq([], "list", anything(), machine.branch)
    return Seq([], "list", found if found is not None else anything(), machine.branch)
