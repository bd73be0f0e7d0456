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
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import DEEP, NAME, NUM, PATH, REF, SLIM, TOKEN, TOP, Field, Stream
from guardrail.parse.ir import Script, Simple

MAX_LISTED: Final = 8
"""Most kinds of names that one output may have; beyond it they are not known."""

_ROOT: Final = re.compile(r"[\w./@%+,=-]+")
_WILD: Final = re.compile(r"[*?]+|\[[^\]/]+\]")
_MAKES_DASH: Final = re.compile(rf"(?:^|/)(?:-|[*?\[{TOP}{NUM}])|\*\*")

Lister = Callable[[Call, Parsed], tuple[str, ...]]
"""What every line of a command's output is one of; `()` if that is not known."""


def pattern_text(glob: str) -> str | None:
    """A glob as a text with NAME in it; None if it is more than wildcards within names."""
    if "**" in glob or TOP in glob or NUM in glob or "\\" in glob:
        return None
    text = _WILD.sub(NAME, glob)
    return None if "[" in text else text


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
    return made and call.shell.view.plain(path)


def _here(call: Call) -> tuple[str, ...]:
    """Names below the working directory, without it in front of them."""
    known = call.cwd is not None and TOP not in call.cwd and NUM not in call.cwd and _plain(call, call.cwd)
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


_ENDING: Final = re.compile(r"\*([\w.-]+)")
_BRANCHING: Final = frozenset(("-o", "-or", "!", "-not", "(", ")", ","))


def _itself(call: Call, roots: Sequence[Field], pattern: str) -> bool:
    bases = [posixpath.basename(posixpath.normpath(call.place(root).path or "/")) for root in roots]
    return any(fnmatch.fnmatchcase(base, pattern) for base in bases)


def _grep(call: Call, parsed: Parsed) -> tuple[str, ...]:
    if parsed.has("--count", "-c"):
        files = parsed.operands if parsed.has("--regexp", "--file") else parsed.operands[1:]
        single = len(files) < 2 and not any(field.many or field.glob is not None for field in parsed.operands)
        deep = parsed.has("--recursive", "--dereference-recursive") or (call.name == "rg" and not files)
        return (NUM,) if single and not deep and not parsed.has("--with-filename", "-H") else ()
    if not parsed.has("--files-with-matches", "--files-without-match", "-l", "-L", "--files"):
        return ()
    files = parsed.operands if parsed.has("--regexp", "--file", "--files") else parsed.operands[1:]
    deep = call.name == "rg" or parsed.has("--recursive", "--dereference-recursive")
    if files:
        return _below(call, files) if deep else _operands(files)
    return _here(call) if deep else ()


def _operands(files: Sequence[Field]) -> tuple[str, ...]:
    """Names that are the words themselves: for many of them, the directories that they are in."""
    texts: list[str] = []
    for field in files:
        text = field.text if field.known else pattern_text(field.glob) if field.glob is not None else None
        if text is None or text[:1] in ("-", "") or (SLIM not in text and not _ROOT.fullmatch(text)):
            return ()
        texts.append(text)
    if len(texts) > MAX_LISTED:
        texts = [f"{text.rpartition('/')[0]}/{NAME}" if "/" in text else NAME for text in texts]
    found = tuple(dict.fromkeys(texts))
    return found if len(found) <= MAX_LISTED else ()


_LS_PLAIN: Final = re.compile(r"-[1trSAdUXvcu]+|--(?:reverse|almost-all|directory|sort=\w+|color=never|)")
"""Options of `ls` with which it prints names and nothing else."""


def _ls(call: Call, parsed: Parsed) -> tuple[str, ...]:
    options = [field.text for field in call.args if field.text[:1] == "-"]
    if not all(map(_LS_PLAIN.fullmatch, options)) or any(field.many and not field.named for field in call.args):
        return ()
    itself = any(option == "--directory" or ("d" in option and option[:2] != "--") for option in options)
    kinds = {call.kind(call.place(field)) for field in parsed.operands}
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
    elif verb in _REFS or (verb == "log" and words):
        return _refs(verb, words) if all(field.known for field in call.args) else ()
    else:
        listing = verb == "grep" and bool(options & {"-l", "--files-with-matches", "--name-only"})
    return _here(call) if listing and all(field.known or field.glob for field in call.args) else ()


_REFS: Final = frozenset(("tag", "branch", "describe", "for-each-ref", "rev-list", "rev-parse"))
_DESCRIBED: Final = re.compile(
    r"--(?:tags|all|always|long|dirty|exact-match|first-parent|abbrev=\d+|match=[\w.*-]*|exclude=[\w.*-]*)|HEAD[~^\d]*"
)


def _refs(verb: str, words: Sequence[str]) -> tuple[str, ...]:
    """Names of versions, which git does not let begin with a dash, nor hold blanks, wildcards or `..`."""
    formats = [word for word in words if word.startswith(("--format", "--pretty"))]
    if verb == "log":
        return (NAME,) if formats and all(map(_LOGGED.fullmatch, words)) else ()
    if verb == "rev-parse":
        plain = all(_REVISION.fullmatch(word) for word in words)
        return (REF,) if words and plain else ()
    if verb == "rev-list" and "--count" in words:
        return (NUM,)
    if verb == "describe":
        return (REF,) if all(map(_DESCRIBED.fullmatch, words)) else ()
    plain = not formats or all(map(_FORMAT.fullmatch, formats))
    return (PATH,) if verb in _REFS and plain and not any(_SHOWN.match(word) for word in words) else ()


_LOGGED: Final = re.compile(
    r"--(?:format|pretty)=(?:format:|tformat:)?%[hH]|-n|-?\d+|-n\d+|--(?:max-count|since|until|author|grep)=.*"
    r"|--(?:all|reverse|merges|no-merges|first-parent)|[A-Za-z][\w./~^@-]*"
)
_FORMAT: Final = re.compile(r"--format=(?:%\((?:refname|objectname)(?::\w+)?\))+")
_REVISION: Final = re.compile(r"--short(?:=\d+)?|--verify|--abbrev-ref|-q|--quiet|@|HEAD[~^\d]*|main|master")
_SHOWN: Final = re.compile(r"-[a-z]*[vnmMcCdD]|--(?:verbose|show|git-dir|absolute|path|local|abbrev-ref|parseopt|sq)")


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


# -- what the machine tells


def _told(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """One plain word, or a number, of those commands that tell such."""
    words = tuple(field.text for field in call.args)
    if not all(field.known for field in call.args):
        return ()
    name = call.name
    if name in ("whoami", "logname", "arch"):
        return () if words else (TOKEN,)
    if name == "id":
        letters = "".join(word for word in words if word[:1] == "-")
        plain = re.fullmatch(r"(?:-[ugnr]+ ?)+(?:[\w.][\w.-]*)?", " ".join(words)) and ("u" in letters) != (
            "g" in letters
        )
        return () if not plain else (TOKEN,) if "n" in letters else (NUM,)
    asked = _TELLING.get(name)
    return (TOKEN,) if asked is not None and not parsed.unknown and asked.fullmatch(" ".join(words)) else ()


_TELLING: Final[Mapping[str, re.Pattern[str]]] = {
    "hostname": re.compile(r"(?:-[sfd]|--short|--fqdn|--long|--domain)?"),
    "uname": re.compile(r"(?:-[srmnpi]|--(?:kernel-name|kernel-release|machine|nodename))?"),
    "lsb_release": re.compile(r"-[cri]s|-s[cri]|-[cri] -s|-s -[cri]"),
    "dpkg": re.compile(r"--print-architecture"),
    "getconf": re.compile(r"_?NPROCESSORS_(?:ONLN|CONF)|LONG_BIT|PAGE_?SIZE"),
    "tput": re.compile(r"cols|lines"),
}
"""Commands that tell one plain word when they are asked so."""


def _stat(_call: Call, parsed: Parsed) -> tuple[str, ...]:
    form = parsed.value("-c") or parsed.value("--format") or parsed.value("-f")
    plain = form is not None and form.known and re.fullmatch(r"(?:%[sbBdghiouWXYZa]|%z|[:_-])+", form.text) is not None
    bsd = form is not None and "%z" in form.text  # elsewhere that is a date
    return (NUM,) if plain and (not bsd or parsed.value("-f") is not None) else ()


def _jq(call: Call, parsed: Parsed) -> tuple[str, ...]:
    program = parsed.operands[0] if parsed.operands else None
    plain = program is not None and program.known and _LENGTH.fullmatch(program.text) is not None
    return (NUM,) if plain and all(field.known or field is not program for field in call.args) else ()


_LENGTH: Final = re.compile(r"(?:[^,\"#]*\|)?\s*length\s*")


def _curl(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`curl -o FILE -w '%{http_code}' URL`: the page goes elsewhere, so that only the number is printed."""
    forms = parsed.values_of("--write-out") or parsed.values_of("-w")
    outputs = parsed.values_of("--output") or parsed.values_of("-o")
    if len(forms) != 1 or len(outputs) != 1 or len(parsed.operands) != 1:
        return ()
    words = [field.text for field in call.args]
    if any(re.match(r"-[a-zA-Z]*D|--(?:dump|trace|libcurl|next|config|url|stderr)|-[a-zA-Z]*[K:]", w) for w in words):
        return ()
    elsewhere = outputs[0].known and outputs[0].text not in ("-", "/dev/stdout", "/dev/stderr")
    counted = forms[0].known and _COUNTED.fullmatch(forms[0].text) is not None
    return (NUM,) if elsewhere and counted and not parsed.operands[0].many else ()


_COUNTED: Final = re.compile(
    r"(?:%\{(?:http_code|response_code|http_connect|num_connects|num_redirects|size_download|size_upload)\}|\\n)+"
)

# -- tables


def _table(call: Call, parsed: Parsed) -> str:
    """Which columns of a command's output are known."""
    if parsed.unknown or parsed.injected:
        return ""
    words = [field.text for field in call.args]
    if call.name == "du":
        plain = all(
            re.fullmatch(r"-[skmbcxaSL0-9d]+|--(?:summarize|bytes|apparent-size|total|max-depth=\d+)|[^-].*", w)
            for w in words
        )
        return "sizes" if plain and not any(re.match(r"-[a-z]*0", w) for w in words) else ""
    if call.name in ("wc", "gwc"):
        return "counts"
    if call.name in _DIGESTS:
        return "digests" if not parsed.has("--check", "-c", "--tag", "--zero", "-z") else ""
    return {"jps": "numbers", "free": "memory"}.get(call.name, "")


_DIGESTS: Final = frozenset("md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum b3sum cksum".split())
_FIRST: Final[Mapping[str, str]] = {"sizes": NUM, "counts": NUM, "digests": TOKEN, "numbers": NUM}
"""What the first column of a table is."""

_PICKED: Final = re.compile(r"\s*(?:/[^/\\]*/|NR\s*[=<>]=?\s*\d+|END)?\s*\{\s*print\s+\$1\s*(?:;\s*exit\s*)?;?\s*\}\s*")
_MEMORY: Final = re.compile(
    r"\s*(?:/\^?(?:Mem|Swap):?/|NR\s*==\s*2)\s*\{\s*print\s+\$[2-7]\s*(?:;\s*exit\s*)?;?\s*\}\s*"
)


def _column(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`cut` and `awk`, where they print the first column of a table."""
    words = [field.text for field in call.args]
    table = call.stdin.table
    if parsed.unknown or parsed.injected or not all(field.known for field in call.args):
        return ()
    if call.name == "cut":
        text = " ".join(words)
        fits = _TABBED.fullmatch(text) if table == "sizes" else _BLANKED.fullmatch(text) if table in _FIRST else None
        return (_FIRST[table],) if fits and table != "numbers" else ()
    if len(words) != 1:
        return ()
    if table == "memory":
        return (NUM,) if _MEMORY.fullmatch(words[0]) else ()
    if not _PICKED.fullmatch(words[0]):
        return ()
    single = call.stdin.listed and all(text in (NUM, TOKEN) for text in call.stdin.listed)
    return (_FIRST[table],) if table in _FIRST else call.stdin.listed if single else ()


_TABBED: Final = re.compile(r"-f ?1")
_BLANKED: Final = re.compile(r"-d ?  ?-f ?1|-f ?1 -d ? ")


def _respelled(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    """`tr A-Z a-z` and `sed s/x86_64/amd64/` of plain words."""
    words = [field.text for field in call.args]
    if not call.stdin.listed or not all(text in (NUM, TOKEN) for text in call.stdin.listed):
        return ()
    if call.name == "tr":
        fits = all(re.fullmatch(r"\[:(?:upper|lower):\]|\[?(?:A-Z|a-z)\]?", word) for word in words)
    else:
        fits = all(word in ("-e", "-E", "-r") or _PLAIN_EDIT.fullmatch(word) for word in words)
    return (TOKEN,) if fits and words else ()


_PLAIN_EDIT: Final = re.compile(r"(?:s([/|,#])[\w.^$*+-]+\1(?:[\w][\w.-]*)?\1g?;?\s*)+")

_MORE: Final = re.compile(
    r"-[puUcSG]|--(?:patch|stat|numstat|shortstat|dirstat|summary|raw|compact|name-status|word-diff|color|output|full)"
    r"|--(?:format|pretty)=."
)


def _basename(_call: Call, parsed: Parsed) -> tuple[str, ...]:
    one = parsed.operands[0].text if parsed.operands and not parsed.flags else ""
    last = one.rpartition("/")[2]
    # What was listed has a last name, and that is neither `..` nor another directory.
    return (NAME,) if len(parsed.operands) < 3 and (DEEP in last or SLIM in last) else ()


_LISTERS: Final[Mapping[str, Lister]] = {
    "find": _find,
    "gfind": _find,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "rg": _grep,
    "ls": _ls,
    "git": _git,
    "arch": _told,
    "awk": _column,
    "basename": _basename,
    "curl": _curl,
    "cut": _column,
    "docker": _numbers,
    "dpkg": _told,
    "gawk": _column,
    "getconf": _told,
    "hostname": _told,
    "id": _told,
    "jq": _jq,
    "logname": _told,
    "lsb_release": _told,
    "mawk": _column,
    "sed": _respelled,
    "stat": _stat,
    "tput": _told,
    "tr": _respelled,
    "uname": _told,
    "whoami": _told,
    "lsof": _numbers,
    "pgrep": _numbers,
    "pidof": _numbers,
    "podman": _numbers,
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

_NUMBER: Final = re.compile(r"-n?[+-]?\d+|-[nmekt]|--(?:lines|max-count|regexp|head-count|key|field-separator)(?:=.*)?")


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
    if out.text is not None or not call.shell.listening:
        return out
    lister = _LISTERS.get("git" if call.name.startswith(("git-", "git ")) else call.name)
    found = lister(call, parsed) if lister is not None and not parsed.unknown and not parsed.injected else ()
    table = _table(call, parsed)
    if not found and (call.stdin.listed or call.stdin.table) and _keeps(call, parsed):
        found, table = call.stdin.listed, call.stdin.table
    return msgspec.structs.replace(out, listed=found, table=table) if found or table else out
