"""What every part of the Python analysis shares: addresses, effects, output, and what was left unsaid.

Not concerned with syntax (`_expressions`, `_statements`), nor with what single calls do (`_library` and its tables).
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from guardrail.effects.code.python._carried import base_of, carried
from guardrail.effects.code.python._defined import Instance, Scope
from guardrail.effects.code.python._values import (
    CWD_MARK,
    DEEP,
    MAX_OPTIONS,
    NAME,
    Args,
    Const,
    Dict,
    Either,
    Handle,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    as_field,
    is_exact,
    options,
    path_texts,
)
from guardrail.effects.code.python._walk import (
    Walk,
)
from guardrail.effects.domain._emit import Code, as_code
from guardrail.effects.domain._paths import STREAMS, escape, local_path, place
from guardrail.effects.domain._values import NUM, TOP, Field, Stream, merge
from guardrail.model import Edit, Kind, Op, Resource

MAX_LEVELS: Final = 6
"""Deepest level of a tree at which names with a suffix are told apart from the rest of the tree."""


MAX_OUTPUT: Final = 16 * 1024
"""Longest output that is followed, in characters."""


_STORED: Final = ("s3://", "gs://", "hf://", "az://", "abfs://", "r2://", "oss://")
"""How addresses of things begin that are read like files."""


class Core(Walk):
    """State and effects of one Python process.

    Args:
        call: the command that runs the code.
        argv: `sys.argv`.
        file: the script, if the code is in one.
    """

    # -- what other parts give

    @abc.abstractmethod
    def call_value(self, function: Value, args: Args) -> Value:
        """The result of calling a value."""

    @abc.abstractmethod
    def call_method(self, owner: Value, name: str, args: Args) -> Value:
        """The result of calling a method."""

    @abc.abstractmethod
    def call_ref(self, name: str, args: Args) -> Value:
        """The result of calling something by its full name."""

    @abc.abstractmethod
    def attribute(self, owner: Value, name: str) -> Value:
        """An attribute of a value."""

    @abc.abstractmethod
    def run_source(self, source: str, scope: Scope | None = None, *, expression: bool = False) -> Value:
        """Analyse more code in this process."""

    @abc.abstractmethod
    def escape(self, value: Value) -> None:
        """A value is given to code that is not known, which may call it."""

    # -- addresses

    @property
    def cwds(self) -> tuple[str | None, ...]:
        """The directories the process may be in; None is any."""
        value = self.globals.names.get(CWD_MARK)
        found = path_texts(value) if value is not None else (TOP,)
        return tuple(None if text == TOP else text for text in found)

    def places(
        self, value: Value, *, kind: Kind = "file", recursive: bool = False, nofollow: bool = False
    ) -> tuple[Resource, ...]:
        """The addresses that a path may stand for. A descriptor has none."""
        found: list[Resource] = []
        for option in options(value):
            if isinstance(option, Const) and not isinstance(option.value, bytes):
                continue
            if option.sources and isinstance(option, Text | Unknown):
                self.doubt(option)  # a name that is not found is complained of
            if isinstance(option, Handle):
                found.extend(option.places)
                continue
            for text in path_texts(option):
                found.extend(self._places_of(text, kind, recursive, nofollow))
        return tuple(dict.fromkeys(found))

    def _places_of(self, text: str, kind: Kind, recursive: bool, nofollow: bool) -> Iterator[Resource]:
        self.accounted.add(text)
        if text == "" or "\0" in text:
            return
        if text[:5].lower() == "file:":
            text = local_path(text) or text
        elif "://" in text[:12] and not text.startswith(("/", TOP)):
            yield remote(text)
            return
        if DEEP in text:
            below, recursive, kind = self._below(text)
            for one in below:
                yield from self._near(one, kind, recursive, nofollow)
            return
        yield from self._near(text, kind, recursive, nofollow)

    def _below(self, text: str) -> tuple[list[str], bool, Kind]:
        """What a walk through a tree may mean: with a suffix the names at each level, else the whole tree."""
        base, _, tail = text.partition(DEEP)
        folder = base.rstrip("/") or ("/" if base.startswith("/") else ".")
        if not tail or "/" in tail or not is_exact(tail) or TOP in base:
            return [folder], True, "dir"
        if not folder.startswith("/") and (len(self.cwds) != 1 or self.cwds[0] is None):
            return [folder], True, "dir"
        start = folder if folder.startswith("/") else f"{self.cwds[0]}/{folder}"
        if is_exact(start) and self.call.shell.view.glob(escape(start.rstrip("/")) + "/*" * (MAX_LEVELS + 1)) == ():
            return [f"{folder}/{f'{NAME}/' * level}{NAME}{tail}" for level in range(MAX_LEVELS)], False, "file"
        return [folder], True, "dir"

    def _near(self, text: str, kind: Kind, recursive: bool, nofollow: bool) -> Iterator[Resource]:
        for root in self.tops if text.startswith("/") else ("",):
            field = as_field(root + text)
            for cwd in self.cwds:
                yield place(
                    field.text, self._plain(cwd), glob=self._glob(field, cwd), kind=kind, recursive=recursive,
                    nofollow=nofollow,
                )  # fmt: skip

    @staticmethod
    def _plain(cwd: str | None) -> str | None:
        return cwd if cwd is None or NAME not in cwd else cwd.replace(NAME, TOP)

    @staticmethod
    def _glob(field: Field, cwd: str | None) -> str | None:
        if cwd is None or NAME not in cwd or field.text.startswith(("/", TOP)):
            return field.glob
        return as_field(f"{cwd.rstrip('/')}/{field.text}").glob

    def account(self, value: Value | None, depth: int = 0) -> None:
        """A text has a role, so it need not be mentioned."""
        if value is None or depth > MAX_LEVELS:
            return
        self.step()
        for option in options(value):
            if isinstance(option, Text):
                self.accounted.update(option.alternatives)
            elif isinstance(option, Seq) and len(option.items) < 64:
                for item in option.items:
                    self.account(item, depth + 1)
            elif isinstance(option, Dict) and len(option.items) < 64:
                self.accounted.update(key for key in option.items if isinstance(key, str))
                for item in option.items.values():
                    self.account(item, depth + 1)

    # -- effects

    def emit(self, op: Op, resource: Resource, target: Resource | None = None, **more: Any) -> None:
        """One effect of this process."""
        self.call.shell.emit.reopened(op, resource, spec=self.call.name, span=self.call.span)
        if resource.path in STREAMS:
            return
        self.call.emit(op, resource, target, **more)

    def each(self, op: Op, places: Sequence[Resource], **more: Any) -> None:
        """One effect on each place that may be meant."""
        if len(places) > 1:
            more = {**more, "may": True}
        for resource in places:
            self.emit(op, resource, None, **more)

    def read(self, places: Sequence[Resource], reveals: str = "content") -> tuple[Resource, ...]:
        """Files are read; returns whose content that is."""
        kept: list[Resource] = []
        found: tuple[Resource, ...] = ()
        for resource in places:
            if resource.path in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
                found = merge(found, self.call.stdin.sources)
            elif resource.kind == "net":
                self.emit("net_recv", resource)
                if (resource.uri or "").startswith(_STORED):
                    found = merge(found, (resource,))
            elif resource.path not in STREAMS:
                kept.append(resource)
        self.each("read", kept, attrs={"reveals": reveals})
        return merge(found, tuple(kept))

    def put(self, op: Op, places: Sequence[Resource], sources: Iterable[Resource], **more: Any) -> None:
        """Files are written, and what flows into them is copied there."""
        if len(places) > 1:
            with self.undecided():
                self._put(op, places, sources, **more)
        else:
            self._put(op, places, sources, **more)

    def _put(self, op: Op, places: Sequence[Resource], sources: Iterable[Resource], **more: Any) -> None:
        for resource in places:
            if resource.path == "/dev/stdout":
                self.out_sources = merge(self.out_sources, tuple(sources))
            else:
                self.call.put(op, resource, sources, **more)

    def opaque(self, reason: str, code: Code = "inline", *values: Value) -> Unknown:
        """Here the analysis ends: something runs that is not known."""
        self.ended = True
        if code in ("inline", "dynamic", "unparsed"):
            self.hidden = True
        if reason not in self.reasons or self.branch == 0:
            self.reasons.add(reason)
            self.call.shell.emit.opaque(
                code, as_code("python"), spec=self.call.name, reason=reason, span=self.call.span
            )
        for value in values:
            self.mention(value)
        return Unknown(tuple(s for value in values for s in carried(value)), hidden=True)

    def program(self, name: str, args: Args) -> Unknown:
        """A library that is not known is called: it may read what it is given, and more is not known of it."""
        self.ended = True
        if name not in self.programs and len(self.programs) < 64:
            self.programs.add(name)
            code = as_code(f"python:{name}")
            self.call.shell.emit.opaque("program", code, spec=self.call.name, span=self.call.span)
        for value in args.all():
            self.mention(value)
            self.escape(value)
        return Unknown()

    def mention(self, value: Value, depth: int = 0) -> None:
        """Every path that a value may name, and all content that it holds."""
        self.step()
        for source in carried(value):
            self.call.emit("mention", source, flow=("argument",), precision="opaque", may=True)
        for option in options(value):
            if isinstance(option, Seq) and depth < 4:
                for item in [*option.items[:256], *([option.rest] if option.rest is not None else [])]:
                    self.mention_names(item, depth + 1)
            elif isinstance(option, Dict) and depth < 4:
                for item in [*list(option.items.values())[:256], *([option.rest] if option.rest is not None else [])]:
                    self.mention_names(item, depth + 1)
            else:
                self.mention_names(option, depth)

    def mention_names(self, value: Value, depth: int = 0) -> None:
        """Every path that a value may name."""
        if isinstance(value, Text):
            for text in value.alternatives:
                self.mention_text(text)
        elif isinstance(value, Seq | Dict | Either) and depth < 4:
            self.mention(value, depth + 1)

    def mention_text(self, text: str) -> None:
        """Every path that a text may name; of one that is known in part, the directory that is known."""
        self.accounted.add(text)
        known = text
        cut = min((text.find(mark) for mark in (TOP, NUM, NAME, DEEP) if mark in text), default=-1)
        if cut >= 0:
            known = text[:cut].rpartition("/")[0]
        if not known.strip("-") or "\0" in known or len(known) > 4096:
            return
        if known.startswith(_STORED):
            self.call.emit("mention", Resource(kind="object", uri=remote(text).uri), precision="opaque", may=True)
        if "\n" in known or " " in known:
            self.call.mention_text(known)
        if "/" in known or "." in known.strip(".") or self._exists(known):
            for cwd in self.cwds:
                if cwd is None and not known.startswith("/") and self.call.shell.start is not None:
                    continue
                self.call.cwd = self._plain(cwd)
                self.call.mention([Field(text=known)])

    def _exists(self, name: str) -> bool:
        if len(name) > 255 or any(c in name for c in "\n\t "):
            return False
        return any(
            cwd is not None and self.call.shell.view.kind(f"{cwd.rstrip('/')}/{name}") is not None for cwd in self.cwds
        )

    # -- output

    def write_out(self, value_sources: tuple[Resource, ...], text: str | None, *, errors: bool = False) -> None:
        """Something goes to standard output or to standard error."""
        if errors:
            self.call.shell.divert(value_sources)
            return
        if self.redirected is not None and value_sources:
            self.sink(self.redirected, value_sources, None)
        self.out_sources = merge(self.out_sources, value_sources)
        if self.out_text is None or text is None or self.branch or len(self.out_text) + len(text) > MAX_OUTPUT:
            self.out_text = None
        else:
            self.out_text += text

    def complain(self, *values: Value | None) -> None:
        """An error or a warning may say what is in some values: that goes to standard error, and to who catches it."""
        for value in values:
            numeric = isinstance(value, Unknown) and value.numeric
            whole = base_of(value) if value is not None else value
            # How an object of a library is shown has none of what is held inside it.
            sources = whole.sources if isinstance(whole, Thing) else carried(value)
            if sources and not numeric:
                self.write_out(sources, None, errors=True)
                self.thrown.append(self.complaints.setdefault(sources, Unknown(sources)))

    def doubt(self, *values: Value | None) -> None:
        """A function may not like what it is given, and then quotes it: as `complain`.

        A program of the project is taken to be written for what it is given, as long as the session changed none of it.
        """
        if not self.trusted:
            self.complain(*values)

    def sink(self, target: Value, sources: tuple[Resource, ...], text: str | None) -> None:
        """Content is written to something that is open."""
        choices = options(target)
        for option in choices:
            if isinstance(option, Handle):
                self._sink_handle(option, sources, text if len(choices) == 1 else None)
            elif isinstance(option, Text | Const):
                continue
            elif isinstance(option, Instance):
                for source in sources:
                    self.call.emit("mention", source, flow=("argument",), precision="opaque", may=True)
                self.call_method(option, "write", Args([anything(sources)]))
            else:
                self._sink_unknown(option, sources)

    def _sink_unknown(self, target: Value, sources: tuple[Resource, ...]) -> None:
        if isinstance(target, Thing):
            target.held = merge(target.held, sources)
            place_of = target.facts.get("to")
            if isinstance(place_of, Handle | Thing):
                self.sink(place_of, sources, None)
            elif place_of is not None:
                self.put("write", self.places(place_of), sources)
            return
        for source in sources:
            self.call.emit("mention", source, flow=("argument",), precision="opaque", may=True)

    def _sink_handle(self, handle: Handle, sources: tuple[Resource, ...], text: str | None) -> None:
        if handle.kind in ("stdout", "stderr"):
            self.write_out(sources, text, errors=handle.kind == "stderr")
            return
        if handle.kind == "memory":
            handle.inside = merge(handle.inside, sources)
        if handle.text is None or text is None or self.branch != handle.born or handle.mode[:1] not in "wax":
            handle.text = None
        else:
            handle.text += text
        for source in sources:
            for resource in handle.places:
                if source != resource:
                    self.emit("copy", source, resource)

    def contents_of(self, value: Value) -> tuple[Resource, ...]:
        """Whose content can be read from something that is open, or that a value holds."""
        found: tuple[Resource, ...] = ()
        for option in options(value):
            if isinstance(option, Handle):
                if option.kind == "stdin":
                    found = merge(found, self.call.stdin.sources)
                elif option.kind == "memory":
                    found = merge(found, option.inside)
                elif "r" in option.mode or "+" in option.mode:
                    found = merge(found, option.places)
            else:
                found = merge(found, carried(option))
        return found

    def known_content(self, resource: Resource) -> bytes | None:
        """A small file's content, as a process that runs now would find it; None too if it may not be there."""
        sure = self.call.shell.contents.sure(resource.path or "")
        return self.call.content(resource) if sure else None

    def settle(self, handle: Handle) -> None:
        """At the end of the code: what a file then holds is known if all that was written is."""
        if handle.effect is None or handle.text is None or not handle.places:
            return
        effects = self.call.shell.emit.effects
        if handle.effect >= len(effects) or effects[handle.effect].resource != handle.places[0]:
            return
        import msgspec

        kind = "append" if handle.mode[:1] == "a" else "whole"
        edit = Edit(kind="append" if kind == "append" else "whole", text=handle.text)
        effects[handle.effect] = msgspec.structs.replace(effects[handle.effect], edit=edit)
        path = handle.places[0].path
        if kind == "whole" and path is not None and not self.call.shell.emit.maybe:
            self.call.shell.contents.put(path, handle.text.encode("utf-8", "surrogateescape"))

    def output(self) -> Stream:
        """What the process printed."""
        return Stream(sources=self.out_sources, text=self.out_text, flow=self.call.stdin.flow)


def remote(uri: str) -> Resource:
    """The address of something that is not on this machine."""
    return Resource(kind="net", uri=uri.replace(TOP, "*").replace(NUM, "*").replace(NAME, "*").replace(DEEP, "*"))


def single(value: Value | None) -> str | None:
    """The exact text of a value."""
    return value.exact if isinstance(value, Text) else None


def limited(values: Sequence[str]) -> tuple[str, ...]:
    """Alternatives, or any text if there are too many."""
    found = tuple(dict.fromkeys(values))
    return found if len(found) <= MAX_OPTIONS else (TOP,)
