"""Permission marks on assets: whoever opens them, by whatever name, is told of or refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardrail.assets import Inventory
from guardrail.config import load
from guardrail.confine.kernel import ConfineError, protect
from guardrail.confine.observer import Observer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_ADMIN: run the tests as root")


MANIFEST = Path(__file__).resolve().parent.parent / "deploy/kustomize/observer/daemonset.yaml"
"""What it is given on a node is what it is tried with here."""

COMMAND = (sys.executable, "-m", "guardrail", "observe", "--config")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model with another name outside of its directory, a configuration, and a program that serves."""
    (tmp_path / "models/inner").mkdir(parents=True)
    (tmp_path / "models/inner/w").write_text("weights")
    os.link(tmp_path / "models/inner/w", tmp_path / "another")
    (tmp_path / "site.yaml").write_text("on")
    shutil.copy("/bin/cat", tmp_path / "server")
    with open(tmp_path / "server", "ab") as file:
        file.write(b"\0")  # another program than cat, by its content
    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["models"]\n'
        '[[asset]]\nid = "control:c"\nclass = "control"\npaths = ["site.yaml"]\n'
    )
    return tmp_path


@contextlib.contextmanager
def observing(place: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`guardrail observe`, ready; ended by a signal, well."""
    (container,) = yaml.safe_load(MANIFEST.read_text())["spec"]["template"]["spec"]["containers"]
    given = container["securityContext"]["capabilities"]["add"]
    kept = ",".join(("-all", *(f"+{name.lower()}" for name in given)))
    command = [
        "setpriv",
        f"--bounding-set={kept}",
        "--inh-caps=-all",
        *COMMAND,
        str(place / "guardrail.toml"),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=30)
        assert process.returncode == 0, said


def next_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line that it says."""
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def opened(*argv: str | Path) -> bool:
    return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0


def test_only_readers_open_an_asset_by_whatever_name(place: Path) -> None:
    """Root is refused too, by another hard link, and for a file that came later; the reader and others go on."""
    weights = place / "models/inner/w"
    digest = hashlib.sha256((place / "server").read_bytes()).hexdigest()
    with observing(place, "--enforce", "--reader", f"sha256:{digest}") as process:
        assert next_of(process)["marked"] == 3
        assert not opened("/bin/cat", weights)
        told = next_of(process)
        assert (told["asset"], told["path"], told["outcome"]) == ("model:b", str(weights), "deny")
        assert told["program"] == os.path.realpath("/bin/cat")
        assert not opened("/bin/cat", place / "another")
        assert next_of(process)["asset"] == "model:b"
        later = place / "models/inner/later"
        assert not opened("/bin/cp", place / "site.yaml", later), "it is opened to be written"
        assert next_of(process)["path"] == str(later)
        assert opened(place / "server", weights)
        assert opened("/bin/cat", place / "site.yaml")
    assert opened("/bin/cat", weights), "when it has ended nobody is held, as its help says"


def test_nobody_who_reads_what_it_tells_is_no_leave(place: Path) -> None:
    """Its reader may go: it refuses all the same, and says at its end that something was lost."""
    with subprocess.Popen([*COMMAND, str(place / "guardrail.toml"), "--enforce"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert not opened("/bin/cat", place / "models/inner/w")
        assert not opened("/bin/cat", place / "models/inner/w")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1


def test_without_enforcement_an_open_is_told_and_goes_on(place: Path) -> None:
    """What a team looks at before it refuses anything."""
    with observing(place) as process:
        assert next_of(process)["enforce"] is False
        assert opened("/bin/cat", place / "models/inner/w")
        assert next_of(process)["outcome"] == "observe"


def test_a_place_that_nobody_can_name_ends_no_watch(place: Path) -> None:
    """Whoever nests directories until no path leads there has that told of, and the rest is marked all the same."""
    at = os.open(place / "models", os.O_RDONLY)
    for _ in range(20):  # longer than any path may be
        os.mkdir("d" * 250, dir_fd=at)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(at)
    inventory = Inventory(load(place / "guardrail.toml"))
    told: list[ConfineError] = []
    with Observer(inventory, [], enforce=False, told=lambda _: None) as observer:
        with pytest.raises(ConfineError, match="cannot look into"):
            observer.mark()
        assert observer.mark(told.append) > 3
        os.link(place / "site.yaml", place / "models/last")  # opening it here would wait for an answer
        before = observer.mark(told.append)
        os.replace(place / "models/last", place / "models/inner/w")
        assert observer.mark(told.append) == before - 1, "what is gone is not counted as marked"
    assert len(told) == 3
    with pytest.raises(ConfineError, match="cannot look into"):
        protect(inventory)


def test_who_may_not_watch_is_told_what_it_takes(place: Path) -> None:
    """An ordinary user; and a reader that is not there is a mistake."""
    command = [*COMMAND, str(place / "guardrail.toml")]
    bare = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all", *command]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "it takes CAP_SYS_ADMIN" in done.stderr) == (1, True), done.stderr
    done = subprocess.run([*command, "--reader", "/nowhere"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "cannot read `/nowhere`" in done.stderr) == (2, True), done.stderr
