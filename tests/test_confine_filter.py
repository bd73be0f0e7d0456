"""The filter, its numbers and what is judged, without a kernel: every rule is looked at in the program itself."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from guardrail.confine.execd import _landlock as landlock
from guardrail.confine.execd import _seccomp as seccomp
from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._bpf import ALLOW, KILL_PROCESS, NOTIFY, Look, Rule, assemble, errno_of
from guardrail.confine.execd._judge import Found, Verdict, judge
from guardrail.confine.execd._orders import Profile, ProtectedSet

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
EPERM, EACCES, ENOSYS = (errno_of(number) for number in (errno.EPERM, errno.EACCES, errno.ENOSYS))
DEFAULT = seccomp.FilterPlan(notify=True, shield=(100, 101, 102, 103, 104), groups=(99,))


def answer(code: bytes, number: int, *args: int, audit: int = calls.MACHINES["x86_64"].audit) -> int:
    """What a program answers to a call: the part of classic BPF that ours use, as the kernel runs it."""
    words = [arg & 0xFFFFFFFFFFFFFFFF for arg in (*args, *[0] * (6 - len(args)))]
    data = struct.pack("=iIQ6Q", number, audit, 0, *words)
    at, held = 0, 0
    while True:
        op, yes, no, k = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        match op:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, k)
            case 0x54:
                held &= k
            case 0x05:
                at += k
            case 0x15:
                at += yes if held == k else no
            case 0x35:
                at += yes if held >= k else no
            case 0x45:
                at += yes if held & k else no
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"no instruction of ours: {op:#x}")


def of(name: str, *args: int, plan: seccomp.FilterPlan = DEFAULT) -> int:
    return answer(seccomp.program(plan, calls.machine("x86_64")), calls.machine("x86_64").numbers[name], *args)


def test_another_architecture_is_killed_and_another_abi_is_not_there() -> None:
    """32-bit entries and x32 numbers are other names of the calls that the rules know."""
    code = seccomp.program(DEFAULT, calls.machine("x86_64"))
    assert answer(code, 5, audit=0x40000003) == KILL_PROCESS
    assert answer(code, calls.X32_BIT | 257) == ENOSYS
    assert answer(code, calls.NEWEST + 1) == ENOSYS
    assert answer(code, 0) == ALLOW


@pytest.mark.parametrize("name", ["openat", "open"])
def test_opens_are_sent_by_their_flags(name: str) -> None:
    """Reading is seen in strict, and where there is something to tell of; every flag that can change something is."""
    where = {"openat": 2, "open": 1}[name]
    args = lambda flags: (*[0] * where, flags)  # noqa: E731 - one place among the arguments
    strict = seccomp.FilterPlan(notify=True, every_open=True)
    assert of(name, *args(os.O_RDONLY)) == ALLOW
    assert of(name, *args(os.O_RDONLY), plan=strict) == NOTIFY
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE | os.O_WRONLY):
        assert of(name, *args(flags)) == NOTIFY


def test_reads_are_told_where_a_name_starts_from_the_root_or_from_here() -> None:
    """What walks a tree opens from a directory, and is let be; a descriptor that gives no data tells nothing."""
    told = seccomp.FilterPlan(notify=True, named_reads=True)
    assert of("openat", -100, 0, os.O_RDONLY, plan=told) == NOTIFY
    assert of("open", 0, os.O_RDONLY, plan=told) == NOTIFY
    assert of("openat", 3, 0, os.O_RDONLY, plan=told) == ALLOW
    assert of("openat", 3, 0, os.O_RDWR, plan=told) == NOTIFY
    assert of("openat", -100, 0, os.O_PATH, plan=told) == ALLOW
    assert of("openat", -100, 0, os.O_RDONLY) == ALLOW


def test_a_umask_is_seen_unless_a_tool_is_started_with_it() -> None:
    """The supervisor remembers whose is what; what is called between vfork and exec may not wait for it."""
    assert of("umask", 0o022) == NOTIFY
    assert of("umask", 0o022 | seccomp.OWN_UMASK) == ALLOW
    assert of("umask", 0o022, plan=seccomp.FilterPlan(notify=False)) == ALLOW


def test_whose_turn_it_is_is_for_the_supervisor_to_tell() -> None:
    """Oneself is scheduled freely; of another process nobody but the supervisor can say whether it is inside."""
    first, second = calls.SCHEDULE, tuple(calls.RANK_PROCESSES)
    assert {of(name, 0) for name in first} | {of(name, 0, 0) for name in second} == {ALLOW}
    assert {of(name, 4242) for name in first} | {of(name, 0, 4242) for name in second} == {NOTIFY}
    assert {of(name, 4242, plan=seccomp.FilterPlan(notify=False)) for name in first} == {ALLOW}


def test_what_changes_a_name_or_what_is_written_about_a_file_is_sent() -> None:
    """All of them, whatever their arguments, and flags of a file besides."""
    for name in (*calls.MUTATIONS, "connect", "openat2", "creat", "inotify_add_watch"):
        assert of(name) == NOTIFY, name
    assert of("ioctl", 3, seccomp.SETFLAGS) == NOTIFY
    assert of("ioctl", 3, 0x5401) == ALLOW


def test_the_surface_of_escapes_is_refused() -> None:
    """Whether or not there is a supervisor."""
    for plan in (DEFAULT, seccomp.FilterPlan(notify=False)):
        assert {of(name, plan=plan) for name in calls.REFUSED} == {EPERM}
        assert {of(name, plan=plan) for name in calls.ABSENT} == {ENOSYS}
        assert of("clone", 0x10000000 | 17, plan=plan) == EPERM
        assert of("clone", 0x50F00, plan=plan) == ALLOW
        assert of("memfd_create", 0, 1, plan=plan) == ENOSYS
        assert of("memfd_create", 0, seccomp.MFD_NOEXEC_SEAL, plan=plan) == ALLOW


def test_only_streams_are_sockets() -> None:
    """What Landlock does not hold, and what connects without a connect, is not there."""
    stream, datagram, nonblocking = 1, 2, 0o4000
    assert of("socket", 2, stream | nonblocking, 0) == ALLOW
    assert of("socket", 10, stream, 6) == ALLOW
    for args in (
        (2, stream, 262),
        (2, datagram, 0),
        (2, 3, 255),
        (40, stream, 0),
        (17, 3, 0),
        (16, 3, 15),
        (1, datagram, 0),
    ):
        assert of("socket", *args) == EACCES, args
    assert of("socket", 1, stream) == NOTIFY
    assert of("socket", 1, stream, plan=seccomp.FilterPlan(notify=True, unix=True)) == ALLOW
    assert of("socketpair", 1, datagram) == EACCES
    assert of("socketpair", 1, stream) == ALLOW
    assert of("sendto", 3, 0, 0, seccomp.FAST_OPEN) == EACCES


def test_the_executor_cannot_be_named() -> None:
    """By process, thread or group, nor all processes at once; everybody else can."""
    for name in calls.NAME_A_PROCESS:
        assert {of(name, number) for number in (100, 101, 102, 103, 104, -99, -1)} == {EPERM}, name
        others = {of(name, number) for number in (105, -105)}
        assert others == {NOTIFY if name in calls.SCHEDULE else ALLOW}, name
        assert of(name, 0) == ALLOW
    for name, user in calls.RANK_PROCESSES.items():
        assert {of(name, *args) for args in ((0, 100), (1, 99), (user, 0))} == {EPERM}, name
        assert of(name, 0, 0) == ALLOW
    plan = seccomp.FilterPlan(notify=True, shield=(7, 8, 9, 10, 11), groups=(7,))
    assert seccomp.own_program(plan) == seccomp.program(plan)


def test_nobody_is_signalled_or_limited_by_another_way() -> None:
    """The owner of a descriptor is sent signals, and a limit ends a process: one's own limits alone are set."""
    assert of("prlimit64", 0, 4) == ALLOW
    assert {of("prlimit64", number, 0) for number in (1, 100, 4242)} == {EPERM}
    assert {of("fcntl", 3, command) for command in seccomp.SET_OWNER} == {EPERM}
    assert {of("fcntl", 3, command) for command in (0, 2, 4, 6, 1030)} == {ALLOW}
    assert {of("ioctl", 3, command) for command in seccomp.OWNERS_OF_DESCRIPTORS} == {EPERM}


def test_a_descriptor_that_may_only_read_changes_nothing() -> None:
    """Generation, verity and encryption of a file, and snapshots, are ioctls; a copy between descriptors is not."""
    for command in (*seccomp.FILE_STATE, 0x50009401, 0x50009417, 0x5000940F, 0x4008941A):
        assert of("ioctl", 3, command) == EPERM, hex(command)
    assert {of("ioctl", 3, command) for command in seccomp.CLONES} == {ALLOW}
    assert {of("fcntl", 3, command) for command in seccomp.LEASES_AND_HINTS} == {EPERM}


def test_what_has_a_number_and_no_file_is_not_there() -> None:
    """Whoever guesses the number of another's segment takes it away; nothing has to be made or attached for it."""
    for name in ("shmctl", "semctl", "msgctl", "shmget", "semget", "msgget"):
        assert of(name, 1, 0) == ENOSYS, name


def test_nothing_is_put_above_tcp() -> None:
    """It could make a socket of another kind, which Landlock does not ask about; other options are one's own."""
    assert of("setsockopt", 3, *seccomp.ABOVE_TCP) == EPERM
    assert {of("setsockopt", 3, 6, 1), of("setsockopt", 3, 1, 31)} == {ALLOW}


def test_every_call_that_arm64_has_is_in_its_table() -> None:
    """One that is left out is allowed: what a rule names, and the kernel's list has for it, has to have a number."""
    header = HEADERS["aarch64"]
    if not header.exists():
        pytest.skip(f"no {header}")
    known = set(re.findall(r"#define __NR(?:3264)?_(\w+)\s+\d+", header.read_text()))
    ours = calls.machine("aarch64").numbers
    assert set(calls.machine("x86_64").numbers) & known <= set(ours)
    assert len(set(calls.machine("x86_64").numbers) & known) > 90


def test_nothing_listens_that_was_not_looked_at() -> None:
    """The kernel gives a socket without a port one of its own choice; without a supervisor nobody listens at all."""
    assert of("listen", 3) == NOTIFY
    assert of("listen", 3, plan=seccomp.FilterPlan(notify=False)) == EACCES
    assert of("listen", 3, plan=seccomp.FilterPlan(notify=False, listen=True)) == ALLOW


def test_a_sandbox_inside_is_not_promised() -> None:
    """What the supervisor does in the tool's place is not held by rules that the tool gives itself."""
    assert of("landlock_create_ruleset") == ENOSYS
    assert of("landlock_create_ruleset", plan=seccomp.FilterPlan(notify=False)) == ALLOW


def test_a_filter_that_the_kernel_would_not_take_is_not_made() -> None:
    """A jump reaches 255 instructions, and a program has at most 4096."""
    rules = [Rule(ALLOW, (Look(0, "is", number),)) for number in range(100)]
    with pytest.raises(ValueError, match="longer than 255"):
        assemble(1, {1: rules}, newest=9, x32=1 << 30, missing=0)
    with pytest.raises(ValueError, match="longer than 4096"):
        assemble(1, dict.fromkeys(range(40), rules[:50]), newest=99, x32=1 << 30, missing=0)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_are_those_of_the_headers(machine: str) -> None:
    """As far as the headers of this machine know them, for both processors."""
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"no {header}")
    known = {name: int(number) for name, number in re.findall(
        r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())}  # fmt: skip
    ours = calls.machine(machine).numbers
    assert {name: ours[name] for name in ours.keys() & known.keys()} == {
        name: known[name] for name in ours.keys() & known.keys()
    }
    assert len(ours.keys() & known.keys()) > 70
    assert max(ours.values()) <= calls.NEWEST


def test_an_unknown_processor_is_refused() -> None:
    """A filter of other numbers would hold nothing."""
    with pytest.raises(NotImplementedError, match="riscv64"):
        calls.machine("riscv64")


def test_arm64_has_the_same_rules() -> None:
    """By its own numbers; calls that it does not have need none."""
    machine = calls.machine("aarch64")
    code = seccomp.program(DEFAULT, machine)
    assert answer(code, machine.numbers["unlinkat"], audit=machine.audit) == NOTIFY
    assert answer(code, machine.numbers["openat"], 0, 0, os.O_RDONLY, audit=machine.audit) == ALLOW
    assert answer(code, machine.numbers["ptrace"], audit=machine.audit) == EPERM
    assert answer(code, 0, audit=calls.MACHINES["x86_64"].audit) == KILL_PROCESS
    assert "unlink" not in machine.numbers


@pytest.mark.parametrize(
    ("abi", "lacks", "size"),
    [(0, ("landlock",), 8), (1, ("landlock:refer", "landlock:truncate", "landlock:net", "landlock:device-ioctl",
     "landlock:scope"), 8), (4, ("landlock:device-ioctl", "landlock:scope"), 16), (6, (), 24), (9, (), 24)],
)  # fmt: skip
def test_a_kernel_is_asked_for_what_its_landlock_has(abi: int, lacks: tuple[str, ...], size: int) -> None:
    """A longer structure is an error, and what is not held is said."""
    assert landlock.lacking(abi) == lacks
    known = landlock.Handled().known_to(abi)
    assert len(known.packed(abi)) == size
    assert bool(known.net) == (abi >= 4)
    assert known.files.bit_count() == {0: 0, 1: 13, 4: 15}.get(abi, 16)


PROTECTED = ProtectedSet(
    roots={"/srv/m": "weights:m", "/ws/c.yaml": "control:c"},
    identities={(1, 10): "weights:m", (1, 11): "control:c"},
    readable=("control:c",),
)
TOOL = Profile(write=("/ws",))


@pytest.mark.parametrize(
    ("op", "objects", "answered", "why"),
    [
        ("read", [Found("/srv/m/w", (1, 12))], "deny", "asset"),
        ("read", [Found("/elsewhere", (1, 10))], "deny", "asset"),
        ("read", [Found("/ws/c.yaml", (1, 11))], "allow", ""),
        ("write", [Found("/ws/c.yaml", None)], "deny", "asset"),
        ("create", [Found("/srv/m/new", None)], "deny", "asset"),
        ("write", [Found("/ws/x", (1, 20))], "allow", ""),
        ("write", [Found("/wsx", (1, 20))], "deny", "outside"),
        ("write", [Found("pipe:[5]", (1, 20))], "allow", ""),
        ("rename", [Found("/ws/a", (1, 20)), Found("/etc/a", None)], "deny", "outside"),
        ("net_send", [], "observe", ""),
    ],
)
def test_a_call_is_judged_by_path_and_by_identity(op: str, objects: list[Found], answered: str, why: str) -> None:
    """Either alone has a hole; whatever is outside of the write roots is not changed."""
    verdict = judge(TOOL, PROTECTED, op, objects)
    assert (verdict.answer, verdict.why) == (answered, why)


def test_an_ancestor_of_an_asset_is_neither_moved_nor_removed() -> None:
    """Who moves the directory above moves what lies in it; writing beside it is another matter."""
    assert judge(TOOL, PROTECTED, "rename", [Found("/ws", (1, 5))], entry=True).why == "ancestor"
    assert judge(TOOL, PROTECTED, "create", [Found("/ws/other.yaml", None)]).answer == "allow"
    mounted = ProtectedSet(roots={"/srv/ws/conf": "control:c"}, identities={}, holders={(1, 5): "control:c"})
    by_another_mount = [Found("/ws/other", (1, 5))]
    assert judge(TOOL, mounted, "rename", by_another_mount, entry=True) == Verdict("deny", "control:c", "ancestor")
    assert (
        judge(TOOL, ProtectedSet.from_plain(mounted.to_plain()), "delete", by_another_mount, entry=True).answer
        == "deny"
    )


def test_what_was_granted_is_done_and_nothing_besides() -> None:
    """A session may read the assets, and do the ops, that its call was judged by."""
    granted = Profile(write=("/srv/m",), reads=("weights:m",), grants=(("delete", "weights:m"),))
    found = [Found("/srv/m/w", (1, 10))]
    done = Verdict("observe", "weights:m", "granted")
    assert judge(granted, PROTECTED, "read", found) == done
    assert judge(granted, PROTECTED, "delete", found, entry=True) == done
    assert judge(granted, PROTECTED, "set_times", found).answer == "deny"
