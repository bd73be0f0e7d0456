"""Our own small tree of a shell script, so that the parser behind it can be changed.

Offsets are bytes of the UTF-8 text that was parsed. What the parser cannot vouch for is an `Opaque`, never left out.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class _Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record without reference cycles, which the collector therefore need not track."""


class Text(_Node):
    """Literal characters.

    Args:
        text: the characters, quoting removed.
        quoted: they stood in quotes or after a backslash: no glob, brace, tilde or splitting.
    """

    text: str
    quoted: bool = False


class Param(_Node):
    """`$name` or `${name}`, with an operator that can be worked out.

    Args:
        name: variable, positional digit or special character.
        quoted: inside double quotes, so not split.
        op: empty, or one of `:-`, `-`, `#`, `##`, `%`, `%%`.
        arg: literal right side of the operator.
    """

    name: str
    quoted: bool = False
    op: str = ""
    arg: str = ""


class Command(_Node):
    """`$(…)` or backticks."""

    script: Script
    quoted: bool = False


class Process(_Node):
    """`<(…)`, or `>(…)` when `write`."""

    script: Script
    write: bool = False


class Computed(_Node):
    """An expansion whose value is not worked out.

    Args:
        quoted: inside double quotes, so not split.
        number: the value is a number (arithmetic).
        names: variables that arithmetic evaluates.
        assigns: variables that it may set.
        scripts: commands that it runs on the way.
    """

    quoted: bool = False
    number: bool = False
    names: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    scripts: tuple[Script, ...] = ()


Part = Text | Param | Command | Process | Computed


class Word(_Node):
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


class Assign(_Node):
    """`name=value` before or without a command; an array has its words in `array`."""

    name: str
    value: Word
    append: bool = False
    array: tuple[Word, ...] | None = None


class Redirect(_Node):
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


class Simple(_Node):
    """Assignments, words and redirections: one simple command."""

    words: tuple[Word, ...]
    assigns: tuple[Assign, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


class Pipeline(_Node):
    """Stages joined by `|`."""

    stages: tuple[Statement, ...]


class Negated(_Node):
    """`! command`."""

    body: Statement


class AndOr(_Node):
    """`first && …` and `first || …`, from left to right."""

    first: Statement
    rest: tuple[tuple[Literal["&&", "||"], Statement], ...]


class Group(_Node):
    """`{ …; }`, or `( … )` when `subshell`, or a command in the background."""

    body: Block
    subshell: bool = False


class Redirected(_Node):
    """A compound command with redirections of its own."""

    body: Statement
    redirects: tuple[Redirect, ...]


class If(_Node):
    """Branches of (condition, body), and what `else` does."""

    branches: tuple[tuple[Block, Block], ...]
    otherwise: Block | None


class Loop(_Node):
    """`while`, `until`, or a C-style `for` whose arithmetic is in `names` and `assigns`."""

    condition: Block
    body: Block
    names: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()


class For(_Node):
    """`for name in words`, or `select`; `words` is None for the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Block
    select: bool = False


class Case(_Node):
    """`case word in (patterns) body`."""

    word: Word
    items: tuple[tuple[tuple[Word, ...], Block], ...]


class Function(_Node):
    """A function definition."""

    name: str
    body: Statement


class Test(_Node):
    """`[[ … ]]`: no effect but those of its expansions and of arithmetic comparison."""

    words: tuple[Word, ...]
    arithmetic: bool


class Arithmetic(_Node):
    """`(( … ))`."""

    names: tuple[str, ...]
    assigns: tuple[str, ...]


class Opaque(_Node):
    """Shell text that is not modelled or that the parser cannot vouch for."""

    reason: str
    text: str


Statement = (
    Simple | Pipeline | Negated | AndOr | Group | Redirected | If | Loop | For | Case | Function | Test | Arithmetic | Opaque
)  # fmt: skip
Block = tuple[Statement, ...]


class Script(_Node):
    """A whole shell text.

    Args:
        body: its statements, in order.
        text: the text itself.
    """

    body: Block
    text: str
