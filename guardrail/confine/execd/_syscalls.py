"""System call numbers of the machines that we can confine on, as data, and the groups that the filter treats alike.

Numbers are those of the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` at
6.18; from 424 on they are the same everywhere. `tests/test_confine_filter.py` holds them against the headers at hand.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the filter has to know of a processor.

    Args:
        audit: its AUDIT_ARCH, from linux/audit.h.
        numbers: number of each call that it has, by name.
    """

    audit: int
    numbers: dict[str, int]

    @functools.cached_property
    def names(self) -> dict[int, str]:
        """Name of each number."""
        return {number: name for name, number in self.numbers.items()}


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


_EVERYWHERE: Final = _table("""
pidfd_send_signal 424 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 open_tree 428 move_mount 429
fsopen 430 fsconfig 431 fsmount 432 fspick 433 pidfd_open 434 clone3 435 close_range 436 openat2 437 pidfd_getfd 438
process_madvise 440 mount_setattr 442 quotactl_fd 443 landlock_create_ruleset 444 landlock_add_rule 445
landlock_restrict_self 446 memfd_secret 447 fchmodat2 452 lsm_set_self_attr 460 setxattrat 463 removexattrat 466
open_tree_attr 467 file_setattr 469
""")

_X86_64: Final = _table("""
open 2 ioctl 16 shmget 29 shmat 30 shmctl 31 socket 41 connect 42 sendto 44 sendmsg 46 listen 50 socketpair 53
setsockopt 54 clone 56 kill 62 semget 64 semop 65 semctl 66 msgget 68 msgsnd 69 msgrcv 70 msgctl 71 fcntl 72
truncate 76 rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 symlink 88 chmod 90 fchmod 91 chown 92 fchown 93
lchown 94 umask 95 ptrace 101 capset 126 rt_sigqueueinfo 129 utime 132 mknod 133 setpriority 141 sched_setparam 142
sched_setscheduler 144 pivot_root 155 chroot 161 acct 163 mount 165 umount2 166 swapon 167 reboot 169 init_module 175
delete_module 176 quotactl 179 setxattr 188 lsetxattr 189 fsetxattr 190 removexattr 197 lremovexattr 198
fremovexattr 199 tkill 200 sched_setaffinity 203 semtimedop 220 tgkill 234 utimes 235 mq_open 240 mq_unlink 241
kexec_load 246 add_key 248 request_key 249 keyctl 250 ioprio_set 251 inotify_add_watch 254 migrate_pages 256 openat 257
mkdirat 258 mknodat 259 fchownat 260 futimesat 261 unlinkat 263 renameat 264 linkat 265 symlinkat 266 fchmodat 268
unshare 272 move_pages 279 utimensat 280 rt_tgsigqueueinfo 297 perf_event_open 298 fanotify_init 300 prlimit64 302
open_by_handle_at 304 sendmmsg 307 setns 308 process_vm_readv 310 process_vm_writev 311 kcmp 312 finit_module 313
sched_setattr 314 renameat2 316 seccomp 317 memfd_create 319 kexec_file_load 320 bpf 321 userfaultfd 323
""")

_ARM64: Final = _table("""
setxattr 5 lsetxattr 6 fsetxattr 7 removexattr 14 lremovexattr 15 fremovexattr 16 fcntl 25 inotify_add_watch 27
ioctl 29 ioprio_set 30 mknodat 33 mkdirat 34 unlinkat 35 symlinkat 36 linkat 37 renameat 38 umount2 39 mount 40
pivot_root 41 truncate 45 chroot 51 fchmod 52 fchmodat 53 fchownat 54 fchown 55 openat 56 quotactl 60 utimensat 88
acct 89 capset 91 unshare 97 kexec_load 104 init_module 105 delete_module 106 ptrace 117 sched_setparam 118
sched_setscheduler 119 sched_setaffinity 122 kill 129 tkill 130 tgkill 131 rt_sigqueueinfo 138 setpriority 140
reboot 142 umask 166 mq_open 180 mq_unlink 181 msgget 186 msgctl 187 msgrcv 188 msgsnd 189 semget 190 semctl 191
semtimedop 192 semop 193 shmget 194 shmctl 195 shmat 196 socket 198 socketpair 199 listen 201 connect 203 sendto 206
setsockopt 208 sendmsg 211 add_key 217 request_key 218 keyctl 219 clone 220 swapon 224 migrate_pages 238 move_pages 239
rt_tgsigqueueinfo 240 perf_event_open 241 prlimit64 261 fanotify_init 262 open_by_handle_at 265 setns 268 sendmmsg 269
process_vm_readv 270 process_vm_writev 271 kcmp 272 finit_module 273 sched_setattr 274 renameat2 276 seccomp 277
memfd_create 279 bpf 280 userfaultfd 282 kexec_file_load 294
""")

MACHINES: Final = {
    "x86_64": Machine(audit=0xC000003E, numbers=_X86_64 | _EVERYWHERE),
    "aarch64": Machine(audit=0xC00000B7, numbers=_ARM64 | _EVERYWHERE),
}
"""By what uname(2) says."""

NEWEST: Final = 469
"""Highest number that the filter knows; a call newer than that does not exist for the tool."""

X32_BIT: Final = 0x40000000
"""Set in the numbers of the x32 ABI, which are x86-64 calls by another name."""


@functools.cache
def machine(name: str | None = None) -> Machine:
    """The machine of that name, or this one.

    Raises:
        NotImplementedError: if there is no table for it.
    """
    name = name or os.uname().machine
    try:
        return MACHINES[name]
    except KeyError:
        raise NotImplementedError(
            f"no table of system calls for `{name}`: there is one for x86_64 and aarch64"
        ) from None


OPENS: Final = ("open", "creat", "openat", "openat2")
RENAMES: Final = ("rename", "renameat", "renameat2")
LINKS: Final = ("link", "linkat")
REMOVES: Final = ("unlink", "unlinkat", "rmdir")
MAKES: Final = ("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat")
TIMES: Final = ("utime", "utimes", "futimesat", "utimensat")
MODES: Final = ("chmod", "fchmod", "fchmodat", "fchmodat2")
OWNERS: Final = ("chown", "fchown", "lchown", "fchownat")
XATTRS: Final = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
ON_DESCRIPTORS: Final = ("fchmod", "fchown", "fsetxattr", "fremovexattr")
MUTATIONS: Final = (*RENAMES, *LINKS, *REMOVES, "truncate", *TIMES, *MODES, *OWNERS, *XATTRS)
"""Sent to the supervisor whole, whatever their arguments."""

REFUSED: Final = tuple(
    """
mount umount2 move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr pivot_root chroot setns
bpf perf_event_open open_by_handle_at userfaultfd kexec_load kexec_file_load init_module finit_module delete_module
swapon acct reboot quotactl ptrace process_vm_readv process_vm_writev process_madvise kcmp move_pages migrate_pages
add_key keyctl request_key pidfd_getfd fanotify_init quotactl_fd lsm_set_self_attr
""".split()
)
"""The surface of escapes: EPERM, always. No tool that works on files needs any of them."""

ABSENT: Final = tuple(
    """
io_uring_setup io_uring_enter io_uring_register clone3 setxattrat removexattrat file_setattr pidfd_send_signal
memfd_secret shmget shmat shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink
""".split()
)
"""ENOSYS, always, because callers have a way without them: a filter sees nothing of what a ring carries, the next four
keep flags behind a pointer, and pidfd_send_signal takes a directory of /proc for a process. Memory, semaphores and
queues that have a number and no file are nothing that Landlock holds, outlast whoever filled them, and may be taken
away by everybody of the same user who guesses the number."""

SCHEDULE: Final = ("sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr")
"""Calls that say when the process that is their first argument runs; Landlock has no scope for it."""

NAME_A_PROCESS: Final = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", *SCHEDULE)
"""Calls whose first argument is a process; the executor's own, and those above it, are refused."""

RANK_PROCESSES: Final = {"setpriority": 2, "ioprio_set": 3}
"""Calls whose second argument is a process, with the value of the first that means all of a user's."""
