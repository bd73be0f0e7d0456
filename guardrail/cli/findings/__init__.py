"""What `guardrail doctor` looks at, a room per kind of finding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config

__all__ = ["Finding", "about"]


def about(config: Config) -> Iterator[Finding]:
    """Everything that can be found out about a configuration on this host.

    Args:
        config: as it was loaded.
    """
    import msgspec

    from guardrail.cli.findings._assets import asset_findings
    from guardrail.cli.findings._central import central_findings
    from guardrail.cli.findings._mandates import mandate_findings, read_book
    from guardrail.cli.findings._policy import catalogue_finding, engine_finding
    from guardrail.cli.findings._review import review_findings
    from guardrail.cli.findings._service import service_findings
    from guardrail.cli.findings._settings import settings_findings
    from guardrail.cli.findings._strength import strength_findings
    from guardrail.cli.findings._trail import state_findings, trail_finding
    from guardrail.config import MandateConfig

    yield from settings_findings(config)
    yield from asset_findings(config)
    book = read_book(config)
    # What the mandates lack is said once, below, and not as a fault of the policy too.
    judged = config if book.error is None else msgspec.structs.replace(config, mandates=MandateConfig(), people=())
    yield engine_finding(judged)
    yield catalogue_finding()
    yield from mandate_findings(config, book)
    yield trail_finding(config)
    yield from state_findings(config)
    yield from central_findings(config)
    yield from review_findings(config)
    yield from service_findings(config)
    yield from strength_findings(config)
