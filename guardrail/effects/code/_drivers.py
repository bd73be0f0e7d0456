"""Files that programs run by themselves: hooks, rules, plugins and start files, which no word of a command names.

Not concerned with what is in them: whether this session wrote one is for the history to say. Tasks that are shell text
are the exception: `_tasks` looks into them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.code._makefiles import dry_run, recipes
from guardrail.effects.code._own_files import is_python, is_terraform, named_files, own_files, parts_of
from guardrail.effects.code._projects import project_code
from guardrail.effects.code._settled import is_settled
from guardrail.effects.code._sources import build_of, own_part
from guardrail.effects.code._steered import STEERED, given, handed_on, is_told, steering
from guardrail.effects.code._tasks import MANAGERS, TASKS, run_tasks
from guardrail.effects.code.python._beside import check_module, module_name
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import TOP, Field, is_known
from guardrail.model import Effect, Origin, Resource
from guardrail.patterns import lazy

MAX_FOLDERS: Final = 32
"""Most directories in which a program's own files are looked for; with more, its work is the session's."""

_BUILT: Final = ("setup.py",)


def _configs(tool: str) -> tuple[str, ...]:
    """The names that tools of JavaScript look for."""
    return tuple(f"{tool}.config.{ending}" for ending in ("js", "mjs", "cjs", "ts", "mts"))


_TEMPLATED: Final = tuple(
    f"hooks/{when}.{ending}"
    for when in ("pre_prompt", "pre_gen_project", "post_gen_project")
    for ending in ("py", "sh")
)
"""What makers of projects run of a template."""

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
    "jest": (*_configs("jest"), "jest.setup.js"),
    "webpack": _configs("webpack"),
    "vite": (*_configs("vite"), *_configs("postcss"), *_configs("svelte")),
    "vitest": (*_configs("vitest"), *_configs("vite")),
    "rollup": _configs("rollup"),
    "eslint": (".eslintrc.js", ".eslintrc.cjs", *_configs("eslint")),
    "next": _configs("next"),
    "nuxt": _configs("nuxt"),
    "astro": _configs("astro"),
    "babel": _configs("babel"),
    "playwright": _configs("playwright"),
    "cypress": _configs("cypress"),
    "mocha": (".mocharc.js", ".mocharc.cjs"),
    "prettier": (".prettierrc.js", ".prettierrc.cjs", *_configs("prettier")),
    "postcss": _configs("postcss"),
    "tailwindcss": _configs("tailwind"),
    "commitlint": _configs("commitlint"),
    "karma": ("karma.conf.js",),
    "pnpm": (".pnpmfile.cjs",),
    **dict.fromkeys(("code", "code-insiders", "codium", "cursor"), (".vscode/tasks.json",)),
    "jupyter": (
        "jupyter_notebook_config.py",
        "~/.jupyter/jupyter_notebook_config.py",
        "~/.jupyter/jupyter_server_config.py",
    ),
    "scons": ("SConstruct",),
    "invoke": ("tasks.py",),
    "inv": ("tasks.py",),
    "fab": ("fabfile.py",),
    "ansible-playbook": ("ansible.cfg",),
    "nix-shell": ("shell.nix", "default.nix"),
    "nix": ("flake.nix",),
    "gitlab-runner": (".gitlab-ci.yml",),
    "tilt": ("Tiltfile",),
    "ansible": ("ansible.cfg",),
    "caddy": ("Caddyfile",),
    "latexmk": (".latexmkrc", "latexmkrc"),
    "doit": ("dodo.py",),
    "dpkg-buildpackage": ("debian/rules",),
    "debuild": ("debian/rules",),
    **dict.fromkeys(("cookiecutter", "cruft"), _TEMPLATED),
    "skaffold": ("skaffold.yaml",),
    "psql": ("~/.psqlrc",),
    "sqlite3": ("~/.sqliterc",),
    "emacs": ("~/.emacs", "~/.emacs.d/init.el"),
    "vim": ("~/.vimrc",),
    "nvim": ("~/.config/nvim/init.lua", "~/.config/nvim/init.vim", ".nvim.lua", ".nvimrc", ".exrc"),
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
    "make gmake just task snakemake ansible-playbook sbatch qsub rake ninja nox tox scons nextflow k6 locust cmake "
    "supervisord nginx caddy gem pm2 bpftrace".split()
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

_LOOKS: Final = frozenset(("--version", "--help", "-h", "help", "version"))


def note_own(call: Call, name: str) -> None:
    """Say of each file that a program runs by itself that it does, and where a tool builds programs."""
    if name in _BUILDERS and (call.shell.emit.made or call.shell.written_before):
        _note_builds(call, name)
    if name in OWNERS:
        _note_files(call, name)


def _note_files(call: Call, name: str) -> None:
    if call.args and call.args[0].text in _LOOKS:
        return
    if name in ("make", "gmake"):
        if dry_run(call) is not None or recipes(call) is not None:
            return  # what they say is looked into where make itself is
        if not any(field.text in _PRINTING for field in call.args):
            # What recipes run is not looked into; tests and modules of the session's are.
            project_code(call, name, call.args)
    folders = list(_folders(call))
    home = call.shell.expand.lookup("HOME", call.state, {})[0] if name in _AT_HOME else TOP
    for file in _OWN.get(name, ()):
        for folder in folders if file[:2] != "~/" else ():
            _note(call, Field(text=f"{folder}{file}"))
        if file[:2] == "~/" and TOP not in home:
            _note(call, Field(text=home + file[1:]))
    if name in _TAKES:
        for field in given(call):
            _note(call, field)
    if name in _HEEDING:
        _heeded(call, name, folders, home)
    _steered(call, name, folders)


def _steered(call: Call, name: str, folders: Sequence[str]) -> None:
    for folder in folders if name in TASKS else ():
        run_tasks(call, name, folder)
    if name not in STEERED:
        return
    for field in steering(call, name, folders, _OWN.get(name, ())):
        _note(call, field)
    # INVARIANT: where there are too many files of the session's to tell, any of them may be what it is told by.
    if is_told(call) or own_files(call) is None:
        call.opaque("program", reason="options, variables or files say what it runs", attrs={"authored": True})
    for words in handed_on(call):
        with call.perhaps():
            call.shell.again(call, tuple(words), external=True)


def _note_builds(call: Call, name: str) -> None:
    """Programs are built here, of sources and with names that are not looked for: whose they are is for the history."""
    shell = call.shell
    if shell.emit.muted or any(field.text in _LOOKS for field in call.args[:1]):
        return
    if name == "swift" and any(field.text not in _SWIFT for field in call.args[:1]):
        return
    if dry_run(call) is not None:
        return
    folders: list[str] = []
    reads = "rust" if name in ("cargo", "cross") else "any"
    # The first word for cargo says what to do, and no directory of that name is built.
    for folder in _folders(call, 1 if reads == "rust" else 0):
        path = call.place(Field(text=folder or "."), kind="dir").path
        folders.append(shell.view.identity(posixpath.normpath(path)) if path is not None else "")
    origin = Origin(spec=name, start=call.span[0], end=call.span[1])
    build = build_of(call, reads, folders)
    attrs = {"code": "program", "builds": folders, "built_of": build, "own": own_part(call, build) is not None}
    # INVARIANT: that the tool runs, and may change anything, is said by whoever knows it.
    shell.emit.say(
        Effect(op="exec_opaque", resource=as_code(name), attrs=attrs, precision="opaque", modality="may", origin=origin)
    )


def _folders(call: Call, skipped: int = 0) -> Iterator[str]:
    """Where the program looks: its directory, and each directory that a word names, but for the first so many."""
    yield ""
    count = 0
    for word in dict.fromkeys([field.text for field in call.args[skipped:]]):
        value = word.partition("=")[2] if "=" in word else ""
        for text in (word, value, word[2:]) if word[:2] == "-C" else (word, value) if value else (word,):
            if text[:1] in ("", "-") or text == "." or not is_known(text):
                continue
            if call.kind(call.place(Field(text=text))) == "dir":
                count += 1
                if count > MAX_FOLDERS:
                    call.opaque("program", reason="more directories than are looked at", attrs={"authored": True})
                    return
                yield f"{text.rstrip('/')}/"


def _note(call: Call, field: Field) -> None:
    place = call.place(field)
    if place.path is None:
        return
    shell = call.shell
    changed = bool(shell.emit.made) and shell.emit.wrote(place.path)
    if (changed or shell.view.kind(place.path) == "file") and not is_settled(call, place):
        call.script(place, authored=changed)


_PROVISIONING: Final = frozenset(("terraform", "tofu", "terragrunt"))

_LOCAL: Final = lazy(r"\"\.{1,2}/[^\"]*\"|\"(?:parser|plugins|require)\"\s*:\s*\[?\s*\"/")
"""A file of the project's own, among settings in JSON that name plugins."""

_NAMING: Final[Mapping[str, re.Pattern[str]]] = {
    ".npmrc": lazy(
        r"^[^\S\n]*+(?:script-shell|shell|node-options|git|editor|viewer|onload-script|init-module|(?:user|global)config)\s*=",
        re.MULTILINE,
    ),
    ".yarnrc": lazy(r"^[^\S\n]*+(?:yarn-path|script-shell|\S*onload)", re.MULTILINE),
    ".yarnrc.yml": lazy(r"^[^\S\n]*+(?:yarnPath|plugins|nodeLinker)\s*:", re.MULTILINE),
    "deno.json": lazy(r"\"[^\"]*\"\s*:\s*\[?\s*\"\.{0,2}/"),
    "bunfig.toml": lazy(r"^[^\S\n]*+preload\s*=", re.MULTILINE),
    "pyproject.toml": lazy(r"^[^\S\n]*+[\"']?(?:backend-path|init-hook|load-plugins)[\"']?\s*=", re.MULTILINE),
    **dict.fromkeys((".pylintrc", "pylintrc"), lazy(r"^[^\S\n]*+(?:init-hook|load-plugins)\s*=", re.MULTILINE)),
    **dict.fromkeys(("mypy.ini", ".mypy.ini", "setup.cfg"), lazy(r"^[^\S\n]*+plugins\s*=", re.MULTILINE)),
    **dict.fromkeys((".eslintrc.json", ".eslintrc", ".prettierrc", ".prettierrc.json", ".stylelintrc.json"), _LOCAL),
    ".rubocop.yml": lazy(r"^[^\S\n]*+(?:require|plugins)\s*:\s*\S*[./]|^[^\S\n]*+-\s*\.{1,2}/", re.MULTILINE),
    ".rspec": lazy(r"^[^\S\n]*+(?:-r|--require)\b", re.MULTILINE),
    **dict.fromkeys(
        ("copier.yml", "copier.yaml"), lazy(r"^[^\S\n]*+_(?:tasks|migrations|jinja_extensions)\s*:", re.MULTILINE)
    ),
    # A line that is more than the name of what is to be there is a program.
    "Brewfile": lazy(
        r"^(?![^\S\n]*+(?:#|$|(?:tap|brew|cask|mas|vscode|whalebrew)[^\S\n]++[\"'][\w@./+-]*[\"']"
        r"(?:,[\w:\"'@./+ \t-]*+)?[^\S\n]*+$))",
        re.MULTILINE,
    ),
    "aws": lazy(r"^[^\S\n]*+credential_process\s*=", re.MULTILINE),
    "config.json": lazy(r"\"(?:credsStore|credHelpers|cliPluginsExtraDirs)\""),
    "kubeconfig": lazy(r"\b[\"']?(?:exec|auth-provider)[\"']?\s*:"),
    "mailrc": lazy(
        r"^[^\S\n]*+(?:shell|!|source)|^[^\S\n]*+set\s.*(?:sendmail|mta|PAGER|EDITOR|VISUAL|SHELL)", re.MULTILINE
    ),
    ".terraformrc": lazy(r"dev_overrides|credentials_helper"),
    "config.toml": lazy(
        r"^[^\S\n]*+(?:rustc|rustdoc|runner|linker|\S*wrapper|credential-provider|include)\s*=", re.MULTILINE
    ),
    "maven.config": lazy(r"-D|exec"),
    "gradle.properties": lazy(r"jvmargs|javaagent|init"),
    ".jvmopts": lazy(r"javaagent|OnOutOfMemory|OnError"),
    ".user.ini": lazy(r"auto_(?:pre|ap)pend_file"),
    "languages.toml": lazy(r"\bcommand\b"),
}
"""Files with settings, or kinds of them -> what stands in them where they name a program, or code, that is run."""

_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys((*MANAGERS, "npx"), (".npmrc", ".yarnrc", ".yarnrc.yml")),
    "deno": ("deno.json",),
    "bun": (".npmrc", "bunfig.toml"),
    **dict.fromkeys(("pip", "pip3", "pipx", "uv", "build", "tox", "poetry", "hatch", "pdm"), ("pyproject.toml",)),
    "pylint": (".pylintrc", "pylintrc", "pyproject.toml", "setup.cfg"),
    **dict.fromkeys(("mypy", "dmypy"), ("mypy.ini", ".mypy.ini", "setup.cfg")),
    "eslint": (".eslintrc.json", ".eslintrc"),
    "prettier": (".prettierrc", ".prettierrc.json"),
    "stylelint": (".stylelintrc.json",),
    "rubocop": (".rubocop.yml",),
    "rspec": (".rspec",),
    "copier": ("copier.yml", "copier.yaml"),
    "brew": ("Brewfile",),
    "php-cgi": (".user.ini",),
    "sbt": (".jvmopts",),
    "hx": (".config/helix/languages.toml", ".helix/languages.toml"),
    **dict.fromkeys(("docker", "podman", "skopeo"), (".docker/config.json",)),
    **dict.fromkeys(("mvn", "mvnw"), (".mvn/maven.config",)),
    **dict.fromkeys(("gradle", "gradlew"), ("gradle.properties", ".gradle/gradle.properties")),
    **dict.fromkeys(_PROVISIONING, (".terraformrc",)),
}
"""Program -> files with settings which it heeds, in its directory or the home."""

_CLUSTER: Final = tuple("kubectl oc helm k9s flux istioctl kustomize stern argocd velero helmfile".split())
_POINTING: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "aws": (("AWS_CONFIG_FILE", "", "aws"), ("AWS_SHARED_CREDENTIALS_FILE", "", "aws")),
    **dict.fromkeys(("docker", "podman", "skopeo"), (("DOCKER_CONFIG", "/config.json", "config.json"),)),
    **dict.fromkeys(_CLUSTER, (("KUBECONFIG", "", "kubeconfig"), ("--kubeconfig", "", "kubeconfig"))),
    **dict.fromkeys(("mail", "mailx", "s-nail", "heirloom-mailx"), (("MAILRC", "", "mailrc"),)),
    **dict.fromkeys(
        (*MANAGERS, "npx"), (("NPM_CONFIG_USERCONFIG", "", ".npmrc"), ("npm_config_userconfig", "", ".npmrc"))
    ),
    **dict.fromkeys(_PROVISIONING, (("TF_CLI_CONFIG_FILE", "", ".terraformrc"),)),
    "cargo": (("CARGO_HOME", "/config.toml", "config.toml"),),
    "pylint": (("PYLINTRC", "", ".pylintrc"), ("--rcfile", "", ".pylintrc")),
    "mypy": (("--config-file", "", "mypy.ini"),),
    **dict.fromkeys(("ansible", "ansible-playbook"), (("ANSIBLE_CONFIG", "", ""),)),
    "jupyter": (("JUPYTER_CONFIG_DIR", "/jupyter_server_config.py", ""),),
}
"""Program -> variables and options that say where its settings are, what is added to that, and of which kind they are;
of no kind are such as are no more than code.
"""


def _pointed(call: Call, name: str) -> None:
    """Settings of the session's in a place that a variable or an option names."""
    for where, more, kind in _POINTING.get(name, ()):
        values: list[str] = []
        if where[0] != "-":
            held = call.state.vars.get(where)
            values += held.alternatives if held is not None else ()
        for index, field in enumerate(call.args if where[0] == "-" else ()):
            option, given, value = field.text.partition("=")
            if option == where:
                values.append(value if given else "".join(one.text for one in call.args[index + 1 : index + 2]))
        for text in dict.fromkeys(part for value in values for part in value.split(":") if part and TOP not in part):
            place = call.place(Field(text=text + more))
            data = call.content(place) if place.path is not None else None
            if data is not None and (not kind or _NAMING[kind].search(data.decode("utf-8", "replace"))):
                _note(call, Field(text=text + more))


_AT_HOME: Final = frozenset(
    name for table in (_OWN, _SETTINGS) for name, files in table.items() if any(file[0] in "~." for file in files)
)
"""Programs that may have such files in the home."""


def _settings(call: Call, name: str, folders: Sequence[str], home: str) -> None:
    """Settings of the session's that name a program: whatever else they say is no code."""
    for file in _SETTINGS.get(name, ()):
        for folder in (*folders, *((f"{home}/",) if file[0] == "." and TOP not in home else ())):
            place = call.place(Field(text=f"{folder}{file}"))
            data = call.content(place) if place.path is not None else None
            pattern = _NAMING[file.rpartition("/")[2]]
            if data is not None and pattern.search(data.decode("utf-8", "replace")):
                _note(call, Field(text=f"{folder}{file}"))
    if name not in _PROVISIONING:
        return
    own = own_files(call)
    if own is None:
        call.opaque("program", reason="any description here may be the session's", attrs={"authored": True})
        return
    for path in own.chosen(is_terraform):
        data = call.content(Resource(kind="file", path=path))
        if data is None or _PROVISIONS.search(data):
            call.script(Resource(kind="file", path=path), authored=True)


_PROVISIONS: Final = re.compile(rb"(?:local|remote)-exec|\bdata\s+\"external\"|\b(?:before|after)_hook\b")
"""What stands in a description of machines that runs commands on this one."""


_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "airflow": ("dags", "plugins"),
    "behave": ("steps", "environment.py"),
    "dbt": ("models", "macros"),
    "great_expectations": ("great_expectations", "gx", "plugins"),
    "kedro": ("pipelines", "nodes", "hooks.py", "settings.py"),
}
"""Programs -> names of directories, and files, of which they load every module of Python."""

_DAGS: Final = "AIRFLOW__CORE__DAGS_FOLDER"


def _modules(call: Call, name: str) -> None:
    """Modules of the session's that such a program loads of a directory."""
    parts = _HOSTS.get(name)
    own = named_files(call) if parts is not None else None
    if parts is None or own is None:
        return
    held = call.state.vars.get(_DAGS)
    tops = [call.place(Field(text=text)).path or "" for text in (held.alternatives if held is not None else ())]
    found = {path for part in parts for path in own.at(parts_of, part) if is_python(path)}
    for path in sorted(found.union(own.below(filter(None, tops), is_python))):
        check_module(call, module_name(call, path), path)


_HEEDING: Final = frozenset((*_SETTINGS, *_POINTING, *_HOSTS, *_PROVISIONING))
"""Programs that do more than their words say by their settings, or by modules in directories of their own."""


def _heeded(call: Call, name: str, folders: Sequence[str], home: str) -> None:
    """What such a program heeds of the session's."""
    if name in _SETTINGS or name in _PROVISIONING:
        _settings(call, name, folders, home)
    _pointed(call, name)
    _modules(call, name)


OWNERS: Final = frozenset(
    (*_OWN, *_TAKES, *_SETTINGS, *_POINTING, *_HOSTS, *_PROVISIONING, *TASKS, *_BUILDERS, *STEERED)
)
"""Programs that `note_own` has something to say about."""
