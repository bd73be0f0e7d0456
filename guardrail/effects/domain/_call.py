"""One command about to run: its words, where it runs, and how its transfer function says what it does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.domain._emit import Code, Emitter, as_code
from guardrail.effects.domain._paths import STANDARD_OUTPUT, STREAMS, escape, is_descriptor, paths_in, place, spellings
from guardrail.effects.domain._startup import is_deferred, is_startup
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import DEEP, MAX_TEXT, NAME, NUM, SLIM, TOP, Field, Stream, is_known, merge
from guardrail.model import Edit, Kind, Op, Precision, Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


MAX_PLAIN_WORD: Final = 512
"""Longest word that all of those are taken out of, in characters; of a longer one only an eighth."""

_CONFIG_NAME: Final = lazy(
    r"\.(?:ya?ml|json[5c]?|toml|ini|cfg|cnf|conf|config|properties|env|tpl|tmpl|jq|patch|diff|local|override|txt|list|sh|bash|sed|awk)$"
    r"|/\.env[^/]*$|/[^/.]+$"
)
"""Files that may be configs, or say what is done to one."""


_BEFORE_WILD: Final = lazy(r"[*?\[{]")

MAX_NAME: Final = 4096
"""Longest text that can be the path of a file, in characters: Linux's PATH_MAX."""

_SETTING: Final = lazy(
    r"--?(?:(?:max-?|min-?|num-?|n-)?(?:port|jobs|workers|threads|timeout|seed|epochs|batch-?size|lr|fail|durations|retries"
    r"|limit|count|interval|concurrency|parallel|parallelism|shards?|shard-id|processes|numprocesses|steps|replicas|memory"
    r"|cpus|delay|page|per-page|verbosity)|mode|stage|env|environment|host|(?:log-?)?level)|-run"
)
"""Options whose value is a number, or the name of a mode, of an environment or a host; `-run` is a pattern of `go`."""

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


_COPYING: Final = lazy(r"-[fpvnui]+|--(?:force|verbose|no-clobber|update|preserve(?:=[a-z,]+)?)")
_OPENING: Final[Mapping[str, re.Pattern[str] | None]] = {
    "rm": None,
    "tee": None,
    "touch": None,
    "unlink": None,
    "cp": _COPYING,
    "mv": _COPYING,
    "curl": lazy(r"-[fsSLkgO]*o?|--(?:fail|silent|show-error|location|compressed|output|retry|max-time)(?:=\d+)?"),
    "wget": lazy(r"-[qcSN]*O?|-nv|--(?:quiet|no-verbose|show-progress|output-document|tries=\d+|timeout=\d+)"),
    "tar": lazy(r"-?[vzjJhp]*c[vzjJhp]*f|-[Cf]|--(?:exclude=.*|exclude-vcs|zstd|xz|gzip)"),
}
"""Commands that make no directory, whatever their options or with such options alone, and take nothing made of one."""

_BEGUN: Final = lazy(f"([^{TOP}{NUM}]*/|)([^{TOP}{NUM}/~]+){TOP}([^{TOP}{NUM}{SLIM}{DEEP}/][^{TOP}{NUM}/]*|)")
"""A directory, the beginning of a name in it, and how that name ends."""

_CLUSTER: Final = re.compile(r"-[A-Za-z]{2}[\w./~-]")

MAX_LETTERS: Final = 24
"""Most characters of a word of letters among which the value of an option is looked for."""

MAX_BEGUN: Final = 64
"""Most files that begin like a name of which the rest is not known, for each of which it is looked what it is."""

_FOLLOWING: Final = {
    "cp": ("L", ("--dereference",)),
    "rsync": ("L", ("--copy-links", "--copy-unsafe-links", "--copy-dirlinks")),
    "tar": ("h", ("--dereference",)),
    "find": ("L", ("-follow",)),
    "scp": ("", ()),
    "gcp": ("L", ("--dereference",)),
    "gtar": ("h", ("--dereference",)),
    "bsdtar": ("L", ("--dereference",)),
    "gfind": ("L", ("-follow",)),
    "zip": ("", ()),
    "7z": ("", ()),
}
"""Commands that go through symbolic links in a tree: always (no letter), or with this option letter or word."""


class _Doubt:
    """While it is entered, nothing that is said is certain to happen."""

    __slots__ = ("_emit",)

    def __init__(self, emit: Emitter) -> None:
        self._emit = emit

    def __enter__(self) -> None:
        self._emit.maybe += 1

    def __exit__(self, *_: object) -> None:
        self._emit.maybe -= 1


_CERTAIN: Final = nullcontext[None]()


class Call:
    """A command with its arguments.

    Args:
        shell: the interpreter it runs under.
        name: the command, without its directory.
        args: the words after the name.
        state: the shell's state; only builtins may change it.
        cwd: the working directory; None if unknown.
        stdin: what it can read.
        span: where it stands in the text.
    """

    __slots__ = ("args", "cwd", "doubted", "failed", "name", "printed", "shell", "span", "state", "stdin")

    def __init__(
        self,
        shell: Interpreter,
        name: str,
        args: tuple[Field, ...],
        *,
        state: State,
        cwd: str | None,
        stdin: Stream,
        span: tuple[int, int],
    ) -> None:
        self.shell = shell
        self.name = name
        self.args = args
        self.state = state
        self.cwd = cwd
        self.stdin = stdin
        self.span = span
        self.failed: State | None = None  # the state when the command fails, if another one
        self.doubted = False  # a file of a redirection may not open, and then the command does not run
        self.printed: tuple[Resource, ...] = ()  # whose content it wrote to standard output by a name of that

    # -- effects

    def emit(
        self,
        op: Op,
        resource: Resource,
        target: Resource | None = None,
        *,
        attrs: dict[str, Any] | None = None,
        flow: tuple[str, ...] = (),
        precision: Precision | None = None,
        may: bool = False,
        edit: Edit | None = None,
    ) -> None:
        """Add one effect of this command."""
        if resource.recursive and self.follows():
            attrs = {**(attrs or {}), "follows": True}
        if op in ("truncate", "set_times", "set_security"):
            self.shell.emit.reopened(op, resource, spec=self.name, span=self.span)
        self.shell.emit.add(
            op,
            resource,
            target,
            spec=self.name,
            span=self.span,
            attrs=attrs,
            flow=flow,
            precision=precision,
            may=may,
            edit=edit,
        )

    def perhaps(self, doubtful: bool = True) -> AbstractContextManager[None]:
        """What is said inside may not happen, if that is in doubt."""
        return _Doubt(self.shell.emit) if doubtful else _CERTAIN

    def follows(self) -> bool:
        """Whether this command goes through symbolic links that it meets in a tree."""
        if self.name not in _FOLLOWING:
            return False
        letter, words = _FOLLOWING[self.name]
        # An old-style first word of tar has no dash. A letter too many is a question too many, and no leak.
        bundles = [field.text for field in self.args if field.text[:1] == "-" and field.text[:2] != "--"]
        if self.name == "tar" and self.args:
            bundles.append(self.args[0].text)
        named = any(field.text in words or field.text == TOP for field in self.args)
        return named or letter == "" or any(letter in bundle for bundle in bundles)

    def place(self, field: Field, *, kind: Kind = "file", recursive: bool = False, nofollow: bool = False) -> Resource:
        """The address a field stands for."""
        text = self.above_fresh(field.text) if self.shell.emit.fresh and field.glob is None else field.text
        if TOP in text and self._only_opens():
            return self.opened(field, kind=kind, recursive=recursive, nofollow=nofollow)
        return place(text, self.cwd, glob=field.glob, kind=kind, recursive=recursive, nofollow=nofollow)

    def _only_opens(self) -> bool:
        """The command makes no directory of the name that it is given, nor one that leads there."""
        if self.name not in _OPENING:
            return False
        wanted = _OPENING[self.name]
        if wanted is None:
            return True
        # What ran before in this call may have made a directory that begins so.
        if any(effect.op == "exec_opaque" for effect in self.shell.emit.effects):
            return False
        options = [field.text for field in self.args if field.text[:1] == "-" or field.many]
        if self.name == "tar" and self.args and self.args[0].text[:1] != "-":
            options.append(self.args[0].text)
        if not all(map(wanted.fullmatch, options)):
            return False
        # A directory that is moved is one under its new name as well.
        moved = self.args[:-1] if self.name == "mv" else ()
        sources = [
            place(TOP if field.many else field.text, self.cwd, glob=field.glob)
            for field in moved
            if field.text[:1] != "-"
        ]
        return all(source.path is not None and self.kind(source) == "file" for source in sources)

    def is_within_name(self, field: Field) -> bool:
        """What is not known of a file that the command opens is surely a part of its last name."""
        if TOP not in field.text or not self._only_opens():
            return False
        return self.opened(field) != place(field.text, self.cwd, glob=field.glob)

    def opened(self, field: Field, *, kind: Kind = "file", recursive: bool = False, nofollow: bool = False) -> Resource:
        """The address of a regular file that is opened, or removed, and of no directory that is made.

        Where its name begins with something that is known, and nothing there that begins so leads further, what is not
        known of it is within that name: with a slash in it there is no such file.
        """
        plain = place(field.text, self.cwd, glob=field.glob, kind=kind, recursive=recursive, nofollow=nofollow)
        match = _BEGUN.fullmatch(field.text)
        if match is None or field.many or field.glob is not None or not match[2].strip("."):
            return plain
        if match[1][:1] != "/" and (self.cwd is None or not is_known(self.cwd)):
            return plain
        shell = self.shell
        named = f"{match[1]}{match[2]}{NAME}{match[3]}"
        inside = place(named, self.cwd, kind=kind, recursive=recursive, nofollow=nofollow)
        start = "/".join((*((self.cwd or "").rstrip("/"),) * (match[1][:1] != "/"), match[1] + match[2]))
        found = shell.view.glob(f"{escape(start)}*")
        further = found is None or len(found) > MAX_BEGUN or any(shell.view.kind(path) != "file" for path in found)
        # A repository that was made or fetched is none of the session's files, and a directory all the same.
        quiet = {
            effect.resource.path or effect.resource.pattern or "**"
            for effect in shell.emit.effects
            if effect.op in ("create", "write") and effect.resource.recursive
        }
        if further or shell.expand.globs.may_match(f"{escape(start)}*", but=inside.pattern, also=quiet):
            return plain
        return inside

    def above_fresh(self, text: str) -> str:
        """`..` behind a directory that was just made leads to the one that it was made in."""
        full = text if text.startswith("/") or self.cwd is None else f"{self.cwd.rstrip('/')}/{text}"
        for fresh in self.shell.emit.fresh:
            rest = f"{full}/".removeprefix(f"{fresh}/../")
            if len(rest) <= len(full):
                return f"{fresh.rpartition('/')[0]}/{rest}".rstrip("/") or "/"
        return text

    def kind(self, resource: Resource) -> str | None:
        """What is there now, or was made there by this call; None if nothing is, or it is not known."""
        if resource.path is None:
            return None
        shell = self.shell
        if shell.directories and resource.path.rstrip("/") in shell.directories:
            return "dir"
        return shell.view.kind(resource.path)

    def read(self, field: Field, *, reveals: str = "content", recursive: bool = False) -> tuple[Resource, ...]:
        """A file is read; returns whose content that is."""
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
        self.emit("read", resource, attrs={"reveals": reveals})
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
    ) -> None:
        """Something is written, and what flows into it is copied."""
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
            self.emit(op, resource, edit=edit, attrs=attrs)

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
        for source in (*self.stdin.sources, *self.stdin.names):
            self.emit("mention", source, flow=self.stdin.flow, precision="opaque", may=True)
        for text in self.given_texts():
            self.mention_text(text)
        for source in self.state.contents():
            self.emit("mention", source, flow=("environment",), precision="opaque", may=True)

    def mention_cwd(self) -> None:
        """The directory the command runs in is within its reach."""
        if self.cwd is not None:
            vague = not is_known(self.cwd)
            here = place(".", self.cwd, kind="dir") if vague else Resource(kind="dir", path=self.cwd)
            self.emit("mention", here, attrs={"cwd": True}, precision="opaque", may=True)
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
            if whole in texts or (TOP in whole and _is_setting(word, self.args)):
                continue
            texts.add(whole)
            if whole.isalnum():
                self._name(whole, seen)
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

    def name_text(self, text: str) -> None:
        """The whole of a text as a path."""
        self._name(text, set())

    def _name(self, text: str, seen: set[Resource | str]) -> None:
        if text == TOP:
            named = Resource(kind="any", pattern="**")
        elif text.strip("-") == "" or "\0" in text or len(text) > MAX_NAME:
            return
        else:
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
