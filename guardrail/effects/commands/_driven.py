"""Commands that a file tells what to do: what it names is mentioned, or copied to where the words say.

Not concerned with files that programs read for themselves, such as those in a home directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._programs import run_nested
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, configured
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import spellings
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_LISTED = lazy(r"(?<![\w-])([\w-]+)[\"']?\s*:\s*[\"']?([^\s\"'#,}\]]+)")
_LISTING: Final = lazy(r"model|path|adapter|lora|file")
"""What the key of a model that is named has in it."""

_RESULT = lazy(
    r"--?(?:o|output|output[-_](?:file|path|dir|csv|json)|out|log[-_]?(?:file|dir|path)|save[-_]?\w*|result[-_]?\w*"
    r"|work[-_]dir|prompt-cache|slot-save-path|dump[-_]\w*|export[-_]?\w*|use_cache|cache[-_]dir|download[-_]dir)"
)
_LOADS = lazy(r"--?(?:include_path|tool-parser-plugin|reasoning-parser-plugin|middleware|logits-processors?|rpc)")


def driven(call: Call, parsed: Parsed) -> Stream:
    """A program whose work is in its configuration: it is opaque, and what that names is mentioned."""
    call.opaque("program", reason=f"{call.name} does what a file says")
    return apply_spec(call, parsed)


def recipe(call: Call, parsed: Parsed) -> Stream:
    """`mergekit-yaml CONFIG OUT`: the models that the configuration names go into OUT."""
    sources: tuple[Resource, ...] = ()
    given = parsed.values_of("--config") or parsed.operands[:1]
    targets = parsed.operands[1:] if not parsed.values_of("--config") else parsed.operands
    for field in given:
        sources = merge(sources, call.read(field))
        text = configured(call, field) or ""
        for name in dict.fromkeys(name for key, name in _LISTED.findall(text) if _LISTING.search(key)):
            if "/" in name or call.kind(call.place(Field(text=name))) is not None:
                sources = merge(sources, call.read(Field(text=_home(call, name)), recursive=True))
    for field in targets:
        below(call, field, sources)
    if not targets:
        call.opaque("program", reason="no directory is named")
    for _, role, field in parsed.values:
        if role == "below":
            below(call, field, sources)
    return SOMETHING


def _home(call: Call, name: str) -> str:
    return call.shell.expand.lookup("HOME", call.state, {})[0] + name[1:] if name.startswith("~/") else name


def serving(call: Call, _parsed: Parsed) -> Stream:
    """A program known to serve, run or measure models: it reads what its words name, and writes where some options say.

    Its results are no copies of the model, but it may do more than is looked into.
    """
    words = list(call.args)
    attrs = {"reader": "program", "reveals": "none"}
    call.emit("exec", as_code(call.name))
    _made(call)
    while words:
        field = words.pop(0)
        name, equals, _ = field.text.partition("=")
        if _RESULT.fullmatch(name):
            target = field.tail(len(name) + 1) if equals else words.pop(0) if words else None
            if target is not None and target.text[:1] != "-":
                call.emit("write", call.place(target, recursive=True), may=True)
            continue
        if _OFFERS.fullmatch(name):
            offered = field.tail(len(name) + 1) if equals else words[0] if words else None
            if offered is not None:
                place = call.place(offered, kind="dir", recursive=True)
                call.emit("copy", place, at("net", "served"), flow=("served",), may=True)
            continue
        if _LOADS.fullmatch(name):
            call.opaque("program", reason=f"{name} of {call.name} loads code", words=(field, *words[:1]))
            continue
        for text in spellings(field.text):
            if text == TOP or "/" in text or call.kind(call.place(Field(text=text))) is not None:
                place = call.place(Field(text=text, glob=field.glob if text == field.text else None), recursive=True)
                call.emit("read", place, attrs=attrs, precision="opaque", may=True)
    for source in call.stdin.sources:
        call.emit("read", source, attrs=attrs, precision="opaque", may=True, flow=call.stdin.flow)
    return Stream(sources=call.stdin.sources, flow=call.stdin.flow)


def _made(call: Call) -> None:
    """Verbs that write a model in another form: what is named goes to where an option or the last word says."""
    plain = [field for field in call.args if field.text[:1] != "-"]
    verb = plain[0].text if plain else ""
    if call.name == "llama-gguf" and any(field.text == "w" for field in plain):
        call.put("write", call.place(plain[0]), ())
    elif verb in _MAKING:
        call.opaque("program", reason=f"`{verb}` of {call.name} writes a model")
        options = [after for field, after in pairwise(call.args) if _RESULT.fullmatch(field.text)]
        for target in options or plain[-1:] if len(plain) > 2 or options else ():
            for source in plain[1:]:
                if source is not target and call.kind(call.place(source)) is not None:
                    call.emit("copy", call.place(source, recursive=True), call.place(target, recursive=True), may=True)


_MAKING: Final = frozenset(
    "lite convert quantize export merge push upload rm remove delete save aot_compile_cpu copy import pack".split()
)
"""First words after which a server of models does something else than serve."""

_OFFERS: Final = lazy(r"--(?:path|public[-_]path|media[-_]path|allowed[-_](?:local[-_])?media[-_]path|static[-_]dir)")
"""Options whose directory is handed out as it is."""


def trainer(call: Call, _parsed: Parsed) -> Stream:
    """`accelerate launch SCRIPT …`: runs a program; it is opaque, and so is the script."""
    run_nested(call)
    return call.opaque("program")


FAMILIES: Final[Mapping[str, Family]] = {"driven": driven, "recipe": recipe, "serving": serving, "trainer": trainer}
"""What `code` of a spec may say, for this module."""
