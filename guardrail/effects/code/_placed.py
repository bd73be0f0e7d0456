"""Files that are brought to where they are run later, or given to what runs or installs them as such.

Not concerned with texts that a call writes there, which `Call.put` sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._startup import is_deferred
from guardrail.effects.domain._values import NUM, TOP, Field
from guardrail.model import Edit, Resource

MAX_PLACED: Final = 8
"""Most such files that are looked into for one command."""

_BRINGING: Final = frozenset(("copy", "rename", "link"))

TAKING: Final[Mapping[str, str]] = {
    "systemctl": "/etc/systemd/system/given.service",
    "logrotate": "/etc/logrotate.d/given",
    "supervisord": "/etc/supervisor/given.conf",
    "supervisorctl": "/etc/supervisor/given.conf",
    "launchctl": "/Library/LaunchAgents/given.plist",
    "dex": "/etc/xdg/autostart/given.desktop",
    "gio": "/etc/xdg/autostart/given.desktop",
    "gtk-launch": "/etc/xdg/autostart/given.desktop",
    "desktop-file-install": "/etc/xdg/autostart/given.desktop",
    "xdg-open": "/etc/xdg/autostart/given.desktop",
    "anacron": "/etc/anacrontab",
    "supercronic": "/etc/crontab",
    "procmail": "/etc/procmailrc",
    "udevadm": "/etc/udev/rules.d/given.rules",
}
"""Programs that are given a file of such a form, and a place where one has it."""


def note_placed(call: Call, before: int) -> None:
    """Say what is run later because of what a command did, or of the files it was given.

    Args:
        call: the command.
        before: how many effects there were when it began.
    """
    placed = 0
    for effect in call.shell.emit.effects[before:] if call.shell.emit.made else ():
        target = effect.target
        if effect.op in _BRINGING and target is not None and is_deferred(target.path) and placed < MAX_PLACED:
            placed += 1
            # A link changes nothing of what it leads to: that is read as it is, if the call did nothing else to it.
            text = _as_it_is(call, effect.resource) if effect.op == "link" else None
            call.put_for_later(target, (effect.resource,), text)
    form = TAKING.get(call.name.partition(" ")[0])
    if form is None:
        return
    there = call.place(Field(text=form))
    for field in call.args[:MAX_PLACED]:
        word = field.text.rpartition("=")[2]
        place = call.place(Field(text=word))
        if word[:1] not in ("-", "") and TOP not in word and NUM not in word and call.content(place) is not None:
            call.put_for_later(there, (place,), None)


def _as_it_is(call: Call, source: Resource) -> Edit | None:
    """The text of a file that only a link of this very command may have changed."""
    shell = call.shell
    path = source.path
    links = sum(effect.op == "link" for effect in shell.emit.effects)
    others = [effect for effect in shell.emit.effects if effect.op in MUTATING and effect.op != "link"]
    if path is None or links > 1 or shell.wrote.wrote(shell.view.identity(path)):
        return None
    if any((effect.target or effect.resource).path in (path, None) for effect in others):
        return None
    data = shell.view.read(path, shell.limits.script_bytes)
    there = data is not None or shell.view.kind(path) is not None
    return Edit(kind="whole", text=(data or b"").decode("utf-8", "surrogateescape")) if there else None
