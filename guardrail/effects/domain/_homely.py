"""Tools of a project that are told to work in the directory that they are in: `pip install -e .`, `npx eslint .`.

Not concerned with what they do there, which is the same as without the word. Only tools count that build what is there,
or look at sources of their own kind, and not such as copy, publish, or rewrite files of any kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

_WORKING_HERE: Final = frozenset(
    "cmake ctest ninja samu meson make gmake bazel bazelisk buck2 pants go cargo cross rustc mvn mvnw gradle "
    "gradlew sbt dotnet swift zig stack cabal dune mix rebar3 just task invoke inv rake nox tox pre-commit pytest "
    "coverage ruff black isort flake8 mypy pyright pylint bandit vulture pydocstyle eslint tsc jest vitest mocha "
    "ava golangci-lint staticcheck gofmt goimports gofumpt clang-tidy cppcheck protoc buf phpstan phpunit psalm "
    "rubocop rspec detekt ktlint semgrep gitleaks tflint tfsec checkov terraform tofu sphinx-build mkdocs julia "
    "pip pip3 pipenv poetry pdm maturin wasm-pack xcodebuild".split()
)
"""Programs that need not be told where they are."""

_STARTING: Final = frozenset("npx bunx pnpx uvx uv poetry pdm pipenv pipx hatch rye pnpm yarn bun npm".split())
"""Programs that start such a one by its name."""

_GIVING: Final = frozenset("julia just task invoke inv rake mix nox tox".split())
"""Those that hand words to a script or a task, for which a directory may be one to copy."""

_VERBS: Final = frozenset("run exec dlx x tool pip".split())
_INSTALLING: Final = frozenset("install sync lock add".split())
_RUNNING: Final = frozenset("run exec script bench".split())
_LABELLED: Final = frozenset("bazel bazelisk buck2 pants".split())
"""Programs that call what they build by labels, which begin at the top of the project with `//`."""

_LABEL: Final = lazy(r"-?(?:@@?[\w.~+-]*)?//(?:[\w.@~+=-]+(?:/[\w.@~+=-]+)*)?(?:/?\.\.\.)?(?::[\w./@~+=-]+)?")
_HERE: Final = lazy(r"(?:--?[\w-]+=|-[CISBp])?\./?")


def is_own_folder(name: str, args: Sequence[Field], word: Field) -> bool:
    """Whether a word says no more than that a tool is to work where it is.

    Args:
        name: the command, with its subcommand.
        args: all its words.
        word: one of them.
    """
    if not _HERE.fullmatch(word.text) or word.glob is not None or word.many:
        return False
    head, _, verb = name.partition(" ")
    words = [field.text for field in args]
    if head in _STARTING:
        started = [verb, *words] if verb else words
        while started and (started[0][:1] == "-" or started[0] in _VERBS):
            started.pop(0)
        tool = started[0] if started else ""
        if tool in _INSTALLING:
            return True
        return tool.partition("@")[0] in _WORKING_HERE and not _RUNNING.intersection(started[1:2])
    if head not in _WORKING_HERE or "wheel" in (verb, *words[:1]):
        return False
    if head in _GIVING:
        at = next((index for index, field in enumerate(args) if field is word), 0)
        return word.text[:1] == "-" or (at > 0 and words[at - 1][:1] == "-" and words[at - 1] != "--")
    if verb not in _RUNNING and not _RUNNING.intersection(words[:1]):
        return True
    # What stands behind the program that is run is for the program.
    operands = [field for field in args if field.text[:1] != "-" and field.text not in _RUNNING]
    return head == "go" and operands[:1] == [word]


def is_label(name: str, args: Sequence[Field], word: Field) -> bool:
    """Whether a word is the label of something that a tool builds, and no path.

    Args:
        name: the command, with its subcommand.
        args: all its words.
        word: one of them.
    """
    head, _, verb = name.partition(" ")
    if head not in _LABELLED or not word.known or word.many or not _LABEL.fullmatch(word.text):
        return False
    words = [field.text for field in args]
    before = words[: next((at for at, field in enumerate(args) if field is word), 0)]
    if "--" in before:
        return False  # it is for the program that is run
    runs = "run" in (verb, *words)
    return not runs or not any(_LABEL.fullmatch(one) for one in before)
