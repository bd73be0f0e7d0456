"""The table of adapters and cases: what was found, and the page that keeps what adapters say of themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from guardrail_adapters.testing._cases import CASES
from guardrail_adapters.testing._protocol import Adapter
from guardrail_adapters.testing._stage import Case, NotConforming, NotInstalled, Unable, conforms

Result = Literal["yes", "no", "cannot", "not installed"]

BEGIN: Final = "<!-- made by `python -m guardrail_adapters.testing --page`; do not edit by hand -->"
"""Where the made part of the page begins."""

END: Final = "<!-- end of the made part -->"
"""Where it ends."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one case with one adapter.

    Args:
        adapter: its name.
        case: name of the case.
        result: whether it holds.
        why: what was seen instead, why it cannot be met, or what is missing.
    """

    adapter: str
    case: str
    result: Result
    why: str = ""


def put_through(adapter: Adapter, cases: Sequence[Case] = CASES) -> tuple[Line, ...]:
    """Act out cases with one adapter; one that breaks down does not conform."""
    return tuple(_line(adapter, case) for case in cases)


def _line(adapter: Adapter, case: Case) -> Line:
    result: Result = "yes"
    why = ""
    with tempfile.TemporaryDirectory(prefix="guardrail-conformance-") as folder:
        try:
            conforms(adapter, case, Path(folder))
        except Unable as reason:
            result, why = "cannot", str(reason)
        except NotInstalled as missing:
            result, why = "not installed", str(missing)
        except NotConforming as seen:
            result, why = "no", str(seen)
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises, its case does not hold
            result, why = "no", f"{type(error).__name__}: {error}"
    return Line(adapter=adapter.name, case=case.name, result=result, why=" ".join(why.split()))


def stale(adapter: Adapter) -> tuple[str, ...]:
    """Names in `Adapter.cannot` that are no cases, so that a renamed case is not excused for ever."""
    known = {case.name for case in CASES}
    return tuple(name for name in adapter.cannot if name not in known)


def as_text(lines: Iterable[Line]) -> str:
    """The table for a terminal: one row an adapter, then every cell that is not `yes` with its reason."""
    rows: dict[str, dict[str, Line]] = {}
    for line in lines:
        rows.setdefault(line.adapter, {})[line.case] = line
    width = max((len(name) for name in rows), default=0)
    out: list[str] = []
    for name, cells in rows.items():
        counted = {kind: sum(cell.result == kind for cell in cells.values()) for kind in ("yes", "no", "cannot")}
        absent = sum(cell.result == "not installed" for cell in cells.values())
        out.append(
            f"{name:<{width}}  {counted['yes']:>2} yes  {counted['no']:>2} no  {counted['cannot']:>2} cannot"
            + (f"  {absent} not installed" if absent else "")
        )
    for name, cells in rows.items():
        others: dict[tuple[str, str], list[str]] = {}
        for cell in cells.values():
            if cell.result != "yes":
                others.setdefault((cell.result, cell.why), []).append(cell.case)
        out += [f"{name}: {', '.join(cases)}: {result}: {why}" for (result, why), cases in others.items()]
    return "\n".join(out)


def page(adapters: Sequence[Adapter]) -> str:
    """The made part of docs/conformance.md: every case, every adapter, and what an adapter says it cannot meet."""
    out = [BEGIN, "", "| case | demand |", "| --- | --- |"]
    out += [f"| `{case.name}` | {case.demand} |" for case in CASES]
    out += ["", "| adapter | conforms in | cannot |", "| --- | --- | --- |"]
    for adapter in adapters:
        reasons: dict[str, list[str]] = {}
        for name, why in adapter.cannot.items():
            reasons.setdefault(why, []).append(f"`{name}`")
        cannot = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items()) or "–"
        out.append(f"| {adapter.name} | {len(CASES) - len(adapter.cannot)} of {len(CASES)} | {cannot} |")
    return "\n".join([*out, "", END])


def replaced(text: str, made: str) -> str:
    """A page with its made part made anew.

    Raises:
        ValueError: if the page has no such part.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no made part")
    return before + made + after
