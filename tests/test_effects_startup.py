"""What is written to a place where it runs later is judged when it is written: nobody is asked when it runs."""

from __future__ import annotations

import shlex

import pytest

from guardrail.effects import analyse
from guardrail.effects.domain._startup import commands_in, is_deferred
from guardrail.model import Edit
from guardrail.parse import FileOperation
from tests.effects_support import LIMITS, NoFiles, effects_of, text

HOME = {"HOME": "/home/a"}
UNIT = '[Service]\nType=oneshot\nExecStartPre=-/bin/true\nExecStart=/bin/sh -c "cd /mod""els; rm a"\n'
PIECES = 'd=/mod; rm "${d}els/a"\n'
DELAYED = {
    "/etc/profile.d/x.sh": PIECES,
    "/etc/cron.daily/x": f"#!/bin/sh\n{PIECES}",
    "/etc/cron.d/x": "PATH=/bin\n# often\n*/5 * * * * root cd /mod''els; rm a\n",
    "/etc/crontab": "@daily root cd /mod''els && rm a\n",
    "/etc/systemd/system/x.service": UNIT,
    "/home/a/.config/systemd/user/x.service": UNIT,
    "/home/a/.config/autostart/x.desktop": "[Desktop Entry]\nExec=/bin/sh -c \"cd /mod''els; rm a\" %U\n",
    "/home/a/.bashrc": PIECES,
    "/home/a/.zshrc": PIECES,
    "/home/a/.xprofile": PIECES,
    "/home/a/.ssh/rc": PIECES,
    "/home/a/.forward": "\"|cd /mod''els; rm a\"\n",
    "/etc/udev/rules.d/9.rules": 'ACTION=="add", RUN+="/bin/sh -c \'cd /models; rm a\'"\n',
    "/etc/logrotate.d/x": f"/var/log/x {{\n  weekly\n  postrotate\n    {PIECES}  endscript\n}}\n",
    "/etc/supervisor/conf.d/x.conf": "[program:x]\ncommand=/bin/sh -c \"cd /mod''els; rm a\"\n",
    "/etc/inittab": "x:2345:respawn:/bin/rm /models/a\n",
    "/home/a/Library/LaunchAgents/x.plist": (
        "<key>ProgramArguments</key><array><string>/bin/sh</string><string>-c</string>"
        "<string>cd /mod''els; rm a</string></array>"
    ),
    "/w/.git/hooks/pre-commit": f"#!/bin/sh\n{PIECES}",
}


@pytest.mark.parametrize("path", DELAYED)
@pytest.mark.parametrize("command", ["printf %s {text} > {path}", "printf %s {text} | tee -a {path}", "cp e {path}"])
def test_what_runs_later_is_judged_when_it_is_brought_there(path: str, command: str) -> None:
    """By a redirection, by a program, and from another file."""
    view = NoFiles({"/models/a": b"w", "/w/e": DELAYED[path].encode()}, ("/w", "/models"))
    line = command.format(text=shlex.quote(DELAYED[path]), path=path)
    found = effects_of(line, view=view, variables=HOME)
    assert "delete /models/a" in [text(effect) for effect in found]
    assert {effect.modality for effect in found if effect.op == "delete"} == {"may"}


HONEST = {
    "/home/a/.bashrc": 'eval "$(pyenv init -)"\nexport PATH="$HOME/bin:$PATH"\n[ -f ~/.x ] && . ~/.x\nPS1="\\w $ "\n',
    "/home/a/.zshrc": "autoload -Uz compinit && compinit\nplugins=(git)\nsource $ZSH/oh-my-zsh.sh\n",
    "/home/a/.config/fish/config.fish": "if status is-interactive\n  starship init fish | source\nend\n",
    "/home/a/.config/systemd/user/x.service": "[Service]\nWorkingDirectory=%h/x\nExecStart=/usr/bin/node server.js\n",
    "/w/.git/hooks/pre-commit": "#!/bin/sh\nset -e\nnpm test\n",
}


@pytest.mark.parametrize("path", HONEST)
def test_an_honest_text_for_later_brings_no_question(path: str) -> None:
    """Start-up files are full of code that nobody follows; what they name is mentioned."""
    found = effects_of(f"printf %s {shlex.quote(HONEST[path])} >> {path}", variables=HOME)
    assert not [e for e in found if e.attrs.get("code") in ("inline", "dynamic", "unparsed") or e.attrs.get("authored")]
    assert not [text(e) for e in found if e.op in ("delete", "write", "append") and e.resource.pattern is not None]


def test_what_runs_later_changes_nothing_about_what_the_call_finds() -> None:
    """A file that only a later shell writes holds what it held."""
    view = NoFiles({"/w/s.sh": b"true\n"}, ("/w",))
    found = effects_of("echo 'echo rm /models/a > /w/s.sh' >> ~/.bashrc; sh s.sh", view=view, variables=HOME)
    assert "delete /models/a" not in [text(effect) for effect in found]
    assert not [effect for effect in found if effect.attrs.get("authored")]


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("systemctl --user enable --now /w/e", UNIT),
        ("logrotate -f e", f"/x {{\n  postrotate\n{PIECES}  endscript\n}}\n"),
        ("supervisord -c e", "[program:x]\ncommand=/bin/rm /models/a\n"),
        ("procmail ./e", ":0\n| rm /models/a\n"),
    ],
)
def test_a_file_that_is_given_to_what_runs_such_files_is_judged_as_one(command: str, file: str) -> None:
    """Wherever it lies."""
    view = NoFiles({"/models/a": b"w", "/w/e": file.encode()}, ("/w", "/models"))
    assert "delete /models/a" in [text(effect) for effect in effects_of(command, view=view, variables=HOME)]


def test_what_is_brought_there_and_not_known_is_a_script() -> None:
    """Whether the session wrote it is for the history to say."""
    found = effects_of("hostname > e; cp e ~/.profile", variables=HOME)
    assert [e.resource.path for e in found if e.attrs.get("authored")] == ["/w/e"]
    assert not [e for e in effects_of("hostname > e; cp e notes.txt", variables=HOME) if e.attrs.get("authored")]


@pytest.mark.parametrize(
    "path",
    "/etc/ld.so.preload /etc/environment /home/a/.pam_environment /home/a/.config/nvim/init.lua /home/a/.gitconfig "
    "/proc/sys/kernel/core_pattern /w/.envrc /w/Makefile /w/.github/workflows/a.yml /etc/sudoers.d/x "
    "/usr/lib/python3/dist-packages/x.pth /etc/skel/.bashrc /home/a/.config/environment.d/x.conf".split(),
)
def test_a_path_in_a_text_that_other_programs_run_is_mentioned(path: str) -> None:
    """Of whatever form the text is."""
    assert is_deferred(path)
    assert "mention /models/a" in [text(effect) for effect in effects_of(f"echo 'x /models/a' > {path}")]


def test_what_is_no_command_in_such_a_file_is_none() -> None:
    """Comments, variables, descriptions and arguments."""
    assert list(commands_in("/etc/cron.d/x", "# * * * * * root rm /a\nMAILTO=root\n")) == []
    assert list(commands_in("/etc/systemd/system/x.service", "Description=Exec rm\nEnvironment=A=b\n")) == []
    assert list(commands_in("/home/a/.forward", "a@example.com, b@example.com\n")) == []
    assert list(commands_in("/home/a/.vimrc", "set number\n")) == []
    assert not is_deferred("/w/src/app.py")


def _tool(operation: FileOperation, files: dict[str, str]) -> list[str]:
    view = NoFiles({"/models/a": b"w", **{name: data.encode() for name, data in files.items()}}, ("/w", "/models"))
    found = analyse((operation,), cwd="/w", view=view, limits=LIMITS, variables=HOME)
    return [text(effect) for effect in found]


@pytest.mark.parametrize("path", DELAYED)
def test_a_tool_that_writes_a_text_for_later_is_judged_as_a_shell_is(path: str) -> None:
    """A new file, a text that is added, and a copy of another file."""
    whole = Edit(kind="whole", text=DELAYED[path])
    assert "delete /models/a" in _tool(FileOperation(verb="write", path=path, edit=whole), {})
    more = Edit(kind="append", text=DELAYED[path])
    assert "delete /models/a" in _tool(FileOperation(verb="append", path=path, edit=more), {path: "# mine\n"})
    assert "delete /models/a" in _tool(FileOperation(verb="copy", path="/w/e", target=path), {"/w/e": DELAYED[path]})


def test_what_stood_in_a_text_for_later_before_an_edit_is_not_judged_again() -> None:
    """Only the lines that are new."""
    old = "export MODEL=/models/a\nalias x=y\n"
    edit = Edit(kind="replace", old="x=y", text="x=z")
    found = _tool(FileOperation(verb="edit", path="/home/a/.bashrc", edit=edit), {"/home/a/.bashrc": old})
    assert "mention /models/a" not in found
    edit = Edit(kind="replace", old="alias x=y", text="rm /models/a")
    found = _tool(FileOperation(verb="edit", path="/home/a/.bashrc", edit=edit), {"/home/a/.bashrc": old})
    assert "delete /models/a" in found


def test_a_tool_that_writes_a_file_of_a_project_is_asked_about_when_that_runs() -> None:
    """A makefile names what it likes; an editor's start file is run by whoever starts the editor."""
    edit = Edit(kind="whole", text="x: /models/a\n")
    assert _tool(FileOperation(verb="write", path="/w/Makefile", edit=edit), {}) == ["write /w/Makefile"]
    assert "mention /models/a" in _tool(FileOperation(verb="write", path="/home/a/.vimrc", edit=edit), {})
