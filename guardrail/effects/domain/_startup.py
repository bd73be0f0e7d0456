"""Files whose text is run later, by a login, a schedule, a service or another program: nobody is asked then.

Not concerned with who may write there, which is in `_wellknown`. What a text runs is handed on as shell text as far as
its form is known; a path in any of them is mentioned.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Final

from guardrail.patterns import lazy

_SHELL: Final = lazy(
    r"/\.(?:bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zprofile|zshenv|zlogin|zlogout|kshrc|mkshrc"
    r"|shrc|shinit|cshrc|tcshrc|login|logout|envrc|xprofile|xinitrc|xsession|xsessionrc|xserverrc|ssh/rc)$"
    r"|/\.(?:bashrc|zshrc|profile|bash_profile|oh-my-zsh/custom|zsh|bash)\.?(?:d|conf)?/[^/]+$"
    r"|/\.git/hooks/|/\.husky/|/\.config/(?:fish|autostart-scripts|plasma-workspace|bash|zsh|i3|sway|openbox|bspwm|sxhkd)/"
    r"|^/etc/(?:profile$|profile\.d/|bash\.|bashrc|zsh|zprofile|csh\.|environment\.d/|X11/(?:Xsession|xinit)|rc\.|init\.d/"
    r"|cron\.(?:hourly|daily|weekly|monthly)/|update-motd\.d/|ssh/sshrc|network/if-|NetworkManager/dispatcher\.d/|ppp/ip-"
    r"|networkd-dispatcher/|kernel/\w+\.d/|acpi/|pm/|apm/|fish/|periodic/|dhcp/dhclient-)"
    r"|^/usr/lib/(?:systemd/system-(?:sleep|shutdown|generators)|pm-utils)/"
)
"""Texts of shells, most of them."""

_TABLE: Final = lazy(
    r"^/etc/(?:crontab|anacrontab)$|^/etc/cron\.d/|^/var/spool/(?:cron|anacron)/|^/etc/incron|/\.crontab$"
)
_UNITS: Final = lazy(
    r"/systemd/|/autostart/|/\.local/share/(?:applications|dbus-1)/|/dbus-1/|^/etc/(?:init|supervisor)/|/supervisord?(?:\.conf$|/)"
)
_RULES: Final = lazy(r"/udev/(?:rules\.d|hwdb\.d)/|\.rules$")
_ROTATION: Final = lazy(r"/logrotate(?:\.d/|\.conf$)")
_MAIL: Final = lazy(
    r"/\.(?:forward|procmailrc|maildroprc|mailfilter|qmail[\w-]*)$|^/etc/(?:aliases|mail/aliases|procmailrc)$"
)
_LIST: Final = lazy(r"/Library/Launch(?:Agents|Daemons)/|\.plist$")
_INITTAB: Final = lazy(r"^/etc/inittab$")

_OTHER: Final = lazy(
    r"/\.(?:inputrc|vimrc|gvimrc|exrc|nanorc|emacs|gitconfig|npmrc|yarnrc(?:\.yml)?|screenrc|tmux\.conf|gdbinit|lldbinit"
    r"|pythonrc|pythonrc\.py|Rprofile|Renviron|irbrc|pryrc|psqlrc|sqliterc|my\.cnf|duckdbrc|mongorc\.js|mongoshrc\.js|octaverc|ghci"
    r"|perldb|perlcriticrc|lynxrc|muttrc|mailcap|mailrc|Xresources|Xdefaults|xscreensaver|pam_environment|wgetrc|curlrc"
    r"|ssh/(?:config|environment|authorized_keys2?)|gnupg/(?:gpg|gpg-agent)\.conf|aws/config|kube/config|docker/config\.json)$"
    r"|/\.git/config$|/\.config/(?:git/config$|nvim/|kitty/|alacritty/|environment\.d/|pip/|mpv/|khotkeys|ranger/|lf/|tmux/)"
    r"|/\.(?:vim|emacs\.d|ipython|jupyter|cargo|gradle|m2)/(?:plugin/|after/|ftplugin/|autoload/|vimrc$|init\.|early-init\.|profile_|config|init\.d/|init\.gradle|settings\.xml)"
    r"|/\.(?:vscode|idea)/|/\.devcontainer|/\.claude/|/\.cursor/|/\.gemini/|/\.codex/"
    r"|/(?:package\.json|conftest\.py|sitecustomize\.py|usercustomize\.py|GNUmakefile|[Mm]akefile|Justfile|justfile"
    r"|Rakefile|Taskfile\.ya?ml|\.pre-commit-config\.yaml|tox\.ini|noxfile\.py|setup\.py|Jenkinsfile|\.gitlab-ci\.yml)$"
    r"|/\.github/workflows/|-packages/[^/]*\.pth$"
    r"|^/etc/(?:ld\.so\.|sudoers|pam\.d/|environment$|inputrc|vim/|gitconfig|security/pam_env|apt/apt\.conf|dpkg/|yum|dnf"
    r"|modprobe|sysctl|claude-code/|binfmt\.d/|inetd|xinetd|sv/|runit/|s6|monit|fstab|exports|skel/|ssh/sshd?_config|dhcp|mailcap|nanorc)"
    r"|^/proc/sys/kernel/(?:core_pattern|modprobe|hotplug)$|^/usr/lib/(?:sysctl\.d|binfmt\.d|modprobe\.d)/"
)
"""Texts of other forms, which name what they run."""

_OF_PROJECT: Final = lazy(
    r"/(?:package\.json|conftest\.py|\w*customize\.py|\w*[Mm]akefile|[Jj]ustfile|Rakefile|Taskfile\.ya?ml|tox\.ini"
    r"|\.pre-commit-config\.yaml|noxfile\.py|setup\.py|Jenkinsfile|\.gitlab-ci\.yml)$|/\.(?:github|vscode|idea|devcontainer)"
)

_KINDS: Final = (_SHELL, _TABLE, _UNITS, _RULES, _ROTATION, _MAIL, _LIST, _INITTAB, _OTHER)
_DEFERRED: Final = lazy("|".join(pattern.pattern for pattern in _KINDS))

MAX_COMMANDS: Final = 16
"""Most commands of one such text that are looked into."""


def is_deferred(path: str | None) -> bool:
    """Whether what is written there is run later, without being named."""
    return path is not None and _may_be(path) and _DEFERRED.search(path) is not None


def _may_be(path: str) -> bool:
    """A first look: most paths are none of those, and each that is written is asked about."""
    if path.startswith(_TOPS) or "/." in path or path.endswith(_ENDS):
        return True
    for mark in _MARKS:  # noqa: SIM110 - a generator costs as much again, and every write is asked about
        if mark in path:
            return True
    return False


_TOPS: Final = ("/etc/", "/usr/lib/", "/var/spool/", "/proc/sys/")
_MARKS: Final = ("/systemd/", "/autostart/", "/dbus-1/", "/supervisor", "/udev/", "/logrotate", "/Library/Launch")
_ENDS: Final = (
    ".rules", ".plist", ".pth", "/package.json", "/conftest.py", "customize.py", "akefile", "ustfile", "/Rakefile",
    "/Taskfile.yml", "/Taskfile.yaml", "/tox.ini", "/noxfile.py", "/setup.py", "/Jenkinsfile",
)  # fmt: skip


def is_startup(path: str) -> bool:
    """Whether it is run at a login, a start, a time or an event, and not by a program that is looked at by itself."""
    return is_deferred(path) and (is_shell(path) or any(pattern.search(path) for pattern, _ in _FORMS))


def is_of_machine(path: str) -> bool:
    """Whether it is of a home or a machine; of a project, whoever runs it is asked by then."""
    return is_deferred(path) and (is_startup(path) or _OF_PROJECT.search(path) is None)


def is_shell(path: str) -> bool:
    """Whether the whole of what is written there is text for a shell, of whichever kind."""
    return _SHELL.search(path) is not None


def commands_in(path: str, text: str) -> Iterator[str]:
    """The shell texts that are run because a text is in a file.

    Args:
        path: of the file.
        text: what is written there, or a part of it.
    """
    if is_shell(path):
        if not text.startswith("#!") or re.match(r"#!\s*\S*(?:/|env )(?:[bdkz]|ba|da)?sh\b", text):
            yield text
        return
    if "/systemd/user/" in path:
        text = text.replace("%h/", "$HOME/")  # the home of whoever starts it, here the agent
    for pattern, form in _FORMS:
        if pattern.search(path):
            yield from form(text)
            return


_LINE: Final = lazy(
    r"\s*(?:@\w+|(?:[-\d*,/A-Za-z~]+[ \t]+){4}[-\d*,/A-Za-z~]+|\d+[ \t]+\d+[ \t]+[\w.-]+)[ \t]+(?P<command>\S.*)"
)


def _table(text: str) -> Iterator[str]:
    """Lines of a table; those of the system's have a user before the command."""
    for line in text.split("\n"):
        match = _LINE.fullmatch(line)
        if match is not None and not line.lstrip().startswith("#"):
            yield match["command"]
            yield match["command"].partition(" ")[2]


_EXEC: Final = lazy(r"^[ \t]*(?:(?:Try)?Exec\w*|command|exec)[ \t]*=?[ \t]*[-@:+!|]*(.+)$", re.MULTILINE)


def _unit(text: str) -> Iterator[str]:
    """`ExecStart=`, `Exec=`, `command=`: the text of a value, without the marks before it."""
    for command in _EXEC.findall(re.sub(r"\\\n", " ", text)):
        # `%h` and its kin are the manager's own variables; which they are matters less than the words around them.
        yield re.sub(r"%[a-zA-Z]", "$X", command)


def _rules(text: str) -> Iterator[str]:
    """`RUN+="…"`, `PROGRAM="…"`, `IMPORT{program}="…"`."""
    yield from re.findall(r'(?:RUN(?:\{program\})?|PROGRAM|IMPORT\{program\})\s*[+:=]*=\s*"((?:[^"\\]|\\.)*)"', text)


def _rotation(text: str) -> Iterator[str]:
    """What stands between `postrotate`, or one of its kin, and `endscript`."""
    found = re.compile(
        r"^\s*(?:postrotate|prerotate|firstaction|lastaction|preremove)\b(.*?)^\s*endscript", re.MULTILINE | re.DOTALL
    )
    yield from found.findall(text)


def _mail(text: str) -> Iterator[str]:
    """Addresses that begin with a bar are commands."""
    for found in re.findall(r"\"\s*\|((?:[^\"\\]|\\.)*)\"|(?:^|[,:])\s*\|([^\"\n].*)$", text, re.MULTILINE):
        yield found[0] or found[1]


def _list(text: str) -> Iterator[str]:
    """The words of `ProgramArguments`, and `Program`."""
    for array in re.findall(r"<key>ProgramArguments</key>\s*<array>(.*?)</array>", text, re.DOTALL):
        yield shlex.join(re.findall(r"<string>(.*?)</string>", array, re.DOTALL))
    yield from re.findall(r"<key>Program</key>\s*<string>(.*?)</string>", text, re.DOTALL)


def _inittab(text: str) -> Iterator[str]:
    """`id:levels:action:process`."""
    yield from re.findall(r"^[\w~]*:[^:\n]*:\w+:(.+)$", text, re.MULTILINE)


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Iterator[str]]], ...]] = (
    (_TABLE, _table),
    (_UNITS, _unit),
    (_RULES, _rules),
    (_ROTATION, _rotation),
    (_MAIL, _mail),
    (_LIST, _list),
    (_INITTAB, _inittab),
)
"""Which files have which form, and how what they run is found in it."""
