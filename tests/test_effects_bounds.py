"""Hostile inputs end soon, in an effect and never in an error: length, nesting, bombs, chains and doubling."""

from __future__ import annotations

import shlex
import time
from typing import Final

import pytest

from tests.effects_support import effects_of, text

MAX_SECONDS: Final = 0.25
"""Longest processor time that one hostile input of 64 KiB may take on the machine this was measured on."""

SLOWER: Final = 6
"""How much slower than that a machine of continuous integration may be; what is not linear is hundreds of times so."""

MAX_BYTES: Final = 65_000
"""Size that the inputs are cut to, in bytes: just below `limits.command_bytes`."""

DEEP: Final = 10_000

PYTHON: Final = {
    "texts split again and again": f"import shlex; t = {'a b ' * 1500!r}\n" + "shlex.split(t)\n" * 400,
    "wide fields": "v = tuple(range(10000))\n" + "'%9999d' * 10000 % v\n" * 100,
    "wide fields of a few": "v = (1,) * 500\n" + "'%999d' * 500 % v\n" * 100,
    "fields of a format": "x = '{0:9999}' * 9000\n" + "x.format(1)\n" * 100,
    "tabulators": "t = '\\t' * 60000\n" + "t.expandtabs(9999)\n" * 100,
    "a table of long texts": "t = 'a' * 60000; u = 'b' * 60000\n" + "t.translate({97: u})\n" * 100,
    "powers": "x = 2 ** 1000\n" + "x = x ** 900\n" * 10 + "print(x)",
    "squares": "x = 10 ** 1000\n" + "x = x * x\n" * 50 + "print(x)",
    "lists of lists": "l = ['x'] * 512\n" + "l = [l] * 512\n" * 9 + "print(l, str(l)); foo.bar(l)",
    "lists of lists that are displays": "l = ['x']\n" + f"l = [{'l, ' * 60}]\n" * 9 + "print(l, str(l)); foo.bar(l)",
    "a list in itself": "import foo; l = []; l.append(l); d = {1: l}; l.append(d); print(l, str(d)); foo.bar(l)",
    "long texts in loops": "t = 'a' * 60000\nfor i in range(100):\n for j in range(100): t.upper() + f'{t}{t}'",
    "parents": "class A0: pass\n" + "".join(f"class A{i}(A{i - 1}): pass\n" for i in range(1, 400)) + "A399().x\n" * 99,
    "functions handed on": "import foo\nfor i in range(100):\n for j in range(100): foo.bar(lambda: i)",
    "functions in place of others": "import foo\ndef f(): return 1\n"
    + "".join(f"def g{i}(): return f()\nfoo.x(g{i})\nf = g{i}\n" for i in range(300)),
    "objects made by operators": "class A:\n def __add__(s, o): return A()\nx = A()\n" + "x = x + A()\n" * 1000,
    "functions that call themselves twice": "def f(n): return f(n - 1) + f(n - 2)\n" + "f(99)\n" * 500,
    "functions that call each other": "".join(
        f"def f{i}(n): f{max(i - 1, 0)}(n); f{i}(n - 1); f{max(i - 1, 0)}(n)\n" for i in range(12)
    )
    + "f11(9)",
    "iterators over what changes": "l = list(range(500))\n"
    + "".join(f"i{i} = iter(l); l.append(1)\n" for i in range(500))
    + "".join(f"list(i{i})\n" for i in range(500)),
    "errors": "".join(f"try:\n v{i} = {i}; x = int(input())\nexcept ValueError: v{i} = 0\n" for i in range(900)),
}
"""Python whose steps are few, and whose work is much."""

HOSTILE: Final[dict[str, str]] = {
    "a line of words": "ls " + "a " * 32_000,
    "one word": "rm " + "a" * 64_000,
    "nested substitutions": "echo " + "$(" * DEEP + "ls" + ")" * DEEP,
    "nested subshells": "( " * DEEP + "ls" + " )" * DEEP,
    "nested braces of commands": "{ " * DEEP + "ls; " + "}; " * DEEP,
    "nested tests": "[[ " + "( " * DEEP + "a" + " )" * DEEP + " ]]",
    "tests that the grammar reads in many ways": "[[ " + ".(" * DEEP + " ]]",
    "nested quotes": "echo " + '"$(' * 5000 + "ls" + ')"' * 5000,
    "backticks": "echo " + "`" * 5001,
    "a product of sequences": "rm {1..999999}{1..999999}",
    "many braces": "rm " + "{a,b}" * 100,
    "a redirection to a product": "cat /a > n" + "{a,b}" * 11,
    "copies of a product": "cp a n" + "{a,b}" * 11 + " /tmp/",
    "marks around paths": "x '" + "/a{b,c}d#e?f%g!/h} " * 3000 + "'",
    "one word of marks": "x '" + "/{a,b}#" * 9000 + "'",
    "a variable that is run": "CC='" + "cc -c a.c; " * 5000 + "' make",
    "a variable of options": "ZIPOPT='" + "-q " * 20_000 + "' zip a b",
    "nested braces": "rm " + "{a," * 2000 + "b" + "}" * 2000,
    "open braces": "rm " + "{" * 30_000,
    "a pattern of many levels": "rm " + "/*" * 200,
    "many patterns": "rm " + "* " * 20_000,
    "many stars": "rm " + "*a" * 5000,
    "many brackets": "rm " + "[" * 30_000,
    "assignments": "; ".join(f"x{i}={i}" for i in range(5000)),
    "assignments before a command": " ".join(f"x{i}={i}" for i in range(6000)) + " ls",
    "pipes": " | ".join(["cat"] * 5000),
    "lists": " && ".join(["true"] * 5000),
    "commands": ";".join(["ls"] * 10_000),
    "arguments": "rm " + "/a " * 20_000,
    "bytes that are no text": "ls " + "\udcff" * 20_000,
    "a function that calls itself": "f() { f; f; f; }; f",
    "functions that call each other": "f() { g; g; }; g() { f; f; }; f",
    "a chain of functions": "".join(f"f{i}() {{ f{i + 1}; }}; " for i in range(1500)) + "f0",
    "a chain of eval": "eval " * 3000 + "ls",
    "text that eval doubles": "x=ls; " + "; ".join(["eval 'x=$x$x'"] * 200) + "; eval $x",
    "a chain of xargs": "xargs " * 5000 + "ls",
    "a chain of env": "env " * DEEP + "ls",
    "a chain of ssh": "ssh h " * 5000 + "ls",
    "a chain of bash": "bash -c " * 3000 + "ls",
    "many texts in texts": "bash -c 'bash -c \"bash -c ls\"'; " * 1900,
    "a variable that doubles": "x=aaaa;" + "x=$x$x;" * 2000 + "rm $x",
    "an array that doubles": "a=(a b);" + 'a=("${a[@]}" "${a[@]}");' * 200 + 'rm "${a[@]}"',
    "an array with many keys": "declare -A m; " + "".join(f"m[k{i}]=v; " for i in range(4000)) + 'rm "${m[@]}"',
    "nested loops": "for i in {1..60}; do " * 12 + "ls" + "; done" * 12,
    "nested loops without an end": "while true; do " * 20 + "ls" + "; done" * 20,
    "nested counting loops": "for ((i=0;i<60;i++)); do " * 8 + "ls" + "; done" * 8,
    "a loop that never ends": "i=0; while ((i<999999999)); do ((i++)); done; rm $i",
    "nested branches": "if a; then " * 40 + "x=1" + "; fi" * 40 + "; rm $x",
    "many values at once": "".join(f"x{i}=a; if q; then x{i}=b; fi; " for i in range(60))
    + "rm "
    + "".join(f"$x{i}" for i in range(60)),
    "a case of many items": "case $x in " + "".join(f"a{i}) x=b{i};; " for i in range(3000)) + "esac; rm $x",
    "patterns that backtrack": "x=" + "a" * 500 + "; rm " + " ".join(["${x##*a*a*a*a*b}"] * 500),
    "replacements that backtrack": "x=" + "a" * 500 + "; rm " + " ".join(["${x//a*a*a*b/c}"] * 500),
    "nested defaults": "rm " + "${x:-" * 5000 + "a" + "}" * 5000,
    "nested arithmetic": "echo $((" + "(" * 5000 + "1" + ")" * 5000 + "))",
    "long arithmetic": "echo $((" + "1+" * 20_000 + "1))",
    "huge powers": "echo $((9**9**9))",
    "here documents": "".join(f"cat <<E{i}\nx\nE{i}\n" for i in range(2000)),
    "sed that backtracks": "x=$(echo " + "a" * 1000 + " | sed 's/a*a*a*b/c/g'); rm $x",
    "optional parts that backtrack": "x=$(echo " + "a" * 24 + " | sed -E 's/" + "a?" * 24 + "a" * 24 + "/x/'); rm $x",
    "counted parts that backtrack": "x=$(echo " + "a" * 90 + " | sed -E 's/" + "a{0,9}" * 20 + "b/x/'); rm $x",
    "alternatives that backtrack": "x=$(echo " + "a" * 30 + " | sed -E 's/" + "(a|a)" * 30 + "b/x/'); rm $x",
    "two repetitions on a long line": "x=$(echo " + "a" * 3000 + " | sed 's/a*a*b/c/'); rm $x",
    "a longer match that is looked for": "x=$(echo " + "a" * 60 + "b" * 3000 + " | sed 's/a*a*a*/c/'); rm $x",
    "a patch of many hunks": "patch f <<'E'\n*** Begin Patch\n" + "@@ x\n-x\n+y\n" * 6000 + "E",
    "an editor that is handed digits": "printf '$a\n" + "1" * 30_000 + "\n.\nw\n' | ed f",
    "a long program of perl": "perl -e '" + "print /a/, " * 5000 + "1'",
    "a short program of perl": "perl -ne '" + "print if /a/;" * 150 + "' f; " * 20,
    "nested brackets of perl": "perl -e '" + "(" * 900 + "1" + ")" * 900 + "'",
    "nested templates of node": "node -p '" + "`${" * 600 + "1" + "}`" * 600 + "'",
    "nested brackets of node": "node -p '" + "[" * 1000 + "]" * 1000 + "'",
    "subscripts of node": "node -p 'let i = 0; " + "x[i];" * 390 + "'",
    "nested calls of R": "Rscript -e '" + "sapply(" * 250 + "x" + ", mean)" * 250 + "'",
    "a long sed script": "sed '" + "s/a/b/;" * 5000 + "' f",
    "a long format": "printf '" + "%s" * 20_000 + "' " + "a " * 2000,
    "wide formats": "printf '%99s%99s%99s' " + "a " * 20_000,
    "a chain of filters": "echo a | " + " | ".join(["tr a b"] * 1000),
    "redirections": "ls " + "> a " * 10_000,
    "quotes": "echo " + "'a'\"b\"" * 10_000,
    "expansions": "echo " + "$x" * 20_000,
    "escapes": "echo " + "\\a" * 30_000,
    "comments": "# a\n" * 15_000 + "ls",
    "words of many parts": "frob " + "a=/b," * 12_000,
    "a long array": "mapfile -t a <<< '" + "x\n" * 20_000 + "'; rm ${a[@]}",
    "positional parameters": "set -- " + "a " * 20_000 + '; rm "$@"',
    "traps in traps": "trap 'trap \"trap ls EXIT\" EXIT' EXIT; " * 1000,
    "directories": "; ".join(f"cd d{i}" for i in range(2000)) + "; rm x",
    "process substitutions": "cat " + "<(cat " * 3000 + "a" + ")" * 3000,
    "actions of find": "find " + "-exec rm {} \\; " * 4000,
    "jobs of parallel": "parallel rm ::: " + "a " * 20_000,
    "words of xargs": "echo " + "a " * 20_000 + "| xargs -n1 rm",
    "names in python": "python -c '" + "ab," * 16_000 + "'",
    "texts in python": "python -c '" + "".join(f'f("s{i}");' for i in range(4000)) + "'",
    "declarations": "declare " + "x=1 " * 10_000,
    "names to unset": "unset " + "x " * 20_000,
    "negations": "! " * DEEP + "ls",
    "words for time": "time " * DEEP + "ls",
    "bars without blanks": "test " + ",|" * 10_000 + "x",
    "backticks in words": "export " + "`2>&1," * 3400 + "x",
    "arithmetic that is no path": "echo $((" + "?" * 20_000 + "))",
    "addresses in arithmetic": "for ((" + "a://" * 5000 + ")); do ls; done",
    "branches": "if a; then b; " + "elif a; then b; " * 3000 + "fi",
    "calls in awk": "awk '{f(" + "a," * 3000 + "1); print 1 > " + "a " * 3000 + "}' f",
    "statements in awk": "awk '{" + "print > " * 1900 + "}' f",
    "open brackets in awk": "awk '{" + "sub(" * 3000 + "}' f",
    "variables in awk": "awk '{" + "".join(f"a{i}=a{i + 1} 1;" for i in range(900)) + "print > a0}' f",
    "doubled texts in awk": 'awk \'{a0="x";' + "".join(f"a{i + 1}=a{i} a{i};" for i in range(900)) + "print > a900}' f",
    "commands in awk": "awk '{" + '"a"|getline ' * 1200 + "}' f",
    "texts in SQL": "psql -c 'select " + "$$a$$" * 12_000 + "'",
    "quotes in SQL": 'sqlite3 a.db "' + "'a'" * 20_000 + '"',
    "files in SQL": 'sqlite3 a.db "select ' + "readfile('a')," * 4000 + '1"',
    "open texts in SQL": "psql -c '" + "".join(f"$a{i}$" for i in range(8000)) + "'",
    "comments in SQL": "mysql -e '" + "/*" * 30_000 + "'",
    "commands in SQL": "psql db <<'E'\n" + "\\x " * 15_000 + "\nE\n",
    "brackets in SQL": "psql -c '\\copy " + "(" * 60_000 + "'",
    "lines of a Dockerfile": "cat > Dockerfile <<'E'\n" + "\n" * 15_000 + "E\ndocker build .",
    "lines of a Modelfile": "cat > Modelfile <<'E'\nFROM a" + " " * 15_000 + "b\nE\nollama create m -f Modelfile",
    "keys of a recipe": "cat > r.yml <<'E'\n" + "model" * 3000 + "\nE\nmergekit-yaml r.yml o",
    "blanks in a query": "mongosh --eval '" + " " * 60_000 + "x'",
    **{f"python, {name}": "python3 -c " + shlex.quote(code) for name, code in PYTHON.items()},
    "what is encoded": "echo " + "QUFB" * 4000 + " | base64 -d | base64 | base64 -d | sh",
}
"""What to try, by what it is."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_input_ends_soon_and_hides_nothing(name: str) -> None:
    """In bounded time; and a command that stands behind it is seen, or the whole is opaque."""
    hostile = HOSTILE[name][:MAX_BYTES]
    took = []
    for _ in range(3):
        began = time.thread_time()
        found = effects_of(hostile + "\nrm -r /models/a")
        took.append(time.thread_time() - began)
        if took[-1] < MAX_SECONDS:
            break
    assert min(took) < MAX_SECONDS * SLOWER
    opaque = any(e.op == "exec_opaque" and e.attrs["code"] in ("unparsed", "dynamic", "inline") for e in found)
    assert opaque or "delete /models/a" in [text(effect) for effect in found]


@pytest.mark.parametrize("command", ["ls \0 rm /models/a", "rm '/models/a", "\0" * 1000, "\udcff\ud800" * 1000])
def test_what_is_no_text_is_opaque(command: str) -> None:
    """NULs, quotes without an end, characters that cannot be encoded."""
    found = effects_of(command)
    assert any(e.op == "exec_opaque" and e.attrs["code"] in ("unparsed", "dynamic") for e in found)


def test_a_script_that_sources_itself_ends() -> None:
    """At the depth bound, in an opaque effect."""
    from tests.effects_support import NoFiles

    view = NoFiles({"/w/s.sh": b". ./s.sh; bash s.sh\n"})
    found = effects_of("bash s.sh", view=view)
    assert any(e.op == "exec_opaque" and e.attrs["code"] == "unparsed" for e in found)
