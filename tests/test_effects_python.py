"""What Python code would do is worked out from its text; where that ends, it says so."""

from __future__ import annotations

import posixpath
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._table import Example, Table, table
from guardrail.effects.code.python._values import NONE
from guardrail.model import Effect
from tests.effects_support import NoFiles, address, codes, effects_of, said

CASES = Path(__file__).parent / "cases/effects"
HOLDING = {"inline", "dynamic", "unparsed"}


def python(code: str) -> str:
    """Code in an argument."""
    return f"python3 -c {shlex.quote(code)}"


def snippets(name: str) -> list[str]:
    """The snippets of a case file, `---` between them."""
    return [part.strip("\n") for part in (CASES / name).read_text(encoding="utf-8").split("\n---\n")]


def cases() -> list[dict[str, Any]]:
    """The table of snippets."""
    found: list[dict[str, Any]] = tomllib.loads((CASES / "python.toml").read_text(encoding="utf-8"))["case"]
    return found


def escalates(effects: tuple[Effect, ...]) -> list[str]:
    """What a default policy would ask about in a session without a history."""
    found: list[str] = []
    mutating = {
        "create", "write", "append", "truncate", "delete", "rename", "copy", "link", "set_times", "set_security",
        "net_send", "api_delete", "api_copy", "api_visibility",
    }  # fmt: skip
    for effect in effects:
        if effect.op == "exec_opaque" and (effect.attrs["code"] in HOLDING or effect.attrs.get("authored")):
            found.append(f"{effect.op} {effect.attrs}")
        places = [place for place in (effect.resource, effect.target) if place is not None]
        vague = any(p.pattern is not None and ("**" in p.pattern or p.pattern[:1] != "/") for p in places)
        if effect.op in mutating and vague:
            found.append(f"{effect.op} {[address(p) for p in places]}")
        on_model = any(posixpath.normpath("/" + address(p).lstrip("/")).startswith("/models") for p in places)
        if on_model and effect.op in mutating | {"mention"}:
            found.append(f"{effect.op} on the model")
        if effect.op == "mention" and vague and not effect.attrs.get("cwd"):
            found.append("mention of anything")
    return found


@pytest.mark.parametrize("code", snippets("python_quiet.txt"))
def test_ordinary_python_is_not_held(code: str) -> None:
    """Data work, reports, serving and inspection."""
    view = NoFiles({"/w/main.py": b"print(1)\n", "/w/data.csv": b"a,b\n1,2\n"}, ("/w", "/w/src"))
    assert escalates(effects_of(python(code), view=view)) == [], said(python(code), view=view)


@pytest.mark.parametrize("code", snippets("python_quiet.txt"))
def test_an_honest_script_that_is_handed_a_model_is_not_held(code: str) -> None:
    """Neither written nor changed by the session: what its analysis does not follow is a reader."""
    view = NoFiles({"/w/s.py": code.encode(), "/w/data.csv": b"a,b\n1,2\n"}, ("/w", "/w/src", "/models"))
    command = "python3 s.py --weights /models/a --n 3"
    assert escalates(effects_of(command, view=view)) == [], said(command, view=view)


@pytest.mark.parametrize("code", snippets("python_hostile.txt"))
def test_a_hostile_script_that_the_call_wrote_is_not_silent(code: str) -> None:
    """Written and run in one call: analysed if its text is known, else marked as the session's own."""
    command = f"cat > /tmp/h.py <<'END_OF_CODE'\n{code}\nEND_OF_CODE\npython3 /tmp/h.py"
    assert escalates(effects_of(command)), said(command)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_python_gives_the_effects_it_has(case: dict[str, Any]) -> None:
    """Every case of the table, what must be said and what must not."""
    view = NoFiles({name: text.encode() for name, text in case.get("files", {}).items()}, tuple(case.get("dirs", ())))
    command = case.get("command") or python(case["code"])
    found = said(command, view=view)
    for want in case.get("says", ()):
        assert want in found, found
    for unwanted in case.get("not", ()):
        assert unwanted not in found, found
    if "codes" in case:
        assert codes(command, view=view) >= set(case["codes"]), found
    if "edit" in case:
        edits = [effect.edit.text for effect in effects_of(command, view=view) if effect.edit is not None]
        assert edits == [case["edit"]], edits


@pytest.mark.parametrize("code", snippets("python_hostile.txt"))
def test_no_hostile_python_is_silent(code: str) -> None:
    """Each touches /models or hides what it does."""
    view = NoFiles({"/models/a": b"w", "/models/config.yaml": b"a: 1\n"}, ("/models", "/w"))
    assert escalates(effects_of(python(code), view=view)), said(python(code), view=view)


@pytest.mark.parametrize("example", table().examples, ids=lambda example: example.code[:60])
def test_the_examples_of_the_tables_hold(example: Example) -> None:
    """What a snippet must and must not give, beside the data that says so."""
    found = said(python(example.code))
    for want in example.says:
        assert want in found, found
    for unwanted in example.silent:
        assert unwanted not in found, found


@pytest.mark.parametrize(
    "raw",
    [
        {"calls": {"x": {"f": "nonsense:a -> none"}}},
        {"calls": {"x": {"f": "read:a -> nonsense"}}},
        {"calls": {"x": {"f f": "read:a"}}},
        {"nonsense": {}},
    ],
)
def test_a_table_that_is_not_understood_is_refused(raw: dict[str, Any]) -> None:
    """A role, a result or a key that nobody knows, and a name that stands twice."""
    with pytest.raises(ValueError, match="table"):
        Table().add(raw, "t.toml")


def test_a_module_in_the_working_directory_takes_the_place_of_a_standard_one() -> None:
    """`json.py` beside the command is a script that runs; whether the session wrote it is for the history to say."""
    view = NoFiles({"/w/json.py": b"", "/w/mine.py": b""})
    assert "exec_opaque /w/json.py" in said(python("import json"), view=view)
    assert "exec_opaque /w/json.py" in said(python("import platform"), view=view)
    assert "exec_opaque /w/mine.py" in said(python("import mine"), view=view)
    found = effects_of("echo x > json.py; " + python("import json"), view=NoFiles())
    assert [e.attrs.get("authored") for e in found if e.op == "exec_opaque"] == [True]


def test_code_beyond_a_bound_is_opaque_and_still_names_what_it_names() -> None:
    """Depth, steps, length and nesting of code in code."""
    deep = "x = " + "(" * 3000 + "1" + ")" * 3000
    slow = "for i in range(100):\n for j in range(100):\n  for k in range(100): print(i, j, k)\nopen('/models/a', 'w')"
    long = "x = 1\n" * 30_000 + "open('/models/a', 'w')"
    inside = 'exec(\'exec("exec(\\\\"exec(1)\\\\")")\')'
    for code in (deep, slow, long, inside, "def f(): f()\nf()\nimport os; os.remove('/models/a')"):
        found = effects_of(f"python3 - <<'END'\n{code}\nEND")
        held = any(e.op == "exec_opaque" and e.attrs["code"] in HOLDING for e in found)
        assert held or "delete /models/a" in said(f"python3 - <<'END'\n{code}\nEND"), code[:60]


UNSURE = [
    "c['a'] = {'b': '2'}; c.write(open('/c.ini', 'w'))",
    "del c['a']; c.write(open('/c.ini', 'w'))",
    "c['a']['b'] = '2'; c.write(open('/c.ini', 'w'))",
    "c.optionxform = str.upper; c.set('a', 'b', '2'); c.write(open('/c.ini', 'w'))",
    "yaml.SafeDumper.add_representer(int, show); yaml.safe_dump(d, open('/c.yaml', 'w'))",
    "yaml.add_representer(int, show, Dumper=yaml.SafeDumper); yaml.safe_dump(d, open('/c.yaml', 'w'))",
    "yaml.SafeDumper.yaml_representers[int] = show; yaml.safe_dump(d, open('/c.yaml', 'w'))",
    "yaml.dump(d, open('/c.yaml', 'w'), Dumper=Own)",
    "gzip.open('/c.yaml', 'wt').write(t)",
    "bz2.open('/c.yaml', 'wt').write(t)",
    "open('/c.yaml', 'w').write(gzip.open('/c.yaml', 'rt').read())",
    "open('/c.yaml', 'w', encoding='utf-16').write(t)",
    "open('/c.yaml', 'w', newline='\\r').write(t)",
    "pathlib.Path('/c.yaml').write_text(t, encoding='utf-16')",
    "pathlib.Path('/c.yaml').write_text(pathlib.Path('/c.yaml').read_text(encoding='utf-16'))",
    "io.TextIOWrapper(open('/c.yaml', 'wb'), encoding='utf-16').write(t)",
]


@pytest.mark.parametrize("code", UNSURE)
def test_a_text_in_another_form_is_not_known(code: str) -> None:
    """Sections stored by item, other ways to write values, compression and encodings."""
    head = (
        "import bz2, configparser, gzip, io, pathlib, yaml\n"
        "def show(dumper, value):\n    return dumper.represent_scalar('x', '0')\n"
        "class Own(yaml.SafeDumper):\n    pass\n"
        "t = open('/c.yaml').read()\nd = yaml.safe_load(t)\nc = configparser.ConfigParser()\nc.read('/c.ini')\n"
    )
    view = NoFiles({"/c.yaml": b"a: 1\n", "/c.ini": b"[a]\nb = 1\n"}, ("/w",))
    found = [e for e in effects_of(python(head + code), view=view) if e.op == "write"]
    assert found
    assert [e.edit for e in found if e.edit is not None] == []


@pytest.mark.parametrize(
    ("code", "want"),
    [
        ("open('/c.yaml', 'w', encoding='utf-8').write(t.replace('1', '2'))", "a: 2\n"),
        ("pathlib.Path('/c.yaml').write_text(t, 'utf-8')", "a: 1\n"),
        ("yaml.dump({'a': 3}, open('/c.yaml', 'w'), Dumper=yaml.SafeDumper)", "a: 3\n"),
        ("yaml.safe_dump({'a': 3}, open('/c.yaml', 'w'))", "a: 3\n"),
    ],
)
def test_a_text_in_the_usual_form_is_known(code: str, want: str) -> None:
    """The encoding of every config, and the dumpers of the library itself."""
    view = NoFiles({"/c.yaml": b"a: 1\n"}, ("/w",))
    full = python("import pathlib, yaml\nt = open('/c.yaml').read()\n" + code)
    assert [e.edit.text for e in effects_of(full, view=view) if e.edit is not None] == [want]


W = "P = '/models/' + 'a'\n"
"""The path of an asset, of which no text of the code is a part that names anything."""


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("import time\nwhile time.time() < 5: eval(input())", "exec_opaque code:python"),
        ("import foo, os, time\ndef f(): os.remove(P)\nwhile time.time() < 5: foo.bar(f)", "delete /models/a"),
        (
            "import foo, os\ndef mk(p): return lambda: os.remove(p)\nfoo.bar(mk('/t')); foo.bar(mk(P))",
            "delete /models/a",
        ),
        ("import foo, os\np = '/t'\ndef f(): os.remove(p)\nfoo.bar(f)\np = P", "delete /models/a"),
        ("import foo, os\nfor p in ['/t', P]: foo.bar(lambda p=p: os.remove(p))", "delete /models/a"),
        ("import foo, os\nfor p in ['/t', P]: foo.bar(lambda: os.remove(p))", "delete /models/a"),
        ("import foo, os\nfoo.bar(lambda: lambda: os.remove(P))", "delete /models/a"),
        ("import os\ndef f(x: os.remove(P)): pass", "delete /models/a"),
        ("import os\nx: os.remove(P) = 1", "delete /models/a"),
        (
            "import pandas\nd = pandas.read_csv(P)\nopen('/x', 'w').write(str(list(d.index)))",
            "copy /models/a -> /x",
        ),
        ("import pandas as pd\ndf = pd.read_csv(P)\nopen('/x', 'w').write(str(df.columns))", "copy /models/a -> /x"),
        ("import os\ndef f(p, n):\n if n: f(p + 'x', n - 1)\n else: os.remove(p)\nf(P[:1], int(input()))", "delete **"),
    ],
)
def test_what_runs_later_or_in_rounds_is_not_silent(code: str, effect: str) -> None:
    """A trial round takes no alarm away, and a function counts with all the values that it may find."""
    assert effect in said(python(W + code)), said(python(W + code))


def test_a_library_function_has_one_handler() -> None:
    """A second one would silently take the place of the first."""
    with pytest.raises(ValueError, match="two handlers"):
        handles("builtins.open")(lambda _machine, _args: NONE)


def test_a_file_opened_in_a_block_that_may_fail_still_has_its_text() -> None:
    """`try` makes what is written no less known, and what comes before an error no less certain."""
    found = effects_of(python("try:\n  with open('/c.json', 'w') as f: f.write('{}')\nexcept OSError: pass"))
    assert [(e.op, e.modality, e.edit and e.edit.text) for e in found if e.op == "write"] == [("write", "must", "{}")]


@pytest.mark.parametrize("code", snippets("python_flows.txt"))
def test_content_is_followed_through_the_language(code: str) -> None:
    """`S` is what is in a file of the name `P`; `T`, which is made of it, is written to another."""
    command = python(f"{W}S = open(P).read()\n{code}\nopen('/x' + '/y', 'w').write(T)\n")
    found = effects_of(command, view=NoFiles({}, ("/w",)))
    opaque = any(effect.op == "exec_opaque" and effect.attrs["code"] in HOLDING for effect in found)
    named = any(effect.op == "mention" and address(effect.resource) == "/models/a" for effect in found)
    assert opaque or named or "copy /models/a -> /x/y" in said(command), said(command)


@pytest.mark.parametrize(
    ("code", "says", "silent"),
    [
        ("class T(TestCase):\n def test(self): self.client.get('x'); self.a.b.put(1)", [], ["exec_opaque code:python"]),
        ("class T(TestCase):\n def test(self): self.fs.rm(P)", ["mention /models/a"], []),
        ("class T(TestCase):\n def test(self): self.a.b.run(os.remove)", ["exec_opaque code:python"], []),
        ("class T(TestCase):\n def test(self): self.a.b.write(open(P).read())", ["mention /models/a"], []),
        (
            (
                "class H(BaseHTTPRequestHandler):\n def do_GET(self): self.wfile.write(open(P, 'rb').read())\n"
                "HTTPServer(('', 80), H)"
            ),
            ["copy /models/a -> net:*"],
            ["exec_opaque code:python"],
        ),
    ],
)
def test_what_a_base_class_keeps_is_a_librarys_and_is_told_what_it_is_given(
    code: str, says: list[str], silent: list[str]
) -> None:
    """A test client, a trainer, a request: their methods run, and paths, content and functions reach them."""
    head = "import os\nfrom django.test import TestCase\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n"
    found = said(python(head + W + code))
    assert [want for want in says if want not in found] == [], found
    assert [one for one in silent if one in found] == [], found
