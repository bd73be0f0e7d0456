"""The words of a command, told apart: options with their values, operands, and what is not understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.catalogue._spec import Spec
from guardrail.effects.domain._paths import undashed
from guardrail.effects.domain._values import TOP, Field
from guardrail.patterns import lazy

_NUMBER: Final = lazy(r"-\d+[A-Za-z]?")
_GLUED: Final = lazy(r"(-[a-z]+)(\d+[A-Za-z]?)")


class Parsed:
    """One command line, every word of it accounted for.

    Args:
        spec: what the options are.
    """

    __slots__ = ("_after", "flags", "injected", "operands", "spec", "unknown", "values")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.flags: set[str] = set()
        self.values: list[tuple[str, str, Field]] = []  # option, role, value
        self.operands: list[Field] = []
        self.unknown: list[Field] = []
        self.injected = False  # a word of which nothing is known may be an option
        self._after: list[int] = []  # for each value, how many operands stand before it

    def take(self, option: str, role: str, field: Field) -> None:
        """Note a value of an option."""
        self.values.append((option, role, field))
        self._after.append(len(self.operands))

    def placed(self, *names: str) -> list[tuple[int, str, Field]]:
        """All values of some options in order, each after the number of operands before it and its option."""
        return [
            (after, option, field)
            for after, (option, _, field) in zip(self._after, self.values, strict=False)
            if option in names
        ]

    def has(self, *names: str) -> bool:
        """One of the options is given."""
        return not self.flags.isdisjoint(names)

    def value(self, name: str) -> Field | None:
        """The last value of an option."""
        for option, _, field in reversed(self.values):
            if option == name:
                return field
        return None

    def values_of(self, name: str) -> list[Field]:
        """All values of an option, in order."""
        return [field for option, _, field in self.values if option == name]


def parse_options(spec: Spec, args: Sequence[Field]) -> Parsed:
    """Tell the words of a command apart, by getopt's rules.

    Args:
        spec: the command's options.
        args: its words without the name.
    """
    parsed = Parsed(spec)
    if spec.entry.raw:
        parsed.operands = list(args)
        return parsed
    i, count = 0, len(args)
    while i < count:
        field = args[i]
        text = field.text
        first = text[:1]
        i += 1
        if field.many or first == TOP or (field.glob is not None and first in "*?["):
            parsed.operands.append(field)
            # One word whose beginning is a variable of the caller's own is taken for what the command line says.
            parsed.injected = parsed.injected or not (
                field.named or (not field.many and (field.outer or undashed(text)))
            )
        elif first != "-" or text == "-":
            parsed.operands.append(field)
            if spec.entry.stop:
                parsed.operands.extend(args[i:])
                break
        elif text == "--":
            parsed.operands.extend(args[i:])
            break
        elif spec.dashed is not None and spec.dashed.fullmatch(text):
            continue
        elif text.startswith("--") or spec.single:
            i = _long(parsed, field, args, i)
        elif spec.entry.numeric and _NUMBER.fullmatch(text):
            continue
        else:
            i = _cluster(parsed, field, args, i)
    return parsed


def _long(parsed: Parsed, field: Field, args: Sequence[Field], i: int) -> int:
    name, equals, _ = field.text.partition("=")
    # Commands whose long options have one dash mostly take two as well.
    found = parsed.spec.options.get(name) or (parsed.spec.options.get(name[1:]) if name[:2] == "--" else None)
    option = found if parsed.spec.single else parsed.spec.long(name)
    if option is None and parsed.spec.single and (glued := _GLUED.fullmatch(field.text)):
        option = parsed.spec.options.get(glued[1])
        if option is not None and len(option.roles) == 1:
            parsed.flags.add(option.name)
            parsed.take(option.name, option.roles[0], field.tail(len(glued[1])))
            return i
        option = None
    if option is None or field.glob is not None or (equals and not option.roles) or TOP in name:
        parsed.unknown.append(field)
        return i
    parsed.flags.add(option.name)
    if equals:
        parsed.take(option.name, option.roles[0], field.tail(len(name) + 1))
        return i if len(option.roles) == 1 else _take(parsed, option.name, option.roles[1:], field, args, i)
    if not option.roles or option.attached:
        return i
    return _take(parsed, option.name, option.roles, field, args, i)


def _take(parsed: Parsed, name: str, roles: Sequence[str], field: Field, args: Sequence[Field], i: int) -> int:
    for role in roles:
        if i >= len(args):
            parsed.unknown.append(field)
            return i
        if args[i].many:
            parsed.injected = True
        parsed.take(name, role, args[i])
        i += 1
    return i


def _cluster(parsed: Parsed, field: Field, args: Sequence[Field], i: int) -> int:
    text = field.text
    for index in range(1, len(text)):
        option = parsed.spec.options.get("-" + text[index])
        if option is None or field.glob is not None:
            parsed.unknown.append(field)
            return i
        parsed.flags.add(option.name)
        if not option.roles or (option.attached and parsed.spec.bundled and text[index + 1 : index + 2] != "="):
            continue
        if index + 1 < len(text):
            parsed.take(option.name, option.roles[0], field.tail(index + 1))
            return i if len(option.roles) == 1 else _take(parsed, option.name, option.roles[1:], field, args, i)
        return i if option.attached else _take(parsed, option.name, option.roles, field, args, i)
    return i
