"""Names that commands print: of which files they are, as far as the words of the command say.

Not concerned with what the names are then used for. What a lister gives exists, so its names have no `..` in them;
that they are plain words is looked up, because a name with a blank or a dash in it would be something else.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._git_index import names_are_words
from guardrail.effects.commands._git_repo import plainly
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import (
    DEEP,
    FIRM,
    MAX_ALTERNATIVES,
    NAME,
    NUM,
    PATH,
    REF,
    SLIM,
    TOKEN,
    TOP,
    Field,
    Stream,
    is_known,
)
from guardrail.effects.shell._revisions import REFS, refs
from guardrail.effects.shell._told import PROCESSES, TELLERS, note_sought, table_of
from guardrail.parse.ir import Script, Simple
from guardrail.patterns import lazy

MAX_LISTED: Final = 8
"""Most kinds of names that one output may have; beyond it they are not known."""

_ROOT: Final = lazy(r"[\w./@%+,=-]+")
_WILD: Final = lazy(r"[*?]+|\[[^\]/]+\]")
_MAKES_DASH: Final = lazy(rf"(?:^|/)(?:-|[*?\[{TOP}{NUM}])|\*\*")


def one_of(listed: Sequence[str]) -> str:
    """One text for any of those that an output may be."""
    if len(listed) == 1:
        return listed[0]
    deep = [text.removesuffix(f"/{PATH}") for text in listed if text.endswith(f"/{PATH}")]
    if len(deep) == 1 and all(text in (deep[0], f"{deep[0]}/{PATH}") for text in listed):
        return f"{deep[0]}/{PATH}"
    names = all(
        "/" not in text and DEEP not in text and text[:1] not in ("-", "") and ".." not in text for text in listed
    )
    return NAME if listed and names else TOP


Lister = Callable[[Call, Parsed], tuple[str, ...]]
"""What every line of a command's output is one of; `()` if that is not known."""


def pattern_text(glob: str) -> str | None:
    """A glob as a text with NAME in it; None if it is more than wildcards within names."""
    if "**" in glob or not is_known(glob) or "\\" in glob:
        return None
    text = _WILD.sub(NAME, glob)
    return None if "[" in text else text


def named_texts(fields: Sequence[Field]) -> tuple[str, ...]:
    """What each word of a list is whose length is not known; `()` if it may be anything."""
    texts: list[str] = []
    for field in fields:
        text = field.text if field.known or field.named else None
        if field.glob is not None:
            text = pattern_text(field.glob) if field.named or field.glob[:1] not in ("*", "?", "[") else None
        if text is None:
            return ()
        texts.append(text)
    found = tuple(dict.fromkeys(texts))
    return found if len(found) <= MAX_ALTERNATIVES else ()


def undashed_made(call_made: Sequence[str] | set[str]) -> bool:
    """Nothing that this call made can be a name that begins with a dash."""
    return not any(_MAKES_DASH.search(path) for path in call_made)


def _below(call: Call, roots: Sequence[Field]) -> tuple[str, ...]:
    """Names below some directories, and the directories themselves."""
    found: list[str] = []
    for root in roots:
        place = call.place(root, kind="dir")
        if not root.known or not _ROOT.fullmatch(root.text) or root.text[0] == "-" or place.path is None:
            return ()
        if not _plain(call, place.path):
            return ()
        found.append(f"{root.text.rstrip('/') or ''}/{PATH}")
    return tuple(dict.fromkeys(found)) if len(found) <= MAX_LISTED else ()


def _plain(call: Call, path: str) -> bool:
    made = undashed_made(call.shell.emit.made) and not any(re.search(r"\s", one) for one in call.shell.emit.made)
    return made and call.shell.expand.globs.plain(path)


def _here(call: Call) -> tuple[str, ...]:
    """Names below the working directory, without it in front of them."""
    known = call.cwd is not None and is_known(call.cwd) and _plain(call, call.cwd)
    return (PATH,) if known else ()


def _find(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    words = list(call.args)
    if words and words[0].text[:2] in ("-H", "-L", "-P", "-O", "-D"):
        return ()
    roots: list[Field] = []
    while words and words[0].text[:1] not in ("-", "(", "!", ""):
        roots.append(words.pop(0))
    rest = [field.text for field in words]
    if any(not field.known and field.glob is None for field in words):
        return ()
    other = ("-printf", "-fprint", "-ls", "-exec", "-execdir", "-ok", "-okdir", "-L", "-follow", "-files0-from")
    if any(text.startswith(other) for text in rest):
        return ()
    below = _below(call, roots or [Field(text=".")])
    names = [rest[i + 1] for i, text in enumerate(rest[:-1]) if text in ("-name", "-iname")]
    ending = _ENDING.fullmatch(names[0]) if len(names) == 1 and _BRANCHING.isdisjoint(rest) else None
    if ending is None or "-iname" in rest:
        return below
    # The root itself may be among them, where it is called so.
    return tuple(text + ending[1] for text in below) if not _itself(call, roots, names[0]) else below


_ENDING: Final = lazy(r"\*?([\w.-]+)")
_BRANCHING: Final = frozenset(("-o", "-or", "!", "-not", "(", ")", ","))


def _itself(call: Call, roots: Sequence[Field], pattern: str) -> bool:
    bases = [posixpath.basename(posixpath.normpath(call.place(root).path or "/")) for root in roots]
    return any(fnmatch.fnmatchcase(base, pattern) for base in bases)


def _grep(call: Call, parsed: Parsed) -> tuple[str, ...]:
    if parsed.has("--count", "-c") or any(_ONLY.match(field.text) for field in call.args):
        return (NUM,) if _counts(call, parsed) else ()
    if not parsed.has("--files-with-matches", "--files-without-match", "-l", "-L", "--files"):
        return ()
    files = parsed.operands if parsed.has("--regexp", "--file", "--files") else parsed.operands[1:]
    deep = call.name in _DEEP or parsed.has("--recursive", "--dereference-recursive")
    if files:
        return _below(call, files) if deep else _operands(files)
    return _here(call) if deep else ()


def _counts(call: Call, parsed: Parsed) -> bool:
    """`grep -c` and `grep -o '[0-9]*'` of one file alone, or of what comes in: nothing but numbers is printed."""
    words = [field.text for field in call.args if field.text[:1] == "-"]
    named = any(re.match(r"--(?:wi|nu|de|re|li|by|col|inc|exc)|-[a-zA-Z]*[HrRnbZABC]", word) for word in words)
    single = len(parsed.operands) < 3 and not any(field.many or field.glob is not None for field in call.args)
    if named or not single or call.name in _DEEP or parsed.has("--regexp", "--file") or not parsed.operands:
        return False
    return parsed.has("--count", "-c") or _DIGITS.fullmatch(parsed.operands[0].text) is not None


_DEEP: Final = ("rg", "ag", "ack")
"""Searches that go through a tree without being told to."""

_ONLY: Final = lazy(r"--only-matching|-[a-zA-Z]*o")
_DIGITS: Final = lazy(r"\^?(?:\[0-9\]|\[\[:digit:\]\])[+*]\$?")


def _operands(files: Sequence[Field]) -> tuple[str, ...]:
    """Names that are the words themselves: for many of them, the directories that they are in."""
    texts: list[str] = []
    for field in files:
        text = field.text if field.known else pattern_text(field.glob) if field.glob is not None else None
        if text is None or text[:1] in ("-", "") or (SLIM not in text and not _ROOT.fullmatch(text)):
            return ()
        texts.append(text)
    if len(texts) > MAX_LISTED:
        name = NAME if any(SLIM in text for text in texts) else TOKEN
        texts = [re.sub(r"[^/]+$", name, text) for text in texts]
    found = tuple(dict.fromkeys(texts))
    return found if len(found) <= MAX_LISTED else ()


_LS_PLAIN: Final = lazy(r"-[1trSAdUXvcu]+|--(?:reverse|almost-all|directory|sort=\w+|color=never|)")
"""Options of `ls` with which it prints names and nothing else."""


_FD_OTHER: Final = lazy(
    r"-[a-zA-Z0-9]*[xXLlaCcq]|--(?:exec|follow|list|absolute|base|search|format|path-sep|quiet|color|gen|hyper|help|version)"
)
"""Options of `fd` with which it runs something, goes elsewhere, or prints more than names."""


def _fd(call: Call, parsed: Parsed) -> tuple[str, ...]:
    if any(_FD_OTHER.match(field.text) or (field.many and not field.known) for field in call.args):
        return ()
    roots = parsed.operands[1:]
    return _below(call, roots) if roots else _here(call)


def _unformatted(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    """Formatters that list the files they would change: those they are given, and what is below the directories."""
    options = [field.text for field in call.args if field.text[:1] == "-"]
    listing = options and all(option in ("-l", "-s", "--list", "--simplify", "--list-different") for option in options)
    files = [field for field in call.args if field.text[:1] != "-"]
    return _below(call, files) if listing and options != ["-s"] and files else ()


def _ls(call: Call, parsed: Parsed) -> tuple[str, ...]:
    options = [field.text for field in call.args if field.text[:1] == "-"]
    if not all(map(_LS_PLAIN.fullmatch, options)) or any(field.many and not field.named for field in call.args):
        return ()
    itself = any(option == "--directory" or ("d" in option and option[:2] != "--") for option in options)
    places = [call.place(field) for field in parsed.operands]
    kinds = {call.kind(place) for place in places}
    if None in kinds and any(place.path is not None and call.shell.emit.changed(place.path) for place in places):
        return ()  # it may be a directory by then
    if parsed.operands and (itself or kinds <= {"file", None}):
        return _operands(parsed.operands)
    if len(parsed.operands) > 1 or not all(field.known for field in parsed.operands):
        return ()
    place = call.place(parsed.operands[0] if parsed.operands else Field(text="."), kind="dir")
    return (NAME,) if place.path is not None and _plain(call, place.path) else ()


def _git(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    words = [field.text for field in call.args]
    verb = call.name.removeprefix("git").lstrip("- ")
    if not verb:
        while words and words[0] == "-C" and len(words) > 2:
            words = words[2:]
        verb = words.pop(0) if words else ""
    options = {word for word in words if word[:1] == "-"}
    if verb == "ls-files" and not options & {"-s", "--stage", "-t", "-v", "-f", "-u", "--unmerged", "--eol", "--debug"}:
        listing = not any(option.startswith("--format") for option in options)
    elif verb in ("diff", "diff-tree", "diff-index", "show") or (verb == "log" and "--name-only" in options):
        bare = verb[:4] == "diff" or bool(options & {"--format=", "--pretty="})
        listing = bare and "--name-only" in options and not any(map(_MORE.match, options))
    elif verb in REFS or (verb == "log" and words):
        return refs(verb, words) if all(field.known for field in call.args) else ()
    else:
        listing = verb == "grep" and bool(options & {"-l", "--files-with-matches", "--name-only"})
    plain = all(field.known or field.glob or not field.many for field in call.args) and plainly(call.args)
    return _here(call) if listing and plain else ()


def _numbers(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    words = {field.text for field in call.args}
    name = call.name
    if name in ("pgrep", "pidof"):
        return () if words & {"-l", "-a", "--list-name", "--list-full", "-d"} else (NUM,)
    if name == "lsof":
        return (NUM,) if any(re.fullmatch(r"-[a-z]*t[a-z]*", word) for word in words) else ()
    if any(word.startswith("--format") for word in words):
        return ()
    return (NAME,) if words & {"-q", "-aq", "-qa", "--quiet"} and words & {"ps", "images", "container", "image"} else ()


def is_setup(script: Script) -> bool:
    """A tool of the machine that prints settings of itself for `eval`."""
    statement = script.body[0] if len(script.body) == 1 else None
    if not isinstance(statement, Simple) or statement.assigns:
        return False
    if any(redirect.target is None or redirect.target.plain != "/dev/null" for redirect in statement.redirects):
        return False
    words = [word.plain for word in statement.words]
    name = str(words[0]).removeprefix("/usr/bin/").removeprefix("/usr/local/bin/").removeprefix("/opt/homebrew/bin/")
    wanted = _SETUPS.get(name)
    return wanted is not None and None not in words and (not wanted or (len(words) > 1 and words[1] in wanted))


_SETUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "brew": ("shellenv",),
    "conda": ("shell.bash", "shell.posix", "shell.zsh"),
    "dircolors": (),
    "direnv": ("hook",),
    "docker-machine": ("env",),
    "fnm": ("env",),
    "mamba": ("shell",),
    "micromamba": ("shell",),
    "minikube": ("docker-env",),
    "mise": ("activate",),
    "nodenv": ("init",),
    "opam": ("env",),
    "pyenv": ("init", "virtualenv-init"),
    "rbenv": ("init",),
    "ssh-agent": (),
    "starship": ("init",),
    "zoxide": ("init",),
}


def _packages(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`go list ./...`: import paths, of which Go refuses those with a dash, a dot or a slash where it would matter."""
    plain = all(field.known and _PACKAGED.fullmatch(field.text) for field in call.args)
    # Both can bring options, a format among them.
    free = "GOFLAGS" not in call.state.vars and "GOENV" not in call.state.vars
    return (REF,) if plain and free and parsed.operands else ()


_PACKAGED: Final = lazy(
    r"-e|-find|-mod=(?:mod|vendor|readonly)|-tags=[\w,]+|(?:\./)?(?:[A-Za-z]\w*/)*(?:\.\.\.|[A-Za-z]\w*|)|\."
)


def lines_within(text: str) -> tuple[str, ...]:
    """What each line of a value is that a lister printed, and each word; `()` of any other value.

    What stands before the first of them may have been put there, so that the others are without it.
    """
    match = _WITHIN.fullmatch(text)
    if match is None:
        return ()
    return (text, match[2]) if match[1] else (text,)


_WITHIN: Final = lazy(rf"((?!-)[\w./@%+,=-]*/|)({PATH}{FIRM}?|{TOKEN})", re.ASCII)


def _said(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    """`echo "$files"`, also by `printf`: the lines that a lister printed, or an empty one if there were none."""
    words = list(call.args)
    if call.name == "printf" and (not words or words.pop(0).text != "%s\\n"):
        return ()
    if len(words) != 1 or words[0].many or words[0].glob is not None:
        return ()
    found = lines_within(words[0].text)
    return (*found, "") if found else ()


_MORE: Final = lazy(
    r"-[puUcSG]|--(?:patch|stat|numstat|shortstat|dirstat|summary|raw|compact|name-status|word-diff|color|output|full)"
    r"|--(?:format|pretty)=."
)


def _basename(_call: Call, parsed: Parsed) -> tuple[str, ...]:
    one = parsed.operands[0].text if parsed.operands and not parsed.flags else ""
    last = one.rpartition("/")[2]
    # What was listed has a last name, and that is neither `..` nor another directory.
    if len(parsed.operands) == 1 and not parsed.flags and last.startswith(NAME) and len(last) > len(NAME):
        return (last,)
    return (NAME,) if len(parsed.operands) < 3 and (DEEP in last or SLIM in last) else ()


def _dirname(_call: Call, parsed: Parsed) -> tuple[str, ...]:
    """Of what was listed below a directory, that directory, or one below it."""
    one = parsed.operands[0].text if len(parsed.operands) == 1 and not parsed.flags else ""
    head, deep, last = one.rpartition(PATH)
    known = deep and head.endswith("/") and TOP not in head and not set("/" + NUM) & set(last)
    return (head + PATH,) if known else ()


_LISTERS: Final[Mapping[str, Lister]] = {
    **TELLERS,
    "fd": _fd,
    "fdfind": _fd,
    "find": _find,
    "gfind": _find,
    "gofmt": _unformatted,
    "gofumpt": _unformatted,
    "goimports": _unformatted,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "rg": _grep,
    "ag": _grep,
    "ack": _grep,
    "ls": _ls,
    "git": _git,
    "go list": _packages,
    "echo": _said,
    "printf": _said,
    "basename": _basename,
    "dirname": _dirname,
    "docker": _numbers,
    "lsof": _numbers,
    "pgrep": _numbers,
    "pidof": _numbers,
    "podman": _numbers,
    "shfmt": _unformatted,
}

KEEPING: Final[Mapping[str, frozenset[str]]] = {
    "sort": frozenset("-r -u -n -V -f -z --reverse --unique --version-sort --numeric-sort --zero-terminated".split()),
    "uniq": frozenset(("-u", "-d", "-i", "--unique", "--repeated")),
    "head": frozenset(("-q", "-z")),
    "tail": frozenset(("-q", "-z")),
    "shuf": frozenset(("-z",)),
    "tac": frozenset(),
    "cat": frozenset(("-u",)),
    "tee": frozenset(("--append",)),
    "grep": frozenset("-v -i -E -F -w -x -z -P --invert-match --ignore-case --extended-regexp --fixed-strings".split()),
}
"""Filters that leave lines as they are, and the options with which they still do."""

PASSING: Final = frozenset((*KEEPING, "awk", "cut", "gawk", "mawk", "sed", "tr"))
"""Filters of whose output something may be known because of what they read."""

_NUMBER: Final = lazy(r"-n?[+-]?\d+|-[nmekt]|--(?:lines|max-count|regexp|head-count|key|field-separator)(?:=.*)?")


def _spelled(text: str, allowed: frozenset[str]) -> bool:
    """An option, or several of one letter, all of which are allowed."""
    return text in allowed or (text[:2] != "--" and all(f"-{letter}" in allowed for letter in text[1:]))


_VALUES: Final = frozenset("--lines -n --max-count -m --regexp -e --head-count --key -k --field-separator -t".split())


def _keeps(call: Call, parsed: Parsed) -> bool:
    """The command only leaves out or reorders the lines that came in."""
    allowed = KEEPING.get(call.name)
    if allowed is None or parsed.unknown or parsed.injected:
        return False
    options = {option for option, _, _ in parsed.values}
    plain = [field.text for field in call.args if field.text[:1] == "-" and len(field.text) > 1]
    flags = [text for text in plain if not _NUMBER.fullmatch(text)]
    if not options <= _VALUES or not all(_spelled(text, allowed) for text in flags):
        return False
    words = len(parsed.operands) - (call.name == "grep" and not parsed.has("--regexp", "-e"))
    return words == 0 or call.name == "tee"


def with_listed(call: Call, parsed: Parsed, out: Stream) -> Stream:
    """The output of a command, with what is known of the names in it."""
    if call.stdin.table == PROCESSES:
        note_sought(call)
    if out.text is not None:
        return out
    lister = _LISTERS.get("git" if call.name.startswith(("git-", "git ")) else call.name)
    found = lister(call, parsed) if lister is not None and not parsed.unknown and not parsed.injected else ()
    table = table_of(call, parsed)
    # Of other commands of git a name may be one that is nowhere but in another version.
    words = bool(found) and call.name == "git-ls-files" and names_are_words(call)
    if not found and (call.stdin.listed or call.stdin.table) and _keeps(call, parsed):
        found, table, words = call.stdin.listed, call.stdin.table, call.stdin.inert
    return msgspec.structs.replace(out, listed=found, table=table, inert=words) if found or table else out
