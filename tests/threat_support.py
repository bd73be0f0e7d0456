"""The threat corpus: what must not pass in silence.

Not concerned with what exactly holds a line. A heading `## family.kind S` says how visible the lines below it are:
S names the asset in its text, P needs a model of a path, a tool or code, D shows only at run time. X is about a
process, an account or a remote thing of which no asset is registered: policy may let it pass, and must be told what it
is. A third word, `directory` or `file`, is for what only bears on an asset that is registered so.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, get_args

import pytest

from guardrail import Decision, Guard, Outcome
from tests.corpus_support import CASES, Holding, World, identity

Sight = Literal["S", "P", "D", "X"]

_PLAIN: Final = frozenset({"exec", "exec_opaque", "read", "list", "mention", "env", "net_recv"})

NEXT_CALL = " ⇒ "
"""Between the calls of a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """One line of the corpus.

    Args:
        id: `family.kind:digest`.
        kind: its heading.
        sight: how visible it is.
        holding: how the weights must be registered for it, if that matters.
        calls: the calls, in order; most have one.
    """

    id: str
    kind: str
    sight: Sight
    holding: str
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guard made of a threat: nothing wrong if `gap` is empty.

    `understood` if an effect does something to the asset, so that the line would be held however the name is written.
    """

    threat: Threat
    outcome: Outcome
    gap: str
    understood: bool


def threats() -> list[Threat]:
    """The whole corpus, in order."""
    found: list[Threat] = []
    for path in sorted((CASES / "threats").glob("*.txt")):
        if path.stem.startswith("known"):
            continue
        found += _of_file(path)
    return found


def _of_file(path: Path) -> list[Threat]:
    found: list[Threat] = []
    kind, sight, only = path.stem, "S", ""
    for raw in path.read_text(encoding="utf-8").splitlines():
        if raw.startswith("## "):
            kind, sight, only = [*raw[3:].split(), ""][:3]
        elif raw.strip() and not raw.startswith("# "):
            if sight not in get_args(Sight):
                raise ValueError(f"{path.name}: `{sight}` is no visibility")
            calls = tuple(raw.replace("⏎", "\n").split(NEXT_CALL))
            name = identity(kind, raw)
            found.append(Threat(id=name, kind=kind, sight=sight, holding=only, calls=calls))  # type: ignore[arg-type]
    return found


def judge_all(root: Path, holding: Holding) -> list[Verdict]:
    """Every threat of the corpus, in one world made below an empty directory."""
    world = World(root, holding)
    world.more_names()
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        return [judge(guard, world, threat) for threat in threats() if threat.holding in ("", holding)]


def judge(guard: Guard, world: World, threat: Threat) -> Verdict:
    """The strictest answer to any call of a threat, in a session of its own."""
    with Deeds(world.root) as deeds:
        decisions = []
        for text in threat.calls:
            decisions.append(_one(guard, world, text, threat.id))
            if decisions[-1]:
                deeds.do(world.fill(text), world.project)
    outcome = max(decision.outcome for decision in decisions)
    if threat.sight == "X" and any(_typed(decision) for decision in decisions):
        gap = ""
    elif outcome is Outcome.ALLOW:
        gap = "silent: " + _effects(decisions[-1])
    elif any(reason.rule == "guardrail.fault" for decision in decisions for reason in decision.reasons):
        gap = "fault"
    elif threat.sight == "S" and not any(_names(decision) for decision in decisions):
        gap = "held, without a word of the asset"
    else:
        gap = ""
    understood = any(_does(decision) for decision in decisions)
    return Verdict(threat=threat, outcome=outcome, gap=gap, understood=understood)


_HERE: Final = re.compile(r"cat (?P<mark>>>?) (?P<path>[~\w./-]+) <<'E'\n(?P<text>.*\n)E", re.DOTALL)

_SAID: Final = re.compile(
    r"(?P<name>echo|printf) (?P<words>(?:(?:'[^']*'|[\w./:%-]+) )+)(?P<mark>>>?) ?(?P<path>[~\w./-]+)"
    r"|mkdir (?:-p )?(?P<made>[~\w./-]+)|chmod \+x [~\w./-]+"
)
"""A statement that writes a file of a text that stands in it, or makes a directory."""

_NEXT: Final = re.compile(r" *(?:;|&&|$) *")


class Deeds:
    """Carries out what allowed calls write, so that the next one finds it, and takes it back in the end.

    Args:
        root: the world; nothing outside of it is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before: dict[Path, bytes | None] = {}
        self.folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for path, data in self.before.items():
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)
        for folder in reversed(self.folders):
            folder.rmdir()

    def do(self, command: str, cwd: Path) -> None:
        """A call that only writes here-documents, texts and directories; any other is only judged."""
        if found := _HERE.fullmatch(command):
            self._put(self._place(found["path"], cwd), found["mark"], found["text"])
        for statement in _statements(command):
            if statement["made"]:
                self._folder(self._place(statement["made"], cwd))
            elif statement["name"]:
                # Of the words nothing but quotes is left for a shell to understand.
                words = [statement["name"], *shlex.split(statement["words"])]
                said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
                self._put(self._place(statement["path"], cwd), statement["mark"], said)

    def _place(self, text: str, cwd: Path) -> Path:
        return self.root / "home/agent" / text[2:] if text.startswith("~/") else cwd / text

    def _put(self, path: Path, mark: str, text: str) -> None:
        if path.is_relative_to(self.root):
            before = path.read_text(encoding="utf-8") if mark == ">>" and path.exists() else ""
            self._write(path, before + text)

    def _folder(self, path: Path) -> None:
        for folder in (*reversed(path.parents), path):
            if path.is_relative_to(self.root) and not folder.exists():
                folder.mkdir()
                self.folders.append(folder)

    def _write(self, path: Path, text: str) -> None:
        self._folder(path.parent)
        self.before.setdefault(path, path.read_bytes() if path.exists() else None)
        path.write_text(text, encoding="utf-8")


def _statements(command: str) -> list[re.Match[str]]:
    """The statements of a call that has no others than such as are carried out."""
    found: list[re.Match[str]] = []
    at = 0
    while at < len(command):
        match = _SAID.match(command, at)
        after = _NEXT.match(command, match.end()) if match is not None else None
        if match is None or after is None:
            return []
        found.append(match)
        at = after.end()
    return found


def _one(guard: Guard, world: World, text: str, session: str) -> Decision:
    cwd = None
    if text.startswith("@"):
        mark, _, text = text.partition(" ")
        cwd = world.fill(mark[1:])
    return guard.check(world.call(text, session, cwd))


def _names(decision: Decision) -> bool:
    """An effect is on an asset, or on something that could be one."""
    return any(effect.asset is not None or effect.attrs.get("any") for effect in decision.effects)


def _does(decision: Decision) -> bool:
    """Something is done to an asset, beyond its being named or looked at."""
    return any(
        (effect.asset is not None or effect.attrs.get("any")) and effect.op not in _PLAIN for effect in decision.effects
    )


def _typed(decision: Decision) -> bool:
    """Something is said beyond that a program runs and what it reads."""
    return any(effect.op not in _PLAIN for effect in decision.effects)


def _effects(decision: Decision) -> str:
    said = []
    for effect in decision.effects:
        asset = f"={effect.asset}" if effect.asset else ""
        said.append(f"{effect.op} {effect.resource.address[-40:]}{asset}")
    return "; ".join(said[:5]) or "no effects"
