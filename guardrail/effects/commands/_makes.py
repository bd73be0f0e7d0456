"""Files that a command makes although no word names them, places it unpacks into, and files that tell it what to do.

Not concerned with which commands do so: that is `makes`, `below` and `config` in their specs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import Mode
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import DEEP, NAME, NUM, PATH, TOP, Field, last_of, merge
from guardrail.model import Resource

T = TypeVar("T")


def make(
    call: Call,
    parsed: Parsed,
    roles: Sequence[tuple[str, Field]],
    sources: tuple[Resource, ...],
    *,
    recursive: bool = False,
) -> bool:
    """What `makes` of a spec says of this command line.

    Args:
        call: the command.
        parsed: its words, told apart.
        roles: its words with their roles; names are made of those that it reads.
        sources: all content that comes in.
        recursive: its operands are meant with all below them.

    Returns:
        Whether anything is made.
    """
    made = False
    for template in _templates(parsed):
        named: Sequence[Field] = ()
        if "{" in template:
            named = [field for role, field in roles if role in ("read", "spent") and field.text != "-"]
        made = made or bool(named) or "{" not in template
        if template.startswith("@"):
            scheme, _, name = template[1:].partition(":")
            call.put("write", at(scheme, name.replace("*", TOP)), sources)
        elif "{" in template:
            for field in named:
                own = merge((call.place(field, recursive=recursive),), field.sources) if sources else ()
                _put(call, named_by(template, field), own, recursive=recursive)
        else:
            if template.startswith("~/"):
                template = call.shell.expand.lookup("HOME", call.state, {})[0] + template[1:]
            _put(call, pattern(template), sources)
    return made


def modes_of(parsed: Parsed) -> list[Mode]:
    """The modes of a command that its options ask for, in the order of its spec."""
    if parsed.flags.isdisjoint(parsed.spec.deciding):
        return []
    return [mode for when, mode in parsed.spec.modes if parsed.flags & when]


def by_mode(parsed: Parsed, name: str, default: T) -> T:
    """What the first mode says that is asked for and says anything; what the entry says if none does."""
    if parsed.flags.isdisjoint(parsed.spec.deciding):
        return default
    said: list[T | None] = [getattr(mode, name) for mode in modes_of(parsed)]
    return next((value for value in said if value is not None), default)


def _templates(parsed: Parsed) -> tuple[str, ...]:
    if parsed.spec.unless and parsed.flags & parsed.spec.unless:
        return ()
    return by_mode(parsed, "makes", parsed.spec.entry.makes)


def pattern(text: str) -> Field:
    """A name in which `*` stands for any text without a slash."""
    if "*" not in text:
        return Field(text=text)
    return Field(text=text.replace("*", TOP), glob="*".join(escape(part) for part in text.split("*")))


def starting(field: Field) -> Field:
    """Every name that begins with a word."""
    return named_by("{}*", Field(text=field.text, glob=field.glob, many=field.many))


def named_by(template: str, field: Field) -> Field:
    """The name that a template gives for one operand: `{}.gz` of `/d/a.x` is `/d/a.x.gz`, `{stem}` is `/d/a`."""
    if field.glob is None and (not field.many or field.named) and is_listed(field.text):
        return _by_listed(template, field.text)
    if template == "{}*" and field.glob is None and not field.many and TOP not in field.text and NUM in field.text:
        return Field(text=field.text + NAME)
    if field.many or (field.glob is None and (TOP in field.text or NUM in field.text)):
        return Field(text=TOP)
    glob = field.glob is not None
    text = (field.glob or "") if glob else field.text
    if template != "{}*":
        text = text.rstrip("/") or text
    head, slash, name = text.rpartition("/")
    short = name.rpartition(".")[0] or name
    parts = {"{}": text, "{dir}": head + slash or "./", "{name}": name, "{stem}": f"{head}{slash}{short}"}
    parts["{short}"] = short
    out = ""
    rest = template
    while rest:
        key = next((key for key in parts if rest.startswith(key)), None)
        if key is not None:
            out += parts[key] if glob or "*" not in template else escape(parts[key])
            rest = rest[len(key) :]
        else:
            out += rest[0] if rest[0] == "*" or not glob else escape(rest[0])
            rest = rest[1:]
    if glob or "*" in template:
        return Field(text=TOP, glob=out)
    return Field(text=out)


def is_listed(text: str) -> bool:
    """All that is not known of it are names that were listed."""
    known = text.replace(NAME, "").replace(PATH, "")
    return known != text and TOP not in known and NUM not in known


def _by_listed(template: str, text: str) -> Field:
    """The same for a name that was listed, of which only the place is known."""
    head, slash, name = text.rstrip("/").rpartition("/")
    last = last_of(name)
    folder = f"{head}{slash}{PATH}/" if DEEP in name else head + slash or "./"
    short, stem = (one.rpartition(".")[0] or one for one in (last, name))
    parts = {"{}": text, "{dir}": folder, "{name}": last, "{stem}": f"{head}{slash}{stem}", "{short}": short, "*": NAME}
    return Field(text=re.sub(r"\{\w*\}|\*", lambda match: parts.get(match[0], match[0]), template))


def _put(call: Call, target: Field, sources: tuple[Resource, ...], *, recursive: bool = False) -> None:
    if target.text.endswith("/") and target.glob is None:
        below(call, Field(text=target.text.rstrip("/") or "/"), sources)
        return
    call.put("write", call.place(target, recursive=recursive), sources)


def below(call: Call, folder: Field, sources: Sequence[Resource]) -> None:
    """Something is unpacked into a directory: names inside are not known, so all below it may be written."""
    place = call.place(folder, kind="dir", recursive=True)
    for source in sources:
        call.emit("copy", source, place, flow=call.stdin.flow, may=True)
    call.emit("write", place, may=True, attrs={"unpacked": True})
    # What was unpacked may have any name, so nothing below is what it was.
    call.shell.emit.made.add(f"{place.path or ''}/*" if place.path else "**")


def configured(call: Call, field: Field) -> str | None:
    """A file that says what else a command works on: every path in it is mentioned.

    Returns:
        Its text; None if it cannot be known, which is then said.
    """
    text: str | None = None
    if field.text in ("-", "/dev/stdin"):
        text = call.stdin.text
    elif field.known:
        data = call.content(call.place(field))
        text = data.decode("utf-8", "surrogateescape") if data is not None else None
    if text is None:
        call.opaque("program", reason=f"what {call.name} is told to do is in a file that is not known", words=(field,))
        return None
    call.mention_text(text)
    return text
