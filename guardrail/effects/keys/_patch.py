"""Patches as changes of files: the envelope of `apply_patch`, and what each file holds afterwards."""

from __future__ import annotations

from typing import Literal

import msgspec


class FilePatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch does to one file.

    Args:
        path: the file, as the patch names it.
        op: what is done.
        new_path: the name it gets, if another one.
        hunks: for `update`, pairs of the lines that are there and those that take their place; for `add` one pair.
    """

    path: str
    op: Literal["add", "update", "delete"]
    new_path: str | None = None
    hunks: tuple[tuple[str, str], ...] = ()

    def apply(self, before: bytes) -> bytes | None:
        """The content afterwards; None if the patch does not fit, or fits in several places."""
        if self.op == "delete":
            return None
        try:
            text = before.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if self.op == "add":
            return self.hunks[0][1].encode("utf-8", "surrogateescape") if self.hunks else b""
        if text and not text.endswith("\n"):
            text += "\n"
        for old, new in self.hunks:
            if not old or text.count(old) != 1:
                return None
            text = text.replace(old, new, 1)
        return text.encode("utf-8", "surrogateescape")


_HEADS = {"*** Add File: ": "add", "*** Update File: ": "update", "*** Delete File: ": "delete"}


def parse_patch(text: str) -> tuple[FilePatch, ...] | None:
    """Read a patch.

    Args:
        text: from `*** Begin Patch` to `*** End Patch`.

    Returns:
        The change of each file, in order; None if it is not such a patch.
    """
    lines = text.strip().split("\n")
    if lines[0].strip() != "*** Begin Patch" or lines[-1].strip() != "*** End Patch":
        return None
    found: list[FilePatch] = []
    index = 1
    while index < len(lines) - 1:
        head = next((head for head in _HEADS if lines[index].startswith(head)), None)
        if head is None:
            if lines[index].strip():
                return None
            index += 1
            continue
        path = lines[index][len(head) :].strip()
        index += 1
        body: list[str] = []
        while index < len(lines) - 1 and not lines[index].startswith(tuple(_HEADS)):
            body.append(lines[index])
            index += 1
        change = _change(path, _HEADS[head], body)
        if change is None:
            return None
        found.append(change)
    return tuple(found) or None


def _change(path: str, op: str, body: list[str]) -> FilePatch | None:
    if not path:
        return None
    if op == "add":
        if any(line[:1] != "+" for line in body):
            return None
        content = "".join(f"{line[1:]}\n" for line in body)
        return FilePatch(path=path, op="add", hunks=(("", content),))
    if op == "delete":
        return FilePatch(path=path, op="delete") if not any(line.strip() for line in body) else None
    moved = None
    if body and body[0].startswith("*** Move to: "):
        moved = body.pop(0)[len("*** Move to: ") :].strip()
    hunks = _hunks(body)
    return None if hunks is None else FilePatch(path=path, op="update", new_path=moved, hunks=hunks)


def _hunks(body: list[str]) -> tuple[tuple[str, str], ...] | None:
    hunks: list[tuple[str, str]] = []
    old: list[str] = []
    new: list[str] = []
    for line in [*body, "@@"]:
        if line.startswith("@@"):
            if old or new:
                hunks.append(("".join(old), "".join(new)))
            old, new = [], []
        elif line == "*** End of File":
            continue
        elif line[:1] in (" ", "-", "+", ""):
            text = f"{line[1:]}\n"
            if line[:1] != "+":
                old.append(text)
            if line[:1] != "-":
                new.append(text)
        else:
            return None
    return tuple(hunks)
