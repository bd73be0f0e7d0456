"""What one row of arguments asks for, by the roles that an entry gives them.

Not concerned with how arguments become rows, nor with arguments that no role is given to.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from guardrail.model import Edit
from guardrail.parse._operations import (
    ApiOperation,
    CodeText,
    Command,
    Delegation,
    FileOperation,
    Nothing,
    Operation,
    PatchText,
    ShellText,
    SqlText,
)
from guardrail.parse._operations import Verb as FileVerb
from guardrail.parse._selectors import (
    MAX_ROWS,
    MISSING,
    Mismatch,
    Row,
    Selector,
    compiled,
    is_list,
    is_table,
    strings,
    strings_only,
    values_at,
)
from guardrail.toolspec import FILE_VERBS, ROLES, ToolSpec

_INSTALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("pip", "install"), "javascript": ("npm", "install"), "typescript": ("npm", "install"),
}  # fmt: skip
"""What installs packages for code in a language."""


Nested = Callable[[Sequence[tuple[str, Any]]], tuple[Operation, ...]]
"""Parses calls in the arguments of a call."""


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) or value is MISSING else str(value)[:200]


def is_path(text: str) -> bool:
    return text[:1] in ("/", "~") or text[:5].lower() == "file:"


class RowReader:
    """Reads the rows of one entry.

    Args:
        spec: the entry.
    """

    __slots__ = ("_roles", "_templates", "spec")

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec
        self._roles: dict[str, tuple[Selector, ...]] = {
            role: tuple(Selector(text) for text in getattr(spec, role)) for role in ROLES if getattr(spec, role)
        }
        self._templates = {text: compiled(text) for text in (spec.uri, spec.to, *spec.words) if text}

    def operations(self, row: Row, tool: str, nested: Nested) -> Iterator[Operation]:
        """What one row asks for."""
        verb = self.spec.verb
        if verb in FILE_VERBS:
            return self._files(cast("FileVerb", verb), row)
        if verb == "shell":
            return self._shell(row)
        if verb == "api":
            return self._api(row)
        return self._other(verb, row, tool, nested)

    def _shell(self, row: Row) -> Iterator[Operation]:
        selector, value = self._one("text", row)
        cwd, env = self._string("cwd", row, optional=True), self._environment(row)
        persistent = self.spec.persistent
        if isinstance(value, str):
            yield ShellText(text=value, persistent=persistent, cwd=cwd, env=env)
            return
        texts = strings_only(value)
        if not texts:
            raise Mismatch("the command is not text")
        # `commands` is a list of command lines, `command` as a list is one argument vector.
        lines = texts if selector.steps[-1] == "commands" else [shlex.join(texts)]
        if len(lines) > 1:
            lines = ["\n".join(lines), *lines]  # one shell for all of them, or one for each
        for line in lines:
            yield ShellText(text=line, persistent=persistent, cwd=cwd, env=env)

    def _other(self, verb: str, row: Row, tool: str, nested: Nested) -> Iterator[Operation]:
        spec = self.spec
        if verb == "nothing":
            yield Nothing(tool=tool)
        elif verb == "agent":
            yield Delegation(tool=tool, text=self._string("text", row, optional=True) or "")
        elif verb == "calls":
            _, name = self._one("tool", row)
            _, arguments = self._one("arguments", row)
            yield from nested([(name if isinstance(name, str) else "", arguments)])
        elif verb == "run":
            words = tuple(self._words(row))
            yield Command(words=words, cwd=self._string("cwd", row, optional=True), env=self._environment(row))
        else:
            text = self._text(row)
            cwd = self._string("cwd", row, optional=True)
            if verb == "stdin":
                yield from (CodeText(language="", text=text, persistent=True),) if text else (Nothing(tool=tool),)
            elif verb == "code":
                yield from self._code(text, row)
            elif verb == "sql":
                yield SqlText(text=text, uri=self._filled(spec.uri, row)[0] if spec.uri else "sql:*")
            else:
                paths = self._paths(row) if spec.path else [""]
                target = self._string("target", row, optional=True)
                yield PatchText(text=text, mode=spec.mode, path=paths[0], target=target, cwd=cwd)

    def _code(self, text: str, row: Row) -> Iterator[Operation]:
        spec = self.spec
        language = (self._string("languages", row, optional=True) or spec.language).lower()
        cwd, env = self._string("cwd", row, optional=True), self._environment(row)
        packages = list(self._packages(row))
        if packages:
            if language not in _INSTALLERS:
                raise Mismatch(f"packages for {language[:40]} are not understood")
            yield Command(words=(*_INSTALLERS[language], *packages), cwd=cwd, env=env)
        first = self._string("first", row, optional=True)
        # The interpreter may be a new one, that has run the first text, or one that has run others since.
        for code in (text,) if first is None else (f"{first}\n{text}", text):
            yield CodeText(language=language, text=code, persistent=spec.persistent, cwd=cwd, env=env)

    def _packages(self, row: Row) -> Iterator[str]:
        """Names with versions: a list of texts, one text, or a list of objects."""
        for selector, value in row.given.get("packages", ()):
            for item in value if is_list(value) else (value,):
                if isinstance(item, str):
                    yield from item.replace(",", " ").split() if item is value else (item,)
                elif is_table(item) and isinstance(item.get("name"), str) and item.keys() <= {"name", "version"}:
                    yield f"{item['name']}@{item['version']}" if item.get("version") else item["name"]
                else:
                    raise Mismatch(f"{selector.name} is no list of packages")

    def _text(self, row: Row) -> str:
        """Text, or a list of lines of it."""
        selector, value = self._one("text", row)
        if isinstance(value, str):
            return value
        lines = strings_only(value)
        if not lines:
            raise Mismatch(f"{selector.name} is not text")
        return "".join(lines) if all(line.endswith("\n") for line in lines[:-1]) else "\n".join(lines)

    def _files(self, verb: FileVerb, row: Row) -> Iterator[Operation]:
        spec = self.spec
        paths = self._paths(row)
        targets = self._targets(paths, row)
        cwd = self._string("cwd", row, optional=True) if spec.cwd else None
        edit = self._edit(verb, row) if spec.text else None
        if spec.append and edit is not None and self._flag("append", row):
            verb, edit = "append", Edit(kind="append", text=edit.text)
        for _, value in row.given.get("globs", ()):
            texts = (value,) if isinstance(value, str) else strings_only(value)
            paths = [*paths, *(text for text in texts if is_path(text) and "\0" not in text)]
        for path in paths:
            for target in targets:
                yield FileOperation(verb=verb, path=path, target=target, edit=edit, recursive=spec.recursive, cwd=cwd)

    def _targets(self, paths: Sequence[str], row: Row) -> list[str | None]:
        """The new names that may be meant: one `beside` the file is relative to it, or as other paths are."""
        if not self.spec.target:
            return [None]
        if "beside" not in row.given:
            return [self._string("target", row)]
        name = self._string("beside", row) or ""
        if "target" in row.given or len(paths) > 1 or not name:
            raise Mismatch(f"one path, and exactly one of {self._names('target')}, {self._names('beside')} is needed")
        return list(dict.fromkeys((name, posixpath.join(posixpath.dirname(paths[0].rstrip("/")), name))))

    def _paths(self, row: Row, role: str = "path") -> list[str]:
        given = row.given.get(role, ())
        if not given:
            if role == "path" and self.spec.default:
                return [self.spec.default]
            if role != "path" or self.spec.verb == "api":
                return []
        if len(given) != 1:
            raise Mismatch(f"exactly one of {self._names(role)} is needed")
        value = given[0][1]
        values = [value] if isinstance(value, str) else strings_only(value)
        if not values or not all(item and "\0" not in item for item in values):
            raise Mismatch("the path is not text")
        return values

    def _edit(self, verb: FileVerb, row: Row) -> Edit | None:
        spec = self.spec
        selectors = self._roles["text"]
        if "text" not in row.given and any(selector.optional for selector in selectors):
            return None
        text = self._text(row) if spec.part else self._string("text", row) or ""
        if spec.old:
            old = self._string("old", row) or ""
            return Edit(kind="replace", text=text, old=old, all=self._flag("all", row))
        if verb == "edit" or spec.part:
            # Text that goes somewhere into the file: what the file then is cannot be told.
            return Edit(kind="replace", text=text)
        return Edit(kind="append" if verb == "append" else "whole", text=text)

    def _api(self, row: Row) -> Iterator[Operation]:
        spec = self.spec
        uris = self._filled(spec.uri, row)
        targets: list[str | None] = [*self._filled(spec.to, row)] if spec.to else [None]
        if len(targets) == len(uris):
            pairs = list(zip(uris, targets, strict=True))
        else:
            pairs = [(uri, target) for uri in uris for target in targets]
        if len(pairs) > MAX_ROWS:
            raise Mismatch("the lists are too long")
        text = "\n".join(text for text in self._strings("text", row))
        mention = tuple(self._strings("mention", row))
        facts = {name: _plain(Selector(at).value(row.objects)) for name, at in spec.facts.items()}
        facts = {name: value for name, value in facts.items() if value is not MISSING}
        paths, into = tuple(self._paths(row)), tuple(self._paths(row, "into"))
        for uri, target in pairs:
            yield ApiOperation(
                op=spec.op or "mention",
                uri=uri,
                kind=spec.kind,
                to=target,
                paths=paths,
                into=into,
                text=text or None,
                mention=mention,
                facts=facts,
            )

    def _one(self, role: str, row: Row) -> tuple[Selector, Any]:
        given = row.given.get(role, ())
        if len(given) != 1:
            raise Mismatch(f"exactly one of {self._names(role)} is needed")
        return given[0]

    def _names(self, role: str) -> str:
        return ", ".join(selector.name for selector in self._roles.get(role, ()))

    def _string(self, role: str, row: Row, *, optional: bool = False) -> str | None:
        if optional and role not in row.given:
            return None
        selector, value = self._one(role, row)
        if not isinstance(value, str):
            raise Mismatch(f"{selector.name} is not text")
        return value

    def _strings(self, role: str, row: Row) -> Iterator[str]:
        """Every string that the selectors of a role lead to, at any depth."""
        for _, value in row.given.get(role, ()):
            yield from strings(value, keys=role == "mention")

    def _flag(self, role: str, row: Row) -> bool:
        values = row.given.get(role, ())
        for selector, value in values:
            if not isinstance(value, bool):
                raise Mismatch(f"{selector.name} is neither true nor false")
        return any(value is True for _, value in values)

    def _environment(self, row: Row) -> tuple[tuple[str, str], ...]:
        if "env" not in row.given:
            return ()
        _, value = self._one("env", row)
        if not is_table(value) or not all(isinstance(item, str) for item in value.values()):
            raise Mismatch("the environment is not an object of texts")
        return tuple((str(name), item) for name, item in value.items())

    def _words(self, row: Row) -> Iterator[str]:
        for word in self.spec.words:
            parts = self._templates[word]
            if len(parts) == 1 and not isinstance(parts[0], str) and word.endswith("?}"):
                yield from values_at(parts[0], row, optional=True)
            else:
                yield from self._filled(word, row)

    def _filled(self, template: str, row: Row) -> list[str]:
        """A template with its places filled; a list in one of them gives several."""
        texts = [""]
        for part in self._templates[template]:
            values = [part] if isinstance(part, str) else values_at(part, row, optional=False)
            texts = [text + value for text in texts for value in values]
            if len(texts) > MAX_ROWS:
                raise Mismatch("the lists are too long")
        return texts
