"""Our own small tree of a shell script, so that the parser behind it can be changed.

Part of what `guardrail.parse` offers to `guardrail.effects`. Offsets are bytes of the UTF-8 text that was parsed.
What the parser cannot vouch for is an `Opaque`, never left out.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Text(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Literal characters.

    Args:
        text: the characters, quoting removed.
        quoted: they stood in quotes or after a backslash: no glob, brace, tilde or splitting.
    """

    text: str
    quoted: bool = False


class Param(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`$name` or `${name}`.

    Args:
        name: variable, positional digit or special character.
        quoted: inside double quotes, so not split.
        bare: written without braces, so brace expansion may glue letters to the name.
    """

    name: str
    quoted: bool = False
    bare: bool = False


class Expansion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`${…}` with an operator, a subscript or a prefix.

    Args:
        name: variable, positional digits, `@` or `*`.
        prefix: `#` for a length, `!` for indirection, for keys of an array, or for names that begin so.
        index: subscript as written, `@` and `*` included; None without one.
        op: the operator: `-` `=` `+` `?` (with or without `:`), `#` `##` `%` `%%`, `/` `//` `/#` `/%`,
            `^` `^^` `,` `,,`, `:` (part of the text), `@X` (transformation), or empty.
        arg: what stands to its right; for `/` the pattern.
        other: for `/`, what is put in.
        numbers: for `:`, offset and length as arithmetic.
        names: variables that the subscript or the numbers evaluate.
        parts: expansions and substitutions in the subscript, which `index` calls `__part0__` and so on.
        quoted: inside double quotes, so not split.
    """

    name: str
    prefix: Literal["", "#", "!"] = ""
    index: str | None = None
    op: str = ""
    arg: Word | None = None
    other: Word | None = None
    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    quoted: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`$(…)` or backticks."""

    script: Script
    quoted: bool = False


class Process(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`<(…)`, or `>(…)` when `write`."""

    script: Script
    write: bool = False


class Computed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An expansion whose value is not worked out.

    Args:
        quoted: inside double quotes, so not split.
        number: the value is a number (arithmetic).
        text: for arithmetic, the expression.
        names: variables it looks at; arithmetic evaluates their text.
        assigns: variables that it may set.
        scripts: commands that it runs on the way.
        parts: of arithmetic, expansions and substitutions in it, which `text` calls `__part0__` and so on.
    """

    quoted: bool = False
    number: bool = False
    text: str = ""
    names: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    scripts: tuple[Script, ...] = ()
    parts: tuple[Part, ...] = ()


Part = Text | Param | Expansion | Command | Process | Computed
"""What a word is made of."""


class Word(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One word before expansion.

    Args:
        parts: what it is made of.
        start: offset of its first byte.
        end: offset after its last byte.
        plain: its value, when there is nothing to expand.
        assignment: an argument of the form `name=…` to a declaration: not split, not globbed.
    """

    parts: tuple[Part, ...]
    start: int
    end: int
    plain: str | None = None
    assignment: bool = False


class Assign(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`name=value` before or without a command.

    Args:
        name: the variable.
        value: what it is given, if it is no array.
        append: `+=`.
        index: subscript of `name[index]=value`, as written.
        names: variables that the subscript evaluates.
        parts: expansions and substitutions in the subscript, which `index` calls `__part0__` and so on.
        array: for `name=(…)`, each word with its subscript, if it has one.
    """

    name: str
    value: Word
    append: bool = False
    index: str | None = None
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    array: tuple[tuple[str | None, Word], ...] | None = None


class Redirect(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A redirection.

    Args:
        op: `<`, `>`, `>>`, `>|`, `&>`, `&>>`, `<&`, `>&`, `<<` (here document) or `<<<` (here string).
        fd: descriptor before the operator; None stands for the operator's own.
        target: file, descriptor, or the text of a here document or here string; None closes (`>&-`).
    """

    op: str
    fd: int | None
    target: Word | None
    start: int
    end: int


class Simple(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Assignments, words and redirections: one simple command."""

    words: tuple[Word, ...]
    assigns: tuple[Assign, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


class Pipeline(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stages joined by `|`."""

    stages: tuple[Statement, ...]


class Negated(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`! command`."""

    body: Statement


class AndOr(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`first && …` and `first || …`, from left to right."""

    first: Statement
    rest: tuple[tuple[Literal["&&", "||"], Statement], ...]


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`{ …; }`, or `( … )` when `subshell`, or a command in the `background`."""

    body: Block
    subshell: bool = False
    background: bool = False


class Redirected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A compound command with redirections of its own."""

    body: Statement
    redirects: tuple[Redirect, ...]


class If(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Branches of (condition, body), and what `else` does."""

    branches: tuple[tuple[Block, Block], ...]
    otherwise: Block | None


class Loop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`while`, `until`, or a C-style `for` whose arithmetic is in `names` and `assigns`.

    Args:
        condition: what is run before each round.
        body: what a round does.
        until: it goes on while the condition fails.
        clauses: of a C-style `for`, what is evaluated first, before each round, and after each.
        names: variables that the clauses evaluate.
        assigns: those that they set.
        parts: expansions and substitutions in the clauses, which they call `__part0__` and so on.
    """

    condition: Block
    body: Block
    until: bool = False
    clauses: tuple[str, str, str] | None = None
    names: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


class For(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`for name in words`, or `select`; `words` is None for the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Block
    select: bool = False


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`case word in (patterns) body`; an item ends with `;;`, `;&` or `;;&`."""

    word: Word
    items: tuple[tuple[tuple[Word, ...], Block, str], ...]


class Function(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A function definition."""

    name: str
    body: Statement


class Test(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`[[ … ]]`: no effect but those of its expansions and of arithmetic comparison."""

    words: tuple[Word, ...]
    arithmetic: bool


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`(( … ))`; its fields are those of `Computed`."""

    text: str
    names: tuple[str, ...]
    assigns: tuple[str, ...]
    parts: tuple[Part, ...] = ()


class Opaque(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Shell text that is not modelled or that the parser cannot vouch for."""

    reason: str
    text: str


Statement = (
    Simple | Pipeline | Negated | AndOr | Group | Redirected | If | Loop | For | Case | Function | Test
    | Arithmetic | Opaque
)  # fmt: skip
"""Any one statement."""

Block = tuple[Statement, ...]
"""Statements, one after the other."""


class Script(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole shell text.

    Args:
        body: its statements, in order.
        text: the text itself.
    """

    body: Block
    text: str
