"""Other names of an asset: long paths, links, odd names and places that cannot be looked at."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from guardrail import Guard, ToolCall
from guardrail import config as config_module
from guardrail.assets import Inventory
from guardrail.assets._look import Look
from guardrail.assets._places import locate, locate_in
from guardrail.model import Effect, Op, Outcome, Resource


def inventory_of(*paths: Path) -> Inventory:
    """An inventory with one asset."""
    listed = ", ".join(f'"{path}"' for path in paths)
    return Inventory(config_module.parse(f'[[asset]]\nid = "model:a"\nclass = "weights"\npaths = [{listed}]\n'))


def assets(inventory: Inventory, op: Op, path: object) -> list[str | None]:
    """The assets of one effect."""
    effect = Effect(op=op, resource=Resource(kind="file", path=str(path)))
    return [found.resource.asset for found in inventory.resolve([effect])]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory with a model in it."""
    (tmp_path / "srv/models/sub").mkdir(parents=True)
    (tmp_path / "srv/models/w.bin").write_bytes(b"weights")
    return tmp_path / "srv/models"


def test_a_path_longer_than_the_kernel_takes_is_walked(models: Path) -> None:
    """`./` any number of times, and a directory so deep that only a shell can go there."""
    inventory = inventory_of(models)
    assert assets(inventory, "delete", f"{models}/{'./' * 4000}w.bin") == ["model:a"]
    assert assets(inventory, "write", f"{models}/{'sub/../' * 2000}new") == ["model:a"]
    here = os.open(models, os.O_RDONLY)
    try:
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=here)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    assert assets(inventory, "write", f"{models}/{('d' * 200 + '/') * 30}x") == ["model:a"]


@pytest.mark.parametrize("name", ["a\nb", "a b", "a\udcff", "...", "a.", "-x", "*", "a\\b", "é"])
def test_odd_names_are_names(models: Path, name: str) -> None:
    """Newlines, bytes that are no text, dots and dashes."""
    inventory = inventory_of(models)
    (models / name).write_bytes(b"x")
    assert assets(inventory, "delete", f"{models}/{name}") == ["model:a"]
    assert assets(inventory, "write", f"{models}/sub/../{name}///") == ["model:a"]


def test_links_and_dots_are_left_to_the_kernel(models: Path, tmp_path: Path) -> None:
    """`..` behind a link, a dangling link, a link to itself, a missing path behind a link."""
    inventory = inventory_of(models)
    os.symlink(models / "sub", tmp_path / "l")
    os.symlink(models / "new.bin", tmp_path / "dangling")
    os.symlink("loop", tmp_path / "loop")
    assert assets(inventory, "write", tmp_path / "l/../w.bin") == ["model:a"]
    assert assets(inventory, "write", tmp_path / "dangling") == ["model:a"]
    assert assets(inventory, "write", tmp_path / "l/a/b/c") == ["model:a"]
    assert assets(inventory, "write", tmp_path / "loop/x") == [None]


def test_a_place_that_cannot_be_looked_at_could_be_anything(models: Path, tmp_path: Path) -> None:
    """A link on the way would not be seen; root sees everything, so another user looks."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can become another user to look")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    pid = os.fork()
    if pid == 0:
        os.setegid(65534)
        os.seteuid(65534)
        os._exit(0 if locate(f"{closed}/x").hidden else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not locate(f"{closed}/x").hidden


def test_a_hidden_place_below_an_asset_is_the_asset(models: Path) -> None:
    """What the path itself says still holds; elsewhere it is held as anything."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can become another user to look")
    inventory = inventory_of(models)
    closed = models / "closed"
    closed.mkdir(mode=0o700)
    other = models.parent / "other"
    other.mkdir(mode=0o700)
    pid = os.fork()
    if pid == 0:
        os.setegid(65534)
        os.seteuid(65534)
        right = assets(inventory, "write", closed / "x") == ["model:a"]
        effect = Effect(op="write", resource=Resource(kind="file", path=str(other / "x")))
        held = [found.attrs.get("any") for found in inventory.resolve([effect])] == [True]
        os._exit(0 if right and held else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(("recursive", "expected"), [(True, ["model:a"]), (False, [None])])
def test_a_listed_directory_is_meant_with_what_lies_in_it(
    models: Path, recursive: bool, expected: list[str | None]
) -> None:
    """`find -name 'mod*' | xargs rm -r` reaches a file that is called otherwise, and `touch` does not."""
    pattern = f"{models.parent.parent}/[/]*dels"
    effect = Effect(op="delete", resource=Resource(kind="file", pattern=pattern, recursive=recursive))
    found = inventory_of(models / "w.bin").resolve([effect])
    assert [one.resource.asset for one in found] == expected


def test_a_file_is_the_same_with_and_without_its_directory_at_hand(tmp_path: Path) -> None:
    """One look at a directory serves all names in it: links, dangling ones, loops, devices and what is not there."""
    (tmp_path / "real/sub").mkdir(parents=True)
    (tmp_path / "real/f").write_bytes(b"x")
    (tmp_path / "real/twice").hardlink_to(tmp_path / "real/f")
    (tmp_path / "real/link").symlink_to("f")
    (tmp_path / "real/dangling").symlink_to("nowhere/at/all")
    (tmp_path / "real/loop").symlink_to("loop")
    os.mkfifo(tmp_path / "real/pipe")
    (tmp_path / "alias").symlink_to("real")
    names = ("f", "twice", "link", "dangling", "loop", "pipe", "sub", "missing", "a b", "é", "x" * 300, "n\0l")
    for folder in ("real", "alias", "real/sub/.."):
        for name in names:
            path = f"{tmp_path}/{folder}/{name}"
            for nofollow in (False, True):
                known = locate_in(locate(f"{tmp_path}/{folder}").real, path, name, nofollow=nofollow)
                assert known == locate(path, nofollow=nofollow), (folder, name, nofollow)
                alone = Look().at(path, nofollow=nofollow)
                assert alone == known or (alone is None and name == "loop"), (folder, name, nofollow)
                for first in names:
                    look = Look()
                    look.at(f"{tmp_path}/{folder}/{first}", nofollow=nofollow)
                    assert look.at(path, nofollow=nofollow) == alone, (folder, first, name, nofollow)


def test_what_the_guard_keeps_beside_its_trail_is_one_asset(tmp_path: Path) -> None:
    """Who goes through the directory bears on it once, and each of its files is guarded."""
    (tmp_path / "guardrail.toml").write_text(
        '[limits]\ndecision_ms = 60000\n[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n'
    )
    with Guard.open(tmp_path / "guardrail.toml") as guard:
        state = [path for path in tmp_path.iterdir() if path.name.startswith("trail.") and path.is_file()]
        assert len(state) > 3
        for path in state:
            decision = guard.check(ToolCall(tool="bash", args={"command": f"rm {path.name}"}, cwd=str(tmp_path)))
            assert (decision.outcome, decision.assets) == (Outcome.DENY, ("guardrail:state",)), path
        found = guard.check(ToolCall(tool="bash", args={"command": "grep -r x ."}, cwd=str(tmp_path)))
    assert found.assets.count("guardrail:state") == 1
    assert len([effect for effect in found.effects if effect.op == "read"]) < 8
