"""Other names of an asset: mounts, long paths, links, odd names and filesystems that ignore case."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import config as config_module
from guardrail.assets import Inventory
from guardrail.assets._files import locate
from guardrail.assets._mounts import Mounts, folded
from guardrail.model import Effect, Op, Resource


def inventory_of(*paths: Path) -> Inventory:
    """An inventory with one asset."""
    listed = ", ".join(f'"{path}"' for path in paths)
    return Inventory(config_module.parse(f'[[asset]]\nid = "model:a"\nclass = "weights"\npaths = [{listed}]\n'))


def assets(inventory: Inventory, op: Op, path: object, *, recursive: bool = False) -> list[str | None]:
    """The assets of one effect."""
    effect = Effect(op=op, resource=Resource(kind="file", path=str(path), recursive=recursive))
    return [found.resource.asset for found in inventory.resolve([effect])]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory with a model in it."""
    (tmp_path / "srv/models/sub").mkdir(parents=True)
    (tmp_path / "srv/models/w.bin").write_bytes(b"weights")
    return tmp_path / "srv/models"


@pytest.fixture
def bound(models: Path, tmp_path: Path) -> Iterator[Path]:
    """A second mount of that directory; left out where this process may not mount."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    done = subprocess.run(["mount", "--bind", str(models), str(other)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this process may not mount: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield other
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_a_second_mount_of_an_asset_is_the_asset(models: Path, bound: Path) -> None:
    """Itself, what is in it, what is not there yet, and a directory above."""
    inventory = inventory_of(models)
    for name in ("", "w.bin", "sub", "new.bin", "sub/new/deep.bin"):
        assert assets(inventory, "write", bound / name) == ["model:a"], name
    assert assets(inventory, "delete", bound.parent, recursive=True) == ["model:a"]


def test_an_asset_that_is_declared_by_its_second_mount_is_found_by_the_first(models: Path, bound: Path) -> None:
    """Either name may be the declared one."""
    assert assets(inventory_of(bound), "write", models / "new.bin") == ["model:a"]


def test_a_second_mount_of_a_parent_leads_to_the_asset(models: Path, tmp_path: Path) -> None:
    """A mount of the directory above shows the asset further down."""
    other = tmp_path / "above"
    other.mkdir()
    done = subprocess.run(["mount", "--bind", str(models.parent), str(other)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this process may not mount")
    try:
        inventory = inventory_of(models)
        assert assets(inventory, "write", other / "models/new.bin") == ["model:a"]
        assert assets(inventory, "delete", other, recursive=True) == ["model:a"]
        assert assets(inventory, "write", other / "else") == [None]
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_the_table_of_mounts_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    """Blanks are octal; mounts of one filesystem share its device number; a broken table is no error."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 8:1 /srv/mo\\040dels /mnt/b rw - ext4 /dev/sda rw\n"
        "3 1 0:5 / /proc rw - proc proc rw\n"
    )
    mounts = Mounts(str(table))
    assert list(mounts.others("/mnt/b/x")) == ["/srv/mo dels/x"]
    assert list(mounts.others("/srv/mo dels/x/y")) == ["/mnt/b/x/y"]
    assert list(mounts.others("/srv/other")) == []
    assert list(mounts.others("/proc/1")) == []
    assert list(Mounts(str(tmp_path / "none")).others("/a")) == []


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


def test_names_are_folded_as_filesystems_fold_them() -> None:
    """Case, and a letter with its accent apart."""
    assert folded("MODELS") == folded("models")
    assert folded("mod\u00e9le") == folded("mode\u0301le")
    assert folded("a") != folded("b")
