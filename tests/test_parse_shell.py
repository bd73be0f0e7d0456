"""Shell text becomes our own tree; the silent misparses of the parser are repaired or said."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.parse import parse_shell
from guardrail.parse._plain import plain_command
from guardrail.parse._shell import parse_by_grammar
from guardrail.parse.ir import AndOr, Block, Group, Loop, Opaque, Pipeline, Redirected, Simple, Statement


def simple(statement: Statement) -> list[Simple]:
    """The simple commands in a statement, in order."""
    if isinstance(statement, Simple):
        return [statement]
    if isinstance(statement, Pipeline):
        return [one for stage in statement.stages for one in simple(stage)]
    if isinstance(statement, AndOr):
        return [*simple(statement.first), *(one for _, right in statement.rest for one in simple(right))]
    if isinstance(statement, Group):
        return of(statement.body)
    if isinstance(statement, Redirected):
        return simple(statement.body)
    if isinstance(statement, Loop):
        return [*of(statement.condition), *of(statement.body)]
    return []


def of(block: Block) -> list[Simple]:
    """The simple commands in a block."""
    return [one for statement in block for one in simple(statement)]


def words(text: str) -> list[list[str | None]]:
    """The words of every simple command; None for one that is expanded."""
    return [[word.plain for word in command.words] for command in of(parse_shell(text).body)]


def opaque(text: str) -> str | None:
    """Why a text is not vouched for."""
    return next((s.reason for s in parse_shell(text).body if isinstance(s, Opaque)), None)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("rm > log -rf /models", [["rm", "-rf", "/models"]]),
        ("rm 2>/dev/null -rf /models", [["rm", "-rf", "/models"]]),
        ("> log rm -rf /models", [["rm", "-rf", "/models"]]),
        ("a | b > f x", [["a"], ["b", "x"]]),
        ("a && b | c > f x", [["a"], ["b"], ["c", "x"]]),
        ("rm /mod\\\nels", [["rm", "/models"]]),
        ("rm \\\n  /models", [["rm", "/models"]]),
        ("echo `a` `b`", [["echo", None, None]]),
        ("find $A/$B/x", [["find", None]]),
        ("python - <<'E'\nx\nE", [["python", "-"]]),
        ("cat <<E && rm x\nhi\nE\nls", [["cat"], ["rm", "x"], ["ls"]]),
        ("cat <<E | tee f\nx\nE", [["cat"], ["tee", "f"]]),
        ("cat <<-E > f a\n\tx\n\tE", [["cat", "a"]]),
        ("A=1 B=2\nls", [[], ["ls"]]),
        ("'r'm $'\\x2dr' \"/mod\"els", [["rm", "-r", "/models"]]),
        ("while read l <&3; do x; done 3<f", [["read", "l"], ["x"]]),
        ("a; b & c", [["a"], ["b"], ["c"]]),
        ("ls # rm x\npwd", [["ls"], ["pwd"]]),
    ],
)
def test_the_words_of_a_command_are_all_there(text: str, want: list[list[str | None]]) -> None:
    """Each class of silent misparse that is repaired, and a few plain lines."""
    assert words(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "head -200>f",
        "ls a \\ | b",
        "coproc nc -l 9",
        "rm 'x",
        "cat <<A <<B\n1\nA\n2\n",
        "echo ${a[$(ls)x]}",
        "a[x$(ls)]=1",
        "echo $((a[0]))",
        "echo $[1+1]",
        "ls\0x",
        "f() { ls; } > x",
        "a <> b",
        "echo $'a\\0b'",
        "ls\rrm x",
    ],
)
def test_what_cannot_be_vouched_for_is_opaque(text: str) -> None:
    """Text that no tree stands for exactly is never read as something else."""
    assert opaque(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "for i in a b; do c $i; done",
        "if a; then b; elif c; then d; else e; fi > x",
        "case $x in a|b) c;; *) d;; esac",
        "f() { a; }; f",
        "[[ -f x && $y =~ ^a.*b$ ]]",
        "for ((i=0;i<3;i++)); do c; done",
        "x=$((y * (2 + 3)))",
        "echo ${x:-a} ${x%.*} ${#x} ${x/a/b} ${x^^} ${x:0:3} ${x[@]}",
        "echo ${!x} ${x@P} ${#a[@]} ${a[@]:1:2} ${x//a/b} ${x/#a/b} ${!a[@]} ${x:2:2}",
        "a[0]=x a[i]+=y; m=([k]=v ['k l']=w); declare -A n=([a]=b)",
        "diff <(a) <(b)",
        "a 2>&1 | b |& c",
        'x=(a b "c d")',
        'echo "${1+"$@"}"',
        "set -euo pipefail",
        "select i in a; do b; done",
        "echo {a,b}{1..3}",
        "((i++))",
    ],
)
def test_ordinary_constructs_are_modelled(text: str) -> None:
    """The lint has no false alarm on them."""
    assert opaque(text) is None


def test_an_opaque_text_is_kept_for_its_mentions() -> None:
    """What it names can still be looked for."""
    (statement,) = parse_shell("rm '/models").body
    assert isinstance(statement, Opaque)
    assert statement.text == "rm '/models"


def test_text_beyond_unicode_is_opaque_and_no_error() -> None:
    """A lone surrogate that is no byte."""
    assert opaque("ls \ud800") is not None
    assert opaque("ls \udcff") is None


def test_threads_do_not_share_a_parser() -> None:
    """Each thread has its own, and all agree."""
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(words("rm > log -rf /models"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert found == [[["rm", "-rf", "/models"]]] * 4


def test_a_long_text_is_parsed_in_bounded_time() -> None:
    """Nothing here is quadratic in the length of a line."""
    assert len(words("ls " + "a " * 20_000)[0]) == 20_001


_NAMES = st.sampled_from(("ls", "git", "time", "export", "if", "done", "local", "unset", "[[", "1", "-", ":", "a.b/c"))
_WORDS = st.text("abz019_./:=@%+,^- ~*'\"$;|&#\n", max_size=12)


@given(first=_NAMES | _WORDS, rest=st.lists(_WORDS | _NAMES, max_size=4))
def test_a_plain_command_read_without_the_grammar_is_what_the_grammar_reads(first: str, rest: list[str]) -> None:
    """The short way has no opinion of its own."""
    text = " ".join((first, *rest))
    found = plain_command(text)
    if found is not None:
        by_grammar = parse_by_grammar(text)
        assert found == by_grammar or isinstance(by_grammar.body[0], Opaque)
        if not set(text) & set("'\"|&;*~$="):
            assert [word.plain for word in simple(found.body[0])[0].words] == text.split()


@pytest.mark.parametrize("text", ["a=1", "a=$b c", "~ x", "x [~]/y", "export a", "time ls", "done", "a\tb", "", " "])
def test_what_is_more_than_plain_words_is_left_to_the_grammar(text: str) -> None:
    """Lone assignments, tildes of a command, brackets, declarations, reserved words and odd blanks are not plain."""
    assert plain_command(text) is None


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("a && b $(c) > f | d", "a && { b $(c) > f | d; }"),
        ("a | b $(c) > f && d", "{ a | b $(c) > f; } && d"),
        ("a || b `c` 1>&2 && d", "{ a || b `c` 1>&2; } && d"),
        ("a $(x) && b > f |& c || d", "{ a $(x) && { b > f |& c; }; } || d"),
    ],
)
def test_a_pipe_binds_tighter_than_a_chain_also_around_a_redirection(text: str, grouped: str) -> None:
    """The grammar takes the chain before the redirection for one stage of a pipeline, which bash does not."""
    assert shape(parse_by_grammar(text).body[0]) == shape(parse_by_grammar(grouped).body[0])


def shape(statement: Statement) -> object:
    """The operators of a statement with the names of its commands, brackets left out."""
    if isinstance(statement, Group):
        return shape(statement.body[0])
    if isinstance(statement, Pipeline):
        return ("|", *(shape(stage) for stage in statement.stages))
    if isinstance(statement, AndOr):
        found = shape(statement.first)
        for sign, one in statement.rest:
            found = (sign, found, shape(one))
        return found
    assert isinstance(statement, Simple)
    return statement.words[0].plain
