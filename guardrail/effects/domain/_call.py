"""How the transfer function of a command says what it does: what it reads, writes and runs, and what its words name.

Not concerned with the addresses that words stand for: `_invocation` is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from guardrail.effects.domain._addresses import at, stored_in
from guardrail.effects.domain._emit import Code, Emitter, as_code
from guardrail.effects.domain._harness import unhooked
from guardrail.effects.domain._homely import is_label, is_own_folder
from guardrail.effects.domain._invocation import Invocation
from guardrail.effects.domain._paths import STANDARD_OUTPUT, STREAMS, is_descriptor, paths_in, place, spellings
from guardrail.effects.domain._startup import is_deferred, is_startup
from guardrail.effects.domain._values import MAX_TEXT, NUM, SOMETHING, TOP, Field, Stream, is_known, merge
from guardrail.model import Edit, Op, Resource
from guardrail.patterns import lazy

MAX_PLAIN_WORD: Final = 512
"""Longest word that all of those are taken out of, in characters; of a longer one only an eighth."""

_CONFIG_NAME: Final = lazy(
    r"\.(?:ya?ml|json[5c]?|toml|ini|cfg|cnf|conf|config|properties|env|tpl|tmpl|jq|patch|diff|local|override|txt|list|sh|bash|sed|awk)$"
    r"|/\.env[^/]*$|/[^/.]+$"
)
"""Files that may be configs, or say what is done to one."""


_BEFORE_WILD: Final = lazy(r"[*?\[{]")

_OTHER_ROOT: Final = lazy(r"/proc/[^/]+/(?:task/[^/]+/)?root(/.+)", re.DOTALL)

MAX_NAME: Final = 4096
"""Longest text that can be the path of a file, in characters: Linux's PATH_MAX."""

_SETTING: Final = lazy(
    r"--?(?:(?:max-?|min-?|num-?|n-)?(?:port|jobs|workers|threads|timeout|seed|epochs|batch-?size|lr|fail|durations|retries"
    r"|limit|count|interval|concurrency|parallel|parallelism|shards?|shard-id|processes|numprocesses|steps|replicas|memory"
    r"|cpus|delay|page|per-page|verbosity)|mode|stage|env|environment|host|(?:log-?)?level)|-run"
)
"""Options whose value is a number, or the name of a mode, of an environment or a host; `-run` is a pattern of `go`."""

_ROOTED: Final = lazy(r"(?:^|(?<=[=:,\"'\s\[({]))(?:~|/[\w.-]+)/[^\"',\s]*")
"""A path from the root or the home with a name in it, where a word or a value in it begins."""

_COUNT: Final = lazy(r"-[jnpwctkNPJ]")
"""Options of one letter that often take a number."""


def _is_setting(word: Field, args: Sequence[Field]) -> bool:
    """A variable of the caller's own that is wholly the value of such an option."""
    text = word.text
    if not (word.outer or word.counted):
        return False
    if text == TOP:
        head = next((one.text for one, other in itertools.pairwise(args) if other is word), "")
    else:
        head = text[:-1].removesuffix("=") if text[-1] == TOP else TOP
    return _SETTING.fullmatch(head) is not None or (word.counted and _COUNT.fullmatch(head) is not None)


MAX_SPELLINGS: Final = 128
"""Most paths that are taken out of one word of a program that is not known."""


_CLUSTER: Final = re.compile(r"-[A-Za-z]{2}[\w./~-]")

MAX_LETTERS: Final = 24
"""Most characters of a word of letters among which the value of an option is looked for."""


class _Doubt:
    """While it is entered, nothing that is said is certain to happen."""

    __slots__ = ("_emit",)

    def __init__(self, emit: Emitter) -> None:
        self._emit = emit

    def __enter__(self) -> None:
        self._emit.maybe += 1

    def __exit__(self, *_: object) -> None:
        self._emit.maybe -= 1


_REDIRECT: Final = ("redirect",)
_CERTAIN: Final = nullcontext[None]()


class Call(Invocation):
    """An invocation, and how what it does is said."""

    __slots__ = ()

    # -- effects

    def perhaps(self, doubtful: bool = True) -> AbstractContextManager[None]:
        """What is said inside may not happen, if that is in doubt."""
        return _Doubt(self.shell.emit) if doubtful else _CERTAIN

    def read(
        self, field: Field, *, reveals: str = "content", recursive: bool = False, sought: bool = False
    ) -> tuple[Resource, ...]:
        """A file is read, perhaps for lines with a text that is named; returns whose content that is."""
        if field.text == f"/dev/fd/{NUM}":
            # A process substitution, or a descriptor whose number a variable has: whatever `exec` opened may be meant.
            return merge(field.sources, self.state.opened)
        if field.text in ("-", "/dev/stdin"):
            return self.stdin.sources
        if field.text in STREAMS or field.text == "":
            return ()
        resource = self.place(field, recursive=recursive)
        if resource.kind == "net":
            self.emit("net_recv", resource)
            return ()
        self.emit("read", resource, attrs={"reveals": reveals, "sought": True} if sought else {"reveals": reveals})
        return merge((resource,), field.sources)

    def origins(self, field: Field, *, recursive: bool = False) -> tuple[Resource, ...]:
        """Whose content a source operand is, without reading it."""
        if field.text == f"/dev/fd/{NUM}":
            # A process substitution, or a descriptor whose number a variable has: whatever `exec` opened may be meant.
            return merge(field.sources, self.state.opened)
        if field.text in ("/dev/stdin", "/dev/fd/0"):
            return self.stdin.sources
        # A name made of content: the file of that name, and the content in the name.
        return merge((self.place(field, recursive=recursive),), field.sources)

    def listed(self, field: Field, separator: str = "\n") -> list[Field]:
        """The names in a list file, if it can be read now and this call did not change it; else one unknown word."""
        path = self.place(field).path if field.known and not field.sources else None
        if field.text in ("-", "/dev/stdin"):
            text = self.stdin.text
        else:
            self.shell.divert((self.place(field),))  # a name that is not found is complained of
            data = self.shell.contents.read(path, self.shell.limits.script_bytes) if path is not None else None
            text = data.decode("utf-8", "surrogateescape") if data is not None else None
        if text is None:
            return [Field(text=TOP, many=True)]
        return [Field(text=name) for name in text.split(separator) if name]

    def content(self, resource: Resource) -> bytes | None:
        """What a file holds when this command looks at it; None if that is not known, or it is large."""
        if resource.path is None or resource.kind == "net":
            return None
        return self.shell.contents.read(resource.path, self.shell.limits.script_bytes)

    def text_of(self, field: Field) -> str | None:
        """What a file holds, if this call made it or it looks like a config file, so that edits can be worked out.

        Any other file is left alone: looking at each one that a command names would cost more than it tells.
        """
        if field.text in ("-", "/dev/stdin"):
            return self.stdin.text
        if not field.known or field.sources or field.text in STREAMS:
            return None
        resource = self.place(field)
        path = resource.path
        if path is None or not (_CONFIG_NAME.search(path) or self.shell.contents.knows(path)):
            return None
        if not self.shell.contents.sure(path):
            return None  # where it is not there, it says nothing
        data = self.content(resource)
        if data is None or len(data) > MAX_TEXT or TOP.encode() in data or NUM.encode() in data:
            return None
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def put(
        self,
        op: Op,
        resource: Resource,
        sources: Iterable[Resource],
        *,
        flow: tuple[str, ...] = (),
        edit: Edit | None = None,
        attrs: dict[str, Any] | None = None,
        opened: bool = False,
    ) -> None:
        """Something is written, and what flows into it is copied; what a shell has `opened` for that is a file."""
        sources = tuple(sources)
        self.shell.emit.reopened(op, resource, spec=self.name, span=self.span)
        if resource.path in STANDARD_OUTPUT:
            self.printed = merge(self.printed, sources)
            return
        if sources and is_descriptor(resource):
            self.shell.divert(sources)  # to a process substitution, for one
        if resource.path in STREAMS or resource.pattern == "/dev/fd/*":
            return
        for source in sources:
            if source != resource:
                self.emit("copy", source, resource, flow=flow)
        if is_deferred(resource.path):
            self.put_for_later(resource, sources, edit)
        if resource.kind == "net":
            self.emit("net_send", resource, flow=flow)
        else:
            self.emit(op, resource, edit=edit, attrs=attrs, flow=_REDIRECT if opened else ())

    def put_for_later(self, resource: Resource, sources: Iterable[Resource], edit: Edit | None) -> None:
        """What is written there is run by itself, later, and nobody asks then: a new text, or what some files hold."""
        texts = [edit.text] if edit is not None else []
        for source in sources if edit is None else ():
            data = self.content(source)
            if data is not None and b"\0" not in data:
                texts.append(data.decode("utf-8", "surrogateescape"))
            elif source.path is not None and is_startup(resource.path or "") and self.shell.authored(source.path):
                self.script(source, authored=self.shell.emit.changed(source.path))
        for text in texts:
            self.mention_text(text)
            self.shell.later(self, resource.path or "", text)
        harness = unhooked(resource.path or "", texts, command=self.name, stated=edit is not None)
        if harness is not None:
            self.emit("set_security", at("service", f"hooks:{harness}"), attrs={"verb": "settings leave out"})

    # -- what is not looked into

    def opaque(
        self,
        code: Code = "program",
        *,
        resource: Resource | None = None,
        reason: str = "",
        words: Iterable[Field] | None = None,
        attrs: dict[str, Any] | None = None,
    ) -> Stream:
        """This command does something that is not known: say so, and mention all it names.

        Args:
            code: what kind of code runs.
            resource: the program or script; the command's name if not given.
            reason: why, for people.
            words: the words it gets; all arguments if not given.
            attrs: further facts.
        """
        where = resource if resource is not None else as_code(self.name)
        self.shell.emit.opaque(code, where, spec=self.name, reason=reason, span=self.span, attrs=attrs)
        self.mention_cwd()
        self.mention(self.args if words is None else words)
        self.mention_input()
        return Stream(sources=self.stdin.sources, flow=self.stdin.flow)

    def script(self, resource: Resource, *, authored: bool = False) -> None:
        """A script runs that is not looked into.

        Args:
            resource: the script.
            authored: the session wrote it, or may have; what it wrote before this call the history knows as well.
        """
        attrs = {"authored": True} if authored else None
        self.shell.emit.opaque("script", resource, spec=self.name, span=self.span, attrs=attrs)

    def given_text(self) -> str | None:
        """The input's text, if it is the call's own; what files hold may be private, and is not asked for by name."""
        return self.stdin.text if self.shell.contents.own(self.stdin.sources) else None

    def given_texts(self) -> list[str]:
        """All texts of the call's own that reach the command besides its words."""
        text = self.given_text() if self.stdin.text is not None else None
        given = [*self.stdin.said, *self.shell.handed, *self.shell.exported]
        return given if text is None else [text, *given]

    def mention_input(self) -> None:
        """What comes in is handed to the command: its content, names of files in it, and paths in its text."""
        shell, state = self.shell, self.state
        if self.stdin is SOMETHING and not (state.vars or state.handed or shell.handed or shell.exported):
            return  # so it is of most commands
        for source in (*self.stdin.sources, *self.stdin.names):
            self.emit("mention", source, flow=self.stdin.flow, precision="opaque", may=True)
        for text in self.given_texts():
            self.mention_text(text)
        for source in state.contents():
            self.emit("mention", source, flow=("environment",), precision="opaque", may=True)

    def mention_cwd(self) -> None:
        """The directory the command runs in is within its reach."""
        if self.cwd is not None:
            known = self.cwd.isascii() or is_known(self.cwd)
            here = Resource(kind="dir", path=self.cwd) if known else place(".", self.cwd, kind="dir")
            emit = self.shell.emit
            emit.add("mention", here, spec=self.name, span=self.span, attrs={"cwd": True}, precision="opaque", may=True)
        elif self.shell.start is not None:
            # The command changed into a directory that is not known; a call without a directory says nothing new.
            anywhere = Resource(kind="dir", pattern="**")
            self.emit("mention", anywhere, attrs={"cwd": True}, precision="opaque", may=True)

    def mention(self, words: Iterable[Field]) -> None:
        """Every path that the words may name."""
        seen: set[Resource | str] = set()
        texts: set[str] = set()
        for word in words:
            for source in word.sources:
                if source not in seen:
                    seen.add(source)
                    self.emit("mention", source, flow=("argument",), precision="opaque", may=True)
            if word.glob is not None:
                seen.add(named := self.place(word))
                self.emit("mention", named, precision="opaque", may=True)
                continue
            whole = word.text
            labelled = "//" in whole and is_label(self.name, self.args, word)
            if whole in texts or labelled or (TOP in whole and _is_setting(word, self.args)):
                continue
            texts.add(whole)
            if whole.rstrip("/")[-1:] == "." and is_own_folder(self.name, self.args, word):
                self.mention_cwd()
                continue
            if whole.isalnum():
                self._name_plain(whole, seen)
                continue
            most = MAX_SPELLINGS if len(whole) <= MAX_PLAIN_WORD else MAX_SPELLINGS // 8
            for count, text in enumerate(spellings(whole)):
                # `app:$(git rev-parse HEAD)` names a version; what is wholly unknown, or after `=`, may be a model.
                if text == TOP and ":" in whole and "=" not in whole:
                    continue
                if count >= most:
                    self.shell.emit.opaque(
                        "unparsed", as_code(self.name), spec=self.name, reason="a word of many parts"
                    )
                    break
                self._name(text, seen)
            if whole[:1] == "-" and _CLUSTER.match(whole) is not None:
                self._name_glued(whole, seen)

    def told(self, words: Iterable[Field]) -> None:
        """Paths in parameters for what runs elsewhere or later; a value of which nothing is known is no path."""
        for word in words:
            if is_known(word.text):
                self.mention((word,))
                continue
            for match in _ROOTED.finditer(word.text):
                self.name_text(match[0])

    def _name_plain(self, text: str, seen: set[Resource | str]) -> None:
        """As `_name`, of letters and digits alone: in a directory that is known they are a path as they stand."""
        cwd = self.cwd
        if cwd is None or not cwd.isascii() or len(text) > MAX_NAME:
            self._name(text, seen)
            return
        path = f"{cwd.rstrip('/')}/{text}"
        if path not in seen:
            seen.add(path)
            self.shell.emit.mention(Resource(kind="any", path=path), self.name, self.span)

    def _name_glued(self, word: str, seen: set[Resource | str]) -> None:
        """`-vibeta`: a value that stands behind several letters, if there is a file of that name."""
        for begin in range(3, min(len(word), MAX_LETTERS)):
            path = self.place(Field(text=word[begin:])).path
            if path is not None and self.shell.view.kind(path) is not None:
                self._name(word[begin:], seen)

    def mention_text(self, text: str) -> None:
        """Every path that a piece of code or text may name."""
        seen: set[Resource | str] = set()
        for token in dict.fromkeys(paths_in(text)):
            if token.strip("/*"):  # a slash alone is punctuation, and `/**` begins a comment
                self._name(token, seen)
        if "://" in text:
            for stored in stored_in(text):
                self.emit("mention", stored, precision="opaque", may=True)

    def name_text(self, text: str) -> None:
        """The whole of a text as a path."""
        self._name(text, set())

    def _name(self, text: str, seen: set[Resource | str]) -> None:
        if text == TOP:
            named = Resource(kind="any", pattern="**")
        elif text.strip("-") == "" or "\0" in text or len(text) > MAX_NAME:
            return
        else:
            if text.startswith("/proc/") and (through := _OTHER_ROOT.match(text)) is not None:
                self._name(through[1], seen)  # most processes have the root that everybody has
            if text.startswith("~/"):
                text = self.shell.expand.lookup("HOME", self.state, {})[0] + text[1:]
            star = "*" in text
            deep = star and "**" in text and is_known(text)
            glob = text if (star or "?" in text or "[" in text) and not deep else None
            if deep:  # of a program that knows such patterns: anything below the directories that stand before it
                text = text[: text.rfind("/", 0, len(_BEFORE_WILD.split(text, maxsplit=1)[0])) + 1] or "."
            named = place(text, self.cwd, glob=glob, kind="any", recursive=deep)
            if named.pattern is not None and named.pattern.startswith("**/") and not text.startswith(TOP):
                # In a directory that was never given, only what looks like a path is one: a subcommand is not.
                if self.shell.start is None and not ("/" in text or "." in text.strip(".")):
                    return
                named = Resource(kind="any", pattern="**")
        # Most are plain paths, and to compare those takes less time than to compare all that an address may say.
        key = named.path if named.path is not None and not named.recursive else named
        if key in seen:
            return
        seen.add(key)
        if named.recursive:
            self.emit("mention", named, precision="opaque", may=True)
        else:
            self.shell.emit.mention(named, self.name, self.span)
