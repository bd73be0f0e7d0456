"""Words, quoting and redirections, compared with the bash of this host."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from guardrail.config import LimitConfig
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NUM, SOMETHING, TOP
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.parse import parse_shell
from guardrail.parse.ir import Opaque, Simple
from tests.effects_support import NoFiles, effects_of

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SETTINGS = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
PRELUDE = "X='a b'; Y=c; Z=; G='d*e'; set -- p 'q r'\n"

PLAIN = st.text("abzAZ09_./:=@%+,^-", min_size=1, max_size=5)
QUOTED = st.text('ab $*?{},;|&<>()#~!\\`"', max_size=5).map(lambda t: f"'{t}'")
INSIDE = st.lists(
    st.one_of(
        st.text("ab *?{},;|&<>()#~' ", max_size=4),
        st.sampled_from(["$X", "${Y}", "\\$", '\\"', "\\\\", "\\`", "\\a", "$Z", "$@", "$1", "${X%b}", "${X#a}", "$"]),
    ),
    max_size=4,
).map(lambda parts: '"' + "".join(parts) + '"')
ANSI = st.lists(
    st.sampled_from(["a", " ", "\\n", "\\t", "\\x41", "\\101", "\\\\", "\\'", "\\u00e9", "é", "$X", "*"]), max_size=4
)
FRAGMENT = st.one_of(
    PLAIN,
    QUOTED,
    INSIDE,
    ANSI.map(lambda parts: "$'" + "".join(parts) + "'"),
    st.sampled_from(
        ["$X", "${Y}", "$Z", "$Y$Y", "\\ ", "\\*", "\\$", "\\\n", "{a,b}", "{1..3}", "{a,b", "}", "$@", "$2"]
    ),
    st.sampled_from(["*", "?", "[ab]", "~", "{x,$Y}", "{03..1}", "{b..d..2}", "$", "{}", "{a}", "$#", "#", "!"]),
)
WORD = st.lists(FRAGMENT, min_size=1, max_size=4).map("".join)
REDIRECT = st.sampled_from([">/dev/null", "2>&1", "</dev/null", ">> /dev/null", "3<&-", "&>/dev/null", "2> /dev/null"])
LINE = st.lists(st.one_of(WORD, WORD, WORD, REDIRECT), min_size=1, max_size=6).map(" ".join)


def by_bash(line: str, directory: Path) -> list[str] | None:
    """The words that bash passes to a command; None if it refuses the line."""
    script = 'frob() { printf "%s\\0" "$#" "$@" >&9; }\n' + PRELUDE + "frob " + line
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            ["bash", "--norc", "-c", f"exec 9>&{write}\n{script}"],
            pass_fds=(write,),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": "/home/a", "LC_ALL": "C.UTF-8"},
        )
        os.close(write)
        write = -1
        with os.fdopen(read, "rb") as pipe:
            read = -1
            data = pipe.read()
        process.wait(timeout=10)
    finally:
        for descriptor in (read, write):
            if descriptor >= 0:
                os.close(descriptor)
    words = data.decode("utf-8", "surrogateescape").split("\0")[:-1]
    if not words or words[0] != str(len(words) - 1):
        return None
    return words[1:]


def by_us(line: str, directory: Path) -> list[str] | None:
    """The words that we think it is passed; None if we say that we do not know."""
    script = parse_shell(PRELUDE + "frob " + line)
    if any(isinstance(statement, Opaque) for statement in script.body):
        return None
    shell = Interpreter(NoFiles(), LimitConfig(), {"HOME": "/home/a"}, str(directory))
    state = State((str(directory),))
    for statement in script.body[:-1]:
        shell.statement(statement, state, SOMETHING)
    last = script.body[-1]
    if not isinstance(last, Simple) or not last.words or last.words[0].plain != "frob":
        return None  # the fragments gave several commands
    (vector,) = shell.expand.alternatives(last.words, state)
    if any(field.many or TOP in field.text or NUM in field.text for field in vector):
        return None
    return [field.text for field in vector[1:]]


@SETTINGS
@given(line=LINE)
@example(line="a > /dev/null b 2>&1 c")
@example(line='"$@" x"$@"y \'\' "" $Z "$Z"')
@example(line="a\\\nb {a,b}{1..2} $'\\x41\\n' \"\\a\\$\"")
@example(line="0\\\n 2>&1")
@example(line="$\\\n0")
@example(line="\\ 0")
@example(line="{x,$Y}0")
@example(line='$X$Y "$X"$X ${X%b}z')
def test_words_are_those_that_bash_passes(line: str, tmp_path: Path) -> None:
    """Whatever we claim to know about the words of a command is what bash makes of them."""
    ours = by_us(line, tmp_path)
    if ours is None:
        return
    theirs = by_bash(line, tmp_path)
    if theirs is not None:
        assert ours == theirs


WORDS_OF_BASH = "a && ; || ( ) { } if then fi do done while ! > < $( ' \" ` & esac ;; f() # |".split()
TOKEN = st.sampled_from([*WORDS_OF_BASH, "\n", "for x in", "case a in"])


@settings(max_examples=60)
@given(text=st.lists(TOKEN, max_size=8).map(" ".join))
def test_what_bash_accepts_is_never_silence_about_a_command(text: str) -> None:
    """A text that bash accepts and that runs something unknown always gives an effect."""
    command = f"{text}\nunknowncommand /models/a"
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, timeout=10, check=False)
    if checked.returncode == 0 and b"warning" not in checked.stderr:
        found = effects_of(command)
        assert any(effect.op in ("exec_opaque", "mention") for effect in found)


@settings(max_examples=150)
@given(text=st.text(max_size=60))
def test_any_text_at_all_is_analysed_without_an_error(text: str) -> None:
    """No input raises; what is not understood is an effect."""
    effects_of(text)


@settings(max_examples=100)
@given(words=st.lists(WORD, max_size=5))
def test_quoting_does_not_change_what_a_command_does(words: list[str]) -> None:
    """`rm` is `rm`, however it is spelled."""
    rest = " ".join(words)
    spelled = [effects_of(f"{name} {rest}") for name in ("rm", "'r'm", '"rm"', "\\rm", "$'\\x72m'", "r\\\nm")]
    bare = [[(e.op, e.resource, e.attrs) for e in effects] for effects in spelled]
    assert all(one == bare[0] for one in bare)


@settings(max_examples=300)
@given(
    text=st.text(
        alphabet=st.one_of(st.sampled_from("{}<>$()'\"\\ \n-=a"), st.characters(min_codepoint=0x80)), max_size=40
    )
)
def test_characters_beyond_ascii_never_reach_the_grammar(text: str) -> None:
    """The grammar's scanner reads out of bounds for them, which has killed the process; here it would kill this one."""
    effects_of(text)
