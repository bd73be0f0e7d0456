"""find and xargs: commands that run others on names that are not in the text."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._text import split_words
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import NOTHING, PATH, TOP, Field, Stream, merge, words_listed
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_RUNS: Final = 64
"""Most commands of one `xargs` that are looked into one by one."""

_ALONE: Final = frozenset(
    "-print -print0 -ls -prune -quit -depth -d -mount -xdev -daystart -follow -noleaf -true -false -empty -readable "
    "-writable -executable -nouser -nogroup -o -or -a -and -not ! ( ) , -ignore_readdir_race -nowarn -warn".split()
)
_WITH_TEXT: Final = frozenset(
    "-name -iname -path -ipath -wholename -iwholename -regex -iregex -regextype -type -xtype -size -mtime -atime "
    "-ctime -mmin -amin -cmin -newermt -newerat -newerct -maxdepth -mindepth -user -group -uid -gid -perm -links -inum "
    "-fstype -lname -ilname -printf -used -context".split()
)
_WITH_FILE: Final = frozenset("-newer -anewer -cnewer -samefile -files0-from".split())
_WRITING: Final = {"-fprint": 1, "-fprint0": 1, "-fls": 1, "-fprintf": 2}
_BRANCHING: Final = frozenset(("-o", "-or", "!", "-not", "(", ")", ","))
_PLAIN: Final = lazy(r"[\w.-]*")
_VERBATIM: Final = frozenset(
    "basename black cat chattr chgrp chmod chown clang-format cmp cp cut dirname du egrep fgrep file gofmt grep gzip "
    "head isort ln ls md5sum mkdir mv nl prettier readlink realpath rm rmdir ruff rustfmt sed sha1sum sha256sum "
    "sha512sum shred sort stat strings strip tail touch truncate unlink wc xxd".split()
)
"""Programs that take each argument as it is, and hand none to a shell that would make several words of it."""

_RENAMING: Final = frozenset(("mv", "cp", "ln", "rename"))
"""Programs after which something that was there has another name."""

MAX_THERE: Final = 16
"""Most names that are there which such a program is run on one by one."""

_RUNNING: Final = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def find(call: Call, _parsed: Parsed) -> Stream:
    """`find`: lists below its roots; `-delete` deletes, `-exec` is opaque and names the roots."""
    args = list(call.args)
    while (args and args[0].text in ("-H", "-L", "-P")) or (args and args[0].text.startswith(("-O", "-D"))):
        option = args.pop(0)
        if option.text == "-D" and args:
            args.pop(0)
    roots: list[Field] = []
    while args and not args[0].text.startswith("-") and args[0].text not in ("(", "!", ")", ","):
        roots.append(args.pop(0))
    roots = roots or [Field(text=".")]
    for root in roots:
        call.emit("list", call.place(root, kind="dir", recursive=True))
    if any(root.many or root.text.startswith(TOP) for root in roots):
        call.opaque("dynamic", resource=call.place(roots[0]), reason="a root may be an action")
    names = _expression(call, args, roots)
    sources = tuple(source for field in call.args for source in field.sources)
    return Stream(
        names=tuple(call.place(root, kind="dir", recursive=True) for root in roots),
        sources=sources,
        listed=names.listed(call) if names is not None else (),
    )


class _Names:
    """Which of the names below its roots a search goes on with, as far as its tests have been read.

    Args:
        roots: where it begins.
        follows: it goes through symbolic links.
    """

    __slots__ = ("branched", "filtered", "follows", "pattern", "roots")

    def __init__(self, roots: list[Field], *, follows: bool) -> None:
        self.roots = roots
        self.follows = follows
        self.pattern: str | None = None  # the one `-name` that all of them match
        self.filtered = False  # tests that are not looked into
        self.branched = False  # a test may be one that names need not pass

    def tested(self, test: str, value: Field) -> None:
        """A test that some names do not pass."""
        if test in ("-printf", "-maxdepth", "-mindepth", "-regextype", "-type"):
            return
        known = value.known or (value.glob is not None and TOP not in value.text)
        # What passes several tests passes this one.
        if test == "-name" and known and self.pattern is None and not self.branched:
            self.pattern = value.text
        else:
            self.filtered = True

    def fields(self, call: Call, root: Field, *, verbatim: bool) -> Iterator[Field]:
        """What a command is run on below one root: the root itself unless it is known to be a directory.

        Args:
            call: the search.
            root: where it begins.
            verbatim: the command takes each name as it is; one that is cut at a blank could be any path.
        """
        # Every name begins with its root, so none is taken for an option.
        base = root.text.rstrip("/") if root.known else TOP
        if self.follows:
            # Through links a name leads out of the tree.
            yield from (root,) if root.known else ()
            yield Field(text=f"{base}/{TOP}" if root.known else TOP)
            return
        below = PATH if verbatim or self._plain(call, root) else TOP
        if self.pattern is None:
            if root.known and call.kind(call.place(root)) != "dir":
                yield root
            yield Field(text=f"{base}/{below}" if root.known else TOP)
            return
        if root.known and fnmatch.fnmatchcase(posixpath.basename(base), self.pattern):
            yield root
        ending = self.pattern.lstrip("*")
        if root.known:
            yield Field(text=f"{base}/{below}{ending if _PLAIN.fullmatch(ending) else ''}")
        else:
            yield Field(text=f"{base}/{TOP}", glob=f"**{ending}")

    def listed(self, call: Call) -> tuple[str, ...]:
        """What each line that is printed is one of; () where one may be anything, as a name may hold a line's end."""
        fields = [field for root in self.roots for field in self.fields(call, root, verbatim=False)]
        known = not self.branched and all(field.text.replace(PATH, "").isprintable() for field in fields)
        plain = known and all(self._plain(call, root) for root in self.roots if root.known)
        return tuple(field.text for field in fields) if plain and all(root.known for root in self.roots) else ()

    def there(self, call: Call, root: Field) -> Iterator[Field]:
        """Names that are there now and are known whole, near the root: one may be a link, which is what it leads to.

        Args:
            call: the search.
            root: where it begins.
        """
        path = call.place(root).path if root.known else None
        if path is None or self.pattern is None or not _PLAIN.fullmatch(self.pattern):
            return
        base = escape(path.rstrip("/"))
        found = [call.shell.view.glob(f"{base}/{between}{self.pattern}") or () for between in ("", "*/", "*/*/")]
        for name in itertools.islice(itertools.chain.from_iterable(found), MAX_THERE):
            yield Field(text=name)

    @staticmethod
    def _plain(call: Call, root: Field) -> bool:
        path = call.place(root).path if root.known else None
        return path is not None and call.shell.expand.globs.plain(path)


def _expression(call: Call, args: list[Field], roots: list[Field]) -> _Names | None:
    """The tests and actions, one by one; returns the names that are printed, None if others may be."""
    others = False
    names = _Names(roots, follows=call.follows())
    while args:
        text = args.pop(0).text
        if text in _ALONE:
            others = others or text == "-ls"
            if text in _BRANCHING:
                names.pattern, names.filtered, names.branched = None, True, True
            continue
        if text in _WITH_TEXT and args:
            others = others or text == "-printf"
            names.tested(text, args.pop(0))
        elif text in _WITH_FILE and args:
            _with_file(call, text, args.pop(0), roots)
        elif text in _WRITING and len(args) >= _WRITING[text]:
            call.put("write", call.place(args.pop(0)), ())
            args = args[_WRITING[text] - 1 :]
        elif text == "-delete":
            _deleted(call, names)
        elif text in _RUNNING:
            others = True
            end = next((i for i, f in enumerate(args) if f.text == ";" or f.text == "+"), len(args))
            _run_on_names(call, args[:end], names, inside=text.endswith("dir"))
            args = args[end + 1 :]
        else:
            call.opaque("program", reason="an expression of find that is not known")
            _mention_roots(call, roots)
            return None
    return None if others else names


def _deleted(call: Call, names: _Names) -> None:
    """Of a directory only what is empty goes: with a `-name` just what is called so, else all below the roots."""
    vague = names.filtered or names.pattern is not None
    entered = names.follows or any(field.text == "-H" for field in call.args)
    for root in names.roots:
        path = call.place(root).path
        if names.pattern is not None and not names.follows and path is not None:
            for name in names.fields(call, root, verbatim=True):
                call.emit("delete", call.place(name, nofollow=True), may=True, precision="opaque" if vague else None)
        else:
            place = call.place(root, kind="dir", recursive=True, nofollow=not entered)
            call.emit("delete", place, may=True, precision="opaque" if vague else None)


def _with_file(call: Call, text: str, named: Field, roots: list[Field]) -> None:
    other = call.place(named)
    call.emit("list", other)
    if text == "-files0-from":
        call.read(named, reveals="some")
        roots.extend(call.listed(named, "\0"))
    if text == "-samefile":
        call.emit("mention", other, precision="opaque", may=True)  # every name of it is meant


def _run_on_names(call: Call, command: list[Field], names: _Names, *, inside: bool) -> None:
    """What `-exec` runs, on every name that the tests before it let through."""
    if not command:
        return
    mark = len(call.shell.emit.effects)
    verbatim = call.state.path == () and command[0].known and command[0].text in _VERBATIM
    with call.perhaps():
        for root in names.roots:
            there = names.there(call, root) if command[0].text in _RENAMING and not inside else ()
            for name in itertools.chain(names.fields(call, root, verbatim=verbatim), there):
                vector = tuple(_named(field, name, inside=inside) for field in command)
                call.shell.again(call, vector, external=True, cwd=None if inside else call.cwd, stdin=NOTHING)
    effects = call.shell.emit.effects
    if names.filtered:
        # Tests leave names out that the pattern covers: whether an asset is among them is a question.
        for index in range(mark, len(effects)):
            if effects[index].precision == "pattern":
                effects[index] = msgspec.structs.replace(effects[index], precision="opaque")


def _named(field: Field, name: Field, *, inside: bool) -> Field:
    if "{}" not in field.text:
        return field
    if field.text == "{}" and not inside:
        return Field(text=name.text, glob=name.glob, sources=field.sources, span=field.span)
    return Field(text=field.text.replace("{}", TOP if inside else name.text), sources=field.sources, span=field.span)


def _mention_roots(call: Call, roots: list[Field]) -> None:
    for root in roots:
        place = call.place(root, kind="dir", recursive=True)
        call.emit("mention", place, precision="opaque", may=True)


def xargs(call: Call, parsed: Parsed) -> Stream:
    """`xargs COMMAND`: the command with words from its input, which are unknown unless the input is known."""
    command = tuple(parsed.operands)
    listed = parsed.value("--arg-file")
    taken: tuple[Resource, ...] = ()
    text = call.stdin.text
    if listed is not None:
        taken = call.read(listed, reveals="some")
        names = call.listed(listed)
        text = None if any(not field.known for field in names) else "\n".join(field.text for field in names)
    sources = merge(call.stdin.sources, taken)
    if not command:
        return _echoed(text, parsed, Stream(sources=sources, flow=call.stdin.flow))
    if parsed.has("--verbose"):
        call.shell.divert(sources)
    marker = parsed.value("-I") or parsed.value("-i")
    mark = marker.text if marker is not None else "{}" if parsed.has("-I", "-i") else None
    words = _words(text, parsed, by_line=mark is not None, sources=sources) if text is not None else None
    vectors: list[tuple[Field, ...]]
    if mark is not None:
        listing = _lines(call, parsed) if text is None else ()
        some = [Field(text=one, sources=sources) for one in listing]
        given = words if words and len(words) <= MAX_RUNS else some or [Field(text=TOP, sources=sources)]
        inert = _is_inert(call)
        vectors = [_vector(command, mark, one, inert=inert) for one in given]
    elif words is None:
        named = words_listed(call.stdin) if listed is None and _lines(call, parsed) else None
        more = named if named is not None else [Field(text=TOP, many=True)]
        single = parsed.value("--max-args")
        if (
            named is not None
            and single is not None
            and single.text == "1"
            and not parsed.has("--max-lines", "-L", "-l")
        ):
            # One word each time, or none if there are no lines at all.
            more = [msgspec.structs.replace(field, many=False, sources=sources) for field in named]
            vectors = [command, *((*command, field) for field in more)]
        else:
            vectors = [(*command, *(msgspec.structs.replace(field, sources=sources) for field in more))]
    else:
        vectors = [(*command, *some) for some in _batches(words, parsed, sources)]
    with call.perhaps():
        outputs = [call.shell.again(call, vector, external=True, stdin=NOTHING) for vector in vectors]
    if len(outputs) == 1:
        return outputs[0]
    return Stream(sources=merge(sources, tuple(source for out in outputs for source in out.sources)))


def _lines(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """What its words are one of where they are lines of which something is known; without a delimiter none is empty."""
    listed = call.stdin.listed
    delimiter = parsed.value("--delimiter")
    if delimiter is not None:
        # Any other cuts names into pieces, which may begin with a dash.
        return listed if delimiter.text in ("\\n", "\n") else ()
    return listed if parsed.has("--null") else tuple(text for text in listed if text)


def _echoed(text: str | None, parsed: Parsed, out: Stream) -> Stream:
    """`xargs` alone, which prints the words in one line."""
    plain = text is not None and not parsed.values and parsed.flags <= {"--no-run-if-empty", "-r"}
    words = _words(text, parsed, by_line=False, sources=()) if plain and text is not None else None
    line = " ".join(field.text for field in words or ())
    known = words is not None and len(line) < MAX_ECHOED and "\\" not in line
    return msgspec.structs.replace(out, text=f"{line}\n") if known else out


MAX_ECHOED: Final = 4096
"""Longest line that is followed, in characters; a longer one may be broken."""


def _words(text: str, parsed: Parsed, *, by_line: bool, sources: tuple[Resource, ...]) -> list[Field] | None:
    """The words that `xargs` takes out of a text; None where that is intricate."""
    delimiter = parsed.value("--delimiter")
    if parsed.has("--eof", "-E", "-e"):
        return None
    if parsed.has("--null") or (delimiter is not None and delimiter.text in ("\\n", "\n", "\\0", ",", ":", ";")):
        mark = (
            "\0"
            if parsed.has("--null")
            else {"\\n": "\n", "\\0": "\0"}.get(delimiter.text, delimiter.text)
            if delimiter
            else "\0"
        )
        pieces = text.split(mark)
        return [Field(text=piece, sources=sources) for piece in (pieces[:-1] if pieces[-1] == "" else pieces)]
    if delimiter is not None or "\0" in text:
        return None
    if by_line:
        plain = not any(char in text for char in "'\"\\")
        return (
            [Field(text=line.lstrip(), sources=sources) for line in text.splitlines() if line.strip()]
            if plain
            else None
        )
    words = split_words(text)
    return None if words is None else [Field(text=field.text, sources=sources) for field in words]


def _batches(words: list[Field], parsed: Parsed, sources: tuple[Resource, ...]) -> list[list[Field]]:
    """The words of each command that is run."""
    size = parsed.value("--max-args")
    if parsed.has("--max-lines", "-L", "-l") or (size is not None and not size.text.isdecimal()):
        return [[Field(text=TOP, many=True, sources=sources)]]
    if size is None or int(size.text) >= len(words) or int(size.text) == 0:
        return [words]
    count = int(size.text)
    if len(words) > count * MAX_RUNS:
        return [[Field(text=TOP, many=True, sources=sources)]]
    return [words[i : i + count] for i in range(0, len(words), count)]


def _is_inert(call: Call) -> bool:
    """The names that come in hold nothing that a shell reads otherwise, and this call made none."""
    if call.stdin.inert and not call.shell.emit.made:
        return True
    paths = [place.path for place in call.stdin.names]
    known = bool(paths) and not call.shell.emit.made
    return known and all(path is not None and call.shell.view.inert(path) for path in paths)


def _vector(command: tuple[Field, ...], mark: str, one: Field, *, inert: bool) -> tuple[Field, ...]:
    """The command with a word in place of the mark.

    What is put into the text of a shell is a part of that text. A name of which nothing is known but that it holds
    nothing which a shell reads otherwise is what a parameter of the shell would be there.
    """
    words = [field.text for field in command]
    if not inert or one.known or PATH not in one.text or TOP in one.text.replace(PATH, "") or len(words) != 3:
        return tuple(_replaced(field, mark, one) for field in command)
    shell = words[0].rpartition("/")[2] in ("sh", "bash", "dash") and words[1] == "-c" and command[2].known
    if not shell or mark not in words[2] or "'" in words[2] or re.search(r"\$[{]?[\d@*#]", words[2]) is not None:
        return tuple(_replaced(field, mark, one) for field in command)
    text = msgspec.structs.replace(command[2], text=words[2].replace(mark, "${1}"))
    return (*command[:2], text, command[0], one)


def _replaced(field: Field, mark: str, one: Field) -> Field:
    if mark not in field.text:
        return field
    return Field(text=field.text.replace(mark, one.text), sources=one.sources, span=field.span)


FAMILIES: Final[Mapping[str, Family]] = {
    "find": find,
    "xargs": xargs,
}
"""What `code` of a spec may say, for this module."""
