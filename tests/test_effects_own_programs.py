"""Sessions of several calls: what a session built or made of nothing of its own runs without a question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guardrail import Guard, Outcome
from tests.corpus_support import World

ALLOWED = {
    "a compiled program": [
        "gcc -Wall -O2 -o hello src/hello.c",
        "./hello",
        "time ./hello > /tmp/o",
        "./hello > out.log",
    ],
    "a pattern of sources": ["gcc -O2 -o app src/*.c -lm", "./app --help"],
    "objects": ["gcc -c src/hello.c -o hello.o", "gcc hello.o -o hello", "./hello"],
    "notes beside": ["echo '# Notes' >> notes.md", "g++ -std=c++20 -o main main.cpp", "./main"],
    "rust": ["rustc -O tools/bench.rs", "./bench"],
    "go": ["go build -o bin/tool ./cmd/tool", "bin/tool --version", "go run ./cmd/tool"],
    "java": ["javac -d out src/Main.java", "java -cp out Main"],
    "a virtual environment": [
        "python3 -m venv .venv",
        ".venv/bin/pip install -q requests",
        ".venv/bin/python -c 'print(1)'",
        ".venv/bin/pytest -q",
        "gcc -o hello src/hello.c",
        "./hello",
    ],
    "a dry run": ["printf 'test:\\n\\tpytest -q\\n' > Makefile", "make -n test"],
}

HELD = {
    "a header of the session": ["echo '#define X 1' > src/hello.h", "gcc -o hello src/hello.c", "./hello"],
    "a source of the session": ["echo 'int main;' > x.c", "gcc -o x x.c", "./x"],
    "a moved directory": ["mv data src/include", "gcc -Isrc/include -o hello src/hello.c", "./hello"],
    "another file in its place": ["gcc -o hello src/hello.c", "cp data/x hello", "./hello"],
    "a program put into an environment": ["python3 -m venv .venv", "cp data/x .venv/bin/pip", ".venv/bin/pip list"],
    "a package of the session": ["echo 'package main' > cmd/tool/x.go", "go run ./cmd/tool"],
    "a manifest of the session": ["echo '[dependencies]' >> Cargo.toml", "cargo run"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A project beside a model."""
    return World(tmp_path_factory.mktemp("own"), "directory")


@pytest.fixture(scope="module")
def guard(world: World) -> Iterator[Guard]:
    """Its guard."""
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as opened:
        yield opened


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_session_built_of_nothing_of_its_own_runs(world: World, guard: Guard, name: str) -> None:
    """It is like a program of the project, in the same call and in later ones."""
    outcomes = [guard.check(world.call(text, f"allowed:{name}")).outcome for text in ALLOWED[name]]
    assert outcomes == [Outcome.ALLOW] * len(outcomes)
    joined = " && ".join(ALLOWED[name])
    assert guard.check(world.call(joined, f"at once:{name}")).outcome is Outcome.ALLOW


@pytest.mark.parametrize("name", HELD)
def test_what_a_session_built_of_its_own_is_held(world: World, guard: Guard, name: str) -> None:
    """Whatever it is called, and whichever program made it."""
    *before, last = HELD[name]
    for text in before:
        guard.check(world.call(text, f"held:{name}"))
    assert guard.check(world.call(last, f"held:{name}")).outcome is Outcome.ESCALATE
    joined = " && ".join(HELD[name])
    assert guard.check(world.call(joined, f"at once:{name}")).outcome is Outcome.ESCALATE
