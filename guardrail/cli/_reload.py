"""Beginning anew with another configuration (SIGHUP), without letting go of the address.

INVARIANT: a configuration that cannot be used changes nothing: it is read, and its policy, keys and trail are opened,
before the one in force is given up for good.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.config import Config, ServiceConfig
    from guardrail.guard import Guard
    from guardrail.service._server import Server

    Settings = tuple[Config, ServiceConfig]


class Reload:
    """The configuration in force, and the one that is to follow.

    Args:
        config: what the service starts with.
        settings: its `[service]`, with what the command line says instead.
        read: reads both again.
    """

    def __init__(self, config: Config, settings: ServiceConfig, read: Callable[[], Settings]) -> None:
        self._now: Settings = (config, settings)
        self._next: Settings | None = None
        self._read = read
        self._server: Server | None = None

    @property
    def is_due(self) -> bool:
        """Whether the service has to begin anew."""
        return self._next is not None

    def asked(self) -> None:
        """Somebody wants the configuration to be read again; may be called from a signal handler."""
        if self._server is not None:
            self._server.attend_to(self._look)

    @contextlib.contextmanager
    def serving(self, server: Server) -> Generator[Server]:
        """A server that ends when another configuration is there."""
        self._server = server
        try:
            yield server
        finally:
            self._server = None

    @contextlib.contextmanager
    def opened(self) -> Generator[tuple[Guard, ServiceConfig]]:
        """A guard of the newest configuration that can be opened.

        Raises:
            GuardrailError: if none can.
        """
        from guardrail.errors import GuardrailError
        from guardrail.guard import Guard

        wanted, self._next = self._next, None
        if wanted is not None:
            try:
                guard = Guard.open(wanted[0])
            except GuardrailError as error:
                self._refuse(error)
            else:
                self._now = wanted
                with guard:
                    yield guard, wanted[1]
                return
        with Guard.open(self._now[0]) as guard:
            yield guard, self._now[1]

    def _look(self) -> None:
        from guardrail.errors import GuardrailError

        try:
            self._next = self._read()
        except GuardrailError as error:
            self._refuse(error)
            return
        server = self._server
        if server is not None:
            server.end()

    def _refuse(self, error: Exception) -> None:
        text = "guardrail.reload.refused: the configuration of before stays in force: %s"
        logging.getLogger("guardrail.service").error(text, error)
