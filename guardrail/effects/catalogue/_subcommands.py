"""From the words of a command to the spec of its subcommand: `aws --profile x s3 cp a b` is one of `aws s3 cp`."""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.effects.catalogue._spec import Spec, specs
from guardrail.effects.domain._values import Field


def subcommand(spec: Spec, args: Sequence[Field]) -> tuple[Spec, tuple[Field, ...], str]:
    """Follow the first operands down to the most exact spec there is.

    Args:
        spec: the command's own spec.
        args: its words without the name.

    Returns:
        The spec, the words without the subcommand's, and the subcommand; the spec given if it has no such subcommand.
    """
    words = list(args)
    names: list[str] = []
    while spec.children:
        index = _first_operand(spec, words)
        if index is None or not words[index].known:
            break
        name = _full_name(spec, words[index].text)
        child = spec.children.get(name)
        if child is None:
            break
        words.pop(index)
        names.append(name)
        spec = specs()[child]
    return spec, tuple(words), " ".join(names)


def _full_name(spec: Spec, text: str) -> str:
    if not spec.entry.abbreviated or text in spec.children:
        return text
    names = [name for name in spec.children if name.startswith(text)]
    return names[0] if len({id(spec.children[name]) for name in names}) == 1 else text


def _first_operand(spec: Spec, words: Sequence[Field]) -> int | None:
    """Where the first word stands that is neither an option nor the value of one."""
    i = 0
    while i < len(words):
        text = words[i].text
        if len(text) < 2 or text[0] != "-":
            return i
        i += 1
        if text == "--":
            return i if i < len(words) else None
        i += _values(spec, text)
    return None


def _values(spec: Spec, text: str) -> int:
    """How many words behind an option are its values."""
    if text.startswith("--") or spec.single:
        option = None if "=" in text else spec.long(text) if text.startswith("--") else spec.options.get(text)
        return 0 if option is None or option.attached else len(option.roles)
    for index in range(1, len(text)):
        option = spec.options.get("-" + text[index])
        if option is None:
            return 0
        if option.roles and not (option.attached and spec.bundled and text[index + 1 : index + 2] != "="):
            # What stands behind the letter is the first value.
            given = index + 1 < len(text)
            return len(option.roles) - 1 if given else 0 if option.attached else len(option.roles)
    return 0
