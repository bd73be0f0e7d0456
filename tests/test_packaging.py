"""What is built, what is installed, and what it is pinned to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SHIPPED_FOLDERS = {
    "guardrail": "guardrail",
    "adapters/guardrail_adapters": "guardrail_adapters",
    "adapters/opencode": "guardrail/_opencode",
    "policies": "guardrail/_policies",
    "examples": "guardrail/_examples/examples",
}
"""Folder of the checkout -> where it is in the wheel."""

BUILD_SECONDS = 120
"""Longest that one build may take, in seconds."""


def _build(target: str, folder: Path) -> Path:
    """Build one target into a folder, and return the archive."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return _build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of this checkout."""
    return _build("sdist", tmp_path_factory.mktemp("sdist"))


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_code_adapters_policies_and_demonstration(wheel: Path) -> None:
    """Both packages, their data, and inside the package the policies, source and compiled, and the demonstration."""
    names = _names(wheel)
    for name in ("guardrail/py.typed", "guardrail/guard.py", "guardrail_adapters/langgraph.py"):
        stem = name.removesuffix(".py")
        assert name in names or f"{stem}/__init__.py" in names, name
    assert any(re.fullmatch(r"guardrail/_policies/.*\.rego", name) for name in names)
    assert "guardrail/_policies/build/policy.wasm" in names
    assert "guardrail/_examples/examples/peer_preservation/demo.py" in names


def test_the_wheel_holds_every_data_file_of_the_packages(wheel: Path) -> None:
    """Whatever lies in the packages, policies and examples, and is not bytecode or native code, is shipped."""
    names = _names(wheel)
    missing = []
    for folder, target in SHIPPED_FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            dead = path.suffix in {".pyc", ".cwasm"} or path.name.startswith(".") or "__pycache__" in path.parts
            if path.is_file() and not dead:
                name = f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
                missing += [name] if name not in names else []
    assert missing == []


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    """No tests, no caches, no native code, and no import package with a name that others may want."""
    names = _names(wheel)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"guardrail", "guardrail_adapters"}
    assert [name for name in names if name.endswith((".cwasm", ".pyc")) or "__pycache__" in name] == []


def test_the_wheel_declares_its_command_and_licence(wheel: Path) -> None:
    """`guardrail` is the command, Apache-2.0 the licence, and its text travels along."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        points = archive.read(files["entry_points.txt"]).decode()
        metadata = archive.read(files["METADATA"]).decode()
        assert archive.read(files["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
    assert "guardrail = guardrail.cli:main" in points
    assert "License-Expression: Apache-2.0" in metadata


def test_the_code_in_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere it imports, answers, and finds the policies that it carries."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import pathlib, guardrail, guardrail.config, guardrail.policy as p; "
        "engine = p.open_engine(guardrail.config.Config()); "
        "print(pathlib.Path(guardrail.__file__).parent.parent, engine.revision); engine.close()"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    where, revision = answer.stdout.split()
    assert Path(where) == tmp_path / "site"
    assert revision


def test_an_editable_install_copies_nothing(tmp_path: Path) -> None:
    """The checkout stays the only copy of code and policies; a second one would go stale unseen."""
    code = "import sys, hatchling.build as b; print(b.build_editable(sys.argv[1]))"
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    with zipfile.ZipFile(tmp_path / answer.stdout.split()[-1]) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        (link,) = files
        lines = archive.read(link).decode().split()
    assert {Path(line) for line in lines} == {ROOT, ROOT / "adapters"}


def test_the_source_archive_can_be_built_tested_and_demonstrated(sdist: Path) -> None:
    """It holds tests, policies, pins and the Makefile, and none of what a build leaves behind."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Makefile", "LICENSE", "README.md", "tests/test_packaging.py", "requirements/test.txt", ".ci/run"):
        assert name in names, name
    assert any(name.startswith("policies/") and name.endswith(".rego") for name in names)
    assert [name for name in names if name.startswith((".venv", ".tools", ".demo")) or name.endswith(".cwasm")] == []


# ── pins ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(requirement: str) -> str:
    return _canonical(re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0])


@cache
def _pins(name: str) -> dict[str, str]:
    """Package -> version, of one file in requirements/."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {_canonical(package): version for package, version in found}


PIN_FILES = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


OWN_PINS = {
    "bench", "control-arena", "control-arena-core", "frameworks", "frameworks-lowest", "fuzz", "kube", "lowest", "mcp",
    "mcp-lowest", "mlflow", "newest", "sbom", "test",
}  # fmt: skip
"""Files for environments of their own, and the superset itself."""

HEAVY = {"control-arena": "control-arena", **dict.fromkeys(("inspect", "openai-agents", "pydantic-ai"), "frameworks")}
"""Extras that are no part of `all`, because each brings more than the guard does; and the file that has its pins."""


@pytest.mark.parametrize("name", PIN_FILES)
def test_every_pin_is_exact_and_hashed(name: str) -> None:
    """Each entry is one version with its hashes, and nothing says where to get it."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    pinned = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+(?: *;[^#]*?)?(?: +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line[:60] for line in lines if not pinned.fullmatch(line)] == []
    # The lock of the servers from npm, which another tool writes, has no address of anybody either.
    locks = [
        *sorted((ROOT / "requirements").glob("*/package-lock.json")),
        ROOT / "adapters/typescript/package-lock.json",
    ]
    assert locks
    assert [lock.parent.name for lock in locks if "://" in lock.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", [name for name in PIN_FILES if name not in OWN_PINS])
def test_pins_agree_so_that_one_set_installs_over_another(name: str) -> None:
    """`make demo` and `make test` share one environment, in either order; what differs on purpose has its own."""
    superset = _pins("test")
    assert {package: version for package, version in _pins(name).items() if superset.get(package) != version} == {}


def test_every_dependency_is_pinned() -> None:
    """What pyproject.toml asks for, in any extra, has its pin; a new dependency means `make pins`."""
    extras = PROJECT["optional-dependencies"]
    core = {_package(line) for line in PROJECT["dependencies"]}
    # `all` asks for this project itself, with its other extras.
    optional = {_package(line) for extra in extras.values() for line in extra} - {_canonical(PROJECT["name"])}
    assert sorted(core - set(_pins("core"))) == []
    heavy = {_package(line): pins for name, pins in HEAVY.items() for line in extras[name]}
    assert sorted((core | optional) - set(heavy) - set(_pins("runtime"))) == []
    assert [name for name, pins in heavy.items() if name not in _pins(pins)] == []


@pytest.mark.parametrize(
    ("extra", "lowest"),
    [
        ("langgraph", "lowest"),
        ("langchain", "lowest"),
        ("deepagents", "lowest"),
        ("openai-agents", "frameworks-lowest"),
        ("pydantic-ai", "frameworks-lowest"),
        ("inspect", "frameworks-lowest"),
    ],
)
def test_the_lowest_version_that_an_extra_allows_is_one_that_is_tested(extra: str, lowest: str) -> None:
    """`make adapters` runs on these pins, so a bound is no guess."""
    bounds = [line.partition(">=") for line in PROJECT["optional-dependencies"][extra]]
    assert bounds
    pins = _pins(lowest)
    for package, _, bound in bounds:
        assert pins[_canonical(package)] == bound.partition(",")[0]


def test_what_is_installed_beside_the_frameworks_is_of_the_whole_controlarena() -> None:
    """The part that CI has and the whole that `make adapters` has are the same versions, and nothing stands twice."""
    part, whole = _pins("control-arena-core"), _pins("control-arena")
    assert {package: version for package, version in part.items() if whole[package] != version} == {}
    assert set(part) & set(_pins("frameworks")) == set()


def test_the_core_pins_hold_no_framework() -> None:
    """Whoever installs the library alone gets no web server and no agent framework."""
    frameworks = {
        "fastapi",
        "langchain",
        "langchain-core",
        "langgraph",
        "mcp",
        "opentelemetry-sdk",
        "starlette",
        "uvicorn",
    }
    assert sorted(frameworks & set(_pins("core"))) == []


def test_extras_are_named_like_the_adapters_they_serve() -> None:
    """`all` takes in every other extra but the heavy ones."""
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    inside = re.search(r"\[(.*)\]", everything)
    assert inside is not None
    assert set(inside.group(1).split(",")) == set(extras) - set(HEAVY) - {"all"}
    modules = {path.stem for path in (ROOT / "adapters" / "guardrail_adapters").glob("[a-z]*.py")}
    assert {"langgraph", "langchain", *HEAVY} <= {name.replace("_", "-") for name in modules} & set(extras)


def test_the_versions_agree() -> None:
    """pyproject.toml, the package and the newest entry of the changelog name one version."""
    (version,) = re.findall(
        r'^__version__ = "(.+)"$', (ROOT / "guardrail/__init__.py").read_text("utf-8"), re.MULTILINE
    )
    headings = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert version == PROJECT["version"]
    assert version == headings[0]
