"""Files that are more than files: to change one of them is to change an account, a schedule, a service, the clock.

Not concerned with who may do that. A path is taken as it is written; where links lead is resolved in `assets`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from guardrail.effects.domain._addresses import at
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

MIN_PREFIX: Final = 5
"""Shortest known beginning of a pattern, in characters, that is compared; with less, any file would be meant."""

_PLACES: Final[tuple[tuple[str, Op, str], ...]] = (
    ("/etc/passwd", "set_security", "account"),
    ("/etc/shadow", "set_security", "account"),
    ("/etc/group", "set_security", "account"),
    ("/etc/gshadow", "set_security", "account"),
    ("/etc/sudoers", "set_security", "account"),
    ("/etc/doas.conf", "set_security", "account"),
    ("/etc/pam.d/", "set_security", "account"),
    ("/etc/security/", "set_security", "account"),
    ("/etc/polkit-1/", "set_security", "account"),
    ("/etc/ssh/", "set_security", "account"),
    ("/etc/hosts", "set_security", "account"),
    ("/etc/resolv.conf", "set_security", "account"),
    ("/etc/nsswitch.conf", "set_security", "account"),
    ("/etc/nologin", "set_security", "account"),
    ("/run/nologin", "set_security", "account"),
    ("/var/run/nologin", "set_security", "account"),
    ("/etc/audit/", "service", "systemd"),
    ("/var/log/audit", "service", "systemd"),
    ("/etc/crontab", "schedule", "cron"),
    ("/etc/cron.", "schedule", "cron"),
    ("/etc/anacrontab", "schedule", "cron"),
    ("/var/spool/cron", "schedule", "cron"),
    ("/var/spool/anacron", "schedule", "cron"),
    ("/var/spool/at", "schedule", "at"),
    ("/etc/systemd/", "service", "systemd"),
    ("/run/systemd/", "service", "systemd"),
    ("/lib/systemd/", "service", "systemd"),
    ("/usr/lib/systemd/", "service", "systemd"),
    ("/usr/local/lib/systemd/", "service", "systemd"),
    ("/etc/init.d/", "service", "systemd"),
    ("/etc/rc.local", "service", "systemd"),
    ("/etc/rc.d/", "service", "systemd"),
    ("/etc/inittab", "service", "systemd"),
    ("/etc/init/", "service", "systemd"),
    ("/etc/supervisor", "service", "systemd"),
    ("/etc/sv/", "service", "systemd"),
    ("/etc/xdg/autostart/", "service", "systemd"),
    ("/Library/LaunchDaemons/", "service", "systemd"),
    ("/Library/LaunchAgents/", "service", "systemd"),
    ("/etc/iptables", "set_security", "firewall"),
    ("/etc/nftables", "set_security", "firewall"),
    ("/etc/ufw/", "set_security", "firewall"),
    ("/etc/firewalld/", "set_security", "firewall"),
    ("/etc/localtime", "set_times", "clock"),
    ("/etc/adjtime", "set_times", "clock"),
    ("/etc/ntp", "set_times", "clock"),
    ("/etc/chrony", "set_times", "clock"),
    ("/proc/sysrq-trigger", "service", "power"),
    ("/sys/power/", "service", "power"),
    ("/proc/sys/", "service", "kernel"),
    ("/sys/", "service", "kernel"),
    ("/etc/sysctl", "service", "kernel"),
    ("/etc/modprobe", "service", "kernel"),
    ("/etc/modules", "service", "kernel"),
    ("/etc/ld.so.", "service", "kernel"),
    ("/etc/fstab", "service", "kernel"),
    ("/boot/", "service", "kernel"),
    ("/lib/modules/", "service", "kernel"),
)
"""Beginnings of paths, and what a change there is."""

_PREFIXES: Final = tuple(prefix for prefix, _, _ in _PLACES)
_ROOTS: Final = tuple(sorted({f"/{prefix.split('/')[1]}" for prefix, _, _ in _PLACES}))
_OF_A_HOME: Final[tuple[tuple[str, re.Pattern[str], Op, str], ...]] = (
    (".ssh/", lazy(r"(authorized_keys2?|config|rc|environment)"), "set_security", "account"),
    ("/.config/systemd/user/", lazy(r"(.+)", re.DOTALL), "service", "systemd"),
    ("/.local/share/systemd/user/", lazy(r"(.+)", re.DOTALL), "service", "systemd"),
    ("/.config/autostart/", lazy(r"(.+)", re.DOTALL), "service", "systemd"),
    ("/Library/LaunchAgents/", lazy(r"(.+)", re.DOTALL), "service", "systemd"),
)
"""Directories in anybody's home, the names there that count, and what a change of them is."""

_PROCESS: Final = lazy(r"/proc/(?P<pid>[^/]+)/(?:mem|task/.*|oom_(?:score_)?adj|autogroup|clear_refs|attr/.*)")
_SPECIAL: Final = lazy(r"[*?\[]")

Known = tuple[Op, Resource]


def meanings(op: Op, resource: Resource, target: Resource | None) -> Iterator[Known]:
    """What else an operation on files does.

    Args:
        op: an operation that changes something.
        resource: what it is done to.
        target: where a copy, link or new name ends up.

    Yields:
        Each further operation with the account, schedule, service, clock or process that it is done to.
    """
    changed: tuple[Resource, ...]
    if op in ("copy", "link"):
        yield from _memory(op, resource)
        changed = (target,) if target is not None else ()
    else:
        changed = (resource, target) if target is not None else (resource,)
    for place in changed:
        text = place.path or place.pattern
        if text is not None and place.kind in ("file", "dir", "any"):
            yield from _changed(text, recursive=place.recursive, pattern=place.path is None)


_MEMORY: Final = lazy(r"/proc/([^/]+)/(?:mem|map_files/.*)")


def _memory(op: Op, resource: Resource) -> Iterator[Known]:
    """The memory of a process is a file that can be copied."""
    where = resource.path or resource.pattern or ""
    match = _MEMORY.fullmatch(where) if where.startswith("/proc/") else None
    if match is not None:
        yield op, at("process", match[1])


def _changed(text: str, *, recursive: bool, pattern: bool) -> Iterator[Known]:
    if "//" in text or "/." in text:
        text = posixpath.normpath(text)
        if text.startswith("//"):
            text = text[1:]
    if text.startswith(_ROOTS):
        yield from _system(text, recursive=recursive, pattern=pattern)
    elif text.startswith("/proc/") and (match := _PROCESS.fullmatch(text)):
        yield "signal", at("process", match["pid"])
    for folder, shape, op, scheme in _OF_A_HOME:
        if folder in text and (match := shape.fullmatch(text.partition(folder)[2])):
            yield _named(op, scheme, match[1])
    if recursive and text.rstrip("/").endswith("/.ssh"):
        yield "set_security", at("account", "authorized_keys")


def _system(text: str, *, recursive: bool, pattern: bool) -> Iterator[Known]:
    if match := _PROCESS.fullmatch(text):
        yield "signal", at("process", match["pid"])
        return
    special = _SPECIAL.search(text) if pattern else None
    sure = text[: special.start()] if special is not None else text
    below = sure if special is not None else f"{text.rstrip('/')}/" if recursive else ""
    if not below and not sure.startswith(_PREFIXES):
        return
    seen: set[Known] = set()
    for prefix, op, scheme in _PLACES:
        if sure.startswith(prefix):
            yield _named(op, scheme, _short(text, scheme))
            return
        if below and len(below) >= MIN_PREFIX and prefix.startswith(below) and (op, at(scheme, "*")) not in seen:
            seen.add((op, at(scheme, "*")))
            yield op, at(scheme, "*")


def _named(op: Op, scheme: str, name: str) -> Known:
    # A timer is a service that starts others when the time has come.
    return ("schedule" if scheme == "systemd" and name.endswith(".timer") else op), at(scheme, name)


def _short(text: str, scheme: str) -> str:
    """A unit is known by its file's name, a schedule by its path, the others by the name below `/etc`."""
    if scheme == "systemd":
        return posixpath.basename(text.rstrip("/"))
    return text.removeprefix("/etc/") if scheme == "account" else text
