"""Programs that import Python of the project they run in: test runners, servers, and `python -m` with a module.

Not concerned with what the session did not write. Of what it wrote, each file that the program may load is looked into.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from guardrail.effects.code._own_files import OwnFiles, is_python, named_files, own_files, python_folder
from guardrail.effects.code._python_tasks import has_only_tasks
from guardrail.effects.code._recipes import run_recipes
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code.python._beside import check_module, hold, may_import, module_name
from guardrail.effects.code.python._imports import is_known, pinned
from guardrail.effects.code.python._tests import run_tests
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import TOP, Field
from guardrail.patterns import lazy

TESTERS: Final = frozenset(
    "pytest py.test tox nox unittest nose2 behave robot doctest make gmake just task invoke inv pre-commit mutmut "
    "cosmic-ray ptw pytest-watch stestr trial green ward testr zope-testrunner".split()
)
"""Programs that look for tests by themselves, or run what does."""

LOADERS: Final = frozenset(
    "coverage flask gunicorn uvicorn hypercorn daphne celery django-admin streamlit alembic locust torchrun deepspeed "
    "accelerate papermill rq dramatiq huey scrapy mkdocs sphinx-build ipython jupyter fastapi granian "
    "waitress-serve marimo bokeh panel chainlit voila solara mesop reflex taipy litestar manim luigi "
    "huey_consumer spark-submit pyinstaller nuitka pydoc pdoc jupytext typer airflow langgraph adk chalice "
    "zappa optuna".split()
)
"""Other programs that load modules of the project they run in."""

START_VARIABLES: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "FLASK_APP", "DJANGO_SETTINGS_MODULE")
"""Variables that name modules."""

_DEFAULTS: Final = {"flask": ("app", "wsgi"), "fastapi": ("main", "app", "api")}
"""Modules that a program loads without being told."""

_RUN_BY_NAME: Final = frozenset(
    ("conf.py", "hooks.py", "noxfile.py", "fabfile.py", "tasks.py", "locustfile.py", "toxfile.py")
)
"""Files that programs run which look for them by that name, or start one that does."""

_SETTINGS: Final = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_CHOOSING = lazy(r"python_(files|functions|classes)")
_TEST_FILE: Final = lazy(r"test_.*\.py|.*_test\.py|tests?\.py", re.DOTALL)
_DOCUMENTS: Final = (".py", ".txt", ".rst", ".md")
"""Endings of files in which examples may be run."""


def note_start(call: Call) -> None:
    """What every Python loads at its start, as far as the session wrote it: `sitecustomize`, `.pth`, packages."""
    own = named_files(call)
    for path in _changed_since(call):
        hold(call, path)
    started = frozenset(own.chosen(_may_start) if own is not None else ())
    for path in sorted({*started, *_compiled(call, own)}) if own is not None else ():
        if path.endswith(".py") and call.shell.view.stale(path):
            hold(call, path)
        if path not in started:
            continue
        folder, _, name = path.rpartition("/")
        special = name.partition(".")[0] in ("sitecustomize", "usercustomize")
        compiled = name.endswith(".pyc") and "*" not in path
        if "-packages/" in path or compiled or (special and folder in _python_path(call)):
            hold(call, path)


def _may_start(path: str) -> bool:
    return path.endswith(".pyc") or "-packages/" in path or "customize" in path


def _compiled(call: Call, own: OwnFiles) -> Iterator[str]:
    """Sources of the session's of which there may be something compiled."""
    view = call.shell.view
    for folder in own.keys(python_folder):
        compiled = f"{folder}/__pycache__"
        if view.missing(compiled):
            continue
        listed = view.listing(compiled)
        if listed is None or not listed[0]:
            yield from own.at(python_folder, folder)  # it may be one that cannot be listed
            continue
        for name in {path.rpartition("/")[2] for path in listed[0]}:
            dots = (index for index, char in enumerate(name) if char == ".")
            sources = (f"{folder}/{name[:dot]}.py" for dot in dots)
            yield from (source for source in sources if source in own)


def _changed_since(call: Call) -> list[str]:
    """Sources that this call wrote after it had sources compiled: Python may not see that they were."""
    effects = call.shell.emit.effects
    first = next((i for i, effect in enumerate(effects) if effect.attrs.get("compiled")), None)
    if first is None:
        return []
    last = [effect.target or effect.resource for effect in effects[first:] if effect.op in MUTATING]
    names = [place.path or place.pattern or "**" for place in last if place.uri is None]
    return [name for name in names if name.endswith((".py", "*")) and "/__pycache__/" not in name]


def note_shadows(call: Call) -> None:
    """Modules of the session's that are found before those that a program means by their names."""
    folders = {folder for folder in (call.cwd, *_python_path(call)) if folder is not None}
    folders |= {call.shell.view.identity(folder) for folder in folders}
    own = named_files(call)
    found = {path for folder in folders for path in own.at(_shadowing_in, folder)} if own is not None else ()
    for path in sorted(found):
        hold(call, path)


def _shadowing_in(path: str) -> tuple[str, ...]:
    """Where a module lies that has the name of one which is known."""
    folder, _, name = path.removesuffix("/__init__.py").rpartition("/")
    return (folder,) if path.endswith(".py") and is_known(name.removesuffix(".py")) else ()


def _python_path(call: Call) -> Iterator[str]:
    value = call.state.vars.get("PYTHONPATH")
    for alternative in value.alternatives if value is not None else ():
        for part in alternative.split(":"):
            where = place(part or ".", call.cwd).path if TOP not in part else None
            if where is not None:
                yield where
                yield call.shell.view.identity(where)


def project_code(call: Call, name: str, args: Sequence[Field]) -> None:
    """What the session wrote of the Python that a program of the project loads.

    Args:
        call: the program.
        name: what it is called.
        args: its arguments.
    """
    if not (call.shell.emit.made or call.shell.written_before):
        return  # nothing there is the session's
    note_start(call)
    own = own_files(call)
    if own is not None and not own:
        return
    folders = list(dict.fromkeys(_folders(call, args)))
    before, call.shell.pinned = call.shell.pinned, {**pinned(call), **call.shell.pinned}
    try:
        _load(call, name, args, folders)
    finally:
        call.shell.pinned = before


def _load(call: Call, name: str, args: Sequence[Field], folders: Sequence[str]) -> None:
    note_shadows(call)
    _notebooks(call, args)
    done = _tests(call, args, folders) if name in TESTERS else []
    done += _only_tasks(call, name)
    words = [*_words(call, args), *_DEFAULTS.get(name, ())]
    may_import(call, folders, done=done, words=words)
    own = own_files(call)
    if own is None:
        return
    named = {path for word in words for path in _named(call, word) if path in own}
    for path in sorted({*own.below(_tops(call, folders), _is_run_by_name), *named}.difference(done)):
        check_module(call, module_name(call, path), path)


def _is_run_by_name(path: str) -> bool:
    return path.rpartition("/")[2] in _RUN_BY_NAME


_READERS: Final = {"nox": "noxfile.py", "invoke": "tasks.py", "inv": "tasks.py"}
"""Programs that start commands by what such a file says, which are looked into where the program is."""


def _only_tasks(call: Call, name: str) -> list[str]:
    """Files of tasks with nothing but commands in them, which tests may have run as well as their own program."""
    found: list[str] = []
    for file in ("noxfile.py", "tasks.py"):
        path = call.place(Field(text=file)).path
        if path is None or not call.shell.authored(path):
            continue
        own = place(path, None)
        texts = script_texts(call, own)
        only = bool(texts) and all(has_only_tasks(file, text) for text in texts)
        if only and (_READERS.get(name) == file or run_recipes(call, own)):
            found += [path, call.shell.view.identity(path)]
    return found


def _folders(call: Call, args: Sequence[Field]) -> Iterator[str]:
    """Where the program looks: its directory, what it is told of, and the folders of Python's path."""
    if call.cwd is not None:
        yield call.cwd
    yield from _python_path(call)
    for field in args:
        for text in (field.text.partition("::")[0], field.text.partition("=")[2]):
            where = place(text, call.cwd).path if text.strip("-") and TOP not in text else None
            if where is not None and text.endswith(".py"):
                yield where.rpartition("/")[0]
            elif where is not None and call.shell.view.kind(where) == "dir":
                yield where


def _words(call: Call, args: Sequence[Field]) -> list[str]:
    """All that tells the program what to load."""
    told = [field.text for field in args]
    for name in START_VARIABLES:
        value = call.state.vars.get(name)
        told += value.alternatives if value is not None else ()
    return told


def _named(call: Call, word: str) -> tuple[str, ...]:
    """The source of Python of which a word is the path."""
    text = word.partition("::")[0].rpartition("=")[2]
    path = place(text, call.cwd).path if text.endswith(".py") else None
    return (path, posixpath.normpath(path)) if path is not None else ()


def _tests(call: Call, args: Sequence[Field], folders: Sequence[str]) -> list[str]:
    """The tests, and the files with their fixtures."""
    own = own_files(call)
    tops = _tops(call, folders)
    settings = "\n".join(_setting(call, folder, name) for folder in folders for name in _SETTINGS)
    if "doctest" in settings or any("doctest" in word for word in (call.name, *_words(call, args))):
        _examples(call, folders)
    every = _CHOOSING.search(settings) is not None
    named = [place(word.text.partition("::")[0], call.cwd).path for word in args if word.text[:1] not in ("-", "")]
    if own is None:
        return []
    shared = own.below(tops, _is_shared)
    told = {path for path in named if path is not None and path.endswith(".py") and path in own}
    found = own.below(tops, is_python if every and "python_files" in settings else _is_test)
    done = sorted({*found, *(path for path in told if path.startswith(tops))})
    for path in done:
        above = [each for each in shared if each != path and path.startswith(each.removesuffix("conftest.py"))]
        run_tests(call, path, sorted(above, key=len), _roots(call, path), every=every)
    return done


def _is_shared(path: str) -> bool:
    return path.endswith("/conftest.py")


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name == "conftest.py" or _TEST_FILE.fullmatch(name) is not None


def _notebooks(call: Call, args: Sequence[Field]) -> None:
    for field in args:
        path = call.place(field).path if field.text.endswith(".ipynb") else None
        if path is None or not call.shell.authored(path):
            continue
        texts = [_cells(text) for text in script_texts(call, place(path, None))]
        if not texts or None in texts:
            hold(call, path)
        for text in texts:
            # Parameters come as a cell of their own, and are named to the program as its words.
            with call.perhaps():
                code = (Field(text="python"), Field(text="-c"), Field(text=text or "", span=call.span))
                call.shell.again(call, code, external=True)


class _Cell(msgspec.Struct, frozen=True):
    """One cell of a notebook."""

    cell_type: str = ""
    source: str | list[str] = ""


class _Notebook(msgspec.Struct, frozen=True):
    """What counts in a notebook."""

    cells: list[_Cell]


def _cells(text: str) -> str | None:
    """The code of a notebook as one text of Python; None if it is not plain Python."""
    try:
        cells = msgspec.json.decode(text, type=_Notebook).cells
    except (msgspec.DecodeError, RecursionError):
        return None
    sources = ["".join(cell.source) for cell in cells if cell.cell_type != "markdown"]
    code = "\n".join(sources)
    return None if _MAGIC.search(code) is not None else code


_MAGIC: Final = lazy(r"^\s*[!%?]|\?\s*$|get_ipython|=\s*[!%]", re.MULTILINE)
"""What a notebook runs that is no Python."""


def _examples(call: Call, folders: Sequence[str]) -> None:
    """Examples in texts are run: those of the session's are not followed."""
    own = named_files(call)
    for path in own.below(_tops(call, folders), _is_document) if own is not None else ():
        data = call.content(place(path, None))
        if data is None or b">>>" in data:
            hold(call, path)


def _is_document(path: str) -> bool:
    return path.endswith(_DOCUMENTS)


def _tops(call: Call, folders: Sequence[str]) -> tuple[str, ...]:
    """How the paths begin of what lies below some folders."""
    return tuple(f"{folder.rstrip('/')}/" for each in folders for folder in (each, call.shell.view.identity(each)))


def _setting(call: Call, folder: str, name: str) -> str:
    data = call.content(place(f"{folder}/{name}", None))
    return data.decode("utf-8", "replace") if data is not None else ""


def _roots(call: Call, path: str) -> list[str]:
    """Where a file of tests looks for modules: beside its package, and in the directory of the run."""
    folder = path.rpartition("/")[0]
    while folder and call.shell.view.kind(f"{folder}/__init__.py") is not None:
        folder = folder.rpartition("/")[0]
    here = call.cwd
    return [folder, *([here, f"{here}/src"] if here is not None else [])]
