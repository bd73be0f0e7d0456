"""Templates that escape everything, and refuse what they do not know."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import jinja2

from guardrail.printing import moment
from guardrail.review._view import plain

_PACKAGE: Final = "guardrail.service.console"


class Templates:
    """The HTML of the console."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"plain": plain, "moment": moment, "machine": _machine}

    def page(self, name: str, values: dict[str, Any]) -> bytes:
        """One page."""
        return self._environment.get_template(name).render(values).encode("utf-8", "replace")


def _machine(us: int) -> str:
    """A time as a browser reads it."""
    try:
        return dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return ""
