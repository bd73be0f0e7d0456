"""Edits of a control config as changes of its keys.

Not concerned with which change is permitted: that is policy's to say, from `control`, `after` and `safe`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.assets._directions import Direction, by_name, direction, matching
from guardrail.canonical import canonical
from guardrail.config import Weakens
from guardrail.effects import KeyChange, apply, key_changes
from guardrail.model import Edit, Effect

_INDIRECT: Final = frozenset(
    "include includes include_dir includedir import imports extend extends override overrides inherit inherits _base_ "
    "defaults_from env_file environmentfile envfrom $ref".split()
)
"""Names of keys that bring in other files, or put other values over these."""

_DISTINCT: Final = re.compile(r".{12,}|.*[._-].*")
"""Control keys whose name alone says what they are, in whatever table it stands."""

_QUOTED: Final = re.compile(r'"([^"\\]*)"')


class ControlKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys of one control config are controls.

    Args:
        safe: control key -> the value that is safe, whatever stands there now.
        weakens: control key -> the change that weakens it; what has no `*` in it and is not `none` bears on all that
            `safe` bears on, such as variables of that name.
        patterns: the same for keys with a `*` in them, in the order they were declared.
    """

    safe: dict[str, Any] = {}
    weakens: dict[str, Weakens] = {}
    patterns: dict[str, Weakens] = {}

    def __bool__(self) -> bool:
        return bool(self.safe or self.weakens or self.patterns)

    @property
    def names(self) -> tuple[str, ...]:
        """The declared control keys without a `*`."""
        declared = (key for key, weakens in self.weakens.items() if weakens != "none")
        return tuple(dict.fromkeys((*self.safe, *declared)))

    def judge(self, change: KeyChange) -> dict[str, Any]:
        """What policy may know about one key that changes."""
        attrs: dict[str, Any] = {"key": change.key, "control": False}
        if change.retyped:
            attrs["retyped"] = True
        if change.had:
            attrs["before"] = change.before
        if change.has:
            attrs["after"] = change.after
        control = control_of(change.key, self.names)
        if control is not None and control in self.safe:
            return attrs | self._against_safe(change, control)
        if control is not None:
            whole = not control.startswith(change.key + ".")
            return attrs | _told(self.weakens[control], change, comparable=whole)
        if _plain_name(change.key).rpartition(".")[2].lower() in _INDIRECT:
            # What it brings in may hold any control: no value of it is known to be safe.
            return attrs | {"control": True, "indirect": True, "weakened": True, "direction": "weakens"}
        weakens, part = self._by_rule(change.key)
        return attrs | _told(weakens, change, comparable=not part)

    def _against_safe(self, change: KeyChange, control: str) -> dict[str, Any]:
        safe = self.safe[control]
        attrs: dict[str, Any] = {"control": True, "safe": safe}
        whole = not control.startswith(change.key + ".")
        if change.has and whole and not change.typed and _spelled(change.after, safe):
            attrs["after"] = safe  # the format has only texts, and this one says the safe value
        if _same(attrs.get("after", change.after), safe, whole and change.has):
            return attrs | {"weakened": False, "direction": "strengthens"}
        weakens = self.weakens.get(control)
        if weakens is None or not whole:
            return attrs | {"weakened": True, "direction": "weakens"}
        return attrs | _told(weakens, change, comparable=True)

    def _by_rule(self, key: str) -> tuple[Weakens, bool]:
        """What weakens a key that is not declared by its whole name, and whether it is only a part of what is."""
        plain = _plain_name(key)
        if plain in self.weakens:
            return self.weakens[plain], False  # declared to be no control
        for _, weakens in matching(plain, self.patterns):
            return weakens, False
        above = plain
        while "." in above:
            above = above.rpartition(".")[0]
            declared = self.weakens.get(above)
            if declared is not None:
                return declared, True
        return by_name(plain) or self.patterns.get("*", "none"), False


def control_keys(safe: Mapping[str, Any], weakens: Mapping[str, Weakens]) -> ControlKeys:
    """Sort what is declared of a control config."""
    return ControlKeys(
        safe=dict(safe),
        weakens={key: value for key, value in weakens.items() if "*" not in key},
        patterns={key: value for key, value in weakens.items() if "*" in key},
    )


def _told(weakens: Weakens, change: KeyChange, *, comparable: bool) -> dict[str, Any]:
    if weakens == "none":
        return {"control": False}
    found: Direction = "unknown"
    if comparable or weakens == "any":
        found = direction(weakens, change.before, change.after, had=change.had, has=change.has, typed=change.typed)
    elif not change.has:
        found = "weakens"
    return {"control": True, "weakens": weakens, "direction": found, "weakened": found == "weakens"}


def key_effects(effect: Effect, edit: Edit, before: bytes | None, controls: ControlKeys) -> Iterator[Effect]:
    """Turn a write with known content into `set_key` effects.

    Args:
        effect: the write or append, on a control asset.
        edit: the new content.
        before: the file's content now; None if there is no file.
        controls: which keys are controls.

    Yields:
        One effect for each control key and each other key that changes; the write itself, without its content, when the
        result of the edit cannot be computed, so that policy sees an edit it cannot look into.
    """
    bare = msgspec.structs.replace(effect, edit=None)
    after = apply(edit, before)
    changes = None if after is None else key_changes(effect.resource.real or "", before, after)
    if changes is None:
        yield bare
        return
    for change in changes:
        yield msgspec.structs.replace(bare, op="set_key", attrs={**bare.attrs, **controls.judge(change)})
    if not changes:
        yield msgspec.structs.replace(bare, op="read", attrs={**bare.attrs, "unchanged": True})


def _plain_name(key: str) -> str:
    return _QUOTED.sub(r"\1", key)


def control_of(key: str, controls: Iterable[str]) -> str | None:
    """The control that a change of a key bears on.

    Args:
        key: the key that changes, as its file's format has it.
        controls: keys of controls, as they were declared.

    Returns:
        The first of them that is the key, holds it, or is the same by another spelling; None if it is no control.
    """
    plain = _plain_name(key)
    head, slash, rest = plain.partition("/")
    names = [plain, rest.partition(".")[2]] if slash and "." not in head else [plain]
    for control in controls:
        for name in names:
            # A change of a table that holds a control key is a change of that control.
            if control == name or control.startswith(name + "."):
                return control
        # The same name in another table is what a profile, an override or a section of defaults is made of.
        lower = plain.lower()
        if _DISTINCT.fullmatch(control) and lower.endswith(
            ("." + control.lower(), "." + environment_name(control).lower())
        ):
            return control
        if names[0].lower() == control.lower() or environment_name(control) == plain:
            return control
        if lower.startswith("default.") and control.rpartition(".")[2].lower() == lower.rpartition(".")[2]:
            return control
    return None


def watched_name(control: str) -> str | None:
    """The variable that stands for a control key; None for a key whose name alone says nothing, such as `enabled`."""
    return environment_name(control) if _DISTINCT.fullmatch(control) else None


def variable_effect(effect: Effect, asset: str, control: str, controls: ControlKeys) -> Effect:
    """A variable that programs read instead of a control key is set: a change of that key, for what runs after it."""
    has = "after" in effect.attrs and effect.attrs["after"] is not None
    after = effect.attrs.get("after")
    if control in controls.safe and _spelled(after, controls.safe[control]):
        after = controls.safe[control]
    # What the key is now does not matter to what runs with the variable, and what it is then may be any of several.
    change = KeyChange(key=control, after=after, had=False, has=has, typed=False)
    attrs = {**controls.judge(change), "variable": effect.attrs["key"]}
    if not has:
        attrs["direction"], attrs["weakened"] = "weakens", True
    resource = msgspec.structs.replace(effect.resource, asset=asset)
    return msgspec.structs.replace(effect, op="set_key", resource=resource, attrs=attrs)


def environment_name(control: str) -> str:
    """The variable that programs usually take a key from: `safety.shutdown-enabled` is SAFETY_SHUTDOWN_ENABLED."""
    return re.sub(r"[^A-Za-z0-9]+", "_", control).upper()


def _spelled(text: Any, safe: Any) -> bool:
    """A text that every reader takes for the safe value."""
    if isinstance(text, list):
        return bool(text) and all(_spelled(item, safe) for item in text)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(text, str):
        return False
    if isinstance(safe, bool):
        return text.lower() == str(safe).lower()
    return text == (safe if isinstance(safe, str) else str(safe))


def returned(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Copies of a control file into a file that then takes its place, and goes nowhere else, are an edit of it.

    Args:
        effects: all effects of one call, resolved.
    """
    back: dict[str, str] = {}
    for effect in effects:
        if effect.attrs.get("over") and effect.resource.real is not None:
            back[effect.resource.real] = effect.attrs["over"]
    if not back:
        return tuple(effects)
    gone = {e.resource.real for e in effects if e.op in ("rename", "delete") and e.resource.real in back}
    for effect in effects:
        real = effect.resource.real
        if real in back and effect.op not in _IN_PLACE and effect.attrs.get("over") != back[real]:
            gone.discard(real)
    return tuple(_as_read(effect, back, gone) for effect in effects)


def _as_read(effect: Effect, back: Mapping[str, str], gone: Collection[str | None]) -> Effect:
    real = effect.target.real if effect.target is not None else None
    if effect.op != "copy" or real is None or real not in gone or effect.resource.asset != back[real]:
        return effect
    return msgspec.structs.replace(effect, op="read", target=None, attrs={**effect.attrs, "reveals": "content"})


_IN_PLACE: Final = frozenset(
    ("write", "append", "create", "truncate", "set_security", "set_times", "read", "list", "delete", "set_key")
)
"""Ops on a file after which its content is nowhere else."""


class Overrides:
    """Files beside a control file that programs read after it: `X.d/*`, `conf.d/*`, `NAME.local.EXT`."""

    __slots__ = ("_files", "_folders", "_units")

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._units: dict[str, str] = {}

    def add(self, asset: str, root: str) -> None:
        """Take in one control file."""
        folder, _, name = root.rpartition("/")
        stem, dot, extension = name.rpartition(".")
        if not dot or not stem:
            stem, extension = name, ""
        for drop_in in (f"{root}.d", f"{folder}/{stem}.d", f"{folder}/conf.d"):
            self._folders.setdefault(drop_in, asset)
        end = f".{extension}" if extension else ""
        for word in ("override", "overrides", "local"):
            for other in (
                f"{stem}.{word}{end}",
                f"{stem}-{word}{end}",
                f"{stem}_{word}{end}",
                f"{name}.{word}",
                f"{word}{end}",
            ):
                self._files.setdefault(f"{folder}/{other}", asset)
        self._files.setdefault(f"{folder}/.env", asset)
        if extension in ("service", "timer", "socket"):
            self._units.setdefault(f"{name}.d", asset)

    def of(self, real: str | None) -> str | None:
        """The control asset that a file puts other values over."""
        if real is None:
            return None
        found = self._files.get(real)
        if found is not None:
            return found
        folder = real.rpartition("/")[0]
        return self._folders.get(folder) or self._units.get(folder.rpartition("/")[2])


def keyed(effect: Effect, controls: ControlKeys) -> Effect:
    """Say of a key that is set behind an API whether it is a control, and which way it goes.

    Args:
        effect: a `set_key` with the key in its attrs; without one it may be any key.
        controls: which keys are controls.
    """
    key = effect.attrs.get("key")
    if not isinstance(key, str) or "*" in key:
        return msgspec.structs.replace(effect, attrs={**effect.attrs, "control": True})
    attrs = effect.attrs
    # Behind an API every value may have been made a text on its way.
    change = KeyChange(
        key=key,
        before=attrs.get("before"),
        after=attrs.get("after"),
        had="before" in attrs,
        has=attrs.get("after") is not None,
        typed=not isinstance(attrs.get("after"), str),
    )
    judged = controls.judge(change)
    if "after" not in attrs and judged["control"] and judged.get("weakens") != "any" and "safe" not in judged:
        judged.update(direction="unknown", weakened=False)  # it gets a value that is not known
    if "after" in attrs and "safe" in judged:
        judged["after"] = attrs["after"]  # a text that says the safe value may not be that value there
        if not _same(attrs["after"], judged["safe"], exact_key=True):
            judged.update(direction="weakens", weakened=True)
    return msgspec.structs.replace(effect, attrs={**attrs, **judged})


def _same(value: Any, safe: Any, exact_key: bool) -> bool:
    # INVARIANT: same value and same type; the string "true" and the number 1 are not the boolean true.
    return exact_key and canonical(value) == canonical(safe)
