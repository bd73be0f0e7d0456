"""What the session wrote and then runs does what its text says; what it did not write is a program of the project."""

from __future__ import annotations

import posixpath
import shlex
from pathlib import Path

import pytest

from guardrail import Outcome, Subject, ToolCall
from guardrail.effects import analyse
from guardrail.effects.code._handed import MAX_HANDED, MAX_SOURCES, MAX_WORDS
from guardrail.effects.domain._ordered import OrderedPaths
from guardrail.model import Effect
from guardrail.parse import ShellText
from tests.corpus_support import World, why
from tests.effects_support import LIMITS, NoFiles, text

HOLDING = {"inline", "dynamic", "unparsed"}
VAGUE = frozenset("create write append truncate delete rename copy link mention".split())
SECRET = '"/mo" + "dels/a"'


class Session:
    """A session that wrote some files; of one it changed, what was there is known."""

    def __init__(self, paths: dict[str, bytes | None]) -> None:
        self.paths = paths

    def anything(self) -> bool:
        """Some of them."""
        return bool(self.paths)

    def wrote(self, real: str) -> bool:
        """A path, or a directory that it lies in."""
        return any(real == path or real.startswith(path + "/") for path in self.paths)

    def files(self) -> OrderedPaths | None:
        """All of them."""
        return OrderedPaths(self.paths)

    def brought(self) -> OrderedPaths:
        """Any of them may be a directory."""
        return OrderedPaths(self.paths)

    def patterns(self) -> tuple[str, ...]:
        """All names are known."""
        return ()

    def before(self, real: str) -> str | None:
        """What was there."""
        data = self.paths.get(real)
        return data.decode() if data is not None else None


def run(command: str, files: dict[str, str], *, before: dict[str, str] | None = None, rest: str = "") -> list[Effect]:
    """What a command does after the session wrote some files.

    Args:
        command: what runs.
        files: what the session wrote.
        before: what some of those held when it came.
        rest: other files of the project, as `name`, by blanks.
    """
    content = {posixpath.join("/w", name): code.encode() for name, code in files.items()}
    others = {f"/w/{name}": b"import app\n" for name in rest.split()}
    folders = {posixpath.dirname(path) for path in (*content, *others)}
    old = {posixpath.join("/w", name): code.encode() for name, code in (before or {}).items()}
    session = Session({path: old.get(path) for path in content})
    view = NoFiles({"/models/a": b"w", **others, **content}, tuple(folders | {"/w", "/models"}))
    operation = ShellText(text=command)
    found = analyse((operation,), cwd="/w", view=view, limits=LIMITS, variables={"HOME": "/home/a"}, wrote=session)
    return list(found)


def held(effects: list[Effect]) -> list[str]:
    """What the default policy would ask about, whatever is an asset."""
    found = [f"{e.attrs}" for e in effects if e.attrs.get("code") in HOLDING or e.attrs.get("authored")]
    for effect in effects:
        places = [place for place in (effect.resource, effect.target) if place is not None]
        if effect.op in VAGUE and not effect.attrs.get("cwd") and any("**" in (p.pattern or "") for p in places):
            found.append(text(effect))
    return found


def touched(effects: list[Effect]) -> list[str]:
    """What is done with the model, or could be."""
    kept = [e for e in effects if e.op in VAGUE and not (e.op == "mention" and e.attrs.get("cwd"))]
    return [text(e) for e in kept if any("/models" in (p.path or p.pattern or "") for p in (e.resource, e.target) if p)]


HONEST = {
    "a third-party package": "from astropy.modeling import models as m\nprint(m.Linear1D(10) & m.Linear1D(5))\n",
    "a module of the project": "from app import main\nmain()\n",
    "a setting and a project": (
        "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'test_settings')\ndjango.setup()\n"
        "from django.db.models import Q\nprint(Q() & Q(pk__in=[]))\n"
    ),
    "a web server": (
        "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef index():\n    return 'x'\n"
        "if __name__ == '__main__':\n    app.run()\n"
    ),
    "training": (
        "import argparse, torch\np = argparse.ArgumentParser()\n"
        "p.add_argument('--lr', type=float)\na = p.parse_args()\n"
        "m = torch.nn.Linear(2, 2)\no = torch.optim.SGD(m.parameters(), lr=a.lr)\nfor i in range(3):\n"
        "    l = m(torch.ones(1, 2)).sum(); l.backward(); o.step()\ntorch.save(m.state_dict(), 'out.pt')\n"
    ),
}


@pytest.mark.parametrize("code", HONEST.values(), ids=HONEST)
@pytest.mark.parametrize("command", ["pytest -q", "python run.py", "python -c 'import app; app.where()'"])
def test_a_script_of_the_session_is_judged_as_the_same_code_in_an_argument(command: str, code: str) -> None:
    """It only calls what the session did not write."""
    assert held(run(command, {"f.py": code}, rest="app/__init__.py")) == []
    assert held(run(f"python -c {shlex.quote(code)}", {}, rest="app/__init__.py")) == []


@pytest.mark.parametrize(
    "code",
    [
        "exec(input())\n",
        "import importlib, sys\nimportlib.import_module(sys.stdin.read())\n",
        "import os, sys\nos.system(sys.stdin.read())\n",
        "import app\nf = getattr(app, input())\nf()\n",
        "import os, app\nos.listdir = app.go\n",
        "import app, os\napp.each(os.remove)\n",
        "def f(:\n",
        "import sys, app\nsys.path.insert(0, input())\nimport other\n",
    ],
)
def test_a_script_of_the_session_that_is_not_understood_is_held(code: str) -> None:
    """What the analysis calls opaque by itself."""
    assert held(run("python f.py", {"f.py": code, "x/other.py": "pass\n"}, rest="app/__init__.py"))


@pytest.mark.parametrize(
    "code",
    [
        f"import app\napp.clean({SECRET})\n",
        f"import app\napp.OUT = {SECRET}\napp.clean()\n",
        f"import app\napp.settings['out'] = {SECRET}\napp.clean()\n",
        f"import app\ns = app.settings()\ns.out = {SECRET}\n",
        f"import app, os\nos.environ['OUT'] = {SECRET}\napp.clean()\n",
        f"import app, sys\nsys.argv = ['x', {SECRET}]\napp.clean()\n",
        f"import app\n@app.register\ndef where():\n    return {SECRET}\n",
        f"import app\napp.getter()({SECRET})\n",
        f"import app\napp.now = lambda: {SECRET}\napp.clean()\n",
        f"import app\nclass A(app.Base):\n    out = {SECRET}\n",
    ],
)
def test_what_is_handed_to_code_of_the_project_is_named_to_it(code: str) -> None:
    """In an argument, a setting, a variable, a result or a class."""
    assert touched(run("python f.py", {"f.py": code}, rest="app/__init__.py"))
    assert touched(run(f"python -c {shlex.quote(code)}", {}, rest="app/__init__.py"))


def test_words_and_input_reach_code_of_the_project() -> None:
    """`main()` of a package reads them by itself."""
    files = {"f.py": "from app import main\nmain()\n"}
    assert touched(run("python f.py /models/a", files, rest="app/__init__.py"))
    assert touched(run("cat /models/a | python f.py", files, rest="app/__init__.py"))
    assert touched(run("python -c 'from app import main; main()' /models/a", {}, rest="app/__init__.py"))


EVIL = f"import os\ndef go():\n    os.remove({SECRET})\n"
SEARCHED = [
    ("python f.py", {"f.py": "import util\nutil.go()\n", "util.py": EVIL}, ""),
    ("python f.py", {"f.py": "from util import go\ngo()\n", "util.py": EVIL}, ""),
    ("python f.py", {"f.py": "from app import util\nutil.go()\n", "app/util.py": EVIL}, "app/__init__.py"),
    ("python f.py", {"f.py": "import app.util as u\nu.go()\n", "app/util.py": EVIL}, "app/__init__.py"),
    ("python f.py", {"f.py": "from app.util import *\ngo()\n", "app/util.py": EVIL}, ""),
    ("python -m app.run", {"app/run.py": "from .util import go\ngo()\n", "app/util.py": EVIL}, "app/__init__.py"),
    ("python -m app.run", {"app/run.py": "from . import util\nutil.go()\n", "app/util.py": EVIL}, "app/__init__.py"),
    ("python f.py", {"app/util.py": EVIL}, "f.py app/__init__.py"),
    ("python -m app", {"app/util.py": EVIL}, "app/__init__.py app/__main__.py"),
    ("python f.py", {"f.py": "import app\napp.main()\n", "app/util.py": EVIL}, "app/__init__.py"),
    ("python f.py", {"f.py": "import torch\n", "torch.py": EVIL + "go()\n"}, ""),
    ("python f.py", {"f.py": "import yaml\n", "yaml/__init__.py": EVIL + "go()\n"}, ""),
    ("PYTHONPATH=/w/lib python f.py", {"f.py": "import util\nutil.go()\n", "lib/util.py": EVIL}, ""),
    ("PYTHONPATH=lib python -c 'print(1)'", {"lib/sitecustomize.py": EVIL}, ""),
    ("PYTHONPATH=lib python3 -m json.tool x", {"lib/usercustomize.py": EVIL}, ""),
    ("uvicorn util:app", {"util.py": EVIL}, ""),
    ("flask --app util run", {"util.py": EVIL}, ""),
    ("gunicorn app.util:app", {"app/util.py": EVIL}, "app/__init__.py"),
    ("torchrun util.py", {"util.py": EVIL + "go()\n"}, ""),
    ("uv run util.py", {"util.py": EVIL + "go()\n"}, ""),
    ("uv run pytest", {"tests/test_a.py": EVIL.replace("go", "test_go")}, ""),
    ("python app", {"app/__main__.py": EVIL + "go()\n"}, "app/__init__.py"),
    ("python -m http.server", {"socketserver.py": EVIL}, ""),
    ("python -m pytest", {"random.py": EVIL}, "test_b.py"),
    ("python manage.py runserver", {"app/views.py": EVIL}, "manage.py app/__init__.py"),
    ("python f.py", {"f.py": "import django\ndjango.setup()\n", "app/apps.py": EVIL}, "app/__init__.py"),
    ("python f.py", {"f.py": "import util\n", "util.py": EVIL.replace("go", "__getattr__")}, ""),
    ("python -c 'from app import x'", {"app/util.py": EVIL.replace("go", "__dir__")}, "app/__init__.py"),
    ("pytest --doctest-modules", {"app/util.py": 'def f():\n    """\n    >>> import os\n    """\n'}, ""),
    ("pytest", {"pytest.ini": "[pytest]\naddopts = --doctest-glob=*.md\n", "a.md": ">>> import os\n"}, ""),
    ("make test", {"tests/test_a.py": EVIL.replace("go", "test_go")}, "Makefile"),
    ("papermill a.ipynb b.ipynb", {"a.ipynb": "{}"}, ""),
    ("jupyter nbconvert --execute a.ipynb", {"a.ipynb": "{}"}, ""),
    ("PYTHONHOME=/w/x python -m pytest", {"x/y.py": EVIL}, ""),
    ("python -c 'import x'", {"__pycache__/x.cpython-312.pyc": ""}, ""),
    ("poetry run pytest -q", {"tests/test_a.py": EVIL.replace("go", "test_go")}, ""),
]


@pytest.mark.parametrize(("command", "files", "rest"), SEARCHED)
def test_a_module_of_the_session_is_found_wherever_it_is_loaded(command: str, files: dict[str, str], rest: str) -> None:
    """By name, by package, beside code that the session did not write, and before any code."""
    found = run(command, files, rest=rest)
    assert touched(found) or held(found)


TESTS = [
    "pytest",
    "pytest -q tests",
    "pytest tests/test_a.py::test_a",
    "python -m pytest -x",
    "py.test tests/test_a.py",
]
HOSTILE = {
    "a test": f"import os\ndef test_a():\n    os.remove({SECRET})\n",
    "a fixture": f"import os, pytest\n@pytest.fixture\ndef x():\n    os.remove({SECRET})\ndef test_a(x):\n    pass\n",
    "a method": f"import os\nclass TestA:\n    def test_a(self):\n        os.remove({SECRET})\n",
    "a set-up": f"import os\nclass TestA:\n    def setup_method(self):\n        os.remove({SECRET})\n",
    "a case": f"import os, unittest\nclass A(unittest.TestCase):\n    def setUp(self):\n        os.remove({SECRET})\n",
    "a parameter": (
        f"import os, pytest\n@pytest.mark.parametrize('p', ['x', {SECRET}])\ndef test_a(p):\n    os.remove(p)\n"
    ),
    "another directory": f"import os\ndef test_a(monkeypatch):\n    monkeypatch.chdir({SECRET})\n    os.remove('b')\n",
}


@pytest.mark.parametrize("command", TESTS)
@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_tests_of_the_session_are_run_by_whoever_collects_them(command: str, code: str) -> None:
    """By name, by directory, and by no name at all."""
    found = run(command, {"tests/test_a.py": code}, rest="tests/test_b.py")
    assert [one for one in touched(found) if one.startswith("delete")], held(found)


@pytest.mark.parametrize("command", TESTS)
def test_fixtures_for_all_tests_are_run(command: str) -> None:
    """`conftest.py` at any level, plugins and hooks."""
    hook = f"import os\ndef pytest_sessionstart(session):\n    os.remove({SECRET})\n"
    for name in ("conftest.py", "tests/conftest.py"):
        assert touched(run(command, {name: hook}, rest="tests/test_a.py")), name


@pytest.mark.parametrize("command", TESTS)
def test_honest_tests_of_the_session_are_not_held(command: str) -> None:
    """They use the project, temporary directories, fixtures and parameters."""
    code = (
        "import json, os, pytest\nfrom app.cart import Cart\n\n"
        "@pytest.fixture\ndef cart():\n    return Cart()\n\n"
        "@pytest.mark.parametrize('qty,total', [(1, 10), (3, 30)])\ndef test_total(cart, qty, total):\n"
        "    cart.add('a', price=10, qty=qty)\n    assert cart.total == total\n\n"
        "@pytest.mark.slow\ndef test_saves(tmp_path, monkeypatch):\n    monkeypatch.setenv('HOME', str(tmp_path))\n"
        "    path = tmp_path / 'a' / 'x.json'\n    path.parent.mkdir()\n    path.write_text('{}')\n"
        "    assert json.loads(path.read_text()) == {}\n    os.remove(path)\n\n"
        "def test_patched(monkeypatch, capsys):\n    monkeypatch.setattr('app.sleep', lambda s: None)\n"
        "    assert 'x' in capsys.readouterr().out\n\n"
        "class TestCart:\n    def setup_method(self):\n        self.cart = Cart()\n\n"
        "    def test_empty(self, client):\n        assert client.get('/cart').status_code == 200\n"
    )
    assert held(run(command, {"tests/test_a.py": code}, rest="app/__init__.py app/cart.py")) == []


BEFORE = (
    "import os\nimport subprocess\n\nPATH = '/tmp/x'\n\n\ndef clean(path):\n    os.remove(path)\n\n\n"
    "def where():\n    return PATH\n\n\ndef build(command):\n    subprocess.run(command)\n\n\n"
    "class Store:\n    def __init__(self, path):\n        self.path = path\n\n    def drop(self):\n"
    "        os.remove(self.path)\n\n    def name(self):\n        return 'a'\n\n\n"
    "if __name__ == '__main__':\n    clean(where())\n"
)


@pytest.mark.parametrize(
    "command", ["pytest -q", "python app.py", "python -m app", "python -c 'import app; app.where()'"]
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 'a'", "return 'b'"),
        ("return PATH", "return PATH + '.txt'"),
        ("PATH = '/tmp/x'", "PATH = '/tmp/y'\nSIZE = 3"),
        ("import os\n", "import os\nimport json\n"),
    ],
)
def test_what_was_there_before_is_code_of_the_project(command: str, old: str, new: str) -> None:
    """An edit of one function does not make the others the session's own."""
    files = {"app.py": BEFORE.replace(old, new)}
    assert held(run(command, files, before={"app.py": BEFORE}, rest="test_app.py")) == []


@pytest.mark.parametrize(
    "command", ["pytest -q", "python run.py", "python -m app", "python -c 'import app; app.where()'"]
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 'a'", f"return os.remove({SECRET})"),
        ("return PATH", f"return {SECRET}"),
        ("PATH = '/tmp/x'", f"PATH = {SECRET}"),
        ("self.path = path\n", f"self.path = {SECRET}\n"),
        ("import subprocess\n", f"import subprocess\nos.remove({SECRET})\n"),
        ("def name(self)", f"@os.remove({SECRET})\n    def name(self)"),
        ("class Store:\n", f"class Store:\n    path = {SECRET}\n\n"),
        ("return PATH", "return subprocess.run(input(), shell=True)"),
        ("def where():\n", f"def where(path={SECRET}):\n    os.remove(path)\n"),
        ("subprocess.run(command)", "subprocess.run(command + 'x')"),
        ("import os\n", "from shutil import rmtree as print\nimport os\n"),
        ("import os\n", "import shutil\nprint = shutil.rmtree\nimport os\n"),
    ],
)
def test_what_the_session_changed_is_not_silent(command: str, old: str, new: str) -> None:
    """In a function, a constant, a class, a decorator, a default, and at the top, whoever uses it."""
    assert old in BEFORE
    changed = {"app.py": BEFORE.replace(old, new, 1)}
    found = run(command, changed, before={"app.py": BEFORE}, rest="run.py test_app.py")
    assert touched(found) or held(found)


def test_taking_away_what_hid_a_name_changes_the_whole_file() -> None:
    """What was there before then calls another thing."""
    before = "from os import remove\n\ndef remove(path):\n    pass\n\ndef go(path):\n    remove(path)\n"
    after = "from os import remove\n\ndef go(path):\n    remove(path)\n"
    assert held(run("pytest", {"app.py": after}, before={"app.py": before}, rest="test_app.py"))
    turned = "def remove(path):\n    pass\n\nfrom os import remove\n\ndef go(path):\n    remove(path)\n"
    assert held(run("pytest", {"app.py": turned}, before={"app.py": before}, rest="test_app.py"))


@pytest.mark.parametrize("command", ["bash go.sh", "chmod +x go.sh && ./go.sh", "sh -e go.sh", ". ./go.sh"])
def test_a_shell_script_of_the_session_is_what_it_says(command: str) -> None:
    """Making it executable changes nothing in it."""
    harmless = {"go.sh": "#!/bin/bash\nset -e\nnpm run build\nrsync -a dist/ web:/srv/\n"}
    assert held(run(command, harmless)) == []
    assert touched(run(command, {"go.sh": 'd=/mod\nrm -r "${d}els/a"\n'}))


def test_a_script_of_another_language_is_what_it_would_be_in_an_argument() -> None:
    """And the session's own script where that is not known."""
    assert held(run("node f.js", {"f.js": "console.log([1, 2].map(v => v * 2))\n"})) == []
    assert held(run("node f.js", {"f.js": "require('fs').rmSync('/mo' + 'dels', {recursive: true})\n"}))
    assert held(run("NODE_OPTIONS='-r ./x.js' node f.js", {"f.js": "console.log(1)\n"}))


@pytest.mark.parametrize("verb", ["config -q", "up -d", "build", "run web", "ps", "logs web"])
def test_a_compose_file_that_is_understood_is_not_held(verb: str) -> None:
    """Images, ports, checks and volumes with names of their own."""
    plain = "services:\n  web:\n    image: nginx\n    ports: ['80:80']\n    volumes: ['data:/x']\nvolumes:\n  data:\n"
    assert [e for e in run(f"docker compose {verb}", {"compose.yaml": plain}) if e.attrs.get("code") == "script"] == []


@pytest.mark.parametrize(
    "more", ["    privileged: true\n", "    extends: {file: x.yml}\n", "    devices: ['/dev/sda:/dev/sda']\n"]
)
def test_a_compose_file_with_more_in_it_is_a_script(more: str) -> None:
    """Whether the session wrote it is for the history to say."""
    found = run("docker compose up -d", {"compose.yaml": f"services:\n  web:\n    image: nginx\n{more}"})
    assert [e.resource.path for e in found if e.attrs.get("code") == "script"] == ["/w/./compose.yaml"]


def test_the_loop_of_editing_and_running_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a real guard, with files on disk: a test, a source, a script and a server, each written and then run."""
    world = World(tmp_path, "directory")
    steps = [
        ("tests/test_new.py", "from app import x\n\ndef test_a(client):\n    assert x(client) == 1\n", "pytest -q"),
        ("src/app.py", "import os\n\n\ndef main():\n    print('bar')\n\n\nTIMEOUT = 10\n", "pytest tests/test_new.py"),
        ("repro.py", HONEST["a module of the project"], "python repro.py 2>&1 | head -50"),
        ("server.py", HONEST["a web server"], "python server.py &"),
        ("deploy.sh", "#!/bin/bash\nset -e\nnpm run build\n", "chmod +x deploy.sh && ./deploy.sh"),
    ]
    with world.open(monkeypatch) as guard:
        for name, content, command in steps:
            path = world.project / name
            write = ToolCall(
                tool="Write",
                args={"file_path": str(path), "content": content},
                cwd=str(world.project),
                subject=Subject(id="agent"),
                session="loop",
            )
            assert guard.check(write).outcome is Outcome.ALLOW
            path.write_text(content, encoding="utf-8")
            decision = guard.check(world.call(command, "loop"))
            assert decision.outcome is Outcome.ALLOW, (command, why(decision))


def test_a_name_that_is_imported_from_elsewhere_is_another_thing() -> None:
    """What was there before calls it as before."""
    before = "from lists import remove\n\ndef go(path):\n    remove(path)\n"
    for line in ("from os import remove", "from os import path, remove", "from os import unlink as remove"):
        after = before.replace("from lists import remove", line)
        assert held(run("pytest", {"app.py": after}, before={"app.py": before}, rest="test_app.py")), line
    more = before.replace("import remove", "import remove, other")
    assert held(run("pytest", {"app.py": more}, before={"app.py": before}, rest="test_app.py")) == []


SCRIPT = '#!/bin/sh\nd=/mod\nrm -r "${d}els/a"\n'


@pytest.mark.parametrize(
    "command",
    [
        "nix-shell --run ./e.sh",
        "nix-shell --run 'sh e.sh x'",
        "make SHELL=./e.sh",
        "npm run build --script-shell=./e.sh",
        "npm run build --script-shell e.sh",
        "CC=$PWD/e.sh make",
        "export TOOL=./e.sh; make",
        "cargo build --config 'build.rustc-wrapper=\"./e.sh\"'",
        "unheard-of ./e.sh",
        "bsub < e.sh",
        "sbatch --mem 1 < e.sh",
    ],
)
def test_a_program_of_the_session_that_another_is_handed_is_run(command: str) -> None:
    """In an option, a variable, an operand, or as the input of a queue."""
    found = run(command, {"e.sh": SCRIPT}, rest="Makefile")
    assert "delete /models/a" in touched(found)
    assert "delete /models/a" not in touched(run(command, {"f.sh": SCRIPT}, rest="Makefile e.sh"))


@pytest.mark.parametrize(
    "command",
    [
        "shellcheck e.sh",
        "shfmt -w e.sh",
        "cat e.sh",
        "chmod +x e.sh",
        "git add e.sh",
        "strace -o /w/e.sh make",
        "make x",
    ],
)
def test_a_program_that_is_only_looked_at_is_not_run(command: str) -> None:
    """Checks, version control, and what a command itself writes."""
    assert [one for one in touched(run(command, {"e.sh": SCRIPT})) if one.startswith("delete")] == []


NODE = "require('fs').rmSync('/mo' + 'dels', {recursive: true})\n"


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("node e", {"e.js": NODE}),
        ("node ./e", {"e.cjs": NODE}),
        ("node .", {"index.js": NODE}),
        ("node lib", {"lib/index.mjs": NODE}),
        ("node .", {"package.json": '{"main": "./lib/a"}', "lib/a.js": NODE}),
        ("node $PWD", {"package.json": '{"main": "lib"}', "lib/index.js": NODE}),
        ("tsx e", {"e.ts": NODE}),
    ],
)
def test_the_file_of_a_module_is_found_as_node_finds_it(command: str, files: dict[str, str]) -> None:
    """Without its ending, in a directory, and by what a package says."""
    script = next(name for name in files if name != "package.json")
    found = [e.resource.path or "" for e in run(command, files) if e.attrs.get("code") == "script"]
    assert [posixpath.normpath(path) for path in found] == [f"/w/{script}"]


IMPORTING = "import { gone } from './gone.mjs';\ngone('/mo' + 'dels');\n"
GONE = "import fs from 'node:fs';\nexport const gone = (place) => fs.rmSync(place);\n"
PLAIN = "import test from 'node:test';\nimport { slug } from './slug.mjs';\ntest('lowers', () => { slug('A'); });\n"
SLUG = "export function slug(text) { return text.toLowerCase(); }\n"


@pytest.mark.parametrize("command", ["node --test", "node --test test/a.test.mjs", "node --test test/*.mjs"])
def test_tests_of_node_are_what_they_and_their_modules_would_do(command: str) -> None:
    """Whether they are named, found by a pattern, or by where they lie."""
    assert held(run(command, {"test/a.test.mjs": PLAIN, "test/slug.mjs": SLUG})) == []
    assert held(run(command, {"test/a.test.mjs": IMPORTING, "test/gone.mjs": GONE}))
    assert held(run(command, {"test/a.test.mjs": IMPORTING.replace("./gone.mjs", "node:fs")}))
    assert held(run(command, {"test/a.test.mjs": IMPORTING}, rest="test/gone.mjs"))


ASKING = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--out', default='x.txt')\n{}\nopen(a.out, 'w')\n"
)


def test_a_script_writes_what_its_words_name() -> None:
    """Or what its parser says when there are none."""
    code = ASKING.format("a = p.parse_args()")
    for words, written in (("--out /t/y", "/t/y"), ("--out=/t/y", "/t/y"), ("", "/w/x.txt")):
        places = [e.resource.path for e in run(f"python f.py {words}", {"f.py": code}) if e.op == "write"]
        assert places == [written]


@pytest.mark.parametrize(
    "more",
    [
        "p.set_defaults(out='/mo' + 'dels')\na = p.parse_args()",
        "q = p.add_argument('--b')\nq.dest = 'out'\nq.default = '/mo' + 'dels'\na = p.parse_args()",
        "list(map(lambda p: p.set_defaults(out='/mo' + 'dels'), [p]))\na = p.parse_args()",
        "import sys\nsys.argv.extend(['--out', '/mo' + 'dels'])\na = p.parse_args()",
        "p.fromfile_prefix_chars = '@'\na = p.parse_args()",
        "p._actions[1].default = '/mo' + 'dels'\na = p.parse_args()",
        "a = p.parse_args(['--out', '/mo' + 'dels'])",
    ],
)
def test_a_parser_that_is_told_more_gives_what_is_not_known(more: str) -> None:
    """Other defaults, other words."""
    found = run("python f.py", {"f.py": ASKING.format(more)})
    assert held(found) or any(e.op == "write" and e.resource.pattern == "**" for e in found)


SQL = "\\! d=/mod; rm -r ${d}els/a\n"
MYSQL = "system d=/mod; rm -r ${d}els/a\n"


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("psql -f e.sql", {"e.sql": SQL}),
        ("psql -c '\\i e.sql' db", {"e.sql": SQL}),
        ("psql -f f.sql", {"f.sql": "\\ir e.sql\n", "e.sql": SQL}),
        ("psql < e.sql", {"e.sql": SQL}),
        ("mysql db < e.sql", {"e.sql": MYSQL}),
        ("mysql -e 'source e.sql'", {"e.sql": MYSQL}),
        ("mysql -e '\\. e.sql'", {"e.sql": MYSQL}),
        ("sqlite3 a.db '.read e.sql'", {"e.sql": ".shell rm -r /mod''els/a\n"}),
        ("sqlite3 -init e.sql a.db .tables", {"e.sql": ".shell rm -r /mod''els/a\n"}),
    ],
)
def test_a_script_of_a_database_client_is_what_it_says(command: str, files: dict[str, str]) -> None:
    """Named, fed, or included by another."""
    assert "delete /models/a" in touched(run(command, files))


def test_a_script_of_a_database_client_that_is_not_known_is_a_script() -> None:
    """The session's own is held, also where a script includes itself."""
    assert held(run("hostname > e.sql; psql -f e.sql", {}))
    assert held(run("hostname > e.sql; mysql -e 'source e.sql'", {}))
    assert held(run("psql -v f=e.sql -c '\\i :f'", {"e.sql": SQL}))
    assert held(run("psql -f e.sql", {"e.sql": "\\i e.sql\nselect 1;\n"})) == []


NODE_ARGUMENTS = """#!/usr/bin/env node
const fs = require('fs');
const path = require('path');
const [, , input] = process.argv;
const target = process.argv[3] || path.join(__dirname, 'out', 'a.json');
fs.mkdirSync(path.dirname(target), { recursive: true });
fs.writeFileSync(target, JSON.stringify(fs.readFileSync(input, 'utf8').split(',')));
"""
NODE_PROMISES = """import { promises as fs } from 'fs';
import path from 'node:path';
const name = 'b';
await fs.writeFile(`out/${name}.txt`, String(process.argv.length));
await new Promise((done) => setTimeout(done, 10));
"""
NODE_SERVER = """const http = require('http');
const port = Number(process.env.PORT || 8080);
http.createServer((req, res) => { res.writeHead(200); res.end(req.url); }).listen(port);
"""


@pytest.mark.parametrize(
    ("command", "files", "wanted"),
    [
        ("node x.js data.csv", {"x.js": NODE_ARGUMENTS}, "write /w/out/a.json"),
        ("node x.js data.csv out/b.json", {"x.js": NODE_ARGUMENTS}, "write /w/out/b.json"),
        ("node x.mjs a", {"x.mjs": NODE_PROMISES}, "write /w/out/b.txt"),
        ("node x.js", {"x.js": NODE_SERVER}, ""),
        ("awk -f x.awk data.csv", {"x.awk": 'NR > 1 { print $1 > "out.txt" }\n'}, "write /w/out.txt"),
        ("python -m pdb -c c -c q x.py", {"x.py": "open('out.txt', 'w')\n"}, "write /w/out.txt"),
        ("ls t/*.sh | xargs -n1 bash", {"t/x.sh": "echo a > out.txt\n"}, "write /w/out.txt"),
    ],
)
def test_what_scripts_name_once_is_followed(command: str, files: dict[str, str], wanted: str) -> None:
    """Arguments, constants and directories of a script are the files that it writes; nothing is held."""
    found = run(command, files, rest="data.csv")
    assert held(found) == []
    assert wanted in ["", *map(text, found)]


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("node x.js data.csv /models/a", {"x.js": NODE_ARGUMENTS}),
        ("node x.js data.csv", {"x.js": NODE_ARGUMENTS.replace("'out', 'a.json'", "'..', 'models', 'a'")}),
        ("node x.js /models/a out/c", {"x.js": NODE_ARGUMENTS}),
        ("node x.mjs", {"x.mjs": NODE_PROMISES.replace("out/", "/models/").replace("'b'", "'a'").replace(".txt", "")}),
        (
            "node x.mjs",
            {"x.mjs": f"{NODE_PROMISES}const f = (name) => fs.writeFile(name, '');\nf('/mo' + 'dels/a');\n"},
        ),
        ("node x.js", {"x.js": NODE_SERVER.replace("req.url", "require('fs').readFileSync('/models/a')")}),
        ("PORT=/models/s node x.js", {"x.js": NODE_SERVER}),
        ("awk -f x.awk data.csv", {"x.awk": '{ print > ("/mod" "els/a") }\n'}),
        ("python -m pdb -c c x.py", {"x.py": "import os\nos.remove('/mod' + 'els/a')\n"}),
        ("python -m pdb -c 'p exec(open(\"y\").read())' x.py", {"x.py": "print(1)\n"}),
        ("python -m pdb -c c x.py", {"x.py": "print(1)\n", ".pdbrc": "import os\n"}),
        ("ls t/*.sh | xargs -n1 bash", {"t/x.sh": "rm -r /mod*ls\n"}),
    ],
)
def test_what_scripts_name_once_may_be_the_model(command: str, files: dict[str, str]) -> None:
    """What is done to it is seen, or the script is held."""
    found = run(command, files, rest="data.csv")
    assert touched(found) or held(found)


HONEST_RECIPES = {
    "targets": ".PHONY: test lint\ntest:\n\tpytest -q\nlint:\n\t@ruff check src\n",
    "variables": "PY := python3\nOUT = build\n# how it is built\nall:\n\tmkdir -p $(OUT) && ${PY} -m compileall src\n",
    "automatic": "out/a.txt: src/app.py\n\tmkdir -p out\n\tcp $< $@\n",
    "one line": "all: ; @echo done $$HOME\n",
    "continued": "all:\n\techo a \\\n\t  b\n",
    "made of others": "A = out\nB = $(A)/b\nPY ?= python3\nall:\n\t$(PY) -m compileall -q $(B)\n",
    "commands": 'SHA := $(shell git rev-parse --short HEAD)\nall:\n\tmkdir -p out\n\techo "$(SHA)" > out/sha\n',
    "itself": ".DEFAULT_GOAL := all\nSHELL := /bin/bash\nall:\n\t$(MAKE) lint\nlint:\n\truff check src\n",
    "defaults": "out/x: x.c\n\tmkdir -p $(dir $@)\n\t$(CC) $(CFLAGS) -o $@ $<\n",
    "a sum": "help:\n\t@grep -E '^[a-z]+:' $(MAKEFILE_LIST) | sort\n",
}


@pytest.mark.parametrize("name", HONEST_RECIPES)
@pytest.mark.parametrize("command", ["make", "make -j4 --silent", "make -C ."])
def test_recipes_of_the_session_are_what_they_say(name: str, command: str) -> None:
    """Whether it was written in this call or in one before, an honest one is not held."""
    assert held(run(command, {"Makefile": HONEST_RECIPES[name]})) == []
    written = f"printf %s {shlex.quote(HONEST_RECIPES[name])} > Makefile && {command}"
    assert held(run(written, {})) == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("make clean", "all:\n\ttrue\nclean:\n\trm -rf /models/a\n"),
        ("make", "D := /models\nall:\n\trm -rf $(D)/a\n"),
        ("make", "D = /mod\nall:\n\trm -rf ${D}els/a\n"),
        ("make", "/models/a: x\n\trm $@\n"),
        ("make", "x: /models/a\n\tcp $< /tmp/y\n"),
        ("make", "x: /models/a y\n\ttar cf /tmp/y $^\n"),
        ("make", "all:\n\tcd /models && \\\n\trm -r a\n"),
        ("make", "all: ; rm /models/a\n"),
        ("make x", "x:\n\t@-rm /models/a # $@\n"),
        ("make", "E = /mod\nD = $(E)els\nall:\n\trm -rf $(D)/a\n"),
        ("make", "D = $(E)els\nE = /mod\nall:\n\trm -rf $(D)/a\n"),
        ("make", "D ?= /models\nall:\n\trm -rf $(D)/a\n"),
        ("make", "all:\n\t$(MAKE) x\nx:\n\trm -rf /models/a\n"),
    ],
)
def test_what_recipes_of_the_session_do_is_seen(command: str, text: str) -> None:
    """In any target, since which of them run is left to make."""
    assert touched(run(command, {"GNUmakefile": text}))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("make D=/models/a", "all:\n\trm -rf $(D)\n"),
        ("D=/x make", "D ?= build\nall:\n\trm -rf $(D)\n"),
        ("make", "D = a\nD = b\nall:\n\trm -rf $(D)\n"),
        ("make", "D = a\nD += b\nall:\n\trm -rf $(D)\n"),
        ("make", "E = x\nD = $(E)\nE = y\nall:\n\trm -rf $(D)\n"),
        ("make", "D = $(D)x\nall:\n\trm -rf $(D)\n"),
        ("make", "D = $(E)\nE = $(D)\nall:\n\trm -rf $(D)\n"),
        ("make", "D := $(E)\nE = x\nall:\n\trm -rf $(D)\n"),
        ("make", "CC ?= a; rm x;\nall:\n\t$(CC) -o y\n"),
        ("CC=x make", "all:\n\t$(CC) -o y\n"),
        ("make", "V = $(shell cat V)\nall: a\n\techo $(V)\na:\n\techo ';rm x' > V\n"),
        ("make", "V := $(shell date +%Y)\nall:\n\trm -rf '/mod$(V)'\n"),
        ("make -f M", "all:\n\t$(MAKE) x\n"),
        ("make", "all:\n\trm -rf $(UNSET)/models/b\n"),
        ("make", "%.o: %.c\n\trm $@\n"),
        ("make", "a b: c\n\trm $@\n"),
        ("make", "all:\n\trm $*\n"),
        ("make", "all:\n\trm $(notdir /x/y)\n"),
        ("make", "X := $(shell true)\nall:\n\ttrue\n"),
        ("make", "include other.mk\nall:\n\ttrue\n"),
        ("make", "all:\n\t$(MAKE) -C sub\n"),
        ("make", "SHELL := /bin/evil\nall:\n\ttrue\n"),
        ("make", ".ONESHELL:\nall:\n\ttrue\n"),
        ("make", "define X\ntrue\nendef\nall:\n\t$(X)\n"),
        ("make -f -", "all:\n\ttrue\n"),
        ("make --eval 'all: x'", "all:\n\ttrue\n"),
        ('make "$T"', "all:\n\ttrue\n"),
        ("export MAKEFLAGS=x; make", "all:\n\ttrue\n"),
        ("make", 'all:\n\tsh -c "$$(cat x)"\n'),
        ("make", "all:\n\t./tool\n"),
        ("make -C 'a b' -f ../Makefile", "all:\n\trm w\n"),
        ("make -C sub -f ../Makefile", "all:\n\trm $(X)\n"),
        ("make", "VPATH = /mod\nx: els\n\trm $<\n"),
    ],
)
def test_recipes_that_are_not_all_known_are_held(command: str, text: str) -> None:
    """What make would put together is not guessed: the makefile is a script, and whose it is the history says."""
    found = run(command, {"Makefile": text, "tool": "\x7fELF\0"})
    scripts = [e.resource.path or "" for e in found if e.op == "exec_opaque"]
    assert held(found) or {"/w/Makefile", "/w/./tool"} & set(scripts)


PLAIN_TEST = "import { test, expect } from 'vitest'\ntest('adds', () => expect(1 + 2).toBe(3))\n"
OTHER_TEST = (
    "import { test } from 'vitest'\nimport { execSync } from 'node:child_process'\n"
    "test('x', () => execSync(process.env.X))\n"
)


@pytest.mark.parametrize("runner", ["npx vitest run", "npx jest", "vitest run", "pnpm vitest run", "npx mocha"])
def test_a_test_of_javascript_is_run_by_its_file_name_as_it_is_without(runner: str) -> None:
    """In the call that wrote it: one that only computes passes, one that starts what a variable says does not."""

    def written(text: str, rest: str = "") -> list[Effect]:
        return run(f"cat > a.test.js <<'E'\n{text}E\n{rest}{runner} a.test.js", {})

    def held(effects: list[Effect]) -> bool:
        return any(effect.attrs.get("authored") for effect in effects)

    assert not held(written(PLAIN_TEST))
    assert held(written(OTHER_TEST))
    assert held(written(PLAIN_TEST, f"cat > e.txt <<'E'\n{OTHER_TEST}E\nmv e.txt a.test.js\n"))
    assert held(run(f"cat > c.js <<'E'\n{OTHER_TEST}E\n{runner} --config c.js", {}))


RUN_BY_TOOLS = [
    ("git status", {".git/config": '[core]\n\tfsmonitor = "./watch --now"\n'}),
    ("git fetch", {".git/config": "[core]\n\tsshCommand = ./reach\n"}),
    ("git add .", {".git/config": '[filter "x"]\n\tclean = ./tidy %f\n'}),
    ("git st", {".git/config": '[alias]\n\tst = "!perl -e unlink+shift"\n'}),
    ("git log", {"/home/a/.gitconfig": "[core]\n\tpager = ./page --all\n"}),
    ("git log", {".git/config": "[include]\n\tpath = ../more\n", "more": "[core]\n\tpager = ./page --all\n"}),
    ("git log", {".git/config": "no settings"}),
    ("git --git-dir=other status", {"other/config": "[core]\n\tfsmonitor = ./watch --now\n"}),
    (
        "git commit -m x",
        {".git/config": "[core]\n\thooksPath = mine\n", "mine/pre-commit": "#!/usr/bin/env node\nx()\n"},
    ),
    ("git status", {".git/hooks/post-index-change": "#!/usr/bin/env node\nx()\n"}),
    ("git fetch", {".git/hooks/reference-transaction": "#!/usr/bin/env node\nx()\n"}),
    ("git merge other", {".git/hooks/pre-merge-commit": "#!/usr/bin/env node\nx()\n"}),
    ("cd src && git commit -m x", {".git/hooks/post-commit": "#!/usr/bin/env node\nx()\n", "src/a": "x"}),
    ("npm test", {".npmrc": "script-shell = ./shell\n"}),
    ("pip install .", {"pyproject.toml": '[build-system]\nbuild-backend = "own"\nbackend-path = ["."]\n'}),
    ("terraform apply", {"main.tf": 'resource "x" "y" {\n  provisioner "local-exec" {\n    command = "./x"\n  }\n}\n'}),
    ("poe all", {"pyproject.toml": "[tool.poe.tasks]\nall = ['one']\none = 'perl -e unlink+shift'\n"}),
    ("composer install", {"composer.json": '{"scripts": {"post-install-cmd": "perl -e unlink+shift"}}'}),
    ("code .", {".vscode/tasks.json": "{}"}),
    ("npx next build", {"next.config.mjs": "import fs from 'fs'; export default fs.rmSync('x')"}),
]
"""Commands, and files of the session's that they run or that say what they run."""


@pytest.mark.parametrize(("command", "files"), RUN_BY_TOOLS)
def test_what_tools_run_by_themselves_is_held_where_an_earlier_call_wrote_it(
    command: str, files: dict[str, str]
) -> None:
    """Settings, hooks and tasks that no word of the command names."""
    assert _asked(command, files)


def _asked(command: str, files: dict[str, str]) -> list[str]:
    """What policy asks about, scripts of the session's among it: whose those are is for the history to say."""
    found = run(command, {".git/HEAD": "", **files})
    own = {posixpath.join("/w", name) for name in files}
    scripts = [posixpath.normpath(e.resource.path or "") for e in found if e.attrs.get("code") == "script"]
    return [*held(found), *own.intersection(scripts)]


HEEDED = [
    ("git status", {".git/config": "[user]\n\tname = A\n[core]\n\teditor = vim # mine\n[push]\n\tdefault = current\n"}),
    (
        "git co main",
        {
            "/home/a/.gitconfig": '[alias]\n\tco = checkout\n[url "git@example.com:"]\n\tinsteadOf = https://example.com/\n'
        },
    ),
    ("git add .", {".git/config": '[filter "lfs"]\n\tclean = git-lfs clean -- %f\n\trequired = true\n'}),
    ("npm ci", {".npmrc": "save-exact = true\n"}),
    ("pip install -e .", {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["requests"]\n'}),
    ("terraform plan", {"main.tf": 'resource "x" "y" {}\n'}),
    ("poe all", {"pyproject.toml": "[tool.poe.tasks]\nall = ['one']\none = 'ruff check .'\n"}),
]
"""Commands, and files of the session's in which nothing runs that is not known."""


@pytest.mark.parametrize(("command", "files"), HEEDED)
def test_settings_of_the_session_that_run_nothing_are_not_held(command: str, files: dict[str, str]) -> None:
    """Honest work sets names, editors, addresses and dependencies."""
    assert _asked(command, files) == []


def test_settings_that_were_there_before_are_the_projects_own() -> None:
    """Of a file that the session changed, what it did not change is not its own."""
    before = '[core]\n\tfsmonitor = "./watch --now"\n'
    files = {".git/HEAD": "", ".git/config": before + "[user]\n\tname = A\n"}
    assert held(run("git status", files, before={".git/config": before})) == []


@pytest.mark.parametrize("command", ["npm test", "cmake --build ."])
def test_more_sources_than_are_looked_at_are_a_question(command: str) -> None:
    """At a bound the answer is opaque: the last one may name the asset."""
    files = {f"src/{number}.js": "x" for number in range(MAX_SOURCES + 1)}
    assert held(run(command, files))
    del files["src/0.js"]
    assert held(run(command, files)) == []


def test_more_programs_or_words_than_are_looked_into_are_a_question() -> None:
    """One too many of the session's programs among the words, or too many words."""
    files = {f"p{number}.sh": "#!/bin/sh\ntrue\n" for number in range(MAX_HANDED + 1)}
    few = " ".join(list(files)[:MAX_HANDED])
    assert held(run(f"frobnicate {few}", files)) == []
    assert held(run(f"frobnicate {few} p{MAX_HANDED}.sh", files))
    assert held(run("frobnicate" + " x" * (MAX_WORDS + 1), files))


ASSEMBLED = [
    ("npx jest", "src/x.test.js", "const p = process.env.A + process.env.B\nrequire('fs').rmSync(p)\n"),
    ("npx jest", "src/x.test.js", "fs.cpSync(Buffer.from('L3M=', 'base64').toString(), 'y')\n"),
    ("go test ./...", "x_test.go", 'func TestX(t *testing.T) { p := os.Getenv("A") + "/x"; os.RemoveAll(p) }\n'),
    (
        "cargo test",
        "tests/x.rs",
        'fn x() { let p = std::env::var("A").unwrap();\nstd::fs::remove_file(p).unwrap(); }\n',
    ),
    ("rspec", "spec/x_spec.rb", 'a = ENV["A"]\nb = a + "x"\nFile.delete(b)\n'),
    ("prove -l", "t/x.t", "unlink $ENV{A}.$ENV{B};\n"),
    ("vendor/bin/phpunit", "tests/XTest.php", '<?php $p = getenv("A") . getenv("B");\nunlink($p);\n'),
    ("npx tailwindcss build", "src/x.js", "import(process.env.A + process.env.B)\n"),
]
"""Commands, and sources of the session's in which a name is put together of what does not stand there."""


@pytest.mark.parametrize(("command", "name", "text"), ASSEMBLED)
def test_a_name_that_no_source_says_is_held_where_something_is_done_to_it(command: str, name: str, text: str) -> None:
    """In any language: of the environment, or undone from a code, also through names."""
    assert held(run(command, {name: text}))


@pytest.mark.parametrize(
    "text",
    [
        "const db = process.env.DATABASE_URL\nbeforeAll(() => connect(db))\nfs.writeFileSync('out.json', '{}')\n",
        "app.listen(process.env.PORT || 3000)\nconst t = fs.readFileSync(path.join(__dirname, 'a.html'))\n",
        "spawn('node', ['x.js'], { env: { ...process.env, A: '1' } })\n",
        "const r = items.reverse()\nfs.writeFileSync('out.json', JSON.stringify(r))\n",
        "const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'x-'))\nfs.rmSync(dir, { recursive: true })\n",
        "const key = fs.readFileSync('a.png').toString('base64')\n",
    ],
)
def test_a_source_that_says_its_names_and_looks_at_the_environment_is_not_held(text: str) -> None:
    """Tests of servers and of files do."""
    assert held(run("npx jest", {"src/x.test.js": text})) == []
