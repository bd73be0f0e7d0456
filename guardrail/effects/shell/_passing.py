"""What the words, the input and the variables of a command bring into its effects and into its output.

Not concerned with what the command itself does to the places that it names: its spec and its function tell that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import given, given_options
from guardrail.effects.domain._values import NUM, SOMETHING, Field, Stream, is_laden, merge
from guardrail.effects.shell._filters import FILTERS, filtered, printed
from guardrail.effects.shell._listings import with_listed
from guardrail.effects.shell._reading import file_text
from guardrail.model import Resource
from guardrail.patterns import lazy


def passed(call: Call, parsed: Parsed, before: int, out: Stream) -> Stream:
    """What words, input and variables of a command bring into its effects and its output."""
    if call.shell.handed or call.state.vars:
        _environment(call, before)
    given = _in_words(call) if is_laden(call.args) else ()
    if given or call.stdin is not SOMETHING or call.shell.emit.made:
        _handed_on(call, parsed, before, given)
    if given:
        out = _with_arguments(out, given)
    if call.name in _WORKED_OUT:
        out = _with_text(call, parsed, out)
    return with_listed(call, parsed, out) if call.shell.listening else out


def by_variables(call: Call, parsed: Parsed) -> None:
    """Options that variables give the command, if its words do not."""
    for name, field in given_options(call.state, call.name):
        option = parsed.spec.long(name)
        if option is None or option.name in parsed.flags:
            continue
        parsed.flags.add(option.name)
        if option.roles:
            parsed.take(option.name, option.roles[0], field)


def _environment(call: Call, before: int) -> None:
    """A command that changes something may do so where its environment says, instead of where it usually does."""
    if any(effect.op not in _LOOKING for effect in call.shell.emit.effects[before:]):
        for text in dict.fromkeys((*call.shell.handed, *_own_variables(call))):
            call.mention_text(text)


def _own_variables(call: Call) -> list[str]:
    """What variables hold that begin with the command's own name, such as `UV_CACHE_DIR` of `uv`."""
    start = call.name.partition(" ")[0].upper().replace("-", "_")
    if len(start) < len("GO"):
        return []
    return [text for name, value in call.state.vars.items() if name.startswith(start) for text in given(value)]


_LOOKING: Final = frozenset(("read", "list", "exec", "env", "net_recv", "mention", "exec_opaque"))
"""Operations that leave everything as it was, or have told of the environment themselves."""


def _with_text(call: Call, parsed: Parsed, out: Stream) -> Stream:
    """The output of a filter, where its input and its words are known."""
    if out.text is not None:
        return out
    args: list[str] = []
    for field in call.args:
        if not field.known:
            return out
        args.append(field.text)
    if call.name in FILTERS:
        text = _of_filter(call, parsed.operands, args)
    else:
        text = printed(call.name, args, posix="posix" in call.state.modes)
    if text is None:
        return out
    return Stream(text=text, sources=out.sources, names=out.names, flow=out.flow)


def _of_filter(call: Call, operands: Sequence[Field], args: list[str]) -> str | None:
    """What a filter prints of its input or of its files; None if that is not known, or nobody asks."""
    given = call.stdin.text
    if call.name == "grep":
        if not (call.shell.listening and operands):
            return None  # it is often asked for what nobody makes words of
        files = operands[1:]
        if args[-len(operands) :] != [field.text for field in operands]:
            return None
        given = file_text(call, files) if files else given
        args = args[: len(args) - len(files)]
    elif call.name in _FILES and operands and [field.text for field in operands] != ["-"]:
        named = {field.text for field in operands}
        many = len(operands) > 1
        given = file_text(call, operands) if not many or call.name in ("cat", "sort", "cut") else None
        args = [word for word in args if word not in named]
    return None if given is None else filtered(call.name, args, given)


_WORKED_OUT: Final = frozenset((*FILTERS, "printf", "echo", "basename", "dirname"))
"""Commands whose output may be worked out."""


_FILES: Final = frozenset("cat tac rev head tail sort uniq cut base64 base32 xxd paste".split())
"""Filters all of whose operands are files."""


_SUBSTITUTED: Final = f"/dev/fd/{NUM}"
"""What a process substitution becomes."""


def _in_words(call: Call) -> tuple[Resource, ...]:
    """Whose content is in the words themselves."""
    return tuple(
        source for field in call.args if field.sources and _SUBSTITUTED not in field.text for source in field.sources
    )


def _handed_on(call: Call, parsed: Parsed, before: int, given: tuple[Resource, ...]) -> None:
    """Content in a word goes into whatever the command writes and to where it sends; its input too, if asked for."""
    fed = call.stdin.sources
    if call.stdin.text or call.shell.emit.made:
        _described(call, parsed, before)
    if not given and not fed:
        return
    if fed and any(_INPUT.search(field.text) for field in call.args):
        given, fed = merge(given, fed), ()
    effects = call.shell.emit.effects[before:]
    said = {(effect.resource, effect.target) for effect in effects if effect.target is not None}
    service = specs().file_of(parsed.spec.entry.names[0]) in _ASKING
    takes = service and parsed.spec.entry.stdin != "none"
    for effect in effects:
        if effect.op not in _CARRYING:
            continue
        place = effect.target if effect.target is not None else effect.resource
        open_ = (takes or effect.op == "remote_exec") and not _CLOSED.match(place.uri or "")
        for source in merge(given, fed) if open_ else given:
            if source != place and (source, place) not in said:
                said.add((source, place))
                call.emit("copy", source, place, flow=("argument",), may=True)
    if given and not said and service:
        for source in given:
            call.emit("copy", source, at("net", call.name), flow=("argument",), may=True)


def _described(call: Call, parsed: Parsed, before: int) -> None:
    """What is to run somewhere may be described by the input, or a file of this call: every path in it is mentioned."""
    if specs().file_of(parsed.spec.entry.names[0]) not in _DEPLOYING:
        return
    if not any(effect.op in _CARRYING for effect in call.shell.emit.effects[before:]):
        return
    texts = [call.given_text()] if any(_INPUT.search(field.text) for field in call.args) else []
    for field in call.args:
        path = call.place(field).path if field.known else None
        if path is not None and call.shell.contents.knows(path):
            texts.append(call.text_of(field))
    for text in texts:
        if text:
            call.mention_text(text)


_DEPLOYING: Final = frozenset(("builds.toml", "containers.toml", "k8s.toml"))
"""Files of the catalogue whose commands start what a text describes."""


_INPUT: Final = re.compile(r"(?:^|[=@])-$|/dev/stdin$|^--?[a-z-]*stdin(?:$|=)")
"""Words that ask for the standard input."""


_CARRYING: Final = frozenset(
    "create write append net_send net_recv remote_exec api_copy api_visibility set_security set_key record_score "
    "service schedule link rename".split()
)
"""Operations after which what a word says may be found somewhere."""


_CLOSED: Final = lazy(r"docker:(?!model/|machine/)|k8s:(?!node)")
"""Places whose commands get no input unless they are asked to, which the functions of those commands see to."""


_ASKING: Final = frozenset(
    f"{name}.toml"
    for name in "aws azure builds gcloud hubs k8s objectstores containers packages network databases net".split()
)
"""Files of the catalogue whose commands ask a service about what their words name."""


def _with_arguments(out: Stream, given: tuple[Resource, ...]) -> Stream:
    """Words with content in them may come out again: a format, a name, a message."""
    if out.text is not None:
        return out
    return msgspec.structs.replace(out, sources=merge(out.sources, given), connected=False)
