"""Makefiles: whether `make -n` only prints recipes, and what the recipes of a makefile of the session's are.

Not concerned with what recipes do. Make runs `$(shell …)`, recipes with `+` or `$(MAKE)`, and whatever makes the
makefile itself anew. A makefile of which any line is not plain counts as one that runs.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.model import Resource

NAMES: Final = ("GNUmakefile", "makefile", "Makefile")
"""Makefiles that make finds by itself, the first one that there is."""

_DRY: Final = re.compile(r"-[ksBiw]*n[ksBiw]*|--(?:just-print|dry-run|recon)")
_QUIET: Final = (
    r"-[ksBiw]+|-j\d*|--(?:silent|quiet|keep-going|always-make|no-print-directory|print-directory)"
    r"|[\w.][\w./-]*"
)
_PLAIN_RUN: Final = re.compile(_QUIET)
"""Words that only say which recipes run, and how: options and targets."""

_DRY_RUN: Final = re.compile(rf"{_DRY.pattern}|{_QUIET}|(?!MAKE|GNUMAKE|MFLAGS|SHELL)[A-Za-z_]\w*=[\w./:@-]*")
"""Words beside a dry run that change nothing about it: plain variables too."""

_FINDING: Final = frozenset(("VPATH", "GPATH", "CURDIR"))
"""Variables by which make finds files elsewhere than their names say."""

_VARIABLE: Final = re.compile(r"\$(?:[({](?P<name>[^(){}$]*)[)}]|(?P<sign>.))")

_RUNS: Final = re.compile(
    r"\$[({]\s*(?:shell|eval|call|file|guile|foreach|let|value)\b|\bMAKE\b|!=|\r"
    r"|(?<![\w+])\+(?!=)"  # a prefix, or a value that may become one; `g++` and `+=` are neither
)
"""What runs while make only prints, or may make something else do so."""

_ASSIGNMENT: Final = re.compile(
    r"\s*(?:override )?(?!MAKE|MFLAGS|GNUMAKE|SHELL|\.)(?P<name>\w[\w.-]*)\s*(?:::?|\?|\+)?=\s*(?P<value>.*)"
)
_RULE: Final = re.compile(r"(?P<targets>[\w./%-][\w./% -]*?)\s*::?(?P<rest>[^=:](?:[^;=]*)(?:;(?P<recipe>.*))?|)")
_OTHER: Final = re.compile(r"\s*(?:#.*|(?:else )?if(?:eq|neq|def|ndef)\b.*|else|endif|)")
_SPECIAL: Final = re.compile(r"\.(?:PHONY|SUFFIXES|SILENT|PRECIOUS|INTERMEDIATE|SECONDARY|DELETE_ON_ERROR|NOTPARALLEL)")

_HEAD: Final = re.compile(r"\$(?:[({](?P<name>\w+)[)}]|[@<])(?!\$)")
_PLAIN_VALUE: Final = re.compile(r"[\w./][^$]*")
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
    if asked[0].rstrip("/") not in ("", "."):
        return None  # its recipes run in another directory
    data = call.content(place)
    if data is None or not _only_printed(call, asked[0], place):
        return None
    text = re.sub(r"[ \t]*\\\n\s*", " ", data.decode("utf-8", "surrogateescape"))
    values: dict[str, str | None] = {}
    lines: list[tuple[str, Mapping[str, str]]] = []
    own: Mapping[str, str] = {}
    for line in text.split("\n"):
        rule = None if line.startswith("\t") else _RULE.fullmatch(line.partition(" #")[0])
        if line.startswith("\t"):
            lines.append((line, own))
        elif (found := _ASSIGNMENT.fullmatch(line)) is not None:
            name, value = found["name"], found["value"].partition(" #")[0].strip()
            sure = name not in values and "$" not in value and re.search(r"[?+]=", line[: found.start("value")]) is None
            values[name] = value if sure else None
        elif rule is not None:
            own = _automatic(rule["targets"].split(), rule["rest"].partition(";")[0].split())
            lines += [(rule["recipe"], own)] if rule["recipe"] else []
    if not values.keys().isdisjoint(_FINDING):
        return None
    texts = [_expanded(line.lstrip("\t @-"), values, own) for line, own in lines]
    return None if None in texts else [text for text in texts if text]


def _automatic(targets: Sequence[str], needs: Sequence[str]) -> Mapping[str, str]:
    """What `$@`, `$<` and `$^` are in the recipes of a rule, if it is about one target."""
    if len(targets) != 1 or "%" in targets[0] or any("$" in need or "%" in need for need in needs):
        return {}
    return {"@": targets[0], "<": needs[0] if needs else "", "^": " ".join(dict.fromkeys(needs))}


def _expanded(line: str, values: Mapping[str, str | None], own: Mapping[str, str]) -> str | None:
    """A line of a recipe as the shell gets it; None if a variable in it is not known."""
    out: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(line):
        name = match["name"] or match["sign"] or ""
        value = "$" if match["sign"] == "$" else own.get(name) if match["sign"] else values.get(name)
        if value is None:
            return None
        out += [line[end : match.start()], value]
        end = match.end()
    return "".join([*out, line[end:]])


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
            folder = f"{value}/" if text in ("-C", "--directory") else folder
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


def _only_printed(call: Call, folder: str, place: Resource) -> bool:
    data = call.content(place)
    path = place.path or ""
    name = path.rpartition("/")[2]
    if data is None or any(_there(call, call.place(Field(text=f"{folder}{form.format(name)}"))) for form in _BESIDE):
        return False
    text = re.sub(r"\\\n\s*", " ", data.decode("utf-8", "surrogateescape"))
    return not _RUNS.search(text) and all(_plain(line, name, text) for line in text.split("\n"))


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
