"""Methods and facts of paths, as `pathlib` has them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Final

from guardrail.effects.code.python._core import Core, single
from guardrail.effects.code.python._expressions import Expressions
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._texts import any_of
from guardrail.effects.code.python._values import (
    DEEP,
    MAX_OPTIONS,
    NAME,
    Args,
    Seq,
    Sources,
    Text,
    Unknown,
    Value,
    anything,
    is_exact,
    path_texts,
    text,
)
from guardrail.effects.domain._values import TOP

MAX_LISTED: Final = 32
"""Most names of a listing that are told apart."""


def paths(values: tuple[str, ...], sources: Sources = ()) -> Text:
    """`pathlib` paths."""
    return Text(values, sources, path=True)


def _mapped(owner: Value, work: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(work(item) for item in path_texts(owner)))


def last(item: str) -> str:
    """The last component of a path that is known in part."""
    tail = item.rstrip("/").rpartition("/")[2]
    return NAME + tail.rpartition(DEEP)[2] if DEEP in tail else tail


def parent(item: str) -> str:
    """The directory of a path that is known in part."""
    if DEEP in item:
        return item[: item.find(DEEP) + 1]
    if TOP in last(item):
        # An unknown end may itself hold slashes.
        return item[: item.find(TOP)].rpartition("/")[0] + "/" + TOP if "/" in item[: item.find(TOP)] else TOP
    return posixpath.dirname(item.rstrip("/")) or ("/" if item.startswith("/") else ".")


def stem(item: str) -> str:
    """The last component without its suffix."""
    tail = last(item)
    if not is_exact(tail):
        return tail if "." not in tail else tail.rpartition(".")[0] or tail
    base, dot, extension = tail.rpartition(".")
    return base if dot and base and extension else tail


def suffix(item: str) -> str:
    """The suffix of the last component."""
    tail = last(item)
    if not is_exact(tail):
        tail = tail.rpartition(".")[2]
        return "." + tail if is_exact(tail) and "." in last(item) else TOP
    base, dot, extension = tail.rpartition(".")
    return "." + extension if dot and base and extension else ""


def path_fact(core: Expressions, owner: Text, name: str) -> Value | None:
    if name == "name":
        return Text(_mapped(owner, last), owner.sources)
    if name == "stem":
        return Text(_mapped(owner, stem), owner.sources)
    if name == "suffix":
        return Text(_mapped(owner, suffix), owner.sources)
    if name == "parent":
        return paths(_mapped(owner, parent), owner.sources)
    if name == "parents":
        found: list[Value] = []
        current = owner
        for _ in range(16):
            current = paths(_mapped(current, parent), owner.sources)
            found.append(current)
            if all(item in ("/", ".", TOP) for item in current.alternatives):
                break
        return Seq(found, "tuple", born=core.branch)
    if name in ("parts", "suffixes"):
        return Seq([], "tuple", anything(owner.sources), core.branch)
    if name in ("drive", "root", "anchor"):
        return anything()
    return None


def path_method(core: Expressions, owner: Text, name: str, args: Args) -> Value | None:
    if name in ("with_suffix", "with_name", "with_stem"):
        return _renamed(owner, name, args)
    if name in ("joinpath", "__truediv__"):
        return core.call_ref("pathlib.Path", Args([owner, *args.pos], {}, args.vague))
    if name in ("resolve", "absolute", "expanduser", "as_posix", "__str__", "__fspath__"):
        return _as_is(core, owner, name)
    if name in ("iterdir", "glob", "rglob", "walk"):
        return _listing(core, owner, name, args)
    if name == "open":
        return core.call_ref("builtins.open", Args([owner, *args.pos], args.named, args.vague))
    if name in ("read_text", "read_bytes"):
        mode = "r" if name == "read_text" else "rb"
        handle = core.call_ref("builtins.open", Args([owner, text(mode)], _coding(args, 0)))
        return core.call_method(handle, "read", Args())
    if name in ("write_text", "write_bytes"):
        mode = "w" if name == "write_text" else "wb"
        handle = core.call_ref("builtins.open", Args([owner, text(mode)], _coding(args, 1)))
        data = args.get(0, "data")
        return core.call_method(handle, "write", Args([data] if data is not None else [], {}, args.vague))
    if name == "as_uri":
        whole = path_texts(_as_is(core, owner, "absolute"))
        return Text([f"file://{item}" for item in whole], owner.sources)
    if name in ("relative_to", "match", "is_relative_to", "is_absolute", "samefile"):
        for value in args.all():
            core.account(value)
        deep = any(DEEP in item or NAME in item for item in owner.alternatives)
        return paths((DEEP if deep else TOP,), owner.sources) if name == "relative_to" else Unknown()
    if name == "home" or name == "cwd":
        return core.call_ref(f"pathlib.Path.{name}", Args())
    return None


def _coding(args: Args, index: int) -> dict[str, Value]:
    """How the text of a file is encoded, as `open` takes it: the arguments from a position on."""
    names = ("encoding", "errors", "newline")
    found = {name: args.get(index + at, name) for at, name in enumerate(names)}
    return {name: value for name, value in found.items() if value is not None and value is not args.vague}


def unlisted_path(core: Expressions, owner: Text, name: str, args: Args) -> Value:
    """A method of `pathlib.Path` as the table knows it, with the path itself as the first argument."""
    from guardrail.effects.code.python._library import apply
    from guardrail.effects.code.python._table import table

    if name == "touch":
        return core.call_ref("pathlib.Path.touch", Args([owner, *args.pos], args.named, args.vague))
    entry = table().entries.get(f"pathlib.Path.{name}")
    if entry is not None:
        result = apply(core, entry, Args([owner, *args.pos], args.named, args.vague))
        return paths(path_texts(args.pos[0])) if name in ("rename", "replace") and args.pos else result
    if core.hides(name):
        return core.opaque(f"`{name[:40]}` leads to the inside of Python")
    return core.opaque(f"`Path.{name[:40]}` is not modelled", "inline", owner, *args.all())


def _renamed(owner: Text, name: str, args: Args) -> Value:
    found: list[str] = []
    for item in owner.alternatives:
        for new in path_texts(args.get(0) or Unknown()):
            if TOP in last(item) and name != "with_name":
                found.append(TOP)
                continue
            folder = item.rpartition("/")[0]
            tail = {"with_suffix": stem(item) + new, "with_stem": new + suffix(item)}.get(name, new)
            found.append(f"{folder}/{tail}" if "/" in item else tail)
    return paths(tuple(found), owner.sources)


def _as_is(core: Core, owner: Text, name: str) -> Value:
    if name in ("as_posix", "__str__", "__fspath__"):
        return Text(owner.alternatives, owner.sources)
    if name == "expanduser":
        return paths(tuple(expanded(core, item) for item in owner.alternatives), owner.sources)
    found: list[str] = []
    for item in owner.alternatives:
        for cwd in core.cwds:
            base = cwd if cwd is not None else TOP
            found.append(item if item.startswith(("/", TOP)) else f"{base.rstrip('/')}/{item}")
    absolute = paths(tuple(found), owner.sources)
    return followed(core, absolute) if name == "resolve" else absolute


def followed(core: Core, path: Value) -> Value:
    """A path as it is spelled, and where its links lead now, where that is somewhere else."""
    if not isinstance(path, Text):
        return path
    view = core.call.shell.view
    real = [view.real(item) for item in path.alternatives if is_exact(item) and item.startswith("/")]
    both = tuple(dict.fromkeys((*path.alternatives, *real)))[:MAX_OPTIONS]
    if both == path.alternatives:
        return path
    return paths(both, path.sources) if path.path else Text(both, path.sources)


def expanded(core: Core, item: str) -> str:
    """`~` at the start of a path."""
    if item == "~" or item.startswith("~/"):
        home, _ = core.call.shell.expand.lookup("HOME", core.state, {})
        return home + item[1:]
    return TOP if item.startswith("~") else item


def _listing(core: Expressions, owner: Text, name: str, args: Args) -> Value:
    """Names in a directory: those that are there, or any."""
    pattern = single(args.get(0, "pattern")) or ("*" if name in ("iterdir", "walk") else TOP)
    core.account(args.get(0, "pattern"))
    found: list[Value] = []
    rest: Value | None = None
    for folder in owner.alternatives:
        items, more = listed(core, folder, pattern, deep=name in ("rglob", "walk") or "**" in pattern)
        found += [paths((item,)) for item in items]
        if more is not None:
            rest = join(rest, paths((more,)))
    if name == "walk":
        each = rest if rest is not None else any_of(found)
        names = Seq([], "list", Text((NAME,)), core.branch)
        return Seq([], "list", Seq([each, names, names], "tuple"), core.branch)
    return Seq(found, "list", rest, core.branch)


def listed(core: Core, folder: str, pattern: str, *, deep: bool) -> tuple[list[str], str | None]:
    """Paths below a folder that a pattern names: those that exist, and what any others may be."""
    core.each("list", core.places(Text((folder,)), kind="dir"))
    base = "" if folder in (".", "") else folder.rstrip("/") + "/"
    if deep or TOP in pattern or TOP in folder:
        extension = pattern.rpartition("*")[2] if "*" in pattern else ""
        plain = extension if extension and "/" not in extension and not any(c in extension for c in "?[]" + TOP) else ""
        return [], base + (TOP if TOP in base else DEEP) + plain
    star = "".join(NAME if c in "*?" else c for c in pattern)
    if "[" in star:
        star = star[: star.find("[")] + NAME
    return [], base + star
