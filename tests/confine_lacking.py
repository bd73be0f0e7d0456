"""A host that lacks something: `python confine_lacking.py WHAT,… ARG…` takes it away, for good, and starts Python.

`landlock` and `listener` are kernels without them; `pod` is a stand-in for a restricted pod: what the default runtime
profile refuses to a container without capabilities, and no_new_privs.
"""

from __future__ import annotations

import errno
import os
import runpy
import sys
from pathlib import Path

# As the executor starts: with the standard library alone.
runpy.run_path(str(Path(__file__).resolve().parent.parent / "guardrail/confine/execd/_boot.py"))["packages"]()

from guardrail.confine.execd import _bpf as bpf  # noqa: E402 - after the packages that it lies in
from guardrail.confine.execd import _seccomp as seccomp  # noqa: E402
from guardrail.confine.execd._syscalls import machine  # noqa: E402

POD = """
mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr pivot_root setns bpf perf_event_open
open_by_handle_at userfaultfd kexec_load init_module finit_module delete_module swapon acct reboot pidfd_getfd
fanotify_init add_key keyctl request_key io_uring_setup io_uring_enter io_uring_register
""".split()


def rules(what: str) -> dict[int, tuple[bpf.Rule, ...]]:
    numbers = machine().numbers
    if what == "landlock":
        return {numbers["landlock_create_ruleset"]: (bpf.Rule(bpf.errno_of(errno.ENOSYS)),)}
    if what == "listener":
        has = bpf.Look(1, "has", seccomp.NEW_LISTENER)
        return {numbers["seccomp"]: (bpf.Rule(bpf.errno_of(errno.EINVAL), (has,)),)}
    refuse = bpf.errno_of(errno.EPERM)
    spaces = {
        numbers[name]: (bpf.Rule(refuse, (bpf.Look(0, "has", seccomp.NAMESPACES),)),) for name in ("clone", "unshare")
    }
    return spaces | {numbers[name]: (bpf.Rule(refuse),) for name in POD}


def main() -> None:
    for what in sys.argv[1].split(","):
        code = bpf.assemble(
            machine().audit, rules(what), newest=10_000, x32=0x40000000, missing=bpf.errno_of(errno.ENOSYS)
        )
        seccomp.install(code, listener=False)
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


if __name__ == "__main__":
    main()
