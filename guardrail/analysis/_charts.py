"""Two charts in SVG, drawn without a program: bars over time, and bars by name. Pure.

Each is an image with a title and a sentence for those who do not see it, and stands before a table with its numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.analysis._markup import Html, tag

WIDTH: Final = 720
"""Width of a chart, in its own units; the page scales it."""

PLOT: Final = 180
"""Height of the bars over time, in units."""

WIDEST: Final = 64.0
"""Widest bar over time, in units: a single step must not look like a wall."""

ROOMY: Final = 110
"""From this width of a step on, its time has room right below it, in units."""

LEFT: Final = 56
ROW: Final = 24
NAMES: Final = 230
NAME_CHARS: Final = 36
"""Longest name beside a bar, in characters; the table has all of it."""

Steps = Sequence[tuple[int, Mapping[str, int]]]


def over_time(title: str, steps: Steps, columns: tuple[str, ...], width: int) -> Html:
    """Stacked bars, one a step of time.

    Args:
        title: what it shows.
        steps: when each begins, in seconds since the epoch, and its counts.
        columns: what is stacked, from the bottom.
        width: of a step, in seconds.
    """
    most = max((sum(row.get(column, 0) for column in columns) for _, row in steps), default=0)
    top = ceiling(most)
    slot = (WIDTH - LEFT) / max(1, len(steps))
    parts: list[Html] = [*_grid(top)]
    for place, (at, row) in enumerate(steps):
        x, y = LEFT + place * slot, float(PLOT + 10)
        said = ", ".join(f"{row.get(column, 0)} {column}" for column in columns)
        bars: list[Html] = []
        for column in columns:
            height = PLOT * row.get(column, 0) / top
            y -= height
            if height:
                wide = min(slot * 0.8, WIDEST)
                bars.append(_bar(x + (slot - wide) / 2, y, wide, height, column))
        parts.append(tag("g", tag("title", f"{label(at, width)}: {said}"), *bars))
    for place in _labelled(len(steps)):
        x = LEFT + (place + 0.5) * slot
        anchor, edge = "middle", x
        if slot < ROOMY and place in (0, len(steps) - 1):
            anchor, edge = ("start", float(LEFT)) if place == 0 else ("end", float(WIDTH))
        parts.append(tag("text", label(steps[place][0], width), x=f"{edge:.1f}", y=PLOT + 28, text_anchor=anchor))
    said = f"{len(steps)} steps of {span(width)}, at most {most} in one. The table after it has the numbers."
    return _image(title, said, PLOT + 36, parts)


def by_name(title: str, rows: Sequence[tuple[str, Mapping[str, int]]], columns: tuple[str, ...]) -> Html:
    """Stacked bars, one a name.

    Args:
        title: what it shows.
        rows: names with their counts, largest first.
        columns: what is stacked, from the left.
    """
    most = max((sum(row.get(column, 0) for column in columns) for _, row in rows), default=0)
    room = WIDTH - NAMES - 60
    parts: list[Html] = []
    for place, (name, row) in enumerate(rows):
        y, x = place * ROW + 4, float(NAMES)
        short = name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"
        parts.append(tag("text", short, x=NAMES - 8, y=y + 15, text_anchor="end"))
        for column in columns:
            length = room * row.get(column, 0) / max(1, most)
            if length:
                parts.append(_bar(x, y, max(length, 1), ROW - 6, column))
            x += length
        total = sum(row.get(column, 0) for column in columns)
        parts.append(tag("text", f"{total:,}", x=f"{x + 6:.1f}", y=y + 15))
    said = f"{len(rows)} rows, at most {most} in one. The table after it has the numbers."
    return _image(title, said, len(rows) * ROW + 8, parts)


def legend(columns: tuple[str, ...]) -> Html:
    """Which colour means what."""
    keys = [
        tag(
            "li",
            tag("svg", _bar(0, 0, 12, 12, column), width=12, height=12, aria_hidden="true"),
            f" {column}",
        )
        for column in columns
    ]
    return tag("ul", *keys, class_="legend")


def _image(title: str, said: str, height: int, parts: Sequence[Html]) -> Html:
    return tag(
        "svg", tag("title", title), tag("desc", said), *parts,
        viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=f"{title}. {said}",
    )  # fmt: skip


def _bar(x: float, y: float, width: float, height: float, column: str) -> Html:
    places = {"x": x, "y": y, "width": width, "height": height}
    return tag("rect", **{k: f"{v:.1f}" for k, v in places.items()}, class_=f"bar {_CLASS.get(column, 'c-one')}")


_CLASS: Final = {"allow": "c-allow", "escalate": "c-escalate", "deny": "c-deny", "unknown": "c-unknown"}


def _grid(top: int) -> list[Html]:
    parts: list[Html] = []
    for part in (0, 0.5, 1):
        y = PLOT + 10 - PLOT * part
        parts.append(tag("line", x1=LEFT, x2=WIDTH, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        parts.append(tag("text", f"{top * part:,.10g}", x=LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"))
    return parts


def ceiling(most: int) -> int:
    """A round number at or above a count: 2, 4 or 10 times a power of ten."""
    power = 1
    while power * 10 < most:
        power *= 10
    return next(power * times for times in (2, 4, 10) if power * times >= most or times == 10)


def _labelled(count: int) -> list[int]:
    """Which steps have their time written below."""
    if count <= 1:
        return list(range(count))
    return sorted({0, count - 1, *(count * part // 4 for part in (1, 2, 3))} if count > 4 else {0, count - 1})


def label(at: int, width: int) -> str:
    """When a step begins, as exactly as its width asks for, in UTC."""
    try:
        moment = dt.datetime.fromtimestamp(at, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return "no time"
    if width < 60:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d}" if width >= 86_400 else f"{moment:%m-%d %H:%M}"


def span(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {unit}{'' if number == '1' else 's'}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f}".removesuffix(".0") + " ms"
    number = f"{seconds:.1f}".removesuffix(".0")
    return f"{number} second{'' if number == '1' else 's'}"
