"""Interpreters that are neither a shell nor Python: Node, Ruby, Perl and their like, and IPython."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._dialogues import dialogue
from guardrail.effects.code._filters import is_filter, is_given_filter
from guardrail.effects.code._one_liners import one_liner
from guardrail.effects.code._own_files import OwnFiles, named_files, own_files
from guardrail.effects.code._own_options import own_options
from guardrail.effects.code._programs import scripts
from guardrail.effects.code._running import from_stdin, run_script
from guardrail.effects.code._sessions import told
from guardrail.effects.code._starting import analysed, inline
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._ordered import every
from guardrail.effects.domain._values import (
    NOTHING,
    TOP,
    Field,
    Stream,
    merge,
)
from guardrail.model import Resource
from guardrail.patterns import lazy

_SHORT_VERSION = lazy(r"(?:perl|ruby|php|node|nodejs|lua|luajit|julia|deno|bun)[0-9.]*")


def other(call: Call) -> Stream:
    args = call.args
    plain: tuple[str, ...] = ("--version", "--help")
    if _SHORT_VERSION.fullmatch(call.name):
        plain = ("--version", "--help", "-v", "-V", "-h")  # of shells, `-v` is another thing
    if args and all(field.text in plain for field in args):
        return NOTHING
    spoken = dialogue(call) if call.name == "expect" else None
    if spoken is not None:
        return spoken
    if not args:
        return from_stdin(call, f"{call.name} takes its code from its input")
    asked = _ipython(call) if call.name in ("ipython", "ipython3") else told(call)
    if asked is not None:
        return asked
    args = call.args = own_options(call)
    first = args[0]
    if call.name == "erb" and first.text[:1] != "-":
        return _templates(call, [field for field in args if not _GIVEN.fullmatch(field.text)])
    if first.known and not first.text.startswith(("-", "+")) and call.name not in ("deno", "bun", "gdb", "lldb", "R"):
        return run_script(call, "other", first, args[1:])
    started = _started_file(call) if call.name in _TOOLS else None
    if started is not None:
        return run_script(call, "other", *started)
    known = _project_tool(call)
    known = one_liner(call) if known is None else known
    known = is_filter(call) if known is None else known
    known = is_given_filter(call) if known is None and first.text == "-" else known
    return known if known is not None else inline(call, f"{call.name} code")


_GIVEN: Final = lazy(r"[A-Za-z_]\w*=.*", re.DOTALL)


def _templates(call: Call, files: Sequence[Field]) -> Stream:
    """`erb NAME=VALUE FILE…`: the code in templates runs, and the rest of their text is printed."""
    if not files:
        return from_stdin(call, "erb takes its code from its input")
    out = run_script(call, "other", files[0], files[1:])
    sources = out.sources
    for field in files:
        sources = merge(sources, call.read(field))
    return Stream(sources=sources, flow=out.flow)


_MAGIC: Final = frozenset(
    "cat cd cp ldir less lf lk ll ls lx man mkdir more mv rm rmdir run edit ed load loadpy sx sc system bash sh script "
    "writefile save store macro alias unalias env set_env bookmark pushd popd reset rerun recall notebook logstart "
    "pip conda mamba micromamba uv pdb debug prun time timeit exec".split()
)
"""Words that IPython may take for commands of its own where Python would take them for names."""
_ESCAPED: Final = lazy(r"\?\s*$|=\s*[!%]", re.MULTILINE)
"""What only IPython understands, at the end of a line or after a name."""
_PYTHON_LINE: Final = lazy(
    r"\s*(?:#.*|(?:import|from|for|while|if|elif|with|def|class|return|assert|raise|del|async|lambda|not|await)\b.*"
    r"|(?:else|try|finally|pass|break|continue)\b.*|except\b.*|@\w.*|(?P<name>[A-Za-z_]\w*)(?:[.(\[]|\s*[-+*/|&]?=(?!\s*[!%])).*"
    r"|[)\]}\"'\d].*|)"
)
"""A line that IPython gives to Python as it stands."""


def _ipython(call: Call) -> Stream | None:
    """`ipython -c CODE` of nothing but Python; None for anything else."""
    args = call.args
    if (
        len(args) != 2
        or args[0].text != "-c"
        or not args[1].known
        or re.search(r"\?\s*$|=\s*[!%]", args[1].text, re.MULTILINE)
    ):
        return None
    for line in args[1].text.split("\n"):
        match = _PYTHON_LINE.fullmatch(line)
        if match is None or match["name"] in _MAGIC:
            return None
    return analysed(call, args[1].text, [Field(text="-c")])


_NODE_TEST: Final = lazy(r"(?:.*/test/.*|.*/(?:test|test-[^/]*|[^/]*[._-]test))\.(?:[cm]?[jt]s)")
"""Files that `node --test` runs without being told."""


def _node_tests(call: Call) -> Stream | None:
    """`node --test [FILE…]`: the tests of the project, and of them those that the session wrote, as scripts."""
    args = call.args[1:]
    if any(field.many or (field.glob is None and not field.known) for field in args):
        return None
    files = [field for field in args if field.text[:1] != "-"]
    patterns = [call.place(field) for field in files]
    own = named_files(call)
    if own_files(call) is None:
        call.opaque("program", reason="any test may be the session's", attrs={"authored": True})
    for path in _meant(call, own, patterns) if own is not None else ():
        # Of a directory the files are run, and not what it means as a module.
        if own is not None and own.any_below(path) and call.shell.view.kind(path) in (None, "dir"):
            continue
        with call.perhaps():
            run_script(call, "other", Field(text=path, span=call.span), ())
    # Last, as by then nothing is known of the files any more.
    return call.opaque("program", reason="the tests of the project")


def _is_node_test(path: str) -> bool:
    return _NODE_TEST.fullmatch(path) is not None


def _meant(call: Call, own: OwnFiles, places: Sequence[Resource]) -> list[str]:
    """Files of the session that are named, fit a pattern, or lie in a directory; without any, those that it finds."""
    if not places:
        return own.chosen(_is_node_test)
    identity = call.shell.view.identity
    found: set[str] = set()
    for place in places:
        if place.path is None:
            found.update(path for path in own.chosen(every) if fnmatch.fnmatchcase(path, place.pattern or "*"))
            continue
        there = {posixpath.normpath(place.path), identity(place.path)}
        found.update(own.below(there), (path for path in there if path in own))
        if identity(place.path)[:1] != "/":
            # It has several names, of which the session may have written another one.
            found.update(path for path in own.chosen(every) if identity(path) in there)
    return sorted(found)


_TOOLS: Final = {
    "bun": frozenset("install i add remove rm run test build update outdated pm link init create upgrade x".split()),
    "deno": frozenset("fmt lint test check cache task info types doc bench add remove install outdated".split()),
}
"""What package managers and builders do that is no code of the command line."""

_RUN_FLAG: Final = lazy(
    r"-[AqrRWNESI]+|--(?:allow|deny)-[a-z]+(?:=.*)?|--no-[a-z-]+|--unstable[a-z-]*|--quiet|--check|--cached-only|--reload"
    r"|--(?:watch|hot|smol|bun|silent)"
)
"""Options of `deno run` and `bun run` that say what a script may do, and nothing of what runs."""

_SCRIPT_FILE: Final = lazy(r"(?![a-z]+:)[^-].*\.[cm]?[jt]sx?")


def _started_file(call: Call) -> tuple[Field, Sequence[Field]] | None:
    """The file that `deno run` or `bun` runs, and its arguments; None for anything else."""
    words = list(call.args)
    while len(words) > 1 and words[0].known and _RUN_FLAG.fullmatch(words[0].text):
        words.pop(0)
    if words[0].text == "run":
        words.pop(0)
    while words and words[0].known and _RUN_FLAG.fullmatch(words[0].text):
        words.pop(0)
    found = bool(words) and words[0].known and _SCRIPT_FILE.fullmatch(words[0].text) is not None
    return (words[0], words[1:]) if found else None


_LOOKS: Final = {
    "node": ("--check", "-c"),
    "nodejs": ("--check", "-c"),
    "php": ("-l", "--syntax-check"),
    "ruby": ("-c", "-wc"),
}
"""Options with which a file is only parsed."""


def _package(words: Sequence[Field]) -> list[Field]:
    """`npm:NAME[@VERSION] ARGUMENTS…`, as `npx` has them; empty for anything else."""
    rest = list(words)
    while rest and rest[0].known and _RUN_FLAG.fullmatch(rest[0].text):
        rest.pop(0)
    if not rest or not rest[0].known or not rest[0].text.startswith("npm:"):
        return []
    return [Field(text=rest[0].text.removeprefix("npm:"), span=rest[0].span), *rest[1:]]


def _bundled(call: Call, words: Sequence[Field]) -> Stream | None:
    """`deno compile -o PROGRAM FILE`: a program of the session's, as the file is; None where more is asked."""
    rest = list(words)
    target: Field | None = None
    while rest and rest[0].known and (_RUN_FLAG.fullmatch(rest[0].text) or rest[0].text in ("-o", "--output")):
        target = rest[1] if rest[0].text in ("-o", "--output") and len(rest) > 1 else target
        del rest[: 2 if rest[0].text in ("-o", "--output") else 1]
    if target is None or not rest or not _SCRIPT_FILE.fullmatch(rest[0].text) or not target.known:
        return None
    call.put("write", call.place(target), call.read(rest[0]))
    return call.opaque("program", words=rest)


_R_PACKAGES: Final = frozenset(("check", "build", "INSTALL", "Rd2pdf"))
"""What R does with a package, which is code of the project."""


def _project_tool(call: Call) -> Stream | None:
    """An interpreter that is asked to install, to build, to test, or to look at a file; None for anything else."""
    args = call.args
    if args[0].text == "--test" and call.name in ("node", "nodejs"):
        return _node_tests(call)
    words = [field.text for field in args]
    if call.name == "deno" and words[0] == "run" and (package := _package(args[1:])):
        return call.shell.again(call, (Field(text="npx"), *package), external=True)
    if call.name == "deno" and words[0] == "compile":
        return _bundled(call, args[1:])
    if call.name == "deno" and words[0] == "eval" and len(args) == 2:
        return is_filter(
            call.shell.call("node", (Field(text="-e"), args[1]), call.state, call.cwd, call.stdin, call.span)
        )
    if call.name == "R" and words[0] == "CMD" and words[1:2] and words[1] in _R_PACKAGES:
        return call.opaque("program", words=args[2:])
    looks = len(words) == 2 and words[0] in _LOOKS.get(call.name, ())
    if looks and words[1][:1] not in ("-", TOP, "") and not args[1].many:
        return Stream(sources=call.read(args[1], reveals="some"))
    if not all(field.known for field in args) and call.name not in _TOOLS:
        return None
    if call.name in _TOOLS and words[0] in _TOOLS[call.name] and args[0].known:
        out = call.opaque("program")
        scripts(call, args[1:])
        return out
    return None
