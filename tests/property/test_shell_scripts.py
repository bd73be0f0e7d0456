"""Whole scripts, compared with the bash of this host: what a command is called with is among what we say it may be."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NAME, NOTHING, NUM, PATH, REF, TOKEN, TOP, Field, Stream
from guardrail.effects.shell import _simple
from tests.effects_support import effects_of

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Rolls = random.Random


def by_bash(script: str, directory: Path) -> list[list[str]]:
    """Every argument vector that bash calls `frob` with; none if it does not end."""
    recorder = 'frob() { printf "%s\\0" "$#" "$@" >&9; }\n'
    out = directory / "recorded"
    with out.open("wb") as record:
        try:
            subprocess.run(
                ["bash", "--norc", "-c", f"exec 9>&{record.fileno()}\n{recorder}{script}"],
                pass_fds=(record.fileno(),),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=5,
                check=False,
                env={"PATH": os.environ["PATH"], "HOME": "/home/a", "LC_ALL": "C.UTF-8"},
            )
        except subprocess.TimeoutExpired:
            return []
    words = out.read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    vectors: list[list[str]] = []
    while words and words[0].isdigit():
        count = int(words[0])
        vectors.append(words[1 : 1 + count])
        words = words[1 + count :]
    return vectors


def by_us(script: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[re.Pattern[str]] | None:
    """Patterns of what we say `frob` may be called with; None if we say that we do not know."""
    found: list[re.Pattern[str]] = []
    real: Callable[..., Stream] = _simple.run_command

    def recorded(call: Call, vector: Sequence[Field], **more: Any) -> Stream:
        if vector and vector[0].known and vector[0].text == "frob":
            found.append(re.compile("".join(map(pattern, vector[1:])), re.DOTALL))
            return NOTHING
        return real(call, vector, **more)

    with monkeypatch.context() as patched:
        patched.setattr(_simple, "run_command", recorded)
        effects = effects_of(script, cwd=str(directory))
    opaque = any(e.op == "exec_opaque" and e.attrs["code"] in ("dynamic", "script", "unparsed") for e in effects)
    return None if opaque else found


MARKS = (
    (TOKEN, r"[^\0\s/*?\[\]]*"),
    (REF, r"[^\0\s*?\[\]]*"),
    (NAME, "[^\0/]*"),
    (PATH, "[^\0]*"),
    (TOP, "[^\0]*"),
    (NUM, "-?[0-9]*"),
)
"""What may stand for each mark of what is not known; longer ones first."""


def pattern(field: Field) -> str:
    """What a field may be, each word with a NUL behind it."""
    if field.many or field.glob is not None:
        return "(?:[^\0]*\0)*"
    text = re.escape(field.text)
    for mark, some in MARKS:
        text = text.replace(re.escape(mark), some)
    return text + "\0"


def holds(script: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth is among what we say, or we say that we do not know."""
    ours = by_us(script, directory, monkeypatch)
    if ours is None:
        return
    for vector in by_bash(script, directory):
        line = "".join(word + "\0" for word in vector)
        assert any(one.fullmatch(line) for one in ours), (script, vector, ours)


VALUES = "'' 'a' '/srv/models' 'x*y' abc.tar.gz c 'a  b' AbC 12 - a/b/c".split(" ")
PATTERNS = ["a", "*", "?", "*.", ".*", "b*", "/*", "*/", "[ab]", '"*"', "$Y", '"$Y"', "\\*", "..", "%", "[a-z]*"]
ARGUMENTS = ["d", '"d e"', "$Y", '"$Y"', "/m/x", "a*", "", "$X$Y", "d e"]


def operator(rolls: Rolls) -> str:
    """One `${…}`."""
    name = rolls.choice("XYZU")
    tail = rolls.choice(
        [
            rolls.choice([":-", "-", ":=", "=", ":+", "+", ":?"]) + rolls.choice(ARGUMENTS),
            rolls.choice(["#", "##", "%", "%%"]) + rolls.choice(PATTERNS),
            rolls.choice(["/", "//", "/#", "/%"])
            + rolls.choice(PATTERNS)
            + rolls.choice(["", "/", "/z", "/$Y", "/a b"]),
            rolls.choice(["^", "^^", ",", ",,", "@Q", "@U", "@u", "@L"]),
            ":" + rolls.choice(["0", "1", " -1", "N", "N+1"]) + rolls.choice(["", ":1", ":2", ":N", ":0"]),
        ]
    )
    return rolls.choice(["${%s%s}" % (name, tail), "${#%s}" % name])  # noqa: UP031 - braces


def operators(rolls: Rolls) -> str:
    """A script with operators of `${…}`."""
    lines = [f"N={rolls.randrange(4)}", *(f"{name}={rolls.choice(VALUES)}" for name in "XYZ")]
    lines += rolls.sample(["unset X", "if test -e /zz; then Y=other; fi"], rolls.randrange(2))
    words = [rolls.choice(['"{}"', "{}", "x{}", '"a{}b"']).replace("{}", operator(rolls)) for _ in range(3)]
    return "\n".join([*lines, "frob " + " ".join(words), 'frob "$X" "$Y" "$Z"'])


STEPS = """a=(a 'b c' /x)
a=($Y "$Y" '')
a+=(z {1..3})
a[1]=v
a[i]="$Y"
a[-1]=w
a=s
declare -A m=([k]=v ["x y"]="$Y")
m[k]=w
unset a
a=("${a[@]:1}")
set -- "$@" "${a[@]}"
shift
i=$((i+1))
unset 'a[0]'
f() { local a=(1 2); a+=(3); frob "${a[@]}"; }; f
IFS=:
read -r -a a <<< "1 2 3"
mapfile -t a <<< "x y"
for q in "${a[@]}"; do frob "$q"; done""".split("\n")
LOOKS = """"${a[@]}"
${a[@]}
"${a[*]}"
${#a[@]}
"${a[0]}"
"${a[i]}"
"${a[-1]}"
"${a[@]:1:2}"
"${!a[@]}"
"$@"
"${@:2}"
$#
"${m[k]}"
"${a[@]/a/z}"
"${a[@]%%b*}"
x"${a[@]}"y
"${a[@]:-none}"
"$*"
"${a[@]^^}\"""".split("\n")


def arrays(rolls: Rolls) -> str:
    """A script with arrays and positional parameters."""
    lines = ["Y='p q'; i=1; set -- one 'two three' four", *rolls.choices(STEPS, k=rolls.randrange(1, 5))]
    return "\n".join([*lines, "frob " + " ".join(rolls.choices(LOOKS, k=3))])


FILTERS = """echo a b
printf "%s\\n" $x $y
seq 1 3
rev <<< "$x"
echo $x | tr a-z A-Z
echo "L21vZGVscw==" | base64 -d
printf "a\\nb\\n" | head -n1
printf "\\x2fm"
echo -e "a\\tb"
echo $x | sed s/a/b/
dirname /a/$x
echo a:b:c | cut -d: -f2
printf "%03d" $i
false && echo x
cat <(echo $x)""".split("\n")
SIMPLE = """x=a
y="$x$y"
x="${x%a}"
i=$((i+1))
((j+=2))
let i=i+1
set -- "$x" "$y"
read x y <<< "r s t"
printf -v x "%s-" a b
frob {$x,$i}z
echo $x | { read y; frob "$y"; }
y=${x:-d}
f
true
false
unset x
frob "$x" "$y" $((i+j))
break
return
echo z > >(cat)""".split("\n")


def command(rolls: Rolls, depth: int = 0) -> str:
    """One command, which may hold others."""
    inner = [command(rolls, depth + 1) for _ in range(3)] if depth < 2 else ["x=b", "frob $i", "y=c"]
    a, b, c = inner
    end = rolls.choice([";;", ";&", ";;&"])
    items = rolls.choice(["a b", "$x $y", "{1..3}", '"$@"', "$(seq 2)"])
    compound = [
        f"for v in {items}; do x=$v; {a}; done",
        f"for ((i=0;i<3;i++)); do {a}; frob $i; done",
        f"case $x in a*) {a}{end} ?|/m) {b};; *) {c};; esac",
        f"if ((i>1)); then {a}; else {b}; fi",
        f'while read -r l; do frob "$l"; {a}; done <<< "$x\n$y"',
        f'f() {{ local x=q; {a}; frob "$1"; }}; f 1',
        f"( {a}; {b} )",
        f"while ((i<3)); do ((i++)); {a}; done",
        f"{a} && {b} || {c}",
        f"x=$({rolls.choice(FILTERS)})",
    ]
    return rolls.choice(compound) if depth < 2 and rolls.random() < 0.6 else rolls.choice(SIMPLE)


def flow(rolls: Rolls) -> str:
    """A script with loops, branches, functions and substitutions."""
    lines = ["x=a; y=b; i=1; j=2; f() { :; }", *(command(rolls) for _ in range(rolls.randrange(1, 6)))]
    return "\n".join([*lines, 'frob "$x" "$y" "$i" "$j"'])


STATES = """{n}={v}
{n}={v} {m}={v}
{n}+={v}
declare {n}={v}
declare -l {n}={v}
declare -i {n}={v}
declare -r {n}={v}
readonly {n}
local {n}={v}
unset {n}
unset -f {n}
read {n} {m} <<< {v}
: $(({e}))
(({e}))
let '{e}'
{n}=$(({e}))
a[{n}]={v}
a[-5]={v}
a[i++]={v}
: ${{{n}:={v}}}
{n}=${{{m}:1:-2}}
set -- {v} {v}
shift
f() {{ {s}; }}
f {v}
{{ {s}; {s}; }}
{{ {s}; }} > /nodir/f
{n}={v} {m}={v} && {s}
{s} || {s}
{n}={v} eval '{m}=${n}'
{n}=$({s}; echo ${m} >&2)
echo {v} | {{ read {n}; frob "${n}"; }}
trap '{n}={v}' DEBUG
trap '{n}={v}; exit' INT
trap '(({m}++))' ERR
echo '{n}={v}; return; {m}={v}' > s.sh; . ./s.sh
echo 'set -- {v}' > s.sh; . ./s.sh {v}
exec {{{n}}}> /dev/null
for {n} in {v} {v}; do {s}; done
while read -r {n}; do {s}; done <<< {v}
frob "${n}" "${m}" "$1\"""".split("\n")
SUMS = "x y+1 x++ --y y=4 x+=2 1/0 x/y 08 $x+1 $x=5 y=7,1/0 z&&(y=3) (x+1)*2 x=y=3".split()
GIVEN = 'foo BAR 1 2 010 -3 abc "$x" $y "$1" ${z:-d} $(echo+k)'.split()


def state(rolls: Rolls, depth: int = 0) -> str:
    """One command that changes what the shell holds, or fails to."""
    n, m = rolls.sample("xyzq", 2)
    s = state(rolls, depth + 1) if depth < 2 else f"{n}={rolls.choice(GIVEN)}".replace("+", " ")
    text = rolls.choice(STATES)
    while "{v}" in text:
        text = text.replace("{v}", rolls.choice(GIVEN).replace("+", " "), 1)
    for mark, value in (("{n}", n), ("{m}", m), ("{e}", rolls.choice(SUMS)), ("{{", "{"), ("}}", "}"), ("{s}", s)):
        text = text.replace(mark, value)
    return text


def states(rolls: Rolls) -> str:
    """A script of such commands, some of them on one line."""
    lines = ["; ".join(state(rolls) for _ in range(rolls.randrange(1, 3))) for _ in range(rolls.randrange(2, 6))]
    return "\n".join(["x=1; y=2; z=zed; q=foo; i=0; set -- one two", *lines, 'frob "$x" "$y" "$z" "$q" "$i" "$1"'])


ROUNDS = """for {n} in {v} {v}; do {s}; {c} && break; {s}; done
for {n} in {v} {v}; do {c} || continue; {s}; done
for {n} in {v} {v}; do for {m} in c d; do {s}; {c} && break 2; done; {s}; done
while [ $# -gt 0 ]; do {n}=$1; shift; {s}; done
while [ "$#" -gt 0 ]; do {n}=$1; shift; {c} && break; {s}; done
while [[ $# -gt 0 ]]; do case $1 in one) {s}; shift ;; *) {s}; break ;; esac; done
while test $# -ne 0; do shift; {s}; done
while getopts "ab:" o; do {n}=$o$OPTARG; {s}; done
set -- -b {v} -a {v}; while getopts "ab:" o; do {n}=$o$OPTARG; done; shift
while read -r {n}; do {s}; cat > /dev/null; done <<< $'a\\nb'
while read -r {n}; do {m}=${n}; {c} && cat > /dev/null; {s}; done <<< $'a\\nb'
while read -r {n}; do [ "${n}" = b ] && break; {s}; done <<< $'a\\nb\\nc'
printf 'a\\nb\\n' | while read -r {n}; do if [ "${n}" = a ]; then frob "${n}" "${m}"; else {s}; fi; done
while read -r {n} || [ -n "${n}" ]; do {s}; done < t.txt
f() {{ {s}; {c} && return; {s}; }}; f {v}
f() {{ while [ $# -gt 0 ]; do {n}=$1; {c} && return; shift; {s}; done; }}; f {v} {v}
( {s}; {c} && exit; {s}; frob "${n}" )
{n}=$( {s}; {c} && exit; echo {v} )
{{ {s}; {c} && exit; {s}; }} | cat
echo {v} > t.txt
echo {v} >> t.txt
true && echo {v} > t.txt && {c} && echo {v} > t.txt
echo {v} > t.txt && {c} | cat
({c} && exit; echo {v} > t.txt)
echo '{n}={v}' > t.sh; {c} && echo '{n}=other' > t.sh; . ./t.sh
for {m} in 1 2; do echo '{n}={v}' > t.sh; {c} && break; echo '{n}=other' > t.sh; done; . ./t.sh
f() {{ echo '{n}={v}' > t.sh; {c} && return; echo '{n}=other' > t.sh; }}; f; . ./t.sh
read -r {n} < t.txt
{n}=$(cat t.txt)
{n}=$(grep -v '^#' t.txt)
mapfile -t a < t.txt
export $(grep = t.sh | xargs)
rm -f t.txt
mv t.txt u.txt; cp u.txt t.txt
trap 'frob trap "${n}" "${m}"' EXIT
trap 'frob trap "$(cat t.txt)"' EXIT
trap '. ./t.sh; frob trap "${n}"' EXIT
trap 'frob trap "$1"; {s}' EXIT
a=({v} {v})
a+=({v})
a=(t.* {v})
shopt -s nullglob; a=(nope.* {v}); shopt -u nullglob
a=("${a[@]}" {v})
a[2]={v}
unset 'a[0]'
frob "${a[@]}"
for {n} in "${a[@]}"; do {s}; done
frob "${{{n}:-{v}}}" "${{{n}:?}}"
: "${{{n}:={v}}}"
BASH_ARGV0={v}; frob "$0"
f() {{ frob "${{BASH_SOURCE[0]}}"; }}; f
echo 'frob "$0" "${{BASH_SOURCE[0]}}" "$1"' > t.sh; . ./t.sh
echo 'frob "$1"; return; {n}=x' > t.sh; . ./t.sh {v}
. /dev/stdin {v} <<< '{n}=$1'
{n}=$(dirname -- {v}); {m}=$(basename {v})
cd . && {n}=x > t.txt
mkdir -p d; cd d; {s}; cd ..
{c} && cd / ; frob "$PWD"; cd - > /dev/null
IFS=:; {n}=a:b; frob ${n}; unset IFS
frob "${n}" "${m}" "$1" "$(cat t.txt)\"""".split("\n")
CHECKS = ["[ -e t.sh ]", "[ -e /nowhere ]", "test -d .", "false", "true", '[ "$x" = a ]', "[ $# -gt 1 ]"]
SMALL = ["x=b", 'frob "$y"', "y=$x", "set --", "echo w > t.txt"]


def left(rolls: Rolls, depth: int = 0) -> str:
    """One command that may leave a round, a function or a shell early, or leaves a file or a trap behind."""
    text = rolls.choice(ROUNDS)
    n, m = rolls.sample("xyzq", 2)
    while "{s}" in text:
        text = text.replace("{s}", left(rolls, depth + 1) if depth < 1 else rolls.choice(SMALL), 1)
    for mark, some in (("{v}", GIVEN), ("{c}", CHECKS)):
        while mark in text:
            text = text.replace(mark, rolls.choice(some).replace("+", " "), 1)
    return text.replace("{n}", n).replace("{m}", m)


def rounds(rolls: Rolls) -> str:
    """A script of such commands."""
    lines = ["; ".join(left(rolls) for _ in range(rolls.randrange(1, 3))) for _ in range(rolls.randrange(2, 6))]
    text = "\n".join(["x=1; y=2; z=zed; q=foo; a=(); set -- one two", *lines, 'frob "$x" "$y" "$z" "$q" "$1"'])
    return text.replace("{{", "{").replace("}}", "}")


@SETTINGS
@given(rolls=st.randoms(use_true_random=False))
def test_operators_of_parameters_give_what_bash_makes_of_them(
    rolls: Rolls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defaults, patterns, replacements, case, parts, lengths and quoting."""
    script = operators(rolls)
    holds(script, tmp_path, monkeypatch)


@SETTINGS
@given(rolls=st.randoms(use_true_random=False))
def test_arrays_hold_what_bash_puts_into_them(rolls: Rolls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements, keys, slices, appending, unsetting, and the positional parameters."""
    holds(arrays(rolls), tmp_path, monkeypatch)


@SETTINGS
@given(rolls=st.randoms(use_true_random=False))
def test_control_flow_leads_to_what_bash_runs(rolls: Rolls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops, branches, `case`, functions, `read`, `break` and `return`, and output that is known."""
    holds(flow(rolls), tmp_path, monkeypatch)


@SETTINGS
@given(rolls=st.randoms(use_true_random=False))
def test_declarations_errors_and_traps_leave_what_bash_leaves(
    rolls: Rolls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only and folded variables, errors that drop a line, files that are sourced, traps, failed redirections."""
    (tmp_path / "s.sh").unlink(missing_ok=True)
    holds(states(rolls), tmp_path, monkeypatch)


@SETTINGS
@given(rolls=st.randoms(use_true_random=False))
def test_what_is_left_early_leaves_what_bash_leaves(
    rolls: Rolls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds, functions, subshells and files that end before their end, what files hold then, and traps at the end."""
    for entry in tmp_path.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    holds(rounds(rolls), tmp_path, monkeypatch)
