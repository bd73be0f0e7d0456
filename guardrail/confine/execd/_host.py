"""What this host can hold, found by trying, and what follows of it for a mode that is asked for."""

from __future__ import annotations

import os
from typing import Any

from guardrail.confine.execd._kernel import Memory
from guardrail.confine.execd._landlock import lacking, version
from guardrail.confine.execd._seccomp import listener_problem
from guardrail.confine.execd._syscalls import machine


def host() -> dict[str, Any]:
    """What this host can hold, found by trying; on a processor without a table of system calls that is nothing."""
    problem = _listener_problem()
    abi = version() if _machine_known() else 0
    return {
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "landlock_abi": abi,
        "listener": problem or "ok",
        "lacking": [
            *lacking(abi),
            *(("seccomp-listener",) if problem else ()),
            *(() if _memory_stays_out_of_cores() else ("coredump-filter",)),
        ],
    }


def holdable(found: dict[str, Any], mode: str) -> tuple[str, tuple[str, ...]]:
    """The mode that can be in force where another is asked for, and what is lacking of what that one needs.

    Args:
        found: what `host` found.
        mode: what is asked for.
    """
    if mode == "off":
        return "off", ()
    missing = tuple(name for name in found["lacking"] if mode != "floor" or name != "seccomp-listener")
    if found["listener"] == "ok" and mode != "floor":
        return mode, missing
    return ("floor" if found["landlock_abi"] else "off"), missing


def refusal(found: dict[str, Any], mode: str, *, required: bool) -> str | None:
    """Why nothing may be started here; None if it may.

    INVARIANT: what nobody holds at all is not started as a confined tool, whether all of it is required or not.

    Args:
        found: what `host` found.
        mode: what is asked for.
        required: whether all that the mode needs has to be in force.
    """
    possible, missing = holdable(found, mode)
    if required and missing:
        return (
            f"this kernel ({found['kernel']}) cannot hold `{mode}`: it lacks {', '.join(missing)}; "
            "use another kernel, or accept best effort (`execute.confine_required = false`)"
        )
    if possible == "off":
        return f"this kernel ({found['kernel']}) can hold nothing: it lacks {', '.join(missing)}"
    return None


def _machine_known() -> bool:
    try:
        machine()
    except NotImplementedError:
        return False
    return True


def _memory_stays_out_of_cores() -> bool:
    """Whether no part of the memory of this process, and of all that it starts, goes into a core.

    The kernel hands cores to a program outside where /proc/sys/kernel/core_pattern names one, whatever the limits are.
    Who is started inherits this, and cannot write to /proc.
    """
    try:
        with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
            file.write("0")
    except OSError:
        return False
    return True


def _listener_problem() -> str | None:
    if (problem := listener_problem()) is not None:
        return problem
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            if int(file.read()) >= 2:
                return "yama's ptrace_scope of 2 or more keeps a supervisor from reading its tool"
    except FileNotFoundError:
        pass
    try:
        probe = Memory()
        probe.read(os.getpid(), id(probe), 8)
    except OSError as error:
        return f"process_vm_readv: {error.strerror}"
    return None
