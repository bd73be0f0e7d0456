"""Scripts of `expect` that start one command and answer what it asks.

Not an analyser of Tcl: a script with any line that is not one of a few plain ones is None here, and then opaque.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, NUM, TOP, Field, Stream
from guardrail.patterns import lazy

_LINE: Final = lazy(
    r'\s*+(?:spawn(?P<command>(?: +[\w./:=@%+,-]+)+)|send(?: --)? +"(?P<text>(?:[^"\\$\[\]{}]|\\[rnt])*)"'
    r'|expect +(?:"[^"\\$\[\]{}]*"|eof|timeout)|set +timeout +-?\d+|wait|close|exit(?: +\d+)?|#[^\n\\]*|)\s*+;?\s*+'
)


def dialogue(call: Call) -> Stream | None:
    """A script of `expect` that starts one command and answers it: that command, with the answers as its input."""
    script = _script(call)
    if script is None or TOP in script or NUM in script:
        return None
    command: Sequence[str] = ()
    said: list[str] = []
    for line in script.split("\n"):
        match = _LINE.fullmatch(line)
        if match is None or (match["command"] and command):
            return None
        if match["command"]:
            command = match["command"].split()
        elif match["text"] is not None:
            said.append(match["text"].replace("\\r", "\n").replace("\\n", "\n").replace("\\t", "\t"))
    if not command or command[0][:1] == "-":
        return None
    vector = tuple(Field(text=word, span=call.span) for word in command)
    call.stdin = NOTHING
    return call.shell.again(call, vector, external=True, stdin=Stream(text="".join(said), connected=True))


def _script(call: Call) -> str | None:
    words = [field for field in call.args if field.text != "-"]
    if len(words) == 2 and words[0].text == "-c" and words[1].known and not words[1].sources:
        return words[1].text
    return call.given_text() if not words else None
