"""Putting the hook into a harness's settings, and taking it out: what is to be written, before anything is.

Not concerned with asking: `guardrail hook install` shows the difference.
"""

from __future__ import annotations

import difflib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from guardrail import jsonc
from guardrail.config import Config
from guardrail.errors import ConfigError, GuardrailError
from guardrail.hooks import client
from guardrail.hooks._opencode import plugin_path, plugin_text
from guardrail.hooks._resident import directory_of, socket_of
from guardrail.own import HOOKED_FILE

WRAPPER_SECONDS: Final = 5
"""How much longer than the hook's own deadline its process may take, in seconds, before it is ended."""

HARNESS_SECONDS: Final = 20
"""How much longer than the hook's own deadline the harness waits, in seconds: it must never be the first to give up."""

_MARK: Final = "guardrail/hooks/client.py"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants.

    Args:
        harness: which one.
        project: directory of the project; None for all of this user's.
        subject: the agent, as mandates name it; empty for the harness's name.
        model: its model, if the harness does not say it.
        undo: take the hook out.
    """

    harness: str
    project: str | None = None
    subject: str = ""
    model: str = ""
    undo: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A change that can be looked at, and then made.

    Args:
        path: the file.
        before: its text now; None if there is no file.
        after: its text then; None if it is to go.
        notes: what there is to know.
        register: file in which the guard is told of it.
    """

    path: Path
    before: str | None
    after: str | None
    notes: tuple[str, ...]
    register: Path

    @property
    def difference(self) -> str:
        """The change as a unified diff; empty if there is none."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            str(self.path) if self.before is not None else "/dev/null",
            str(self.path) if self.after is not None else "/dev/null",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n" for line in lines)

    def write(self) -> None:
        """Make the change.

        Raises:
            GuardrailError: if the file is another than the one that was looked at, or cannot be written.
        """
        if _text_of(self.path) != self.before:
            raise GuardrailError(f"`{self.path}` has changed meanwhile: look at the difference again")
        try:
            if self.after is None:
                self.path.unlink(missing_ok=True)
            else:
                _replace(self.path, self.after)
            _register(self.register, self.path, there=self.after is not None and _MARK in self.after)
        except OSError as error:
            raise GuardrailError(f"cannot write `{self.path}`: {(error.strerror or str(error)).lower()}") from None


def change(config: Config, wish: Wish) -> Plan:
    """What has to be changed for a wish.

    Args:
        config: whose guard the hook asks.
        wish: what is wanted.

    Raises:
        ConfigError: if the settings cannot be read as what the harness reads, or the guard's socket has no place.
    """
    form = FORMS[wish.harness]
    path = Path(os.path.realpath(form.path(wish.project)))
    before = _text_of(path)
    try:
        after = form.edit(before, config, wish)
    except ConfigError as error:
        raise ConfigError(f"`{path}` cannot be changed: {error}") from None
    notes = () if wish.undo else (*form.notes.splitlines(), *_host_notes())
    return Plan(path=path, before=before, after=after, notes=notes, register=directory_of(config) / HOOKED_FILE)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How one harness keeps its hooks.

    Args:
        path: the file, for a project or for the user.
        edit: its text with the hook in it or without; None for no file.
        notes: what fails open there, and what is left to do.
    """

    path: Callable[[str | None], Path]
    edit: Callable[[str | None, Config, Wish], str | None]
    notes: str


def command(config: Config, wish: Wish, *, before: bool) -> str:
    """The shell text that the harness runs.

    Args:
        config: whose guard is asked.
        wish: the agent.
        before: it is asked before a call, so whatever fails has to stop it; after one nothing may.
    """
    words = shlex.join(client_words(config, wish))
    if shutil.which("timeout"):
        words = f"timeout -k 1 {config.hooks.deadline_seconds + WRAPPER_SECONDS:g} {words}"
    if not before:
        return f"{words} || true"
    said = f"{client.REFUSED}the hook ended with $s"
    return f'{words} || {{ s=$?; [ "$s" -eq 2 ] || echo "{said}" >&2; exit 2; }}'


def client_words(config: Config, wish: Wish) -> list[str]:
    """Program and arguments of the hook's process."""
    words = [sys.executable, "-I", "-S", str(Path(client.__file__)), wish.harness]
    words += [
        "--socket",
        socket_of(config),
        "--config",
        config.source,
        "--deadline",
        f"{config.hooks.deadline_seconds:g}",
    ]
    for name in ("subject", "model"):
        if value := getattr(wish, name):
            words += [f"--{name}", value]
    if config.service.socket:
        words.append("--no-start")
        owner = _owner(socket_of(config))
        if owner is not None and owner != os.geteuid():
            words += ["--peer", str(owner)]
    return words


def is_ours(entry: object) -> bool:
    """Whether a hook in a harness's settings is the guard's.

    Args:
        entry: one hook.
    """
    return isinstance(entry, dict) and _MARK in str(cast("dict[str, Any]", entry).get("command", ""))


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def _host_notes() -> tuple[str, ...]:
    if shutil.which("timeout"):
        return ()
    return ("note: this host has no `timeout`, so a hook that hangs is left to the harness's own time limit",)


# ── settings in JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def _edited(
    before: str | None,
    config: Config,
    wish: Wish,
    events: dict[str, bool],
    matcher: str,
    extra: dict[str, Any],
    unit: int,
) -> str | None:
    """Settings with our entries as the last of each event, or without them.

    Args:
        before: the text.
        config: whose guard is asked.
        wish: what is wanted.
        events: event -> whether it has a matcher.
        matcher: what fits every tool.
        extra: further members of the hook that is asked before a call.
        unit: how many of the harness's units of time one second has.
    """
    text = before if before is not None and before.strip() else "{}\n"
    first = next(iter(events))
    seconds = (config.hooks.deadline_seconds + HARNESS_SECONDS) * unit
    for event, matched in events.items():
        hook: dict[str, Any] = {"type": "command", "command": command(config, wish, before=event == first)}
        hook |= {"timeout": round(seconds), **(extra if event == first else {})}
        group = {**({"matcher": matcher} if matched else {}), "hooks": [hook]}
        present = _ours(text, event)
        if not wish.undo and present == [group]:
            continue
        text = _without(text, event)
        if not wish.undo:
            text = jsonc.append(text, ("hooks", event), group)
    return None if wish.undo and (before is None or text == "{}\n") else text


def _ours(text: str, event: str) -> list[Any]:
    hooks = jsonc.read(text).member("hooks")
    groups = hooks.member(event) if hooks is not None else None
    return [group.value for group in groups.items if _has_ours(group.value)] if groups is not None else []


def _has_ours(group: object) -> bool:
    if not isinstance(group, dict):
        return False
    hooks: object = cast("dict[str, Any]", group).get("hooks")
    return isinstance(hooks, list) and any(is_ours(hook) for hook in cast("list[object]", hooks))


def _without(text: str, event: str) -> str:
    mixed = [group for group in _ours(text, event) if not all(is_ours(hook) for hook in group["hooks"])]
    if mixed:
        raise ConfigError(f"a group of `hooks.{event}` has the guard's hook beside others: take it out by hand")
    return jsonc.remove(text, ("hooks", event), _has_ours)


# ── the harnesses ────────────────────────────────────────────────────────────────────────────────────────────────────


def _claude_path(project: str | None) -> Path:
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    return home / "settings.json" if project is None else Path(project) / ".claude/settings.json"


def _codex_path(project: str | None) -> Path:
    home = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")
    return home / "hooks.json" if project is None else Path(project) / ".codex/hooks.json"


def _gemini_path(project: str | None) -> Path:
    return (Path.home() if project is None else Path(project)) / ".gemini/settings.json"


def _claude(before: str | None, config: Config, wish: Wish) -> str | None:
    events = {"PreToolUse": True, "PostToolUse": True, "PostToolUseFailure": True}
    events |= {"SessionStart": False, "Stop": False, "SessionEnd": False}
    return _edited(before, config, wish, events, "*", {"onFailure": "block"}, 1)


def _codex(before: str | None, config: Config, wish: Wish) -> str | None:
    events = {"PreToolUse": True, "PostToolUse": True, "SessionStart": False, "Stop": False}
    return _edited(before, config, wish, events, ".*", {}, 1)


def _gemini(before: str | None, config: Config, wish: Wish) -> str | None:
    events = {"BeforeTool": True, "AfterTool": True, "SessionStart": False, "AfterAgent": False, "SessionEnd": False}
    return _edited(before, config, wish, events, ".*", {"name": "guardrail"}, 1000)


def _opencode(before: str | None, config: Config, wish: Wish) -> str | None:
    if before is not None and _MARK not in before:
        raise ConfigError("it is somebody else's plugin: move it away first")
    return None if wish.undo else plugin_text(client_words(config, wish), config.hooks.deadline_seconds)


_CLAUDE_NOTES: Final = (
    'strength: advised. `onFailure: "block"` needs Claude Code 2.1.295 or later; with older ones a hook that cannot be '
    "started lets the call run.\n"
    "fails open: `disableAllHooks` in any settings file, and another hook that rewrites the call after it was judged. "
    "Managed settings with `allowManagedHooksOnly` close both."
)
_CODEX_NOTES: Final = (
    "strength: advised. Codex has no setting that stops a call when a hook fails, and skips a hook until its hash is "
    "trusted: look at it once in Codex, or deploy it as a managed hook.\n"
    "fails open: an untrusted or edited hook, a hook that is killed or times out; what is typed into a running shell "
    "(`write_stdin`) fires no hook, so a command that keeps a terminal is asked about."
)
_GEMINI_NOTES: Final = (
    "strength: advised. Gemini CLI has no setting that stops a call when a hook fails, and runs hooks of a project in "
    "trusted folders only.\n"
    "fails open: a hook that times out or cannot be started; arguments that a person edits in the dialog are not "
    "judged again."
)
_OPENCODE_NOTES: Final = (
    "strength: advised. OpenCode goes on without a plugin that it cannot load, and with `--pure`.\n"
    "fails open: a plugin that runs after this one can rewrite what it approved."
)

FORMS: Final = {
    "claude-code": Form(path=_claude_path, edit=_claude, notes=_CLAUDE_NOTES),
    "codex": Form(path=_codex_path, edit=_codex, notes=_CODEX_NOTES),
    "gemini-cli": Form(path=_gemini_path, edit=_gemini, notes=_GEMINI_NOTES),
    "opencode": Form(path=plugin_path, edit=_opencode, notes=_OPENCODE_NOTES),
}
"""Every harness that the hook can be installed into."""


def state_of(config: Config, path: str) -> tuple[str, str, bool]:
    """How a hook that was installed stands now.

    Args:
        config: whose guard it asks.
        path: the settings.

    Returns:
        The harness, one clause about it, and whether the hook is there as it would be installed now.
    """
    text = _text_of(Path(path)) or ""
    for harness in FORMS:
        if f"{_MARK} {harness} " in text or f'{_MARK}", "{harness}"' in text:
            whole = f"--config {config.source} " in text or json.dumps(config.source) in text
            return harness, "the hook is there" if whole else "its hook asks another guard", whole
    return "", "the hook is gone", False


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text_of(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError(f"`{path}` is no UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    fd, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
        os.chmod(fresh, mode)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def _register(register: Path, path: Path, *, there: bool) -> None:
    known = set(register.read_text(encoding="utf-8").splitlines()) if register.exists() else set[str]()
    wanted = known | {str(path)} if there else known - {str(path)}
    if wanted != known:
        register.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(register, "".join(f"{line}\n" for line in sorted(wanted)))
