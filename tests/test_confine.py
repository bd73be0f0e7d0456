"""The kernel line for real: tools of an ordinary user, confined by this kernel, and what is left when it fails."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from guardrail.confine.kernel import Confined, ConfineError, Executor, Profile
from scripts.confine_flood import flood
from tests.confine_matrix import profile
from tests.confine_support import CONTROL, HERE, LAUNCHER, PYTHON, SYSTEM, WEIGHTS, Arena, arena, lacking, run, victim

BASH = "/bin/bash"

NAP = f"98712.{os.getpid():07}"
"""How long tools sleep that somebody has to end, with a digit more each: no other run of the tests looks for them."""


@pytest.fixture
def made() -> Iterator[Arena]:
    with arena() as here:
        yield here


@pytest.fixture
def executor(made: Arena) -> Iterator[Executor]:
    with Executor(made.protected(), launcher=LAUNCHER) as here:
        yield here


@pytest.fixture
def session(executor: Executor, made: Arena) -> Iterator[Confined]:
    with executor.open(profile(made, "default")) as here:
        yield here


def running(words: str) -> list[int]:
    """Processes whose command line has these words."""
    found: list[int] = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if words.encode() in line.replace(b"\0", b" "):
            found.append(int(name))
    return found


def until(what: str, wait: float = 30.0) -> None:
    """Wait for no process to have these words any more; bounded."""
    deadline = time.monotonic() + wait
    while running(what):
        assert time.monotonic() < deadline, f"`{what}` is still running"
        os.sched_yield()


def test_effects_are_told_in_the_words_of_the_text_line(session: Confined, made: Arena) -> None:
    """An op, a resource with path, device and inode, and the asset that it is part of."""
    inode = os.stat(made.conf).st_ino
    said, ended = run(session, [BASH, "-c", "rm conf/shutdown.yaml; touch -d 2001-01-01 x; cp x y; ls"], made.ws)
    assert "x\ny" in said
    assert ended.exit_code == 0
    removed = next(one for one in ended.observed if one.op == "delete")
    assert (removed.outcome, removed.asset, removed.why) == ("deny", CONTROL, "asset")
    assert (removed.resources[0].real, removed.resources[0].ino) == (made.conf, inode)
    dated = next(one for one in ended.observed if one.op == "set_times")
    assert (dated.outcome, dated.detail["mtime"], dated.detail["backdated"]) == ("observe", 978307200, True)


def test_ordinary_work_is_not_disturbed(session: Confined, made: Arena) -> None:
    """Git, tar, sed, FIFOs, temporary files, the tool's own umask, and a program that is not there."""
    script = """set -e
    git init -q g; cd g; echo x > f; git add f; git -c user.email=a@b -c user.name=n commit -qm m
    git log --oneline | wc -l
    cd ..; tar cf t.tar g; mkdir u; tar xf t.tar -C u; sed -i s/x/y/ u/g/f; cat u/g/f
    mkfifo p; (echo through > p) & cat p; umask 077; echo z > secret; stat -c %a secret
    """
    said, ended = run(session, [BASH, "-c", script], made.ws)
    assert said.split() == ["1", "y", "through", "600"]
    assert ended.exit_code == 0
    with pytest.raises(ConfineError, match="cannot start `/nowhere`"):
        run(session, ["/nowhere"], made.ws)
    _, ended = run(session, [BASH, "-c", "kill -TERM $$"], made.ws)
    assert ended.exit_code == 128 + signal.SIGTERM


def test_a_read_that_landlock_denies_is_told_where_it_names_the_file(session: Confined, made: Arena) -> None:
    """From the root, from the working directory, through a link, and through a link of /proc."""
    script = f"""
    ln -s {made.weights} link; cp {made.weights} a; cp link b; cp ../srv/models/peer/weights.bin c
    cp /proc/self/root{made.weights} d; ls {made.models}; echo new > e; cat e conf/shutdown.yaml
    """
    said, ended = run(session, [BASH, "-c", script], made.ws)
    assert said.endswith("new\nshutdown: enabled\n")
    assert not [name for name in "abcd" if os.path.exists(f"{made.ws}/{name}")]
    reads = [one for one in ended.observed if one.op == "read"]
    assert {(one.asset, one.outcome, one.why) for one in reads} == {(WEIGHTS, "deny", "asset")}
    assert [one.resources[0].real for one in reads] == [made.weights] * 4 + [made.models]


def test_the_read_that_was_granted_is_told_and_goes_on(executor: Executor, made: Arena) -> None:
    """The kernel carries it out; what is not the asset is no word's worth."""
    with executor.open(Profile(read=(*SYSTEM, made.models), reads=(WEIGHTS,), strict_on_aliases=False)) as session:
        said, ended = run(session, ["/usr/bin/sha256sum", made.weights], made.ws)
    assert made.weights in said
    assert [(one.op, one.asset, one.outcome, one.why) for one in ended.observed] == [
        ("read", WEIGHTS, "observe", "granted")
    ]


def test_a_umask_that_is_set_later_applies_to_the_next_file(session: Confined, made: Arena) -> None:
    """Of threads, which share it, and of children, which take it with them and set their own."""
    code = """
import os, threading
def mode(name):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o666)); print(oct(os.stat(name).st_mode & 0o777), flush=True)
mode('a'); os.umask(0o077); mode('b')
thread = threading.Thread(target=os.umask, args=(0o007,)); thread.start(); thread.join(); mode('c')
if not os.fork(): mode('d'); os.umask(0); mode('e'); os._exit(0)
os.wait(); mode('f')
"""
    said, _ = run(session, [PYTHON, "-S", "-c", code], made.ws)
    assert said.split() == ["0o644", "0o600", "0o660", "0o660", "0o666", "0o660"]


def test_a_tool_schedules_what_it_started_and_nobody_else(session: Confined, made: Arena) -> None:
    """Its threads and children, also those of children; a process outside is refused, and that is told."""
    code = """
import os, subprocess, threading
child = subprocess.Popen(['/bin/sh', '-c', 'sleep 60 & echo $!; wait'], stdout=subprocess.PIPE, text=True)
for one in (0, os.getpid(), threading.get_native_id(), child.pid, int(child.stdout.readline())):
    os.setpriority(os.PRIO_PROCESS, one, 19); os.sched_setaffinity(one, os.sched_getaffinity(one))
os.killpg(0, 0); print('inside'); child.kill()
other = int(os.environ['VICTIM'])
for what in (lambda: os.sched_setaffinity(other, [0]), lambda: os.setpriority(os.PRIO_PROCESS, other, 19)):
    try: what(); print('outside')
    except PermissionError: pass
"""
    with victim(made, "scheduled") as environment:
        said, ended = run(session, [PYTHON, "-S", "-c", code], made.ws, environment)
    assert said == "inside\n"
    assert [(one.op, one.syscall) for one in ended.observed] == [
        ("signal", "sched_setaffinity"),
        ("signal", "setpriority"),
    ]


def test_what_may_be_read_may_be_watched(session: Confined, made: Arena) -> None:
    """The watch is the tool's own, and works; of weights, and of the directory that they lie in, there is none."""
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True); fd = libc.inotify_init()
own = libc.inotify_add_watch(fd, b'.', 0x100); again = libc.inotify_add_watch(fd, b'conf', 0x100)
open('new', 'w').close(); print(own, again, b'new' in os.read(fd, 4096))
for name in ({made.weights!r}, {os.path.dirname(made.models)!r}, '/root', 'nowhere'):
    print(libc.inotify_add_watch(fd, name.encode(), 0x20), ctypes.get_errno())
"""
    said, ended = run(session, [PYTHON, "-S", "-c", code], made.ws)
    assert said.split("\n")[:-1] == ["1 2 True", "-1 13", "-1 13", "-1 13", "-1 2"]
    assert [(one.op, one.why) for one in ended.observed] == [
        ("read", "asset"),
        ("read", "outside"),
        ("read", "outside"),
    ]


def test_no_socket_takes_a_protected_name(session: Confined, made: Arena) -> None:
    """One of a pair is bound to it by a call that has nothing to do with files; the pair itself is there to be used."""
    code = f"""
import os, socket
os.mkdir('later'); one, other = socket.socketpair(); one.send(b'on'); print(other.recv(2))
try: one.bind({made.later!r}); print('bound')
except PermissionError: print('held')
"""
    assert run(session, [PYTHON, "-S", "-c", code], made.ws)[0] == "b'on'\nheld\n"


def test_another_name_of_an_asset_turns_a_session_strict(executor: Executor, made: Arena) -> None:
    """The hard link in the workspace was made before the start; who asks for default gets what holds it."""
    with executor.open(Profile(read=SYSTEM, write=(made.ws,))) as aliased:
        assert aliased.report.mode == "strict"
        assert made.weights in aliased.report.aliases
        _, ended = run(aliased, ["/bin/cp", "pre_link", "stolen"], made.ws)
    assert [one.asset for one in ended.observed if one.op == "read"] == [WEIGHTS]
    assert not os.path.exists(f"{made.ws}/stolen")


def test_a_rule_on_another_name_of_an_asset_is_refused(executor: Executor, made: Arena) -> None:
    """A rule on a file follows what the file is, so it would open the asset."""
    given = Profile(read=(*SYSTEM, f"{made.ws}/pre_link"), write=())
    with executor.open(given) as refused, pytest.raises(ConfineError, match="another name of it"):
        run(refused, ["/bin/true"], made.ws)


@pytest.mark.parametrize(("what", "says", "left"), [
    ("landlock", "landlock", "default"), ("listener", "seccomp-listener", "floor"),
])  # fmt: skip
def test_a_kernel_that_lacks_something_is_refused_where_all_is_required(
    what: str, says: str, left: str, made: Arena
) -> None:
    """The report names it; with best effort the rest is held, and nothing claims more."""
    protected, given = made.protected(), profile(made, "default")
    with Executor(protected, launcher=lacking(what)) as host:
        assert says in host.report("default").lacking
        with pytest.raises(ConfineError, match=f"it lacks {says}"):
            host.open(given)
    with Executor(protected, launcher=lacking(what), required=False) as host, host.open(given) as less:
        assert says in less.report.lacking
        assert not less.report.is_whole
        assert less.report.mode == (left if what == "listener" else host.report("default").mode)
        _, ended = run(less, ["/bin/rm", made.weights], made.ws)
    assert ended.exit_code != 0
    assert os.path.exists(made.weights)


def test_a_host_that_can_hold_nothing_starts_nothing(made: Arena) -> None:
    """Not even with best effort: a tool that nobody holds is not a confined one."""
    with Executor(made.protected(), launcher=lacking("landlock,listener"), required=False) as host:
        assert host.report("default").mode == "off"
        with pytest.raises(ConfineError, match="can hold nothing"):
            host.open(profile(made, "default"))


def test_a_supervisor_that_is_killed_takes_its_tool_with_it(session: Confined, made: Arena) -> None:
    """What it held is denied, what it started is ended, and nobody claims to know how it ended."""
    supervisor: list[int] = []

    def kill(tool: int) -> None:
        with open(f"/proc/{tool}/stat") as file:
            supervisor.append(int(file.read().rpartition(")")[2].split()[1]))
        os.kill(supervisor[0], signal.SIGKILL)

    script = f"while :; do rm -f {made.conf} {made.weights}; done & setsid sleep {NAP}3 & sleep {NAP}4"
    with pytest.raises(ConfineError, match="its supervisor died") as caught:
        run(session, [BASH, "-c", script], made.ws, started=kill)
    assert caught.value.started
    until(NAP)
    assert os.path.exists(made.weights)
    assert os.path.exists(made.conf)


def test_an_executor_that_is_killed_takes_everything_with_it(executor: Executor, made: Arena) -> None:
    """The first process too: its workers see that it is gone, and end what they started."""
    with executor.open(profile(made, "default")) as here, pytest.raises(ConfineError):
        run(here, ["/bin/sleep", f"{NAP}5"], made.ws, started=lambda _: os.kill(executor.pid, signal.SIGKILL))
    until(f"{NAP}5")


def test_whatever_a_tool_leaves_behind_is_ended_with_it(session: Confined, made: Arena) -> None:
    """However it forked itself away."""
    # A child of the tool's parent, in a session of its own, to whom the orphans below it fall.
    away = (
        "import ctypes, os; c = ctypes.CDLL(None)\n"
        "if not c.syscall(56, 0x8000 | 17, 0, 0, 0, 0):\n"
        f"    c.prctl(36, 1, 0, 0, 0); os.setsid(); os.fork() or os.execv('/bin/sleep', ['sleep', '{NAP}0'])\n"
        f"    os.execv('/bin/sleep', ['sleep', '{NAP}1'])"
    )
    script = f'(setsid sleep {NAP}6 &) ; nohup sleep {NAP}7 >/dev/null 2>&1 & {PYTHON} -S -c "{away}"; exit 5'
    _, ended = run(session, [BASH, "-c", script], made.ws)
    assert (ended.exit_code, ended.survivors) == (5, 0)
    assert ended.strays >= 1
    assert not running(NAP)


def test_a_fork_bomb_ends_with_its_tool(executor: Executor, made: Arena) -> None:
    """It is held still before it is ended, and cannot outrun that."""
    bomb = f"import os,time\nfor _ in range(6): os.fork()\nopen('x%d'%os.getpid(),'w')\ntime.sleep({NAP}8)"
    with executor.open(profile(made, "default")) as here:
        script = f'{PYTHON} -S -c "{bomb}" & while [ $(ls | wc -l) -lt 20 ]; do :; done; exit 0'
        _, ended = run(here, [BASH, "-c", script], made.ws)
        assert ended.survivors == 0
        assert ended.strays >= 18
        until(f"{NAP}8")
        assert run(here, ["/bin/echo", "still"], made.ws)[0] == "still\n"


def test_a_tool_that_is_not_wanted_ends_at_once(session: Confined, made: Arena) -> None:
    """Whoever waits for it says so by a descriptor."""
    read, write = os.pipe()
    _, ended = run(session, ["/bin/sleep", f"{NAP}9"], made.ws, stop=read, started=lambda _: os.close(write))
    os.close(read)
    assert (ended.why, ended.exit_code) == ("stopped", 128 + signal.SIGKILL)


def test_a_flood_of_denied_calls_is_counted_and_nothing_leaks(session: Confined, made: Arena) -> None:
    """Ten thousand, each of them failing in another way; `scripts/confine_flood.py` does a hundred thousand."""
    ended = flood(session, made, 10_000)
    assert ended.exit_code == 0
    assert ended.traps >= 10_000
    assert ended.events == 7_500
    assert ended.untold == ended.events - len(ended.observed)
    assert len(ended.observed) == 3
    assert run(session, [BASH, "-c", "echo x > after; cat after"], made.ws)[0] == "x\n"


def test_a_session_like_one_that_is_over_is_held_by_the_same_supervisor_and_no_other_is(made: Arena) -> None:
    """Another profile, another directory at the same path, and what waited for somebody have one of their own."""
    os.mkdir(f"{made.ws}/sub")
    plain = replace(profile(made, "default"), write=(f"{made.ws}/sub",))

    def supervisors(asked: Profile, code: str = "") -> set[int]:
        """Those of ten sessions, one after another; a worker is free a moment after its session is over."""
        found: set[int] = set()
        for _ in range(10):
            with executor.open(asked) as session:
                said, ended = run(session, [BASH, "-c", f"{code} echo $PPID"], made.ws)
                assert ended.exit_code == 0
                found.add(int(said))
        return found

    with Executor(made.protected(), launcher=LAUNCHER) as executor:
        first = supervisors(plain)
        assert len(first) < 10
        assert not first & supervisors(replace(plain, write=()))
        before = supervisors(plain)
        os.rename(f"{made.ws}/sub", f"{made.ws}/was")
        os.mkdir(f"{made.ws}/sub")
        assert not before & supervisors(plain)
        fifo = f"{made.ws}/sub/f"
        os.mkfifo(fifo, 0o666)
        os.chmod(fifo, 0o666)
        assert len(supervisors(plain, f"(: > {fifo}) & : < {fifo};")) == 10


def test_a_supervisor_without_a_descriptor_left_denies(made: Arena) -> None:
    """Calls that wait hold all that it may have: what comes then fails, and is let through again when they are gone."""
    few = (*LAUNCHER[:-1], "/bin/sh", "-c", 'ulimit -n 32; exec "$0" "$@"', LAUNCHER[-1])
    code = f"""
import os, threading
os.mkfifo('f'); made = []
def wait():
    try: os.close(os.open('f', os.O_WRONLY))
    except OSError: pass
threads = [threading.Thread(target=wait) for _ in range(60)]
for thread in threads: thread.start()
while True:
    try: os.close(os.open('w', os.O_CREAT | os.O_WRONLY))
    except OSError as error: made.append(error.errno); break
for what in (lambda: os.unlink({made.conf!r}), lambda: os.rename({made.weights!r}, 'x')):
    try: what(); made.append('done')
    except OSError as error: made.append(error.errno)
while any(thread.is_alive() for thread in threads): os.close(os.open('f', os.O_RDONLY | os.O_NONBLOCK))
for _ in range(10_000):
    try: os.close(os.open('w', os.O_CREAT | os.O_WRONLY)); print(made); break
    except OSError: pass
"""
    with Executor(made.protected(), launcher=few) as executor, executor.open(profile(made, "default")) as session:
        said, ended = run(session, [PYTHON, "-S", "-c", code], made.ws)
    first, *others = json.loads(said)
    # A call that needs one descriptor less than an open is judged, and denied for what it is.
    assert (first, set(others) - {errno.EMFILE, errno.EACCES}) == (errno.EMFILE, set())
    assert ended.exit_code == 0


def test_calls_that_wait_do_not_keep_the_others(session: Confined, made: Arena) -> None:
    """More FIFOs without a reader than may wait at a time: the rest is told to try again, and work goes on."""
    code = """
import os, threading, errno
os.mkfifo('f'); errors = []
def wait():
    try: os.open('f', os.O_WRONLY)
    except OSError as error: errors.append(error.errno)
threads = [threading.Thread(target=wait, daemon=True) for _ in range(80)]
for thread in threads: thread.start()
while len(errors) < 16: pass
open('w', 'w').write('on'); print(open('w').read(), set(errors) == {errno.EAGAIN}, flush=True); os._exit(0)
"""
    said, ended = run(session, [PYTHON, "-S", "-c", code], made.ws)
    assert said == "on True\n"
    assert ended.exit_code == 0


def test_the_executor_holds_nothing_but_the_standard_library(executor: Executor) -> None:
    """Its memory is one step from the tool's domain, and a busy interpreter would slow every trapped call."""
    assert executor.host["listener"] == "ok"
    boot = HERE.parent / "guardrail/confine/execd/_boot.py"
    code = (
        "import runpy, sys\n"
        f"space = runpy.run_path({str(boot)!r})\n"
        "for what in ('executor', 'once', 'watch'):\n"
        "    try: space['main'](what)\n    except TypeError: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    said = subprocess.run(
        [PYTHON, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(eval(said.stdout)) <= {"guardrail", "__main__", "sitecustomize"}
