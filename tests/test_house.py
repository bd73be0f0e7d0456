"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SKIPPED_FOLDERS = {
    ".git",
    ".venv",
    ".venv-bench",
    ".venv-mcp",
    ".venv-fuzz",
    ".tools",
    ".demo",
    ".bench",
    "build",
    "dist",
}
"""What a checkout has and a repository has not; used where there is no git to ask."""

IMPORT_STAYS_CLEAR_OF = (
    "aiohttp", "anthropic", "asyncio", "cryptography", "deepagents", "fastapi", "guardrail_adapters", "httpx",
    "langchain", "langchain_core", "langgraph", "mcp", "numpy", "opa_client", "openai", "opentelemetry.sdk", "psycopg",
    "pydantic", "requests", "sqlite3", "starlette", "structlog", "tree_sitter", "uvicorn", "wasmtime", "yaml",
)  # fmt: skip
"""Modules that `import guardrail` must not load: a harness hook starts a process for each tool call."""


@cache
def _tracked() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository."""
    if (ROOT / ".git").exists():
        answer = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        if answer.returncode == 0:
            names = [name.decode() for name in answer.stdout.split(b"\0") if name]
            return tuple(path for name in names if (path := ROOT / name).is_file())
    return tuple(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts)
        and not any(part.endswith(("_cache", "__pycache__", ".egg-info")) for part in path.parts)
    )


def _sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


# ── what files may say ────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of the machine that installs them."""
    hosts = [b".".join(parts) for parts in (
        (b"pypi", b"org"), (b"pythonhosted", b"org"), (b"registry", b"npmjs"), (b"npmjs", b"com"),
        (b"proxy", b"golang"), (b"crates", b"io"), (b"ghcr", b"io"),
    )]  # fmt: skip
    hits = [(path.relative_to(ROOT).as_posix(), host) for path in _tracked() for host in hosts
            if host in path.read_bytes()]  # fmt: skip
    assert hits == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    """A path of one machine in a tracked file, binaries included, breaks on every other."""
    here = {ROOT, Path(sys.base_prefix), Path.home() / ".cache"} - {Path("/usr"), Path("/usr/local")}
    hits = [
        (path.relative_to(ROOT).as_posix(), str(place))
        for path in _tracked()
        for place in here
        if str(place).encode() in path.read_bytes()
    ]
    assert hits == []


def test_documents_link_only_to_files_that_exist() -> None:
    """A relative link in a Markdown file leads somewhere."""
    dead = []
    for page in [path for path in _tracked() if path.suffix == ".md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            elsewhere = "://" in target or target.startswith("mailto:")
            if not elsewhere and not (page.parent / target).exists():
                dead.append((page.relative_to(ROOT).as_posix(), target))
    assert dead == []


def test_the_make_targets_that_documents_name_exist() -> None:
    """Whoever types what a page says gets what the page promised."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (page.name, word)
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
        for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named, "no page says how to run anything"
    assert sorted((page, word) for page, word in named if word not in targets) == []


# ── what code may do ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", _sources("guardrail", "adapters"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shipped_modules_keep_the_manners(path: Path) -> None:
    """A docstring first, postponed annotations, and no `assert`, which `python -O` would remove."""
    tree = _parsed(path)
    assert ast.get_docstring(tree), "a module opens by saying what it is for"
    if any(isinstance(node, ast.AnnAssign | ast.FunctionDef | ast.ClassDef) for node in tree.body):
        assert "from __future__ import annotations" in path.read_text(encoding="utf-8")
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert asserts == [], "a check that matters is an `if` and a raise"
    assert path.stem not in {"utils", "util", "helpers", "misc"}, "a module is named for what it does"


@pytest.mark.parametrize("path", _sources("adapters"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_adapters_use_only_public_names(path: Path) -> None:
    """An adapter that reaches into a stage would have to be changed with it."""
    reached = []
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "guardrail":
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            ours = [alias.name for alias in node.names if alias.name.startswith("guardrail.")]
            names = [part for name in ours for part in name.split(".")]
        else:
            continue
        reached += [name for name in names if name.startswith("_")]
    assert reached == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """One docstring line for each test, so that the names and lines of a file read as a specification."""
    silent = [
        node.name
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_test_sleeps() -> None:
    """A wait is bounded and for something; a sleep is neither."""
    sleepers = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                # `asyncio.sleep(0)` waits for nothing: it lets the other tasks run.
                zero = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
                if owner == "time" or (owner == "asyncio" and not zero):
                    sleepers.append((path.name, node.lineno))
    assert sleepers == []


def test_settings_that_a_test_writes_for_a_guard_say_how_long_a_decision_may_take() -> None:
    """By default it is two seconds, after which a call is denied; a busy machine may stand still for longer."""
    hasty = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        texts = [
            node.value
            for node in ast.walk(_parsed(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        writes = any("[[asset]]\n" in text or "[trail]\n" in text for text in texts)
        opens = "Guard.open(" in path.read_text(encoding="utf-8")
        if writes and opens and not any("decision_ms" in text for text in texts):
            hasty.append(path.name)
    assert hasty == []


def test_settings_that_a_test_writes_for_a_trail_say_how_long_its_disk_may_take() -> None:
    """By default it is two seconds, after which calls are denied; the disk of a busy machine may stand still longer."""
    hasty = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        nodes = list(ast.walk(_parsed(path)))
        inner = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            if node not in inner and re.search(r"\[trail\]\n\s*directory", text) and "timeout_seconds" not in text:
                hasty.append((path.name, node.lineno))
    assert hasty == []


# ── the front door ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_importing_guardrail_loads_nothing_heavy() -> None:
    """The import budget is kept by what is not imported."""
    answer = _run(sys.executable, "-c", "import guardrail, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert answer.returncode == 0, answer.stderr
    loaded = set(json.loads(answer.stdout))
    assert sorted(loaded & set(IMPORT_STAYS_CLEAR_OF)) == []


def test_public_names_exist_and_are_documented() -> None:
    """Every name in `__all__` is there, explains itself, and stands in the README or under docs/."""
    guardrail = importlib.import_module("guardrail")
    pages = "\n".join(
        page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    )
    assert len(guardrail.__all__) == len(set(guardrail.__all__))
    for name in guardrail.__all__:
        value = getattr(guardrail, name)
        if callable(value):
            assert value.__doc__, f"`guardrail.{name}` has no docstring"
        assert re.search(rf"\b{re.escape(name)}\b", pages), f"`guardrail.{name}` is on no page"


def _verbs() -> list[str]:
    """The verbs of the command line: one module each."""
    return sorted(
        path.stem.replace("_", "-") for path in (ROOT / "guardrail" / "cli").glob("*.py")
        if not path.stem.startswith("_")
    )  # fmt: skip


@pytest.mark.parametrize("verb", _verbs())
def test_every_verb_explains_itself(verb: str) -> None:
    """`guardrail VERB --help` answers, quickly enough to be asked, and says more than its own name."""
    answer = _run(sys.executable, "-m", "guardrail", verb, "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("usage: guardrail")
    assert len(answer.stdout.split()) > 10


def test_the_command_line_lists_every_verb() -> None:
    """What can be done is found without reading the source."""
    answer = _run(sys.executable, "-m", "guardrail", "--help")
    assert answer.returncode == 0, answer.stderr
    assert [verb for verb in _verbs() if not re.search(rf"^ +{verb}\b", answer.stdout, re.MULTILINE)] == []


def test_a_wrong_verb_is_a_usage_error() -> None:
    """Exit code 2 means that nothing was judged."""
    answer = _run(sys.executable, "-m", "guardrail", "no-such-verb")
    assert answer.returncode == 2
    assert "no-such-verb" in answer.stderr


def test_imports_run_against_the_flow() -> None:
    """The layers, the core's ignorance of frameworks and the adapters' of each other, as import-linter sees them."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "adapters")))
    answer = _run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache", PYTHONPATH=paths)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_licence_is_the_verbatim_text() -> None:
    """Apache-2.0, unchanged, as the metadata says."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License\n                           Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text
