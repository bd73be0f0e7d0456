"""A script of the session's that the same call writes over: bash itself says which text runs, and the guard must agree.

Each form runs for real beside the guard's answer. Where the old text does run, or may where rights are others than the
test's, the call is held; where only the new one can, it passes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Decision, Guard, Outcome
from tests.corpus_support import World

OLD = "import sys\nexec(sys.stdin.read())\n"
"""What the session wrote before: it says whether it runs, as that is what it is given."""

PUT = "cat > f.py <<'EOF'\nprint('new')\nEOF\n"

ALLOWED = {
    "a line after": f"{PUT}python3 f.py",
    "a here document and &&": "cat > f.py <<'EOF' && python3 f.py\nprint('new')\nEOF",
    "set -e": f"set -e\n{PUT}python3 f.py",
    "echo and &&": "echo \"print('new')\" > f.py && python3 f.py",
    "echo and a semicolon": "echo \"print('new')\" > f.py; python3 f.py",
    "removed before": f"rm -f f.py && {PUT}python3 f.py",
    "whatever becomes of it": "echo \"print('new')\" > f.py || true; python3 f.py",
    "in spite of noclobber": "set -o noclobber; echo \"print('new')\" >| f.py && python3 f.py",
    "made executable afterwards": f"{PUT}chmod +x f.py && python3 f.py",
    "only asked for a limit": f"ulimit -n; {PUT}python3 f.py",
}

HELD = {
    "nothing is written": "python3 f.py",
    "noclobber": f"set -o noclobber\n{PUT}python3 f.py",
    "noclobber by its letter": "set -C; echo \"print('new')\" > f.py; python3 f.py",
    "an input that is not there": "echo \"print('new')\" < missing > f.py; python3 f.py",
    "a descriptor that is not open": "echo \"print('new')\" 2>&7 > f.py; python3 f.py",
    "a directory that cannot be entered": "(cd missing && echo \"print('new')\" > f.py); python3 f.py",
    "cd that fails before a semicolon": "cd missing; cd ..; echo \"print('new')\" > f.py; cd project; python3 f.py",
    "no room for files": "(ulimit -n 3; echo \"print('new')\" > f.py); python3 f.py",
    "a condition": "test -e missing && echo \"print('new')\" > f.py; python3 f.py",
    "the other side of ||": "true || echo \"print('new')\" > f.py; python3 f.py",
    "either side of ||": "true || echo \"print('new')\" > f.py && python3 f.py",
    "another name": "echo \"print('new')\" > g.py && python3 f.py",
    "more of it": "echo \"print('new')\" >> f.py && python3 f.py",
    "brought back": "cp f.py g.py; echo \"print('new')\" > f.py && mv g.py f.py && python3 f.py",
    "a link in its place": "cp f.py g.py; rm f.py; ln -s g.py f.py; python3 f.py",
    "a program that does not start": "missing-program > g.py && mv g.py f.py; python3 f.py",
    "a function that nobody calls": "w() { echo \"print('new')\" > f.py; }; python3 f.py",
    "an error of its own shell": "(set -e; false; echo \"print('new')\" > f.py); python3 f.py",
}

REFUSED = {
    "rights taken before": "chmod 444 f.py; echo \"print('new')\" > f.py; python3 f.py",
    "rights of its directory": f"chmod 000 .; {PUT}chmod 755 .; python3 f.py",
    "another user": "sudo -u nobody sh -c \"echo 'print(1)' > f.py\"; python3 f.py",
    "a shell that hides the failure": "sh -c \"echo 'print(1)' > f.py; true\" && python3 f.py",
    "a program nobody looked into": f"./unknown; {PUT}python3 f.py",
    "limits of this very shell": f"prlimit --nofile=3 --pid $$; {PUT}python3 f.py",
}
"""What fails for others than root, or is not installed everywhere: held, without being tried."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A project beside a model."""
    return World(tmp_path_factory.mktemp("replaced"), "directory")


@pytest.fixture(scope="module")
def guard(world: World) -> Iterator[Guard]:
    """Its guard."""
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as opened:
        yield opened


def judged(world: World, guard: Guard, name: str, command: str) -> Decision:
    """The decision on a call of a session that wrote the risky script in the call before, which did run."""
    for left in ("f.py", "g.py"):
        (world.project / left).unlink(missing_ok=True)
    guard.check(world.call(f"cat > f.py <<'EOF'\n{OLD}EOF", name))
    (world.project / "f.py").write_text(OLD)
    return guard.check(world.call(command, name))


def ran(world: World, command: str) -> str:
    """What the call really prints; the old text would say `old`."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=world.project, input=b"print('old')", capture_output=True, timeout=60, check=False
    )
    return done.stdout.decode()


@pytest.mark.parametrize("name", ALLOWED)
def test_a_text_that_is_written_over_for_certain_is_not_judged(world: World, guard: Guard, name: str) -> None:
    """Only the new one runs, and it passes."""
    decision = judged(world, guard, name, ALLOWED[name])
    assert decision.outcome is Outcome.ALLOW
    assert ran(world, ALLOWED[name]).split()[-1:] == ["new"]


@pytest.mark.parametrize("name", HELD)
def test_a_text_that_may_still_be_there_is_judged(world: World, guard: Guard, name: str) -> None:
    """The write may not have been done, or something brought the old text back."""
    assert judged(world, guard, name, HELD[name]).outcome is not Outcome.ALLOW


@pytest.mark.parametrize("name", REFUSED)
def test_a_write_that_rights_or_limits_may_forbid_is_not_relied_on(world: World, guard: Guard, name: str) -> None:
    """Whoever runs the tests."""
    assert judged(world, guard, name, REFUSED[name]).outcome is not Outcome.ALLOW


def test_bash_runs_the_old_text_where_a_write_fails(world: World, guard: Guard) -> None:
    """The forms that are held are held for a reason: for most of them bash shows it here."""
    shown = set()
    for name, command in HELD.items():
        judged(world, guard, f"shown:{name}", command)
        if "old" in ran(world, command):
            shown.add(name)
    assert len(shown) >= 12, sorted(set(HELD) - shown)


def test_a_file_that_cannot_be_written_keeps_its_text(world: World, guard: Guard) -> None:
    """One that is not to be written by its mode, or a directory with a program in it: the reason names the old text."""
    target = world.project / "f.py"
    for number, put in enumerate((ALLOWED["a line after"], ALLOWED["echo and a semicolon"])):
        judged(world, guard, f"mode:{number}", "true")
        target.chmod(0o444)
        decision = guard.check(world.call(put, f"mode:{number}"))
        assert decision.outcome is not Outcome.ALLOW
        told = [str(effect.attrs.get("reason")) for effect in decision.effects]
        assert any("holds now: writing over it may fail" in one for one in told)
        # Where the shell goes on only if the write was done, the old text cannot run.
        needed = guard.check(world.call(ALLOWED["echo and &&"], f"mode:{number}"))
        assert needed.outcome is Outcome.ALLOW
    target.unlink()
    target.mkdir()
    (target / "__main__.py").write_text(OLD)
    assert guard.check(world.call(ALLOWED["a line after"], "mode:0")).outcome is not Outcome.ALLOW
    assert "old" in ran(world, ALLOWED["a line after"])
    shutil.rmtree(target)  # an interpreter may have kept its bytecode there


def test_a_file_of_another_user_is_not_relied_on(tmp_path: Path) -> None:
    """The guard's own rights are not the agent's."""
    from guardrail.assets import LiveFiles

    mine = tmp_path / "f"
    mine.write_text("x")
    assert LiveFiles().writable(str(mine))
    assert not LiveFiles().writable(str(tmp_path))
    assert not LiveFiles().writable(str(tmp_path / "missing"))
    if os.geteuid() == 0:
        os.chown(mine, 12345, 12345)
        assert not LiveFiles().writable(str(mine))
