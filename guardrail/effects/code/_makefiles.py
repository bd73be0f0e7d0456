"""Makefiles: whether `make -n` only prints recipes, and what the recipes of a makefile of the session's are.

Not concerned with what recipes do. Make runs `$(shell …)`, recipes with `+` or `$(MAKE)`, and whatever makes the
makefile itself anew. A makefile of which any line is not plain counts as one that runs.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import Field
from guardrail.model import Resource
from guardrail.patterns import lazy

NAMES: Final = ("GNUmakefile", "makefile", "Makefile")
"""Makefiles that make finds by itself, the first one that there is."""

_DRY: Final = lazy(r"-[ksBiw]*n[ksBiw]*|--(?:just-print|dry-run|recon)")
_QUIET: Final = (
    r"-[ksBiw]+|-j\d*|--(?:silent|quiet|keep-going|always-make|no-print-directory|print-directory)"
    r"|[\w.][\w./-]*"
)
_PLAIN_RUN: Final = lazy(_QUIET)
"""Words that only say which recipes run, and how: options and targets."""

_DRY_RUN: Final = lazy(rf"{_DRY.pattern}|{_QUIET}|(?!MAKE|GNUMAKE|MFLAGS|SHELL)[A-Za-z_]\w*=[\w./:@-]*")
"""Words beside a dry run that change nothing about it: plain variables too."""

_FINDING: Final = frozenset(("VPATH", "GPATH", "CURDIR"))
"""Variables by which make finds files elsewhere than their names say."""

_VARIABLE: Final = lazy(r"\$(?:[({](?P<name>[^(){}$]*)[)}]|(?P<sign>.))")

_RUNS: Final = lazy(
    r"\$[({]\s*(?:shell|eval|call|file|guile|foreach|let|value)\b|\bMAKE\b|!=|\r"
    r"|(?<![\w+])\+(?!=)"  # a prefix, or a value that may become one; `g++` and `+=` are neither
)
"""What runs while make only prints, or may make something else do so."""

_ASSIGNMENT: Final = lazy(
    r"\s*(?:override )?(?!MAKE|MFLAGS|GNUMAKE|SHELL|\.)(?P<name>\w[\w.-]*)\s*(?:::?|\?|\+)?=\s*(?P<value>.*)"
)
_RULE: Final = lazy(r"(?P<targets>[\w./%-](?:[\w./% -]*[\w./%-])?)\s*::?(?P<rest>[^=:](?:[^;=]*)(?:;(?P<recipe>.*))?|)")
_OTHER: Final = lazy(r"\s*(?:#.*|(?:else )?if(?:eq|neq|def|ndef)\b.*|else|endif|)")
_SPECIAL: Final = lazy(r"\.(?:PHONY|SUFFIXES|SILENT|PRECIOUS|INTERMEDIATE|SECONDARY|DELETE_ON_ERROR|NOTPARALLEL)")

_HEAD: Final = lazy(r"\$(?:[({](?P<name>\w+)[)}]|[@<])(?!\$)")
_PLAIN_VALUE: Final = lazy(r"[\w./][^$]*")
_BUILT_IN: Final = frozenset("CC CXX AR LD AS RM CPP FC".split())
"""Variables that make knows, whose value begins with the name of a program."""

_BESIDE: Final = (
    *(f"{{}}{ending}" for ending in ".sh .c .cc .C .cpp .o .p .f .F .m .r .s .S .mod .y .l ,v".split()),
    "RCS/{},v",
    "SCCS/s.{}",
    "s.{}",
)
"""What the rules that are built into make find beside a makefile to make it of."""


def dry_run(call: Call) -> Resource | None:
    """The makefile whose recipes `make -n` prints and nothing else; None if something may run.

    Args:
        call: make.
    """
    if not any(_DRY.fullmatch(field.text) for field in call.args):
        return None
    asked = _asked(call, _DRY_RUN)
    place = _makefile(call, *asked) if asked is not None else None
    return place if asked is not None and place is not None and _only_printed(call, asked[0], place) else None


def recipes(call: Call) -> list[str] | None:
    """The shell lines of a makefile that the session wrote, any of which may run; None if they are not all known.

    Args:
        call: make.
    """
    asked = _asked(call, _PLAIN_RUN)
    place = _makefile(call, asked[0], asked[1]) if asked is not None else None
    if asked is None or place is None or place.path is None or not call.shell.authored(place.path):
        return None
    folder = asked[0].rstrip("/") if asked[0].rstrip("/") != "." else ""
    data = call.content(place)
    if data is None or (folder and (b"$(" in _FUNCTIONS.sub(b"", data) or not _PLAIN_FOLDER.fullmatch(folder))):
        return None
    # Under another name a makefile is not the one that make finds when it runs itself.
    again = asked[1] == NAMES
    text = _without_harmless(call, data.decode("utf-8", "surrogateescape"), place, again=again)
    if not _only_printed(call, asked[0], place, text):
        return None
    text = re.sub(r"(?<![ \t])[ \t]*+\\\n\s*+", " ", text)
    values: dict[str, str | None] = {}
    later: dict[str, str] = {}
    lines: list[tuple[str, Mapping[str, str]]] = []
    own: Mapping[str, str] = {}
    for line in text.split("\n"):
        rule = None if line.startswith("\t") else _RULE.fullmatch(line.partition(" #")[0])
        if line.startswith("\t"):
            lines.append((line, own))
        elif (found := _ASSIGNMENT.fullmatch(line)) is not None:
            name = found["name"]
            value = found["value"].partition(" #")[0].strip()
            given = re.search(r"[?+:]?=", line[: found.start("value")])
            sign = given[0] if given is not None else "="
            sure = name not in values and (sign in ("=", ":=") or (sign == "?=" and _is_unset(call, name)))
            later.pop(name, None)
            if sure and "$" in value and sign != ":=":
                later[name] = value  # what it is made of may be given another value still
            values[name] = _expanded(value, values, {}) if sure and name not in later else None
        elif rule is not None:
            own = _automatic(rule["targets"].split(), rule["rest"].partition(";")[0].split())
            lines += [(rule["recipe"], own)] if rule["recipe"] else []
    if not values.keys().isdisjoint(_FINDING):
        return None
    for _ in range(len(later)):
        values |= {name: _expanded(value, values, {}) for name, value in later.items()}
    known = {name: value for name, value in _DEFAULTS.items() if _is_free(call, name)} | values
    texts = [_expanded(line.lstrip("\t @-"), known, own) for line, own in lines]
    if None in texts:
        return None
    # Each line is a shell of its own, in the directory of the makefile.
    return [f"cd {folder} && {{ {text}\n}}" if folder else text for text in texts if text]


_PLAIN_FOLDER: Final = lazy(r"(?!-)[\w./-]+", re.ASCII)
_FUNCTIONS: Final = re.compile(rb"\$\(\w+\)")
"""Variables that look like functions, which are worked out where make runs."""


def _is_unset(call: Call, name: str) -> bool:
    """A variable that neither make nor the environment knows, as far as the call tells."""
    return name not in _BUILT_IN and _is_free(call, name)


def _is_free(call: Call, name: str) -> bool:
    return name not in call.state.vars and name not in call.shell.expand.environment


_DEFAULTS: Final[Mapping[str, str | None]] = {
    "CC": "cc",
    "CXX": "g++",
    "AR": "ar",
    "RM": "rm -f",
    "CFLAGS": "",
    "CXXFLAGS": "",
    "CPPFLAGS": "",
    "LDFLAGS": "",
    "LDLIBS": "",
}
"""Variables that makefiles use without giving them a value."""


def _without_harmless(call: Call, text: str, place: Resource, *, again: bool) -> str:
    """The text, with what is known of it in the place of functions, and without lines that change nothing."""
    text = re.sub(r"(?<![ \t])[ \t]*+\\\n\s*+", " ", text)
    text = _SETTING.sub("", text)
    text = _AGAIN.sub("\t:", text) if again else text
    text = re.sub(r"\$[({]MAKEFILE_LIST[)}]", (place.path or "").rpartition("/")[2], text)
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if "$(" in line:
            # What is worked out when it is used may by then be what a recipe made.
            known = functools.partial(_worked_out, call, now=_NOW.match(line) is not None)
            lines[at] = _FUNCTION.sub(known, line)
    return "\n".join(lines)


_NOW: Final = lazy(r"[\w.-]+\s*::?=")
"""An assignment that is worked out as the makefile is read."""

_SETTING: Final = lazy(
    r"^(?:SHELL\s*:?=\s*(?:/usr)?(?:/bin/)?(?:ba)?sh|\.SHELLFLAGS\s*:?=\s*-[euc]+(?: -?o pipefail)?(?: -c)?"
    r"|\.DEFAULT_GOAL\s*:?=\s*[\w-]+|MAKEFLAGS\s*\+=\s*--(?:no-print-directory|warn-undefined-variables)"
    r"|MAKEFLAGS\s*\+=\s*--no-builtin-rules)[ \t]*$",
    re.MULTILINE,
)
"""Lines that say how make does what it would do as well without them."""

_AGAIN: Final = lazy(r"^\t[@-]*\$[({]MAKE[)}](?: -[sk]| --no-print-directory| (?!-)[\w.-]+)*[ \t]*$", re.MULTILINE)
"""Make runs itself for other targets of the same file, any of which may run anyway."""

_FUNCTION: Final = lazy(r"\$(?:\((?P<name>shell|wildcard) (?P<words>[^()$\n]*)\))")
_TOLD: Final = lazy(
    r"(?:git rev-parse (?:--short )?HEAD|date (?:-u )?['\"]?\+(?:%[YmdHMSFsjyT]|[-_:.TZ])+['\"]?|uname -[smr]|nproc"
    r"|whoami|hostname|id -u|id -g)(?: 2> ?/dev/null)?(?: \|\| echo [\w.-]+)?"
)
"""Commands that print one plain word, so that it does not matter that a shell reads it again."""


def _worked_out(call: Call, match: re.Match[str], *, now: bool) -> str:
    """What `$(shell cat VERSION)` and `$(wildcard src/*.c)` are; themselves if that is not known, or no plain words."""
    words = match["words"].strip()
    if match["name"] == "shell" and _TOLD.fullmatch(words):
        return f"`{words}`"
    if not now:
        return match[0]
    if match["name"] == "shell":
        file = re.fullmatch(r"cat ([\w./-]+)", words)
        text = _text_now(call, file[1]) if file is not None else None
        return text if text is not None and _PLAIN_WORD.fullmatch(text) else match[0]
    place = call.place(Field(text=words))
    if place.path is None or not _PATTERN.fullmatch(words) or call.shell.emit.made:
        return match[0]
    folder = place.path.removesuffix(words)
    found = call.shell.view.glob(f"{escape(folder)}{words}")
    if found is None or len(found) > MAX_NAMES or not all(map(_PLAIN_WORD.fullmatch, found)):
        return match[0]
    return " ".join(path.removeprefix(folder) for path in found)


_PLAIN_WORD: Final = lazy(r"[\w./+-]+", re.ASCII)
_PATTERN: Final = lazy(r"(?!-)[\w./*-]+", re.ASCII)

MAX_NAMES: Final = 64
"""Most files that a pattern of a makefile may name."""


def _text_now(call: Call, name: str) -> str | None:
    place = call.place(Field(text=name))
    data = call.content(place)
    if data is None or not call.shell.contents.sure(place.path or ""):
        return None
    return data.decode("utf-8", "replace").strip()


def _automatic(targets: Sequence[str], needs: Sequence[str]) -> Mapping[str, str]:
    """What `$@`, `$<` and `$^` are in the recipes of a rule, if it is about one target."""
    if len(targets) != 1 or "%" in targets[0] or any("$" in need or "%" in need for need in needs):
        return {}
    return {"@": targets[0], "<": needs[0] if needs else "", "^": " ".join(dict.fromkeys(needs))}


def _expanded(line: str, values: Mapping[str, str | None], own: Mapping[str, str]) -> str | None:
    """A line of a recipe as the shell gets it; None if a variable in it is not known."""
    out: list[str] = []
    end = 0
    if "@" in own:
        folder = own["@"].rpartition("/")[0]
        line = line.replace("$(dir $@)", f"{folder or '.'}/").replace("$(@D)", folder or ".")
    for match in _VARIABLE.finditer(line):
        name = match["name"] or match["sign"] or ""
        value = "$" if match["sign"] == "$" else own.get(name) if match["sign"] else values.get(name)
        if value is None or ("`" in value and _QUOTING.search(line)):
            return None
        out += [line[end : match.start()], value]
        end = match.end()
    return "".join([*out, line[end:]])


_QUOTING: Final = lazy(r"['\\`]")
"""Where a command in backticks might not be one."""


def _asked(call: Call, plain: re.Pattern[str]) -> tuple[str, tuple[str, ...]] | None:
    """The directory and the names of the makefile that make is asked to read; None if it is told more than that."""
    words = [field.text for field in call.args]
    # A variable of the environment is text of the makefile.
    if (
        not all(field.known for field in call.args)
        or call.shell.handed
        or call.shell.exported
        or any(name.startswith(("MAKE", "GNUMAKE")) for name in call.state.vars)
    ):
        return None
    folder = file = ""
    while words:
        text = words.pop(0)
        if text in ("-C", "-f", "-j", "--directory", "--file") and words:
            value = words.pop(0)
            if text in ("-C", "--directory"):  # each is told from the one before
                folder = f"{value}/" if value.startswith("/") else f"{folder}{value}/"
            file = value if text in ("-f", "--file") else file
        elif not plain.fullmatch(text):
            return None
    return folder, (file,) if file else NAMES


def _makefile(call: Call, folder: str, names: tuple[str, ...]) -> Resource | None:
    """The one makefile that is read, if that is certain."""
    for name in names:
        place = call.place(Field(text=f"{folder}{name}"))
        if place.path is None or call.content(place) is not None:
            return place if place.path is not None else None
        if _there(call, place):
            return None
    return None


def _there(call: Call, place: Resource) -> bool:
    return place.path is not None and (call.kind(place) is not None or call.shell.emit.changed(place.path))


def _only_printed(call: Call, folder: str, place: Resource, text: str | None = None) -> bool:
    data = call.content(place) if text is None else text.encode("utf-8", "surrogateescape")
    path = place.path or ""
    name = path.rpartition("/")[2]
    if data is None or any(_there(call, call.place(Field(text=f"{folder}{form.format(name)}"))) for form in _BESIDE):
        return False
    text = re.sub(r"\\\n\s*", " ", data.decode("utf-8", "surrogateescape"))
    return not _RUNS.search(_without_sums(text)) and all(_plain(line, name, text) for line in text.split("\n"))


def _without_sums(text: str) -> str:
    """The text without the `+` in recipes that are no prefix: nothing there becomes a value."""
    ruled = False
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if not line.startswith("\t"):
            # Behind an assignment a line with a tab is no recipe any more, and may be one as well.
            ruled = _RULE.fullmatch(line.partition(" #")[0]) is not None or (ruled and bool(_OTHER.fullmatch(line)))
        elif ruled and line.lstrip("\t @-")[:1] != "+":
            lines[at] = line.replace("+", "")
    return "\n".join(lines)


def _plain(line: str, name: str, text: str) -> bool:
    """Whether a line is one of a recipe that is only printed, or a rule or a value that makes nothing run."""
    if line.startswith("\t"):
        return _plain_recipe(line, text)
    if _OTHER.fullmatch(line) or _ASSIGNMENT.fullmatch(line):
        return True
    rule = _RULE.fullmatch(line.partition(" #")[0])
    if rule is None:
        return False
    targets = rule["targets"].split()
    if any(_may_make(target, name) for target in targets if not _SPECIAL.fullmatch(target)):
        return False
    return rule["recipe"] is None or _plain_recipe(rule["recipe"], text)


def _may_make(target: str, name: str) -> bool:
    """Whether a rule may be one for the makefile itself: make remakes that before it prints anything."""
    pattern = target.replace("%", "*").rpartition("/")[2]
    return target.startswith(".") or fnmatch.fnmatchcase(name, pattern)


def _plain_recipe(line: str, text: str) -> bool:
    """Whether a line of a recipe cannot begin with `+` once its variables are expanded.

    A tab also begins other lines, where no rule stands before them: those must be plain as well.
    """
    head = line.lstrip("\t @-")
    if re.match(r"(?:include|sinclude|load|export|unexport|define|vpath|undefine)\b", head):
        return False
    if head[:1] != "$" or head[:2] == "$$":
        return True
    match = _HEAD.match(head)
    if match is None or match["name"] is None:
        return match is not None
    values = [
        found["value"]
        for found in map(_ASSIGNMENT.fullmatch, text.split("\n"))
        if found and found["name"] == match["name"]
    ]
    return bool(values or match["name"] in _BUILT_IN) and all(map(_PLAIN_VALUE.match, values))
