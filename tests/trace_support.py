"""What a command really did to a tree, as the kernel saw it: strace's lines -> observed events.

Not concerned with what was predicted. Blind spots: shared writable mappings, and descriptors that another process sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Did = Literal["read", "write", "create", "delete", "rename", "link", "times", "security"]

CALLS: Final = (
    "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,link,linkat,"
    "symlink,symlinkat,truncate,ftruncate,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat,setxattr,lsetxattr,"
    "fsetxattr,removexattr,lremovexattr,fremovexattr,utime,utimes,utimensat,futimesat,fallocate,copy_file_range,"
    "sendfile,write,pwrite64,writev,pwritev,pwritev2,read,pread64,readv,mmap,splice,ioctl,chdir,fchdir,clone,clone3,fork,vfork"
)
"""System calls that are looked at."""

_LINE: Final = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<args>.*)\) += (?P<result>-?\w+)(?:<(?P<path>[^>]*)>)?")
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>,? ?(.*)$")
_AT: Final = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_FD: Final = re.compile(r"^(\d+)<([^>]*)>")
_WRITES: Final = frozenset("write pwrite64 writev pwritev pwritev2 ftruncate fallocate".split())
_READS: Final = frozenset("read pread64 readv mmap".split())
_FORKS: Final = frozenset("clone clone3 fork vfork".split())
_SECURITY: Final = frozenset("chmod chown lchown setxattr lsetxattr removexattr lremovexattr".split())
_FD_SECURITY: Final = frozenset("fchmod fchown fsetxattr fremovexattr".split())


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done.

    Args:
        did: what.
        path: to what: absolute, its parent without symbolic links.
        other: for rename and link, the other name.
    """

    did: Did
    path: str
    other: str = ""


def events(text: str, root: str, cwd: str) -> list[Event]:
    """What happened below a root, in order, each thing once.

    Args:
        text: what `strace -f -y -e trace=CALLS` wrote.
        root: the tree, without symbolic links.
        cwd: working directory of the first process.
    """
    found = dict.fromkeys(_Tracer(cwd).run(_whole(text)))
    return [event for event in found if _below(event.path, root) or (event.other and _below(event.other, root))]


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root + "/")


def _whole(text: str) -> Iterator[str]:
    """Lines with the calls that were interrupted put together again."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        if line.endswith("<unfinished ...>"):
            begun[line.split(maxsplit=1)[0]] = line[: -len("<unfinished ...>")].rstrip()
            continue
        resumed = _RESUMED.match(line)
        if resumed:
            first = begun.pop(resumed[1], f"{resumed[1]} {resumed[2]}(")
            yield f"{first} {resumed[3]}" if not resumed[3].startswith(")") else first + resumed[3]
        else:
            yield line


class _Tracer:
    """Follows the working directory of every process, and names what each call acted on."""

    def __init__(self, cwd: str) -> None:
        self.first = cwd
        self.cwd: dict[str, str] = {}
        self.parents: dict[str, str] = {}

    def run(self, lines: Iterator[str]) -> Iterator[Event]:
        calls = [found for line in lines if (found := _LINE.match(line))]
        for call in calls:
            if call["name"] in _FORKS and call["result"].isdigit():
                self.parents.setdefault(call["result"], call["pid"])
        for call in calls:
            if not call["result"].startswith("-") and call["result"] != "?":
                yield from self._one(call)

    def _here(self, pid: str) -> str:
        if pid not in self.cwd:
            parent = self.parents.get(pid)
            self.cwd[pid] = self._here(parent) if parent is not None and parent != pid else self.first
        return self.cwd[pid]

    def _names(self, pid: str, args: str) -> list[str]:
        """The paths among the arguments, absolute, the parent of each resolved."""
        here = self._here(pid)
        return [_place(os.path.join(at or here, _plain(name))) for at, name in _AT.findall(args)]

    def _one(self, call: re.Match[str]) -> Iterator[Event]:
        pid, name, args = call["pid"], call["name"], call["args"]
        if name in ("chdir", "fchdir"):
            fd = _FD.match(args)
            self.cwd[pid] = fd[2] if fd else self._names(pid, args)[0]
        elif name in ("open", "openat", "openat2", "creat"):
            yield from self._opened(name, args, call["path"] or "")
        elif name in _WRITES or name in _READS or name in _FD_SECURITY or name in ("copy_file_range", "sendfile"):
            yield from self._by_descriptor(name, args)
        elif name == "ioctl":
            fd = _FD.match(args)
            if fd and ("FS_IOC_SETFLAGS" in args or "FS_IOC_FSSETXATTR" in args):
                yield Event("security", fd[2])
            elif fd and "FICLONE" in args:
                yield Event("write", fd[2])
        else:
            yield from self._by_name(name, args, self._names(pid, args))

    def _opened(self, name: str, args: str, path: str) -> Iterator[Event]:
        if path and (name == "creat" or "O_CREAT" in args or "O_TRUNC" in args or "O_TMPFILE" in args):
            # Whether it was there before is asked of the tree as it was.
            yield Event("write" if "O_TRUNC" in args or name == "creat" else "create", path)

    def _by_descriptor(self, name: str, args: str) -> Iterator[Event]:
        if name in ("copy_file_range", "sendfile"):
            ends = re.findall(r"\d+<([^>]*)>", args)
            source, target = (ends[0], ends[-1]) if name == "copy_file_range" else (ends[-1], ends[0])
            yield Event("read", source)
            yield Event("write", target)
            return
        if name == "mmap":
            fd = re.search(r", (\d+)<([^>]*)>, ", args)
            if fd and "PROT_EXEC" not in args:
                yield Event("write" if "MAP_SHARED" in args and "PROT_WRITE" in args else "read", fd[2])
            return
        fd = _FD.match(args)
        if fd and fd[2].startswith("/"):
            yield Event("write" if name in _WRITES else "security" if name in _FD_SECURITY else "read", fd[2])

    def _by_name(self, name: str, args: str, paths: list[str]) -> Iterator[Event]:
        if name.startswith("rename") and len(paths) == 2:
            yield Event("rename", paths[0], paths[1])
        elif name.startswith("link") and len(paths) == 2:
            yield Event("link", paths[0], paths[1])
        elif name.startswith("symlink"):
            yield Event("create", paths[-1])
        elif name.startswith(("unlink", "rmdir")):
            yield Event("delete", paths[0])
        elif name.startswith(("mkdir", "mknod")):
            yield Event("create", paths[0])
        elif name == "truncate":
            yield Event("write", os.path.realpath(paths[0]))
        elif name in _SECURITY or name in ("fchmodat", "fchownat"):
            yield Event(
                "security", paths[0] if name.startswith("l") or "NOFOLLOW" in args else os.path.realpath(paths[0])
            )
        elif name.startswith(("utime", "futimes")):
            fd = _FD.match(args)
            yield Event("times", paths[0] if paths else fd[2] if fd else "")


def _plain(text: str) -> str:
    """strace's escapes undone."""
    if "\\" not in text:
        return text
    return (
        text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
    )


def _place(path: str) -> str:
    """The name itself, below a parent without symbolic links."""
    head, tail = os.path.split(path.rstrip("/") or "/")
    if tail in ("", ".", ".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(head), tail)
