"""Files of the session's that tell a tool what to run, from where no word names them as its own file of tasks does.

Not concerned with the usual one in the directory where the tool runs. These lie above it, at home, below what is built,
or behind an option or a variable that names another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.code._own_files import named_files
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import TOP, Field
from guardrail.patterns import lazy

_ABOVE: Final[Mapping[str, re.Pattern[str]]] = {
    "just": lazy(r"(?i)\.?justfile"),
    "task": lazy(r"(?i)taskfile(?:\.dist)?\.ya?ml"),
    "tox": lazy(r"tox\.(?:ini|toml)"),
    **dict.fromkeys(("pre-commit", "prek"), lazy(r"\.pre-commit-config\.ya?ml|prek\.toml")),
}
"""Tools that look for their file above where they run as well, or at home, and by which names."""

_BELOW: Final[Mapping[str, re.Pattern[str]]] = {
    **dict.fromkeys(
        ("cmake", "ctest", "cpack"),
        lazy(r".*\.cmake|CMake(?:Lists\.txt|(?:User)?Presets\.json|Cache\.txt)|build\.ninja"),
    ),
    "meson": lazy(r"meson\.build|.*\.wrap"),
}
"""Tools that take in files from anywhere below where they build, and by which names."""

_VARIABLES: Final[Mapping[str, re.Pattern[str]]] = {
    "just": lazy(r"JUST_\w+"),
    "tox": lazy(r"TOX_\w+"),
    **dict.fromkeys(("cmake", "ctest", "cpack"), lazy(r"(?:CMAKE|CTEST)_\w+|\w+_(?:DIR|ROOT)|CC|CXX")),
    "meson": lazy(r"CC|CXX|\w+_LD|PKG_CONFIG\w*"),
}
"""Variables that say where a tool finds what it runs."""

_SECTIONS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "tox": (("setup.cfg", "[tox:tox]"), ("pyproject.toml", "[tool.tox")),
    "flake8": tuple((name, "[flake8:local-plugins]") for name in (".flake8", "setup.cfg", "tox.ini")),
}
"""Parts of files of settings that say what is run."""

_NAMING: Final = frozenset("-c --conf --config -f --justfile -t --taskfile --discover --installpkg".split())
"""Options of those tools behind which a file stands."""

_GO_REACHING: Final = lazy(
    r'"(?:os/exec|syscall|unsafe|plugin|C|golang\.org/x/sys/\w+)"'
    r'|^[ \t]*(?:import[ \t]+)?(?:\.|_|\w+)[ \t]+"(?:os|io/ioutil)"'
    r"|\bos\s*\.\s*(?:Remove\w*|Rename|Truncate|Chtimes|Chmod|Chown|Lchown|Link|Symlink|StartProcess)\b|//go:(?:linkname|cgo)",
    re.MULTILINE,
)
"""What a test of Go names that removes or changes what is there, or starts programs."""

STEERED: Final = frozenset((*_ABOVE, *_BELOW, *_SECTIONS, "go"))
"""Tools that are asked about here."""


def _may_steer(path: str) -> bool:
    """Has a name by which one of those tools takes it in."""
    file = path.rpartition("/")[2]
    named = any(pattern.fullmatch(file) for pattern in (*_ABOVE.values(), *_BELOW.values()))
    return named or any(file == one for marks in _SECTIONS.values() for one, _ in marks)


def _is_go_source(path: str) -> bool:
    """A source of Go."""
    return path.endswith(".go")


def is_told(call: Call) -> bool:
    """Whether variables, or options that carry settings, say what such a tool is to run."""
    pattern = _VARIABLES.get(call.name.partition(" ")[0])
    if pattern is not None and any(pattern.fullmatch(name) for name in call.state.vars):
        return True
    if call.name == "meson" and any(field.text == "devenv" for field in call.args):
        return True
    return call.name == "tox" and any(
        field.text[:2] == "-x" or field.text.startswith("--overr") for field in _before_rest(call.args)
    )


def steering(call: Call, name: str, folders: Sequence[str], usual: Sequence[str]) -> Iterator[Field]:
    """The files of the session's by which a tool runs something, besides its own where it runs.

    Args:
        call: the tool.
        name: what it is called.
        folders: the directories in which it looks, from where it runs.
        usual: the names of its own files there, which are looked into anyhow.
    """
    here = (call.cwd or "").rstrip("/")
    tops = [path.rstrip("/") for text in folders if text and (path := place(text, call.cwd).path) is not None]
    tops.append(here)
    found: dict[str, None] = {}
    own = named_files(call)
    for path in own.chosen(_is_go_source if name == "go" else _may_steer) if own is not None else ():
        known = path.rpartition("/")[2] in usual and path.rpartition("/")[0] in tops
        if not known and _is_its_own(call, name, path, here, tops):
            found[path] = None
    for text in _words(call, name):
        named = place(text, call.cwd).path if text and TOP not in text else None
        if named is None:
            continue
        for one in (named, f"{named}/.pre-commit-hooks.yaml"):
            if call.shell.authored(one) and call.shell.view.kind(one) != "dir":
                found[one] = None
    yield from (Field(text=path) for path in found)


def _is_its_own(call: Call, name: str, path: str, here: str, tops: Sequence[str]) -> bool:
    folder, _, file = path.rpartition("/")
    below = any(f"{folder}/".startswith(f"{top}/") for top in tops)
    if (pattern := _ABOVE.get(name)) is not None and pattern.fullmatch(file):
        home = call.shell.expand.lookup("HOME", call.state, {})[0].rstrip("/")
        return f"{here}/".startswith(f"{folder}/") or folder in (home, f"{home}/.config/just")
    if (pattern := _BELOW.get(name)) is not None and pattern.fullmatch(file):
        return below
    for one, mark in _SECTIONS.get(name, ()):
        if file == one and f"{here}/".startswith(f"{folder}/"):
            data = call.content(place(path, None))
            return data is None or mark.encode() in data
    if name == "go" and file.endswith(".go") and below:
        return _is_go(call, path)
    return False


def _is_go(call: Call, path: str) -> bool:
    """A source that `go generate` or `go test` would run: of a test what reaches beyond what it tests."""
    verb = call.name.partition(" ")[2] or next((field.text for field in call.args), "")
    data = call.content(place(path, None))
    text = data.decode("utf-8", "replace") if data is not None else None
    if verb == "generate":
        return text is None or any(_ODD.search(said) for said in _directives(call, path))
    return verb == "test" and (text is None or _GO_REACHING.search(text) is not None)


def _words(call: Call, name: str) -> Iterator[str]:
    """What options and variables of a tool may name."""
    pattern = _VARIABLES.get(name)
    for variable, value in call.state.vars.items() if pattern is not None else ():
        if pattern is not None and pattern.fullmatch(variable):
            yield from (text for whole in value.alternatives for text in whole.split())
    before = ""
    for field in _before_rest(call.args) if name in _ABOVE or name in _BELOW else ():
        text = field.text
        if name in _BELOW or before in (*_NAMING, "try-repo"):
            yield from text.split()
        if text[:1] == "-":
            yield from text.partition("=")[2].split()
            yield text[2:]
            yield text.rpartition(",")[2]
        before = text


def _before_rest(args: Sequence[Field]) -> Iterator[Field]:
    for field in args:
        if field.text == "--":
            return
        yield field


def handed_on(call: Call) -> Iterator[Sequence[Field]]:
    """The commands that a tool is handed: by `tox exec`, or by sources of the session's for `go generate`."""
    first = next((field.text for field in call.args), "")
    if call.name == "tox" and first in ("exec", "e"):
        words = list(call.args)
        rest = words[next((at for at, field in enumerate(words) if field.text == "--"), len(words)) + 1 :]
        yield from [rest] if rest else []
    if call.name == "go" and first == "generate":
        here = f"{(call.cwd or '').rstrip('/')}/"
        own = named_files(call)
        for path in own.beginning(here, _is_go_source) if own is not None else ():
            for text in _directives(call, path):
                yield [Field(text=word) for word in text.split()]


def _directives(call: Call, path: str) -> list[str]:
    data = call.content(place(path, None))
    return [match[1] for match in _DIRECTIVE.finditer(data.decode("utf-8", "replace"))] if data is not None else []


_DIRECTIVE: Final = lazy(r"^//go:generate[ \t]+(.*)$", re.MULTILINE)
_ODD: Final = lazy(r"\$(?!GO(?:FILE|PACKAGE|LINE)\b)|[\"\\]|^-command\b|^\S*/")
"""A directive that is not the same words elsewhere: variables, quotes, and programs by their paths."""


_OPERANDS: Final = frozenset("ansible-playbook sbatch qsub k6 nextflow gem pm2 bpftrace".split())
"""Those of which any word may be the file."""


def given(call: Call) -> Iterator[Field]:
    """The words of a program that is given the file with what it runs."""
    for index, field in enumerate(call.args):
        before = call.args[index - 1].text if index else ""
        text = field.text.partition("=")[2] if field.text[:2] == "--" else field.text
        named = (
            field.text[:2] == "--"
            or before
            in (
                "-f",
                "-s",
                "--file",
                "--justfile",
                "--taskfile",
                "-t",
                "--snakefile",
                "-P",
                "--config",
            )
            or (before == "-c" and call.name in ("supervisord", "nginx"))
        )
        if text and field.known and (named or call.name in _OPERANDS):
            yield Field(text=text)
