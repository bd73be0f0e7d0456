"""Real commands, each in a tree of its own, predicted and then run under strace.

Not concerned with how strace is read (`tests.trace_support`), nor with how much may be missed: the test says that.
A heading `## tar gzip` in a corpus names the programs that the lines below it need.
"""

from __future__ import annotations

import concurrent.futures
import fnmatch
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardrail.assets import LiveFiles
from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.model import ANY_DEPTH, Effect, Resource
from guardrail.parse import ShellText
from tests.corpus_support import CASES, identity
from tests.trace_support import CALLS, Event, events

SECONDS: Final = 30
"""Longest a command may take, in seconds."""

LIMITS: Final = LimitConfig()

_WRITES: Final = frozenset({"write", "append", "truncate", "create", "set_key", "record_score"})
_COVERS: Final = {
    "write": _WRITES,
    "create": _WRITES,
    "delete": frozenset({"delete", "rename"}),
    "rename": frozenset({"rename", "delete"}),
    "times": frozenset({"set_times"}) | _WRITES,
    "security": frozenset({"set_security"}) | _WRITES,
    "link": frozenset({"link", "copy"}),
    "read": frozenset({"read", "copy", "net_send", "link", "rename", "exec", "exec_opaque"}) | _WRITES,
}
"""What is said of a place, for something that was done to it."""

_WHOLE: Final = frozenset({"rename", "delete"})
"""What is done to a directory whole, even where the effect does not say that it is recursive."""

_TARGETED: Final = frozenset({"copy", "rename", "link"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command line, and the programs that it needs."""

    id: str
    needs: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A command, what was said of it, and what it did.

    Args:
        case: the command.
        status: its exit status.
        missed: mutations that nothing predicted, and nothing opaque admits.
        unread: reads of the tree's own files that nothing predicted or admits.
        opaque: mutations that only opaque code admits.
        vague: mutations that only a pattern which could be anything admits.
        wrong: effects that must happen, and did not although the command succeeded.
        elsewhere: mutations outside the tree, for the report.
        changes: how many mutations there were.
    """

    case: Case
    status: int
    missed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    vague: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    changes: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with what was said."""
        kinds = (("missed", self.missed), ("unread", self.unread), ("wrong", self.wrong))
        return tuple(f"{kind}: {row}" for kind, rows in kinds for row in rows)

    @property
    def covered(self) -> bool:
        """Everything that happened was predicted, or admitted."""
        return not self.missed and not self.unread

    @property
    def exact(self) -> bool:
        """Everything that happened was predicted, and by name."""
        return self.covered and not self.opaque and not self.vague


def cases(path: Path) -> list[Case]:
    """The commands of one file."""
    found, needs = [], ("bash",)
    for raw in path.read_text(encoding="utf-8").splitlines():
        if raw.startswith("## "):
            needs = tuple(raw[3:].split())
        elif raw.strip() and not raw.startswith("# "):
            found.append(Case(id=identity(path.stem, raw), needs=needs, text=raw.replace("⏎", "\n")))
    return found


def corpora() -> list[Path]:
    """The files of the corpus."""
    return [path for path in sorted((CASES / "truth").glob("*.txt")) if not path.stem.startswith("known")]


def absent(all_cases: Sequence[Case]) -> list[str]:
    """Programs that cases need and this machine has not."""
    return sorted({name for case in all_cases for name in case.needs if shutil.which(name) is None})


def traces() -> bool:
    """strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, timeout=SECONDS, check=False)
    return done.returncode == 0


# ── the tree ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def plant(root: Path) -> None:
    """The tree that every command starts from: files, directories, links, archives and a repository."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in ("run.sh", "src/tool.py"):
        (root / name).chmod(0o755)
    (root / "empty").mkdir()
    (root / "out").mkdir()
    (root / "data.bin").write_bytes(bytes(range(256)) * 8)
    (root / "link.txt").symlink_to("a.txt")
    (root / "dirlink").symlink_to("dir")
    (root / "dangling").symlink_to("nothing")
    os.link(root / "b.txt", root / "b.hard")
    script = (
        "tar cf arc.tar dir a.txt && tar czf arc.tgz dir && gzip -k data.csv && bzip2 -k c.txt && xz -k d.txt\n"
        "export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'\n"
        "git init -q -b main --template= repo && cd repo && git add . && git commit -qm one\n"
        "git branch side && echo more >> r.txt && git commit -qam two && git tag v1 && echo edit >> r.txt\n"
        "echo new > fresh.txt\n"
        "cd .. && diff -u a.txt b.txt > ab.patch; sqlite3 db.sqlite 'create table t(a,b); insert into t values(1,2)'\n"
        "zip -q arc.zip a.txt dir/x.txt; ar rc lib.a a.txt; find dir | cpio -o --quiet > arc.cpio; true\n"
    )
    subprocess.run(["bash", "-c", script], cwd=root, env=environment(root), check=True, timeout=SECONDS)


def environment(root: Path) -> dict[str, str]:
    """What commands see: nothing of the person who runs the tests."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(root / "home"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "PAGER": "cat",
        "EDITOR": "true",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


FILES: Final = {
    "a.txt": "alpha\nbeta\ngamma\nbeta\n",
    "b.txt": "alpha\nbravo\ngamma\n",
    "c.txt": "one two three\nfour five\n" * 20,
    "d.txt": "3\n1\n2\n",
    "nums.txt": "5 apples\n3 pears\n9 figs\n",
    "data.csv": "id,name,n\n1,x,10\n2,y,20\n3,z,30\n",
    "data.json": '{"name": "app", "items": [{"id": 1}, {"id": 2}], "ok": true}\n',
    "conf.yaml": "enabled: true\nlevel: info\n",
    "conf.ini": "[core]\nenabled = true\n",
    "names.txt": "a.txt\nb.txt\n",
    "names0": "a.txt\0b.txt\0",
    "run.sh": "#!/bin/sh\necho ran > out/ran.txt\n",
    "dos.txt": "x\r\ny\r\n",
    "page.html": "<html><body><p>hi</p></body></html>\n",
    "data.xml": "<r><a>1</a><a>2</a></r>\n",
    "Makefile": "all: built.txt\nbuilt.txt: a.txt\n\tcp a.txt built.txt\nclean:\n\trm -f built.txt\n",
    "main.c": '#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n',
    "util.c": "int two(void) { return 2; }\n",
    "src/tool.py": "import sys\nprint('tool', sys.argv)\n",
    "src/mod.py": "def f(x):\n    return x + 1\n",
    "dir/x.txt": "ex\n",
    "dir/y.log": "why\n",
    "dir/sub/z.txt": "zed\n",
    "dir2/x.txt": "other\n",
    "dir2/only.txt": "only\n",
    "old/one.htm": "1\n",
    "old/two.htm": "2\n",
    "with space.txt": "sp\n",
    "-dash": "dash\n",
    "home/.gitconfig": "[user]\nname = T\nemail = t@example.com\n[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n",
    "home/.profile": "# empty\n",
    "repo/r.txt": "first\n",
    "repo/s.txt": "second\n",
    "repo/lib/t.txt": "third\n",
}


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_all(todo: Sequence[Case], template: Path, scratch: Path) -> list[Truth]:
    """Every case, a few at a time, in order."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda case: run(case, template, scratch / case.id.replace(":", "-")), todo))


def run(case: Case, template: Path, root: Path) -> Truth:
    """Predict, run, compare."""
    root.parent.mkdir(parents=True, exist_ok=True)
    root = root.parent.resolve() / root.name
    # Most of the tree is the repository: who does not name it goes without.
    spared = None if "repo" in case.text else shutil.ignore_patterns("repo")
    shutil.copytree(template, root, symlinks=True, ignore=spared)
    before = _names(root)
    effects = analyse(
        (ShellText(text=case.text),),
        cwd=str(root),
        view=LiveFiles(LIMITS.expansions),
        limits=LIMITS,
        variables={"HOME": str(root / "home")},
    )
    said = [Said.of(effect) for effect in effects]
    trace = root.with_suffix(".trace")
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none"]
    status = _execute([*command, "-o", str(trace), "bash", "-c", case.text], root)
    seen = events(trace.read_text(encoding="utf-8", errors="replace"), str(root), str(root))
    truth = _Comparison(case, status, said, before, _names(root), str(root)).truth(seen)
    trace.unlink()
    shutil.rmtree(root, ignore_errors=True)
    return truth


def run_python(code: str, root: Path, *, read: str | None = None) -> Truth:
    """Predict what a snippet does in a tree that is there, run it under strace, compare.

    Args:
        code: what runs.
        root: the tree.
        read: what is analysed instead, to see that the comparison tells one from the other.
    """
    place = str(root.resolve())
    before = _names(Path(place))
    effects = analyse(
        (ShellText(text=f"python3 -c {shlex.quote(code if read is None else read)}"),),
        cwd=place,
        view=LiveFiles(LIMITS.expansions),
        limits=LIMITS,
        variables={"HOME": f"{place}/home"},
    )
    said = [Said.of(effect) for effect in effects]
    trace = root.with_name(f"{root.name}.trace")
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none"]
    status = _execute([*command, "-o", str(trace), sys.executable, "-I", "-c", code], Path(place))
    seen = events(trace.read_text(encoding="utf-8", errors="replace"), place, place)
    trace.unlink()
    case = Case(id="python", needs=(), text=code)
    return _Comparison(case, status, said, before, _names(Path(place)), place).truth(seen)


def _execute(command: Sequence[str], root: Path) -> int:
    """Run in a session of its own, so that whatever a command leaves behind ends with it."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=root, env=environment(root), stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -signal.SIGKILL


def _names(root: Path) -> dict[str, str]:
    """Everything below a root: path -> what it is."""
    found = {str(root): "dir"}
    for folder, dirs, files in os.walk(root):
        for name in [*dirs, *files]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            found[path] = "link" if stat.S_ISLNK(mode) else "dir" if stat.S_ISDIR(mode) else "file"
    return found


# ── comparing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Place:
    """Where an effect is, resolved before the command ran."""

    path: str = ""
    pattern: str = ""
    below: bool = False

    @classmethod
    def of(cls, resource: Resource | None, *, whole: bool = False) -> Place | None:
        """The place of a resource, with what lies below it if it is meant whole; None for what is no file."""
        if resource is None or (resource.path is None and resource.pattern is None):
            return None
        if resource.pattern is not None:
            return cls(pattern=resource.pattern)
        path = (resource.path or "").replace("\0", "?")  # no file has a NUL in its name
        if resource.nofollow and not path.endswith("/"):
            head, tail = os.path.split(path)
            plain = tail not in ("", ".", "..")
            real = os.path.join(os.path.realpath(head), tail) if plain else os.path.realpath(path)
        else:
            real = os.path.realpath(path)
        return cls(path=real, below=whole or resource.recursive)

    @property
    def anything(self) -> bool:
        """It could be nearly any file."""
        return self.pattern.startswith("**")

    def holds(self, path: str) -> bool:
        """Whether a path is here."""
        base, deep, name = self.pattern.rpartition(f"/{ANY_DEPTH}")
        if deep:
            # What a lister such as `find` gives: names at any depth, and with them the directory where it starts.
            base = os.path.realpath(base)
            return (path.startswith(f"{base}/") and fnmatch.fnmatchcase(path, f"*/{name}")) or (path, name) == (
                base,
                "*",
            )
        if self.pattern:
            pattern = self.pattern.replace("**", "*")
            return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, os.path.normpath(pattern))
        return path == self.path or (self.below and path.startswith(self.path.rstrip("/") + "/"))


@dataclass(frozen=True, slots=True)
class Said:
    """One predicted effect."""

    effect: Effect
    place: Place | None
    target: Place | None

    @classmethod
    def of(cls, effect: Effect) -> Said:
        """With its places resolved."""
        return cls(effect, Place.of(effect.resource, whole=effect.op in _WHOLE), Place.of(effect.target))

    def __str__(self) -> str:
        target = f" -> {self.effect.target.address}" if self.effect.target else ""
        return f"{self.effect.op} {self.effect.resource.address}{target}"

    def covers(self, did: str, path: str, *, arrives: bool = False) -> Place | None:
        """The place with which this says that something is done to a path."""
        if self.effect.op in _COVERS[did] and self.place is not None and self.place.holds(path):
            return self.place
        lands = did in ("write", "create", "times", "security") or arrives
        if lands and self.effect.op in _TARGETED and self.target is not None and self._landed(path):
            return self.target
        return None

    def leads_through(self, path: str) -> Place | None:
        """The place that this makes below a directory."""
        place = self.target if self.effect.op in _TARGETED else self.place if self.effect.op in _WRITES else None
        return place if place is not None and place.path.startswith(path + "/") else None

    def _landed(self, path: str) -> bool:
        """A whole tree that is copied lands below its new name."""
        target = self.target
        if target is None:
            return False
        whole = self.effect.resource.recursive and bool(target.path) and path.startswith(target.path.rstrip("/") + "/")
        return target.holds(path) or whole


@dataclass
class _Comparison:
    case: Case
    status: int
    said: list[Said]
    before: dict[str, str]
    after: dict[str, str]
    root: str
    notes: dict[str, list[str]] = field(default_factory=dict)
    changes: int = 0

    def truth(self, seen: list[Event]) -> Truth:
        for event in seen:
            for did, path, arrives in self._parts(event):
                self._judge(did, path, arrives)
        # A line that ends in `true` does not say whether its command succeeded.
        if self.status == 0 and not self.case.text.endswith("true"):
            self.notes["wrong"] = list(self._wrong(seen))
        noted = {name: tuple(dict.fromkeys(rows)) for name, rows in self.notes.items()}
        said = tuple(str(one).replace(self.root, "") for one in self.said)
        return Truth(case=self.case, status=self.status, said=said, changes=self.changes, **noted)

    def _parts(self, event: Event) -> Iterator[tuple[str, str, bool]]:
        """What has to be predicted: not what happened to a file that came and went within the call."""
        if event.did in ("rename", "link"):
            if self._lasting(event.path) and event.path in self.before:
                yield event.did, event.path, False
            if self._lasting(event.other):
                yield ("write" if event.other in self.before else "create"), event.other, True
        elif event.did == "read":
            # Only the tree's own content: a file that this command made is its own business.
            if self.before.get(event.path) == "file" and "/.git/" not in event.path and "/home/" not in event.path:
                yield "read", event.path, False
        elif self._lasting(event.path) and not (event.did == "create" and event.path in self.before):
            yield event.did, event.path, False

    def _lasting(self, path: str) -> bool:
        # What git keeps in `.git` is its own bookkeeping: even `git status` writes there.
        mine = path.startswith(self.root) and "/.git/" not in path
        return mine and (path in self.before or path in self.after)

    def _judge(self, did: str, path: str, arrives: bool) -> None:
        self.changes += did != "read"
        if did in ("delete", "rename") and path in self.after:
            did = "write"  # taken away, or aside, to be written anew
        names = {path, os.path.realpath(path)} if did == "link" else {path}
        places = [
            place
            for one in self.said
            for name in names
            if (place := one.covers(did, name, arrives=arrives)) is not None
        ]
        if did == "create" and not places and self.after.get(path) == "dir":
            # To make a place is to make what leads there.
            places = [place for one in self.said if (place := one.leads_through(path)) is not None]
        row = f"{did} {path[len(self.root) + 1 :]}"
        if any(not place.anything for place in places):
            return
        if any(_admits(one.effect) for one in self.said):
            kind = "opaque"
        else:
            kind = "vague" if places else "unread" if did == "read" else "missed"
        self.notes.setdefault(kind, []).append(row)

    def _wrong(self, seen: list[Event]) -> Iterator[str]:
        """Effects that are said to be certain, on a place that was there, and of which nothing was seen."""
        for one in self.said:
            place = one.place
            if one.effect.modality != "must" or one.effect.op not in _CERTAIN or place is None or not place.path:
                continue
            if not place.path.startswith(self.root) or (one.effect.op == "delete" and place.path not in self.before):
                continue
            wanted = _CERTAIN[one.effect.op]
            if not any(event.did in wanted and self._about(event, place) for event in seen):
                yield str(one).replace(self.root, "")

    @staticmethod
    def _about(event: Event, place: Place) -> bool:
        names = [event.path, event.other] if event.other else [event.path]
        return any(place.holds(name) for name in names)


def _admits(effect: Effect) -> bool:
    """It says that more may happen. A library that only computes with what it is given is no such thing."""
    computes = effect.resource.uri is not None and effect.resource.uri.startswith("code:python:")
    return effect.op in ("exec_opaque", "remote_exec") and not computes


_CERTAIN: Final = {
    "write": ("write", "create", "rename", "link"),
    "append": ("write", "create", "rename"),
    "create": ("write", "create", "rename", "link"),
    "truncate": ("write", "create"),
    "delete": ("delete", "rename"),
    "rename": ("rename", "delete", "write", "create"),
    "set_times": ("times", "write", "create"),
    "set_security": ("security",),
}
"""What has to be seen of an effect that is said to be certain."""
