"""Findings about the service: whether it would start, and what only it does: telling people, taking in votes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.findings._finding import Finding, State

if TYPE_CHECKING:
    from guardrail.config import Config, ServiceConfig


def service_findings(config: Config) -> Iterator[Finding]:
    """Whether the service would start here, and whether people are told and heard.

    Args:
        config: as it was loaded.
    """
    from guardrail.config import secret
    from guardrail.errors import ConfigError

    for state, detail in _review(config):
        yield Finding(name="review", state=state, detail=detail)
    try:
        secret(config.service.token, "service.token")
    except ConfigError as error:
        yield Finding(name="service", state="note", detail=f"`guardrail serve` would not start here: {error}")


def _review(config: Config) -> Iterator[tuple[State, str]]:
    """Whether what only a service does is done: telling people, taking in votes over HTTP."""
    from guardrail.config import secret
    from guardrail.errors import ConfigError
    from guardrail.service._ready import is_ready

    settings = config.service
    try:
        over_http = bool(secret(settings.reviewer_token, "service.reviewer_token"))
    except ConfigError as error:
        yield "note", f"nobody could review over HTTP here: {error}"
        over_http = False
    if not over_http and not config.review.webhooks:
        return
    ready, said = is_ready(config, _resolved(config, settings))
    if not ready:
        lost = "webhooks are not told, and " if config.review.webhooks else ""
        yield "note", f"{said.removeprefix('guardrail: ')}; until `guardrail serve` runs, {lost}nobody votes over HTTP"
    elif over_http and not (settings.review_socket or settings.review_host):
        how = "set `service.review_socket`, so that agents cannot even reach their routes"
        yield "note", f"the service is ready; people are answered where agents ask: {how}"
    else:
        yield "ok", f"the service is ready{'' if over_http else '; nobody reviews over HTTP without `reviewer_token`'}"


def _resolved(config: Config, settings: ServiceConfig) -> ServiceConfig:
    import msgspec

    if not settings.socket:
        return settings
    return msgspec.structs.replace(settings, socket=str(config.path(settings.socket)))
