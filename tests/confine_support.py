"""What tests of the kernel line stand on: an ordinary user, an arena that this user owns, and runs in it.

As root, executor and tools are started under an ordinary user without any capability; else as whoever runs the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guardrail.assets import Asset
from guardrail.confine.kernel import Confined, Executor, KernelEnded, Profile, ProtectedSet, protect

HERE = Path(__file__).resolve().parent
ORDINARY = 65534
AS_ROOT = os.geteuid() == 0
PYTHON = "/usr/bin/python3"
"""Has to lie beneath a read root, and be there for every user."""

DROP = (
    "/usr/bin/setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "--inh-caps=-all",
    "--bounding-set=-all",
)  # fmt: skip
LAUNCHER = (*DROP, PYTHON) if AS_ROOT else (sys.executable,)


def lacking(what: str) -> tuple[str, ...]:
    """A launcher on a host that lacks something: see `confine_lacking`."""
    return (*LAUNCHER, "-S", str(HERE / "confine_lacking.py"), what)


SYSTEM = tuple(path for path in ("/usr", "/etc", "/proc", "/opt") if os.path.isdir(path))
WEIGHTS = "weights:peer"
CONTROL = "control:shutdown"


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A workspace and a model, with everything that an attacker needs."""

    base: str

    @property
    def ws(self) -> str:
        return f"{self.base}/ws"

    @property
    def models(self) -> str:
        return f"{self.base}/srv/models"

    @property
    def weights(self) -> str:
        return f"{self.models}/peer/weights.bin"

    @property
    def conf(self) -> str:
        return f"{self.ws}/conf/shutdown.yaml"

    @property
    def later(self) -> str:
        """A configuration that is protected before it exists."""
        return f"{self.ws}/later/site.yaml"

    def fill(self) -> None:
        """Make it, or make it again as it was."""
        if os.path.exists(self.base):
            for at, _, _ in os.walk(self.base):
                os.chmod(at, 0o755)
            shutil.rmtree(self.base)
        for name in ("ws/conf", "srv/models/peer", "home", "spool", "run"):
            os.makedirs(f"{self.base}/{name}")
        Path(self.weights).write_bytes(os.urandom(100_000))
        os.link(self.weights, f"{self.ws}/pre_link")
        Path(self.conf).write_text("shutdown: enabled\n")
        self.hand_over()

    def hand_over(self) -> None:
        """Everything belongs to the attacker."""
        if AS_ROOT:
            for at, directories, files in os.walk(self.base):
                for name in (".", *directories, *files):
                    os.chown(os.path.join(at, name), ORDINARY, ORDINARY, follow_symlinks=False)

    def assets(self) -> list[Asset]:
        return [
            Asset(id=WEIGHTS, asset_class="weights", roots=(self.models,), facts={}),
            Asset(id=CONTROL, asset_class="control", roots=(self.conf, self.later), facts={}),
        ]

    def protected(self) -> ProtectedSet:
        return protect(self.assets())


@contextmanager
def arena() -> Iterator[Arena]:
    """A directory that every user can reach, gone afterwards."""
    top = os.path.realpath(tempfile.mkdtemp(prefix="guardrail-arena-"))
    os.chmod(top, 0o755)  # the ordinary user has to get in
    made = Arena(base=f"{top}/a")
    made.fill()
    try:
        yield made
    finally:
        shutil.rmtree(top, ignore_errors=True)


def run(
    session: Confined, argv: Sequence[str], cwd: str, environment: dict[str, str] | None = None, **options: object
) -> tuple[str, KernelEnded]:
    """Run a tool in a session; what it wrote to both of its outputs, and how it ended."""
    null = os.open(os.devnull, os.O_RDONLY)
    with tempfile.TemporaryFile() as out:
        try:
            ended = session.run(
                argv,
                cwd=cwd,
                environment={"PATH": "/usr/bin:/bin", "HOME": cwd, **(environment or {})},
                stdin=null,
                stdout=out.fileno(),
                stderr=out.fileno(),
                **options,  # type: ignore[arg-type]
            )
        finally:
            os.close(null)
        out.seek(0)
        return out.read().decode("utf-8", "replace"), ended


def once(made: Arena, profile: Profile, *argv: str, protected: ProtectedSet | None = None) -> tuple[str, KernelEnded]:
    """Run one tool in a session and an executor of its own."""
    with Executor(protected or made.protected(), launcher=LAUNCHER) as executor, executor.open(profile) as session:
        return run(session, argv, made.ws)


@contextmanager
def victim(made: Arena, tag: str) -> Iterator[dict[str, str]]:
    """The process outside, and the variables by which an attacker finds it."""
    argv = [*(DROP if AS_ROOT else ()), PYTHON, "-S", str(HERE / "confine_victim.py"), made.base, tag]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        tcp, udp, netlink, *segments = process.stdout.readline().split()
        yield {
            "VICTIM": str(process.pid), "TCP": tcp, "UDP": udp, "NETLINK": netlink, "SEGMENTS": " ".join(segments),
            "TAG": tag, "HOME": f"{made.base}/home",
        }  # fmt: skip
        assert process.stdin is not None
        process.stdin.close()
        process.send_signal(signal.SIGCONT)  # whoever could stop it and is not held has done so
        process.wait(20)


def attack(session: Confined, made: Arena, name: str, environment: dict[str, str]) -> tuple[str, KernelEnded]:
    """Run one attack; the first line that it printed."""
    script = [PYTHON, "-S", "-B", str(HERE / "confine_attacks.py"), name, made.base]
    said, ended = run(session, script, made.ws, environment)
    lines = [line for line in said.splitlines() if line.startswith(("OPEN", "held"))]
    return (lines[0] if lines else f"held (killed, {ended.exit_code}) {said[-200:]}"), ended
