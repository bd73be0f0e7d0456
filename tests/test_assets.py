"""Which assets an effect bears on, on a real filesystem."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import config as config_module
from guardrail.assets import Inventory, LiveFiles
from guardrail.assets._places import locate
from guardrail.model import Edit, Effect, Op, Resource


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Models with two assets, one nested in a directory with other things, and a control config."""
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/w.safetensors").write_bytes(b"weights of beta")
    (tmp_path / "models/gamma").mkdir()
    (tmp_path / "models/gamma/w.gguf").write_bytes(b"weights of gamma")
    (tmp_path / "models/README.md").write_text("about")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shutdown.yaml").write_text("shutdown_enabled: true\nnote: x\n")
    (tmp_path / "scratch").mkdir()
    return tmp_path


@pytest.fixture
def inventory(world: Path) -> Inventory:
    """The inventory of that world."""
    return Inventory(
        config_module.parse(
            f"""
            [[asset]]
            id = "model:beta"
            class = "weights"
            paths = ["{world}/models/beta"]
            [[asset]]
            id = "model:gamma"
            class = "weights"
            paths = ["{world}/models/gamma/w.gguf"]
            [[asset]]
            id = "control:shutdown"
            class = "control"
            paths = ["{world}/etc/shutdown.yaml"]
            controls = {{ shutdown_enabled = true }}
            """
        )
    )


def _assets(inventory: Inventory, op: str, path: object, **more: object) -> list[str | None]:
    effect = Effect(op=op, resource=Resource(kind="file", path=str(path), **more))  # type: ignore[arg-type]
    return [found.resource.asset for found in inventory.resolve([effect])]


def test_a_file_below_a_declared_directory_is_the_asset(inventory: Inventory, world: Path) -> None:
    """An asset covers what lies in it."""
    assert _assets(inventory, "read", world / "models/beta/w.safetensors") == ["model:beta"]


def test_a_file_beside_the_asset_is_not_the_asset(inventory: Inventory, world: Path) -> None:
    """A README beside the weights is nobody's asset."""
    assert _assets(inventory, "delete", world / "models/README.md") == [None]


def test_a_file_that_does_not_exist_yet_is_the_asset_if_it_would_lie_in_it(inventory: Inventory, world: Path) -> None:
    """Creating a file inside an asset is an effect on the asset."""
    assert _assets(inventory, "write", world / "models/beta/new.bin") == ["model:beta"]


def test_a_symbolic_link_to_the_asset_is_followed_for_a_read_and_not_for_a_delete(
    inventory: Inventory, world: Path
) -> None:
    """`rm link` removes a name, `cat link` reads the weights."""
    os.symlink(world / "models", world / "scratch/link")
    os.symlink(world / "models/beta/w.safetensors", world / "scratch/leaf")
    assert _assets(inventory, "read", world / "scratch/link/beta/w.safetensors") == ["model:beta"]
    assert _assets(inventory, "read", world / "scratch/leaf") == ["model:beta"]
    assert _assets(inventory, "delete", world / "scratch/leaf", nofollow=True) == [None]


def test_a_hard_link_made_after_the_inventory_is_found_by_its_inode(inventory: Inventory, world: Path) -> None:
    """Another name of the same file is the same asset, whoever made it and when."""
    os.link(world / "models/gamma/w.gguf", world / "scratch/other")
    assert _assets(inventory, "copy", world / "scratch/other") == ["model:gamma"]


def test_a_file_linked_into_an_asset_after_it_was_seen_elsewhere_is_found(inventory: Inventory, world: Path) -> None:
    """A remembered stranger is looked at again once a name of it was made."""
    (world / "scratch/a").write_text("x")
    os.link(world / "scratch/a", world / "scratch/b")
    assert _assets(inventory, "copy", world / "scratch/a") == [None]
    os.link(world / "scratch/a", world / "models/beta/linked-in")
    assert _assets(inventory, "copy", world / "scratch/a") == ["model:beta"]


def test_dot_dot_is_resolved_by_the_kernel_and_not_as_text(inventory: Inventory, world: Path) -> None:
    """Through a link, `x/..` is the parent of where the link leads."""
    os.symlink(world / "models/beta", world / "scratch/deep")
    assert _assets(inventory, "read", f"{world}/scratch/deep/../gamma/w.gguf") == ["model:gamma"]


@pytest.mark.parametrize("op", ["rename", "delete", "mount"])
def test_moving_a_parent_away_is_an_effect_on_every_asset_in_it(inventory: Inventory, world: Path, op: str) -> None:
    """`mv /models /models2` takes each model along."""
    assert sorted(map(str, _assets(inventory, op, world / "models", nofollow=True))) == ["model:beta", "model:gamma"]


def test_listing_a_parent_touches_no_asset(inventory: Inventory, world: Path) -> None:
    """Looking at a directory is not looking into the models in it."""
    assert _assets(inventory, "list", world / "models") == [None]


def test_the_declared_name_is_guarded_even_if_it_is_a_link(tmp_path: Path) -> None:
    """Removing the link that everybody uses takes the model away from them."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/w").write_text("w")
    os.symlink(tmp_path / "disk", tmp_path / "models")
    inventory = Inventory(config_module.parse(f'[[asset]]\nid = "m"\nclass = "weights"\npaths = ["{tmp_path}/models"]'))
    assert _assets(inventory, "delete", tmp_path / "models", nofollow=True) == ["m"]
    assert _assets(inventory, "read", tmp_path / "disk/w") == ["m"]


def test_a_glob_that_can_name_an_asset_does(inventory: Inventory, world: Path) -> None:
    """A pattern is an effect on whatever it could match."""
    effect = Effect(op="delete", resource=Resource(kind="file", pattern=f"{world}/mod*/b*"), precision="pattern")
    assert [e.resource.asset for e in inventory.resolve([effect])] == ["model:beta"]
    effect = Effect(op="delete", resource=Resource(kind="file", pattern=f"{world}/scr*/x"), precision="pattern")
    assert [e.resource.asset for e in inventory.resolve([effect])] == [None]


@pytest.mark.parametrize("pattern", ["**", "/tmp/**", "*", "/srv/**/x"])
def test_a_path_of_which_a_part_is_unknown_could_be_any_asset(inventory: Inventory, pattern: str) -> None:
    """An unknown part may hold slashes and `..`, so it can lead anywhere."""
    effect = Effect(op="copy", resource=Resource(kind="file", pattern=pattern), precision="pattern")
    assert inventory.resolve([effect])[0].attrs["any"] is True


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/cwd/w.safetensors",
        "/proc/self/fd/3",
        "/proc/./self/cwd/w",
        "//proc//self/./cwd/w",
        "/proc/self/fdinfo/../cwd/w",
        "/proc/1/root/srv/w",
        "/proc/1/cwd/w",
        "/dev/fd/3",
        "/dev/./fd/3",
        "{scratch}/c/w",
    ],
)
def test_paths_through_the_agents_own_process_are_not_resolved_in_the_guards(
    inventory: Inventory, world: Path, path: str
) -> None:
    """Its directory and descriptors are unknown here, however the path is spelled, and also behind a link."""
    os.symlink("/proc/self/cwd", world / "scratch/c")
    effect = Effect(op="copy", resource=Resource(kind="file", path=path.format(scratch=world / "scratch")))
    (found,) = inventory.resolve([effect])
    assert found.attrs["any"] is True


def test_a_path_through_the_root_of_the_own_process_is_the_path(inventory: Inventory, world: Path) -> None:
    """`/proc/self/root` is where everything begins."""
    assert _assets(inventory, "copy", f"/proc/self/root{world}/models/beta/w.safetensors") == ["model:beta"]


@pytest.mark.parametrize(
    "pattern", ["/proc/*/root/x", "/proc/[s]elf/cwd/w", "/pro*/self/cwd/w", "{w}/scr*/../models/beta/w.safetensors"]
)
def test_a_pattern_that_leads_into_a_process_or_back_up_could_be_any_asset(
    inventory: Inventory, world: Path, pattern: str
) -> None:
    """`$$` is a number nobody knows here, and `x*/..` may be made by the call itself."""
    resource = Resource(kind="file", pattern=pattern.format(w=world))
    assert inventory.resolve([Effect(op="copy", resource=resource, precision="pattern")])[0].attrs["any"] is True


def test_a_pattern_is_followed_through_links_that_are_there(inventory: Inventory, world: Path) -> None:
    """A link whose name matches leads where it leads."""
    os.symlink(world / "models", world / "scratch/7")
    resource = Resource(kind="file", pattern=f"{world}/scratch/*/beta/w.safetensors")
    found = inventory.resolve([Effect(op="copy", resource=resource, precision="pattern")])
    assert [effect.resource.asset for effect in found] == ["model:beta"]


def test_what_takes_an_asset_takes_the_assets_in_it(tmp_path: Path) -> None:
    """Leave for the outer one is no leave for the inner one."""
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/eval.json").write_text("{}")
    tables = "".join(
        f'[[asset]]\nid = "{name}"\nclass = "weights"\npaths = ["{tmp_path}/{path}"]\n'
        for name, path in (("all", "models"), ("beta", "models/beta"), ("eval", "models/beta/eval.json"))
    )
    inventory = Inventory(config_module.parse(tables))
    assert sorted(map(str, _assets(inventory, "delete", tmp_path / "models"))) == ["all", "beta", "eval"]
    assert sorted(map(str, _assets(inventory, "rename", tmp_path / "models/beta"))) == ["beta", "eval"]
    assert _assets(inventory, "delete", tmp_path / "models/beta/eval.json") == ["eval"]


def test_a_new_file_in_the_inode_of_a_deleted_asset_is_not_the_asset(inventory: Inventory, world: Path) -> None:
    """The filesystem gives inodes away again; a moved file keeps its size or its date."""
    os.rename(world / "models/gamma/w.gguf", world / "scratch/moved")
    assert _assets(inventory, "copy", world / "scratch/moved") == ["model:gamma"]
    (world / "scratch/moved").write_text("something else of another size")
    assert _assets(inventory, "copy", world / "scratch/moved") == [None]


def test_a_control_config_that_cannot_be_read_has_no_harmless_edit(inventory: Inventory, world: Path) -> None:
    """A file padded over the bound is not taken for an absent one, whose switch an edit could leave out."""
    (world / "etc/shutdown.yaml").write_text("shutdown_enabled: true\n" + "#" * 300_000)
    effect = Effect(
        op="write",
        resource=Resource(kind="file", path=str(world / "etc/shutdown.yaml")),
        edit=Edit(kind="whole", text="threshold: 1\n"),
    )
    assert [found.op for found in inventory.resolve([effect])] == ["write"]


def test_a_glob_that_matches_nothing_still_ends_in_time(tmp_path: Path) -> None:
    """Links to oneself make a tree without end; the clock is looked at while it is walked."""
    for name in "abcd":
        os.symlink(".", tmp_path / name)
    began = time.monotonic()
    assert LiveFiles().glob(f"{tmp_path}" + "/*" * 14 + "/zzz") is None
    assert time.monotonic() - began < 5


def test_a_mention_of_something_else_is_dropped_and_of_an_asset_kept(inventory: Inventory, world: Path) -> None:
    """Only what names an asset is worth a question."""
    assert _assets(inventory, "mention", world / "scratch") == []
    assert _assets(inventory, "mention", world / "models/beta") == ["model:beta"]


def test_a_working_directory_above_assets_is_no_mention_and_one_inside_is(inventory: Inventory, world: Path) -> None:
    """Every build runs above something; an opaque program inside the model directory is another matter."""
    for path, wanted in ((world, []), (world / "models/beta", ["model:beta"])):
        effect = Effect(op="mention", resource=Resource(kind="dir", path=str(path)), attrs={"cwd": True})
        assert [e.resource.asset for e in inventory.resolve([effect])] == wanted


def test_an_edit_of_a_control_key_becomes_a_key_change(inventory: Inventory, world: Path) -> None:
    """What an edit does to the switch is what rules see, not that the file is written."""
    effect = Effect(
        op="write",
        resource=Resource(kind="file", path=str(world / "etc/shutdown.yaml")),
        edit=Edit(kind="replace", old="shutdown_enabled: true", text='shutdown_enabled: "false"'),
    )
    (found,) = inventory.resolve([effect])
    assert (found.op, found.attrs["key"], found.attrs["before"], found.attrs["after"]) == (
        "set_key", "shutdown_enabled", True, "false",
    )  # fmt: skip
    assert found.attrs["control"] is True
    assert found.attrs["weakened"] is True


def test_an_edit_of_another_key_of_a_control_config_weakens_nothing(inventory: Inventory, world: Path) -> None:
    """The recorded attack begins with a harmless write into the same file; that write may pass."""
    effect = Effect(
        op="append",
        resource=Resource(kind="file", path=str(world / "etc/shutdown.yaml")),
        edit=Edit(kind="append", text="last_score: 74.05\n"),
    )
    (found,) = inventory.resolve([effect])
    assert (found.op, found.attrs["key"], found.attrs["control"]) == ("set_key", "last_score", False)


@pytest.mark.parametrize(
    "text", ["shutdown_enabled: true\nshutdown_enabled: false\n", "{: not yaml", "a: !!python/x 1"]
)
def test_an_edit_whose_result_cannot_be_computed_stays_an_edit(inventory: Inventory, world: Path, text: str) -> None:
    """Duplicate keys, broken files and tags are not guessed at."""
    effect = Effect(
        op="write",
        resource=Resource(kind="file", path=str(world / "etc/shutdown.yaml")),
        edit=Edit(kind="whole", text=text),
    )
    assert [found.op for found in inventory.resolve([effect])] == ["write"]


def test_a_fifo_is_not_read(tmp_path: Path) -> None:
    """A pipe put in place of a config must not hang the guard."""
    os.mkfifo(tmp_path / "pipe")
    assert LiveFiles().read(str(tmp_path / "pipe"), 100) is None


def test_a_glob_over_its_bound_is_unknown_and_not_cut(tmp_path: Path) -> None:
    """Too many matches is no answer, which analysis takes for anything."""
    for number in range(5):
        (tmp_path / f"f{number}").touch()
    assert LiveFiles(expansions=3).glob(f"{tmp_path}/f*") is None
    assert len(LiveFiles(expansions=5).glob(f"{tmp_path}/f*") or ()) == 5


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "link", "models", "beta", "w.safetensors"]), max_size=8))
def test_a_located_path_is_where_the_kernel_says_it_is(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    """Resolution agrees with realpath wherever the path can be walked."""
    base = tmp_path_factory.getbasetemp() / "located"
    if not base.exists():
        (base / "a/b").mkdir(parents=True)
        (base / "models/beta").mkdir(parents=True)
        (base / "models/beta/w.safetensors").write_text("w")
        os.symlink(base / "models", base / "a/link")
    path = "/".join([str(base), *parts])
    place = locate(path)
    assert place.real == os.path.realpath(path)
    assert place.exists == os.path.exists(path)


def test_a_program_given_a_directory_above_the_guards_own_files_does_not_name_them(tmp_path: Path) -> None:
    """`docker build .` beside guardrail.toml is every build; naming the file is not."""
    (tmp_path / "guardrail.toml").write_text("")
    inventory = Inventory(config_module.parse(""), own=[("guardrail:config", str(tmp_path / "guardrail.toml"))])
    assert _assets(inventory, "mention", tmp_path) == []
    assert _assets(inventory, "mention", tmp_path / "guardrail.toml") == ["guardrail:config"]
    assert _assets(inventory, "delete", tmp_path) == ["guardrail:config"]


def test_a_tree_that_holds_another_name_of_an_asset_is_copied_with_it(inventory: Inventory, world: Path) -> None:
    """A hard link below the copied directory is the model, whatever it is called; deleting around it is not."""
    (world / "scratch/deep").mkdir()
    os.link(world / "models/gamma/w.gguf", world / "scratch/deep/innocent.txt")
    assert _assets(inventory, "copy", world / "scratch", recursive=True) == ["model:gamma", None]
    assert _assets(inventory, "list", world / "scratch", recursive=True) == [None]


def test_a_control_key_may_be_written_with_a_dot_or_as_a_table(tmp_path: Path) -> None:
    """TOML reads `a.b = true` as a table in a table; it is the key `a.b` all the same."""
    (tmp_path / "c.yaml").write_text("monitoring:\n  enabled: true\n")
    for spelled in ("monitoring.enabled = true", '"monitoring.enabled" = true', "monitoring = { enabled = true }"):
        inventory = Inventory(
            config_module.parse(
                f'[[asset]]\nid = "c"\nclass = "control"\npaths = ["{tmp_path}/c.yaml"]\n[asset.controls]\n{spelled}'
            )
        )
        effect = Effect(
            op="write",
            resource=Resource(kind="file", path=str(tmp_path / "c.yaml")),
            edit=Edit(kind="replace", old="true", text="false"),
        )
        (found,) = inventory.resolve([effect])
        assert (found.op, found.attrs["key"], found.attrs["weakened"]) == ("set_key", "monitoring.enabled", True)


def test_a_command_that_goes_through_links_reaches_what_they_lead_to(inventory: Inventory, world: Path) -> None:
    """`cp -rL .` copies the models that a link in the tree leads to; `cp -r .` copies the link."""
    os.symlink(world / "models", world / "scratch/link")
    tree = Resource(kind="dir", path=str(world / "scratch"), recursive=True)
    for attrs, wanted in (({}, [None]), ({"follows": True}, ["model:beta", "model:gamma", None])):
        found = inventory.resolve([Effect(op="copy", resource=tree, attrs=attrs)])
        assert [effect.resource.asset for effect in found] == wanted


@pytest.mark.parametrize("op", ["rename", "copy", "link", "delete", "set_times"])
def test_an_edit_says_something_only_of_what_it_is_the_content_of(world: Path, inventory: Inventory, op: Op) -> None:
    """A control file that is moved away is no unchanged file, whatever its content is where it arrives."""
    text = (world / "etc/shutdown.yaml").read_text()
    here = Resource(kind="file", path=f"{world}/etc/shutdown.yaml")
    there = Resource(kind="file", path=f"{world}/etc/shutdown.yaml.bak")
    effect = Effect(op=op, resource=here, target=there, edit=Edit(kind="whole", text=text))
    assert [found.op for found in inventory.resolve([effect])] == [op]


def test_a_missing_path_lies_where_a_walk_from_link_to_link_ends(world: Path) -> None:
    """Under its nearest existing parent, through links, `..` and links that lead nowhere, as `realpath` says."""
    import itertools

    (world / "link").symlink_to("models")
    (world / "nowhere").symlink_to("missing/x")
    (world / "models/out").symlink_to(world / "gone")
    names = ["models", "link", "nowhere", "out", "beta", "absent", ".", ".."]
    for parts in itertools.product(names, repeat=3):
        path = f"{world}/{'/'.join(parts)}"
        found = locate(path)
        assert found.exists or found.real == os.path.realpath(path), path
