"""The register of library functions whose effects no table can say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from guardrail.effects.code.python._values import Args, Value

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

Handler = Callable[["Machine", Args], Value]

HANDLERS: Final[dict[str, Handler]] = {}
"""Full name -> function."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a function for some names.

    Raises:
        ValueError: if a name has one already.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            if name in HANDLERS:
                raise ValueError(f"`{name}` has two handlers")
            HANDLERS[name] = handler
        return handler

    return register


def run_handler(handler: Handler, process: object, args: Args) -> Value:
    """Call a handler from a part of the machine that does not know the whole of it."""
    return handler(cast("Machine", process), args)
