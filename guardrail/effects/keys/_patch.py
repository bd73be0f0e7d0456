"""Patches as changes of files: unified diffs, and the envelope `*** Begin Patch` that coding agents write.

Not concerned with paths: names are given as they stand in the patch, so that callers strip and place them. A patch that
does not fit exactly where it says it belongs is not applied: tools that search for another place find one or do not.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from guardrail.effects.keys._hunks import _INDENT, Hunk, apply_hunks
from guardrail.patterns import lazy

MAX_PATCH_LINES: Final = 50_000
"""Most lines of one patch that is read."""

MAX_PATCH_FILES: Final = 1_000
"""Most files of one patch that is read."""

_HUNK = lazy(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*")

_HEADER = lazy(_INDENT + r"(?:\*\*\* |--- |\+\+\+ |@@ |Index:|Prereq:|diff --git |GIT binary|\*{8})")
_OLD_COMMAND = lazy(_INDENT + r"\d[\d,]*[acd]")
_OLD_LINE = lazy(_INDENT + r"(?:[<>]|\.?$)")
_ODD_MODE = lazy(r"(?:new file mode|old mode|new mode|index \S+) 1[26]0000")
_BINARY_LINE = lazy(r"(?:literal|delta) \d+|[A-Za-z][0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]+|")
_EXTENDED: Final = (
    *("old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ", "rename from "),
    *("rename to ", "similarity index ", "dissimilarity index ", "index ", "GIT binary patch", "Binary files "),
)
_NO_NEWLINE: Final = "\\ No newline at end of file"

Kind = Literal["add", "delete", "update", "move"]


class FilePatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch does to one file.

    Args:
        path: the file, as the patch names it; for a unified diff the old name unless that is `/dev/null`.
        op: what happens to it.
        new_path: its name afterwards, if that is another one.
        hunks: the changes, in order.
        whole: for `add` in an envelope, the new content.
        names: every name that the patch gives the file.
        opaque: it says something that is not modelled, such as a binary change; `apply` has no answer.
    """

    path: str
    op: Kind
    new_path: str | None = None
    hunks: tuple[Hunk, ...] = ()
    whole: str | None = None
    names: tuple[str, ...] = ()
    opaque: bool = False

    def apply(self, before: bytes | None) -> bytes | None:
        """The content of the file after the patch.

        Args:
            before: its content now; None if there is no file, or it is not known.

        Returns:
            The content; empty after a deletion; None if the patch does not fit, or fits in more than one place.
        """
        if self.opaque:
            return None
        if self.op == "delete":
            return b""
        if self.whole is not None:
            return self.whole.encode("utf-8", "surrogateescape")
        if before is None:
            if self.op != "add":
                return None
            before = b""
        text = before.decode("utf-8", "surrogateescape")
        done = apply_hunks(self.hunks, text)
        return None if done is None else done.encode("utf-8", "surrogateescape")


class Malformed(ValueError):
    """The text is no patch, or one that is not understood."""


def apply_patch(text: str) -> tuple[FilePatch, ...]:
    """Read a patch in either form.

    Args:
        text: the patch.

    Returns:
        What it does to each file, in order.

    Raises:
        Malformed: if it is no patch, or not understood in every line.
    """
    if len(text) > MAX_PATCH_LINES * 200 or text.count("\n") > MAX_PATCH_LINES:
        raise Malformed("the patch is too long")
    stripped = text.strip()
    if stripped.startswith("*** Begin Patch"):
        return parse_envelope(stripped)
    return parse_diff(text)


# -- the envelope


def parse_envelope(text: str) -> tuple[FilePatch, ...]:
    """Read `*** Begin Patch … *** End Patch`.

    Raises:
        Malformed: if a line has no meaning in it.
    """
    lines = text.strip().split("\n")
    if lines[0].strip() != "*** Begin Patch" or lines[-1].strip() != "*** End Patch":
        raise Malformed("the envelope is not closed")
    found: list[FilePatch] = []
    at = 1
    while at < len(lines) - 1:
        line = lines[at]
        at += 1
        if not line.strip():
            continue
        verb, colon, name = line.partition(": ")
        name = name.strip()
        if not colon or not name or len(found) >= MAX_PATCH_FILES:
            raise Malformed("a line of the envelope is not understood")
        end = next((i for i in range(at, len(lines)) if _begins_file(lines[i])), len(lines))
        body = lines[at:end]
        at = end
        if verb == "*** Add File":
            found.append(_added(name, body))
        elif verb == "*** Delete File":
            if any(line.strip() for line in body):
                raise Malformed("a deletion with content")
            found.append(FilePatch(path=name, op="delete", names=(name,)))
        elif verb == "*** Update File":
            found.append(_updated(name, body))
        else:
            raise Malformed("a line of the envelope is not understood")
    return tuple(found)


def _begins_file(line: str) -> bool:
    return line.startswith(("*** Add File: ", "*** Delete File: ", "*** Update File: ", "*** End Patch"))


def _added(name: str, body: list[str]) -> FilePatch:
    if not all(line.startswith("+") for line in body):
        raise Malformed("a new file with lines that do not begin with `+`")
    return FilePatch(path=name, op="add", whole="".join(line[1:] + "\n" for line in body), names=(name,))


def _updated(name: str, body: list[str]) -> FilePatch:
    target = None
    if body and body[0].startswith("*** Move to: "):
        target = body.pop(0).partition(": ")[2].strip()
    hunks: list[Hunk] = []
    anchors: list[str] = []
    before: list[str] = []
    after: list[str] = []
    at_end = False

    def close() -> None:
        nonlocal at_end
        if before or after:
            hunks.append(Hunk(before=tuple(before), after=tuple(after), anchors=tuple(anchors), at_end=at_end))
            anchors.clear()
        before.clear()
        after.clear()
        at_end = False

    for line in body:
        if line.startswith("@@"):
            close()
            if line[2:].strip():
                anchors.append(line[2:].removeprefix(" "))
        elif line.strip() == "*** End of File":
            at_end = True
        elif line[:1] in (" ", "-", "+", ""):
            # A line that is empty stands for an empty line of context.
            if line[:1] != "+":
                before.append(line[1:])
            if line[:1] != "-":
                after.append(line[1:])
        else:
            raise Malformed("a line of an update is not understood")
    close()
    op: Kind = "move" if target is not None else "update"
    names = (name,) if target is None else (name, target)
    return FilePatch(path=name, op=op, new_path=target, hunks=tuple(hunks), names=names)


# -- unified diffs


def parse_diff(text: str) -> tuple[FilePatch, ...]:
    """Read a unified diff, with or without git's extended header.

    Raises:
        Malformed: if it is none.
    """
    reader = _Diff(text.split("\n"))
    found = reader.files()
    if not found:
        raise Malformed("no file in the patch")
    return found


class _Diff:
    """Walks the lines of a diff."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self.index: str | None = None

    def files(self) -> tuple[FilePatch, ...]:
        found: list[FilePatch] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith("diff --git "):
                found.append(self._git())
            elif line.startswith("--- ") and self.lines[self.at + 1 : self.at + 2][0:1] and self._is_header():
                found.append(self._plain(()))
            elif line.startswith("Index: ") and self.index is None:
                self.index = line.removeprefix("Index: ").strip()
                self.at += 1
            else:
                self._skip(line)
            if len(found) > MAX_PATCH_FILES:
                raise Malformed("too many files")
        if self.index is not None:
            raise Malformed("a name without a change")
        return tuple(found)

    def _skip(self, line: str) -> None:
        """Prose around the diff, which a tool must not read as another one."""
        self.at += 1
        if _HEADER.match(line) or (_OLD_COMMAND.match(line) and any(map(_OLD_LINE.match, self.lines[self.at :]))):
            raise Malformed("a diff of another kind, or a hunk without a file")

    def _is_header(self) -> bool:
        return self.lines[self.at + 1].startswith("+++ ")

    def _git(self) -> FilePatch:
        heading = self.lines[self.at]
        self.at += 1
        facts: dict[str, str] = {}
        while self.at < len(self.lines) and not self.lines[self.at].startswith(("--- ", "diff --git ", "@@")):
            line = self.lines[self.at]
            if _ODD_MODE.match(line):
                raise Malformed("a link, or a repository in the repository")
            binary = facts.get("opaque") == "GIT binary patch" and _BINARY_LINE.fullmatch(line) is not None
            if not binary and not line.startswith(_EXTENDED):
                break  # what follows is no header any more
            for key in ("rename from ", "rename to ", "copy from ", "copy to ", "new file mode ", "deleted file mode "):
                if line.startswith(key):
                    if key.strip() in facts:
                        raise Malformed("a header that says a thing twice")
                    facts[key.strip()] = line[len(key) :]
            for key in ("old mode", "new mode", "GIT binary patch", "Binary files"):
                if line.startswith(key):
                    facts["opaque"] = key
            self.at += 1
        names = tuple(facts[key] for key in ("rename from", "rename to", "copy from", "copy to") if key in facts)
        named = self.at < len(self.lines) and self.lines[self.at].startswith("--- ")
        if named:
            old, new = self.lines[self.at][4:], "".join(self.lines[self.at + 1 : self.at + 2])[4:]
            _check_heading(heading, _name(old), _name(new))
            patch = self._plain(names)
        else:
            if names:
                _check_heading(heading, names[0], names[-1])
            names = names or _headed(heading)
            op: Kind = "add" if "new file mode" in facts else "delete" if "deleted file mode" in facts else "update"
            patch = FilePatch(path=names[0], op=op, names=names)
        if "rename from" in facts and "rename to" in facts:
            patch = msgspec.structs.replace(
                patch, op="move", path=facts["rename from"], new_path=facts["rename to"], names=names
            )
        return msgspec.structs.replace(patch, opaque=True) if "opaque" in facts or "copy from" in facts else patch

    def _plain(self, names: tuple[str, ...]) -> FilePatch:
        if not self.lines[self.at + 1 : self.at + 2] or not self._is_header():
            raise Malformed("half a header")
        old, new = _name(self.lines[self.at][4:]), _name(self.lines[self.at + 1][4:])
        self.at += 2
        if self.index not in (None, old, new):
            raise Malformed("a third name")
        self.index = None
        hunks: list[Hunk] = []
        while self.at < len(self.lines) and (match := _HUNK.fullmatch(self.lines[self.at])):
            hunks.append(self._hunk(match))
        every = tuple(dict.fromkeys((*names, *(name for name in (old, new) if name != "/dev/null"))))
        if not every or not hunks:
            raise Malformed("a file without a name or without a change")
        if old == "/dev/null":
            return FilePatch(path=new, op="add", hunks=tuple(hunks), names=every)
        if new == "/dev/null":
            return FilePatch(path=old, op="delete", hunks=tuple(hunks), names=every)
        return FilePatch(path=old, op="update", hunks=tuple(hunks), names=every)

    def _hunk(self, match: re.Match[str]) -> Hunk:
        start = int(match[1])
        left, right = int(match[2] or "1"), int(match[4] or "1")
        self.at += 1
        before: list[str] = []
        after: list[str] = []
        cut_before = cut_after = False
        while left > 0 or right > 0:
            if self.at >= len(self.lines):
                raise Malformed("a hunk that ends too early")
            line = self.lines[self.at]
            self.at += 1
            mark = line[:1] or " "
            if mark not in " -+":
                raise Malformed("a line of a hunk is not understood")
            if mark != "+":
                before.append(line[1:])
                left -= 1
            if mark != "-":
                after.append(line[1:])
                right -= 1
            if self.lines[self.at : self.at + 1] == [_NO_NEWLINE]:
                self.at += 1
                cut_before = cut_before or mark != "+"
                cut_after = cut_after or mark != "-"
        if left < 0 or right < 0:
            raise Malformed("a hunk of the wrong length")
        # A hunk that only adds names the line before.
        line_number = start if before else start + 1
        return Hunk(
            before=tuple(before), after=tuple(after), line=line_number, cut_before=cut_before, cut_after=cut_after
        )


def _headed(heading: str) -> tuple[str, ...]:
    """The names in a heading that stands alone: twice the same."""
    rest = heading.removeprefix("diff --git ")
    left, _, right = rest.partition(" b/")
    if right and left == f"a/{right}":
        return (left, f"b/{right}")
    half = len(rest) // 2
    if rest[:half] != rest[half + 1 :] or rest[half : half + 1] != " " or not rest[:half]:
        raise Malformed("a header with two names")
    return (rest[:half],)


def _check_heading(heading: str, old: str, new: str) -> None:
    """The names of a file are the same wherever they stand; tools differ in which of them they take."""
    bare = [name[2:] if name[:2] in ("a/", "b/") else name for name in (old, new)]
    known = [name for name in bare if name != "/dev/null"]
    if not known:
        raise Malformed("a file without a name")
    left, right = known[0], known[-1]
    if heading not in (f"diff --git a/{left} b/{right}", f"diff --git {left} {right}"):
        raise Malformed("a header with other names")


def _name(text: str) -> str:
    name = text.split("\t", maxsplit=1)[0].rstrip()
    if name.startswith('"'):
        raise Malformed("a quoted name")
    return name


def parse_patch(text: str) -> tuple[FilePatch, ...] | None:
    """What a patch of either kind changes; None if it is not understood."""
    try:
        return apply_patch(text)
    except Malformed:
        return None
