"""The list of effects of one call, with its bounds."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from guardrail.config import LimitConfig
from guardrail.effects.domain._contents import NOTED, Contents
from guardrail.effects.domain._values import Field
from guardrail.effects.domain._wellknown import meanings
from guardrail.model import ANY_DEPTH, Edit, Effect, Op, Origin, Precision, Resource
from guardrail.patterns import lazy

MAX_STEPS: Final = 4096
"""Most commands interpreted for one call, loops counted once for each round."""

Code = Literal["program", "script", "inline", "dynamic", "unparsed"]

MUTATING: Final = frozenset(
    ("create", "write", "append", "truncate", "delete", "rename", "copy", "link", "set_times", "set_security", "mount")
)
"""Operations after which a file may be another one than the live filesystem shows now."""

_REPLACING: Final = frozenset(("delete", "rename", "link", "mount", "exec_opaque", "remote_exec"))
"""Operations after which a directory may be a link to another one."""

_CHANGING: Final = MUTATING | _REPLACING | NOTED
"""Operations after which a later command may find something else."""

NO_FILES: Final = frozenset(("account", "service", "process", "env", "code"))
"""Kinds of resources whose change is no change of a file. Another host may be this one, so `net` is not among them."""


_FILLING: Final = frozenset(("write", "append", "copy"))
"""Operations that give a file its content, where that is known."""

_TEXT: Final = ("text",)


class Bound(Exception):
    """A limit was reached; the rest of the call is not analysed."""


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """A redirection that empties a file, in a shell of which it is known what it can do.

    Args:
        since: how many effects there were before it.
        span: where its command stands.
        plain: it is one of the call's own shell, and nothing was done to that shell's rights and limits.
    """

    since: int
    span: tuple[int, int]
    plain: bool


_NO_ORIGIN: Final = Origin(spec="")


class Emitter:
    """Collects effects; stops with `Bound` at a limit.

    Args:
        limits: the bounds of one call.
        contents: what it is told of every change of a file.
    """

    __slots__ = (
        "_maybe",
        "_muted",
        "_origin",
        "_points",
        "_span",
        "built",
        "contents",
        "effects",
        "entered",
        "expansions",
        "fresh",
        "limits",
        "made",
        "meant",
        "moved",
        "placed",
        "replaced",
        "steps",
    )

    def __init__(self, limits: LimitConfig, contents: Contents) -> None:
        self.effects: list[Effect] = []
        self.limits = limits
        self.contents = contents
        self._maybe = 0
        self._muted = 0
        self._points: list[int] = []
        self._origin = _NO_ORIGIN
        self._span = (0, 0)
        self.steps = MAX_STEPS
        self.expansions = limits.expansions
        self.fresh: set[str] = set()  # directories that this call just made, and that nothing else can have become
        self.made: set[str] = set()
        # what a compiler made of files alone -> how many effects there were then, and of which files
        self.built: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self.placed: set[str] = set()
        self.replaced: dict[str, Replaced] = {}  # files that a redirection of the shell emptied, if it opened them
        self.entered: tuple[Resource, ...] = ()  # what redirections opened to read
        self.meant: set[tuple[Op, Resource, bool]] = set()
        self.moved: list[tuple[str, str, bool]] = []  # new name, old name, the old one is there still

    @property
    def maybe(self) -> int:
        """How many conditions of which nothing is known what follows depends on."""
        return self._maybe

    @maybe.setter
    def maybe(self, count: int) -> None:
        # INVARIANT: raised and lowered by one, properly nested with `muted`: what is in between may not happen.
        if count > self._maybe:
            self._points.append(self.contents.mark())
        else:
            self.contents.weaken(self._points.pop())
        self._maybe = count

    @property
    def muted(self) -> int:
        """How many trial rounds are walked, of which no effect is kept."""
        return self._muted

    @muted.setter
    def muted(self, count: int) -> None:
        if count > self._muted:
            self._points.append(self.contents.mark())
        else:
            # A later round finds what an earlier one made.
            self.contents.lose(self._points.pop())
        self._muted = count

    def step(self) -> None:
        """Count one command."""
        self.steps -= 1
        if self.steps < 0:
            raise Bound("too many commands")

    def expand(self, count: int) -> None:
        """Count words that a glob or a brace gave."""
        self.expansions -= count
        if self.expansions < 0:
            raise Bound("too many expansions")

    def add(
        self,
        op: Op,
        resource: Resource,
        target: Resource | None = None,
        *,
        spec: str,
        span: tuple[int, int] = (0, 0),
        attrs: dict[str, Any] | None = None,
        flow: tuple[str, ...] = (),
        precision: Precision | None = None,
        may: bool = False,
        edit: Edit | None = None,
    ) -> None:
        """Add one effect."""
        moved = None
        if op in _CHANGING:
            moved = target if op == "rename" and self.contents.links(resource.path) else None
            self._changes(op, resource, target, edit, attrs)
        if edit is not None:
            if op in _FILLING and not resource.recursive:
                flow = flow or _TEXT  # the edit is gone when others have to know that a file was written
            # INVARIANT: an edit that leaves here does not depend on what the call did before it, and is certain.
            place = target if target is not None else resource
            edit = self.contents.whole(place.path) if place.path is not None else None
        if self._muted:
            return
        effects = self.effects
        if len(effects) >= self.limits.effects:
            raise Bound("too many effects")
        if precision is None:
            precision = "exact" if resource.path is not None else _precision(resource)
            if target is not None and precision != "opaque":
                other = _precision(target)
                precision = other if other != "exact" else precision
        if span is not self._span or spec != self._origin.spec:
            self._comes_from(spec, span)
        effects.append(
            Effect(
                op=op,
                resource=resource,
                target=target,
                attrs=attrs or {},
                modality="may" if may or self._maybe else "must",
                precision=precision,
                origin=self._origin,
                flow=flow,
                edit=edit,
            )
        )
        if op in MUTATING:
            self._meant(op, resource, target, spec=spec, span=span, may=may)
        if self.moved and op not in _LEAVING:
            self._by_old_names(effects[-1])
        if moved is not None:
            self.moves(moved, resource)

    def moves(self, new: Resource, old: Resource, *, copied: bool = False) -> None:
        """What is or holds links has another name now: who asks the live filesystem finds it under the old one.

        Args:
            new: the name that it gets.
            old: the name that it has, or had.
            copied: of what it holds, links are the same ones and files are others.
        """
        if new.path is not None and old.path is not None and len(self.moved) < MAX_MOVED:
            self.moved.append((posixpath.normpath(new.path), posixpath.normpath(old.path), copied))

    def _by_old_names(self, effect: Effect) -> None:
        """The same effect, where it is on something that was moved before."""
        found = [msgspec.structs.replace(effect, resource=one) for one in self._formerly(effect.resource)]
        if effect.target is not None:
            found += [msgspec.structs.replace(effect, target=one) for one in self._formerly(effect.target)]
        for one in found:
            if len(self.effects) >= self.limits.effects:
                raise Bound("too many effects")
            self.effects.append(msgspec.structs.replace(one, modality="may", edit=None))

    def _formerly(self, resource: Resource, moves: int = 4) -> Iterator[Resource]:
        base, deep, name = (resource.path or resource.pattern or "").partition(f"/{ANY_DEPTH}")
        if not base or "**" in base or not moves:
            return
        ways = [base.split("/")]
        if resource.path is not None or ".." in ways[0]:
            # `..` behind a link leads to where that does.
            plain = [posixpath.normpath(base).split("/"), ["", *(part for part in ways[0] if part not in ("", "."))]]
            ways = plain if plain[0] != plain[1] else plain[:1]
        for parts, (new, old, copied) in itertools.product(ways, self.moved):
            names = new.split("/")
            common = min(len(parts), len(names))
            inside = len(parts) >= len(names) or resource.recursive
            if not inside or not all(map(_may_be, parts[:common], names[:common])):
                continue
            if resource.path is not None:
                end = "/" * resource.path.endswith("/")
                there = msgspec.structs.replace(resource, path="/".join((old, *parts[common:])) + end)
                if copied and not self.contents.leaves(there.path or "", old):
                    continue
            elif copied:
                continue
            else:
                pattern = "/".join((_WILD.sub(r"[\g<0>]", old), *parts[common:]))
                there = msgspec.structs.replace(resource, pattern=f"{pattern}{deep}{name}")
            yield there
            yield from self._formerly(there, moves - 1)

    def _changes(
        self, op: Op, resource: Resource, target: Resource | None, edit: Edit | None, attrs: dict[str, Any] | None
    ) -> None:
        """Note what the call has changed, and where it put something."""
        if op in _REPLACING:
            self.fresh.clear()
        last = target if target is not None else resource
        if op in MUTATING:
            self._mutates(op, resource, target)
        if op in NOTED and (op not in MUTATING or last.kind not in NO_FILES):
            self.contents.note(op, resource, target, edit, attrs)

    def _mutates(self, op: Op, resource: Resource, target: Resource | None) -> None:
        if op not in ("delete", "set_times", "set_security", "truncate"):
            last = target if target is not None else resource
            if last.kind not in NO_FILES:
                self.placed.add((last.path or last.pattern or "").rpartition("/")[0])
        for changed in (resource, target) if target is not None else (resource,):
            if changed.kind not in NO_FILES:
                self.made.add(changed.path or changed.pattern or "**")

    def mention(self, resource: Resource, spec: str, span: tuple[int, int]) -> None:
        """Add that a word names something, as `add` would: no effect is said more often."""
        if self._muted:
            return
        effects = self.effects
        if len(effects) >= self.limits.effects:
            raise Bound("too many effects")
        if span is not self._span or spec != self._origin.spec:
            self._comes_from(spec, span)
        effects.append(Effect(op="mention", resource=resource, modality="may", precision="opaque", origin=self._origin))

    def _comes_from(self, spec: str, span: tuple[int, int]) -> None:
        """Where the effects from here on come from: most come from where the one before did."""
        self._span, self._origin = span, Origin(spec=spec, start=span[0], end=span[1])

    def say(self, effect: Effect) -> None:
        """Add an effect of another time, which changes nothing about what this call finds."""
        if len(self.effects) >= self.limits.effects:
            raise Bound("too many effects")
        self.effects.append(effect)

    def _meant(
        self, op: Op, resource: Resource, target: Resource | None, *, spec: str, span: tuple[int, int], may: bool
    ) -> None:
        """Some files are more than files: what a change of them means is an effect of its own, once."""
        for meaning, place in meanings(op, resource, target):
            key = (meaning, place, may or bool(self.maybe))
            if key not in self.meant:
                self.meant.add(key)
                file = resource if target is None else target
                attrs = {"path": file.path or file.pattern}
                self.add(
                    meaning,
                    place,
                    target if meaning == op == "copy" else None,
                    spec=spec,
                    span=span,
                    attrs=attrs,
                    may=may,
                )

    def opaque(
        self,
        code: Code,
        resource: Resource,
        *,
        spec: str,
        reason: str = "",
        span: tuple[int, int] = (0, 0),
        attrs: dict[str, Any] | None = None,
    ) -> None:
        """Say that something runs which is not looked into."""
        facts: dict[str, Any] = {"code": code, **(attrs or {})}
        if self.built and facts.get("authored") and (build := self._still_built(resource)) is not None:
            # Whether it is the session's own is a question of its sources, and one for the history.
            facts = {"code": code, "built": build}
        if reason:
            facts["reason"] = reason
        self.add("exec_opaque", resource, spec=spec, span=span, attrs=facts, precision="opaque")

    def _still_built(self, resource: Resource) -> Mapping[str, Any] | None:
        """Of which files what is there was made; None if anything may have been put in its place."""
        path = posixpath.normpath(resource.path or "")
        found = next((one for made, one in self.built.items() if posixpath.normpath(made) == path), None)
        if found is None or self.contents.vague():
            return None
        since, build = found
        for effect in self.effects[since:]:
            if effect.op in MUTATING and effect.op not in ("set_times", "set_security"):
                last = effect.target if effect.target is not None else effect.resource
                if effect.op in ("link", "mount", "rename") or (last.path and self.contents.same(last.path, path)):
                    return None
        return build

    def hampered(self, since: int) -> bool:
        """Whether anything before an effect may have made it harder to write to files."""
        return any(
            effect.op in _HAMPERING or (effect.op == "exec_opaque" and "analysed" not in effect.attrs)
            for effect in self.effects[:since]
        )

    def reopened(self, op: Op, resource: Resource, *, spec: str, span: tuple[int, int]) -> None:
        """A name of a descriptor opened again is the file itself, to be written though it was open to read."""
        name = resource.path or resource.pattern or ""
        if self.entered and op in _ALTERING and _INPUT.fullmatch(name):
            for source in self.entered:
                self.add(op, source, spec=spec, span=span, may=True, flow=("redirect",))

    def placed_in(self, folder: str) -> bool:
        """Whether this call may have put something into a directory, other than by making what that lies in."""
        for one in self.made:
            if "**" in one or _WILD.search(one) is not None:
                begin = _WILD.split(one, maxsplit=1)[0]
                if begin.startswith(f"{folder}/") or folder.startswith(begin):
                    return True
            elif f"{posixpath.normpath(one)}/".startswith(f"{folder}/"):
                return True
        return False

    def wrote(self, path: str) -> bool:
        """Whether this call may have put something at a path: what is only removed holds nothing of the call's."""
        if not self.changed(path):
            return False
        if self.contents.linked:
            return True
        for effect in self.effects:
            if effect.op not in MUTATING or effect.op in ("delete", "set_times", "set_security"):
                continue
            place = effect.target if effect.target is not None else effect.resource
            empty = effect.op == "create" and effect.resource.kind == "dir"
            if not empty and place.uri is None and (place.path is None or self.contents.same(place.path, path)):
                return True
        return False

    def changed(self, path: str) -> bool:
        """Whether this call itself may have changed what is at a path."""
        return bool(self.made) and self.contents.changed(path)


def _may_be(part: str, name: str) -> bool:
    """A part of a path or a pattern may be this name."""
    begin = _WILD.split(part, maxsplit=1)[0]
    return part == name or (begin != part and name.startswith(begin))


_HAMPERING: Final = frozenset(("set_security", "mount", "signal", "remote_exec", "schedule", "service"))
"""What may take rights from files, or from the shell; `prlimit` counts as a signal."""

MAX_MOVED: Final = 64
"""Most names of which it is kept what they were before; a call that moves more has other effects to show."""

_LEAVING: Final = frozenset(("list", "mention", "exec", "exec_opaque", "env", "create"))
"""What is done to a name and changes nothing that lies behind it."""

_WILD: Final = lazy(r"[*?\[]")
_ALTERING: Final = frozenset(("write", "append", "truncate", "set_times", "set_security"))
_INPUT: Final = lazy(r"/+(?:dev/+stdin|(?:dev|proc/+[^/]+)/+fd/+(?![12]$)[^/]+)")


def _precision(resource: Resource) -> Precision:
    """How exactly an address is known: it may stand for a set, or have a part that is not known."""
    if resource.pattern is not None:
        # Which of the files below a directory a lister names is left open: an asset among them is a question.
        return "opaque" if ANY_DEPTH in resource.pattern else "pattern"
    return "pattern" if resource.uri is not None and "*" in resource.uri else "exact"


def as_code(name: str) -> Resource:
    """The resource of code that is no file."""
    return Resource(kind="code", uri=f"code:{name[:200]}")


def spans(fields: tuple[Field, ...]) -> tuple[int, int]:
    """From the first to the last of some fields."""
    starts = [field.span[0] for field in fields]
    ends = [field.span[1] for field in fields]
    return (min(starts, default=0), max(ends, default=0))
