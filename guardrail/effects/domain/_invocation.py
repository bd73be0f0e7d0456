"""One command about to run: its words, where it runs, and which addresses its words stand for.

Not concerned with what it does there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.domain._paths import escape, place
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import DEEP, NAME, NUM, SLIM, TOP, Field, Stream, is_known
from guardrail.model import Edit, Kind, Op, Precision, Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


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
    **dict.fromkeys(("grep", "egrep", "fgrep", "ggrep"), ("R", ("--dereference-recursive",))),
    **dict.fromkeys(("ugrep", "ug"), ("RS", ("--dereference-recursive", "--dereference", "--dereference-files"))),
    "rg": ("L", ("--follow",)),
    "ag": ("f", ("--follow",)),
    "diff": ("", ()),
}
"""Commands that go through symbolic links in a tree: always (no letter), or with one of these letters or words."""


_REOPENING: Final = frozenset(("truncate", "set_times", "set_security"))
"""Operations that a name of a descriptor passes on to the file that is open there."""


class Invocation:
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

    def _sought(self, attrs: dict[str, Any] | None) -> None:
        """A signal to a number that is not known: it may be of any process that the call asked for by its name."""
        names: dict[str, None] = {}
        for effect in self.shell.emit.effects:
            path = effect.resource.path
            if effect.op == "list" and effect.resource.kind == "process" and effect.resource.uri != "process:*":
                names[str(effect.resource.uri).partition(":")[2]] = None
            elif effect.op == "read" and path is not None and path.endswith(".pid"):
                names[path.rpartition("/")[2].removesuffix(".pid")] = None
        for name in names:
            self.emit("signal", Resource(kind="process", uri=f"process:{name}"), attrs=attrs)

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
        if op == "signal" and resource.uri == "process:*":
            self._sought(attrs)
        if op in _REOPENING:
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

    def follows(self) -> bool:
        """Whether this command goes through symbolic links that it meets in a tree."""
        if self.name not in _FOLLOWING:
            return False
        letters, words = _FOLLOWING[self.name]
        # An old-style first word of tar has no dash. A letter too many is a question too many, and no leak.
        bundles = [field.text for field in self.args if field.text[:1] == "-" and field.text[:2] != "--"]
        if self.name == "tar" and self.args:
            bundles.append(self.args[0].text)
        named = any(field.text in words or field.text == TOP for field in self.args)
        return named or letters == "" or any(letter in bundle for bundle in bundles for letter in letters)

    def place(self, field: Field, *, kind: Kind = "file", recursive: bool = False, nofollow: bool = False) -> Resource:
        """The address a field stands for."""
        text, glob = field.text, field.glob
        if glob is None and self.shell.emit.fresh:
            text = self.above_fresh(text)
        if TOP in text and self._only_opens():
            return self.opened(field, kind=kind, recursive=recursive, nofollow=nofollow)
        return place(text, self.cwd, glob, kind, recursive=recursive, nofollow=nofollow)

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
