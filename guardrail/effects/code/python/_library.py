"""The effects of a call by the roles that a table gives to its arguments."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Final, cast

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._concrete import printed
from guardrail.effects.code.python._core import Core, remote
from guardrail.effects.code.python._table import Entry, table
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Handle,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    options,
    path_texts,
)
from guardrail.effects.domain._addresses import aliases
from guardrail.effects.domain._answering import ANSWERING
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Kind, Op, Resource
from guardrail.patterns import lazy

Pair = tuple[str, Value]

_SINGLE: Final[dict[str, Op]] = {
    "write": "write", "append": "append", "create": "create", "truncate": "truncate", "times": "set_times",
    "security": "set_security",
}  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {
    "process": "process", "systemd": "service", "cron": "service", "account": "account",
}  # fmt: skip
_SOURCE: Final = frozenset(("read", "tree", "load", "from"))


def apply(core: Core, entry: Entry, args: Args, owner: Value | None = None) -> Value:
    """Bring about what a table says of a call.

    Args:
        core: the process.
        entry: the function.
        args: what it is given.
        owner: the object, for a method; its content goes into what the call writes.

    Returns:
        The result.
    """
    pairs = list(assigned(entry, args))
    # What a path role takes is no content; everything else may be.
    data = carried(owner)
    passed: tuple[Resource, ...] = ()
    written = ("data", "send", "call", "text") if entry.name.startswith("any.") else ("data", "send", "call")
    for role, value in pairs:
        if role in written:
            data = merge(data, carried(value))
        if role not in ("read", "tree", "load", "from", "list", "move"):
            passed = merge(passed, value.sources if isinstance(value, Thing) else carried(value))
    read = _reads(core, pairs)
    given = {role for role, _ in pairs}
    for parameter in entry.parameters:
        if parameter.role.startswith("to@") and not any(role.startswith("to@") for role in given) and merge(data, read):
            _remote(core, parameter.role, Text(("*",)), merge(data, read), pairs)
            break
    unsaid = [parameter.role for parameter in entry.parameters if parameter.role.startswith("api_")]
    if unsaid and given.isdisjoint(unsaid):
        # The object itself says what it is done to.
        _remote(core, unsaid[0], Text(("*",)), (), pairs)
    _tell_plain(core, entry, pairs)
    for role, value in pairs:
        if role not in _SOURCE:
            _lose_text(value)
        _apply_role(core, role, value, merge(data, read), pairs)
    return _result(entry, read, merge(passed, owner.sources if owner is not None else ()), data)


_PLACED: Final = frozenset("write append to into handle url".split())


def _tell_plain(core: Core, entry: Entry, pairs: list[Pair]) -> None:
    """Content in an argument of a library that reaches elsewhere: unless it is known where to, it is named."""
    if table().kind(entry.name) != "remote":
        return
    placed = any(p.role in _PLACED or p.role.startswith("to@") for p in entry.parameters)
    for role, value in pairs:
        if (role == "text" or (role == "data" and not placed)) and not isinstance(value, Thing | Handle):
            # A program of the project sends the numbers that it worked out.
            shown = [value] if not core.trusted or isinstance(value, Text) else []
            sources = tuple(source for one in shown for source in carried(one))
            if sources:
                core.mention(Unknown(sources))


def assigned(entry: Entry, args: Args) -> Iterator[Pair]:
    """Each argument with its role; one that the table does not know is text if plain, else a mention."""
    index = 0
    taken: set[str] = set()
    rest = "text"
    for parameter in entry.parameters:
        if parameter.many:
            for value in args.pos[index:]:
                yield parameter.role, value
            index = len(args.pos)
            if args.vague is not None:
                yield parameter.role, args.vague
            continue
        value_or_none = args.get(index if parameter.positional else -1, parameter.name)
        if parameter.positional:
            index += 1
        if value_or_none is not None:
            taken.add(parameter.name)
            yield parameter.role, value_or_none
    for value in args.pos[index:]:
        yield rest, value
    for name, value in args.named.items():
        if name not in taken:
            yield ("unlisted", value)


def _lose_text(value: Value) -> None:
    """What a library writes into something open is not known."""
    for option in options(value):
        if isinstance(option, Handle):
            option.text = None


def use(value: Value) -> None:
    """What is read after that is not the whole."""
    for option in options(value):
        if isinstance(option, Handle):
            option.used = True


def _is_bytes(value: Value) -> bool:
    return isinstance(value, Const) and isinstance(value.value, bytes)


def _is_open(value: Value) -> bool:
    return any(isinstance(option, Handle | Thing) for option in options(value))


def _reads(core: Core, pairs: list[Pair]) -> tuple[Resource, ...]:
    found: tuple[Resource, ...] = ()
    for role, value in pairs:
        if role == "url":
            found = merge(found, core.read(core.places(Text(_local(value)))))
        if role.startswith("from@"):
            found = merge(found, tuple(_behind(role.partition("@")[2], value, pairs)))
        if role in _SOURCE:
            if _is_open(value):
                found = merge(found, core.contents_of(value))
                use(value)
                continue
            if isinstance(value, Seq):
                for item in value.items:
                    found = merge(found, core.read(core.places(item)))
                continue
            places = core.places(value, recursive=role in ("tree", "load"))
            if role == "load":
                found = merge(found, _published(core, value, places))
            if role == "from" or (role == "tree" and any(r in ("to", "into") for r, _ in pairs)):
                found = merge(found, places)
            else:
                found = merge(found, core.read(places))
            found = merge(found, value.sources)
    return found


def _apply_role(core: Core, role: str, value: Value, content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    if role in ("text", "data", "key"):
        core.account(value)
    elif role in _SINGLE:
        _write(core, _SINGLE[role], value, content if role in ("write", "append") else ())
    elif role == "unlisted":
        if isinstance(value, Text | Seq | Dict) or carried(value):
            core.mention(value)
        core.escape(value)
    elif "@" in role:
        _remote(core, role, value, content, pairs)
    else:
        action = _ACTIONS.get(role)
        if action is not None:
            action(core, value, content, pairs)


def _write(core: Core, op: Op, value: Value, content: tuple[Resource, ...]) -> None:
    if isinstance(value, Const) and value.value is None:
        return
    if _is_open(value):
        core.sink(value, content, None)
        if op not in ("write", "append"):
            core.each(op, core.places(value))
        return
    if not all(isinstance(option, Text | Unknown) or _is_bytes(option) for option in options(value)):
        core.account(value)
        return
    # All but making something go through a link at the end, unless they are told not to.
    core.put(op, core.places(value, nofollow=op == "create"), content)


def _list(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.each("list", core.places(value))


def _delete(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.each("delete", core.places(value, nofollow=True))


def _rmtree(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.each("delete", core.places(value, recursive=True, nofollow=True))


def _mkdir(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.each("create", core.places(value, kind="dir"))


def _sources_of(pairs: list[Pair]) -> Iterator[tuple[str, Value]]:
    for role, value in pairs:
        if role in ("from", "tree", "move", "target"):
            yield role, value


def _to(core: Core, value: Value, content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    """The other end of a copy or a move."""
    whole = any(role == "tree" for role, _ in pairs)
    _arrive(core, core.places(value, recursive=whole), content, pairs)


def _into(core: Core, value: Value, content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    """The other end, which a directory takes in under the old name; of an archive, any name below it is written."""
    if not any(True for _ in _sources_of(pairs)):
        core.put("write", core.places(value, kind="dir", recursive=True), content)
        return
    names = {posixpath.basename(text.rstrip("/")) for _, source in _sources_of(pairs) for text in path_texts(source)}
    found: list[Resource] = []
    for place in core.places(value):
        kind = core.call.kind(place)
        if place.path is None or kind == "dir" or place.path.endswith("/"):
            base = place.path or None
            for name in names:
                word = name if name not in ("", "..", ".") and TOP not in name and NAME not in name else None
                if base is not None and word is not None:
                    found.append(Resource(kind="file", path=f"{base.rstrip('/')}/{word}"))
                elif base is not None:
                    found.append(Resource(kind="file", pattern=f"{escape(base.rstrip('/'))}/*"))
        if kind != "dir" or place.path is None:
            found.append(place)
    _arrive(core, tuple(dict.fromkeys(found)), content, pairs)


def _arrive(core: Core, places: tuple[Resource, ...], content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    for role, value in _sources_of(pairs):
        if role == "move":
            moved = core.places(value, recursive=True, nofollow=True)
            several = len(moved) * len(places) > 1
            for source in moved:
                for target in places:
                    core.emit("rename", source, target, may=several)
                    if target.path is not None and core.call.shell.view.kind(target.path) == "file":
                        core.emit("write", target, may=several)
            return
    core.put("write", places, content)


def _link(core: Core, value: Value, _content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    for role, target in _sources_of(pairs):
        if role == "target":
            for source in core.places(target):
                for place in core.places(value, nofollow=True):
                    core.emit("link", source, place)


def _local(value: Value) -> tuple[str, ...]:
    """Addresses that lead to files of this machine."""
    return tuple(text for text in path_texts(value)[:8] if text[:5].lower() == "file:")


def _url(core: Core, value: Value, content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    core.account(value)
    sends = any(role == "send" for role, _ in pairs)
    for role, given in pairs:
        content = merge(content, carried(given) if role in ("url", "text") else ())
    for text in path_texts(value)[:8]:
        if text[:5].lower() == "file:":
            continue
        resource = remote(text if "://" in text or text == TOP else f"net://{text}")
        if sends or content:
            core.put("write", (resource,), content)
        else:
            core.emit("net_recv", resource)


def _host(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    """A machine that is connected to: what is in its name leaves with the question where it is."""
    core.account(value)
    if carried(value):
        core.put("write", (remote("dns:*"),), carried(value))


def _send(core: Core, value: Value, _content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    core.account(value)
    addresses = [text.partition("?")[0] for role, given in pairs if role == "url" for text in path_texts(given)[:8]]
    if isinstance(value, Text | Dict | Seq) and not (addresses and all(map(ANSWERING.search, addresses))):
        core.mention_names(value)  # it is told what to work on


def _handle(core: Core, value: Value, content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.sink(value, content, None)


def _code(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    exact = value.exact if isinstance(value, Text) else None
    if exact is None:
        if isinstance(value, Text | Unknown):
            core.opaque("code that is not known", "dynamic", value)
        else:
            core.escape(value)
        return
    core.account(value)
    core.run_source(exact)


def _shell(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.call_ref("os.system", Args([value]))


def _run(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.call_ref("subprocess.run", Args([value]))


def _call(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.escape(value)


def _mention(core: Core, value: Value, _content: tuple[Resource, ...], _pairs: list[Pair]) -> None:
    core.mention(value)


_STORES: Final = frozenset(("s3", "gs", "az", "hf"))
"""Schemes whose things have an address of two slashes: a container, and what lies in it."""

_REPOSITORY: Final = lazy(r"[\w.-]+/[\w.-]+")


def _behind(scheme: str, value: Value, pairs: list[Pair]) -> Iterator[Resource]:
    """What an argument names, and a key beside it, behind a scheme."""
    keys = [text for role, given in pairs if role == "key" for text in path_texts(given)[:8]]
    for text in _names(value)[:8]:
        if scheme not in _STORES or "://" in text:
            yield remote(text if "://" in text else f"{scheme}:{text}")
            continue
        start = "az://*/" if scheme == "az" else f"{scheme}://"
        for key in keys or ("",):
            place = remote(f"{start}{text}/{key}" if key else f"{start}{text}")
            yield Resource(kind=place.kind, uri=place.uri, recursive=not key and "*" not in (place.uri or ""))


def _names(value: Value) -> tuple[str, ...]:
    found: list[str] = []
    for option in options(value):
        if isinstance(option, Dict) and "Key" in option.items:
            buckets, keys = path_texts(option.items.get("Bucket", Text(("*",)))), path_texts(option.items["Key"])
            found += [f"{bucket}/{key}" for bucket in buckets[:8] for key in keys[:8]]
        elif isinstance(option, Const) and not _is_bytes(option):
            found += printed(option)
        else:
            found += path_texts(option)
    return tuple(found)


def _published(core: Core, value: Value, places: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """A model that is loaded by the name of its repository, where there is no directory of that name."""
    if any(place.path is not None and core.call.shell.view.kind(place.path) is not None for place in places):
        return ()
    found = tuple(remote(f"hf://{text}") for text in path_texts(value)[:8] if _REPOSITORY.fullmatch(text))
    core.each("read", found)
    return found


def _remote(core: Core, role: str, value: Value, content: tuple[Resource, ...], pairs: list[Pair]) -> None:
    """`OP@SCHEME`: an effect on something that has no path here."""
    op, _, scheme = role.partition("@")
    core.account(value)
    for text in _names(value)[:8] if op == "api_delete" else ():
        if text.startswith("/"):
            core.each("delete", core.places(Text((text,)), recursive=True, nofollow=True), may=True)
    for resource in dict.fromkeys(_behind(scheme, value, pairs)):
        if op in ("to", "write") or scheme.startswith("net"):
            core.put("write", (resource,), content)
        elif op == "from":
            core.emit("net_recv", resource)
            if scheme in _STORES:
                core.emit("read", resource)
        else:
            kind = _KINDS.get(scheme, "object")
            done = Resource(kind=kind, uri=resource.uri, recursive=resource.recursive)
            for named in (done, *aliases(done)):
                core.emit(cast("Op", op), named)


_ACTIONS: Final[dict[str, Callable[[Core, Value, tuple[Resource, ...], list[Pair]], None]]] = {
    "list": _list, "delete": _delete, "rmtree": _rmtree, "mkdir": _mkdir, "to": _to, "into": _into, "link": _link,
    "host": _host, "url": _url, "send": _send, "handle": _handle, "code": _code, "shell": _shell, "run": _run,
    "call": _call, "mention": _mention,
}  # fmt: skip


def _result(
    entry: Entry, read: tuple[Resource, ...], passed: tuple[Resource, ...], data: tuple[Resource, ...]
) -> Value:
    kind = entry.result
    both = merge(read, passed)
    simple: dict[str, Value] = {
        "none": NONE, "num": Unknown(numeric=True), "text": anything(), "name": Text((NAME,)),
        "content": Unknown(merge(both, data)), "same": Unknown(both),
    }  # fmt: skip
    found = simple.get(kind)
    if found is not None:
        return found
    if kind == "model":
        return Thing(entry.detail or "model", held=merge(read, data))
    if kind == "handle":
        handle = Handle("memory", mode=entry.detail or "r+b")
        handle.inside, handle.text = both, None
        return handle
    return Thing(entry.detail, held=merge(both, data))
