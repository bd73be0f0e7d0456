"""The decision log of one guard: what a configuration asks for, opened."""

from __future__ import annotations

import os
import uuid
from typing import Self

from guardrail.config import Config, secret
from guardrail.errors import ConfigError
from guardrail.model import Decision
from guardrail.policy._ruling import Ruling
from guardrail.policy.log._event import Entry, event
from guardrail.policy.log._outlets import FileOutlet, Outlet, ServerOutlet, now_ns


class DecisionLog:
    """Hands decisions to every outlet.

    Use `DecisionLog.open`.

    Args:
        outlets: where they go.
    """

    def __init__(self, outlets: tuple[Outlet, ...]) -> None:
        self._outlets = outlets

    @classmethod
    def open(cls, config: Config, version: str) -> Self | None:
        """Open what `[decision_log]` asks for.

        Args:
            config: the settings.
            version: version of this program, for the label `version`.

        Returns:
            The log, or None if none is asked for, which is the default.

        Raises:
            ConfigError: if the variable of the token is not set, or the file cannot be written.
        """
        wanted = config.decision_log
        if not (wanted.file or wanted.url):
            return None
        labels = {"id": str(uuid.uuid4()), "version": version, "app": "guardrail", **wanted.labels}

        def render(entry: Entry) -> bytes:
            return event(entry, labels, erase=wanted.erase, mask=wanted.mask)

        size, wait = wanted.buffer_bytes, wanted.flush_seconds
        token = secret(wanted.token, "decision_log.token")
        outlets: list[Outlet] = []
        if wanted.file:
            path = config.path(wanted.file)
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
            except OSError as error:
                raise ConfigError(
                    f"cannot write the decision log `{path}`: {error.strerror}: set `decision_log.file` to a place"
                    " that this user may write to"
                ) from None
            outlets.append(FileOutlet(path, render, buffer_bytes=size, flush_seconds=wait))
        if wanted.url:
            outlets.append(ServerOutlet(wanted.url, token, render, buffer_bytes=size, flush_seconds=wait))
        return cls(tuple(outlets))

    @property
    def dropped(self) -> int:
        """How many decisions were lost, over all outlets."""
        return sum(outlet.dropped for outlet in self._outlets)

    @property
    def failures(self) -> int:
        """How often events could not be handed on, over all outlets; they are tried again."""
        return sum(outlet.failures for outlet in self._outlets)

    def offer(
        self, decision: Decision, document: bytes | None, ruling: Ruling | None, trace: tuple[str, str] = ("", "")
    ) -> None:
        """Take a decision, without waiting for anything.

        Args:
            decision: what was decided.
            document: what policy was asked, if it came to that.
            ruling: what policy answered, if it did.
            trace: W3C trace and span id, or empty.
        """
        entry = Entry(decision, document, ruling, now_ns(), *trace)
        for outlet in self._outlets:
            outlet.offer(entry)

    def flush(self) -> None:
        """Have what waits written soon."""
        for outlet in self._outlets:
            outlet.flush()

    def close(self) -> None:
        """Write what waits, within a bound; what could not be is counted as dropped."""
        for outlet in self._outlets:
            outlet.close()
