"""Trial runs: a tool works on a copy, and what it changed there is judged, and made, as a call of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from guardrail import Denied, Guard, Outcome, ToolCall
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.confine import Job, JobError, run_job
from guardrail.confine.kernel import Bounds, ConfineError, KernelConfinement
from guardrail.trial import Trial, host_problem, on_trial
from tests.confine_support import AS_ROOT, DROP, HERE, ORDINARY, PYTHON, arena

EDITS = """
echo new > new; printf '\\0\\377' > bytes; echo more >> kept; echo longer > replaced
rm gone; mv moved there; rm -r tree; mkdir tree; echo other > tree/inner
mkdir -p deep/er; echo x > deep/er/x; chmod 700 deep; rm -r bare; ln -s kept link; ln -sfn new turned
chmod 755 kept; touch -d 2001-02-03 dated; rm was_file; mkdir was_file; echo y > 'was_file/a b'
rmdir was_tree; echo z > was_tree
"""
"""Everything that a tool does to files, but for what is told apart below."""


@pytest.fixture(scope="module")
def host() -> None:
    """Skip where this host lets nobody run anything on trial."""
    if (problem := host_problem()) is not None:
        pytest.skip(problem)


@pytest.fixture
def world(tmp_path: Path, host: None) -> Path:
    """A workspace with a bit of everything, a configuration that is protected in it, and a model beside it."""
    work = tmp_path / "work"
    for name in ("models", "work/tree/sub", "work/bare/inner", "work/was_tree"):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "kept",
        "replaced",
        "gone",
        "moved",
        "tree/old",
        "tree/sub/older",
        "bare/inner/x",
        "dated",
        "was_file",
    ):
        (work / name).write_text(f"{name}\n")
    os.symlink("kept", work / "turned")
    (work / "site.yaml").write_text("shutdown_enabled: true\n")
    (work / "edit.py").write_text("import sys\nopen(sys.stdin.readline().strip(), 'w').write('edited\\n')\n")
    (tmp_path / "models/w").write_text("weights")
    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["models"]\n'
        '[[asset]]\nid = "control:c"\nclass = "control"\npaths = ["work/site.yaml"]\n'
        f'[trail]\ntimeout_seconds = 60\ndirectory = "{tmp_path}/trail"\n[limits]\ndecision_ms = 60000\n'
        "[execute]\nseconds = 30\nconfine_connect = [1, 9]\n"
    )
    return tmp_path


@contextlib.contextmanager
def tried(
    world: Path, *words: str, mode: str = "default", said: list[bytes] | None = None, stdin: str = ""
) -> Iterator[Trial]:
    """A command on trial, by a guard of its own."""
    call = ToolCall(tool="bash", args={"command": list(words)}, cwd=str(world / "work"))
    output = [] if said is None else said
    reader, writer = os.pipe()
    os.write(writer, stdin.encode())
    os.close(writer)
    try:
        with (
            Guard.open(world / "guardrail.toml") as guard,
            on_trial(guard, call, lambda _, data: output.append(data), mode=mode, stdin=reader) as trial,  # type: ignore[arg-type]
        ):
            yield trial
    finally:
        os.close(reader)


def tree(top: Path) -> dict[str, object]:
    """All that a directory holds, but for times that are those of the writing."""
    found: dict[str, object] = {}
    for at, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = Path(at, name)
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            old = int(status.st_mtime) if status.st_mtime < 1_500_000_000 else 0
            found[str(path.relative_to(top))] = (kind, 0 if path.is_symlink() else status.st_mode, content, old)
    return found


def test_a_trial_changes_nothing_and_its_commit_does_what_a_run_would_have_done(world: Path) -> None:
    """The same script, once on trial and committed, and once in another copy without anything of ours."""
    twin = world / "twin"
    shutil.copytree(world / "work", twin, symlinks=True)
    subprocess.run(["/bin/sh", "-c", EDITS], cwd=twin, check=True)
    before = tree(world / "work")
    said: list[bytes] = []
    with tried(world, "/bin/sh", "-c", f"{EDITS}cat kept tree/inner", said=said) as trial:
        assert trial.execution.ended.exit_code == 0
        assert b"".join(said) == b"kept\nmore\nother\n", "the tool sees what it has done"
        assert (tree(world / "work"), trial.tried.problem) == (before, None)
        assert trial.commit().outcome is Outcome.ALLOW
    assert tree(world / "work") == tree(twin) != before
    records = [record for _, record in read_records(world / "trail")]
    assert [record["kind"] for record in records][-4:] == ["intent", "result", "intent", "result"]
    assert records[-3]["facts"]["trial_changes"] == len(trial.tried.changes)


def test_what_nobody_ordered_of_an_asset_is_not_committed(world: Path) -> None:
    """A program that nobody can read edits a configuration, held by `floor` alone, which lets it: policy does not."""
    with tried(world, PYTHON, "-S", "edit.py", mode="floor", stdin="site.yaml\n") as trial:
        assert [(one.op, one.path) for one in trial.tried.changes] == [("write", "site.yaml")]
        with pytest.raises(Denied) as caught:
            trial.commit()
    assert caught.value.decision.assets == ("control:c",)
    assert (world / "work/site.yaml").read_text() == "shutdown_enabled: true\n"
    with tried(world, PYTHON, "-S", "edit.py", stdin="site.yaml\n") as trial:
        assert (trial.execution.ended.exit_code, trial.tried.changes) == (1, ()), "in `default` not even on trial"


@pytest.mark.parametrize(("script", "why"), [
    ("mkfifo pipe", "neither a file nor a directory"),
    ("ln kept twice", "more than one name"),
    ("echo x >> two", "more than one name"),
    ("PYTHON -S -c \"import os; os.setxattr('kept', 'user.x', b'1')\"", "extended attributes"),
    ("cp kept other; chmod u+s other", "as another user"),
    ("PYTHON -S -c \"for i in range(1001): open('n%d' % i, 'w')\"", "more than 1000 things"),
    (f"mkdir -p {'d/' * 66}", "deeper than 64"),
])  # fmt: skip
def test_what_could_not_be_done_again_is_said_and_can_only_be_dropped(world: Path, script: str, why: str) -> None:
    """Special files, several names, attributes, changes without end: nothing of such a trial is committed."""
    os.link(world / "work/gone", world / "work/two")
    before = tree(world / "work")
    # The one of the system: what `PATH` of whoever runs the tests calls so may lie where no tool can read it.
    with tried(world, "/bin/sh", "-c", script.replace("PYTHON", PYTHON)) as trial:
        assert trial.tried.problem is not None
        assert why in trial.tried.problem
        with pytest.raises(JobError, match="can only be dropped"):
            trial.commit()
    assert tree(world / "work") == before


@pytest.mark.parametrize("meanwhile", ["echo else > kept", "echo else > new", "rm kept", "ln -sfn /etc deep"])
def test_what_has_changed_in_the_meantime_is_not_overwritten(world: Path, meanwhile: str) -> None:
    """Somebody else edits, adds, removes, or puts a link in the way: nothing is changed, and it says where."""
    (world / "work/deep").mkdir()
    with tried(world, "/bin/sh", "-c", "echo a > new; echo b >> kept; echo c > deep/passwd") as trial:
        subprocess.run(["/bin/sh", "-c", f"rmdir deep; {meanwhile}"], cwd=world / "work", check=True)
        before = tree(world / "work")
        with pytest.raises(JobError, match="not as it was when it was tried"):
            trial.commit()
    assert tree(world / "work") == before


def test_what_a_trial_cannot_take_back_it_does_not_let_happen(world: Path) -> None:
    """No network; no writing into its input; no other name of an asset, which a copy would hide; nothing beside."""
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    said: list[bytes] = []
    with tried(world, PYTHON, "-S", "-c", connect, said=said) as trial:
        assert trial.execution.ended.exit_code == 1
    assert b"PermissionError" in b"".join(said)
    kept = (world / "work/kept").read_bytes()
    with Guard.open(world / "guardrail.toml") as guard, open(world / "work/kept", "r+b") as both:
        words = ["/bin/sh", "-c", "cat; echo more >&0"]
        call = ToolCall(tool="bash", args={"command": words}, cwd=str(world / "work"))
        said.clear()
        with on_trial(guard, call, lambda _, data: said.append(data), stdin=both.fileno()) as trial:
            assert trial.execution.ended.exit_code not in (0, None)
    assert b"".join(said).startswith(kept)
    assert (world / "work/kept").read_bytes() == kept
    os.link(world / "models/w", world / "work/alias")
    with pytest.raises(JobError, match="has another name, which is not known on trial"), tried(world, "/bin/true"):
        pass


def test_a_host_that_lets_nobody_make_namespaces_starts_nothing_on_trial(tmp_path: Path) -> None:
    """A restricted pod: one sentence says what it lacks."""
    launcher = (sys.executable, str(HERE / "confine_lacking.py"), "pod")
    with KernelConfinement([], Bounds(write=(str(tmp_path),)), launcher=launcher, trial=True) as held:
        said: list[bytes] = []
        job = held.confine(Job(argv=("/bin/touch", "ran"), cwd=str(tmp_path)), ())
        ended = run_job(job, lambda _, data: said.append(data))
        assert ended.exit_code == 126
        with pytest.raises(
            ConfineError, match="a trial run needs CAP_SYS_ADMIN, or leave to make a namespace of users"
        ):
            held.seen()
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not AS_ROOT, reason="every other test is run by an ordinary user then")
def test_an_ordinary_user_tries_in_a_namespace_of_users(host: None) -> None:
    """Without any capability; what others own there can be read, and a change of it fails; a name that is no text is
    no change that anybody could judge.
    """
    with (
        arena() as made,
        KernelConfinement([], Bounds(write=(made.ws,)), launcher=(*DROP, PYTHON), trial=True) as held,
    ):
        theirs = Path(made.ws, "theirs")
        theirs.write_text("root's\n")
        theirs.chmod(0o666)
        before = tree(Path(made.ws))
        script = "cat theirs; echo x >> theirs; echo own > own; : > $(printf 'z\\377')"
        job = held.confine(Job(argv=("/bin/sh", "-c", script), cwd=made.ws), ())
        for at, directories, files in os.walk(held._place):
            for name in (".", *directories, *files):
                os.chown(os.path.join(at, name), ORDINARY, ORDINARY)
        said: list[bytes] = []
        ended = run_job(job, lambda _, data: said.append(data))
        account = held.account()
        assert tree(Path(made.ws)) == before
    assert b"root's" in b"".join(said)
    assert (ended.exit_code, account.refused) == (0, None)
    assert account.tried is not None
    assert [(one.op, one.path) for one in account.tried.changes] == [("write", "own"), ("cannot", "z\udcff")]
    assert "no text" in str(account.tried.problem)


def test_the_command_line_shows_a_trial_and_commits_what_was_asked_for(
    world: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped where no terminal says yes, and where the command failed; what policy denies has its exit code."""
    monkeypatch.chdir(world / "work")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)  # nothing is passed on

    def run(how: str, script: str, *options: str) -> tuple[int, str]:
        words = ["run", "--config", str(world / "guardrail.toml"), how, *options, "--", "/bin/sh", "-c", script]
        return main(words), capfd.readouterr().err

    code, said = run("--trial=drop", "echo x > new")
    assert (code, "dropped: nothing was changed" in said, f"write  {world}/work/new (2 bytes)" in said) == (
        0,
        True,
        True,
    )
    assert run("--trial=commit", "echo x > new; exit 3")[0] == 3
    assert not (world / "work/new").exists()
    code, said = run("--trial=commit", "echo x > new")
    assert (code, "guardrail: committed" in said, (world / "work/new").read_text()) == (0, True, "x\n")
    code, said = run("--trial=commit", "echo y > new", "--json")
    document = msgspec.json.decode(said)
    assert (document["trial"]["fate"], document["trial"]["decision"]["outcome"]) == ("commit", "allow")
    code, said = run(
        "--trial=commit", f"echo site.yaml > which; {PYTHON} -S edit.py < which", "--json", "--confine", "floor"
    )
    document = msgspec.json.decode(said)
    assert (code, document["trial"]["fate"], document["trial"]["decision"]["outcome"]) == (3, "blocked", "deny")
    code, said = run("--trial", "true", "--confine", "bwrap")
    assert (code, "not `bwrap`" in said) == (2, True)
