"""What the shell makes of words, where commands hide, and the texts that the parser is known to misread."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from guardrail.effects.domain._values import NAME
from guardrail.effects.shell._parameters import of_name
from tests.effects_support import NoFiles, codes, effects_of, said

FILE = Path(__file__).parent / "cases/effects/shell.toml"
CASES: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_command_gives_the_effects_that_bash_gives_it(case: dict[str, Any]) -> None:
    """Every line of the table, both what must be said and what must not."""
    found = said(case["command"])
    for want in case["says"]:
        assert want in found, found
    for wrong in case.get("not", ()):
        assert wrong not in found, found


HIDDEN = [
    "$ rm -r /models/a",
    "a <> /models/a",
    "case (a) in a) rm /models/a;; esac",
    "case a in a) true;& b) rm /models/a;; esac",
    "ls !(x); rm /models/a",
    "echo `echo \\`rm /models/a\\``",
    "cat <<E && rm /models/a\nx\nE",
    "> log rm /models/a",
    "rm > log /models/a",
    "r\\\nm /models/a",
    "rm /models/a\r",
    "ls\r\nrm /models/a\r\n",
    "\ufeffrm /models/a",
    "rm\u00a0/models/a; rm /models/a",
    "{ rm /models/a; }",
    "{rm /models/a; }",
    "if true; then rm /models/a; fi",
    "for i in 1; do rm /models/a; done",
    "function f { rm /models/a; }; f",
    "function f() ( rm /models/a ); f",
    "( (rm /models/a) )",
    "[[ a =~ b ]] || rm /models/a",
    "[[ a =~ $(rm /models/a) ]]",
    "cat <<'E'\n$(x)\nE\nrm /models/a",
    "cat <<E\n$(rm /models/a)\nE",
    "cat <<-E\n\tx\n\tE\nrm /models/a",
    "# x\nrm /models/a # y",
    "rm /models/a #x",
    "echo !!; rm /models/a",
    "diff <(rm /models/a) <(ls)",
    "coproc rm /models/a",
    "coproc x { rm /models/a; }",
    "time -p rm /models/a",
    "! rm /models/a",
    "rm /models/a &",
    "( rm /models/a ) & wait",
    "select x in a; do rm /models/a; done",
    "until rm /models/a; do :; done",
    "x=$(rm /models/a)",
    "x=(`rm /models/a`)",
    'declare x="$(rm /models/a)"',
    "echo ${x:-$(rm /models/a)}",
    "echo ${x/$(rm /models/a)/b}",
    "echo ${a[$(rm /models/a)]}",
    "echo $((a[$(rm /models/a)]))",
    "let 'a[$(rm /models/a)]=1'",
    "test -v 'a[$(rm /models/a)]'",
    "printf -v 'a[$(rm /models/a)]' x",
    "read 'a[$(rm /models/a)]' <<< x",
    "unset 'a[$(rm /models/a)]'",
    "x='a[$(rm /models/a)]'; echo ${!x}",
    "x='$(rm /models/a)'; echo ${x@P}",
    "x='a[$(rm /models/a)]'; (( x ))",
    "trap 'rm /models/a' EXIT",
    "alias ls='rm /models/a'\nls",
    "eval 'rm' /models/a",
    "eval \"$(echo 'rm /models/a')\"",
    ". <(echo rm /models/a)",
    "bash <(echo rm /models/a)",
    "bash <<< 'rm /models/a'",
    "sh -c 'sh -c \"rm /models/a\"'",
    "su -c 'rm /models/a'",
    "script -qc 'rm /models/a' /dev/null",
    "flock /tmp/l sh -c 'rm /models/a'",
    "parallel rm ::: /models/a",
    "unshare -r rm /models/a",
    "nsenter -t 1 -m rm /models/a",
    "tmux send-keys 'rm /models/a' Enter",
    "watch rm /models/a",
    "busybox rm /models/a",
    "exec rm /models/a",
    "command rm /models/a",
    "builtin eval rm /models/a",
    "xargs rm <<< /models/a",
    "find /models -delete",
    "find /models/a -exec sh -c 'rm \"$1\"' _ {} \\;",
]


@pytest.mark.parametrize("command", HIDDEN)
def test_a_command_is_found_or_the_text_is_opaque(command: str) -> None:
    """Wherever it hides: it is deleted, or something that is not known is said to run."""
    found = said(command)
    seen = any(line.startswith("delete") and ("/models" in line or "**" in line) for line in found)
    named = "mention /models/a" in found
    assert seen or named or codes(command) & {"dynamic", "unparsed", "inline"}, found


@pytest.mark.parametrize(
    "command",
    [
        'for f in *.txt; do echo "${f%.txt}"; done',
        'x=${1:-default}; echo "$x"',
        'args=(); args+=(--verbose); ls "${args[@]}"',
        'while read -r l; do echo "$l"; done < names.txt',
        'for ((i = 0; i < 3; i++)); do echo "$i"; done',
        "make 2>&1 | tee >(grep error > errors.log) | tail",
        "find . -name '*.py' -exec grep -l TODO {} +",
        "git ls-files | xargs -n 10 wc -l",
        'case "$1" in start) echo go;; *) echo usage;; esac',
        "n=$(wc -l < names.txt); echo $((n + 1))",
        'IFS=, read -r a b <<< "1,2"; echo "$a"',
        "ssh host uptime",
        "docker exec app ls /srv",
        'local_time=$(date +%s); echo "${local_time}"',
    ],
)
def test_ordinary_scripts_are_read_without_a_question(command: str) -> None:
    """Nothing in them is unknown code."""
    assert not codes(command) & {"dynamic", "unparsed", "inline"}, said(command)


def test_a_file_that_is_read_gives_its_lines() -> None:
    """As it is now, if the call leaves it alone; what is no name is not put into words that others may print."""
    view = NoFiles({"/w/l": b"/a\n/models\n", "/w/s.sh": b"rm -r /models\n"})
    assert "delete /models" in said("xargs -a l rm -r", view=view)
    assert "delete /models" in said("bash < s.sh", view=view)
    assert "delete /models" in said("tail -n 1 s.sh | sh", view=view)
    assert "delete /models" in said("rm -r $(tail -n 1 l)", view=view)
    assert "delete **" in said('rm -r "$(cat p)"', view=NoFiles({"/w/p": b"user:pass\n"}))
    assert "delete **" in said("date > l; rm -r $(tail -n 1 l)", view=view)


CUT = [
    ("%", ".*", "", "docs/{}.mov"), ("%", ".*", "", "docs/{}"), ("%%", ".*", "", "docs/{}.tar"),
    ("%%", ".*", "", "a.d/{}"),
    ("%", "_*", "", "{}.csv"), ("%%", "-*", "", "x/{}"), ("##", "*/", "", "docs/{}.x"), ("#", "docs/", "", "docs/{}"),
    ("/", "a", "z9", "docs/{}.x"), ("//", "b", "y", "{}"), ("^^", "", "", "docs/{}.x"), (",,", "", "", "{}.X"),
]  # fmt: skip
"""Operators with what stands to their right, and the value of a variable in which a name is not known."""

NAMES = ["a", "b.c", ".hidden", "a_b-c.d", "ab.", "A", "..b", "a.b.c", "b_", "aab"]


@pytest.mark.parametrize("case", CUT, ids=str)
def test_what_bash_cuts_from_a_name_is_within_what_is_told(case: tuple[str, str, str, str]) -> None:
    """Whatever the name is, the result is one that the abstract text stands for; bash itself says so."""
    op, pattern, other, text = case
    told = of_name(op, text.format(NAME), pattern, other)
    assert told is not None
    want = ".*".join(re.escape(part) for part in told.split(NAME)).replace(".*", "[^/]*")
    operator = f"{op}{pattern}/{other}" if op[0] == "/" else f"{op}{pattern}"
    script = "".join(f"x='{text.format(name)}'; printf '%s\\n' \"${{x{operator}}}\"\n" for name in NAMES)
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, timeout=60)
    found = done.stdout.splitlines()
    assert len(found) == len(NAMES)
    assert [one for one in found if not re.fullmatch(want, one)] == []


def test_a_log_of_which_the_name_ends_otherwise_is_not_the_makefile() -> None:
    """A name that is not known in its middle is told apart by its end."""
    view = NoFiles({"/tmp/p/Makefile": b"test:\n\tls\n"}, dirs=("/tmp", "/tmp/p"))
    for name, authored in (('/tmp/x-"$N".log', False), ('/tmp/"$N"', True), ('"$N"/Makefile', True)):
        found = effects_of(f"echo x > {name}; make", cwd="/tmp/p", view=view)
        assert any(effect.attrs.get("authored") for effect in found) is authored, name


@pytest.mark.parametrize("leading", [False, True])
def test_a_name_of_which_the_beginning_is_known_leads_away_only_through_what_begins_so(leading: bool) -> None:
    """`x-$N` may be `x-d/../p/Makefile` where `x-d` is a directory, and is a name in `/tmp` where nothing is."""
    dirs = ("/tmp", "/tmp/p", *(("/tmp/x-d",) if leading else ()))
    view = NoFiles({"/tmp/p/Makefile": b"test:\n\tls\n"}, dirs=dirs)
    found = effects_of('echo x > /tmp/x-"$N"; make', cwd="/tmp/p", view=view)
    assert any(effect.attrs.get("authored") for effect in found) is leading
