"""HTML that is safe by construction: what is not markup of ours is escaped. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from guardrail.printing import visible

MAX_CHARS: Final = 600
"""Longest text of a record that is shown in one place, in characters; what is cut ends in an ellipsis."""

_VOID: Final = frozenset({"meta", "rect", "line", "path"})


class Html(str):
    """Markup. INVARIANT: made only by `tag` and `join`, and by `trusted` from constants of this package."""

    __slots__ = ()


def trusted(markup: str) -> Html:
    """Markup that is a constant of this package; never text of a record."""
    return Html(markup)


def escaped(value: object) -> Html:
    """Text as markup: whatever it is, it is read as text, in one direction, and moves nothing."""
    if isinstance(value, Html):
        return value
    shown = visible(str(value))
    if len(shown) > MAX_CHARS:
        shown = shown[: MAX_CHARS - 1] + "…"
    return Html(html.escape(shown, quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element; children and values of attributes that are no markup are escaped, and None leaves one out.

    Args:
        name: of the element.
        children: what is in it.
        attributes: underscores are written as hyphens, and one at the end is left out, as in `class_`.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def _value(value: object) -> str:
    # Markup has no place in an attribute: its quotes would end it.
    return html.escape(str(value), quote=True) if isinstance(value, Html) else escaped(value)


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other."""
    return Html("".join(escaped(part) for part in parts))


def table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[object, ...]], *, numbers: int = 0) -> Html:
    """A table whose first column heads its rows.

    Args:
        caption: what it shows.
        heads: of the columns.
        rows: cells; the first of each is the head of its row.
        numbers: how many of the last columns are numbers.
    """
    last = len(heads) - numbers
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", cell, class_="n" if place >= last else None) for place, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    if not body:
        return tag("p", f"{caption}: nothing in this period.", class_="none")
    head = tag("tr", *(tag("th", text, scope="col", class_="n" if i >= last else None) for i, text in enumerate(heads)))
    return tag("div", tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body)), class_="wide")
