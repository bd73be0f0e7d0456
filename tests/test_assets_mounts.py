"""A directory that is mounted at a second place is the same directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail import config as config_module
from guardrail.assets import Inventory
from guardrail.assets._mounts import Mounts, _parsed
from guardrail.model import Effect, Op, Resource


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this host lets nobody mount here: {done.stderr.strip()}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """A model, and two places to mount things at; whatever a test mounts is taken away again."""
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/w.safetensors").write_bytes(b"weights of beta")
    (tmp_path / "alias").mkdir()
    (tmp_path / "work/inside").mkdir(parents=True)
    yield tmp_path
    for place in (tmp_path / "alias", tmp_path / "work/inside"):
        subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.fixture
def inventory(world: Path) -> Inventory:
    """The inventory of that world, before anything is mounted."""
    return Inventory(
        config_module.parse(f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["{world}/models/beta"]\n')
    )


def _assets(inventory: Inventory, op: Op, path: object, **more: object) -> list[str | None]:
    effect = Effect(op=op, resource=Resource(kind="file", path=str(path), **more))  # type: ignore[arg-type]
    return [found.resource.asset for found in inventory.resolve([effect])]


def test_what_is_mounted_again_is_the_asset_also_by_its_new_name(world: Path, inventory: Inventory) -> None:
    """Found out by the table of mounts, which is read again when it changes; new files in it are in the asset too."""
    assert _assets(inventory, "write", world / "alias/new") == [None]
    _mount("--bind", str(world / "models/beta"), str(world / "alias"))
    assert _assets(inventory, "write", world / "alias/new") == ["model:beta"]
    assert _assets(inventory, "delete", world / "alias/w.safetensors") == ["model:beta"]
    subprocess.run(["umount", str(world / "alias")], check=True)
    assert _assets(inventory, "write", world / "alias/new") == [None]


def test_what_holds_the_asset_may_be_mounted_again(world: Path, inventory: Inventory) -> None:
    """The asset lies below the new name, and what is done to all of it is done to the asset."""
    _mount("--bind", str(world / "models"), str(world / "alias"))
    assert _assets(inventory, "write", world / "alias/beta/x") == ["model:beta"]
    assert _assets(inventory, "delete", world / "alias", recursive=True) == ["model:beta"]
    assert _assets(inventory, "write", world / "alias/other") == [None]


def test_a_tree_in_which_an_asset_is_mounted_holds_it(world: Path, inventory: Inventory) -> None:
    """`rm -r work` goes through the mount."""
    _mount("--bind", str(world / "models/beta"), str(world / "work/inside"))
    assert "model:beta" in _assets(inventory, "delete", world / "work", recursive=True)
    assert _assets(inventory, "write", world / "work/else") == [None]


def test_a_part_of_an_asset_may_be_mounted_again(world: Path, inventory: Inventory) -> None:
    """A file of it, too."""
    (world / "work/one").touch()
    _mount("--bind", str(world / "models/beta/w.safetensors"), str(world / "work/one"))
    try:
        assert _assets(inventory, "write", world / "work/one") == ["model:beta"]
    finally:
        subprocess.run(["umount", str(world / "work/one")], check=True)


def test_the_table_is_read_as_the_kernel_writes_it() -> None:
    """Blanks are octal, and of two mounts at one place the last lies on top."""
    lines = (
        "36 35 8:1 /a\\040b /mnt/x\\040y rw shared:1 - ext4 /dev/sda1 rw\n"
        "37 35 8:2 / /mnt/x\\040y rw - ext4 /dev/sda2 rw\nshort line\n"
    )
    ((first, one), (second, two)) = _parsed(lines)
    assert (first, one.root, one.device) == ("/mnt/x y", "/a b", "8:1")
    assert (second, two.device) == ("/mnt/x y", "8:2")


def test_without_a_second_mount_nothing_has_coordinates() -> None:
    """The usual case costs one poll."""
    mounts = Mounts()
    if not mounts.several:
        assert mounts.coordinates(os.getcwd()) is None
    assert mounts.version >= 1


def test_the_table_may_be_asked_by_many_threads_at_once() -> None:
    """Two of them in one poll would be an error, and an error a denial."""
    mounts = Mounts()
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(lambda: [mounts.several for _ in range(2000)]) for _ in range(8)]
        assert len({answer for one in running for answer in one.result(timeout=60)}) == 1
