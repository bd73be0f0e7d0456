"""Edits of a control config as changes of its keys.

Not concerned with which change is permitted: that is policy's to say, from `control`, `after` and `safe`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.canonical import canonical
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


def key_effects(effect: Effect, edit: Edit, before: bytes | None, controls: Mapping[str, Any]) -> Iterator[Effect]:
    """Turn a write with known content into `set_key` effects.

    Args:
        effect: the write or append, on a control asset.
        edit: the new content.
        before: the file's content now; None if there is no file.
        controls: control key -> its safe value.

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
        yield msgspec.structs.replace(bare, op="set_key", attrs={**bare.attrs, **_facts(change, controls)})
    if not changes:
        yield msgspec.structs.replace(bare, op="read", attrs={**bare.attrs, "unchanged": True})


def _facts(change: KeyChange, controls: Mapping[str, Any]) -> dict[str, Any]:
    """What policy may know about one key that changes."""
    safe_key = _control_of(change.key, controls)
    attrs: dict[str, Any] = {"key": change.key, "control": safe_key is not None}
    if change.retyped:
        attrs["retyped"] = True
    if change.had:
        attrs["before"] = change.before
    if change.has:
        attrs["after"] = change.after
    if safe_key is None:
        if _QUOTED.sub(r"\1", change.key).rpartition(".")[2].lower() in _INDIRECT:
            # What it brings in may hold any control: no value of it is known to be safe.
            attrs.update(control=True, indirect=True, weakened=True)
        return attrs
    safe = controls[safe_key]
    whole = not safe_key.startswith(change.key + ".")
    if change.has and whole and not change.typed and _spelled(change.after, safe):
        attrs["after"] = safe  # the format has only texts, and this one says the safe value
    same = _same(attrs.get("after"), safe, whole and change.has)
    attrs.update(safe=safe, weakened=not same)
    return attrs


def _control_of(key: str, controls: Mapping[str, Any]) -> str | None:
    """The control that a change of a key bears on."""
    plain = _QUOTED.sub(r"\1", key)
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


def variable_effect(effect: Effect, asset: str, control: str, safe: Any) -> Effect:
    """A variable that programs read instead of a control key is set: a change of that key, for what runs after it."""
    after = effect.attrs.get("after")
    if _spelled(after, safe):
        after = safe
    attrs: dict[str, Any] = {"key": control, "control": True, "safe": safe, "variable": effect.attrs["key"]}
    if after is not None:
        attrs["after"] = after
    attrs["weakened"] = not _same(after, safe, after is not None)
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


def over(effect: Effect) -> Effect:
    """What moves or copies a file of known content over a control file, as the write that it is."""
    target = effect.target or effect.resource
    return msgspec.structs.replace(
        effect, op="write", resource=target, target=None, attrs={**effect.attrs, "by": effect.op}
    )


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


def keyed(effect: Effect, controls: Mapping[str, Any]) -> Effect:
    """Say of a key that is set behind an API whether it is a control, and what its safe value is.

    Args:
        effect: a `set_key` with the key in its attrs; without one it may be any key.
        controls: control key -> its safe value.
    """
    key = effect.attrs.get("key")
    known = isinstance(key, str) and "*" not in key
    safe_key = _control_of(key, controls) if known and isinstance(key, str) else None
    attrs: dict[str, Any] = {**effect.attrs, "control": safe_key is not None or not known}
    if safe_key is not None:
        attrs["safe"] = controls[safe_key]
    return msgspec.structs.replace(effect, attrs=attrs)


def _same(value: Any, safe: Any, exact_key: bool) -> bool:
    # INVARIANT: same value and same type; the string "true" and the number 1 are not the boolean true.
    return exact_key and canonical(value) == canonical(safe)
