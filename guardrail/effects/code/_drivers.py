"""Files that programs run by themselves: hooks, rules, plugins and start files, which no word of a command names.

Not concerned with what is in them: whether this session wrote one is for the history to say. The scripts of a
`package.json` are shell text, and so the exception: they are looked into.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.code._makefiles import dry_run, recipes
from guardrail.effects.code._projects import project_code
from guardrail.effects.code._sources import build_of, own_part
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import NUM, TOP, Field
from guardrail.model import Effect, Origin

MAX_FOLDERS: Final = 8
"""Most directories in which a program's own files are looked for."""

MAX_SCRIPTS: Final = 8
"""Most scripts of one `package.json` that one command runs."""

_BUILT: Final = ("setup.py",)

_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "tox": ("tox.ini", *_BUILT),
    "gunicorn": ("gunicorn.conf.py",),
    "celery": ("celeryconfig.py",),
    "alembic": ("alembic/env.py", "migrations/env.py"),
    "locust": ("locustfile.py",),
    "nox": ("noxfile.py",),
    "pip": _BUILT,
    "pip3": _BUILT,
    "pipx": _BUILT,
    "uv": _BUILT,
    "poetry": ("build.py",),
    "build": _BUILT,
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "gmake": ("GNUmakefile", "makefile", "Makefile"),
    "mvn": (".mvn/extensions.xml", ".mvn/jvm.config"),
    "pre-commit": (".pre-commit-config.yaml",),
    "prek": (".pre-commit-config.yaml",),
    "lefthook": ("lefthook.yml",),
    "husky": (".husky/pre-commit",),
    "direnv": (".envrc",),
    "mise": (".mise.toml", "mise.toml"),
    "cargo": ("build.rs", ".cargo/config.toml"),
    "cmake": ("CMakeLists.txt", "CMakePresets.json"),
    "ninja": ("build.ninja",),
    "meson": ("meson.build",),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"),
    "rake": ("Rakefile", "rakefile"),
    "bundle": ("Gemfile",),
    "gradle": ("build.gradle", "build.gradle.kts", "settings.gradle"),
    "vagrant": ("Vagrantfile",),
    "snakemake": ("Snakefile", "workflow/Snakefile"),
    "dvc": ("dvc.yaml",),
    "mlflow": ("MLproject",),
    "honcho": ("Procfile",),
    "foreman": ("Procfile",),
    "gulp": ("gulpfile.js",),
    "grunt": ("Gruntfile.js",),
    "jest": ("jest.config.js", "jest.config.ts", "jest.setup.js"),
    "webpack": ("webpack.config.js",),
    "vite": ("vite.config.ts", "vite.config.js"),
    "vitest": ("vitest.config.ts", "vite.config.ts"),
    "rollup": ("rollup.config.js",),
    "eslint": (".eslintrc.js", ".eslintrc.cjs", "eslint.config.js", "eslint.config.mjs"),
    "scons": ("SConstruct",),
    "invoke": ("tasks.py",),
    "inv": ("tasks.py",),
    "fab": ("fabfile.py",),
    "ansible-playbook": ("ansible.cfg",),
    "psql": ("~/.psqlrc",),
    "sqlite3": ("~/.sqliterc",),
    "emacs": ("~/.emacs", "~/.emacs.d/init.el"),
    "vim": ("~/.vimrc",),
    "nvim": ("~/.config/nvim/init.lua", "~/.config/nvim/init.vim"),
    "tmux": ("~/.tmux.conf",),
    "screen": ("~/.screenrc",),
    "curl": ("~/.curlrc",),
    "wget": ("~/.wgetrc",),
    "ssh": ("~/.ssh/config",),
    "scp": ("~/.ssh/config",),
    "sftp": ("~/.ssh/config",),
    "bash -i": ("~/.bashrc",),
    "bash -l": ("~/.bash_profile", "~/.bash_login", "~/.profile"),
}
"""Program -> files that it runs, or that name what it runs, in its directory or the home."""

_TAKES: Final = frozenset(
    "make gmake just task snakemake ansible-playbook sbatch qsub rake ninja nox tox scons nextflow k6 locust".split()
)
"""Programs that are given the file with what they run."""

_BUILDERS: Final = frozenset(
    "make gmake bmake nmake cmake ctest ninja samu meson cargo cross maturin bazel bazelisk buck buck2 pants please "
    "scons waf ant mvn mvnw gradle gradlew sbt mill qmake xmake premake5 just task mage tup redo gn msbuild xcodebuild "
    "dotnet swift zig stack cabal dune esy mix rebar3 lein dub shards nimble gprbuild alr fpm b2 bjam conan vcpkg "
    "colcon catkin_make west idf.py platformio pio rake doit tox nox moon earthly autoreconf libtool".split()
)
"""Programs that compile what lies in a project, or run what does."""

_SWIFT: Final = frozenset(("build", "test", "run", "package"))
"""What `swift` builds; other words are for other programs of that name."""

_PRINTING: Final = frozenset(("-n", "--just-print", "--dry-run", "--recon", "-q", "--question"))
"""Options with which make runs no recipe."""

_MANAGERS: Final = frozenset(("npm", "pnpm", "yarn", "bun"))
_INSTALLS: Final = frozenset(("install", "i", "ci", "add", "rebuild", "update", "up"))
_INSTALLED: Final = ("preinstall", "install", "postinstall", "prepublish", "prepare")
_PACKED: Final = ("prepublishOnly", "prepare", "prepack", "postpack")
_RUNS: Final = frozenset(("run", "run-script", "rum", "urn"))
_PLAIN_RUNS: Final = frozenset(("test", "t", "start", "stop", "restart", "publish", "pack", "version"))
_LOOKS: Final = frozenset(("--version", "--help", "-h", "help", "version"))

OWNERS: Final = frozenset((*_OWN, *_TAKES, *_MANAGERS, *_BUILDERS))
"""Programs that `note_own` has something to say about."""


def note_own(call: Call, name: str) -> None:
    """Say of each file that a program runs by itself that it does, and where a tool builds programs."""
    if name in _BUILDERS:
        _note_builds(call, name)
    if name in _OWN or name in _TAKES or name in _MANAGERS:
        _note_files(call, name)


def _note_files(call: Call, name: str) -> None:
    if any(field.text in _LOOKS for field in call.args[:1]):
        return
    if name in ("make", "gmake") and (dry_run(call) is not None or recipes(call) is not None):
        return  # what they say is looked into where make itself is
    if name in ("make", "gmake") and not any(field.text in _PRINTING for field in call.args):
        # What recipes run is not looked into; tests and modules of the session's are.
        project_code(call, name, call.args)
    folders = list(_folders(call))
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    for file in _OWN.get(name, ()):
        if file.startswith("~/"):
            if TOP not in home:
                _note(call, Field(text=home + file[1:]))
            continue
        for folder in folders:
            _note(call, Field(text=f"{folder}{file}"))
    if name in _TAKES:
        for field in _given(call):
            _note(call, field)
    if name in _MANAGERS:
        for folder in folders:
            _package(call, folder)


def _note_builds(call: Call, name: str) -> None:
    """Programs are built here, of sources and with names that are not looked for: whose they are is for the history."""
    shell = call.shell
    if any(field.text in _LOOKS for field in call.args[:1]):
        return
    if name == "swift" and any(field.text not in _SWIFT for field in call.args[:1]):
        return
    if shell.emit.muted or dry_run(call) is not None or not (shell.emit.made or shell.written_before):
        return
    folders: list[str] = []
    for folder in _folders(call):
        path = call.place(Field(text=folder or "."), kind="dir").path
        folders.append(shell.view.identity(posixpath.normpath(path)) if path is not None else "")
    origin = Origin(spec=name, start=call.span[0], end=call.span[1])
    reads = "rust" if name in ("cargo", "cross") else "any"
    build = build_of(call, reads, folders)
    attrs = {"code": "program", "builds": folders, "built_of": build, "own": own_part(call, build) is not None}
    # INVARIANT: that the tool runs, and may change anything, is said by whoever knows it.
    shell.emit.say(
        Effect(op="exec_opaque", resource=as_code(name), attrs=attrs, precision="opaque", modality="may", origin=origin)
    )


def _folders(call: Call) -> Iterator[str]:
    """Where the program looks: its directory, and each directory that a word names."""
    yield ""
    count = 0
    for word in dict.fromkeys(field.text for field in call.args):
        for text in (word, word.partition("=")[2], word[2:] if word[:2] == "-C" else ""):
            known = text and TOP not in text and NUM not in text and text[0] != "-" and text != "."
            if known and count < MAX_FOLDERS and call.kind(call.place(Field(text=text))) == "dir":
                count += 1
                yield f"{text.rstrip('/')}/"


def _given(call: Call) -> Iterator[Field]:
    for index, field in enumerate(call.args):
        before = call.args[index - 1].text if index else ""
        text = field.text.partition("=")[2] if field.text[:2] == "--" else field.text
        named = field.text[:2] == "--" or before in (
            "-f",
            "-s",
            "--file",
            "--justfile",
            "--taskfile",
            "-t",
            "--snakefile",
        )
        if text and field.known and (named or call.name in ("ansible-playbook", "sbatch", "qsub", "k6", "nextflow")):
            yield Field(text=text)


def _note(call: Call, field: Field) -> None:
    place = call.place(field)
    if place.path is None:
        return
    changed = call.shell.emit.wrote(place.path)
    if changed or call.shell.view.kind(place.path) == "file":
        call.script(place, authored=changed)


# -- package.json


def _package(call: Call, folder: str) -> None:
    """What a package manager runs of the scripts in `package.json`."""
    words = [field.text for field in call.args if not field.text.startswith("-")]
    place = call.place(Field(text=f"{folder}package.json"))
    data = call.content(place) if place.path is not None else None
    names = _names(call.name, words)
    if data is None:
        if names and place.path is not None and call.shell.emit.wrote(place.path):
            _note(call, Field(text=f"{folder}package.json"))
        return
    scripts = _scripts(data)
    found = [text for name in names if isinstance(text := scripts.get(name), str)]
    for text in found[:MAX_SCRIPTS]:
        with call.perhaps():
            state = call.state.copy()
            if folder:
                state.cwds = (call.place(Field(text=folder)).path,)
            call.shell.run_text(text, state)


def _names(manager: str, words: Sequence[str]) -> list[str]:
    """Scripts that run for these words."""
    first = words[0] if words else ""
    if first in _INSTALLS or (manager == "yarn" and not words):
        return list(_INSTALLED)
    if first in _RUNS and len(words) > 1:
        chosen = words[1]
    elif first in _PLAIN_RUNS or (manager in ("yarn", "pnpm", "bun") and first):
        chosen = "test" if first == "t" else first
    else:
        return []
    return [f"pre{chosen}", chosen, f"post{chosen}", *(_PACKED if chosen in ("pack", "publish") else ())]


class _PackageFile(msgspec.Struct, frozen=True):
    scripts: dict[str, Any] = {}


def _scripts(data: bytes) -> Mapping[str, Any]:
    try:
        return _DECODER.decode(data).scripts
    except (msgspec.MsgspecError, RecursionError):
        return {}


# INVARIANT: made while the module is imported, as msgspec works a type out only once.
_DECODER: Final = msgspec.json.Decoder(_PackageFile)
