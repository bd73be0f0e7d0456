"""Who may not order something of an agent, because they operate it themselves.

Not concerned with signatures.
INVARIANT: where separation is required and it is not known who operates an agent, nobody's order counts: what cannot be
shown is not assumed.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from guardrail.config import Config
from guardrail.model import Subject
from guardrail.names import alike

_NOBODY: tuple[str, ...] = ()


class Separation:
    """The rule that an order must come from somebody else than who operates the agent.

    Args:
        config: says where it is required, and who operates which agent.
    """

    def __init__(self, config: Config) -> None:
        self._general = config.mandates.separation
        self._assets = {asset.id: asset.separation for asset in config.assets if asset.separation is not None}
        self._everywhere = self._general and all(self._assets.values())
        self._somewhere = self._general or any(self._assets.values())
        self._agents = [(re.compile(fnmatch.translate(agent.id)), alike(agent.operator)) for agent in config.agents]

    @property
    def required(self) -> bool:
        """Whether it is required of any asset."""
        return self._somewhere

    def why_not(self, issuer: str, subject: Subject) -> str | None:
        """Why no order of a person counts for an agent, or None if it may.

        Args:
            issuer: who signed.
            subject: the agent.
        """
        return self._conflict(issuer, subject) if self._everywhere else None

    def barred(self, issuer: str, subject: Subject, assets: Iterable[str]) -> tuple[str, ...]:
        """About which assets a person may not order anything of an agent.

        Args:
            issuer: who signed.
            subject: the agent.
            assets: the ids to look at.
        """
        if not self._somewhere:
            return _NOBODY
        required = [asset for asset in assets if self._assets.get(asset, self._general)]
        return tuple(required) if required and self._conflict(issuer, subject) is not None else _NOBODY

    def _conflict(self, issuer: str, subject: Subject) -> str | None:
        operators = {operator for pattern, operator in self._agents if pattern.match(subject.id)}
        if not operators:
            return (
                f"nobody is known to operate `{subject.id}`, and its orders must come from somebody else: "
                "name its `operator` in an [[agent]] table"
            )
        # Whom the agent says it acts for may only make this stricter.
        operators.update(alike(name) for name in (subject.principal, *subject.delegation) if name)
        if alike(issuer) in operators:
            return f"`{issuer}` operates `{subject.id}`, and its orders must come from somebody else"
        return None
