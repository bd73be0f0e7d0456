"""Builtins that run a text in the very shell: `eval`, `source`, and `trap`, which runs one later."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from guardrail.effects.code._scripts import STANDARD_INPUT, is_stream, script_texts
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import Code
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream, Value, is_shell_text, merge
from guardrail.effects.shell._activation import activated
from guardrail.effects.shell._streams import joined, perhaps, sometimes
from guardrail.effects.shell._traps import arm, set_trap
from guardrail.model import Resource


def eval_(call: Call) -> Stream:
    """`eval`: its words, joined, are shell text in this very shell."""
    if not all(field.known or not (field.many or field.sources or field.glob) for field in call.args):
        out = call.opaque("dynamic", reason="the text given to eval is not known")
        call.state.forget()
        return out
    text = " ".join(field.text for field in call.args)
    ok, bad, out = call.shell.run_here(text, call.state, call.stdin)
    call.state.assume(ok.join(bad))
    return out


def source(call: Call) -> Stream:
    """`source FILE`, `. FILE`: a small readable file is analysed in this shell."""
    if not call.args or not call.args[0].known:
        out = call.opaque("dynamic", reason="the file to source is not known")
        call.state.forget()
        return out
    field = _beside(call, call.args[0])
    resource = call.place(field)
    texts: Sequence[str] = ()
    if is_stream(resource.path) or (resource.path is not None and call.shell.view.kind(resource.path) == "other"):
        return _source_stream(call, resource)
    if "/" in field.text and activated(call, resource):
        return NOTHING
    if resource.path is not None and "/" in field.text:
        texts = script_texts(call, resource)
    if not texts:
        # Without a slash the file is looked for along PATH.
        code: Code = "script" if resource.path is not None and "/" in field.text else "dynamic"
        authored = resource.path is not None and call.shell.emit.changed(resource.path)
        out = call.opaque(code, resource=resource, attrs={"authored": True} if authored else None)
        _sourced(call, resource, certain=code == "script" and not authored)
        return out
    call.emit("read", resource, attrs={"reveals": "some"})
    missed = None if call.shell.contents.sure(resource.path or "") else call.state.copy()
    call.state.vars["BASH_SOURCE"] = Value(alternatives=(field.text,), items=(("0", field.text),))
    end, out = _returned(call, texts[0], call.stdin) if len(texts) == 1 else _either(call, texts)
    end.vars["BASH_SOURCE"] = Value(plural=True)  # of a function it is the file that defines it
    call.state.assume(end if missed is None else end.join(missed))
    return out


def _either(call: Call, texts: Sequence[str]) -> tuple[State, Stream]:
    """The same of texts of which one is sourced: what this call put there, or what was there before."""
    before = call.state.copy()
    ends: list[State] = []
    outputs: list[Stream] = []
    for text in texts:
        call.state.assume(before.copy())
        mark = call.shell.contents.mark()
        with call.perhaps():
            end, out = _returned(call, text, call.stdin)
        call.shell.contents.weaken(mark, anywhere=True)
        ends.append(end)
        outputs.append(perhaps(out))
    return joined(ends), sometimes(outputs)


def _returned(call: Call, text: str, stdin: Stream) -> tuple[State, Stream]:
    """What holds after a text that is sourced, with arguments if it is given some, also where `return` left it."""
    before = call.state.args, call.state.handed
    if len(call.args) > 1:
        call.state.hand(call.args[1:])
    given_ = call.state.args
    call.shell.returns.append(None)
    ok, bad, out = call.shell.run_here(text, call.state, stdin)
    left = call.shell.returns.pop()
    end = ok.join(bad) if left is None else ok.join(bad).join(left)
    if len(call.args) > 1:
        # They come back, unless the file has set others.
        kept = end.args == given_ and "set" not in text and "eval" not in text
        end.args = before[0] if kept else None
        end.handed = merge(end.handed, before[1])
    return end, out


def _beside(call: Call, field: Field) -> Field:
    """A name without a slash is looked for along PATH, and then here."""
    if "/" in field.text or call.state.path is None or not field.text.startswith("."):
        return field
    # No program is called like a hidden file.
    return Field(text=f"./{field.text}", span=field.span)


def _sourced(call: Call, resource: Resource, *, certain: bool) -> None:
    """A file that cannot be read was sourced: variables are not known any more; names mean what they say, as before.

    What a file that is not there, and that this call did not write, can do is nothing; but it may only be hidden.
    """
    state = call.state
    before = state.path, state.ifs, state.globs, state.cwds
    there = resource.path is None or call.shell.view.kind(resource.path) is not None
    state.forget()
    if certain:
        state.path, state.ifs, state.globs = before[:3]
        state.cwds = (None,) if there else before[3]


def _source_stream(call: Call, resource: Resource) -> Stream:
    """`. /dev/stdin`: known if the input is."""
    if posixpath.normpath(resource.path or "") in STANDARD_INPUT and call.stdin.text is not None:
        call.state.vars["BASH_SOURCE"] = Value(plural=True)
        end, out = _returned(call, call.stdin.text, SOMETHING)
        call.state.assume(end)
        return out
    out = call.opaque("dynamic", resource=resource, reason="the file to source is a stream")
    call.state.forget()
    return out


def trap(call: Call) -> Stream:
    """`trap TEXT SIGNAL`: the text runs later, when little is certain about the shell."""
    operands = [field for field in call.args if field.text not in ("--", "-p", "-l")]
    if len(operands) < 2 or operands[0].text in ("", "-"):
        return NOTHING if operands and operands == list(call.args) else SOMETHING
    text = operands[0]
    if text.many or text.sources or text.glob is not None or not is_shell_text(text.text):
        return call.opaque("dynamic", reason="the text of a trap is not known")
    mark = call.shell.contents.mark()
    set_trap(call.shell, call.state, text.text)
    if all(field.text.upper() in ("EXIT", "SIGEXIT", "0") for field in operands[1:]):
        call.shell.contents.weaken(mark)
    else:
        call.shell.contents.lose(mark, lasting=True)
        arm(call.shell, call.state, text.text)
    return NOTHING
