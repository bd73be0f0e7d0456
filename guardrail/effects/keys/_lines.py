"""What the commands of ed, of ex and vim, and one-line programs of perl and ruby make of a text.

Not concerned with commands that read or write other files or run programs: those raise `Foreign`; what is harmless but
not modelled raises `Unclear`.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.keys._regex import Regex, Unclear, replacement, substitute, translate
from guardrail.effects.keys._sed import run
from guardrail.patterns import lazy

MAX_STEPS: Final = 200
"""Most commands of one script for an editor."""

MAX_SCRIPT: Final = 16_384
"""Longest script for an editor whose result is worked out, in characters."""


class Foreign(Exception):
    """A command that may do more than edit the text."""


_RANGE = r"(?P<range>%|,|\d+(?:,(?:\d+|\$))?|\$|/(?:[^/\\\n]|\\.)+/)?"
_SUBSTITUTE = lazy(_RANGE + r"s(?P<mark>[/|#,:@!])(?P<rest>.*)", re.DOTALL)
_GLOBAL = lazy(r"(?:%|1,\$)?(?P<op>g|v)/(?P<regex>(?:[^/\\\n]|\\.)+)/(?P<command>d|s.*)")
_DELETE = lazy(_RANGE + r"d(?:elete)?")
_INSERT = lazy(_RANGE + r"(?P<name>[aic])")
_SAVE: Final = frozenset(("w", "wq", "w!", "wq!", "x", "x!", "xit", "update", "wa", "wqa", "xa", "wq!a", "write"))
_SHOWN: Final = lazy(r"(?:%|[0-9.$]*(?:,[0-9.$]*)?)[pnl=]|[0-9]+|[HhP]")
_LEAVE: Final = frozenset(("q", "Q", "q!", "qa", "qa!", "quit", "quit!"))
_QUIET: Final = frozenset(
    ("H", "h", "P", "p", ",p", "%p", "n", ",n", "set nobackup", "set noswapfile", "set nomore", "")
)
_VIM_PLAIN = lazy(r"\^?(?:[\w :=\"',@%!#-]|\\?\.|\.\*|\\/|\[[\w-]+\]\*?)*\$?")
_AS_COMMAND = lazy(r"(?:[\s0-9.$,;+%^-]|'[a-z]?)*(?:[gGvV]\W|![^=]|[efrwEW]q?(?:\s|!)|[/?].*(?:[!gGvV]|[efrwEW]\s))")
_PLAIN_FLAGS = lazy(r"[egiIcnpl0-9 ]*")
_HARMLESS = lazy(r"[%$,\d/\w\s.^*+?:;=\"'\-#@()\[\]\\|&<>{}~`]*")


def run_ed(script: str, text: str) -> str:
    """What a file holds after `ed` has run a script on it: the text as it was last written.

    Raises:
        Foreign: if a command may do more than edit.
        Unclear: if the result is not certain.
    """
    lines = script.split("\n")
    _refuse_foreign_lines(lines)
    saved, current = text, text
    at = 0
    unclear = moved = False
    while at < len(lines) and at < MAX_STEPS:
        line = lines[at].strip()
        at += 1
        match = _INSERT.fullmatch(line)
        if _SHOWN.fullmatch(line):
            moved = True  # the line that was shown last is the one that what follows means
            continue
        if match is not None:
            unclear = unclear or moved
            end = next((i for i in range(at, len(lines)) if lines[i] == "."), len(lines))
            body = lines[at:end]
            at = end + 1
            current = _inserted(match, body, current)
            continue
        if line in _LEAVE:
            break
        if line in _SAVE:
            saved = _ended(current)
            if "q" in line or line[:1] == "x":
                break
            continue
        unclear = unclear or moved
        try:
            current = _one(line, current, vim=False)
        except Unclear:
            unclear = True
    if unclear or at >= MAX_STEPS:
        raise Unclear("a command of the editor")
    return saved


def run_ex(script: str, text: str) -> str:
    """What a file holds after `ex` or `vim` has run commands on it.

    Raises:
        Foreign: if a command may do more than edit.
        Unclear: if the result is not certain.
    """
    saved, current = text, text
    unclear = False
    for line in _ex_commands(script):
        if line in _LEAVE:
            break
        if line in _SAVE:
            saved = _ended(current)
            if "q" in line or line[:1] == "x":
                break
            continue
        try:
            current = _one(line, current, vim=True)
        except Unclear:
            unclear = True
    if unclear:
        raise Unclear("a command of the editor")
    return saved


def _ex_commands(script: str) -> list[str]:
    out: list[str] = []
    unclear = len(script) > MAX_SCRIPT
    for line in script.split("\n"):
        line = line.strip().lstrip(":")
        ends: list[str] = []
        while True:
            head, bar, tail = line.rpartition("|")
            if not bar or (tail.strip() not in _SAVE and tail.strip() not in _LEAVE):
                break
            ends.insert(0, tail.strip())
            line = head.strip()
        # A bar is text to a substitution that is not closed, and what `:g` is given goes on behind it.
        match = _SUBSTITUTE.fullmatch(line)
        if ends and (_GLOBAL.fullmatch(line) or (match is not None and len(_parts(match)) < 3)):
            unclear = True
        out += [line, *ends]
    # All of them, for an editor goes on where it was told to leave and has not saved.
    for line in out:
        _refuse_foreign(line)
    if unclear or len(out) > MAX_STEPS:
        raise Unclear("a long script, or a bar that may not end a command")
    return out


def _refuse_foreign_lines(lines: list[str]) -> None:
    """Every command of ed, also behind one that leaves: it stays where the text was changed and not saved."""
    inserting = False
    for line in lines:
        if inserting:
            # Where the address is not found nothing is inserted, and what was to be is a row of commands.
            if _AS_COMMAND.match(line):
                raise Foreign(line)
            inserting = line != "."
        elif _INSERT.fullmatch(line.strip()):
            inserting = True
        elif not _SHOWN.fullmatch(line.strip()):
            _refuse_foreign(line.strip())


def _refuse_foreign(line: str) -> None:
    """Only what is on the list cannot reach beyond the text."""
    if line in _SAVE or line in _LEAVE or line in _QUIET or _DELETE.fullmatch(line):
        return
    command = line
    if match := _GLOBAL.fullmatch(line):
        command = match["command"] if match["command"] != "d" else "s/a/b/"
    match = _SUBSTITUTE.fullmatch(command)
    if match is None or "\\=" in line or not _HARMLESS.fullmatch(line):
        raise Foreign(line)
    parts = _parts(match)
    if len(parts) == 3 and not _PLAIN_FLAGS.fullmatch(parts[2].strip()):
        raise Foreign(line)


def _ended(text: str) -> str:
    """Editors write whole lines."""
    return text if text.endswith("\n") or not text else text + "\n"


def _one(line: str, text: str, *, vim: bool) -> str:
    if line in _QUIET:
        return text
    if match := _GLOBAL.fullmatch(line):
        regex = _plain(match["regex"], vim=vim)
        command = match["command"]
        if command != "d" and (command[:2] != "s/" or command.startswith("s//")):
            raise Unclear("a substitution with the last expression")
        negate = "!" if match["op"] == "v" else ""
        if command != "d":
            _plain(command[2:].partition("/")[0], vim=vim)
        return _sed(f"/{regex}/{negate}{command}", text)
    if match := _SUBSTITUTE.fullmatch(line):
        return _substituted(match, text, vim=vim)
    if match := _DELETE.fullmatch(line):
        return _sed(f"{_address(match['range'], text, vim=vim)}d", text)
    raise Unclear("a command of the editor")


def _parts(match: re.Match[str]) -> list[str]:
    """Expression, text and flags of a substitution; what follows a further delimiter belongs to the flags."""
    return _split(match["rest"], match["mark"], 2)


def _split(text: str, mark: str, most: int) -> list[str]:
    """The parts between so many delimiters; a backslash takes the meaning of what follows it, of another one too."""
    parts = [""]
    at = 0
    while at < len(text):
        char = text[at]
        if char == mark and len(parts) <= most:
            parts.append("")
        else:
            parts[-1] += text[at : at + 2] if char == "\\" else char
        at += 2 if char == "\\" else 1
    return parts


def _substituted(match: re.Match[str], text: str, *, vim: bool) -> str:
    mark = match["mark"]
    parts = _parts(match)
    if len(parts) == 2:
        parts.append("")
    if len(parts) != 3 or not re.fullmatch(r"g?|[0-9]+" if not vim else r"g?", parts[2].strip()):
        raise Unclear("flags of a substitution")
    _plain(parts[0], vim=vim)
    if vim and re.search(r"[~\\]", parts[1]):
        raise Unclear("a replacement of vim")
    address = _address(match["range"], text, vim=vim)
    out = _sed(f"{address}s{mark}{parts[0]}{mark}{parts[1]}{mark}{parts[2].strip()}", text)
    if out == text:
        raise Unclear("a substitution that finds nothing ends the script")
    return out


def _plain(regex: str, *, vim: bool) -> str:
    if vim and not _VIM_PLAIN.fullmatch(regex):
        raise Unclear("an expression of vim")
    return regex


def _address(given: str | None, text: str, *, vim: bool) -> str:
    if given is None:
        raise Unclear("the current line")
    if given in ("%", ","):
        return ""
    if given.startswith("/"):
        regex = translate(_plain(given[1:-1], vim=vim), "basic")
        if sum(1 for line in text.split("\n") if regex.search(line)) != 1:
            raise Unclear("a search that depends on where it begins")
    return given


def _sed(script: str, text: str) -> str:
    return run([script], text, extended=False, quiet=False, in_place=True)


def _inserted(match: re.Match[str], body: list[str], text: str) -> str:
    address = _address(match["range"], text, vim=False)
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    if address == "$":
        number = len(lines)
    elif address.isdecimal() and int(address) <= len(lines):
        number = int(address)
    else:
        raise Unclear("where lines are put")
    name = match["name"]
    start = number if name == "a" else max(number - 1, 0)
    end = number if name in "ac" else start
    return "".join(line + "\n" for line in [*lines[:start], *body, *lines[end:]])


# -- one-line programs

_PERL = lazy(r"s(?P<mark>[/|#,!@%:])(?P<rest>.*)", re.DOTALL)
_PERL_BRACES = lazy(r"s\{(?P<regex>[^{}]*)\}\s*\{(?P<text>[^{}]*)\}(?P<flags>[a-z]*)")
_RUBY = lazy(
    r"(?:\$_\.(?P<changed>g?sub)!|(?P<name>g?sub))\(\s*/(?P<regex>(?:[^/\\\n]|\\.)+)/(?P<flags>i?)\s*,\s*"
    r"(?P<quote>[\"'])(?P<text>[^\"'\\#]*)(?P=quote)\s*\)"
)

Step = tuple[str, str, str]
"""An expression, what is put for it, and flags."""


def perl_steps(code: str) -> list[Step]:
    """The substitutions of a `perl -pe` program that is nothing else.

    Raises:
        Foreign: if it may do more.
    """
    steps: list[Step] = []
    for part in _statements(code):
        step = _perl_step(part)
        regex, text, flags = step
        if not re.fullmatch(r"[gimsx]*", flags) or re.search(r"\(\?[?{]|@|\$[\w{(\[&`'+!/\\;.,<>]", regex):
            raise Foreign(part)
        # An escaped dollar is one, and a bracket behind a group asks for something else.
        if re.search(r"@[\w{(\[$]|\$(?![0-9&])|\$\{|[`]|\\[$@]|\$(?:&|\d+)(?:[\[{]|->)", text):
            raise Foreign(part)
        steps.append(step)
    if not steps:
        raise Foreign(code)
    return steps


def _statements(code: str) -> list[str]:
    """Parts at semicolons; one inside a substitution leaves parts that are none."""
    return [part.strip() for part in re.split(r";(?=\s*(?:s[/|#,!@%:{]|$))", code.strip()) if part.strip()]


def _perl_step(part: str) -> Step:
    if match := _PERL_BRACES.fullmatch(part):
        return match["regex"], match["text"], match["flags"]
    match = _PERL.fullmatch(part)
    if match is None:
        raise Foreign(part)
    pieces = _split(match["rest"], match["mark"], len(match["rest"]))
    if len(pieces) != 3 or not re.fullmatch(r"[a-z]*", pieces[2].strip()):
        raise Foreign(part)
    mark = match["mark"]
    if mark != "/" and any("\\" + mark in piece for piece in pieces):
        raise Foreign(part)
    return pieces[0].replace("\\/", "/"), pieces[1].replace("\\/", "/"), pieces[2].strip()


def run_perl(steps: list[Step], text: str) -> str:
    """What `perl -pe` prints for a text.

    Raises:
        Unclear: if it is not certain.
    """
    ready: list[tuple[Regex, str, str]] = []
    for source, put, flags in steps:
        if set(flags) - {"g", "i"}:
            raise Unclear("flags of a substitution")
        regex = translate(source, "perl", ignore_case="i" in flags)
        if regex.anchor and "g" in flags:
            raise Unclear("an anchor that matches twice")
        ready.append((regex, _perl_text(put), flags))
    out: list[str] = []
    for line in _whole_lines(text):
        for regex, put, flags in ready:
            expand = replacement(put, regex, whole="\0", mark="\\")
            line, _ = substitute(line, regex, expand, every="g" in flags)
        out.append(line)
    return "".join(out)


def _whole_lines(text: str) -> list[str]:
    """Lines with their ends; only a newline is one."""
    if "\r" in text:
        raise Unclear("lines that end in another way")
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _perl_text(text: str) -> str:
    """A replacement of perl, with groups as sed has them."""
    text = text.replace("$&", "\0")
    return re.sub(r"\$([1-9])(?!\d)", r"\\\1", text)


def ruby_steps(code: str) -> list[Step]:
    """The substitutions of a `ruby -pe` program that is nothing else.

    Raises:
        Foreign: if it may do more.
    """
    steps: list[Step] = []
    for part in (part.strip() for part in code.split(";")):
        if not part:
            continue
        match = _RUBY.fullmatch(part)
        # A `$` is plain text to Ruby, and sets in brackets have operators of their own.
        if match is None or re.search(r"#|\[[^\]]*(?:\[|&&)", match["regex"]) or "$" in match["text"]:
            raise Foreign(part)
        regex = match["regex"].replace("\\/", "/")
        name = match["name"] or match["changed"]
        steps.append((regex, match["text"], ("g" if name == "gsub" else "") + match["flags"]))
    if not steps:
        raise Foreign(code)
    return steps


# -- awk

_AWK_SUB = lazy(
    r"\s*+\{\s*+(?P<name>g?sub)\(\s*+/(?P<regex>(?:[^/\\\n]|\\.)+)/\s*+,\s*+\"(?P<text>[^\"\\&\n]*)\"\s*+(?:,\s*+\$0\s*+)?\)"
    r"\s*+;?\s*+(?P<print>print\s*+(?:\$0\s*+)?;?\s*+)?\}\s*+;?\s*+(?P<also>1|\{\s*+print\s*+(?:\$0\s*+)?;?\s*+\})?\s*+;?\s*+"
)


def awk_text(program: str, text: str | None) -> str | None:
    """What `awk '{ sub(/a/, "b") } 1'` prints; None for any other program."""
    match = _AWK_SUB.fullmatch(program)
    if match is None or text is None or (match["print"] is None) == (match["also"] is None):
        return None
    if "\\" in match["regex"].replace("\\.", "").replace("\\/", ""):
        return None
    regex = match["regex"].replace("\\/", "/")
    delimiter = next((char for char in "|#,@~" if char not in regex + match["text"]), None)
    if delimiter is None:
        return None
    flag = "g" if match["name"] == "gsub" else ""
    script = f"s{delimiter}{regex}{delimiter}{match['text']}{delimiter}{flag}"
    try:
        out = run([script], text, extended=True, quiet=False, in_place=False)
    except Unclear:
        return None
    return out if out.endswith("\n") or not out else out + "\n"
