"""Whether a decision costs more late in a long session: all programs that may run or read what the session wrote.

    python -m benchmarks.growth [--calls 1,100,1000,10000] [--shapes flat,each,deep] [--rounds N] [--over R] [--json]

The files that a session wrote are there, as data of a project and of one kind of source, in directories of three
shapes; each program is judged again and again in between. Prints those that cost more than `--over` times as much at
the end as at the beginning, or all of them. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from guardrail import Guard, ToolCall

CALLS = (1, 100, 1_000, 10_000)
"""Calls of a session after which its decisions are measured."""

MOST_FILES = 9_900
"""Files that a session writes at most: nearly as many as are remembered of one."""

SHAPES = ("flat", "hundred", "each", "deep")
"""How files lie: in one directory, in a hundred, each in its own, and in a chain of directories."""

DEPTH = 12
"""Directories above a file of a deep tree."""

SETTLED_SECONDS = 3.5
"""How long directories are left alone before it is measured: what they hold is kept from then on."""

ROUNDS = 21
"""Decisions of each program."""

PROGRAMS = (
    "cp data.json copy.json",
    "ls",
    "cat data.json",
    "grep -r TODO .",
    "find . -name '*.py'",
    "tar czf /tmp/out.tgz .",
    "sed -i s/a/b/ data.json",
    "rm data.json",
    "mv data.json other.json",
    "git status",
    "git add -A",
    "git commit -m done",
    "git diff",
    "git checkout -b next",
    "python x.py",
    "python -m x",
    "python -c 'import x'",
    "python x.py data.json",
    "python -m pytest -q",
    "pytest -q",
    "tox",
    "nox",
    "invoke test",
    "pre-commit run -a",
    "ruff check .",
    "mypy .",
    "flake8",
    "pylint x",
    "pip install .",
    "pip install -e .",
    "uv run pytest",
    "uv sync",
    "poetry install",
    "gunicorn app:app",
    "flask run",
    "torchrun x.py",
    "jupyter nbconvert --execute x.ipynb",
    "npm test",
    "npm run build",
    "npm install",
    "npx jest",
    "npx tsc",
    "npx webpack",
    "npx eslint .",
    "node x.js",
    "node --test",
    "node -r ts-node/register x.js",
    "tsx x.ts",
    "deno test",
    "bun test",
    "make -j4 all",
    "make",
    "cmake --build build",
    "cmake .",
    "ctest",
    "meson compile",
    "ninja",
    "gcc x.c -o x",
    "g++ -I. x.cpp",
    "cargo test",
    "cargo build",
    "rustc x.rs",
    "go test ./...",
    "go build ./...",
    "go generate ./...",
    "go run x.go",
    "javac X.java",
    "java X.java",
    "gradle build",
    "./gradlew build",
    "mvn package",
    "dotnet build",
    "swift build",
    "bazel build //...",
    "just",
    "task",
    "rake",
    "ruby x.rb",
    "ruby -I lib x.rb",
    "perl x.pl",
    "php x.php",
    "Rscript x.R",
    "julia --project=. x.jl",
    "lua x.lua",
    "bash x.sh",
    "./x.sh",
    "source x.sh",
    "docker build .",
    "docker compose up",
    "kubectl apply -f k.yaml",
    "terraform apply",
    "ansible-playbook play.yml",
    "dbt run",
    "snakemake",
    "mpirun ./x",
    "sqlite3 x.db 'select 1'",
    "curl https://example.com/x",
    "echo done > note.txt",
)
"""What is judged: whatever asks which files are the session's, and common commands beside it."""


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", default=",".join(map(str, CALLS)), help="lengths of a session")
    options.add_argument("--shapes", default=",".join(SHAPES), help="how its files lie")
    options.add_argument("--endings", default="json", help="what its files are, of each shape")
    options.add_argument("--programs", default="", help="only those with one of these texts in them, by commas")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="decisions of each program")
    options.add_argument("--over", type=float, default=0, help="print only what grows more than so many times")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    lengths = [int(text) for text in args.calls.split(",")]
    wanted = [one for one in PROGRAMS if any(text in one for text in args.programs.split(","))]
    rows: list[dict[str, Any]] = []
    for shape in args.shapes.split(","):
        for ending in args.endings.split(","):
            rows += measure(shape, ending, lengths, wanted, args.rounds)
    print(json.dumps(rows, indent=1) if args.json else table(rows, args.over))
    return 0


def measure(
    shape: str, ending: str, lengths: list[int], programs: list[str] | tuple[str, ...], rounds: int
) -> list[dict[str, Any]]:
    """One row for each program: its median after each length of one session, in microseconds."""
    rows = [{"shape": f"{shape} .{ending}", "call": program, "p50_us": {}, "worst_us": {}} for program in programs]
    with tempfile.TemporaryDirectory(prefix="guardrail-growth-", dir="/var/tmp") as scratch:
        root = Path(scratch)
        (root / "models").mkdir()
        (root / "models/a.safetensors").write_bytes(b"\0" * 4096)
        here = root / "work"
        here.mkdir()
        for name, text in (("x.py", "print('x')\n"), ("data.json", "{}\n")):
            (here / name).write_text(text)
        (root / "guardrail.toml").write_text(
            f'[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["{root}/models"]\n'
            f'[trail]\ndirectory = "{root}/trail"\n'
        )
        with Guard.open(root / "guardrail.toml") as guard:
            done = 0
            for length in lengths:
                for number in range(done, length):
                    _write(guard, here, here / place(shape, number % MOST_FILES, ending))
                done = length
                time.sleep(SETTLED_SECONDS)
                for row in rows:
                    call = ToolCall(tool="bash", args={"command": row["call"]}, cwd=str(here))
                    times = sorted(_time(guard, call) for _ in range(rounds))
                    row["p50_us"][length] = times[len(times) // 2] / 1000
                    row["worst_us"][length] = times[-2] / 1000
                    row["outcome"] = guard.check(call).outcome.value
    return rows


def place(shape: str, number: int, ending: str) -> str:
    """Where one file of a session lies."""
    name = f"n{number}.{ending}"
    if shape == "flat":
        return f"made/{name}"
    if shape == "hundred":
        return f"made/{number % 100}/{name}"
    if shape == "each":
        return f"made/{number // 100}/d{number}/{name}"
    # A chain of directories below each of a few: a hundred files in the last of each.
    chain = "/".join(f"l{level}" for level in range(DEPTH))
    return f"made/{number // 100}/{chain}/{name}"


def _write(guard: Guard, here: Path, made: Path) -> None:
    command = f"mkdir -p {made.parent}; cp data.json {made}"
    guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(here)))
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text("{}\n")


def _time(guard: Guard, call: ToolCall) -> int:
    start = time.perf_counter_ns()
    guard.check(call)
    return time.perf_counter_ns() - start


def table(rows: list[dict[str, Any]], over: float) -> str:
    """Rows for people; of those that grow, if a ratio is given."""
    lines = [f"{'files':<14} {'call':<38} {'outcome':<9}" + "".join(f"{n:>9}" for n in rows[0]["p50_us"]) + "    ratio"]
    for row in rows:
        times = list(row["p50_us"].values())
        ratio = times[-1] / min(times[:-1] or times)
        if ratio >= over:
            cells = "".join(f"{one:>9.0f}" for one in times)
            lines.append(f"{row['shape']:<14} {row['call']:<38} {row['outcome']:<9}{cells} {ratio:>8.2f}")
    lines.append("p50 us after so many calls of the session; ratio: the last over the least before it")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
