"""What git and builds of images leave out of a directory: a protected model in a workspace, ignored and not tracked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.corpus_support import World, why

ADD = "git add -A && git commit -m wip"


def _world(root: Path, *, ignore: str = "", docker: str = "", nested: str = "", tracked: bool = False) -> World:
    """A project whose own repository holds a protected model, and lists of what is left out."""
    world = World(root, "file")
    there = world.project / "models/beta"
    there.mkdir(parents=True)
    shutil.copy(world.weights, there / "model.safetensors")
    text = world.toml.read_text(encoding="utf-8")
    outside = f'paths = ["{world.weights}"]'
    text = text.replace(outside, f'paths = ["{there}/model.safetensors"]')
    world.toml.write_text(text, encoding="utf-8")
    (world.project / ".gitignore").write_text(ignore, encoding="utf-8")
    (world.project / ".dockerignore").write_text(docker, encoding="utf-8")
    if nested:
        (world.project / "models/.gitignore").write_text(nested, encoding="utf-8")
    if tracked:
        subprocess.run(["git", "-C", str(world.project), "add", "-f", "models"], check=True, timeout=60)
    return world


@pytest.mark.parametrize(
    ("ignore", "docker", "command"),
    [
        ("models/\n", "", ADD),
        ("/models\n", "", "git add ."),
        ("*.safetensors\n", "", ADD),
        ("models/beta\n", "", "git commit -am wip"),
        ("**/beta/\n", "", "git add src . docs"),
        ("models/\n", "", "git clean -fd && git checkout ."),
        ("", "models\n", "docker build -t app ."),
        ("", "**/*.safetensors\n", "docker build -t app ."),
        ("", "", "tar czf /tmp/src.tgz --exclude=models ."),
        ("", "", "tar --exclude=./models/beta --exclude='*.pyc' -czf ../src.tgz ."),
        ("", "", "tar -czf /tmp/src.tgz --exclude='*.safetensors' -C .. project"),
        ("", "", "rsync -a --exclude=models/ ./ /tmp/backup/"),
        ("", "", "rsync -az --delete --exclude '/models' --exclude .git . build@ci.example:/srv/app/"),
    ],
)
def test_a_model_that_is_ignored_stays_where_it_is_when_the_rest_is_added_or_built(
    tmp_path: Path, ignore: str, docker: str, command: str
) -> None:
    """Daily work beside a model that nobody commits is let be."""
    world = _world(tmp_path, ignore=ignore, docker=docker)
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        decision = guard.check(world.call(command, "one"))
        assert decision, why(decision)


@pytest.mark.parametrize(
    ("command", "lists"),
    [
        (ADD, {}),
        ("git add -f .", {"ignore": "models/\n"}),
        ("git add -Af", {"ignore": "models/\n"}),
        (ADD, {"ignore": "models/\n", "tracked": True}),
        (ADD, {"ignore": "models/\n!models/\n"}),
        (ADD, {"ignore": "*.safetensors\n", "nested": "!model.*\n"}),
        (ADD, {"ignore": "model.safetensors/\n"}),
        (ADD, {"ignore": " models/\n"}),
        (ADD, {"ignore": "x\x0cmodels/\n"}),
        ("echo '!models' > .gitignore; git add -A", {"ignore": "models/\n"}),
        ("git clean -fdx", {"ignore": "models/\n"}),
        ("git clean -fd -e '!models'", {"ignore": "models/\n"}),
        ("git stash --all", {"ignore": "models/\n"}),
        ("git checkout HEAD~1 .", {"ignore": "models/\n"}),
        ("git reset --hard HEAD~1", {"ignore": "models/\n"}),
        ("cd src && git add ':(top)'", {}),
        ("git add -A -f -- ':!docs'", {"ignore": "models/\n"}),
        ("git add ':/models'", {}),
        ("git pull; git add -A", {"ignore": "models/\n"}),
        ("cd models && git init -q . && git add -A", {"ignore": "models/\n"}),
        ("podman build --ignorefile none .", {"docker": "models\n"}),
        ("docker build .", {"docker": "models\n!models/beta\n"}),
        ("docker build .", {"docker": " !models\nmodels\n"}),
        ("tar czf /tmp/src.tgz . --exclude=models", {}),
        ("tar czhf /tmp/src.tgz --exclude=models .", {}),
        ("tar czf /tmp/src.tgz --anchored --exclude=models .", {}),
        ("tar czf /tmp/src.tgz --exclude=models/ .", {}),
        ("tar czf /tmp/src.tgz --exclude=/models .", {}),
        ("tar czf /tmp/src.tgz --exclude=model .", {}),
        ("tar czf /tmp/src.tgz --exclude=models . models/beta", {}),
        ("TAR_OPTIONS=--anchored tar czf /tmp/src.tgz --exclude=beta .", {}),
        ("ln models/beta/model.safetensors w && tar czf /tmp/src.tgz --exclude=models .", {}),
        ("rsync -a --include=models --exclude=models ./ /tmp/b/", {}),
        ("rsync -aL --exclude=models ./ /tmp/b/", {}),
        ("rsync -a --exclude='+ models' ./ /tmp/b/", {}),
        ("rsync -a --exclude=models --exclude='!' ./ /tmp/b/", {}),
        ("rsync -aF --exclude=models ./ /tmp/b/", {}),
        ("rsync -a --exclude=/models ../project /tmp/b/", {}),
        ("rsync -a --exclude=model.safetensors/ ./ /tmp/b/", {}),
        ("rsync -a --exclude=models --remove-source-files ./ /tmp/b/", {}),
    ],
)
def test_what_may_take_an_ignored_model_along_after_all_is_held(
    tmp_path: Path, command: str, lists: dict[str, str | bool]
) -> None:
    """Force, a rule that takes in again, a file that is tracked, another version, or a list that is not read so."""
    world = _world(tmp_path, **lists)  # type: ignore[arg-type]  # each list is of the type that its name has
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        assert not guard.check(world.call(command, "one"))


@pytest.mark.parametrize(
    "prepared",
    [
        r"printf 'models/\n' > real && ln -s real .gitignore",
        r"printf '*.safetensors\n' > .gitignore && printf '\357\273\277!model.*\n' > models/beta/.gitignore",
        r"printf '*.safetensors\n!MODEL.*\n' > .gitignore && git config core.ignorecase true",
        r"printf 'models/\n' > .gitignore && git add -f models && git rm -q --cached -r models && git add -f models",
        r"printf 'models/\n' > .gitignore && git add -f models && git update-index --split-index",
        r"printf '/*\n' > .gitignore && git init -q models",
    ],
)
def test_a_list_that_git_reads_otherwise_leaves_nothing_out(tmp_path: Path, prepared: str) -> None:
    """Where git itself would take the model along, or another repository lies around it, adding everything is held."""
    world = _world(tmp_path)
    (world.project / ".gitignore").unlink()
    subprocess.run(["bash", "-c", prepared], cwd=world.project, check=True, timeout=60)
    where = world.project / "models" if "init" in prepared else world.project
    taken = subprocess.run(
        ["git", "add", "-A", "-n", "-v"], cwd=where, capture_output=True, text=True, check=True, timeout=60
    )
    tracked = subprocess.run(["git", "ls-files"], cwd=where, capture_output=True, text=True, check=True, timeout=60)
    assert "model.safetensors" in taken.stdout + tracked.stdout
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        assert not guard.check(world.call(f"cd {where} && {ADD}", "one"))


def test_an_image_is_built_by_the_list_that_its_builder_heeds(tmp_path: Path) -> None:
    """Podman and Buildah heed `.containerignore` where there is one, and then `.dockerignore` says nothing."""
    world = _world(tmp_path, docker="models\n")
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        assert guard.check(world.call("podman build -t app .", "one"))
        (world.project / ".containerignore").write_text("docs\n", encoding="utf-8")
        assert not guard.check(world.call("podman build -t app .", "one"))
