"""Owned execution in bubblewrap: what no text shows is held, and what it cannot hold is not started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from guardrail.assets import Asset
from guardrail.cli.findings._strength import bubblewrap_finding
from guardrail.confine import Job, JobError
from guardrail.confine.bubblewrap import Bubblewrap
from guardrail.confine.kernel import Bounds
from guardrail.model import Effect, Op, Resource
from tests.test_run_confined import facts, run, world

__all__ = ["world"]

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap: apt-get install bubblewrap")

ATTEMPTS = """
import ctypes, os, socket, sys
def held(what):
    try: what()
    except OSError: return
    print("OPEN", what.__code__.co_firstlineno, flush=True)
work, model, conf = sys.argv[1:]
held(lambda: open(model, "rb"))
held(lambda: open(conf, "w"))
held(lambda: os.rename(os.path.dirname(conf), work + "/other"))
held(lambda: os.unlink(conf))
held(lambda: os.utime(conf, (0, 0)))
held(lambda: open(work + "/../outside", "w"))
held(lambda: socket.create_connection(("127.0.0.1", 22), 2))
held(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
held(lambda: os.kill(int(os.environ["OUTSIDE"]), 0))
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) == 0: print("OPEN namespaces")
if libc.shmget(0, 4096, 0o1600) >= 0: print("OPEN memory")
open(work + "/mine", "w").write(open(conf).read()); print("done")
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a configuration in it, and a model beside it."""
    (tmp_path / "work/conf").mkdir(parents=True)
    (tmp_path / "work/conf/site.yaml").write_text("on")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/w").write_text("weights")
    return tmp_path


def assets(place: Path) -> list[Asset]:
    return [
        Asset(id="model:b", asset_class="weights", roots=(f"{place}/models",), facts={}),
        Asset(id="control:c", asset_class="control", roots=(f"{place}/work/conf/site.yaml",), facts={}),
    ]


def bounds(place: Path) -> Bounds:
    return Bounds(read=("/usr", "/etc", "/proc", str(place)), write=(f"{place}/work",))


def started(place: Path, effects: list[Effect], *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command, as owned execution would start it."""
    with Bubblewrap(assets(place), bounds(place)) as wrapped:
        job = wrapped.confine(Job(argv=argv, cwd=f"{place}/work", environment=variables), effects)
        assert job.environment == {}
        return subprocess.run(
            job.argv, cwd=job.cwd, env=job.environment, capture_output=True, text=True, timeout=60, check=False
        )


def effect(op: Op, path: str, asset: str | None = None) -> Effect:
    return Effect(op=op, resource=Resource(kind="file", path=path, real=path, asset=asset))


def test_a_tool_sees_its_profile_and_reaches_nothing_else(place: Path) -> None:
    """Every attempt fails while the work that it was started for is done; its variables are in no command line."""
    names = (f"{place}/work", f"{place}/models/w", f"{place}/work/conf/site.yaml")
    done = started(place, [], "/usr/bin/python3", "-c", ATTEMPTS, *names, OUTSIDE=str(os.getpid()))
    assert done.stdout == "done\n", done.stderr
    assert (place / "work/mine").read_text() == "on"
    assert (place / "work/conf/site.yaml").stat().st_mtime > 0
    assert started(place, [], "/bin/sh", "-c", "exit 7").returncode == 7


def test_a_reader_sees_the_model_and_writes_nowhere(place: Path) -> None:
    """Copying is not reading here either."""
    reads = [effect("read", f"{place}/models/w", "model:b")]
    done = started(place, reads, "/bin/sh", "-c", f"cat {place}/models/w; cp {place}/models/w . || echo held")
    assert done.stdout == "weightsheld\n"
    assert not (place / "work/w").exists()


def test_what_bubblewrap_cannot_hold_as_judged_is_not_started(place: Path) -> None:
    """Ports, one way of changing an asset, another name of one, and a name that is not there yet."""
    changes = [effect("set_key", f"{place}/work/conf/site.yaml", "control:c")]
    with pytest.raises(JobError, match="one way of changing"):
        started(place, changes, "/bin/true")
    os.link(place / "models/w", place / "work/again")
    with pytest.raises(JobError, match="another name"):
        started(place, [], "/bin/true")
    os.unlink(place / "work/again")
    os.unlink(place / "work/conf/site.yaml")
    with pytest.raises(JobError, match="not there yet"):
        started(place, [], "/bin/true")
    with Bubblewrap(assets(place), Bounds(connect=(443,))) as wrapped, pytest.raises(JobError, match="its ports"):
        wrapped.confine(Job(argv=("/bin/true",), cwd="/"), [])
    with pytest.raises(JobError, match="makes no sandbox here"):
        Bubblewrap([], Bounds(), program="/bin/false")
    assert bubblewrap_finding().state == "ok"
    assert bubblewrap_finding("/bin/false").state == "problem"


def test_a_command_is_run_in_bubblewrap_and_its_record_says_so(world: Path) -> None:
    """`--confine bwrap`, as the other modes; whatever it leaves running is ended with it."""
    done = run(world, "bwrap", "/usr/bin/python3", "loader.py", stdin="../models/w\n")
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert (facts(world)["confined"], facts(world)["kernel_mode"]) == ("bwrap", "bwrap")
    done = run(world, "bwrap", "/usr/bin/python3", "loader.py", stdin="data.txt\n")
    assert (done.returncode, (world / "work/copy").read_text()) == (0, "data"), done.stderr
