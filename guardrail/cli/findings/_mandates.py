"""Findings about what people have ordered, and whether it holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from guardrail.cli._words import counted
from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.mandates import MandateBook


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The mandates as they could be read.

    Args:
        book: the mandates, if a directory is set and can be read.
        error: why they cannot be read.
    """

    book: MandateBook | None = None
    error: str | None = None


def read_book(config: Config) -> Book:
    """The mandates, as far as they can be read."""
    from guardrail.errors import GuardrailError
    from guardrail.mandates import MandateBook, MandateLedger

    try:
        from guardrail.audit import beside_trail

        return Book(book=MandateBook(config, MandateLedger(beside_trail(config, "orders.db"), readonly=True)))
    except GuardrailError as error:
        return Book(error=str(error))


def mandate_findings(config: Config, read: Book) -> Iterator[Finding]:
    """Which mandates there are, and what is wrong with them."""
    if read.book is None:
        yield Finding(name="mandates", state="problem", detail=read.error or "cannot be read")
        return
    if not config.mandates.directory:
        detail = "no directory set, so no effect on an asset is ever sanctioned"
        yield Finding(name="mandates", state="note", detail=detail)
        return
    book, now_us = read.book, time.time_ns() // 1000
    why_not = [(mandate.id, book.why_nobody(mandate, now_us)) for mandate in book.mandates]
    files, count = len(book.mandates) + len(book.problems), sum(reason is None for _, reason in why_not)
    others = "".join(f"; `{name}`: {reason}" for name, reason in why_not if reason is not None)
    detail = f"{config.path(config.mandates.directory)}: {counted(files, 'file')}, {count} in force now{others}"
    if count == 0:
        detail += ", so nothing on an asset is sanctioned"
    yield Finding(name="mandates", state="ok" if files else "note", detail=detail)
    if book.problems:
        yield Finding(name="mandates", state="problem", detail=f"refused: {'; '.join(map(str, book.problems))}")
    known = {asset.id for asset in config.assets}
    for mandate in book.mandates:
        for name in mandate.unknown_assets(known):
            detail = f"`{mandate.id}` is about `{name}`, and no asset is called that"
            yield Finding(name="mandates", state="note", detail=detail)
        for name in mandate.unknown_zones(config.zones):
            detail = f"`{mandate.id}` allows the zone `{name}`, and no zone is called that"
            yield Finding(name="mandates", state="note", detail=detail)
        for effect in mandate.without_target():
            detail = f"`{mandate.id}` allows `{effect}` and names no target, so it covers none: add `targets`"
            yield Finding(name="mandates", state="note", detail=detail)
    if book.unread:
        names = ", ".join(f"`{name}`" for name in book.unread)
        detail = f"not read, because a mandate's name ends in `.mandate.json`: {names}"
        yield Finding(name="mandates", state="note", detail=detail)
