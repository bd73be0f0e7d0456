"""The arguments of one call, taken apart by the description of its tool.

Not concerned with which description applies to a name. Whatever is left over at the end is a `Mismatch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from guardrail.parse._operations import Named, Operation, ShellText
from guardrail.parse._rows import Nested, RowReader, is_path
from guardrail.parse._selectors import (
    MAX_ROWS,
    MISSING,
    Mismatch,
    Pair,
    Row,
    Selector,
    each,
    is_table,
    items_at,
    strings_only,
)
from guardrail.toolspec import Scalar, ToolSpec, lists_of

SAID: Final = frozenset(
    "description explanation justification reason reasoning rationale thought thoughts toolSummary toolAction "
    "task_progress security_risk requires_approval run_manually_reason".split()
)
"""Arguments that say something to people and that frameworks add to tools of others."""


class Form(RowReader):
    """One entry, compiled.

    Args:
        spec: the entry.
    """

    __slots__ = (
        "_alarm", "_alarming_keys", "_allowed", "_below", "_chain", "_deep", "_flat", "_known", "_levels", "_when",
        "conditional", "lines", "needed",
    )  # fmt: skip

    def __init__(self, spec: ToolSpec) -> None:
        super().__init__(spec)
        self._when = tuple((Selector(text), _choices(value)) for text, value in spec.when.items())
        self.conditional = bool(self._when)
        # Without any of these arguments it does not apply.
        self.needed = frozenset(selector.steps[0] for selector, choices in self._when if _ABSENT not in choices)
        self._alarm = tuple((Selector(text), _choices(value)) for text, value in spec.alarm.items())
        # Without one of these arguments nothing is alarming; none are noted where an item of a list may be.
        flat = not any(selector.base for selector, _ in self._alarm)
        self._alarming_keys = frozenset(selector.steps[0] for selector, _ in self._alarm if flat)
        every = [text.rstrip("?") for text in spec.selectors()]
        self._chain = max((tuple(lists_of(text)) for text in every), key=len, default=())
        # For each object that selectors go through, the keys that they name.
        self._known: dict[str, set[str]] = {"": set()}
        for text in every:
            self._note(text)
        self._allowed = frozenset(self._known[""]) | SAID
        self._below: dict[str, tuple[tuple[str, str], ...]] = {}
        for at in {*self._known, *self._chain}:
            suffix = at[-2:] if at.endswith(("[]", "{}")) else ""
            key = at.removesuffix(suffix)
            self._below[key] = (*self._below.get(key, ()), (at, suffix))
        # Most selectors name one argument of an object: one look at each argument then says all.
        self._levels: tuple[dict[str, tuple[tuple[str, Selector], ...]], ...] = tuple(
            {} for _ in range(len(self._chain) + 1)
        )
        deep: list[tuple[str, Selector]] = []
        pairs = {index + 1 for index, prefix in enumerate(self._chain) if prefix.endswith("{}")}
        for role, selectors in self._roles.items():
            for selector in selectors:
                key = selector.steps[0]
                if len(selector.steps) > 1 or key.startswith("#") or selector.base in pairs:
                    deep.append((role, selector))
                else:
                    level = self._levels[selector.base]
                    level[key] = (*level.get(key, ()), (role, selector))
        self._deep = tuple(deep)
        self._flat = len(self._known) == 1 and not self._chain and not deep
        level = self._levels[0] if self._flat and spec.verb == "shell" else {}
        # The arguments of which one alone is a command line: nothing else that it may be given changes that.
        asked = {selector.steps[0] for selector, choices in self._when if _ABSENT in choices}
        others = len(asked) == len(self._when)
        odd = self._alarming_keys | asked
        self.lines = frozenset(
            key for key, said in level.items() if others and key not in odd and [role for role, _ in said] == ["text"]
        )

    def _note(self, text: str) -> None:
        at = ""
        for part in text.split("."):
            if part.startswith("#"):
                return
            self._known.setdefault(at, set()).add(part.removesuffix("[]").removesuffix("{}"))
            at = f"{at}.{part}" if at else part

    # -- whether it applies

    def line(self, args: Mapping[str, Any]) -> tuple[ShellText] | None:
        """What most calls are: a command line, and no other argument. None of any other call."""
        if len(args) == 1:
            ((key, text),) = args.items()
            if key in self.lines and type(text) is str:
                return (ShellText(text=text, persistent=self.spec.persistent),)
        return None

    def applies(self, args: Mapping[str, Any]) -> bool:
        """Whether the arguments have the values that the entry is for."""
        for selector, choices in self._when:
            value = selector.value((args,)) if selector.steps[0] in args else MISSING
            if (_ABSENT if value is MISSING else _key(value)) not in choices:
                return False
        return True

    def read(self, args: Mapping[str, Any], tool: str, nested: Nested) -> tuple[Operation, ...]:
        """The operations of a call.

        Args:
            args: its arguments.
            tool: its name.
            nested: how calls in it are parsed.

        Raises:
            Mismatch: if anything about them is not understood.
        """
        rows = self._rows(args) if self._chain else [self._row((args,))]
        odd = self._odd(args)
        found: list[Operation] = []
        for row in rows:
            try:
                found.extend(self.operations(row, tool, nested))
            except Mismatch as mismatch:
                odd = odd or str(mismatch)
                found.extend(mismatch.parts)
        if self._alarm and not odd and not (self._alarming_keys and self._alarming_keys.isdisjoint(args)):
            odd = self._alarming(rows)
        if odd:
            raise Mismatch(odd, tuple(found))
        named = self._named(rows)
        if named:
            found.append(Named(tool=tool, texts=named))
        if not found:
            raise Mismatch(f"nothing is asked of `{self.spec.names[0]}`")
        return tuple(found)

    # -- rows and leftovers

    def _row(self, objects: tuple[Any, ...]) -> Row:
        given: dict[str, list[tuple[Selector, Any]]] = {}
        for item, level in zip(objects, self._levels, strict=False):
            if is_table(item):
                for key, value in item.items():
                    if key in level and value is not None:
                        for role, selector in level[key]:
                            given.setdefault(role, []).append((selector, value))
        for role, selector in self._deep:
            value = selector.value(objects)
            if value is not MISSING:
                given.setdefault(role, []).append((selector, value))
        return Row(objects, given)

    def _rows(self, args: Mapping[str, Any]) -> list[Row]:
        """One row for each item of the lists, each with the objects on the way to it."""
        rows: list[tuple[Any, ...]] = [(args,)]
        before = 0
        for prefix in self._chain:
            steps = prefix[before:].lstrip(".").split(".")
            before = len(prefix)
            grown: list[tuple[Any, ...]] = []
            for row in rows:
                grown.extend((*row, item) for item in items_at(row, steps))
                if len(grown) > MAX_ROWS:
                    raise Mismatch("the lists are too long")
            rows = grown
        return [self._row(row) for row in rows]

    def _odd(self, args: Mapping[str, Any]) -> str:
        """An argument that no selector names; empty if there is none."""
        allowed = self._allowed
        for key in args:
            if key not in allowed:
                return f"argument {key} is not understood"
        return "" if self._flat or len(self._known) == 1 else self._odd_within("", args)

    def _odd_within(self, at: str, value: Any) -> str:
        known = self._known.get(at)
        if known is None or value is None:
            return ""
        if isinstance(value, Pair):
            value = value.value
        if not is_table(value):
            return "" if self._takes_items(at) else f"argument {at} is not an object"
        for key, inner in value.items():
            if key not in known:
                if at == "" and key in SAID:
                    continue
                return f"argument {at}.{key} is not understood"
            if inner is None:
                continue
            for below, suffix in self._below.get(f"{at}.{key}" if at else key, ()):
                for item in each(inner, suffix) if suffix else (inner,):
                    odd = self._odd_within(below, item)
                    if odd:
                        return odd
        return ""

    def _takes_items(self, at: str) -> bool:
        return any(text.rstrip("?").startswith(f"{at}.#") or text.rstrip("?") == at for text in self.spec.selectors())

    def _alarming(self, rows: Sequence[Row]) -> str:
        for selector, choices in self._alarm:
            for row in rows:
                value = selector.value(row.objects)
                if value is not MISSING and _key(value) in choices:
                    return f"argument {selector.name} asks for more than the tool does"
        return ""

    def _named(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Paths in arguments that are otherwise not looked at."""
        named: dict[str, None] = {}
        for row in rows:
            for selector, value in row.given.get("ignore", ()):
                if isinstance(value, bool | int | float):
                    continue
                if is_table(value):
                    raise Mismatch(f"argument {selector.name} is not understood")
                texts = (value,) if isinstance(value, str) else strings_only(value)
                named.update((text, None) for text in texts if is_path(text))
        return tuple(named)


def _choices(value: Scalar | tuple[Scalar, ...]) -> frozenset[tuple[str, Scalar]]:
    return frozenset(_key(item) for item in (value if isinstance(value, tuple) else (value,)))


_ABSENT: Final = ("str", "")
"""What an argument that is not given is compared as."""


def _key(value: Any) -> tuple[str, Any]:
    """A value to compare by: `true` is not 1, and `POST` is `post`."""
    if isinstance(value, str):
        return ("str", value.lower())
    if isinstance(value, bool | int | float):
        return (type(value).__name__, value)
    return ("other", None)
