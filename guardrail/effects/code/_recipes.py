"""Files of the session's that name tasks as commands: justfiles, Taskfiles, `tox.ini`, hooks, and tasks in Python.

Not concerned with what the commands do. A file of which any part is not understood has no answer here.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.code._own_files import own_files
from guardrail.effects.code._python_tasks import invoke_tasks, nox_tasks
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code._steered import is_told
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import PATH, TOP, Field
from guardrail.effects.keys._formats import is_list, is_table, load_yaml
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_RECIPES: Final = 64
"""Most commands of one file that are looked into."""

Words = Sequence[Field]


def run_recipes(call: Call, place: Resource) -> bool:
    """Run, perhaps, what a file of tasks says for the words of a command.

    Args:
        call: the program that reads it.
        place: the file, which the session wrote.

    Returns:
        Whether all of it is known.
    """
    path = place.path or ""
    folder, _, name = path.rpartition("/")
    reader = _READERS.get(name)
    if reader is None or is_told(call) or not all(field.known for field in call.args):
        return False
    if call.cwd is None or call.shell.view.real(call.cwd).rstrip("/") != call.shell.view.real(folder).rstrip("/"):
        return False  # its commands run in another directory
    texts = script_texts(call, place)
    found: list[Words] = []
    for text in texts:
        commands = reader(call, text)
        if commands is None:
            return False
        found += commands
    if not texts or len(found) > MAX_RECIPES:
        return False
    key = (path, texts, tuple(field.text for field in call.args))
    if key in call.shell.running:
        return True  # a task that runs what may run the tasks: they are being looked into
    call.shell.running.add(key)
    try:
        for words in found:
            with call.perhaps():
                call.shell.again(call, tuple(words), external=True)
    finally:
        call.shell.running.discard(key)
    return True


def _in_shell(text: str) -> Words:
    return (Field(text="sh"), Field(text="-c"), Field(text=text))


# -- just


class _Recipe(msgspec.Struct, kw_only=True):
    params: list[tuple[str, str | None, bool]]  # name, value if none is given, takes all that follow
    needs: list[str]
    lines: list[str] = []


_LOOKING: Final = frozenset(("--list", "-l", "--summary", "--groups", "--dump", "--show", "-s", "--version", "--help"))
_SET: Final = lazy(
    r"set\s+(?:dotenv-load|quiet|fallback|ignore-comments|unstable|allow-duplicate-recipes)(?:\s*:=\s*(?:true|false))?"
    r"|set\s+shell\s*:=\s*\[\s*[\"'](?:ba)?sh[\"'](?:\s*,\s*[\"'](?:-[eu]*o[\"']\s*,\s*[\"']pipefail|-[eu]+)[\"'])*\s*,\s*[\"']-[eu]*c[\"']\s*\]"
)
_ATTRIBUTE: Final = lazy(r"\[(?:group|doc|confirm)\s*\([^()]*\)\]|\[(?:private|linux|unix|macos|no-exit-message)\]")
_GIVES: Final = lazy(r"(?P<name>[\w-]+)\s*:=\s*(?:\"(?P<text>[^\"\\]*)\"|'(?P<raw>[^']*)')")
_HEAD: Final = lazy(
    r"@?(?P<name>[A-Za-z_][\w-]*)(?P<params>(?:\s+[+*]?[A-Za-z_][\w-]*(?:=(?:\"[^\"\\]*\"|'[^']*'))?)*)\s*:(?!=)"
    r"(?P<needs>(?:\s*&&)?(?:\s+[A-Za-z_][\w-]*|\s+&&)*)\s*"
)
_PARAM: Final = lazy(r"(?P<many>[+*]?)(?P<name>[A-Za-z_][\w-]*)(?:=(?:\"(?P<text>[^\"\\]*)\"|'(?P<raw>[^']*)'))?")
_SHOWN: Final = lazy(r"\{\{\s*([A-Za-z_][\w-]*)\s*\}\}")


def _just(call: Call, text: str) -> list[Words] | None:
    words = [field.text for field in call.args]
    if words and words[0] in _LOOKING:
        return []
    if any(word[:1] == "-" for word in words[:1]) or ("dotenv-load" in text and _has_own_variables(call)):
        return None
    values: dict[str, str] = {}
    recipes: dict[str, _Recipe] = {}
    if not _read_just(text, values, recipes) or not recipes:
        return None
    found: list[Words] = []
    waiting = list(words) or [next(iter(recipes))]
    while waiting:
        recipe = recipes.get(waiting.pop(0))
        if recipe is None:
            return None
        given: dict[str, str] = {}
        for name, usual, many in recipe.params:
            count = len(waiting) if many else 1
            value = " ".join(waiting[:count]) if waiting else usual
            del waiting[:count]
            if value is None and not many:
                return None
            given[name] = value or ""
        for needed in _needed(recipes, recipe):
            open_ = needed is not None and any(usual is None and not many for _, usual, many in needed.params)
            if needed is None or (needed is not recipe and open_):
                return None
            own = given if needed is recipe else {name: usual or "" for name, usual, _ in needed.params}
            lines = [_shown(line, {**values, **own}) for line in needed.lines]
            if None in lines:
                return None
            found += [_in_shell(line) for line in lines if line]
    return found


def _read_just(text: str, values: dict[str, str], recipes: dict[str, _Recipe]) -> bool:
    recipe: _Recipe | None = None
    lines = text.split("\n")
    while lines:
        line = lines.pop(0)
        if line[:1] in (" ", "\t") and recipe is not None:
            said = line.strip()
            if said[:1] == "#" and (said[:2] == "#!" or said[-1:] == "\\"):
                return False  # what follows is another line by one setting, and part of the remark by another
            while said[-1:] == "\\":
                # The next line is put behind it as it is, but for what it is indented by.
                if not lines or lines[0][:1] not in (" ", "\t"):
                    return False
                said = said[:-1] + lines.pop(0).strip()
            recipe.lines += [said.lstrip("@-")] if said and said[0] != "#" else []
            continue
        plain = line.strip()
        if plain[:1] != "#" and plain[-1:] == "\\":
            return False
        if not plain or plain[0] == "#" or _SET.fullmatch(plain) or _ATTRIBUTE.fullmatch(plain):
            continue
        if given := _GIVES.fullmatch(plain):
            values[given["name"]] = given["text"] if given["text"] is not None else given["raw"]
        elif head := _HEAD.fullmatch(plain):
            if head["name"] in recipes:
                return False  # which one counts is a matter of the system, or of settings
            params = [
                (one["name"], one["text"] if one["text"] is not None else one["raw"], bool(one["many"]))
                for one in _PARAM.finditer(head["params"])
            ]
            recipe = _Recipe(params=params, needs=head["needs"].replace("&&", " ").split())
            recipes[head["name"]] = recipe
        elif re.fullmatch(r"alias\s+[\w-]+\s*:=\s*[\w-]+", plain) is None:
            return False
    return True


def _needed(recipes: Mapping[str, _Recipe], recipe: _Recipe) -> Iterator[_Recipe | None]:
    """A recipe and those that run with it; None for one that is not there."""
    waiting: list[_Recipe | None] = [recipe]
    seen: list[_Recipe] = []
    while waiting:
        one = waiting.pop(0)
        if one is not None and any(one is other for other in seen):
            continue
        yield one
        if one is not None:
            seen.append(one)
            waiting += [recipes.get(name) for name in one.needs]


def _shown(line: str, values: Mapping[str, str]) -> str | None:
    """A line with values in the place of names; None if one of them is not known."""
    if not {match[1] for match in _SHOWN.finditer(line)} <= values.keys():
        return None
    text = _SHOWN.sub(lambda match: values[match[1]], line)
    return None if "{{" in text else text


# -- task


_TEMPLATE: Final = lazy(r"\{\{\s*\.(\w+)\s*\}\}")
_TASK_KEYS: Final = frozenset(
    "cmds cmd deps desc summary silent sources generates method vars aliases internal interactive label run prompt "
    "ignore_error platforms".split()
)


def _task(call: Call, text: str) -> list[Words] | None:
    words = [field.text for field in call.args]
    chosen = words[: words.index("--")] if "--" in words else words
    if any(word in ("--list", "--list-all", "-l", "-a", "--version", "--help") for word in chosen):
        # Told to say which are up to date, it asks their own commands.
        return [] if len(chosen) == 1 and re.search(r"\b(?:sh|status)\s*[\"']?\s*:", text) is None else None
    if any(word[:1] == "-" for word in chosen):
        return None
    found = _document(text)
    if not is_table(found) or not set(found) <= {"version", "vars", "tasks", "silent", "output"}:
        return None
    values, tasks = _values(found.get("vars")), found.get("tasks")
    if values is None or not is_table(tasks):
        return None
    values["CLI_ARGS"] = shlex.join(words[len(chosen) + 1 :])
    for word in (one for one in chosen if "=" in one):
        if word.partition("=")[0] in text:
            return None  # which of two values counts is a matter of versions
        values[word.partition("=")[0]] = word.partition("=")[2]
    waiting = [one for one in chosen if "=" not in one] or ["default"]
    commands: list[Words] = []
    for name in waiting:
        if len(waiting) > MAX_RECIPES:
            return None
        task = tasks.get(name)
        parts = _task_parts(task, values)
        if parts is None:
            return None
        for shell, other in parts:
            commands += [_in_shell(shell)] if shell else []
            waiting += [other] if other and other not in waiting else []
    return commands


def _document(text: str) -> Any:
    try:
        found = load_yaml(text)
    except Exception:  # noqa: BLE001 - whatever the reader says, the text is not understood
        return None
    return found[0] if len(found) == 1 else None


def _values(table: Any) -> dict[str, str] | None:
    """Variables that are plain values; None if one is worked out."""
    if table is None:
        return {}
    if not is_table(table) or not all(isinstance(value, str | int | float) for value in table.values()):
        return None
    found = {str(name): str(value) for name, value in table.items()}
    return found if not any("{{" in value for value in found.values()) else None


def _task_parts(task: Any, values: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """The shell texts of a task, and other tasks that it runs."""
    if not is_table(task):
        task = {"cmds": task if is_list(task) else [task]} if task is not None else None
    if task is None or not set(task) <= _TASK_KEYS:
        return None
    own = _values(task.get("vars"))
    if own is None:
        return None
    found: list[tuple[str, str]] = []
    listed = [*_listed(task.get("cmds")), *_listed(task.get("cmd"))]
    for entry in (*listed, *({"task": one} for one in _listed(task.get("deps")))):
        if is_table(entry) and set(entry) <= {"task", "cmd", "silent", "ignore_error"}:
            other, text = entry.get("task"), entry.get("cmd")
        else:
            other, text = None, entry
        if isinstance(other, str):
            found.append(("", other))
        elif isinstance(text, str):
            shell = _filled(text, {**values, **own})
            if shell is None:
                return None
            found.append((shell, ""))
        else:
            return None
    return found


def _filled(text: str, values: Mapping[str, str]) -> str | None:
    """A command with values in the place of names; None if it is made of anything else."""
    if not {match[1] for match in _TEMPLATE.finditer(text)} <= values.keys():
        return None
    shell = _TEMPLATE.sub(lambda match: values[match[1]], text)
    return None if "{{" in shell else shell


def _listed(value: Any) -> list[Any]:
    return value if is_list(value) else [] if value is None else [value]


# -- tox


_TOX_KEYS: Final = frozenset(
    "deps commands commands_pre commands_post description basepython base_python skip_install skipsdist "
    "usedevelop extras passenv pass_env allowlist_externals package wheel_build_env labels "
    "skip_missing_interpreters envlist env_list isolated_build minversion min_version ignore_outcome "
    "parallel_show_output".split()
)
_POSARGS: Final = lazy(r"\{posargs(?::([^{}]*))?\}")


def _tox(call: Call, text: str) -> list[Words] | None:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    words = [field.text for field in call.args]
    more = shlex.join(words[words.index("--") + 1 :]) if "--" in words else ""
    found: list[Words] = []
    for section in parser.sections():
        if section != "tox" and section.partition(":")[0] not in ("testenv", "pytest", "flake8", "coverage"):
            return None
        if section.partition(":")[0] in ("pytest", "flake8", "coverage"):
            continue
        for key, value in parser.items(section):
            if key not in _TOX_KEYS or (key == "deps" and "{" in value):
                return None
            if key in ("basepython", "base_python") and re.search(r"[^\w.,:\s-]", value):
                return None  # a program by its path
            if key == "deps":
                needed = [word for line in value.splitlines() for word in _CONDITION.sub("", line).split()]
                found += [tuple(Field(text=word) for word in ("pip", "install", *needed))] if needed else []
            for line in value.replace("\\\n", " ").splitlines() if key.startswith("commands") else ():
                usual = _POSARGS.sub(lambda match: more or (match[1] or ""), line.strip().lstrip("-! "))
                try:
                    parts = shlex.split(usual, comments=True)
                except ValueError:
                    return None
                if "{" in usual or "[]" in usual:
                    return None
                found += [tuple(Field(text=part) for part in parts)] if parts else []
    return found


_CONDITION: Final = lazy(r"^\s*[\w,!.-]+:\s+|\s*#.*$")
"""What stands before a package that is for some environments only, and behind one."""


# -- pre-commit


_HOOK_KEYS: Final = frozenset(
    "id name args files exclude types types_or exclude_types stages pass_filenames always_run verbose entry language "
    "require_serial alias description fail_fast".split()
)
_PLAIN_ARGUMENT: Final = lazy(r"--?[\w-]+(?:=[\w.,:-]+)?|[\w.,:-]+")
_PUBLIC: Final = lazy(r"https://(?:github|gitlab)\.com/[\w./-]+")


def _hooks(call: Call, text: str) -> list[Words] | None:
    found = _document(text)
    usual = {"repos", "exclude", "files", "fail_fast", "default_stages", "minimum_pre_commit_version", "ci"}
    if not is_table(found) or not set(found) <= usual or not is_list(found.get("repos")):
        return None
    commands: list[Words] = []
    for repo in found["repos"]:
        place = repo.get("repo") if is_table(repo) else None
        if not is_table(repo) or not set(repo) <= {"repo", "rev", "hooks"} or not is_list(repo.get("hooks")):
            return None
        for hook in repo["hooks"]:
            words = _hook(call, hook, place) if is_table(hook) and set(hook) <= _HOOK_KEYS else None
            if words is None:
                return None
            commands += [words] if words else []
    return commands


def _hook(call: Call, hook: Mapping[str, Any], place: Any) -> Words | None:
    """The command of a hook of the project's own; empty for one of a public place, None if it is not understood."""
    args = hook.get("args", [])
    if not is_list(args) or not all(isinstance(one, str) for one in args):
        return None
    if isinstance(place, str) and _PUBLIC.fullmatch(place) is not None:
        plain = "entry" not in hook and "language" not in hook and all(map(_PLAIN_ARGUMENT.fullmatch, args))
        return () if plain else None
    entry = hook.get("entry")
    if (
        place != "local"
        or not isinstance(entry, str)
        or hook.get("language") not in ("system", "script", "unsupported")
    ):
        return None
    try:
        words = [*shlex.split(entry), *args]
    except ValueError:
        return None
    if hook["language"] == "script" and words and words[0][:1] != "/":
        words[0] = f"./{words[0]}"  # a file of the repository, whatever else has that name
    # The files that are committed follow, unless it wants none.
    plain = call.cwd is not None and call.shell.expand.globs.plain(call.cwd)
    names = Field(text=PATH, many=True, named=True) if plain else Field(text=TOP, many=True)
    files = () if hook.get("pass_filenames") is False else (names,)
    return (*(Field(text=word) for word in words), *files)


def _has_own_variables(call: Call) -> bool:
    """A `.env` here or above it, as far as one may be read, is the session's."""
    here = f"{(call.cwd or '').rstrip('/')}/"
    own = own_files(call)
    return own is None or any(here.startswith(path.removesuffix(".env")) for path in own.chosen(_is_env))


def _is_env(path: str) -> bool:
    """Variables that a tool takes in where it runs."""
    return path.endswith("/.env")


_READERS: Final[Mapping[str, Callable[[Call, str], list[Words] | None]]] = {
    **dict.fromkeys(("justfile", "Justfile", ".justfile"), _just),
    **dict.fromkeys(("Taskfile.yml", "Taskfile.yaml"), _task),
    "tox.ini": _tox,
    ".pre-commit-config.yaml": _hooks,
    "noxfile.py": nox_tasks,
    "tasks.py": invoke_tasks,
}
"""Names of files, and what reads them."""
