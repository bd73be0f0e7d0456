"""Programs of the session's that another program is handed: a shell for `make`, a pager, a command for an option.

What the tools of a project build and run of the session's, in languages that are not followed, is looked at as text.
Not concerned with what the other program does. One that may run programs may run each that its words, its variables or
its input name, so what the session wrote of those is run, perhaps, as it would be by itself.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects.code._assembled import is_assembled
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._own_files import named_files, own_files
from guardrail.effects.code._projects import LOADERS, TESTERS
from guardrail.effects.code._script_filters import is_script_filter
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._paths import escape, paths_in, place
from guardrail.effects.domain._state import OWN_FILE
from guardrail.effects.domain._values import NUM, TOP, Field
from guardrail.model import Effect, Resource
from guardrail.patterns import lazy

MAX_HANDED: Final = 8
"""Most such programs that are looked into for one command; one more is a question."""

MAX_WORDS: Final = 1024
"""Most words of one command among which they are looked for; more are a question."""

CHECKING: Final = frozenset(
    "shellcheck shfmt ruff black isort flake8 pylint mypy pyright pyre pytype prettier eslint biome codespell bandit "
    "autopep8 yapf pyflakes pycodestyle pydocstyle vulture radon typos cspell cloc scc tokei ctags "
    "ty pyrefly basedpyright docformatter pyupgrade interrogate refurb semgrep lizard pydoclint deptry pyreverse fixit "
    "unify autoflake usort ufmt add-trailing-comma absolufy-imports flynt pycln sourcery bat delta tree-sitter "
    "git-switch git-checkout git-restore git-merge git-reset git-revert git-cherry-pick git-stash".split()
)
"""Programs that are handed code, or names that look like that of some, and only look at it or put it in order."""

_ELSEWHERE: Final = frozenset("docker podman nerdctl kubectl oc lxc crictl ssh".split())
STARTING: Final = frozenset(
    "valgrind mpirun mpiexec mpiexec.hydra orterun prun srun jsrun aprun perf rr heaptrack wine wine64 uftrace ncu "
    "nsys qemu-x86_64 qemu-aarch64 cuda-memcheck compute-sanitizer vtune rocprof bpftrace cgexec".split()
)
"""Programs that are given another one by its path, and start it."""

_QUEUES: Final = frozenset("bsub sbatch qsub msub oarsub condor_submit llsubmit flux".split())
"""Programs that take a script for later on their input."""

_TOOLS: Final = frozenset(
    "npm npx yarn pnpm bun bunx deno node nodejs jest vitest mocha ava tap playwright cypress next nuxt vite webpack "
    "gulp grunt tsx ts-node nodemon go cargo mvn mvnw gradle gradlew ant sbt dotnet mix rspec rake bundle rails "
    "phpunit composer ctest bazel swift zig dart flutter stack cabal lein "
    "Rscript julia jekyll hexo make gmake cmake ninja meson just task postcss tailwindcss commitlint karma rollup "
    "esbuild tsup babel storybook astro svelte-kit rails gem pm2 forever prove pm2-runtime netlify vercel ng nx lerna "
    "turbo serverless sls cdk pulumi wrangler electron swc nyc c8 parcel gatsby remix expo react-native nest wdio "
    "testcafe nightwatch jasmine qunit tape ts-node-dev java javac prisma knex dbt sqlmesh flyway liquibase "
    "dune opam busted luarocks bats erlc escript nim crystal shards dub rdmd ghc runghc ocaml fpc gnatmake gfortran "
    "nvcc pdflatex latex xelatex lualatex luatex latexmk tectonic".split()
)
"""Programs that build, test or start what a project holds."""

_LOOKING: Final = frozenset(
    "ls list view outdated info search version env help fmt format vet tree metadata doc login whoami audit".split()
)
"""What those do without running any of it."""

_SOURCE: Final = lazy(
    r"\.(?:[cm]?[jt]sx?|go|rs|java|kts?|scala|groovy|gradle|cs|fs|rb|php|c|cc|cpp|cxx|hh?|hpp|exs?|swift|zig|dart|hs|clj"
    r"|[rR]|Rmd|qmd|jl|t|pm|sql|lua|ml|erl|nim|cr|d|bats|tex|vb|fsx?)$"
)
_DESCRIBED: Final = lazy(r"\.(?:sql|py|ya?ml)$")
_MODELLING: Final = frozenset(("dbt", "sqlmesh"))
"""Programs that put texts of descriptions below their directory into the queries that they run."""

_WHOLE: Final = lazy(r"(?:/|~/|\.\./)[^*?\[\]{}$`]*[^*?\[\]{}$`/]")

_FILLED: Final = lazy(r"[*?\[\]{}$%`]")
"""Where a text begins that is filled in."""

_PROSE: Final = (".md", ".markdown", ".txt", ".rst", ".html")
_RUN: Final = lazy(
    r"^[ \t]*(?:```+|~~~+)[ \t]*\{.*?(?:^[ \t]*(?:```|~~~)|\Z)|`r [^`]*`|!\[[^\[\]\n]*\]\([^()\n]*\)"
    r"|<[a-z][^<>]*>",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""Parts of a document that are code, or name what is put into it."""

MAX_SOURCES: Final = 256
"""Most files of source code that are looked at for one command; one more is a question."""

_NAMED: Final = re.compile(r"\.(?:sh|bash|zsh|ksh|bat|command|run|bin|exe|out|elf|pl|rb|js|mjs|cjs|py|lua|php)$")
_SHELL_NAME: Final = lazy(r"\.(?:sh|bash|ksh|command)$")
_QUOTED: Final = re.compile(r"[\s'\"\\]")
_INTERPRETER: Final = lazy(r"(?:ba|da|z|k)?sh|python[\d.]*|node|perl|ruby|php|lua|exec|env|source|\.")


def note_handed(call: Call, before: int) -> None:
    """Run, perhaps, what the session wrote of what a command is handed, if that may run programs.

    Args:
        call: the command.
        before: how many effects there were when it began.
    """
    shell = call.shell
    if call.name in STARTING:
        _started(call)
    if not (shell.emit.made or shell.written_before):
        return
    effects = shell.emit.effects[before:]
    said = [effect.resource for effect in effects if effect.op == "exec_opaque"]
    head = call.name.partition(" ")[0]
    if not said or head in CHECKING or head in _ELSEWHERE:
        return
    base = head.rpartition("/")[2]
    name_sources(call, base)
    # What the command itself writes is no program for it, and a script that it was said to run needs no second word.
    places = [place for effect in effects if effect.op in MUTATING for place in _written(effect)]
    walked = _walked(base, effects)
    seen = {posixpath.normpath(place.path) for place in (*said, *places, *walked) if place.path is not None}
    told = len(seen)
    if len(call.args) > MAX_WORDS:
        _too_many(call, "words")
    for vector in (*_vectors(call), *_queued(call, head)):
        path = posixpath.normpath(call.place(Field(text=vector[0])).path or "")
        if path not in seen and len(seen) - told == MAX_HANDED:
            _too_many(call, "programs")
            return
        if path not in seen:
            seen.add(path)
            with call.perhaps():
                shell.again(call, tuple(Field(text=word, span=call.span) for word in vector), external=True)


def _too_many(call: Call, what: str) -> None:
    reason = f"more {what} of the session's than are looked at"
    call.opaque("program", reason=reason, attrs={"authored": True})


def _walked(base: str, effects: Sequence[Effect]) -> Iterator[Resource]:
    """Scripts that an interpreter, or what runs tests, was told to run and that were looked into as such.

    By now nothing may be known of them any more, as what they themselves run may change them.
    """
    for effect in effects if _walks(base) or base in _WRAPPERS else ():
        spec = effect.origin.spec.rpartition("/")[2] if effect.origin is not None else ""
        known = effect.op == "read" and effect.attrs.get("reveals") == "none" and _walks(spec)
        if known and (interpreter_of(spec) == "shell" or (effect.resource.path or "").endswith(_MODULES)):
            yield effect.resource


def _walks(name: str) -> bool:
    return interpreter_of(name) is not None or name in TESTERS | LOADERS


_WRAPPERS: Final = frozenset(
    "timeout gtimeout time env nice nohup ionice stdbuf setsid chrt taskset command "
    "uv poetry pipenv pdm hatch rye conda mamba micromamba".split()
)
"""Programs that start another one, by the words for it, and nothing else."""

_MODULES: Final = (".py", ".js", ".mjs", ".cjs")


def name_sources(call: Call, tool: str) -> None:
    """Paths that stand in source code of the session's, of those where something is: it may do anything to that.

    Of a text that is put together with others only the beginning stands there, so all that begins so is named.

    Args:
        call: the command.
        tool: the name of its program, which may build or run that code.
    """
    if tool not in _TOOLS or any(field.text in _LOOKING for field in call.args[:1]):
        return
    if own_files(call) is None:
        _too_many(call, "files")
    own = named_files(call)
    sources = own.chosen(_is_described if tool in _MODELLING else _is_source) if own is not None else ()
    for count, path in enumerate(sources):
        if count == MAX_SOURCES:
            _too_many(call, "sources")
            return
        name_source(call, path)


def _is_described(path: str) -> bool:
    return _DESCRIBED.search(path) is not None


def _is_source(path: str) -> bool:
    return _SOURCE.search(path) is not None


def name_source(call: Call, path: str) -> None:
    """The same for one file that is taken for source code, whatever it is called: of prose, what is run or taken in."""
    data = call.content(call.place(Field(text=path)))
    text = data.decode("utf-8", "replace") if data is not None else ""
    if path.endswith(_PROSE):
        text = "\n".join(match[0] for match in _RUN.finditer(text))
    if is_assembled(text):
        call.script(Resource(kind="file", path=path), authored=True)
    for token in dict.fromkeys(paths_in(text)):
        _name_token(call, token)
    for name in list(dict.fromkeys(_DATA.findall(text)))[:MAX_HANDED]:
        for folder in (call.cwd, path.rpartition("/")[0]):
            there = place(name, folder).path if folder is not None else None
            if there is not None and call.shell.authored(there):
                for token in dict.fromkeys(paths_in(_said(call, there))):
                    _name_token(call, token)


def _said(call: Call, path: str) -> str:
    """What is in a file of the session's; of one that this call wrote, before the program might have changed it."""
    data = call.content(Resource(kind="file", path=path))
    if data is not None:
        return data.decode("utf-8", "replace")
    edits = [effect.edit for effect in call.shell.emit.effects if path in [place.path for place in _written(effect)]]
    return "\n".join(edit.text or "" for edit in edits if edit is not None)


_DATA: Final = lazy(r"[\"'`]([\w./-]{1,200}\.(?:txt|json|ya?ml|csv|tsv|lst|list|ini|cfg|conf|toml|env|dat|in))[\"'`]")
"""Files of data that a source names: names of others may be taken out of one that the session wrote."""


def _name_token(call: Call, token: str) -> None:
    known = _FILLED.split(token, maxsplit=1)[0]
    whole = known.rstrip("/")
    if not _WHOLE.fullmatch(whole):
        return
    place = call.place(Field(text=whole))
    if place.path is not None and call.shell.view.kind(place.path) is not None:
        call.name_text(whole)
    if known == whole and whole[0] == "/" and call.shell.view.glob(f"{escape(whole)}*"):
        call.name_text(f"{escape(whole)}*")


def _started(call: Call) -> None:
    """The first word that is a path, and no directory or text, is a program: whose it is is for the history to say."""
    for index, field in enumerate(call.args):
        if field.known and field.text.startswith(("./", "../", "/")) and not _is_data(call, field):
            with call.perhaps():
                call.shell.again(call, call.args[index:], external=True)
            return


def _is_data(call: Call, field: Field) -> bool:
    place = call.place(field)
    return "." in field.text.rpartition("/")[2] or place.path is None or _is_folder(call, place.path)


def _written(effect: Effect) -> tuple[Resource, ...]:
    return (effect.resource,) if effect.target is None else (effect.resource, effect.target)


def _vectors(call: Call) -> Iterator[Sequence[str]]:
    """What words and variables say that is the name of such a program, each with the words for it."""
    words = [field.text for field in call.args[:MAX_WORDS]]
    tests = _loads_tests(call, words)
    for index, text in enumerate(words):
        value = text.partition("=")[2] if "=" in text else ""
        named = bool(value) or (index > 0 and words[index - 1][:1] == "-")
        for each in (text, value):
            if not named and tests and each.endswith(_TEST_FILES) and _is_plain_test(call, each):
                continue
            yield from _one(call, each, words[index + 1 :], named=named)
    for name, held in call.state.vars.items():
        for text in held.alternatives if name not in OWN_FILE else ():
            yield from _one(call, text, (), named=True)


def _loads_tests(call: Call, words: Sequence[str]) -> bool:
    """A runner of tests in JavaScript, or what starts one: the files it is given it does not start as programs."""
    names = [call.name.partition(" ")[0].rpartition("/")[2], *(word for word in words if word[:1] != "-")]
    return names[0] in _TEST_RUNNERS or (names[0] in _STARTERS and names[1:2] != [] and names[1] in _TEST_RUNNERS)


def _is_plain_test(call: Call, name: str) -> bool:
    """A file of tests that this call wrote as a whole, and that does nothing but what is known of Node.

    By now the runner may have changed any file, so its text is taken from where it was written.
    """
    path = call.place(Field(text=name)).path
    changes = [effect for effect in call.shell.emit.effects if effect.op in MUTATING]
    writes = [effect for effect in changes if path in [place.path for place in _written(effect)]]
    edit = writes[-1].edit if writes else None
    if path is None or edit is None or edit.kind != "whole" or call.shell.contents.vague():
        return False
    node = call.shell.call("node", (Field(text=name),), call.state, call.cwd, call.stdin, call.span)
    with call.perhaps():
        return is_script_filter(node, path, edit.text) is not None


_TEST_RUNNERS: Final = frozenset(("jest", "mocha", "vitest"))
_STARTERS: Final = frozenset(("bunx", "npx", "pnpm", "yarn"))
_TEST_FILES: Final = (".js", ".mjs", ".cjs")


def _one(call: Call, text: str, more: Sequence[str], *, named: bool) -> Iterator[Sequence[str]]:
    if not text or TOP in text or NUM in text or text[0] == "-":
        return
    try:
        parts = shlex.split(text) if _QUOTED.search(text) else [text]
    except ValueError:
        return
    told = len(parts) > 1 and _INTERPRETER.fullmatch(parts[0]) is not None
    if len(parts) > 1 and not told and not _runnable(call, parts[0], named=True):
        return
    for index, part in enumerate(parts[:MAX_HANDED]):
        if _runnable(call, part, named=named, told=told):
            # An interpreter before it says what it is; what follows it is for the program.
            words = [*parts[:index], _as_path(part), *parts[index + 1 :], *more]
            yield words[0 if told else index :]
            return


def _as_path(text: str) -> str:
    return text if "/" in text else f"./{text}"


def _runnable(call: Call, text: str, *, named: bool, told: bool = False) -> bool:
    """The session wrote a file of that name, and it is one that can be run: an interpreter is `told` of any file."""
    known = _NAMED.search(text) is not None
    if not (known or "/" in text) or any(char in text for char in "*?[ \n:"):
        return False
    place = call.place(Field(text=text))
    if place.path is None or place.kind == "net" or not call.shell.authored(place.path):
        return False
    if text.endswith(".py") and not named:
        return False  # what modules and scripts of Python do that a program is handed is asked of them by itself
    if told:
        return True
    data = call.content(place)
    plain = "." not in text.rpartition("/")[2]
    if data is None:
        # What an earlier call wrote lies there by now: a name that might have been written is no program.
        there = call.shell.view.kind(place.path) is not None or call.shell.emit.changed(place.path)
        return (known or plain) and there and not _is_folder(call, place.path)
    return data.startswith((b"#!", b"\x7fELF")) or _SHELL_NAME.search(text) is not None or plain


def _is_folder(call: Call, path: str) -> bool:
    """There is a directory, or this call made one."""
    made = (place for effect in call.shell.emit.effects for place in _written(effect) if effect.op in MUTATING)
    return call.shell.view.kind(path) == "dir" or any(place.kind == "dir" and place.path == path for place in made)


def _queued(call: Call, head: str) -> Iterator[Sequence[str]]:
    """A script that a queue of jobs takes from its input."""
    sources = call.stdin.sources
    if head not in _QUEUES:
        return
    for source in sources:
        if source.path is not None and call.shell.authored(source.path):
            yield [source.path]
