"""Methods and attributes of built-in values: text, lists, dictionaries, paths, and what is open."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable
from typing import Any, Final

from guardrail.effects.code.python._concrete import concrete, is_key
from guardrail.effects.code.python._core import Core, single
from guardrail.effects.code.python._expressions import Expressions
from guardrail.effects.code.python._texts import any_of, one_of, text_method
from guardrail.effects.code.python._values import (
    DEEP,
    MAX_OPTIONS,
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Handle,
    Seq,
    Sources,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    carried,
    is_exact,
    join,
    path_texts,
    text,
)
from guardrail.effects.domain._values import TOP, merge

MAX_LISTED: Final = 32
"""Most names of a listing that are told apart."""

_GROWING: Final = frozenset("append extend insert add update appendleft extendleft".split())
_SHUFFLING: Final = frozenset("pop remove clear sort reverse discard popleft rotate".split())
_READS: Final = frozenset("read readline readlines read1 readall getvalue getbuffer peek readinto recv".split())
_QUIET: Final = frozenset(
    "close flush seek tell fileno isatty readable writable seekable detach reconfigure __enter__ __exit__ fsync".split()
)


def method_of(core: Expressions, owner: Value, name: str, args: Args) -> Value | None:
    """The result of a method of a built-in value; None if it has none of that name."""
    if isinstance(owner, Text) and owner.path:
        found = _path_method(core, owner, name, args)
        return found if found is not None else _unlisted_path(core, owner, name, args)
    if isinstance(owner, Text) or (isinstance(owner, Const) and isinstance(owner.value, bytes | str)):
        for value in args.all():
            core.account(value)
        core.charge(owner, *args.all())
        if name in ("encode", "decode"):
            core.doubt(*args.all())
        found = text_method(owner, name, Args([core.settled(v) for v in args.pos], args.named, args.vague), core.branch)
        core.charge(found)
        return found
    if isinstance(owner, Seq):
        return _seq_method(core, owner, name, args)
    if isinstance(owner, Dict):
        return _dict_method(core, owner, name, args)
    if isinstance(owner, Handle):
        return _handle_method(core, owner, name, args)
    return None


# -- lists and sets


def _seq_method(core: Expressions, owner: Seq, name: str, args: Args) -> Value | None:
    if name in _GROWING or name in _SHUFFLING:
        core.mutated()
    if name in _GROWING:
        _grow(core, owner, name, args)
        return NONE
    if name in _SHUFFLING:
        return _shuffle(core, owner, name, args)
    if name == "copy":
        made = Seq(owner.items[:], owner.kind, owner.rest, core.branch)
        made.scrambled = owner.scrambled
        return made
    if name in ("index", "count", "issubset", "issuperset", "isdisjoint"):
        for value in args.all():
            core.account(value)
        return Unknown(numeric=True)
    if name in ("union", "intersection", "difference", "symmetric_difference"):
        items = [*owner.items, *([owner.rest] if owner.rest is not None else [])]
        for value in args.all():
            more, rest = core.items_of(value)
            items += [*more, *([rest] if rest is not None else [])]
        return Seq([], "set", any_of(items) if items else None, core.branch)
    return None


def _grow(core: Expressions, owner: Seq, name: str, args: Args) -> None:
    values: list[Value] = []
    rest: Value | None = args.vague
    if name in ("append", "add", "appendleft"):
        values = args.pos[:1]
    elif name == "insert":
        values = args.pos[1:2]
    else:
        for value in args.pos:
            items, more = core.items_of(value)
            values += items
            rest = join(rest, more) if more is not None else rest
    certain = core.branch <= owner.born and rest is None and owner.rest is None and len(owner.items) < 512
    if certain and name == "insert":
        at = concrete(args.pos[0]) if args.pos else None
        if at is not None and isinstance(at.value, int):
            owner.items[at.value : at.value] = values
            return
        certain = False
    if certain and name in ("append", "extend", "add", "update"):
        owner.items.extend(values)
        return
    if not certain and name in ("append", "extend", "add", "update"):
        # What was there stays in front; what may follow is joined.
        for value in values:
            owner.rest = join(owner.rest, value) if owner.rest is not None else value
        if rest is not None:
            owner.rest = join(owner.rest, rest) if owner.rest is not None else rest
        return
    owner.items[:0] = values
    owner.scrambled = True


def _shuffle(core: Expressions, owner: Seq, name: str, args: Args) -> Value:
    everything = [*owner.items, *([owner.rest] if owner.rest is not None else [])]
    if core.branch <= owner.born and owner.known:
        plain = [concrete(value) for value in args.pos]
        if name in ("pop", "popleft") and owner.items and all(item is not None for item in plain):
            at = 0 if name == "popleft" else plain[0].value if plain and plain[0] is not None else -1
            try:
                return owner.items.pop(at)
            except (IndexError, TypeError):
                return NONE
        if name == "reverse":
            owner.items.reverse()
            return NONE
        if name == "clear":
            owner.items.clear()
            return NONE
        whole = concrete(owner)
        if name == "sort" and whole is not None and not args.named:
            try:
                owner.items.sort(key=_plain_of)
                return NONE
            except TypeError:
                pass
    owner.scrambled = True
    for value in args.all():
        core.escape(value)
    return any_of(everything) if name.startswith("pop") else NONE


def _plain_of(value: Value) -> Any:
    found = concrete(value)
    return found.value if found is not None else None


# -- dictionaries


def _dict_method(core: Expressions, owner: Dict, name: str, args: Args) -> Value | None:
    everything = [*owner.items.values(), *([owner.rest] if owner.rest is not None else [])]
    if name in ("setdefault", "pop", "update", "clear", "popitem"):
        core.mutated()
    if name in ("get", "setdefault", "pop"):
        return _dict_get(core, owner, name, args)
    if name in ("keys", "values", "items"):
        return core.lazily(lambda: _view(core, owner, name), (), (owner,), once=False)
    if name == "update":
        _dict_update(core, owner, args)
        return NONE
    if name == "copy":
        return Dict(dict(owner.items), owner.rest, core.branch)
    if name in ("clear", "popitem"):
        if name == "clear" and core.branch <= owner.born:
            owner.items.clear()
            owner.rest = None
            return NONE
        keys, more = core.items_of(owner)
        owner.rest = any_of(everything) if everything else Unknown()
        if name == "clear":
            return NONE
        return Seq([one_of(keys, more), owner.rest], "tuple")
    return None


def _view(core: Expressions, owner: Dict, name: str) -> Value:
    """Keys, values or pairs, as they are now."""
    if name == "values":
        return Seq(list(owner.items.values()), "list", owner.rest, core.branch)
    keys, more = core.items_of(owner)
    if name == "keys":
        return Seq(keys, "list", more, core.branch)
    pairs: list[Value] = [Seq([key, value], "tuple") for key, value in zip(keys, owner.items.values(), strict=False)]
    rest = Seq([Unknown(owner.sources), owner.rest], "tuple") if owner.rest is not None else None
    return Seq(pairs, "list", rest, core.branch)


def _dict_get(core: Expressions, owner: Dict, name: str, args: Args) -> Value:
    key = args.get(0) or Unknown()
    default = args.get(1) or NONE
    plain = concrete(key)
    if plain is None or not is_key(plain.value):
        if name == "pop" and len(args.pos) < 2:
            core.doubt(key)
        found = any_of([*owner.items.values(), *([owner.rest] if owner.rest is not None else []), default])
        if name == "setdefault":
            core.store_item(owner, key, default)
        elif name == "pop":
            owner.rest = join(owner.rest, found) if owner.rest is not None else found
        return found
    known = owner.items.get(plain.value)
    if known is not None and owner.rest is None:
        if name == "pop":
            if core.branch <= owner.born:
                del owner.items[plain.value]
            else:
                owner.rest = Unknown()
        return known
    if name == "pop" and len(args.pos) < 2:
        core.doubt(key)
    found = any_of(
        [*([known] if known is not None else []), *([owner.rest] if owner.rest is not None else []), default]
    )
    if name == "setdefault":
        core.store_item(owner, key, found)
    return found


def _dict_update(core: Expressions, owner: Dict, args: Args) -> None:
    for value in args.pos:
        if isinstance(value, Dict):
            for key, item in value.items.items():
                core.store_item(owner, text(key) if isinstance(key, str) else Const(key), item)
            if value.rest is not None:
                owner.rest = join(owner.rest, value.rest) if owner.rest is not None else value.rest
        else:
            owner.rest = (
                join(owner.rest, Unknown(carried(value))) if owner.rest is not None else Unknown(carried(value))
            )
    for key, item in args.named.items():
        core.store_item(owner, text(key), item)
    if args.vague is not None:
        owner.rest = args.vague


# -- what is open


def _handle_method(core: Core, owner: Handle, name: str, args: Args) -> Value | None:
    if name in _READS:
        return _read_handle(core, owner, name, args)
    if name in ("write", "writelines", "print", "send", "sendall"):
        value = args.get(0) or Unknown()
        core.account(value)
        if name == "writelines":
            parts = [single(item) for item in value.items] if isinstance(value, Seq) and value.known else [None]
            exact = None if None in parts else "".join(part for part in parts if part is not None)
        else:
            exact = single(value)
            if exact is None and isinstance(value, Const) and isinstance(value.value, bytes):
                exact = _decoded(value.value)
        core.sink(owner, carried(value), exact)
        return Unknown(numeric=True)
    if name in ("writerow", "writerows"):
        core.sink(owner, tuple(s for value in args.all() for s in carried(value)), None)
        return NONE
    if name == "truncate":
        owner.text = owner.text if owner.mode[:1] in "wx" and owner.text == "" else None
        core.each("truncate", owner.places)
        return NONE
    if name in _QUIET:
        if name == "seek" and owner.mode[:1] in "wax":
            owner.text = None
        if name == "seek":
            owner.used = True  # from where it is read then, is not followed
        if name == "fileno":
            return owner
        return Unknown(numeric=True) if name in ("tell", "seek") else NONE
    if name in ("__iter__", "open"):  # what is opened later by `fsspec` counts as open
        return owner
    return None


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _read_handle(core: Core, owner: Handle, name: str, args: Args) -> Value:
    sources = core.contents_of(owner)
    for value in args.all():
        if name == "readinto" and isinstance(value, Unknown | Thing):
            value.sources = merge(value.sources, sources)
    first = not owner.used
    owner.used = True
    whole = (
        name in ("read", "readlines", "readall", "getvalue") and not args.pos and first and core.branch == owner.born
    )
    content = _content(core, owner) if whole and owner.mode[:1] != "w" else None
    if content is None:
        if name == "readlines":
            return Seq([], "list", anything(sources) if not owner.binary else Unknown(sources), core.branch)
        return Unknown(sources) if owner.binary else anything(sources)
    if owner.binary:
        return Const(content, sources)
    decoded = _decoded(content)
    if decoded is None or "\r" in decoded:
        return anything(sources)
    if name == "readlines":
        lines: list[Value] = [Text((line,), sources) for line in io.StringIO(decoded)]
        return Seq(lines, born=core.branch) if len(lines) <= 512 else Seq([], rest=anything(sources), born=core.branch)
    return Text((decoded,), sources)


def _content(core: Core, owner: Handle) -> bytes | None:
    if owner.kind == "stdin":
        return core.call.stdin.text.encode("utf-8", "surrogateescape") if core.call.stdin.text is not None else None
    if owner.kind == "memory":
        return owner.text.encode("utf-8", "surrogateescape") if owner.text is not None and not owner.binary else None
    return core.known_content(owner.places[0]) if len(owner.places) == 1 else None


# -- paths


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


def fact_of(core: Expressions, owner: Value, name: str) -> Value | None:
    """An attribute of a built-in value that is no method."""
    if isinstance(owner, Text) and owner.path:
        return _path_fact(core, owner, name)
    if isinstance(owner, Handle):
        if name == "buffer":
            return owner
        if name in ("name", "mode", "closed", "encoding"):
            return owner.name if name == "name" else Unknown()
    return None


def _path_fact(core: Expressions, owner: Text, name: str) -> Value | None:
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


def _path_method(core: Expressions, owner: Text, name: str, args: Args) -> Value | None:
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


def _unlisted_path(core: Expressions, owner: Text, name: str, args: Args) -> Value:
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
