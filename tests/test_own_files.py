"""What a session wrote is asked for by what matters of it: nothing is passed over, and late is as cheap as early."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.assets import LiveFiles
from guardrail.effects import analyse, may_be_part
from guardrail.effects._built import READS
from guardrail.effects.code import _own_files, _parts, _sources
from guardrail.effects.code._own_files import MAX_BROUGHT_FOLDERS, OwnFiles, parts_of
from guardrail.effects.code._sources import MAX_FOLDERS
from guardrail.effects.code.python._beside import MAX_BESIDE
from guardrail.effects.domain._ordered import OrderedPaths, every
from guardrail.effects.domain._seen import SeenFiles
from guardrail.effects.domain._view import Listing
from guardrail.guard import Guard
from guardrail.history import History, HistoryStore
from guardrail.history._store import Fact
from guardrail.model import Effect, Resource, ToolCall
from guardrail.parse import ShellText
from tests.effects_support import LIMITS, NoFiles
from tests.test_effects_authored import Session

NAMES = st.sampled_from(
    ["w", "w2", "src", "a", "a.c", "b.h", "x.txt", ".git", ".x", "go.mod", "main.go", "d.d", ".cargo", "ä", "a*"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
GLOBS = st.sampled_from(["*/b.h", "*/b.h/*", "/w/*", "/w/src/*.txt", "*/a[*]", "/w[/]a", "*/src/x.txt", "*.d", "*/?"])


def is_short(path: str) -> bool:
    """A rule."""
    return len(path) < 8


@given(st.lists(PATHS, unique=True, max_size=30), st.integers(0, 30), PATHS)
def test_paths_in_order_answer_as_if_all_were_gone_through(paths: list[str], early: int, start: str) -> None:
    """Whether a question comes before the last of them is added, or after."""
    ordered = OrderedPaths(paths[:early])
    for known in (paths[:early], paths):
        for path in known[early:]:
            ordered.add(path)
        below = sorted(path for path in known if path.startswith(start))
        assert ordered.chosen(is_short) == sorted(filter(is_short, known))
        assert ordered.beginning(start) == below
        assert ordered.any_beginning(start) == bool(below)
        assert (start in ordered) == (start in known)
        for name in ("src", "a.c", "nowhere"):
            found = sorted(path for path in known if name in path.split("/"))
            assert ordered.at(parts_of, name) == found
            assert ordered.has(parts_of, name) == bool(found)
        assert ordered.keys(parts_of, "") == sorted({part for path in known for part in parts_of(path)})


@given(
    written=st.lists(PATHS, unique=True, max_size=25),
    brought=st.lists(PATHS, max_size=3),
    there=st.lists(PATHS, unique=True, max_size=25),
    reads=st.sampled_from(sorted(READS)),
    below=st.lists(PATHS, max_size=3),
    named=st.lists(GLOBS, max_size=3),
    broad=st.booleans(),
    few=st.sampled_from([0, 8]),
)
def test_no_file_that_may_go_into_a_program_is_passed_over(
    written: list[str],
    brought: list[str],
    there: list[str],
    reads: str,
    below: list[str],
    named: list[str],
    broad: bool,
    few: int,
) -> None:
    """Whatever the session wrote, whatever lies there now, and wherever the program's sources are."""
    folders = {path.rpartition("/")[0] for path in there} | {path for path in there if path.endswith(("d", "w", "src"))}
    view = NoFiles({path: b"" for path in [*there, *written[::2]] if path not in folders}, tuple(folders))
    build: dict[str, Any] = {"reads": reads, "below": below or ["/"], "named": named, "broad": broad}
    own = OwnFiles(OrderedPaths(written), brought)
    with pytest.MonkeyPatch.context() as patch:
        for module in (_own_files, _parts):
            patch.setattr(module, "FEW_NAMES", few)
        found = set(_parts.candidates(view, own, build))
    for path in {*written, *brought}:
        kind = view.kind(path)
        folder = ("." not in path.rpartition("/")[2] or kind == "dir") and kind != "file"
        assert path in found or not may_be_part(path, build, folder=folder)


class Counting(NoFiles):
    """Counts how often anything is looked at."""

    looks: Counter[str]

    def __init__(self, files: dict[str, bytes], dirs: tuple[str, ...]) -> None:
        super().__init__(files, dirs)
        self.looks = Counter()

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """As without counting."""
        self.looks["glob"] += 1
        return super().glob(pattern)

    def listing(self, folder: str) -> Listing | None:
        """As without counting."""
        self.looks["listing"] += 1
        return super().listing(folder)

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """As without counting."""
        self.looks["kind"] += 1
        return super().kind(path)

    def identity(self, path: str) -> str:
        """As without counting."""
        self.looks["identity"] += 1
        return super().identity(path)

    def read(self, path: str, limit: int) -> bytes | None:
        """As without counting, but for how often each file is read."""
        self.looks[f"read {path}"] += 1
        return super().read(path, limit)


def looked_at(command: str, names: list[str], text: bytes = b"x = 1\n") -> tuple[Counter[str], list[Effect]]:
    """How often what was looked at, and what a command does, after a session wrote some files."""
    files = {f"/w/{name}": text for name in names}
    folders = {path.rpartition("/")[0] for path in files} | {"/w"}
    view = Counting({"/w/x.py": b"print(1)\n", **files}, tuple(folders))
    found = analyse(
        (ShellText(text=command),),
        cwd="/w",
        view=view,
        limits=LIMITS,
        variables={"HOME": "/home/a"},
        wrote=Session(dict.fromkeys(files)),
    )
    return view.looks, list(found)


@pytest.mark.parametrize(
    "command", ["python x.py", "pytest", "npm test", "node --test", "make", "cargo test", "git status"]
)
@pytest.mark.parametrize("ending", [".json", ".bin", "-1.py", ""])
def test_a_program_looks_at_no_more_late_in_a_session(command: str, ending: str) -> None:
    """Whatever it may load: of hundreds of files that are none of that as much is looked at as of a few dozen."""
    early, effects = looked_at(command, [f"made/f{number}{ending}" for number in range(40)])
    late, same = looked_at(command, [f"made/f{number}{ending}" for number in range(400)])
    assert late == early
    assert [effect.op for effect in same] == [effect.op for effect in effects]


@pytest.mark.parametrize("folder", ["made/", "made/deep/", ""])
def test_a_module_among_many_scripts_is_found_by_its_name(folder: str) -> None:
    """Of scripts that nothing names none is taken for a module, and the one that is named is looked into."""
    names = [f"{folder}script_{number}.py" for number in range(30)]
    danger = "import shutil\nshutil.rmtree('/models')\n"
    for named, harm in ((b"import other\n", []), (b"import script_7\n", ["delete"])):
        files = {f"/w/{name}": danger.encode() for name in names} | {f"/w/{folder}conf.toml": named}
        view = NoFiles({"/models/a": b"w", **files}, ("/w", "/models", f"/w/{folder}".rstrip("/")))
        wrote = Session({path: None for path in files if path.endswith(".py")})
        shell = (ShellText(text="flask run"),)
        effects = analyse(shell, cwd="/w", view=view, limits=LIMITS, variables={"HOME": "/home/a"}, wrote=wrote)
        assert [effect.op for effect in effects if effect.op == "delete"] == harm


def test_more_modules_than_are_looked_into_are_a_question_and_no_fault() -> None:
    """Hundreds of modules beside each other: each text is read a few times at most, and one effect is for the rest."""
    looks, effects = looked_at("pytest", [f"made/m_{number}.py" for number in range(400)])
    held = [effect.resource.path for effect in effects if effect.attrs.get("authored")]
    assert len(held) == 1
    assert sum(key.startswith("read ") for key in looks) <= MAX_BESIDE + 20
    assert max(count for key, count in looks.items() if key.startswith("read ")) <= 4


def test_what_a_session_wrote_is_in_order_after_a_restart(tmp_path: Path) -> None:
    """What the first process was told the second one knows, and what it learns itself as well."""
    path = tmp_path / "history.db"

    def note(history: History, *names: str) -> None:
        effects = [Effect(op="write", resource=Resource(kind="file", path=name, real=name)) for name in names]
        history.released("s", effects, lambda _asset: None)

    first = History(store=HistoryStore(path))
    note(first, "/w/b", "/w/a", "/x")
    first.close()
    second = History(store=HistoryStore(path))
    files = second.written("s").files()
    assert files is not None
    assert files.beginning("/w/") == ["/w/a", "/w/b"]
    note(second, "/w/aa", "/w/a")
    assert files.chosen(every) == ["/w/a", "/w/aa", "/w/b", "/x"]
    second.close()


def test_a_directory_that_runs_as_a_whole_is_the_sessions_if_any_of_it_is() -> None:
    """Whatever lies beside it by name."""
    history = History()
    history.released(
        "s", [Effect(op="write", resource=Resource(kind="file", path="/w/dir-x", real="/w/dir-x"))], lambda _asset: None
    )
    run = Effect(
        op="exec_opaque",
        resource=Resource(kind="dir", path="/w/dir", real="/w/dir", recursive=True),
        attrs={"code": "x"},
    )
    assert "authored" not in history.annotate("s", [run])[0].attrs
    history.released(
        "s", [Effect(op="write", resource=Resource(kind="file", path="/w/dir/x", real="/w/dir/x"))], lambda _asset: None
    )
    assert history.annotate("s", [run])[0].attrs["authored"]


class Untold(Session):
    """A session that wrote more files than are told apart."""

    def files(self) -> OrderedPaths | None:
        """Nobody knows which."""
        return None


@pytest.mark.parametrize(
    "command",
    [
        *("just deploy", "task build", "cmake -S . -B build", "pre-commit run", "terraform apply"),
        *("npm test", "cargo build", "frobnicate", "node --test"),
    ],
)
def test_what_too_many_files_may_tell_a_tool_is_a_question(command: str) -> None:
    """Any of them may be what it is told by, from above or below; of a session that wrote nothing none is."""

    def held(wrote: Session) -> bool:
        shell, view = (ShellText(text=command),), NoFiles({}, ("/w",))
        effects = analyse(shell, cwd="/w", view=view, limits=LIMITS, variables={"HOME": "/h"}, wrote=wrote)
        return any(effect.attrs.get("authored") for effect in effects)

    assert held(Untold({"/elsewhere/x": None}))
    assert not held(Session({}))


@pytest.mark.parametrize(
    ("command", "name", "text"),
    [
        ("npm test", "x.js", "require('fs').copyFileSync('/models/a', 'x')"),
        ("cargo build", "build.rs", 'fn main() { std::fs::copy("/models/a", "x").unwrap(); }'),
        ("frobnicate", "tool.cfg", "in = /models/a"),
        ("frobnicate run", "app.config", "in = /models/a"),
    ],
)
@pytest.mark.parametrize("brought", [1, MAX_BROUGHT_FOLDERS, 2 * MAX_BROUGHT_FOLDERS])
def test_directories_that_were_brought_hide_no_file_that_the_session_wrote(
    command: str, name: str, text: str, brought: int
) -> None:
    """However many there are of them: `mkdir` is cheap, and what is written by name is known by that."""
    folders = [f"/w/stuff/{number}" for number in range(brought)]
    view = NoFiles({"/models/a": b"w", f"/w/{name}": text.encode()}, ("/w", "/models", "/w/stuff", *folders))
    wrote = Session({f"/w/{name}": None, "/w/stuff": None})
    effects = analyse((ShellText(text=command),), cwd="/w", view=view, limits=LIMITS, variables={}, wrote=wrote)
    assert any(effect.op == "mention" and effect.resource.path == "/models/a" for effect in effects)


def test_builds_beside_more_directories_than_are_looked_into_are_a_question() -> None:
    """One more than that; as many as are looked into are none. No more are listed than say so."""

    def asked(brought: int) -> tuple[bool, int]:
        folders = [f"/w/stuff/{number}" for number in range(brought - 1)]
        view = Counting({}, ("/w", "/w/stuff", *folders))
        wrote = Session({"/w/stuff": None})
        effects = analyse((ShellText(text="npm test"),), cwd="/w", view=view, limits=LIMITS, variables={}, wrote=wrote)
        return any(effect.attrs.get("authored") for effect in effects), view.looks["listing"]

    assert asked(MAX_BROUGHT_FOLDERS)[0] is False
    held, listed = asked(MAX_BROUGHT_FOLDERS + 1)
    assert held
    assert listed <= 2


class Plain(Session):
    """A session that wrote nothing but files, and brought no directory."""

    def brought(self) -> OrderedPaths:
        """None of them may be a directory."""
        return OrderedPaths()


@pytest.mark.parametrize("command", ["make", "tox", "cargo build", "cmake .", "g++ x.cpp", "go build ./..."])
@pytest.mark.parametrize("ending", [".json", ""])
def test_a_build_looks_at_no_more_however_many_directories_a_session_wrote_in(command: str, ending: str) -> None:
    """Only of what may be a directory it is asked whether it is one, and the search for sources has a bound."""
    looks: list[Counter[str]] = []
    for count in (MAX_FOLDERS + 10, 2 * MAX_FOLDERS):
        files = {f"/w/made/d{number}/f{ending}": b"{}" for number in range(count)}
        folders = {path.rpartition("/")[0] for path in files} | {"/w", "/w/made"}
        view = Counting({"/w/x.cpp": b"int x;\n", **files}, tuple(folders))
        wrote = Plain(dict.fromkeys(files))
        analyse((ShellText(text=command),), cwd="/w", view=view, limits=LIMITS, variables={"HOME": "/h"}, wrote=wrote)
        looks.append(view.looks)
    assert looks[0] == looks[1]


WRITING = {
    "cat > a.x <<'E'\n{}\nE": True,
    "date > a.x": True,
    "date | tee -a log > a.x": True,
    "cat big data.json > a.x": True,
    "cp data.json a.x": True,
    "mv data.json a.x": False,
    "mv folder a.x": False,
    "cp -r folder a.x": False,
    "cp -r data.json a.x": False,
    "ln -s folder a.x": False,
    "git clone https://example.com/r a.x": False,
    "date > a.x; rm a.x; mv folder a.x": False,
    "mv folder a.x; date > a.x": False,
    "(sleep 60; mv folder a.x) & date > a.x": False,
}
"""Ways in which something comes to a name, and whether that is a file for certain."""


@pytest.mark.parametrize("command", WRITING)
def test_what_was_only_ever_written_as_a_file_is_no_directory(tmp_path: Path, command: str) -> None:
    """And what once may have become a directory may be one whatever comes later, also after a restart."""
    base = tmp_path.resolve()
    (base / "folder").mkdir()
    (base / "data.json").write_text("{}\n")
    (base / "big").write_bytes(os.urandom(100))
    (base / "guardrail.toml").write_text(
        '[trail]\ndirectory = "state/trail"\ntimeout_seconds = 60\n[limits]\ndecision_ms = 60000\n'
    )

    def check(guard: Guard, text: str) -> None:
        assert guard.check(ToolCall(tool="bash", args={"command": text}, cwd=str(base)))

    place, plain = str(base / "a.x"), WRITING[command]
    with Guard.open(base / "guardrail.toml") as guard:
        check(guard, command)
        written = guard.history.written("default")
        files = written.files()
        assert files is not None
        assert (place in files, place in written.brought()) == (True, not plain)
        check(guard, "date > a.x")
        assert (place in written.brought()) is not plain
    with Guard.open(base / "guardrail.toml") as guard:
        assert (place in guard.history.written("default").brought()) is not plain
        check(guard, "mv folder a.x")
        assert place in guard.history.written("default").brought()


def test_a_session_of_an_older_history_may_have_brought_all_that_it_wrote(tmp_path: Path) -> None:
    """It was not noted then what was a file."""
    store = HistoryStore(tmp_path / "history.db")
    store.add("s", [Fact("authored", "/w/a.x")])
    history = History(store=store)
    assert "/w/a.x" in history.written("s").brought()
    history.close()


def test_sources_behind_a_link_are_found_however_many_directories_wait_before_it(tmp_path: Path) -> None:
    """Of the directories that come after the bound those are looked at that may lead elsewhere."""
    base = tmp_path.resolve()
    for number in range(MAX_FOLDERS + 5):
        (base / f"w/d{number:03}").mkdir(parents=True)
    (base / "other").mkdir()
    (base / "w/z").symlink_to(base / "other")
    found = _sources._Found(reads="c", tops={}, named={})
    found.add(f"{base}/w")
    _sources._search(SeenFiles(LiveFiles()), found)
    assert found.broad
    assert list(found.tops) == [f"{base}/w", f"{base}/other"]
