"""What commands tell of the machine and of files, as far as it is a plain word or a number.

Not concerned with names of files: `_listings` knows those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NUM, TOKEN
from guardrail.parse.ir import Pipeline, Script, Simple
from guardrail.patterns import lazy


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
        plain = re.fullmatch(r"(?:-[ugnr]++ ?)++(?:[\w.][\w.-]*)?", " ".join(words)) and ("u" in letters) != (
            "g" in letters
        )
        return () if not plain else (TOKEN,) if "n" in letters else (NUM,)
    asked = _TELLING.get(name)
    if asked is None or parsed.unknown or not asked.fullmatch(" ".join(words)):
        return ()
    return (NUM,) if name in ("getconf", "tput") else (TOKEN,)


_TELLING: Final[Mapping[str, re.Pattern[str]]] = {
    "hostname": lazy(r"(?:-[sfd]|--short|--fqdn|--long|--domain)?"),
    "uname": lazy(r"(?:-[srmnpi]|--(?:kernel-name|kernel-release|machine|nodename))?"),
    "lsb_release": lazy(r"-[cri]s|-s[cri]|-[cri] -s|-s -[cri]"),
    "dpkg": lazy(r"--print-architecture"),
    "getconf": lazy(r"_?NPROCESSORS_(?:ONLN|CONF)|LONG_BIT|PAGE_?SIZE"),
    "tput": lazy(r"cols|lines"),
}
"""Commands that tell one plain word when they are asked so."""


def _stat(call: Call, parsed: Parsed) -> tuple[str, ...]:
    if any(field.text.startswith("--pr") for field in call.args):
        return ()
    form = parsed.value("-c") or parsed.value("--format") or parsed.value("-f")
    plain = form is not None and form.known and re.fullmatch(r"(?:%[sbBdghiouWXYZa]|%z|[:_-])+", form.text) is not None
    bsd = form is not None and "%z" in form.text  # elsewhere that is a date
    return (NUM,) if plain and (not bsd or parsed.value("-f") is not None) else ()


def _jq(call: Call, parsed: Parsed) -> tuple[str, ...]:
    program = parsed.operands[0] if parsed.operands else None
    if any(re.match(r"--(?:from|seq|raw-output0|stream)|-[a-zA-Z]*f", field.text) for field in call.args):
        return ()
    plain = program is not None and program.known and _LENGTH.fullmatch(program.text) is not None
    return (NUM,) if plain else ()


_LENGTH: Final = lazy(r"(?:[^,\"#]*\|)?\s*length\s*")


def _curl(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`curl -o FILE -w '%{http_code}' URL`: the page goes elsewhere, so that only the number is printed."""
    forms = parsed.values_of("--write-out") or parsed.values_of("-w")
    outputs = parsed.values_of("--output") or parsed.values_of("-o")
    if len(forms) != 1 or len(outputs) != 1 or len(parsed.operands) != 1:
        return ()
    words = [field.text for field in call.args]
    if any(re.match(r"-[a-zA-Z]*D|--(?:dump|trace|libcurl|next|config|url|stderr)|-[a-zA-Z]*[K:]", w) for w in words):
        return ()
    name = outputs[0].text
    elsewhere = outputs[0].known and name != "-" and (name == "/dev/null" or not name.startswith(("/dev/", "/proc/")))
    counted = forms[0].known and _COUNTED.fullmatch(forms[0].text) is not None
    return (NUM,) if elsewhere and counted and not parsed.operands[0].many else ()


_COUNTED: Final = lazy(
    r"(?:%\{(?:http_code|response_code|http_connect|num_connects|num_redirects|size_download|size_upload)\}|\\n)+"
)

# -- what may fail


def surely_tells(script: Script, text: str) -> bool:
    """Whether commands print something whatever comes: of others it may be nothing, and a path is another one then."""
    statement = script.body[0] if len(script.body) == 1 else None
    piped = isinstance(statement, Pipeline)
    last = statement.stages[-1] if isinstance(statement, Pipeline) else statement
    if not isinstance(last, Simple) or not last.words or last.assigns:
        return False
    words = [word.plain for word in last.words if word.plain]
    if len(words) != len(last.words):
        return False
    if words[0] == "mktemp":
        return text.rpartition("/")[0] == "/tmp" and not piped  # noqa: S108 - a directory that is always there
    if words[0] == "wc":
        return piped and all(word[0] == "-" for word in words[1:])
    options = all(word[0] in "+-" and _DATED.match(word) is None for word in words[1:])
    return words[0] in ("date", "id", "nproc", "uname", "whoami") and options and not piped


_DATED: Final = lazy(r"-[a-zA-Z]*[drf]|--(?:da|re|fi)")
"""Options of `date` that may be wrong."""

# -- tables


PROCESSES: Final = "processes"
"""The table of those that run, one on a line."""

_PROCESS: Final = lazy(r"[A-Za-z][\w.-]{2,63}")


def note_sought(call: Call) -> None:
    """`ps aux | grep NAME`, `ps aux | awk '/NAME/…'`: a process is looked for by its name.

    Args:
        call: the command that the table goes through.
    """
    if call.name in ("awk", "gawk", "mawk"):
        texts = [part for field in call.args for part in field.text.split("/")[1::2]]
    elif call.name in ("grep", "egrep", "fgrep", "rg"):
        texts = [field.text for field in call.args if field.text[:1] != "-"]
    else:
        return
    for text in texts:
        for name in _PROCESS.findall(text.replace("[", "").replace("]", "")):
            call.emit("list", at("process", name))


def table_of(call: Call, parsed: Parsed) -> str:
    """Which columns of a command's output are known."""
    if parsed.unknown or parsed.injected:
        return ""
    words = [field.text for field in call.args]
    if call.name in ("du", "wc", "gwc"):
        # A name with a newline in it would begin a line of its own, so each one that is printed must be known.
        plain = all(field.known and "\n" not in field.text for field in call.args)
        summed = call.name != "du" or all(_SUMMED.fullmatch(word) for word in words if word[:1] == "-")
        whole = call.name != "du" or any("s" in word for word in words if word[:1] == "-")
        return ("sizes" if call.name == "du" else "counts") if plain and summed and whole else ""
    if call.name in _DIGESTS:
        options = [word for word in words if word[:1] == "-"]
        return "digests" if all(word in ("-b", "-t", "--binary", "--text", "-") for word in options) else ""
    if call.name == "grep":
        return "lines" if _numbers_lines(call, parsed, words) else ""
    return {"jps": "numbers", "free": "memory", "ps": PROCESSES}.get(call.name, "")


def _numbers_lines(call: Call, parsed: Parsed, words: list[str]) -> bool:
    """`grep -n` of one file, which is a text: of any other it says in words that it matches."""
    options = [word for word in words if word[:1] == "-" and len(word) > 1]
    numbered = any("n" in word for word in options) and all(map(_NUMBERING.fullmatch, options))
    if not numbered or len(parsed.operands) != 2:
        return False
    field = parsed.operands[1]
    data = call.content(call.place(field)) if field.known else None
    return data is not None and b"\0" not in data and call.shell.contents.sure(call.place(field).path or "")


_NUMBERING: Final = lazy(r"-[nEFPiwvx]*n[EFPiwvx]*(?:m\d+)?|-[EFPiwvx]+|-m\d+")


_SUMMED: Final = lazy(r"-[skmbcx]+|--(?:summarize|bytes|apparent-size|total)")
_DIGESTS: Final = frozenset("md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum b3sum cksum".split())
_FIRST: Final[Mapping[str, str]] = {"sizes": NUM, "counts": NUM, "digests": TOKEN, "numbers": NUM}
"""What the first column of a table is."""

_PICKED: Final = lazy(
    r"\s*+(?:/[^/\\]*/|NR\s*+[=<>]=?\s*+\d++|END)?\s*+\{\s*+print\s++\$1\s*+(?:;\s*+exit\s*+)?;?\s*+\}\s*+"
)
_MEMORY: Final = lazy(
    r"\s*+(?:/\^?(?:Mem|Swap):?/|NR\s*+==\s*+2)\s*+\{\s*+print\s++\$[2-7]\s*+(?:;\s*+exit\s*+)?;?\s*+\}\s*+"
)


def _column(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`cut` and `awk`, where they print the first column of a table."""
    words = [field.text for field in call.args]
    table = call.stdin.table
    if parsed.unknown or parsed.injected or not all(field.known for field in call.args):
        return ()
    if call.name == "cut":
        text = " ".join(words)
        if table == "lines":
            return (NUM,) if _COLONED.fullmatch(text) else ()
        fits = _TABBED.fullmatch(text) if table == "sizes" else _BLANKED.fullmatch(text) if table in _FIRST else None
        return (_FIRST[table],) if fits and table != "numbers" else ()
    if table == "lines":
        return (NUM,) if words[:1] == ["-F:"] and len(words) == 2 and _PICKED.fullmatch(words[1]) else ()
    if _reckons(words):
        return (NUM,)
    if len(words) != 1:
        return ()
    if table == "memory":
        return (NUM,) if _MEMORY.fullmatch(words[0]) else ()
    if not _PICKED.fullmatch(words[0]):
        return ()
    single = call.stdin.listed and all(text in (NUM, TOKEN) for text in call.stdin.listed)
    return (_FIRST[table],) if table in _FIRST else call.stdin.listed if single else ()


def _reckons(words: list[str]) -> bool:
    """`awk 'END {print NR}'`: it prints one whole number and nothing else. A sum of fields may be `nan`, a name."""
    rest = words[2:] if words[:1] == ["-F"] else words[1:] if words[:1] and words[0][:2] == "-F" else words
    match = _COUNTING.fullmatch(rest[0]) if rest else None
    # A word with a `=` is no file: it gives a variable a text.
    files = all(_FILE.fullmatch(word) for word in rest[1:])
    return match is not None and files and match["name"] == match["shown"]


_FILE: Final = lazy(r"[\w./][\w./-]*")
_ROWS: Final = r"(?:/[^/\\]*/|NR\s*[=<>!]=?\s*\d+|\$\d+\s*[<>!=]=?\s*(?:\d+|\"[^\"\\]*\"))?"
_COUNTING: Final = lazy(
    rf"\s*+(?:{_ROWS}\s*+\{{\s*+(?P<name>[a-z]\w*+)\s*+\+\+\s*+;?\s*+\}}\s*+)?"
    r"END\s*+\{\s*+print\s++(?:NR|(?P<shown>[a-z]\w*+))\s*+(?:[-+*]\s*+\d++\s*+)?;?\s*+\}\s*+"
)
_TABBED: Final = lazy(r"-f ?1")
_COLONED: Final = lazy(r"(?:-s )?(?:-d ?: -f ?1|-f ?1 -d ?:)")
_BLANKED: Final = lazy(r"-d ?  ?-f ?1|-f ?1 -d ? ")


def _respelled(call: Call, _parsed: Parsed) -> tuple[str, ...]:
    """`tr A-Z a-z` and `sed s/x86_64/amd64/` of plain words."""
    words = [field.text for field in call.args]
    given = call.stdin.text
    if call.name == "tr" and given is not None and given.strip() == NUM:
        return (NUM,) if _BLANKS_GONE.fullmatch(" ".join(words)) else ()
    if call.name == "tr" and all(field.known for field in call.args) and _DIGITS_KEPT.fullmatch(" ".join(words)):
        return (NUM,)
    if not call.stdin.listed or not all(text in (NUM, TOKEN) for text in call.stdin.listed):
        return ()
    if call.name == "tr":
        fits = all(re.fullmatch(r"\[:(?:upper|lower):\]|\[?(?:A-Z|a-z)\]?", word) for word in words)
    else:
        fits = all(word in ("-e", "-E", "-r") or _PLAIN_EDIT.fullmatch(word) for word in words)
    return (TOKEN,) if fits and words else ()


_DIGITS_KEPT: Final = lazy(r"-(?:dc|cd|c -d|d -c) (?:0-9|\[:digit:\]|0-9\\n)")
_BLANKS_GONE: Final = lazy(r"-d (?: |\[:(?:space|blank):\]| ?\\n)")
_PLAIN_EDIT: Final = lazy(r"(?:s([/|,#])[\w.^$*+-]+\1(?:[\w][\w.-]*)?\1g?;?\s*)+")


def _bc(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`bc` of an expression: what it prints is a number, as long as it is given no text to print."""
    given = call.stdin.text if "BC_ENV_ARGS" not in call.state.vars else None
    plain = given is not None and _EXPRESSION.fullmatch(given) is not None
    return (NUM,) if plain and not parsed.operands and all(field.text == "-l" for field in call.args) else ()


_EXPRESSION: Final = lazy(r"(?:(?:scale|sqrt)|[\s\d.+*/%^()=;<>-])*")


def _rows(call: Call, parsed: Parsed) -> tuple[str, ...]:
    """`SELECT count(*) FROM …`, where only the value is printed."""
    words = [field.text for field in call.args]
    if parsed.unknown or not words or not all(field.known for field in call.args) or "PSQLRC" in call.state.vars:
        return ()
    options = " ".join(word for word in words[:-1] if word[:1] == "-")
    return (NUM,) if _BARE[call.name].fullmatch(options) and _COUNT.fullmatch(words[-1]) else ()


_BARE: Final[Mapping[str, re.Pattern[str]]] = {
    "mysql": lazy(r"-(?:N|B|s)*N(?:B|s)*e|-(?:N|sN|Ns|BN|NB) -e"),
    "psql": lazy(r"(?:-X )?-X?(?:At|tA)q?c|(?:-X )?-(?:At|tA)q?(?: -[dhU])* -c|-[dhU] -(?:At|tA)q?c"),
    "sqlite3": lazy(r"(?:-(?:readonly|noheader|batch) ?)*"),
}
"""Options with which nothing but values is printed; the statement is the last word."""

_COUNT: Final = lazy(
    r"\s*select\s+count\s*\(\s*(?:\*|1|(?:distinct\s+)?\w+)\s*\)\s*from\s+[\w.]+"
    r"(?:\s+where\s+(?:(?!\b(?:union|group|into|except|intersect|limit)\b)[^;\\])*)?;?\s*",
    re.IGNORECASE,
)


TELLERS: Final[Mapping[str, Callable[[Call, Parsed], tuple[str, ...]]]] = {
    "arch": _told,
    "awk": _column,
    "bc": _bc,
    "curl": _curl,
    "cut": _column,
    "dpkg": _told,
    "gawk": _column,
    "getconf": _told,
    "hostname": _told,
    "id": _told,
    "jq": _jq,
    "logname": _told,
    "lsb_release": _told,
    "mawk": _column,
    "mysql": _rows,
    "psql": _rows,
    "sqlite3": _rows,
    "sed": _respelled,
    "stat": _stat,
    "tput": _told,
    "tr": _respelled,
    "uname": _told,
    "whoami": _told,
}
"""What every line of a command's output is one of; `()` if that is not known."""
