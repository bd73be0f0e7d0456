"""Texts that are typed into a terminal: `tmux send-keys`.

Not concerned with what runs there already, but for what that leaves open: the directory, variables and aliases. A text
that is more than plain commands, or that would change what a later one means, is None here, and then opaque.
"""

from __future__ import annotations

from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, Stream
from guardrail.parse import parse_shell
from guardrail.parse.ir import AndOr, Pipeline, Simple, Statement
from guardrail.patterns import lazy

_ENTER: Final = frozenset(("Enter", "C-m", "KPEnter"))
_LEAVING: Final = frozenset(("C-c", "C-u", "C-l"))
"""Keys that end what runs, or clear what was typed."""

_KEY: Final = lazy(
    r"(?:[CMS]-)+.+|\^.|Enter|Escape|Space|B?Tab|BSpace|Up|Down|Left|Right|Home|End|[ID]C|[NP]Page|Page(?:Up|Down)"
    r"|F\d+|KP.*|Insert|Delete|User\d+"
)
_MOVED: Final = lazy(r"[!\x00-\x1f\x7f\\]|^\s*\^")
"""What an interactive shell makes other text of: its history, completion, a line that goes on."""

_QUIET: Final = frozenset("echo pwd true false : test [ sleep".split())


def keys(call: Call) -> Stream | None:
    """`tmux send-keys -t NAME 'COMMAND' Enter`: the command, in a directory that is not known."""
    words = [field.text for field in call.args]
    if words[:1] not in (["send-keys"], ["send"]) or not all(field.known and not field.sources for field in call.args):
        return None
    words.pop(0)
    target = "*"
    if words[:1] == ["-t"] and len(words) > 1:
        target, words = words[1], words[2:]
    while words and words[0] in _LEAVING:
        call.emit("signal", at("process", target))
        words.pop(0)
    if not words:
        return SOMETHING
    text = "".join(words[:-1])
    if words[-1] not in _ENTER or any(word[:1] == "-" or _KEY.fullmatch(word) for word in words[:-1]):
        return None
    if not text.strip():
        return None  # what was typed before is entered
    if _MOVED.search(text) or not _is_plain(text):
        return None
    shell = call.shell
    # As for a call that comes without a directory, a word that looks like no path is none.
    start, shell.start = shell.start, None
    try:
        with call.perhaps():
            shell.run_text(text, State((None,)), NOTHING)
    finally:
        shell.start = start
    return SOMETHING


def _is_plain(text: str) -> bool:
    """Nothing but commands that are known, and that leave the shell as it was."""
    return all(_is_known(statement) for statement in parse_shell(text).body)


def _is_known(statement: Statement) -> bool:
    if isinstance(statement, AndOr):
        return all(_is_known(each) for each in (statement.first, *(one for _, one in statement.rest)))
    if isinstance(statement, Pipeline):
        return all(_is_known(stage) for stage in statement.stages)
    if not isinstance(statement, Simple) or not statement.words or statement.assigns:
        return False
    name = statement.words[0].plain
    return name is not None and (name in specs() or name in _QUIET)
