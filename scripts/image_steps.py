"""Carry out the Dockerfile's steps without a container engine, and start what comes out of it as a container would be.

    python scripts/image_steps.py

Each stage gets a root of its own: this host's /usr and libraries, and this Python at /usr/local, where the base image
has its own. In it the RUN lines run as they stand, after the COPYs. Then the entry point is started as the image's
user, without a capability, on a root that nobody can write to but for the image's volumes, and is asked.
Needs root, for mounts that nobody else sees and that end with this process, and packages, as `make` does.
Not run: the base image itself, what an engine makes of EXPOSE and STOPSIGNAL, and pushing.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.dockerfile import last, stages  # noqa: E402 - the checkout comes first on the path

STEP_SECONDS: Final = 600
"""Longest that one RUN may take, in seconds."""

START_SECONDS: Final = 60
"""Longest until the entry point is ready, in seconds."""

MEGABYTE: Final = 1_000_000

HOST: Final = ("usr", "bin", "sbin", "lib", "lib64")
"""What a root has of this host."""

ETC: Final = (
    "ssl", "ca-certificates", "alternatives", "default", "hosts", "resolv.conf", "nsswitch.conf", "ld.so.cache",
    "login.defs", "pip.conf",
)  # fmt: skip
"""What a root has of this host's /etc, as far as it is there."""

ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    # A base image has told the linker; this host's Python may look for its library where it was built.
    "LD_LIBRARY_PATH": "/usr/local/lib",
}

CONFIG: Final = """\
[[asset]]
id = "model:beta"
class = "weights"
paths = ["/srv/models/beta"]

[trail]
directory = "/var/lib/guardrail/trail"
timeout_seconds = 60

[limits]
decision_ms = 60000

[service]
socket = "/run/guardrail/agent/decide.sock"
"""

ASK: Final = """\
import json, os
from guardrail.client import decide_over_socket
call = {"tool": "bash", "args": {"command": "cp /srv/models/beta/w /tmp/x"}, "cwd": "/"}
answer = decide_over_socket("/run/guardrail/agent/decide.sock", call, timeout_seconds=30)
def refused(path):
    try:
        open(path, "w")
    except OSError:
        return True
    return False
status = open("/proc/self/status").read()
print(json.dumps({
    "outcome": answer["outcome"], "rule": answer["reasons"][0]["rule"], "user": os.getuid(),
    "capabilities": status.split("CapEff:")[1].split()[0], "bounding": status.split("CapBnd:")[1].split()[0],
    "read-only": all(map(refused, ("/x", "/etc/x", "/opt/guardrail/x", "/tmp/x"))),
    "driver": __import__("psycopg").__version__,
}))
"""
"""What is asked inside: a theft, and what the asker could do."""


def mount(*arguments: str) -> None:
    """One `mount`, which has to work."""
    subprocess.run(["mount", *arguments], check=True, timeout=STEP_SECONDS)


def make_root(root: Path) -> Path:
    """A root for one stage.

    Args:
        root: an empty directory.

    Returns:
        The same.
    """
    mount("-t", "tmpfs", "-o", "mode=0755", "stage", str(root))
    for name in HOST:
        there = Path("/", name)
        if there.is_symlink():
            (root / name).symlink_to(os.readlink(there))
        elif there.is_dir():
            (root / name).mkdir()
            mount("--bind", str(there), str(root / name))
            mount("-o", "remount,bind,ro", str(root / name))
    for name in ("etc", "opt", "root", "tmp", "proc", "dev", "run", "var/lib", "srv/models/beta"):
        (root / name).mkdir(parents=True)
    mount("--bind", sys.base_prefix, str(root / "usr/local"))
    mount("-o", "remount,bind,ro", str(root / "usr/local"))
    mount("--bind", "/dev", str(root / "dev"))
    mount("-t", "proc", "proc", str(root / "proc"))
    for name in ETC:
        there = Path("/etc", name)
        if there.is_dir():
            shutil.copytree(there, root / "etc" / name, symlinks=True)
        elif there.exists():
            shutil.copy(there, root / "etc" / name)
    for name, text in (
        ("passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("group", "root:x:0:\n"),
        ("shadow", ""),
        ("gshadow", ""),
    ):
        (root / "etc" / name).write_text(text)
    certificates = os.environ.get("PIP_CERT", "")
    if certificates and not (root / certificates[1:]).exists():
        (root / certificates[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(certificates, root / certificates[1:])
    return root


def run_stage(root: Path, steps: list[tuple[str, str]], build: Path | None) -> dict[str, str]:
    """Carry out the steps of one stage.

    Args:
        root: made by `make_root`.
        steps: its instructions.
        build: the root of the stage before.

    Returns:
        The environment that its ENV lines leave.
    """
    # Where packages come from is the host's business; a progress bar is nobody's.
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and name != "PIP_FIND_LINKS"}
    environment = {**ENVIRONMENT, **pip, "PIP_QUIET": "1"}
    here = "/"
    for kind, value in steps:
        begin = time.monotonic()
        if kind == "WORKDIR":
            here = value
            (root / here[1:]).mkdir(parents=True, exist_ok=True)
        elif kind == "ENV":
            for word in shlex.split(value):
                name, _, text = word.partition("=")
                environment[name] = text.replace("$PATH", environment["PATH"])
        elif kind == "COPY":
            copy(root, here, value, build)
        elif kind == "RUN":
            command = ["chroot", str(root), "/bin/sh", "-ec", f"cd {here}\n{value}"]
            subprocess.run(command, env=environment, check=True, timeout=STEP_SECONDS, stdin=subprocess.DEVNULL)
            print(f"{time.monotonic() - begin:7.1f} s  RUN {' '.join(value.split())[:90]}")
    return environment


def copy(root: Path, here: str, value: str, build: Path | None) -> None:
    """One COPY, from the checkout or from the stage before."""
    *sources, target = value.split()
    base = ROOT
    if sources[0].startswith("--from=") and build is not None:
        base, sources = build, [source[1:] for source in sources[1:]]
    place = root / os.path.join(here, target)[1:]
    for source in sources:
        there = base / source
        if there.is_dir():
            shutil.copytree(
                there, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.cwasm"), dirs_exist_ok=True
            )
        else:
            into = place / there.name if target.endswith("/") or len(sources) > 1 else place
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there, into)


def start(root: Path, environment: dict[str, str]) -> dict[str, object]:
    """Start the image's entry point as a container would be, ask it, run its health check, and stop it.

    Returns:
        What was found inside.
    """
    user, _, group = last("USER").partition(":")
    (root / "etc/guardrail").mkdir()
    (root / "etc/guardrail/guardrail.toml").write_text(CONFIG)
    for volume in json.loads(last("VOLUME")):
        # Docker gives a volume the owner and mode that the directory has in the image.
        owner = (root / volume[1:]).stat()
        options = f"uid={owner.st_uid},gid={owner.st_gid},mode={owner.st_mode & 0o7777:o}"
        mount("-t", "tmpfs", "-o", options, "volume", str(root / volume[1:]))
    mount("-o", "remount,ro", str(root))
    inside = ["chroot", str(root), "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
              "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]  # fmt: skip
    environment = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
    begin = time.monotonic()
    guard = subprocess.Popen(
        [*inside, *json.loads(last("ENTRYPOINT"))], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if guard.stdout is None or not guard.stdout.readline().startswith("guardrail: ready on unix:"):
            raise SystemExit("image_steps: the entry point did not get ready")
        print(f"{time.monotonic() - begin:7.1f} s  ENTRYPOINT is ready")
        check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
        subprocess.run([*inside, *check], env=environment, check=True, timeout=START_SECONDS)
        answer = subprocess.run(
            [*inside, "/opt/guardrail/bin/python", "-c", ASK],
            env=environment, check=True, timeout=START_SECONDS, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        found: dict[str, object] = json.loads(answer.stdout)
    finally:
        guard.terminate()
        found_code = guard.wait(START_SECONDS)
    if found_code != 0:
        raise SystemExit(f"image_steps: the entry point ended with {found_code} when it was told to stop")
    return found


def size(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files), len(files)


EXPECTED: Final = {
    "outcome": "deny",
    "rule": "copy.unsanctioned",
    "capabilities": "0" * 16,
    "bounding": "0" * 16,
    "read-only": True,
}
"""What has to be found inside."""


def main() -> int:
    """Carry it out; exit code 0 if everything is as it should be."""
    if os.geteuid() != 0:
        print("image_steps: it has to mount, so run it as root", file=sys.stderr)
        return 1
    if "--inside" not in sys.argv:
        # Mounts of a namespace of its own are gone with the last process in it.
        # INVARIANT: only who does not see them removes the directory: what is mounted there is this machine's own.
        with tempfile.TemporaryDirectory(prefix="image-") as scratch:
            namespace = ["unshare", "--mount", "--propagation=private"]
            return subprocess.run([*namespace, sys.executable, __file__, "--inside", scratch], check=False).returncode
    first, second = (Path(sys.argv[-1], name) for name in ("build", "image"))
    for folder in (first, second):
        folder.mkdir()
    build, image = stages()
    run_stage(make_root(first), build, None)
    environment = run_stage(make_root(second), image, first)
    written, files = size(second / "opt/guardrail")
    print(f"{written / MEGABYTE:7.1f} MB in {files} files are added to the base image")
    found = start(second, environment)
    print(json.dumps(found))
    wrong = {name: value for name, value in EXPECTED.items() if found[name] != value}
    if wrong or found["user"] != int(last("USER").partition(":")[0]):
        print(f"image_steps: it should have been {wrong or last('USER')}", file=sys.stderr)
        return 1
    print("not run: the base image, EXPOSE, STOPSIGNAL, and what an engine does with layers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
