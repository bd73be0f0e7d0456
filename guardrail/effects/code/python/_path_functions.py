"""Functions of `os.path` and `pathlib` that make paths of paths: nothing is done to any of them."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._path_methods import expanded, followed, last, parent, paths, suffix
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    DEEP,
    NAME,
    Args,
    Seq,
    Text,
    Value,
    anything,
    is_exact,
    path_texts,
)
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


@handles("pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath", "pathlib.PurePosixPath")
def joined(machine: Machine, args: Args) -> Value:
    """Components of a path."""
    return paths(_joined(machine, args), _sources(args))


@handles("os.path.join")
def joined_text(machine: Machine, args: Args) -> Value:
    """`os.path.join`: a path as text."""
    return Text(_joined(machine, args), _sources(args))


def _sources(args: Args) -> tuple[Resource, ...]:
    found: tuple[Resource, ...] = ()
    for value in args.all():
        found = merge(found, value.sources)
    return found


def _joined(machine: Machine, args: Args) -> tuple[str, ...]:
    values = args.pos if args.vague is None else [*args.pos, anything()]
    found = [""] if values else ["."]
    for value in values:
        machine.step()
        texts = path_texts(value)
        if len(found) * len(texts) > 8:
            return (TOP,)
        found = [put_together(a, b) for a in found for b in texts]
    return tuple(found)


def put_together(a: str, b: str) -> str:
    """Two components of a path."""
    if b.startswith("/") or a == "":
        return b
    # Text of which nothing is known may be an absolute path, which takes the place of what stands before it.
    if b.startswith(TOP):
        return TOP
    if b in ("", "."):
        return a
    return f"{a}{b}" if a.endswith("/") else f"{a}/{b}"


@handles("pathlib.Path.home")
def home(machine: Machine, _args: Args) -> Value:
    """`Path.home()`."""
    return paths((expanded(machine, "~"),))


@handles("pathlib.Path.cwd")
def here_path(machine: Machine, _args: Args) -> Value:
    """`Path.cwd()`."""
    return paths(tuple(cwd if cwd is not None else TOP for cwd in machine.cwds))


@handles("os.getcwd", "os.getcwdb")
def here(machine: Machine, _args: Args) -> Value:
    """`os.getcwd()`: the kernel knows a directory by its name without links."""
    return followed(machine, Text(tuple(cwd if cwd is not None else TOP for cwd in machine.cwds)))


@handles("os.path.expanduser")
def expand_user(machine: Machine, args: Args) -> Value:
    """`~` at the start."""
    value = argument_of(args, 0)
    return Text(tuple(expanded(machine, item) for item in path_texts(value)), value.sources)


@handles("os.path.expandvars", "string.Template")
def expand_variables(machine: Machine, args: Args) -> Value:
    """`$X` in a text."""
    value = argument_of(args, 0)
    kept = tuple(item if "$" not in item else TOP for item in path_texts(value))
    machine.account(value)
    return Text(kept, value.sources)


@handles("os.path.realpath")
def real_path(machine: Machine, args: Args) -> Value:
    """A path from the root without links: as it is now, or as it is spelled, if the call changes links."""
    return followed(machine, absolute(machine, args))


@handles("os.path.abspath")
def absolute(machine: Machine, args: Args) -> Value:
    """A path from the root."""
    value = argument_of(args, 0)
    found: list[str] = []
    for item in path_texts(value):
        for cwd in machine.cwds:
            base = cwd if cwd is not None else TOP
            found.append(item if item.startswith(("/", TOP)) else f"{base.rstrip('/')}/{item}" if item else base)
    return Text(tuple(found), value.sources)


@handles("os.path.normpath", "os.fspath", "os.fsencode", "os.fsdecode", "os.path.normcase", "glob.escape")
def unchanged(_machine: Machine, args: Args) -> Value:
    """The same path in another form; `..` is left to the filesystem."""
    value = argument_of(args, 0)
    return Text(path_texts(value), value.sources)


@handles("os.path.basename")
def base_name(_machine: Machine, args: Args) -> Value:
    """The last component."""
    value = argument_of(args, 0)
    return Text(
        tuple(item.rpartition("/")[2] if is_exact(item) else last(item) for item in path_texts(value)), value.sources
    )


@handles("os.path.dirname")
def directory_name(_machine: Machine, args: Args) -> Value:
    """All but the last component."""
    value = argument_of(args, 0)
    found = [posixpath.dirname(item) if is_exact(item) else parent(item) for item in path_texts(value)]
    return Text(found, value.sources)


@handles("os.path.splitext")
def split_extension(_machine: Machine, args: Args) -> Value:
    """Root and extension."""
    value = argument_of(args, 0)
    roots: list[str] = []
    ends: list[str] = []
    for item in path_texts(value):
        end = suffix(item)
        if TOP not in end and (not end or item.endswith(end)):
            roots.append(item[: len(item) - len(end)])
            ends.append(end)
        else:
            roots += _roots(item)
            ends += ["", f".{NAME}" if TOP not in item else TOP]
    return Seq([Text(roots, value.sources), Text(ends, value.sources)], "tuple")


def _roots(item: str) -> list[str]:
    """A path that is known in part without its extension, which begins at a dot that is known or at one that is not."""
    head, slash, tail = item.rpartition("/")
    first = next((index for index, char in enumerate(tail) if not is_exact(char)), len(tail))
    if DEEP in tail:
        return [item[: item.rfind(DEEP) + 1]]
    if TOP in item:
        return [item[: item.rfind(TOP) + 1]] if "." not in tail[:first] else [TOP]
    stem, dot, _ = tail[:first].rpartition(".")
    found = [f"{head}{slash}{tail[:first]}{NAME}"]
    return [*found, f"{head}{slash}{stem}"] if dot and stem.strip(".") else found


@handles("os.path.split")
def split_path(machine: Machine, args: Args) -> Value:
    """Directory and last component."""
    return Seq([directory_name(machine, args), base_name(machine, args)], "tuple")


@handles("os.path.relpath", "os.path.commonpath", "os.path.commonprefix")
def relative(_machine: Machine, args: Args) -> Value:
    """A path from somewhere else."""
    value = argument_of(args, 0)
    texts = path_texts(value)
    return Text((DEEP if all(DEEP in item or NAME in item for item in texts) else TOP,), value.sources)
