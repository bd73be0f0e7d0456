"""A server that the operator fixed, attacked by other calls: what it loads, what it is given, and where it is."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guardrail import Decision, Denied, Escalated, Guard, ToolCall
from guardrail.confine import JobError
from guardrail.confine.kernel import Executor, Profile, ProtectedSet
from guardrail.execution import execute
from tests.confine_support import run
from tests.test_run_serving import PROGRAM, World, world

__all__ = ["world"]

LOADED = "print('loaded', flush=True)\nraise SystemExit(0)\n"
"""What an agent would have the server run."""

LENGTH = "import json\nimport sys\nprint(len(open(sys.argv[1], 'rb').read()), flush=True)\n"
"""A reader that ends by itself."""


def tool(world: World, command: str | list[str], cwd: Path, *, session: str = "other") -> tuple[int, bytes]:
    """A call of another session; what it exited with, and what it wrote."""
    heard: list[bytes] = []
    call = ToolCall(tool="bash", args={"command": command}, cwd=str(cwd), session=session)
    with Guard.open(world.root / "guardrail.toml") as guard:
        ended = execute(guard, call, lambda _, chunk: heard.append(chunk)).ended
    return ended.exit_code, b"".join(heard)


@pytest.fixture
def reader(world: World) -> World:
    """A fixed program that says how long its model is, and imports from its own directory."""
    world.script.write_text(LENGTH)
    world.settle()
    return world


@pytest.mark.parametrize(
    "command",
    [
        "printf 'print(1)' > json.py",
        "mkdir json",
        "ln -s ../work/json.py json.py",
        "cp ../work/json.py json.py",
        "mv ../work/json.py .",
        "python3 -c \"open('json.py', 'w').write('print(1)')\"",
        "printf x > serve.py",
        "touch -d 2001-01-01 serve.py",
    ],
)
def test_nobody_puts_code_beside_a_fixed_script(reader: World, command: str) -> None:
    """What it imports lies beside it and is fixed by nobody, so the directory is the guard's own."""
    (reader.root / "work/json.py").write_text(LOADED)
    with pytest.raises(Denied) as denied:
        tool(reader, command, reader.script.parent)
    assert "guard.tampering" in {reason.rule for reason in denied.value.decision.reasons}
    assert tool(reader, reader.words, reader.root / "work") == (0, b"108\n")


def test_code_beside_a_fixed_script_is_held_by_the_kernel_where_no_text_shows_it(reader: World) -> None:
    """A program that nobody can read writes there as little as one that says so."""
    there = reader.script.parent
    hidden = "import os; n = os.sep.join(['..', 'ser' + 've', 'json.py']); open(n, 'w').write('x')"
    (reader.root / "work/tool.py").write_text(hidden)
    settings = reader.root / "guardrail.toml"
    settings.write_text(settings.read_text().replace("[execute]\n", f'[execute]\nconfine_write = ["{there}"]\n'))
    try:
        assert tool(reader, ["/usr/bin/python3", "tool.py"], reader.root / "work")[0] != 0
    except Denied:
        pass  # the text line saw it after all
    assert not (there / "json.py").exists()


def test_another_name_of_a_fixed_script_changes_nothing_of_it(reader: World) -> None:
    """A hard link that was made before is the same file, which no tool writes to."""
    link = reader.root / "work/mine.py"
    os.link(reader.script, link)
    (reader.root / "work/tool.py").write_text("open('mi' + 'ne.py', 'a').write('print(2)')")
    try:
        assert tool(reader, ["/usr/bin/python3", "tool.py"], reader.root / "work")[0] != 0
    except Denied:
        pass  # the text line saw it after all
    assert reader.script.read_text() == LENGTH
    assert tool(reader, reader.words, reader.root / "work") == (0, b"108\n")


def test_a_script_that_is_edited_between_the_decision_and_the_start_does_not_start(reader: World) -> None:
    """Policy was told of another content, and what was fixed is looked at again."""
    call = ToolCall(tool="bash", args={"command": reader.words}, cwd=str(reader.root / "work"))

    def edit(_: Decision) -> None:
        reader.script.write_text(LOADED)

    with Guard.open(reader.root / "guardrail.toml") as guard, pytest.raises(JobError, match="is not what it was"):
        execute(guard, call, lambda *_: None, told=edit)


def test_a_script_and_a_directory_of_sockets_behind_a_link_are_not_fixed(reader: World) -> None:
    """Whoever may write where the link lies turns it to what they like, after it was looked at."""
    (reader.root / "link").symlink_to(reader.script.parent)
    settings = reader.root / "guardrail.toml"
    text = settings.read_text()
    settings.write_text(text.replace(f"{reader.script}", f"{reader.root}/link/serve.py"))
    asked = [PROGRAM, f"{reader.root}/link/serve.py", *reader.words[2:]]
    with pytest.raises(JobError, match="is a link, or lies behind one"):
        tool(reader, asked, reader.root / "work")
    settings.write_text(text.replace("bind = ", f'sockets = ["{reader.root}/link"]\nbind = '))
    with pytest.raises(JobError, match="is a link, or lies behind one"):
        tool(reader, reader.words, reader.root / "work")


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "HOME"])
def test_no_variable_of_a_call_has_a_fixed_program_load_anything(reader: World, name: str) -> None:
    """Asked for or not, it is not passed on."""
    (reader.root / "work/json.py").write_text(LOADED)
    args = {"command": reader.words, "env": {name: str(reader.root / "work")}}
    heard: list[bytes] = []
    call = ToolCall(tool="bash", args=args, cwd=str(reader.root / "work"))
    with Guard.open(reader.root / "guardrail.toml") as guard:
        try:
            execute(guard, call, lambda _, chunk: heard.append(chunk))
        except (Denied, Escalated):
            return
    assert b"".join(heard) == b"108\n"


ACCOMPLICE = """
import os, signal, socket
found = []
for pid in filter(str.isdecimal, os.listdir('/proc')):
    try: line = open(f'/proc/{pid}/cmdline', 'rb').read()
    except OSError: continue
    if b'ser' + b've.py' in line and b'_boot' not in line and int(pid) != os.getpid(): found.append(int(pid))
print(len(found) > 0)
for pid in found:
    for what in ('mem', 'environ', 'maps', 'root', 'cwd', 'exe', 'stack', 'syscall', 'fd/0', 'fd/1', 'fd/3'):
        for look in (os.readlink, lambda name: open(name, 'rb').read(64), lambda name: os.listdir(name)):
            try:
                if look(f'/proc/{pid}/{what}'): print('OPEN', what)
            except OSError: pass
    for number in (signal.SIGQUIT, signal.SIGUSR1, signal.SIGSTOP, signal.SIGKILL, 0):
        try: os.kill(pid, number); print('OPEN kill', number)
        except OSError: pass
    for call in (lambda: os.setpriority(os.PRIO_PROCESS, pid, 19), lambda: os.sched_setaffinity(pid, {0})):
        try: call(); print('OPEN', call)
        except OSError: pass
try: socket.create_connection(('127.0.0.1', PORT), 2); print('OPEN connect')
except OSError: pass
"""


def test_no_other_call_gets_at_a_server_that_runs(world: World) -> None:
    """Neither its memory nor its descriptors, nor by a signal, a turn or a connection that nobody gave it."""
    said: list[str] = []

    def attack() -> None:
        script = world.root / "work/look.py"
        script.write_text(ACCOMPLICE.replace("PORT", str(world.port)))
        work = str(world.root / "work")
        try:
            # Whatever policy would say of it: here the kernel alone is asked.
            profile = Profile(read=("/usr", "/etc", "/proc"), write=(work,))
            nothing = ProtectedSet(roots={}, identities={})
            with Executor(nothing) as executor, executor.open(profile) as session:
                said.append(run(session, ["/usr/bin/python3", "-S", str(script)], work)[0])
        finally:
            world._ask()  # pyright: ignore[reportPrivateUsage] - it ends when it has answered

    heard: list[bytes] = []
    asking: list[threading.Thread] = []

    def ready(_: object, chunk: bytes) -> None:
        heard.append(chunk)
        if b"ready" in chunk and not asking:
            asking.append(threading.Thread(target=attack))
            asking[0].start()

    world.answers = []
    call = ToolCall(tool="bash", args={"command": world.words}, cwd=str(world.root / "work"), session="s")
    with Guard.open(world.root / "guardrail.toml") as guard:
        ended = execute(guard, call, ready).ended
    for one in asking:
        one.join(60)
    assert said == ["True\n"], "it saw that there is one, and nothing else"
    assert (ended.exit_code, world.answers) == (0, [b"[7.0, 14.0]"])


def test_a_fixed_server_keeps_nothing_where_an_agent_reads(world: World) -> None:
    """Not in shared memory, temporary files, a log, its sockets' directory, a queue or a segment."""
    (world.root / "sockets").mkdir()
    world.script.write_text(
        "import ctypes, os, sys\ndata = open(sys.argv[1], 'rb').read()\n"
        f"for place in ('/dev/shm', '/tmp', '/var/tmp', '/run', '{world.root}/work', '{world.root}/sockets', '.'):\n"
        "    try: open(place + '/kept', 'wb').write(data); print('OPEN', place)\n    except OSError: pass\n"
        "    try: os.mkdir(place + '/kept'); print('OPEN', place)\n    except OSError: pass\n"
        "libc = ctypes.CDLL(None)\n"
        "if libc.shmget(0x77, 4096, 0o1666) >= 0 or libc.msgget(0x77, 0o1666) >= 0: print('OPEN segment')\n"
        "print(len(data))\n"
    )
    world.settle()
    settings = world.root / "guardrail.toml"
    settings.write_text(settings.read_text().replace("bind = ", f'sockets = ["{world.root}/sockets"]\nbind = '))
    try:
        assert tool(world, world.words, world.root / "work") == (0, b"108\n")
    except Denied:
        pass  # what its text shows is more than serving
    assert not list(world.root.glob("*/kept"))


def test_no_reader_writes_to_the_input_that_it_was_given(world: World) -> None:
    """Who starts a guard with a file or a socket for both lets the tool read it, and nothing else."""
    model = world.root / "models/m.safetensors"
    out = world.root / "work/out"
    out.write_bytes(b"given")
    here, there = socket.socketpair()
    here.sendall(b"given")
    here.shutdown(socket.SHUT_WR)
    with open(out, "r+b") as file, here, there:
        assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        for stdin in (file, there):
            for code, said in ((f"cat {model} >&0", ""), ("cat", "given")):
                done = subprocess.run(
                    [sys.executable, "-m", "guardrail", "run", "--config", str(world.root / "guardrail.toml"), "--",
                     "/bin/bash", "-c", code],
                    cwd=world.root / "work", stdin=stdin, capture_output=True, text=True, timeout=60, check=False,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )  # fmt: skip
                assert done.stdout == said or stdin is there, done.stderr
        here.settimeout(20)
        there.close()
        assert here.recv(100) == b"", "nothing came back"
    assert out.read_bytes() == b"given"
